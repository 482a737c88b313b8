# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CTFs in tars: complete or not there, continued after a stop, and the same bytes for the same content."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.descriptor import ComponentDescriptor
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import TarFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_version import LocalLayer, write_component_version
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import in_memory
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import digest_of, tar
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import resource, v2

ARCHIVES = Path(__file__).resolve().parents[4] / "data" / "archives"
FORMATS = pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.gz"])


def put(store, version="1.0.0", content=b"hello\n"):
    access = {"type": "localBlob", "localReference": digest_of(content)}
    descriptor = ComponentDescriptor.from_mapping(v2(version=version, resources=[resource(access=access)]), "here")
    repository = store.repository("acme.org/demo")
    repository.put_blob(digest_of(content), len(content), in_memory(content))
    write_component_version(repository, descriptor, [LocalLayer("text/plain", digest_of(content), len(content), (("resource", {"name": "file"}),))])


def plain(path):
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def members(path):
    with tarfile.open(fileobj=io.BytesIO(plain(path))) as archive:
        return archive.getmembers()


@FORMATS
def test_the_file_appears_when_it_is_complete(suffix, tmp_path, open_path, open_path_to_write):
    path = tmp_path / f"ctf{suffix}"
    store = open_path_to_write(path)
    put(store)
    assert not path.exists()
    store.commit()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == (suffix != ".tar")
    found = open_path(path).read("acme.org/demo", "1.0.0")
    assert found.descriptor.resources[0]["name"] == "file"


@FORMATS
def test_entries_stand_in_the_order_of_the_old_tool(suffix, tmp_path, open_path_to_write):
    path = tmp_path / f"ctf{suffix}"
    store = open_path_to_write(path)
    put(store)
    store.commit()
    found = members(path)
    assert [info.name for info in found[:2]] == ["artifact-index.json", "blobs"]
    names = [info.name for info in found[2:]]
    assert names == sorted(names) and len(names) == 4
    assert {(info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime) for info in found if info.isreg()} == {(0o644, 0, 0, "", "", 1640995200)}
    assert found[1].isdir() and found[1].mode == 0o755
    assert len(plain(path)) % 512 == 0


@FORMATS
def test_the_same_content_gives_the_same_bytes(suffix, tmp_path, open_path_to_write):
    paths = [tmp_path / name / f"ctf{suffix}" for name in ("a", "b")]
    for path, versions in zip(paths, (["1.0.0", "2.0.0"], ["2.0.0", "1.0.0"])):
        path.parent.mkdir()
        store = open_path_to_write(path)
        for version in versions:
            put(store, version)
        store.commit()
    assert paths[0].read_bytes() == paths[1].read_bytes()


@FORMATS
def test_a_commit_without_changes_touches_nothing(suffix, tmp_path, open_path_to_write):
    path = tmp_path / f"ctf{suffix}"
    open_path_to_write(path).commit()
    assert not path.exists()
    store = open_path_to_write(path)
    put(store)
    store.commit()
    before = path.stat()
    again = open_path_to_write(path)
    again.commit()
    again.close()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["by-value.tar", "by-value.tgz"])
def test_an_existing_archive_gets_more(name, tmp_path, open_path, open_path_to_write, read_blob):
    path = tmp_path / name
    shutil.copy(ARCHIVES / name, path)
    store = open_path_to_write(path)
    assert store.versions("given.test/podinfo") == ["6.4.0-rc.1+build.7", "6.3.5", "6.2.3"]
    put(store)
    store.commit()
    found = open_path(path)
    assert found.components() == ["acme.org/demo", "given.test/backend", "given.test/podinfo", "given.test/redis", "given.test/suite"]
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith("tgz")
    old = {info.name for info in members(ARCHIVES / name)}
    assert old <= {info.name for info in members(path)}
    assert found.read("given.test/suite", "v1.0.0").descriptor == open_path(ARCHIVES / name).read("given.test/suite", "v1.0.0").descriptor


def test_an_archive_keeps_its_compression_whatever_its_name(tmp_path, open_path_to_write):
    path = tmp_path / "ctf.tar"
    shutil.copy(ARCHIVES / "by-value.tgz", path)
    store = open_path_to_write(path)
    put(store)
    store.commit()
    assert path.read_bytes()[:2] == b"\x1f\x8b"


@FORMATS
def test_a_stopped_run_is_continued(suffix, tmp_path, open_path, open_path_to_write):
    path = tmp_path / f"ctf{suffix}"
    put(open_path_to_write(path), "1.0.0")  # a run that never came to its commit
    assert [entry.name for entry in tmp_path.iterdir()] == [f".ctf{suffix}.unfinished"]
    with pytest.raises(NotFound):
        open_path(path)
    second = open_path_to_write(path)
    repository = second.repository("acme.org/demo")
    assert repository.put_blob(digest_of(b"hello\n"), 6, lambda: pytest.fail("it was written already")) == "present"
    put(second, "1.0.0")
    put(second, "2.0.0")
    second.commit()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert open_path(path).versions("acme.org/demo") == ["2.0.0", "1.0.0"]


@FORMATS
def test_a_stop_while_packing_leaves_the_old_file(suffix, tmp_path, open_path, open_path_to_write, monkeypatch):
    path = tmp_path / f"ctf{suffix}"
    store = open_path_to_write(path)
    put(store)
    store.commit()
    before = path.read_bytes()
    store = open_path_to_write(path)
    put(store, "2.0.0")

    def stopped(_source, _target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            store.commit()
    assert path.read_bytes() == before
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".part")]
    again = open_path_to_write(path)
    put(again, "2.0.0")
    again.commit()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert open_path(path).versions("acme.org/demo") == ["2.0.0", "1.0.0"]


def test_what_the_index_does_not_lead_to_is_left_out(tmp_path, open_path_to_write):
    path = tmp_path / "ctf.tar"
    store = open_path_to_write(path)
    put(store)
    store.repository("acme.org/demo").put_blob(digest_of(b"orphan"), 6, in_memory(b"orphan"))
    store.commit()
    assert f"blobs/{digest_of(b'orphan').replace(':', '.')}" not in {info.name for info in members(path)}


def test_a_replaced_version_takes_its_blobs_with_it(tmp_path, open_path, open_path_to_write):
    path = tmp_path / "ctf.tar"
    for content in (b"first", b"second"):
        store = open_path_to_write(path)
        put(store, content=content)
        store.commit()
    names = {info.name for info in members(path)}
    assert f"blobs/{digest_of(b'second').replace(':', '.')}" in names
    assert f"blobs/{digest_of(b'first').replace(':', '.')}" not in names
    assert open_path(path).versions("acme.org/demo") == ["1.0.0"]


@pytest.mark.parametrize("content", [b"text", tar(("a", b"1"))], ids=["text", "other tar"])
def test_a_file_that_is_no_archive_is_not_replaced(content, tmp_path, open_path_to_write):
    path = tmp_path / "ctf.tar"
    path.write_bytes(content)
    with pytest.raises(InvalidContent):
        open_path_to_write(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["by-value.tar", "by-value.tgz"])
@pytest.mark.parametrize("keep", [1, 100, 511, 512, 513, 1024, 5000, -1500, -1024, -1])
def test_an_archive_that_is_cut_off_says_so(name, keep, tmp_path, open_path):
    raw = (ARCHIVES / name).read_bytes()
    if keep == -1 and name.endswith(".tar"):
        keep = -1024  # half of the end mark is enough of one
    path = tmp_path / name
    path.write_bytes(raw[:keep])
    with pytest.raises(InvalidContent) as caught:
        open_path(path)
    assert name in str(caught.value)


@pytest.mark.parametrize("compress", [False, True], ids=["tar", "tgz"])
def test_a_header_that_was_damaged_is_no_end(compress, tmp_path, open_path):
    raw = bytearray((ARCHIVES / "by-value.tar").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(bytes(raw))) as archive:
        raw[archive.getmembers()[5].offset + 5] ^= 1
    path = tmp_path / "ctf"
    path.write_bytes(gzip.compress(bytes(raw)) if compress else bytes(raw))
    with pytest.raises(InvalidContent, match="no end or is damaged"):
        open_path(path)


def test_the_order_of_entries_does_not_matter(tmp_path, open_path):
    with tarfile.open(ARCHIVES / "by-value.tar") as archive:
        files = [(f"./{info.name}", archive.extractfile(info).read()) for info in archive if info.isreg()]
    for tar_format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        path = tmp_path / f"{tar_format}.tar"
        path.write_bytes(tar(*files[::-1], tar_format=tar_format))
        assert open_path(path).read("given.test/podinfo", "6.3.5").descriptor.name == "given.test/podinfo"


def test_the_files_of_a_tar():
    files = TarFiles(str(ARCHIVES / "by-value.tgz"))
    try:
        assert files.size("artifact-index.json") == len(files.read("artifact-index.json"))
        assert json.loads(files.read("artifact-index.json"))["schemaVersion"] == 1
        assert files.size("gone") is None
        with pytest.raises(NotFound, match="has no gone"):
            files.open("gone")
        with pytest.raises(InvalidContent, match="over the limit of 5"):
            files.read("artifact-index.json", 5)
        assert "artifact-index.json" in files.names()
    finally:
        files.close()
