# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of the chain as values: an object, its status, and what of its content it has reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from ..model.labels import SHOWN
from .flux import applied_revision
from .objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    DEPLOYMENT,
    FLUX_KINDS,
    LOCALIZATION,
    POD,
    REPLICA_SET,
    RESOURCE,
    Kind,
    Object,
    is_suspended,
    kind_of,
    mapping,
    name_of,
    namespace_of,
    text,
    title,
)
from .status import Status, given_up, status_of

_REVISION = "deployment.kubernetes.io/revision"
# Kind, namespace and name.
Reference = Tuple[str, str, str]


@dataclass(frozen=True)
class Wanted:
    """Which chain: its namespace and name or component. version: the exact version it is to be at, or "".

    target_namespace: where workloads lie that were applied without Flux; "" for the same namespace.
    """

    namespace: str
    name: str = ""
    component: str = ""
    version: str = ""
    target_namespace: str = ""


@dataclass(frozen=True)
class Link:
    """One object of the chain. content is empty when the object is missing. workload: for pods, whose they are."""

    kind: Kind
    namespace: str
    name: str
    status: Status
    revision: str = ""
    content: Object = field(default_factory=dict, compare=False)
    workload: str = ""

    @property
    def title(self) -> str:
        return title(self.kind.kind, self.namespace, self.name)

    @property
    def key(self) -> Reference:
        return self.kind.kind, self.namespace, self.name

    @property
    def given_up(self) -> bool:
        """Whether its controller has to be shown it again. What a person has suspended is left alone."""
        if is_suspended(self.content):
            return SHOWN in mapping(self.content, "metadata", "annotations")
        return given_up(self.status)

    def as_result(self) -> Dict[str, Any]:
        """The entry of the return value `chain`."""
        return dict(
            kind=self.kind.kind,
            namespace=self.namespace,
            name=self.name,
            ready=self.status.ready,
            given_up=self.given_up,
            reason=self.status.reason,
            message=self.status.message,
            revision=self.revision or None,
        )


@dataclass(frozen=True)
class Chain:
    """All links, in the order in which content passes them. parents: what Flux applies the first of them from."""

    links: Tuple[Link, ...]
    parents: Tuple[Link, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.links) and all(link.status.ready for link in self.links)

    @property
    def failed(self) -> Tuple[Link, ...]:
        """The links that waiting does not mend."""
        return tuple(link for link in self.links if link.status.failed)

    def of(self, *kinds: Kind) -> List[Link]:
        return [link for link in self.links if link.kind in kinds]


def link_of(obj: Object, status: Optional[Status] = None, workload: str = "") -> Link:
    """The link of an object that is there."""
    found = status or status_of(obj)
    return Link(kind_of(obj), namespace_of(obj), name_of(obj), found, revision_of(obj), obj, workload)


def revision_of(obj: Object) -> str:
    """What of its content an object has reached: a version, a revision of Flux, the state of a workload, or ""."""
    kind = kind_of(obj)
    if kind == COMPONENT_VERSION:
        return text(obj, "status", "reconciledVersion")
    if kind == RESOURCE:
        return text(obj, "status", "lastAppliedComponentVersion")
    if kind in (LOCALIZATION, CONFIGURATION):
        return text(obj, "status", "latestSourceVersion")
    if kind in FLUX_KINDS:
        return applied_revision(obj)
    if kind in (DEPLOYMENT, REPLICA_SET):
        return text(obj, "metadata", "annotations", _REVISION)
    if kind == POD:
        labels = mapping(obj, "metadata", "labels")
        return text(labels, "pod-template-hash") or text(labels, "controller-revision-hash")
    return text(obj, "status", "updateRevision")
