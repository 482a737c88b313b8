# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a transfer has come: bytes, blobs and images, at which rate, and how long the rest takes."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, Tuple

from ..model.content_source import Blocks, OpenSource, SeekableSource, open_at

Tell = Callable[[Dict[str, Any]], None]

# The rate is that of the last so many seconds.
WINDOW = 15.0
# So long and so much it takes until a rate says something: bytes, or this share of all of them.
SURE_AFTER, SURE_BYTES, SURE_SHARE = 1.0, 1024 * 1024, 100
# Between two events that tell nothing but a few bytes more.
PAUSE = 0.5
MOVING, IMAGE, END = "moving", "image", "end"


class Progress:
    """Sums up what all targets of a run have got, and tells it as events. Safe for several threads.

    tell: gets an event, a mapping that JSON can hold: `event` is moving, image (one is complete; `image` and `target`
    name it) or end; `bytes`, `blobs` and `images` have done and total; `rate` is in bytes a second; `seconds` have
    passed, `seconds_left` is null while nobody can tell. Moving is told at most twice a second. Before the first
    `expect` nothing moves, and that time is in no rate.
    """

    def __init__(self, tell: Tell = lambda event: None, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._lock = threading.Lock()
        self._done = {"bytes": 0, "blobs": 0, "images": 0}
        self._total = dict(self._done)
        self._in_flight: Dict[Any, int] = {}
        self._started = self._told = clock()
        self._seen: Deque[Tuple[float, int]] = deque([(self._started, 0)])

    def expect(self, size: int, blobs: int, images: int) -> None:
        """So many bytes, blobs and images are to be moved to one more target."""
        with self._lock:
            if not any(self._total.values()):
                self._seen = deque([(self._clock(), 0)])
            for name, count in (("bytes", size), ("blobs", blobs), ("images", images)):
                self._total[name] += count

    def blob_done(self, key: Any, size: int) -> None:
        """A blob is at its place. size: the bytes that had to pass for it. key: as for `watched`."""
        with self._lock:
            self._in_flight.pop(key, None)
            self._done["bytes"] += size
            self._done["blobs"] += 1
        self._moved()

    def blobs_there(self, count: int) -> None:
        """So many of the expected blobs were there already."""
        with self._lock:
            self._done["blobs"] += count

    def image_done(self, image: str, target: str) -> None:
        """All of an image is at its place."""
        with self._lock:
            self._done["images"] += 1
            self._tell(dict(self._event(IMAGE), image=image, target=target))

    def end(self) -> None:
        """Nothing comes any more."""
        with self._lock:
            self._tell(self._event(END))

    def watched(self, source: OpenSource, key: Any) -> OpenSource:
        """The source, with its bytes counted while they pass; what is read again does not count twice."""
        return _Watched(source, lambda position: self._at(key, position))

    def passing(self, blocks: Iterable[bytes], key: Any) -> Iterator[bytes]:
        """The blocks, with their bytes counted while they pass."""
        return _counted(blocks, 0, lambda position: self._at(key, position))

    def _at(self, key: Any, position: int) -> None:
        with self._lock:
            self._in_flight[key] = max(position, self._in_flight.get(key, 0))
        self._moved()

    def _moved(self) -> None:
        with self._lock:
            now = self._clock()
            if now - self._told >= PAUSE:
                self._told = now
                self._tell(self._event(MOVING))

    def _event(self, name: str) -> Dict[str, Any]:
        now = self._clock()
        done = dict(self._done, bytes=self._done["bytes"] + sum(self._in_flight.values()))
        rate, is_sure = self._rate(now, done["bytes"])
        left = max(self._total["bytes"] - done["bytes"], 0)
        counts = {key: {"done": done[key], "total": max(self._total[key], done[key])} for key in done}
        seconds_left = 0.0 if name == END else round(left / rate, 1) if rate and is_sure else None
        return dict(
            counts, event=name, rate=round(rate), seconds=round(now - self._started, 1), seconds_left=seconds_left
        )

    def _rate(self, now: float, done: int) -> Tuple[float, bool]:
        """Bytes a second, and whether they tell anything about the rest."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        begun, before = self._seen[0]
        if now <= begun:
            return 0.0, False
        came = done - before
        enough = came >= min(SURE_BYTES, self._total["bytes"] / SURE_SHARE)
        return came / (now - begun), enough and now - begun >= SURE_AFTER


class _Watched(SeekableSource):
    """A source that tells at which byte its reader is."""

    def __init__(self, source: OpenSource, at: Callable[[int], None]) -> None:
        self._source, self._at = source, at

    def __call__(self) -> Blocks:
        return self._watch(self._source(), 0)

    def open_at(self, offset: int) -> Blocks:
        return self._watch(open_at(self._source, offset), offset)

    @contextmanager
    def _watch(self, opened: Blocks, position: int) -> Iterator[Iterator[bytes]]:
        with opened as blocks:
            yield _counted(blocks, position, self._at)


def _counted(blocks: Iterable[bytes], position: int, at: Callable[[int], None]) -> Iterator[bytes]:
    """The blocks; `at` is told where their reader is."""
    for block in blocks:
        yield block
        position += len(block)
        at(position)
