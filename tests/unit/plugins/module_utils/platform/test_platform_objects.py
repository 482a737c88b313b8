# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a platform part: reading and ordering, private images, additions."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform import additions
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform.images import (
    PrivateImages,
    image_references,
    resource_images,
    rewrite_images,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform.objects import read_objects

DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: source-controller
spec:
  template:
    spec:
      initContainers:
        - {name: init, image: busybox}
      containers:
        - name: manager
          image: ghcr.io/fluxcd/source-controller:v1.9.4
          args: [--log-level=info, --storage-path=/data]
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {group: example.com}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: flux-system}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: source-controller, namespace: flux-system}\n"


def objects_of(*documents):
    return read_objects({"flux.yaml": "---\n".join(documents)}, "flux-system")


def manager_of(objects):
    return [item for item in objects if item["kind"] == "Deployment"][0]["spec"]["template"]["spec"]["containers"][0]


def test_objects_come_in_the_order_in_which_they_can_be_applied():
    kinds = [item["kind"] for item in objects_of(DEPLOYMENT, SERVICE, DEFINITION, NAMESPACE)]
    assert kinds == ["Namespace", "CustomResourceDefinition", "Service", "Deployment"]


def test_objects_without_a_namespace_get_it_and_cluster_scoped_ones_do_not():
    namespaces = {item["kind"]: item["metadata"].get("namespace") for item in objects_of(DEPLOYMENT, DEFINITION)}
    assert namespaces == {"Deployment": "flux-system", "CustomResourceDefinition": None}


def test_comments_empty_documents_and_lists_are_read():
    text = f"# comment only\n---\n---\n{NAMESPACE}\n--- # next\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Secret, metadata: {{name: s}}}}\n"
    assert [item["kind"] for item in read_objects({"a.yaml": text}, "flux-system")] == ["Namespace", "Secret"]


def test_dashes_inside_a_text_do_not_end_a_document():
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  text: |\n    a\n    ---\n    b\n"
    (item,) = read_objects({"a.yaml": text}, "flux-system")
    assert item["data"]["text"] == "a\n---\nb\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no Kubernetes objects"),
        ("a: 1\n", "apiVersion and kind are missing"),
        ("apiVersion: v1\nkind: Service\nmetadata: {}\n", "has no name"),
        (SERVICE.replace("flux-system", "other"), "Service other/source-controller does not belong into the namespace flux-system"),
        (NAMESPACE.replace("flux-system", "other"), "Namespace other does not belong"),
        (SERVICE + "---\n" + SERVICE, "Service flux-system/source-controller twice"),
        ("a: [\n", "flux.yaml, document 1"),
    ],
)
def test_what_is_no_set_of_objects_is_refused(text, words):
    with pytest.raises(InvalidContent, match=words):
        read_objects({"flux.yaml": text}, "flux-system")


def test_images_are_those_of_all_containers_once():
    assert image_references(objects_of(DEPLOYMENT)) == ["busybox", "ghcr.io/fluxcd/source-controller:v1.9.4"]


def test_without_a_component_images_are_written_as_a_transfer_writes_them():
    objects = objects_of(DEPLOYMENT)
    mapping = rewrite_images(objects, PrivateImages("reg.test:5000/air"))
    assert mapping == {
        "busybox": "reg.test:5000/air/library/busybox",
        "ghcr.io/fluxcd/source-controller:v1.9.4": "reg.test:5000/air/fluxcd/source-controller:v1.9.4",
    }
    assert manager_of(objects)["image"] == "reg.test:5000/air/fluxcd/source-controller:v1.9.4"


def test_images_are_left_alone_without_a_registry_and_when_they_are_private_already():
    assert PrivateImages().find("ghcr.io/a/b:1") == "ghcr.io/a/b:1"
    assert PrivateImages("reg.test/air").find("reg.test/air/a/b:1") == "reg.test/air/a/b:1"
    assert PrivateImages("reg.test/air").find("reg.test/airport/b:1") == "reg.test/air/airport/b:1"


@pytest.mark.parametrize(
    "resources, mapping, image, expected",
    [
        (["reg.test/air/fluxcd/sc:v1@" + DIGEST], (), "ghcr.io/fluxcd/sc:v1", "reg.test/air/fluxcd/sc:v1@" + DIGEST),
        (["reg.test/air/fluxcd/sc:v1@" + DIGEST], (), "reg.test/air/fluxcd/sc:v1", "reg.test/air/fluxcd/sc:v1@" + DIGEST),
        (["reg.test/air/mirror/fluxcd/sc:v1"], (), "ghcr.io/fluxcd/sc:v1", "reg.test/air/mirror/fluxcd/sc:v1"),
        (["reg.test/air/flux/sc:v1"], (("ghcr.io/fluxcd", "flux"),), "ghcr.io/fluxcd/sc:v1", "reg.test/air/flux/sc:v1"),
        (["reg.test/air/library/registry:3@" + DIGEST], (), "registry:3", "reg.test/air/library/registry:3@" + DIGEST),
        (["http://reg.test/air/a/b@" + DIGEST], (), "x.test/a/b@" + DIGEST, "reg.test/air/a/b@" + DIGEST),
    ],
)
def test_with_a_component_images_are_its_resources(resources, mapping, image, expected):
    assert PrivateImages("reg.test/air", {}, resources, mapping).find(image) == expected


@pytest.mark.parametrize("image", ["ghcr.io/fluxcd/sc:v2", "ghcr.io/fluxcd/kc:v1", "ghcr.io/xfluxcd/sc:v1", "ghcr.io/fluxcd/sc@" + OTHER_DIGEST])
def test_an_image_that_the_component_lacks_is_an_error(image):
    with pytest.raises(InvalidContent, match="has no resource for the image"):
        PrivateImages("reg.test/air", {}, ["reg.test/air/fluxcd/sc:v1@" + DIGEST]).find(image)


def test_an_image_that_could_be_two_resources_is_an_error():
    resources = ["reg.test/air/x/sc:v1", "reg.test/air/y/sc:v1"]
    with pytest.raises(InvalidContent, match="could be each of reg.test/air/x/sc:v1, reg.test/air/y/sc:v1"):
        PrivateImages("reg.test/air", {}, resources).find("ghcr.io/sc:v1")


def test_an_explicit_reference_wins():
    assert PrivateImages("reg.test/air", {"ghcr.io/a/b:1": "other.test/b:1"}, []).find("ghcr.io/a/b:1") == "other.test/b:1"


def test_an_archive_is_no_place_to_pull_from():
    with pytest.raises(InvalidInput, match="is no registry"):
        PrivateImages("./a.tgz").find("ghcr.io/a/b:1")


def test_only_resources_with_an_image_reference_count():
    resources = [{"access": {"type": "ociArtifact", "imageReference": "a.test/b:1"}}, {"access": {"type": "localBlob"}}, {"access": None}]
    assert resource_images(resources) == ["a.test/b:1"]


def test_additions_are_made_once():
    objects, states = objects_of(DEPLOYMENT, SERVICE), []
    for _time in range(2):
        additions.add_label(objects, "flux")
        additions.add_pull_secret(objects, "pull")
        additions.add_authorities(objects, "authorities", "PEM")
        additions.add_annotations(objects, {"source-controller": {"a": "1"}})
        additions.set_arguments(objects, {"source-controller": {"--log-level": "debug", "--new": "x"}})
        states.append(copy.deepcopy(objects))
    assert states[0] == states[1]
    assert all(item["metadata"]["labels"] == {"ocm.airgap/platform": "flux"} for item in objects)
    template = objects[-1]["spec"]["template"]
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert template["spec"]["volumes"] == [{"name": "ocm-airgap-ca", "configMap": {"name": "authorities"}}]
    mount = {"name": "ocm-airgap-ca", "mountPath": "/etc/ssl/certs/ocm-airgap-ca.pem", "subPath": "ca.crt", "readOnly": True}
    assert [entry["volumeMounts"] for key in ("initContainers", "containers") for entry in template["spec"][key]] == [[mount], [mount]]
    assert manager_of(objects)["args"] == ["--storage-path=/data", "--log-level=debug", "--new=x"]


def test_other_authorities_roll_the_pods():
    found = []
    for pem in ("one", "two"):
        objects = objects_of(DEPLOYMENT)
        additions.add_authorities(objects, "authorities", pem)
        found.append(objects[0]["spec"]["template"]["metadata"]["annotations"]["ocm.airgap/ca-digest"])
    assert found[0] != found[1]


def test_a_deployment_that_is_not_there_cannot_be_annotated():
    with pytest.raises(InvalidInput, match="no Deployment 'registry'; they have source-controller"):
        additions.add_annotations(objects_of(DEPLOYMENT), {"registry": {"a": "1"}})
