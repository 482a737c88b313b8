# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One upload session at a registry: where it is, how far it is, how it ends.

Follows the OCI distribution specification 1.1, "Pushing blobs": every answer may give the session another Location.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlencode

from ..model.errors import OcmError, RegistryError
from .blob_body import BlobBody
from .challenge import Access
from .connection import Call, RegistryConnection
from .failures import Place
from .journal import OpenUpload
from .retry import TryAgain
from .transport import Answer, is_plain_url, join

_RANGE = re.compile(r"\A(?:bytes[ =])?0-(\d{1,18})\Z")
# Answers to a chunk from a registry, or something in front of it, that takes none, or none of this size or place.
_CHUNK_REFUSED = (400, 403, 404, 405, 411, 413, 415, 416, 422, 501)
_NOT_TOLD = (400, 403, 404, 405, 410, 416, 501)
_OCTETS = {"Content-Type": "application/octet-stream"}
# A registry that is still writing what it got before a break gives the session yet another Location.
_CANCEL_TRIES = 3


class SessionLost(Exception):
    """The session is not there any more, or cannot be continued: another one is needed. error: for the user."""

    def __init__(self, place: Place, status: int = 0, error: Optional[RegistryError] = None) -> None:
        super().__init__(place.operation)
        told = place.tell("the registry lost the upload.")
        self.error = error or RegistryError(told, "Run it again.", status)


class ChunksRefused(Exception):
    """The registry takes no chunks here."""


class UploadSession:
    """A session at `location`, an absolute URL. opened_session and earlier_session make one.

    offset: bytes that the registry has, as far as is known. Raises, where nothing else is said, what
    RegistryConnection raises, and TryAgain. A secret may stand in the query of the Location: it is never told.
    """

    def __init__(self, connection: RegistryConnection, place: Place, digest: str, location: str) -> None:
        self.offset = 0
        self.least_chunk = 0
        self.place = place
        self._connection = connection
        self._digest = digest
        self._location = location
        self._kept_size = -1

    def keep(self, size: int) -> None:
        """From now on the journal knows where the session is. size: bytes of the blob."""
        self._kept_size = size
        self._note()

    def put(self, make_body: Optional[Callable[[], BlobBody]] = None) -> None:
        """Close the session with its digest; a body is the rest of the content. Raises SessionLost."""
        mark = "&" if "?" in self._location else "?"
        url = f"{self._location}{mark}{urlencode({'digest': self._digest}, safe=':')}"
        answer = self._send("PUT", url, (200, 201, 204, 404, 416), _OCTETS, make_body)
        if answer.status in (404, 416):
            raise SessionLost(self.place, answer.status)
        stored = answer.headers.get("Docker-Content-Digest") or self._digest
        if stored != self._digest:
            algorithm = self._digest.partition(":")[0]
            hint = "" if stored.startswith(f"{algorithm}:") else f"This registry keeps no {algorithm} blobs."
            raise RegistryError(self.place.tell(f"the registry stored {stored} instead."), hint, answer.status)
        self._forget()

    def patch(self, end: int, make_body: Callable[[], BlobBody]) -> None:
        """Send the bytes from `offset` to `end` (not included). Raises ChunksRefused."""
        headers = dict(_OCTETS, **{"Content-Range": f"{self.offset}-{end - 1}"})
        answer = self._send("PATCH", self._location, (200, 201, 202, 204, *_CHUNK_REFUSED), headers, make_body)
        if answer.status in _CHUNK_REFUSED:
            raise ChunksRefused
        self.offset = end
        self._note()

    def ask(self) -> None:
        """Find out the offset that the registry has. Raises SessionLost when it does not tell."""
        answer = self._send("GET", self._location, (200, 202, 204, *_NOT_TOLD))
        found = _RANGE.match(answer.headers.get("Range") or "")
        if answer.status in _NOT_TOLD or not found:
            raise SessionLost(self.place, answer.status)
        last = int(found.group(1))
        self.offset = last + 1 if last else 0  # an empty session is told as 0-0
        self._note()

    def cancel(self) -> None:
        """Best effort: what is not cancelled the registry purges in time, or the next run finds it in the journal."""
        try:
            for attempt in range(_CANCEL_TRIES):
                if self._delete().status != 416:
                    break
                if attempt:
                    self._connection.wait_before(attempt)
                self.ask()
        except TryAgain:
            return
        except OcmError as error:
            if not getattr(error, "status", 0):
                return
        except SessionLost:
            pass
        self._forget()

    @contextmanager
    def cancelled_on_failure(self) -> Iterator[None]:
        """Cancel the session when what is done with it fails, or is interrupted."""
        try:
            yield
        except BaseException:
            self.cancel()
            raise

    def _delete(self) -> Answer:
        access = Access(self.place.repository, ("delete",))
        call = Call("DELETE", self._location, "cancel an upload", access, (200, 202, 204, 404, 416))
        return self._connection.attempt(call)

    def _send(
        self,
        method: str,
        url: str,
        accepted: Tuple[int, ...],
        headers: Optional[Dict[str, str]] = None,
        make_body: Optional[Callable[[], BlobBody]] = None,
    ) -> Answer:
        """Raises what the source of the body raised, whatever the registry made of the request."""
        sent: List[BlobBody] = []

        def body() -> BlobBody:
            sent[:] = [make_body()]
            return sent[0]

        access = Access(self.place.repository, ("pull", "push"))
        call = Call(method, url, self.place.operation, access, accepted, headers or {}, body if make_body else None)
        try:
            answer = self._connection.attempt(call)
            if method != "PUT" and answer.status < 300:
                self._follow(answer)  # that of a PUT is the blob
        finally:
            failure = sent[0].failure if sent else None
            if failure is not None:
                raise failure
        return answer

    def _follow(self, answer: Answer) -> None:
        location = answer.headers.get("Location") or ""
        if location:
            self._location = join(answer.url, location, self.place)

    def _note(self) -> None:
        if self._kept_size >= 0 and self._connection.is_own(self._location):
            where = (self._connection.host, self.place.repository, self._digest)
            self._connection.journal.keep(OpenUpload(*where, self._kept_size, self._location, self.offset))

    def _forget(self) -> None:
        if self._kept_size >= 0:
            self._connection.journal.forget(self._connection.host, self.place.repository, self._digest)


def opened_session(connection: RegistryConnection, place: Place, digest: str, answer: Answer) -> UploadSession:
    """The session that an answer opened. Raises RegistryError when it does not tell where."""
    location = answer.headers.get("Location") or ""
    if not location:
        raise RegistryError(place.tell("the registry opened an upload without a Location."), "", answer.status)
    session = UploadSession(connection, place, digest, join(answer.url, location, place))
    session.least_chunk = _number(answer.headers.get("OCI-Chunk-Min-Length"))
    return session


def earlier_session(connection: RegistryConnection, upload: OpenUpload) -> Optional[UploadSession]:
    """The session of an upload in the journal, None when it is not at the registry's own address."""
    if not is_plain_url(upload.location) or not connection.is_own(upload.location):
        return None
    place = Place(connection.host, upload.repository, f"write the blob {upload.digest}")
    session = UploadSession(connection, place, upload.digest, upload.location)
    session.keep(upload.size)
    return session


def _number(text: Optional[str]) -> int:
    return int(text[:18]) if text and text.isascii() and text.isdigit() else 0
