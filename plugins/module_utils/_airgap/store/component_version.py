# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component version as it is kept in an OCI repository: found, read, and written.

Follows the OCM specification's mapping to OCI: the tag leads to a manifest whose first layer is the descriptor, or,
as the newer OCM tools write it, to an index whose first manifest is that one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..model.access import Access
from ..model.content_source import read_whole
from ..model.descriptor import ComponentDescriptor
from ..model.digest import check_digest, digest_of
from ..model.errors import InvalidContent, NotFound
from ..model.manifest import ARTIFACT_TYPES, OCI_INDEX, OCI_MANIFEST, ContentDescriptor, Manifest, parse_json
from ..model.version import tag_of
from .ctf import in_memory
from .descriptor_codec import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    CONFIG_TYPES,
    LAYER_TYPE,
    LAYER_TYPES,
    MAX_DESCRIPTOR_SIZE,
    decode_descriptor,
    encode_descriptor,
)
from .repository import ArtifactRepository, ArtifactTree, OpenSource, WritableRepository, blob_source

ARTIFACT_ANNOTATION = "software.ocm.artifact"
COMPONENT_VERSION_ANNOTATION = "software.ocm.componentversion"
CREATOR_ANNOTATION = "software.ocm.creator"
DESCRIPTOR_ANNOTATION = "software.ocm.descriptor"
CREATOR = "ocm.airgap"


Owners = Tuple[Tuple[str, Mapping[str, str]], ...]


class NotAComponentVersion(NotFound):
    """A tag is there, but what it stands for is something else."""


@dataclass(frozen=True)
class BlobContent:
    """Bytes somewhere. digest "" and size -1 where they are known only after reading.

    repository: where the bytes are a blob of, if they are; `mount` and request planning look at it.
    """

    media_type: str
    digest: str
    size: int
    open: OpenSource = field(compare=False, repr=False)
    repository: Optional[ArtifactRepository] = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ArtifactContent:
    """An OCI artifact somewhere. reference: a tag or digest there, "" for the main one of an artifact set.

    packed: the artifact set as a blob, where the artifact comes from one.
    """

    repository: ArtifactRepository = field(compare=False, repr=False)
    reference: str
    packed: Optional[BlobContent] = None


@dataclass(frozen=True)
class StoredVersion:
    """A component version that was read. digest: what its tag stands for, "" in a component archive."""

    descriptor: ComponentDescriptor
    repository: Optional[ArtifactRepository] = field(default=None, compare=False, repr=False)
    digest: str = ""
    manifest: Optional[Manifest] = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return str(self.descriptor)

    def local_blob(self, access: Access, where: str) -> BlobContent:
        """The bytes of a local blob. Raises InvalidContent, NotFound."""
        if self.repository is None or self.manifest is None:
            raise NotFound(f"{where}: the component version has no place for local blobs.")
        digests = _local_digests(access, where)
        layers = {layer.digest: layer for layer in self.manifest.layers}
        sizes = [layers[digest].size if digest in layers else -1 for digest in digests]
        media_type = str(access.get("mediaType") or "")
        if len(digests) > 1:
            return BlobContent(media_type, "", sum(sizes) if min(sizes) >= 0 else -1, self._chunks(digests, sizes))
        if not media_type and digests[0] in layers:
            media_type = layers[digests[0]].media_type
        repository = self.repository
        return BlobContent(
            media_type, digests[0], sizes[0], blob_source(repository, digests[0], sizes[0]), repository
        )

    def local_manifest(self, access: Access, where: str) -> Optional[str]:
        """The digest of a local blob that is a manifest of its own in this repository, else None."""
        digests = _local_digests(access, where)
        layers = {layer.digest for layer in self.manifest.layers} if self.manifest else set()
        nested = access.get("mediaType") in ARTIFACT_TYPES and len(digests) == 1 and digests[0] not in layers
        return digests[0] if nested else None

    def _chunks(self, digests: Sequence[str], sizes: Sequence[int]) -> OpenSource:
        repository = self.repository
        return lambda: _Chain([lambda d=digest, s=size: repository.open_blob(d, s) for digest, size in zip(digests, sizes)])


class _Chain:
    """Several sources, one after the other."""

    def __init__(self, sources: Iterable[OpenSource]) -> None:
        self._sources = sources

    def __enter__(self) -> Any:
        return self._blocks()

    def _blocks(self) -> Any:
        for source in self._sources:
            with source() as blocks:
                yield from blocks

    def __exit__(self, *_error: Any) -> None:
        pass


@dataclass(frozen=True)
class LocalLayer:
    """A blob that is a layer of a component version, and the elements that it belongs to: (kind, identity)."""

    media_type: str
    digest: str
    size: int
    owners: Owners


@dataclass(frozen=True)
class LocalArtifact:
    """An OCI artifact in the repository of a component version, and the elements that it belongs to."""

    tree: ArtifactTree
    owners: Owners


def read_component_version(
    repository: ArtifactRepository, component: str, version: str, where: str, digest: str = ""
) -> StoredVersion:
    """Read a component version by its exact version, or by the digest of its manifest.

    Raises NotFound if there is none, NotAComponentVersion if the tag is something else, InvalidContent for damage.
    """
    top = repository.get_manifest(digest or tag_of(version))
    manifest = repository.get_manifest(_descriptor_manifest(top, where).digest) if top.is_index else top
    if manifest.config is None or not _is_component_version(manifest):
        raise NotAComponentVersion(f"{where}: the tag is there, but what it stands for is no component version.")
    layer = _descriptor_layer(repository, manifest, where)
    if layer.size > MAX_DESCRIPTOR_SIZE:
        raise InvalidContent(f"{where}: a descriptor of {layer.size} bytes is over the limit of {MAX_DESCRIPTOR_SIZE}.")
    descriptor = decode_descriptor(read_whole(blob_source(repository, layer.digest, layer.size), b"".join), where)
    if (descriptor.name, descriptor.version) != (component, version):
        raise InvalidContent(f"{where}: the descriptor there is that of {descriptor}.")
    return StoredVersion(descriptor, repository, top.digest, manifest)


def component_manifest(descriptor: ComponentDescriptor, layers: Sequence[LocalLayer]) -> Tuple[Manifest, Dict[str, bytes]]:
    """The manifest of a component version as the old OCM tool writes it, and the small blobs that it needs.

    The same descriptor and layers give the same bytes.
    """
    encoded = encode_descriptor(descriptor)
    layer = {"mediaType": LAYER_TYPE, "digest": digest_of(encoded), "size": len(encoded)}
    config = _json({"componentDescriptorLayer": layer})
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [layer] + [_layer_mapping(local) for local in layers],
        "annotations": {COMPONENT_VERSION_ANNOTATION: str(descriptor), CREATOR_ANNOTATION: CREATOR},
    }
    raw = _json(content)
    blobs = {digest_of(config): config, digest_of(encoded): encoded}
    return Manifest.parse(raw, OCI_MANIFEST, "", str(descriptor)), blobs


def component_index(descriptor: ComponentDescriptor, manifest: Manifest, artifacts: Sequence[LocalArtifact]) -> Manifest:
    """The index of a component version whose artifacts stand beside its manifest, which is the first that it lists.

    Follows the OCM specification's mapping for local blobs that are OCI artifacts. The same input gives the same bytes.
    """
    first = dict(manifest.descriptor().to_mapping(), artifactType=ARTIFACT_TYPE, annotations={DESCRIPTOR_ANNOTATION: "true"})
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [first] + [_owned(local.tree.main.descriptor(), local.owners) for local in artifacts],
        "annotations": {COMPONENT_VERSION_ANNOTATION: str(descriptor), CREATOR_ANNOTATION: CREATOR},
    }
    return Manifest.parse(_json(content), OCI_INDEX, "", str(descriptor))


def write_component_version(
    repository: WritableRepository,
    descriptor: ComponentDescriptor,
    layers: Sequence[LocalLayer],
    artifacts: Sequence[LocalArtifact] = (),
) -> Manifest:
    """Write descriptor, config and, last of all, the manifest or index that stands under the version's tag: returned.

    The layers and the artifacts' blobs are there already.
    """
    manifest, blobs = component_manifest(descriptor, layers)
    for digest, content in blobs.items():
        repository.put_blob(digest, len(content), in_memory(content), absent=True)
    tag = tag_of(descriptor.version)
    if not artifacts:
        repository.put_manifest(manifest, tag)
        return manifest
    parts = [part for local in artifacts for part in local.tree.manifests]
    for part in {part.digest: part for part in [*parts, manifest]}.values():
        repository.put_manifest(part)
    index = component_index(descriptor, manifest, artifacts)
    repository.put_manifest(index, tag)
    return index


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _layer_mapping(layer: LocalLayer) -> Dict[str, Any]:
    return _owned(ContentDescriptor(layer.media_type, layer.digest, layer.size), layer.owners)


def _owned(content: ContentDescriptor, owners: Owners) -> Dict[str, Any]:
    listed = [{"kind": kind, "identity": dict(sorted(identity.items()))} for kind, identity in owners]
    return dict(content.to_mapping(), annotations={ARTIFACT_ANNOTATION: _json(listed).decode("utf-8")})


def _local_digests(access: Access, where: str) -> List[str]:
    field_name = "digest" if access.type == "localOciBlob" else "localReference"
    if access.type == "localFilesystemBlob":
        raise NotFound(f"{where}: a localFilesystemBlob can only be read in a component archive.")
    return [check_digest(part.strip(), where) for part in access.text(field_name, where).split(",")]


def _is_component_version(manifest: Manifest) -> bool:
    config = manifest.config
    return config is not None and (config.media_type in CONFIG_TYPES or manifest.artifact_type == ARTIFACT_TYPE)


def _descriptor_manifest(index: Manifest, where: str) -> ContentDescriptor:
    """Which manifest of an index is the component's: the annotated one, one that says so, else the first."""
    children = index.children
    if not children:
        raise NotAComponentVersion(f"{where}: the tag stands for an empty index, not for a component version.")
    tests = (
        lambda child: child.annotations.get(DESCRIPTOR_ANNOTATION) == "true",
        lambda child: child.artifact_type == ARTIFACT_TYPE or child.artifact_type in CONFIG_TYPES,
    )
    for test in tests:
        found = next((child for child in children if test(child)), None)
        if found is not None:
            return found
    return children[0]


def _descriptor_layer(repository: ArtifactRepository, manifest: Manifest, where: str) -> ContentDescriptor:
    """The descriptor's layer: the one whose media type says so, else what the config names, else the first."""
    named = [layer for layer in manifest.layers if layer.media_type in LAYER_TYPES]
    if len(named) == 1:
        return named[0]
    config = manifest.config
    if config is not None and config.size <= MAX_DESCRIPTOR_SIZE:
        content = read_whole(blob_source(repository, config.digest, config.size), b"".join)
        try:
            return ContentDescriptor.from_mapping(parse_json(content, where).get("componentDescriptorLayer"), where)
        except InvalidContent:
            pass  # the oldest tools wrote other configs; their descriptor is the first layer
    if not manifest.layers:
        raise InvalidContent(f"{where}: the manifest has no layer, so no descriptor.")
    return manifest.layers[0]
