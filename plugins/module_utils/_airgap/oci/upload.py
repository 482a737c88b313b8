# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing one blob to a repository with as few requests as the registry allows.

Follows the OCI distribution specification 1.1, "Pushing a blob monolithically" and "Mounting a blob from another
repository". A mount of a repository from itself tells in one request whether the blob is there (201) or opens the
session that the upload needs (202); whether a registry does so is found out with its first blobs.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Callable, Iterator, Optional, Sequence
from urllib.parse import urlencode

from ..model.content_source import OpenSource, once_more_if_damaged
from ..model.errors import OcmError, RateLimited, RegistryError, Unreachable
from .challenge import Access
from .connection import Call, RegistryConnection
from .failures import Place
from .retry import TryAgain
from .session import BLOCK_SIZE
from .transport import Answer, join

_PUSH = ("pull", "push")
_MOUNT_REFUSED = (400, 403, 404, 405, 412, 422, 501)
PRESENT, MOUNTED, COPIED = "present", "mounted", "copied"


class BlobBody:
    """Blocks of a source as the file-like body of a request; exactly `size` bytes. failure: what the source raised."""

    def __init__(self, open_source: OpenSource, size: int, where: str, on_bytes: Callable[[int], None]) -> None:
        self.len = size
        self.failure: Optional[Exception] = None
        self._left = size
        self._rest = b""
        self._where = where
        self._on_bytes = on_bytes
        self._stack = ExitStack()
        self._blocks = iter(self._stack.enter_context(open_source()))

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(BLOCK_SIZE), b"")

    def read(self, count: int = BLOCK_SIZE) -> bytes:
        """The next bytes, at most `count`; empty at the end."""
        try:
            block = self._rest or self._next()
        except Exception as error:
            self.failure = error
            raise
        block, self._rest = (block, b"") if count < 0 else (block[:count], block[count:])
        self._on_bytes(len(block))
        return block

    def _next(self) -> bytes:
        block = next((block for block in self._blocks if block), b"")
        self._left -= len(block)
        if self._left < 0 or (self._left and not block):
            shape = "more" if self._left < 0 else f"{self._left} bytes less"
            raise RegistryError(f"{self._where}: the source has {shape} than the {self.len} bytes that were promised.")
        return bytes(block)

    def close(self) -> None:
        self._stack.close()


class BlobUpload:
    """One blob on its way to one repository. `run` does it; sessions that are given up are cancelled."""

    def __init__(
        self, connection: RegistryConnection, path: str, digest: str, size: int, open_source: OpenSource
    ) -> None:
        self._connection = connection
        self._container = connection.get_container(path)
        self._path = path
        self._digest = digest
        self._size = size
        self._open_source = open_source
        self._operation = f"write the blob {digest}"

    def run(self, mount_from: Sequence[str]) -> str:
        """Returns "present", "mounted" or "copied". Raises the errors of RegistryConnection and of the source."""
        if any(self._mount(source) for source in mount_from if source != self._path):
            return MOUNTED
        mounts = self._connection.mounts
        if mounts.own is False:
            return PRESENT if self.exists() else self._copy("")
        asked_own = mounts.own
        answer = self._post(self._path)
        if answer.status == 201:
            mounts.learn(True)
            return PRESENT
        session = self._session(answer) if answer.status == 202 else ""
        if asked_own and session:
            return self._copy(session)
        return self._copy_and_learn(session)

    def _copy_and_learn(self, session: str) -> str:
        """The host did not answer 201, and it is not known yet whether it ever does."""
        mounts = self._connection.mounts
        if not session:
            mounts.learn(False)
        try:
            present = self.exists()
        except Exception:
            self._cancel(session)
            raise
        if present:  # another worker may have brought it since, so this alone proves nothing
            self._cancel(session)
        else:
            self._copy(session)
        if mounts.claim_probe():
            mounts.learn(self._probe())
        return PRESENT if present else COPIED

    def exists(self) -> bool:
        """One HEAD."""
        call = Call(
            "HEAD",
            self._container.get_blob_url(self._digest),
            f"look for the blob {self._digest}",
            Access(self._path, _PUSH),
            (200, 404),
        )
        return self._connection.send(call).status == 200

    def _probe(self) -> Optional[bool]:
        """Ask for the blob that was just written: does a mount from itself find it?"""
        try:
            answer = self._post(self._path)
            if answer.status == 202:
                self._cancel(self._session(answer))
            return answer.status == 201
        except OcmError:
            return None

    def _mount(self, source: str) -> bool:
        """True if the blob is now here. A source that the registry keeps refusing is not asked for again."""
        mounts = self._connection.mounts
        if not mounts.worth_trying(source):
            return False
        try:
            answer = self._post(source)
        except (RateLimited, Unreachable):
            raise
        except RegistryError:
            mounts.refuse(source, True)
            return False
        if answer.status == 201:
            return True
        mounts.refuse(source, answer.status != 202)
        if answer.status == 202:
            self._cancel(self._session(answer))
        return False

    def _post(self, mount_from: str) -> Answer:
        """Ask for a mount, or with "" for a session. 201: mounted, 202: session, others only for mounts: refused."""
        query = f"?{urlencode({'mount': self._digest, 'from': mount_from}, safe=':/')}" if mount_from else ""
        foreign = mount_from not in ("", self._path)
        operation = f"mount the blob {self._digest} from {mount_from}" if foreign else self._operation
        accepted = (201, 202) + (_MOUNT_REFUSED if mount_from else ())
        if mount_from == self._path:
            accepted = tuple(status for status in accepted if status != 403)
        url = self._container.upload_blob_url() + query
        return self._connection.send(Call("POST", url, operation, Access(self._path, _PUSH, mount_from), accepted))

    def _session(self, answer: Answer) -> str:
        """The absolute URL of the session that an answer opened."""
        location = answer.headers.get("Location") or ""
        if not location:
            raise RegistryError(
                self._place.tell("the registry opened an upload without a Location."), "", answer.status
            )
        return join(answer.url, location, self._place)

    def _copy(self, session: str) -> str:
        """Upload into the session ("": open one). A failed try gets a new one, unless the blob arrived after all.

        A source whose content was damaged is opened once more.
        """
        waiting, failed = [session] if session else [], False

        def attempt() -> str:
            nonlocal failed
            if failed and self.exists():
                return COPIED
            current = waiting.pop() if waiting else self._session(self._post(""))
            try:
                self._put(current)
            except Exception:
                failed = True
                self._cancel(current)
                raise
            return COPIED

        return once_more_if_damaged(lambda: self._connection.retrying(attempt))

    def _put(self, session: str) -> None:
        mark = "&" if "?" in session else "?"
        call = Call(
            "PUT",
            f"{session}{mark}{urlencode({'digest': self._digest}, safe=':')}",
            self._operation,
            Access(self._path, _PUSH),
            (200, 201, 204, 404),
            {"Content-Type": "application/octet-stream"},
            self._body,
        )
        answer = self._connection.attempt(call)
        if answer.status == 404:
            raise TryAgain(RegistryError(self._place.tell("the registry lost the upload."), "Run it again.", 404))
        stored = answer.headers.get("Docker-Content-Digest") or self._digest
        if stored != self._digest:
            algorithm = self._digest.partition(":")[0]
            hint = "" if stored.startswith(f"{algorithm}:") else f"This registry keeps no {algorithm} blobs."
            raise RegistryError(self._place.tell(f"the registry stored {stored} instead."), hint, answer.status)

    def _body(self) -> object:
        if not self._size:
            return b""
        return BlobBody(self._open_source, self._size, f"Blob {self._digest}", self._connection.add_bytes)

    def _cancel(self, session: str) -> None:
        """Best effort: what is not cancelled the registry purges in time."""
        if not session:
            return
        access = Access(self._path, ("delete",))
        try:
            self._connection.attempt(Call("DELETE", session, "cancel an upload", access, (200, 202, 204, 404)))
        except (OcmError, TryAgain):
            return

    @property
    def _place(self) -> Place:
        return Place(self._connection.host, self._path, self._operation)
