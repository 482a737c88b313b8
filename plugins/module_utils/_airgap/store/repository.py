# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small interface that registries, archives and artifact sets share: one OCI repository."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import AbstractSet, Any, FrozenSet, Iterator, List, Optional, Sequence

from ..model.content_source import Blocks, OpenSource, SeekableSource, open_at
from ..model.errors import InvalidContent
from ..model.manifest import ContentDescriptor, Manifest

MAX_ARTIFACT_DEPTH = 8


class ArtifactRepository(ABC):
    """One repository of OCI artifacts: manifests by tag or digest, blobs by digest.

    `oci.client.RegistryRepository` has the same methods without inheriting. name: for messages.
    """

    name: str

    @abstractmethod
    def tags(self) -> List[str]:
        """All tags. Raises NotFound for an unknown repository."""

    @abstractmethod
    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        """What a tag or digest stands for, or None when it is absent."""

    @abstractmethod
    def get_manifest(self, reference: str) -> Manifest:
        """The exact bytes of a manifest. Raises NotFound."""

    @abstractmethod
    def blob_size(self, digest: str) -> Optional[int]:
        """The size of a blob in bytes, or None when it is absent."""

    @abstractmethod
    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        """The blob in blocks of at most 1 MiB, digest and size checked while they pass. Raises NotFound."""


class WritableRepository(ArtifactRepository):
    """A repository that takes content."""

    @abstractmethod
    def put_blob(
        self, digest: str, size: int, open_source: OpenSource, mount_from: Sequence[str] = (), absent: bool = False
    ) -> str:
        """Write a blob unless it is there. Returns present, mounted or copied.

        absent: it is believed not to be there, so nothing is spent on asking.
        """

    @abstractmethod
    def put_manifest(self, manifest: Manifest, tag: str = "") -> None:
        """Write a manifest, by its digest or under a tag. Raises MissingContent when something it names is not there."""


@dataclass(frozen=True)
class ArtifactTree:
    """An OCI artifact whole: its main manifest, and every manifest below it, children before parents, main last.

    elsewhere: digests of foreign layers that the repository does not hold; they stay where they are.
    Manifests that were not to be read are left out, with all that is below them.
    """

    manifests: Sequence[Manifest] = field(default_factory=tuple)
    elsewhere: FrozenSet[str] = frozenset()

    @property
    def main(self) -> Manifest:
        return self.manifests[-1]

    @property
    def blobs(self) -> List[ContentDescriptor]:
        """Every blob that the manifests name and the repository has to hold, each digest once."""
        found = {blob.digest: blob for manifest in self.manifests for blob in manifest.blobs}
        return [blob for blob in found.values() if blob.digest not in self.elsewhere]


class _BlobSource(SeekableSource):
    """One blob of a repository. A repository without `open_blob_at` is read from the blob's beginning."""

    def __init__(self, repository: ArtifactRepository, digest: str, size: int) -> None:
        self._repository, self._digest, self._size = repository, digest, size

    def __call__(self) -> Blocks:
        return self._repository.open_blob(self._digest, self._size)

    def open_at(self, offset: int) -> Blocks:
        direct = getattr(self._repository, "open_blob_at", None)
        if direct is not None:
            return direct(self._digest, self._size, offset)
        return open_at(lambda: self._repository.open_blob(self._digest, self._size), offset)


def blob_source(repository: ArtifactRepository, digest: str, size: int) -> SeekableSource:
    """A source that opens one blob of a repository, as often as it is asked to, from any byte on."""
    return _BlobSource(repository, digest, size)


class FirstFrom:
    """A source that gives a stream that is being read already, and on a second try the content from its beginning."""

    def __init__(self, blocks: Iterator[bytes], again: OpenSource) -> None:
        self._blocks: Optional[Iterator[bytes]] = blocks
        self._again, self._opened = again, None

    def __call__(self) -> "FirstFrom":
        return self

    def __enter__(self) -> Iterator[bytes]:
        if self._blocks is not None:
            blocks, self._blocks = self._blocks, None
            return blocks
        self._opened = self._again()
        return self._opened.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._opened is not None:
            self._opened.__exit__(*error)


def read_artifact(repository: ArtifactRepository, reference: str) -> ArtifactTree:
    """Read the manifest that `reference` (tag or digest) names and all below it.

    Raises NotFound, InvalidContent for indexes that are nested too deep.
    """
    return read_below(repository, repository.get_manifest(reference))


def read_below(repository: ArtifactRepository, main: Manifest, without: AbstractSet[str] = frozenset()) -> ArtifactTree:
    """Read all below a manifest, except for those whose digests are in `without`. Raises what read_artifact raises."""
    ordered: List[Manifest] = []
    _read_below(repository, main, ordered, without)
    foreign = [blob for blob in ArtifactTree(tuple(ordered)).blobs if blob.is_foreign]
    elsewhere = frozenset(blob.digest for blob in foreign if repository.blob_size(blob.digest) is None)
    return ArtifactTree(tuple(ordered), elsewhere)


def _read_below(
    repository: ArtifactRepository,
    manifest: Manifest,
    ordered: List[Manifest],
    without: AbstractSet[str],
    depth: int = 0,
) -> None:
    if depth > MAX_ARTIFACT_DEPTH:
        raise InvalidContent(f"{repository.name}: indexes are nested deeper than {MAX_ARTIFACT_DEPTH} levels.")
    if any(known.digest == manifest.digest for known in ordered):
        return
    for child in manifest.children:
        if child.digest not in without:
            _read_below(repository, repository.get_manifest(child.digest), ordered, without, depth + 1)
    ordered.append(manifest)
