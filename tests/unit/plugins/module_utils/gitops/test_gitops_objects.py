# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a delivery, and the checks that they pass before they are written."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.apply import objects_to_apply
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.chart import changed_values, images_in_values
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.check import check_objects
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import CHART_LAYER, Chart, Content, render
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.workloads import (
    POD_SPECS,
    documents,
    manifests_of,
    namespace_patch,
    pod_spec,
    pull_secret_patches,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput, OcmError, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import ImageReference

OPTIONS = {"component": "phoban.io/podinfo", "version": "6.3.5", "repository": "registry.example.com/air-gapped"}
RULES = Content(manifests={"name": "deployment"}, config={"name": "config"}, localizes=True)
PLAIN = Content(manifests={"name": "deployment"})
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "podinfo"},
    "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "registry.example.com/air-gapped/a:1"}]}}},
}


def delivery(**options):
    return read_delivery(dict(OPTIONS, **options))


def by_kind(placed):
    return {item.definition["kind"]: item.definition for item in placed}


def test_the_chain_of_the_controller():
    objects = by_kind(render(delivery(values={"replicas": 2}), RULES))
    assert list(objects) == ["ServiceAccount", "ComponentVersion", "Resource", "Localization", "Configuration", "FluxDeployer"]
    version = objects["ComponentVersion"]
    name = version["metadata"]["name"]
    assert version["spec"] == {
        "component": "phoban.io/podinfo",
        "version": {"semver": "6.3.5"},
        "repository": {"url": "registry.example.com/air-gapped"},
        "serviceAccountName": "air-gapped-ops",
        "interval": "1m0s",
    }
    reference = {"kind": "ComponentVersion", "name": name}
    assert objects["Resource"]["spec"]["sourceRef"] == dict(reference, resourceRef={"name": "deployment"})
    assert objects["Localization"]["spec"]["sourceRef"] == {"kind": "Resource", "name": "podinfo-deployment"}
    assert objects["Localization"]["spec"]["configRef"] == dict(reference, resourceRef={"name": "config"})
    assert objects["Configuration"]["spec"]["sourceRef"] == {"kind": "Localization", "name": "podinfo-deployment"}
    assert objects["Configuration"]["spec"]["values"] == {"replicas": 2}
    deployer = objects["FluxDeployer"]["spec"]
    assert deployer["sourceRef"] == {"kind": "Configuration", "name": "podinfo-deployment"}
    assert deployer["interval"] == "1m0s" and deployer["kustomizationTemplate"]["interval"] == "1m0s"
    check_objects(list(objects.values()))


@pytest.mark.parametrize(
    "content, values, kinds",
    [
        (PLAIN, None, ["Resource"]),
        (RULES, None, ["Resource", "Localization"]),
        (RULES, {}, ["Resource", "Localization", "Configuration"]),
        (Content(manifests={"name": "deployment"}, config={"name": "config"}), {}, ["Resource", "Configuration"]),
    ],
)
def test_only_the_links_that_are_needed(content, values, kinds):
    objects = by_kind(render(delivery(values=values), content))
    assert [kind for kind in objects if kind in ("Resource", "Localization", "Configuration")] == kinds
    assert objects["FluxDeployer"]["spec"]["sourceRef"]["kind"] == kinds[-1]
    check_objects(list(objects.values()))


def test_another_repository_has_another_component_version():
    """ocm-controller does nothing when the URL of a ComponentVersion is changed in place, or its component."""
    here, there = delivery(), delivery(repository="other.example.com/air-gapped")
    other = delivery(component="phoban.io/podinfo-next", name="podinfo")
    assert len({each.component_version_name for each in (here, there, other)}) == 3
    assert here.component_version_name == delivery(version="6.4.0").component_version_name


A, B = "sha256:" + "aaaabbbb" * 8, "sha256:" + "bbbbcccc" * 8


@pytest.mark.parametrize(
    "options, packed, localized",
    [
        ({}, "6.3.5_aaaabbbb", "6.3.5_bbbbcccc"),
        ({"version": "6.3.5+build.7"}, "6.3.5_build.7.aaaabbbb", "6.3.5_build.7.bbbbcccc"),
        ({"follow": True, "constraint": ">=6.3.5"}, None, None),
    ],
)
def test_other_content_of_a_version_has_another_tag(options, packed, localized):
    """ocm-controller does not fetch again what it has under a tag."""
    content = dataclasses.replace(RULES, packed=A, localized=B)
    objects = by_kind(render(delivery(values={}, **options), content))
    tags = {kind: objects[kind]["spec"] for kind in ("Resource", "Localization", "Configuration")}
    assert tags["Resource"]["sourceRef"]["resourceRef"].get("version") == packed
    for kind in ("Localization", "Configuration"):
        assert tags[kind]["configRef"]["resourceRef"].get("version") == localized


def test_following_writes_the_range():
    version = by_kind(render(delivery(follow=True, constraint=">=6.3.5"), RULES))["ComponentVersion"]
    assert version["spec"]["version"] == {"semver": ">=6.3.5"}
    pinned = by_kind(render(delivery(constraint=">=6.3.5"), RULES))["ComponentVersion"]
    assert pinned["spec"]["version"] == {"semver": "6.3.5"}


def test_a_component_without_rules_is_localized_by_kustomize():
    content = Content(
        manifests={"name": "deployment"},
        replaced_images={"ghcr.io/a/b:1": "registry.example.com/x/a/b:1@sha256:" + "0" * 64, "busybox": "registry.example.com/x/busybox:1"},
    )
    template = by_kind(render(delivery(), content))["FluxDeployer"]["spec"]["kustomizationTemplate"]
    assert template["images"] == [
        {"name": "busybox", "newName": "registry.example.com/x/busybox", "newTag": "1"},
        {"name": "ghcr.io/a/b", "newName": "registry.example.com/x/a/b", "digest": "sha256:" + "0" * 64},
    ]


def test_two_versions_of_one_image_need_rules():
    content = Content(manifests={"name": "deployment"}, replaced_images={"a/b:1": "r.example.com/a/b:1", "a/b:2": "r.example.com/a/b:2"})
    with pytest.raises(InvalidInput, match="two versions"):
        render(delivery(), content)


@pytest.mark.parametrize("kind", sorted(POD_SPECS))
def test_every_workload_gets_the_pull_secret(kind):
    patch = next(item for item in pull_secret_patches("pull") if item["target"]["kind"] == kind)
    definition = json.loads(patch["patch"])
    assert definition["kind"] == kind and definition["apiVersion"] == POD_SPECS[kind][0]
    assert pod_spec(definition) == {"imagePullSecrets": [{"name": "pull"}]}


def test_the_pull_secret_is_patched_by_default():
    template = by_kind(render(delivery(), RULES))["FluxDeployer"]["spec"]["kustomizationTemplate"]
    assert template["patches"] == [*pull_secret_patches("ocm-airgap-pull"), namespace_patch()]


@pytest.mark.parametrize("how", ["controller", "rendered"])
@pytest.mark.parametrize("by", ["patch", "service_account"])
def test_flux_leaves_namespaces_in_the_cluster(how, by):
    """Others may have something in them."""
    placed = by_kind(render(delivery(delivery=how, pull_secret_by=by), RULES))
    spec = placed["FluxDeployer"]["spec"]["kustomizationTemplate"] if how == "controller" else placed["Kustomization"]["spec"]
    patch = spec["patches"][-1]
    assert spec["prune"] and patch["target"] == {"version": "v1", "kind": "Namespace"}
    assert json.loads(patch["patch"]) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "any", "annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}},
    }


def with_account(name):
    manifest = copy.deepcopy(DEPLOYMENT)
    manifest["spec"]["template"]["spec"]["serviceAccountName"] = name
    return Content(manifests={"name": "deployment"}, config={"name": "config"}, localizes=True, objects=[manifest])


def test_the_rules_name_an_account_that_gets_the_secret():
    placed = render(delivery(pull_secret_by="configuration", values={"serviceAccountName": "app-ops"}), with_account("app-ops"))
    account = [item for item in placed if item.definition["kind"] == "ServiceAccount"][-1]
    assert account.shared and account.definition["metadata"] == {"name": "app-ops", "namespace": "default"}
    assert account.definition["imagePullSecrets"] == [{"name": "ocm-airgap-pull"}]
    template = by_kind(placed)["FluxDeployer"]["spec"]["kustomizationTemplate"]
    assert template["patches"] == [namespace_patch()]


def test_rules_that_do_not_bring_the_secret_are_refused():
    content = Content(manifests={"name": "deployment"}, config={"name": "config"}, objects=[DEPLOYMENT])
    with pytest.raises(InvalidInput, match="neither the pull secret"):
        render(delivery(pull_secret_by="configuration"), content)


def test_the_default_account_is_kept_when_flux_prunes():
    content = Content(manifests={"name": "deployment"}, objects=[DEPLOYMENT])
    account = render(delivery(pull_secret_by="service_account"), content)[-1].definition
    assert account["metadata"]["name"] == "default"
    assert account["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/prune": "disabled"}


def test_the_default_account_does_not_reach_other_accounts():
    with pytest.raises(InvalidInput, match="app-ops"):
        render(delivery(pull_secret_by="service_account"), with_account("app-ops"))


def test_rendered_manifests_are_applied_by_a_kustomization():
    objects = by_kind(render(delivery(delivery="rendered", target_namespace="apps"), RULES))
    assert list(objects) == ["Kustomization"]
    spec = objects["Kustomization"]["spec"]
    assert (spec["path"], spec["targetNamespace"], spec["sourceRef"]) == (
        "./apps/podinfo", "apps", {"kind": "GitRepository", "name": "flux-system"},
    )


CHART = Chart("podinfo", "6.5.0", ImageReference.parse("registry.example.com/air-gapped/charts/podinfo:6.5.0"), {"image": {"repository": "x"}})


def test_a_chart_by_the_controller():
    """Flux wants the tag of the artifact to be the chart's version; the tag is resourceRef.version."""
    objects = by_kind(render(delivery(), Content(manifests={"name": "chart"}, chart=CHART)))
    assert list(objects) == ["ServiceAccount", "ComponentVersion", "Resource", "FluxDeployer"]
    assert objects["Resource"]["spec"]["sourceRef"]["resourceRef"] == {"name": "chart", "version": "6.5.0"}
    template = objects["FluxDeployer"]["spec"]["helmReleaseTemplate"]
    assert template["values"] == {"image": {"repository": "x"}} and template["interval"] == "1m0s"
    assert template["postRenderers"][0]["kustomize"]["patches"] == pull_secret_patches("ocm-airgap-pull")
    check_objects(list(objects.values()))


def test_a_chart_by_flux_alone():
    objects = by_kind(render(delivery(delivery="rendered", ca_secret="registry-ca"), Content(manifests={"name": "chart"}, chart=CHART)))
    source = objects["OCIRepository"]["spec"]
    assert source["url"] == "oci://registry.example.com/air-gapped/charts/podinfo" and source["ref"] == {"tag": "6.5.0"}
    assert source["secretRef"] == {"name": "ocm-airgap-pull"} and source["certSecretRef"] == {"name": "registry-ca"}
    assert source["layerSelector"]["mediaType"] == CHART_LAYER
    assert objects["HelmRelease"]["spec"]["chartRef"] == {"kind": "OCIRepository", "name": "podinfo"}
    check_objects(list(objects.values()))


def test_the_values_of_a_release_are_what_differs():
    before = b"image: {repository: a, tag: '1'}\nlist: [1, 2]\nsame: x\n"
    after = b"image: {repository: b, tag: '1'}\nlist: [1, 3]\nsame: x\nnew: {a: 1}\n"
    assert changed_values(before, after, "values.yaml") == {"image": {"repository": "b"}, "list": [1, 3], "new": {"a": 1}}


def test_images_in_values():
    values = {"image": "a/b:1", "sidecar": {"image": {"registry": "ghcr.io", "repository": "c/d", "tag": "2"}}, "git": {"repository": "no"}}
    assert images_in_values(values) == ["a/b:1", "ghcr.io/c/d"]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"interval": "5 minutes"}, "duration"),
        ({"interval": "5"}, "duration"),
        ({"timeout": "1d"}, "duration"),
        ({"version": ""}, "no version"),
        ({"version": "latest"}, "no semantic version"),
        ({"repository": "http://registry.example.com/x"}, "without TLS"),
        ({"repository": "./archive"}, "archive"),
        ({"follow": True}, "none is given"),
        ({"follow": True, "constraint": ">=1", "delivery": "rendered"}, "cannot follow"),
        ({"delivery": "other"}, "controller, rendered"),
        ({"pull_secret_by": "magic"}, "patch"),
        ({"target_namespace": "Apps"}, "target_namespace"),
        ({"target_namespace": "a" * 64}, "63"),
        ({"service_account": "a_b"}, "service_account"),
        ({"git_path": "../up"}, "Git tree"),
        ({"git_path": "/abs"}, "Git tree"),
        ({"git_path": ".git/hooks"}, "Git tree"),
        ({"component": "podinfo"}, "component name"),
    ],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(OcmError, match=text):
        delivery(**options)


def test_a_version_that_is_not_semantic_can_be_rendered():
    assert delivery(version="latest", delivery="rendered").version == "latest"


def objects_with(change, kind="FluxDeployer", **options):
    objects = copy.deepcopy([item.definition for item in render(delivery(values={}, **options), RULES)])
    change(next(item for item in objects if item["kind"] == kind))
    return objects


@pytest.mark.parametrize(
    "kind, change, text",
    [
        ("FluxDeployer", lambda item: item["spec"].pop("interval"), "spec.interval is missing"),
        ("FluxDeployer", lambda item: item["spec"]["kustomizationTemplate"].pop("interval"), "kustomizationTemplate.interval"),
        ("FluxDeployer", lambda item: item["spec"]["kustomizationTemplate"].update(timeout="5 min"), "timeout"),
        ("FluxDeployer", lambda item: item["spec"].update(helmReleaseTemplate={"interval": "1m"}), "exactly one"),
        ("FluxDeployer", lambda item: item["spec"].pop("kustomizationTemplate"), "exactly one"),
        ("FluxDeployer", lambda item: item["spec"]["sourceRef"].update(name="other"), "not rendered"),
        ("Localization", lambda item: item["spec"]["configRef"].update(kind="Resource"), "ComponentVersion"),
        ("Localization", lambda item: item["spec"]["configRef"].update(name="podinfo"), "not rendered"),
        ("Configuration", lambda item: item["spec"].pop("values"), "localize once more"),
        ("Resource", lambda item: item["metadata"].update(name="A"), "name"),
    ],
)
def test_wrong_objects_are_found_before_they_are_written(kind, change, text):
    with pytest.raises(InvalidInput, match=text):
        check_objects(objects_with(change, kind))


def test_a_secret_in_plain_text_is_refused():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "Yg=="}}
    with pytest.raises(Refused, match="plain text"):
        check_objects([secret])
    check_objects([dict(secret, sops={"mac": "x"}), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}])


def test_without_git_namespace_and_pull_secret_are_put_in():
    made = delivery(delivery="rendered", target_namespace="apps")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}}
    applied = objects_to_apply(made, render(made, RULES), [DEPLOYMENT, role, namespace])
    assert [item["kind"] for item in applied] == ["Namespace", "Deployment", "ClusterRole"]
    assert applied[1]["metadata"]["namespace"] == "apps" and "namespace" not in applied[2]["metadata"]
    assert pod_spec(applied[1])["imagePullSecrets"] == [{"name": "ocm-airgap-pull"}]
    assert {item["metadata"]["labels"]["ocm.airgap/delivery"] for item in applied} == {made.name}
    assert "imagePullSecrets" not in pod_spec(DEPLOYMENT)


def test_what_flux_could_not_apply_is_told_unless_a_kustomization_lists_the_manifests():
    files = {"a.yaml": b"kind: A\napiVersion: v1\n", "values.yaml": b"replicas: 1\n", "template.yaml": b"{{ if x }}\n"}
    with pytest.raises(InvalidContent, match="yaml"):
        list(manifests_of(files))
    assert [name for name, _item in manifests_of(dict(files, **{"kustomization.yaml": b"resources: [a.yaml]"}))] == ["a.yaml"]
    items = {"list.json": b'{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "A"}]}', "notes.txt": b"x"}
    assert [item["kind"] for _name, item in manifests_of(items)] == ["A"]


def test_scalars_of_manifests_are_those_that_kubernetes_reads():
    content = b"apiVersion: v1\nkind: ConfigMap\ndata: {day: 2026-01-31, time: 1:30, on: 'x', base: &b [1], again: *b}\n---\n"
    (document,) = documents(content, "config.yaml")
    assert document["data"] == {"day": "2026-01-31", "time": "1:30", "true": "x", "base": [1], "again": [1]}
    json.dumps(document)
