# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How registries are reached: the options `registries`, `auth_file`, `timeout`, `retries`, `concurrency` as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from ..model.errors import InvalidInput
from ..model.reference import canonical_host, check_host, check_no_login
from .access_hosts import check_pattern

_TEXTS = ("username", "password", "token", "ca_path", "ca_data", "client_cert", "client_key", "mirror")
_BAD_SEGMENT = re.compile(r"(\A|/)(\.{0,2})(/|\Z)|[\s?#@]")


@dataclass(frozen=True)
class RegistrySettings:
    """One entry of the option `registries`.

    host: canonical host[:port]; path: a prefix by whole segments. token: a bearer token that the registry takes as it
    is. ca_path, ca_data: further trusted authorities (PEM) for this host. client_cert, client_key: paths.
    mirror: host[:port][/prefix] that reads go to. token_realms: further hosts that may see the password.
    """

    host: str
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca_path: str = ""
    ca_data: str = field(default="", repr=False)
    client_cert: str = ""
    client_key: str = ""
    validate_certs: bool = True
    plain_http: bool = False
    mirror: str = ""
    token_realms: Tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, value: Any) -> "RegistrySettings":
        """Read one entry as Ansible hands it over (absent keys are None). Raises InvalidInput."""
        if not isinstance(value, Mapping) or not value.get("host"):
            raise InvalidInput("An entry of registries has no host.", "Write host: name[:port][/path].")
        host, path = split_location(str(value["host"]), "An entry of registries")
        texts = {key: str(value.get(key) or "") for key in _TEXTS}
        realms = tuple(check_host(str(realm), f"token_realms of {host}") for realm in value.get("token_realms") or ())
        flags = {
            "validate_certs": value.get("validate_certs") is not False,
            "plain_http": bool(value.get("plain_http")),
        }
        settings = cls(host=host, path=path, token_realms=realms, **texts, **flags)
        settings.check()
        return settings

    @property
    def name(self) -> str:
        """`host[/path]`, as the user wrote it."""
        return f"{self.host}/{self.path}" if self.path else self.host

    def check(self) -> None:
        """Raises InvalidInput for keys that do not fit together."""
        where = f"The entry {self.name} of registries"
        if self.username and not self.password:
            raise InvalidInput(f"{where} has a username, but no password.")
        if self.password and not self.username:
            raise InvalidInput(f"{where} has a password, but no username.", "Give a bearer token in the key token.")
        if self.token and self.username:
            raise InvalidInput(f"{where} has a token and a username.", "Give one of the two.")
        if self.client_key and not self.client_cert:
            raise InvalidInput(f"{where} has a client_key, but no client_cert.")
        if self.ca_data and "-----BEGIN" not in self.ca_data:
            raise InvalidInput(f"{where}: ca_data holds no PEM certificate.", "A path is given in ca_path.")
        if self.mirror:
            split_location(self.mirror, f"{where}, mirror")


@dataclass(frozen=True)
class ConnectionOptions:
    """The connection options of a module. timeout: seconds without a sign of life; retries: after the first try.

    time_budget: seconds for all that the module moves, 0: no limit. request_rate: requests a second to one host.
    bandwidth: bytes a second in either direction, all hosts together. 0: no limit.
    """

    registries: Tuple[RegistrySettings, ...] = ()
    auth_file: str = ""
    timeout: float = 60.0
    retries: int = 5
    concurrency: int = 4
    access_hosts: Tuple[str, ...] = ()
    time_budget: float = 0
    request_rate: float = 0
    bandwidth: int = 0

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "ConnectionOptions":
        """Read the Ansible options; absent ones get their defaults. Raises InvalidInput."""
        entries = tuple(RegistrySettings.from_mapping(entry) for entry in params.get("registries") or ())
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"registries has two entries for {name}.", "Keep one of them.")
        return cls(
            registries=entries,
            auth_file=str(params.get("auth_file") or ""),
            timeout=_number(params, "timeout", cls.timeout, 0.001),
            retries=int(_number(params, "retries", cls.retries, 0)),
            concurrency=int(_number(params, "concurrency", cls.concurrency, 1)),
            access_hosts=tuple(check_pattern(str(text)) for text in params.get("access_hosts") or ()),
            time_budget=_number(params, "time_budget", cls.time_budget, 0),
            request_rate=_number(params, "request_rate", cls.request_rate, 0),
            bandwidth=int(_number(params, "bandwidth", cls.bandwidth, 0, 1e15)),
        )

    @property
    def named_hosts(self) -> Tuple[str, ...]:
        """The hosts that the user wrote down as registries and mirrors."""
        mirrors = [split_location(entry.mirror, "mirror")[0] for entry in self.registries if entry.mirror]
        return tuple(entry.host for entry in self.registries) + tuple(mirrors)

    def entry_for(self, host: str, path: str = "") -> Optional[RegistrySettings]:
        """The entry with exactly this host and port and the longest path that is a prefix by whole segments."""
        host = canonical_host(host)
        fitting = [entry for entry in self.registries if entry.host == host and is_prefix(entry.path, path)]
        return max(fitting, key=lambda entry: len(entry.path), default=None)


def is_prefix(prefix: str, path: str) -> bool:
    """True if `path` is `prefix` or lies below it, by whole segments; the empty prefix fits everything."""
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def split_location(text: str, where: str) -> Tuple[str, str]:
    """Canonical host[:port] and path of `host[:port][/path]`. Raises InvalidInput naming `where`."""
    check_no_login(text)
    if "://" in text:
        raise InvalidInput(
            f"{where}: {text!r} has a scheme.", "Write host[:port][/path]; for a registry without TLS set plain_http."
        )
    host, _slash, path = text.partition("/")
    host, path = check_host(host, where), path.rstrip("/")
    if path and _BAD_SEGMENT.search(path):
        raise InvalidInput(f"{where}: the path {path!r} of {text!r} is not a repository prefix.")
    return host, path


def _number(params: Mapping[str, Any], name: str, default: float, least: float, limit: float = 1e9) -> float:
    value = params.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < limit:
        raise InvalidInput(f"The option {name} must be a number of at least {least:g}, not {value!r}.")
    return value
