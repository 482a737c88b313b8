# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects in the cluster against Git and the lock: what is found, who keeps it, and what is no difference."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    DEPLOYMENT,
    FLUX_DEPLOYER,
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    LOCALIZATION,
    OCI_REPOSITORY,
    RESOURCE,
    Kind,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.cluster import cluster_items
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.keepers import FluxPlace, Place, keeper_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import Chart, Content
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.rendering import Localized, render_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Tree, plan_tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.workloads import manifests_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import ImageReference
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import (
    COMMIT,
    DIGEST,
    IMAGE,
    OLDER_COMMIT,
    PRIVATE,
    MemoryCluster,
)

OTHER = "sha256:" + "b2" * 32
FOREIGN = f"{PRIVATE}/evil@{OTHER}"
FLUX = FluxPlace("flux-system", "components", "flux-system")
SECRET = "ocm-airgap-pull"
OPTIONS = {"component": "phoban.io/podinfo", "version": "6.3.5", "repository": PRIVATE}
IMAGES = [
    dict(
        component="phoban.io/podinfo",
        version="6.3.5",
        resource={"name": "image"},
        reference=f"{PRIVATE}/stefanprodan/podinfo:6.3.5@{DIGEST}",
        digest=DIGEST,
    )
]
WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "podinfo"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "podinfo"}},
        "template": {
            "metadata": {"labels": {"app": "podinfo"}},
            "spec": {"containers": [{"name": "podinfod", "image": IMAGE}]},
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "podinfo"},
    "spec": {"ports": [{"port": 9898, "targetPort": "http"}], "selector": {"app": "podinfo"}},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podinfo-extra"}}


class Site:
    """A delivery in Git and in the cluster, both right, until a test changes something."""

    def __init__(self, manifests=(WORKLOAD, SERVICE), chart=None, files=None, **options):
        self.delivery = read_delivery(dict(OPTIONS, **options))
        texts = {f"{number}.yaml": yaml.safe_dump(item).encode() for number, item in enumerate(manifests)}
        texts.update(files or {})
        content = Content(
            {"name": "deployment"},
            config={"name": "config"},
            localizes=True,
            chart=chart,
            objects=() if chart else [item for _file, item in manifests_of(texts)],
        )
        ready = render_delivery(self.delivery, Localized("manifests", content, texts, IMAGES, digest=DIGEST))
        plan = plan_tree(Tree({}, {}.get), [ready.rendered])
        self.files = dict(plan.edits)
        self.lock = plan.locks[self.delivery.folder]
        self.objects = [flux_git_repository(), flux_tree()]
        self._put_into_cluster(list(manifests), chart)

    def _put_into_cluster(self, manifests, chart):
        for entry in self.lock["objects"]:
            self.objects.append(live(self.document(entry["kind"], entry["name"]), kept_by("components", "flux-system")))
        if self.delivery.delivery == "controller":
            applier = self._deployed_by_controller(chart)
        else:
            applier = self.find("HelmRelease" if chart else "Kustomization", "podinfo")
        applier["status"]["inventory"] = {"entries": [inventory_id(item) for item in manifests if not chart]}
        labels = kept_by("podinfo", applier["metadata"]["namespace"])
        for manifest in () if chart else manifests:
            self.objects.append(self._applied(manifest, labels))
        if chart:
            helm = {f"helm.toolkit.fluxcd.io/{key}": applier["metadata"][key] for key in ("name", "namespace")}
            self.objects.append(self._applied(WORKLOAD, helm))
        self.add_pod()

    def _deployed_by_controller(self, chart):
        deployer = self.find("FluxDeployer", "podinfo")
        kind, template = (HELM_RELEASE, "helmReleaseTemplate") if chart else (KUSTOMIZATION, "kustomizationTemplate")
        spec = dict(copy.deepcopy(deployer["spec"][template]), interval="60s")
        reference = dict(kind="OCIRepository", name="podinfo")
        spec.update(chartRef=reference) if chart else spec.update(sourceRef=reference)
        namespace = deployer["metadata"]["namespace"]
        path = f"{namespace}/podinfo"
        deployer["status"].update(ociRepository=path, **{kind.kind[0].lower() + kind.kind[1:]: path})
        child = make.make(
            kind.kind, kind.api_version, namespace=namespace, spec=spec, owner=deployer, conditions=[make.ready()]
        )
        self.objects += [make.oci_repository(namespace=namespace, owner=deployer), child]
        return child

    def _applied(self, manifest, labels):
        result = live(manifest, labels, self.delivery.target_namespace)
        if manifest["kind"] == "Namespace":
            result["metadata"]["namespace"] = ""
        if manifest["kind"] == "Deployment" and self.delivery.pull_secret_by == "patch":
            result["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": SECRET}]
        return result

    def add_pod(self, image=IMAGE, **options):
        deployments = [found for found in self.objects if found["kind"] == "Deployment"]
        if deployments:
            deployments[0]["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
            current = make.replica_set(deployments[0])
            if current["metadata"]["name"] not in [found["metadata"]["name"] for found in self.objects]:
                self.objects.append(current)
            self.objects.append(make.pod(current, image, **options))
        return self.objects[-1]

    def document(self, kind, name):
        entry = next(each for each in self.lock["objects"] if (each["kind"], each["name"]) == (kind, name))
        return yaml.safe_load(self.files[entry["file"]])

    def find(self, kind, name=None, namespace=None):
        for found in self.objects:
            own = found["metadata"]
            if found["kind"] == kind and name in (None, own["name"]) and namespace in (None, own["namespace"]):
                return found
        raise LookupError(f"{kind} {name}")

    def remove(self, kind, name=None, namespace=None):
        self.objects.remove(self.find(kind, name, namespace))

    def rewrite(self, kind, name, change):
        """Edit an object in Git by hand, and let Flux apply it."""
        entry = next(each for each in self.lock["objects"] if (each["kind"], each["name"]) == (kind, name))
        definition = yaml.safe_load(self.files[entry["file"]])
        change(definition)
        self.files[entry["file"]] = yaml.safe_dump(definition).encode()

    @property
    def tree(self):
        return Tree(dict(self.files), self.files.get)

    def kept(self, unknown=(), **options):
        return cluster_items(self.lock, self.tree, MemoryCluster(self.objects, unknown), FLUX, **options)

    def found(self, **options):
        """Object to what is found."""
        return {kept.item.object: kept.item.found for kept in self.kept(**options)}

    def only(self):
        (kept,) = self.kept()
        return kept


def kept_by(name, namespace):
    return {"kustomize.toolkit.fluxcd.io/name": name, "kustomize.toolkit.fluxcd.io/namespace": namespace}


def live(definition, labels, namespace=None):
    """The definition as it is in the cluster after Flux has applied it, its controller content."""
    result = copy.deepcopy(definition)
    metadata = result["metadata"]
    metadata.update(uid=f"{result['kind']}-{metadata['name']}", generation=1)
    metadata["namespace"] = namespace or metadata.get("namespace")
    metadata["labels"] = dict(metadata.get("labels") or {}, **labels)
    result["status"] = dict(observedGeneration=1, conditions=[make.ready()])
    if result["kind"] == "ComponentVersion":
        url = result["spec"]["repository"]["url"]
        result["status"].update(reconciledVersion="6.3.5", replicatedRepositoryURL=url)
    if result["kind"] in ("Resource", "Localization", "Configuration"):
        # As ocm-controller fills it in.
        for reference in [result["spec"][key] for key in ("sourceRef", "configRef") if key in result["spec"]]:
            reference.update(namespace=metadata["namespace"], apiVersion="delivery.ocm.software/v1alpha1")
    if result["kind"] == "Deployment":
        result["spec"].update(progressDeadlineSeconds=600)
        result["status"].update(replicas=1, updatedReplicas=1, readyReplicas=1, availableReplicas=1)
    return result


def inventory_id(manifest):
    group = manifest["apiVersion"].rpartition("/")[0]
    namespace = "" if manifest["kind"] == "Namespace" else "default"
    return dict(id=f"{namespace}_{manifest['metadata']['name']}_{group}_{manifest['kind']}", v="v1")


def flux_git_repository():
    return make.git_repository()


def flux_tree():
    source = dict(kind="GitRepository", name="flux-system")
    spec = dict(interval="1m0s", path="./components", prune=True, sourceRef=source)
    labels = kept_by("flux-system", "flux-system")
    return make.kustomization(name="components", namespace="flux-system", spec=spec, labels=labels)


def place(kind, name="podinfo", namespace="ocm-system"):
    return Place(kind, namespace, name)


TREE = place(KUSTOMIZATION, "components", "flux-system")
CHILD = place(KUSTOMIZATION)
RENDERED = place(KUSTOMIZATION, "podinfo", "flux-system")
DEPLOYED = "Deployment default/podinfo"
CHART = Chart("podinfo", "6.3.5", ImageReference.parse(f"{PRIVATE}/charts/podinfo:6.3.5@{DIGEST}"), {"replicaCount": 2})


def controller(**options):
    return Site(delivery="controller", **options)


def rendered(*manifests, **options):
    return Site(manifests or (WORKLOAD, SERVICE), delivery="rendered", **options)


@pytest.mark.parametrize(
    "site",
    [
        controller,
        lambda: controller(values={"a": 1}),
        lambda: controller(chart=CHART),
        lambda: controller(pull_secret_by="service_account"),
        lambda: controller(manifests=(WORKLOAD, SERVICE, NAMESPACE)),
        rendered,
        lambda: rendered(chart=CHART),
        lambda: rendered(pull_secret_by="service_account"),
        lambda: rendered(WORKLOAD, SERVICE, NAMESPACE),
    ],
    ids="controller values chart accounts namespace rendered release own-accounts own-namespace".split(),
)
def test_an_estate_that_nobody_touched_has_no_items(site):
    estate = site()
    assert estate.found() == {}
    assert estate.found() == {}


def keys_of(site, without):
    return [
        (found["kind"], found["metadata"]["name"], found["metadata"]["namespace"])
        for found in site.objects
        if found["kind"] not in without
    ]


# What comes and goes, and what drift.credentials looks at.
PASSING = ("ReplicaSet", "Pod", "ServiceAccount")


@pytest.mark.parametrize(
    "site, without, count",
    [
        (controller, PASSING, 10),
        (rendered, PASSING, 5),
        # What a chart makes is Helm's to look after; the lock does not know it.
        (lambda: controller(chart=CHART), PASSING + ("Deployment",), 7),
        (lambda: rendered(chart=CHART), PASSING + ("Deployment",), 4),
    ],
    ids=["controller", "rendered", "chart", "release"],
)
def test_every_object_is_missed(site, without, count):
    keys = keys_of(site(), without)
    assert len(keys) == count
    for kind, name, namespace in keys:
        estate = site()
        estate.remove(kind, name, namespace)
        assert estate.found()[f"{kind} {namespace}/{name}"] == "missing"


def test_an_item_says_all_that_a_report_needs():
    site = controller()
    site.find("Resource")["spec"]["interval"] = "9m0s"
    kept = site.only()
    assert kept.item.as_result() == dict(
        id="cluster:Resource ocm-system/podinfo-deployment",
        scope="cluster",
        object="Resource ocm-system/podinfo-deployment",
        expected="as it is in components/podinfo/resource.yaml",
        found="spec.interval: 9m0s, wanted 1m0s",
        name="podinfo",
        obstacle="",
        file="",
        repairable=True,
    )
    assert kept.about == place(RESOURCE, "podinfo-deployment")
    assert kept.keeper == TREE
    assert kept.asked == (TREE,)


def test_an_object_has_one_item_with_three_differences_at_most():
    site = controller()
    spec = site.find("ComponentVersion")["spec"]
    spec.update(component="x.io/y", interval="1s", serviceAccountName="z")
    spec["repository"]["url"] = "elsewhere.example.com"
    found = site.only().item.found
    assert found.count("; ") == 2
    assert found.count("wanted") == 3


def test_git_decides_not_the_lock():
    """What somebody wrote to Git is drift of Git; the cluster is right when it follows."""
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["spec"].update(interval="7m0s"))
    assert site.found() == {"Resource ocm-system/podinfo-deployment": "spec.interval: 1m0s, wanted 7m0s"}
    site.find("Resource")["spec"]["interval"] = "420s"
    assert site.found() == {}


@pytest.mark.parametrize("behind", ["GitRepository", "Kustomization"])
def test_what_somebody_edited_in_git_is_compared_once_flux_has_applied_it(behind):
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["spec"].update(interval="7m0s"))
    expected = {"Resource ocm-system/podinfo-deployment": "spec.interval: 1m0s, wanted 7m0s"}
    at = [f"main@sha1:{COMMIT}"] * 2
    applied(site, *at)
    assert site.found(commit=COMMIT) == expected
    if behind == "Kustomization":
        applied(site, at[0], f"main@sha1:{OLDER_COMMIT}")
    else:
        applied(site, *[f"main@sha1:{OLDER_COMMIT}"] * 2)
    assert site.found(commit=COMMIT) == {}
    # What nobody edited is as it was.
    site.find("Localization")["spec"]["interval"] = "9m0s"
    assert list(site.found(commit=COMMIT)) == ["Localization ocm-system/podinfo-deployment"]


def applied(site, fetched, done):
    """What Flux has fetched of the Git tree, and what it has applied."""
    site.find("GitRepository")["status"]["artifact"] = {"revision": fetched}
    for name in ("components", "podinfo"):
        for found in site.objects:
            if (found["kind"], found["metadata"]["name"]) == ("Kustomization", name):
                found["status"]["lastAppliedRevision"] = done


def test_a_source_without_the_commit_is_asked_first():
    site = rendered()
    applied(site, *[f"main@sha1:{COMMIT}"] * 2)
    site.remove("Service")
    (kept,) = site.kept(commit=COMMIT)
    assert kept.asked == (RENDERED,)
    applied(site, *[f"main@sha1:{OLDER_COMMIT}"] * 2)
    (kept,) = site.kept(commit=COMMIT)
    assert kept.asked == (place(GIT_REPOSITORY, "flux-system", "flux-system"), RENDERED)
    site.find("GitRepository")["spec"]["suspend"] = True
    (kept,) = site.kept(commit=COMMIT)
    assert kept.item.obstacle == "GitRepository flux-system/flux-system is suspended"


def test_an_edit_in_git_is_not_told_again_of_what_comes_from_it():
    for site in (controller(), rendered()):
        file = (site.lock["manifests"] or site.lock["objects"][1:])[0]["file"]
        site.files[file] = site.files[file] + b"spec: {}\n"
        for pods in (site.find("Deployment")["spec"]["template"]["spec"], site.find("Pod")["spec"]):
            pods["containers"][0]["image"] = FOREIGN
        applied(site, *[f"main@sha1:{OLDER_COMMIT}"] * 2)
        assert site.found(commit=COMMIT) == {}


def test_a_delivered_workload_is_missed_also_when_something_else_was_edited_in_git():
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["spec"].update(interval="7m0s"))
    site.find("Resource")["spec"]["interval"] = "7m0s"
    assert site.found() == {}
    site.remove("Deployment")
    assert site.found() == {DEPLOYED: "missing"}
    # As long as Flux has not applied everything, nobody knows what the edit has made of it.
    site.find("Kustomization", "podinfo")["status"]["conditions"] = [make.not_ready("BuildFailed")]
    assert site.found() == {}


def test_an_edit_in_git_that_moves_the_workload_does_not_make_it_missed():
    site = controller()
    template = {"targetNamespace": "elsewhere"}
    site.rewrite("FluxDeployer", "podinfo", lambda obj: obj["spec"]["kustomizationTemplate"].update(template))
    applied(site, *[f"main@sha1:{OLDER_COMMIT}"] * 2)
    assert site.found(commit=COMMIT) == {}


def test_a_pod_that_its_workload_did_not_make_is_told_also_when_something_was_edited_in_git():
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["spec"].update(interval="7m0s"))
    site.find("Resource")["spec"]["interval"] = "7m0s"
    site.find("Pod")["spec"]["containers"][0]["image"] = FOREIGN
    assert list(site.found()) == ["Pod default/podinfo-new-x1"]


def test_a_link_in_git_is_not_followed():
    site = controller()
    tree = Tree(dict(site.files), refuse_links)
    assert [kept.item.object for kept in cluster_items(site.lock, tree, MemoryCluster(site.objects), FLUX)] == []


def refuse_links(path):
    raise Refused(f"{path} of the Git tree is a link.")


def test_what_is_not_in_git_and_what_is_encrypted_is_not_looked_for():
    site = controller()
    del site.files["components/podinfo/resource.yaml"]
    site.remove("Resource")
    site.remove("Localization")
    site.rewrite("Localization", "podinfo-deployment", lambda obj: obj.update(sops={"mac": "x"}))
    assert site.found() == {}


def test_what_several_share_has_an_item_of_none():
    site = controller()
    for entry in site.lock["objects"]:
        entry["shared"] = True
    site.remove("Resource")
    assert site.only().item.name == ""


def test_service_accounts_in_git_are_left_to_the_credentials():
    site = controller()
    site.remove("ServiceAccount")
    assert site.found() == {}


def test_several_objects_in_one_file_are_told_apart():
    site = controller()
    first, second = (site.document(kind, "podinfo-deployment") for kind in ("Resource", "Localization"))
    file = "components/podinfo/all.yaml"
    site.files[file] = b"# mine\n---\n" + yaml.safe_dump_all([first, second]).encode()
    for entry in site.lock["objects"]:
        if entry["name"] == "podinfo-deployment":
            entry["file"] = file
    assert site.found() == {}
    site.find("Localization")["spec"]["interval"] = "2m0s"
    assert list(site.found()) == ["Localization ocm-system/podinfo-deployment"]


def test_objects_in_git_without_a_namespace_lie_where_the_kustomization_says():
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["metadata"].pop("namespace"))
    assert site.found() == {}
    site.find("Kustomization", "components")["spec"]["targetNamespace"] = "elsewhere"
    assert site.found()["Resource elsewhere/podinfo-deployment"] == "missing"


def test_a_kind_that_is_not_served_is_told():
    kept = controller().kept(unknown=["Localization"])
    assert [(each.item.object, each.item.found) for each in kept] == [
        ("Localization ocm-system/podinfo-deployment", "the kind is not served")
    ]
    assert "not installed" in kept[0].item.obstacle
    other = rendered().kept(unknown=["Service"])
    assert [(each.item.object, each.item.found, each.item.obstacle) for each in other] == [
        ("Service default/podinfo", "the kind is not served", "")
    ]


def test_an_object_that_is_on_its_way_out_is_told():
    site = rendered()
    site.find("Service")["metadata"]["deletionTimestamp"] = make.EARLY
    assert site.found() == {"Service default/podinfo": "it is being deleted"}


def test_suspension_is_no_difference_here():
    site = controller()
    site.rewrite("Resource", "podinfo-deployment", lambda obj: obj["spec"].update(suspend=False))
    site.find("Resource")["spec"]["suspend"] = True
    assert site.found() == {}


@pytest.mark.parametrize("kind, name", [("GitRepository", "flux-system"), ("Kustomization", "components")])
def test_the_objects_that_read_the_tree_are_missed(kind, name):
    site = rendered()
    site.remove(kind, name)
    (kept,) = site.kept()
    assert (kept.item.object, kept.item.found) == (f"{kind} flux-system/{name}", "missing")
    assert (kept.item.name, kept.keeper) == ("", None)
    assert (kept.asked, kept.item.obstacle) == ((), "")


# ---------------------------------------------------------------- who keeps what, and what stands in the way


@pytest.mark.parametrize(
    "obj, keeper",
    [
        (make.deployment(labels=kept_by("a", "b")), Place(KUSTOMIZATION, "b", "a")),
        (
            make.deployment(labels={"helm.toolkit.fluxcd.io/name": "a", "helm.toolkit.fluxcd.io/namespace": "b"}),
            Place(HELM_RELEASE, "b", "a"),
        ),
        (make.kustomization(owner=make.flux_deployer()), Place(FLUX_DEPLOYER, "ocm-system", "podinfo")),
        (make.deployment(), None),
        (make.deployment(labels={"kustomize.toolkit.fluxcd.io/name": "a"}), None),
        (make.pod(make.replica_set(make.deployment())), None),
    ],
)
def test_the_keeper_of_an_object(obj, keeper):
    assert keeper_of(obj) == keeper


def test_the_keeper_is_who_says_so_else_who_should():
    site = rendered()
    site.find("Service")["metadata"]["labels"] = kept_by("another", "flux-system")
    site.find("Service")["spec"]["ports"][0]["port"] = 80
    assert site.only().keeper == Place(KUSTOMIZATION, "flux-system", "another")
    site.find("Service")["metadata"]["labels"] = {}
    assert site.only().keeper == RENDERED
    site.remove("Service")
    assert site.only().keeper == RENDERED


def test_a_suspended_keeper_is_an_obstacle():
    site = rendered()
    site.remove("Service")
    site.find("Kustomization", "podinfo")["spec"]["suspend"] = True
    assert site.only().item.obstacle == "Kustomization flux-system/podinfo is suspended"
    assert site.only().stopped == RENDERED
    site = controller()
    site.remove("Resource")
    site.find("Kustomization", "components")["spec"]["suspend"] = True
    assert site.only().item.obstacle == "Kustomization flux-system/components is suspended"


def test_helm_only_corrects_when_it_is_told_to():
    site = controller(chart=CHART)
    release = site.find("HelmRelease")["spec"]
    for holder in ("Deployment", "Pod"):
        spec = site.find(holder)["spec"]
        spec.get("template", {}).get("spec", spec)["containers"][0]["image"] = FOREIGN
    assert "driftDetection of HelmRelease ocm-system/podinfo" in site.only().item.obstacle
    release["driftDetection"] = {"mode": "enabled"}
    assert site.only().item.obstacle == ""
    release["suspend"] = True
    assert site.only().item.obstacle == "HelmRelease ocm-system/podinfo is suspended"


@pytest.mark.parametrize("site", [controller, rendered])
def test_a_workload_that_helm_has_made_is_missed_where_helm_tells(site):
    estate = site(chart=CHART)
    estate.remove("Deployment")
    assert estate.found() == {}
    estate.find("HelmRelease")["status"]["inventory"] = {"entries": [inventory_id(WORKLOAD)]}
    kept = estate.only()
    assert (kept.item.object, kept.item.found, kept.keeper.kind) == (DEPLOYED, "missing", HELM_RELEASE)


def test_a_missing_keeper_comes_again_from_the_tree_unless_that_is_stopped():
    site = rendered()
    site.remove("Service")
    site.remove("Kustomization", "podinfo")
    assert [(kept.item.object, kept.item.obstacle) for kept in site.kept()] == [
        ("Kustomization flux-system/podinfo", ""),
        ("Service default/podinfo", ""),
    ]
    site.find("Kustomization", "components")["spec"]["suspend"] = True
    stopped = "Kustomization flux-system/components is suspended"
    assert [kept.item.obstacle for kept in site.kept()] == [stopped, stopped]
    # What reads the tree is an item itself, and comes first.
    site.remove("Kustomization", "components")
    assert [(kept.item.object, kept.item.obstacle) for kept in site.kept()] == [
        ("Kustomization flux-system/components", ""),
        ("Kustomization flux-system/podinfo", ""),
        ("Service default/podinfo", ""),
    ]


# ---------------------------------------------------------------- rendered manifests


def test_an_edited_image_is_told_with_both():
    site = rendered()
    site.find("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = FOREIGN
    kept = site.only()
    assert kept.item.found == f"spec.template.spec.containers[podinfod].image: {FOREIGN}, wanted {IMAGE}"
    assert kept.item.expected == "as it is in apps/podinfo/0.yaml"
    assert kept.keeper == RENDERED
    assert kept.about == place(DEPLOYMENT, namespace="default")


def test_the_pull_secret_that_a_patch_adds_is_missed():
    site = rendered()
    pods = site.find("Deployment")["spec"]["template"]["spec"]
    pods["imagePullSecrets"].insert(0, {"name": "own"})
    assert site.found() == {}
    pods["imagePullSecrets"] = [{"name": "own"}]
    assert site.found() == {DEPLOYED: f"spec.template.spec.imagePullSecrets[{SECRET}]: not there"}
    del pods["imagePullSecrets"]
    assert site.found() == {DEPLOYED: "spec.template.spec.imagePullSecrets: not there"}


def test_without_a_patch_no_pull_secret_is_expected():
    site = rendered(pull_secret_by="service_account")
    assert "imagePullSecrets" not in site.find("Deployment")["spec"]["template"]["spec"]
    assert site.found() == {}
    site.find("Deployment")["spec"]["replicas"] = 7
    assert site.found() == {DEPLOYED: "spec.replicas: 7, wanted 1"}


def annotated(manifest, value, key="kustomize.toolkit.fluxcd.io/ssa"):
    return dict(manifest, metadata=dict(manifest["metadata"], annotations={key: value}))


@pytest.mark.parametrize("key, value", [("ssa", "Ignore"), ("ssa", "ignore"), ("reconcile", "disabled")])
def test_what_flux_leaves_alone_has_no_item(key, value):
    site = rendered(WORKLOAD, annotated(SERVICE, value, f"kustomize.toolkit.fluxcd.io/{key}"))
    site.find("Service")["spec"]["ports"] = []
    assert site.found() == {}
    site.remove("Service")
    assert site.found() == {}


def test_what_somebody_tells_flux_to_leave_alone_in_the_cluster_has_no_item():
    site = rendered()
    site.find("Deployment")["spec"]["replicas"] = 5
    site.find("Deployment")["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"] = "disabled"
    assert site.found() == {}


def test_what_flux_only_creates_is_missed_and_not_compared():
    site = rendered(WORKLOAD, annotated(SERVICE, "IfNotPresent"))
    site.find("Service")["spec"]["ports"] = []
    assert site.found() == {}
    site.remove("Service")
    assert site.found() == {"Service default/podinfo": "missing"}


def test_what_flux_merges_is_compared():
    site = rendered(WORKLOAD, annotated(SERVICE, "Merge"))
    site.find("Service")["spec"]["selector"] = {"app": "other"}
    assert site.found() == {"Service default/podinfo": "spec.selector.app: other, wanted podinfo"}


def test_files_for_kustomize_alone_are_not_applied():
    site = rendered(WORKLOAD, annotated(SERVICE, "true", "config.kubernetes.io/local-config"))
    site.remove("Service")
    assert site.found() == {}


def test_a_list_in_a_manifest_is_its_items():
    together = {"apiVersion": "v1", "kind": "List", "items": [SERVICE]}
    site = rendered(WORKLOAD, files={"list.yaml": yaml.safe_dump(together).encode()})
    site.find("Kustomization", "podinfo")["status"]["inventory"]["entries"].append(inventory_id(SERVICE))
    assert site.found() == {"Service default/podinfo": "missing"}


def test_manifests_that_are_no_yaml_any_more_are_a_matter_of_git():
    site = rendered()
    site.files["apps/podinfo/1.yaml"] = b"{{{"
    site.remove("Service")
    assert site.found() == {}
    del site.files["apps/podinfo/1.yaml"]
    assert site.found() == {}


def test_a_job_that_is_gone_was_done():
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"backoffLimit": 1}}
    site = rendered(WORKLOAD, job)
    site.remove("Job")
    assert site.found() == {}


LISTED = {"kustomization.yaml": b"resources: [0.yaml]\n"}


def test_manifests_that_a_kustomization_does_not_list_are_not_missed():
    site = rendered(files=LISTED)
    applier = site.find("Kustomization", "podinfo")
    applier["status"]["inventory"]["entries"].pop()
    site.remove("Service")
    assert site.found() == {}
    # As long as Flux has not applied everything, its record tells nothing.
    applier["status"]["conditions"] = [make.not_ready("BuildFailed")]
    assert site.found() == {"Service default/podinfo": "missing"}


@pytest.mark.parametrize(
    "more", ["images: [{name: x, newTag: '2'}]", "patches: [{path: p.yaml}]", "commonLabels: {a: b}"]
)
def test_manifests_that_kustomize_changes_are_only_missed(more):
    site = rendered(files={"kustomization.yaml": f"resources: [0.yaml, 1.yaml]\n{more}\n".encode()})
    site.find("Service")["spec"]["ports"] = []
    assert site.found() == {}
    site.remove("Service")
    assert site.found() == {"Service default/podinfo": "missing"}


def test_manifests_that_kustomize_renames_are_not_looked_for():
    site = rendered(files={"kustomization.yaml": b"resources: [0.yaml, 1.yaml]\nnamePrefix: my-\n"})
    site.remove("Service")
    assert site.found() == {}


def test_a_kustomization_that_cannot_be_read_makes_unsure():
    site = rendered(files={"kustomization.yaml": b"resources: [0.yaml, 1.yaml]\n"})
    site.files["apps/podinfo/kustomization.yaml"] = b"{{{"
    site.find("Service")["spec"]["ports"] = []
    assert site.found() == {}


@pytest.mark.parametrize(
    "extra",
    [
        {"images": [{"name": "x", "newTag": "2"}]},
        {"components": ["../more"]},
        {"patches": [{"patch": "[]"}]},
        {"ignore": [{"paths": ["/spec/ports"]}]},
    ],
)
def test_objects_that_the_kustomization_changes_are_only_missed(extra):
    site = rendered(kustomization=extra)
    site.find("Service")["spec"]["ports"] = []
    assert site.found() == {}
    site.remove("Service")
    assert site.found() == {"Service default/podinfo": "missing"}


def test_substitution_makes_unsure_only_where_there_is_something_to_substitute():
    with_variable = dict(SERVICE, spec=dict(SERVICE["spec"], externalName="${NAME}"))
    site = rendered(WORKLOAD, with_variable, kustomization={"postBuild": {"substitute": {"NAME": "x"}}})
    site.find("Service")["spec"]["externalName"] = "x"
    assert site.found() == {}
    site.find("Deployment")["spec"]["replicas"] = 7
    assert site.found() == {DEPLOYED: "spec.replicas: 7, wanted 1"}


@pytest.mark.parametrize("extra", [{"namePrefix": "my-"}, {"kubeConfig": {"secretRef": {"name": "x"}}}])
@pytest.mark.parametrize("site", [controller, rendered])
def test_objects_with_other_names_or_in_another_cluster_are_not_looked_for(extra, site):
    estate = site(kustomization=extra)
    estate.remove("Service")
    assert estate.found() == {}


# ---------------------------------------------------------------- what ocm-controller renders


def test_a_delivered_workload_is_compared_by_its_images():
    site = controller()
    container = site.find("Deployment")["spec"]["template"]["spec"]["containers"][0]
    container["image"] = FOREIGN
    kept = site.only()
    assert kept.item.found == f"container podinfod: {FOREIGN}, wanted {IMAGE}"
    assert (kept.item.expected, kept.keeper) == ("as delivered", CHILD)
    container["image"] = IMAGE.replace("@", ":6.3.5@")
    assert site.found() == {}
    container["image"] = IMAGE.partition("@")[0] + ":6.3.5"
    assert DEPLOYED in site.found()


def test_a_container_more_or_less_in_a_delivered_workload_is_told():
    init = {"name": "setup", "image": f"{PRIVATE}/setup:1"}
    pods = dict(WORKLOAD["spec"]["template"]["spec"], initContainers=[init])
    template = dict(WORKLOAD["spec"]["template"], spec=pods)
    site = controller(manifests=(dict(WORKLOAD, spec=dict(WORKLOAD["spec"], template=template)),))
    assert site.found() == {}
    spec = site.find("Deployment")["spec"]["template"]["spec"]
    del spec["initContainers"]
    assert site.found() == {DEPLOYED: f"no container has the image {PRIVATE}/setup:1"}
    spec["initContainers"] = [init, {"name": "miner", "image": FOREIGN}]
    assert site.found() == {DEPLOYED: f"container miner: {FOREIGN}, wanted {PRIVATE}/setup:1 or {IMAGE}"}


def test_the_pull_secret_of_a_delivered_workload_is_missed():
    site = controller()
    site.find("Deployment")["spec"]["template"]["spec"]["imagePullSecrets"] = []
    assert site.found() == {DEPLOYED: f"imagePullSecrets[{SECRET}]: not there"}
    site = controller(kustomization={"patches": []})
    site.find("Deployment")["spec"]["template"]["spec"]["imagePullSecrets"] = []
    assert site.found() == {}


def test_a_deleted_workload_is_asked_for_where_it_comes_from():
    site = controller()
    site.remove("Deployment")
    assert site.only().keeper == CHILD
    site.remove("Kustomization", "podinfo")
    assert {kept.item.object: kept.keeper for kept in site.kept()} == {
        "Kustomization ocm-system/podinfo": place(FLUX_DEPLOYER),
        DEPLOYED: place(FLUX_DEPLOYER),
    }


def test_what_the_component_ships_and_does_not_list_is_not_missed():
    site = controller()
    site.find("Kustomization", "podinfo")["status"]["inventory"]["entries"].pop()
    site.remove("Service")
    assert site.found() == {}


def test_a_delivered_object_that_somebody_took_from_flux_has_no_item():
    site = controller()
    site.find("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = FOREIGN
    site.find("Deployment")["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] = "Ignore"
    assert site.found() == {}


def following():
    return controller(follow=True, constraint=">=6.3.5")


def test_a_controller_that_follows_a_range_may_be_further_than_the_lock():
    site = following()
    assert site.lock["constraint"] == ">=6.3.5"
    assert site.found() == {}
    site.find("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = FOREIGN
    site.find("Pod")["spec"]["containers"][0]["image"] = FOREIGN
    assert len(site.found()) == 1
    site.find("ComponentVersion")["status"]["reconciledVersion"] = "6.4.0"
    assert site.found() == {}
    site.remove("ComponentVersion")
    assert [kept.about.kind for kept in site.kept()] == [COMPONENT_VERSION]


# ---------------------------------------------------------------- children of a FluxDeployer


@pytest.mark.parametrize("kind", [OCI_REPOSITORY, KUSTOMIZATION])
def test_a_deleted_child_is_missed_whatever_the_deployer_says(kind):
    site = controller()
    site.remove(kind.kind, "podinfo")
    for conditions in ([make.ready()], [make.not_ready("CreatedObjectsNotReady")]):
        site.find("FluxDeployer")["status"]["conditions"] = conditions
        (kept,) = site.kept()
        assert (kept.about, kept.keeper) == (place(kind), place(FLUX_DEPLOYER))
        assert (kept.item.expected, kept.item.found) == ("as FluxDeployer ocm-system/podinfo creates it", "missing")


def test_a_deleted_release_is_missed():
    site = controller(chart=CHART)
    site.remove("HelmRelease")
    assert site.found() == {"HelmRelease ocm-system/podinfo": "missing"}


def test_a_child_that_was_edited_differs_from_its_template():
    site = controller()
    child = site.find("Kustomization", "podinfo")
    child["spec"]["targetNamespace"] = "elsewhere"
    child["spec"]["suspend"] = True
    child["spec"]["sourceRef"] = {"kind": "OCIRepository", "name": "as-the-controller-likes"}
    (kept,) = [each for each in site.kept() if each.about == CHILD]
    assert kept.item.found == "spec.targetNamespace: elsewhere, wanted default"
    assert kept.keeper == place(FLUX_DEPLOYER)


def test_a_child_is_held_against_the_deployer_that_makes_it():
    site = controller()
    template = {"targetNamespace": "elsewhere"}
    site.rewrite("FluxDeployer", "podinfo", lambda obj: obj["spec"]["kustomizationTemplate"].update(template))
    applied(site, *[f"main@sha1:{OLDER_COMMIT}"] * 2)
    assert site.found(commit=COMMIT) == {}
    site.find("FluxDeployer")["spec"]["kustomizationTemplate"].update(template)
    assert site.found(commit=COMMIT)["Kustomization ocm-system/podinfo"] == (
        "spec.targetNamespace: default, wanted elsewhere"
    )


def test_a_release_that_was_edited_differs_from_its_template():
    site = controller(chart=CHART)
    site.find("HelmRelease")["spec"]["values"] = {"replicaCount": 3}
    assert site.found() == {"HelmRelease ocm-system/podinfo": "spec.values.replicaCount: differs"}


def test_a_child_that_was_never_created_is_not_gone():
    site = controller()
    site.remove("OCIRepository")
    del site.find("FluxDeployer")["status"]["ociRepository"]
    assert site.found() == {}


def test_a_child_of_a_template_that_there_is_no_more_is_not_missed():
    site = controller(chart=CHART)
    site.find("FluxDeployer")["status"]["kustomization"] = "ocm-system/former"
    assert site.found() == {}


# ---------------------------------------------------------------- given up


def test_what_the_controller_has_given_up_is_told_and_kicked_itself():
    site = controller()
    version = site.find("ComponentVersion")
    version["status"]["conditions"] = [make.not_ready("AuthenticatedContextCreationFailed", "secret x not found")]
    kept = site.only()
    assert (kept.item.expected, kept.item.found) == ("ready", "given up: AuthenticatedContextCreationFailed")
    assert kept.about == kept.keeper == place(COMPONENT_VERSION, version["metadata"]["name"])


@pytest.mark.parametrize(
    "kind, reason", [(LOCALIZATION, "SourceRefNotReady"), (CONFIGURATION, "ConfigRefNotReadyWithError")]
)
def test_what_waits_for_inputs_that_are_ready_is_given_up(kind, reason):
    site = controller(values={"a": 1})
    site.find(kind.kind)["status"]["conditions"] = [make.not_ready(reason)]
    assert site.found() == {f"{kind.kind} ocm-system/podinfo-deployment": f"given up: {reason}"}


def test_what_waits_for_inputs_that_are_not_ready_is_not_given_up():
    site = controller(values={"a": 1})
    site.find("Resource")["status"]["conditions"] = [make.not_ready("GetResourceFailed")]
    site.find("Localization")["status"]["conditions"] = [make.not_ready("SourceRefNotReady")]
    assert site.found() == {}


def test_what_differs_and_is_given_up_is_one_item_that_git_mends():
    site = controller()
    version = site.find("ComponentVersion")
    version["spec"]["serviceAccountName"] = "none"
    version["status"]["conditions"] = [make.not_ready("AuthenticatedContextCreationFailed")]
    kept = site.only()
    assert kept.item.found == (
        "spec.serviceAccountName: none, wanted air-gapped-ops; given up: AuthenticatedContextCreationFailed"
    )
    assert kept.keeper == TREE


@pytest.mark.parametrize("values", [None, {"a": 1}])
def test_an_emptied_registry_in_the_cluster_is_filled_by_what_fills_it(values):
    site = controller(values=values)
    message = "failed to determine artifact digest: GET https://registry.local/v2/sha-1/manifests/6.3.5: MANIFEST_UNKNOWN"
    source = site.find("OCIRepository")
    source["status"]["conditions"] = [make.not_ready("OCIArtifactPullFailed", message)]
    kept = site.only()
    assert (kept.item.object, kept.item.found) == ("OCIRepository ocm-system/podinfo", "OCIArtifactPullFailed: not there")
    kinds = [RESOURCE, LOCALIZATION] + ([CONFIGURATION] if values else [])
    fillers = tuple(place(kind, "podinfo-deployment") for kind in kinds)
    assert kept.asked == fillers + (place(OCI_REPOSITORY),)
    source["status"]["conditions"] = [make.not_ready("OCIArtifactPullFailed", "dial tcp: connection refused")]
    assert site.found() == {}


def test_objects_of_others_that_are_given_up_are_theirs():
    site = controller()
    version = site.find("ComponentVersion")["metadata"]["name"]
    site.objects.append(
        make.resource(
            name="of-another",
            spec=dict(sourceRef=dict(kind="ComponentVersion", name=version)),
            conditions=[make.not_ready("AuthenticatedContextCreationFailed")],
        )
    )
    assert site.found() == {}


# ---------------------------------------------------------------- pods


@pytest.mark.parametrize("site", [controller, rendered, lambda: rendered(chart=CHART), lambda: controller(chart=CHART)])
def test_a_running_pod_with_another_image_is_told(site):
    estate = site()
    estate.find("Pod")["spec"]["containers"][0]["image"] = FOREIGN
    kept = estate.only()
    assert kept.item.object == "Pod default/podinfo-new-x1"
    assert (kept.item.expected, kept.item.found) == ("an image of the delivery", f"container podinfod runs {FOREIGN}")
    assert kept.keeper == keeper_of(estate.find("Deployment"))
    assert "the pod has to be deleted" in kept.item.obstacle


@pytest.mark.parametrize("site", [controller, rendered])
def test_an_edited_workload_of_a_chart_is_one_item_however_many_pods_it_has(site):
    estate = site(chart=CHART)
    estate.find("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = FOREIGN
    estate.find("Pod")["spec"]["containers"][0]["image"] = FOREIGN
    estate.add_pod(FOREIGN, name="podinfo-new-x2")
    kept = estate.only()
    assert (kept.item.object, kept.item.found) == (DEPLOYED, f"container podinfod runs {FOREIGN}")
    assert kept.keeper.kind == HELM_RELEASE


def with_sidecar(site):
    for holder in ("Deployment", "Pod"):
        spec = site.find(holder)["spec"]
        spec.get("template", {}).get("spec", spec)["containers"].append({"name": "proxy", "image": FOREIGN})
    return site


@pytest.mark.parametrize("site", [controller, rendered])
def test_a_container_that_the_chart_brings_by_itself_is_the_deliverys(site):
    estate = with_sidecar(site(chart=CHART))
    assert estate.found() == {DEPLOYED: f"container proxy runs {FOREIGN}"}
    own = {"f:containers": {'k:{"name":"proxy"}': {".": {}, "f:image": {}}}}
    entry = {"manager": "helm-controller", "fieldsV1": {"f:spec": {"f:template": {"f:spec": own}}}}
    estate.find("Deployment")["metadata"]["managedFields"] = [entry]
    assert estate.found() == {}
    entry["manager"] = "kubectl-edit"
    assert estate.found() == {DEPLOYED: f"container proxy runs {FOREIGN}"}


def test_a_pod_that_runs_what_its_workload_says_goes_with_it():
    site = rendered()
    for pods in (site.find("Deployment")["spec"]["template"]["spec"], site.find("Pod")["spec"]):
        pods["containers"][0]["image"] = FOREIGN
    kept = site.only()
    assert (kept.item.object, kept.item.obstacle, kept.keeper) == (DEPLOYED, "", RENDERED)


@pytest.mark.parametrize(
    "image",
    [
        f"{PRIVATE}/stefanprodan/podinfo:6.3.5",
        f"{PRIVATE}/stefanprodan/podinfo:other@{DIGEST}",
        f"mirror.example.com/podinfo@{DIGEST}",
        # The node says which digest a tag stood for.
        "mirror.example.com/podinfo:other",
    ],
)
def test_an_image_is_the_deliverys_by_digest_or_by_reference(image):
    site = rendered()
    site.find("Pod")["spec"]["containers"][0]["image"] = image
    assert site.found() == {}


def test_an_image_that_only_has_the_name_is_another_one():
    site = rendered()
    pod = site.find("Pod")
    pod["spec"]["containers"][0]["image"] = f"{PRIVATE}/stefanprodan/podinfo:6.4.0"
    pod["status"]["containerStatuses"][0]["imageID"] = f"{PRIVATE}/stefanprodan/podinfo@{OTHER}"
    assert list(site.found()) == ["Pod default/podinfo-new-x1"]


def test_an_image_of_the_manifests_that_is_none_of_the_component_is_the_deliverys():
    pods = {"containers": [{"name": "podinfod", "image": "docker.io/library/busybox:1.36"}]}
    workload = dict(WORKLOAD, spec=dict(WORKLOAD["spec"], template={"spec": pods}))
    site = rendered(workload)
    pod = site.find("Pod")
    pod["spec"]["containers"][0]["image"] = "busybox:1.36"
    pod["status"]["containerStatuses"][0]["imageID"] = f"docker.io/library/busybox@{OTHER}"
    assert site.found() == {}


def test_pods_that_go_by_themselves_are_not_counted():
    site = rendered()
    pod = site.find("Pod")
    pod["spec"]["containers"][0]["image"] = FOREIGN
    for change in (
        lambda: pod["metadata"].update(deletionTimestamp=make.EARLY),
        lambda: pod["status"].update(phase="Succeeded"),
        lambda: pod["status"].update(phase="Pending"),
    ):
        before = copy.deepcopy(pod)
        change()
        assert site.found() == {}
        pod.update(before)
        pod["metadata"].pop("deletionTimestamp", None)
    assert len(site.found()) == 1


def test_pods_of_a_former_state_that_is_being_replaced_are_not_counted():
    site = rendered()
    former = make.replica_set(site.find("Deployment"), revision="1", pod_hash="old")
    site.objects += [former, make.pod(former, FOREIGN)]
    assert site.found() == {}


def test_containers_that_the_cluster_puts_into_pods_are_not_counted():
    site = rendered()
    site.find("Pod")["spec"]["containers"].append({"name": "mesh-proxy", "image": FOREIGN})
    site.find("Pod")["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": FOREIGN}]
    assert site.found() == {}


def test_an_edited_workload_and_a_pod_that_it_did_not_make_are_items_each():
    site = controller()
    site.find("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = FOREIGN
    site.find("Pod")["spec"]["containers"][0]["image"] = f"{PRIVATE}/third@{OTHER}"
    assert list(site.found()) == [DEPLOYED, "Pod default/podinfo-new-x1"]


def test_what_keeps_others_comes_first():
    site = rendered()
    site.find("Pod")["spec"]["containers"][0]["image"] = FOREIGN
    site.remove("Service")
    site.find("Kustomization", "podinfo")["spec"]["prune"] = False
    site.find("Kustomization", "components")["spec"]["targetNamespace"] = ""
    assert [kept.about.kind.kind for kept in site.kept()] == ["Kustomization", "Service", "Pod"]


def test_an_empty_cluster_misses_everything_and_breaks_nothing():
    for site in (controller(), rendered(), controller(chart=CHART), rendered(chart=CHART)):
        site.objects = []
        kept = site.kept()
        assert {each.item.found for each in kept} == {"missing"}
        objects = [entry for entry in site.lock["objects"] if entry["kind"] != "ServiceAccount"]
        assert len(kept) == 2 + len(objects) + len(site.lock["delivered"])


def test_a_lock_and_a_tree_of_nothing():
    lock = dict(name="x", objects=[], manifests=[], delivered=[], images=[], delivery="rendered", namespace="a")
    assert cluster_items(lock, Tree({}, {}.get), MemoryCluster([flux_git_repository(), flux_tree()]), FLUX) == []


def test_the_cluster_is_asked_for_nothing_twice():
    asked = []

    class Counting(MemoryCluster):
        def get(self, kind, namespace, name):
            asked.append((kind, namespace, name))
            return super().get(kind, namespace, name)

        def list(self, kind, namespace, selector="", fields=""):
            asked.append((kind, namespace, selector, fields))
            return super().list(kind, namespace, selector, fields)

    site = controller(values={"a": 1})
    cluster_items(site.lock, site.tree, Counting(site.objects), FLUX)
    assert asked and len(asked) == len(set(asked))


def test_no_secret_gets_into_items():
    password = "hunter-2-hunter-2"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}
    site = rendered(WORKLOAD, secret)
    file = next(path for path in site.files if path.endswith("1.yaml"))
    site.files[file] = yaml.safe_dump(dict(secret, stringData={"a": password})).encode()
    site.find("Secret")["data"] = {"a": "b3RoZXI="}
    kept = site.only()
    assert kept.item.found == "data.a: differs"
    assert password not in json.dumps(kept.item.as_result())


def test_a_custom_resource_is_compared_as_any_other():
    custom = {
        "apiVersion": "example.com/v1",
        "kind": "Database",
        "metadata": {"name": "db"},
        "spec": {"size": "10Gi", "users": [{"name": "a", "role": "reader"}]},
    }
    site = rendered(WORKLOAD, custom)
    site.find("Database")["spec"]["users"][0]["role"] = "admin"
    kept = site.only()
    assert kept.item.found == "spec.users[a].role: admin, wanted reader"
    assert kept.about == Place(Kind("example.com/v1", "Database"), "default", "db")


def test_the_source_of_the_tree_is_where_flux_says():
    assert FLUX.git_repository == Place(GIT_REPOSITORY, "flux-system", "flux-system")
    assert FLUX.tree == TREE
