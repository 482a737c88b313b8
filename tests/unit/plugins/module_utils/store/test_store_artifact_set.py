# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifact sets: four forms are read, one is written, and nothing in them is believed unchecked."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent, NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import ARTIFACT_TYPES, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.artifact_set import (
    LAYOUT_TYPES,
    ArtifactSet,
    artifact_set_type,
    is_artifact_set,
    pack_artifact_set,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import in_memory
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.repository import read_artifact
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import (
    OCI_INDEX,
    OCI_MANIFEST,
    content_descriptor,
    digest_of,
    member,
    packed,
    tar,
    to_json,
)

CONFIG, LAYER = b'{"os":"linux"}', b"\x1f\x8blayer" * 100


def image(platform):
    config = content_descriptor(to_json({"os": platform}), "application/vnd.oci.image.config.v1+json")
    layer = content_descriptor(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip")
    return to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]})


CHILDREN = [image("linux"), image("windows")]
INDEX = json.dumps(
    {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [content_descriptor(child, OCI_MANIFEST) for child in CHILDREN]}, indent=2
).encode()
BLOBS = [to_json({"os": "linux"}), to_json({"os": "windows"}), LAYER] + CHILDREN + [INDEX]
LISTED = [content_descriptor(child, OCI_MANIFEST) for child in CHILDREN] + [content_descriptor(INDEX, OCI_INDEX)]
TAGGED = LISTED[:2] + [dict(LISTED[2], annotations={"org.opencontainers.image.ref.name": "6.3.5", "software.ocm/tags": "6.3.5,latest"})]
MAIN = {"software.ocm/main": digest_of(INDEX)}
LAYOUT_FILE = ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def index_json(manifests, annotations=None):
    return to_json(dict({"schemaVersion": 2, "manifests": manifests}, **({"annotations": annotations} if annotations else {})))


def flat(blobs):
    return [member("blobs", kind=tarfile.DIRTYPE)] + [("blobs/" + digest_of(blob).replace(":", "."), blob) for blob in blobs]


def nested(blobs):
    return [("blobs/" + digest_of(blob).replace(":", "/"), blob) for blob in blobs]


FORMS = {
    "A": [("index.json", index_json(TAGGED, MAIN)), LAYOUT_FILE] + flat(BLOBS),
    "B": [("artifact-descriptor.json", index_json(TAGGED, MAIN))] + flat(BLOBS),
    "C": [("index.json", index_json(TAGGED, MAIN)), LAYOUT_FILE] + nested(BLOBS),
    "D": [LAYOUT_FILE] + nested(BLOBS) + [("index.json", index_json([LISTED[2]]))],
    "no main, one tagged": [("index.json", index_json(TAGGED))] + flat(BLOBS),
    "no main, one listed": [("index.json", index_json([LISTED[2]]))] + flat(BLOBS),
    "./ before the names": [("./index.json", index_json(TAGGED, MAIN))] + [("./" + name, blob) for name, blob in flat(BLOBS)[1:]],
}


def opened(*members, compress=True):
    return ArtifactSet(in_memory(packed(tar(*members), compress)), "acme.org/demo:1.0.0 resource image")


@pytest.mark.parametrize("compress", [False, True], ids=["tar", "tgz"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form, compress, read_blob):
    found = opened(*FORMS[form], compress=compress)
    tree = read_artifact(found, "")
    assert [manifest.raw for manifest in tree.manifests] == CHILDREN + [INDEX]
    assert found.main == digest_of(INDEX)
    assert {blob.digest for blob in tree.blobs} == {digest_of(blob) for blob in BLOBS[:3]}
    for blob in tree.blobs:
        assert digest_of(read_blob(found.open_blob(blob.digest, blob.size))) == blob.digest
        assert found.blob_size(blob.digest) == blob.size
    assert {digest: b"".join(blocks) for digest, _size, blocks in found.walk()} == {digest_of(blob): blob for blob in BLOBS}


def test_the_tags_of_a_set():
    assert opened(*FORMS["A"]).tags() == ["6.3.5", "latest"]
    assert opened(*FORMS["D"]).tags() == []


def test_what_a_set_knows_of_manifests():
    found = opened(*FORMS["A"])
    assert found.head_manifest("").digest == digest_of(INDEX)
    assert found.head_manifest(digest_of(CHILDREN[0])).media_type == OCI_MANIFEST
    assert found.head_manifest("sha256:" + "0" * 64) is None
    assert found.blob_size("sha256:" + "0" * 64) is None
    with pytest.raises(NotFound, match="resource image"):
        found.get_manifest("sha256:" + "0" * 64)


DAMAGED = {
    "no index": (flat(BLOBS), InvalidContent, "not an artifact set"),
    "index that is no JSON": ([("index.json", b"x")] + flat(BLOBS), InvalidContent, "not valid JSON"),
    "several and no main": ([("index.json", index_json(LISTED))] + flat(BLOBS), InvalidContent, "which of its 3 manifests"),
    "none and no main": ([("index.json", index_json([]))] + flat(BLOBS), InvalidContent, "which of its 0 manifests"),
    "two tagged and no main": (
        [("index.json", index_json([TAGGED[2], dict(LISTED[0], annotations=TAGGED[2]["annotations"])]))], InvalidContent, "which of its"
    ),
    "main that is no digest": ([("index.json", index_json(LISTED, {"software.ocm/main": "../x"}))], InvalidContent, "is not a digest"),
    "main that is no text": ([("index.json", index_json(LISTED, {"software.ocm/main": ["x"]}))], InvalidContent, "is not a digest"),
    "annotations that are no mapping": ([("index.json", to_json({"manifests": LISTED, "annotations": ["x"]}))] + flat(BLOBS), InvalidContent, "which of its 3"),
    "manifests that are no list": ([("index.json", to_json({"manifests": {"a": 1}}))], InvalidContent, "must be a list"),
    "manifest that is no mapping": ([("index.json", to_json({"manifests": ["x"]}))], InvalidContent, "must be a mapping"),
    "main is missing": ([("index.json", index_json(TAGGED, MAIN))] + flat(BLOBS[:5]), NotFound, "has no manifest"),
    "child is missing": ([("index.json", index_json(TAGGED, MAIN))] + flat(BLOBS[:3] + BLOBS[4:]), NotFound, "has no manifest"),
    "main was changed": (FORMS["A"][:-1] + [("blobs/" + digest_of(INDEX).replace(":", "."), INDEX + b" ")], DigestMismatch, "resource image"),
    "not a tar": (None, InvalidContent, "not a readable tar"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_set_is_named(name):
    members, error, words = DAMAGED[name]
    found = opened(*members) if members else ArtifactSet(in_memory(b"x" * 1000), "resource image")
    with pytest.raises(error) as caught:
        read_artifact(found, "")
    assert words in str(caught.value)
    assert "resource image" in str(caught.value)


def test_a_changed_layer_is_found_while_it_is_read(read_blob):
    name = "blobs/" + digest_of(LAYER).replace(":", ".")
    found = opened(*[(name, b"x" * len(LAYER)) if entry[0] == name else entry for entry in FORMS["A"]])
    assert read_artifact(found, "").main.digest == digest_of(INDEX)
    with pytest.raises(DigestMismatch):
        read_blob(found.open_blob(digest_of(LAYER), len(LAYER)))
    with pytest.raises(DigestMismatch):
        for _digest, _size, blocks in found.walk():
            list(blocks)


def test_a_layer_that_is_missing_is_named(read_blob):
    with pytest.raises(NotFound, match=digest_of(LAYER)):
        read_blob(opened(*[("index.json", index_json(TAGGED, MAIN))] + flat(BLOBS[:2] + BLOBS[3:])).open_blob(digest_of(LAYER)))


def test_what_is_written_has_the_form_that_every_tool_reads():
    source = opened(*FORMS["D"])
    tree = read_artifact(source, "")
    raw = b"".join(pack_artifact_set(tree, ["6.3.5", "latest"], source))
    assert raw == b"".join(pack_artifact_set(tree, ["6.3.5", "latest"], source))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as archive:
        members = archive.getmembers()
        index = json.load(archive.extractfile("index.json"))
        layout = archive.extractfile("oci-layout").read()
    assert [info.name for info in members][:3] == ["index.json", "oci-layout", "blobs"]
    assert {info.name for info in members[3:]} == {"blobs/" + digest_of(blob).replace(":", ".") for blob in BLOBS}
    assert {(info.mode, info.uid, info.gid, info.mtime) for info in members if info.isreg()} == {(0o644, 0, 0, 1640995200)}
    assert layout == b'{\n    "imageLayoutVersion": "1.0.0"\n}\n'
    assert index == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": TAGGED, "annotations": MAIN}
    again = read_artifact(ArtifactSet(in_memory(raw), "again"), "")
    assert [manifest.raw for manifest in again.manifests] == [manifest.raw for manifest in tree.manifests]


def test_without_tags_there_are_no_annotations_of_tags():
    source = opened(*FORMS["A"])
    raw = b"".join(pack_artifact_set(read_artifact(source, ""), [], source))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as archive:
        assert json.load(archive.extractfile("index.json"))["manifests"] == LISTED


@pytest.mark.parametrize("media_type, expected", [
    (media_type.replace("+json", suffix), True) for media_type in ARTIFACT_TYPES for suffix in ("+tar", "+tar+gzip")
] + [(media_type, True) for media_type in LAYOUT_TYPES] + [(media_type, False) for media_type in ARTIFACT_TYPES] + [
    ("", False), ("application/x-tgz", False), ("application/vnd.oci.image.layer.v1.tar+gzip", False),
    ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", False),
])
def test_which_blobs_are_artifact_sets(media_type, expected):
    assert is_artifact_set(media_type) is expected


@pytest.mark.parametrize("content, expected", [
    (INDEX, "application/vnd.oci.image.index.v1+tar+gzip"),
    (CHILDREN[0], "application/vnd.oci.image.manifest.v1+tar+gzip"),
    (CHILDREN[0].replace(b"vnd.oci.image.manifest.v1", b"vnd.docker.distribution.manifest.v2"), "application/vnd.docker.distribution.manifest.v2+tar+gzip"),
])
def test_the_media_type_of_a_set(content, expected):
    assert artifact_set_type(Manifest.parse(content)) == expected


def test_indexes_without_end_are_refused():
    raw, blobs = CHILDREN[0], [CHILDREN[0]]
    for _level in range(12):
        raw = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [content_descriptor(raw, OCI_INDEX)]})
        blobs.append(raw)
    found = opened(("index.json", index_json([content_descriptor(raw, OCI_INDEX)])), *flat(blobs))
    with pytest.raises(InvalidContent, match="nested deeper than 8"):
        read_artifact(found, "")
