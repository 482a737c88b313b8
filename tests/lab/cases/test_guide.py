# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide, from the public registry to the running pod: what it ends with, what we end with, and what comes after."""

from __future__ import annotations

import pytest

from .conftest import deliveries
from .estate import Cluster, Lab, until
from .site import Site

WITHOUT_CREDENTIALS = "preflight,transfer,gitops,reconcile,rollout"
AFTER_THE_TRANSFER = "preflight,credentials,gitops,reconcile,rollout"


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestGuide:
    """One estate, step by step."""

    def test_check_mode_on_an_empty_cluster_says_what_would_be_done(self, cluster: Cluster, site: Site) -> None:
        watch = site.watch()
        run = site.deliver("--check", "--diff").must_succeed()
        assert "Move the component versions into the registries" in run.states("changed")
        assert any(name.endswith("bring the Git branch to them") for name in run.states("changed"))
        assert f"Secret {site.namespace}/{site.name}-pull created" in run.output
        assert "would be followed to running pods" in run.output
        assert watch.changes() == []
        assert cluster.get("namespace", site.namespace) == {}

    def test_without_pull_credentials_it_ends_where_the_guide_ends(
        self, cluster: Cluster, site: Site, delivery: str
    ) -> None:
        cluster.kubectl("create", "namespace", site.namespace)
        if delivery == "controller":
            site.give_the_controller_its_account(cluster)
        # A FluxDeployer looks at its source again after a minute, and at what it has made after another one.
        patience = 60 if delivery == "rendered" else 180
        run = site.deliver("--tags", WITHOUT_CREDENTIALS, wait_timeout=patience).must_fail()
        until(lambda: cluster.waiting(site.namespace) & {"ImagePullBackOff", "ErrImagePull"}, what="ImagePullBackOff")
        assert f"{site.name}-pull" in run.failure and "credentials" in run.failure, run.failure
        assert cluster.images(site.namespace) == []

    def test_with_the_roles_it_runs_while_the_public_registry_is_off(
        self, lab: Lab, cluster: Cluster, site: Site
    ) -> None:
        watch = site.watch()
        with lab.without("public"):
            # A node that could not pull waits up to five minutes before it tries again.
            site.deliver("--diff", "--tags", AFTER_THE_TRANSFER, wait_timeout=360).must_succeed()
        assert any(f"/namespaces/{site.namespace}/secrets" in change for change in watch.changes())
        assert cluster.images(site.namespace) == [site.image("6.3.5")]

    def test_a_second_run_changes_nothing(self, site: Site) -> None:
        watch = site.watch()
        site.deliver().must_change_nothing()
        assert watch.requests(), "the registry was not asked at all"
        assert watch.changes() == []

    @pytest.mark.parametrize("version", ["6.4.0", "6.3.5"])
    def test_another_version_replaces_the_pods(self, cluster: Cluster, site: Site, version: str) -> None:
        before, commits = {pod["metadata"]["name"] for pod in cluster.pods(site.namespace)}, site.repository.commits()
        site.deliver(version=version).must_succeed()
        assert site.repository.commits() == commits + 1
        assert cluster.images(site.namespace) == [site.image(version)]
        until(lambda: not before & {pod["metadata"]["name"] for pod in cluster.list("pods", site.namespace)}, 40)
