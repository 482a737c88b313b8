# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_drift as Ansible runs it: a real registry, a real Git repository, an API server with what Flux has applied."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import fail
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.drift_estate import (
    IMAGE,
    LOCK,
    MANIFEST,
    OBJECT,
    PULL,
    SERVICE,
    VERSION,
    run_estate,
)

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")


@pytest.fixture
def estate(tmp_path):
    with run_estate(tmp_path) as made:
        yield made


def test_an_untouched_estate(estate):
    result = estate.look()
    assert (result["drift"], result["drift_items"]) == (False, [])
    assert result["commit"] == estate.repository.head()
    (delivery,) = result["deliveries"]
    assert (delivery["name"], delivery["version"], delivery["lock"]) == ("podinfo", VERSION, LOCK)
    assert delivery["images"][0].startswith(f"{estate.target}/stefanprodan/podinfo:{VERSION}@sha256:")


def test_each_scope_finds_what_is_its_own(estate):
    estate.forget_image()
    estate.remove("Secret", PULL)
    estate.find("ServiceAccount", "default")["imagePullSecrets"] = []
    estate.remove("Service")
    estate.find("Kustomization", "podinfo", "flux-system")["spec"]["suspend"] = True
    estate.edit(OBJECT, "prune: true", "prune: false")
    estate.find("Kustomization", "podinfo", "flux-system")["spec"]["prune"] = False
    expected = dict(
        registry=[f"{IMAGE}:content"],
        credentials=[f"credentials:Secret default/{PULL}", "credentials:ServiceAccount default/default"],
        cluster=[f"cluster:{SERVICE}"],
        git=[f"git:{OBJECT}"],
        suspended=["suspended:Kustomization flux-system/podinfo"],
    )
    result = estate.look()
    assert result["drift"] and [item["id"] for item in result["drift_items"]] == sum(expected.values(), [])
    for scope, ids in expected.items():
        assert estate.ids(scopes=[scope]) == ids
    (service,) = [item for item in result["drift_items"] if item["scope"] == "cluster"]
    assert service["obstacle"] == "Kustomization flux-system/podinfo is suspended" and not service["repairable"]
    assert service["blocked_by"] == expected["suspended"][0]
    sentence = f"{SERVICE}: missing, expected as it is in apps/podinfo/service.yaml."
    assert service["text"] == f"{sentence} It is not put right: {service['obstacle']}."


def test_an_item_names_who_puts_it_right(estate):
    estate.remove("Service")
    (item,) = estate.look()["drift_items"]
    kustomization = dict(api_version="kustomize.toolkit.fluxcd.io/v1", kind="Kustomization")
    assert item["keepers"] == [dict(kustomization, namespace="flux-system", name="podinfo", anew=False)]
    assert item["repairable"] and item["name"] == "podinfo"


def test_lost_content_without_a_source_says_so(estate):
    estate.forget_image()
    (item,) = estate.look(has_source=False)["drift_items"]
    assert not item["repairable"] and "ocm_airgap_source" in item["obstacle"]
    assert estate.look()["drift_items"][0]["repairable"]


def test_a_changed_password_is_told_without_being_shown(estate):
    estate.find("Secret", PULL)["data"] = estate.secret("default", "other-password-1")["data"]
    (item,) = estate.look()["drift_items"]
    assert (item["id"], item["found"]) == (
        f"credentials:Secret default/{PULL}", f"the password of {estate.registry.host} is another one"
    )
    # Without accounts nothing can be said of those in the Secret.
    assert estate.ids(pull_accounts=[]) == []


def test_what_git_suspends_is_meant(estate):
    estate.edit(OBJECT, "spec:\n", "spec:\n  suspend: true\n")
    estate.find("Kustomization", "podinfo", "flux-system")["spec"]["suspend"] = True
    assert estate.ids() == [f"git:{OBJECT}"]


def test_an_edit_in_git_is_one_item_before_and_after_flux_applies_it(estate, monkeypatch):
    before = estate.repository.head()
    estate.edit(MANIFEST, "replicas: 1", "replicas: 2")
    assert estate.ids() == ["cluster:Deployment default/podinfo", f"git:{MANIFEST}"]
    estate.find("Deployment")["spec"]["replicas"] = 2
    assert estate.ids() == [f"git:{MANIFEST}"]
    estate.find("Deployment")["spec"]["replicas"] = 1
    monkeypatch.setattr(estate.repository, "head", lambda: before)
    estate.flux_is_there()
    monkeypatch.undo()
    monkeypatch.setattr(estate, "flux_is_there", lambda: None)
    assert estate.ids() == [f"git:{MANIFEST}"]


def test_a_delivery_without_a_lock(estate):
    assert [(item["id"], item["repairable"]) for item in estate.look(names=["podinfo", "other"])["drift_items"]] == [
        ("git:components/other/ocm-airgap.lock.json", False)
    ]
    assert estate.look(names=["Podinfo", "podinfo"])["deliveries"] == estate.look()["deliveries"]


def test_what_two_deliveries_share_is_one_item_of_none(estate):
    estate.deliver(name="second", target_namespace="other")
    estate.forget_image()
    estate.remove("Secret", PULL, "flux-system")
    items = estate.look(names=["podinfo", "second"], scopes=["registry", "credentials"])["drift_items"]
    assert {item["id"]: item["name"] for item in items} == {
        f"{IMAGE}:content": "",
        f"credentials:Secret flux-system/{PULL}": "",
        f"credentials:Secret other/{PULL}": "second",
        "credentials:ServiceAccount other/default": "second",
    }
    assert len(items) == 4


def test_what_cannot_be_asked_is_an_error(estate):
    refused = fail("ocm_drift", estate.options(git_password="other-password-1"))
    assert "git_password" in refused.message and "other-password-1" not in refused.output
    wrong = [dict(estate.registries("reader")[0], password="other-password-1")]
    assert estate.registry.host in fail("ocm_drift", estate.options(registries=wrong)).message
    with StubApi([]) as gone:
        kubeconfig = gone.kubeconfig
    assert "Kubernetes" in fail("ocm_drift", estate.options(kubeconfig=kubeconfig)).message
