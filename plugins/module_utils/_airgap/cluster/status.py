# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ready means: for the objects of ocm-controller and of Flux, and for workloads.

Follows kstatus, the rules that Flux and others use, except where the objects of ocm-controller break them: they advance
observedGeneration on success alone, keep Stalled for ever, and have no conditions before the first attempt is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional

from .objects import (
    COMPONENT_VERSION,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    FLUX_DEPLOYER,
    JOB,
    OCM_API,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
    Kind,
    Object,
    condition,
    is_suspended,
    is_true,
    kind_of,
    mapping,
    number,
    sequence,
    text,
)

READY = "ready"
PROGRESSING = "progressing"
FAILED = "failed"

# Reasons that no waiting mends: the controller does not try again, or would fail again on the same content.
FATAL_REASONS = frozenset(
    (
        "AuthenticatedContextCreationFailed",
        "ComponentVerificationFailed",
        "SourceReasonNotATarArchive",
        "BuildFailed",
        "InvalidCELExpression",
        "FeatureGateDisabled",
        "URLInvalid",
    )
)
# ocm-controller is content with a ComponentVersion that has reached its version, whatever has become of the rest.
REPOSITORY_NOT_FOLLOWED, DESCRIPTOR_MISSING = ANEW_REASONS = ("RepositoryNotFollowed", "DescriptorMissing")
_INPUT_REASONS = re.compile(r"\A(?:SourceRef|ConfigRef|PatchStrategicMergeSourceRef)NotReady")
# ReconciliationFailed is the API server's answer to an apply: most pass, what these words say does not.
_REFUSED = re.compile(
    r"is invalid|Required value|Invalid value|Unsupported value|unknown field|no matches for kind", re.I
)
_LATER = ("PodInitializing", "ContainerCreating")
# Waiting reasons of containers whose image cannot be pulled.
PULL_REASONS = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    )
)
# Those after which a node tries again by itself.
RETRIED_PULLS = frozenset(("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"))
# Those that do not pass without a change of the pod, a Secret, the registry or the node.
FATAL_WAITING = PULL_REASONS | {"SignatureValidationFailed", "CreateContainerConfigError"}


@dataclass(frozen=True)
class Status:
    """The state of an object. failed: waiting does not help, unless something outside the object changes soon."""

    state: str
    reason: str = ""
    message: str = ""

    @property
    def ready(self) -> bool:
        return self.state == READY

    @property
    def failed(self) -> bool:
        return self.state == FAILED


def waits_for_input(status: Status) -> bool:
    """Whether a Localization or Configuration says that something it reads was not ready."""
    return bool(_INPUT_REASONS.match(status.reason))


def given_up(status: Status) -> bool:
    """Whether ocm-controller does not look at the object again by itself, whatever becomes of what it needs."""
    known = status.reason in ("AuthenticatedContextCreationFailed", *ANEW_REASONS)
    return status.failed and (known or waits_for_input(status))


def status_of(obj: Object) -> Status:
    """What an object's own status says, judged by its kind."""
    deleted = text(obj, "metadata", "deletionTimestamp")
    if deleted:
        return Status(PROGRESSING, "Terminating", f"It is being deleted since {deleted}.")
    kind = kind_of(obj)
    return _RULES.get(kind, _reported)(obj)


def is_stale(obj: Object, entry: Mapping[str, Any]) -> bool:
    """Whether a condition is about an older generation of the object than the present one."""
    generation = number(obj, "metadata", "generation")
    if generation is None:
        return False
    own = number(entry, "observedGeneration")
    if own is not None and own < generation:
        return True
    # What failed keeps the generation of the last success, so only the condition's own one tells there.
    observed = number(obj, "status", "observedGeneration")
    return is_true(entry) and observed is not None and observed != generation


def _reported(obj: Object) -> Status:
    """Objects that report with the conditions Ready, Reconciling and Stalled."""
    ready, stalled = condition(obj, "Ready"), condition(obj, "Stalled")
    if ready is None:
        return _without_ready(obj, stalled)
    if is_stale(obj, ready):
        return Status(PROGRESSING, "StaleStatus", _stale_message(obj, ready))
    if not is_true(ready):
        return _not_ready(obj, ready, stalled)
    if is_true(stalled) and not _overcome(obj, stalled, ready):
        return _told(FAILED, stalled)
    reconciling = condition(obj, "Reconciling")
    if is_true(reconciling):
        return _told(PROGRESSING, reconciling)
    return _component_version(obj, ready) if kind_of(obj) == COMPONENT_VERSION else _told(READY, ready)


def _without_ready(obj: Object, stalled: Optional[Mapping[str, Any]]) -> Status:
    if is_true(stalled):
        return _told(FAILED, stalled)
    if is_suspended(obj):
        return Status(FAILED, "Suspended", "spec.suspend is true, and its controller has not reported anything before.")
    return Status(PROGRESSING, "NotReported", "Its controller has not reported anything yet.")


def _not_ready(obj: Object, ready: Mapping[str, Any], stalled: Optional[Mapping[str, Any]]) -> Status:
    if is_suspended(obj):
        said = text(ready, "message")
        return Status(FAILED, "Suspended", f"spec.suspend is true. Before that: {text(ready, 'reason')}: {said}")
    # ocm-controller also says Stalled of what it tries again; there the reasons alone tell.
    hopeless = is_true(stalled) and kind_of(obj).api_version != OCM_API and not is_stale(obj, stalled)
    if hopeless or text(ready, "reason") in FATAL_REASONS or _is_refused(ready):
        return _told(FAILED, ready)
    return _told(PROGRESSING, ready)


def _is_refused(ready: Mapping[str, Any]) -> bool:
    return text(ready, "reason") == "ReconciliationFailed" and bool(_REFUSED.search(text(ready, "message")))


def _overcome(obj: Object, stalled: Mapping[str, Any], ready: Mapping[str, Any]) -> bool:
    """ocm-controller never takes Stalled back: there a later Ready counts. Times are RFC 3339 in UTC, in text order."""
    if kind_of(obj).api_version != OCM_API:
        return False
    return text(ready, "lastTransitionTime") >= text(stalled, "lastTransitionTime")


def _component_version(obj: Object, ready: Mapping[str, Any]) -> Status:
    """A ComponentVersion whose repository was changed in place stays ready and, with all behind it, at the old one."""
    spec, used = mapping(obj, "spec"), text(obj, "status", "replicatedRepositoryURL")
    wanted = text(spec, "destination", "url") or text(spec, "repository", "url")
    if used and wanted and used.rstrip("/") != wanted.rstrip("/"):
        message = (
            f"status.replicatedRepositoryURL is {used}, but spec asks for {wanted}: content still comes from {used}."
        )
        return Status(FAILED, REPOSITORY_NOT_FOLLOWED, message)
    version = text(obj, "status", "reconciledVersion")
    return Status(READY, text(ready, "reason"), f"Applied version: {version}" if version else text(ready, "message"))


def _told(state: str, entry: Mapping[str, Any]) -> Status:
    return Status(state, text(entry, "reason"), text(entry, "message"))


def _stale_message(obj: Object, entry: Mapping[str, Any]) -> str:
    observed = number(entry, "observedGeneration")
    if observed is None or observed == number(obj, "metadata", "generation"):
        observed = number(obj, "status", "observedGeneration")
    said = f"{text(entry, 'reason')}: {text(entry, 'message')}".strip(": ")
    return (
        f"The status is about generation {observed}, the object is at {number(obj, 'metadata', 'generation')}. "
        f"Before: {said}"
    )


def _flux_deployer(obj: Object) -> Status:
    spec = mapping(obj, "spec")
    if not spec.get("kustomizationTemplate") and not spec.get("helmReleaseTemplate"):
        message = "It has neither kustomizationTemplate nor helmReleaseTemplate, so it creates nothing."
        return Status(FAILED, "NoTemplate", message)
    if spec.get("kustomizationTemplate") and spec.get("helmReleaseTemplate"):
        message = (
            "It has both kustomizationTemplate and helmReleaseTemplate; the controller refuses that without a word."
        )
        return Status(FAILED, "TwoTemplates", message)
    return _reported(obj)


def _observed(obj: Object) -> Optional[Status]:
    generation = number(obj, "metadata", "generation")
    if generation is not None and number(obj, "status", "observedGeneration") != generation:
        return Status(PROGRESSING, "StaleStatus", "The last change has not been looked at yet.")
    return None


def _count(obj: Object, name: str) -> int:
    return number(obj, "status", name) or 0


def _wanted(obj: Object) -> int:
    replicas = number(obj, "spec", "replicas")
    return 1 if replicas is None else replicas


def _deployment(obj: Object) -> Status:
    waiting = _observed(obj)
    if waiting:
        return waiting
    refused = condition(obj, "ReplicaFailure")
    if is_true(refused):
        return _told(PROGRESSING, refused)
    wanted, updated = _wanted(obj), _count(obj, "updatedReplicas")
    if updated < wanted or _count(obj, "availableReplicas") < wanted or _count(obj, "readyReplicas") < wanted:
        # ProgressDeadlineExceeded is no end: a slow pull passes the deadline and becomes available all the same.
        late = condition(obj, "Progressing")
        reason = "ProgressDeadlineExceeded" if text(late, "reason") == "ProgressDeadlineExceeded" else "Progressing"
        available = _count(obj, "availableReplicas")
        return Status(PROGRESSING, reason, f"{updated} of {wanted} pods are of the new state, {available} available.")
    if _count(obj, "replicas") > updated:
        return Status(PROGRESSING, "Progressing", f"{_count(obj, 'replicas') - updated} old pods are still there.")
    return Status(READY, "Available", f"{wanted} of {wanted} pods are available.")


def _stateful_set(obj: Object) -> Status:
    waiting = _observed(obj)
    if waiting:
        return waiting
    wanted, ready = _wanted(obj), _count(obj, "readyReplicas")
    if ready < wanted:
        return Status(PROGRESSING, "Progressing", f"{ready} of {wanted} pods are ready.")
    strategy = text(obj, "spec", "updateStrategy", "type")
    partition = number(obj, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
    to_update = 0 if strategy == "OnDelete" else max(wanted - partition, 0)
    revision = text(obj, "status", "updateRevision")
    if revision != text(obj, "status", "currentRevision") and _count(obj, "updatedReplicas") < to_update:
        return Status(
            PROGRESSING, "Progressing", f"{_count(obj, 'updatedReplicas')} of {to_update} pods are of the new state."
        )
    return Status(READY, "Available", f"{ready} of {wanted} pods are ready.")


def _daemon_set(obj: Object) -> Status:
    waiting = _observed(obj)
    if waiting:
        return waiting
    wanted = _count(obj, "desiredNumberScheduled")
    updated = (
        wanted if text(obj, "spec", "updateStrategy", "type") == "OnDelete" else _count(obj, "updatedNumberScheduled")
    )
    available = min(_count(obj, "numberAvailable"), _count(obj, "numberReady"))
    if updated < wanted or available < wanted:
        message = f"{updated} of {wanted} pods are of the new state, {available} available."
        return Status(PROGRESSING, "Progressing", message)
    return Status(READY, "Available", f"{wanted} of {wanted} pods are available.")


def _replica_set(obj: Object) -> Status:
    waiting = _observed(obj)
    if waiting:
        return waiting
    wanted, available = _wanted(obj), _count(obj, "availableReplicas")
    state = READY if available >= wanted else PROGRESSING
    return Status(
        state, "Available" if state == READY else "Progressing", f"{available} of {wanted} pods are available."
    )


def _job(obj: Object) -> Status:
    failed = condition(obj, "Failed")
    if is_true(failed):
        return _told(FAILED, failed)
    if is_true(condition(obj, "Complete")):
        return Status(READY, "Complete", f"{_count(obj, 'succeeded')} pods succeeded.")
    if is_suspended(obj):
        return Status(FAILED, "Suspended", "spec.suspend is true.")
    return Status(
        PROGRESSING, "Progressing", f"{_count(obj, 'active')} pods are active, {_count(obj, 'failed')} failed."
    )


def _cron_job(obj: Object) -> Status:
    return Status(READY, "Scheduled", f"Runs at {text(obj, 'spec', 'schedule')}.")


def _pod(obj: Object) -> Status:
    phase = text(obj, "status", "phase")
    if phase == "Succeeded":
        return Status(READY, "Succeeded", "It has ended without error.")
    if phase == "Failed":
        return Status(
            FAILED, text(obj, "status", "reason") or "Failed", text(obj, "status", "message") or "A container failed."
        )
    if is_true(condition(obj, "Ready")):
        return Status(READY, "Running", "All containers are ready.")
    return _waiting_container(obj) or _unscheduled(obj)


def _waiting_container(obj: Object) -> Optional[Status]:
    found = None
    for entry in container_statuses(obj):
        waiting = mapping(entry, "state", "waiting")
        reason = text(waiting, "reason")
        if not reason or reason in _LATER:
            continue
        state = FAILED if reason in FATAL_WAITING else PROGRESSING
        status = Status(state, reason, f"Container {text(entry, 'name')}: {text(waiting, 'message')}")
        if status.failed:
            return status
        found = found or status
    return found


def _unscheduled(obj: Object) -> Status:
    scheduled = condition(obj, "PodScheduled")
    if scheduled is not None and not is_true(scheduled):
        return _told(PROGRESSING, scheduled)
    ready = condition(obj, "Ready")
    reason = text(ready, "reason") or text(obj, "status", "phase") or "Pending"
    return Status(PROGRESSING, reason, text(ready, "message") or "Its containers are being created.")


def container_statuses(obj: Object) -> list:
    """The statuses of all containers of a pod, those that begin first in front."""
    return sequence(obj, "status", "initContainerStatuses") + sequence(obj, "status", "containerStatuses")


_RULES: Dict[Kind, Callable[[Object], Status]] = {
    FLUX_DEPLOYER: _flux_deployer,
    DEPLOYMENT: _deployment,
    STATEFUL_SET: _stateful_set,
    DAEMON_SET: _daemon_set,
    REPLICA_SET: _replica_set,
    JOB: _job,
    CRON_JOB: _cron_job,
    POD: _pod,
}
