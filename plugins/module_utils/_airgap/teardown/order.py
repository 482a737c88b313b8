# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to remove next, and which finalizers nobody takes away any more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

from ..cluster.objects import (
    HELM_RELEASE,
    KUSTOMIZATION,
    OCI_REPOSITORY,
    SNAPSHOT,
    Object,
    kind_of,
    sequence,
)
from .survey import Found

# Those of ocm-controller and of Flux. Finalizers of others are theirs.
FINALIZERS = ("finalizers.snapshot.ocm.software", "finalizers.fluxcd.io")
# The Deployment whose pods take the finalizers of a kind away.
KEEPERS = {
    SNAPSHOT: "ocm-controller",
    KUSTOMIZATION: "kustomize-controller",
    HELM_RELEASE: "helm-controller",
    OCI_REPOSITORY: "source-controller",
}


@dataclass(frozen=True)
class Steps:
    """remove: objects that have to be removed now. release: objects, and the finalizers that are left to them."""

    remove: Tuple[Object, ...]
    release: Tuple[Tuple[Object, Tuple[str, ...]], ...]


def next_steps(found: Sequence[Found], is_overdue: Callable[[Object], bool]) -> Steps:
    """What to do about objects that are still there. is_overdue: who takes its finalizers away has had enough time.

    What applies a workload has to be gone before the workload is touched, and that before what both were made from.
    """
    stage = min((item.stage for item in found), default=0)
    remove = [item.content for item in found if item.stage == stage and not item.is_going]
    release = []
    for item in found:
        present = finalizers_of(item.content)
        rest = tuple(name for name in present if name not in FINALIZERS)
        if item.is_going and rest != present and is_overdue(item.content):
            release.append((item.content, rest))
    return Steps(tuple(remove), tuple(release))


def finalizers_of(obj: Object) -> Tuple[str, ...]:
    return tuple(str(name) for name in sequence(obj, "metadata", "finalizers"))


def keeper_of(obj: Object) -> str:
    """The name of the controller that takes the object's finalizers away, "" for none that is known."""
    return KEEPERS.get(kind_of(obj), "")


def still_there(found: Sequence[Found]) -> str:
    """The message about objects that do not go. What has to wait for them is not named."""
    stage = min((item.stage for item in found), default=0)
    lines: List[str] = []
    for item in found:
        names = ", ".join(finalizers_of(item.content))
        if item.is_going or item.stage == stage:
            lines.append(f"{item.title} ({f'waits for {names}' if names else 'something applies it again'})")
    return f"Still there: {'; '.join(lines)}."
