# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer to a disk that is too small for what it would get: told before anything is written."""

from __future__ import annotations

import json
import os
import random
import re
import tempfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import artifact_digest, component, local, put_component, resource
from ansible_collections.ocm.airgap.tests.support.images import OCI_LAYER, Artifact, digest, image
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace
from ansible_collections.ocm.airgap.tests.support.small_disk import resize, small_disk

NAME = "acme.test/product"
KIB = 1024
LARGE = 10**15
PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
TOLD = re.compile(r": (\d+) bytes have to be written, and the disk of (\S+) has room for (\d+)")
FORMS = {
    "folder": dict(target="x"),
    "tar": dict(target="x.tar"),
    "tgz": dict(target="x.tgz"),
    "parts": dict(target="x.tar", part_size="1M"),
}
LAYOUTS = pytest.mark.parametrize("layout", ["shared", "sets"])


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def that_says(size, kind=OCI_LAYER):
    """An image that says its layer is so large; nobody ever reads it."""
    small = image([b"layer"])
    content = json.loads(small.raw)
    content["layers"][0].update(size=size, mediaType=kind)
    return Artifact([(small.media_type, json.dumps(content).encode())], small.blobs)


def put_images(ctf, images, **more):
    """A component in an archive, beside the images that it refers to."""
    resources = []
    for number, one in enumerate(images):
        ctf.put(f"team/app{number}", one, "1.0")
        access = {"type": "relativeOciReference", "reference": f"team/app{number}:1.0"}
        resources.append(resource(f"image{number}", access, artifact_digest(one.digest), type="ociImage"))
    put_component(ctf, component(NAME, resources + more.pop("resources", []), **more))
    return dict(source=ctf.repository(), component=NAME)


def refused(call, **more):
    """(bytes that are needed, bytes that are free, the message)"""
    message = fail("ocm_transfer", call, **more).message
    found = TOLD.search(message)
    assert found and "Nothing was written" in message, message
    return int(found.group(1)), int(found.group(3)), message


def at(folder, form, **more):
    arguments = dict(FORMS[form], **more)
    return dict(arguments, target=str(folder / arguments["target"]))


@pytest.mark.parametrize("check", [False, True], ids=["run", "check-mode"])
@pytest.mark.parametrize("form", FORMS)
@LAYOUTS
def test_the_room_is_looked_at_first(layout, form, check, ctf, tmp_path):
    (tmp_path / "to").mkdir()
    call = put_images(ctf, [that_says(LARGE)])
    needed, _free, message = refused(dict(call, **at(tmp_path / "to", form), archive_layout=layout), check=check)
    times = 1 if form == "folder" else 2
    assert times * LARGE < needed < times * LARGE * 1.002
    assert str(tmp_path / "to") in message and ("folder beside it" in message) == (times == 2)
    assert not list((tmp_path / "to").iterdir())


@LAYOUTS
def test_what_gzip_may_make_small_does_not_count_as_packed(layout, ctf, tmp_path):
    call = put_images(ctf, [that_says(LARGE, PLAIN_LAYER)])
    needed, _free, _message = refused(dict(call, target=str(tmp_path / "x.tgz"), archive_layout=layout))
    assert LARGE < needed < 1.002 * LARGE


def test_blobs_that_sets_share_are_kept_meanwhile(ctf, tmp_path):
    first = that_says(LARGE)
    other = json.loads(first.raw)
    other["annotations"] = {"other": "image"}
    images = [first, Artifact([(first.media_type, json.dumps(other).encode())], first.blobs)]
    call = dict(put_images(ctf, images), target=str(tmp_path / "x"))
    assert LARGE < refused(dict(call, archive_layout="shared"))[0] < 1.002 * LARGE
    assert 3 * LARGE < refused(dict(call, archive_layout="sets"))[0] < 3.003 * LARGE


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 800 * KIB) as folder:
        yield folder


@pytest.mark.parametrize("form", FORMS)
def test_what_is_left_out_takes_no_room(form, disk, ctf, tmp_path):
    large = noise("large", 1200 * KIB)
    blobs = [{"digest": digest(large), "size": len(large), "repositories": ["team/app0"]}]
    known = {"schemaVersion": 1, "repository": "registry.test", "componentVersions": [], "manifests": [], "blobs": blobs}
    (tmp_path / "known.json").write_text(json.dumps(known))
    call = dict(put_images(ctf, [image([large])]), **at(disk, form), archive_layout="shared")
    refused(call)
    assert succeed("ocm_transfer", dict(call, known_content=[str(tmp_path / "known.json")])).result["changed"]


@pytest.mark.parametrize("form", FORMS)
@LAYOUTS
def test_a_small_disk(layout, form, disk, ctf):
    """What is told is enough, and not much more than that."""
    shared = noise("shared", 300 * KIB)
    images = [image([shared, noise(number, 400 * KIB)]) for number in range(2)]
    call = dict(put_images(ctf, images, resources=[local("text", noise("text", 50 * KIB))]), **at(disk, form), archive_layout=layout)
    needed, free, _message = refused(call)
    assert free == 800 * KIB and not list(disk.iterdir())
    resize(disk, needed * 97 // 100)
    assert refused(call)[0] == needed
    resize(disk, needed + 150 * KIB)  # every file takes whole pages
    succeed("ocm_transfer", call)
    assert not succeed("ocm_transfer", call).result["changed"]


@pytest.mark.parametrize("form", ["tar", "parts"])
def test_a_tar_that_grows_is_there_twice(form, disk, ctf):
    """The old one stays until the new one is whole."""
    put_images(ctf, [image([noise("first", 200 * KIB)])])
    call = dict(put_images(ctf, [image([noise("more", 120 * KIB)])], version="2.0.0"), **at(disk, form), archive_layout="shared")
    resize(disk, 2048 * KIB)
    succeed("ocm_transfer", dict(call, version="1.0.0"))
    resize(disk, 550 * KIB)
    before = sorted(disk.iterdir())
    needed, free, _message = refused(dict(call, version="2.0.0"))
    assert 440 * KIB < needed < 500 * KIB and free < 350 * KIB
    assert sorted(disk.iterdir()) == before
    resize(disk, 800 * KIB)
    succeed("ocm_transfer", dict(call, version="2.0.0"))


def test_another_form_of_the_same_takes_room(disk, ctf):
    call = dict(put_images(ctf, [image([noise("layer", 1300 * KIB)])]), target=str(disk / "x.tar"))
    resize(disk, 4096 * KIB)
    succeed("ocm_transfer", call)
    resize(disk, 2048 * KIB)
    needed, _free, _message = refused(dict(call, part_size="1M"))
    assert 1300 * KIB < needed < 1400 * KIB
    assert not succeed("ocm_transfer", call).result["changed"]


def test_what_is_there_needs_no_room(disk, ctf):
    """Neither finished content nor what an interrupted run has left."""
    layer = noise("layer", 600 * KIB)
    call = dict(put_images(ctf, [image([layer])]), target=str(disk / "x"), archive_layout="shared")
    (disk / "x" / "blobs").mkdir(parents=True)
    (disk / "x" / "blobs" / (".part-" + digest(layer).replace(":", "."))).write_bytes(layer[: 400 * KIB])
    succeed("ocm_transfer", call)
    assert CtfPlace(disk / "x").blob_path(digest(layer)).read_bytes() == layer
    assert not succeed("ocm_transfer", call).result["changed"]
    put_images(ctf, [image([layer, b"a little more"])], version="2.0.0")
    succeed("ocm_transfer", call)


def test_room_to_unpack_a_tgz_is_looked_at_first(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(b"\x1f\x8b\x08\x00")
    os.truncate(path, 2**43)  # a file of holes, which takes no room itself
    message = fail("ocm_component_info", dict(repository=str(path))).message
    assert f"{2**43 * 99 // 100} bytes have to be written" in message and str(path) in message


def test_a_disk_that_fills_up_while_a_tgz_is_unpacked(disk, ctf, monkeypatch):
    put_images(ctf, [image([bytes(3000 * KIB)], types={0: PLAIN_LAYER})])
    path = disk.parent / "x.tgz"
    succeed("ocm_transfer", dict(source=ctf.repository(), target=str(path), archive_layout="shared"))
    assert path.stat().st_size < 200 * KIB
    monkeypatch.setenv("TMPDIR", str(disk))
    monkeypatch.setattr(tempfile, "tempdir", None)
    message = fail("ocm_component_info", dict(repository=str(path))).message
    assert str(path) in message and str(disk) in message and "the disk is full" in message
