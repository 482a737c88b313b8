# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ocm_teardown against an API server, with controllers that live and controllers that are dead."""

from __future__ import annotations

import tempfile
import time
from types import SimpleNamespace

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import cluster as entry_cluster
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import flux_reconcile as reconcile_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import sweep as sweep_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import teardown as entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import Context, Failed
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import COMMIT, StubApi
from ansible_collections.ocm.airgap.tests.support.delivered import (
    KUSTOMIZE,
    LOCK,
    OWN,
    REQUESTED,
    Estate,
    applied,
    entry_of,
    estate,
    secret,
    simple,
)
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No waits of seconds, and no discovery cache of an earlier test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(entry_cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(sweep_entry, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(reconcile_entry, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(reconcile_entry, "SETTLE_SECONDS", 0.1)


def remove(api, check=False, warnings=None, **options):
    deliveries = [dict(name="podinfo", lock=LOCK, sharing=options.pop("sharing", {}))]
    usual = dict(deliveries=deliveries, scope=[], flux_kustomization="components", flux_source="flux-system")
    usual.update(flux_namespace="flux-system", revision=COMMIT, wait_timeout=60)
    module = SimpleNamespace(
        params=dict(kubeconfig=api.kubeconfig, **dict(usual, **options)),
        check_mode=check,
        _diff=True,
        no_log_values=set(),
        warn=(warnings if warnings is not None else []).append,
    )
    return entry.teardown(Context(module))


def removed_kinds(result):
    return sorted(name.split()[0] for name in result["removed"])


def test_flux_removes_it_and_a_second_run_changes_nothing():
    with StubApi(estate()) as api:
        here = Estate(api)
        predicted = remove(api, check=True)
        assert not api.writes
        done = remove(api)
        assert removed_kinds(done) == sorted(OWN) and done["released"] == []
        assert not set(here.kinds()) & set(OWN) - {"Kustomization"}
        assert {asked.method for asked in api.writes} == {"PATCH"}, "Flux does it, when asked"
        assert predicted == done
        assert done["workloads"] == ["Deployment apps/podinfo"]
        writes = len(api.writes)
        again = remove(api)
        assert not again["changed"] and again["removed"] == [] and len(api.writes) == writes


def test_dead_controllers_leave_nothing_stuck():
    with StubApi(estate()) as api:
        here, warnings = Estate(api, flux=False, ocm_controller=False), []
        done = remove(api, warnings=warnings)
        assert removed_kinds(done) == sorted(OWN)
        assert not set(here.kinds()) & set(OWN) - {"Kustomization"}
        assert sorted(name.split()[0] for name in done["released"]) == ["Kustomization", "OCIRepository", "Snapshot"]
        assert "components: nobody reconciles it" in warnings[0]
        assert here.one("Kustomization", "flux-system"), "the tree's own stays"


def test_a_dead_ocm_controller_alone():
    with StubApi(estate()) as api:
        Estate(api, ocm_controller=False)
        done = remove(api)
        assert [name.split()[0] for name in done["released"]] == ["Snapshot"]


def test_a_controller_that_runs_has_more_time(monkeypatch):
    monkeypatch.setattr(sweep_entry, "GRACE_SECONDS", 0.0)
    controller = make.deployment(name="ocm-controller", namespace="ocm-system")
    with StubApi([*estate(), controller]) as api:
        Estate(api, ocm_controller=False)
        started = time.monotonic()
        assert [name.split()[0] for name in remove(api, wait_timeout=6)["released"]] == ["Snapshot"]
        assert time.monotonic() - started >= 3


def test_flux_that_does_not_get_to_the_commit_stops_it():
    with StubApi(estate()) as api:
        here = Estate(api)

        def answer(found):
            found["status"]["lastHandledReconcileAt"] = found["metadata"]["annotations"][REQUESTED]

        api.on_patch = answer
        with pytest.raises(Failed, match="Flux still applies what Git had before") as caught:
            remove(api, wait_timeout=2)
        assert "FluxDeployer" in here.kinds() and caught.value.result["workloads"] == ["Deployment apps/podinfo"]


def test_a_suspended_kustomization_is_told():
    with StubApi(estate()) as api:
        Estate(api).one("Kustomization", "flux-system")["spec"]["suspend"] = True
        with pytest.raises(Failed, match="suspended") as caught:
            remove(api)
        assert not api.writes
        assert caught.value.result["removed"] == [] and not caught.value.result["changed"]


def test_what_somebody_applies_again_is_told():
    with StubApi([make.component_version()]) as api:
        api.on_delete = lambda found: api.cluster.objects.append(make.component_version())
        message = "Still there: ComponentVersion ocm-system/podinfo .something applies it again"
        with pytest.raises(Failed, match=message) as caught:
            remove(api, flux_kustomization="", wait_timeout=1)
        assert caught.value.result["changed"]


def test_secrets_go_and_with_them_an_empty_namespace():
    with StubApi(estate()) as api:
        here = Estate(api)
        scope = ["secrets", "namespaces"]
        predicted = remove(api, check=True, scope=scope)
        assert not api.writes
        done = remove(api, scope=scope)
        assert predicted == done
        assert set(done["removed"]) >= {
            "Secret apps/ocm-airgap-pull", "Secret ocm-system/ocm-airgap-pull",
            "ServiceAccount ocm-system/air-gapped-ops", "Namespace apps",
        }
        assert "Secret" not in here.kinds() and api.missing == ["apps"] and done["kept"] == []
        assert "pull-password" not in str(done)
        assert not remove(api, scope=scope)["changed"]


def namespace(name, **annotations):
    """A Namespace that the component brings."""
    made = applied(simple("Namespace", name, ""))
    made["metadata"]["annotations"] = annotations
    return made


def test_a_namespace_of_the_component_goes_with_the_scope_alone():
    objects = [*estate(), namespace("apps", **{f"{KUSTOMIZE}/prune": "disabled"})]
    with StubApi(objects) as api:
        Estate(api)
        stays = dict(object="Namespace apps", because=["others may have something in it"])
        assert remove(api, check=True)["kept"] == [stays] == remove(api)["kept"]
        assert not api.missing
        done = remove(api, scope=["secrets", "namespaces"])
        assert "Namespace apps" in done["removed"] and done["kept"] == [] and api.missing == ["apps"]


@pytest.mark.parametrize("check", [True, False])
def test_a_namespace_that_flux_removes_is_told(check):
    with StubApi([*estate(), namespace("apps")]) as api:
        Estate(api)
        warnings = []
        assert remove(api, check=check, warnings=warnings)["kept"] == []
        assert "Namespace apps" in warnings[0] and "everything in it" in warnings[0]
        assert not api.missing, "not here"


def test_what_others_use_stays():
    other = make.component_version(name="other")
    objects = [*estate(), other, simple("ConfigMap", "theirs", "apps")]
    with StubApi(objects) as api:
        here = Estate(api)
        shared = dict(pull_secrets={"apps": ["components/redis"]}, target_namespace=["components/redis"])
        done = remove(api, scope=["secrets", "namespaces", "platform"], sharing=shared)
        assert {kept["object"]: kept["because"] for kept in done["kept"]} == {
            "Secret ocm-system/ocm-airgap-pull": ["ComponentVersion ocm-system/other"],
            "Secret apps/ocm-airgap-pull": ["components/redis"],
            "Namespace apps": ["components/redis", "ConfigMap apps/theirs", "Secret apps/ocm-airgap-pull"],
        }
        assert here.one("ServiceAccount", "ocm-system") and not api.missing
        assert done["platform_users"] == [
            "ComponentVersion ocm-system/other",
            "GitRepository flux-system/flux-system",
            "Kustomization flux-system/components",
        ]


def test_accounts_of_others_in_the_secret_stay():
    objects = [obj for obj in estate() if obj["kind"] != "Secret"] + [secret("apps", "other.example.com")]
    with StubApi(objects) as api:
        here = Estate(api)
        done = remove(api, scope=["secrets"])
        assert done["updated"] == ["Secret apps/ocm-airgap-pull"]
        assert here.one("Secret", "apps")["metadata"]["annotations"] == {"ocm.airgap/registries": ""}
        assert not remove(api, scope=["secrets"])["changed"]


def test_the_default_account_loses_the_secret_alone():
    objects = [obj for obj in estate() if obj["kind"] != "ServiceAccount"]
    both = [dict(name="mine"), dict(name="ocm-airgap-pull")]
    objects.append(simple("ServiceAccount", "default", "apps", imagePullSecrets=both))
    entry_of_account = dict(entry_of("ServiceAccount", "default", "apps"), apiVersion="v1")
    lock = dict(LOCK, objects=LOCK["objects"] + [entry_of_account])
    with StubApi(objects) as api:
        here = Estate(api)
        done = remove(api, scope=["secrets"], deliveries=[dict(name="podinfo", lock=lock)])
        assert done["updated"] == ["ServiceAccount apps/default"]
        assert here.one("ServiceAccount", "apps")["imagePullSecrets"] == [dict(name="mine")]


def test_with_the_platform_goes_what_reads_the_git_tree():
    objects = estate()
    for obj in objects[-2:]:
        obj["metadata"]["managedFields"] = [dict(manager="ansible-ocm")]
    objects[-2]["spec"]["secretRef"] = dict(name="flux-system-git")
    objects.append(simple("Secret", "flux-system-git", "flux-system"))
    with StubApi(objects) as api:
        here = Estate(api)
        predicted = remove(api, check=True, scope=["platform"])
        done = remove(api, scope=["platform"])
        assert predicted == done and done["platform_users"] == []
        assert set(done["removed"]) >= {
            "Kustomization flux-system/components", "GitRepository flux-system/flux-system",
            "Secret flux-system/flux-system-git",
        }
        assert not [obj for obj in here.api.cluster.objects if obj["metadata"]["namespace"] == "flux-system"]


def test_the_module_from_its_options(tmp_path):
    with StubApi(estate()) as api:
        Estate(api)
        options = dict(kubeconfig=api.kubeconfig, flux_kustomization="components", revision=COMMIT)
        options["deliveries"] = [dict(name="podinfo", lock=LOCK, sharing=None)]
        assert succeed("ocm_teardown", options, check=True).result["workloads"] == ["Deployment apps/podinfo"]
        assert not api.writes
        options["deliveries"] = [dict(name="podinfo")]
        assert "neither lock nor delivery" in fail("ocm_teardown", options).message
