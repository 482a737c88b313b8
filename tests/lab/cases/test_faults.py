# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults in the middle of a run: it says what and where and what to do, leaves nothing half done, and can be repeated.

The story is one command, given again and again, or the one phase of it that matters. Each time something else breaks,
and each time it gets further.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .. import registries
from .ansible_run import Ansible, Run
from .estate import Account, Cluster, Lab, until
from .registry_files import incomplete, tags
from .site import PODINFO, Site

pytestmark = pytest.mark.alone

_LAB = Path(__file__).resolve().parents[1] / "lab"
_BUNDLED = Path(__file__).resolve().parents[3] / "playbooks" / "files" / "podinfo"
_OTHER = "another-password-than-before"
# A run that has met a fault ends within this time, also on a machine with much to do: it tries again for seconds only.
_TIME_LIMIT = 240

BALLAST = "example.org/ballast"
MOVE = "Move the component versions into the registries"
TRY = "Try the accounts"
NAMESPACES = "Look at the namespaces"
COMMIT = "Render the objects, and bring the Git branch to them"
RECONCILE = "Have Flux apply the commit"
FOLLOW = "Wait until the component version has become running pods"


def service(action: str, name: str) -> str:
    """The shell command that switches a server of the estate."""
    return shlex.join([str(_LAB), "service", action, name])


def when_seen(log: Path, pattern: str, action: str, name: str) -> str:
    """The shell command that waits, beside everything else, for a new line in a log, and then switches a server."""
    program = shlex.join([sys.executable, str(Path(__file__).with_name("when_seen.py")), str(log)])
    then = shlex.join([pattern, action, name])
    return f"{program} $(stat -c %s {shlex.quote(str(log))}) {then} >/dev/null 2>&1 &"


def fails_clearly(run: Run, *words: str) -> None:
    """The contract of messages: the thing, the place and the next step, for a person."""
    run.must_fail()
    for word in words:
        assert word in run.failure, f"{word!r} is missing in: {run.failure}"
    for noise in ("Traceback", "object at 0x", "None", "MODULE FAILURE"):
        assert noise not in run.failure, run.failure


@contextmanager
def in_time() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < _TIME_LIMIT, "it took too long to fail"


@pytest.fixture(scope="class", autouse=True)
def from_disk(site: Site) -> None:
    """The public registry is not part of these stories."""
    site.source = str(_BUNDLED)


@pytest.fixture(autouse=True)
def repaired(lab: Lab) -> Iterator[None]:
    """What a test has broken works again afterwards, also when the test has failed."""
    accounts = lab.private_folder / "htpasswd"
    kept = {file: file.read_bytes() for file in (accounts, *lab.certificates.glob("private.*"))}
    yield
    spoilt = [file for file, content in kept.items() if file.read_bytes() != content]
    for file in spoilt:
        file.write_bytes(kept[file])
    lab.switch("restart" if set(spoilt) - {accounts} else "start", "private")
    for name in ("git", "kube-apiserver"):
        lab.switch("start", name)


@pytest.fixture(scope="class")
def ballast(ansible: Ansible, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ballast")
    names = [f"part{number}" for number in range(3)]
    for name in names:
        (folder / name).write_bytes(os.urandom(32 * 1024 * 1024))
    resources = [
        {"name": name, "type": "blob", "relation": "local", "input": {"type": "file", "path": str(folder / name)}}
        for name in names
    ]
    small = {"name": "small", "type": "blob", "relation": "local", "input": {"type": "utf8", "text": "a few words"}}
    component = {"name": BALLAST, "version": "1.0.0", "provider": {"name": "example.org"}}
    constructor = {"components": [{**component, "resources": [small, *resources]}]}
    repository = str(folder / "ctf")
    ansible.module("ocm_component", {"repository": repository, "constructor": constructor}).must_succeed()
    yield repository
    shutil.rmtree(folder)


class TestRegistryGoesDuringTheUpload:
    """Content for some seconds, so that there is a middle."""

    def test_nothing_is_visible_and_the_same_command_finishes(self, lab: Lab, site: Site, ballast: str) -> None:
        wanted = {"source": ballast, "component": BALLAST, "version": "1.0.0"}
        log = lab.log("private")
        broken = when_seen(log.file, f"POST /v2/{site.name}/.*/blobs/uploads/", "stop", "private")
        with in_time():
            run = site.deliver("--tags", "transfer", at=(MOVE, broken), **wanted)
        fails_clearly(run, lab.private, BALLAST, "1.0.0")
        assert log.writes(), "the fault came before the first upload"
        assert tags(lab.private_folder, site.name) == {}

        lab.switch("start", "private")
        site.deliver("--tags", "transfer", **wanted).must_succeed()
        assert list(tags(lab.private_folder, site.name).values()) == [{"1.0.0"}]
        assert incomplete(lab.private_folder, site.name) == []
        shutil.rmtree(lab.private_folder / "data" / "docker" / "registry" / "v2" / "repositories" / site.name)


class TestFaults:
    """The same command, again and again."""

    def test_the_password_to_push_with_has_changed(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        with in_time():
            run = site.deliver(at=(MOVE, self._take_accounts(lab, Account(lab.push.user, _OTHER), lab.pull)))
        fails_clearly(run, lab.private, "401", "registries")
        assert tags(lab.private_folder, site.name) == {}
        assert cluster.get("namespace", site.namespace) == {}

    def test_the_certificate_of_the_registry_has_expired(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        with in_time():
            run = site.deliver(at=(TRY, self._expire(lab)))
        fails_clearly(run, lab.private, "expired", "certificate")
        # The transfer was before that, and is whole; what comes after was not begun.
        assert incomplete(lab.private_folder, site.name) == []
        assert cluster.get("namespace", site.namespace) == {}

    def test_the_api_server_is_away_for_longer(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        with in_time():
            run = site.deliver(at=(NAMESPACES, service("stop", "kube-apiserver")))
        fails_clearly(run, "127.0.0.1", "Connection refused")
        lab.switch("start", "kube-apiserver")
        assert cluster.get("namespace", site.namespace) == {}
        assert site.repository.commits() == 1

    def test_the_registry_is_down_when_manifests_are_read(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        with in_time():
            run = site.deliver("--tags", "gitops", at=(COMMIT, service("stop", "private")))
        fails_clearly(run, lab.private, PODINFO)
        assert site.repository.commits() == 1
        assert cluster.get("gitrepositories", site.name, "flux-system") == {}

    def test_the_password_of_git_has_changed(self, cluster: Cluster, site: Site, ansible: Ansible) -> None:
        ansible.secrets.add(_OTHER)
        with in_time():
            run = site.deliver("--tags", "gitops", git_password=_OTHER)
        fails_clearly(run, site.repository.url, "git_password")
        assert site.repository.commits() == 1
        assert cluster.get("gitrepositories", site.name, "flux-system") == {}

    def test_the_git_server_goes_while_it_takes_the_commit(self, cluster: Cluster, site: Site) -> None:
        with self._hook(site, "pre-receive", f"{service('stop', 'git')}; exit 1"), in_time():
            run = site.deliver("--tags", "gitops")
        fails_clearly(run, site.repository.url, "up")
        assert site.repository.commits() == 1
        assert cluster.get("gitrepositories", site.name, "flux-system") == {}

    def test_the_git_server_goes_after_it_has_taken_the_commit(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        """Nobody can know that it has; the next run has to see it."""
        with self._hook(site, "post-receive", service("stop", "git")), in_time():
            run = site.deliver("--tags", "gitops")
        fails_clearly(run, site.repository.url, "up")
        assert site.repository.commits() == 2
        assert cluster.get("gitrepositories", site.name, "flux-system") == {}

    def test_the_api_server_restarts_while_flux_and_pods_are_waited_for(
        self, lab: Lab, cluster: Cluster, site: Site
    ) -> None:
        """A short restart is survived by the run itself, and this one ends with a running pod."""
        # The collection, and nobody else here, lists the pods of one namespace.
        listed = f"/namespaces/{site.namespace}/pods\\?.*OpenAPI-Generator"
        again = when_seen(lab.logs / "audit.log", listed, "restart", "kube-apiserver")
        now = f"{service('restart', 'kube-apiserver')} >/dev/null 2>&1 &"
        site.deliver(at=(RECONCILE, f"{again} {now}")).must_succeed()
        assert site.repository.commits() == 2, "what was pushed before is committed once more"
        assert cluster.images(site.namespace) == [site.image("6.3.5")]

    def test_the_certificate_expires_before_the_nodes_pull(self, lab: Lab, cluster: Cluster, site: Site) -> None:
        before = cluster.images(site.namespace)
        # At a later task it could be too late: Flux fetches every few seconds.
        with self._hook(site, "post-receive", self._expire(lab)):
            run = site.deliver(version="6.4.0")
        fails_clearly(run, "expired", "renew the certificate", f"{site.target}/")
        assert cluster.images(site.namespace) == before, "the old pod has to run until the new one does"

    def test_the_same_command_finishes_that_as_well(self, cluster: Cluster, site: Site) -> None:
        site.deliver(version="6.4.0").must_succeed()
        until(lambda: cluster.images(site.namespace) == [site.image("6.4.0")], 30)

    @staticmethod
    def _take_accounts(lab: Lab, *accounts: Account) -> str:
        """The shell command that replaces the accounts of the private registry, prepared by the program that it has."""
        fresh = lab.private_folder / "htpasswd.prepared"
        given = [registries.Account(each.user, each.password) for each in accounts]
        registries.write_accounts(lab.binaries / "registry", fresh, given)
        return shlex.join(["cp", str(fresh), str(lab.private_folder / "htpasswd")])

    @staticmethod
    def _expire(lab: Lab) -> str:
        """The shell command after which the private registry has a certificate that is no longer valid."""
        copies = [
            shlex.join(["cp", str(lab.certificates / f"expired.{end}"), str(lab.certificates / f"private.{end}")])
            for end in ("crt", "key")
        ]
        return " && ".join([*copies, service("restart", "private")])

    @staticmethod
    @contextmanager
    def _hook(site: Site, name: str, command: str) -> Iterator[None]:
        """Something that the Git server runs while it takes a push."""
        hook = site.repository.bare / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        hook.chmod(0o755)
        try:
            yield
        finally:
            hook.unlink()
