# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component archives: folder, tar and gzipped tar; blobs by their file names."""

from __future__ import annotations

import os

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent, InvalidInput, NotFound, Refused
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import DESCRIPTOR_FILE, digest_of, packed, tar, to_yaml
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import resource, v2

HELLO = b"hello\n"
FILE = digest_of(HELLO).replace(":", ".")
BLOB = {"type": "localBlob", "localReference": FILE, "mediaType": "text/plain"}


@pytest.fixture(params=["folder", "tar", "tgz"])
def archive(request, tmp_path):
    """Make a component archive in one of the three forms: descriptor, then files in blobs/."""

    def make(descriptor, **files):
        files = files or {FILE: HELLO}
        members = [(DESCRIPTOR_FILE, to_yaml(descriptor))] + [(f"blobs/{name}", content) for name, content in files.items()]
        path = tmp_path / "ca"
        if request.param != "folder":
            path.write_bytes(packed(tar(*members), request.param == "tgz"))
            return path
        for name, content in members:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path

    return make


@pytest.mark.parametrize("access, media_type", [
    (BLOB, "text/plain"),
    (dict(BLOB, localReference=digest_of(HELLO)), "text/plain"),
    ({"type": "localFilesystemBlob", "fileName": FILE, "mediaType": "text/plain"}, "text/plain"),
    ({"type": "localFilesystemBlob", "fileName": FILE}, "application/octet-stream"),
    ({"type": "localOciBlob", "digest": digest_of(HELLO)}, "application/octet-stream"),
], ids=["file name", "digest", "localFilesystemBlob", "no media type", "localOciBlob"])
def test_blobs_of_a_component_archive(access, media_type, archive, open_path, read_blob):
    descriptor = v2(resources=[resource(access=access)])
    store = open_path(archive(descriptor))
    assert store.components() == ["acme.org/demo"]
    assert store.versions("acme.org/demo") == ["1.0.0"]
    found = store.read("acme.org/demo", "1.0.0")
    assert (found.descriptor.content, found.digest) == (descriptor, "")
    content = found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here")
    assert (content.media_type, content.digest, content.size) == (media_type, digest_of(HELLO), 6)
    assert read_blob(content) == HELLO
    assert read_blob(content) == HELLO


def test_a_blob_whose_file_name_is_no_digest(archive, open_path, read_blob):
    access = {"type": "localFilesystemBlob", "fileName": "chart.tgz"}
    found = open_path(archive(v2(resources=[resource(access=access)]), **{"chart.tgz": b"x"})).read("acme.org/demo", "1.0.0")
    content = found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here")
    assert (content.digest, content.size, read_blob(content)) == ("", 1, b"x")


def test_a_changed_blob_is_found(archive, open_path, read_blob):
    found = open_path(archive(v2(resources=[resource(access=BLOB)]), **{FILE: b"HELLO\n"})).read("acme.org/demo", "1.0.0")
    with pytest.raises(DigestMismatch):
        read_blob(found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here"))


@pytest.mark.parametrize("name, error", [
    ("../component-descriptor.yaml", InvalidContent), ("/etc/passwd", InvalidContent), ("..", InvalidContent), (".hidden", InvalidContent),
    ("", InvalidContent), ("gone", NotFound), ("sha256." + "0" * 64, NotFound),
])
def test_a_blob_that_is_not_there(name, error, archive, open_path):
    found = open_path(archive(v2(resources=[resource(access=dict(BLOB, localReference=name))]))).read("acme.org/demo", "1.0.0")
    with pytest.raises(error, match="acme.org/demo:1.0.0 file"):
        found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "acme.org/demo:1.0.0 file")


@pytest.mark.parametrize("component, version, words", [
    ("acme.org/demo", "1.0.1", "Did you mean 1.0.0?"), ("acme.org/dem", "1.0.0", "Did you mean acme.org/demo?"),
])
def test_another_version_is_not_there(component, version, words, archive, open_path):
    with pytest.raises(NotFound) as caught:
        open_path(archive(v2())).read(component, version)
    assert words in str(caught.value)


def test_it_is_no_target(archive, open_path, open_path_to_write):
    path = archive(v2())
    with pytest.raises(InvalidInput, match="cannot be written"):
        open_path(path).repository("acme.org/demo")
    before = os.path.getmtime(path)
    with pytest.raises(Refused, match="is not a CTF"):
        open_path_to_write(path)
    assert os.path.getmtime(path) == before


def test_what_is_no_archive(tmp_path, open_path):
    for name, content in (("empty.tar", tar()), ("other.tar", tar(("a", b"1"))), ("text", b"hello" * 500)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidContent, match=name):
            open_path(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidContent, match="neither a CTF"):
        open_path(tmp_path / "folder")
    with pytest.raises(NotFound, match="does not exist"):
        open_path(tmp_path / "gone")
