# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another account to pull with, in the documented order: new account, rotate, check, old account gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ... import registries
from ..conftest import deliveries
from ..estate import Account, Cluster, Lab, until
from ..site import Site

OLD, NEW = (Account(f"robot${name}", f"password-of-the-robot-{name}") for name in ("old", "new"))
WRONG = Account(NEW.user, "not-the-password-of-the-robot")
PLATFORM = "platform-pull"


@pytest.fixture(scope="class", autouse=True)
def accounts(lab: Lab, cluster: Cluster, site: Site) -> Iterator[None]:
    """The private registry has its own accounts again afterwards, and the platform no part that is none."""
    for account in (OLD, NEW, WRONG):
        site.ansible.secrets.add(account.password)
    file = lab.private_folder / "htpasswd"
    kept = file.read_bytes()
    yield
    file.write_bytes(kept)
    for kind, name in (("deployment", f"{site.name}-part"), ("secret", PLATFORM)):
        cluster.kubectl("delete", kind, name, "--namespace=flux-system", "--ignore-not-found")


def let_in(lab: Lab, *more: Account) -> None:
    """The accounts that the private registry has."""
    given = [registries.Account(each.user, each.password) for each in (lab.push, lab.pull, *more)]
    registries.write_accounts(lab.binaries / "registry", lab.private_folder / "htpasswd", given)


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestRotation:
    """One estate, and a part of the platform that was installed by its role."""

    @staticmethod
    def _everywhere(site: Site) -> list[tuple[str, str]]:
        """(namespace, Secret) of all places where the account is used."""
        own = "flux-system" if site.delivery == "rendered" else site.controller_namespace
        return [(site.namespace, f"{site.name}-pull"), (own, f"{site.name}-pull"), ("flux-system", PLATFORM)]

    @staticmethod
    def _rotate(site: Site, account: Account, *options: str) -> object:
        accounts = [account.at(site.lab.private)]
        return site.deliver(*options, "--tags", "credentials", pull_registries=accounts, install=["flux"])

    def test_it_runs_with_an_account(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        let_in(lab, OLD)
        site.deliver(pull_registries=[OLD.at(lab.private)]).must_succeed()
        assert cluster.images(site.namespace) == [site.image("6.3.5")]
        self._install_a_part(cluster, site)

    @staticmethod
    def _install_a_part(cluster: Cluster, site: Site) -> None:
        """A Deployment as the role flux leaves it, without pods. The Flux of the lab runs outside of the cluster."""
        labels = {"ocm.airgap/platform": "flux"}
        pods = {
            "imagePullSecrets": [{"name": PLATFORM}],
            "containers": [{"name": "manager", "image": site.image("6.3.5")}],
        }
        template = {"metadata": {"labels": labels}, "spec": pods}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": f"{site.name}-part", "namespace": "flux-system", "labels": labels}
        cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def test_a_wrong_password_is_refused_and_nothing_changes(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        let_in(lab, OLD, NEW)
        audit, commits = lab.log("audit"), site.repository.commits()
        run = self._rotate(site, WRONG).must_fail()
        assert lab.private in run.failure and "No Secret was written" in run.failure, run.failure
        assert (audit.changes(), site.repository.commits()) == ([], commits)
        assert cluster.get("secret", PLATFORM, "flux-system") == {}

    def test_check_mode_says_where_the_new_account_goes(self, lab: Lab, site: Site) -> None:
        audit = lab.log("audit")
        run = self._rotate(site, NEW, "--check").must_succeed()
        for namespace, name in self._everywhere(site):
            assert f"Secret {namespace}/{name} " in run.output
        assert audit.changes() == []

    def test_the_new_account_comes_everywhere(self, cluster: Cluster, site: Site) -> None:
        self._rotate(site, NEW).must_succeed()
        for place in self._everywhere(site):
            assert list(cluster.accounts(*place).values()) == [NEW.user], place

    def test_pods_are_moved_when_the_old_account_is_gone(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        """To a node that has not the image: this one has, so it is told to ask the registry all the same."""
        let_in(lab, NEW)
        log = lab.log("private")
        (found,) = cluster.list("deployments", site.namespace)
        pod = found["spec"]["template"]["spec"]
        for container in pod["containers"]:
            container["imagePullPolicy"] = "Always"
        metadata = {"name": "moved", "namespace": site.namespace}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
        until(
            lambda: cluster.get("pod", "moved", site.namespace)["status"]["phase"] == "Running",
            90,
            f"the pod, which waits for {cluster.waiting(site.namespace)}",
        )
        assert cluster.images(site.namespace) == 2 * [site.image("6.3.5")]
        asked = "\n".join(log.lines()).replace('"', "")
        assert f"auth.user.name={NEW.user}" in asked and OLD.user not in asked

    def test_a_second_rotation_changes_nothing(self, site: Site) -> None:
        watch = site.watch()
        self._rotate(site, NEW).must_change_nothing()
        assert watch.changes() == []
