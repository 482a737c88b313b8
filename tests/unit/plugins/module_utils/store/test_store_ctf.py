# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CTFs in folders: what is written, in which order, and what damaged ones are answered with."""

from __future__ import annotations

import json
import os
import threading

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.descriptor import ComponentDescriptor
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent, NotFound, OcmError, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_version import LocalLayer, write_component_version
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import blob_name, in_memory
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import OCI_MANIFEST, digest_of, to_json
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import resource, v2

HELLO = b"hello\n"
DESCRIPTOR = ComponentDescriptor.from_mapping(v2(resources=[resource(access={"type": "localBlob", "localReference": digest_of(HELLO)})]), "here")
LAYER = LocalLayer("text/plain", digest_of(HELLO), len(HELLO), (("resource", {"name": "file"}),))


def manifest(number=0):
    return Manifest.parse(to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": {"n": str(number)}}))


def write(store, descriptor=DESCRIPTOR):
    repository = store.repository(descriptor.name)
    repository.put_blob(LAYER.digest, LAYER.size, in_memory(HELLO))
    return write_component_version(repository, descriptor, [LAYER])


def index_of(folder):
    return json.loads((folder / "artifact-index.json").read_bytes())


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_version_is_written_as_the_old_tool_does(tmp_path, open_path, open_path_to_write, read_blob):
    written = write(open_path_to_write(tmp_path / "new" / "ctf"))
    found = open_path(tmp_path / "new" / "ctf").read("acme.org/demo", "1.0.0")
    assert (found.descriptor, found.digest) == (DESCRIPTOR, written.digest)
    assert read_blob(found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here")) == HELLO
    content = json.loads(written.raw)
    assert list(content) == ["schemaVersion", "mediaType", "config", "layers", "annotations"]
    assert content["annotations"]["software.ocm.componentversion"] == "acme.org/demo:1.0.0"
    assert json.loads(content["layers"][1]["annotations"]["software.ocm.artifact"]) == [{"kind": "resource", "identity": {"name": "file"}}]
    config = json.loads((tmp_path / "new" / "ctf" / blob_name(content["config"]["digest"])).read_bytes())
    assert config == {"componentDescriptorLayer": content["layers"][0]}


def test_the_same_version_gives_the_same_bytes(tmp_path, open_path_to_write):
    for name in ("a", "b"):
        write(open_path_to_write(tmp_path / name))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    before = tree(tmp_path / "a")
    write(open_path_to_write(tmp_path / "a"))
    assert tree(tmp_path / "a") == before


def test_nothing_is_created_by_opening(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path / "ctf")
    assert store.components() == []
    with pytest.raises(NotFound):
        store.versions("acme.org/demo")
    store.commit()
    store.close()
    assert not list(tmp_path.iterdir())


def test_the_index_is_written_last(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path)
    repository = store.repository("acme.org/demo")
    repository.put_blob(LAYER.digest, LAYER.size, in_memory(HELLO))
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]
    assert open_path_to_write(tmp_path).find("acme.org/demo", "1.0.0") is None


class Stopped(BaseException):
    """As a signal would: no error that is caught on the way."""


@pytest.mark.parametrize("after", range(4))
def test_a_run_that_stops_leaves_nothing_half_written_and_the_next_one_finishes(after, tmp_path, open_path, open_path_to_write, monkeypatch):
    steps = []
    replace = os.replace

    def counted(source, target):
        if len(steps) == after:
            raise Stopped
        steps.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted)
        with pytest.raises(Stopped):
            write(open_path_to_write(tmp_path / "ctf"))
    assert not (tmp_path / "ctf" / "artifact-index.json").exists()
    assert not [name for name in tree(tmp_path / "ctf") if "sha256" not in name]
    assert open_path_to_write(tmp_path / "ctf").find("acme.org/demo", "1.0.0") is None
    write(open_path_to_write(tmp_path / "ctf"))
    assert open_path(tmp_path / "ctf").read("acme.org/demo", "1.0.0").descriptor == DESCRIPTOR
    assert not [name for name in tree(tmp_path / "ctf") if ".part" in name]


@pytest.mark.parametrize("blocks, size", [([b"hello"], 6), ([b"HELLO\n"], 6), ([b"hello\n"], 7), ([b"hello\n", b"x"], 6)])
def test_a_blob_that_is_not_what_it_should_be_is_not_written(blocks, size, tmp_path, open_path_to_write):
    class Source:
        def __enter__(self):
            return iter(blocks)

        def __exit__(self, *_error):
            pass

    with pytest.raises(DigestMismatch):
        open_path_to_write(tmp_path).repository("acme.org/demo").put_blob(digest_of(HELLO), size, Source)
    assert not tree(tmp_path)


def test_a_blob_is_written_once(tmp_path, open_path_to_write):
    repository = open_path_to_write(tmp_path).repository("acme.org/demo")
    assert repository.put_blob(digest_of(HELLO), 6, in_memory(HELLO)) == "copied"
    assert repository.put_blob(digest_of(HELLO), 6, lambda: pytest.fail("it is there")) == "present"
    (tmp_path / blob_name(digest_of(HELLO))).write_bytes(b"hel")
    assert repository.put_blob(digest_of(HELLO), 6, in_memory(HELLO)) == "copied"


def test_a_blob_whose_digest_is_known_at_its_end(tmp_path, open_path_to_write, read_blob):
    ctf = open_path_to_write(tmp_path).ctf
    found = ctf.add_blob([b"hel", b"lo\n"])
    assert (found.digest, found.size) == (digest_of(HELLO), 6)
    assert read_blob(ctf.open_blob(found.digest, found.size)) == HELLO

    def broken():
        yield b"x"
        raise KeyError("stop")

    with pytest.raises(KeyError):
        ctf.add_blob(broken())
    assert len(tree(tmp_path)) == 1


def test_entries_are_sorted_and_have_only_the_known_fields(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path)
    for path, tag in (("b", "2"), ("b", "1"), ("a", "9"), ("b", "10"), ("c", "")):
        store.artifacts(path).put_manifest(manifest(), tag)
    store.commit()
    entries = index_of(tmp_path)["artifacts"]
    assert [(entry["repository"], entry.get("tag")) for entry in entries] == [("a", "9"), ("b", "1"), ("b", "10"), ("b", "2"), ("c", None)]
    assert {key for entry in entries for key in entry} == {"repository", "tag", "digest", "mediaType"}
    assert list(index_of(tmp_path)) == ["schemaVersion", "artifacts"]
    assert index_of(tmp_path)["schemaVersion"] == 1


def test_an_untagged_entry_stands_only_where_no_tag_does(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path)
    repository = store.artifacts("a")
    repository.put_manifest(manifest())
    store.commit()
    assert index_of(tmp_path)["artifacts"] == [{"repository": "a", "digest": manifest().digest, "mediaType": OCI_MANIFEST}]
    repository.put_manifest(manifest(), "1")
    repository.put_manifest(manifest())
    assert [entry["tag"] for entry in index_of(tmp_path)["artifacts"]] == ["1"]
    repository.put_manifest(manifest(), "2")
    assert [entry["tag"] for entry in index_of(tmp_path)["artifacts"]] == ["1", "2"]
    repository.put_manifest(manifest(7))
    assert len(index_of(tmp_path)["artifacts"]) == 2, "untagged entries come with the next tag, or at the end"
    store.commit()
    assert len(index_of(tmp_path)["artifacts"]) == 3


def test_a_tag_moves(tmp_path, open_path_to_write):
    repository = open_path_to_write(tmp_path).artifacts("a")
    for number in (1, 2):
        repository.put_manifest(manifest(number), "1")
    assert repository.head_manifest("1").digest == manifest(2).digest
    assert [entry["digest"] for entry in index_of(tmp_path)["artifacts"]] == [manifest(2).digest]


def test_several_threads_write_one_index(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path)
    threads = [
        threading.Thread(target=lambda number=number: store.artifacts("a").put_manifest(manifest(number), str(number))) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index_of(tmp_path)["artifacts"]) == 20


def test_what_is_open_for_reading_is_not_written(builder, open_path):
    with pytest.raises(InvalidContent, match="reading only"):
        open_path(builder.folder).artifacts("a").put_manifest(manifest(), "1")


@pytest.mark.parametrize("name", ["notes.txt", "deep/file"])
def test_a_folder_with_other_things_is_no_target(name, tmp_path, open_path_to_write):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(Refused, match="is not a CTF"):
        open_path_to_write(tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("digest", ["md5:" + "a" * 32, "sha256:../../x", "", "sha256:" + "A" * 64])
def test_no_file_name_is_made_of_what_is_no_digest(digest):
    with pytest.raises(InvalidContent):
        blob_name(digest)


ENTRY = {"repository": "component-descriptors/acme.org/demo", "tag": "1.0.0", "digest": digest_of(HELLO), "mediaType": OCI_MANIFEST}
INDEXES = {
    "no JSON": (b"x", "not valid JSON"),
    "a list": (b"[]", "is a list"),
    "cut off": (b'{"schemaVersion":1,"artifacts":[', "not valid JSON"),
    "other version": (to_json({"schemaVersion": 2, "artifacts": []}), "schemaVersion 1"),
    "no version": (to_json({"artifacts": []}), "schemaVersion 1"),
    "artifacts that are no list": (to_json({"schemaVersion": 1, "artifacts": {"a": 1}}), "schemaVersion 1"),
    "entry that is no mapping": (to_json({"schemaVersion": 1, "artifacts": [ENTRY, "x"]}), "artifacts[1]"),
    "no repository": (to_json({"schemaVersion": 1, "artifacts": [dict(ENTRY, repository="")]}), "artifacts[0]"),
    "repository that is no text": (to_json({"schemaVersion": 1, "artifacts": [dict(ENTRY, repository=5)]}), "artifacts[0]"),
    "digest that leaves": (to_json({"schemaVersion": 1, "artifacts": [dict(ENTRY, digest="sha256:../../x")]}), "artifacts[0]"),
    "other algorithm": (to_json({"schemaVersion": 1, "artifacts": [dict(ENTRY, digest="md5:" + "a" * 32)]}), "not supported"),
    "media type of a blob": (to_json({"schemaVersion": 1, "artifacts": [dict(ENTRY, mediaType="text/plain")]}), "media type"),
    "one tag twice": (
        to_json({"schemaVersion": 1, "artifacts": [ENTRY, dict(ENTRY, digest=digest_of(b"x"))]}), "two artifacts for component-descriptors/acme.org/demo:1.0.0"
    ),
    "a key twice": (b'{"schemaVersion":1,"schemaVersion":1,"artifacts":[]}', "stands twice"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_damaged_index_is_named(name, builder, open_path):
    raw, words = INDEXES[name]
    (builder.folder / "artifact-index.json").write_bytes(raw)
    with pytest.raises(InvalidContent) as caught:
        open_path(builder.folder)
    assert words in str(caught.value)
    assert "artifact-index.json" in str(caught.value)


@pytest.mark.parametrize("artifacts", [[], None])
def test_an_empty_index_has_no_components(artifacts, builder, open_path):
    builder.write_index(artifacts=artifacts)
    assert open_path(builder.folder).components() == []


def test_an_entry_that_stands_there_twice_is_one(builder, open_path):
    builder.component(DESCRIPTOR.content, [(HELLO, "text/plain")])
    builder.entries.append(dict(builder.entries[0]))
    builder.write_index()
    assert open_path(builder.folder).versions("acme.org/demo") == ["1.0.0"]


def test_tags_that_are_no_version_are_skipped(builder, open_path):
    raw = builder.component(DESCRIPTOR.content, [(HELLO, "text/plain")])
    for tag in ("latest", "sha256-" + "a" * 64 + ".sig", "2.0.0.build-"):
        builder.entry("component-descriptors/acme.org/demo", raw, tag=tag)
    builder.entry("component-descriptors/acme.org/demo", b"untagged")
    assert open_path(builder.folder).versions("acme.org/demo") == ["1.0.0"]


PARTS = {"manifest": lambda content: None, "config": lambda content: content["config"]["digest"], "descriptor": lambda content: content["layers"][0]["digest"]}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "changed", "cut off"])
def test_a_damaged_part_is_named(part, damage, builder, open_path):
    raw = builder.component(DESCRIPTOR.content, [(HELLO, "text/plain")], layer_type="text/plain")
    digest = PARTS[part](json.loads(raw)) or digest_of(raw)
    path = builder.folder / blob_name(digest)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + b"~" if damage == "changed" else content[:-1])
    with pytest.raises(OcmError) as caught:
        open_path(builder.folder).read("acme.org/demo", "1.0.0")
    assert isinstance(caught.value, NotFound if damage == "missing" else DigestMismatch)
    assert digest in str(caught.value) or blob_name(digest) in str(caught.value)


def test_manifests_of_the_new_tools_have_no_media_type_in_the_index(builder, open_path):
    raw = builder.blob(manifest().raw)
    builder.entry("some/image", raw, tag="1")
    repository = open_path(builder.folder).artifacts("some/image")
    assert repository.head_manifest("1").media_type == OCI_MANIFEST
    assert repository.get_manifest(digest_of(raw)).raw == raw
    assert repository.head_manifest("2") is None
    assert repository.head_manifest(digest_of(b"gone")) is None
    with pytest.raises(NotFound, match="some/image has no manifest 2"):
        repository.get_manifest("2")
    with pytest.raises(NotFound, match="no repository other"):
        open_path(builder.folder).artifacts("other").tags()
