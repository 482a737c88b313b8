# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer from an archive that is damaged: every fault is told before anything is written."""

from __future__ import annotations

import json
import shutil
import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    image_resource,
    local,
    put_component,
    read_component,
    reference,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

PRODUCT, PART = "acme.test/product", "acme.test/part"
APP = two_platforms("app")
TOOL = image([b"layer of the tool" * 1000, b"another layer of the tool"])
TEXT = b"text of the product"


@pytest.fixture
def archive(source, tmp_path):
    """archive(layout): a folder with a product, its part, two images and a text."""

    def make(layout):
        part = component(PART, [image_resource("tool", source.put("team/tool", TOOL, "1.0"), TOOL)])
        app = image_resource("app", source.put("team/app", APP, "1.0"), APP)
        again = dict(app, name="again")
        put_component(source, part)
        put_component(source, component(PRODUCT, [local("text", TEXT), app, again], componentReferences=[reference("part", PART)]))
        call = dict(source=source.repository(), target=str(tmp_path / "archive"), component=PRODUCT, version="1.0.0")
        succeed("ocm_transfer", dict(call, archive_layout=layout))
        return CtfPlace(tmp_path / "archive")

    return make


def in_form(place, form):
    """The archive's folder, or a tar of it."""
    if form == "folder":
        return str(place.folder)
    path = place.folder.parent / form
    with tarfile.open(path, "w:gz" if form.endswith("tgz") else "w") as packed:
        packed.add(place.folder, ".")
    return str(path)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def set_of(place, component_name, resource):
    found = {item["name"]: item["access"] for item in read_component(place, component_name)["component"]["resources"]}
    return place.blob_path(found[resource]["localReference"])


@pytest.mark.parametrize("form", ["folder", "x.tgz"])
def test_every_fault_of_a_shared_layout_is_told_with_what_needs_it(form, archive, target, target_log):
    place = archive("shared")
    layers = list(TOOL.blobs)
    gone, cut, flipped = layers[0], layers[1], layers[2]
    place.blob_path(gone).unlink()
    place.blob_path(cut).write_bytes(place.blob_path(cut).read_bytes()[:-1])
    flip(place.blob_path(flipped))
    flip(place.blob_path(digest(TEXT)))
    outcome = fail("ocm_transfer", dict(source=in_form(place, form), target=target.repository("into")))
    assert target_log.writes() == []
    lines = outcome.message.splitlines()
    for key, owner in ((gone, "tool"), (cut, "tool"), (flipped, "tool"), (digest(TEXT), "text")):
        (line,) = [line for line in lines if key in line]
        assert owner in line and ("product" in line) == (owner == "text")
    assert "4 faults" in outcome.message and "missing" in outcome.message and "Copy the archive again" in outcome.message


@pytest.mark.parametrize("form", ["folder", "x.tar"])
def test_every_fault_of_artifact_sets_is_told(form, archive, target, target_log):
    place = archive("sets")
    for path in (set_of(place, PART, "tool"), set_of(place, PRODUCT, "app")):
        content = bytearray(path.read_bytes())
        content[-2000] ^= 1  # behind the manifests: the sets can be read, and only whole reading shows it
        path.write_bytes(bytes(content))
    outcome = fail("ocm_transfer", dict(source=in_form(place, form), target=target.repository("into")))
    assert target_log.writes() == []
    assert "2 faults" in outcome.message
    assert "resource tool" in outcome.message and "app" in outcome.message and "again" in outcome.message


def test_manifests_and_blobs_that_are_gone_are_told_together(archive, target, target_log):
    place = archive("shared")
    child = digest(APP.manifests[0][1])
    place.blob_path(child).unlink()
    place.blob_path(list(TOOL.blobs)[0]).unlink()
    outcome = fail("ocm_transfer", dict(source=str(place.folder), target=target.repository("into")))
    assert target_log.writes() == []
    assert child.replace(":", ".") in outcome.message and list(TOOL.blobs)[0] in outcome.message


def test_descriptors_that_are_gone_are_told_together(archive, target, target_log):
    place = archive("shared")
    for name in (PRODUCT, PART):
        kind, raw = place.manifest(f"component-descriptors/{name}", "1.0.0")
        first = json.loads(raw)["manifests"][0]["digest"]
        place.blob_path(json.loads(place.blob("", first))["layers"][0]["digest"]).unlink()
    outcome = fail("ocm_transfer", dict(source=str(place.folder), target=target.repository("into")))
    assert target_log.writes() == []
    assert f"Needed by {PRODUCT}:1.0.0" in outcome.message and f"Needed by {PART}:1.0.0" in outcome.message


@pytest.mark.parametrize("layout", ["sets", "shared"])
def test_what_is_at_the_target_already_is_not_read(layout, archive, target):
    place = archive(layout)
    call = dict(source=str(place.folder), target=target.repository("into"))
    succeed("ocm_transfer", dict(call, component=PART))
    damaged = set_of(place, PART, "tool") if layout == "sets" else place.blob_path(list(TOOL.blobs)[0])
    flip(damaged)
    succeed("ocm_transfer", call)
    assert not succeed("ocm_transfer", call).result["changed"]


def test_check_mode_looks_at_sizes(archive, target):
    place = archive("shared")
    call = dict(source=str(place.folder), target=target.repository("into"))
    assert succeed("ocm_transfer", call, check=True).result["changed"]
    place.blob_path(list(TOOL.blobs)[0]).unlink()
    assert "is missing" in fail("ocm_transfer", call, check=True).message


def test_no_target_gets_anything(archive, target, target_log, tmp_path):
    place = archive("shared")
    flip(place.blob_path(list(TOOL.blobs)[0]))
    outcome = fail(
        "ocm_transfer", dict(source=str(place.folder), target=[target.repository("into"), str(tmp_path / "copy.tar")])
    )
    assert target_log.writes() == [] and not (tmp_path / "copy.tar").exists()
    assert outcome.message.count(list(TOOL.blobs)[0]) >= 2


def test_another_version_that_is_damaged_stops_nothing(archive, target):
    place = archive("shared")
    flip(place.blob_path(digest(TEXT)))
    succeed("ocm_transfer", dict(source=str(place.folder), component=PART, target=target.repository("into")))


def test_what_is_not_there_at_all_is_told_as_before(archive, target):
    place = archive("shared")
    outcome = fail("ocm_transfer", dict(source=str(place.folder), component=PART, version="9", target=target.repository("into")))
    assert "has no version 9" in outcome.message and "damaged" not in outcome.message
    shutil.rmtree(place.folder)
    assert "does not exist" in fail("ocm_transfer", dict(source=str(place.folder), target=target.repository("into"))).message
