# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ready means, object by object."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.status import (
    FAILED,
    PROGRESSING,
    READY,
    status_of,
)
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import EARLY, LATE, not_ready, ready, reconciling, stalled

AUTHENTICATION = "AuthenticatedContextCreationFailed"


def job(*conditions, **options):
    return make.make("Job", "batch/v1", namespace="default", conditions=conditions, **options)


def stateful_set(**changed):
    status = dict(readyReplicas=3, updatedReplicas=3, currentRevision="a", updateRevision="a")
    spec = dict(replicas=3, updateStrategy=changed.pop("strategy", dict(type="RollingUpdate")))
    status.update(changed)
    return make.make("StatefulSet", "apps/v1", spec=spec, **status)


def daemon_set(**changed):
    status = dict(desiredNumberScheduled=2, updatedNumberScheduled=2, numberAvailable=2, numberReady=2)
    spec = dict(updateStrategy=dict(type=changed.pop("strategy", "RollingUpdate")))
    status.update(changed)
    return make.make("DaemonSet", "apps/v1", spec=spec, **status)


def deleted(found):
    found["metadata"]["deletionTimestamp"] = LATE
    return found


OWNER = make.replica_set(make.deployment())
UNSCHEDULABLE = make.condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")

TABLE = {
    # What succeeded
    "component version": (make.component_version(), READY, "Succeeded"),
    "resource": (make.resource(), READY, "Succeeded"),
    "localization": (make.localization(), READY, "Succeeded"),
    "configuration": (make.configuration(), READY, "Succeeded"),
    "deployer": (make.flux_deployer(), READY, "Succeeded"),
    "kustomization": (make.kustomization(), READY, "ReconciliationSucceeded"),
    "git repository": (make.git_repository(), READY, "Succeeded"),
    # No conditions are no success: a FluxDeployer without its source writes none for ever
    "deployer without conditions": (make.flux_deployer(conditions=[], observed=None), PROGRESSING, "NotReported"),
    "new resource": (make.resource(conditions=[], observed=-1), PROGRESSING, "NotReported"),
    "new kustomization": (make.kustomization(conditions=[], observed=None), PROGRESSING, "NotReported"),
    # A condition about an older generation
    "ready before the change": (make.component_version(generation=2), PROGRESSING, "StaleStatus"),
    "condition ahead of status": (
        make.component_version(generation=2, conditions=[ready(generation=2)], observed=1),
        PROGRESSING,
        "StaleStatus",
    ),
    "status ahead of condition": (make.kustomization(generation=2, observed=2), PROGRESSING, "StaleStatus"),
    "condition without a generation": (
        make.kustomization(conditions=[ready(generation=None)]),
        READY,
        "Succeeded",
    ),
    "failed before the change": (
        make.component_version(generation=2, conditions=[not_ready(AUTHENTICATION, "no such secret")]),
        PROGRESSING,
        "StaleStatus",
    ),
    # ocm-controller advances observedGeneration on success alone: a failure at once has none, and still counts
    "failed on creation": (
        make.component_version(conditions=[not_ready(AUTHENTICATION), stalled(AUTHENTICATION)], observed=None),
        FAILED,
        AUTHENTICATION,
    ),
    "resource failed on creation": (
        make.resource(conditions=[not_ready(AUTHENTICATION)], observed=-1),
        FAILED,
        AUTHENTICATION,
    ),
    "failed after a change": (
        make.component_version(generation=2, observed=1, conditions=[not_ready(AUTHENTICATION, generation=2)]),
        FAILED,
        AUTHENTICATION,
    ),
    # Reasons that are tried again, and those that are not
    "no version yet": (
        make.component_version(conditions=[not_ready("CheckVersionFailedReason", "401")]),
        PROGRESSING,
        "CheckVersionFailedReason",
    ),
    "wrong signature": (
        make.component_version(conditions=[not_ready("ComponentVerificationFailed")]),
        FAILED,
        "ComponentVerificationFailed",
    ),
    "not a folder": (
        make.localization(conditions=[not_ready("SourceReasonNotATarArchive")], observed=-1),
        FAILED,
        "SourceReasonNotATarArchive",
    ),
    "input not ready": (
        make.localization(conditions=[not_ready("SourceRefNotReadyWithError")], observed=-1),
        PROGRESSING,
        "SourceRefNotReadyWithError",
    ),
    # Stalled is never taken back by ocm-controller, and by Flux it is
    "deployer that was stalled once": (
        make.flux_deployer(conditions=[stalled("CreateOrUpdateKustomizationFailed", time=EARLY), ready(time=LATE)]),
        READY,
        "Succeeded",
    ),
    "deployer that is stalled now": (
        make.flux_deployer(conditions=[stalled("CreateOrUpdateKustomizationFailed", time=LATE), ready(time=EARLY)]),
        FAILED,
        "CreateOrUpdateKustomizationFailed",
    ),
    "deployer stalled once, waiting now": (
        make.flux_deployer(
            conditions=[stalled("CreateOrUpdateKustomizationFailed"), not_ready("CreatedObjectsNotReady")]
        ),
        PROGRESSING,
        "CreatedObjectsNotReady",
    ),
    "deployer that tries again": (
        make.flux_deployer(
            conditions=[stalled("CreateOrUpdateKustomizationFailed"), not_ready("CreateOrUpdateKustomizationFailed")]
        ),
        PROGRESSING,
        "CreateOrUpdateKustomizationFailed",
    ),
    "stalled source of Flux": (
        make.git_repository(conditions=[stalled("URLInvalid", time=EARLY), ready(time=LATE)]),
        FAILED,
        "URLInvalid",
    ),
    "stalled release": (
        make.make(
            "HelmRelease",
            "helm.toolkit.fluxcd.io/v2",
            conditions=[stalled("RetriesExceeded"), not_ready("InstallFailed")],
        ),
        FAILED,
        "InstallFailed",
    ),
    # The same version at another repository
    "repository changed in place": (
        make.component_version(replicatedRepositoryURL="ghcr.io/phoban01"),
        FAILED,
        "RepositoryNotFollowed",
    ),
    "repository with a slash at its end": (
        make.component_version(replicatedRepositoryURL=f"{make.PRIVATE}/"),
        READY,
        "Succeeded",
    ),
    "deployer without template": (
        make.flux_deployer(spec=dict(interval="1m0s", sourceRef={})),
        FAILED,
        "NoTemplate",
    ),
    "deployer with both templates": (
        make.flux_deployer(spec=dict(kustomizationTemplate=dict(path="./"), helmReleaseTemplate=dict(interval="1m"))),
        FAILED,
        "TwoTemplates",
    ),
    # Suspended
    "suspended and ready": (make.kustomization(spec=dict(suspend=True)), READY, "ReconciliationSucceeded"),
    "suspended and new": (make.kustomization(spec=dict(suspend=True), conditions=[]), FAILED, "Suspended"),
    "suspended and failed": (
        make.resource(spec=dict(suspend=True), conditions=[not_ready("GetResourceFailed")]),
        FAILED,
        "Suspended",
    ),
    # Flux
    "reconciling": (make.kustomization(conditions=[ready(), reconciling()]), PROGRESSING, "Progressing"),
    "first reconciliation": (
        make.kustomization(conditions=[reconciling(), make.condition("Ready", "Unknown", "Progressing")], observed=-1),
        PROGRESSING,
        "Progressing",
    ),
    "wrong manifests": (
        make.kustomization(conditions=[reconciling("ProgressingWithRetry"), not_ready("BuildFailed")]),
        FAILED,
        "BuildFailed",
    ),
    "refused object": (
        make.kustomization(conditions=[not_ready("ReconciliationFailed", "spec.interval: Required value")]),
        FAILED,
        "ReconciliationFailed",
    ),
    "passing failure of an apply": (
        make.kustomization(conditions=[not_ready("ReconciliationFailed", "etcdserver: leader changed")]),
        PROGRESSING,
        "ReconciliationFailed",
    ),
    "git server down": (
        make.git_repository(conditions=[not_ready("GitOperationFailed")]),
        PROGRESSING,
        "GitOperationFailed",
    ),
    "deleted": (deleted(make.kustomization()), PROGRESSING, "Terminating"),
    # Workloads
    "deployment": (make.deployment(), READY, "Available"),
    "deployment not looked at": (make.deployment(generation=2), PROGRESSING, "StaleStatus"),
    "deployment with an old pod": (make.deployment(replicas=2), PROGRESSING, "Progressing"),
    "deployment without new pods": (make.deployment(updatedReplicas=0), PROGRESSING, "Progressing"),
    "deployment not available": (make.deployment(availableReplicas=0), PROGRESSING, "Progressing"),
    "late deployment": (
        make.deployment(
            availableReplicas=0, conditions=[make.condition("Progressing", "False", "ProgressDeadlineExceeded")]
        ),
        PROGRESSING,
        "ProgressDeadlineExceeded",
    ),
    "deployment without account": (
        make.deployment(
            conditions=[make.condition("ReplicaFailure", "True", "FailedCreate", "serviceaccount not found")]
        ),
        PROGRESSING,
        "FailedCreate",
    ),
    "stateful set": (stateful_set(), READY, "Available"),
    "stateful set in the middle": (
        stateful_set(updatedReplicas=1, updateRevision="b"),
        PROGRESSING,
        "Progressing",
    ),
    "stateful set up to its partition": (
        stateful_set(
            updatedReplicas=1, updateRevision="b", strategy=dict(type="RollingUpdate", rollingUpdate=dict(partition=2))
        ),
        READY,
        "Available",
    ),
    "stateful set without a pod": (stateful_set(readyReplicas=2), PROGRESSING, "Progressing"),
    "daemon set": (daemon_set(), READY, "Available"),
    "daemon set in the middle": (daemon_set(updatedNumberScheduled=1), PROGRESSING, "Progressing"),
    "daemon set that is updated by hand": (
        daemon_set(updatedNumberScheduled=1, strategy="OnDelete"),
        READY,
        "Available",
    ),
    "daemon set without a pod": (daemon_set(numberAvailable=1), PROGRESSING, "Progressing"),
    "job": (job(make.condition("Complete", "True", "")), READY, "Complete"),
    "failed job": (job(make.condition("Failed", "True", "BackoffLimitExceeded")), FAILED, "BackoffLimitExceeded"),
    "running job": (job(active=1), PROGRESSING, "Progressing"),
    # Pods
    "pod": (make.pod(OWNER), READY, "Running"),
    "ended pod": (make.pod(OWNER, phase="Succeeded", conditions=[]), READY, "Succeeded"),
    "evicted pod": (make.pod(OWNER, phase="Failed", reason="Evicted"), FAILED, "Evicted"),
    "pull backed off": (make.pod(OWNER, waiting=("ImagePullBackOff", "x")), FAILED, "ImagePullBackOff"),
    "wrong name": (make.pod(OWNER, waiting=("InvalidImageName", "x")), FAILED, "InvalidImageName"),
    "crash": (make.pod(OWNER, waiting=("CrashLoopBackOff", "x")), PROGRESSING, "CrashLoopBackOff"),
    "being created": (make.pod(OWNER, waiting=("ContainerCreating", "")), PROGRESSING, "ContainersNotReady"),
    "unschedulable": (
        make.pod(OWNER, phase="Pending", containerStatuses=[], conditions=[UNSCHEDULABLE]),
        PROGRESSING,
        "Unschedulable",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_status(name):
    found, state, reason = TABLE[name]
    status = status_of(found)
    assert (status.state, status.reason) == (state, reason), status


def test_a_component_version_tells_the_version_that_its_message_lacks():
    assert status_of(make.component_version()).message == "Applied version: 6.3.5"


def test_the_repository_of_a_transfer_in_the_cluster_counts():
    spec = dict(
        make.component_version()["spec"], repository=dict(url="ghcr.io/phoban01"), destination=dict(url=make.PRIVATE)
    )
    assert status_of(make.component_version(spec=spec)).ready


def test_a_stale_status_repeats_what_was_said_before():
    message = status_of(
        make.component_version(generation=2, conditions=[not_ready("TransferFailed", "no route")])
    ).message
    assert "generation 1" in message and "at 2" in message and "TransferFailed: no route" in message


def test_a_fatal_container_is_told_before_one_that_waits():
    statuses = [
        dict(name="a", state=dict(waiting=dict(reason="CrashLoopBackOff", message=""))),
        dict(name="b", state=dict(waiting=dict(reason="ErrImagePull", message="401"))),
    ]
    found = make.pod(OWNER, phase="Pending", conditions=[], containerStatuses=statuses)
    assert status_of(found).message == "Container b: 401"
