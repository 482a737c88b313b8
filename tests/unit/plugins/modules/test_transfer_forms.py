# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer of rarer forms: component archives, older and chunked local blobs, schema v3alpha1, signed versions."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    artifact_digest,
    blob_digest,
    component,
    image_resource,
    local,
    local_image,
    put_component,
    read_component,
    read_manifest,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.images import (
    artifact_set,
    digest,
    image,
    layer,
    tar_of,
    two_platforms,
)
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

ARCHIVES = COLLECTION / "tests" / "data" / "archives"
NAME = "acme.test/product"
FOLDER = f"into/component-descriptors/{NAME}"
IMAGE = two_platforms("image")


def transfer(source, target, **more):
    return succeed("ocm_transfer", dict(source=str(source), target=str(target), **more))


def moved_and_settled(source, target, target_log):
    """Transfer, and once more without a change. Returns the accesses at the target."""
    transfer(source, target.repository("into"), component=NAME, version="1.0.0")
    target_log.restart()
    assert not transfer(source, target.repository("into"), component=NAME, version="1.0.0").result["changed"]
    assert target_log.writes() == []
    return accesses(read_component(target, NAME, prefix="into"))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_a_component_archive(packed, target, target_log, tmp_path):
    kind, content = artifact_set(IMAGE, "1.0")
    blobs = {"text": b"text", "image": content}
    names = {name: digest(blob).replace(":", ".") for name, blob in blobs.items()}
    text = {"type": "localBlob", "localReference": names["text"], "mediaType": "text/plain"}
    picture = {
        "type": "localBlob",
        "localReference": names["image"],
        "mediaType": kind,
        "referenceName": "team/app:1.0",
    }
    resources = [
        resource("text", text, blob_digest(digest(b"text")), relation="local"),
        resource("image", picture, artifact_digest(IMAGE.digest), type="ociImage"),
    ]
    files = {"component-descriptor.yaml": yaml.safe_dump(component(NAME, resources)).encode()}
    files.update({f"blobs/{names[name]}": blob for name, blob in blobs.items()})
    archive = tmp_path / "archive"
    if packed:
        archive.write_bytes(tar_of(files))
    else:
        (archive / "blobs").mkdir(parents=True)
        for name, content in files.items():
            (archive / name).write_bytes(content)
    found = moved_and_settled(archive, target, target_log)
    assert found["text"] == {"type": "localBlob", "localReference": digest(b"text"), "mediaType": "text/plain"}
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}:1.0@{IMAGE.digest}"
    assert target.blob(FOLDER, digest(b"text")) == b"text" and target.whole("into/team/app", IMAGE)
    transfer(archive, tmp_path / "ctf")
    assert accesses(read_component(CtfPlace(tmp_path / "ctf"), NAME))["text"]["localReference"] == digest(b"text")


def test_a_stale_global_access_is_left_behind(ctf, target, target_log):
    item = local("text", b"text")
    item["access"]["globalAccess"] = {"type": "ociBlob", "ref": "old.invalid/x", "digest": digest(b"text"), "size": 4}
    put_component(ctf, component(NAME, [item]))
    found = moved_and_settled(ctf.folder, target, target_log)
    assert found["text"] == {"type": "localBlob", "localReference": digest(b"text"), "mediaType": "text/plain"}


def test_the_local_blob_of_the_oldest_tools(source, target, target_log):
    item = dict(local("text", b"text"))
    put_component(source, component(NAME, [item]))
    old = dict(item, access={"type": "localOciBlob", "digest": digest(b"text")})
    old.pop("content")
    source.put_blob(f"component-descriptors/{NAME}", b"text")
    put_component(source, component(NAME, [old]))
    found = moved_and_settled(source.repository(), target, target_log)
    assert found["text"]["type"] == "localBlob" and found["text"]["localReference"] == digest(b"text")
    assert target.blob(FOLDER, digest(b"text")) == b"text"


def test_a_local_blob_in_chunks_arrives_as_one(source, target, target_log):
    whole, parts = b"first second", [b"first ", b"second"]
    for part in parts:
        source.put_blob(f"component-descriptors/{NAME}", part)
    reference = ",".join(map(digest, parts))
    access = {"type": "localBlob", "localReference": reference, "mediaType": "text/plain"}
    put_component(source, component(NAME, [resource("text", access, blob_digest(digest(whole)), relation="local")]))
    found = moved_and_settled(source.repository(), target, target_log)
    assert found["text"]["localReference"] == digest(whole) and target.blob(FOLDER, digest(whole)) == whole


def test_an_image_without_a_name_stays_with_its_component(ctf, target, target_log):
    put_component(ctf, component(NAME, [local_image("image", IMAGE, "")]))
    found = moved_and_settled(ctf.folder, target, target_log)
    assert found["image"]["imageReference"] == f"{target.image(FOLDER)}@{IMAGE.digest}"
    assert target.whole(FOLDER, IMAGE)


def test_a_blob_of_two_elements_is_one_layer(ctf, target):
    code = {
        "name": "code",
        "version": "1.0.0",
        "type": "blob",
        "access": local("code", b"same")["access"],
        "content": b"same",
    }
    put_component(ctf, component(NAME, [local("one", b"same"), local("two", b"same")], sources=[code]))
    transfer(ctf.folder, target.repository("into"), component=NAME)
    layers = read_manifest(target, NAME, prefix="into")["layers"][1:]
    owners = json.loads(layers[0]["annotations"]["software.ocm.artifact"])
    assert [(item["kind"], item["identity"]["name"]) for item in owners] == [
        ("resource", "one"),
        ("resource", "two"),
        ("source", "code"),
    ]
    assert len(layers) == 1


def test_one_image_under_two_names_and_two_tags(source, target, target_log):
    artifact = image([layer("x")])
    names = ("team/a:1.0", "team/a:1", "team/b:1.0")
    resources = []
    for number, name in enumerate(names):
        path, _colon, tag = name.partition(":")
        resources.append(image_resource(f"image{number}", source.put(path, artifact, tag), artifact))
    put_component(source, component(NAME, resources))
    moved_and_settled(source.repository(), target, target_log)
    assert target.tags("into/team/a") == ["1", "1.0"] and target.tags("into/team/b") == ["1.0"]
    assert target.whole("into/team/a", artifact) and target.whole("into/team/b", artifact)


def test_an_image_without_a_stated_digest_gets_one(source, target, target_log):
    artifact = image([layer("x")])
    item = image_resource("image", source.put("team/app", artifact, "1.0"), artifact)
    del item["digest"]
    put_component(source, component(NAME, [item]))
    moved_and_settled(source.repository(), target, target_log)
    found = read_component(target, NAME, prefix="into")["component"]["resources"][0]
    assert found["digest"] == artifact_digest(artifact.digest)


def test_a_version_with_build_metadata(ctf, target):
    put_component(ctf, component(NAME, [local("text", b"x")], "1.0.0+build.5"))
    transfer(ctf.folder, target.repository("into"), component=NAME, version="1.0.0+build.5")
    assert target.tags(FOLDER) == ["1.0.0.build-build.5"]
    assert not transfer(ctf.folder, target.repository("into")).result["changed"]


@pytest.mark.parametrize("form", ["signed", "schema-v3alpha1"])
def test_signatures_and_schema_survive(form, target, tmp_path):
    for origin, into in ((ARCHIVES / form, tmp_path / "a.tgz"), (tmp_path / "a.tgz", tmp_path / "b")):
        options = dict(by_reference_access_types=["ociArtifact"], archive_layout="sets")
        first = transfer(origin, into, **options)
        assert set(first.actions().values()) == {"transferred"}
        assert not transfer(origin, into, **options).result["changed"]
    for entry in (item for item in CtfPlace(ARCHIVES / form).entries() if item.get("tag")):
        name, version = entry["repository"].partition("/")[2], entry["tag"].replace(".build-", "+")
        before = read_component(CtfPlace(ARCHIVES / form), name, version)
        assert read_component(CtfPlace(tmp_path / "b"), name, version) == before
