# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in parts: cut, found again, read where they lie, refused when anything is wrong, complete or not there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.descriptor import ComponentDescriptor
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput, NotFound, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store import ctf, parts
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_store import open_target
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_version import LocalLayer, write_component_version
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import in_memory
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.parts import check_part_size, largest_part, open_parts, place_parts, write_parts
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import digest_of
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import resource, v2

NAME = "acme.org/demo"
SIZE = 5 * 512 + 100  # of a part, as asked for: 5 blocks of a tar are in each
CUT = 5 * 512


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def cut(path, content, size=SIZE):
    """The content in parts at the path, block by block of an odd size."""
    blocks = (content[start:start + 777] for start in range(0, len(content), 777))
    unfinished = str(path) + ".work"
    write_parts(blocks, str(path), size, unfinished)
    place_parts(str(path), unfinished)
    shutil.rmtree(unfinished)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def put(store, version="1.0.0", content=b"hello\n"):
    access = {"type": "localBlob", "localReference": digest_of(content)}
    descriptor = ComponentDescriptor.from_mapping(v2(version=version, resources=[resource(access=access)]), "here")
    repository = store.repository(NAME)
    repository.put_blob(digest_of(content), len(content), in_memory(content))
    layer = LocalLayer("text/plain", digest_of(content), len(content), (("resource", {"name": "file"}),))
    write_component_version(repository, descriptor, [layer])


def write(path, part_size, version="1.0.0", content=b"hello\n"):
    """Put a component version into the archive."""
    store = open_target(RepositoryReference.parse(str(path)), None, part_size)
    store.begin()
    put(store, version, content)
    store.commit()
    store.close()


@pytest.mark.parametrize("length", [1, CUT - 1, CUT, CUT + 1, 3 * CUT, 3 * CUT + 700])
def test_parts_hold_the_content_and_their_index_tells_each(length, tmp_path):
    path, content = tmp_path / "x.tar", noise(length)
    cut(path, content)
    index = json.loads((tmp_path / "x.tar.parts.json").read_text())
    expected = [content[start:start + CUT] for start in range(0, length, CUT)]
    assert names(tmp_path) == sorted([f"x.tar.{number:03d}" for number in range(1, len(expected) + 1)] + ["x.tar.parts.json"])
    assert [(tmp_path / part["name"]).read_bytes() for part in index["parts"]] == expected
    assert [(part["number"], part["size"], part["digest"]) for part in index["parts"]] == [
        (number, len(piece), digest_of(piece)) for number, piece in enumerate(expected, 1)
    ]
    facts = {key: index[key] for key in ("schemaVersion", "name", "size", "digest", "partSize", "total")}
    assert facts == dict(schemaVersion=1, name="x.tar", size=length, digest=digest_of(content), partSize=SIZE, total=len(expected))


@pytest.mark.parametrize("asked, cut_at", [(4 * 1024**3, 4 * 1024**3 - 512), (1024 * 1024, 1024 * 1024 - 512), (SIZE, CUT)])
def test_a_part_is_smaller_than_what_is_asked_for(asked, cut_at):
    assert largest_part(asked) == cut_at


def test_parts_are_read_as_one_file(tmp_path):
    path, content = tmp_path / "x.tar", noise(10 * CUT + 77)
    cut(path, content)
    file = open_parts(str(path))
    assert file.read(3) == content[:3] and file.tell() == 3
    assert file.seek(-5, os.SEEK_END) == len(content) - 5 and file.read(100) == content[-5:] and file.read(1) == b""
    file.seek(CUT - 1)
    assert file.read(2 * CUT) == content[CUT - 1:3 * CUT - 1]
    for start in range(0, len(content), 911):
        assert file.read_at(CUT + 3, start) == content[start:start + CUT + 3]
    assert file.seek(0) == 0 and file.read() == content


def test_parts_can_be_joined_by_other_programs(tmp_path):
    path, content = tmp_path / "x.tar", noise(1100 * 512)
    cut(path, content, 1024)
    found = sorted(tmp_path.glob("x.tar.[0-9]*"))
    assert found[0].name == "x.tar.0001" and len(found) == 1100
    assert hashlib.sha256(b"".join(part.read_bytes() for part in found)).hexdigest() == hashlib.sha256(content).hexdigest()


def change(path):
    raw = bytearray(path.read_bytes())
    raw[7] ^= 1
    path.write_bytes(raw)


def swap(one, other):
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    """F36: parts that are missing, swapped, changed, cut off or of another archive."""
    path = tmp_path / "x.tar"
    cut(path, noise(8 * CUT))
    other = tmp_path / "other"
    other.mkdir()
    cut(other / "x.tar", noise(8 * CUT, seed=2))
    part = {number: tmp_path / f"x.tar.{number:03d}" for number in range(1, 10)}
    part[1].unlink()
    swap(part[2], part[3])
    change(part[4])
    shutil.copy(other / "x.tar.005", part[5])
    part[6].write_bytes(part[6].read_bytes()[:-1])
    part[7].unlink()
    part[7].mkdir()
    part[9].write_bytes(b"more")
    with pytest.raises(InvalidContent) as caught:
        open_parts(str(path))
    told = str(caught.value)
    for expected in (
        "x.tar cannot be joined from its 8 parts: x.tar.001 is missing; ",
        "x.tar.002 has the content of x.tar.003; x.tar.003 has the content of x.tar.002; ",
        f"x.tar.004 has the digest {digest_of(part[4].read_bytes())}, not sha256:",
        f"x.tar.005 has the digest {digest_of(part[5].read_bytes())}, not sha256:",
        f"x.tar.006 has {CUT - 1} bytes, not {CUT}: it is cut off",
        "x.tar.007 cannot be read (Is a directory)",
        "x.tar.009 is no part of this archive",
    ):
        assert expected in told
    assert "x.tar.008" not in told


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("fault", ["missing", "swapped", "foreign", "edited"])
def test_each_part_is_checked_for_each_fault(number, fault, tmp_path):
    """F36."""
    path = tmp_path / "x.tar"
    cut(path, noise(3 * CUT + 9))
    part, other = tmp_path / f"x.tar.{number:03d}", tmp_path / f"x.tar.{number % 4 + 1:03d}"
    if fault == "missing":
        part.unlink()
    elif fault == "swapped":
        swap(part, other)
    elif fault == "foreign":
        part.write_bytes(noise(part.stat().st_size, seed=3))
    else:
        change(part)
    told = {part.name, other.name} if fault == "swapped" else {part.name}
    with pytest.raises(InvalidContent) as caught:
        open_parts(str(path))
    message = str(caught.value).partition("parts: ")[2]
    assert {f"x.tar.{one:03d}" for one in range(1, 5) if f"x.tar.{one:03d} " in message.replace(" of x", "")} == told


@pytest.mark.parametrize(
    "change_index",
    [
        lambda index: index.update(schemaVersion=2),
        lambda index: index.update(total=2),
        lambda index: index.update(size=index["size"] + 1),
        lambda index: index.update(name="y.tar"),
        lambda index: index.update(parts=[]),
        lambda index: index.update(partSize="4G"),
        lambda index: index.update(digest="sha256:1"),
        lambda index: index["parts"].reverse(),
        lambda index: index["parts"].pop(),
        lambda index: index["parts"][0].update(name="../x.tar.001"),
        lambda index: index["parts"][0].update(digest="none"),
        lambda index: index["parts"][0].update(size=-1),
        lambda index: index["parts"].__setitem__(0, "x"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(change_index, tmp_path):
    cut(tmp_path / "x.tar", noise(2 * CUT + 9))
    file = tmp_path / "x.tar.parts.json"
    index = json.loads(file.read_text())
    change_index(index)
    file.write_text(json.dumps(index))
    with pytest.raises(InvalidContent, match="x.tar.parts.json"):
        open_parts(str(tmp_path / "x.tar"))


def test_parts_without_their_index_are_refused(tmp_path, open_path, open_path_to_write):
    cut(tmp_path / "x.tar", noise(2 * CUT))
    (tmp_path / "x.tar.parts.json").unlink()
    for opening in (open_path, open_path_to_write):
        with pytest.raises(InvalidContent, match="x.tar.001 is there, but not x.tar.parts.json"):
            opening(tmp_path / "x.tar")


def test_a_part_that_is_changed_while_it_is_read_is_refused(tmp_path):
    cut(tmp_path / "x.tar", noise(2 * CUT))
    file = open_parts(str(tmp_path / "x.tar"))
    file.read_at(10, 0)
    (tmp_path / "x.tar.002").write_bytes(b"other")
    assert len(file.read_at(10, 0)) == 10
    with pytest.raises(InvalidContent, match="x.tar.002 was changed"):
        file.read_at(10, CUT)


def test_a_size_that_forgets_its_unit_is_refused():
    assert check_part_size(1024 * 1024) == 1024 * 1024
    with pytest.raises(InvalidInput, match="700M or 4G"):
        check_part_size(4)


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
def test_an_archive_in_parts_is_an_archive(suffix, tmp_path, open_path, read_blob):
    path, content = tmp_path / f"x{suffix}", noise(4 * CUT)
    write(path, SIZE, content=content)
    assert not path.exists() and names(tmp_path) == sorted([*(part.name for part in tmp_path.glob("x.*.0*")), f"x{suffix}.parts.json"])
    store = open_path(path)
    assert store.components() == [NAME]
    stored = store.read(NAME, "1.0.0")
    assert read_blob(stored.local_blob(stored.descriptor.access_of(stored.descriptor.resources[0]), "here")) == content
    whole = tmp_path / "whole" / f"x{suffix}"
    write(whole, 0, content=content)
    assert b"".join(part.read_bytes() for part in sorted(tmp_path.glob("x.*.0*"))) == whole.read_bytes()


def test_an_archive_in_parts_stays_one_and_gets_more(tmp_path, open_path):
    path = tmp_path / "x.tar"
    write(path, SIZE, content=noise(4 * CUT))
    before = len(names(tmp_path))
    write(path, 0, "2.0.0", content=noise(3 * CUT, seed=2))
    assert len(names(tmp_path)) > before and not path.exists()
    assert open_path(path).versions(NAME) == ["2.0.0", "1.0.0"]


def test_fewer_parts_leave_none_of_the_former_ones(tmp_path, open_path):
    path = tmp_path / "x.tar"
    write(path, SIZE, content=noise(9 * CUT))
    many = len(names(tmp_path))
    write(path, SIZE, content=b"small")
    assert len(names(tmp_path)) < many
    assert open_path(path).versions(NAME) == ["1.0.0"]


@pytest.mark.parametrize("former", [0, 2 * SIZE], ids=["whole", "other parts"])
def test_an_archive_gets_the_form_that_is_asked_for(former, tmp_path, open_path):
    path = tmp_path / "x.tar"
    write(path, former, content=noise(4 * CUT))
    store = open_target(RepositoryReference.parse(str(path)), None, SIZE)
    assert store.needs_writing
    store.begin()
    store.commit()
    assert json.loads((tmp_path / "x.tar.parts.json").read_text())["partSize"] == SIZE
    assert not path.exists() and open_path(path).versions(NAME) == ["1.0.0"]
    assert not open_target(RepositoryReference.parse(str(path)), None, SIZE).needs_writing
    assert not open_target(RepositoryReference.parse(str(path)), None).needs_writing


def test_a_folder_is_not_cut(tmp_path):
    with pytest.raises(InvalidInput, match="is a folder"):
        open_target(RepositoryReference.parse(f"{tmp_path}/folder"), None, SIZE)


def test_files_of_others_are_not_overwritten(tmp_path):
    path = tmp_path / "x.tar"
    write(path, 0)
    (tmp_path / "x.tar.001").write_bytes(b"mine")
    store = open_target(RepositoryReference.parse(str(path)), None, SIZE)
    store.begin()
    with pytest.raises(Refused, match="x.tar.001 would be overwritten"):
        store.commit()
    assert (tmp_path / "x.tar.001").read_bytes() == b"mine" and path.exists()


class Stopped(Exception):
    """The run was killed."""


def stop_after(monkeypatch, count):
    """Everything that place_parts does to names fails after so many times."""
    done = []

    def counted(function):
        def call(*arguments, **options):
            if len(done) == count:
                raise Stopped
            done.append(function)
            return function(*arguments, **options)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(parts.os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("former", ["nothing", "whole", "parts"])
@pytest.mark.parametrize("steps", range(0, 24, 2))
def test_a_stop_while_parts_are_put_in_place_is_made_good(former, steps, tmp_path, open_path, monkeypatch):
    """F39: at no point is a set of old and new parts read, and nothing is lost."""
    path = tmp_path / "x.tar"
    if former != "nothing":
        write(path, SIZE if former == "parts" else 0, "1.0.0", noise(9 * CUT))
    versions = ["2.0.0"] if former == "nothing" else ["2.0.0", "1.0.0"]
    store = open_target(RepositoryReference.parse(str(path)), None, SIZE)
    store.begin()
    put(store, "2.0.0", noise(2 * CUT, seed=2))
    with monkeypatch.context() as patch:

        def interrupted(*arguments):
            stop_after(patch, steps)
            return place_parts(*arguments)

        patch.setattr(ctf, "place_parts", interrupted)
        try:
            store.commit()
        except Stopped:
            pass
    store.close()
    try:
        assert open_path(path).versions(NAME) in (versions, versions[1:])
    except (InvalidContent, NotFound):
        pass
    again = open_target(RepositoryReference.parse(str(path)), None)
    assert again.versions(NAME) == versions
    if again.needs_writing:
        again.begin()
        again.commit()
    else:
        again.tidy()
    again.close()
    assert open_path(path).versions(NAME) == versions
    assert len(names(tmp_path)) == json.loads((tmp_path / "x.tar.parts.json").read_text())["total"] + 1


def test_what_is_written_after_an_interruption_comes_on_top(tmp_path, open_path, monkeypatch):
    path = tmp_path / "x.tar"
    write(path, SIZE, "1.0.0", noise(4 * CUT))
    with monkeypatch.context() as patch:
        patch.setattr(ctf.TarTarget, "drop_unfinished", lambda _self: None)
        patch.setattr(ctf, "place_parts", lambda *_arguments: False)
        write(path, SIZE, "2.0.0", noise(4 * CUT, seed=2))
    assert open_path(path).versions(NAME) == ["1.0.0"]
    write(path, 0, "3.0.0", noise(4 * CUT, seed=3))
    assert open_path(path).versions(NAME) == ["3.0.0", "2.0.0", "1.0.0"]
