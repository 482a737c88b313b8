# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A big blob in chunks: what breaks is continued at the offset that the registry has."""

from __future__ import annotations

from typing import Callable

from ..model.errors import RegistryError
from .blob_body import BlobBody, BlobReader
from .connection import RegistryConnection
from .retry import TryAgain
from .session import BLOCK_SIZE
from .upload_session import ChunksRefused, SessionLost, UploadSession


class ChunkedUpload:
    """One blob on its way into one session. arrived: asks whether the registry has the blob."""

    def __init__(
        self, session: UploadSession, reader: BlobReader, connection: RegistryConnection, arrived: Callable[[], bool]
    ) -> None:
        self._session = session
        self._reader = reader
        self._connection = connection
        self._arrived = arrived
        self._chunk = max(connection.chunks.size, session.least_chunk)
        self._unsure, self._done = False, False
        self._settled = session.offset

    def run(self) -> None:
        """Raises ChunksRefused, SessionLost, and what RegistryConnection and the source raise."""
        while not self._done:
            self._connection.retrying(self._step)

    def _step(self) -> None:
        """One chunk, or the end. After a break: where it stands; what has come on since starts with all its retries."""
        if self._unsure and self._came_on():
            return
        self._unsure = True
        if self._session.offset < self._reader.size:
            self._patch(self._session.offset, min(self._session.offset + self._chunk, self._reader.size))
        else:
            self._finish()
            self._done = True
        self._settled = self._session.offset
        self._unsure = False

    def _finish(self) -> None:
        """What the registry has put together may be wrong although every part was right: then begin anew."""
        try:
            self._session.put()
        except RegistryError as error:
            if error.code != "DIGEST_INVALID":
                raise
            raise SessionLost(self._session.place, error.status, error) from None

    def _came_on(self) -> bool:
        if self._session.offset >= self._reader.size and self._arrived():
            self._done = True
            return True
        self._session.ask()
        if not self._settled <= self._session.offset <= self._reader.size:
            raise SessionLost(self._session.place)
        if self._session.offset - self._settled < BLOCK_SIZE:
            return False
        self._settled, self._unsure = self._session.offset, False
        return True

    def _patch(self, start: int, end: int) -> None:
        try:
            self._session.patch(end, lambda: BlobBody(self._reader, start, end, fill_up=True))
        except ChunksRefused as refused:
            self._find_out(refused)
        else:
            self._connection.chunks.accepted = True

    def _find_out(self, refused: ChunksRefused) -> None:
        """Why a chunk was refused: the registry has another offset, has lost the session, or takes no chunks.

        It may have more by now than it told: what arrived before a break was still on its way to the disk.
        """
        expected = self._session.offset
        try:
            self._session.ask()
        except SessionLost:
            if self._connection.chunks.accepted:
                raise
            raise refused from None
        if self._session.offset == expected:
            raise refused
        if expected < self._session.offset <= self._reader.size:
            return
        reason = f"the registry has {self._session.offset} bytes of it, {expected} were sent."
        raise TryAgain(RegistryError(self._session.place.tell(reason), "Run it again.", 416))
