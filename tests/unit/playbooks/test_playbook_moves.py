# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook site, where another object of Flux is going to apply the workloads: who is suspended, and when.

A real registry and a real Git server; the API server is a stub. Needs the controller's Python, so it lies outside of the
tests that run on every target's.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import Kind
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import StubApi, not_ready, ready
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

COMPONENT, VERSION = "example.org/podinfo", "6.3.5"
SOURCE = COLLECTION / "playbooks" / "files" / "podinfo"


@dataclass
class Estate:
    """A component that ocm-controller delivers: in the registry, in Git, and in the cluster."""

    api: StubApi
    repository: object
    url: str
    target: str
    ca: str
    folder: Path

    @property
    def registries(self):
        return [{"host": self.target.partition("/")[0], "ca_path": self.ca}]

    def begin(self):
        self.repository.commit(self.folder / "clone", {"README.md": "the estate\n"}, subject="Begin")
        move = dict(source=str(SOURCE), target=[self.target], component=COMPONENT, version=VERSION)
        succeed("ocm_transfer", dict(move, registries=self.registries))
        wanted = dict(component=COMPONENT, version=VERSION, repository=self.target)
        succeed("ocm_gitops", dict(components=[wanted], git_url=self.url, registries=self.registries))

    def site(self, *options, **variables):
        """One run of the phases up to Git."""
        values = {
            "target": self.target,
            "component": COMPONENT,
            "version": VERSION,
            "registries": self.registries,
            "git_url": self.url,
            "kubernetes": {"kubeconfig": self.kubeconfig()},
            **variables,
        }
        given = {f"ocm_airgap_{name}": value for name, value in values.items()}
        return run_playbook(self.folder, "ocm.airgap.site", given, "--tags", "preflight,gitops", *options)

    def kubeconfig(self):
        return kubeconfig(self.api, self.folder)

    def suspended(self):
        """What the FluxDeployer's template says, and what it has made."""
        by_kind = {found["kind"]: found["spec"] for found in self.api.cluster.objects if found["metadata"]["name"] == "podinfo"}
        template = by_kind["FluxDeployer"]["kustomizationTemplate"]
        return template.get("suspend"), by_kind["Kustomization"].get("suspend")


def kubeconfig(api, folder):
    file = folder / "kubeconfig"
    file.write_text(json.dumps(api.kubeconfig), encoding="utf-8")
    return str(file)


def live():
    """What Flux and ocm-controller have made of it."""
    spec = dict(interval="1m0s", path="./", prune=True, sourceRef=dict(kind="GitRepository", name="flux-system"))
    reads = make.git_kustomization(name="components", namespace="flux-system", spec=spec)
    return [make.git_repository(), reads, make.flux_deployer(), make.kustomization()]


@pytest.fixture
def estate(tmp_path, authority):
    options = RegistryOptions(tls=authority.issue())
    with run_registry(tmp_path / "registry", options) as registry, run_git_server(tmp_path / "git") as git:
        with StubApi(live(), kinds=(Kind("v1", "Secret"), Kind("v1", "ServiceAccount"))) as api:
            repository = git.repository()
            ca = str(authority.certificate)
            found = Estate(api, repository, git.url_of(repository), f"{registry.host}/air-gapped", ca, tmp_path)
            found.begin()
            yield found


def test_what_applies_the_workloads_leaves_them_alone_before_it_goes(estate):
    commits = estate.repository.commits()

    status, output = estate.site("--check", delivery="rendered")
    assert status == 0, output[-3000:]
    assert estate.repository.commits() == commits
    assert estate.suspended() == (None, None)

    # Where there is no commit after all, it goes on.
    hook = estate.repository.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    status, output = estate.site(delivery="rendered")
    assert status == 2 and "git_push_branch" in output, output[-3000:]
    assert estate.repository.commits() == commits
    assert estate.suspended() == (False, False)

    # It is suspended when the commit comes.
    seen, late = estate.folder / "seen", []
    hook.write_text(f"#!/bin/sh\ntouch {seen}\n", encoding="utf-8")
    estate.api.on_patch = lambda found: late.append(found["kind"]) if seen.exists() else None
    status, output = estate.site(delivery="rendered")
    assert status == 0, output[-3000:]
    assert seen.exists() and late == [] and len(estate.repository.commits()) == len(commits) + 1
    assert estate.suspended() == (True, True)
    assert "components/podinfo/kustomization-object.yaml" in estate.repository.files()

    # From then on there is nothing to hand over.
    writes = len([asked for asked in estate.api.writes if "/leases" not in asked.path])
    status, output = estate.site(delivery="rendered")
    assert status == 0, output[-3000:]
    assert len([asked for asked in estate.api.writes if "/leases" not in asked.path]) == writes


def test_a_cluster_that_is_down_keeps_others_from_a_commit_that_it_reads_unprepared(estate):
    (estate.folder / "down").write_text(json.dumps(make_down(estate.api.kubeconfig)), encoding="utf-8")
    kubeconfigs = {"north": estate.kubeconfig(), "east": str(estate.folder / "down")}
    inventory = {"all": {"hosts": {host: {"own_kubeconfig": file} for host, file in kubeconfigs.items()}}}
    (estate.folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    commits = estate.repository.commits()
    # It has left the run in the phase credentials, before anybody asks who commits.
    options = ("--inventory", str(estate.folder / "inventory.json"), "--tags", "credentials")
    status, output = estate.site(
        *options,
        hosts="all",
        delivery="rendered",
        kubernetes={"kubeconfig": "{{ own_kubeconfig }}"},
        pull_registries=[dict(estate.registries[0], username="reader", password="reader-password-1")],
    )
    assert status == 2 and "east could not be prepared for the commit" in output, output[-3000:]
    assert estate.repository.commits() == commits
    assert estate.suspended() == (False, False)


def make_down(config):
    """The kubeconfig of a cluster where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cluster = dict(server=f"http://127.0.0.1:{free.getsockname()[1]}")
    return dict(config, clusters=[dict(found, cluster=cluster) for found in config["clusters"]])


def test_the_role_alone_lets_go_on_what_hands_over_when_there_is_no_commit(estate):
    hook = estate.repository.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    role = {
        "ansible.builtin.import_role": {"name": "ocm.airgap.gitops"},
        "vars": {
            "gitops_repository": estate.target,
            "gitops_components": [{"component": COMPONENT, "version": VERSION}],
            "gitops_delivery": "rendered",
            "gitops_git_url": estate.url,
            "gitops_registries": estate.registries,
            "gitops_kubernetes": {"kubeconfig": estate.kubeconfig()},
        },
    }
    book = estate.folder / "gitops.yml"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [role]}]), encoding="utf-8")
    status, output = run_playbook(estate.folder, str(book), {})
    assert status == 2 and "git_push_branch" in output.rpartition("Say why there is no commit")[2], output[-3000:]
    assert estate.suspended() == (False, False)

    hook.unlink()
    status, output = run_playbook(estate.folder, str(book), {})
    assert status == 0, output[-3000:]
    assert estate.suspended() == (True, True)
    assert "components/podinfo/kustomization-object.yaml" in estate.repository.files()


DESCRIPTOR = make.make("ComponentDescriptor", make.OCM_API, "podinfo-6.3.5-1", observed=None)


class Controller:
    """Plays ocm-controller: what it does when it is shown an object. api: set when it is there."""

    def __init__(self):
        self.api, self.shown = None, []

    def __call__(self, found):
        if found["spec"].get("suspend") is not False:
            return
        self.shown.append(found["kind"])
        if found["kind"] == "ComponentVersion" and "reconciledVersion" not in found["status"]:
            found["status"]["reconciledVersion"] = "6.3.5"
            self.api.cluster.objects.append(DESCRIPTOR)
            self.change("ComponentVersion", ready("Applied version: 6.3.5"), 1)
            self.change("Localization", not_ready("SourceRefNotReady", "source ref not yet ready"), -1)
        elif found["kind"] == "Localization":
            self.change("Localization", ready("Reconciliation success"), 1)

    def change(self, kind, condition, observed):
        for found in self.api.cluster.objects:
            if found["kind"] == kind:
                found["status"].update(conditions=[dict(condition, observedGeneration=found["metadata"]["generation"])])
                found["status"]["observedGeneration"] = found["metadata"]["generation"] if observed > 0 else observed


def test_a_descriptor_that_went_with_the_former_component_version_is_made_again(tmp_path):
    """And what has given up meanwhile, because the other one was not ready, looks again, too."""
    reference = dict(componentDescriptorRef=dict(name="podinfo-6.3.5-1", namespace="ocm-system"))
    version = make.component_version(componentDescriptor=dict(name="phoban.io/podinfo", version="6.3.5", **reference))
    # The kind is served, and another component has its descriptor.
    other = make.make("ComponentDescriptor", make.OCM_API, "other-1.0.0-1", observed=None)
    controller = Controller()
    role = {
        "ansible.builtin.import_role": {"name": "ocm.airgap.rollout"},
        "vars": {
            "rollout_component": "phoban.io/podinfo",
            "rollout_target": make.PRIVATE,
            "rollout_wait_timeout": 0,
            "rollout_try_images": False,
            "rollout_look_again": True,
            "rollout_kubernetes": {"kubeconfig": str(tmp_path / "kubeconfig")},
        },
    }
    book = tmp_path / "rollout.yml"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [role]}]), encoding="utf-8")
    with StubApi([*make.controller_estate(component_version=version), other], controller) as api:
        controller.api = api
        kubeconfig(api, tmp_path)
        status, output = run_playbook(tmp_path, str(book), {})
        assert status == 0, output[-3000:]
        assert controller.shown == ["ComponentVersion", "Localization"]
        writes = len(api.writes)
        status, output = run_playbook(tmp_path, str(book), {})
        assert status == 0 and len(api.writes) == writes, output[-3000:]
