# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of site for two clusters with different registries, of which one is down for a while."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..ansible_run import Run
from ..estate import Cluster, Lab
from ..site import Site

# The second cluster's registry is called like it.
FIRST, SECOND, SITE = "first", "second", "second-site"
PODINFO = "example.org/podinfo"


class Fleet:
    """Two clusters that are served from one Git repository. Each has a registry, and accounts for it, of its own."""

    def __init__(self, lab: Lab, site: Site, folder: Path) -> None:
        self.lab, self.site = lab, site
        self.clusters = {FIRST: Cluster(), SECOND: Cluster(os.environ["LAB_SECOND_KUBECONFIG"])}
        self.seconds: list[tuple[str, float]] = []
        self._inventory = folder / "inventory.json"
        self._inventory.touch(mode=0o600)
        self._inventory.write_text(json.dumps({"all": {"hosts": self._hosts()}}), encoding="utf-8")

    def _hosts(self) -> dict[str, Any]:
        lab = self.lab
        registries = {
            FIRST: (lab.private, lab.push, lab.pull),
            SECOND: (lab.second, lab.second_push, lab.second_pull),
        }
        return {
            host: {
                "ocm_airgap_target": f"{registry}/{self.site.name}",
                "ocm_airgap_registries": [push.at(registry)],
                "ocm_airgap_pull_registries": [pull.at(registry)],
                "ocm_airgap_git_path": f"./{host}/components",
                "ocm_airgap_git_manifests_path": f"./{host}/apps",
                "ocm_airgap_kubernetes": {"kubeconfig": self.clusters[host].kubeconfig},
            }
            for host, (registry, push, pull) in registries.items()
        }

    def deliver(self, version: str, what: str) -> Run:
        """The one command. what: for the table of timings."""
        own = {"target": None, "registries": None, "pull_registries": None}
        # Flux's kustomize-controller, whose API server was gone, tries again after minutes only.
        common = self.site.variables(version=version, hosts="all", wait_timeout=600, **own)
        started = time.monotonic()
        run = self.site.ansible.playbook("ocm.airgap.site", common, inventory=str(self._inventory))
        self.seconds.append((what, time.monotonic() - started))
        return run

    def images(self, host: str) -> list[str]:
        return self.clusters[host].images(self.site.namespace)

    def pods(self, host: str) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in self.clusters[host].pods(self.site.namespace))

    def runs(self, host: str, version: str) -> bool:
        """Whether the cluster runs this version, and it alone, from its own registry."""
        registry = {FIRST: self.lab.private, SECOND: self.lab.second}[host]
        images = self.images(host)
        digest = self.site.image(version).rpartition("@")[2]
        return images == [f"{registry}/{self.site.name}/stefanprodan/podinfo@{digest}"]


def told(run: Run) -> dict[str, Any]:
    """What the run publishes of each cluster."""
    (task,) = run.named("Publish it")
    return {each["cluster"]: each for each in task.result["ansible_stats"]["data"]["ocm_airgap_clusters"]}


def line_of(run: Run, host: str) -> str:
    (task,) = run.named("Tell it of all clusters")
    (line,) = [line for line in task.result["msg"] if line.startswith(f"{host}:")]
    return str(line)


@pytest.fixture(scope="class")
def fleet(lab: Lab, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    site.ansible.secrets.add(lab.second_push.password)
    site.ansible.secrets.add(lab.second_pull.password)
    started = time.monotonic()
    lab.switch("start", SITE)
    made = Fleet(lab, site, tmp_path_factory.mktemp("fleet"))
    made.seconds.append(("the second site comes up", time.monotonic() - started))
    yield made
    lab.switch("stop", SITE)


class TestFleet:
    def test_one_run_serves_both(self, fleet: Fleet) -> None:
        commits = fleet.site.repository.commits()
        run = fleet.deliver("6.3.5", "both clusters, from nothing").must_succeed()
        assert fleet.runs(FIRST, "6.3.5") and fleet.runs(SECOND, "6.3.5"), [*map(fleet.images, (FIRST, SECOND))]
        assert fleet.site.repository.commits() == commits + 1
        (transfer,) = run.named("Move the component versions into the registries")
        assert len(transfer.result["results"]) == 1
        assert [each["done"] for each in told(run).values()] == 2 * [
            ["preflight", "transfer", "credentials", "gitops", "reconcile", "rollout"]
        ]

    def test_a_registry_that_is_down_stops_its_own_cluster_alone(self, fleet: Fleet) -> None:
        with fleet.lab.without(SECOND):
            run = fleet.deliver("6.4.0", "an upgrade; the second registry is down").must_fail()
        first, second = told(run)[FIRST], told(run)[SECOND]
        assert fleet.runs(FIRST, "6.4.0") and not first["failed"]
        assert (second["failed"], second["phase"], second["done"]) == (True, "transfer", ["preflight"])
        assert fleet.lab.second in second["reason"] and "refuses the connection" in second["reason"]
        assert "FAILED" in line_of(run, SECOND) and "FAILED" not in line_of(run, FIRST)
        assert fleet.runs(SECOND, "6.3.5")

    def test_a_cluster_that_is_down_stops_itself_alone(self, fleet: Fleet) -> None:
        pods = fleet.pods(FIRST)
        with fleet.lab.without("second-kube-apiserver"):
            run = fleet.deliver("6.4.0", "the same; the second cluster is down").must_fail()
        assert fleet.pods(FIRST) == pods
        second = told(run)[SECOND]
        assert second["failed"] and second["transferred"] == [f"{PODINFO} 6.4.0"]
        assert "the API server does not answer" in second["reason"] or "refused" in second["reason"]
        assert "FAILED" in line_of(run, SECOND) and "FAILED" not in line_of(run, FIRST)

    def test_the_same_command_finishes_later(self, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
        run = fleet.deliver("6.4.0", "the same; both are up").must_succeed()
        assert fleet.runs(FIRST, "6.4.0") and fleet.runs(SECOND, "6.4.0"), [*map(fleet.images, (FIRST, SECOND))]
        assert told(run)[SECOND]["commit"] == fleet.site.repository.head()
        with capsys.disabled():
            print("\n".join(["", *(f"  fleet: {seconds:5.0f} s  {what}" for what, seconds in fleet.seconds)]))
