# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: two images want one place at the target. Every branch of the rule, always before the first write."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    component,
    image_resource,
    local_image,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME, OTHER = "acme.test/product", "acme.test/other"
RED, BLUE, GREEN = (image([layer(colour)]) for colour in ("red", "blue", "green"))
PATH = "into/team/app"


def arguments(source, target, name=NAME, version="1.0.0", **more):
    return dict(source=source.repository(), target=target.repository("into"), component=name, version=version, **more)


def put_image(place, artifact, name=NAME, version="1.0.0"):
    """A component version whose image is the one artifact at team/app:1.0."""
    put_component(
        place, component(name, [image_resource("image", place.put("team/app", artifact, "1.0"), artifact)], version)
    )


def check_refused(target, target_log, call, *words):
    """Refused, in check mode with the same words, and nothing is written."""
    target_log.restart()
    before = target.state()
    checked = fail("ocm_transfer", call, check=True)
    outcome = fail("ocm_transfer", call)
    assert checked.message == outcome.message
    assert target_log.writes() == [] and target.state() == before
    missing = [word for word in words if word not in outcome.message]
    assert not missing, outcome.message


def test_two_images_of_a_plan_want_one_tag(source, start_place, target, target_log):
    """docker.io/bitnami/redis:7 and quay.io/bitnami/redis:7 in small: the host falls away."""
    elsewhere = start_place()
    resources = [
        image_resource("one", source.put("team/app", RED, "1.0"), RED),
        image_resource("two", elsewhere.put("team/app", BLUE, "1.0"), BLUE),
    ]
    put_component(source, component(NAME, resources))
    call = arguments(source, target)
    words = (
        RED.digest,
        BLUE.digest,
        source.image("team/app"),
        elsewhere.image("team/app"),
        "path_mapping",
        "team/app:1.0",
    )
    check_refused(target, target_log, call, *words)
    check_refused(target, target_log, dict(call, overwrite=True), RED.digest, BLUE.digest, "path_mapping")

    mapping = [{"from": f"{elsewhere.host}/team", "to": "elsewhere/team"}]
    succeed("ocm_transfer", dict(call, path_mapping=mapping))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["one"]["imageReference"] == f"{target.image(PATH)}:1.0@{RED.digest}"
    assert found["two"]["imageReference"] == f"{target.image('into/elsewhere/team/app')}:1.0@{BLUE.digest}"
    assert not succeed("ocm_transfer", dict(call, path_mapping=mapping)).result["changed"]


def test_two_components_of_a_plan_want_one_tag(source, start_place, target, target_log):
    elsewhere = start_place()
    child = component(OTHER, [image_resource("image", elsewhere.put("team/app", BLUE, "1.0"), BLUE)])
    put_component(source, child)
    put_component(
        source,
        component(
            NAME,
            [image_resource("image", source.put("team/app", RED, "1.0"), RED)],
            componentReferences=[{"name": "other", "componentName": OTHER, "version": "1.0.0"}],
        ),
    )
    check_refused(target, target_log, arguments(source, target), RED.digest, BLUE.digest, NAME, OTHER, "path_mapping")


def test_one_image_under_one_tag_twice_is_no_conflict(source, target):
    reference = source.put("team/app", RED, "1.0")
    put_component(
        source, component(NAME, [image_resource("one", reference, RED), image_resource("two", reference, RED)])
    )
    succeed("ocm_transfer", arguments(source, target))
    assert target.whole(PATH, RED)


def test_two_images_of_an_archive_want_one_tag(ctf, target, target_log):
    resources = [local_image("one", RED, "team/app:1.0"), local_image("two", BLUE, "team/app:1.0")]
    put_component(ctf, component(NAME, resources))
    check_refused(target, target_log, arguments(ctf, target), RED.digest, BLUE.digest, "path_mapping")


def test_a_tag_that_somebody_else_put_there_stays(source, target, target_log):
    target.put(PATH, BLUE, "1.0")
    put_image(source, RED)
    call = arguments(source, target)
    check_refused(target, target_log, call, RED.digest, BLUE.digest, "team/app:1.0", "path_mapping", "overwrite")
    succeed("ocm_transfer", dict(call, overwrite=True))
    assert target.digest_of(PATH, "1.0") == RED.digest
    assert target.digest_of(PATH, BLUE.digest) == BLUE.digest
    assert not succeed("ocm_transfer", call).result["changed"]


def test_the_same_image_under_a_foreign_tag_is_no_conflict(source, target):
    target.put(PATH, RED, "1.0")
    put_image(source, RED)
    succeed("ocm_transfer", arguments(source, target))
    assert target.digest_of(PATH, "1.0") == RED.digest


def test_a_tag_of_another_component_stays(source, target, target_log):
    put_image(source, BLUE, OTHER)
    succeed("ocm_transfer", arguments(source, target, OTHER))
    put_image(source, RED)
    check_refused(target, target_log, arguments(source, target), RED.digest, BLUE.digest, "path_mapping", "overwrite")


def test_a_tag_that_another_version_of_the_component_put_there_moves(source, target):
    put_image(source, BLUE, version="1.0.0")
    succeed("ocm_transfer", arguments(source, target))
    put_image(source, RED, version="1.1.0")
    outcome = succeed("ocm_transfer", arguments(source, target, version="1.1.0"))
    assert outcome.actions() == {f"{NAME}:1.1.0": "transferred"}
    assert target.digest_of(PATH, "1.0") == RED.digest and target.whole(PATH, BLUE)


def test_two_versions_never_take_turns(source, target, target_log):
    """1.0.0 is there, 1.1.0 took its tag: 1.0.0 still has its image by digest and leaves the tag alone."""
    put_image(source, BLUE, version="1.0.0")
    put_image(source, RED, version="1.1.0")
    for version in ("1.0.0", "1.1.0"):
        succeed("ocm_transfer", arguments(source, target, version=version))
    target_log.restart()
    outcome = succeed("ocm_transfer", arguments(source, target, version="1.0.0"))
    assert not outcome.result["changed"] and target_log.writes() == []
    told = outcome.warnings
    assert RED.digest in told and BLUE.digest in told and "overwrite" in told


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_tag_that_was_moved_by_hand(overwrite, source, target, target_log):
    put_image(source, RED)
    succeed("ocm_transfer", arguments(source, target))
    target.put(PATH, GREEN, "1.0")
    target_log.restart()
    call = arguments(source, target, overwrite=overwrite)
    checked = succeed("ocm_transfer", call, check=True)
    assert target_log.writes() == []
    outcome = succeed("ocm_transfer", call)
    assert checked.result["changed"] == outcome.result["changed"] == overwrite
    if overwrite:
        assert outcome.actions() == {f"{NAME}:1.0.0": "updated"}
        assert target.digest_of(PATH, "1.0") == RED.digest
        assert not succeed("ocm_transfer", call).result["changed"]
    else:
        assert target_log.writes() == [] and target.digest_of(PATH, "1.0") == GREEN.digest
        assert GREEN.digest in outcome.warnings


def test_a_tag_that_was_deleted_is_put_back(source, target):
    put_image(source, RED)
    succeed("ocm_transfer", arguments(source, target))
    (target.registry.storage / "repositories" / PATH / "_manifests" / "tags" / "1.0" / "current" / "link").unlink()
    assert target.digest_of(PATH, "1.0") == "" and target.digest_of(PATH, RED.digest) == RED.digest
    outcome = succeed("ocm_transfer", arguments(source, target))
    assert outcome.result["changed"] and outcome.resource_actions() == {"image": "restored"}
    assert target.digest_of(PATH, "1.0") == RED.digest
    assert not succeed("ocm_transfer", arguments(source, target)).result["changed"]


def test_an_image_that_is_gone_does_not_take_a_foreign_tag(source, target, target_log):
    put_image(source, RED)
    succeed("ocm_transfer", arguments(source, target))
    target.delete_manifest(PATH, RED.digest)
    target.put(PATH, GREEN, "1.0")
    check_refused(target, target_log, arguments(source, target), RED.digest, GREEN.digest, "overwrite")
    succeed("ocm_transfer", arguments(source, target, overwrite=True))
    assert target.digest_of(PATH, "1.0") == RED.digest and target.whole(PATH, RED)


def test_all_conflicts_are_told_at_once(source, target, target_log):
    resources = []
    for number in (1, 2):
        target.put(f"into/team/app{number}", BLUE, "1.0")
        resources.append(image_resource(f"image{number}", source.put(f"team/app{number}", RED, "1.0"), RED))
    put_component(source, component(NAME, resources))
    check_refused(target, target_log, arguments(source, target), "team/app1:1.0", "team/app2:1.0")


@pytest.mark.parametrize(
    "mapping, place",
    [
        ([{"from": "team", "to": "mirror/team"}], "mirror/team/app"),
        ([{"from": "team/app", "to": "x"}, {"from": "team", "to": "y"}], "x"),
        ([{"from": "tea", "to": "y"}], "team/app"),
    ],
    ids=["prefix", "longest", "whole-segments"],
)
def test_path_mapping(mapping, place, source, target):
    put_image(source, RED)
    succeed("ocm_transfer", arguments(source, target, path_mapping=mapping))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image(f'into/{place}')}:1.0@{RED.digest}"
    assert target.whole(f"into/{place}", RED)
