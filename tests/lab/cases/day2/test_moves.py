# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was delivered moves: to another registry, version, delivery, name; and a version that was built anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import deliveries
from ..estate import Cluster, Lab, until
from ..site import PODINFO, Site
from ..test_components import DEPLOYMENT, manifests
from .test_fleet import SITE

BUNDLED = str(Path(__file__).resolve().parents[4] / "playbooks" / "files" / "podinfo")
UP_TO_FLUX = "preflight,gitops,reconcile,rollout"
ANEW = "example.org/anew"
ALL = pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
BY_THE_CONTROLLER = pytest.mark.parametrize("delivery", deliveries()[1:], indirect=True, scope="class")


def workload(cluster: Cluster, site: Site) -> tuple[str, set[str]]:
    """Which Deployment runs, and its pods: others of the same name are others."""
    found = cluster.get("deployment", "podinfo", site.namespace)["metadata"]["uid"]
    return found, {pod["metadata"]["uid"] for pod in cluster.pods(site.namespace)}


def who_applies(cluster: Cluster, site: Site) -> tuple[str, str]:
    """The namespace and name of the Kustomization that has applied the Deployment last."""
    labels = cluster.get("deployment", "podinfo", site.namespace)["metadata"]["labels"]
    namespace, name = (labels[f"kustomize.toolkit.fluxcd.io/{key}"] for key in ("namespace", "name"))
    return namespace, name


def kinds_in_git(site: Site) -> set[str]:
    return {Path(file).stem for file in site.repository.files() if f"/{site.name}" in file and file.endswith(".yaml")}


@ALL
class TestPlaces:
    """Another private registry and prefix for the same version, then the former ones again."""

    @pytest.fixture(scope="class")
    @classmethod
    def there(cls, lab: Lab, site: Site) -> Iterator[dict[str, Any]]:
        """Where it is, and who may push and pull there: nobody who may at the former one."""
        push, pull = lab.second_push.at(lab.second), lab.second_pull.at(lab.second)
        for account in (push, pull):
            site.ansible.secrets.add(account["password"])
        lab.switch("start", SITE)
        yield {"target": f"{lab.second}/{site.name}/elsewhere", "registries": [push], "pull_registries": [pull]}
        lab.switch("stop", SITE)

    def test_pods_come_from_the_other_registry(self, cluster: Cluster, site: Site, there: dict[str, Any]) -> None:
        site.source = BUNDLED
        site.deliver().must_succeed()
        assert cluster.images(site.namespace) == [site.image("6.3.5")]
        site.deliver(**there).must_succeed()
        (image,) = cluster.images(site.namespace)
        assert image.startswith(f"{there['target']}/")
        assert image.rpartition("@")[2] == site.image("6.3.5").rpartition("@")[2]

    def test_nothing_reads_the_former_one(
        self, cluster: Cluster, site: Site, delivery: str, there: dict[str, Any]
    ) -> None:
        if delivery == "controller":
            versions = cluster.list("componentversions.delivery.ocm.software", site.controller_namespace)
            assert [found["status"]["replicatedRepositoryURL"] for found in versions] == [there["target"]]
        site.deliver("--tags", UP_TO_FLUX, **there).must_change_nothing()

    def test_taken_back_by_git_it_is_put_right_by_the_next_run(
        self, cluster: Cluster, site: Site, delivery: str
    ) -> None:
        """ocm-controller has the descriptor of a version once, and it goes with the ComponentVersion that made it."""
        commit = revert(site)
        flux(site, commit)
        before = site.repository.commits()
        site.deliver("--tags", UP_TO_FLUX).must_succeed()
        assert site.repository.commits() == before
        assert cluster.images(site.namespace) == [site.image("6.3.5")]
        if delivery == "controller":
            assert descriptors_are_there(cluster, site)

    def test_an_account_goes_when_nothing_names_its_registry(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        secret = (site.namespace, f"{site.name}-pull")
        assert set(cluster.accounts(*secret)) == {lab.private, lab.second}
        site.deliver("--tags", "credentials").must_succeed()
        assert set(cluster.accounts(*secret)) == {lab.private}


def descriptors_are_there(cluster: Cluster, site: Site) -> bool:
    namespace = site.controller_namespace
    versions = cluster.list("componentversions.delivery.ocm.software", namespace)
    there = {found["metadata"]["name"] for found in cluster.list("componentdescriptors.delivery.ocm.software", namespace)}
    named = {found["status"]["componentDescriptor"]["componentDescriptorRef"]["name"] for found in versions}
    return bool(named) and named <= there


def revert(site: Site) -> str:
    """Somebody takes the last commit back."""
    clone = site.folder / "reverted"
    site.repository.git("clone", "--quiet", str(site.repository.bare), str(clone), folder=site.folder)
    site.repository.git("revert", "--no-edit", "HEAD", folder=clone)
    site.repository.git("push", "--quiet", "origin", "HEAD:main", folder=clone)
    return site.repository.head()


def flux(site: Site, commit: str) -> None:
    wanted = {"kind": "Kustomization", "name": site.name, "namespace": "flux-system", "revision": commit}
    site.ansible.module("flux_reconcile", wanted).must_succeed()


@BY_THE_CONTROLLER
class TestDeliveries:
    """From ocm-controller to rendered manifests and back, while the pods run on."""

    def test_rendered_manifests_take_over(self, cluster: Cluster, site: Site) -> None:
        site.source = BUNDLED
        site.deliver().must_succeed()
        before = workload(cluster, site)
        assert who_applies(cluster, site) == (site.controller_namespace, f"{site.name}-podinfo")
        site.deliver(delivery="rendered").must_succeed()
        assert who_applies(cluster, site) == ("flux-system", f"{site.name}-podinfo")
        assert workload(cluster, site) == before
        until(lambda: self.left(cluster, site) == [], 60, "the controller's objects go")
        assert workload(cluster, site) == before
        assert kinds_in_git(site) == {"kustomization-object", "deployment", "service"}

    @staticmethod
    def left(cluster: Cluster, site: Site) -> list[str]:
        kinds = ("componentversions.delivery.ocm.software", "fluxdeployers.delivery.ocm.software")
        more = ("kustomizations.kustomize.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io")
        return [found["kind"] for kind in kinds + more for found in cluster.list(kind, site.controller_namespace)]

    def test_the_controller_takes_over_again(self, cluster: Cluster, site: Site) -> None:
        before = workload(cluster, site)
        site.deliver().must_succeed()
        assert who_applies(cluster, site) == (site.controller_namespace, f"{site.name}-podinfo")
        assert workload(cluster, site) == before
        kind = "kustomizations.kustomize.toolkit.fluxcd.io"
        until(lambda: not cluster.get(kind, f"{site.name}-podinfo", "flux-system"), 60, "the other Kustomization goes")
        own = cluster.get(kind, f"{site.name}-podinfo", site.controller_namespace)
        assert not own["spec"].get("suspend") and workload(cluster, site) == before


@ALL
class TestNames:
    """The same workloads under another name: somebody has to say that one takes the place of the other."""

    def test_two_deliveries_of_one_workload_are_refused(self, cluster: Cluster, site: Site) -> None:
        site.source = BUNDLED
        site.deliver().must_succeed()
        commits = site.repository.commits()
        run = site.deliver("--tags", "preflight,transfer,gitops", name=f"{site.name}-other").must_fail()
        assert f"components/{site.name}-podinfo" in run.failure and "ocm_airgap_replaces" in run.failure, run.failure
        assert site.repository.commits() == commits

    def test_the_other_one_takes_its_place_while_the_pods_run_on(self, cluster: Cluster, site: Site) -> None:
        before = workload(cluster, site)
        site.deliver(name=f"{site.name}-other", replaces=[f"{site.name}-podinfo"]).must_succeed()
        assert who_applies(cluster, site)[1] == f"{site.name}-other"
        kind, namespace = "kustomizations.kustomize.toolkit.fluxcd.io", who_applies(cluster, site)[0]
        until(lambda: not cluster.get(kind, f"{site.name}-podinfo", namespace), 60, "the former Kustomization goes")
        assert workload(cluster, site) == before
        assert not [file for file in site.repository.files() if f"{site.name}-podinfo/" in file]


@ALL
class TestVersions:
    """Up by the version, back by Git."""

    def test_git_takes_it_back_and_the_next_run_has_nothing_to_do(self, cluster: Cluster, site: Site) -> None:
        site.source = BUNDLED
        site.deliver().must_succeed()
        site.deliver(version="6.4.0").must_succeed()
        assert cluster.images(site.namespace) == [site.image("6.4.0")]
        flux(site, revert(site))
        commits = site.repository.commits()
        run = site.deliver("--tags", UP_TO_FLUX).must_succeed()
        assert not [task for task in run.states("changed") if "Git branch" in task]
        assert site.repository.commits() == commits
        assert cluster.images(site.namespace) == [site.image("6.3.5")]


@BY_THE_CONTROLLER
class TestRange:
    """The range is in Git, and the cluster follows it in both directions."""

    def follow(self, site: Site, constraint: str) -> None:
        site.deliver(version=None, constraint=constraint, follow=True).must_succeed()

    def test_the_cluster_follows(self, cluster: Cluster, site: Site) -> None:
        site.source = BUNDLED
        site.deliver().must_succeed()
        for constraint, version in ((">=6.3.0", "6.4.0"), (">=6.3.0 <6.4.0", "6.3.5")):
            self.follow(site, constraint)
            assert cluster.images(site.namespace) == [site.image(version)]


@ALL
class TestBuiltAnew:
    """Another content under the same number."""

    @pytest.fixture(scope="class")
    @classmethod
    def wanted(cls) -> dict[str, Any]:
        return {"component": ANEW, "version": "1.0.0"}

    def build(self, site: Site, colour: str) -> None:
        """A component with podinfo's image and a Deployment whose pods have this colour."""
        image = f"{site.target}-origin/stefanprodan/podinfo:6.3.5"
        labels = "      labels: {app: anew"
        text = DEPLOYMENT.format(name="anew", image=image).replace(labels, f"{labels}, colour: {colour}")
        resource = {"name": "image", "type": "ociImage", "version": "6.3.5", "relation": "external"}
        resource["access"] = {"type": "ociArtifact", "imageReference": image}
        component = {
            "name": ANEW,
            "version": "1.0.0",
            "provider": {"name": "example.org"},
            "resources": [resource, manifests(site.folder / "anew", {"anew.yaml": text})],
        }
        registries = [site.lab.push.at(site.lab.private)]
        given = {"repository": site.source, "constructor": {"components": [component]}, "overwrite": True}
        site.ansible.module("ocm_component", {**given, "registries": registries}).must_succeed()

    def colours(self, cluster: Cluster, site: Site) -> set[str]:
        return {pod["metadata"]["labels"]["colour"] for pod in cluster.pods(site.namespace)}

    def test_it_is_refused(self, cluster: Cluster, site: Site, wanted: dict[str, Any]) -> None:
        site.source = f"{site.target}-origin"
        move = {"source": BUNDLED, "target": site.source, "component": PODINFO, "version": "6.3.5"}
        registries = [site.lab.push.at(site.lab.private)]
        site.ansible.module("ocm_transfer", {**move, "registries": registries}).must_succeed()
        self.build(site, "green")
        site.deliver(**wanted).must_succeed()
        assert self.colours(cluster, site) == {"green"}
        self.build(site, "blue")
        run = site.deliver("--tags", "preflight,transfer", **wanted).must_fail()
        assert "overwrite" in run.failure and "1.0.0" in run.failure, run.failure

    def test_allowed_it_is_rolled_out(self, cluster: Cluster, site: Site, wanted: dict[str, Any]) -> None:
        site.deliver(**wanted, overwrite=True).must_succeed()
        assert self.colours(cluster, site) == {"blue"}
        site.deliver(**wanted).must_change_nothing()
