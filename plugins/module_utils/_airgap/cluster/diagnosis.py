# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is not ready to what is wrong and what to do: {object, reason, message, remedy}, causes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .chain import references_of
from .images import ContainerImage
from .keyring import Keyring, secret_names
from .links import Chain, Link
from .objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    FLUX_DEPLOYER,
    LOCALIZATION,
    OCM_KINDS,
    POD,
    RESOURCE,
    mapping,
    sequence,
    text,
    title,
)
from .pull import NOT_FOUND, UNAUTHORIZED, Pull
from .remedies import (
    CAUSE_REMEDIES,
    CREDENTIALS,
    KICK,
    MISSING_IMAGE,
    NODE_REMEDIES,
    WRONG_NAME,
    cause_of,
    remedy_for,
)
from .status import PULL_REASONS, Status, waits_for_input

_THEN = "; the pod then starts by itself."
_LOOK_AT_EVENTS = "Look at the pod's events; pullable tells whether its Secrets are enough for the image."
# What follows from something else that is not ready.
_FOLLOWS = frozenset(
    (
        "CreatedObjectsNotReady",
        "HealthCheckFailed",
        "DependencyNotReady",
        "ComponentVersionNotReady",
        "VersionNotApplied",
        "RevisionNotApplied",
        "Progressing",
        "ProgressingWithRetry",
        "ProgressDeadlineExceeded",
        "ArtifactFailed",
        "Superseded",
    )
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. object: `Kind namespace/name`. remedy: sentences in the imperative."""

    object: str
    reason: str
    message: str
    remedy: str

    def as_result(self) -> Dict[str, Any]:
        """The entry of the return value `diagnosis`."""
        return dict(object=self.object, reason=self.reason, message=self.message, remedy=self.remedy)


@dataclass(frozen=True)
class Evidence:
    """What is known beside the chain. events: warnings by the object's title; keyrings: by namespace and Secrets."""

    events: Mapping[str, Sequence[str]] = field(default_factory=dict)
    keyrings: Mapping[Tuple[str, Tuple[str, ...]], Keyring] = field(default_factory=dict)
    images: Sequence[ContainerImage] = ()
    pulls: Sequence[Pull] = ()
    has_ocm_controller: bool = True
    has_successor: bool = False


def diagnose(chain: Chain, evidence: Evidence) -> List[Finding]:
    """What is wrong, causes before what follows from them; empty when all is well."""
    causes: List[Finding] = []
    followers: List[Finding] = []
    # What applies the chain may have other things to do as well: it counts only where the chain is not ready.
    parents = () if chain.ready else chain.parents
    for link in parents + chain.links:
        if not link.status.ready:
            finding, follows = _finding(link, chain, evidence)
            (followers if follows else causes).append(finding)
    causes += [_foreign(image) for image in evidence.images if image.private is False]
    causes += _pull_findings(evidence.pulls)
    return _each_once(causes) + _each_once(followers)


def _finding(link: Link, chain: Chain, evidence: Evidence) -> Tuple[Finding, bool]:
    """A link's finding, and whether it only follows from others."""
    status = link.status
    if link.kind == POD:
        return _pod(link, evidence), status.reason == "Superseded"
    if status.reason == "Missing":
        return _missing(link, chain, evidence)
    if status.reason == "NotReported":
        return _not_reported(link, evidence), False
    message = " ".join([status.message] + _new_events(status.message, evidence.events.get(link.title, ())))
    if waits_for_input(status):
        return _input(link, chain)
    follows = status.reason in _FOLLOWS and _others(link, chain)
    remedy = remedy_for(Status(status.state, status.reason, message))
    if follows:
        remedy = "It follows from the other findings."
    return (
        Finding(link.title, status.reason, message, remedy or "Look at the object and at the log of its controller."),
        follows,
    )


def _others(link: Link, chain: Chain) -> bool:
    return any(
        other is not link and not other.status.ready and other.status.reason not in _FOLLOWS for other in chain.links
    )


def _new_events(message: str, events: Sequence[str]) -> List[str]:
    return [event for event in events if event and event not in message]


def _missing(link: Link, chain: Chain, evidence: Evidence) -> Tuple[Finding, bool]:
    status = link.status
    remedy = "Check that it is in Git, and that Flux has applied it."
    if link.kind == COMPONENT_VERSION and evidence.has_successor and not evidence.has_ocm_controller:
        remedy = (
            "The cluster has the successor of ocm-controller, whose objects are others under the same group: use "
            "delivery rendered, or another cluster. Never install both."
        )
    elif link.kind == COMPONENT_VERSION and not evidence.has_ocm_controller:
        remedy = (
            "The cluster has no ocm-controller: install it (role ocm.airgap.ocm_controller), or use delivery rendered."
        )
    elif status.failed:
        remedy = "Make the FluxDeployer create it again: write its spec.interval in another way (1m0s, 60s)."
    follows = not status.failed and len(chain.links) > 1 and _others(link, chain)
    return Finding(link.title, status.reason, status.message, remedy), follows


def _not_reported(link: Link, evidence: Evidence) -> Finding:
    remedy = "Check that its controller runs and look at its log."
    if link.kind == FLUX_DEPLOYER:
        remedy = "It says nothing while it cannot find its source: check spec.sourceRef, and that the source is ready."
    elif link.kind == RESOURCE and not text(link.content, "spec", "sourceRef", "resourceRef", "name"):
        remedy = "Give spec.sourceRef.resourceRef.name: without it the controller reports nothing."
    elif link.kind in OCM_KINDS and evidence.has_successor:
        remedy = "The successor of ocm-controller is installed as well and owns the same kinds: keep one of them."
    return Finding(link.title, link.status.reason, link.status.message, remedy)


def _input(link: Link, chain: Chain) -> Tuple[Finding, bool]:
    """ocm-controller does not try again by itself when an input was not ready once."""
    by_key = {other.key: other for other in chain.links}
    inputs = [by_key.get(reference) for reference in references_of(link.content)]
    waiting = [other for other in inputs if other is not None and not other.status.ready]
    if waiting:
        remedy = f"It waits for {', '.join(other.title for other in waiting)}."
        return Finding(link.title, link.status.reason, link.status.message, remedy), True
    if link.kind in (LOCALIZATION, CONFIGURATION) and all(inputs):
        remedy = "All that it reads is ready now, but the controller does not try again: " + KICK
    else:
        remedy = "Check sourceRef and configRef: one of the objects is not part of this chain."
    return Finding(link.title, link.status.reason, link.status.message, remedy), False


def _pod(link: Link, evidence: Evidence) -> Finding:
    status = link.status
    said = " ".join([status.message] + _new_events(status.message, evidence.events.get(link.title, ())))
    if status.reason in PULL_REASONS:
        return Finding(link.title, status.reason, said, _pull_remedy(link, said, evidence))
    remedy = remedy_for(Status(status.state, status.reason, said))
    if status.reason == "Superseded":
        remedy = "It goes when the new pods are available."
    elif "FailedMount" in said:
        remedy = "Create the ConfigMap, Secret or volume that the message names."
    return Finding(link.title, status.reason, said, remedy or "Look at the pod's events and its log.")


def _pull_remedy(link: Link, said: str, evidence: Evidence) -> str:
    cause = WRONG_NAME if link.status.reason == "InvalidImageName" else cause_of(said)
    tried = [pull for pull in evidence.pulls if pull.namespace == link.namespace and _is_of(pull, link)]
    if not cause and any(pull.reason == UNAUTHORIZED for pull in tried):
        cause = CREDENTIALS
    if not cause and any(pull.reason == NOT_FOUND for pull in tried):
        cause = MISSING_IMAGE
    if cause == CREDENTIALS:
        return _credentials_remedy(link, evidence)
    return NODE_REMEDIES.get(cause, _LOOK_AT_EVENTS)


def _is_of(pull: Pull, link: Link) -> bool:
    spec = mapping(link.content, "spec")
    containers = sequence(spec, "initContainers") + sequence(spec, "containers")
    return any(text(container, "image") == pull.image for container in containers)


def _credentials_remedy(link: Link, evidence: Evidence) -> str:
    names = secret_names(mapping(link.content, "spec"))
    keyring = evidence.keyrings.get((link.namespace, names), Keyring())
    if not names:
        return (
            f"The pod has no imagePullSecrets. Write a pull secret into the namespace {link.namespace} (role "
            "ocm.airgap.credentials) and give it to the workload (role ocm.airgap.gitops patches it in)."
        )
    if keyring.problems and not keyring.entries:
        return f"{' '.join(keyring.problems)} Write it with the role ocm.airgap.credentials{_THEN}"
    refused = [
        pull for pull in evidence.pulls if _is_of(pull, link) and pull.secrets == names and pull.pullable is False
    ]
    if refused:
        return f"{refused[0].message} Correct the Secret with the role ocm.airgap.credentials{_THEN}"
    listed = ", ".join(f"{link.namespace}/{name}" for name in names)
    return (
        f"Check that {listed} has an account for the image's registry that may read its repository (role "
        "ocm.airgap.credentials); the pod then starts by itself."
    )


def _foreign(image: ContainerImage) -> Finding:
    kind, _slash, name = (image.workload or f"Pod/{image.pod}").partition("/")
    message = f"Container {image.container} has the image {image.image}, which is not the private registry's."
    remedy = (
        "Add a localization rule for it to the component's ConfigData, or transfer and localize it with ocm_localize."
    )
    return Finding(title(kind, image.namespace, name), "ForeignImage", message, remedy)


def _pull_findings(pulls: Sequence[Pull]) -> List[Finding]:
    """A running pod hides that its image could not be pulled again, on another node."""
    found = []
    for pull in pulls:
        if pull.pullable is False:
            remedy = CAUSE_REMEDIES[MISSING_IMAGE if pull.reason == NOT_FOUND else CREDENTIALS]
            where = f"Namespace {pull.namespace}"
            found.append(Finding(where, "NotPullable", f"Image {pull.image}: {pull.message}", remedy))
    return found


def _each_once(findings: Sequence[Finding]) -> List[Finding]:
    """Of findings that differ in their object alone (the pods of a workload) the first, with their number."""
    groups: Dict[Tuple[str, str, str], List[Finding]] = {}
    for finding in findings:
        kind = finding.object.partition(" ")[0]
        key = (
            (kind, finding.reason, finding.remedy)
            if kind == "Pod"
            else (finding.object, finding.reason, finding.message)
        )
        groups.setdefault(key, []).append(finding)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[Finding]) -> Finding:
    first = group[0]
    if first.object.startswith("Pod ") and len(group) > 1:
        more = len(group) - 1
        return Finding(first.object, first.reason, f"{first.message} The same for {more} more.", first.remedy)
    return first
