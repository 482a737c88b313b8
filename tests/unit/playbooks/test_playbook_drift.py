# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook drift against a real registry, a real Git repository, and an API server on which the test plays Flux.

Needs the controller's Python, so it lies outside of the tests that run on every target's.
"""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.drift_estate import (
    ACCOUNTS,
    COMPONENT,
    IMAGE,
    OBJECT,
    PODINFO,
    PULL,
    SECRETS,
    run_estate,
)

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

ALL = ["registry", "credentials", "cluster", "git", "suspended"]
SUSPENDED = "suspended:GitRepository flux-system/flux-system"
ITEMS = [f"{IMAGE}:content", f"credentials:Secret default/{PULL}", "cluster:Service default/podinfo", f"git:{OBJECT}"]


class Play:
    """Runs the playbook as a user would. Flux applies what is in Git as soon as it is asked."""

    def __init__(self, estate, folder):
        self.estate, self.folder = estate, folder
        estate.api.on_patch = self._flux
        self._service = estate.find("Service")
        (folder / "kubeconfig").write_text(json.dumps(estate.api.kubeconfig))

    def _flux(self, found):
        generation = found["metadata"]["generation"]
        found["status"].update(observedGeneration=generation, conditions=[make.ready(generation=generation)])
        requested = (found["metadata"].get("annotations") or {}).get("reconcile.fluxcd.io/requestedAt")
        if requested:
            self.estate.flux_is_there()
            found["status"]["lastHandledReconcileAt"] = requested
        if (found["kind"], found["metadata"]["name"]) == ("Kustomization", "podinfo"):
            if self._service not in self.estate.api.cluster.objects:
                self.estate.api.cluster.objects.append(self._service)

    def variables(self, more):
        estate = self.estate
        values = dict(
            target=f"http://{estate.target}",
            source=str(PODINFO),
            component=COMPONENT,
            name="podinfo",
            delivery="rendered",
            pull_secret_by="service_account",
            registries=estate.registries("writer"),
            pull_registries=[dict(host=estate.registry.host, username="reader", password=ACCOUNTS["reader"])],
            kubernetes=dict(kubeconfig=str(self.folder / "kubeconfig")),
            wait_timeout=20,
            **estate.git(),
        )
        return {f"ocm_airgap_{name}": value for name, value in dict(values, **more).items() if value is not None}

    def run(self, *options, fails=False, **more):
        """What the run has published. All that it has printed is in `output`."""
        played = run_playbook(self.folder, "ocm.airgap.drift", self.variables(more), "-vv", *options)
        self.output = played.output
        assert bool(played.status) == fails, self.output[-6000:]
        assert not [secret for secret in SECRETS if secret in self.output]
        return played.stats

    def state(self):
        """Everything that a run may write to."""
        registry = sorted(map(str, self.estate.registry.storage.rglob("link")))
        return registry, self.estate.repository.head(), json.dumps(self.estate.api.cluster.objects)


@pytest.fixture
def play(tmp_path):
    with run_estate(tmp_path / "estate") as estate:
        yield Play(estate, tmp_path)


def test_what_a_transfer_brings_has_to_be_named_whole(play):
    play.estate.forget_layers_and_tag()
    play.estate.flux_is_there()
    before = play.state()
    for part, other in (("content", "tag"), ("tag", "content")):
        play.run(fails=True, drift_only=[f"{IMAGE}:{part}"])
        assert f"may also put right {IMAGE}:{other}" in " ".join(play.output.split())
        assert play.state() == before
    play.run(drift_only=[f"{IMAGE}:content", f"{IMAGE}:tag"])
    assert play.estate.ids() == []


def test_what_differs_is_told_left_alone_and_put_right(play):
    estate = play.estate
    right = estate.repository.files()
    estate.forget_image()
    estate.remove("Secret", PULL)
    estate.remove("Service")
    estate.edit(OBJECT, "prune: true", "prune: false")
    estate.find("GitRepository", "flux-system", "flux-system")["spec"]["suspend"] = True
    before = play.state()
    for options in (("--check",), ()):
        told = play.run(*options, drift_repair=[] if not options else ALL)
        assert told["ocm_airgap_drift"] is True
        assert [item["id"] for item in told["ocm_airgap_drift_items"]] == [*ITEMS, SUSPENDED]
        assert {item["host"] for item in told["ocm_airgap_drift_items"]} == {"localhost"}
        assert play.state() == before and not estate.api.writes
    assert "left alone, ocm_airgap_drift_repair names nothing" in play.output

    play.run(drift_repair=ALL, drift_only=[])
    assert play.state() == before and not estate.api.writes

    play.run(drift_repair=ALL)
    assert estate.ids() == []
    assert estate.repository.files() == right
    assert not estate.find("GitRepository", "flux-system", "flux-system")["spec"]["suspend"]
    assert not [each for each in estate.api.cluster.objects if each["kind"] == "Lease"]
    assert play.run(drift_repair=ALL) == dict(ocm_airgap_drift=False, ocm_airgap_drift_items=[])
    assert yaml.safe_load(estate.repository.files()[OBJECT])["spec"]["prune"] is True
