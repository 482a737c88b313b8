# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auth files of Docker (config.json) and Podman (containers-auth.json), and their credential helpers.

Follows containers-auth.json(5) for keys with paths, and Docker's credential helper protocol for helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..model.errors import AuthError, InvalidContent, InvalidInput
from ..model.manifest import parse_json
from ..model.reference import DOCKER_HUB, canonical_host
from .settings import is_prefix

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
MAX_AUTH_FILE = 4 * 1024 * 1024
HELPER_SECONDS = 60.0
_HELPER = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found"
_TIMED_OUT = 124

# Runs a program: (command and arguments, standard input) -> (exit code, output, error output). Raises OSError.
RunProgram = Callable[[List[str], str], Tuple[int, str, str]]


@dataclass(frozen=True)
class Credentials:
    """What proves who we are; all empty is anonymous. origin: where it was found, for messages."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = field(default="", compare=False)

    @property
    def anonymous(self) -> bool:
        return not (self.password or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        text = f"{self.username}:{self.password}".encode("utf-8")
        return "Basic " + base64.b64encode(text).decode("ascii")

    @property
    def secrets(self) -> Tuple[str, ...]:
        basic = self.basic.partition(" ")[2] if self.password else ""
        return tuple(text for text in (self.password, self.identity_token, self.registry_token, basic) if text)


def read_entry(entry: Any, where: str) -> Credentials:
    """An entry of `auths`, all that it states; user and password in `auth` come before the keys of their own.

    Raises InvalidInput that begins with `where` for what is no mapping, and for an `auth` that cannot be read.
    """
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where} is not a mapping.")
    username, password, identity, token = (
        str(entry.get(key) or "") for key in ("username", "password", "identitytoken", "registrytoken")
    )
    if entry.get("auth"):
        username, password = _decoded(str(entry["auth"]), where)
    return Credentials(username, password, identity, token)


def _decoded(auth: str, where: str) -> Tuple[str, str]:
    try:
        # A kubelet reads it without padding as well.
        login = base64.b64decode(auth + "=" * (-len(auth) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        login = ""
    username, colon, password = login.partition(":")
    if not colon:
        raise InvalidInput(f"{where} has an auth that is not base64 of user:password.")
    return username, password.rstrip("\0")


def find_auth_file(environment: Mapping[str, str]) -> str:
    """The first default auth file that is there, or ""."""
    home, runtime = environment.get("HOME") or "", environment.get("XDG_RUNTIME_DIR") or ""
    docker_config = environment.get("DOCKER_CONFIG") or ""
    candidates = [
        environment.get("OCM_AIRGAP_AUTH_FILE") or "",
        environment.get("REGISTRY_AUTH_FILE") or "",
        os.path.join(docker_config, "config.json") if docker_config else "",
        os.path.join(home, ".docker", "config.json") if home else "",
        os.path.join(runtime, "containers", "auth.json") if runtime else "",
        os.path.join(home, ".config", "containers", "auth.json") if home else "",
    ]
    return next((path for path in candidates if path and os.path.isfile(path)), "")


class AuthFile:
    """One auth file. Raises InvalidInput that names the file when it cannot be read or understood."""

    def __init__(self, path: str, run_program: Optional[RunProgram] = None) -> None:
        self.path, self._run_program = path, run_program
        content = read_auth_file(path)
        self._auths = _mapping(content, "auths", path)
        self._helpers = _mapping(content, "credHelpers", path)
        self._store = content.get("credsStore") or ""
        self._asked: Dict[Tuple[str, str], Optional[Credentials]] = {}
        self._lock = threading.Lock()

    def find(self, host: str, path: str) -> Optional[Credentials]:
        """Credentials for a repository, None when the file has none. Raises InvalidInput, AuthError (helper)."""
        helper = _best(self._helpers, host, path)
        if helper:
            found = self._ask(str(self._helpers[helper]), host)
            if found:
                return found
        for key in _matching(self._auths, host, path):
            found = self._inline(key)
            if found:
                return found
        return self._ask(str(self._store), host) if self._store else None

    def _inline(self, key: str) -> Optional[Credentials]:
        where = f"Auth file {self.path}: the entry {key!r} of auths"
        found = replace(read_entry(self._auths[key] or {}, where), origin=f"the auth file {self.path}")
        if found.identity_token:
            found = replace(found, password="")
        return None if found.anonymous else found

    def _ask(self, helper: str, host: str) -> Optional[Credentials]:
        server = DOCKER_HUB_KEY if host == DOCKER_HUB else host
        with self._lock:
            if (helper, server) not in self._asked:
                self._asked[helper, server] = ask_helper(helper, server, self.path, self._run_program)
            return self._asked[helper, server]


def ask_helper(
    name: str, server: str, auth_file: str, run_program: Optional[RunProgram], seconds: float = HELPER_SECONDS
) -> Optional[Credentials]:
    """Run `docker-credential-NAME get`; None when it has nothing. Raises AuthError without any of its output."""
    program = f"docker-credential-{name}"
    where = f"Credential helper {program}, named by the auth file {auth_file}, for {server}"
    if not _HELPER.match(name):
        raise InvalidInput(f"Auth file {auth_file}: {name!r} is not the name of a credential helper.")
    hint = "An entry for the host in registries is used instead of the helper, without credentials anonymously."
    if run_program is None or shutil.which(program) is None:
        raise AuthError(f"{where}: it cannot be run, it is not in the search path.", hint)
    limit = ["timeout", f"{seconds:g}"] if shutil.which("timeout") else []
    try:
        code, output, errors = run_program(limit + [program, "get"], server)
    except OSError as error:
        raise AuthError(f"{where}: it cannot be run ({error.strerror}).", hint) from None
    if limit and code == _TIMED_OUT:
        raise AuthError(f"{where}: no answer within {seconds:g} seconds.", hint)
    if code:
        if _NOT_FOUND in (output + errors).lower():
            return None
        raise AuthError(f"{where}: it ended with the exit code {code}.", hint)
    return _read_helper_answer(output, f"the credential helper {program}", where, hint)


def _read_helper_answer(output: str, origin: str, where: str, hint: str) -> Optional[Credentials]:
    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        raise AuthError(f"{where}: its answer is not JSON with Username and Secret.", hint) from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise AuthError(f"{where}: its answer is not JSON with Username and Secret.", hint)
    if not secret:
        return None
    if username == "<token>":
        return Credentials(identity_token=secret, origin=origin)
    return Credentials(username, secret, origin=origin)


def split_key(key: str) -> Tuple[str, str]:
    """Canonical host and path of a key; URL-shaped keys (https://index.docker.io/v1/) stand for the whole host."""
    scheme, marker, rest = key.partition("://")
    host, _slash, path = (rest if marker else scheme).partition("/")
    path = path.strip("/")
    return canonical_host(host), "" if marker or path in ("v1", "v2") else path


def _matching(entries: Mapping[str, Any], host: str, path: str) -> List[str]:
    """The keys that fit, the longest path first; of two keys for one place the one without a scheme first."""
    fitting = []
    for key in entries:
        key_host, key_path = split_key(key)
        if key_host == host and is_prefix(key_path, path):
            fitting.append((-len(key_path), "://" in key, key))
    return [key for _length, _url, key in sorted(fitting)]


def _best(entries: Mapping[str, Any], host: str, path: str) -> str:
    return next(iter(_matching(entries, host, path)), "")


def read_auth_file(path: str) -> Mapping[str, Any]:
    """The content of an auth file. Raises InvalidInput that names it when it cannot be read or is no JSON mapping."""
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_AUTH_FILE + 1)
    except OSError as error:
        raise InvalidInput(
            f"Auth file {path}: cannot be read ({error.strerror}).",
            "Name an auth file of Docker or Podman in auth_file.",
        ) from None
    if len(raw) > MAX_AUTH_FILE:
        raise InvalidInput(f"Auth file {path}: larger than {MAX_AUTH_FILE} bytes.")
    try:
        return parse_json(raw, f"Auth file {path}") if raw.strip() else {}
    except InvalidContent as error:
        raise InvalidInput(error.message, "It has the form of Docker's config.json or Podman's auth.json.") from None


def _mapping(content: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    value = content.get(key)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput(f"Auth file {path}: {key} is not a mapping.")
    return value or {}
