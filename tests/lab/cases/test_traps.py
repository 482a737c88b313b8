# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The traps on the way from a registry to a running pod that this collection removes, each with its remedy.

Traps of ocm-controller are told by the statuses that it leaves, so these run without it as well. The tenth needs a
cluster without its definitions: bare/test_successor.py.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .ansible_run import Ansible, Run, Task
from .estate import Account, Cluster, GitRepository, Lab, until
from .site import PODINFO, TLS
from .stage import OCM, Stage

VERSION = "6.3.5"
BROKEN = "example.org/two-in-one"
BUNDLED = Path(__file__).resolve().parents[3] / "playbooks" / "files" / "podinfo"
TWO_OBJECTS = """apiVersion: apps/v1
kind: Deployment
metadata: {name: two}
spec:
  selector: {matchLabels: {app: two}}
  template:
    metadata: {labels: {app: two}}
    spec: {containers: [{name: two, image: IMAGE}]}
---
apiVersion: v1
kind: Service
metadata: {name: two}
spec: {selector: {app: two}, ports: [{port: 80}]}
"""
RULES = """apiVersion: config.ocm.software/v1alpha1
kind: ConfigData
metadata: {name: two}
configuration:
  defaults: {replicas: 1}
  rules:
  - {file: two.yaml, path: spec.replicas, value: (( replicas ))}
"""
# As the guide's text has it, without spec.interval.
GUIDES_DEPLOYER = """apiVersion: delivery.ocm.software/v1alpha1
kind: FluxDeployer
metadata: {name: podinfo, namespace: NAMESPACE}
spec:
  sourceRef: {kind: Localization, name: podinfo-deployment}
  kustomizationTemplate: {interval: 5s, path: ./, prune: true, targetNamespace: default}
"""
SHELL = """apiVersion: v1
kind: ConfigMap
metadata: {name: script, namespace: NAMESPACE}
data: {"run.sh": "echo ${HOSTNAME}"}
"""


@pytest.fixture(autouse=True)
def public_registry(lab: Lab) -> Iterator[None]:
    """It is on while a test reads from it."""
    with lab.with_server("public"):
        yield


@pytest.fixture(scope="module")
def moved(lab: Lab, ansible: Ansible, podinfo: str) -> str:
    """The same component in another repository of the public registry."""
    target = f"{lab.public}/traps"
    with lab.with_server("public"):
        ansible.module("ocm_transfer", {"source": str(BUNDLED), "target": target, "component": PODINFO}).must_succeed()
    return target


@pytest.fixture
def stage(request: pytest.FixtureRequest, lab: Lab, cluster: Cluster) -> Iterator[Stage]:
    numbers = "-".join(re.findall(r"\d+", request.node.name))
    made = Stage(cluster, f"trap-{numbers}", lab.ocm_controller)
    yield made
    made.close()


class Play:
    """Tasks of one playbook. A task that fails is no end: that is what most of them are for."""

    def __init__(self, ansible: Ansible, folder: Path) -> None:
        self._ansible, self._file = ansible, folder / "traps.yml"

    def __call__(self, *tasks: dict[str, Any]) -> list[Task]:
        """The results of the last task of each."""
        named = [{"name": f"Task {number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)]
        python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        self._file.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": python, "tasks": named}])
        )
        run = self._ansible.playbook(str(self._file), {}).must_succeed()
        return [task for task in run.tasks if task.name.startswith("Task ")]

    def role(self, name: str, tasks_from: str = "main", **variables: Any) -> Run:
        """All tasks of a role; it may fail."""
        role = {
            "ansible.builtin.include_role": {"name": f"ocm.airgap.{name}", "tasks_from": tasks_from},
            "vars": variables,
        }
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [role]}
        self._file.write_text(
            json.dumps([{**play, "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}])
        )
        return self._ansible.playbook(str(self._file), {})


@pytest.fixture
def play(ansible: Ansible, tmp_path: Path) -> Play:
    return Play(ansible, tmp_path)


def look(stage: Stage, name: str, namespace: str = "", **options: Any) -> dict[str, Any]:
    """A task that reads the chain, without waiting."""
    where = {"namespace": namespace or stage.namespace, "name": name, "try_images": False}
    return {"ocm.airgap.ocm_rollout_info": {**where, **options}}


def render(stage: Stage, repository: str, **component: Any) -> dict[str, Any]:
    """A task that renders the objects of a delivery."""
    usual = {"component": PODINFO, "version": VERSION, "repository": repository, "namespace": stage.namespace}
    return {"ocm.airgap.ocm_gitops": {"components": [{**usual, "service_account": "traps", **component}]}}


def objects(task: Task, kind: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = task.result["components"][0]["objects"]
    return [each for each in found if each["kind"] == kind] if kind else found


def finding(task: Task, kind: str) -> dict[str, str]:
    """What is said about the first object of the kind."""
    found: list[dict[str, str]] = [each for each in task.result["diagnosis"] if each["object"].startswith(f"{kind} ")]
    assert found, f"nothing is said about a {kind}: {task.result['diagnosis']}"
    return found[0]


def test_trap_1_another_repository_is_another_component_version(
    stage: Stage, cluster: Cluster, play: Play, podinfo: str, moved: str
) -> None:
    before, after = play(render(stage, podinfo), render(stage, moved))
    (old,), (new,) = objects(before, "ComponentVersion"), objects(after, "ComponentVersion")
    assert old["metadata"]["name"] != new["metadata"]["name"]
    for each in objects(after):
        assert old["metadata"]["name"] not in json.dumps(each), "something still reads from the old repository"

    # The step of the guide, by hand: the URL is changed in place, and ocm-controller stays where it was.
    stage.component_version("by-hand", PODINFO, VERSION, podinfo)
    there = {"reconciledVersion": VERSION, "replicatedRepositoryURL": podinfo}
    stage.reach("ComponentVersion", "by-hand", "True", "Succeeded", **there)
    stage.component_version("by-hand", PODINFO, VERSION, moved)
    stage.reach("ComponentVersion", "by-hand", "True", "Succeeded", **there)
    (seen,) = play(look(stage, "by-hand"))
    told = finding(seen, "ComponentVersion")
    assert (seen.result["ready"], told["reason"]) == (False, "RepositoryNotFollowed")
    assert podinfo in told["message"] and moved in told["message"] and "another name" in told["remedy"]

    # As it is rendered, the new one comes to its content.
    stage.component_version(new["metadata"]["name"], PODINFO, VERSION, moved)
    there = {"reconciledVersion": VERSION, "replicatedRepositoryURL": moved}
    stage.reach("ComponentVersion", new["metadata"]["name"], "True", "Succeeded", **there)
    (seen,) = play(look(stage, new["metadata"]["name"]))
    assert seen.result["chain"][0]["ready"]


def test_trap_2_what_is_rendered_has_the_intervals_that_the_api_server_requires(
    stage: Stage, cluster: Cluster, play: Play, podinfo: str
) -> None:
    (rendered,) = play(render(stage, podinfo))
    assert {each["kind"] for each in objects(rendered)} >= {
        "ComponentVersion",
        "Resource",
        "Localization",
        "FluxDeployer",
    }
    for each in objects(rendered):
        text = json.dumps(each)
        cluster.kubectl("apply", "--dry-run=server", "--filename=-", text=text)
        if each["apiVersion"] == OCM:
            del each["spec"]["interval"]
            with pytest.raises(AssertionError, match="spec.interval: Required value"):
                cluster.kubectl("apply", "--dry-run=server", "--filename=-", text=json.dumps(each))


def test_trap_3_an_account_that_came_late_is_noticed(
    lab: Lab, stage: Stage, cluster: Cluster, play: Play, moved: str
) -> None:
    stage.component_version("late", PODINFO, VERSION, moved, account="late")
    stage.reach("ComponentVersion", "late", "False", "AuthenticatedContextCreationFailed")
    (seen,) = play(look(stage, "late"))
    told = finding(seen, "ComponentVersion")
    assert seen.result["chain"][0]["given_up"]
    assert "ocm.airgap.credentials" in told["remedy"] and "spec.suspend" in told["remedy"]

    play.role(
        "credentials",
        credentials_pull_registries=[lab.pull.at(lab.private)],
        credentials_repositories=[f"{lab.private}/traps"],
        credentials_images=[],
        credentials_secret="late",
        credentials_namespaces=[stage.namespace],
        credentials_service_accounts=[{"name": "late", "namespace": stage.namespace}],
    ).must_succeed()
    assert cluster.get("serviceaccount", "late", stage.namespace)["imagePullSecrets"] == [{"name": "late"}]
    assert cluster.get("secret", "late", stage.namespace)["type"] == "kubernetes.io/dockerconfigjson"
    looks_again(stage, play, "ComponentVersion", "late")


def test_trap_4_an_input_that_is_ready_after_all_is_noticed(stage: Stage, play: Play, moved: str) -> None:
    stage.component_version("outage", PODINFO, VERSION, moved)
    there = {"reconciledVersion": VERSION, "replicatedRepositoryURL": moved}
    stage.reach("ComponentVersion", "outage", "True", "Succeeded", **there)
    stage.resource("outage", "outage")
    stage.reach("Resource", "outage", "True", "Succeeded", lastAppliedComponentVersion=VERSION)
    stage.localization("outage", "outage", "outage")
    stage.reach("Localization", "outage", "True", "Succeeded")
    # The registry was away for a moment, just when the interval was over; afterwards nobody wakes the Localization.
    stage.force("Localization", "outage", "False", "SourceRefNotReadyWithError")
    (seen,) = play(look(stage, "outage"))
    told = finding(seen, "Localization")
    given_up = [each["kind"] for each in seen.result["chain"] if each["given_up"]]
    assert given_up == ["Localization"] and "spec.suspend" in told["remedy"]
    looks_again(stage, play, "Localization", "outage")


def looks_again(stage: Stage, play: Play, kind: str, name: str) -> None:
    """The role rollout makes the controller look again; what it says meanwhile about the rest does not matter."""
    generation = stage.get(kind, name)["metadata"]["generation"]
    wanted = {"rollout_namespace": stage.namespace, "rollout_name": "outage" if kind == "Localization" else name}
    more = {"rollout_target": "any.test", "rollout_wait_timeout": 0, "rollout_try_images": False}
    play.role("rollout", **wanted, **more, rollout_look_again=True)
    found = stage.get(kind, name)
    assert (found["metadata"]["generation"], found["spec"]["suspend"]) == (generation + 2, False)
    if stage.has_controller:
        stage.reach(kind, name, "True", "Succeeded")


def test_trap_5_ocm_controller_is_not_asked_with_the_annotation_of_flux(
    lab: Lab, stage: Stage, play: Play, moved: str
) -> None:
    stage.component_version("asked", PODINFO, VERSION, moved)
    audit = lab.log("audit")
    where = {"name": "asked", "namespace": stage.namespace}
    kinds = ("ComponentVersion", "FluxDeployer")
    asked = play(*({"ocm.airgap.flux_reconcile": {"kind": kind, **where}} for kind in kinds))
    for kind, task in zip(kinds, asked):
        assert task.state == "ignored" and kind in task.result["msg"] and "spec.suspend" in task.result["msg"]
    assert not [change for change in audit.changes() if stage.namespace in change]


def test_trap_6_an_image_is_told_by_its_digest(
    lab: Lab, stage: Stage, cluster: Cluster, play: Play, moved: str
) -> None:
    wanted = {"repository": moved, "component": PODINFO, "version": VERSION}
    localize = {"ocm.airgap.ocm_localize": {**wanted, "manifests": "deployment"}}
    localized, info = play(localize, {"ocm.airgap.ocm_component_info": {**wanted, "resource": "image"}})
    (image,) = {each["after"] for each in localized.result["images"]}
    name, _at, digest = image.partition("@")
    (resource,) = info.result["component_versions"][0]["resources"]
    # The transfer writes both, the localization the digest alone.
    assert resource["access"]["imageReference"] == f"{name}:{VERSION}@{digest}"
    # A rule for a tag gets the digest as well, and that is no image.
    workload(stage, cluster, "right", image)
    workload(stage, cluster, "wrong", f"{name}:{digest}")
    until(lambda: "InvalidImageName" in cluster.waiting(stage.namespace), 60)
    flux_has_applied(stage, cluster, "right", "wrong")
    (seen,) = play(look(stage, "applied", target=moved))
    right, wrong = sorted(seen.result["images"], key=lambda each: each["image"] != image)
    assert (right["private"], right["digest"]) == (True, digest)
    told = [each for each in seen.result["diagnosis"] if each["reason"] == "InvalidImageName"]
    assert told and "digest in a field for a tag" in told[0]["remedy"] and wrong["image"] != image


def workload(stage: Stage, cluster: Cluster, name: str, image: str) -> None:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": stage.namespace}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def flux_has_applied(stage: Stage, cluster: Cluster, *names: str) -> None:
    """A Kustomization that says so; it is suspended, so that Flux leaves it at that."""
    metadata = {"name": "applied", "namespace": stage.namespace}
    source = {"kind": "GitRepository", "name": "none"}
    spec = {"interval": "1h", "prune": False, "suspend": True, "sourceRef": source}
    kustomization = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata}
    cluster.apply({**kustomization, "spec": spec})
    entries = [{"id": f"{stage.namespace}_{name}_apps_Deployment", "v": "v1"} for name in names]
    kind = "kustomizations.kustomize.toolkit.fluxcd.io"
    cluster.set_status(kind, "applied", stage.namespace, {"inventory": {"entries": entries}})


def test_trap_7_objects_that_would_vanish_are_refused(
    lab: Lab, stage: Stage, play: Play, moved: str, tmp_path: Path
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    image = f"{moved}/stefanprodan/podinfo:{VERSION}"
    (folder / "two.yaml").write_text(TWO_OBJECTS.replace("IMAGE", image), encoding="utf-8")
    manifests = {"name": "deployment", "type": "directoryTree", "input": {"type": "dir", "path": str(folder)}}
    rules = {"name": "config", "type": "PlainText", "input": {"type": "utf8", "text": RULES}}
    component = {
        "name": BROKEN,
        "version": "1.0.0",
        "provider": {"name": "example.org"},
        "resources": [manifests, rules],
    }
    publish = {"repository": moved, "constructor": {"components": [component]}}
    wanted = {"component": BROKEN, "version": "1.0.0", "values": {"replicas": 2}}
    published, refused, rendered = play(
        {"ocm.airgap.ocm_component": publish},
        render(stage, moved, **wanted),
        render(stage, moved, **wanted, delivery="rendered"),
    )
    assert published.state == "changed", published.result
    assert refused.state == "ignored" and "two.yaml" in refused.result["msg"]
    assert "one object in each file" in refused.result["msg"]
    # Rendered here, nothing is lost.
    assert {"Deployment", "Service"} <= {each["kind"] for each in objects(rendered)}


def test_trap_8_every_namespace_with_a_flux_deployer_gets_the_authority(
    lab: Lab, stage: Stage, cluster: Cluster, play: Play, moved: str
) -> None:
    stage.component_version("lonely", PODINFO, VERSION, moved)
    there = {"reconciledVersion": VERSION, "replicatedRepositoryURL": moved}
    stage.reach("ComponentVersion", "lonely", "True", "Succeeded", **there)
    stage.resource("lonely", "lonely")
    stage.reach("Resource", "lonely", "True", "Succeeded", lastAppliedComponentVersion=VERSION)
    template = {"interval": "1h", "path": "./", "prune": False, "suspend": True}
    stage.put(
        "FluxDeployer",
        "lonely",
        {"sourceRef": {"kind": "Resource", "name": "lonely"}, "kustomizationTemplate": template},
    )
    made = {name: f"{stage.namespace}/lonely" for name in ("ociRepository", "kustomization")}
    if not stage.has_controller:
        made_by_the_deployer(stage, cluster)
    stage.reach("FluxDeployer", "lonely", "True", "Succeeded", **made)
    until(lambda: TLS in said_of_the_artifact(stage, cluster), 60, "source-controller misses the Secret")
    (seen,) = play(look(stage, "lonely"))
    assert "ocm.airgap.ocm_controller" in finding(seen, "OCIRepository")["remedy"]

    play.role(
        "ocm_controller", "certificates", **CERTIFICATES, ocm_controller_namespaces=[stage.namespace]
    ).must_succeed()
    given, own = cluster.get("secret", TLS, stage.namespace), cluster.get("secret", TLS, "ocm-system")
    assert set(given["data"]) == {"ca.crt"}, "the key belongs to ocm-system alone"
    assert given["data"]["ca.crt"] == own["data"]["ca.crt"]
    cluster.kubectl(
        "annotate", "ocirepositories", "lonely", f"--namespace={stage.namespace}", "reconcile.fluxcd.io/requestedAt=1"
    )
    until(lambda: TLS not in said_of_the_artifact(stage, cluster), 60, "source-controller finds the Secret")
    if not lab.ocm_controller:
        cluster.kubectl("delete", "secret", TLS, "ocm-registry-tls-ca", "--namespace=ocm-system")


# What the role's own main.yml hands on.
CERTIFICATES = {"platform_namespace": "ocm-system", "platform_force": False}


def made_by_the_deployer(stage: Stage, cluster: Cluster) -> None:
    """What a FluxDeployer creates: an OCIRepository that names the Secret in its own namespace."""
    metadata = {"name": "lonely", "namespace": stage.namespace}
    spec = {"interval": "1h", "url": "oci://localhost:1/sha-1", "ref": {"tag": VERSION}, "certSecretRef": {"name": TLS}}
    cluster.apply(
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": metadata, "spec": spec}
    )
    source = {"kind": "OCIRepository", "name": "lonely"}
    template = {"interval": "1h", "path": "./", "prune": False, "suspend": True, "sourceRef": source}
    kustomization = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata}
    cluster.apply({**kustomization, "spec": template})


def said_of_the_artifact(stage: Stage, cluster: Cluster) -> str:
    found = cluster.get("ocirepositories", "lonely", stage.namespace)
    conditions = found.get("status", {}).get("conditions", [])
    return " ".join(each["message"] for each in conditions if each["type"] == "Ready") or TLS


def test_trap_9_ocm_controller_may_reach_source_controller(
    stage: Stage, cluster: Cluster, play: Play, tmp_path: Path
) -> None:
    """Flux's own policies shut it out. Nothing in this estate enforces policies, so they are read."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "source-controller"}}
    (tmp_path / "flux.yaml").write_text(json.dumps(account), encoding="utf-8")
    wanted = {"flux_manifests": str(tmp_path / "flux.yaml"), "flux_namespace": stage.namespace, "flux_wait": False}
    play.role("flux", **wanted).must_succeed()
    spec = cluster.get("networkpolicy", "allow-ocm-controller", stage.namespace)["spec"]
    assert spec["podSelector"] == {"matchLabels": {"app": "source-controller"}}
    (rule,) = spec["ingress"]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "ocm-system"}}
    assert rule == {"from": [{"namespaceSelector": selector}], "ports": [{"port": 9090, "protocol": "TCP"}]}


@pytest.fixture
def from_git(lab: Lab, cluster: Cluster, stage: Stage, tmp_path: Path) -> GitRepository:
    """A tree with the guide's FluxDeployer and a shell script, which Flux reads into the namespace."""
    repository = GitRepository(lab, tmp_path, stage.namespace)
    texts = {"guide/flux-deployer.yaml": GUIDES_DEPLOYER, "script/config-map.yaml": SHELL}
    repository.commit({path: text.replace("NAMESPACE", stage.namespace) for path, text in texts.items()})
    metadata = {"name": "tree", "namespace": stage.namespace}
    spec = {"interval": "1h", "url": repository.url, "ref": {"branch": "main"}, "secretRef": {"name": "tree"}}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": _login(lab.git)},
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata, "spec": spec},
    )
    for name in ("guide", "script"):
        kustomization = {
            "interval": "1h",
            "path": f"./{name}",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "tree"},
        }
        substitute = {"postBuild": {"substitute": {"COLOUR": "green"}}} if name == "script" else {}
        metadata = {"name": name, "namespace": stage.namespace}
        kind = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata}
        cluster.apply({**kind, "spec": {**kustomization, **substitute}})
    return repository


def _login(account: Account) -> dict[str, str]:
    values = {"username": account.user, "password": account.password}
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def test_traps_2_and_9_flux_tells_of_the_interval_and_of_the_strict_substitution(
    stage: Stage, cluster: Cluster, play: Play, from_git: GitRepository
) -> None:
    """Traps 2 and 9, where somebody has written what is in Git by hand."""
    for name, reason in (("guide", "ReconciliationFailed"), ("script", "BuildFailed")):
        until(lambda name=name, reason=reason: reason in reasons(stage, cluster, name), 60, f"{name}: {reason}")
    guide, script = play(look(stage, "guide"), look(stage, "script"))
    assert "FluxDeployer needs spec.interval" in finding(guide, "Kustomization")["remedy"]
    assert "substitutes strictly" in finding(script, "Kustomization")["remedy"]
    # What the remedies say helps.
    fixed = {
        "guide/flux-deployer.yaml": GUIDES_DEPLOYER + "  interval: 1m0s\n",
        "script/config-map.yaml": SHELL.replace("${", "$${"),
    }
    commit = from_git.commit({path: text.replace("NAMESPACE", stage.namespace) for path, text in fixed.items()})
    where = {"namespace": stage.namespace, "revision": commit, "wait_timeout": 60}
    applied = play(
        *(
            {"ocm.airgap.flux_reconcile": {"kind": "Kustomization", "name": name, **where}}
            for name in ("guide", "script")
        )
    )
    assert {task.state for task in applied} <= {"changed", "ok"}, [task.result for task in applied]
    assert cluster.get("configmap", "script", stage.namespace)["data"]["run.sh"] == "echo ${HOSTNAME}"


def reasons(stage: Stage, cluster: Cluster, name: str) -> set[str]:
    found = cluster.get("kustomizations.kustomize.toolkit.fluxcd.io", name, stage.namespace)
    return {each["reason"] for each in found.get("status", {}).get("conditions", [])}
