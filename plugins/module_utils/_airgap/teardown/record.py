# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a delivery that goes: what was written for it, from the lock it had in Git, or from how it was applied.

Pure. What Flux and ocm-controller have made of that is found by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..cluster.objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    FLUX_DEPLOYER,
    HELM_RELEASE,
    KUSTOMIZATION,
    LOCALIZATION,
    OCI_REPOSITORY,
    RESOURCE,
    SNAPSHOT,
    Kind,
)
from ..gitops.removal import pull_secret_namespaces
from ..model.errors import InvalidInput
from ..model.identity import parse_selector

# What applies a workload goes first, then the workload, then what it was made from.
APPLIERS, WORKLOAD, ORIGINS = range(3)
_STAGES = {
    FLUX_DEPLOYER: APPLIERS,
    KUSTOMIZATION: APPLIERS,
    HELM_RELEASE: APPLIERS,
    OCI_REPOSITORY: ORIGINS,
    CONFIGURATION: ORIGINS,
    LOCALIZATION: ORIGINS,
    RESOURCE: ORIGINS,
    COMPONENT_VERSION: ORIGINS,
    SNAPSHOT: ORIGINS,
}
_KINDS = {kind.kind: kind for kind in _STAGES}
_MAKERS = (RESOURCE, LOCALIZATION, CONFIGURATION)


@dataclass(frozen=True)
class Place:
    """Objects of one kind in one namespace. name: "" for all that one of the owners, (kind, name), has made."""

    kind: Kind
    namespace: str
    name: str = ""
    owners: Tuple[Tuple[str, str], ...] = ()

    @property
    def key(self) -> Tuple[Kind, str, str]:
        return self.kind, self.namespace, self.name


@dataclass(frozen=True)
class Record:
    """A delivery that goes.

    places: what was written for it, and what the cluster has made of that. labelled: it was applied without Git, so
    its objects have its label. secret_namespaces: where its pull secret is. accounts: (namespace, name) of the
    ServiceAccounts that no other delivery has. sharers: of a namespace with the pull secret, and under "" of the
    target namespace, the folders of other deliveries.
    """

    name: str
    namespace: str
    target_namespace: str
    places: Tuple[Place, ...]
    labelled: bool
    pull_secret: str
    secret_namespaces: Tuple[str, ...]
    accounts: Tuple[Tuple[str, str], ...] = ()
    sharers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def namespaces(self) -> Tuple[str, ...]:
        """Those that it has objects in."""
        places = [place.namespace for place in self.places]
        return tuple(sorted({self.namespace, self.target_namespace, *self.secret_namespaces, *places}))


def stage_of(kind: Kind) -> int:
    """When an object of the delivery goes; all that is not of Flux or ocm-controller is its workload."""
    return _STAGES.get(kind, WORKLOAD)


def read_record(options: Mapping[str, Any]) -> Record:
    """The record of one entry of the option deliveries. Raises InvalidInput for a lock that lacks something."""
    if not options.get("lock") and not options.get("delivery"):
        raise InvalidInput(
            f"The delivery {options['name']} has neither lock nor delivery.",
            "Give its lock, or say how it was applied without Git.",
        )
    if not options.get("lock"):
        return _without_lock(options)
    try:
        return _of_lock(options["lock"], options.get("sharing") or {})
    except (AttributeError, KeyError, TypeError):
        raise InvalidInput(f"The lock of the delivery {options['name']} is not one of ocm_gitops.") from None


def _of_lock(lock: Mapping[str, Any], sharing: Mapping[str, Any]) -> Record:
    written = [
        Place(_KINDS[entry["kind"]], entry["namespace"], entry["name"])
        for entry in lock["objects"]
        if entry["kind"] in _KINDS
    ]
    shared = sharing.get("service_accounts") or {}
    accounts = [(entry["namespace"], entry["name"]) for entry in lock["objects"] if entry["kind"] == "ServiceAccount"]
    sharers = dict(sharing.get("pull_secrets") or {})
    return Record(
        name=lock["name"],
        namespace=lock["namespace"] if lock["delivery"] == "controller" else "",
        target_namespace=lock["targetNamespace"],
        places=tuple(_with_made(written)),
        labelled=False,
        pull_secret=lock["pullSecret"],
        secret_namespaces=tuple(pull_secret_namespaces(lock)),
        accounts=tuple(account for account in accounts if not shared.get("/".join(account))),
        sharers=dict(sharers, **{"": sharing.get("target_namespace") or []}),
    )


def _without_lock(options: Mapping[str, Any]) -> Record:
    """Objects of ocm-controller have the names that are rendered for them; the label tells the rest."""
    name, target = str(options["name"]).replace("_", "-").lower(), options["target_namespace"]
    controller = options["delivery"] == "controller"
    home = options["namespace"] if controller else options["flux_namespace"]
    written: List[Place] = []
    if controller:
        made = f"{name}-{parse_selector(options['manifests'])['name']}"
        written = [Place(FLUX_DEPLOYER, home, name)] + [Place(kind, home, made) for kind in _MAKERS]
    accounts = [(home, options["service_account"])] if controller else []
    if options["pull_secret_by"] == "service_account":
        accounts.append((target, "default"))
    return Record(
        name=name,
        namespace=home if controller else "",
        target_namespace=target,
        places=tuple(_with_made(written)),
        labelled=True,
        pull_secret=options["pull_secret"],
        secret_namespaces=tuple(sorted({home, target})),
        accounts=tuple(accounts),
    )


def _with_made(written: Sequence[Place]) -> List[Place]:
    """What was written, and what a FluxDeployer makes under its own name and others as Snapshots."""
    found = list(written)
    for place in written:
        if place.kind == FLUX_DEPLOYER:
            owners = ((place.kind.kind, place.name),)
            for kind in (KUSTOMIZATION, HELM_RELEASE, OCI_REPOSITORY):
                found.append(Place(kind, place.namespace, place.name, owners))
    makers: Dict[str, List[Tuple[str, str]]] = {}
    for place in written:
        if place.kind in _MAKERS:
            makers.setdefault(place.namespace, []).append((place.kind.kind, place.name))
    return found + [Place(SNAPSHOT, namespace, "", tuple(owners)) for namespace, owners in makers.items()]
