# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed at random moments, and runs that meet: the next one ends right, and nothing half done stays.

LAB_KILLS: how often each playbook is killed, 5. LAB_SEED: the seed of a former run, which repeats its moments.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from typing import ClassVar

import pytest

from ..ansible_run import Run, Running
from ..estate import Cluster, Lab, until
from ..registry_files import incomplete, tags
from ..site import Site

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("LAB_KILLS", "5"))
SEED = int(os.environ.get("LAB_SEED") or random.randrange(10**9))
VERSIONS = ("6.3.5", "6.4.0")
REPAIR = {"drift_repair": ["registry", "credentials", "cluster"]}


@pytest.fixture(scope="class")
def moments() -> Iterator[random.Random]:
    print(f"\nLAB_SEED={SEED}")
    yield random.Random(SEED)


def holders(cluster: Cluster, site: Site) -> list[str]:
    """Who holds the estate. Others, and controllers, have Leases, too."""
    found = cluster.get("lease", f"ocm-airgap-{site.name}", "flux-system")
    return [found["spec"]["holderIdentity"]] if found else []


def begin(site: Site, playbook: str, *options: str, **more: object) -> Running:
    return site.ansible.start(f"ocm.airgap.{playbook}", site.variables(**more), *options)


def finish(site: Site, playbook: str, **more: object) -> Run:
    return begin(site, playbook, **more).wait().must_succeed()


def nothing_stays(lab: Lab, cluster: Cluster, site: Site, version: str) -> None:
    """What a killed run could have left: a Lease, locks of Git, tags without content, a pod of the other version."""
    assert holders(cluster, site) == []
    assert [str(file) for file in site.repository.bare.rglob("*.lock")] == []
    assert incomplete(lab.private_folder, site.name) == []
    found = tags(lab.private_folder, site.name)
    assert found and all(names == {version} for names in found.values()), found
    until(lambda: cluster.images(site.namespace) == [site.image(version)], 60, f"pods of {version}")


class TestKilled:
    """One estate. site is asked for another version each time, with an empty registry; drift for what was broken."""

    # How many results a run has that nobody disturbs, and how many were killed, by playbook.
    results: ClassVar[dict[str, int]] = {}
    killed: ClassVar[dict[str, int]] = {"site": 0, "drift": 0}

    def test_a_run_of_site_from_which_the_moments_are_taken(self, site: Site, lab: Lab, cluster: Cluster) -> None:
        self.results["site"] = len(finish(site, "site").tasks)
        nothing_stays(lab, cluster, site, VERSIONS[0])

    def test_a_run_of_drift_from_which_the_moments_are_taken(self, site: Site, lab: Lab, cluster: Cluster) -> None:
        self._break(site, cluster)
        self.results["drift"] = len(finish(site, "drift", **REPAIR).tasks)
        nothing_stays(lab, cluster, site, VERSIONS[0])

    def test_of_two_runs_at_once_one_is_refused(self, site: Site, cluster: Cluster) -> None:
        first = begin(site, "site")
        until(lambda: holders(cluster, site), 60, "the Lease")
        refused = begin(site, "site").wait().must_fail()
        assert f"is held by process {first.process.pid} of the host" in refused.failure, refused.failure
        assert "kubectl --namespace flux-system delete lease" in refused.failure
        assert refused.states("changed") == []
        first.wait().must_change_nothing()
        assert holders(cluster, site) == []

    def test_drift_puts_nothing_right_while_somebody_works(self, site: Site, cluster: Cluster) -> None:
        lease = {"name": f"ocm-airgap-{site.name}", "namespace": "flux-system", "holder": "somebody else"}
        site.ansible.module("ocm_lease", lease).must_succeed()
        cluster.kubectl("delete", "secret", f"{site.name}-pull", f"--namespace={site.namespace}")
        watch = site.watch()
        assert "is held by somebody else" in begin(site, "drift").wait().must_fail().failure
        assert watch.changes() == []
        assert holders(cluster, site) == ["somebody else"]
        site.ansible.module("ocm_lease", {**lease, "state": "absent"}).must_succeed()

    @pytest.mark.parametrize("number", range(KILLS))
    def test_site(self, site: Site, lab: Lab, cluster: Cluster, moments: random.Random, number: int) -> None:
        version, commits = VERSIONS[(number + 1) % 2], site.repository.commits()
        repositories = lab.private_folder / "data" / "docker" / "registry" / "v2" / "repositories"
        shutil.rmtree(repositories / site.name)
        self._kill("site", number, begin(site, "site", version=version), moments)
        finish(site, "site", version=version)
        assert site.repository.commits() == commits + 1
        nothing_stays(lab, cluster, site, version)

    @pytest.mark.parametrize("number", range(KILLS))
    def test_drift(self, site: Site, lab: Lab, cluster: Cluster, moments: random.Random, number: int) -> None:
        version, commits = VERSIONS[KILLS % 2], site.repository.commits()
        wanted = {"version": version, **REPAIR}
        self._break(site, cluster)
        self._kill("drift", number, begin(site, "drift", **wanted), moments)
        if finish(site, "drift", **wanted).states("changed") == []:
            # The killed one had done all but giving the Lease back. The next run that writes takes it.
            finish(site, "site", version=version).must_change_nothing()
        assert cluster.get("secret", f"{site.name}-pull", site.namespace)
        assert self._deployment(site, cluster)["spec"]["replicas"] != 2
        assert site.repository.commits() == commits
        nothing_stays(lab, cluster, site, version)

    @pytest.mark.parametrize("playbook", ["site", "drift"])
    def test_they_were_killed(self, playbook: str) -> None:
        """Some have ended before: what another one has done already is done with fewer results."""
        assert self.killed[playbook] * 2 > KILLS

    def test_another_run_changes_nothing(self, site: Site) -> None:
        watch = site.watch()
        finish(site, "site", version=VERSIONS[KILLS % 2]).must_change_nothing()
        assert watch.changes() == []

    def _break(self, site: Site, cluster: Cluster) -> None:
        """Somebody deletes the pull Secret, and changes a Deployment."""
        cluster.kubectl("delete", "secret", f"{site.name}-pull", f"--namespace={site.namespace}")
        name = self._deployment(site, cluster)["metadata"]["name"]
        cluster.kubectl("scale", "deployment", name, "--replicas=2", f"--namespace={site.namespace}")

    @staticmethod
    def _deployment(site: Site, cluster: Cluster) -> dict[str, object]:
        (found,) = cluster.list("deployments", site.namespace)
        return found

    def _kill(self, playbook: str, number: int, running: Running, moments: random.Random) -> None:
        results, after = moments.randrange(self.results[playbook]), moments.uniform(0.0, 1.5)
        killed = running.kill(results, after)
        self.killed[playbook] += killed.status < 0
        task = killed.tasks[-1].name if killed.tasks else "nothing"
        how = "had ended" if killed.status >= 0 else f"was killed after {task!r}"
        print(f"\n{playbook} {number}: {after:.1f} s after {results} results it {how}")
