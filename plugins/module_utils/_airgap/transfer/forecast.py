# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What carrying a plan out takes, told before the first write: requests, bytes and blobs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Container, Dict, Mapping, Sequence, Set

from ..model.manifest import ContentDescriptor
from ..store.component_version import ArtifactContent, BlobContent, component_manifest
from ..store.repository import ArtifactTree
from .archive import set_key
from .final import final_descriptor, known_landed, local_layers
from .moves import ArtifactMove, BlobMove, Moves, has_known_size, moving, registry_moves
from .outcome import COPIED, MOUNTED, PRESENT, BlobCounts, Landed
from .plan import ElementPlan, Plan, VersionPlan, preview_access

UPLOAD, MOUNT, ASK, RETAG = 2, 1, 1, 2
TAR_BLOCK = 512
# An artifact set has its index, the file oci-layout and the end of the tar besides; gzip adds little to what is packed.
SET_OVERHEAD = 9 * TAR_BLOCK
GZIP_SHARE = 1000
# A component version has a descriptor and a config; its entry in an archive's index and the sizes of layers that are
# packed yet take some more.
VERSION_BLOBS, SIZES_AND_ENTRY, ENTRY = 2, 4096, 512
SOME_DIGEST = "sha256:" + 64 * "0"


@dataclass
class Forecast:
    """Requests and bytes of bodies at the target, reads of the source, and what becomes of blobs.

    Registries are expected to mount. Content whose size nobody knows before it is read counts with no bytes. For an
    archive, `bytes` is what it grows by at most. content: bytes of blobs alone. images: distinct ones that move.
    """

    requests: int = 0
    bytes: int = 0
    reads: Dict[str, int] = field(default_factory=dict)
    blobs: BlobCounts = field(default_factory=BlobCounts)
    content: int = 0
    images: int = 0

    def add(self, other: "Forecast") -> None:
        """Take over what another target takes: what both read of the source is read once."""
        self.requests += other.requests
        self.bytes += other.bytes
        self.reads.update(other.reads)
        self.blobs.take(other.blobs)
        self.content += other.content
        self.images += other.images

    def to_mapping(self) -> Dict[str, Any]:
        """As the statistics of a run show it."""
        return {
            "source": {"requests": len(self.reads), "bytes": sum(self.reads.values())},
            "target": {"requests": self.requests, "bytes": self.bytes},
            "blobs": self.blobs.to_mapping(),
        }


def forecast(plan: Plan) -> Forecast:
    """What carrying out a plan takes."""
    found = Forecast()
    if plan.target.reference.is_archive:
        _add_archive(found, plan)
        return found
    moves = registry_moves(plan)
    _add_moves(found, moves)
    _add_unknown(found, plan)
    _add_versions(found, plan)
    found.requests += RETAG * sum(element.retag for version in plan.versions for element in version.elements)
    return found


def _add_moves(found: Forecast, moves: Moves) -> None:
    found.blobs.add(PRESENT, moves.held)
    found.images = len(moves.artifacts)
    found.requests += ASK if moves.probe is not None else 0
    for move in moves.blobs:
        _add_blob(found, move)
    for artifact in moves.artifacts:
        found.requests += artifact.requests
        found.bytes += _manifest_bytes(artifact)


def _add_blob(found: Forecast, move: BlobMove) -> None:
    if move.is_copied:
        found.requests += UPLOAD
        found.bytes += move.size
        found.content += move.size
        found.blobs.add(COPIED)
        if not move.is_packed:
            _add_read(found, move.origin, move.digest, move.size)
    mounts = len(move.paths) - move.is_copied
    found.requests += MOUNT * mounts
    found.blobs.add(MOUNTED, mounts)


def _manifest_bytes(artifact: ArtifactMove) -> int:
    children = sum(manifest.size for manifest in artifact.tree.manifests[:-1])
    return children + artifact.tree.main.size * max(1, len(artifact.tags))


def _add_read(found: Forecast, origin: Any, digest: str, size: int) -> None:
    """A blob that is read from a registry; files of an archive take no request."""
    if getattr(origin, "host", None) is not None:
        found.reads[digest] = max(size, 0)


def _add_unknown(found: Forecast, plan: Plan) -> None:
    """Content whose digest or size only reading tells, and artifact sets, each of which is one blob at the source."""
    for _version, element in moving(plan):
        content = element.facts.content
        if isinstance(content, ArtifactContent):
            if content.packed is not None:
                _add_read(found, content.packed.repository, content.packed.digest, content.packed.size)
        elif not has_known_size(content):
            found.reads[element.facts.label] = max(content.size, 0)
            found.requests += UPLOAD
            found.blobs.add(COPIED)


def _add_versions(found: Forecast, plan: Plan) -> None:
    landed = _landed(plan)
    for version in plan.versions:
        if version.write:
            found.requests += UPLOAD * VERSION_BLOBS + 1
            found.bytes += _version_bytes(version, landed)


def _landed(plan: Plan) -> Dict[str, Landed]:
    """Where content ends up, with a digest of the right length where only reading or packing tells the right one."""
    landed = known_landed(plan)
    for _version, element in moving(plan):
        if element.access is None:
            access = dict(preview_access(element), localReference=SOME_DIGEST)
            landed.setdefault(element.facts.label, Landed(access, SOME_DIGEST, 0))
    return landed


def _version_bytes(version: VersionPlan, landed: Mapping[str, Landed]) -> int:
    """Descriptor, config and manifest."""
    layers = local_layers(version, landed, lambda _digest: 0)
    manifest, blobs = component_manifest(final_descriptor(version, landed), layers)
    return manifest.size + sum(map(len, blobs.values()))


def _add_archive(found: Forecast, plan: Plan) -> None:
    content = _ArchiveContent(found, plan.target.held.get("", frozenset()))
    for _version, element in moving(plan):
        content.add(element)
    content.sum_up()
    found.bytes += versions_bytes(plan)


def versions_bytes(plan: Plan) -> int:
    """At most so many bytes take the component versions of an archive themselves, without contents."""
    landed = _landed(plan)
    return sum(
        _version_bytes(version, landed) + SIZES_AND_ENTRY + ENTRY * len(version.elements)
        for version in plan.versions
        if version.write
    )


class _ArchiveContent:
    """What is written to an archive, each distinct thing once: blobs and artifact sets, manifests, artifacts."""

    def __init__(self, found: Forecast, held: Container[str]) -> None:
        self._found, self._held = found, held
        self._written: Dict[Any, int] = {}
        self._manifests: Dict[str, int] = {}
        self._present: Set[str] = set()
        self._artifacts: Set[Any] = set()

    def add(self, element: ElementPlan) -> None:
        facts, content = element.facts, element.facts.content
        if not isinstance(content, ArtifactContent):
            self._add_blob(facts.label, content)
            return
        self._artifacts.add(facts.digest if element.is_shared else set_key(facts))
        if facts.tree is None:
            if content.packed.digest not in self._written:
                self._add_blob(facts.label, content.packed)
            return
        if content.packed is not None:
            _add_read(self._found, content.packed.repository, content.packed.digest, content.packed.size)
        if element.is_shared:
            self._add_shared(facts.tree, content.repository)
        else:
            self._written[set_key(facts)] = set_bytes(facts.tree)
            self._read(facts.tree.blobs, content.repository)

    def _add_shared(self, tree: ArtifactTree, repository: Any) -> None:
        """Manifests and blobs as they are."""
        self._manifests.update({manifest.digest: manifest.size for manifest in tree.manifests})
        coming = [blob for blob in tree.blobs if blob.digest not in self._held]
        self._written.update({blob.digest: blob.size for blob in coming})
        self._present.update(blob.digest for blob in tree.blobs if blob.digest in self._held)
        self._read(coming, repository)

    def _add_blob(self, label: str, blob: BlobContent) -> None:
        if blob.digest and (blob.digest in self._held or blob.digest in self._written):
            self._found.blobs.add(PRESENT)
            return
        self._written[blob.digest or label] = max(blob.size, 0)
        if blob.repository is not None:
            _add_read(self._found, blob.repository, blob.digest, blob.size)
        elif not has_known_size(blob):
            self._found.reads[label] = max(blob.size, 0)

    def _read(self, blobs: Sequence[ContentDescriptor], repository: Any) -> None:
        for blob in blobs:
            _add_read(self._found, repository, blob.digest, blob.size)

    def sum_up(self) -> None:
        self._found.blobs.add(COPIED, len(self._written))
        self._found.blobs.add(PRESENT, len(self._present))
        self._found.content = sum(self._written.values())
        self._found.bytes += self._found.content + sum(self._manifests.values())
        self._found.images = len(self._artifacts)


def set_bytes(tree: Any) -> int:
    """At most so many bytes has the artifact as an artifact set."""
    sizes = [manifest.size for manifest in tree.manifests] + [blob.size for blob in tree.blobs]
    packed = SET_OVERHEAD + sum(in_tar(size) for size in sizes) + 512 * len(tree.manifests)
    return packed + packed // GZIP_SHARE


def in_tar(size: int) -> int:
    """Bytes of an entry of so many bytes in a tar."""
    return TAR_BLOCK + -(-size // TAR_BLOCK) * TAR_BLOCK
