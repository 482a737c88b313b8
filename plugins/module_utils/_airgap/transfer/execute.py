# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a plan out: blobs first, then manifests, then the component versions, references before their owners.

Every blob is read once for all places that want it, in blocks that go from source to target without a file between.
Nothing is visible under a tag before it is complete.
"""

from __future__ import annotations

from typing import Dict

from ..model.errors import MissingContent
from ..model.manifest import ContentDescriptor
from ..sources.content import spooled
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, BlobContent, write_component_version
from .archive import ArchiveWriter, Tally
from .delivery import Delivery
from .final import final_descriptor, known_landed, landed_blob, local_artifacts, local_layers
from .moves import Moves, has_known_size, moving, registry_moves
from .outcome import BlobCounts, Landed
from .pipeline import LIGHT, Pipeline, Task
from .plan import ElementPlan, Plan, VersionPlan
from .progress import Progress


class Executor:
    """Carries out one plan at one target. `landed` then tells the final access of every element by its label."""

    def __init__(
        self, plan: Plan, target: ComponentStore, concurrency: int, counts: BlobCounts, progress: Progress
    ) -> None:
        self._plan, self._target, self._concurrency = plan, target, concurrency
        self.counts, self._progress = counts, progress
        self._tally = Tally(counts, progress, target.location, plan.target.held.get("", frozenset()))
        self.landed: Dict[str, Landed] = {}

    def run(self) -> None:
        """Raises what reading or writing raises; what was finished by then stays and is not moved again."""
        self._target.begin()
        self._move_contents()
        for version in self._plan.versions:
            if version.write:
                self._write_version(version)
        self._target.commit()

    def _move_contents(self) -> None:
        if self._target.is_archive:
            self._move_to_archive()
            return
        pipeline = Pipeline(LIGHT * self._concurrency, self._concurrency)
        self._begin_registry(pipeline, registry_moves(self._plan))
        for version in self._plan.versions:
            for element in version.elements:
                if element.retag:
                    pipeline.add(self._retag_task(element))
        pipeline.run()

    def _move_to_archive(self) -> None:
        found = moving(self._plan)
        artifacts = [element for _version, element in found if isinstance(element.facts.content, ArtifactContent)]
        blobs = [self._blob_task(*one) for one in found if isinstance(one[1].facts.content, BlobContent)]
        for tasks in [*ArchiveWriter(self._target, self._tally).phases(artifacts, self._land), blobs]:
            pipeline = Pipeline(self._concurrency)
            for task in tasks:
                pipeline.add(task)
            pipeline.run()

    def _begin_registry(self, pipeline: Pipeline, moves: Moves) -> None:
        self.landed.update(known_landed(self._plan))
        Delivery(moves, self._target, self.counts, pipeline, self._progress).begin()
        for version, element in moving(self._plan):
            content = element.facts.content
            if isinstance(content, BlobContent) and not has_known_size(content):
                pipeline.add(self._blob_task(version, element), heavy=True)

    def _retag_task(self, plan: ElementPlan) -> Task:
        def retag() -> None:
            place = plan.facts.place
            repository = self._target.artifacts(place.path)
            repository.put_manifest(repository.get_manifest(plan.facts.digest), place.tag)

        return retag

    def _blob_task(self, version: VersionPlan, plan: ElementPlan) -> Task:
        def put() -> None:
            repository = self._target.repository(version.name)
            with spooled(plan.facts.content, plan.facts.label) as content:
                blob = ContentDescriptor(content.media_type, content.digest, content.size)
                self._tally.put(repository, blob, content.open)
                self._land(plan, landed_blob(plan, content))

        return put

    def _land(self, plan: ElementPlan, landed: Landed) -> None:
        self.landed[plan.facts.label] = landed

    def _write_version(self, version: VersionPlan) -> None:
        repository = self._target.repository(version.name)
        descriptor = final_descriptor(version, self.landed)
        layers = local_layers(version, self.landed, repository.blob_size)
        artifacts = local_artifacts(version, self.landed, repository)
        try:
            write_component_version(repository, descriptor, layers, artifacts)
        except MissingContent:
            self._bring_local_blobs(version)
            write_component_version(repository, descriptor, layers, artifacts)

    def _bring_local_blobs(self, version: VersionPlan) -> None:
        """One that was believed to be there is not: ask for each."""
        repository = self._target.repository(version.name)
        for element in version.elements:
            content = element.facts.content
            if element.moves and has_known_size(content):
                repository.put_blob(content.digest, content.size, content.open)
