# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_reconcile against an API server: what makes ocm-controller look again."""

from __future__ import annotations

import json
import tempfile
from types import SimpleNamespace

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import cluster as entry_cluster
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import Context
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.ocm_reconcile import ocm_reconcile
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, NotFound, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.labels import SHOWN
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import succeed
from ansible_collections.ocm.airgap.tests.support.server import Reply

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

UNAVAILABLE = Reply(503, {"Content-Type": "application/json"}, b'{"kind": "Status", "message": "starting"}')


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No waits of seconds, and no discovery cache of an earlier test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(entry_cluster, "POLL_SECONDS", 0.01)


def show(api, check_mode=False, **params):
    values = dict(kind="ComponentVersion", name="podinfo", namespace="ocm-system", anew=False, kubeconfig=api.kubeconfig)
    module = SimpleNamespace(params=dict(values, **params), check_mode=check_mode, _diff=True, no_log_values=set())
    return ocm_reconcile(Context(module))


def written(api):
    """(the last part of the path, the change) of every request that writes."""
    return [(asked.path.rpartition("/")[2], json.loads(asked.body)) for asked in api.writes]


@pytest.mark.parametrize("kind, name", [("ComponentVersion", "podinfo"), ("Localization", "podinfo-deployment")])
def test_it_is_suspended_for_a_moment(kind, name):
    with StubApi(make.controller_estate()) as api:
        result = show(api, kind=kind, name=name)
        (found,) = [each for each in api.cluster.objects if each["kind"] == kind]
        assert result["changed"] and result["generation"] == found["metadata"]["generation"] == 3
        assert found["spec"]["suspend"] is False and SHOWN not in found["metadata"]["annotations"]
        assert [change["spec"]["suspend"] for _path, change in written(api)] == [True, False]
        assert "suspend" not in json.dumps([each["status"] for each in api.cluster.objects])


@pytest.mark.parametrize("left", ["", "0ms"])
def test_a_flux_deployer_has_its_interval_written_another_way(left):
    deployer = make.flux_deployer()
    for own in ("1m0s", "100ms"):
        deployer["spec"]["interval"] = own + left
        with StubApi(make.controller_estate(flux_deployer=deployer)) as api:
            assert show(api, kind="FluxDeployer")["changed"]
            assert [change["spec"] for _path, change in written(api)] == [dict(interval=f"{own}0ms"), dict(interval=own)]
            assert deployer["spec"]["interval"] == own


def test_anew_the_version_is_forgotten_before():
    with StubApi(make.controller_estate()) as api:
        result = show(api, anew=True)
        assert written(api)[0] == ("status", {"status": {"reconciledVersion": None}})
        (found,) = [each for each in api.cluster.objects if each["kind"] == "ComponentVersion"]
        assert "reconciledVersion" not in found["status"] and found["status"]["replicatedRepositoryURL"]
        assert result["diff"]["before"] == dict(generation=1, version="6.3.5")
        assert result["diff"]["after"] == dict(generation=3, version=None)


@pytest.mark.parametrize("anew", [False, True])
def test_check_mode_writes_nothing_and_predicts_the_same(anew):
    with StubApi(make.controller_estate()) as api:
        predicted = show(api, True, anew=anew)
        assert not api.writes
        assert predicted == show(api, anew=anew)


def test_a_run_that_was_killed_in_between_is_finished():
    version = make.component_version()
    with StubApi(make.controller_estate(component_version=version)) as api:
        version["spec"]["suspend"] = True
        with pytest.raises(Refused, match="suspended"):
            show(api)
        version["metadata"]["annotations"] = {SHOWN: "true"}
        show(api)
        assert version["spec"]["suspend"] is False and SHOWN not in version["metadata"]["annotations"]


def test_an_api_server_that_restarts():
    with StubApi(make.controller_estate()) as api:
        api.broken = [UNAVAILABLE, UNAVAILABLE]
        assert show(api)["generation"] == 3


@pytest.mark.parametrize(
    "options, error, word",
    [
        (dict(kind="Kustomization"), InvalidInput, "no kind"),
        (dict(kind="Resource", name="podinfo-deployment", anew=True), InvalidInput, "ComponentVersion alone"),
        (dict(name="other"), NotFound, "ocm-system/other"),
    ],
)
def test_what_cannot_be_shown(options, error, word):
    with StubApi(make.controller_estate()) as api:
        with pytest.raises(error, match=word):
            show(api, **options)
        assert not api.writes


def test_the_module_itself():
    with StubApi(make.controller_estate()) as api:
        done = succeed("ocm_reconcile", dict(name="podinfo", anew=True, kubeconfig=api.kubeconfig), diff=True)
        assert done.result["changed"] and done.result["generation"] == 3
