# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes artifacts into an archive: each as an artifact set, one blob of its component version, or as it is.

As it is means that manifests and blobs lie in the archive by their digests, each distinct one once.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Container, Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from ..model.access import local_blob
from ..model.content_source import once_more_if_damaged
from ..model.manifest import ContentDescriptor
from ..store.artifact_set import ArtifactSet, artifact_set_type, pack_artifact_set
from ..store.component_store import CtfStore
from ..store.component_version import ArtifactContent
from ..store.ctf import Ctf, in_memory
from ..store.repository import ArtifactRepository, OpenSource, blob_source
from .outcome import COPIED, PRESENT, BlobCounts, Landed
from .plan import ElementFacts, ElementPlan
from .progress import Progress

Land = Callable[[ElementPlan, Landed], None]
Task = Callable[[], None]


class ArchiveWriter:
    """Brings artifacts into an archive. What several of them share is read once from the source."""

    def __init__(self, target: CtfStore, tally: "Tally") -> None:
        self._target, self._tally = target, tally

    def phases(self, plans: Sequence[ElementPlan], land: Land) -> List[List[Task]]:
        """Tasks, those of a phase at once, phase after phase; `land` is told where each plan's content ended up."""
        shared = [plan for plan in plans if plan.is_shared]
        packed = [plan for plan in plans if not plan.is_shared]
        unpacked = SharedWriter(self._target, self._tally)
        sets = SetWriter(self._target, self._tally)
        return [unpacked.blob_tasks(shared) + sets.tasks(packed, land), unpacked.manifest_tasks(shared, land)]


class Tally:
    """Counts what becomes of content, and tells the progress. held: digests of blobs that nobody expects to be written."""

    def __init__(self, counts: BlobCounts, progress: Progress, location: str, held: Container[str]) -> None:
        self._counts, self._progress, self._location, self._held = counts, progress, location, held

    def put(self, repository: ArtifactRepository, blob: ContentDescriptor, source: OpenSource) -> None:
        """Write a blob into a repository of the archive."""
        watched = self._progress.watched(source, self._key(blob.digest))
        self.done(blob, repository.put_blob(blob.digest, blob.size, watched))

    def passing(self, blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
        """The same blocks, counted, of a blob that has no digest yet; `done` is told the same name."""
        return self._progress.passing(blocks, self._key(name))

    def done(self, blob: ContentDescriptor, outcome: str, name: str = "") -> None:
        self._counts.add(outcome)
        self._progress.blob_done(self._key(name or blob.digest), 0 if blob.digest in self._held else blob.size)

    def image_done(self, facts: ElementFacts) -> None:
        self._progress.image_done(facts.hint or facts.label, self._location)

    def _key(self, name: str) -> Tuple[str, str]:
        return self._location, name


class SharedWriter:
    """Writes manifests and blobs as they are. Nothing leads to them until their component version is written."""

    def __init__(self, target: CtfStore, tally: Tally) -> None:
        self._ctf, self._repository, self._tally = target.ctf, target.artifacts(""), tally

    def blob_tasks(self, plans: Sequence[ElementPlan]) -> List[Task]:
        """One task for each distinct blob, and one for each artifact set, which is read in one pass."""
        tasks: List[Task] = []
        seen: Set[str] = set()
        for plan in sorted(plans, key=lambda plan: isinstance(plan.facts.content.repository, ArtifactSet)):
            origin = plan.facts.content.repository
            wanted = {blob.digest: blob for blob in plan.facts.tree.blobs if blob.digest not in seen}
            seen.update(wanted)
            if wanted and isinstance(origin, ArtifactSet):
                tasks.append(self._walk_task(origin, wanted))
            else:
                tasks += [self._copy_task(blob, origin) for blob in wanted.values()]
        return tasks

    def manifest_tasks(self, plans: Sequence[ElementPlan], land: Land) -> List[Task]:
        """One task for each artifact, for when its blobs are there."""
        groups: Dict[str, List[ElementPlan]] = {}
        for plan in plans:
            groups.setdefault(plan.facts.digest, []).append(plan)
        return [self._manifest_task(group, land) for group in groups.values()]

    def _copy_task(self, blob: ContentDescriptor, origin: ArtifactRepository) -> Task:
        return lambda: self._put(blob, blob_source(origin, blob.digest, blob.size))

    def _walk_task(self, origin: ArtifactSet, wanted: Dict[str, ContentDescriptor]) -> Task:
        def walk() -> None:
            sizes = {digest: blob.size for digest, blob in wanted.items() if not self._is_there(blob)}
            for digest, source in origin.sources(sizes):
                self._put(wanted[digest], source)

        return walk

    def _is_there(self, blob: ContentDescriptor) -> bool:
        there = self._repository.blob_size(blob.digest) == blob.size
        if there:
            self._tally.done(blob, PRESENT)
        return there

    def _put(self, blob: ContentDescriptor, source: OpenSource) -> None:
        self._tally.put(self._repository, blob, source)

    def _manifest_task(self, group: Sequence[ElementPlan], land: Land) -> Task:
        def put() -> None:
            facts = group[0].facts
            for manifest in facts.tree.manifests:
                self._ctf.write_blob(manifest.digest, manifest.size, in_memory(manifest.raw))
            for plan in group:
                land(plan, Landed(plan.access, facts.digest, facts.tree.main.size))
            self._tally.image_done(facts)

        return put


class SetWriter:
    """Packs artifacts. A blob that several of them share is read once from the source and kept until the commit."""

    def __init__(self, target: CtfStore, tally: Tally) -> None:
        self._target, self._tally = target, tally
        self._shared: Dict[str, int] = {}
        self._locks: Dict[str, threading.Lock] = {}

    def tasks(self, plans: Sequence[ElementPlan], land: Land) -> List[Task]:
        """One task for each distinct artifact; `land` is told where each plan's content ended up."""
        groups: Dict[Any, List[ElementPlan]] = {}
        for plan in plans:
            groups.setdefault(set_key(plan.facts), []).append(plan)
        distinct = [group[0].facts.tree for group in groups.values() if group[0].facts.tree is not None]
        for tree in distinct:
            for blob in tree.blobs:
                self._shared[blob.digest] = self._shared.get(blob.digest, 0) + 1
        self._locks = {digest: threading.Lock() for digest, count in self._shared.items() if count > 1}
        return [self._task(group, land) for group in groups.values()]

    def _task(self, group: Sequence[ElementPlan], land: Land) -> Task:
        return lambda: self._write(group, land)

    def _write(self, group: Sequence[ElementPlan], land: Land) -> None:
        facts = group[0].facts
        content: ArtifactContent = facts.content
        if facts.tree is None and content.packed is not None:
            packed = content.packed
            size = packed.size if packed.size >= 0 else content.repository.blob_size(packed.digest)
            blob = ContentDescriptor(packed.media_type, packed.digest, size)
            self._tally.put(self._target.artifacts(""), blob, packed.open)
            digest, media_type = packed.digest, packed.media_type
        else:
            blob = self._packed(facts)
            digest, size, media_type = blob.digest, blob.size, artifact_set_type(facts.tree.main)
        for plan in group:
            land(plan, Landed(local_blob(digest, media_type, plan.facts.hint), digest, size))
        self._tally.image_done(facts)

    def _packed(self, facts: ElementFacts) -> ContentDescriptor:
        """The artifact set as a blob of the archive; one that an interrupted run has packed is used."""
        ctf, tags, name = self._target.ctf, _tags(facts), set_name(facts)
        blob = ctf.recall(name)
        if blob is not None:
            self._tally.done(blob, PRESENT)
            return blob
        source = _SpooledShared(facts.content.repository, ctf, self._locks)
        blob = once_more_if_damaged(
            lambda: ctf.add_blob(self._tally.passing(pack_artifact_set(facts.tree, tags, source), name), name)
        )
        self._tally.done(blob, COPIED, name)
        return blob


def set_name(facts: ElementFacts) -> str:
    """What an archive recalls the artifact's set by that an interrupted run has packed."""
    return " ".join([facts.digest, *_tags(facts)])


def set_key(facts: ElementFacts) -> Tuple[str, str]:
    """Elements of one key are one artifact set."""
    return facts.digest, facts.hint if facts.content.packed is None else facts.content.packed.digest


def _tags(facts: ElementFacts) -> List[str]:
    name = facts.hint.partition("@")[0].rpartition("/")[2]
    tag = name.partition(":")[2]
    return [tag] if tag else []


class _SpooledShared:
    """A repository whose shared blobs are read from the source once, later from the archive's own disk."""

    def __init__(self, source: ArtifactRepository, ctf: Ctf, locks: Dict[str, threading.Lock]) -> None:
        self._source, self._ctf, self._locks = source, ctf, locks

    def open_blob(self, digest: str, size: int = -1) -> Any:
        lock = self._locks.get(digest)
        if lock is None:
            return self._source.open_blob(digest, size)
        with lock:
            if not self._ctf.is_spooled(digest):
                self._ctf.spool(digest, size, lambda: self._source.open_blob(digest, size))
        return self._ctf.open_spooled(digest, size)
