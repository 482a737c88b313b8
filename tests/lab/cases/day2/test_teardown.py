# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Components are removed: one of two that share, all, with controllers that are dead, and without Git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..ansible_run import Run, Task
from ..conftest import deliveries
from ..estate import Cluster, Lab, until
from ..site import Site
from ..test_components import DEPLOYMENT

pytestmark = pytest.mark.alone

ONE, TWO = "example.org/one", "example.org/two"
# It is on the node, whose sandboxes are made of it.
IMAGE = "lab.test/pause:1"
# No pod of it runs: its volume is the one that a test makes.
STATEFUL = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  replicas: 0
  serviceName: db
  selector:
    matchLabels: {{app: db}}
  template:
    metadata:
      labels: {{app: db}}
    spec:
      containers:
        - {{name: db, image: "{image}"}}
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {{requests: {{storage: 1Mi}}}}
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: cache
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Mi}}}}
  storageClassName: ""
  volumeName: {site}-cache
"""
REMOVE = "Remove the objects, and what nothing else uses"
# What ocm-controller and Flux know of a delivery.
OF_CONTROLLERS = (
    "componentversions.delivery.ocm.software",
    "resources.delivery.ocm.software",
    "fluxdeployers.delivery.ocm.software",
    "snapshots.delivery.ocm.software",
    "ocirepositories.source.toolkit.fluxcd.io",
    "kustomizations.kustomize.toolkit.fluxcd.io",
)


def component(folder: Path, name: str, files: dict[str, str]) -> dict[str, Any]:
    """A component whose only resource is a folder of manifests."""
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8")
    resource = {"name": "deployment", "type": "directoryTree", "input": {"type": "dir", "path": str(folder)}}
    return {"name": name, "version": "1.0.0", "provider": {"name": "example.org"}, "resources": [resource]}


class Story:
    """A site with two components in one namespace, which share their Secrets."""

    def __init__(self, site: Site, cluster: Cluster) -> None:
        self.site, self.cluster = site, cluster
        self.names = {each: f"{site.name}-{each.rpartition('/')[2]}" for each in (ONE, TWO)}

    def publish(self) -> None:
        folder, name = self.site.folder, self.site.name
        one = {
            "one.yaml": DEPLOYMENT.format(name="one", image=IMAGE),
            "db.yaml": STATEFUL.format(image=IMAGE),
            "claim.yaml": CLAIM.format(site=name),
        }
        two = {"two.yaml": DEPLOYMENT.format(name="two", image=IMAGE)}
        constructor = {"components": [component(folder / "one", ONE, one), component(folder / "two", TWO, two)]}
        self.site.source = str(folder / "published")
        options = {"repository": self.site.source, "constructor": constructor}
        self.site.ansible.module("ocm_component", options).must_succeed()

    def variables(self, *components: str, **more: Any) -> dict[str, Any]:
        wanted = [{"component": each, "version": "1.0.0", "name": self.names[each]} for each in components]
        common = {"component": None, "version": None, "name": None, "components": wanted, "foreign_images": "allow"}
        return self.site.variables(**{**common, **more})

    def deliver(self, *components: str, **more: Any) -> None:
        run = self.site.ansible.playbook("ocm.airgap.site", self.variables(*components, **more))
        run.must_succeed()

    def remove(self, *components: str, check: bool = False, confirm: str | None = None, **more: Any) -> Run:
        typed = ",".join(components) if confirm is None else confirm
        variables = self.variables(*components, teardown_confirm=typed, **more)
        return self.site.ansible.playbook("ocm.airgap.teardown", variables, *(["--check"] if check else []))

    def make_volume(self) -> None:
        """The volume that the component's claim is bound to."""
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
        volume = {
            **spec,
            "capacity": {"storage": "1Mi"},
            "hostPath": {"path": "/tmp"},
            "claimRef": {"namespace": self.site.namespace, "name": "cache"},
            "persistentVolumeReclaimPolicy": "Retain",
        }
        metadata = {"name": f"{self.site.name}-cache"}
        self.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": volume})

    def make_claim_of_the_stateful_set(self) -> None:
        """As it would be made for the StatefulSet's first pod."""
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": ""}
        metadata = {"name": "data-db-0", "namespace": self.site.namespace}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        self.cluster.apply(claim)

    def running(self) -> list[str]:
        pods = self.cluster.pods(self.site.namespace)
        return sorted(pod["metadata"]["labels"]["app"] for pod in pods if pod["status"]["phase"] == "Running")

    def left(self) -> list[str]:
        """What there is of both in the cluster, without Secrets and namespaces."""
        kinds = [kind for kind in OF_CONTROLLERS if self.cluster.get("customresourcedefinition", kind)]
        kinds += ["deployments", "statefulsets"]
        found = []
        for namespace in sorted({self.site.namespace, self.site.controller_namespace, "flux-system"}):
            for obj in self.cluster.list(",".join(kinds), namespace):
                own = obj["metadata"]["name"].startswith(tuple(self.names.values()))
                if own or namespace != "flux-system":
                    found.append(f"{obj['kind']} {obj['metadata']['name']}")
        return sorted(found)

    def folders(self) -> set[str]:
        files = [file.split("/") for file in self.site.repository.files()]
        return {parts[1] for parts in files if len(parts) > 2}


def told(run: Run) -> dict[str, Any]:
    """What the module that removes objects has returned."""
    tasks: list[Task] = run.named(REMOVE)
    return dict(tasks[-1].result)


@pytest.fixture(scope="class")
def story(site: Site, cluster: Cluster) -> Iterator[Story]:
    made = Story(site, cluster)
    made.publish()
    made.make_volume()
    yield made
    cluster.kubectl("delete", "persistentvolume", f"{site.name}-cache", "--ignore-not-found", "--wait=false")


@pytest.fixture
def controllers(lab: Lab) -> Iterator[list[str]]:
    """Those that a test switches off."""
    names = ["kustomize-controller", "ocm-controller"] if lab.ocm_controller else ["kustomize-controller"]
    yield names
    for name in names:
        lab.switch("start", name)


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestTeardown:
    """Two components, from their delivery to nothing, and once more."""

    def test_both_run(self, story: Story) -> None:
        story.deliver(ONE, TWO)
        assert story.running() == ["one", "two"]
        story.make_claim_of_the_stateful_set()

    def test_a_wrong_confirmation_is_refused(self, story: Story) -> None:
        watch = story.site.watch()
        run = story.remove(ONE, confirm=TWO).must_fail()
        assert f"This removes {ONE}." in run.failure and f"ocm_airgap_teardown_confirm={ONE}" in run.failure
        assert watch.changes() == []

    def test_check_mode_lists_what_goes_and_changes_nothing(self, story: Story) -> None:
        watch, space = story.site.watch(), story.site.namespace
        result = told(story.remove(ONE, check=True, confirm="").must_succeed())
        assert result["workloads"] == [f"Deployment {space}/one", f"StatefulSet {space}/db"]
        assert result["volumes"] == [f"PersistentVolumeClaim {space}/cache"]
        assert result["kept_volumes"] == [f"PersistentVolumeClaim {space}/data-db-0"]
        assert watch.changes() == []
        assert story.running() == ["one", "two"]

    def test_one_of_two_that_share_goes_and_the_other_goes_on(self, cluster: Cluster, story: Story) -> None:
        pods = {pod["metadata"]["uid"] for pod in cluster.pods(story.site.namespace)}
        run = story.remove(ONE, teardown_scope=["secrets", "namespaces"]).must_succeed()
        assert {kept["object"].split()[0] for kept in told(run)["kept"]} == {"Secret", "Namespace"}
        gone = ("Deployment one", "StatefulSet db")
        assert not [name for name in story.left() if story.names[ONE] in name or name in gone]
        until(lambda: story.running() == ["two"], 30)
        assert {pod["metadata"]["uid"] for pod in cluster.pods(story.site.namespace)} < pods
        for namespace in sorted({story.site.namespace, self._home(story)}):
            assert cluster.get("secret", f"{story.site.name}-pull", namespace)
        assert story.names[TWO] in story.folders() and story.names[ONE] not in story.folders()

    def test_a_second_run_changes_nothing(self, story: Story) -> None:
        watch = story.site.watch()
        story.remove(ONE, teardown_scope=["secrets", "namespaces"]).must_change_nothing()
        assert watch.changes() == []

    def test_the_rest_goes_with_its_secrets_but_no_volume_of_anybody(self, cluster: Cluster, story: Story) -> None:
        run = story.remove(ONE, TWO, teardown_scope=["secrets", "namespaces"]).must_succeed()
        assert story.left() == []
        for namespace in sorted({story.site.namespace, self._home(story)}):
            assert not cluster.get("secret", f"{story.site.name}-pull", namespace)
        kept = {each["object"]: each["because"] for each in told(run)["kept"]}
        space = story.site.namespace
        assert kept[f"Namespace {space}"] == [f"PersistentVolumeClaim {space}/data-db-0"]
        assert not {story.names[ONE], story.names[TWO]} & story.folders()

    def test_an_empty_namespace_goes(self, cluster: Cluster, story: Story) -> None:
        cluster.kubectl("delete", "persistentvolumeclaim", "data-db-0", f"--namespace={story.site.namespace}")
        story.remove(ONE, TWO, teardown_scope=["namespaces"]).must_succeed()
        assert cluster.get("namespace", story.site.namespace) == {}

    def test_site_starts_from_nothing_again(self, cluster: Cluster, story: Story) -> None:
        cluster.kubectl("delete", "persistentvolume", f"{story.site.name}-cache")
        story.make_volume()
        story.deliver(ONE, TWO)
        assert story.running() == ["one", "two"]

    def test_dead_controllers_leave_nothing_stuck(
        self, lab: Lab, cluster: Cluster, story: Story, controllers: list[str]
    ) -> None:
        for name in controllers:
            lab.switch("stop", name)
        run = story.remove(ONE, TWO, teardown_scope=["secrets", "namespaces"]).must_succeed()
        assert {name.split()[0] for name in told(run)["released"]} >= {"Kustomization"}
        assert story.left() == []
        assert cluster.get("namespace", story.site.namespace) == {}
        for name in controllers:
            lab.switch("start", name)
        head = story.site.repository.head()
        until(lambda: head in self._applied(cluster, story), 90, "Flux applies the tree without them")
        assert story.left() == [], "it came back"

    @staticmethod
    def _home(story: Story) -> str:
        return story.site.controller_namespace if story.site.delivery == "controller" else "flux-system"

    @staticmethod
    def _applied(cluster: Cluster, story: Story) -> str:
        reader = cluster.get("kustomizations.kustomize.toolkit.fluxcd.io", story.site.name, "flux-system")
        return str(reader["status"].get("lastAppliedRevision", ""))


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestTeardownWithoutGit:
    """What was applied without Git is known by its label."""

    WITHOUT: dict[str, Any] = {"git_url": None, "git_username": None, "git_password": None}

    def test_it_goes_and_what_is_not_its_own_stays(self, cluster: Cluster, story: Story) -> None:
        story.deliver(ONE, TWO, **self.WITHOUT)
        assert story.running() == ["one", "two"]
        run = story.remove(ONE, teardown_scope=["secrets", "namespaces"], **self.WITHOUT).must_succeed()
        assert f"Deployment {story.site.namespace}/one" in told(run)["removed"]
        until(lambda: story.running() == ["two"], 30)
        assert not [name for name in story.left() if story.names[ONE] in name]
        assert cluster.get("secret", f"{story.site.name}-pull", story.site.namespace)

    def test_the_rest_goes_with_its_namespace(self, cluster: Cluster, story: Story) -> None:
        scope = ["secrets", "namespaces"]
        story.remove(ONE, TWO, teardown_scope=scope, **self.WITHOUT).must_succeed()
        assert cluster.get("namespace", story.site.namespace) == {}
        assert story.left() == []
        story.remove(ONE, TWO, teardown_scope=scope, **self.WITHOUT).must_change_nothing()
