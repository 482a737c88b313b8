# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders as tars, gzip, charts and layouts: the same content gives the same bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.chart import ChartRepository, read_chart
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.folder_tar import Selection, folder_tar, list_folder, pattern_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.image import OciLayout, find_artifact, is_path
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.packing import (
    compressing,
    decompressed,
    measure,
    measure_compressed,
    plain_digest_of,
    wrapping,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput, NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import FolderFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import in_memory
from ansible_collections.ocm.airgap.tests.support.oci_client import connect


def content_of(source):
    with source() as blocks:
        return b"".join(blocks)


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def names_of(folder, **selection):
    return [entry.name for entry in list_folder(str(folder), Selection(**selection), "test")]


FILES = {"z.txt": b"z", "B.txt": b"B", "sub/c.yaml": b"c", "sub/deep/d.yaml": b"d"}


def test_the_tar_depends_on_names_and_content_alone(tmp_path):
    first, second = fill(tmp_path / "one", FILES), fill(tmp_path / "two", dict(reversed(list(FILES.items()))))
    os.chmod(first / "z.txt", 0o600)
    os.chmod(second / "sub", 0o700)
    os.utime(second / "B.txt", (1, 1))
    tars = [content_of(folder_tar(list_folder(str(folder), Selection(), "test"))) for folder in (first, second)]
    assert tars[0] == tars[1]
    # a constant: another machine, another Python must give the same
    assert digest_of(tars[0]) == "sha256:77f033aff214db93d188f94d89f73af8286c695d983c9f1a85f015d94e494e4e"


def test_the_entries_of_the_tar(tmp_path):
    folder = fill(tmp_path / "d", FILES)
    (folder / "empty").mkdir()
    os.chmod(folder / "z.txt", 0o4700)
    with tarfile.open(fileobj=io.BytesIO(content_of(folder_tar(list_folder(str(folder), Selection(), "test"), "d")))) as tar:
        found = [(entry.name, entry.isdir(), oct(entry.mode), entry.uid, entry.uname, entry.mtime) for entry in tar]
        assert tar.extractfile("d/sub/c.yaml").read() == b"c"
    assert [entry[0] for entry in found] == [
        "d", "d/B.txt", "d/empty", "d/sub", "d/sub/c.yaml", "d/sub/deep", "d/sub/deep/d.yaml", "d/z.txt"
    ]
    assert [entry[2] for entry in found] == ["0o755", "0o644", "0o755", "0o755", "0o644", "0o755", "0o644", "0o755"]
    assert {entry[3:] for entry in found} == {(0, "", 1640995200)}


@pytest.mark.parametrize(
    "selection, names",
    [
        ({"include": ("*.txt",)}, ["B.txt", "z.txt"]),
        ({"include": ("sub/*.yaml",)}, ["sub", "sub/c.yaml"]),
        ({"include": ("sub", "sub/*.yaml")}, ["sub", "sub/c.yaml"]),
        ({"include": ("**/*.yaml",)}, ["sub", "sub/c.yaml"]),
        ({"exclude": ("*.txt", "sub/deep")}, ["sub", "sub/c.yaml"]),
        ({"exclude": ("/*.txt", "/sub")}, []),
        ({"exclude": ("sub/*",)}, ["B.txt", "sub", "z.txt"]),
        ({"include": ("[A-C].txt", "?.txt"), "exclude": ("z*",)}, ["B.txt"]),
    ],
)
def test_patterns_choose_entries(tmp_path, selection, names):
    assert names_of(fill(tmp_path, FILES), **selection) == names


@pytest.mark.parametrize(
    "glob, text, matches",
    [
        ("a*b", "axxb", True), ("a*b", "a/b", False), ("a?b", "a/b", False), ("[^a]", "b", True), ("[^a]", "/", False),
        ("[a-c]x", "bx", True), ("\\*", "*", True), ("\\*", "x", False), ("a.b", "axb", False), ("*", "a\nb", True),
        ("a", "ab", False), ("[]x]", "x", True),
    ],
)
def test_patterns_are_those_of_a_shell(glob, text, matches):
    assert bool(pattern_of(glob, "test").match(text)) is matches


@pytest.mark.parametrize("glob", ["[", "[a", "[z-a]"])
def test_a_broken_pattern_is_an_error(glob):
    with pytest.raises(InvalidInput):
        pattern_of(glob, "test")


def test_a_link_is_refused_followed_or_left_out(tmp_path):
    folder = fill(tmp_path / "d", FILES)
    (folder / "link").symlink_to("sub")
    with pytest.raises(InvalidInput, match="link is a symbolic link.*followSymlinks"):
        names_of(folder)
    assert names_of(folder, exclude=("link",)) == names_of(folder, exclude=("link",), follow_symlinks=True)
    followed = names_of(folder, follow_symlinks=True)
    assert [name for name in followed if name.startswith("link")] == ["link", "link/c.yaml", "link/deep", "link/deep/d.yaml"]


@pytest.mark.parametrize(
    "target, told", [("../outside", "leads out of the folder"), ("nowhere", "leads nowhere"), (".", "that it lies in")]
)
def test_links_are_never_followed_out_of_the_folder_or_in_circles(tmp_path, target, told):
    (tmp_path / "outside").write_text("secret")
    folder = fill(tmp_path / "d", FILES)
    (folder / "sub" / "link").symlink_to(target if target != "../outside" else "../../outside")
    with pytest.raises(InvalidInput, match=told):
        names_of(folder, follow_symlinks=True)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        names_of(tmp_path)


@pytest.mark.parametrize("content", [b"longer than before", b""])
def test_a_file_that_changes_while_it_is_packed_is_an_error(tmp_path, content):
    fill(tmp_path, {"file": b"before"})
    entries = list_folder(str(tmp_path), Selection(), "test")
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidContent, match="changed while it was read"):
        content_of(folder_tar(entries))


def blocks_of(content, size):
    return [content[start:start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize(
    "content", [b"", b"x", os.urandom(200_000), b"ab" * 65535], ids=["empty", "short", "random", "regular"]
)
def test_gzip_can_be_read_and_is_measured(content):
    packed = content_of(compressing(in_memory(content)))
    assert gzip.decompress(packed) == content
    assert packed[:10] == bytes.fromhex("1f8b08000000000000ff")
    found = measure_compressed(in_memory(content))
    assert (found.digest, found.size, found.plain_digest) == (digest_of(packed), len(packed), digest_of(content))
    assert plain_digest_of(in_memory(packed + packed), "test") == digest_of(content + content)


@pytest.mark.parametrize(
    "content", [b"", b"x", os.urandom(65535), os.urandom(200_000)], ids=["empty", "short", "a block", "blocks"]
)
def test_wrapped_content_does_not_depend_on_the_blocks(content):
    wrapped = content_of(wrapping(in_memory(content)))
    assert gzip.decompress(wrapped) == content
    split = content_of(wrapping(lambda: Blocks(blocks_of(content, 777))))
    assert split == wrapped
    assert measure(in_memory(wrapped)).digest == digest_of(wrapped)


class Blocks:
    def __init__(self, blocks):
        self.blocks = blocks

    def __enter__(self):
        return iter(self.blocks)

    def __exit__(self, *_error):
        pass


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"x" * 100, mtime=0)[:-1]], ids=["empty", "none", "cut"])
def test_what_is_no_whole_gzip_is_an_error(content):
    with pytest.raises(InvalidContent):
        list(decompressed(iter([content] if content else []), "test"))


METADATA = b"""apiVersion: v2
type: application
name: demo
version: 0.1.0+build.1
appVersion: 1.20
description: "a <b> & c"
maintainers: [{email: me@acme.test, name: me}]
annotations: {z: 1, a: "2"}
dependencies: [{name: sub, version: 1.x}]
unknown: field
"""
CONFIG = (
    '{"name":"demo","version":"0.1.0+build.1","description":"a \\u003cb\\u003e \\u0026 c",'
    '"maintainers":[{"name":"me","email":"me@acme.test"}],"apiVersion":"v2","appVersion":"1.2",'
    '"annotations":{"a":"2","z":"1"},"dependencies":[{"name":"sub","version":"1.x","repository":""}],"type":"application"}'
)


def chart_folder(path):
    return fill(path, {
        "Chart.yaml": METADATA, "values.yaml": b"a: 1\n", "templates/x.yaml": b"x", "templates/.hidden": b"h",
        ".helmignore": b"# comment\n\n*.bak\n/notes/\ntemplates/tmp-*\n", "values.bak": b"", "notes/n": b"", "sub/notes/n": b"",
        "templates/tmp-1": b"", "charts/sub-1.0.0.tgz": b"inner",
    })


def test_a_chart_folder_is_packed_the_same_everywhere(tmp_path):
    chart = read_chart(str(chart_folder(tmp_path / "any name")), "test")
    packed = content_of(chart.content.open)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        names = [entry.name for entry in tar if entry.isfile()]
    assert names == [
        "demo/Chart.yaml", "demo/.helmignore", "demo/charts/sub-1.0.0.tgz", "demo/sub/notes/n", "demo/templates/x.yaml",
        "demo/values.yaml",
    ]
    assert chart.content.digest == digest_of(packed) == "sha256:e70358cd92b38d2ab3841bd3ae29541fea6bcbe9fdde60ac2ac274cd3f654c64"


def test_a_chart_becomes_an_artifact(tmp_path):
    folder_chart = read_chart(str(chart_folder(tmp_path / "demo")), "test")
    (tmp_path / "demo.tgz").write_bytes(content_of(folder_chart.content.open))
    (tmp_path / "demo.tgz.prov").write_bytes(b"signed")
    repository = ChartRepository(read_chart(str(tmp_path / "demo.tgz"), "test"), "test")
    config, layers = repository.manifest.config, repository.manifest.layers
    assert config.media_type == "application/vnd.cncf.helm.config.v1+json"
    assert content_of(lambda: repository.open_blob(config.digest)).decode() == CONFIG
    assert [layer.media_type for layer in layers] == [
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/vnd.cncf.helm.chart.provenance.v1.prov"
    ]
    assert content_of(lambda: repository.open_blob(layers[1].digest)) == b"signed"
    assert layers[0].digest == folder_chart.content.digest
    assert list(repository.manifest.content) == ["schemaVersion", "mediaType", "config", "layers"]


@pytest.mark.parametrize(
    "metadata, told",
    [(b"[]", "not a mapping"), (b"name: x", "no version"), (b"version: 1.0.0", "no name"),
     (b"{name: ../x, version: 1.0.0}", "not the name"), (b"{name: x, version: one}", "not a version")],
)
def test_what_is_no_chart_is_told(tmp_path, metadata, told):
    with pytest.raises(InvalidContent, match=told):
        read_chart(str(fill(tmp_path, {"Chart.yaml": metadata})), "test")


def test_a_tar_without_metadata_is_no_chart(tmp_path):
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as tar:
        tar.add(__file__, "demo/templates/Chart.yaml")
    with pytest.raises(InvalidContent, match="not a Helm chart"):
        read_chart(str(tmp_path / "x.tgz"), "test")


def layout(path, *tags, mark="/", annotations=None):
    """An OCI layout with one manifest for each tag."""
    files, listed = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}, []
    for tag in tags:
        config = json.dumps({"tag": tag}).encode()
        raw = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": len(config)},
        }).encode()
        for blob in (config, raw):
            files["blobs/" + digest_of(blob).replace(":", mark)] = blob
        notes = {"org.opencontainers.image.ref.name": tag} if tag else {}
        listed.append({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(raw), "size": len(raw),
            "annotations": notes,
        })
    index = {"schemaVersion": 2, "manifests": listed}
    if annotations:
        index["annotations"] = annotations(listed)
    files["index.json"] = json.dumps(index).encode()
    return fill(path, files), [item["digest"] for item in listed]


def find(text, base):
    registries = connect()
    kept = []
    try:
        return find_artifact(text, str(base), registries, kept.append, "test")
    finally:
        registries.close()


@pytest.mark.parametrize("mark", ["/", "."])
def test_a_layout_in_a_folder_and_in_a_tar(tmp_path, mark):
    folder, digests = layout(tmp_path / "layout", "acme.org/app:1.0.0", mark=mark)
    with tarfile.open(tmp_path / "layout.tar", "w") as tar:
        tar.add(folder, ".")
    for text in ("./layout", str(folder), "./layout.tar", "./layout//:1.0.0", f"./layout//@{digests[0]}"):
        found = find(text, tmp_path)
        assert (found.digest, found.tag) == (digests[0], "1.0.0")
        assert found.content.repository.get_manifest(found.digest).config.size == len('{"tag": "acme.org/app:1.0.0"}')


def test_one_of_several_artifacts_has_to_be_named(tmp_path):
    _folder, digests = layout(tmp_path / "layout", "1.0.0", "2.0.0")
    assert find("./layout//:2.0.0", tmp_path).digest == digests[1]
    with pytest.raises(InvalidInput, match="2 artifacts.*1.0.0, 2.0.0"):
        find("./layout", tmp_path)
    with pytest.raises(NotFound, match="no artifact 3.0.0"):
        find("./layout//:3.0.0", tmp_path)


def test_the_main_artifact_of_a_set_is_meant(tmp_path):
    _folder, digests = layout(
        tmp_path / "set", "1.0.0", "", annotations=lambda listed: {"software.ocm/main": listed[1]["digest"]}
    )
    assert find("./set", tmp_path).digest == digests[1]


def test_a_blob_that_was_changed_is_noticed(tmp_path):
    folder, digests = layout(tmp_path / "layout", "1.0.0")
    repository = OciLayout(FolderFiles(str(folder)), "test")
    config = repository.get_manifest(digests[0]).config
    (folder / "blobs" / config.digest.replace(":", "/")).write_bytes(b'{"tag": "1.0.1"}')
    with pytest.raises(InvalidContent, match="digest"):
        content_of(lambda: repository.open_blob(config.digest, config.size))


@pytest.mark.parametrize(
    "files, told",
    [({"manifest.json": b"[]"}, "Docker archive.*skopeo copy"), ({"other": b""}, "neither a CTF"),
     ({"artifact-index.json": b'{"schemaVersion":1,"artifacts":[]}'}, "has to be named")],
)
def test_other_folders_are_told_apart(tmp_path, files, told):
    fill(tmp_path / "x", files)
    with pytest.raises((InvalidContent, InvalidInput), match=told):
        find("./x", tmp_path)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(NotFound, match="does not exist"):
        find("./nothing//a:1", tmp_path)


@pytest.mark.parametrize(
    "text, expected",
    [("./x", True), ("/x", True), ("../x", True), ("~/x", True), ("ctf::x//a:1", True), ("x//a:1", True), (".", True),
     ("alpine:3", False), ("host/x:1", False), ("http://host/x:1", False), ("x.tar", False), ("https://h:1/a/b", False)],
)
def test_the_text_decides_what_is_a_path(text, expected):
    assert is_path(text) is expected
