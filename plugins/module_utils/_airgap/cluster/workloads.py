# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Flux has applied (its inventory), and the pods of a workload."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from .links import revision_of
from .objects import (
    DEPLOYMENT,
    POD,
    REPLICA_SET,
    Cluster,
    Object,
    kind_of,
    mapping,
    namespace_of,
    owned_by,
    selector_text,
    sequence,
    text,
)
from .status import PROGRESSING, Status, status_of


def inventory(obj: Object) -> List[Tuple[str, str, str, str]]:
    """Namespace, name, group and kind of all that a Kustomization has applied (status.inventory)."""
    found = []
    for entry in sequence(obj, "status", "inventory", "entries"):
        parts = text(entry, "id").rsplit("_", 2)
        namespace, separator, name = parts[0].partition("_")
        if len(parts) == 3 and separator:
            found.append((namespace, name, parts[1], parts[2]))
    return found


def pods_of(cluster: Cluster, workload: Object, status: Status) -> List[Tuple[Object, Status]]:
    """The pods of a workload with their status. Ended pods that the workload has replaced are left out."""
    namespace, selector = namespace_of(workload), selector_text(mapping(workload, "spec", "selector"))
    owners, current = [workload], ""
    if kind_of(workload) == DEPLOYMENT:
        sets = [item for item in cluster.list(REPLICA_SET, namespace, selector) if owned_by(item, [workload])]
        owners, current = sets, _current_hash(workload, sets)
    found = []
    for pod in cluster.list(POD, namespace, selector):
        if owned_by(pod, owners):
            own = _pod_status(pod, current)
            if not (text(pod, "status", "phase") == "Failed" and (status.ready or current)):
                found.append((pod, own))
    return found


def _pod_status(pod: Object, current: str) -> Status:
    status = status_of(pod)
    own = text(pod, "metadata", "labels", "pod-template-hash")
    if current and own and own != current and status.reason != "Terminating":
        return Status(PROGRESSING, "Superseded", "It is of the former state of its Deployment and is still there.")
    return status


def _current_hash(deployment: Object, sets: Sequence[Object]) -> str:
    """The pod-template-hash of a Deployment's newest state, "" when it has none yet."""
    revision = revision_of(deployment)
    for item in sets:
        if revision and revision_of(item) == revision:
            return text(item, "metadata", "labels", "pod-template-hash")
    return ""
