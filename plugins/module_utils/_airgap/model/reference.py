# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References as values: OCI images, repositories of component versions, component versions.

Image references follow the OCI distribution specification 1.1 and Docker's short names, component references
the grammars of both OCM command lines. The text alone decides what a reference means, never a look at the disk.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from .digest import is_digest
from .errors import InvalidInput

DOCKER_HUB = "docker.io"
DOCKER_HUB_ALIASES = ("docker.io", "index.docker.io", "registry-1.docker.io")
DESCRIPTOR_FOLDER = "component-descriptors"

ARCHIVE_TYPES = {
    "ctf": "", "commontransportformat": "", "directory": "directory", "tar": "tar", "tgz": "tgz",
    "ctf+directory": "directory", "ctf+tar": "tar", "ctf+tgz": "tgz",
    "ca": "", "componentarchive": "", "ca+directory": "directory", "ca+tar": "tar", "ca+tgz": "tgz",
}
REGISTRY_TYPES = ("oci", "ociregistry", "ocirepository")
ARCHIVE_SUFFIXES = {".tgz": "tgz", ".tar.gz": "tgz", ".tar": "tar"}

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"\A(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9]+)?\])(?::[0-9]{{1,5}})?\Z")
_PATH = re.compile(r"\A[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_COMPONENT = re.compile(
    r"\A[a-z][-a-z0-9]*(?:\.[a-z][-a-z0-9]*)*\.[a-z]{2,}(?:/[a-z][-a-z0-9_]*(?:\.[a-z][-a-z0-9_]*)*)+\Z"
)
_SCHEME = re.compile(r"\A([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_TYPE = re.compile(r"\A([A-Za-z][A-Za-z+]*)(?:/v[0-9]+)?::")
# user:password@ at the beginning, behind a scheme or type, or in JSON; behind a scheme also a token alone
_LOGIN = re.compile(
    r'(?:(?:\A\+?|://|::|")[^/@":]*:(?!:)[^/@"]*|://[^/@"]+)@(?!sha(?:256|512):|[a-z0-9]+:[0-9a-fA-F]{32,}\Z)'
)


def component_path(component: str) -> str:
    """Where the versions of a component are, below a repository's prefix. Follows the OCI mapping of the OCM specification."""
    return f"{DESCRIPTOR_FOLDER}/{component}"


@dataclass(frozen=True)
class ImageReference:
    """An OCI artifact at a registry: `[http://|https://]host[:port]/repository[:tag][@digest]`.

    host is canonical: lower case, Docker Hub is always docker.io. scheme is "" when none was written.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""
    scheme: str = ""

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Read a reference; short names are Docker Hub's. Raises InvalidInput."""
        check_no_login(text)
        scheme, rest = _split_scheme(text, ("http", "https", "oci"))
        rest, _at, digest = rest.partition("@")
        if _at and not is_digest(digest):
            raise InvalidInput(f"Image reference {text!r}: {digest!r} is not a digest (sha256:<64 hex digits>).")
        host, path = _split_host(rest)
        path, tag = _split_tag(path)
        if not host:
            host, path = DOCKER_HUB, path if "/" in path or not path else f"library/{path}"
        elif host == DOCKER_HUB and path and "/" not in path:
            path = f"library/{path}"
        _check_path(path, f"Image reference {text!r}")
        _check_tag(tag, text)
        return cls(host, path, tag, digest, "" if scheme == "oci" else scheme)

    @property
    def plain_http(self) -> bool:
        return self.scheme == "http"

    @property
    def name(self) -> str:
        """`host/repository`."""
        return f"{self.host}/{self.repository}"

    @property
    def locator(self) -> str:
        """What a manifest is asked by: the digest, else the tag, else latest."""
        return self.digest or self.tag or "latest"

    def without_scheme(self) -> "ImageReference":
        return replace(self, scheme="")

    def pinned(self, digest: str) -> "ImageReference":
        return replace(self, digest=digest)

    def __str__(self) -> str:
        scheme = f"{self.scheme}://" if self.scheme else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{scheme}{self.name}{tag}{digest}"


@dataclass(frozen=True)
class RepositoryReference:
    """Where component versions live: a registry (host, prefix) or an archive (path). Exactly one of both is set.

    archive_format: directory, tar or tgz where the text says so, else "". scheme: as written, else "".
    """

    host: str = ""
    prefix: str = ""
    scheme: str = ""
    path: str = ""
    archive_format: str = ""

    @classmethod
    def parse(cls, text: str) -> "RepositoryReference":
        """Read the option `repository`. Raises InvalidInput; a component in the text is an error here."""
        reference = ComponentReference.parse(text)
        if reference.component:
            raise InvalidInput(
                f"Repository {text!r} names a component as well.",
                f"Give the component {reference.component!r} in its own option.",
            )
        return reference.repository

    @property
    def is_archive(self) -> bool:
        return bool(self.path)

    @property
    def plain_http(self) -> bool:
        return self.scheme == "http"

    def image(self, path: str, tag: str = "", digest: str = "") -> ImageReference:
        """The reference of an artifact below this registry's prefix."""
        joined = "/".join(part for part in (self.prefix, path) if part)
        return ImageReference(self.host, joined, tag, digest, self.scheme)

    def __str__(self) -> str:
        if self.is_archive:
            return self.path
        scheme = f"{self.scheme}://" if self.scheme else ""
        return scheme + "/".join(part for part in (self.host, self.prefix) if part)


@dataclass(frozen=True)
class ComponentReference:
    """`[type::]repository[//component[:version][@digest]]`; component, version and digest may be empty."""

    repository: RepositoryReference
    component: str = ""
    version: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "ComponentReference":
        """Read any reference form of the old or the new OCM command line. Raises InvalidInput."""
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput("A repository is empty.", "Write host/prefix for a registry, ./folder for an archive.")
        check_no_login(text)
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise InvalidInput(f"Repository {text!r} contains a control character.")
        rest = text[1:] if text.startswith("+") else text
        if rest.startswith("{"):
            return _parse_inline(rest)
        kind, rest = _split_type(rest, text)
        if kind in REGISTRY_TYPES:
            return _parse_registry(rest, text)
        if kind in ARCHIVE_TYPES:
            return _parse_archive(rest, ARCHIVE_TYPES[kind], text)
        if _is_path(rest):
            return _parse_archive(rest, "", text)
        return _parse_registry(rest, text)

    def __str__(self) -> str:
        version = f":{self.version}" if self.version else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}//{self.component}{version}{digest}" if self.component else str(self.repository)


def check_component_name(name: str) -> str:
    """Return the name. Raises InvalidInput unless it is a DNS domain and at least one path segment."""
    if not isinstance(name, str) or len(name) > 255 or not _COMPONENT.match(name):
        raise InvalidInput(
            f"{name!r} is not a component name.",
            "It is a lower-case DNS domain with at least one path segment, as in acme.org/podinfo.",
        )
    return name


def is_component_name(name: str) -> bool:
    return len(name) <= 255 and _COMPONENT.match(name) is not None


def check_no_login(text: str) -> None:
    """Raises InvalidInput, without repeating the secret, for `user:password@host` and `scheme://token@host`."""
    if isinstance(text, str) and _LOGIN.search(text):
        raise InvalidInput(
            "A reference contains a user name and a password (user:password@host).",
            "Take the login out of it and give it in the option registries or in an auth file.",
        )


def canonical_host(host: str) -> str:
    """Lower case; the three names of Docker Hub become docker.io."""
    host = host.lower()
    return DOCKER_HUB if host in DOCKER_HUB_ALIASES else host


def check_host(host: str, where: str) -> str:
    """The canonical host[:port]. Raises InvalidInput naming `where`."""
    _name, _sep, port = host.rpartition(":")
    bad_port = _sep and port.isdigit() and int(port) > 65535
    if not _HOST.match(host) or bad_port:
        raise InvalidInput(f"{where}: {host!r} is not a host name (host[:port]).")
    return canonical_host(host)


def _is_path(text: str) -> bool:
    return text in (".", "..") or text.startswith(("/", "./", "../", "~", "file://"))


def _split_type(text: str, whole: str) -> Tuple[str, str]:
    match = _TYPE.match(text)
    if not match:
        return "", text
    kind = match.group(1).lower()
    if kind not in ARCHIVE_TYPES and kind not in REGISTRY_TYPES:
        raise InvalidInput(
            f"Repository {whole!r}: the type {match.group(1)!r} is not known.",
            "Use ctf::PATH or ca::PATH for an archive, OCIRegistry::HOST/PREFIX for a registry.",
        )
    return kind, text[match.end():]


def _split_scheme(text: str, known: Tuple[str, ...]) -> Tuple[str, str]:
    match = _SCHEME.match(text)
    if not match:
        return "", text
    scheme = match.group(1).lower()
    if scheme not in known:
        raise InvalidInput(f"Reference {text!r}: the scheme {scheme}:// is not one of {', '.join(known)}.")
    return scheme, text[match.end():]


def _split_host(text: str) -> Tuple[str, str]:
    """Docker's rule: the first segment is a host if it has a dot or a colon, or is localhost."""
    first, slash, rest = text.partition("/")
    if slash and (first == "localhost" or any(mark in first for mark in ".:[")):
        return check_host(first, f"Image reference {text!r}"), rest
    return "", text


def _split_tag(text: str) -> Tuple[str, str]:
    head, slash, last = text.rpartition("/")
    name, _colon, tag = last.partition(":")
    if _colon and not tag:
        raise InvalidInput(f"Image reference {text!r}: the tag after the colon is missing.")
    return head + slash + name, tag


def _check_path(path: str, where: str) -> None:
    if _PATH.match(path):
        return
    reason = "is not a repository name"
    if path != path.lower():
        reason = "has upper-case letters, which registries refuse"
    elif "//" in path or path.startswith("/") or path.endswith("/"):
        reason = "has an empty segment"
    elif not path:
        reason = "is empty"
    raise InvalidInput(f"{where}: the repository {path!r} {reason}.")


def _check_tag(tag: str, text: str) -> None:
    if tag and not _TAG.match(tag):
        hint = "A + of a version is written .build- in a tag." if "+" in tag else ""
        raise InvalidInput(f"Image reference {text!r}: {tag!r} is not a tag.", hint)


def _parse_inline(text: str) -> ComponentReference:
    """An inline repository specification: `{"type": ..., ...}[//component[:version]]`."""
    try:
        spec, end = json.JSONDecoder().raw_decode(text)
        kind = str(spec["type"]).partition("/")[0].lower()
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"Repository {text!r}: not a JSON repository specification with a type.") from None
    component, version, digest = _parse_component(text[end:], text)
    if kind in ARCHIVE_TYPES:
        path = str(spec.get("filePath") or spec.get("path") or "")
        reference = _parse_archive(path, str(spec.get("fileFormat") or ARCHIVE_TYPES[kind]), text)
    elif kind in REGISTRY_TYPES:
        mapping = spec.get("componentNameMapping") or "urlPath"
        if mapping != "urlPath":
            raise InvalidInput(f"Repository {text!r}: the componentNameMapping {mapping!r} is not supported.")
        joined = "/".join(str(spec.get(key) or "").strip("/") for key in ("baseUrl", "subPath"))
        reference = _parse_registry(joined.rstrip("/"), text)
    else:
        raise InvalidInput(f"Repository {text!r}: the type {spec['type']!r} is not known.")
    if reference.component:
        raise InvalidInput(f"Repository {text!r}: the path holds a component; write it behind the specification.")
    return ComponentReference(reference.repository, component, version, digest)


def _parse_registry(text: str, whole: str) -> ComponentReference:
    scheme, rest = _split_scheme(text, ("http", "https", "oci"))
    scheme = "" if scheme == "oci" else scheme
    rest, component, version, digest = _split_component(rest, whole)
    first, _slash, prefix = rest.partition("/")
    if _archive_suffix(rest) and not scheme:
        raise InvalidInput(
            f"Repository {whole!r} looks like a file, but is written like a host name.",
            f"Write ./{rest} for a file in the current folder, or https://{rest} for a registry.",
        )
    if "::" in first and not first.startswith("["):
        raise InvalidInput(f"Repository {whole!r}: the part before :: is not a known type.")
    host = check_host(first, f"Repository {whole!r}")
    prefix = prefix.rstrip("/")
    if prefix:
        _check_path(prefix, f"Repository {whole!r}")
    return ComponentReference(RepositoryReference(host, prefix, scheme), component, version, digest)


def _split_component(text: str, whole: str) -> Tuple[str, str, str, str]:
    head, double, tail = text.partition("//")
    if not double:
        marker = f"/{DESCRIPTOR_FOLDER}/"
        head, double, tail = text.partition(marker)
    if not double:
        return text, "", "", ""
    return (head,) + _parse_component(f"//{tail}", whole)


def _parse_component(text: str, whole: str) -> Tuple[str, str, str]:
    if not text:
        return "", "", ""
    if not text.startswith("//"):
        raise InvalidInput(f"Repository {whole!r}: {text!r} behind the specification does not begin with //.")
    name, _at, digest = text[2:].partition("@")
    name, _colon, version = name.partition(":")
    if not name or "//" in name or not is_component_name(name):
        raise InvalidInput(
            f"Reference {whole!r}: {name!r} behind // is not a component name.",
            "It is a lower-case DNS domain with a path, as in //acme.org/podinfo:1.0.0; prefixes have no //.",
        )
    if _colon and not version:
        raise InvalidInput(f"Reference {whole!r}: the version after the colon is missing.")
    if _at and not is_digest(digest):
        raise InvalidInput(f"Reference {whole!r}: {digest!r} is not a digest.")
    return name, version, digest


def _parse_archive(text: str, archive_format: str, whole: str) -> ComponentReference:
    path = text[len("file://"):] if text.startswith("file://") else text
    component = version = digest = ""
    for marker in ("//", f"/{DESCRIPTOR_FOLDER}/"):
        head, found, tail = path.rpartition(marker)
        if found and head and is_component_name(tail.partition("@")[0].partition(":")[0]):
            path, (component, version, digest) = head, _parse_component(f"//{tail}", whole)
            break
    if not path:
        raise InvalidInput(f"Repository {whole!r}: the path is empty.")
    return ComponentReference(
        RepositoryReference(path=path, archive_format=archive_format), component, version, digest
    )


def _archive_suffix(text: str) -> Optional[str]:
    return next((suffix for suffix in ARCHIVE_SUFFIXES if text.lower().endswith(suffix)), None)


def archive_format_of(reference: RepositoryReference) -> str:
    """directory, tar or tgz for an archive that has to be created: as written, else by the file's suffix."""
    suffix = _archive_suffix(reference.path)
    return reference.archive_format or (ARCHIVE_SUFFIXES[suffix] if suffix else "directory")
