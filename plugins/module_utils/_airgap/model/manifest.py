# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OCI manifests and indexes as they are: bytes with a media type and a digest.

Follows the OCI image specification 1.1 (descriptor, manifest, index) and Docker's schema 2 equivalents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Set

from .digest import check_digest, digest_of
from .errors import DigestMismatch, InvalidContent

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_INDEX)
ARTIFACT_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
# What OCI calls the same thing.
OCI_NAMES = {DOCKER_INDEX: OCI_INDEX, DOCKER_MANIFEST: OCI_MANIFEST}

MAX_MANIFEST_SIZE = 8 * 1024 * 1024
MAX_JSON_DEPTH = 100
# Empty lists take twenty times the room of their text.
MAX_JSON_VALUES = 3_000_000


@dataclass(frozen=True)
class ContentDescriptor:
    """An OCI content descriptor: what a manifest says about a blob or another manifest. size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)
    artifact_type: str = field(default="", compare=False)
    platform: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def from_mapping(cls, value: Any, where: str) -> "ContentDescriptor":
        """Read the JSON form. Raises InvalidContent that names `where`."""
        if not isinstance(value, dict):
            raise InvalidContent(f"{where}: a content descriptor must be a mapping, not {type(value).__name__}.")
        digest, size = value.get("digest"), value.get("size")
        check_digest(digest, where)
        if isinstance(size, bool) or not isinstance(size, int) or size < 0 or size >= 2**63:
            raise InvalidContent(f"{where}: the descriptor of {digest} has no valid size ({size!r}).")
        annotations = value.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise InvalidContent(f"{where}: the annotations of {digest} are not a mapping.")
        platform = value.get("platform")
        return cls(
            str(value.get("mediaType") or ""),
            digest,
            size,
            annotations,
            str(value.get("artifactType") or ""),
            platform if isinstance(platform, dict) else {},
        )

    @property
    def is_foreign(self) -> bool:
        """True for a layer that need not be in the registry, because its licence forbids to distribute it."""
        return ".nondistributable." in self.media_type or ".foreign." in self.media_type

    def to_mapping(self) -> Dict[str, Any]:
        """The JSON form, keys in the order of the specification."""
        result: Dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        return result


@dataclass(frozen=True)
class Manifest:
    """A manifest or index: its exact bytes, media type and digest. Build it with `Manifest.parse`."""

    raw: bytes
    media_type: str
    digest: str
    content: Mapping[str, Any] = field(compare=False, repr=False)
    where: str = field(default="manifest", compare=False, repr=False)

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "", expected_digest: str = "", where: str = "manifest") -> "Manifest":
        """Check the bytes against `expected_digest` and read them.

        media_type: what the transport said (may be empty). Raises DigestMismatch and InvalidContent naming `where`.
        """
        if len(raw) > MAX_MANIFEST_SIZE:
            raise InvalidContent(f"{where}: a manifest of {len(raw)} bytes is over the limit of {MAX_MANIFEST_SIZE}.")
        algorithm = check_digest(expected_digest, where).partition(":")[0] if expected_digest else "sha256"
        digest = digest_of(raw, algorithm)
        if expected_digest and digest != expected_digest:
            raise DigestMismatch(f"{where}: the manifest's bytes have the digest {digest}, not {expected_digest}.")
        content = parse_json(raw, where)
        return cls(raw, _media_type(content, media_type, where), digest, content, where)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    @property
    def size(self) -> int:
        return len(self.raw)

    @property
    def artifact_type(self) -> str:
        """artifactType, or the config's media type as the image specification falls back to."""
        config = self.content.get("config")
        fallback = config.get("mediaType") if isinstance(config, dict) else ""
        return str(self.content.get("artifactType") or fallback or "")

    @property
    def annotations(self) -> Mapping[str, str]:
        value = self.content.get("annotations")
        return value if isinstance(value, dict) else {}

    @property
    def children(self) -> List[ContentDescriptor]:
        """The manifests that an index lists, in its order; empty for an image manifest."""
        return self._list("manifests") if self.is_index else []

    @property
    def config(self) -> Optional[ContentDescriptor]:
        value = None if self.is_index else self.content.get("config")
        return None if value is None else ContentDescriptor.from_mapping(value, f"{self.where} ({self.digest}) config")

    @property
    def layers(self) -> List[ContentDescriptor]:
        return [] if self.is_index else self._list("layers")

    @property
    def blobs(self) -> List[ContentDescriptor]:
        """Config and layers, each digest once, in the order of the manifest.

        Raises InvalidContent for a digest that stands there with two sizes.
        """
        config = self.config
        found: Dict[str, ContentDescriptor] = {}
        for blob in ([config] if config else []) + self.layers:
            if found.setdefault(blob.digest, blob).size != blob.size:
                raise InvalidContent(f"{self.where} ({self.digest}): {blob.digest} stands there with two sizes.")
        return list(found.values())

    def descriptor(self) -> ContentDescriptor:
        return ContentDescriptor(self.media_type, self.digest, self.size)

    def _list(self, key: str) -> List[ContentDescriptor]:
        values = self.content.get(key) or []
        if not isinstance(values, list):
            raise InvalidContent(f"{self.where} ({self.digest}): {key} must be a list.")
        return [ContentDescriptor.from_mapping(value, f"{self.where} ({self.digest}) {key}") for value in values]


def parse_json(raw: bytes, where: str) -> Mapping[str, Any]:
    """Read a JSON object from outside: UTF-8, no duplicate keys, no NaN, depth and number of values capped.

    Raises InvalidContent.
    """
    if sum(map(raw.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise InvalidContent(f"{where}: the JSON text has more than {MAX_JSON_VALUES} values.")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidContent(f"{where}: the JSON text is nested too deeply.") from None
    except ValueError as error:
        raise InvalidContent(f"{where}: not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InvalidContent(f"{where}: the JSON text is a {type(value).__name__}, not an object.")
    _check_depth(value, where)
    return value


def _unique(pairs: List[Any]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: Set[str] = set()
        for name, _value in pairs:
            if name in seen:
                raise ValueError(f"the key {name!r} stands twice")
            seen.add(name)
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check_depth(value: Any, where: str) -> None:
    level = [value]
    for _depth in range(MAX_JSON_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise InvalidContent(f"{where}: the JSON text is nested deeper than {MAX_JSON_DEPTH} levels.")


def _media_type(content: Mapping[str, Any], transport: str, where: str) -> str:
    """The type that body and transport agree on; old bodies without mediaType are told by their keys."""
    transport = transport.partition(";")[0].strip()
    if "manifests" in content and ("config" in content or "layers" in content):
        raise InvalidContent(f"{where}: neither a manifest nor an index, it has the lists of both.")
    if content.get("schemaVersion") != 2:
        raise InvalidContent(f"{where}: schemaVersion is {content.get('schemaVersion')!r}, only 2 is supported.")
    stated = content.get("mediaType")
    guessed = OCI_INDEX if "manifests" in content else OCI_MANIFEST
    found = stated or (transport if transport in ARTIFACT_TYPES else guessed)
    if found not in ARTIFACT_TYPES:
        raise InvalidContent(f"{where}: the media type {found!r} is not an OCI or Docker manifest or index.")
    if transport in ARTIFACT_TYPES and transport != found:
        raise InvalidContent(f"{where}: sent as {transport}, but its bytes say {found}.")
    if (found in INDEX_TYPES) != ("manifests" in content):
        raise InvalidContent(f"{where}: the media type {found} does not fit its content.")
    return found
