# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts content may make us talk to.

A component version, a redirect or a token realm can name any host. Link-local addresses, where clouds hand the
credentials of a machine to everybody who asks from it, are refused unless the user names them; the option
`access_hosts` narrows the hosts that accesses may name to those it lists.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Callable, Dict, List, Sequence, Tuple, Union

from ..model.errors import InvalidInput, Refused
from ..model.reference import canonical_host, check_host

_METADATA = [ipaddress.ip_network(text) for text in ("100.100.100.200/32", "fd00:ec2::254/128")]
_ANY = "*."


def check_pattern(text: str) -> str:
    """An entry of access_hosts in canonical form: host[:port], or *.domain[:port]. Raises InvalidInput."""
    star, name = (_ANY, text[len(_ANY) :]) if text.startswith(_ANY) else ("", text)
    if not name or "/" in name or "*" in name or "@" in name:
        raise InvalidInput(f"access_hosts: {text!r} is no host.", "Write host[:port], or *.domain[:port].")
    return star + canonical_host(check_host(name, "access_hosts"))


def is_listed(host: str, patterns: Sequence[str]) -> bool:
    """Does a pattern fit the host? Names and ports are compared whole; `*.` stands for one or more labels."""
    host = canonical_host(host)
    return any(
        host.endswith(pattern[1:]) and host != pattern[1:] if pattern.startswith(_ANY) else host == pattern
        for pattern in patterns
    )


def check_access_host(host: str, patterns: Sequence[str], trusted: Sequence[str], where: str) -> None:
    """Raises Refused unless content that `where` names may be read from the host. Without patterns every host may be.

    trusted: hosts that the user named otherwise, as source or in registries.
    """
    if not patterns or is_listed(host, patterns) or canonical_host(host) in map(canonical_host, trusted):
        return
    text = f"{where}: it lies at {host}, which access_hosts does not list. Nothing was sent there."
    raise Refused(text, f"If it may be read from, add {host}.")


class ForbiddenAddresses:
    """Refuses hosts with link-local addresses, however they are written. Safe for several threads.

    named: hosts and patterns that the user wrote down, which may have such an address.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._named = tuple(named)
        self._known: Dict[str, Tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def check(self, host: str, tell: Callable[[str], str]) -> None:
        """host: host[:port]. tell: makes a message of a reason. Raises Refused. A name that is unknown passes."""
        if is_listed(host, self._named):
            return
        before, colon, port = host.rpartition(":")
        name = before if colon and port.isdigit() else host
        found = self._forbidden(name.strip("[]"))
        if found:
            shown = host if found[0] in host else f"{host} ({found[0]})"
            reason = f"{shown} is a link-local address, where machines keep their credentials. Nothing was sent there."
            raise Refused(tell(reason), f"If it is meant, list {host} in access_hosts.")

    def _forbidden(self, name: str) -> Tuple[str, ...]:
        with self._lock:
            if name not in self._known:
                self._known[name] = tuple(text for text in _addresses(name) if _is_forbidden(text))
            return self._known[name]


def _addresses(name: str) -> List[str]:
    """All addresses of a name; numbers in any notation that connecting would understand are told as well."""
    try:
        return sorted({str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(name, None)})
    except (OSError, UnicodeError):
        return []


def _is_forbidden(text: str) -> bool:
    address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address] = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_link_local or any(
        address.version == network.version and address in network for network in _METADATA
    )
