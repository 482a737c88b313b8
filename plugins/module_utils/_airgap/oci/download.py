# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a blob from a registry, continued with Range requests when the connection breaks (RFC 9110 section 14)."""

from __future__ import annotations

import re
from typing import Iterator, Optional

from ..model.errors import DigestMismatch, RegistryError
from .connection import Call, RegistryConnection
from .failures import Place
from .session import BLOCK_SIZE
from .transport import Answer, BodyBroken

_CONTENT_RANGE = re.compile(r"\Abytes (\d+)-\d+/(?:\d+|\*)\Z")


class BlobDownload:
    """One blob on its way. `open` first, then `blocks`, `close` in any case.

    size: bytes as promised by whoever wants the blob, -1 when unknown.
    """

    def __init__(self, connection: RegistryConnection, call: Call, size: int) -> None:
        self._connection = connection
        self._call = call
        self._size = size
        self._answer: Optional[Answer] = None
        self._position = 0
        self._known = 0

    def open(self) -> None:
        """Raises the errors of RegistryConnection, DigestMismatch when the registry announces another size."""
        self._answer = self._connection.send(self._call)
        length = self._answer.length
        if 0 <= self._size != length and length >= 0:
            self.close()
            raise DigestMismatch(
                self._place.tell(f"it has {length} bytes at the registry, {self._size} were promised.")
            )

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks of at most 1 MiB, across broken connections. Raises RegistryError, Unreachable."""
        tries, progress = 0, 0
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
                self._continue(tries)

    def _rest(self) -> Iterator[bytes]:
        for block in self._connection.blocks(self._answer, self._call):
            known = min(self._known, len(block))
            self._known -= known
            block = block[known:] if known else block
            self._position += len(block)
            if block:
                yield block

    def _continue(self, tries: int) -> None:
        """Ask for what is missing; a registry that ignores Range sends all again, and what is known is skipped."""
        self._connection.wait_before(tries)
        headers = dict(self._call.headers)
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        call = Call("GET", self._call.url, self._call.operation, self._call.access, (200, 206), headers, stream=True)
        self._answer = self._connection.send(call)
        if self._answer.status == 206:
            found = _CONTENT_RANGE.match(self._answer.headers.get("Content-Range") or "")
            if not found or int(found.group(1)) != self._position:
                self.close()
                raise RegistryError(self._place.tell("the registry continues the blob at a wrong place."), status=206)
        self._known = self._position if self._answer.status == 200 else 0

    @property
    def _place(self) -> Place:
        return Place(self._connection.host, self._call.access.repository, self._call.operation)
