# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of a source for several targets that are served at the same time.

Manifests are kept. A blob is read into a nameless file, and every target follows that file as it grows, at its own
pace. Files that nobody follows go when others need the room; who comes later than that reads the source once more.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Callable, Dict, Iterator, Optional

from ..model.identity import Element
from ..model.manifest import ContentDescriptor, Manifest
from ..oci.client import Registries
from ..sources.content import Content, ContentFinder
from ..store.artifact_set import ArtifactSet
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, StoredVersion
from ..store.repository import ArtifactRepository, Blocks, OpenSource
from ..store.safe_tar import BLOCK
from .once import Found, Once

# Of the free room in the folder; the rest is left to others.
SHARE_OF_FREE_ROOM = 0.5


class SharedReadings:
    """What several targets want of one source, of which `width` things are read at once, however many targets there are.

    room: bytes that may lie in the folder at once.
    """

    def __init__(self, folder: str, width: int, room: Optional[int] = None) -> None:
        self._folder = folder
        self._slots = threading.Semaphore(width)  # held by who waits for the source alone, never for a target
        self._room = _free_room(folder) if room is None else room
        self._lock = threading.Lock()
        self._once = Once()
        self._readings: Dict[str, _Reading] = {}

    def once(self, key: Any, read: Callable[[], Found]) -> Found:
        """What read() gave for the key the first time. What it raises is raised, and not kept."""
        return self._once.get(key, lambda: self._in_a_slot(read))

    def _in_a_slot(self, read: Callable[[], Found]) -> Found:
        with self._slots:
            return read()

    @contextmanager
    def open(self, digest: str, size: int, source: OpenSource) -> Iterator[Iterator[bytes]]:
        """A blob in blocks, from the file of a reading if there is one or there is room for one."""
        reading = self._join(digest, size, source)
        if reading is None:
            with source() as blocks:
                yield blocks
            return
        try:
            yield reading.blocks()
        finally:
            self._leave(digest, reading)

    def close(self) -> None:
        """End all readings."""
        for reading in self._readings.values():
            reading.done = True
        for reading in list(self._readings.values()):
            reading.close()

    def _join(self, digest: str, size: int, source: OpenSource) -> Optional["_Reading"]:
        with self._lock:
            reading = self._readings.get(digest)
            if reading is None:
                reading = self._begin(digest, size, source)
            if reading is not None:
                reading.followers += 1
            return reading

    def _begin(self, digest: str, size: int, source: OpenSource) -> Optional["_Reading"]:
        if size < 0 or not self._make_room(size):
            return None
        try:
            reading = self._readings[digest] = _Reading(self._folder, size, source, self._slots)
        except OSError:  # no file can be made there
            return None
        return reading

    def _leave(self, digest: str, reading: "_Reading") -> None:
        with self._lock:
            reading.followers -= 1
            if reading.failed and self._readings.get(digest) is reading:
                del self._readings[digest]  # who tries again reads anew
            if reading.failed and not reading.followers:
                reading.close()

    def _make_room(self, size: int) -> bool:
        """Whether a blob of this size fits, after those that nobody follows have gone, the oldest first."""
        used = sum(reading.size for reading in self._readings.values())
        for digest, reading in list(self._readings.items()):
            if used + size <= self._room:
                break
            if reading.done and not reading.followers:
                reading.close()
                used -= self._readings.pop(digest).size
        return used + size <= self._room


class _FileFull(Exception):
    """The file takes no more."""


class _Reading:
    """A blob that is read into a file by a thread of its own, until it is done. followers: how many read the file."""

    def __init__(self, folder: str, size: int, source: OpenSource, slots: threading.Semaphore) -> None:
        self.size, self.followers = size, 0
        self._source, self._slots = source, slots
        self._file = tempfile.TemporaryFile(dir=folder)
        self._news = threading.Condition()
        self._written, self.done = 0, False
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def blocks(self) -> Iterator[bytes]:
        """The blob from its beginning, as far as it has come. Raises what reading it raised."""
        position = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self.done or self._written > position)
                end, done, error = self._written, self.done, self._error
            while position < end:
                block = os.pread(self._file.fileno(), min(BLOCK, end - position), position)
                position += len(block)
                yield block
            if isinstance(error, _FileFull):
                yield from self._rest(position)
                return
            if error is not None:
                raise error
            if done:
                return

    def close(self) -> None:
        """End the reading, wherever it is."""
        self.done = True
        self._thread.join()
        self._file.close()

    def _read(self) -> None:
        try:
            with self._slots:
                self._fill()
        except Exception as error:  # raised again by whoever follows
            self._end(error)
        else:
            self._end()

    def _fill(self) -> None:
        if self.done:
            return
        with self._source() as blocks:
            for block in blocks:
                if self.done:
                    break
                self._keep(block)
                self._tell(len(block))

    def _keep(self, block: bytes) -> None:
        try:
            self._file.write(block)
            self._file.flush()
        except OSError as error:
            raise _FileFull from error

    def _rest(self, position: int) -> Iterator[bytes]:
        """What the file has no room for, from the source."""
        with self._source() as blocks:
            for block in blocks:
                yield block[min(position, len(block)) :]
                position -= min(position, len(block))

    def _tell(self, more: int) -> None:
        with self._news:
            self._written += more
            self._news.notify_all()

    def _end(self, error: Optional[Exception] = None) -> None:
        with self._news:
            self._error, self.done = error, True
            self._news.notify_all()


class SharedFinder(ContentFinder):
    """Finds content that is read once for all who find it here."""

    def __init__(self, store: ComponentStore, registries: Registries, readings: SharedReadings) -> None:
        super().__init__(store, registries)
        self._readings = readings

    def find(self, version: StoredVersion, kind: str, element: Element) -> Content:
        content = super().find(version, kind, element)
        if isinstance(content, ArtifactContent):
            if isinstance(content.repository, ArtifactSet):  # one stream, that is walked through
                return content
            return replace(content, repository=_SharedRepository(content.repository, self._readings))
        if not content.digest:
            return content
        return replace(content, open=lambda: self._readings.open(content.digest, content.size, content.open))


class _SharedRepository:
    """A repository whose manifests and blobs are read once. Everything else is the repository's own."""

    def __init__(self, repository: ArtifactRepository, readings: SharedReadings) -> None:
        self._repository, self._readings = repository, readings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        return self._readings.once(
            ("head", self._repository.name, reference), lambda: self._repository.head_manifest(reference)
        )

    def get_manifest(self, reference: str) -> Manifest:
        return self._readings.once(
            ("get", self._repository.name, reference), lambda: self._repository.get_manifest(reference)
        )

    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        return self._readings.open(digest, size, lambda: self._repository.open_blob(digest, size))


def _free_room(folder: str) -> int:
    found = os.statvfs(folder)
    return int(found.f_bavail * found.f_frsize * SHARE_OF_FREE_ROOM)
