# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifact sets: one OCI artifact, with all its manifests and blobs, as one blob.

Reads the four forms that OCM tools wrote (index.json with flat blobs, artifact-descriptor.json, and OCI image
layouts), writes the first. Follows the OCM specification and the OCI image layout.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from ..model.content_source import read_whole
from ..model.digest import check_digest, is_digest, verified
from ..model.errors import InvalidContent, NotFound
from ..model.manifest import ARTIFACT_TYPES, MAX_MANIFEST_SIZE, OCI_INDEX, ContentDescriptor, Manifest, parse_json
from .repository import ArtifactRepository, ArtifactTree, FirstFrom, OpenSource, blob_source
from .safe_tar import END_OF_ARCHIVE, Limits, gzip_stored, padding, tar_entries, tar_entry, tar_file

INDEX_FILES = ("index.json", "artifact-descriptor.json")
LAYOUT_TYPES = ("application/vnd.ocm.software.oci.layout.v1+tar", "application/vnd.ocm.software.oci.layout.v1+tar+gzip")
MAIN = "software.ocm/main"
TAGS = "software.ocm/tags"
REF_NAME = "org.opencontainers.image.ref.name"
OCI_LAYOUT = b'{\n    "imageLayoutVersion": "1.0.0"\n}\n'
MAX_MANIFESTS_SIZE = 64 * 1024 * 1024
_SET_LIMITS = Limits(size=2**50, count=1_000_000)


def is_artifact_set(media_type: str) -> bool:
    """True for the media type of a blob that holds an OCI artifact."""
    base = media_type[: -len("+gzip")] if media_type.endswith("+gzip") else media_type
    return media_type in LAYOUT_TYPES or (base.endswith("+tar") and f"{base[: -len('+tar')]}+json" in ARTIFACT_TYPES)


def artifact_set_type(manifest: Manifest) -> str:
    """The media type of the blob that holds this artifact."""
    base = manifest.media_type[: -len("+json")] if manifest.media_type.endswith("+json") else manifest.media_type
    return f"{base}+tar+gzip"


class ArtifactSet(ArtifactRepository):
    """An artifact set as a repository that is read in passes over its stream; nothing is unpacked to disk."""

    def __init__(self, open_source: OpenSource, name: str) -> None:
        self._open_source, self.name = open_source, name
        self._read: Optional[Tuple[Dict[str, Any], Dict[str, bytes], Dict[str, int]]] = None

    @property
    def main(self) -> str:
        """The digest of the artifact that the set stands for."""
        listed = self._listed()
        annotations = self._contents()[0].get("annotations")
        if isinstance(annotations, dict) and annotations.get(MAIN):
            return check_digest(annotations[MAIN], f"{self.name} {MAIN}")
        tagged = [item for item in listed if item.annotations.get(REF_NAME)]
        for candidates in (tagged, listed):
            if len(candidates) == 1:
                return candidates[0].digest
        raise InvalidContent(f"{self.name}: the artifact set does not say which of its {len(listed)} manifests is meant.")

    def tags(self) -> List[str]:
        texts = [item.annotations.get(TAGS) for item in self._listed()]
        return [tag for text in texts if isinstance(text, str) for tag in text.split(",") if tag]

    def _listed(self) -> List[ContentDescriptor]:
        listed = self._contents()[0].get("manifests") or []
        if not isinstance(listed, list):
            raise InvalidContent(f"{self.name}: manifests must be a list.")
        return [ContentDescriptor.from_mapping(item, self.name) for item in listed]

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        _index, manifests, _sizes = self._contents()
        return self.get_manifest(reference).descriptor() if (reference or self.main) in manifests else None

    def get_manifest(self, reference: str) -> Manifest:
        _index, manifests, _sizes = self._contents()
        digest = reference or self.main
        if digest not in manifests:
            raise NotFound(f"{self.name} has no manifest {digest}.", "The artifact set is damaged: make it again.")
        return Manifest.parse(manifests[digest], "", digest, self.name)

    def blob_size(self, digest: str) -> Optional[int]:
        return self._contents()[2].get(digest)

    @contextmanager
    def open_blob(self, digest: str, size: int = -1) -> Iterator[Iterator[bytes]]:
        with self._open_source() as stream:
            for found, length, blocks in _blobs(stream, self.name):
                if found == digest:
                    yield verified(blocks, digest, length if size < 0 else size, self.name)
                    return
        raise NotFound(f"{self.name} has no blob {digest}.", "The artifact set is damaged: make it again.")

    def walk(self) -> Iterator[Tuple[str, int, Iterator[bytes]]]:
        """Every blob in one pass over the stream: digest, size, and blocks, to be used before the next one."""
        with self._open_source() as stream:
            for digest, size, blocks in _blobs(stream, self.name):
                yield digest, size, verified(blocks, digest, size, self.name)

    def sources(self, wanted: Mapping[str, int]) -> Iterator[Tuple[str, OpenSource]]:
        """A source of each blob that is wanted, by digest and size: those that lie here so in one pass over the stream.

        Each is to be used before the next one. What does not lie here so tells when it is opened.
        """
        left = dict(wanted)
        for digest, size, blocks in self._walk_to_damage() if left else ():
            if left.get(digest) == size:
                del left[digest]
                yield digest, FirstFrom(blocks, blob_source(self, digest, size))
        for digest, size in left.items():
            yield digest, blob_source(self, digest, size)

    def _walk_to_damage(self) -> Iterator[Tuple[str, int, Iterator[bytes]]]:
        """Like walk, as far as the stream can be read. What comes behind can be opened on its own."""
        try:
            yield from self.walk()
        except InvalidContent:
            return

    def _contents(self) -> Tuple[Dict[str, Any], Dict[str, bytes], Dict[str, int]]:
        if self._read is None:
            self._read = read_whole(self._open_source, lambda stream: _scan(stream, self.name))
        return self._read


def pack_artifact_set(tree: ArtifactTree, tags: Iterable[str], source: ArtifactRepository) -> Iterator[bytes]:
    """The gzipped tar of an artifact set: the index first, then manifests, then blobs as they stream from `source`."""
    return gzip_stored(_pack(tree, list(tags), source))


def _pack(tree: ArtifactTree, tags: List[str], source: ArtifactRepository) -> Iterator[bytes]:
    yield tar_file("index.json", _index_json(tree, tags))
    yield tar_file("oci-layout", OCI_LAYOUT)
    yield tar_entry("blobs", 0, 0o755, folder=True)
    for manifest in tree.manifests:
        yield tar_file(_file_name(manifest.digest), manifest.raw)
    for blob in tree.blobs:
        yield tar_entry(_file_name(blob.digest), blob.size)
        with source.open_blob(blob.digest, blob.size) as blocks:
            yield from blocks
        yield padding(blob.size)
    yield END_OF_ARCHIVE


def _index_json(tree: ArtifactTree, tags: List[str]) -> bytes:
    listed = [manifest.descriptor().to_mapping() for manifest in tree.manifests]
    if tags:
        listed[-1]["annotations"] = {REF_NAME: tags[0], TAGS: ",".join(tags)}
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": listed,
        "annotations": {MAIN: tree.main.digest},
    }
    return json.dumps(content, separators=(",", ":")).encode("utf-8")


def _file_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", ".")


def _digest_of_file(name: str) -> str:
    """The digest that a file name stands for, in flat (`blobs/sha256.<hex>`) or layout form; "" for other files."""
    folder, _slash, rest = name.partition("/")
    digest = rest.replace("/", ":", 1) if "/" in rest else rest.replace(".", ":", 1)
    return digest if folder == "blobs" and is_digest(digest) else ""


def _blobs(stream: Iterator[bytes], where: str) -> Iterator[Tuple[str, int, Iterator[bytes]]]:
    for entry in tar_entries(stream, where, _SET_LIMITS):
        digest = "" if entry.is_folder else _digest_of_file(entry.name)
        if digest:
            yield digest, entry.size, entry.blocks()


def _scan(stream: Iterator[bytes], where: str) -> Tuple[Dict[str, Any], Dict[str, bytes], Dict[str, int]]:
    """The index, everything that may be a manifest (small JSON), and the size of every blob."""
    index: Dict[str, Any] = {}
    manifests: Dict[str, bytes] = {}
    sizes: Dict[str, int] = {}
    for entry in tar_entries(stream, where, _SET_LIMITS):
        digest = "" if entry.is_folder else _digest_of_file(entry.name)
        if entry.name in INDEX_FILES:
            index = dict(parse_json(_small(entry, where), f"{where} {entry.name}"))
        elif digest:
            sizes[digest] = entry.size
            content = _json_or_none(entry)
            if content is not None:
                manifests[digest] = content
        if sum(map(len, manifests.values())) > MAX_MANIFESTS_SIZE:
            raise InvalidContent(f"{where}: the manifests of the artifact set are over {MAX_MANIFESTS_SIZE} bytes.")
    if not index:
        raise InvalidContent(f"{where}: not an artifact set, it has neither of {', '.join(INDEX_FILES)}.")
    return index, manifests, sizes


def _small(entry: Any, where: str) -> bytes:
    if entry.size > MAX_MANIFEST_SIZE:
        raise InvalidContent(f"{where}: {entry.name} has {entry.size} bytes, over the limit of {MAX_MANIFEST_SIZE}.")
    return b"".join(entry.blocks())


def _json_or_none(entry: Any) -> Optional[bytes]:
    if entry.size > MAX_MANIFEST_SIZE:
        return None
    blocks = entry.blocks()
    head = next(blocks, b"")
    return head + b"".join(blocks) if head.lstrip()[:1] == b"{" else None
