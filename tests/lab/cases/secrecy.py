# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where secrets must not show: in texts, in files that stay, in the arguments of processes."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

_INTERVAL = 0.04
_LOOKS = 25  # a process becomes another program soon after it has begun, or not at all


class Secrets:
    """The secrets that the cases use, and every form in which one of them could be written."""

    def __init__(self, *secrets: str) -> None:
        self._spellings: set[bytes] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """One more. It has to be long: a short one may be found by accident."""
        if len(secret) < 12:
            raise ValueError("this is too short to be looked for")
        self._spellings.update(_spellings(secret))

    def found_in(self, content: bytes) -> bool:
        return any(spelling in content for spelling in self._spellings)

    def files_with(self, folder: Path) -> list[str]:
        """The files below the folder that hold one."""
        files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        return sorted(str(file.relative_to(folder)) for file in files if self.found_in(file.read_bytes()))


def _spellings(secret: str) -> Iterable[bytes]:
    yield secret.encode()
    yield quote(secret, safe="").encode()
    # Inside of a longer text that is encoded as a whole it looks different at each of three places.
    for before in range(3):
        encoded = base64.b64encode(b"-" * before + secret.encode())
        yield encoded[4 if before else 0 : -4]


class Arguments:
    """Watches the arguments of all processes of this world, as anybody on the machine could."""

    def __init__(self, secrets: Secrets) -> None:
        self.found: set[str] = set()
        self.looks: dict[str, int] = {}
        self._secrets = secrets
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Arguments":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_INTERVAL):
            for name in filter(str.isdigit, os.listdir("/proc")):
                self.looks[name] = self.looks.get(name, 0) + 1
                if self.looks[name] <= _LOOKS:
                    self._look(name)

    def _look(self, name: str) -> None:
        try:
            command = Path("/proc", name, "cmdline").read_bytes()
        except OSError:  # it has ended
            return
        if self._secrets.found_in(command):
            self.found.add(command.split(b"\0")[0].decode(errors="replace"))
