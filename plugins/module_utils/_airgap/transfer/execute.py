# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a plan out: blobs first, then manifests, then the component versions, references before their owners.

Every blob is read once for all places that want it, in blocks that go from source to target without a file between.
Nothing is visible under a tag before it is complete.
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from ..model.access import Access, local_blob
from ..model.descriptor import ComponentDescriptor
from ..model.digest import is_digest
from ..sources.content import spooled, stated_digest
from ..store.artifact_set import ArtifactSet
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, BlobContent, LocalArtifact, LocalLayer, write_component_version
from ..store.repository import ArtifactRepository, FirstFrom, OpenSource, blob_source, read_artifact
from .archive import ArchiveWriter
from .outcome import BlobCounts, Landed
from .plan import ElementPlan, Plan, VersionPlan


MUCH_TO_MOVE = 16 * 1024 * 1024


@dataclass
class BlobJob:
    """One blob that has to be in some repositories of the target."""

    digest: str
    size: int
    open_source: OpenSource
    origin: ArtifactRepository
    paths: List[str]


class Executor:
    """Carries out one plan at one target. `landed` then tells the final access of every element by its label."""

    def __init__(self, plan: Plan, target: ComponentStore, concurrency: int, counts: BlobCounts) -> None:
        self._plan, self._target, self._concurrency = plan, target, concurrency
        self.counts = counts
        self.landed: Dict[str, Landed] = {}
        self._held: Dict[str, str] = {}

    def run(self) -> None:
        """Raises what reading or writing raises; what was finished by then stays and is not moved again."""
        self._target.begin()
        moving = [(version, plan) for version in self._plan.versions for plan in version.elements if plan.moves]
        artifacts = [plan for _version, plan in moving if isinstance(plan.facts.content, ArtifactContent)]
        self._move_artifacts(artifacts)
        blobs = [(version, plan) for version, plan in moving if isinstance(plan.facts.content, BlobContent)]
        self._parallel([self._blob_task(version, plan) for version, plan in blobs])
        self._parallel([self._retag_task(plan) for version in self._plan.versions for plan in version.elements if plan.retag])
        for version in self._plan.versions:
            if version.write:
                self._write_version(version)
        self._target.commit()

    def _parallel(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run tasks; after the first error those that have not begun are dropped."""
        with ThreadPoolExecutor(self._concurrency) as pool:
            futures: List[Future] = [pool.submit(task) for task in tasks]
            _done, pending = wait(futures, return_when=FIRST_EXCEPTION)
            for future in pending:
                future.cancel()
            for future in futures:
                if not future.cancelled():
                    future.result()

    def _move_artifacts(self, plans: Sequence[ElementPlan]) -> None:
        if self._target.is_archive:
            for tasks in ArchiveWriter(self._target, self.counts).phases(plans, self._land):
                self._parallel(tasks)
            return
        jobs = _blob_jobs(plans)
        self._held = self._held_elsewhere(jobs)
        by_set: Dict[int, List[BlobJob]] = {}
        for job in jobs:
            if isinstance(job.origin, ArtifactSet):
                by_set.setdefault(id(job.origin), []).append(job)
        single = [job for job in jobs if not isinstance(job.origin, ArtifactSet)]
        self._parallel([self._first_task(job) for job in single] + [self._walk_task(group) for group in by_set.values()])
        self._parallel([self._mount_task(job, path) for job in jobs for path in job.paths[1:]])
        self._parallel([self._manifests_task(group) for group in _by_artifact(plans)])

    def _held_elsewhere(self, jobs: Sequence[BlobJob]) -> Dict[str, str]:
        """Blobs that images of this plan hold at the target already, by digest: their repository.

        Only when much is to be moved: telling it costs the manifests of those images.
        """
        present = {
            (plan.facts.place.path, plan.facts.digest)
            for version in self._plan.versions
            for plan in version.elements
            if plan.facts.present and plan.facts.place is not None
        }
        if not present or sum(job.size for job in jobs) < MUCH_TO_MOVE:
            return {}
        held: Dict[str, str] = {}
        for path, digest in sorted(present):
            repository = self._target.artifacts(path)
            for blob in read_artifact(repository, digest).blobs:
                held.setdefault(blob.digest, getattr(repository, "path", path))
        return held

    def _first_task(self, job: BlobJob) -> Callable[[], None]:
        def put() -> None:
            held = self._held.get(job.digest)
            self._put(job, job.paths[0], job.open_source, [held] if held else self._same_host(job.origin))

        return put

    def _mount_task(self, job: BlobJob, path: str) -> Callable[[], None]:
        def mount() -> None:
            first = self._target.artifacts(job.paths[0])
            self._put(job, path, job.open_source, [getattr(first, "path", job.paths[0])])

        return mount

    def _walk_task(self, jobs: Sequence[BlobJob]) -> Callable[[], None]:
        """All wanted blobs of one artifact set in one pass over its stream."""

        def walk() -> None:
            wanted = {job.digest: job for job in jobs}
            for digest, size, blocks in jobs[0].origin.walk():
                job = wanted.pop(digest, None)
                if job is not None and size == job.size:
                    self._put(job, job.paths[0], FirstFrom(blocks, job.open_source), ())
            for job in wanted.values():
                self._put(job, job.paths[0], job.open_source, ())

        return walk

    def _put(self, job: BlobJob, path: str, source: OpenSource, mount_from: Sequence[str]) -> None:
        self.counts.add(self._target.artifacts(path).put_blob(job.digest, job.size, source, mount_from))

    def _same_host(self, origin: ArtifactRepository) -> Sequence[str]:
        """The source's repository where source and target are one registry, to mount from."""
        host = getattr(origin, "host", None)
        return [origin.path] if host and host == self._target.reference.host else ()

    def _manifests_task(self, plans: Sequence[ElementPlan]) -> Callable[[], None]:
        """The manifests of one artifact at one place: children first, the main one last, under every tag wanted."""

        def put() -> None:
            facts = plans[0].facts
            repository = self._target.artifacts(facts.place.path)
            tags = sorted({plan.facts.place.tag for plan in plans if plan.facts.place and plan.facts.place.tag})
            for manifest in facts.tree.manifests[:-1]:
                repository.put_manifest(manifest)
            for tag in tags or [""]:
                repository.put_manifest(facts.tree.main, tag)

        return put

    def _retag_task(self, plan: ElementPlan) -> Callable[[], None]:
        def retag() -> None:
            place = plan.facts.place
            repository = self._target.artifacts(place.path)
            repository.put_manifest(repository.get_manifest(plan.facts.digest), place.tag)

        return retag

    def _blob_task(self, version: VersionPlan, plan: ElementPlan) -> Callable[[], None]:
        def put() -> None:
            facts = plan.facts
            repository = self._target.repository(version.name)
            with spooled(facts.content, facts.label) as content:
                outcome = repository.put_blob(content.digest, content.size, content.open, self._same_host(content.repository))
                self.counts.add(outcome)
                access = plan.access or _local_access(content, facts.hint)
                self._land(plan, Landed(access, content.digest, content.size))

        return put

    def _land(self, plan: ElementPlan, landed: Landed) -> None:
        self.landed[plan.facts.label] = landed

    def access_of(self, plan: ElementPlan) -> Mapping[str, Any]:
        """The element's access after the run."""
        landed = self.landed.get(plan.facts.label)
        return landed.access if landed else plan.access or {}

    def _write_version(self, version: VersionPlan) -> None:
        repository = self._target.repository(version.name)
        descriptor = self._final_descriptor(version)
        write_component_version(repository, descriptor, self._layers(version), self._artifacts(version))

    def _final_descriptor(self, version: VersionPlan) -> ComponentDescriptor:
        descriptor = version.base
        for kind in ("resource", "source"):
            plans = [plan for plan in version.elements if plan.facts.kind == kind]
            descriptor = descriptor.with_accesses(kind, [self.access_of(plan) for plan in plans])
        return _with_digests(descriptor, [self._digest_of(plan) for plan in version.elements])

    def _digest_of(self, plan: ElementPlan) -> Tuple[bool, str]:
        landed = self.landed.get(plan.facts.label)
        digest = "" if plan.facts.believed else plan.facts.digest
        return plan.facts.is_artifact, digest or (landed.digest if landed else "")

    def _artifacts(self, version: VersionPlan) -> List[LocalArtifact]:
        """The artifacts that stand beside the component version's manifest, with every element that each belongs to."""
        owners: Dict[str, Tuple[Any, ...]] = {}
        for plan in version.elements:
            digest = self._artifact_beside(plan, version)
            if digest:
                owners[digest] = owners.get(digest, ()) + ((plan.facts.kind, plan.facts.identity),)
        repository = self._target.repository(version.name)
        return [LocalArtifact(read_artifact(repository, digest), found) for digest, found in owners.items()]

    def _artifact_beside(self, plan: ElementPlan, version: VersionPlan) -> str:
        """The digest of an element's artifact that lies in the component's own repository, unpacked; "" for others."""
        landed, existing = self.landed.get(plan.facts.label), version.facts.target
        if landed is not None:
            return landed.digest if plan.is_shared else ""
        access = Access.from_mapping(self.access_of(plan), plan.facts.label)
        return (existing.local_manifest(access, plan.facts.label) or "") if existing and access.is_local else ""

    def _layers(self, version: VersionPlan) -> List[LocalLayer]:
        """One layer for each local blob, in the order of the elements, with every element that it belongs to."""
        layers: Dict[str, LocalLayer] = {}
        for plan in version.elements:
            access = Access.from_mapping(self.access_of(plan), plan.facts.label)
            if not access.is_local or self._artifact_beside(plan, version):
                continue
            owner = (plan.facts.kind, plan.facts.identity)
            for digest, size in self._parts(plan, access, version):
                known = layers.get(digest)
                owners = (known.owners if known else ()) + (owner,)
                layers[digest] = LocalLayer(str(access.get("mediaType") or ""), digest, size, owners)
        return list(layers.values())

    def _parts(self, plan: ElementPlan, access: Access, version: VersionPlan) -> Iterator[Tuple[str, int]]:
        landed = self.landed.get(plan.facts.label)
        existing = version.facts.target
        sizes = {layer.digest: layer.size for layer in existing.manifest.layers} if existing and existing.manifest else {}
        if landed is not None:
            sizes[landed.digest] = landed.size
        repository = self._target.repository(version.name)
        for digest in str(access.get("localReference") or access.get("digest")).split(","):
            digest = digest.strip()
            if is_digest(digest):
                size = sizes[digest] if digest in sizes else repository.blob_size(digest)
                yield digest, size or 0


def _blob_jobs(plans: Sequence[ElementPlan]) -> List[BlobJob]:
    """Each distinct blob once, with every path that wants it; the first path gets the bytes."""
    jobs: Dict[str, BlobJob] = {}
    for plan in plans:
        facts = plan.facts
        repository = facts.content.repository
        for blob in facts.tree.blobs:
            job = jobs.get(blob.digest)
            if job is None:
                source = blob_source(repository, blob.digest, blob.size)
                jobs[blob.digest] = BlobJob(blob.digest, blob.size, source, repository, [facts.place.path])
            elif facts.place.path not in job.paths:
                job.paths.append(facts.place.path)
    return list(jobs.values())


def _by_artifact(plans: Sequence[ElementPlan]) -> List[List[ElementPlan]]:
    groups: Dict[Tuple[str, str], List[ElementPlan]] = {}
    for plan in plans:
        groups.setdefault((plan.facts.place.path, plan.facts.digest), []).append(plan)
    return list(groups.values())


def _local_access(content: BlobContent, hint: str) -> Mapping[str, Any]:
    return local_blob(content.digest, content.media_type, hint)


def _with_digests(descriptor: ComponentDescriptor, digests: Sequence[Tuple[bool, str]]) -> ComponentDescriptor:
    """Fill in the digests that resources lack, as the old OCM tool does when it moves them."""
    changed, resources = False, []
    for element, (is_artifact, digest) in zip(descriptor.resources, digests):
        if not element.get("digest") and digest and not stated_digest(element):
            algorithm, _colon, value = digest.partition(":")
            name = "ociArtifactDigest/v1" if is_artifact else "genericBlobDigest/v1"
            spec = {"hashAlgorithm": algorithm.upper().replace("SHA", "SHA-"), "normalisationAlgorithm": name, "value": value}
            element, changed = dict(element, digest=spec), True
        resources.append(element)
    return descriptor.changed(resources=resources) if changed else descriptor
