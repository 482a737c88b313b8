# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: single resources are put right at a target that has the component version; others are left alone."""

from __future__ import annotations

import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    component,
    folder_of,
    image_resource,
    local,
    put_component,
    read_component,
    read_manifest,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, image, layer, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

NAME, CHILD = "acme.test/product", "acme.test/part"
FOLDER = folder_of(NAME, "into")
RED, BLUE, GREEN = two_platforms("red"), two_platforms("blue"), image([layer("green")])
RED_PATH, BLUE_PATH = "into/team/red", "into/team/blue"
RED_LAYER, BLUE_LAYER = digest(layer("red amd64")), digest(layer("blue amd64"))
TEXT, NOTE = b"some text\n", b"a note\n"
VERSION = f"{NAME}:1.0.0"


@pytest.fixture
def moved(source, target):
    """A component with two images and two local blobs that was moved; its value is the module's arguments."""
    put_component(source, component(NAME, both_images(source) + [local("text", TEXT), local("note", NOTE)]))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    return call


def both_images(source):
    return [
        image_resource("red", source.put("team/red", RED, "1.0"), RED),
        image_resource("blue", source.put("team/blue", BLUE, "1.0"), BLUE),
    ]


def put_right(call, target_log, name):
    """In check mode and for real; twice. One resource is restored, nothing else is said to be."""
    expected = dict(dict.fromkeys(("red", "blue", "text", "note"), "unchanged"), **{name: "restored"})
    target_log.restart()
    predicted = succeed("ocm_transfer", call, check=True, diff=True)
    assert target_log.writes() == []
    outcome = succeed("ocm_transfer", call, diff=True)
    for each in (predicted, outcome):
        assert each.result["changed"] and each.actions() == {VERSION: "updated"}
        assert each.resource_actions() == expected
    assert predicted.result["diff"] == outcome.result["diff"]
    target_log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert target_log.writes() == []


def asked_for(target_log, text):
    return [path for _method, path, _status in target_log.requests() if text in path]


@BOTH
@pytest.mark.parametrize("check", ["manifests", "blobs", "content"])
def test_of_two_lost_images_the_named_one_is_put_back(check, moved, target, target_log):
    target.delete_manifest(RED_PATH, RED.digest)
    target.delete_manifest(BLUE_PATH, BLUE.digest)
    put_right(dict(moved, resources=["red"], check=check), target_log, "red")
    assert target.whole(RED_PATH, RED) and target.digest_of(RED_PATH, "1.0") == RED.digest
    assert target.digest_of(BLUE_PATH, BLUE.digest) == ""


@pytest.mark.parametrize(
    "name, own, other, path",
    [("red", RED_LAYER, BLUE_LAYER, RED_PATH), ("text", digest(TEXT), digest(NOTE), FOLDER)],
    ids=["layer", "local-blob"],
)
def test_of_two_lost_blobs_that_of_the_named_resource_is_put_back(name, own, other, path, moved, target, target_log):
    for key in (own, other):
        target.registry.blobs()[key].unlink()
    put_right(dict(moved, resources=[name], check="blobs"), target_log, name)
    assert target.has_blob(path, own) and other not in target.registry.blobs()


def test_a_lost_platform_of_the_named_image_is_put_back(moved, target, target_log):
    target.delete_manifest(RED_PATH, digest(RED.manifests[0][1]))
    put_right(dict(moved, resources=[{"name": "red"}], check="blobs"), target_log, "red")
    assert target.whole(RED_PATH, RED)


def test_nothing_is_asked_about_the_others(moved, target, target_log, source_log):
    for log in (target_log, source_log):
        log.restart()
    outcome = succeed("ocm_transfer", dict(moved, resources=["red"], check="content"))
    assert not outcome.result["changed"] and outcome.resource_actions()["blue"] == "unchanged"
    assert asked_for(target_log, RED_PATH) and not asked_for(target_log, BLUE_PATH)
    assert not {digest(TEXT), digest(NOTE)} & set(target_log.blob_reads())
    assert not asked_for(source_log, "team/")


def test_the_others_are_told_as_a_whole_transfer_tells_them(moved):
    single = succeed("ocm_transfer", dict(moved, resources=["red"]))
    assert single.result["resources"] == succeed("ocm_transfer", moved).result["resources"]


def test_damage_of_others_is_not_in_the_way(moved, target, target_log):
    stored = target.registry.blobs()[BLUE_LAYER]
    stored.write_bytes(b"x" + stored.read_bytes()[1:])
    fail("ocm_transfer", dict(moved, check="content"))
    target.delete_manifest(RED_PATH, RED.digest)
    put_right(dict(moved, resources=["red"], check="content"), target_log, "red")


def test_content_of_others_that_the_source_has_lost_is_not_in_the_way(moved, source, target, target_log):
    for place, path, artifact in ((source, "team/blue", BLUE), (target, BLUE_PATH, BLUE), (target, RED_PATH, RED)):
        place.delete_manifest(path, artifact.digest)
    fail("ocm_transfer", moved)
    put_right(dict(moved, resources=["red"]), target_log, "red")


def test_a_deleted_tag_of_the_named_image_is_set_again(moved, target, target_log):
    for path in (RED_PATH, BLUE_PATH):
        (target.registry.storage / "repositories" / path / "_manifests" / "tags" / "1.0" / "current" / "link").unlink()
    put_right(dict(moved, resources=["red"]), target_log, "red")
    assert target.digest_of(RED_PATH, "1.0") == RED.digest and target.digest_of(BLUE_PATH, "1.0") == ""


@pytest.mark.parametrize("check", ["manifests", "blobs"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_moved_tag_of_the_named_image_is_set_again(is_lost, check, moved, target, target_log):
    for path in (RED_PATH, BLUE_PATH):
        target.put(path, GREEN, "1.0")
    if is_lost:
        target.delete_manifest(RED_PATH, RED.digest)
    put_right(dict(moved, resources=["red"], check=check), target_log, "red")
    assert target.digest_of(RED_PATH, "1.0") == RED.digest and target.digest_of(BLUE_PATH, "1.0") == GREEN.digest
    assert target.whole(RED_PATH, RED)


def test_a_tag_that_another_version_has_by_right_is_told_and_with_overwrite_set_again(moved, source, target, target_log):
    green = image_resource("red", source.put("team/red", GREEN, "1.0"), GREEN)
    put_component(source, component(NAME, [green], version="1.1.0"))
    succeed("ocm_transfer", dict(moved, version="1.1.0"))
    assert target.digest_of(RED_PATH, "1.0") == GREEN.digest
    target_log.restart()
    told = succeed("ocm_transfer", dict(moved, resources=["red"]))
    assert not told.result["changed"] and target_log.writes() == []
    assert RED_PATH in told.warnings and GREEN.digest in told.warnings and "overwrite" in told.warnings
    put_right(dict(moved, resources=["red"], overwrite=True), target_log, "red")
    assert target.digest_of(RED_PATH, "1.0") == RED.digest


def test_a_resource_that_stayed_outside_does_not_take_a_foreign_tag(source, target, target_log):
    put_component(source, component(NAME, both_images(source)))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", dict(call, copy_resources=False))
    target.put(RED_PATH, GREEN, "1.0")
    refused(dict(call, resources=["red"]), target_log, RED.digest, GREEN.digest, "overwrite")


def refused(call, target_log, *words):
    target_log.restart()
    checked, outcome = fail("ocm_transfer", call, check=True), fail("ocm_transfer", call)
    assert checked.message == outcome.message and target_log.writes() == []
    assert not [word for word in words if word not in outcome.message], outcome.message


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_component_version_that_is_not_there_needs_the_whole_transfer(overwrite, moved, target, target_log):
    target.delete_manifest(FOLDER, target.digest_of(FOLDER, "1.0.0"))
    call = dict(moved, resources=["red"], overwrite=overwrite)
    refused(call, target_log, VERSION, target.host, "does not have", "leave out resources")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_component_version_that_differs_needs_the_whole_transfer(overwrite, moved, source, target_log):
    put_component(source, component(NAME, both_images(source) + [local("text", NOTE), local("note", NOTE)]))
    call = dict(moved, resources=["red"], overwrite=overwrite)
    refused(call, target_log, VERSION, "resource text", "differs", "leave out resources")


def test_one_target_without_the_component_version_does_not_stop_the_other(moved, target):
    target.delete_manifest(RED_PATH, RED.digest)
    targets = [target.repository("elsewhere"), target.repository("into")]
    outcome = fail("ocm_transfer", dict(moved, target=targets, resources=["red"]))
    assert "elsewhere" in outcome.message and outcome.resource_actions()["red"] == "restored"
    assert target.whole(RED_PATH, RED)


def test_what_a_signature_does_not_cover_is_left_as_it_is(moved, source, target, target_log):
    labels = [{"name": "acme.test/colour", "value": "red"}]
    resources = both_images(source) + [local("text", TEXT), local("note", NOTE)]
    put_component(source, component(NAME, resources, labels=labels))
    target.delete_manifest(RED_PATH, RED.digest)
    before = read_manifest(target, NAME, prefix="into")
    put_right(dict(moved, resources=["red"]), target_log, "red")
    assert read_manifest(target, NAME, prefix="into") == before


@pytest.mark.parametrize(
    "names, word",
    [(["redd"], "Did you mean red?"), ([{"name": "red", "os": "linux"}], "os=linux"), ([], "empty"), ([7], "7")],
    ids=["unknown", "identity", "none", "no-selector"],
)
def test_what_names_no_resource_is_an_error(names, word, moved, target_log):
    refused(dict(moved, resources=names), target_log, word)


def test_an_exact_identity_means_one_of_two_resources_of_one_name(source, target):
    put_component(
        source,
        component(
            NAME,
            [
                image_resource("app", source.put("team/red", RED, "1.0"), RED),
                image_resource("app", source.put("team/blue", BLUE, "1.0"), BLUE, extraIdentity={"colour": "blue"}),
            ],
        ),
    )
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    target.delete_manifest(RED_PATH, RED.digest)
    target.delete_manifest(BLUE_PATH, BLUE.digest)
    succeed("ocm_transfer", dict(call, resources=["app"]))
    assert target.whole(RED_PATH, RED) and target.digest_of(BLUE_PATH, BLUE.digest) == ""
    succeed("ocm_transfer", dict(call, resources=[{"name": "app", "colour": "blue"}]))
    assert target.whole(BLUE_PATH, BLUE)


def test_component_versions_without_a_named_resource_are_passed_over(source, target, target_log):
    put_component(source, component(CHILD, [image_resource("red", source.put("team/red", RED, "1.0"), RED)]))
    blue = image_resource("blue", source.put("team/blue", BLUE, "1.0"), BLUE)
    put_component(source, component(NAME, [blue], componentReferences=[reference("part", CHILD)]))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    target.delete_manifest(RED_PATH, RED.digest)
    target_log.restart()
    outcome = succeed("ocm_transfer", dict(call, resources=["red"]))
    assert outcome.actions() == {f"{CHILD}:1.0.0": "updated"} and outcome.resource_actions() == {"red": "restored"}
    assert not asked_for(target_log, FOLDER) and target.whole(RED_PATH, RED)
    alone = dict(call, component=NAME, resources=["blue"], recursive=False)
    assert "recursive" not in succeed("ocm_transfer", alone).warnings


def test_others_that_cannot_be_moved_are_not_in_the_way(source, target, target_log):
    access = {"type": "npm", "registry": "https://registry.invalid", "package": "yargs", "version": "1.0.0"}
    red = image_resource("red", source.put("team/red", RED, "1.0"), RED)
    put_component(source, component(NAME, [red, resource("stuck", access)]))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", dict(call, by_reference_access_types=["npm"]))
    target.delete_manifest(RED_PATH, RED.digest)
    outcome = succeed("ocm_transfer", dict(call, resources=["red"]))
    assert outcome.resource_actions() == {"red": "restored", "stuck": "unchanged"}
    assert "npm" in fail("ocm_transfer", dict(call, resources=["stuck"])).message


def test_one_resource_that_stayed_outside_is_moved(source, target, target_log):
    put_component(source, component(NAME, both_images(source) + [local("text", TEXT)]))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", dict(call, copy_resources=False))
    before = accesses(read_component(target, NAME, prefix="into"))
    outcome = succeed("ocm_transfer", dict(call, resources=["red"]))
    assert outcome.resource_actions() == {"red": "transferred", "blue": "unchanged", "text": "unchanged"}
    after = accesses(read_component(target, NAME, prefix="into"))
    assert after == dict(before, red=dict(before["red"], imageReference=f"{target.image(RED_PATH)}:1.0@{RED.digest}"))
    assert target.whole(RED_PATH, RED) and target.tags(BLUE_PATH) == []
    layers = [entry["digest"] for entry in read_manifest(target, NAME, prefix="into")["layers"]]
    assert digest(TEXT) in layers
    assert not succeed("ocm_transfer", dict(call, resources=["red"])).result["changed"]


@pytest.mark.parametrize("form", ["archive", "archive.tgz"])
@pytest.mark.parametrize("name, other", [("red", "text"), ("text", "red")])
def test_of_two_lost_blobs_of_an_archive_one_is_put_back(form, name, other, source, tmp_path):
    put_component(source, component(NAME, both_images(source) + [local("text", TEXT)]))
    call = dict(source=source.repository(), target=str(tmp_path / "archive"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    place = CtfPlace(tmp_path / "archive")
    kept = accesses(read_component(place, NAME))
    paths = {key: place.blob_path(kept[key]["localReference"]) for key in (name, other)}
    content = paths[name].read_bytes()
    for path in paths.values():
        path.unlink()
    if form.endswith("tgz"):
        call["target"] = packed(place, tmp_path / form)
    for check in (True, False):
        outcome = succeed("ocm_transfer", dict(call, resources=[name]), check=check)
        assert outcome.result["changed"] and outcome.resource_actions()[name] == "restored"
    assert not succeed("ocm_transfer", dict(call, resources=[name], check="content")).result["changed"]
    assert succeed("ocm_transfer", call, check=True).resource_actions()[other] == "restored"
    if form == "archive":
        assert paths[name].read_bytes() == content and not paths[other].exists()


def packed(place, path):
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(place.folder.rglob("*")):
            archive.add(file, str(file.relative_to(place.folder)), recursive=False)
    return str(path)
