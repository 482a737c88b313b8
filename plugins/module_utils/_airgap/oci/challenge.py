# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The header WWW-Authenticate (RFC 9110 section 11.6.1) and scopes of the distribution token specification."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Mapping, Set, Tuple

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r'\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|\Z))")
_GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate that a server offers. scheme and the names of parameters are lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        return self.parameters.get("service", "")

    @property
    def scopes(self) -> Tuple[str, ...]:
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(header: str) -> List[Challenge]:
    """All challenges of one header, or of several joined by commas, in their order. What cannot be read is left out."""
    found: List[Tuple[str, Dict[str, str]]] = []
    position = _GAP.match(header).end()
    while position < len(header):
        name = _TOKEN.match(header, position)
        if not name:
            break
        value = _VALUE.match(header, name.end())
        if value and found:
            text = value.group(2) if value.group(1) is None else re.sub(r"\\(.)", r"\1", value.group(1))
            found[-1][1].setdefault(name.group().lower(), text)
            position = value.end()
        else:
            found.append((name.group().lower(), {}))
            position = _skip_token68(header, name.end())
        position = _GAP.match(header, position).end()
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _skip_token68(header: str, position: int) -> int:
    """A scheme may be followed by one bare value instead of parameters; nothing here uses it."""
    if header[position : position + 1] != " ":
        return position
    start = re.compile(r" +").match(header, position).end()
    value = _TOKEN68.match(header, start)
    return value.end() if value else position


@dataclass(frozen=True)
class Access:
    """What a request needs: actions on a repository (none: only a login), and reading from another one (mounts)."""

    repository: str = ""
    actions: Tuple[str, ...] = ("pull",)
    mount_from: str = ""

    @property
    def scopes(self) -> Tuple[str, ...]:
        if not self.repository or not self.actions:
            return ()
        wanted = [f"repository:{self.repository}:{','.join(self.actions)}"]
        if self.mount_from and self.mount_from != self.repository:
            wanted.append(f"repository:{self.mount_from}:pull")
        return merge_scopes(wanted)


def merge_scopes(scopes: Iterable[str]) -> Tuple[str, ...]:
    """One scope for each resource, with the actions of all; sorted, so that equal demands are equal values."""
    return tuple(f"{name}:{','.join(sorted(actions))}" for name, actions in sorted(_by_resource(scopes).items()))


def covers(granted: Iterable[str], wanted: Iterable[str]) -> bool:
    """True if every action of `wanted` is in `granted`."""
    have = _by_resource(granted)
    return all(actions <= have.get(name, set()) for name, actions in _by_resource(wanted).items())


def _by_resource(scopes: Iterable[str]) -> Dict[str, Set[str]]:
    result: Dict[str, Set[str]] = {}
    for scope in scopes:
        name, _colon, actions = scope.rpartition(":")
        result.setdefault(name, set()).update(action for action in actions.split(",") if action)
    return result
