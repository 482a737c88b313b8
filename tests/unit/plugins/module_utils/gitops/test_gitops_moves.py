# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deliveries that go on under other objects or take the place of others: what goes, and what hands over before."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.lock import LOCK_NAME, component_part, workload_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.moves import plan_deliveries, suspensions
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import Chart, Content, render
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Rendered, Tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import ImageReference

OPTIONS = {"component": "phoban.io/podinfo", "version": "6.3.5", "repository": "registry.example.com/air-gapped"}
WORKLOADS = (("apps/v1", "Deployment", "podinfo"), ("v1", "Service", "podinfo"))
ACCOUNT = "components/service-account-air-gapped-ops.yaml"


def tree_of(files):
    return Tree({path: text for path, text in files.items() if path.endswith((".yaml", LOCK_NAME))}, files.get)


def rendered(workloads=WORKLOADS, chart=None, **options):
    delivery = read_delivery(dict(OPTIONS, **options))
    content = Content(manifests={"name": "deployment"}, config=None if chart else {"name": "config"}, chart=chart)
    objects = [{"apiVersion": api, "kind": kind, "metadata": {"name": name}} for api, kind, name in workloads]
    delivered = [] if chart else [workload_entry(item, delivery.target_namespace, by_flux=True) for item in objects]
    manifests = {"all.yaml": b"x: 1\n"} if delivery.delivery == "rendered" and not chart else {}
    lock = dict(component_part(delivery, "sha256:" + "0" * 64, []), delivered=delivered)
    return Rendered(delivery, render(delivery, content), manifests, lock)


def written(files, *deliveries):
    plan = plan_deliveries(tree_of(files), deliveries)
    result = {path: content for path, content in dict(files, **plan.edits).items() if content is not None}
    return result, [(entry["kind"], entry["namespace"], entry["name"]) for entry in plan.handover]


def kinds_in(files, folder):
    found = [yaml.safe_load(files[path])["kind"] for path in files if path.startswith(folder) and path.endswith(".yaml")]
    return sorted(found)


DEPLOYER, KUSTOMIZATION = ("FluxDeployer", "ocm-system", "podinfo"), ("Kustomization", "flux-system", "podinfo")


def test_from_one_delivery_to_the_other_and_back():
    files, handover = written({}, rendered())
    assert not handover
    files, handover = written(files, rendered(delivery="rendered"))
    assert handover == [DEPLOYER]
    assert kinds_in(files, "components/podinfo/") == ["Kustomization"] and "apps/podinfo/all.yaml" in files
    assert written(files, rendered(delivery="rendered")) == (files, [])
    files, handover = written(files, rendered())
    assert handover == [KUSTOMIZATION]
    assert "FluxDeployer" in kinds_in(files, "components/podinfo/") and not kinds_in(files, "apps/")


@pytest.mark.parametrize(
    "options, handover",
    [
        ({"version": "6.4.0"}, []),
        ({"repository": "other.example.com/x"}, []),
        ({"component": "phoban.io/podinfo-next", "name": "podinfo"}, []),
        ({"interval": "9m0s"}, []),
        ({"namespace": "other-system"}, [DEPLOYER]),
        # The workloads of the former namespace go, and are meant to.
        ({"namespace": "other-system", "target_namespace": "apps"}, []),
        ({"target_namespace": "apps"}, []),
    ],
)
def test_what_else_changes(options, handover):
    files, _none = written({}, rendered())
    assert written(files, rendered(**options))[1] == handover


def test_another_component_has_another_component_version():
    files, _none = written({}, rendered())
    names = {yaml.safe_load(files["components/podinfo/component-version.yaml"])["metadata"]["name"]}
    files, _none = written(files, rendered(component="phoban.io/podinfo-next", name="podinfo"))
    names.add(yaml.safe_load(files["components/podinfo/component-version.yaml"])["metadata"]["name"])
    assert len(names) == 2


def test_what_would_be_left_behind_is_refused():
    files, _none = written({}, rendered())
    with pytest.raises(Refused, match="Service default/podinfo would be left behind"):
        written(files, rendered(WORKLOADS[:1], delivery="rendered"))
    # What comes in addition is no matter.
    more = (*WORKLOADS, ("v1", "ConfigMap", "podinfo"))
    assert written(files, rendered(more, delivery="rendered"))[1] == [DEPLOYER]


CHART = Chart("podinfo", "6.5.0", ImageReference.parse("registry.example.com/air-gapped/charts/podinfo:6.5.0"))


def test_a_chart_is_handed_over_in_its_namespace():
    """What it brings is not known, and a release that goes is uninstalled."""
    files, _none = written({}, rendered(chart=CHART))
    assert written(files, rendered(chart=CHART, delivery="rendered"))[1] == [DEPLOYER]
    assert written(files, rendered(chart=CHART, delivery="rendered", target_namespace="apps"))[1] == []


def test_a_delivery_of_another_name_takes_the_place_of_one():
    files, _none = written({"README.md": b"x"}, rendered())
    other = dict(component="phoban.io/podinfo-next", name="next")
    with pytest.raises(Refused, match="Deployment default/podinfo.*components/podinfo") as refused:
        written(files, rendered(**other))
    assert "ocm_airgap_replaces" in refused.value.hint and "[podinfo]" in refused.value.hint
    files, handover = written(files, rendered(**other, replaces=["podinfo"]))
    assert handover == [DEPLOYER]
    assert not [path for path in files if path.startswith("components/podinfo/")]
    assert json.loads(files[f"components/next/{LOCK_NAME}"])["component"] == "phoban.io/podinfo-next"
    # What both share stays, and nothing is told twice.
    assert ACCOUNT in files and "components/.gitkeep" not in files and files["README.md"] == b"x"
    assert written(files, rendered(**other, replaces=["podinfo"])) == (files, [])
    assert written(files, rendered(**other)) == (files, [])


def test_a_delivery_of_other_workloads_takes_the_place_of_one_that_goes_whole():
    files, _none = written({}, rendered())
    web = (("apps/v1", "Deployment", "web"),)
    assert written(files, rendered(web, name="web", replaces=["podinfo"]))[1] == []


def test_deliveries_beside_each_other():
    files, _none = written({}, rendered())
    written(files, rendered(name="second", target_namespace="second"))
    written(files, rendered(name="second", git_path="./elsewhere"))
    written(files, rendered((("v1", "Service", "podinfo"),), name="second"))
    with pytest.raises(Refused, match="Deployment default/podinfo"):
        written({}, rendered(), rendered(name="second"))


def test_nobody_takes_the_place_of_himself():
    with pytest.raises(InvalidInput, match="components/podinfo"):
        written({}, rendered(replaces=["podinfo"]))
    with pytest.raises(InvalidInput, match="replaces"):
        rendered(replaces=["../podinfo"])


def live(kind, **spec):
    return {"apiVersion": f"{kind}/v1", "kind": kind, "metadata": {"name": "a", "namespace": "b", "uid": "c"}, "spec": spec}


@pytest.mark.parametrize("suspend", [True, False])
@pytest.mark.parametrize(
    "obj, patches",
    [
        (live("Kustomization"), [("Kustomization", ())]),
        (live("HelmRelease"), [("HelmRelease", ())]),
        (live("FluxDeployer", kustomizationTemplate={"path": "./"}), [("FluxDeployer", ("kustomizationTemplate",)), ("Kustomization", ())]),
        (live("FluxDeployer", helmReleaseTemplate={"values": {}}), [("FluxDeployer", ("helmReleaseTemplate",)), ("HelmRelease", ())]),
    ],
)
def test_what_suspends_it(obj, patches, suspend):
    found = suspensions([obj], suspend)
    for patch, (kind, path) in zip(found, patches):
        spec = patch["spec"]
        for key in path:
            spec = spec.pop(key)
        assert (patch["kind"], spec) == (kind, {"suspend": suspend})
        assert patch["metadata"] == {"name": "a", "namespace": "b"}
    assert len(found) == len(patches)
