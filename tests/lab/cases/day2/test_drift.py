# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drift: what somebody has done to an estate is found, left alone where it was not asked for, and put right.

Flux looks once an hour here, so that it does not put things right before anybody has seen them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ..ansible_run import Run
from ..conftest import deliveries
from ..estate import Account, Cluster, Lab, pull_secret, until
from ..registry_files import forget_image, forget_layer, incomplete, manifest, move_tag, stands_for, tags
from ..site import PODINFO, Site

pytestmark = pytest.mark.alone

ALL = ["registry", "credentials", "cluster", "git", "suspended"]
OTHER = "a-password-of-somebody-else"
# As `flux suspend` writes. What kubectl's own manager has written, kustomize-controller takes away.
AS_FLUX = "--field-manager=flux-client-side-apply"
KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"


@dataclass(frozen=True)
class Row:
    """One thing that somebody may do. item: the id of what drift reports then. right: whether it is right again."""

    what: str
    item: str
    do: Callable[[], object]
    right: Callable[[], object]

    @property
    def scope(self) -> str:
        return self.item.partition(":")[0]


class Estate:
    """A site that is held against its lock."""

    def __init__(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        self.lab, self.cluster, self.site = lab, cluster, site
        self.name, self.namespace = f"{site.name}-podinfo", site.namespace
        self.options: dict[str, Any] = {"interval": "1h0m0s", "wait_timeout": 200}
        if site.delivery == "rendered":
            # The namespace's ServiceAccount is part of the delivery then.
            self.options["pull_secret_by"] = "service_account"

    def deliver(self) -> Run:
        return self.site.deliver(**self.options)

    def drift(self, *options: str, **more: Any) -> Run:
        """The playbook."""
        shown = {"ANSIBLE_SHOW_CUSTOM_STATS": "true"}
        variables = self.site.variables(**self.options, **more)
        return self.site.ansible.playbook("ocm.airgap.drift", variables, *options, environment=shown)

    def look(self) -> list[str]:
        """The ids of what the module finds. It writes nothing."""
        return self.looks(1)[0]

    def looks(self, times: int) -> list[list[str]]:
        watch = self.site.watch()
        run = self.site.ansible.module("ocm_drift", self._arguments(), times).must_change_nothing()
        assert watch.changes() == []
        results = run.tasks[-1].result["results"]
        assert [result["drift"] for result in results] == [bool(result["drift_items"]) for result in results]
        return [[item["id"] for item in result["drift_items"]] for result in results]

    def _arguments(self) -> dict[str, Any]:
        site, lab = self.site, self.lab
        return {
            "names": [self.name],
            "git_url": site.repository.url,
            "git_username": lab.git.user,
            "git_password": lab.git.password,
            "registries": [lab.push.at(lab.private)],
            "pull_accounts": [lab.pull.at(lab.private)],
            "flux_source": site.name,
            "flux_kustomization": site.name,
        }

    @property
    def lock(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.site.repository.read(f"components/{self.name}/ocm-airgap.lock.json"))
        return found

    @property
    def image(self) -> tuple[str, str, str]:
        """Repository, tag and digest of the image, as the private registry has it."""
        reference = self.lock["images"][0]["reference"].partition("/")[2]
        name, _at, digest = reference.partition("@")
        repository, _colon, tag = name.rpartition(":")
        return repository, tag, digest

    def patch(self, kind: str, name: str, namespace: str, change: dict[str, Any], *options: str) -> None:
        where = ["patch", kind, name, f"--namespace={namespace}", "--type=merge"]
        self.cluster.kubectl(*where, f"--patch={json.dumps(change)}", *options)

    def edit_image(self) -> None:
        """To one that is nowhere: the pods of before go on."""
        containers = [{"name": "podinfo", "image": f"{self.site.target}/nowhere:1"}]
        edited = json.dumps({"spec": {"template": {"spec": {"containers": containers}}}})
        self.cluster.kubectl("patch", "deployment", "podinfo", f"--namespace={self.namespace}", f"--patch={edited}")

    def deployed_image(self) -> str:
        found = self.cluster.get("deployment", "podinfo", self.namespace)
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def is_served(self) -> bool:
        """Whether every tag of the registry leads to a whole image again, this one to the right one."""
        repository, tag, digest = self.image
        folder, prefix = self.lab.private_folder, self.site.name
        if tag not in tags(folder, prefix).get(repository, ()):
            return False
        return stands_for(folder, repository, tag) == digest and incomplete(folder, prefix) == []

    def pulls_with(self) -> str:
        """The password in the pull Secret."""
        found = self.cluster.get("secret", f"{self.site.name}-pull", self.namespace)
        content = json.loads(base64.b64decode(found["data"][".dockerconfigjson"])) if found else {}
        password: str = content.get("auths", {}).get(self.lab.private, {}).get("password", "")
        return password


@pytest.fixture(scope="class")
def estate(lab: Lab, cluster: Cluster, site: Site) -> Estate:
    made = Estate(lab, cluster, site)
    made.deliver().must_succeed()
    site.ansible.secrets.add(OTHER)
    return made


def image_item(part: str) -> str:
    return f"registry:{PODINFO}:6.3.5/image:{part}"


def first_rows(estate: Estate) -> list[Row]:
    site, cluster, namespace = estate.site, estate.cluster, estate.namespace
    secret, image = f"{site.name}-pull", estate.deployed_image()
    file = f"components/{estate.name}/kustomization-object.yaml"
    committed = site.repository.read(file)
    return [
        Row(
            "image deleted in the private registry",
            image_item("content"),
            lambda: forget_image(estate.lab.private_folder, estate.image[0]),
            estate.is_served,
        ),
        Row(
            "Deployment's image edited",
            f"cluster:Deployment {namespace}/podinfo",
            estate.edit_image,
            lambda: estate.deployed_image() == image,
        ),
        Row(
            "pull Secret deleted",
            f"credentials:Secret {namespace}/{secret}",
            lambda: cluster.kubectl("delete", "secret", secret, f"--namespace={namespace}"),
            lambda: estate.pulls_with() == estate.lab.pull.password,
        ),
        Row(
            "ServiceAccount stripped",
            f"credentials:ServiceAccount {namespace}/default",
            lambda: estate.patch("serviceaccount", "default", namespace, {"imagePullSecrets": None}),
            lambda: {"name": secret} in cluster.get("serviceaccount", "default", namespace).get("imagePullSecrets", []),
        ),
        Row(
            "an object deleted",
            f"cluster:Service {namespace}/podinfo",
            lambda: cluster.kubectl("delete", "service", "podinfo", f"--namespace={namespace}"),
            lambda: cluster.get("service", "podinfo", namespace),
        ),
        Row(
            "the Git tree edited by hand",
            f"git:{file}",
            lambda: site.repository.commit({file: committed.replace("prune: true", "prune: false")}),
            lambda: site.repository.read(file) == committed,
        ),
    ]


def second_rows(estate: Estate) -> list[Row]:
    site, cluster, namespace = estate.site, estate.cluster, estate.namespace
    folder = estate.lab.private_folder
    repository, tag, digest = estate.image
    platform = manifest(folder, digest)["manifests"][0]["digest"]
    layer = manifest(folder, platform)["layers"][0]["digest"]
    secret = f"{site.name}-pull"
    stranger = pull_secret(secret, namespace, estate.lab.private, Account(estate.lab.pull.user, OTHER))
    own = ("flux-system", estate.name)

    def kustomization() -> Any:
        return cluster.get(KUSTOMIZATIONS, own[1], own[0])["spec"]

    return [
        Row(
            "a layer of it deleted",
            image_item("content"),
            lambda: forget_layer(folder, repository, layer),
            lambda: incomplete(folder, site.name) == [],
        ),
        Row(
            "its tag moved",
            image_item("tag"),
            lambda: move_tag(folder, repository, tag, platform),
            lambda: stands_for(folder, repository, tag) == digest,
        ),
        Row(
            "its password changed",
            f"credentials:Secret {namespace}/{secret}",
            lambda: cluster.apply(stranger),
            lambda: estate.pulls_with() == estate.lab.pull.password,
        ),
        Row(
            "an object's spec edited",
            f"cluster:Kustomization {own[0]}/{own[1]}",
            lambda: estate.patch(KUSTOMIZATIONS, own[1], own[0], {"spec": {"timeout": "9m0s"}}),
            lambda: kustomization()["timeout"] == "5m0s",
        ),
        Row(
            "Kustomization suspended",
            f"suspended:Kustomization {own[0]}/{own[1]}",
            lambda: estate.patch(KUSTOMIZATIONS, own[1], own[0], {"spec": {"suspend": True}}, AS_FLUX),
            lambda: not kustomization().get("suspend"),
        ),
    ]


def controller_rows(estate: Estate) -> list[Row]:
    """What is otherwise where ocm-controller delivers."""
    site, cluster, namespace = estate.site, estate.cluster, estate.site.controller_namespace
    image, accounts = estate.deployed_image(), f"{site.name}-ops"
    localization = f"{estate.name}-deployment"
    child = "ocirepositories.source.toolkit.fluxcd.io"

    def interval() -> Any:
        return cluster.get("localizations.delivery.ocm.software", localization, namespace)["spec"]["interval"]

    def secrets() -> Any:
        return cluster.get("serviceaccount", accounts, namespace).get("imagePullSecrets", [])

    return [
        Row(
            "Deployment's image edited",
            f"cluster:Deployment {estate.namespace}/podinfo",
            estate.edit_image,
            lambda: estate.deployed_image() == image,
        ),
        Row(
            "ServiceAccount stripped",
            f"credentials:ServiceAccount {namespace}/{accounts}",
            lambda: estate.patch("serviceaccount", accounts, namespace, {"imagePullSecrets": None}),
            lambda: {"name": f"{site.name}-pull"} in secrets(),
        ),
        Row(
            "an object's spec edited",
            f"cluster:Localization {namespace}/{localization}",
            lambda: estate.patch(
                "localizations.delivery.ocm.software", localization, namespace, {"spec": {"interval": "2h0m0s"}}
            ),
            lambda: interval() == "1h0m0s",
        ),
        Row(
            "a child of the FluxDeployer deleted",
            f"cluster:OCIRepository {namespace}/{estate.name}",
            lambda: cluster.kubectl("delete", child, estate.name, f"--namespace={namespace}"),
            lambda: cluster.get(child, estate.name, namespace),
        ),
    ]


def broken(estate: Estate, table: Sequence[Row]) -> list[str]:
    """Breaks one after the other; each makes one item more, and no other."""
    found: list[str] = []
    for row in table:
        assert row.right(), f"{row.what}: before it is done"
        row.do()
        now = estate.look()
        assert [item for item in now if item not in found] == [row.item], row.what
        assert set(found) <= set(now), row.what
        found = now
    return found


def left_alone(estate: Estate, table: Sequence[Row], found: Sequence[str]) -> None:
    watch, others = estate.site.watch(), sorted(set(ALL) - {row.scope for row in table})
    assert others
    assert "left alone" in estate.drift(drift_repair=others).must_change_nothing().output
    estate.drift("--check", drift_repair=ALL).must_change_nothing()
    assert watch.changes() == []
    assert not any(row.right() for row in table)
    assert estate.look() == found


def put_right(estate: Estate, table: Sequence[Row]) -> None:
    watch = estate.site.watch()
    run = estate.drift(drift_repair=sorted({row.scope for row in table})).must_succeed()
    assert "ocm_airgap_drift: true" in run.output
    assert watch.changes(), "it was put right without a change"
    for row in table:
        assert row.right(), f"{row.what}: not put right"
    assert estate.look() == []


def in_turn(estate: Estate, rows: Sequence[Row], capsys: pytest.CaptureFixture[str]) -> None:
    """All rows in one round, or with LAB_DRIFT_ALONE each in a round of its own, which takes five times as long."""
    for table in [[row] for row in rows] if os.environ.get("LAB_DRIFT_ALONE") else [rows]:
        left_alone(estate, table, broken(estate, table))
        put_right(estate, table)
        with capsys.disabled():
            print("\n" + "\n".join(f"| {row.what} | {row.item} | {row.scope} |" for row in table))


class TestDrift:
    """Each row makes one item more; a run without the scopes changes nothing; then all is right again."""

    def test_an_untouched_estate_is_clean_ten_times(self, estate: Estate) -> None:
        assert estate.looks(10) == [[]] * 10

    @pytest.mark.parametrize("rows", [first_rows, second_rows], ids=["first", "second"])
    def test_found_left_alone_and_put_right(
        self, estate: Estate, rows: Callable[[Estate], list[Row]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        in_turn(estate, rows(estate), capsys)

    def test_the_playbook_has_nothing_to_do_any_more(self, estate: Estate) -> None:
        watch = estate.site.watch()
        run = estate.drift(drift_repair=ALL).must_change_nothing()
        assert "ocm_airgap_drift: false" in run.output
        assert watch.changes() == []

    def test_only_what_is_named_and_can_be_is_put_right(self, estate: Estate) -> None:
        """Content is lost while no source is at hand, and of two other items one is named."""
        folder, repository, digest = estate.lab.private_folder, estate.image[0], estate.image[2]
        platform = manifest(folder, digest)["manifests"][0]["digest"]
        forget_layer(folder, repository, manifest(folder, platform)["layers"][0]["digest"])
        lost = image_item("content")
        chosen, other = (row for row in first_rows(estate) if row.what in ("pull Secret deleted", "an object deleted"))
        chosen.do()
        other.do()
        run = estate.drift(source=None, drift_only=[lost, chosen.item]).must_succeed()
        assert "no source is at hand" in run.output
        assert chosen.right() and not other.right()
        assert estate.look() == [lost, other.item]
        estate.drift().must_succeed()
        assert estate.look() == [] and estate.is_served()


@pytest.mark.parametrize(
    "delivery", [each for each in deliveries() if each == "controller"], indirect=True, scope="class"
)
class TestDriftOfTheController:
    """The same with ocm-controller, and what it does not mend itself."""

    def test_an_untouched_estate_is_clean_ten_times(self, estate: Estate) -> None:
        assert estate.looks(10) == [[]] * 10

    def test_found_left_alone_and_put_right(self, estate: Estate, capsys: pytest.CaptureFixture[str]) -> None:
        in_turn(estate, controller_rows(estate), capsys)

    def test_stalled_for_lack_of_credentials_that_now_exist(self, estate: Estate, cluster: Cluster) -> None:
        kind, namespace = "componentversions.delivery.ocm.software", estate.site.controller_namespace
        (name,) = [each["name"] for each in estate.lock["objects"] if each["kind"] == "ComponentVersion"]
        secret = pull_secret(f"{estate.site.name}-pull", namespace, estate.lab.private, estate.lab.pull)
        kept = cluster.get("secret", secret["metadata"]["name"], namespace)
        cluster.kubectl("delete", "secret", secret["metadata"]["name"], f"--namespace={namespace}")
        # It looks again, at the same interval as before.
        estate.patch(kind, name, namespace, {"spec": {"interval": "60m"}})
        until(lambda: reason(cluster.get(kind, name, namespace)) == "AuthenticatedContextCreationFailed", 60)
        metadata = {key: kept["metadata"].get(key) for key in ("name", "namespace", "labels", "annotations")}
        cluster.apply({**kept, "metadata": {key: value for key, value in metadata.items() if value}})
        assert estate.look() == [f"cluster:ComponentVersion {namespace}/{name}"]
        estate.drift(drift_repair=["cluster"]).must_succeed()
        assert reason(cluster.get(kind, name, namespace)) == "Succeeded"
        assert estate.look() == []

    def test_a_deleted_kustomization_of_a_flux_deployer(self, estate: Estate, cluster: Cluster) -> None:
        namespace = estate.site.controller_namespace
        cluster.kubectl("delete", KUSTOMIZATIONS, estate.name, f"--namespace={namespace}")
        until(lambda: not cluster.get("deployment", "podinfo", estate.namespace), 60, "the workload goes with it")
        assert estate.look()[0] == f"cluster:Kustomization {namespace}/{estate.name}"
        estate.drift().must_succeed()
        assert estate.look() == []
        assert cluster.images(estate.namespace) == [estate.site.image("6.3.5")]

    def test_an_emptied_registry_in_the_cluster(self, estate: Estate, cluster: Cluster) -> None:
        kind, namespace = "ocirepositories.source.toolkit.fluxcd.io", estate.site.controller_namespace
        estate.lab.switch("stop", "ocm-registry")
        shutil.rmtree(estate.lab.private_folder.parent / "ocm-registry" / "data")
        estate.lab.switch("start", "ocm-registry")
        asked = f"reconcile.fluxcd.io/requestedAt={time.time()}"
        cluster.kubectl("annotate", "--overwrite", kind, estate.name, f"--namespace={namespace}", asked)
        until(lambda: reason(cluster.get(kind, estate.name, namespace)) == "OCIArtifactPullFailed", 60)
        assert estate.look() == [f"cluster:OCIRepository {namespace}/{estate.name}"]
        estate.drift().must_succeed()
        assert estate.look() == []


def reason(found: dict[str, Any]) -> str:
    """Of the condition Ready."""
    conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", [])}
    text: str = conditions.get("Ready", {}).get("reason", "")
    return text
