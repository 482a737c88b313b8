# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: what was lost at the target since is found, as deep as `check` looks, and put back."""

from __future__ import annotations

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
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, layer, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

NAME, PATH = "acme.test/product", "into/team/app"
FOLDER = folder_of(NAME, "into")
IMAGE = two_platforms("image", attested=True)
TEXT = b"some text\n"
MAIN, CHILD = IMAGE.digest, digest(IMAGE.manifests[0][1])
LAYER = digest(layer("image amd64"))


@pytest.fixture
def moved(source, target):
    """A component that was moved; its value is the module's arguments."""
    resources = [local("text", TEXT), image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]
    put_component(source, component(NAME, resources))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    return call


def repair(call, target_log, check, expected):
    """In check mode and for real; twice. The same is told both times, and writing happens once."""
    call = dict(call, check=check)
    target_log.restart()
    predicted = succeed("ocm_transfer", call, check=True)
    assert target_log.writes() == []
    outcome = succeed("ocm_transfer", call)
    for each in (predicted, outcome):
        assert each.result["changed"] and each.actions() == {f"{NAME}:1.0.0": "updated"}
        assert each.resource_actions() == expected
    target_log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert target_log.writes() == []


def believed(call, target_log, check):
    target_log.restart()
    assert not succeed("ocm_transfer", dict(call, check=check)).result["changed"]
    assert target_log.writes() == []


@BOTH
def test_a_deleted_image_is_put_back(moved, target, target_log):
    target.delete_manifest(PATH, MAIN)
    assert target.tags(PATH) == []
    repair(moved, target_log, "manifests", {"text": "unchanged", "image": "restored"})
    assert target.digest_of(PATH, "1.0") == MAIN and target.whole(PATH, IMAGE)


def test_only_what_is_gone_is_sent(moved, target, target_log, source_log):
    target.delete_manifest(PATH, MAIN)
    for log in (target_log, source_log):
        log.restart()
    succeed("ocm_transfer", moved)
    assert target_log.blob_uploads() == [] and not set(source_log.blob_reads()) & set(IMAGE.blobs)


@BOTH
def test_a_deleted_platform_is_found_when_blobs_are_checked(moved, target, target_log):
    target.delete_manifest(PATH, CHILD)
    believed(moved, target_log, "manifests")
    repair(moved, target_log, "blobs", {"text": "unchanged", "image": "restored"})
    assert target.whole(PATH, IMAGE)


@BOTH
@pytest.mark.parametrize(
    "key, restored, path", [(LAYER, "image", PATH), (digest(TEXT), "text", FOLDER)], ids=["layer", "local-blob"]
)
def test_a_lost_blob_is_found_when_blobs_are_checked(key, restored, path, moved, target, target_log):
    target.registry.blobs()[key].unlink()
    assert not target.has_blob(path, key)
    believed(moved, target_log, "manifests")
    repair(moved, target_log, "blobs", dict({"text": "unchanged", "image": "unchanged"}, **{restored: "restored"}))
    assert target.has_blob(path, key) and target.whole(PATH, IMAGE)


@BOTH
@pytest.mark.parametrize("key", [LAYER, digest(TEXT)], ids=["layer", "local-blob"])
def test_a_damaged_blob_is_found_when_content_is_checked(key, moved, target, target_log):
    stored = target.registry.blobs()[key]
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    believed(moved, target_log, "blobs")
    target_log.restart()
    outcome = fail("ocm_transfer", dict(moved, check="content"))
    assert key in outcome.message and "delete" in outcome.message and target_log.writes() == []
    stored.unlink()
    restored = "image" if key == LAYER else "text"
    repair(moved, target_log, "content", dict({"text": "unchanged", "image": "unchanged"}, **{restored: "restored"}))
    assert target.registry.blobs()[key].read_bytes() == content


@BOTH
def test_a_deleted_component_version_is_put_back_without_moving_its_image(moved, target, target_log):
    target.delete_manifest(FOLDER, target.digest_of(FOLDER, "1.0.0"))
    target_log.restart()
    outcome = succeed("ocm_transfer", moved)
    assert outcome.actions() == {f"{NAME}:1.0.0": "transferred"}
    assert outcome.resource_actions() == {"text": "transferred", "image": "unchanged"}
    assert not set(target_log.blob_uploads()) & {digest(TEXT), *IMAGE.blobs}
    assert accesses(read_component(target, NAME, prefix="into"))["image"]["imageReference"].endswith(MAIN)


def test_a_lost_descriptor_is_put_back(moved, target, target_log):
    key = read_manifest(target, NAME, prefix="into")["layers"][0]["digest"]
    target.registry.blobs()[key].unlink()
    outcome = succeed("ocm_transfer", moved)
    assert outcome.result["changed"] and read_component(target, NAME, prefix="into")
    believed(moved, target_log, "content")


@pytest.fixture
def archived(source, tmp_path):
    """A component that was moved into a folder: (arguments, place)."""
    resources = [local("text", TEXT), image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]
    put_component(source, component(NAME, resources))
    place = CtfPlace(tmp_path / "archive")
    call = dict(source=source.repository(), target=place.repository(), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    return call, place


@pytest.mark.parametrize("name", ["text", "image"])
def test_a_lost_blob_of_an_archive_is_put_back(name, archived):
    call, place = archived
    path = place.blob_path(accesses(read_component(place, NAME))[name]["localReference"])
    content = path.read_bytes()
    path.unlink()
    predicted, outcome = succeed("ocm_transfer", call, check=True), succeed("ocm_transfer", call)
    for each in (predicted, outcome):
        assert each.result["changed"] and each.resource_actions()[name] == "restored"
    assert path.read_bytes() == content
    assert not succeed("ocm_transfer", dict(call, check="content")).result["changed"]


@pytest.mark.parametrize("name", ["text", "image"])
def test_a_damaged_blob_of_an_archive_is_told(name, archived):
    call, place = archived
    path = place.blob_path(accesses(read_component(place, NAME))[name]["localReference"])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = fail("ocm_transfer", dict(call, check="content")).message
    assert path.name.replace(".", ":") in message and str(place.folder) in message
    assert "registry" not in message and "new archive" in message
    path.unlink()
    assert succeed("ocm_transfer", dict(call, check="content")).resource_actions()[name] == "restored"
    assert path.read_bytes() == content
