# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is suspended in the cluster although Git does not say so."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import KUSTOMIZATION
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.keepers import FluxPlace, Place
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.suspended import (
    own_part,
    suspended_id,
    suspended_items,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.lock import LOCK_NAME, LOCK_VERSION, dump_lock
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.labels import SHOWN
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import MemoryCluster, make as make_object

FLUX = FluxPlace("flux-system", "components", "flux-system")
OCM = "delivery.ocm.software/v1alpha1"


def entry(kind, api_version=OCM, name="podinfo", namespace="ocm-system", **more):
    file = f"components/podinfo/{kind}.yaml"
    return dict(apiVersion=api_version, kind=kind, name=name, namespace=namespace, file=file, **more)


LOCK = dict(
    name="podinfo",
    objects=[
        entry("ServiceAccount", "v1", "air-gapped-ops", shared=True),
        entry("ComponentVersion"),
        entry("Resource", name="podinfo-deployment"),
        entry("Localization", name="podinfo-deployment"),
        entry("Configuration", name="podinfo-deployment"),
        entry("FluxDeployer"),
        entry("OCIRepository", "source.toolkit.fluxcd.io/v1", "chart", "flux-system"),
        entry("HelmRelease", "helm.toolkit.fluxcd.io/v2", "chart", "flux-system"),
        entry("Kustomization", "kustomize.toolkit.fluxcd.io/v1", "rendered", "flux-system"),
        entry("CronJob", "batch/v1", "nightly", "default"),
    ],
)


def estate():
    account = make_object("ServiceAccount", "v1", "air-gapped-ops", observed=None)
    return [
        make.git_repository(),
        make.kustomization(name="components", namespace="flux-system"),
        account,
        make.component_version(),
        make.resource(),
        make.localization(),
        make.configuration(),
        make.flux_deployer(),
        make.oci_repository(),
        make.kustomization(),
        make.oci_repository(name="chart", namespace="flux-system"),
        make_object("HelmRelease", "helm.toolkit.fluxcd.io/v2", "chart", "flux-system"),
        make.kustomization(name="rendered", namespace="flux-system"),
        make_object("CronJob", "batch/v1", "nightly", "default"),
    ]


def titles(objects, lock=None, tree=None):
    return [item.object for item in suspended_items(lock or LOCK, MemoryCluster(objects), FLUX, tree)]


def suspend(objects, kind, name, namespace=None):
    for found in objects:
        own = found["metadata"]
        if (found["kind"], own["name"]) == (kind, name) and namespace in (None, own["namespace"]):
            found["spec"] = dict(found["spec"], suspend=True)
            return objects
    raise LookupError(name)


def in_git(*documents):
    files = {"components/all.yaml": "---\n".join(map(yaml.safe_dump, documents)).encode(), "README.md": b"{{"}
    return Tree(files, files.get)


def test_an_estate_where_everything_runs_has_no_items():
    assert titles(estate()) == []


@pytest.mark.parametrize(
    "kind, name, namespace, owner",
    [
        ("GitRepository", "flux-system", "flux-system", ""),
        ("Kustomization", "components", "flux-system", ""),
        ("ComponentVersion", "podinfo", "ocm-system", "podinfo"),
        ("Resource", "podinfo-deployment", "ocm-system", "podinfo"),
        ("Localization", "podinfo-deployment", "ocm-system", "podinfo"),
        ("Configuration", "podinfo-deployment", "ocm-system", "podinfo"),
        ("OCIRepository", "podinfo", "ocm-system", "podinfo"),
        ("Kustomization", "podinfo", "ocm-system", "podinfo"),
        ("OCIRepository", "chart", "flux-system", "podinfo"),
        ("HelmRelease", "chart", "flux-system", "podinfo"),
        ("Kustomization", "rendered", "flux-system", "podinfo"),
    ],
)
def test_each_that_is_suspended_is_an_item(kind, name, namespace, owner):
    objects = suspend(estate(), kind, name, namespace)
    (item,) = suspended_items(LOCK, MemoryCluster(objects), FLUX)
    assert item.as_result() == dict(
        id=f"suspended:{kind} {namespace}/{name}",
        scope="suspended",
        object=f"{kind} {namespace}/{name}",
        expected="not suspended",
        found="spec.suspend is true",
        name=owner,
        obstacle="",
        file="",
        repairable=True,
    )


def test_the_release_of_a_deployer_counts_too():
    spec = dict(interval="1m0s", sourceRef={}, helmReleaseTemplate={"interval": "1m"})
    deployer = make.flux_deployer(spec=spec, helmRelease="ocm-system/podinfo")
    release = make_object("HelmRelease", "helm.toolkit.fluxcd.io/v2", spec=dict(suspend=True))
    objects = [found for found in estate() if found["kind"] != "FluxDeployer"] + [deployer, release]
    assert titles(objects) == ["HelmRelease ocm-system/podinfo"]


def test_the_order_is_that_of_the_content():
    objects = estate()
    suspend(objects, "Kustomization", "podinfo")
    suspend(objects, "Resource", "podinfo-deployment")
    suspend(objects, "GitRepository", "flux-system")
    assert titles(objects) == [
        "GitRepository flux-system/flux-system",
        "Resource ocm-system/podinfo-deployment",
        "Kustomization ocm-system/podinfo",
    ]


def test_an_object_counts_once():
    lock = dict(LOCK, objects=LOCK["objects"] + [entry("Kustomization", "kustomize.toolkit.fluxcd.io/v1")])
    assert titles(suspend(estate(), "Kustomization", "podinfo"), lock) == ["Kustomization ocm-system/podinfo"]


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_only_true_suspends(value):
    objects = estate()
    for found in objects:
        found["spec"] = dict(found["spec"], suspend=value)
    assert titles(objects) == []


def test_workloads_that_can_be_suspended_are_none_of_flux():
    assert titles(suspend(estate(), "CronJob", "nightly")) == []


def test_others_objects_are_theirs():
    objects = estate() + [make.kustomization(name="other", spec=dict(suspend=True))]
    assert titles(objects) == []


def test_a_kind_of_the_same_name_in_another_group_is_another_kind():
    lock = dict(LOCK, objects=[entry("Kustomization", "example.com/v1", "mine")])
    objects = estate() + [make_object("Kustomization", "example.com/v1", "mine", spec=dict(suspend=True))]
    assert titles(objects, lock) == []


def test_what_is_missing_is_not_suspended():
    assert titles([]) == []


def test_what_git_suspends_is_meant():
    objects = suspend(estate(), "Kustomization", "rendered")
    document = dict(make.kustomization(name="rendered", namespace="flux-system"), status=None)
    assert titles(objects, tree=in_git(document)) == ["Kustomization flux-system/rendered"]
    document["spec"] = dict(document["spec"], suspend=True)
    assert titles(objects, tree=in_git(make.resource(), document)) == []
    document["metadata"] = dict(name="rendered")
    assert titles(objects, tree=in_git(document)) == []
    document["metadata"] = dict(name="rendered", namespace="elsewhere")
    assert titles(objects, tree=in_git(document)) == ["Kustomization flux-system/rendered"]


def test_what_git_suspends_for_another_cluster_is_not_meant():
    objects = suspend(estate(), "Kustomization", "rendered")
    document = dict(make.kustomization(name="rendered", namespace="flux-system", spec=dict(suspend=True)), status=None)
    file = "clusters/other/podinfo/kustomization-object.yaml"
    entries = [dict(LOCK["objects"][8], file=file, digest="")]
    files = {file: yaml.safe_dump(document).encode()}
    files[f"clusters/other/podinfo/{LOCK_NAME}"] = dump_lock(dict(lockVersion=LOCK_VERSION, objects=entries))
    tree = Tree(files, files.get)
    assert titles(objects, tree=tree) == []
    assert titles(objects, tree=own_part(tree, "clusters/own")) == ["Kustomization flux-system/rendered"]
    assert titles(objects, tree=own_part(tree, "clusters/other")) == []


def test_what_a_template_in_git_suspends_is_meant():
    objects = suspend(estate(), "Kustomization", "podinfo")
    suspend(objects, "OCIRepository", "podinfo")
    deployer = make.flux_deployer(spec=dict(kustomizationTemplate=dict(suspend=True)))
    assert titles(objects, tree=in_git(deployer)) == ["OCIRepository ocm-system/podinfo"]
    other = make.flux_deployer(spec=dict(helmReleaseTemplate=dict(suspend=True)))
    assert len(titles(objects, tree=in_git(other))) == 2


def test_what_ocm_reconcile_has_left_behind_is_nobodys_decision():
    objects = suspend(estate(), "ComponentVersion", "podinfo")
    (version,) = [found for found in objects if found["kind"] == "ComponentVersion"]
    version["metadata"]["annotations"] = {SHOWN: "true"}
    assert titles(objects) == []
    version["metadata"]["annotations"] = {"other": "true"}
    assert titles(objects) == ["ComponentVersion ocm-system/podinfo"]


def test_the_id_is_known_before():
    objects = suspend(estate(), "Kustomization", "rendered")
    (item,) = suspended_items(LOCK, MemoryCluster(objects), FLUX)
    assert item.id == suspended_id(Place(KUSTOMIZATION, "flux-system", "rendered"))
