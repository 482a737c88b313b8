# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what a repository holds. Only reads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Sequence, Tuple

from ..model.access import Access
from ..model.errors import NotFound
from ..model.identity import Element
from ..model.manifest import ContentDescriptor
from ..model.placement import Place, artifact_name, hint_of, place_of
from ..model.reference import component_path
from ..model.snapshot import HeldVersion, Snapshot, collect
from ..oci.client import Registries
from ..sources.content import ContentFinder
from ..store.closure import Key, references_of
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, NotAComponentVersion, StoredVersion
from ..store.repository import ArtifactRepository, read_artifact
from .survey import own_artifact

Found = Dict[str, Dict[str, Any]]
Job = Tuple[str, ArtifactRepository, str, str]


class Inventory:
    """One look at what a repository holds of some components. missing: what its component versions name and it has not."""

    def __init__(self, store: ComponentStore, registries: Registries, concurrency: int) -> None:
        self._store, self._concurrency = store, concurrency
        self._finder = ContentFinder(store, registries)
        self._manifests: Found = {}
        self._blobs: Found = {}
        self.missing: List[str] = []

    def take(self, components: Sequence[str]) -> Snapshot:
        """All versions of the components (of an archive: of all, if none is named) and those that they refer to.

        Raises NotFound for an unknown component, InvalidInput for a registry without a component.
        """
        versions = self._versions(components or self._store.components())
        jobs: Dict[Tuple[str, str, str], Job] = {}
        for version in versions:
            for job in self._jobs(version):
                path, repository, reference, _label = job
                jobs.setdefault((path, reference, repository.name), job)  # an artifact set has no reference, but a name
        with ThreadPoolExecutor(self._concurrency) as pool:
            trees = list(pool.map(_read, jobs.values()))
        for (path, _repository, _reference, label), tree in zip(jobs.values(), trees):
            if tree is None:
                self.missing.append(label)
                continue
            for manifest in tree.manifests:
                _add(self._manifests, manifest.descriptor(), path)
            for blob in tree.blobs:
                _add(self._blobs, blob, path)
        held = [HeldVersion(one.descriptor.name, one.descriptor.version, one.digest) for one in versions]
        return Snapshot(str(self._store.reference), tuple(sorted(held)), collect(self._manifests), collect(self._blobs))

    def _versions(self, components: Sequence[str]) -> List[StoredVersion]:
        """Every version, and by references from them, as far as they are there."""
        todo: List[Key] = [(component, version) for component in components for version in self._store.versions(component)]
        found: Dict[Key, StoredVersion] = {}
        seen = set(todo)
        while todo:
            with ThreadPoolExecutor(self._concurrency) as pool:
                read = list(pool.map(self._find, todo))
            for key, version in zip(todo, read):
                if version is None:
                    self.missing.append(f"{key[0]}:{key[1]}")
                else:
                    found[key] = version
            named = [key for version in read if version is not None for key in references_of(version)]
            todo = [key for key in dict.fromkeys(named) if key not in seen]
            seen.update(todo)
        return list(found.values())

    def _find(self, key: Key) -> Any:
        try:
            return self._store.find(*key)
        except NotAComponentVersion:
            return None

    def _jobs(self, version: StoredVersion) -> List[Job]:
        """The artifacts of a version: path below the prefix, repository, reference there, label."""
        descriptor = version.descriptor
        folder = component_path(descriptor.name)
        jobs: List[Job] = []
        if version.repository is not None:
            # What lies beside a component version in an archive comes to a place of its own at a registry.
            own = version.manifest.digest if self._store.is_archive and version.manifest else version.digest
            jobs.append((folder, version.repository, own, str(version)))
        for kind, element in descriptor.contents():
            jobs += self._element_jobs(version, kind, element, folder)
        return jobs

    def _element_jobs(self, version: StoredVersion, kind: str, element: Element, folder: str) -> List[Job]:
        access, label = version.descriptor.access_of(element), version.descriptor.label_of(kind, element)
        place, digest = own_artifact(self._store.reference, access, element)
        if place is not None:
            return [(place.path, self._store.artifacts(place.path), digest or place.tag, label)]
        if not self._store.is_archive or not access.is_own:
            return []
        if access.is_local:
            self._add_local(version, access, label, folder)
        content = self._finder.find(version, kind, element)
        if not isinstance(content, ArtifactContent):
            return []
        return [(self._usual_place(access, folder, label).path, content.repository, content.reference, label)]

    def _usual_place(self, access: Access, folder: str, label: str) -> Place:
        """Where a transfer puts an archive's image at a registry."""
        return place_of(hint_of(access, self._store.reference), artifact_name(access), (), folder, label)

    def _add_local(self, version: StoredVersion, access: Access, label: str, folder: str) -> None:
        """The blob of a component archive, which no manifest names."""
        if version.repository is None:
            blob = version.local_blob(access, label)
            if blob.digest:
                _add(self._blobs, ContentDescriptor(blob.media_type, blob.digest, blob.size), folder)


def _read(job: Job) -> Any:
    _path, repository, reference, _label = job
    try:
        return read_artifact(repository, reference)
    except NotFound:
        return None


def _add(found: Found, content: ContentDescriptor, path: str) -> None:
    entry = found.setdefault(content.digest, {"size": content.size, "paths": set()})
    entry["paths"].add(path)
