# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing one blob to a repository with as few requests as the registry allows.

Follows the OCI distribution specification 1.1, "Pushing a blob monolithically" and "Mounting a blob from another
repository". A mount of a repository from itself tells in one request whether the blob is there (201) or opens the
session that the upload needs (202); whether a registry does so is found out with its first blobs. A big blob goes in
chunks ("Pushing a blob in chunks"), so that one that breaks is continued where it broke.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Optional, Sequence
from urllib.parse import urlencode

from ..model.content_source import OpenSource, once_more_if_damaged
from ..model.errors import OcmError, RateLimited, RegistryError, Unreachable
from .blob_body import BlobBody, BlobReader
from .challenge import Access
from .chunked_upload import ChunkedUpload
from .connection import Call, RegistryConnection
from .failures import Place
from .retry import TryAgain
from .transport import Answer
from .upload_session import ChunksRefused, SessionLost, UploadSession, earlier_session, opened_session

_PUSH = ("pull", "push")
_MOUNT_REFUSED = (400, 403, 404, 405, 412, 422, 501)
PRESENT, MOUNTED, COPIED = "present", "mounted", "copied"


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
        self._operation = f"write the blob {digest}"
        self._reader = BlobReader(open_source, size, f"Blob {digest}", connection.add_bytes)

    def run(self, mount_from: Sequence[str], absent: bool = False) -> str:
        """Returns "present", "mounted" or "copied". Raises the errors of RegistryConnection and of the source.

        absent: it is believed not to be there. Whether it is, is then told only where that costs no request.
        """
        try:
            return self._go_on(mount_from) or self._bring(mount_from, absent)
        finally:
            self._reader.close()

    def _go_on(self, mount_from: Sequence[str]) -> str:
        """With the session of a run that was killed; "" when there is none, or it leads nowhere."""
        connection = self._connection
        upload = connection.journal.take(connection.host, self._path, self._digest, self._size)
        session = earlier_session(connection, upload) if upload else None
        if session is None:
            return ""
        try:
            with session.cancelled_on_failure():
                found = PRESENT if self.exists() else MOUNTED if self._mount_any(mount_from) else ""
                if not found:
                    connection.retrying(session.ask)
                    ChunkedUpload(session, self._reader, connection, self.exists).run()
                    return COPIED
            session.cancel()
            return found
        except (ChunksRefused, SessionLost):
            return ""

    def _mount_any(self, mount_from: Sequence[str]) -> bool:
        return any(self._mount(source) for source in mount_from if source != self._path)

    def _bring(self, mount_from: Sequence[str], absent: bool) -> str:
        if self._mount_any(mount_from):
            return MOUNTED
        mounts = self._connection.mounts
        if mounts.own is False:
            return PRESENT if not absent and self.exists() else self._copy(None)
        asked_own = mounts.own
        answer = self._post(self._path)
        if answer.status == 201:
            mounts.learn(True)
            return PRESENT
        session = self._session(answer) if answer.status == 202 else None
        if session and (asked_own or absent):
            return self._copy(session)
        return self._copy_and_learn(session)

    def _copy_and_learn(self, session: Optional[UploadSession]) -> str:
        """The host did not answer 201, and it is not known yet whether it ever does."""
        mounts = self._connection.mounts
        if not session:
            mounts.learn(False)
        with session.cancelled_on_failure() if session else nullcontext():
            present = self.exists()
        if not present:
            self._copy(session)
        elif session:  # another worker may have brought it since, so this alone proves nothing
            session.cancel()
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
                self._session(answer).cancel()
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
            self._session(answer).cancel()
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

    def _session(self, answer: Answer) -> UploadSession:
        return opened_session(self._connection, self._place, self._digest, answer)

    def _copy(self, session: Optional[UploadSession]) -> str:
        """Upload into the session (None: open one). A failed try gets a new one, unless the blob arrived after all.

        A source whose content was damaged is opened once more.
        """
        waiting, failed = [session] if session else [], False

        def attempt() -> str:
            nonlocal failed
            if failed and self.exists():
                return COPIED
            try:
                self._send(waiting.pop() if waiting else self._session(self._post("")))
            except SessionLost as lost:
                failed = True
                raise TryAgain(lost.error) from None
            except Exception:
                failed = True
                raise
            return COPIED

        return once_more_if_damaged(lambda: self._connection.retrying(attempt))

    def _send(self, session: UploadSession) -> None:
        """The whole content. A host that turns out to take no chunks gets it in one piece, also all that follow."""
        chunks = self._connection.chunks
        if chunks.worth_trying(self._size):
            try:
                with session.cancelled_on_failure():
                    session.keep(self._size)
                    ChunkedUpload(session, self._reader, self._connection, self.exists).run()
                return
            except ChunksRefused:
                chunks.refuse()
                session = self._session(self._post(""))
        with session.cancelled_on_failure():
            session.put((lambda: BlobBody(self._reader, 0, self._size)) if self._size else None)

    @property
    def _place(self) -> Place:
        return Place(self._connection.host, self._path, self._operation)
