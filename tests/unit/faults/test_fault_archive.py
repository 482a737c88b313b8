# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that come from outside: hostile, damaged, incomplete. Nothing of them reaches the target."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store import archive_files, safe_tar
from ansible_collections.ocm.airgap.tests.support.components import component, local, put_component
from ansible_collections.ocm.airgap.tests.support.fault_scene import KIB, NAME, check_secrets, noise
from ansible_collections.ocm.airgap.tests.support.images import digest
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

TEXT = noise("text", 30 * KIB)


@pytest.fixture
def ctf(tmp_path):
    """A CTF with one component version that has one blob."""
    place = CtfPlace(tmp_path / "ctf")
    put_component(place, component(NAME, [local("text", TEXT)]))
    return place


@pytest.fixture
def refused(scene, tmp_path):
    """refused(path, *words): importing this archive fails with these words and without any write at the target."""
    scene.begin()
    elsewhere = tmp_path / "outside"
    elsewhere.mkdir()

    def check(path, *words, **more):
        outcome = scene.fail(source=str(path), **more)
        for word in (str(path), *words):
            assert word in outcome.message, outcome.message
        written = [seen for seen in scene.writer.seen() if seen.method not in ("GET", "HEAD")]
        assert written == [], "something was written"
        assert list(elsewhere.iterdir()) == [] and not scene.target.registry.uploads()
        assert not any(scene.target.state().values()), "something of it can be seen"
        check_secrets(scene)
        return outcome

    return check


def tar_file(path, ctf, *members, zipped=False):
    """The CTF as a tar, with further members (TarInfo, content)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name in sorted(ctf.folder.rglob("*")):
            archive.add(str(name), str(name.relative_to(ctf.folder)), recursive=False)
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(raw.getvalue(), 1) if zipped else raw.getvalue())
    return path


def member(name, kind=tarfile.REGTYPE, link="", content=b""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, content


HOSTILE = {
    "dots": [member("../outside/file", content=b"x")],
    "absolute": [member("/tmp/ocm-airgap-outside", content=b"x")],
    "through-a-link": [member("out", tarfile.SYMTYPE, "../outside"), member("out/file", content=b"x")],
    "hard-link": [member("hard", tarfile.LNKTYPE, "/etc/hostname")],
    "device": [member("device", tarfile.CHRTYPE)],
    "fifo": [member("fifo", tarfile.FIFOTYPE)],
    "sparse": [member("sparse", tarfile.GNUTYPE_SPARSE)],
    "twice": [member("artifact-index.json", content=b'{"schemaVersion":1,"artifacts":[]}')],
}


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tgz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_f33_hostile_members_of_a_tar(name, zipped, ctf, refused, tmp_path):
    """Only plain files and folders, inside, each name once."""
    path = tar_file(tmp_path / ("x.tgz" if zipped else "x.tar"), ctf, *HOSTILE[name], zipped=zipped)
    refused(path, HOSTILE[name][-1 if name != "through-a-link" else 0][0].name)


def test_f33_sizes_that_cannot_be(ctf, refused, tmp_path):
    """A member that says to have 8 TiB ends the reading where the file ends."""
    path = tar_file(tmp_path / "x.tar", ctf)
    info = tarfile.TarInfo("blobs/sha256." + "0" * 64)
    info.size = 8 * 1024**4
    raw = path.read_bytes().rstrip(b"\0")
    raw += b"\0" * (-len(raw) % 512) + info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024
    path.write_bytes(raw)
    refused(path)


TWINS = ["blobs/sha256." + "a" * 64, "blobs/SHA256." + "a" * 64]
EXCESS = {
    "twins": [member(name, content=b"x") for name in TWINS],
    "a-long-name": [member("x" * 5000, content=b"x")],
}


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tgz"])
@pytest.mark.parametrize("name", EXCESS)
def test_f33_names_that_make_trouble_elsewhere(name, zipped, ctf, refused, tmp_path):
    """Two that some file systems take for one, and one that no file system takes."""
    path = tar_file(tmp_path / ("x.tgz" if zipped else "x.tar"), ctf, *EXCESS[name], zipped=zipped)
    refused(path, EXCESS[name][-1][0].name[:70])


PAX = {"size": (str(8 * 1024**4), "cut off"), "path": ("../outside/file", "outside of the folder")}


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tgz"])
@pytest.mark.parametrize("field", PAX)
def test_f33_extended_headers_that_say_otherwise(field, zipped, ctf, refused, tmp_path):
    """What an extended header says instead of the usual one is held against the same rules."""
    value, told = PAX[field]
    hostile = member("blobs/file", content=b"x")
    hostile[0].pax_headers = {field: value}
    refused(tar_file(tmp_path / ("x.tgz" if zipped else "x.tar"), ctf, hostile, zipped=zipped), told)


def test_f33_headers_without_end(ctf, tmp_path):
    """What holds for all entries is kept in memory: it has a limit."""
    folder = member("folder", tarfile.DIRTYPE)[0].tobuf(tarfile.GNU_FORMAT)
    headers = [tarfile.TarInfo.create_pax_global_header({f"name{number}": "value"}) + folder for number in range(1001)]
    path = tmp_path / "x.tar"
    path.write_bytes(b"".join(headers) + bytes(1024))
    assert "more than 1000 global headers" in info(path).message


def info(path, **options):
    """The end of a module that only reads the archive."""
    outcome = fail("ocm_component_info", dict(repository=str(path)), **options)
    assert str(path) in outcome.message
    return outcome


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tgz"])
def test_f33_ten_million_entries(zipped, monkeypatch, tmp_path):
    """Refused after those that are allowed, which are fewer here. Nothing is unpacked to the end before."""
    monkeypatch.setattr(archive_files, "MAX_ENTRIES", 5_000)
    headers = b"".join(member(f"blobs/{number}", tarfile.DIRTYPE)[0].tobuf(tarfile.GNU_FORMAT) for number in range(2000))
    path = tmp_path / ("x.tgz" if zipped else "x.tar")
    path.write_bytes(gzip.compress(headers, 1) * 5000 if zipped else headers * 3)
    assert "more than 5000 entries" in info(path).message


def test_f33_an_index_of_ten_million_entries(ctf):
    """Told by its size, before it is read."""
    os.truncate(ctf.folder / "artifact-index.json", 10**9)
    assert "over the limit" in info(ctf.folder).message


def test_f33_an_index_that_grows_in_memory(ctf):
    """Twenty million empty lists, each of which takes twenty times the room of its text."""
    lists = b"[]," * (20 * 10**6)
    (ctf.folder / "artifact-index.json").write_bytes(b'{"schemaVersion":1,"artifacts":[' + lists + b"[]]}")
    outcome = info(ctf.folder, fresh=True)
    assert "values" in outcome.message and outcome.peak < 300 * KIB * KIB


def cut(raw):
    return raw[: len(raw) // 2]


def flipped_end(raw):
    return raw[:-6] + bytes([raw[-6] ^ 1]) + raw[-5:]


def with_garbage(raw):
    return raw + b"garbage"


def empty(_raw):
    return b""


def no_gzip(_raw):
    return b"\x1f\x8b" + noise("x", 999)


@pytest.mark.parametrize("change", [cut, flipped_end, with_garbage, empty, no_gzip])
def test_f34_gzip_that_is_damaged(change, ctf, refused, tmp_path):
    """Cut off, with a wrong checksum, with something behind it, empty, no gzip at all."""
    path = tar_file(tmp_path / "x.tgz", ctf, zipped=True)
    path.write_bytes(change(path.read_bytes()))
    refused(path)


def test_f34_gzip_of_several_members(ctf, tmp_path):
    """One behind the other, with zeros between them, is gzip as well."""
    raw = tar_file(tmp_path / "x.tar", ctf).read_bytes()
    path = tmp_path / "x.tgz"
    path.write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]) + bytes(100))
    assert succeed("ocm_component_info", dict(repository=str(path))).result["component_versions"]


def bomb(size):
    """Gzip of so many zeros, in as many members as it takes: a thousandth of it."""
    return gzip.compress(bytes(KIB * KIB), 9) * (size // (KIB * KIB))


@pytest.fixture
def little_allowed(monkeypatch):
    monkeypatch.setattr(safe_tar, "UNPACKED_FREELY", 32 * KIB * KIB)


@pytest.mark.parametrize("begins", ["at-once", "behind-the-tar"])
def test_f34_a_bomb_for_an_archive(begins, little_allowed, ctf, tmp_path):
    """Terabytes of zeros: refused by what it unpacks to, measured by its own size."""
    path = tmp_path / "x.tgz"
    whole = tar_file(path, ctf, zipped=True).read_bytes()
    path.write_bytes((whole if begins == "behind-the-tar" else b"") + bomb(4 * KIB**3))
    assert "200 times its size" in info(path).message


def test_f34_a_bomb_in_an_archive(little_allowed, ctf, tmp_path):
    """As an image's artifact set, and as a folder to unpack."""
    inner = gzip.compress(tarfile.TarInfo("file").tobuf() + bytes(1024)) + bomb(4 * KIB**3)
    image_type = "application/vnd.oci.image.manifest.v1+tar+gzip"
    blobs = [local("image", inner, image_type, "team/app:1.0"), local("folder", inner, "application/x-tgz")]
    put_component(ctf, component(NAME, blobs, "3.0.0"))
    moved = fail("ocm_transfer", dict(source=str(ctf.folder), target=str(tmp_path / "x"), component=NAME, version="3.0.0"))
    assert "200 times its size" in moved.message and "resource image" in moved.message and not (tmp_path / "x").exists()
    call = dict(repository=str(ctf.folder), component=NAME, version="3.0.0", resource="folder")
    outcome = fail("ocm_resource", dict(call, dest=str(tmp_path / "out"), extract=True))
    assert "200 times its size" in outcome.message and not (tmp_path / "out").exists()


def test_f34_zeros_that_are_meant(ctf, tmp_path):
    """Much smaller than what it unpacks to, but little of it."""
    put_component(ctf, component(NAME, [local("zeros", bytes(64 * KIB * KIB))], "4.0.0"))
    path = tar_file(tmp_path / "x.tgz", ctf, zipped=True)
    assert path.stat().st_size < KIB * KIB
    assert succeed("ocm_component_info", dict(repository=str(path))).result["component_versions"]


def without_blob(place):
    place.blob_path(digest(TEXT)).unlink()


def changed_blob(place):
    path = place.blob_path(digest(TEXT))
    path.write_bytes(path.read_bytes()[:-1] + b"X")


def cut_blob(place):
    path = place.blob_path(digest(TEXT))
    path.write_bytes(path.read_bytes()[:-1])


def index_of(place, change):
    path = place.folder / "artifact-index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def entry_twice(place):
    index_of(place, lambda content: content["artifacts"].append(dict(content["artifacts"][0], digest=digest(TEXT))))


def other_form(place):
    index_of(place, lambda content: content.update(schemaVersion=9))


def no_index(place):
    (place.folder / "artifact-index.json").write_text("{")


def wrong_digest(place):
    index_of(place, lambda content: content["artifacts"][0].update(digest="sha256:../../x"))


@pytest.mark.parametrize(
    "change", [without_blob, changed_blob, cut_blob, entry_twice, other_form, no_index, wrong_digest]
)
def test_f35_ctf_that_is_damaged(change, ctf, refused):
    """It is checked before the first write, and refused by name."""
    change(ctf)
    refused(ctf.folder)


def test_f35_every_fault_is_told_at_once(ctf, refused):
    """Two damaged blobs, one message."""
    other = noise("other", KIB)
    put_component(ctf, component(NAME, [local("other", other)], "2.0.0"))
    ctf.blob_path(digest(TEXT)).unlink()
    ctf.blob_path(digest(other)).write_bytes(other[:-1] + b"X")
    refused(ctf.folder, digest(TEXT)[7:], digest(other)[7:], version=None)


@pytest.fixture
def parts(scene, tmp_path):
    """Two archives in parts of the same name, in two folders."""
    content = [noise(f"content-{number}", 2500 * KIB) for number in range(2)]
    for number, text in enumerate(content):
        place = CtfPlace(tmp_path / f"ctf-{number}")
        put_component(place, component(NAME, [local("text", text)]))
        call = dict(source=place.repository(), target=str(tmp_path / f"{number}/x.tar"), part_size="1M")
        (tmp_path / str(number)).mkdir()
        scene.succeed(**call)
    return tmp_path / "0", tmp_path / "1"


def missing(folder, _other):
    (folder / "x.tar.002").unlink()


def swapped(folder, _other):
    os.rename(folder / "x.tar.001", folder / "kept")
    os.rename(folder / "x.tar.002", folder / "x.tar.001")
    os.rename(folder / "kept", folder / "x.tar.002")


def foreign(folder, other):
    shutil.copy(str(other / "x.tar.002"), str(folder / "x.tar.002"))


def edited(folder, _other):
    raw = (folder / "x.tar.002").read_bytes()
    (folder / "x.tar.002").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))


@pytest.mark.parametrize("change", [missing, swapped, foreign, edited])
def test_f36_parts_that_do_not_fit(change, parts, refused, scene):
    """Missing, swapped, of another archive, edited: named before anything is read from them."""
    change(*parts)
    outcome = scene.fail(source=str(parts[0] / "x.tar"))
    assert "x.tar.002" in outcome.message
    assert not scene.target.registry.blobs()
