# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain from a component version, or from what Flux has rendered, to the pods; it is read, never written.

Controller delivery: ComponentVersion, Resource, Localization and Configuration (by their source references),
FluxDeployer, OCIRepository, Kustomization or HelmRelease, workloads, pods. Rendered delivery: GitRepository,
Kustomization or HelmRelease, workloads, pods. Applied without Flux: the workloads with the delivery's label, pods.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Set

from ..model.errors import InvalidInput
from ..model.labels import DELIVERY
from .flux import applied_revision, flux_source
from .links import Chain, Link, Reference, Wanted, link_of, revision_of
from .objects import (
    COMPONENT_DESCRIPTOR,
    COMPONENT_VERSION,
    CONFIGURATION,
    CRON_JOB,
    FLUX_DEPLOYER,
    FLUX_KINDS,
    HELM_RELEASE,
    JOB,
    KUSTOMIZATION,
    LOCALIZATION,
    OCI_REPOSITORY,
    OCM_KINDS,
    POD,
    REPLICA_SET,
    RESOURCE,
    WORKLOAD_KINDS,
    Cluster,
    ClusterError,
    Kind,
    Object,
    is_suspended,
    kind_of,
    mapping,
    name_of,
    named,
    namespace_of,
    sequence,
    split_path,
    text,
)
from .status import DESCRIPTOR_MISSING, FAILED, PROGRESSING, Status, status_of, waits_for_input
from .workloads import inventory, pods_of

_FLUX_LABELS = {"Kustomization": "kustomize.toolkit.fluxcd.io", "HelmRelease": "helm.toolkit.fluxcd.io"}


def read_chain(cluster: Cluster, wanted: Wanted) -> Chain:
    """Read the whole chain. Raises InvalidInput (several component versions fit) and ClusterError."""
    walk = _Walk(cluster, wanted)
    version = _find_component_version(cluster, wanted)
    if version is not None:
        walk.controller_delivery(version)
    else:
        walk.rendered_delivery()
    by_key = {link.key: link for link in walk.links}
    links = [_parked(link, by_key) if link.kind in (LOCALIZATION, CONFIGURATION) else link for link in walk.links]
    return Chain(tuple(links), tuple(walk.parents()))


def _parked(link: Link, by_key: Mapping[Reference, Link]) -> Link:
    """ocm-controller does not look again at what had an input that was not ready once: waiting does not help."""
    inputs = [by_key.get(reference) for reference in references_of(link.content)]
    if waits_for_input(link.status) and all(item is not None and item.status.ready for item in inputs):
        return replace(link, status=replace(link.status, state=FAILED))
    return link


def _find_component_version(cluster: Cluster, wanted: Wanted) -> Optional[Object]:
    if wanted.component:
        found = [
            version
            for version in cluster.list(COMPONENT_VERSION, wanted.namespace)
            if text(version, "spec", "component") == wanted.component
        ]
        if len(found) > 1 and wanted.name:
            found = _named_so(cluster, wanted, found) or found
        if len(found) > 1:
            names = ", ".join(sorted(map(name_of, found)))
            raise InvalidInput(
                f"Namespace {wanted.namespace}: several ComponentVersions are of {wanted.component}: {names}.",
                "Give the name of one of them.",
            )
        return found[0] if found else None
    version = cluster.get(COMPONENT_VERSION, wanted.namespace, wanted.name)
    if version is None:
        deployer = cluster.get(FLUX_DEPLOYER, wanted.namespace, wanted.name)
        version = _upstream(cluster, deployer) if deployer is not None else None
    return version


def _named_so(cluster: Cluster, wanted: Wanted, versions: List[Object]) -> List[Object]:
    """Of several ComponentVersions the one with the wanted name, or the one whose content that FluxDeployer deploys."""
    deployer = cluster.get(FLUX_DEPLOYER, wanted.namespace, wanted.name)
    source = _upstream(cluster, deployer) if deployer is not None else None
    names = (wanted.name,) if source is None else (name_of(source),)
    return [version for version in versions if name_of(version) in names]


def _upstream(cluster: Cluster, obj: Object) -> Optional[Object]:
    """The ComponentVersion that an object gets its content from, by its source references."""
    seen: Set[Reference] = set()
    current: Optional[Object] = obj
    while current is not None and kind_of(current) != COMPONENT_VERSION:
        reference = _reference(mapping(current, "spec", "sourceRef"), namespace_of(current))
        kind = named(OCM_KINDS, reference[0])
        if kind is None or reference in seen:
            return None
        seen.add(reference)
        current = cluster.get(kind, reference[1], reference[2])
    return current


def _reference(ref: Mapping[str, Any], namespace: str) -> Reference:
    return text(ref, "kind"), text(ref, "namespace") or namespace, text(ref, "name")


def references_of(obj: Object) -> List[Reference]:
    """The objects that an object of ocm-controller reads from: (kind, namespace, name)."""
    spec = mapping(obj, "spec")
    refs = [
        mapping(spec, "sourceRef"),
        mapping(spec, "configRef"),
        mapping(spec, "valuesFrom", "sourceRef"),
        mapping(spec, "valuesFrom", "fluxSource", "sourceRef"),
        mapping(spec, "patchStrategicMerge", "source", "sourceRef"),
    ]
    return [_reference(ref, namespace_of(obj)) for ref in refs if text(ref, "name")]


class _Walk:
    """Goes along the chain and collects its links."""

    def __init__(self, cluster: Cluster, wanted: Wanted) -> None:
        self._cluster, self._wanted = cluster, wanted
        self.links: List[Link] = []
        self._seen: Set[Reference] = set()

    def controller_delivery(self, version: Object) -> None:
        self._add(replace(link_of(version), status=self._version_status(version)))
        reached = self._mutations(version)
        deployers = [
            deployer
            for deployer in self._cluster.list(FLUX_DEPLOYER, self._wanted.namespace)
            if any(reference in reached for reference in references_of(deployer))
        ]
        if not deployers:
            message = (
                f"No FluxDeployer of the namespace has content of ComponentVersion {name_of(version)} as its source."
            )
            self._missing(FLUX_DEPLOYER, self._wanted.namespace, name_of(version), message)
        for deployer in deployers:
            self._deployer(deployer)

    def rendered_delivery(self) -> None:
        namespace = self._wanted.namespace
        name = self._wanted.name or self._wanted.component.rpartition("/")[2]
        found = [self._cluster.get(kind, namespace, name) for kind in (KUSTOMIZATION, HELM_RELEASE)]
        for obj in found:
            if obj is not None:
                self._flux(obj)
        if not self.links:
            self._labelled(self._wanted.target_namespace or namespace, f"{DELIVERY}={name}")
        if not self.links:
            what = f"component {self._wanted.component}" if self._wanted.component else f"name {name}"
            kinds = "ComponentVersion, FluxDeployer, Kustomization, HelmRelease or workload"
            message = f"There is no {kinds} of the {what}."
            self._missing(COMPONENT_VERSION, namespace, name, message)

    def parents(self) -> List[Link]:
        """The Kustomizations that applied the first links, where Flux did."""
        found: Dict[Reference, Link] = {}
        for link in self.links:
            labels = mapping(link.content, "metadata", "labels")
            prefix = _FLUX_LABELS["Kustomization"]
            name, namespace = text(labels, f"{prefix}/name"), text(labels, f"{prefix}/namespace")
            key = (KUSTOMIZATION.kind, namespace, name)
            if name and link.kind in OCM_KINDS + FLUX_KINDS and key not in found and key not in self._seen:
                obj = self._cluster.get(KUSTOMIZATION, namespace, name)
                if obj is not None:
                    found[key] = link_of(obj)
        return list(found.values())

    def _add(self, link: Link) -> bool:
        """Take a link; False when it is there already."""
        if link.key in self._seen:
            return False
        self._seen.add(link.key)
        self.links.append(link)
        return True

    def _missing(self, kind: Kind, namespace: str, name: str, message: str, state: str = PROGRESSING) -> None:
        self._add(Link(kind, namespace, name, Status(state, "Missing", message)))

    def _version_status(self, version: Object) -> Status:
        status, reached = status_of(version), text(version, "status", "reconciledVersion")
        if status.ready and self._wanted.version and reached != self._wanted.version:
            message = f"It is at version {reached or 'none'}, {self._wanted.version} is wanted."
            return Status(PROGRESSING, "VersionNotReached", message)
        missing = self._missing_descriptors(mapping(version, "status", "componentDescriptor")) if status.ready else []
        if missing:
            message = f"Its ComponentDescriptor {' and '.join(missing)} has gone; nothing can be read from it without."
            return Status(FAILED, DESCRIPTOR_MISSING, message)
        return status

    def _missing_descriptors(self, reference: Mapping[str, Any]) -> List[str]:
        """The ComponentDescriptors of a component version and of those it refers to that are not there."""
        found = []
        namespace, name = (text(reference, "componentDescriptorRef", key) for key in ("namespace", "name"))
        if name and not self._has_descriptor(namespace or self._wanted.namespace, name):
            found.append(name)
        for each in sequence(reference, "references"):
            found.extend(self._missing_descriptors(mapping(each)))
        return found

    def _has_descriptor(self, namespace: str, name: str) -> bool:
        try:
            return self._cluster.get(COMPONENT_DESCRIPTOR, namespace, name) is not None
        except ClusterError as error:
            # An account that may not read them is none the worse for the rest.
            if error.status != 403:
                raise
            return True

    def _mutations(self, version: Object) -> Set[Reference]:
        """Add what reads, directly or not, from the component version; the references of all that was reached."""
        start = (COMPONENT_VERSION.kind, namespace_of(version), name_of(version))
        reached, direct = {start}, {start}
        reconciled = text(version, "status", "reconciledVersion")
        for kind in (RESOURCE, LOCALIZATION, CONFIGURATION):
            waiting = list(self._cluster.list(kind, self._wanted.namespace))
            while True:
                fitting = [obj for obj in waiting if any(ref in reached for ref in references_of(obj))]
                if not fitting:
                    break
                for obj in fitting:
                    waiting.remove(obj)
                    key = (kind.kind, namespace_of(obj), name_of(obj))
                    reached.add(key)
                    own = not sequence(obj, "spec", "sourceRef", "resourceRef", "referencePath")
                    if own and _reference(mapping(obj, "spec", "sourceRef"), namespace_of(obj)) in direct:
                        direct.add(key)
                    self._add(replace(link_of(obj), status=_mutation_status(obj, reconciled if key in direct else "")))
        return reached

    def _deployer(self, deployer: Object) -> None:
        link = link_of(deployer)
        self._add(link)
        namespace, name = link.namespace, link.name
        children = [(OCI_REPOSITORY, text(deployer, "status", "ociRepository"))]
        if mapping(deployer, "spec").get("kustomizationTemplate"):
            children.append((KUSTOMIZATION, text(deployer, "status", "kustomization")))
        if mapping(deployer, "spec").get("helmReleaseTemplate"):
            children.append((HELM_RELEASE, text(deployer, "status", "helmRelease")))
        for kind, path in children:
            child_namespace, child_name = split_path(path) if path else (namespace, name)
            obj = self._cluster.get(kind, child_namespace, child_name)
            if obj is not None:
                self._flux(obj)
            elif link.status.ready:
                message = "The FluxDeployer has created it, but it is gone; it is not created again by itself."
                self._missing(kind, child_namespace, child_name, message, FAILED)
            else:
                self._missing(kind, child_namespace, child_name, "The FluxDeployer has not created it yet.")

    def _flux(self, obj: Object) -> None:
        """Add an object of Flux with its source, and for a Kustomization or HelmRelease what it has applied."""
        link = link_of(obj)
        if link.key in self._seen:
            return
        source = flux_source(obj)
        found = None
        if source:
            kind, namespace, name = source
            found = self._cluster.get(kind, namespace, name)
            if found is None:
                self._missing(kind, namespace, name, f"{link.title} has it as its source.")
            else:
                self._add(link_of(found))
        self._add(replace(link, status=_applied_status(obj, found)))
        if link.kind == KUSTOMIZATION and not mapping(obj, "spec", "kubeConfig"):
            self._inventory(obj)
        elif link.kind == HELM_RELEASE and not mapping(obj, "spec", "kubeConfig"):
            self._release(obj)

    def _inventory(self, kustomization: Object) -> None:
        for namespace, name, group, kind_name in inventory(kustomization):
            kind = named(WORKLOAD_KINDS + (KUSTOMIZATION, HELM_RELEASE), kind_name)
            if kind is None or kind.group != group:
                continue
            obj = self._cluster.get(kind, namespace, name)
            if obj is None:
                # Jobs may go when they are done (ttlSecondsAfterFinished).
                if kind != JOB:
                    self._missing(kind, namespace, name, "It was applied, but it is gone.")
            elif kind in WORKLOAD_KINDS:
                self._workload(obj)
            else:
                self._flux(obj)

    def _release(self, release: Object) -> None:
        if sequence(release, "status", "inventory", "entries"):
            self._inventory(release)
            return
        prefix = _FLUX_LABELS["HelmRelease"]
        selector = f"{prefix}/name={name_of(release)},{prefix}/namespace={namespace_of(release)}"
        latest = mapping((sequence(release, "status", "history") or [{}])[0])
        spec_namespace = text(release, "spec", "targetNamespace")
        namespace = text(latest, "namespace") or spec_namespace or namespace_of(release)
        for kind in WORKLOAD_KINDS:
            if kind not in (POD, REPLICA_SET):
                for obj in self._cluster.list(kind, namespace, selector):
                    self._workload(obj)

    def _labelled(self, namespace: str, selector: str) -> None:
        """Add the workloads that a label selects."""
        for kind in WORKLOAD_KINDS:
            for obj in self._cluster.list(kind, namespace, selector):
                self._workload(obj)

    def _workload(self, workload: Object) -> None:
        link = link_of(workload)
        if not self._add(link) or link.kind in (CRON_JOB, POD):
            return
        for pod, status in pods_of(self._cluster, workload, link.status):
            self._add(link_of(pod, status, f"{link.kind}/{link.name}"))


def _mutation_status(obj: Object, version: str) -> Status:
    """version: the one that the component version is at; "" when the object's own one means something else."""
    status, reached = status_of(obj), revision_of(obj)
    if status.ready and version and reached and reached != version:
        message = f"Its content is of version {reached}, the ComponentVersion is at {version}."
        state = FAILED if is_suspended(obj) else PROGRESSING
        return Status(state, "Suspended" if state == FAILED else "VersionNotApplied", message)
    return status


def _applied_status(obj: Object, source: Optional[Object]) -> Status:
    """A Kustomization that is ready with an older revision than its source has is not done."""
    status = status_of(obj)
    if not status.ready or source is None or kind_of(obj) != KUSTOMIZATION:
        return status
    there, applied = applied_revision(source), applied_revision(obj)
    if there and there != applied:
        if is_suspended(obj):
            return Status(FAILED, "Suspended", f"spec.suspend is true; the source is at {there}, applied is {applied}.")
        return Status(
            PROGRESSING, "RevisionNotApplied", f"The source is at {there}, applied is {applied or 'nothing'}."
        )
    return status
