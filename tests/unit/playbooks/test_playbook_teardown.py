# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook teardown against a Git server and an API server: asked wrongly, in check mode, and for good.

Needs the controller's Python, so it lies outside of the tests that run on every target's.
"""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.tests.support.cluster import OCM_API, StubApi
from ansible_collections.ocm.airgap.tests.support.delivered import LOCK, OWN, Estate, estate
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

DEPLOYER = {
    "apiVersion": OCM_API,
    "kind": "FluxDeployer",
    "metadata": {"name": "podinfo", "namespace": "ocm-system"},
}
FILES = {
    "components/podinfo/ocm-airgap.lock.json": json.dumps(LOCK),
    "components/podinfo/fluxdeployer.yaml": json.dumps(DEPLOYER),
    "README.md": "mine\n",
}


class Play:
    """Runs the playbook as a user would."""

    def __init__(self, folder, api, git_url):
        self.folder = folder
        self.variables = {
            "ocm_airgap_component": "phoban.io/podinfo",
            "ocm_airgap_git_url": git_url,
            "ocm_airgap_git_username": "robot",
            "ocm_airgap_git_password": "git-password-1",
            "ocm_airgap_kubernetes": {"kubeconfig": api.kubeconfig},
            "ocm_airgap_teardown_scope": ["secrets", "namespaces"],
        }

    def run(self, *options, **more):
        """more: variables without their prefix."""
        values = dict(self.variables, **{f"ocm_airgap_{name}": value for name, value in more.items()})
        return run_playbook(self.folder, "ocm.airgap.teardown", values, *options)


def test_it_is_asked_for_twice_and_goes_once(tmp_path):
    with StubApi(estate()) as api, run_git_server(tmp_path / "server", "robot:git-password-1") as server:
        repository, here = server.repository(), Estate(api, ocm_controller=False)
        repository.commit(tmp_path / "clone", FILES, subject="Delivered")
        play = Play(tmp_path, api, server.url_of(repository))

        status, output = play.run(teardown_confirm="phoban.io/other")
        assert status == 2 and "ocm_airgap_teardown_confirm=phoban.io/podinfo" in output

        status, output = play.run("--check")
        assert status == 0, output[-3000:]
        for told in ("Deployment apps/podinfo", "Secret apps/ocm-airgap-pull", "Namespace apps", "fluxdeployer.yaml"):
            assert told in output
        assert not api.writes and repository.commits() == ["Delivered"]
        assert "finalizers taken away" not in output

        api.on_patch = lambda found: _answer(here, repository, found)
        status, output = play.run(teardown_confirm="phoban.io/podinfo", wait_timeout=20)
        assert status == 0, output[-3000:]
        assert "finalizers taken away" in output and "Snapshot ocm-system/podinfo-deployment-abc" in output
        assert sorted(repository.files()) == ["README.md", "components/.gitkeep"]
        assert not set(here.kinds()) & set(OWN) - {"Kustomization"} and api.missing == ["apps"]

        status, output = play.run(teardown_confirm="phoban.io/podinfo")
        assert status == 0 and "changed=0" in output, output[-3000:]
        assert "git-password-1" not in output


def _answer(here, repository, found):
    """Flux fetches what is in Git."""
    here.revision = f"main@sha1:{repository.head()}"
    here.answer(found)
