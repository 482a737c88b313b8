# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the playbook site for several clusters, of which some cannot be served.

Real registries and a real Git server; the API servers are stubs, behind which this test plays Flux. Needs the
controller's Python, so it lies outside of the tests that run on every target's.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import OLDER_COMMIT, StubApi, ready
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace, RequestLog
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

PODINFO, VERSION = "example.org/podinfo", "6.3.5"
SECRETS = {name: f"{name}-password-4711" for name in ("north", "south", "east")}
OLD = f"main@sha1:{OLDER_COMMIT}"
# Whom the inventory names first would do everything that is done once.
HOSTS = ("west", "east", "north", "south")


@dataclass
class Fleet:
    """north and south can be served, from two registries. The cluster east is down, and the registry of west."""

    one: RegistryPlace
    two: RegistryPlace
    git: object
    repository: object
    apis: dict
    folder: Path
    meeting: threading.Barrier

    @property
    def targets(self):
        return {
            "north": f"{self.one.repository()}/north",
            "east": f"{self.one.repository()}/east",
            "south": f"{self.two.repository()}/south",
            "west": f"http://localhost:{closed_port()}/west",
        }

    def fill(self):
        """north and south have the content already."""
        wanted = dict(source=self.common["ocm_airgap_source"], component=PODINFO, version=VERSION)
        for host in ("north", "south"):
            target = self.targets[host]
            succeed("ocm_transfer", dict(wanted, target=[target], registries=self.accounts(host, target)))

    def somebody_pushes(self):
        self.repository.commit(self.folder / "clone", {"README.md": "by somebody else\n"})

    @property
    def inventory(self):
        targets = self.targets
        own = {
            host: {
                "ocm_airgap_target": target,
                "ocm_airgap_git_path": f"./{host}/components",
                "ocm_airgap_git_manifests_path": f"./{host}/apps",
                "ocm_airgap_registries": self.accounts(host, target),
                "ocm_airgap_kubernetes": {"kubeconfig": self.kubeconfig(host)},
            }
            for host, target in ((host, targets[host]) for host in HOSTS)
        }
        return {"all": {"hosts": own, "vars": self.common}}

    @property
    def common(self):
        return {
            "ocm_airgap_source": str(COLLECTION / "playbooks" / "files" / "podinfo"),
            "ocm_airgap_component": PODINFO,
            "ocm_airgap_version": VERSION,
            "ocm_airgap_delivery": "rendered",
            "ocm_airgap_git_url": self.git.url_of(self.repository),
            "ocm_airgap_wait_timeout": 30,
        }

    @staticmethod
    def accounts(host, target):
        """north and east have different accounts for one registry, under the same name."""
        place = target.partition("://")[2].partition("/")[0]
        return [{"host": place, "username": host, "password": SECRETS[host]}] if host in SECRETS else []

    def kubeconfig(self, host):
        content = make_kubeconfig(self.apis[host].url if host in self.apis else f"http://127.0.0.1:{closed_port()}")
        file = self.folder / f"{host}.kubeconfig"
        file.write_text(json.dumps(content), encoding="utf-8")
        return str(file)

    def flux(self, found):
        """Applies the newest commit when it is asked to, as soon as both clusters are asked."""
        if found["kind"] == "GitRepository":
            self.meeting.wait(60)
        revision = f"main@sha1:{self.repository.head()}"
        status = found["status"]
        status["lastHandledReconcileAt"] = found["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"]
        if found["kind"] == "GitRepository":
            status["artifact"] = dict(revision=revision)
        else:
            status.update(lastAttemptedRevision=revision, lastAppliedRevision=revision, conditions=[ready()])


def make_kubeconfig(url):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "it", "user": {"token": "stub-token-secret-1"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def objects():
    """The Flux objects of a cluster that reads the whole repository, at an older commit."""
    source = make.git_repository(artifact=dict(revision=OLD))
    spec = dict(interval="1m0s", path="./", prune=True, sourceRef=dict(kind="GitRepository", name="flux-system"))
    return [source, make.git_kustomization(OLD, name="components", namespace="flux-system", spec=spec)]


@pytest.fixture
def fleet(tmp_path):
    with ExitStack() as stack:
        registries = [
            stack.enter_context(run_registry(tmp_path / number, RegistryOptions(accounts=accounts)))
            for number, accounts in (
                ("one", {name: SECRETS[name] for name in ("north", "east")}),
                ("two", {"south": SECRETS["south"]}),
            )
        ]
        places = [
            RegistryPlace(registry, (name, SECRETS[name])) for registry, name in zip(registries, ("north", "south"))
        ]
        server = stack.enter_context(run_git_server(tmp_path / "git"))
        repository = server.repository()
        repository.commit(tmp_path / "clone", {"README.md": "the estate\n"}, subject="Begin")
        found = Fleet(*places, server, repository, {}, tmp_path, threading.Barrier(2))
        for host in ("north", "south", "west"):
            found.apis[host] = stack.enter_context(StubApi(objects(), found.flux))
        yield found


def play(fleet, *options):
    inventory = fleet.folder / "inventory.json"
    inventory.write_text(json.dumps(fleet.inventory), encoding="utf-8")
    options = ("-vvvv", "--forks", "4", "--inventory", str(inventory), *options)
    played = run_playbook(fleet.folder, "ocm.airgap.site", {"ocm_airgap_hosts": "all"}, *options)
    assert not [secret for secret in SECRETS.values() if secret in played.output]
    return played


def clusters_of(played):
    """What the run publishes of each cluster, by name."""
    return {entry["cluster"]: entry for entry in played.stats["ocm_airgap_clusters"]}


def told(output):
    """The lines of the task that tells what has become of all clusters."""
    text = output.rpartition("Tell it of all clusters")[2].partition("TASK [")[0]
    return re.findall(r'"((?:%s): .*)"' % "|".join(HOSTS), text)


def test_who_cannot_be_served_does_not_keep_the_others_from_it(fleet):
    logs = {place.host: RequestLog(place.registry) for place in (fleet.one, fleet.two)}
    played = play(fleet, "--tags", "preflight,transfer,gitops,reconcile")
    assert played.status == 2, played.output[-3000:]
    clusters = clusters_of(played)

    # Who was served: content, commit, cluster.
    for host in ("north", "south"):
        assert clusters[host]["done"] == ["preflight", "transfer", "gitops", "reconcile"]
        assert not clusters[host]["failed"]
        assert clusters[host]["transferred"] == [f"{PODINFO} {VERSION}"]
        assert clusters[host]["commit"] == fleet.repository.head()
        applied = fleet.apis[host].cluster.objects[1]["status"]["lastAppliedRevision"]
        assert applied == f"main@sha1:{fleet.repository.head()}"
    assert fleet.one.tags("north/stefanprodan/podinfo") == [VERSION]
    assert fleet.two.tags("south/stefanprodan/podinfo") == [VERSION]

    # One commit for all, one account for each.
    assert len(fleet.repository.commits()) == 2
    files = fleet.repository.files()
    assert {name.partition("/")[0] for name in files} == {"README.md", "east", "north", "south"}
    locks = {name: json.loads(text)["repository"] for name, text in files.items() if name.endswith("lock.json")}
    assert locks["south/components/podinfo/ocm-airgap.lock.json"].endswith(f"{fleet.two.host}/south")
    for place, users in ((fleet.one, {"north", "east"}), (fleet.two, {"south"})):
        assert logs[place.host].writes()
        assert set(re.findall(r'auth\.user\.name=(\w+)', place.registry.log)) == users

    # Who was not: where, why, and who says so.
    west, east = clusters["west"], clusters["east"]
    assert (west["failed"], west["phase"], west["done"]) == (True, "transfer", ["preflight"])
    assert west["target"].partition("://")[2] in west["reason"] and "refuses the connection" in west["reason"]
    assert (east["failed"], east["phase"], east["done"]) == (True, "gitops", ["preflight", "transfer"])
    assert "Connection refused" in east["reason"]
    lines = told(played.output)
    assert [line.partition(":")[0] for line in lines] == list(HOSTS)
    assert ["FAILED" in line for line in lines] == [True, True, False, False]


def test_a_registry_that_is_down_keeps_nobody_from_a_commit_without_transfer(fleet):
    fleet.fill()
    played = play(fleet, "--tags", "gitops")
    assert played.status == 2, played.output[-3000:]
    clusters = clusters_of(played)
    assert {host: entry["done"] for host, entry in clusters.items()} == dict(
        north=["preflight", "gitops"], south=["preflight", "gitops"], east=["preflight"], west=["preflight"]
    )
    assert "refuses the connection" in clusters["west"]["reason"]
    assert {name.partition("/")[0] for name in fleet.repository.files()} == {"README.md", "north", "south"}


def test_a_commit_of_somebody_else_that_contains_this_one_is_as_good(fleet):
    fleet.fill()
    fleet.meeting = threading.Barrier(2, fleet.somebody_pushes)
    short = ("--extra-vars", "ocm_airgap_wait_timeout=5", "--extra-vars", "ocm_airgap_hosts=north:south")
    played = play(fleet, *short, "--tags", "gitops,reconcile")
    assert played.status == 0, played.output[-3000:]
    assert fleet.repository.commits()[0] == "By somebody else" and len(fleet.repository.commits()) == 3
    for host in ("north", "south"):
        applied = fleet.apis[host].cluster.objects[1]["status"]["lastAppliedRevision"]
        assert applied == f"main@sha1:{fleet.repository.head()}"


def test_in_check_mode_the_same_is_told_and_nothing_written(fleet):
    logs = [RequestLog(place.registry) for place in (fleet.one, fleet.two)]
    played = play(fleet, "--check", "--tags", "preflight,transfer,gitops")
    assert played.status == 2
    assert {host: entry["failed"] for host, entry in clusters_of(played).items()} == dict(
        north=False, south=False, east=True, west=True
    )
    assert [log.writes() for log in logs] == [[], []]
    assert len(fleet.repository.commits()) == 1
    assert not any(api.writes for api in fleet.apis.values())
