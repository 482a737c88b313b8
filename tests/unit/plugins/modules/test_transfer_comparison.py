# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: a version that the target has already is compared, and what belongs to it is followed."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    artifact_digest,
    blob_digest,
    component,
    image_resource,
    local,
    put_component,
    read_component,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
IMAGE = image([layer("image")])
SIGNATURE = {
    "name": "acme",
    "digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "jsonNormalisation/v3", "value": "00"},
    "signature": {"algorithm": "RSASSA-PKCS1-V1_5", "mediaType": "application/vnd.ocm.signature.rsa", "value": "00"},
}


def arguments(source, target, **more):
    return dict(
        dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0"), **more
    )


def product(source, **more):
    resources = [
        local("text", b"text\n", labels=[{"name": "kind", "value": "a"}]),
        image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE),
    ]
    return component(NAME, resources, labels=[{"name": "covered", "value": 1, "signing": True}], **more)


def changed(descriptor, action):
    result = copy.deepcopy(descriptor)
    action(result["component"])
    return result


def other_text(part):
    part["resources"][0].update(local("text", b"other\n"))


def other_label(part):
    part["labels"][0]["value"] = 2


def other_order(part):
    part["resources"].reverse()


def one_more(part):
    part["resources"].append(local("more", b"more"))


def other_provider(part):
    part["provider"] = "somebody.else"


def other_type(part):
    part["resources"][1]["type"] = "else"


SIGNED = {
    "content": (other_text, [digest(b"text\n")[7:], digest(b"other\n")[7:]]),
    "label": (other_label, ["covered"]),
    "order": (other_order, ["order"]),
    "resource": (one_more, ["more"]),
    "provider": (other_provider, ["acme.test", "somebody.else"]),
    "type": (other_type, ["ociImage", "else"]),
}


@pytest.mark.parametrize("difference", sorted(SIGNED))
def test_what_a_signature_covers_is_not_replaced_unasked(difference, source, target, target_log):
    action, words = SIGNED[difference]
    descriptor = product(source)
    put_component(source, descriptor)
    succeed("ocm_transfer", arguments(source, target))
    put_component(source, changed(descriptor, action))
    target_log.restart()
    outcome = fail("ocm_transfer", arguments(source, target))
    assert target_log.writes() == []
    assert all(word in outcome.message for word in [*words, "overwrite", f"{NAME}:1.0.0"]), outcome.message

    replaced = succeed("ocm_transfer", arguments(source, target, overwrite=True))
    assert replaced.actions() == {f"{NAME}:1.0.0": "updated"}
    wanted, found = changed(descriptor, action)["component"], read_component(target, NAME, prefix="into")["component"]
    assert [item["name"] for item in found["resources"]] == [item["name"] for item in wanted["resources"]]
    assert (found["labels"], found["provider"]) == (wanted["labels"], wanted["provider"])
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]


def test_every_difference_is_listed(source, target):
    put_component(source, product(source))
    succeed("ocm_transfer", arguments(source, target))
    put_component(source, changed(changed(product(source), one_more), other_provider))
    message = fail("ocm_transfer", arguments(source, target)).message
    assert "more" in message and "somebody.else" in message


def test_labels_and_signatures_are_updated_and_nothing_else_moves(source, target, target_log, source_log):
    put_component(source, product(source))
    succeed("ocm_transfer", arguments(source, target))
    before = read_component(target, NAME, prefix="into")

    def relabel(part):
        part["labels"].append({"name": "note", "value": "new"})
        part["resources"][0]["labels"][0]["value"] = "b"

    put_component(source, changed(product(source, signatures=[SIGNATURE]), relabel))
    for log in (target_log, source_log):
        log.restart()
    outcome = succeed("ocm_transfer", arguments(source, target))
    assert outcome.actions() == {f"{NAME}:1.0.0": "updated"}
    assert outcome.resource_actions() == {"text": "unchanged", "image": "unchanged"}
    after = read_component(target, NAME, prefix="into")
    assert after["signatures"] == [SIGNATURE] and {"name": "note", "value": "new"} in after["component"]["labels"]
    assert after["component"]["resources"][0]["labels"] == [{"name": "kind", "value": "b"}]
    assert accesses(after) == accesses(before)
    assert not {digest(b"text\n"), *IMAGE.blobs} & set(target_log.blob_uploads())
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]


def test_what_only_the_target_has_signed_stays(source, target, target_log):
    put_component(source, product(source))
    succeed("ocm_transfer", arguments(source, target))
    there = read_component(target, NAME, prefix="into")
    there["component"]["resources"][0]["content"] = b"text\n"
    put_component(target, dict(there, signatures=[SIGNATURE]), "into")
    target_log.restart()
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]
    assert read_component(target, NAME, prefix="into")["signatures"] == [SIGNATURE]


def test_time_and_place_are_no_difference(source, target, target_log):
    put_component(source, product(source))
    succeed("ocm_transfer", arguments(source, target))
    moved = changed(product(source), lambda part: part.update(creationTime="2027-01-01T00:00:00Z"))
    put_component(source, moved)
    target_log.restart()
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]
    assert target_log.writes() == []


def test_the_generic_name_of_an_images_digest_is_no_difference(source, target, target_log):
    put_component(source, product(source))
    succeed("ocm_transfer", arguments(source, target))

    def renamed(part):
        part["resources"][1]["digest"] = blob_digest(IMAGE.digest)

    put_component(source, changed(product(source, signatures=[SIGNATURE]), renamed))
    outcome = succeed("ocm_transfer", arguments(source, target))
    found = read_component(target, NAME, prefix="into")
    assert found["component"]["resources"][1]["digest"] == artifact_digest(IMAGE.digest)
    told = outcome.warnings
    assert "genericBlobDigest/v1" in told and "ociArtifactDigest/v1" in told and "signature" in told
    target_log.restart()
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]
    assert target_log.writes() == []


def put_tree(place, references):
    """Component versions acme.test/<name>:1.0.0 that refer to each other."""
    for name, children in references.items():
        listed = [reference(child, f"acme.test/{child}") for child in children]
        put_component(place, component(f"acme.test/{name}", [local("text", name.encode())], componentReferences=listed))


def test_references_come_before_what_refers_to_them_and_each_once(source, target, target_log, source_log):
    put_tree(source, {"leaf": [], "left": ["leaf"], "right": ["leaf"], "product": ["left", "right"]})
    source_log.restart()
    outcome = succeed("ocm_transfer", arguments(source, target))
    names = [item["component"].rpartition("/")[2] for item in outcome.result["component_versions"]]
    assert names == ["leaf", "left", "right", "product"]
    read = [
        path for method, path, _status in source_log.requests() if method == "GET" and path.endswith("manifests/1.0.0")
    ]
    assert len(read) == len(set(read)) == 4
    tagged = [
        path for method, path, _status in target_log.writes() if method == "PUT" and path.endswith("manifests/1.0.0")
    ]
    assert [path.split("/")[-3] for path in tagged] == names


def test_a_cycle_is_refused_and_named(source, target, target_log):
    put_tree(source, {"leaf": ["product"], "left": ["leaf"], "product": ["left"]})
    message = fail("ocm_transfer", arguments(source, target)).message
    wanted = " -> ".join(f"acme.test/{name}:1.0.0" for name in ("product", "left", "leaf", "product"))
    assert wanted in message and target_log.requests() == []


def test_without_recursion_references_dangle_and_that_is_said(source, target):
    put_tree(source, {"leaf": [], "product": ["leaf"]})
    outcome = succeed("ocm_transfer", arguments(source, target, recursive=False))
    assert list(outcome.actions()) == [f"{NAME}:1.0.0"]
    told = outcome.warnings
    assert "acme.test/leaf:1.0.0" in told and "recursive" in told


def test_a_missing_reference_is_named_with_the_way_to_it(source, target, target_log):
    put_tree(source, {"left": ["leaf"], "product": ["left"]})
    message = fail("ocm_transfer", arguments(source, target)).message
    assert "acme.test/product:1.0.0 -> acme.test/left:1.0.0" in message and "acme.test/leaf:1.0.0" in message
    assert target_log.writes() == []


def test_a_resource_of_type_none_beside_sources_by_reference_changes_nothing(source, target, target_log):
    code = {
        "name": "code",
        "version": "1.0.0",
        "type": "git",
        "access": {"type": "gitHub", "repoUrl": "x.invalid/y", "commit": "0" * 40},
    }
    put_component(source, component(NAME, [resource("nothing", {"type": "none"})], sources=[code]))
    succeed("ocm_transfer", arguments(source, target))
    target_log.restart()
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]
    assert target_log.writes() == []
