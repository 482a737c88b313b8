# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain: what belongs to it, in which order, and when it is ready."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.chain import read_chain
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.images import (
    images_of,
    is_private,
    target_of,
    to_try,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.links import Wanted
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import ClusterError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.workloads import inventory
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.labels import SHOWN
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import (
    COMMIT,
    DIGEST,
    IMAGE,
    OLDER_COMMIT,
    PRIVATE,
    MemoryCluster,
    controller_estate,
    not_ready,
    rendered_estate,
)

NAMED = Wanted("ocm-system", "podinfo")
COMPONENT = Wanted("ocm-system", component="phoban.io/podinfo")
CONTROLLER_KINDS = [
    "ComponentVersion",
    "Resource",
    "Localization",
    "Configuration",
    "FluxDeployer",
    "OCIRepository",
    "Kustomization",
    "Deployment",
    "Pod",
]


def read(objects, wanted=NAMED):
    return read_chain(MemoryCluster(objects), wanted)


def kinds(chain):
    return [link.kind.kind for link in chain.links]


def reasons(chain):
    """Kind to reason of what is not ready."""
    return {link.kind.kind: link.status.reason for link in chain.links if not link.status.ready}


def images(objects, target=PRIVATE, wanted=NAMED):
    cluster = MemoryCluster(objects)
    chain = read_chain(cluster, wanted)
    return images_of(chain, target_of(chain, target), cluster)


@pytest.mark.parametrize("wanted", [NAMED, COMPONENT, Wanted("ocm-system", "podinfo", "phoban.io/podinfo", "6.3.5")])
def test_controller_delivery(wanted):
    chain = read(controller_estate(), wanted)
    assert chain.ready
    assert kinds(chain) == CONTROLLER_KINDS


@pytest.mark.parametrize("wanted", [NAMED, COMPONENT])
def test_rendered_delivery(wanted):
    chain = read(rendered_estate(), wanted)
    assert chain.ready
    assert kinds(chain) == ["GitRepository", "Kustomization", "Deployment", "Pod"]


def test_what_was_applied_without_flux_is_found_by_its_label():
    estate = rendered_estate(git_repository=None, kustomization=None)
    for item in estate:
        if item["kind"] == "Deployment":
            item["metadata"]["labels"] = {"ocm.airgap/delivery": "podinfo"}
    wanted = Wanted("flux-system", "podinfo", target_namespace="default")
    chain = read(estate, wanted)
    assert chain.ready
    assert kinds(chain) == ["Deployment", "Pod"]
    assert reasons(read(estate, Wanted("flux-system", "other", target_namespace="default"))) == {"ComponentVersion": "Missing"}


def test_revisions():
    found = {link.kind.kind: link.revision for link in read(controller_estate()).links}
    assert found["ComponentVersion"] == found["Resource"] == found["Localization"] == "6.3.5"
    assert found["OCIRepository"] == found["Kustomization"] == f"6.3.5@{DIGEST}"


def test_the_name_of_the_deployer_leads_to_the_component_version():
    version = make.component_version(name="podinfo-7f3a")
    reference = dict(kind="ComponentVersion", name="podinfo-7f3a", resourceRef=dict(name="deployment"))
    resource = make.resource(spec=dict(sourceRef=reference))
    chain = read(controller_estate(component_version=version, resource=resource))
    assert chain.ready
    assert kinds(chain) == CONTROLLER_KINDS


def test_what_belongs_to_another_component_is_left_out():
    other = [
        make.component_version(name="other", conditions=[not_ready("TransferFailed")]),
        make.resource(
            name="other", spec=dict(sourceRef=dict(kind="ComponentVersion", name="other")), conditions=[not_ready("x")]
        ),
        make.flux_deployer(name="other", spec=dict(sourceRef=dict(kind="Resource", name="other")), conditions=[]),
    ]
    assert read(controller_estate() + other).ready


def test_two_component_versions_of_one_component_have_to_be_told_apart():
    both = controller_estate() + [make.component_version(name="podinfo-public")]
    with pytest.raises(InvalidInput, match="podinfo, podinfo-public"):
        read(both, COMPONENT)
    assert read(both, Wanted("ocm-system", "podinfo", "phoban.io/podinfo")).ready


def test_of_two_component_versions_the_one_counts_that_the_deployer_of_the_name_deploys():
    version = make.component_version(name="podinfo-7f3a")
    reference = dict(kind="ComponentVersion", name="podinfo-7f3a", resourceRef=dict(name="deployment"))
    former = make.component_version(name="podinfo-01bc", replicatedRepositoryURL="ghcr.io/phoban01")
    estate = controller_estate(component_version=version, resource=make.resource(spec=dict(sourceRef=reference)))
    chain = read(estate + [former], Wanted("ocm-system", "podinfo", "phoban.io/podinfo"))
    assert chain.ready
    assert chain.links[0].name == "podinfo-7f3a"


def test_nothing_there():
    chain = read([])
    assert not chain.ready
    assert reasons(chain) == {"ComponentVersion": "Missing"}


def test_without_a_deployer_nothing_is_ready():
    assert reasons(read(controller_estate(flux_deployer=None))) == {"FluxDeployer": "Missing"}


def test_a_deployer_without_conditions_is_not_ready_though_all_it_made_is():
    deployer = make.flux_deployer(conditions=[], observed=None)
    assert reasons(read(controller_estate(flux_deployer=deployer))) == {"FluxDeployer": "NotReported"}


def test_what_a_ready_deployer_made_and_somebody_deleted_does_not_come_back():
    chain = read(controller_estate(kustomization=None))
    assert reasons(chain) == {"Kustomization": "Missing"}
    assert [link.kind.kind for link in chain.failed] == ["Kustomization"]


def test_what_a_deployer_has_not_made_yet_is_waited_for():
    deployer = make.flux_deployer(conditions=[not_ready("CreatedObjectsNotReady")])
    chain = read(controller_estate(flux_deployer=deployer, kustomization=None))
    assert reasons(chain) == {"FluxDeployer": "CreatedObjectsNotReady", "Kustomization": "Missing"}
    assert not chain.failed


def test_the_wanted_version_has_to_be_reached():
    chain = read(controller_estate(), Wanted("ocm-system", "podinfo", version="6.3.6"))
    assert reasons(chain) == {"ComponentVersion": "VersionNotReached"}


def test_all_have_to_be_at_the_version_of_the_component_version():
    chain = read(controller_estate(component_version=make.component_version(reconciledVersion="6.3.6")))
    assert reasons(chain) == dict.fromkeys(["Resource", "Localization", "Configuration"], "VersionNotApplied")


def test_a_version_of_a_referenced_component_is_another_matter():
    reference = dict(name="deployment", referencePath=[dict(name="backend")])
    resource = make.resource(spec=dict(sourceRef=dict(kind="ComponentVersion", name="podinfo", resourceRef=reference)))
    backend = dict(latestSourceVersion="1.0.0")
    estate = controller_estate(
        resource=resource, localization=make.localization(**backend), configuration=make.configuration(**backend)
    )
    assert read(estate).ready


def test_a_kustomization_has_to_have_what_its_source_has():
    older = make.git_kustomization(f"main@sha1:{OLDER_COMMIT}")
    chain = read(rendered_estate(kustomization=older))
    assert reasons(chain) == {"Kustomization": "RevisionNotApplied"}
    assert COMMIT in chain.links[1].status.message


def test_a_suspended_kustomization_never_gets_there():
    older = make.git_kustomization(f"main@sha1:{OLDER_COMMIT}")
    older["spec"]["suspend"] = True
    chain = read(rendered_estate(kustomization=older))
    assert [link.status.reason for link in chain.failed] == ["Suspended"]


def test_the_pods_of_others_with_the_same_labels_are_left_out():
    stranger = make.replica_set(make.deployment(), pod_hash="stranger")
    stranger["metadata"]["ownerReferences"] = []
    lost = make.pod(stranger, waiting=("ImagePullBackOff", "x"))
    assert read(controller_estate(stranger=stranger, lost=lost)).ready


def test_an_old_pod_is_waited_for_whatever_its_state_is():
    old = make.replica_set(make.deployment(), "1", "old")
    chain = read(controller_estate(old=old, old_pod=make.pod(old, waiting=("ImagePullBackOff", "x"))))
    assert reasons(chain) == {"Pod": "Superseded"}
    assert not chain.failed


def test_a_pod_that_ends_is_waited_for():
    old = make.replica_set(make.deployment(), "1", "old")
    leaving = make.pod(old)
    leaving["metadata"]["deletionTimestamp"] = make.LATE
    assert reasons(read(controller_estate(old=old, leaving=leaving))) == {"Pod": "Terminating"}


def test_an_evicted_pod_that_was_replaced_is_no_matter():
    current = make.replica_set(make.deployment())
    assert read(controller_estate(evicted=make.pod(current, name="podinfo-evicted", phase="Failed"))).ready


def test_a_helm_release_finds_its_workloads_by_label():
    labels = {"helm.toolkit.fluxcd.io/name": "podinfo", "helm.toolkit.fluxcd.io/namespace": "ocm-system"}
    release = make.make(
        "HelmRelease",
        "helm.toolkit.fluxcd.io/v2",
        spec=dict(chartRef=dict(kind="OCIRepository", name="podinfo"), targetNamespace="default"),
        conditions=[make.ready("Helm install succeeded", "InstallSucceeded")],
        history=[dict(chartVersion="6.3.5", namespace="default", ociDigest=DIGEST)],
    )
    template = dict(interval="1m0s", releaseName="podinfo")
    source = dict(kind="Configuration", name="podinfo-deployment")
    deployer = make.flux_deployer(
        spec=dict(sourceRef=source, helmReleaseTemplate=template), helmRelease="ocm-system/podinfo", kustomization=""
    )
    running = make.deployment(labels=labels)
    estate = controller_estate(flux_deployer=deployer, kustomization=None, release=release, deployment=running)
    chain = read(estate)
    assert chain.ready
    assert kinds(chain)[4:] == ["FluxDeployer", "OCIRepository", "HelmRelease", "Deployment", "Pod"]


def test_a_kustomization_can_apply_another():
    outer = make.git_kustomization(
        inventory=dict(entries=[dict(id="ocm-system_inner_kustomize.toolkit.fluxcd.io_Kustomization")])
    )
    inner = make.git_kustomization(name="inner")
    chain = read(rendered_estate(kustomization=outer, inner=inner))
    assert [link.name for link in chain.links] == ["flux-system", "podinfo", "inner", "podinfo", "podinfo-new-x1"]


def test_inventory():
    entries = [dict(id="default_podinfo_apps_Deployment"), dict(id="_flux-system__Namespace"), dict(id="broken")]
    found = inventory(make.kustomization(inventory=dict(entries=entries)))
    assert found == [("default", "podinfo", "apps", "Deployment"), ("", "flux-system", "", "Namespace")]


def test_a_workload_that_was_applied_and_is_gone():
    assert reasons(read(rendered_estate(deployment=None, replica_set=None, pod=None))) == {"Deployment": "Missing"}


def test_a_parked_localization_is_not_waited_for_once_its_inputs_are_ready():
    parked = make.localization(conditions=[not_ready("SourceRefNotReadyWithError")], observed=-1)
    assert [link.kind.kind for link in read(controller_estate(localization=parked)).failed] == ["Localization"]
    waiting = make.resource(conditions=[], observed=-1)
    assert not read(controller_estate(localization=parked, resource=waiting)).failed


# Images


def test_images():
    found = images(controller_estate())
    assert [image.as_result() for image in found] == [
        dict(
            namespace="default",
            workload="Deployment/podinfo",
            pod="podinfo-new-x1",
            container="podinfod",
            image=IMAGE,
            digest=DIGEST,
            private=True,
        )
    ]
    assert to_try(found * 2) == [("default", IMAGE, ("ocm-airgap-pull",))]


@pytest.mark.parametrize(
    "image, private",
    [
        (f"{PRIVATE}/podinfo:6.3.5", True),
        (f"{PRIVATE}/podinfo:6.3.5@{DIGEST}", True),
        # Today's transfers give references without a tag.
        (f"{PRIVATE}/podinfo@{DIGEST}", True),
        (f"{PRIVATE}-other/podinfo:6.3.5", False),
        ("registry.example.com/podinfo:6.3.5", False),
        ("registry.example.com:5000/air-gapped/podinfo:6.3.5", False),
        ("ghcr.io/stefanprodan/podinfo:6.3.5", False),
        ("podinfo", False),
        ("registry.example.com/air-gapped/podinfo:sha256:a1", False),
    ],
)
def test_private_images(image, private):
    assert is_private(image, RepositoryReference.parse(PRIVATE)) is private
    assert is_private(image, None) is None


def test_without_a_target_the_repository_of_the_component_version_counts():
    assert [image.private for image in images(controller_estate(), "")] == [True]
    assert [image.private for image in images(rendered_estate(), "")] == [None]


def test_the_digest_of_a_tag_is_the_one_that_the_node_reports():
    current = make.replica_set(make.deployment())
    running = make.pod(current, f"{PRIVATE}/podinfo:6.3.5")
    assert [image.digest for image in images(controller_estate(pod=running))] == [DIGEST]
    running["status"]["containerStatuses"][0]["imageID"] = DIGEST
    assert [image.digest for image in images(controller_estate(pod=running))] == [""]


def test_init_containers_count():
    current = make.replica_set(make.deployment())
    running = make.pod(current)
    running["spec"]["initContainers"] = [dict(name="init", image="busybox")]
    assert [(image.container, image.private) for image in images(controller_estate(pod=running))] == [
        ("init", False),
        ("podinfod", True),
    ]


def test_without_pods_the_template_tells_and_the_service_account_has_the_secrets():
    account = make.make("ServiceAccount", "v1", "default", "default")
    account["imagePullSecrets"] = [dict(name="of-the-account")]
    scaled = make.deployment(secrets=(), replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0)
    scaled["spec"]["replicas"] = 0
    found = images(controller_estate(deployment=scaled, pod=None, account=account))
    assert [(image.pod, image.secrets) for image in found] == [("", ("of-the-account",))]


def with_descriptor(**reference):
    ref = dict(componentDescriptorRef=dict(name="podinfo-6.3.5-1", namespace="ocm-system"), **reference)
    return make.component_version(componentDescriptor=dict(name="phoban.io/podinfo", version="6.3.5", **ref))


def descriptor(name):
    return make.make("ComponentDescriptor", make.OCM_API, name, observed=None)


def test_a_descriptor_that_went_with_another_component_version_does_not_come_back():
    reference = dict(name="db", version="1.0.0", componentDescriptorRef=dict(name="db-1.0.0-1", namespace="ocm-system"))
    estate = controller_estate(component_version=with_descriptor(references=[reference]))
    whole = estate + [descriptor("podinfo-6.3.5-1"), descriptor("db-1.0.0-1")]
    assert read(whole).ready
    for gone in ("podinfo-6.3.5-1", "db-1.0.0-1"):
        chain = read([found for found in whole if found["metadata"]["name"] != gone])
        (link,) = chain.failed
        assert (link.kind.kind, link.status.reason, link.given_up) == ("ComponentVersion", "DescriptorMissing", True)
        assert gone in link.status.message


def test_who_may_not_read_descriptors_misses_none():
    class Forbidden(MemoryCluster):
        def get(self, kind, namespace, name):
            if kind.kind == "ComponentDescriptor":
                raise ClusterError("Kubernetes: cannot read: forbidden (403).", status=403)
            return super().get(kind, namespace, name)

    assert read_chain(Forbidden(controller_estate(component_version=with_descriptor())), NAMED).ready


@pytest.mark.parametrize("annotations, given_up", [({}, False), ({SHOWN: "true"}, True)])
def test_what_a_person_has_suspended_is_not_shown_again(annotations, given_up):
    version = make.component_version(replicatedRepositoryURL="ghcr.io/phoban01")
    assert read(controller_estate(component_version=version)).links[0].given_up
    version["spec"]["suspend"] = True
    version["metadata"]["annotations"] = annotations
    assert read(controller_estate(component_version=version)).links[0].given_up is given_up
