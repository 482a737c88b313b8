# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes artifacts into an archive: each as an artifact set, one blob of its component version."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List, Sequence

from ..model.access import local_blob
from ..model.manifest import ContentDescriptor
from ..store.artifact_set import artifact_set_type, pack_artifact_set
from ..store.component_store import CtfStore
from ..store.component_version import ArtifactContent
from ..store.ctf import Ctf
from ..store.repository import ArtifactRepository
from .outcome import BlobCounts, Landed
from .plan import ElementFacts, ElementPlan


class ArchiveWriter:
    """Packs artifacts. A blob that several of them share is read once from the source and kept until the commit."""

    def __init__(self, target: CtfStore, counts: BlobCounts) -> None:
        self._target, self._counts = target, counts
        self._shared: Dict[str, int] = {}
        self._locks: Dict[str, threading.Lock] = {}

    def tasks(self, plans: Sequence[ElementPlan], land: Callable[[ElementPlan, Landed], None]) -> List[Callable[[], None]]:
        """One task for each distinct artifact; `land` is told where each plan's content ended up."""
        groups: Dict[Any, List[ElementPlan]] = {}
        for plan in plans:
            tag = plan.facts.hint if plan.facts.content.packed is None else plan.facts.content.packed.digest
            groups.setdefault((plan.facts.digest, tag), []).append(plan)
        distinct = [group[0].facts.tree for group in groups.values() if group[0].facts.tree is not None]
        for tree in distinct:
            for blob in tree.blobs:
                self._shared[blob.digest] = self._shared.get(blob.digest, 0) + 1
        self._locks = {digest: threading.Lock() for digest, count in self._shared.items() if count > 1}
        return [self._task(group, land) for group in groups.values()]

    def _task(self, group: Sequence[ElementPlan], land: Callable[[ElementPlan, Landed], None]) -> Callable[[], None]:
        return lambda: self._write(group, land)

    def _write(self, group: Sequence[ElementPlan], land: Callable[[ElementPlan, Landed], None]) -> None:
        facts = group[0].facts
        content: ArtifactContent = facts.content
        if facts.tree is None and content.packed is not None:
            packed = content.packed
            size = packed.size if packed.size >= 0 else content.repository.blob_size(packed.digest)
            repository = self._target.artifacts("")
            self._counts.add(repository.put_blob(packed.digest, size, packed.open))
            digest, media_type = packed.digest, packed.media_type
        else:
            blob = self._packed(facts)
            digest, size, media_type = blob.digest, blob.size, artifact_set_type(facts.tree.main)
        for plan in group:
            land(plan, Landed(local_blob(digest, media_type, plan.facts.hint), digest, size))

    def _packed(self, facts: ElementFacts) -> ContentDescriptor:
        """The artifact set as a blob of the archive; one that an interrupted run has packed is used."""
        ctf, tags = self._target.ctf, _tags(facts)
        name = " ".join([facts.digest, *tags])
        blob = ctf.recall(name)
        if blob is not None:
            self._counts.add("present")
            return blob
        source = _SpooledShared(facts.content.repository, ctf, self._locks)
        blob = ctf.add_blob(pack_artifact_set(facts.tree, tags, source), name)
        self._counts.add("copied")
        return blob


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
