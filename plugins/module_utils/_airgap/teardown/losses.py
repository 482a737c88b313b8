# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be lost with deliveries: their workloads, and the volumes of these. Pure."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from ..cluster.objects import (
    STATEFUL_SET,
    Kind,
    Object,
    kind_of,
    mapping,
    name_of,
    namespace_of,
    sequence,
    text,
    title_of,
)
from ..gitops.workloads import pod_spec
from .survey import Found

CLAIM = Kind("v1", "PersistentVolumeClaim")


def workloads_of(found: Sequence[Found]) -> List[Object]:
    """Those of the objects that make pods."""
    return [item.content for item in found if pod_spec(item.content) is not None]


def volumes_of(found: Sequence[Found], claims: Sequence[Object]) -> Tuple[List[str], List[str]]:
    """The volumes that go and those that stay, as titles. claims: those of the workloads' namespaces."""
    removed = {item.title for item in found if kind_of(item.content) == CLAIM}
    workloads = workloads_of(found)
    going, staying = set(removed), set()
    for claim in claims:
        users = [workload for workload in workloads if _uses(workload, claim)]
        if users:
            (going if any(map(_removes_claims, users)) else staying).add(title_of(claim))
    return sorted(going), sorted(staying - going)


def _uses(workload: Object, claim: Object) -> bool:
    if namespace_of(workload) != namespace_of(claim):
        return False
    name = name_of(claim)
    volumes = sequence(pod_spec(workload), "volumes")
    if name in [text(volume, "persistentVolumeClaim", "claimName") for volume in volumes]:
        return True
    # A StatefulSet names them <template>-<its name>-<number>.
    templates = [text(each, "metadata", "name") for each in sequence(workload, "spec", "volumeClaimTemplates")]
    prefix, _dash, number = name.rpartition("-")
    return number.isdigit() and prefix in [f"{template}-{name_of(workload)}" for template in templates]


def _removes_claims(workload: Object) -> bool:
    policy = mapping(workload, "spec", "persistentVolumeClaimRetentionPolicy")
    return kind_of(workload) == STATEFUL_SET and text(policy, "whenDeleted") == "Delete"
