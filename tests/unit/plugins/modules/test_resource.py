# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_resource: every kind of content, as text, file and folder."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    image_resource,
    local,
    local_image,
    put_component,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, tar_of, two_platforms, unpacked_set
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, fail, succeed

ARCHIVES = COLLECTION / "tests" / "data" / "archives"
NAME = "acme.test/product"
IMAGE = two_platforms("image", attested=True)


def arguments(place, name, **more):
    return dict(dict(repository=place.repository(), component=NAME, version="1.0.0", resource=name), **more)


def get(place, name, **more):
    return succeed("ocm_resource", arguments(place, name, **more)).result


def test_text(ctf):
    put_component(ctf, component(NAME, [local("text", "Grüße\n".encode())]))
    found = get(ctf, "text")
    assert found["content"] == "Grüße\n" and found["digest"] == digest("Grüße\n".encode()) and not found["changed"]
    assert found["path"] is None and found["media_type"] == "text/plain" and found["size"] == 8


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b", b"x" * 2_000_000], ids=["no-utf8", "nul", "large"])
def test_what_is_no_small_text_wants_a_dest(content, ctf, tmp_path):
    put_component(ctf, component(NAME, [local("blob", content)]))
    assert "dest" in fail("ocm_resource", arguments(ctf, "blob")).message
    get(ctf, "blob", dest=str(tmp_path / "new" / "file"))
    assert (tmp_path / "new" / "file").read_bytes() == content


@BOTH
def test_an_image_is_an_artifact_set_with_everything(source, tmp_path):
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]))
    found = get(source, "image", dest=str(tmp_path / "image.tgz"))
    held = unpacked_set((tmp_path / "image.tgz").read_bytes())
    assert sorted(held) == IMAGE.digests() and all(digest(held[key]) == key for key in held)
    assert found["digest"] == IMAGE.digest and found["media_type"] == "application/vnd.oci.image.index.v1+tar+gzip"
    assert found["size"] == (tmp_path / "image.tgz").stat().st_size


def test_an_image_of_an_archive_is_given_as_it_is(ctf, tmp_path):
    item = local_image("image", IMAGE, "team/app:1.0")
    put_component(ctf, component(NAME, [item]))
    get(ctf, "image", dest=str(tmp_path / "image.tgz"))
    assert (tmp_path / "image.tgz").read_bytes() == item["content"]


def test_a_set_with_a_falsified_layer_is_refused(ctf, tmp_path):
    """The hole of the old tool: the main manifest fits, a layer does not."""
    key = next(iter(IMAGE.blobs))
    item = local_image("image", IMAGE, "team/app:1.0")
    broken = _with_other_bytes(item["content"], "blobs/" + key.replace(":", "."))
    put_component(ctf, component(NAME, [local("image", broken, item["access"]["mediaType"], digest=item["digest"])]))
    outcome = fail("ocm_resource", arguments(ctf, "image", dest=str(tmp_path / "image.tgz")))
    assert "image" in outcome.message and not (tmp_path / "image.tgz").exists()


def _with_other_bytes(packed, name):
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        files = {item.name: archive.extractfile(item).read() for item in archive.getmembers() if item.isfile()}
    files[name] = bytes(len(files[name]))
    return gzip.compress(tar_of(files), mtime=0)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    dest = tmp_path / "manifests"
    dest.mkdir()
    (dest / "old.yaml").write_text("old")
    call = dict(repository=str(ARCHIVES / "by-value.tgz"), component="given.test/podinfo", version="6.3.5")
    call = dict(call, resource="deployment", dest=str(dest), extract=True)
    found = succeed("ocm_resource", call).result
    assert found["changed"] and found["size"] == 250 and "state" not in found
    assert [path.name for path in dest.rglob("*") if path.is_file()] and not (dest / "old.yaml").exists()
    assert not succeed("ocm_resource", call).result["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["manifests"]


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name, kind",
    [
        ("../evil", None),
        ("/evil", None),
        ("a/../../evil", None),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("fifo", tarfile.FIFOTYPE),
        ("device", tarfile.CHRTYPE),
    ],
)
def test_an_unsafe_tar_is_not_unpacked(name, kind, ctf, tmp_path):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("first"), io.BytesIO())
        archive.addfile(link(name, "/etc/passwd", kind) if kind else tarfile.TarInfo(name), io.BytesIO())
    put_component(ctf, component(NAME, [local("tar", target.getvalue(), "application/x-tar")]))
    outcome = fail("ocm_resource", arguments(ctf, "tar", dest=str(tmp_path / "place" / "folder"), extract=True))
    assert name.rpartition("/")[2] in outcome.message
    assert not (tmp_path / "place" / "folder").exists() and not list(tmp_path.rglob("evil*"))


def test_a_resource_behind_references(ctf):
    put_component(ctf, component("acme.test/leaf", [local("text", b"leaf")]))
    put_component(ctf, component("acme.test/middle", componentReferences=[reference("leaf", "acme.test/leaf")]))
    put_component(ctf, component(NAME, componentReferences=[reference("middle", "acme.test/middle")]))
    assert get(ctf, "text", reference_path=["middle", {"name": "leaf"}])["content"] == "leaf"


def test_the_newest_version_of_a_range(ctf):
    for version in ("1.0.0", "1.2.0", "2.0.0"):
        put_component(ctf, component(NAME, [local("text", version.encode())], version))
    call = dict(repository=ctf.repository(), component=NAME, constraint="^1", resource="text")
    assert succeed("ocm_resource", call).result["content"] == "1.2.0"


def test_what_has_no_content_is_told(ctf):
    put_component(ctf, component(NAME, [resource("nothing", {"type": "none"}), resource("stuck", {"type": "npm"})]))
    for name, kind in (("nothing", "none"), ("stuck", "npm")):
        message = fail("ocm_resource", arguments(ctf, name)).message
        assert name in message and kind in message


def test_check_mode_writes_nothing(source, tmp_path):
    resources = [local("text", b"text"), image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]
    put_component(source, component(NAME, resources))
    for name in ("text", "image"):
        call = arguments(source, name, dest=str(tmp_path / "place" / name))
        predicted = succeed("ocm_resource", call, check=True, diff=True).result
        assert not (tmp_path / "place" / name).exists()
        happened = succeed("ocm_resource", call, diff=True).result
        for values in (predicted, happened):
            values.pop("size")
        assert predicted == happened and happened["changed"] and happened["diff"]["before"] != happened["diff"]["after"]
