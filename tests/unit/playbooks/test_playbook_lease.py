# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks by which playbooks take the Lease of an estate and give it back, in several plays of one run.

The API server is a stub. Needs the controller's Python, so it lies outside of the tests that run on every target's.
"""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

TASKS = COLLECTION / "playbooks" / "tasks"
TAKE = {"ansible.builtin.include_tasks": str(TASKS / "lease.yml"), "when": "lease_is_due"}
TAKEN_AND_RETURNED = [("POST", "ocm-system"), ("DELETE", "ocm-system")]
RETURN = {"ansible.builtin.include_tasks": str(TASKS / "lease_return.yml")}


def requests(folder, *plays, **variables):
    """Runs plays, each a list of tasks: method and namespace of the requests that wrote a Lease."""
    with StubApi([]) as api:
        (folder / "kubeconfig").write_text(json.dumps(api.kubeconfig))
        head = dict(
            hosts="localhost",
            connection="local",
            gather_facts=False,
            module_defaults={"group/ocm.airgap.kubernetes": dict(kubeconfig=str(folder / "kubeconfig"))},
            vars_files=[str(COLLECTION / "playbooks" / "vars" / "site.yml")],
        )
        (folder / "plays.yml").write_text(json.dumps([dict(head, tasks=tasks) for tasks in plays]))
        status, output = run_playbook(folder, str(folder / "plays.yml"), variables)
        assert status == 0, output[-6000:]
        written = [asked for asked in api.writes if "/leases" in asked.path]
        return [(asked.method, asked.path.partition("/namespaces/")[2].partition("/")[0]) for asked in written]


def test_every_play_of_a_run_takes_what_the_one_before_gave_back(tmp_path):
    assert requests(tmp_path, [TAKE, RETURN], [TAKE, TAKE, RETURN, RETURN]) == TAKEN_AND_RETURNED * 2


def test_what_was_taken_before_the_cluster_went_down_is_given_back(tmp_path):
    unanswered = {"ansible.builtin.set_fact": dict(lease_taken=dict(acquired=False, reachable=False, expires=None))}
    assert requests(tmp_path, [TAKE, unanswered, RETURN]) == TAKEN_AND_RETURNED


@pytest.mark.parametrize("delivery", ["controller", "rendered"])
def test_both_deliveries_of_an_estate_in_git_keep_each_other_away(tmp_path, delivery):
    git = dict(ocm_airgap_git_url="https://git.example.com/estate.git", ocm_airgap_flux_namespace="flux-of-team")
    found = requests(tmp_path, [TAKE, RETURN], ocm_airgap_delivery=delivery, **git)
    assert found == [("POST", "flux-of-team"), ("DELETE", "flux-of-team")]
