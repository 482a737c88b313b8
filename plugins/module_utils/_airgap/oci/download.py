# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a blob from a registry, continued with Range requests when the connection breaks (RFC 9110 section 14)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Iterator, Optional

from ..model.content_source import without_first
from ..model.errors import DigestMismatch, RegistryError
from .connection import Call, RegistryConnection
from .failures import Place
from .session import BLOCK_SIZE
from .transport import Answer, BodyBroken

_CONTENT_RANGE = re.compile(r"\Abytes (\d+)-\d+/(\d+|\*)\Z")
_UNSATISFIED_RANGE = re.compile(r"\Abytes \*/(\d+)\Z")


class BlobDownload:
    """One blob on its way, or what it has from byte `offset` on. `open` first, then `blocks`, `close` in any case.

    size: bytes of the whole blob as promised by whoever wants it, -1 when unknown.
    """

    def __init__(self, connection: RegistryConnection, call: Call, size: int, offset: int = 0) -> None:
        self._connection = connection
        self._call = call
        self._size = size
        self._answer: Optional[Answer] = None
        self._position = offset
        self._skip = 0

    def open(self) -> None:
        """Raises the errors of RegistryConnection, DigestMismatch when the registry has another size than promised."""
        self._answer = self._ask()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks of at most 128 KiB, across broken connections. Raises RegistryError, Unreachable.

        A broken download is continued as often as the option `retries` says; 1 MiB that arrived begins the count anew.
        """
        tries, progress = 0, self._position
        while True:
            try:
                yield from self._rest()
                return
            except BodyBroken as broken:
                self.close()
                if self._position - progress >= BLOCK_SIZE:
                    tries, progress = 0, self._position
                tries += 1
                if tries > self._connection.retries:
                    raise broken.error from None
                self._connection.wait_before(tries, broken.error)
                self.open()

    def _rest(self) -> Iterator[bytes]:
        """What this answer has. Raises BodyBroken when the blob is not at its end then."""
        if self._answer is None:
            return
        for block in without_first(self._connection.blocks(self._answer, self._call), self._skip):
            self._position += len(block)
            yield block
        if self._position < self._size:
            text = f"the blob ended after {self._position} of {self._size} bytes."
            raise BodyBroken(RegistryError(self._place.tell(text), "Run it again."))

    def _ask(self) -> Optional[Answer]:
        """Ask for the blob from the position on; None: there is nothing more.

        A registry that sends the whole blob, or another part of it, is not asked for parts again: then the whole blob
        is read, and what is known already is skipped.
        """
        if self._position and self._position == self._size:
            return None
        if self._position and self._connection.ranges:
            answer = self._connection.send(self._ranged())
            if answer.status == 206 and self._is_rest(answer):
                self._skip = 0
                return answer
            if answer.status == 416 and self._is_end(answer):
                return None
            self._connection.ranges = False
            if answer.status == 200:
                return self._whole(answer)
            answer.close()
        return self._whole(self._connection.send(self._call))

    def _ranged(self) -> Call:
        headers = dict(self._call.headers, Range=f"bytes={self._position}-")
        return replace(self._call, headers=headers, accepted=(200, 206, 416))

    def _whole(self, answer: Answer) -> Answer:
        size = answer.length
        if 0 <= self._size != size and size >= 0:
            answer.close()
            text = f"it has {size} bytes at the registry, {self._size} were promised."
            raise DigestMismatch(self._place.tell(text))
        self._size, self._skip = max(self._size, size), self._position
        return answer

    def _is_rest(self, answer: Answer) -> bool:
        """Whether a part begins where this download stopped, and is one of the blob that was promised."""
        found = _CONTENT_RANGE.match(answer.headers.get("Content-Range") or "")
        if not found or int(found.group(1)) != self._position:
            return False
        return self._size < 0 or found.group(2) in ("*", str(self._size))

    def _is_end(self, answer: Answer) -> bool:
        """Whether there is nothing behind the position, in a blob whose size nobody promised."""
        found = _UNSATISFIED_RANGE.match(answer.headers.get("Content-Range") or "")
        answer.close()
        return bool(found) and self._size < 0 and int(found.group(1)) == self._position

    @property
    def _place(self) -> Place:
        return Place(self._connection.host, self._call.access.repository, self._call.operation)
