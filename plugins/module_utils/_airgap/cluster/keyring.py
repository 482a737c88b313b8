# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull secrets as a kubelet reads them: which credentials it tries for an image, and what it cannot use.

Follows the kubelet's keyring: only kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg count, of their entries
only username, password and auth; keys match by host (with `*` in its parts), exact port and the beginning of the path.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Tuple

from ..model.errors import InvalidInput
from ..model.pod_spec import pull_secrets_of
from ..model.reference import DOCKER_HUB, DOCKER_HUB_ALIASES, ImageReference
from ..oci.authfile import Credentials, read_entry
from .objects import Object, mapping, name_of, text

_FORMS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


@dataclass(frozen=True)
class PullEntry:
    """An entry of a pull secret. key: host[:port][/path], as a kubelet compares it."""

    secret: str
    key: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Keyring:
    """All entries that a pod's pull secrets offer. problems: a sentence for each that offers none."""

    entries: Tuple[PullEntry, ...] = ()
    problems: Tuple[str, ...] = ()

    def matching(self, image: ImageReference) -> List[PullEntry]:
        """The entries that a kubelet tries for an image, in its order."""
        found = [entry for entry in self.entries if _matches(entry.key, image)]
        return sorted(found, key=lambda entry: entry.key, reverse=True)


def read_keyring(namespace: str, secrets: Mapping[str, Optional[Object]]) -> Keyring:
    """secrets: the Secrets that a pod names, by name; None for one that is not there."""
    entries: List[PullEntry] = []
    problems: List[str] = []
    for name, secret in secrets.items():
        if secret is None:
            problems.append(f"The Secret {namespace}/{name} does not exist.")
            continue
        try:
            entries += _entries(secret)
        except ValueError as error:
            problems.append(f"The Secret {namespace}/{name} {error}.")
    return Keyring(tuple(entries), tuple(problems))


def _entries(secret: Object) -> List[PullEntry]:
    """Raises ValueError with a reason that holds nothing of the content."""
    kind = text(secret, "type")
    if kind not in _FORMS:
        raise ValueError(f"is of type {kind or 'Opaque'}, a kubelet reads kubernetes.io/dockerconfigjson alone")
    raw = text(secret, "data", _FORMS[kind])
    if not raw:
        raise ValueError(f"has no key {_FORMS[kind]}")
    content = _json(raw)
    auths = content if kind.endswith("dockercfg") else mapping(content, "auths")
    if not auths:
        raise ValueError("has no entry for any registry")
    found, unusable = [], []
    for key, entry in auths.items():
        login = _login(entry, str(key))
        if login.username or login.password:
            found.append(PullEntry(name_of(secret), _canonical_key(str(key)), login.username, login.password))
        else:
            unusable.append(str(key))
    if unusable and not found:
        raise ValueError(
            f"has no username and password for {', '.join(sorted(unusable))}; a kubelet cannot use tokens and helpers"
        )
    return found


def _json(raw: str) -> Mapping[str, Any]:
    try:
        content = json.loads(base64.b64decode(raw, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("does not hold JSON") from None
    if not isinstance(content, Mapping):
        raise ValueError("does not hold a JSON mapping")
    return content


def _login(entry: Any, key: str) -> Credentials:
    """A kubelet that cannot read one entry reads none, and pulls nothing with any Secret of the pod."""
    try:
        return read_entry(entry or {}, f"{key!r} in auths")
    except InvalidInput as error:
        raise ValueError(f"cannot be read: {error.message.rstrip('.')}") from None


def _canonical_key(key: str) -> str:
    rest = key.partition("://")[2] or key
    host, slash, path = rest.partition("/")
    path = f"/{path}" if slash else ""
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host.lower() + ("" if path == "/" else path)


def _matches(key: str, image: ImageReference) -> bool:
    host, slash, path = key.partition("/")
    if image.host == DOCKER_HUB and host in DOCKER_HUB_ALIASES:
        host = DOCKER_HUB
    if slash and not image.repository.startswith(path):
        return False
    name, _colon, port = host.partition(":")
    image_name, _colon, image_port = image.host.partition(":")
    parts, image_parts = name.split("."), image_name.split(".")
    if port != image_port or len(parts) != len(image_parts):
        return False
    return all(fnmatch.fnmatchcase(own, part) for own, part in zip(image_parts, parts))


def secret_names(pod_spec: Mapping[str, Any]) -> Tuple[str, ...]:
    """The names of the pull secrets in a pod's spec, each once, in its order."""
    return tuple(pull_secrets_of(pod_spec))
