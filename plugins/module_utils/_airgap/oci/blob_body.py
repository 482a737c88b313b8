# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of one blob as bodies of requests: whole, or one piece after the other from one reading of the source."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Callable, Iterator, Optional

from ..model.content_source import OpenSource, open_at
from ..model.errors import RegistryError
from .session import BLOCK_SIZE

# So long a request whose source failed is filled up before it is broken off.
FILLING_SECONDS = 10.0


class BlobReader:
    """A source of exactly `size` bytes that is read on where it stands, and opened again only to read elsewhere.

    on_bytes is told how many bytes were read for a request. Close it at the end.
    """

    def __init__(self, open_source: OpenSource, size: int, where: str, on_bytes: Callable[[int], None]) -> None:
        self.size = size
        self.on_bytes = on_bytes
        self._open_source = open_source
        self._where = where
        self._stack = ExitStack()
        self._blocks: Optional[Iterator[bytes]] = None
        self._position = 0
        self._rest = b""

    def seek(self, offset: int) -> None:
        """The next byte that is read is that at `offset`."""
        if self._blocks is not None and self._position == offset:
            return
        self.close()
        self._blocks = iter(self._stack.enter_context(open_at(self._open_source, offset)))
        self._position, self._rest = offset, b""

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; empty at the end, when the source has told that it is whole.

        Raises RegistryError when the source has more or less than was promised, and what the source raises.
        """
        try:
            block = self._rest or self._next()
        except BaseException:
            self.close()
            raise
        block, self._rest = block[:count], block[count:]
        self._position += len(block)
        return block

    def close(self) -> None:
        self._blocks = None
        self._stack.close()

    def _next(self) -> bytes:
        block = next((block for block in self._blocks or () if block), b"")
        if self._position + len(block) > self.size:
            raise self._wrong("more")
        if not block and self._position < self.size:
            raise self._wrong(f"{self.size - self._position} bytes less")
        return bytes(block)

    def _wrong(self, shape: str) -> RegistryError:
        return RegistryError(f"{self._where}: the source has {shape} than the {self.size} bytes that were promised.")


class BlobBody:
    """Bytes `start` to `end` (not included) as the file-like body of a request.

    A body that reaches the end of the blob makes the source tell whether it was whole. failure: what the source raised.
    fill_up: fill the body up then, so that the request ends and is answered. Only the answer to a chunk tells where the
    session is that has to be cancelled; docker-registry 2.8 never finds it again when a chunk breaks off.
    """

    def __init__(self, reader: BlobReader, start: int, end: int, fill_up: bool = False) -> None:
        self.len = end - start
        self.failure: Optional[Exception] = None
        self._reader = reader
        self._left = self.len
        self._is_last = end == reader.size
        self._patience = FILLING_SECONDS if fill_up else 0.0
        self._filled_until = 0.0
        reader.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(BLOCK_SIZE), b"")

    def read(self, count: int = BLOCK_SIZE) -> bytes:
        """The next bytes, at most `count`; empty at the end. Raises `failure`, also when filling up takes too long."""
        count = count if 0 <= count < self._left else self._left
        if self.failure is not None or not (count or self._is_last):
            return self._filler(count)
        try:
            block = self._reader.read(max(count, 1))
        except Exception as error:
            self.failure = error
            self._filled_until = time.monotonic() + self._patience
            return self._filler(count)
        self._count(block)
        return block

    def _filler(self, count: int) -> bytes:
        if self.failure is not None and count and time.monotonic() >= self._filled_until:
            raise self.failure
        block = bytes(min(count, BLOCK_SIZE))
        self._count(block)
        return block

    def _count(self, block: bytes) -> None:
        self._left -= len(block)
        self._reader.on_bytes(len(block))
