# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a real registry: content, request counts, sessions."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    DigestMismatch,
    InvalidContent,
    NotFound,
    RegistryError,
    Unreachable,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.limits import LARGEST_PIECE
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import put, source_of

MIB = 1024 * 1024


def counting(content):
    """An open_source that counts how often it was opened and closed."""

    @contextmanager
    def open_source():
        open_source.opened += 1
        try:
            yield iter([content])
        finally:
            open_source.closed += 1

    open_source.opened = open_source.closed = 0
    return open_source


def image(repository, text, tag=""):
    config, layer = b"{}", text.encode()
    put(repository, config)
    put(repository, layer)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": 2},
        "layers": [{"mediaType": "application/octet-stream", "digest": digest_of(layer), "size": len(layer)}],
    }
    manifest = Manifest.parse(json.dumps(body, indent=3).encode())
    repository.put_manifest(manifest, tag)
    return manifest


@pytest.fixture
def registries():
    made = Registries(ConnectionOptions(retries=0, timeout=10))
    yield made
    made.close()


@pytest.fixture
def repository(registries, plain_registry, repository_path):
    return registries.repository(plain_registry.host, repository_path, plain_http=True)


def calls(registries):
    return dict(registries.traffic.by_method)


def test_round_trip_of_a_large_blob(repository, plain_registry):
    content = bytes(range(256)) * (12 * 1024) + b"odd end"
    assert put(repository, content) == "copied"
    assert repository.blob_size(digest_of(content)) == len(content)
    with repository.open_blob(digest_of(content), len(content)) as blocks:
        arrived = list(blocks)
    assert b"".join(arrived) == content
    assert max(map(len, arrived)) == LARGEST_PIECE and len(arrived) == 25
    assert plain_registry.blobs()[digest_of(content)].read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_blobs(repository, content):
    assert put(repository, content) == "copied"
    assert put(repository, content) == "present"
    with repository.open_blob(digest_of(content)) as blocks:
        assert b"".join(blocks) == content


def test_registry_that_stores_sha512_under_another_name(repository, plain_registry):
    """docker-registry 2.8 answers 201, but keeps the blob as sha256 alone."""
    content = b"long digest"
    with pytest.raises(RegistryError, match="stored sha256:.* instead.* keeps no sha512"):
        repository.put_blob("sha512:" + hashlib.sha512(content).hexdigest(), len(content), source_of(content))
    assert plain_registry.uploads(repository.path) == []


def test_request_counts_as_the_registry_saw_them(registries, repository, plain_registry):
    before = len(plain_registry.requests())
    assert put(repository, b"first") == "copied"
    assert calls(registries) == {"POST": 2, "HEAD": 1, "PUT": 1}
    assert put(repository, b"second") == "copied"
    assert calls(registries) == {"POST": 3, "HEAD": 1, "PUT": 2}
    assert put(repository, b"second") == "present"
    assert calls(registries) == {"POST": 4, "HEAD": 1, "PUT": 2}
    other = registries.repository(plain_registry.host, repository.path + "-other", plain_http=True)
    assert put(other, b"second", [repository.path]) == "mounted"
    assert calls(registries) == {"POST": 5, "HEAD": 1, "PUT": 2}
    assert registries.traffic.requests == 8
    assert len(plain_registry.requests()) - before == 8


def test_bytes_are_counted_in_both_directions(registries, repository):
    content = b"z" * 300000
    put(repository, content)
    assert registries.traffic.bytes == len(content)
    with repository.open_blob(digest_of(content)) as blocks:
        for _block in blocks:
            pass
    assert registries.traffic.bytes == 2 * len(content)


def test_one_put_with_a_length_and_no_chunks(repository, plain_registry):
    content = b"q" * (3 * MIB)
    before = len(plain_registry.requests())
    put(repository, content)
    seen = plain_registry.requests()[before:]
    assert [method for method, _path, _status in seen].count("PUT") == 1
    assert "PATCH" not in [method for method, _path, _status in seen]


def test_present_blob_is_not_read_and_source_is_closed(repository):
    source = counting(b"content")
    repository.put_blob(digest_of(b"content"), 7, source)
    assert (source.opened, source.closed) == (1, 1)
    repository.put_blob(digest_of(b"content"), 7, source)
    assert (source.opened, source.closed) == (1, 1)


def test_mount_from_a_repository_without_the_blob_falls_back(registries, repository, plain_registry):
    assert put(repository, b"mount me", ["test/nothing-here"]) == "copied"
    assert put(repository, b"mount me too", [repository.path]) == "copied"
    assert plain_registry.uploads(repository.path) == []


def test_a_source_that_breaks_cancels_the_session(registries, repository):
    """Only asked for: docker-registry 2.8 refuses to cancel a session in which bytes have arrived."""

    @contextmanager
    def broken():
        def blocks():
            yield b"half"
            raise InvalidContent("The source broke.")

        yield blocks()

    with pytest.raises(InvalidContent, match="The source broke."):
        repository.put_blob(digest_of(b"half and half"), 13, broken)
    assert calls(registries)["DELETE"] == 1
    assert repository.blob_size(digest_of(b"half and half")) is None
    assert put(repository, b"half and half") == "copied"


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("value")])
def test_an_error_of_the_source_is_raised_as_it_is(repository, error):
    @contextmanager
    def broken():
        def blocks():
            yield b"half"
            raise error

        yield blocks()

    with pytest.raises(type(error)) as caught:
        repository.put_blob(digest_of(b"whole"), 5, broken)
    assert caught.value is error


@pytest.mark.parametrize("sent", [b"short", b"much longer than promised"])
def test_a_source_of_another_size_is_not_committed(registries, repository, sent):
    with pytest.raises(RegistryError, match="than the 10 bytes that were promised"):
        repository.put_blob(digest_of(b"0123456789"), 10, source_of(sent))
    assert repository.blob_size(digest_of(b"0123456789")) is None
    assert calls(registries)["DELETE"] == 1


def test_wrong_content_is_refused_by_the_registry(registries, repository):
    with pytest.raises(RegistryError) as caught:
        repository.put_blob(digest_of(b"right"), 5, source_of(b"wrong"))
    assert caught.value.code == "DIGEST_INVALID"
    assert calls(registries) == {"POST": 1, "HEAD": 1, "PUT": 1, "DELETE": 1}


def test_damaged_blob_is_noticed(repository, plain_registry):
    content = b"k" * 5000
    put(repository, content)
    stored = plain_registry.blobs()[digest_of(content)]
    stored.write_bytes(b"K" + content[1:])
    with pytest.raises(DigestMismatch, match=digest_of(content)):
        with repository.open_blob(digest_of(content), len(content)) as blocks:
            list(blocks)


def test_blob_of_another_size_than_promised(repository):
    put(repository, b"12345")
    with pytest.raises(DigestMismatch, match="5 bytes at the registry, 4 were promised"):
        with repository.open_blob(digest_of(b"12345"), 4):
            pass


def test_absent_blob(repository):
    assert repository.blob_size(digest_of(b"absent")) is None
    with pytest.raises(NotFound, match=repository.path):
        with repository.open_blob(digest_of(b"absent")):
            pass


def test_manifest_bytes_survive(repository):
    manifest = image(repository, "layer", "1.0")
    assert repository.get_manifest("1.0") == manifest
    assert repository.get_manifest(manifest.digest).raw == manifest.raw
    assert repository.head_manifest("1.0") == manifest.descriptor()
    assert repository.head_manifest(manifest.digest) == manifest.descriptor()
    assert repository.tags() == ["1.0"]


def test_index_by_digest(repository):
    child = image(repository, "child")
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child.descriptor().to_mapping()]}
    index = Manifest.parse(json.dumps(body).encode())
    repository.put_manifest(index)
    assert repository.get_manifest(index.digest).children == [child.descriptor()]


def test_manifest_whose_blob_is_missing(repository):
    manifest = image(repository, "layer", "1.0")
    body = json.loads(manifest.raw)
    body["layers"][0]["digest"] = digest_of(b"never written")
    with pytest.raises(RegistryError) as caught:
        repository.put_manifest(Manifest.parse(json.dumps(body).encode()), "2.0")
    assert caught.value.code == "MANIFEST_BLOB_UNKNOWN"
    assert "write the manifest 2.0" in str(caught.value)


def test_absent_manifest_and_repository(repository):
    assert repository.head_manifest("nothing") is None
    with pytest.raises(NotFound, match="read the manifest nothing"):
        repository.get_manifest("nothing")
    with pytest.raises(NotFound, match="list the tags"):
        repository.tags()


def test_damaged_manifest_is_noticed(repository, plain_registry):
    manifest = image(repository, "will be damaged", "1.0")
    stored = plain_registry.blobs()[manifest.digest]
    stored.write_bytes(manifest.raw.replace(b'"layers"', b'"Layers"'))
    with pytest.raises((DigestMismatch, RegistryError)):
        repository.get_manifest(manifest.digest)


def test_many_threads_share_one_set_of_registries(registries, repository, plain_registry):
    contents = [f"blob {number % 10}".encode() * 5000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda content: put(repository, content), contents))
    assert set(results) <= {"copied", "present"}
    stored = plain_registry.blobs()
    assert all(digest_of(content) in stored for content in contents)
    assert plain_registry.uploads(repository.path) == []


def test_mirror_serves_reads_and_gets_no_writes(plain_registry, repository_path):
    mirror_entry = RegistrySettings("registry.invalid", mirror=f"{plain_registry.host}/cache")
    plain = RegistrySettings(plain_registry.host, plain_http=True)
    registries = Registries(ConnectionOptions(registries=(mirror_entry, plain), retries=0))
    manifest = image(registries.repository(plain_registry.host, f"cache/{repository_path}"), "mirrored", "1")
    mirrored = registries.repository("registry.invalid", repository_path)
    assert mirrored.get_manifest("1") == manifest
    assert mirrored.name == f"registry.invalid/{repository_path}"
    with pytest.raises(Unreachable, match="registry.invalid"):
        mirrored.put_manifest(manifest, "2")


def test_tags(repository):
    wanted = {f"1.{number}" for number in range(12)}
    for tag in wanted:
        image(repository, "one", tag)
    found = repository.tags()
    assert set(found) == wanted and len(found) == len(wanted)
