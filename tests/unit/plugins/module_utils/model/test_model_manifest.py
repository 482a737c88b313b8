# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and indexes: the exact bytes, and everything that is refused before it is believed."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MAX_MANIFEST_SIZE,
    OCI_INDEX,
    OCI_MANIFEST,
    ContentDescriptor,
    Manifest,
    parse_json,
)

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def descriptor(digest=A, size=3, media_type="application/octet-stream", **more):
    return dict({"mediaType": media_type, "digest": digest, "size": size}, **more)


def manifest(**changes):
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(A), "layers": [descriptor(B)]}
    return {key: value for key, value in dict(content, **changes).items() if value is not None}


def index(**changes):
    content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(A, media_type=OCI_MANIFEST)]}
    return {key: value for key, value in dict(content, **changes).items() if value is not None}


def parse(content, media_type="", digest=""):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Manifest.parse(raw, media_type, digest, "h.test/a:1")


@pytest.mark.parametrize("content, transport, expected", [
    (manifest(), OCI_MANIFEST, OCI_MANIFEST),
    (manifest(), "", OCI_MANIFEST),
    (manifest(), "application/json", OCI_MANIFEST),
    (manifest(), f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
    (manifest(mediaType=None), "", OCI_MANIFEST),
    (manifest(mediaType=None), DOCKER_MANIFEST, DOCKER_MANIFEST),
    (manifest(mediaType=DOCKER_MANIFEST), "", DOCKER_MANIFEST),
    (index(), OCI_INDEX, OCI_INDEX),
    (index(mediaType=None), "", OCI_INDEX),
    (index(mediaType=None), DOCKER_INDEX, DOCKER_INDEX),
    (index(mediaType=DOCKER_INDEX), "", DOCKER_INDEX),
    (index(manifests=[]), "", OCI_INDEX),
])
def test_the_media_type(content, transport, expected):
    found = parse(content, transport)
    assert found.media_type == expected
    assert found.is_index == (expected in (OCI_INDEX, DOCKER_INDEX))


@pytest.mark.parametrize("content, transport, words", [
    (manifest(), OCI_INDEX, "sent as"),
    (manifest(), DOCKER_MANIFEST, "sent as"),
    (index(), OCI_MANIFEST, "sent as"),
    (index(mediaType=None), OCI_MANIFEST, "does not fit"),
    (manifest(mediaType=None), OCI_INDEX, "does not fit"),
    (manifest(mediaType=OCI_INDEX), "", "does not fit"),
    (index(mediaType=OCI_MANIFEST), "", "does not fit"),
    (index(config=descriptor()), "", "neither a manifest nor an index"),
    (index(layers=[]), "", "neither a manifest nor an index"),
    (manifest(mediaType="text/html"), "", "is not an OCI or Docker manifest"),
    (manifest(mediaType=[]), "application/json", None),
    (manifest(mediaType=["x"]), "", "is not an OCI or Docker manifest"),
    (manifest(schemaVersion=1), "", "schemaVersion is 1"),
    (manifest(schemaVersion="2"), "", "schemaVersion is '2'"),
    (manifest(schemaVersion=None), "", "schemaVersion is None"),
])
def test_body_and_transport_have_to_agree(content, transport, words):
    if words is None:
        assert parse(content, transport).media_type == OCI_MANIFEST
        return
    with pytest.raises(InvalidContent) as caught:
        parse(content, transport)
    assert words in str(caught.value)
    assert "h.test/a:1" in str(caught.value)


DEEP = b"[" * 200 + b"]" * 200


@pytest.mark.parametrize("raw, words", [
    (b"", "not valid JSON"),
    (b"{", "not valid JSON"),
    (b"[]", "is a list"),
    (b"null", "is a NoneType"),
    (b'"x"', "is a str"),
    (b"\xef\xbb\xbf{}", "not valid JSON"),
    (b'{"a": "\xff"}', "not valid JSON"),
    (b"\xff\xfe{\x00}\x00", "not valid JSON"),
    (b'{"a": 1} x', "not valid JSON"),
    (b'{"a": NaN}', "NaN"),
    (b'{"a": Infinity}', "Infinity"),
    (b'{"a": -Infinity}', "-Infinity"),
    (b'{"a": 1, "a": 1}', "'a' stands twice"),
    (b'{"x": [{"b": 1, "c": 2, "b": 3}]}', "'b' stands twice"),
    (b'{"a": ' + DEEP + b"}", "nested deeper than 100"),
    (b'{"a": ' + b"[" * 10000 + b"]" * 10000 + b"}", "nested"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested"),
    (b'{"a": 1' + b"0" * 10000 + b"}", "not valid JSON"),
], ids=lambda value: None if isinstance(value, str) else repr(value[:20]))
def test_json_from_outside_is_not_trusted(raw, words):
    with pytest.raises(InvalidContent) as caught:
        parse_json(raw, "index.json")
    assert words in str(caught.value)
    assert "index.json" in str(caught.value)


def test_json_may_be_nested_a_hundred_deep():
    raw = b'{"a":' * 99 + b"{}" + b"}" * 99
    assert parse_json(raw, "here")["a"]


def test_a_key_that_stands_twice_among_very_many_is_found_quickly():
    keys = ",".join(f'"{number}":1' for number in range(200_000))
    started = time.monotonic()
    with pytest.raises(InvalidContent, match="'199999' stands twice"):
        parse_json(("{" + keys + ',"199999":2}').encode(), "here")
    assert time.monotonic() - started < 20


def test_a_manifest_above_the_limit_is_refused():
    with pytest.raises(InvalidContent, match="over the limit"):
        parse(b" " * (MAX_MANIFEST_SIZE + 1))


def test_the_bytes_have_to_have_the_expected_digest():
    raw = json.dumps(manifest(), indent=3).encode()
    found = parse(raw, digest=digest_of(raw))
    assert (found.raw, found.digest, found.size) == (raw, digest_of(raw), len(raw))
    assert parse(raw, digest=digest_of(raw, "sha512")).digest == digest_of(raw, "sha512")
    assert found.descriptor() == ContentDescriptor(OCI_MANIFEST, digest_of(raw), len(raw))
    with pytest.raises(DigestMismatch, match="h.test/a:1"):
        parse(raw + b" ", digest=digest_of(raw))


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_a_weak_algorithm_proves_nothing(algorithm):
    raw = json.dumps(manifest()).encode()
    with pytest.raises(InvalidContent, match="not supported"):
        parse(raw, digest=digest_of(raw, algorithm))


@pytest.mark.parametrize("value, words", [
    (None, "must be a mapping"),
    ([], "must be a mapping"),
    ({}, "is not a digest"),
    ({"digest": A}, "no valid size"),
    (descriptor(size="3"), "no valid size"),
    (descriptor(size=3.0), "no valid size"),
    (descriptor(size=True), "no valid size"),
    (descriptor(size=-1), "no valid size"),
    (descriptor(size=2**63), "no valid size"),
    (descriptor(digest="md5:" + "a" * 32), "not supported"),
    (descriptor(digest="sha256:../../etc"), "is not a digest"),
    (descriptor(annotations=[1]), "not a mapping"),
])
def test_a_content_descriptor_is_checked(value, words):
    with pytest.raises(InvalidContent) as caught:
        ContentDescriptor.from_mapping(value, "layer 2")
    assert words in str(caught.value)
    assert "layer 2" in str(caught.value)


def test_a_content_descriptor():
    value = descriptor(size=2**63 - 1, annotations={"k": "v"}, artifactType="x/y")
    found = ContentDescriptor.from_mapping(value, "here")
    assert (found.digest, found.size, found.annotations, found.artifact_type) == (A, 2**63 - 1, {"k": "v"}, "x/y")
    assert list(found.to_mapping()) == ["mediaType", "digest", "size", "annotations"]
    assert ContentDescriptor.from_mapping(descriptor(annotations=None), "here").annotations == {}


def test_the_blobs_of_a_manifest_in_its_order_each_once():
    layers = [descriptor(B), descriptor(C), descriptor(B), descriptor(A)]
    found = parse(manifest(layers=layers))
    assert [blob.digest for blob in found.blobs] == [A, B, C]
    assert [layer.digest for layer in found.layers] == [B, C, B, A]


def test_one_digest_with_two_sizes_is_refused():
    found = parse(manifest(layers=[descriptor(B, 3), descriptor(B, 4)]))
    with pytest.raises(InvalidContent, match="two sizes"):
        assert found.blobs


@pytest.mark.parametrize("content, attribute", [
    (manifest(layers={}), None),
    (manifest(layers={"a": 1}), "layers"),
    (manifest(layers=["x"]), "layers"),
    (manifest(config="x"), "config"),
    (manifest(config={"digest": A, "size": -1}), "blobs"),
    (index(manifests={"a": 1}), "children"),
    (index(manifests=[None]), "children"),
])
def test_damaged_lists_are_named(content, attribute):
    found = parse(content)
    if attribute is None:
        assert found.layers == []
        return
    with pytest.raises(InvalidContent):
        getattr(found, attribute)


def test_an_index_has_children_and_no_blobs():
    found = parse(index(manifests=[descriptor(A), descriptor(B)], annotations={"k": "v"}))
    assert [child.digest for child in found.children] == [A, B]
    assert (found.blobs, found.layers, found.config) == ([], [], None)
    assert found.annotations == {"k": "v"}
    assert parse(index(annotations=["x"])).annotations == {}


@pytest.mark.parametrize("content, expected", [
    (manifest(artifactType="x/y"), "x/y"),
    (manifest(config=descriptor(media_type="c/d")), "c/d"),
    (manifest(config=None), ""),
    (index(artifactType="x/y"), "x/y"),
])
def test_the_artifact_type(content, expected):
    assert parse(content).artifact_type == expected


def test_a_wrong_descriptor_is_told_with_its_place():
    raw = json.dumps({"schemaVersion": 2, "layers": [{"digest": "md5:1", "size": 1}]}).encode()
    with pytest.raises(InvalidContent, match=r"registry.example/app:1.0 \(sha256:[0-9a-f]{64}\) layers"):
        assert Manifest.parse(raw, where="registry.example/app:1.0").layers
