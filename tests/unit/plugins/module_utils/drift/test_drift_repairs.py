# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transfers put a registry right, and which versions the deliveries keep."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.repairs import repairs_of, with_locked
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput


def items(*objects, scope="registry"):
    return [dict(object=each, scope=scope, keepers=[]) for each in objects]


def transfers(*objects):
    return repairs_of(items(*objects))["transfers"]


def test_resources_of_one_version_are_one_transfer():
    found = transfers("example.org/podinfo:6.3.5/image", "example.org/podinfo:6.3.5/deployment")
    assert found == [
        dict(component="example.org/podinfo", version="6.3.5", resources=[{"name": "image"}, {"name": "deployment"}])
    ]


def test_each_version_is_a_transfer_of_its_own():
    found = transfers("a.org/x:1.0.0/i", "a.org/y:1.0.0/i", "a.org/x:2.0.0/i")
    assert [(each["component"], each["version"]) for each in found] == [
        ("a.org/x", "1.0.0"), ("a.org/y", "1.0.0"), ("a.org/x", "2.0.0"),
    ]


def test_what_differs_twice_is_named_once():
    (found,) = transfers("a.org/x:1.0.0/i", "a.org/x:1.0.0/i")
    assert found["resources"] == [{"name": "i"}]


@pytest.mark.parametrize("order", [1, -1])
def test_a_version_that_is_gone_needs_everything(order):
    (found,) = transfers(*["a.org/x:1.0.0/i", "a.org/x:1.0.0"][::order])
    assert found["resources"] == []


def test_an_identity_of_several_attributes():
    (found,) = transfers("a.org/x:1.0.0+build.1/cli[architecture=amd64,os=linux]")
    assert found == dict(
        component="a.org/x", version="1.0.0+build.1",
        resources=[{"name": "cli", "architecture": "amd64", "os": "linux"}],
    )


def test_what_is_no_content_is_refused():
    with pytest.raises(InvalidInput, match="Secret a/b"):
        transfers("Secret a/b")


def test_versions_are_those_of_the_locks():
    components = [dict(name="a", component="x.org/a", version=""), dict(name="b", component="x.org/b", version="2.0.0")]
    deliveries = [dict(name="b", version="1.0.0")]
    assert with_locked(components, deliveries) == [dict(name="b", component="x.org/b", version="1.0.0")]
    component = dict(name="My_App", component="x.org/My_App", version="")
    (found,) = with_locked([component], [dict(name="my-app", version="2.0.0")])
    assert (found["name"], found["version"]) == ("my-app", "2.0.0")


def test_secrets_and_accounts():
    objects = ("Secret ocm-system/pull", "Secret podinfo/pull", "ServiceAccount ocm-system/ops")
    found = repairs_of(items(*objects, scope="credentials"))
    assert found["namespaces"] == ["ocm-system", "podinfo"]
    assert found["service_accounts"] == [dict(namespace="ocm-system", name="ops")]


def test_files_are_named_once():
    first, second = "components/podinfo/a copy.yaml", "apps/podinfo/b.yaml"
    objects = {f"{first} Deployment x/y": first, first: first, second: second}
    found = [dict(each, file=objects[each["object"]]) for each in items(*objects, scope="git")]
    assert repairs_of(found)["files"] == [first, second]


def test_suspended_objects_have_their_api():
    (found,) = repairs_of(items("Kustomization flux-system/podinfo", scope="suspended"))["suspended"]
    assert found == dict(
        api_version="kustomize.toolkit.fluxcd.io/v1", kind="Kustomization", namespace="flux-system", name="podinfo"
    )
    with pytest.raises(InvalidInput, match="Deployment"):
        repairs_of(items("Deployment a/b", scope="suspended"))


def test_every_keeper_is_asked_once():
    keepers = [keeper(kind) for kind in ("GitRepository", "Kustomization")]
    both = [dict(each, keepers=keepers) for each in items("Deployment a/b", "Service a/b", scope="cluster")]
    assert repairs_of(both)["keepers"] == [dict(each, of_flux=True) for each in keepers]
    assert repairs_of(both)["flux"] is False
    assert repairs_of(items("Kustomization flux-system/components", scope="cluster"))["flux"] is True


@pytest.mark.parametrize("kind", ["ComponentVersion", "Resource", "Localization", "Configuration", "FluxDeployer"])
def test_objects_of_ocm_controller_are_not_asked_like_those_of_flux(kind):
    (item,) = items(f"{kind} a/b", scope="cluster")
    item["keepers"] = [keeper(kind, "delivery.ocm.software/v1alpha1")]
    (found,) = repairs_of([item])["keepers"]
    assert (found["kind"], found["of_flux"]) == (kind, False)


def keeper(kind, api_version=""):
    apis = {"GitRepository": "source.toolkit.fluxcd.io/v1", "Kustomization": "kustomize.toolkit.fluxcd.io/v1"}
    return dict(api_version=api_version or apis[kind], kind=kind, namespace="flux-system", name="podinfo")


def test_nothing_is_done_for_nothing():
    assert not any(repairs_of([]).values())
