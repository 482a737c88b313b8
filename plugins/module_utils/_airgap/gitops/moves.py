# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deliveries that go on under other objects, or take the place of others. Pure: files in, edits out.

Flux removes what an object has applied when that object goes, and does not wait for another one that goes on applying
it. So whoever applies workloads hands them over first: it is suspended, then it leaves them alone to the end.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Sequence

from ..model.errors import InvalidInput, Refused
from .lock import LOCK_NAME, read_lock
from .objects import HELM, KUSTOMIZE
from .removal import KEEPER, Removal, plan_removal
from .tree import Key, Rendered, Tree, TreePlan, locked_key, plan_tree
from .workloads import POD_SPECS

# The kinds that apply workloads, and remove them when they go.
APPLIERS = ("FluxDeployer", "Kustomization", "HelmRelease")
_NAMES = ("apiVersion", "kind", "namespace", "name")

Lock = Mapping[str, Any]


@dataclass
class MovePlan(TreePlan):
    """handover: {apiVersion, kind, namespace, name} of what goes while others apply the same workloads from then on."""

    handover: List[Dict[str, Any]] = field(default_factory=list)


class Held(Exception):
    """What is planned needs a handover first."""

    def __init__(self, plan: MovePlan) -> None:
        super().__init__()
        self.plan = plan


def plan_deliveries(tree: Tree, deliveries: Sequence[Rendered], adopt: bool = False) -> MovePlan:
    """What has to be written so that the tree holds the deliveries, and not those that they replace.

    Raises Refused when two deliveries of a cluster bring one workload, and what plan_tree and plan_removal raise.
    """
    removal = plan_removal(tree, _replaced(deliveries))
    planned = plan_tree(_edited(tree, removal.edits), deliveries, adopt)
    edits = {path: content for path, content in removal.edits.items() if posixpath.basename(path) != KEEPER}
    edits.update(planned.edits)
    edits = {path: content for path, content in edits.items() if tree.read(path) != content}
    plan = MovePlan(edits, planned.locks, removal.warnings + planned.warnings)
    for rendered in deliveries:
        _refuse_double(rendered, plan.locks, removal.others)
        plan.handover += _handover(rendered, plan.locks, _former(tree, rendered, removal.locks))
    return plan


def _replaced(deliveries: Sequence[Rendered]) -> List[Removal]:
    own = {rendered.delivery.folder for rendered in deliveries}
    found = [Removal(name, each.delivery.git_path) for each in deliveries for name in each.delivery.replaces]
    for removal in found:
        if removal.folder in own:
            raise InvalidInput(f"{removal.folder} is to be replaced, and to be written.", "Take its name out of replaces.")
    return found


def _edited(tree: Tree, edits: Mapping[str, Any]) -> Tree:
    """The tree as it is after edits."""
    files = {path: edits.get(path, content) for path, content in tree.files.items()}
    left = {path: content for path, content in files.items() if content is not None}
    return Tree(left, lambda path: edits[path] if path in edits else tree.read(path))


def _former(tree: Tree, rendered: Rendered, replaced: Mapping[str, Lock]) -> List[Lock]:
    """The locks of what the delivery was until now, and of what it replaces."""
    delivery = rendered.delivery
    path = posixpath.join(delivery.folder, LOCK_NAME)
    own = [read_lock(tree.files[path], path)] if path in tree.files else []
    folders = [Removal(name, delivery.git_path).folder for name in delivery.replaces]
    return own + [replaced[folder] for folder in folders if folder in replaced]


def _handover(rendered: Rendered, planned: Mapping[str, Lock], former: Sequence[Lock]) -> List[Dict[str, Any]]:
    kept = {locked_key(entry) for lock in planned.values() for entry in lock["objects"]}
    new = planned[rendered.delivery.folder]
    found = []
    for lock in former:
        entries = [entry for entry in lock.get("objects") or [] if entry["kind"] in APPLIERS]
        going = [entry for entry in entries if locked_key(entry) not in kept]
        if going and _goes_on(lock, new):
            _refuse_leftovers(rendered, lock, new)
            found += [{key: entry[key] for key in _NAMES} for entry in going]
    return found


def _goes_on(former: Lock, new: Lock) -> bool:
    """Whether workloads are applied from now on by others. Of a chart it is not known what it brings."""
    if former.get("targetNamespace") != new.get("targetNamespace"):
        return bool(_delivered(former) & _delivered(new))
    return not (_delivered(former) and _delivered(new)) or bool(_delivered(former) & _delivered(new))


def _refuse_leftovers(rendered: Rendered, former: Lock, new: Lock) -> None:
    """What was handed over belongs to nobody, unless the new one applies it."""
    left = sorted(_delivered(former) - _delivered(new)) if _delivered(new) else []
    if left:
        names = ", ".join(f"{key[1]} {key[2]}/{key[3]}" for key in left)
        raise Refused(
            f"{rendered.delivery.folder}: another object of Flux is to apply the workloads, and {names} would be left behind.",
            "Do one after the other: first the move with the version and namespace that are there, then the others. Or "
            "take the former delivery out first (ocm.airgap.teardown).",
        )


def _refuse_double(rendered: Rendered, planned: Mapping[str, Lock], others: Mapping[str, Lock]) -> None:
    own = rendered.delivery
    workloads = _workloads(planned[own.folder])
    for folder, lock in sorted({**others, **planned}.items()):
        both = sorted(workloads & _workloads(lock))
        if folder != own.folder and posixpath.dirname(folder) == own.git_path and both:
            what = ", ".join(f"{key[1]} {key[2]}/{key[3]}" for key in both)
            raise Refused(
                f"{what}: {own.folder} is to deliver it, and {folder} ({lock.get('component')}) does already. Flux would "
                "apply one over the other.",
                f"If {own.name} takes its place, set ocm_airgap_replaces (replaces of the component) to "
                f"[{posixpath.basename(folder)}]; otherwise give it another target namespace.",
            )


def _delivered(lock: Lock) -> FrozenSet[Key]:
    return frozenset(locked_key(entry) for entry in lock.get("delivered") or [])


def _workloads(lock: Lock) -> FrozenSet[Key]:
    return frozenset(key for key in _delivered(lock) if key[1] in POD_SPECS)


def suspensions(objects: Sequence[Mapping[str, Any]], suspend: bool = True) -> List[Dict[str, Any]]:
    """What has to be patched so that live objects of the kinds APPLIERS are suspended, or go on.

    A FluxDeployer cannot be suspended: what it makes is, by its template and at once.
    """
    found: List[Dict[str, Any]] = []
    for obj in objects:
        template, made = _made_by(obj)
        spec = {template: {"suspend": suspend}} if template else {"suspend": suspend}
        names = [(obj["apiVersion"], obj["kind"], spec)] + ([(*made, {"suspend": suspend})] if template else [])
        metadata = {key: obj["metadata"][key] for key in ("namespace", "name")}
        found += [dict(apiVersion=api, kind=kind, metadata=dict(metadata), spec=change) for api, kind, change in names]
    return found


def _made_by(obj: Mapping[str, Any]) -> Any:
    """The template of a FluxDeployer and the kind of what it makes; "" for other objects."""
    if obj["kind"] != "FluxDeployer":
        return "", ()
    if (obj.get("spec") or {}).get("helmReleaseTemplate"):
        return "helmReleaseTemplate", (HELM, "HelmRelease")
    return "kustomizationTemplate", (KUSTOMIZE, "Kustomization")
