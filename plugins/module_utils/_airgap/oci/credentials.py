# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which credentials a repository gets: entries of `registries` first, then one auth file."""

from __future__ import annotations

import os
import threading
from typing import Callable, Mapping, Optional, Set

from ..model.reference import canonical_host
from .authfile import AuthFile, Credentials, RunProgram, find_auth_file
from .settings import ConnectionOptions, RegistrySettings

ANONYMOUS = Credentials()


class Secrets:
    """Every secret that was read: told once to `on_secret`, and struck out of texts that become messages."""

    def __init__(self, on_secret: Callable[[str], None]) -> None:
        self._on_secret = on_secret
        self._known: Set[str] = set()
        self._lock = threading.Lock()

    def add(self, *texts: str) -> None:
        with self._lock:
            for text in texts:
                if text and text not in self._known:
                    self._known.add(text)
                    self._on_secret(text)

    def strike(self, text: str) -> str:
        """The text with every known secret replaced by ***."""
        with self._lock:
            known = sorted(self._known, key=len, reverse=True)
        for secret in known:
            text = text.replace(secret, "***")
        return text


class CredentialStore:
    """Looks credentials up; reads the auth file when it is first needed. Safe for several threads."""

    def __init__(
        self,
        options: ConnectionOptions,
        secrets: Secrets,
        environment: Optional[Mapping[str, str]] = None,
        run_program: Optional[RunProgram] = None,
    ) -> None:
        self._options = options
        self._secrets = secrets
        self._run_program = run_program
        self._environment = os.environ if environment is None else environment
        self._file: Optional[AuthFile] = None
        self._file_read = False
        self._lock = threading.Lock()
        for entry in options.registries:
            self._secrets.add(*of_entry(entry).secrets)

    def find(self, host: str, path: str) -> Credentials:
        """Credentials for a repository. An entry of `registries` decides, also one without credentials (anonymous).

        Raises InvalidInput (auth file missing or broken) and AuthError (credential helper failed).
        """
        host = canonical_host(host)
        entry = self._options.entry_for(host, path)
        if entry:
            return of_entry(entry)
        auth_file = self._auth_file()
        found = (auth_file.find(host, path) if auth_file else None) or ANONYMOUS
        self._secrets.add(*found.secrets)
        return found

    def _auth_file(self) -> Optional[AuthFile]:
        with self._lock:
            if not self._file_read:
                named = os.path.expanduser(self._options.auth_file)
                path = named or find_auth_file(self._environment)
                self._file = AuthFile(path, self._run_program) if path else None
                self._file_read = True
            return self._file


def of_entry(entry: RegistrySettings) -> Credentials:
    """The credentials that an entry of `registries` holds itself."""
    origin = f"the entry {entry.name} of registries"
    return Credentials(entry.username, entry.password, registry_token=entry.token, origin=origin)
