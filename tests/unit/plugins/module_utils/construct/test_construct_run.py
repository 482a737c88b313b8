# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a constructor to a CTF and to a registry: created, unchanged, changed, refused, repaired."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import re
import tarfile
import zlib

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct import packing, store as construct_store
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.run import construct_component_versions
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidInput, NotFound, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_MANIFEST, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import FolderFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.artifact_set import ArtifactSet
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_store import open_store
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import Ctf
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.options import TransferOptions
from ansible_collections.ocm.airgap.tests.support.oci_client import connect, put
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

NAME = "acme.org/app"


class Place:
    """A folder with inputs, and a target."""

    def __init__(self, folder, target):
        self.base = folder / "inputs"
        self.base.mkdir()
        self.target = RepositoryReference.parse(str(target))
        (self.base / "file.txt").write_text("content of a file\n")
        (self.base / "folder" / "sub").mkdir(parents=True)
        (self.base / "folder" / "sub" / "b.yaml").write_text("b: 1\n")
        (self.base / "folder" / "a.txt").write_text("a")
        (self.base / "chart").mkdir()
        (self.base / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 0.1.0+b.1\n")

    def run(self, constructor, check_mode=False, skip_digest=False, **options):
        return construct_component_versions(
            constructor, str(self.base), self.target, TransferOptions(**options), connect, check_mode, skip_digest
        )

    def actions(self, constructor, **options):
        return [version["action"] for version in self.run(constructor, **options).component_versions]

    def read(self, name=NAME, version="1.0.0"):
        registries = connect()
        opened = open_store(self.target, registries)
        try:
            return opened.read(name, version)
        finally:
            registries.close()

    def content(self, name, version=None):
        """The element and the bytes of its local blob."""
        registries = connect()
        found = open_store(self.target, registries).read(NAME, "1.0.0")
        element = next(
            item for item in found.descriptor.resources + found.descriptor.sources
            if item["name"] == name and version in (None, item["version"])
        )
        blob = found.local_blob(found.descriptor.access_of(element), name)
        with blob.open() as blocks:
            return element, b"".join(blocks)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, tmp_path / "target")


def component(*resources, **parts):
    return dict(
        {"name": NAME, "version": "1.0.0", "provider": {"name": "acme.org"}, "resources": list(resources)}, **parts
    )


def given(name="text", kind="utf8", element=None, **spec):
    spec = spec or {"text": "hello"}
    return dict({"name": name, "type": "blob", "input": dict({"type": kind}, **spec)}, **(element or {}))


def external(name, version="1.0.0", **access):
    return {"name": name, "version": version, "type": "blob", "access": access}


def image_in(repository, text, tag):
    config = json.dumps({"text": text}).encode()
    put(repository, config)
    put(repository, text.encode())
    raw = json.dumps({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/octet-stream", "digest": digest_of(text.encode()), "size": len(text)}],
    }).encode()
    manifest = Manifest.parse(raw)
    repository.put_manifest(manifest, tag)
    return manifest


def snapshot(folder):
    return {
        os.path.join(root, name): os.stat(os.path.join(root, name)).st_mtime_ns
        for root, _folders, names in os.walk(folder) for name in names
    }


@pytest.mark.parametrize(
    "resource, media_type, content",
    [
        (given(kind="file", path="file.txt"), "application/octet-stream", b"content of a file\n"),
        (given(kind="file", path="file.txt", mediaType="text/plain"), "text/plain", b"content of a file\n"),
        (given(), "application/octet-stream", b"hello"),
        (given(json={"b": ["ü"], "a": 1}), "application/octet-stream", '{"a":1,"b":["ü"]}'.encode()),
        (given(formattedJson={"a": [1]}), "application/octet-stream", b'{\n  "a": [\n    1\n  ]\n}'),
        (given(yaml={"b": 1, "a": "yes"}), "application/octet-stream", None),
        (given(kind="binary", data="AAE="), "application/octet-stream", b"\0\1"),
        (given(kind="dir", path="folder"), "application/x-tar", None),
    ],
)
def test_the_content_of_an_input_is_written(place, resource, media_type, content):
    assert place.actions(component(resource)) == ["transferred"]
    element, found = place.content("text")
    assert element["access"] == {"type": "localBlob", "localReference": digest_of(found), "mediaType": media_type}
    assert element["digest"] == {
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": digest_of(found)[7:]
    }
    assert (element["relation"], element["version"]) == ("local", "1.0.0")
    if content is not None:
        assert found == content


@pytest.mark.parametrize(
    "resource, media_type",
    [
        (given(kind="file", path="file.txt", compress=True), "application/gzip"),
        (given(text="content of a file\n", compress=True, mediaType="text/plain"), "text/plain"),
    ],
)
def test_compressed_content(place, resource, media_type):
    place.run(component(resource))
    element, found = place.content("text")
    assert element["access"]["mediaType"] == media_type
    assert gzip.decompress(found) == b"content of a file\n"


@pytest.mark.parametrize("preserve, prefix", [(True, "folder/"), (False, "")])
def test_a_compressed_folder(place, preserve, prefix):
    place.run(component(given(kind="dir", path="folder", compress=True, preserveDir=preserve)))
    element, found = place.content("text")
    assert element["access"]["mediaType"] == "application/x-tgz"
    with tarfile.open(fileobj=io.BytesIO(found), mode="r:gz") as tar:
        assert [entry.name for entry in tar if entry.isfile()] == [f"{prefix}a.txt", f"{prefix}sub/b.yaml"]


def test_a_chart_is_an_artifact_set_with_the_name_of_the_chart(place):
    place.run(component(given(kind="helm", path="chart")))
    element, _found = place.content("text")
    assert element["access"]["mediaType"] == "application/vnd.oci.image.manifest.v1+tar+gzip"
    assert element["access"]["referenceName"] == f"{NAME}/demo:0.1.0_b.1"
    stored = place.read()
    artifact = ArtifactSet(stored.local_blob(stored.descriptor.access_of(element), "text").open, "text")
    assert artifact.main == "sha256:" + element["digest"]["value"]
    assert element["digest"]["normalisationAlgorithm"] == "ociArtifactDigest/v1"


@pytest.mark.parametrize(
    "repository, hint",
    [("", f"{NAME}/text:1.0.0"), ("my/image", f"{NAME}/my/image:1.0.0"), ("/my/image", "my/image:1.0.0")],
)
def test_an_image_out_of_a_ctf(place, repository, hint):
    path = str(place.base / "image")
    files = FolderFiles(path)
    manifest = image_in(Ctf(path, files, files).repository("acme/image"), "layer", "1.0.0")
    place.run(component(given(kind="ociArtifact", path="./image//acme/image:1.0.0", repository=repository)))
    element, _found = place.content("text")
    assert element["access"]["referenceName"] == hint
    assert element["digest"]["value"] == manifest.digest[7:]
    with pytest.raises(NotFound, match="has no artifact acme/image:2.0.0.*Did you mean acme/image:1.0.0"):
        place.run(component(given(kind="ociArtifact", path="./image//acme/image:2.0.0")))


def full():
    """Every kind of input that needs no network."""
    return component(
        given("file", "file", path="file.txt"),
        given("packed", "file", path="file.txt", compress=True),
        given("folder", "dir", path="folder", compress=True),
        given("chart", "helm", path="chart"),
        given("text"),
        external("nothing", type="none"),
        sources=[external("code", type="gitHub", repoUrl="x.test/y", commit="0" * 40), given("source", text="hello")],
        labels=[{"name": "l", "value": [1], "signing": True}, {"name": "loose", "value": "x"}],
    )


def test_check_mode_writes_nothing_and_says_the_same(place):
    predicted = place.run(full(), check_mode=True)
    assert not os.path.exists(place.target.path)
    done = place.run(full())
    assert predicted.changed and done.changed
    assert predicted.component_versions == done.component_versions
    for before, after in zip(predicted.resources, done.resources):
        if before["after"].get("localReference", "") is None:  # an artifact set has a digest when it is packed
            before["after"]["localReference"] = after["after"]["localReference"]
        assert before == after


def test_the_same_again_is_unchanged(place):
    place.run(full())
    created = place.read().descriptor.creation_time
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", created)
    files = snapshot(place.target.path)
    for check_mode in (True, False, True):
        result = place.run(full(), check_mode=check_mode)
        assert not result.changed
        assert {resource["action"] for resource in result.resources} <= {"unchanged", "by_reference", "none"}
    assert snapshot(place.target.path) == files
    assert place.read().descriptor.creation_time == created


def test_other_content_is_refused_unless_it_may_be_overwritten(place, monkeypatch):
    monkeypatch.setattr(construct_store, "_now", lambda: "2020-01-02T03:04:05Z")
    place.run(full())
    monkeypatch.setattr(construct_store, "_now", lambda: "2021-01-02T03:04:05Z")
    (place.base / "folder" / "a.txt").write_text("changed")
    files = snapshot(place.target.path)
    for check_mode in (True, False):
        with pytest.raises(Refused, match="resource folder: the digest is"):
            place.run(full(), check_mode=check_mode)
    assert snapshot(place.target.path) == files
    assert place.actions(full(), overwrite=True, check_mode=True) == ["updated"]
    assert place.actions(full(), overwrite=True) == ["updated"]
    assert place.actions(full()) == ["unchanged"]
    assert place.read().descriptor.creation_time == "2020-01-02T03:04:05Z"


def changed(change):
    constructor = full()
    change(constructor)
    return constructor


@pytest.mark.parametrize(
    "change, seen",
    [
        (lambda c: c["resources"][0]["input"].update(mediaType="text/plain"), lambda d: d.resources[0]["access"]["mediaType"] == "text/plain"),
        (lambda c: c["resources"][3]["input"].update(repository="/other"), lambda d: d.resources[3]["access"]["referenceName"] == "other:0.1.0_b.1"),
        (lambda c: c["sources"][0]["access"].update(commit="1" * 40), lambda d: d.sources[0]["access"]["commit"] == "1" * 40),
        (lambda c: c["labels"][1].update(value="y"), lambda d: d.labels[1]["value"] == "y"),
        (lambda c: c["resources"][4].update(labels=[{"name": "n", "value": 1}]), lambda d: d.resources[4]["labels"] == [{"name": "n", "value": 1}]),
    ],
    ids=["mediaType", "name of an image", "access of a source", "label", "label of a resource"],
)
def test_what_a_signature_does_not_cover_is_updated(place, change, seen):
    place.run(full())
    created = place.read().descriptor.creation_time
    wanted = changed(change)
    assert place.actions(wanted, check_mode=True) == ["updated"]
    assert place.actions(wanted) == ["updated"]
    descriptor = place.read().descriptor
    assert seen(descriptor)
    assert descriptor.creation_time == created
    assert place.actions(wanted) == ["unchanged"]


def test_a_blob_that_is_lost_is_put_back(place):
    place.run(full())
    digest = digest_of(b"hello")
    os.unlink(os.path.join(place.target.path, "blobs", digest.replace(":", ".")))
    assert place.actions(full(), check_mode=True) == ["updated"]
    assert place.actions(full()) == ["updated"]
    assert place.content("text")[1] == b"hello"
    assert place.actions(full()) == ["unchanged"]


def test_compressed_content_that_another_zlib_packed_is_unchanged(place, monkeypatch):
    def level_one(blocks):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        yield from map(packer.compress, blocks)
        yield packer.flush()

    with monkeypatch.context() as patch:
        patch.setattr(packing, "compressed", level_one)
        place.run(full())
    before = place.content("folder")
    assert place.actions(full()) == ["unchanged"]
    grown = changed(lambda c: c["resources"].append(given("more", text="more")))
    assert place.actions(grown, overwrite=True) == ["updated"]
    assert place.content("folder") == before
    (place.base / "folder" / "a.txt").write_text("changed")
    with pytest.raises(Refused, match="resource folder"):
        place.run(grown)


def test_several_components_and_what_they_refer_to(place):
    leaf = component(given(), name="acme.org/leaf")
    references = [
        {"name": name, "componentName": f"acme.org/{name}", "version": "1.0.0"} for name in ("leaf", "missing", "there")
    ]
    place.run(component(name="acme.org/there"))
    result = place.run({"components": [component(references=references), leaf]})
    assert [version["component"] for version in result.component_versions] == ["acme.org/leaf", NAME]
    assert result.warnings == [
        f"{NAME}:1.0.0 refers to acme.org/missing:1.0.0, which is neither in the constructor nor at {place.target.path}."
    ]
    assert all("digest" not in reference for reference in place.read().descriptor.references)


@pytest.mark.parametrize(
    "resource, error, told",
    [
        (given(kind="docker", path="x"), InvalidInput, r"'docker' is not supported.*file, dir, utf8, binary, ociArtifact"),
        (given(kind="file", path="missing"), NotFound, "missing does not exist"),
        (given(kind="file", path="folder"), InvalidInput, "input type dir"),
        (given(kind="file"), InvalidInput, "unknown field text"),
        (given(kind="file", mediaType="x"), InvalidInput, "path is missing"),
        (given(kind="file", path=1), InvalidInput, "path must be a text"),
        (given(kind="file", path="file.txt", compress="yes"), InvalidInput, "compress must be true or false"),
        (given(kind="dir", path="file.txt"), InvalidInput, "is not a folder"),
        (given(kind="dir", path="missing"), NotFound, "does not exist"),
        (given(kind="dir", path="folder", includeFiles=["*.none"]), InvalidInput, "nothing in .* matches includeFiles"),
        (given(kind="dir", path="folder", excludeFiles="x"), InvalidInput, "excludeFiles must be a list"),
        (given(text="a", json={}), InvalidInput, "exactly one of"),
        (given(text=1), InvalidInput, "text must be a text"),
        (given(kind="binary", data="%"), InvalidInput, "not base64"),
        (given(kind="helm", path="missing"), NotFound, "missing does not exist"),
        (given(kind="helm", path="folder"), NotFound, "Chart.yaml cannot be read"),
        (given(kind="ociArtifact", path="./missing"), NotFound, "missing does not exist"),
        (given(kind="ociArtifact", path="./missing", platforms=["linux/amd64"]), InvalidInput, "copied whole"),
        (given(kind="helm", path="chart", repository="Upper"), InvalidInput, "cannot be the name of an image"),
        (given(kind="helm", path="chart", repository="a:b"), InvalidInput, "cannot be the name of an image"),
        (given(element={"digest": {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1", "value": "0" * 64}}),
         DigestMismatch, "the constructor says sha256:0000"),
    ],
)
def test_what_is_wrong_with_an_input_is_told_with_its_place(place, resource, error, told):
    with pytest.raises(error, match=told) as caught:
        place.run(component(resource))
    assert "constructor resources[0]" in str(caught.value)
    assert not os.path.exists(place.target.path)


def test_two_images_of_one_name_are_refused(place):
    (place.base / "other").mkdir()
    (place.base / "other" / "Chart.yaml").write_text("name: demo\nversion: 0.1.0+b.1\ndescription: other\n")
    with pytest.raises(InvalidInput, match="different images.*Set repository"):
        place.run(component(given("one", "helm", path="chart"), given("two", "helm", path="other")))


def test_a_version_that_needs_a_tar(tmp_path):
    place = Place(tmp_path, tmp_path / "target.tgz")
    assert place.actions(full()) == ["transferred"]
    assert place.actions(full()) == ["unchanged"]
    assert place.content("text")[1] == b"hello"


@pytest.fixture
def at_registry(tmp_path, plain_registry, repository_path):
    return Place(tmp_path, f"{plain_registry.url}/{repository_path}")


def image_at(registry, path, text, tag="1.0.0"):
    registries = connect()
    try:
        return image_in(registries.repository(registry.host, path, True), text, tag)
    finally:
        registries.close()


def test_a_registry_gets_images_as_images(at_registry, plain_registry, repository_path):
    manifest = image_at(plain_registry, f"{repository_path}/source", "layer")
    source = f"{plain_registry.url}/{repository_path}/source:1.0.0"
    constructor = full()
    constructor["resources"] += [
        given("image", "ociImage", path=source), external("outside", type="ociArtifact", imageReference=source)
    ]
    before = len(plain_registry.requests())
    assert at_registry.actions(constructor, check_mode=True) == ["transferred"]
    methods = {method for method, _path, _status in plain_registry.requests()[before:]}
    assert methods <= {"GET", "HEAD"}
    assert at_registry.actions(constructor) == ["transferred"]
    resources = {resource["name"]: resource for resource in at_registry.read().descriptor.resources}
    prefix = f"{plain_registry.url}/{repository_path}/{NAME}"
    assert resources["image"]["access"] == {
        "type": "ociArtifact", "imageReference": f"{prefix}/image:1.0.0@{manifest.digest}"
    }
    assert resources["chart"]["access"]["imageReference"].startswith(f"{prefix}/demo:0.1.0_b.1@sha256:")
    assert resources["outside"]["access"] == {"type": "ociArtifact", "imageReference": source}
    for name in ("image", "outside"):
        assert resources[name]["digest"] == {
            "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "ociArtifactDigest/v1", "value": manifest.digest[7:]
        }
    before = len(plain_registry.requests())
    assert at_registry.actions(constructor) == ["unchanged"]
    methods = {method for method, _path, _status in plain_registry.requests()[before:]}
    assert methods <= {"GET", "HEAD"}
    constructor["resources"][-2]["input"]["repository"] = "moved"
    assert at_registry.actions(constructor) == ["updated"]
    assert at_registry.actions(constructor) == ["unchanged"]


def test_an_access_that_names_another_place_for_the_same_image_is_updated(at_registry, plain_registry, repository_path):
    for path in ("one", "two"):
        image_at(plain_registry, f"{repository_path}/{path}", "layer")
    image_at(plain_registry, f"{repository_path}/three", "other layer")

    def refers(path):
        return component(external("image", type="ociArtifact", imageReference=f"{plain_registry.url}/{repository_path}/{path}:1.0.0"))

    assert [at_registry.actions(refers(path)) for path in ("one", "one", "two", "two")] == [
        ["transferred"], ["unchanged"], ["updated"], ["unchanged"]
    ]
    with pytest.raises(Refused, match="resource image: the digest is"):
        at_registry.run(refers("three"))


def test_digests_are_left_out_when_asked_for(at_registry, plain_registry, repository_path):
    missing = f"{plain_registry.url}/{repository_path}/missing:1.0.0"
    resource = external("image", type="ociArtifact", imageReference=missing)
    with pytest.raises(NotFound, match="resources.0.*no artifact 1.0.0"):
        at_registry.run(component(resource))
    at_registry.run(component(resource, given()), skip_digest=True)
    found = at_registry.read().descriptor.resources
    assert ["digest" in element for element in found] == [False, True]
    assert at_registry.actions(component(resource, given()), skip_digest=True) == ["unchanged"]
    alone = dict(copy.deepcopy(resource), options={"skipDigestGeneration": True})
    assert at_registry.actions(component(alone, given())) == ["unchanged"]


def test_a_relative_reference_begins_at_the_target(at_registry, plain_registry, repository_path):
    manifest = image_at(plain_registry, f"{repository_path}/relative", "layer")
    reference = f"{repository_path}/relative:1.0.0"
    constructor = component(external("image", type="relativeOciReference", reference=reference))
    result = at_registry.run(constructor)
    element = at_registry.read().descriptor.resources[0]
    assert element["access"] == {"type": "relativeOciReference", "reference": reference}
    assert element["digest"]["value"] == manifest.digest[7:]
    assert not result.warnings
    assert at_registry.actions(constructor) == ["unchanged"]


def packed_layout(path, folder_of_blobs):
    """A file with an artifact set (`.`) or an OCI layout (`/`); returns the digest of its manifest."""
    config = b"{}"
    raw = json.dumps({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": 2},
    }).encode()
    listed = {"mediaType": OCI_MANIFEST, "digest": digest_of(raw), "size": len(raw)}
    index = {"schemaVersion": 2, "manifests": [listed], "annotations": {"software.ocm/main": digest_of(raw)}}
    with tarfile.open(path, "w") as tar:
        files = {"index.json": json.dumps(index).encode()}
        files.update({f"blobs/{digest_of(blob).replace(':', folder_of_blobs)}": blob for blob in (config, raw)})
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return digest_of(raw)


@pytest.mark.parametrize(
    "media_type, mark, algorithm",
    [
        ("application/vnd.oci.image.manifest.v1+tar", ".", "ociArtifactDigest/v1"),
        ("application/vnd.ocm.software.oci.layout.v1+tar", "/", "genericBlobDigest/v1"),
    ],
)
def test_a_file_that_holds_an_artifact_stays_as_it_is(place, media_type, mark, algorithm):
    manifest = packed_layout(place.base / "set.tar", mark)
    packed = (place.base / "set.tar").read_bytes()
    constructor = component(given(kind="file", path="set.tar", mediaType=media_type))
    place.run(constructor)
    element, found = place.content("text")
    assert found == packed
    assert element["access"]["mediaType"] == media_type
    expected = manifest if algorithm.startswith("oci") else digest_of(packed)
    assert (element["digest"]["normalisationAlgorithm"], element["digest"]["value"]) == (algorithm, expected[7:])
    assert place.actions(constructor) == ["unchanged"]


@pytest.mark.parametrize(
    "media_type, mark",
    [("application/vnd.oci.image.manifest.v1+tar", "."), ("application/vnd.ocm.software.oci.layout.v1+tar", "/")],
)
def test_a_registry_gets_the_artifact_of_an_artifact_set(at_registry, media_type, mark):
    manifest = packed_layout(at_registry.base / "set.tar", mark)
    constructor = component(given(kind="file", path="set.tar", mediaType=media_type))
    assert at_registry.actions(constructor) == ["transferred"]
    access = at_registry.read().descriptor.resources[0]["access"]
    if mark == ".":
        assert access["imageReference"].endswith(f"/component-descriptors/{NAME}@{manifest}")
    else:
        assert access["mediaType"] == media_type
    assert at_registry.actions(constructor) == ["unchanged"]


def with_source(kind, **spec):
    return component(sources=[given("source", kind, **spec)])


@pytest.mark.parametrize("kind", ["file", "packed", "chart"])
@pytest.mark.parametrize("where", ["archive", "registry"])
def test_a_source_that_changes_is_updated(request, kind, where):
    place = request.getfixturevalue("place" if where == "archive" else "at_registry")
    constructor = {
        "file": with_source("file", path="file.txt"),
        "packed": with_source("dir", path="folder", compress=True),
        "chart": with_source("helm", path="chart"),
    }[kind]
    assert place.actions(constructor) == ["transferred"]
    assert place.actions(constructor) == ["unchanged"]
    before = place.read().descriptor.sources[0]["access"]
    (place.base / "file.txt").write_text("changed")
    (place.base / "folder" / "a.txt").write_text("changed")
    (place.base / "chart" / "values.yaml").write_text("a: 1\n")
    assert place.actions(constructor, check_mode=True) == ["updated"]
    assert place.actions(constructor) == ["updated"]
    assert place.read().descriptor.sources[0]["access"] != before
    assert place.actions(constructor) == ["unchanged"]


def test_options_about_copying_do_not_matter(place):
    constructor = component(external("nothing", type="wget", url="http://127.0.0.1:1/x"))
    result = place.run(constructor, skip_digest=True, copy_resources=True, copy_sources=True)
    assert result.resources[0]["action"] == "by_reference"


def test_an_access_that_cannot_be_followed_is_written_without_a_digest(place):
    result = place.run(component(external("bucket", type="s3", bucketName="b", objectKey="k")))
    assert result.warnings and "bucket has no digest" in result.warnings[0]
    assert place.read().descriptor.resources[0]["access"]["bucketName"] == "b"


@pytest.fixture
def web(tmp_path):
    """A folder, and the address of a server that gives its files."""
    folder = tmp_path / "web"
    folder.mkdir()

    def serve(asked):
        file = folder / asked.path.lstrip("/")
        return Reply(body=file.read_bytes()) if file.is_file() else Reply(404)

    with ScriptedServer(serve) as server:
        yield folder, server.url


def test_charts_and_files_of_a_web_server(place, web):
    folder, url = web
    with tarfile.open(folder / "demo-0.1.0.tgz", "w:gz") as tar:
        tar.add(place.base / "chart" / "Chart.yaml", "demo/Chart.yaml")
    chart = (folder / "demo-0.1.0.tgz").read_bytes()
    (folder / "index.yaml").write_text(json.dumps({
        "apiVersion": "v1",
        "entries": {"demo": [{"version": "0.1.0", "urls": ["demo-0.1.0.tgz"], "digest": digest_of(chart)[7:]}]},
    }))
    (folder / "file.txt").write_text("served")
    constructor = component(
        given("copied", "helm", helmRepository=url, helmChart="demo", version="0.1.0"),
        external("chart", type="helm", helmRepository=url, helmChart="demo:0.1.0"),
        external("file", type="wget", url=f"{url}/file.txt"),
    )
    assert place.actions(constructor) == ["transferred"]
    copied, by_chart, by_file = place.read().descriptor.resources
    assert (copied["version"], copied["access"]["referenceName"]) == ("0.1.0", f"{NAME}/demo:0.1.0")
    assert by_chart["access"] == {"type": "helm", "helmRepository": url, "helmChart": "demo:0.1.0"}
    assert by_chart["digest"]["value"] == digest_of(chart)[7:]
    assert by_file["digest"]["value"] == digest_of(b"served")[7:]
    assert place.actions(constructor) == ["unchanged"]
    (folder / "file.txt").write_text("served anew")
    with pytest.raises(Refused, match="resource file: the digest is"):
        place.run(constructor)
    (folder / "demo-0.1.0.tgz").write_bytes(chart + b"tampered")
    for resource in constructor["resources"][:2]:
        with pytest.raises(DigestMismatch, match="demo|resources"):
            place.run(component(resource))
