# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of uploads: which sessions were open at registries when a run was killed, for the next run to go on.

One small JSON file, `{"kind": ..., "uploads": [{host, repository, digest, size, location, offset}, ...]}`, replaced
whole with every change and gone when no upload is left. The Location of a session may hold what a registry signed, so
the file is for its owner alone, and nothing of it is told. No login is in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ..model.digest import is_digest

KIND = "ocm.airgap.uploads/v1"
MAX_SIZE = 4 * 1024 * 1024
LOCK_SECONDS = 5.0
Key = Tuple[str, str, str]


class Unusable(Exception):
    """Why a file is no journal of ours."""


@dataclass(frozen=True)
class OpenUpload:
    """One session. size: bytes of the blob; offset: bytes that the registry had when this was written."""

    host: str
    repository: str
    digest: str
    size: int
    location: str
    offset: int = 0

    @property
    def key(self) -> Key:
        return self.host, self.repository, self.digest

    @classmethod
    def from_mapping(cls, value: Any) -> "OpenUpload":
        """Raises Unusable."""
        if not isinstance(value, dict) or set(value) != {entry.name for entry in fields(cls)}:
            raise Unusable("it has entries of another form")
        found = cls(**value)
        texts = (found.host, found.repository, found.digest, found.location)
        numbers = (found.size, found.offset)
        if not all(isinstance(text, str) and text for text in texts) or not is_digest(found.digest):
            raise Unusable("it has entries of another form")
        if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
            raise Unusable("it has entries of another form")
        return found


class UploadJournal:
    """The uploads that earlier runs left, and those of this run. Safe for several threads, and several runs at once.

    path: the file, "" for a journal that remembers nothing. on_warning is told, once, why the file cannot be used;
    uploads then go on without it, and it stays as it is.
    """

    def __init__(self, path: str = "", on_warning: Callable[[str], None] = lambda text: None) -> None:
        self._path = os.path.abspath(path) if path else ""
        self._on_warning = on_warning
        self._lock = threading.Lock()
        self._earlier: Dict[Key, OpenUpload] = {}
        if self._path:
            self._earlier = self._guarded(self._read) or {}

    def take(self, host: str, repository: str, digest: str, size: int) -> Optional[OpenUpload]:
        """What an earlier run left of this blob there, once."""
        with self._lock:
            found = self._earlier.get((host, repository, digest))
            return self._earlier.pop(found.key) if found and found.size == size else None

    def take_all(self) -> List[OpenUpload]:
        """What earlier runs left and nobody took."""
        with self._lock:
            left, self._earlier = list(self._earlier.values()), {}
        return left

    def keep(self, upload: OpenUpload) -> None:
        """Write an upload down, in place of what is known of it."""
        self._change(lambda uploads: uploads.update({upload.key: upload}))

    def forget(self, host: str, repository: str, digest: str) -> None:
        """Strike an upload out."""
        self._change(lambda uploads: uploads.pop((host, repository, digest), None))

    def _change(self, change: Callable[[Dict[Key, OpenUpload]], Any]) -> None:
        def rewrite() -> None:
            with _locked(os.path.dirname(self._path)):
                before = self._read()
                after = dict(before)
                change(after)
                if after != before:
                    self._write(after)

        with self._lock:
            if self._path:
                self._guarded(rewrite)

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """Run it; when the file cannot be used, say so and never try again."""
        try:
            return action()
        except Unusable as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or type(error).__name__
        hint = "An upload that is interrupted begins anew."
        self._on_warning(f"The journal {self._path} cannot be used ({reason}). {hint}")
        self._path = ""
        return None

    def _read(self) -> Dict[Key, OpenUpload]:
        """Raises Unusable, OSError."""
        try:
            number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return {}
        with open(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise Unusable("it is not a file that only this user can write")
            content = file.read(MAX_SIZE + 1)
        uploads = [OpenUpload.from_mapping(value) for value in _parse(content)]
        return {upload.key: upload for upload in uploads}

    def _write(self, uploads: Dict[Key, OpenUpload]) -> None:
        if not uploads:
            os.unlink(self._path)
            return
        content = {"kind": KIND, "uploads": [asdict(uploads[key]) for key in sorted(uploads)]}
        folder, name = os.path.split(self._path)
        number, unfinished = tempfile.mkstemp(prefix=f".{name.lstrip('.')}-", dir=folder)
        try:
            with open(number, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.flush()
                os.fsync(number)
            os.replace(unfinished, self._path)
        except BaseException:
            os.unlink(unfinished)
            raise


def _parse(content: bytes) -> List[Any]:
    """The entries of a journal's text. Raises Unusable."""
    if not content:
        return []
    try:
        found = json.loads(content.decode("utf-8")) if len(content) <= MAX_SIZE else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("kind") != KIND or not isinstance(found.get("uploads"), list):
        raise Unusable("it is not a journal of uploads")
    return found["uploads"]


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """One run at a time changes a journal in this folder. Raises Unusable when somebody holds it for long."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while not _try_lock(number):
            if time.monotonic() > until:
                raise Unusable("another process has locked its folder")
            time.sleep(0.02)
        yield
    finally:
        os.close(number)


def _try_lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
