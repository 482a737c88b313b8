# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transfer as a whole: select, look, plan, and, outside check mode, carry out; for all targets at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ..model.errors import InvalidContent, NotFound, OcmError
from ..model.identity import identity_text, nearest_hint, select_all
from ..model.reference import RepositoryReference
from ..oci.client import Registries
from ..sources.content import ContentFinder
from ..store.component_store import ComponentStore, open_store, open_target
from ..store.component_version import StoredVersion
from ..store.closure import Closure, Key, Selection, resolve_versions
from .execute import Executor
from .forecast import Forecast, forecast
from .left_out import LeftOutBlobs, keep_left_out, leave_out, left_out_digests, supplied, with_found
from .options import TransferOptions
from .outcome import BlobCounts
from .pipeline import LIGHT
from .plan import BY_REFERENCE, Plan, VersionPlan, make_plan, preview_access
from .progress import Progress
from .room import check_room_for
from .shared import SharedFinder, SharedReadings
from .source_check import SourceCheck
from .survey import Survey

# So many targets are served at the same time.
TARGETS_AT_ONCE = 16


@dataclass
class TransferResult:
    """What a transfer did, or in check mode would do. failures: (target, error) of targets that failed.

    rewritten: archives that have everything and are written again, in the form that is asked for.
    planned: what carrying it out takes, as it was known before the first write.
    """

    component_versions: List[Dict[str, Any]] = field(default_factory=list)
    resources: List[Dict[str, Any]] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    statistics: Dict[str, Any] = field(default_factory=dict)
    failures: List[Tuple[str, OcmError]] = field(default_factory=list)
    rewritten: List[str] = field(default_factory=list)
    planned: Forecast = field(default_factory=Forecast)

    @property
    def changed(self) -> bool:
        return bool(self.rewritten) or any(version["action"] != "unchanged" for version in self.component_versions)

    def add(self, other: "TransferResult") -> None:
        """Take over what was done at another target."""
        self.component_versions.extend(other.component_versions)
        self.resources.extend(other.resources)
        self.warnings.extend(other.warnings)
        self.failures.extend(other.failures)
        self.rewritten.extend(other.rewritten)
        self.planned.add(other.planned)


class Transfer:
    """One source, any number of targets. connect() gives fresh connections, whose traffic is counted apart.

    folder: for what several targets read of the source at the same time. progress: is told what has moved.
    """

    def __init__(
        self,
        options: TransferOptions,
        connect: Callable[[], Registries],
        check_mode: bool,
        folder: str,
        progress: Optional[Progress] = None,
    ) -> None:
        self._options, self._connect, self._check_mode, self._folder = options, connect, check_mode, folder
        self._progress = progress or Progress()
        self._source_side, self._target_side = connect(), connect()
        self._counts = BlobCounts()

    def run(
        self, source: RepositoryReference, targets: Sequence[RepositoryReference], selection: Selection
    ) -> TransferResult:
        """Raises OcmError when the source cannot be read; what fails at one target is in the result's failures."""
        started, result = time.monotonic(), TransferResult()
        store = open_store(source, self._source_side)
        try:
            roots = resolve_versions(store, selection.component, selection.version, selection.constraint)
            versions = self._read(store, roots)
            if self._options.resources:
                versions = _having(versions, self._options, store.location)
            self._all_targets(store, targets, versions, result)
            result.warnings.extend(_dangling(versions, self._options.recursive or bool(self._options.resources)))
        finally:
            store.close()
            self._source_side.close()
            self._target_side.close()
        result.statistics = statistics(self._source_side, self._target_side, self._counts, started)
        result.statistics["planned"] = result.planned.to_mapping()
        return result

    def _read(self, store: ComponentStore, roots: Sequence[Key]) -> List[StoredVersion]:
        """The versions to move. From an archive that is damaged raises InvalidContent with every fault."""
        try:
            return Closure(store, self._options.recursive).children_first(roots)
        except OcmError as error:
            raise self._source_check(store).explained(error) from None

    def _source_check(self, store: ComponentStore) -> SourceCheck:
        return SourceCheck(store, self._options.concurrency, left_out_digests(store))

    def _all_targets(
        self,
        store: ComponentStore,
        targets: Sequence[RepositoryReference],
        versions: Sequence[StoredVersion],
        result: TransferResult,
    ) -> None:
        """Serve each target in a thread of its own: one that is slow or down keeps no other one waiting."""
        check = self._source_check(store)
        if len(targets) == 1:
            finder = ContentFinder(store, self._source_side)
            result.add(self._one_target(store, targets[0], versions, finder, check))
            return
        readings = SharedReadings(self._folder, LIGHT * self._options.concurrency)
        finder = SharedFinder(store, self._source_side, readings)

        def serve(target: RepositoryReference) -> TransferResult:
            return self._one_target(store, target, versions, finder, check)

        try:
            with ThreadPoolExecutor(min(len(targets), TARGETS_AT_ONCE)) as pool:
                for found in pool.map(serve, targets):
                    result.add(found)
        finally:
            readings.close()

    def _one_target(
        self,
        store: ComponentStore,
        reference: RepositoryReference,
        versions: Sequence[StoredVersion],
        finder: ContentFinder,
        check: SourceCheck,
    ) -> TransferResult:
        result = TransferResult()
        try:
            target = open_target(reference, self._target_side, self._options.part_size)
            try:
                move = Move(self._options, self._check_mode, self._counts, result, self._progress, check)
                plan = move.run(store, target, versions, finder)
            finally:
                target.close()
        except OcmError as error:
            result.failures.append((str(reference), error))
            return result
        result.warnings.extend(text for version in plan.versions for text in _left_behind(version, target.location))
        return result


@dataclass
class Move:
    """How component versions are brought to a target; `counts` and `result` are filled by every run.

    check: of the source, before the first write; without one it is not checked.
    """

    options: TransferOptions
    check_mode: bool
    counts: BlobCounts = field(default_factory=BlobCounts)
    result: TransferResult = field(default_factory=TransferResult)
    progress: Progress = field(default_factory=Progress)
    check: Optional[SourceCheck] = None

    def run(
        self, source: ComponentStore, target: ComponentStore, versions: Sequence[StoredVersion], finder: ContentFinder
    ) -> Plan:
        """Bring versions of an open source to an open target; in check mode make the plan alone.

        Raises Refused, and what reading and writing raises.
        """
        plan = self._plan(source, target, versions, finder)
        executor = Executor(plan, target, self.options.concurrency, self.counts, self.progress)
        if plan.changes:
            planned = forecast(plan)
            self.result.planned.add(planned)
            self.progress.expect(planned.content, planned.blobs.total, planned.images)
        if target.needs_writing and not plan.changes:
            self.result.rewritten.append(target.location)
        if (plan.changes or target.needs_writing) and not self.check_mode:
            executor.run()
        elif not self.check_mode:
            target.tidy()
        _report(plan, executor, self.result)
        return plan

    def _plan(
        self, source: ComponentStore, target: ComponentStore, versions: Sequence[StoredVersion], finder: ContentFinder
    ) -> Plan:
        """The plan, for a source that was checked as far as the plan needs it."""
        keep_left_out(target, self.options.known)
        try:
            facts, target_facts = Survey(source, target, finder, self.options).look(versions)
        except (InvalidContent, NotFound) as error:
            raise (self.check.explained(error) if self.check else error) from None
        left_out = leave_out(target, facts, self.options.known)
        found = LeftOutBlobs(source, target, self.options.concurrency).find(facts)
        target_facts = replace(target_facts, held=with_found(target_facts.held, {**left_out, **found}))
        plan = make_plan(supplied(facts, target, found), target_facts, self.options)
        check_room_for(plan, target)
        if self.check is not None:
            self.check.check(plan, read=not self.check_mode)
        return plan


def statistics(source: Registries, target: Registries, counts: BlobCounts, started: float) -> Dict[str, Any]:
    """Requests and bytes of both sides, blobs, and the seconds since `started` (time.monotonic)."""

    def side(registries: Registries) -> Dict[str, int]:
        return {"requests": registries.traffic.requests, "bytes": registries.traffic.bytes}

    return {
        "source": side(source),
        "target": side(target),
        "blobs": counts.to_mapping(),
        "seconds": round(time.monotonic() - started, 3),
    }


def _report(plan: Plan, executor: Executor, result: TransferResult) -> None:
    location = plan.target.location
    for version in plan.versions:
        head = {"target": location, "component": version.name, "version": version.version}
        result.component_versions.append(dict(head, action=version.action))
        result.warnings.extend(f"{location}: {note}" for note in version.notes)
        for element in version.elements:
            facts = element.facts
            landed = executor.landed.get(facts.label)
            result.resources.append(
                dict(
                    head,
                    kind=facts.kind,
                    name=facts.identity["name"],
                    identity=dict(facts.identity),
                    action=element.action,
                    before=facts.access.to_mapping(),
                    after=dict(landed.access) if landed else preview_access(element),
                    digest=facts.digest or (landed.digest if landed else None) or None,
                )
            )


def _left_behind(version: VersionPlan, location: str) -> List[str]:
    """Relative references that nobody can follow from the target."""
    return [
        f"{location}: {element.facts.label} is a relative reference that was not moved: it leads nowhere there."
        for element in version.elements
        if element.action == BY_REFERENCE and element.facts.access.type == "relativeOciReference"
    ]


def _having(versions: Sequence[StoredVersion], options: TransferOptions, location: str) -> List[StoredVersion]:
    """The versions with resources that are asked for. Raises NotFound when no version has one of them."""
    lists = [version.descriptor.resources for version in versions]
    for selector in options.resources:
        if not any(select_all(elements, selector) for elements in lists):
            names = ", ".join(map(str, versions))
            hint = nearest_hint(selector, [element for elements in lists for element in elements])
            raise NotFound(f"{location}: {names} has no resource {identity_text(selector)}.", hint)
    return [version for version, elements in zip(versions, lists) if options.named(elements)]


def _dangling(versions: Sequence[StoredVersion], recursive: bool) -> List[str]:
    """References that a transfer without recursion leaves without what they refer to."""
    if recursive:
        return []
    moved: List[Key] = [(item.descriptor.name, item.descriptor.version) for item in versions]
    return [
        f"{item} refers to {element['componentName']}:{element['version']} ({identity_text({'name': element['name']})}), "
        "which is not moved with it because recursive is false."
        for item in versions
        for element in item.descriptor.references
        if (element["componentName"], element["version"]) not in moved
    ]
