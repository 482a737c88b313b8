# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagnosis: each trap of ocm-controller, Flux and pull secrets, with the remedy that is named."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.chain import read_chain
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.diagnosis import Evidence, diagnose
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.images import images_of, target_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.keyring import read_keyring
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.links import Wanted
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.pull import NOT_FOUND, UNAUTHORIZED, Pull
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.remedies import cause_of
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import (
    IMAGE,
    PRIVATE,
    controller_estate,
    not_ready,
    rendered_estate,
    stalled,
)

REFUSED = (
    f'failed to pull and unpack image "{IMAGE}": failed to resolve reference: failed to authorize: '
    "failed to fetch anonymous token: unexpected status: 401 Unauthorized"
)
# Before Kubernetes 1.31 the waiting container does not repeat the cause, only an event tells it.
BACK_OFF = ("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
STARVED = dict(readyReplicas=0, availableReplicas=0)


def findings(objects, evidence=None):
    chain = read_chain(make.MemoryCluster(objects), Wanted("ocm-system", "podinfo"))
    return diagnose(chain, evidence or Evidence())


def first(objects, evidence=None):
    return findings(objects, evidence)[0]


def estate_with_pod(secrets=("ocm-airgap-pull",), waiting=BACK_OFF, image=IMAGE):
    starved = make.deployment(**STARVED)
    current = make.replica_set(starved)
    kustomization = make.kustomization(conditions=[not_ready("HealthCheckFailed", "timeout waiting for: [Deployment]")])
    deployer = make.flux_deployer(conditions=[not_ready("CreatedObjectsNotReady", "waiting for ready condition")])
    return controller_estate(
        deployment=starved,
        replica_set=current,
        pod=make.pod(current, image, secrets, waiting=waiting),
        kustomization=kustomization,
        flux_deployer=deployer,
    )


def test_all_is_well():
    assert not findings(controller_estate())


# The traps


def test_trap_1_a_repository_that_was_changed_in_place():
    found = first(
        controller_estate(component_version=make.component_version(replicatedRepositoryURL="ghcr.io/phoban01"))
    )
    assert found.reason == "RepositoryNotFollowed"
    assert "ghcr.io/phoban01" in found.message and PRIVATE in found.message
    assert "another name" in found.remedy


def test_trap_2_a_deployer_without_interval_is_told_by_what_applied_the_others():
    message = "FluxDeployer/ocm-system/podinfo dry-run failed: FluxDeployer is invalid: spec.interval: Required value"
    labels = {"kustomize.toolkit.fluxcd.io/name": "components", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    parent = make.git_kustomization(
        name="components", namespace="flux-system", conditions=[not_ready("ReconciliationFailed", message)]
    )
    found = findings(
        controller_estate(component_version=make.component_version(labels=labels), flux_deployer=None, parent=parent)
    )
    assert found[0].object == "Kustomization flux-system/components"
    assert "spec.interval" in found[0].remedy
    assert found[1].object == "FluxDeployer ocm-system/podinfo"


def test_what_applies_a_ready_chain_may_fail_at_something_else():
    labels = {"kustomize.toolkit.fluxcd.io/name": "components", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    parent = make.git_kustomization(name="components", namespace="flux-system", conditions=[not_ready("BuildFailed")])
    assert not findings(controller_estate(component_version=make.component_version(labels=labels), parent=parent))


@pytest.mark.parametrize("build, place", [(make.component_version, "component_version"), (make.resource, "resource")])
def test_trap_3_a_missing_secret_is_not_looked_for_again(build, place):
    reason, message = "AuthenticatedContextCreationFailed", 'secrets "registry-cred" not found'
    broken = build(conditions=[not_ready(reason, message), stalled(reason, message)], observed=None)
    found = first(controller_estate(**{place: broken}))
    assert found.reason == reason and "registry-cred" in found.message
    assert "ocm.airgap.credentials" in found.remedy and "spec.suspend" in found.remedy


def test_trap_4_parked_although_all_its_inputs_are_ready():
    parked = make.localization(conditions=[not_ready("SourceRefNotReadyWithError", "source not ready")], observed=-1)
    found = first(controller_estate(localization=parked))
    assert found.object == "Localization ocm-system/podinfo-deployment"
    assert "does not try again" in found.remedy
    # Trap 5: an annotation would not help.
    assert "spec.suspend" in found.remedy and "annotation" in found.remedy


def test_trap_4_is_none_while_an_input_is_not_ready():
    parked = make.localization(conditions=[not_ready("SourceRefNotReady")], observed=-1)
    broken = make.resource(conditions=[not_ready("GetResourceFailed", "resource not found")])
    found = findings(controller_estate(localization=parked, resource=broken))
    assert [item.object.split()[0] for item in found] == ["Resource", "Localization"]
    assert "waits for Resource ocm-system/podinfo-deployment" in found[1].remedy


def test_a_descriptor_that_went_with_another_component_version():
    message = 'failed to find component descriptor: ComponentDescriptor.delivery.ocm.software "podinfo-6.3.5-47" not found'
    found = first(controller_estate(resource=make.resource(conditions=[not_ready("GetResourceFailed", message)])))
    assert "share their ComponentDescriptor" in found.remedy and "Have the ComponentVersion read anew" in found.remedy


def test_trap_8_the_authority_of_the_registry_in_the_cluster_is_missing():
    message = 'failed to get certificate secret: secrets "ocm-registry-tls-certs" not found'
    broken = make.oci_repository(conditions=[not_ready("AuthenticationFailed", message)])
    assert "ocm-registry-tls-certs" in first(controller_estate(oci_repository=broken)).message
    deployer = make.flux_deployer(conditions=[not_ready("CreatedObjectsNotReady")])
    found = first(controller_estate(oci_repository=broken, flux_deployer=deployer))
    assert found.object == "OCIRepository ocm-system/podinfo"


def test_trap_8_names_the_namespace_rule():
    message = 'failed to get secret "ocm-system/ocm-registry-tls-certs": not found'
    broken = make.oci_repository(conditions=[not_ready("OCIArtifactPullFailed", message)])
    assert "Every namespace with a FluxDeployer" in first(controller_estate(oci_repository=broken)).remedy


def test_trap_9_network_policies_of_flux():
    message = 'failed to fetch artifact: Get "http://source-controller.flux-system.svc.cluster.local./x": i/o timeout'
    broken = make.configuration(conditions=[not_ready("ReconcileMutationObjectFailed", message)])
    assert "NetworkPolicies" in first(controller_estate(configuration=broken)).remedy


def test_trap_9_strict_substitution():
    message = (
        "post build failed for 'podinfo': envsubst error: variable substitution failed: variable not set (strict mode)"
    )
    broken = make.kustomization(conditions=[not_ready("BuildFailed", message)])
    assert "$${" in first(controller_estate(kustomization=broken)).remedy


def test_trap_10_the_successor_alone():
    found = first([], Evidence(has_ocm_controller=False, has_successor=True))
    assert "successor" in found.remedy


def test_trap_10_both_controllers():
    found = first(controller_estate(resource=make.resource(conditions=[], observed=-1)), Evidence(has_successor=True))
    assert "keep one of them" in found.remedy


def test_no_controller_at_all():
    assert "install it" in first([], Evidence(has_ocm_controller=False)).remedy


def test_a_silent_deployer():
    found = first(controller_estate(flux_deployer=make.flux_deployer(conditions=[], observed=None)))
    assert "sourceRef" in found.remedy


def test_a_deleted_child_of_a_deployer():
    assert "spec.interval" in first(controller_estate(kustomization=None)).remedy


# Pods


def test_without_pull_secrets():
    evidence = Evidence(events={"Pod default/podinfo-new-x1": [f"Failed: {REFUSED}"]})
    found = findings(estate_with_pod(secrets=()), evidence)
    assert found[0].object == "Pod default/podinfo-new-x1"
    assert "401" in found[0].message
    assert "no imagePullSecrets" in found[0].remedy and "namespace default" in found[0].remedy
    assert all(item.remedy == "It follows from the other findings." for item in found[1:])
    assert {item.object.split()[0] for item in found[1:]} == {"FluxDeployer", "Kustomization", "Deployment"}


@pytest.mark.parametrize(
    "secret, said",
    [
        (None, "default/ocm-airgap-pull does not exist"),
        (make.pull_secret({PRIVATE: ("a", "pull-password-1")}, type="Opaque"), "of type Opaque"),
    ],
)
def test_with_a_pull_secret_that_gives_nothing(secret, said):
    keyring = read_keyring("default", {"ocm-airgap-pull": secret})
    evidence = Evidence(keyrings={("default", ("ocm-airgap-pull",)): keyring})
    found = first(estate_with_pod(waiting=("ErrImagePull", REFUSED)), evidence)
    assert said in found.remedy and "ocm.airgap.credentials" in found.remedy


def test_with_a_pull_secret_that_is_refused():
    names = ("ocm-airgap-pull",)
    keyring = read_keyring(
        "default", {"ocm-airgap-pull": make.pull_secret({"registry.example.com": ("a", "pull-password-1")})}
    )
    refused = Pull("default", IMAGE, names, False, reason=UNAUTHORIZED, message="Registry x refuses the account.")
    evidence = Evidence(keyrings={("default", names): keyring}, pulls=[refused])
    # Nothing but the trial tells the cause.
    found = first(estate_with_pod(), evidence)
    assert found.remedy.startswith("Registry x refuses the account.")


def test_an_image_that_was_not_transferred_is_told_by_the_trial():
    missing = Pull("default", IMAGE, ("ocm-airgap-pull",), False, "ocm-airgap-pull", NOT_FOUND, "no manifest")
    assert "ocm_transfer" in first(estate_with_pod(), Evidence(pulls=[missing])).remedy


@pytest.mark.parametrize(
    "message, word",
    [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "trust",
        ),
        ("failed to do request: dial tcp: lookup registry.example.com: no such host", "name service"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", "route"),
        ("http: server gave HTTP response to HTTPS client", "TLS"),
        (f"failed to resolve reference {IMAGE}: not found", "ocm_transfer"),
        ("manifest unknown", "ocm_transfer"),
        ("unexpected status code 429 Too Many Requests", "limits"),
        ("no match for platform in manifest: not found", "platform"),
        ("pull access denied, repository does not exist or may require authorization", "ocm.airgap.credentials"),
        ("403 Forbidden", "ocm.airgap.credentials"),
    ],
)
def test_causes_of_a_failed_pull(message, word):
    assert word in first(estate_with_pod(waiting=("ErrImagePull", message))).remedy


def test_a_name_that_is_none():
    waiting = ("InvalidImageName", 'couldn\'t parse image name "podinfo:sha256:a1": invalid reference format')
    assert "cannot be read" in first(estate_with_pod(waiting=waiting)).remedy


def test_a_program_that_ends():
    assert "log" in first(estate_with_pod(waiting=("CrashLoopBackOff", "back-off 5m0s"))).remedy


def test_a_missing_service_account():
    refused = make.condition(
        "ReplicaFailure",
        "True",
        "FailedCreate",
        'error looking up service account default/app: serviceaccount "app" not found',
    )
    starved = make.deployment(conditions=[refused], updatedReplicas=0)
    assert "ServiceAccount" in first(controller_estate(deployment=starved, pod=None)).remedy


def test_many_pods_of_one_kind_are_told_once():
    estate = estate_with_pod(secrets=(), waiting=("ErrImagePull", REFUSED))
    current = make.replica_set(make.deployment())
    more = [
        make.pod(current, name=f"podinfo-{number}", secrets=(), waiting=("ErrImagePull", REFUSED))
        for number in range(3)
    ]
    pods = [item for item in findings(estate + more) if item.object.startswith("Pod ")]
    assert len(pods) == 1
    assert "3 more" in pods[0].message


# What is wrong although everything is ready


def test_an_image_from_elsewhere():
    current = make.replica_set(make.deployment())
    objects = controller_estate(pod=make.pod(current, "ghcr.io/stefanprodan/podinfo:6.3.5"))
    cluster = make.MemoryCluster(objects)
    chain = read_chain(cluster, Wanted("ocm-system", "podinfo"))
    evidence = Evidence(images=images_of(chain, target_of(chain, ""), cluster))
    found = diagnose(chain, evidence)
    assert chain.ready
    assert [(item.object, item.reason) for item in found] == [("Deployment default/podinfo", "ForeignImage")]
    assert "ghcr.io/stefanprodan/podinfo:6.3.5" in found[0].message


def test_a_running_pod_hides_a_wrong_password():
    refused = Pull("default", IMAGE, ("ocm-airgap-pull",), False, reason=UNAUTHORIZED, message="refused (401).")
    found = first(controller_estate(), Evidence(pulls=[refused]))
    assert found.reason == "NotPullable"
    assert "ocm.airgap.credentials" in found.remedy


def test_what_could_not_be_tried_is_no_finding():
    assert not findings(controller_estate(), Evidence(pulls=[Pull("default", IMAGE, (), None, reason="NotTried")]))


@pytest.mark.parametrize(
    "objects",
    [
        rendered_estate(
            git_repository=make.git_repository(conditions=[not_ready("GitOperationFailed", "no such host")])
        ),
        rendered_estate(git_repository=make.git_repository(conditions=[not_ready("AuthenticationFailed", "401")])),
        controller_estate(
            component_version=make.component_version(conditions=[not_ready("CheckVersionFailedReason", "401")])
        ),
        controller_estate(
            component_version=make.component_version(conditions=[not_ready("CheckVersionFailedReason", "x509: y")])
        ),
        controller_estate(resource=make.resource(conditions=[not_ready("Unheard", "of")])),
    ],
)
def test_every_finding_says_what_to_do(objects):
    assert all(item.remedy and item.message for item in findings(objects))


def test_nothing_is_said_about_the_cause_of_an_unknown_text():
    assert not cause_of("something else")
