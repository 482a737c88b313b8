# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that an archive leaves out: decided when it is written, found at the target when it is brought there.

Nothing here writes. A blob that was left out is taken from where the target has it, so that it can be mounted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ..model.errors import NotFound
from ..model.manifest import ContentDescriptor
from ..model.reference import component_path
from ..model.snapshot import Held, Snapshot
from ..model.version import tag_of
from ..store.artifact_set import ArtifactSet
from ..store.component_store import ComponentStore, RegistryStore
from ..store.component_version import ArtifactContent, BlobContent
from ..store.repository import ArtifactRepository, Blocks, blob_source
from .inventory import Inventory
from .plan import ElementFacts, VersionFacts


@dataclass
class Need:
    """A blob that the target needs and the source leaves out. paths: of the target's repositories that want it."""

    blob: Held
    paths: Dict[str, None] = field(default_factory=dict)
    labels: Dict[str, None] = field(default_factory=dict)


def keep_left_out(target: ComponentStore, known: Snapshot) -> None:
    """What an archive leaves out already and is still known to be at the other side need not come now."""
    target.leave_out(known, [blob.digest for blob in target.left_out.blobs])


def leave_out(target: ComponentStore, facts: Sequence[VersionFacts], known: Snapshot) -> Dict[str, str]:
    """Leave out of an archive the content that is known to be at the other side; never a descriptor or a manifest.

    Returns the digests, each with the path of an archive's blobs, "".
    """
    if not (known.blobs and target.is_archive):
        return {}
    sizes = {blob.digest: blob.size for blob in known.blobs}
    moving = {blob.digest for _path, _one, blob in _moving(facts) if blob.size in (sizes.get(blob.digest), -1)}
    target.leave_out(known, moving)
    return {digest: "" for digest in moving if digest in sizes}


def left_out_digests(source: ComponentStore) -> FrozenSet[str]:
    """What an archive need not have."""
    return frozenset(blob.digest for blob in source.left_out.blobs)


class LeftOutBlobs:
    """Finds at a target what the source leaves out."""

    def __init__(self, source: ComponentStore, target: ComponentStore, concurrency: int) -> None:
        self._source, self._target, self._concurrency = source, target, concurrency

    def find(self, facts: Sequence[VersionFacts]) -> Dict[str, str]:
        """Digest of each blob that is needed and left out -> the path of the target's repository that holds it.

        Raises NotFound naming every one that the target does not hold.
        """
        left_out = {blob.digest: blob for blob in self._source.left_out.blobs}
        needs = _needs(facts, left_out) if left_out else {}
        if self._target.is_archive:
            found = {digest: "" for digest in needs if self._target.artifacts("").blob_size(digest) is not None}
        else:
            found = self._at_registry(needs, facts)
        missing = [need for digest, need in needs.items() if digest not in found]
        if missing:
            raise self._missing(missing)
        return found

    def _at_registry(self, needs: Mapping[str, Need], facts: Sequence[VersionFacts]) -> Dict[str, str]:
        places = {digest: [*need.paths, *need.blob.paths] for digest, need in needs.items()}
        found = self._holders(needs, places)
        lost = {digest for digest in needs if digest not in found}
        if lost:
            found.update(self._holders(needs, self._elsewhere(lost, facts)))
        return found

    def _holders(self, needs: Mapping[str, Need], places: Mapping[str, Sequence[str]]) -> Dict[str, str]:
        def holder(digest: str) -> Optional[str]:
            size = needs[digest].blob.size
            paths = dict.fromkeys(places[digest])
            return next((path for path in paths if self._target.artifacts(path).blob_size(digest) == size), None)

        with ThreadPoolExecutor(self._concurrency) as pool:
            found = dict(zip(places, pool.map(holder, places)))
        return {digest: path for digest, path in found.items() if path is not None}

    def _elsewhere(self, lost: Set[str], facts: Sequence[VersionFacts]) -> Dict[str, Sequence[str]]:
        """Where versions of the components at the target name what was found nowhere else."""
        there = []
        if not isinstance(self._target, RegistryStore):
            return {}
        for component in dict.fromkeys(version.source.descriptor.name for version in facts):
            try:
                there.append(Inventory(self._target, self._target.registries, self._concurrency).take([component]))
            except NotFound:
                pass  # the target has no version of it
        return {blob.digest: blob.paths for snapshot in there for blob in snapshot.blobs if blob.digest in lost}

    def _missing(self, needs: Sequence[Need]) -> NotFound:
        told = "; ".join(f"{need.blob.digest} ({need.blob.size} bytes, {', '.join(need.labels)})" for need in needs)
        base = [
            str(version)
            for version in self._source.left_out.component_versions
            if self._target.repository(version.component).head_manifest(tag_of(version.version)) is None
        ]
        hint = f"It was written for a place that holds {', '.join(base)} as well, which is not there. " if base else ""
        return NotFound(
            f"{self._target.location} does not hold {len(needs)} of the blobs that {self._source.location} leaves out: {told}.",
            f"Nothing was written. {hint}Bring the archive first that has them, or write this one again without known_content.",
        )


def supplied(facts: Sequence[VersionFacts], target: ComponentStore, found: Mapping[str, str]) -> List[VersionFacts]:
    """The facts with content that takes from the target what was left out."""
    if not found:
        return list(facts)
    holders = {digest: target.artifacts(path) for digest, path in found.items()}
    return [
        replace(version, elements=tuple(replace(one, content=_content(one.content, holders)) for one in version.elements))
        for version in facts
    ]


def with_found(held: Mapping[str, Any], found: Mapping[str, str]) -> Dict[str, Any]:
    """What is known of the target's repositories (path -> digests), and what was found."""
    result = {path: frozenset(digests) for path, digests in held.items()}
    for digest, path in found.items():
        result[path] = result.get(path, frozenset()) | {digest}
    return result


def _content(content: Any, holders: Mapping[str, ArtifactRepository]) -> Any:
    if isinstance(content, BlobContent) and content.digest in holders:
        repository = holders[content.digest]
        return replace(content, open=blob_source(repository, content.digest, content.size), repository=repository)
    if isinstance(content, ArtifactContent) and not isinstance(content.repository, ArtifactSet):
        return replace(content, repository=_Supplied(content.repository, holders))
    return content


class _Supplied:
    """A repository of the source whose left out blobs are read where the target holds them."""

    def __init__(self, source: ArtifactRepository, holders: Mapping[str, ArtifactRepository]) -> None:
        self._source, self._holders = source, holders

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        return self._holders.get(digest, self._source).open_blob(digest, size)


def _needs(facts: Sequence[VersionFacts], left_out: Mapping[str, Held]) -> Dict[str, Need]:
    needs: Dict[str, Need] = {}
    for path, one, blob in _moving(facts):
        if blob.digest in left_out:
            need = needs.setdefault(blob.digest, Need(left_out[blob.digest]))
            need.paths[path] = None
            need.labels[one.label] = None
    return needs


def _moving(facts: Sequence[VersionFacts]) -> Iterator[Tuple[str, ElementFacts, ContentDescriptor]]:
    """Every blob that has to be at the target: its path there, the element, the blob."""
    for version in facts:
        folder = component_path(version.source.descriptor.name)
        for one in version.elements:
            if one.present or one.believed:
                continue
            for blob in _blobs(one):
                yield (one.place.path if one.place else folder), one, blob


def _blobs(one: ElementFacts) -> Iterable[ContentDescriptor]:
    if one.tree is not None:
        return one.tree.blobs
    content = one.content
    if isinstance(content, BlobContent) and content.digest:
        return [ContentDescriptor(content.media_type, content.digest, content.size)]
    return []
