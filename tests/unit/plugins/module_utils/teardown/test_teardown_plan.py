# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a delivery that goes, in which order it goes, what is lost with it, and who shares what with it."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import (
    COMPONENT_VERSION,
    CRON_JOB,
    DEPLOYMENT,
    FLUX_DEPLOYER,
    HELM_RELEASE,
    KUSTOMIZATION,
    NAMESPACE,
    OCI_REPOSITORY,
    POD,
    RESOURCE,
    SECRET,
    SERVICE_ACCOUNT,
    SNAPSHOT,
    Kind,
    kind_of,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.teardown.losses import CLAIM, volumes_of, workloads_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.teardown.order import next_steps, still_there
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.teardown.record import (
    APPLIERS,
    ORIGINS,
    WORKLOAD,
    read_record,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.teardown.survey import Found, Survey, key_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.teardown.users import (
    Going,
    SecretPlace,
    inhabitants,
    platform_users,
    secret_places,
    secret_users,
)
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import MemoryCluster

KUSTOMIZE, HELM = "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"
SERVICE, CONFIG_MAP, STATEFUL_SET = Kind("v1", "Service"), Kind("v1", "ConfigMap"), Kind("apps/v1", "StatefulSet")
KINDS = (DEPLOYMENT, STATEFUL_SET, SERVICE, SECRET, CONFIG_MAP, POD, HELM_RELEASE, COMPONENT_VERSION)


def entry(kind, name, namespace="ocm-system", api_version=make.OCM_API, **more):
    return dict(apiVersion=api_version, kind=kind, namespace=namespace, name=name, file=f"{name}.yaml", **more)


def lock(delivery="controller", **changes):
    written = [
        entry("ServiceAccount", "air-gapped-ops", api_version="v1", shared=True),
        entry("ComponentVersion", "podinfo-0a1b2c3d"),
        entry("Resource", "podinfo-deployment"),
        entry("Localization", "podinfo-deployment"),
        entry("FluxDeployer", "podinfo"),
    ]
    if delivery == "rendered":
        written = [entry("Kustomization", "podinfo", "flux-system", "kustomize.toolkit.fluxcd.io/v1")]
    usual = dict(name="podinfo", delivery=delivery, namespace="ocm-system", targetNamespace="apps")
    return dict(usual, pullSecret="ocm-airgap-pull", objects=written, **changes)


def record(delivery="controller", sharing=None, **changes):
    return read_record(dict(name="podinfo", lock=lock(delivery, **changes), sharing=sharing))


def without_git(**changes):
    usual = dict(name="podinfo", delivery="rendered", namespace="ocm-system", target_namespace="apps", lock=None)
    usual.update(flux_namespace="flux-system", manifests="deployment", service_account="air-gapped-ops")
    return read_record(dict(usual, pull_secret="ocm-airgap-pull", pull_secret_by="patch", **changes))


def applied(obj, by="podinfo", namespace="ocm-system", group=KUSTOMIZE, manager="kustomize-controller", **labels):
    """The object as Flux applies it."""
    obj["metadata"]["labels"] = {f"{group}/name": by, f"{group}/namespace": namespace, **labels}
    obj["metadata"]["managedFields"] = [dict(manager=manager), dict(manager="kubectl-edit")]
    return obj


def some(kind, name="podinfo", namespace="apps", **options):
    return make.make(kind.kind, kind.api_version, name, namespace, observed=None, **options)


def owned(obj, owner):
    obj["metadata"]["ownerReferences"] = [
        dict(kind=owner["kind"], name=owner["metadata"]["name"], uid=owner["metadata"]["uid"])
    ]
    return obj


def estate():
    """All of a delivery by ocm-controller."""
    deployer = make.flux_deployer()
    resource = make.resource()
    return [
        make.component_version(name="podinfo-0a1b2c3d"),
        resource,
        make.localization(),
        deployer,
        owned(make.oci_repository(), deployer),
        owned(make.kustomization(), deployer),
        owned(some(SNAPSHOT, "podinfo-deployment-abcdefg", "ocm-system"), resource),
        applied(make.deployment(namespace="apps")),
        applied(some(SERVICE)),
    ]


def titles(found):
    return [(item.stage, item.title) for item in found]


def look(objects, *records):
    return Survey(MemoryCluster(objects), KINDS, records or [record()]).look()


def test_what_applies_goes_first_then_the_workload_then_its_origins():
    assert titles(look(estate())) == [
        (APPLIERS, "FluxDeployer ocm-system/podinfo"),
        (APPLIERS, "Kustomization ocm-system/podinfo"),
        (WORKLOAD, "Deployment apps/podinfo"),
        (WORKLOAD, "Service apps/podinfo"),
        (ORIGINS, "ComponentVersion ocm-system/podinfo-0a1b2c3d"),
        (ORIGINS, "Resource ocm-system/podinfo-deployment"),
        (ORIGINS, "Localization ocm-system/podinfo-deployment"),
        (ORIGINS, "OCIRepository ocm-system/podinfo"),
        (ORIGINS, "Snapshot ocm-system/podinfo-deployment-abcdefg"),
    ]


def test_the_rest_is_found_when_its_makers_have_gone():
    rest = [obj for obj in estate() if obj["kind"] in ("Snapshot", "OCIRepository", "Deployment")]
    assert [item.content["kind"] for item in look(rest)] == ["Deployment", "OCIRepository", "Snapshot"]


def test_objects_of_others_with_the_same_names_are_left_alone():
    others = [
        make.kustomization(),  # not made by the FluxDeployer
        some(SNAPSHOT, "other", "ocm-system"),
        applied(make.deployment(namespace="apps")),  # so it is that Kustomization's
        some(SERVICE),
        make.component_version(name="podinfo"),
    ]
    assert look(others) == []


def test_labels_that_were_copied_do_not_count():
    copied = applied(some(CONFIG_MAP), manager="somebody")
    assert look([copied]) == [] and look([applied(some(CONFIG_MAP))]) != []


def test_what_an_annotation_keeps_stays_and_is_told():
    kept = applied(some(CONFIG_MAP, "kept"))
    kept["metadata"]["annotations"] = {f"{KUSTOMIZE}/prune": "disabled"}
    survey = Survey(MemoryCluster([kept, applied(some(CONFIG_MAP))]), KINDS, [record()])
    assert [item.title for item in survey.look()] == ["ConfigMap apps/podinfo"]
    assert list(survey.kept) == [key_of(kept)]


def test_what_a_kept_object_applies_stays_with_it():
    objects = estate()
    kept = next(obj for obj in objects if obj["kind"] == "Kustomization")
    kept["metadata"]["annotations"] = {f"{KUSTOMIZE}/prune": "disabled"}
    assert not [item.title for item in look(objects) if item.stage == WORKLOAD]


def test_a_namespace_stays_for_what_others_have_in_it():
    objects = [applied(some(NAMESPACE, name, "")) for name in ("apps", "open")]
    objects[0]["metadata"]["annotations"] = {f"{KUSTOMIZE}/prune": "disabled"}
    marked_one = marked(some(NAMESPACE, "marked", ""))
    survey = Survey(MemoryCluster([*objects, marked_one]), [*KINDS, NAMESPACE], [record(), without_git()])
    assert survey.look() == []
    assert {key[2] for key in survey.kept} == {"apps", "marked"}
    assert [key[2] for key in survey.pruned] == ["open"], "Flux removes it"


def inner(kind, **spec):
    """A Kustomization or HelmRelease that the component brings, and a Deployment that it has applied."""
    group, manager = kind.group, "helm-controller" if kind == HELM_RELEASE else "kustomize-controller"
    workload = applied(make.deployment(name="inner", namespace="apps"), "inner", "apps", group, manager)
    return [applied(some(kind, "inner", spec=spec)), workload]


@pytest.mark.parametrize("kind, spec", [(HELM_RELEASE, {}), (KUSTOMIZATION, dict(prune=True))])
def test_what_the_component_applies_itself_goes_as_well(kind, spec):
    deeper = applied(some(CONFIG_MAP), "deeper", "apps", HELM, "helm-controller")
    release = applied(some(HELM_RELEASE, "deeper"), "inner", "apps", kind.group, "kustomize-controller")
    objects = inner(kind, **spec) + ([release, deeper] if kind == KUSTOMIZATION else [])
    survey = Survey(MemoryCluster(objects), [*KINDS, KUSTOMIZATION], [record()])
    found = titles(survey.look())
    assert (APPLIERS, f"{kind} apps/inner") in found and (WORKLOAD, "Deployment apps/inner") in found
    assert len(found) == len(objects)


@pytest.mark.parametrize("spec", [dict(prune=False), dict(prune=True, deletionPolicy="Orphan")])
def test_what_an_inner_kustomization_leaves_behind_stays(spec):
    survey = Survey(MemoryCluster(inner(KUSTOMIZATION, **spec)), [*KINDS, KUSTOMIZATION], [record()])
    assert titles(survey.look()) == [(APPLIERS, "Kustomization apps/inner")]


def test_what_an_inner_applier_has_applied_is_known_when_it_has_gone():
    cluster = MemoryCluster(inner(HELM_RELEASE))
    survey = Survey(cluster, KINDS, [record()])
    survey.look()
    del cluster.objects[0]
    assert titles(survey.look()) == [(WORKLOAD, "Deployment apps/inner")]


def test_a_second_look_goes_where_something_was():
    class Counting(MemoryCluster):
        listed = []

        def list(self, kind, namespace, selector="", fields=""):
            self.listed.append((kind, selector))
            return super().list(kind, namespace, selector, fields)

    cluster = Counting(estate())
    survey = Survey(cluster, KINDS, [record()])
    first = survey.look()
    cluster.listed.clear()
    assert titles(survey.look()) == titles(first)
    again = {kind for kind, selector in cluster.listed if KUSTOMIZE in selector}
    assert again == {DEPLOYMENT, SERVICE, COMPONENT_VERSION}


def test_a_chart_leaves_what_helm_knows_of_its_release():
    release = make.make("HelmRelease", HELM_RELEASE.api_version, "podinfo", "flux-system", observed=None)
    written = [entry("HelmRelease", "podinfo", "flux-system", HELM_RELEASE.api_version)]
    storage = some(SECRET, "sh.helm.release.v1.podinfo.v1", "flux-system", labels=dict(owner="helm", name="podinfo"))
    storage["metadata"]["managedFields"] = [dict(manager="helm-controller")]
    by_hand = some(SECRET, "sh.helm.release.v1.podinfo.v1", "apps", labels=dict(owner="helm", name="podinfo"))
    by_hand["metadata"]["managedFields"] = [dict(manager="helm")]
    workload = applied(make.deployment(namespace="apps"), "podinfo", "flux-system", HELM, "helm-controller")
    chart = read_record(dict(name="podinfo", lock=dict(lock(), objects=written)))
    found = look([release, storage, by_hand, workload], chart)
    assert [item.title for item in found] == [
        "HelmRelease flux-system/podinfo",
        "Deployment apps/podinfo",
        "Secret flux-system/sh.helm.release.v1.podinfo.v1",
    ]


def marked(obj, manager="ansible-ocm"):
    obj["metadata"]["labels"] = {"ocm.airgap/delivery": "podinfo"}
    obj["metadata"]["managedFields"] = [dict(manager=manager)]
    return obj


def test_without_git_it_is_the_label():
    mine, elsewhere = marked(make.deployment(namespace="apps")), marked(make.deployment(namespace="other"))
    assert titles(look([mine, elsewhere, some(SERVICE)], without_git())) == [(WORKLOAD, "Deployment apps/podinfo")]
    everywhere = marked(some(Kind("v1", "ConfigMap"), namespace=""))
    assert titles(look([everywhere], without_git())) == [(WORKLOAD, "ConfigMap podinfo")]


def test_without_git_ocm_controllers_objects_have_their_names():
    objects = estate()
    marked(objects[0])
    found = look(objects, without_git(delivery="controller", manifests=dict(name="deployment", os="linux")))
    assert sorted(titles(found)) == sorted(titles(look(estate())))


def test_a_delivery_without_git_has_to_be_described():
    with pytest.raises(InvalidInput, match="neither lock nor delivery"):
        read_record(dict(name="podinfo", lock=None, delivery=None))
    with pytest.raises(InvalidInput, match="podinfo"):
        read_record(dict(name="podinfo", lock=dict(objects="x")))


# the order


def going(obj, *finalizers):
    obj["metadata"].update(deletionTimestamp=make.LATE, finalizers=list(finalizers))
    return obj


def found_of(*objects):
    stages = {"FluxDeployer": APPLIERS, "Kustomization": APPLIERS, "Deployment": WORKLOAD}
    return [Found(stages.get(obj["kind"], ORIGINS), obj) for obj in objects]


def test_nothing_is_removed_before_what_would_apply_it_again():
    deployer, deployment, version = make.flux_deployer(), make.deployment(), make.component_version()
    assert next_steps(found_of(deployer, deployment, version), lambda obj: True).remove == (deployer,)
    waiting = going(make.kustomization(), "finalizers.fluxcd.io")
    assert next_steps(found_of(waiting, deployment), lambda obj: False).remove == ()
    assert next_steps(found_of(deployment, version), lambda obj: False).remove == (deployment,)
    assert next_steps((), lambda obj: False).remove == ()


def test_finalizers_are_taken_away_when_their_controller_is_overdue():
    stuck = going(make.kustomization(), "finalizers.fluxcd.io", "somebody.else/finalizer")
    other = going(make.component_version(), "somebody.else/finalizer")
    assert next_steps(found_of(stuck, other), lambda obj: True).release == ((stuck, ("somebody.else/finalizer",)),)
    assert next_steps(found_of(stuck, other), lambda obj: False).release == ()
    living = make.kustomization()
    living["metadata"]["finalizers"] = ["finalizers.fluxcd.io"]
    assert next_steps(found_of(living), lambda obj: True).release == ()


def test_what_is_still_there_is_told_with_its_reason():
    message = still_there(found_of(going(make.component_version(), "a/b"), make.deployment(), make.resource()))
    assert "Resource" not in message, "it waits for the others"
    assert "ComponentVersion ocm-system/podinfo (waits for a/b)" in message
    assert "Deployment default/podinfo (something applies it again)" in message


# what is lost


def claim(name):
    return some(CLAIM, name)


def test_volumes_that_go_and_volumes_that_stay():
    spec = dict(volumeClaimTemplates=[dict(metadata=dict(name="data"))], template=dict(spec=make.pod_spec()))
    stateful = some(STATEFUL_SET, "db", spec=spec)
    deployment = make.deployment(namespace="apps")
    deployment["spec"]["template"]["spec"]["volumes"] = [dict(name="x", persistentVolumeClaim=dict(claimName="cache"))]
    delivered = claim("delivered")
    found = found_of(stateful, deployment, delivered)
    claims = [claim(name) for name in ("data-db-0", "data-db-1", "data-db-x", "data-other-0", "cache", "delivered")]
    volumes, kept = volumes_of(found, claims)
    assert volumes == ["PersistentVolumeClaim apps/delivered"]
    assert kept == [f"PersistentVolumeClaim apps/{name}" for name in ("cache", "data-db-0", "data-db-1")]
    stateful["spec"]["persistentVolumeClaimRetentionPolicy"] = dict(whenDeleted="Delete")
    assert "PersistentVolumeClaim apps/data-db-0" in volumes_of(found, claims)[0]
    assert [kind_of(obj) for obj in workloads_of(found)] == [STATEFUL_SET, DEPLOYMENT]


# what else uses it

PLACE = SecretPlace("apps", "ocm-airgap-pull", frozenset(("air-gapped-ops",)))


def account(name, *secrets):
    return dict(some(SERVICE_ACCOUNT, name), imagePullSecrets=[dict(name=secret) for secret in secrets])


def users(*objects, going=Going(), place=PLACE):
    return secret_users(MemoryCluster(objects), place, going)


def test_places_of_pull_secrets_are_joined():
    sharing = dict(pull_secrets={"apps": ["components/redis"]})
    places = secret_places([record(sharing=sharing), record("rendered")])
    assert {(place.namespace, tuple(place.accounts), tuple(place.sharers)) for place in places} == {
        ("ocm-system", ("air-gapped-ops",), ()),
        ("apps", (), ("components/redis",)),
        ("flux-system", (), ()),
    }
    shared = record(sharing=dict(service_accounts={"ocm-system/air-gapped-ops": ["components/redis"]}))
    assert shared.accounts == ()


def test_a_pod_counts_as_the_workload_that_has_made_it():
    deployment = make.deployment(namespace="apps", secrets=())
    replicas = make.replica_set(deployment)
    replicas["metadata"]["namespace"] = "apps"
    pod = make.pod(replicas, namespace="apps")
    assert users(deployment, replicas, pod) == ["Deployment apps/podinfo"]
    assert users(replicas, pod) == [], "its Deployment has gone, so it goes"
    assert users(deployment, replicas, pod, going=Going(frozenset((key_of(deployment),)))) == []
    alone = make.pod(some(Kind("example.org/v1", "Runner"), "runner"), namespace="apps")
    assert users(alone) == ["Pod apps/runner-x1"]
    assert users(going(alone)) == []


def test_other_users_of_a_pull_secret():
    assert users(account("other", "ocm-airgap-pull"), account("air-gapped-ops", "ocm-airgap-pull")) == [
        "ServiceAccount apps/other"
    ]
    assert users(account("other", "another"), make.deployment(namespace="apps", secrets=("another",))) == []
    assert users(make.component_version(namespace="apps")) == ["ComponentVersion apps/podinfo"]
    source = make.oci_repository(namespace="apps", spec=dict(secretRef=dict(name="ocm-airgap-pull")))
    assert users(source) == ["OCIRepository apps/podinfo"]
    shared = SecretPlace("apps", "ocm-airgap-pull", frozenset(), frozenset(("components/redis",)))
    assert users(place=shared) == ["components/redis"]


def test_users_of_an_account_that_carries_the_secret():
    """Also those that have no pods now, which would name the Secret."""
    place = SecretPlace("apps", "ocm-airgap-pull", frozenset(("default", "air-gapped-ops")))
    deployment = make.deployment(namespace="apps", secrets=())
    pods = dict(template=dict(spec=make.pod_spec(secrets=())))
    job = some(CRON_JOB, "nightly", spec=dict(jobTemplate=dict(spec=pods)))
    assert users(deployment, job, place=place) == ["CronJob apps/nightly", "Deployment apps/podinfo"]
    assert users(deployment, job) == [], "the default account does not carry it"
    assert users(deployment, place=place, going=Going(frozenset((key_of(deployment),)))) == []
    deployment["spec"]["template"]["spec"]["serviceAccountName"] = "air-gapped-ops"
    assert users(deployment) == ["Deployment apps/podinfo"]
    deployment["spec"]["template"]["spec"]["serviceAccountName"] = "other"
    assert users(deployment, place=place) == []
    source = make.oci_repository(namespace="apps", spec=dict(serviceAccountName="air-gapped-ops"))
    assert users(source) == ["OCIRepository apps/podinfo"]


def test_the_platform_uses_nothing_when_it_goes():
    controller = make.deployment(name="source-controller", namespace="apps", labels={"ocm.airgap/platform": "flux"})
    assert users(controller) == ["Deployment apps/source-controller"]
    assert users(controller, going=Going(platform=True)) == []


def test_a_namespace_with_something_else_in_it_is_inhabited():
    common = [
        some(CONFIG_MAP, "kube-root-ca.crt"),
        account("default"),
        dict(some(SECRET, "default-token"), type="kubernetes.io/service-account-token"),
        some(SECRET, "ocm-airgap-pull"),
        owned(some(POD, "pod"), make.deployment()),
        some(Kind("v1", "Event"), "event"),
        going(some(SERVICE, "going")),
    ]
    kinds = [*KINDS, SERVICE_ACCOUNT, Kind("v1", "Event")]
    mine = some(SERVICE)
    gone = Going(frozenset((key_of(mine),)))
    assert inhabitants(MemoryCluster([*common, mine]), kinds, "apps", ["ocm-airgap-pull"], gone) == []
    assert inhabitants(MemoryCluster([*common, mine]), kinds, "apps", [], Going()) == [
        "Secret apps/ocm-airgap-pull",
        "Service apps/podinfo",
    ]


def test_the_platform_stays_as_long_as_somebody_needs_it():
    mine = estate()
    keys = frozenset(key_of(obj) for obj in mine)
    entries = [dict(id="ocm-system_podinfo_delivery.ocm.software_FluxDeployer", v="v1alpha1")]
    reader = make.git_kustomization(name="components", namespace="flux-system", inventory=dict(entries=entries))
    cluster = MemoryCluster([*mine, reader])
    assert platform_users(cluster, Going(keys), reader) == []
    assert platform_users(cluster, Going(keys), None) == ["Kustomization flux-system/components"]
    entries.append(dict(id="apps_other__ConfigMap", v="v1"))
    assert platform_users(cluster, Going(keys), reader) == ["Kustomization flux-system/components"]
    cluster.objects.append(make.component_version(name="other"))
    assert platform_users(cluster, Going(keys), None)[0] == "ComponentVersion ocm-system/other"


def test_the_platform_stays_for_sources_of_others():
    """What fetches from them may be somewhere else."""
    own = make.git_repository()
    repository = some(Kind(OCI_REPOSITORY.api_version, "HelmRepository"), "charts", "team")
    made = owned(make.oci_repository(namespace="team"), make.flux_deployer())
    chart = some(Kind(OCI_REPOSITORY.api_version, "HelmChart"), "chart", "team")
    objects = [own, repository, made, chart]
    assert platform_users(MemoryCluster(objects), Going(), None, own) == ["HelmRepository team/charts"]
    assert platform_users(MemoryCluster([own]), Going(), None) == ["GitRepository flux-system/flux-system"]


def test_places_of_what_was_made():
    kinds = {(place.kind, place.name) for place in record().places if place.owners}
    assert kinds == {
        (KUSTOMIZATION, "podinfo"), (HELM_RELEASE, "podinfo"), (OCI_REPOSITORY, "podinfo"), (SNAPSHOT, ""),
    }
    assert {place.kind for place in record().places} >= {FLUX_DEPLOYER, RESOURCE, COMPONENT_VERSION}
