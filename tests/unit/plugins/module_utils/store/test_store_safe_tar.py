# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tars from outside: only regular files and folders below the root, bounded, plain or gzipped. And tars from us."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import zlib

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import TarFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.safe_tar import (
    BLOCK,
    END_OF_ARCHIVE,
    FIXED_TIME,
    BlockReader,
    Limits,
    extract,
    folder_beside,
    gunzip,
    gzip_stored,
    padding,
    replace_folder,
    safe_name,
    tar_entries,
    tar_entry,
    tar_file,
)
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import member, packed, tar

PLAIN_AND_GZIP = pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])


def in_blocks(content, size=1000):
    return [content[start : start + size] for start in range(0, len(content), size)]


def contents(raw, limits=Limits()):
    return {entry.name: b"".join(entry.blocks()) for entry in tar_entries(in_blocks(raw), "x.tar", limits) if not entry.is_folder}


def with_header_size(raw, size, offset=0):
    """The tar with another size in the header at `offset`, its checksum right again."""
    field = b"%011o\0" % size if size >= 0 else b"\xff" * 4 + (2**64 + size).to_bytes(8, "big")
    header = bytearray(raw[offset : offset + 512])
    header[124:136], header[148:156] = field, b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return raw[:offset] + bytes(header) + raw[offset + 512 :]


@PLAIN_AND_GZIP
def test_files_and_folders_are_read(compress):
    raw = tar(member("d", kind=tarfile.DIRTYPE), ("d/a", b"1"), ("./b", b"2" * 3000), ("d//c", b""), member("d", kind=tarfile.DIRTYPE))
    assert contents(packed(raw, compress)) == {"d/a": b"1", "b": b"2" * 3000, "d/c": b""}


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": str(2**43)}
HOSTILE = {
    "parent": (tar(("../x", b"1")), "outside"),
    "parent inside": (tar(("a/../../x", b"1")), "outside"),
    "parent that stays inside": (tar(("a/../x", b"1")), "outside"),
    "absolute": (tar(("/etc/x", b"1")), "outside"),
    "backslash": (tar(("a\\..\\x", b"1")), "outside"),
    "symbolic link": (tar(member("x", kind=tarfile.SYMTYPE, linkname="/etc")), "a link"),
    "file through a link": (tar(member("x", kind=tarfile.SYMTYPE, linkname="/tmp"), ("x/y", b"1")), "a link"),
    "hard link": (tar(("a", b"1"), member("x", kind=tarfile.LNKTYPE, linkname="a")), "a link"),
    "character device": (tar(member("x", kind=tarfile.CHRTYPE)), "device"),
    "block device": (tar(member("x", kind=tarfile.BLKTYPE)), "device"),
    "pipe": (tar(member("x", kind=tarfile.FIFOTYPE)), "pipe"),
    "unknown type": (tar(member("x", kind=b"Z")), "device"),
    "old sparse file": (tar(member("x", kind=tarfile.GNUTYPE_SPARSE), tar_format=tarfile.GNU_FORMAT), "sparse"),
    "new sparse file": (tar(member("x", b"1\n0\n1\n" + bytes(506) + b"d", pax_headers=dict(SPARSE))), "sparse"),
    "the same name twice": (tar(("a", b"1"), ("a", b"2")), "stands twice"),
    "the same name in two spellings": (tar(("a", b"1"), ("./a", b"2")), "stands twice"),
    "a file where a folder is": (tar(member("a", kind=tarfile.DIRTYPE), ("a", b"2")), "stands twice"),
    "negative size": (with_header_size(tar(("a", b""), tar_format=tarfile.USTAR_FORMAT), -1024), "a header with the size -1024"),
    "negative size in an extended header": (tar(member("a", pax_headers={"size": "-1024"})), "-1024"),
    "header that is no tar": (b"x" * 2048, "not a readable tar"),
    "nothing": (b"", "not a readable tar"),
    "cut off in a file": (tar(("a", b"1" * 5000))[:2048], "cut off in 'a'"),
    "headers of headers": (tar(member("a", kind=tarfile.XHDTYPE), tar_format=tarfile.USTAR_FORMAT)[:512] * 5000, "not a readable tar"),
}


@PLAIN_AND_GZIP
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tar_is_refused(name, compress, tmp_path):
    raw, words = HOSTILE[name]
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(InvalidContent) as caught:
        extract(in_blocks(packed(raw, compress)), str(folder), "x.tar")
    assert words in str(caught.value)
    assert "x.tar" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


TOLERATED_AS_AN_ARCHIVE = ("a file where a folder is",)


@PLAIN_AND_GZIP
@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in TOLERATED_AS_AN_ARCHIVE])
def test_a_hostile_tar_is_no_archive(name, compress, tmp_path):
    raw, _words = HOSTILE[name]
    path = tmp_path / "x.tar"
    path.write_bytes(packed(raw, compress))
    with pytest.raises(InvalidContent, match="x.tar"):
        TarFiles(str(path))


@PLAIN_AND_GZIP
@pytest.mark.parametrize("raw, limits", [
    (tar(("a", b"1" * 600), ("b", b"1" * 600)), Limits(size=1000)),
    (tar(*[(f"f{number}", b"") for number in range(11)]), Limits(count=10)),
    (tar(*[member(f"d{number}", kind=tarfile.DIRTYPE) for number in range(11)]), Limits(count=10)),
    (tar(member("a", pax_headers={"size": str(2**50)})), Limits()),
    (with_header_size(tar(("a", b"1"), tar_format=tarfile.USTAR_FORMAT), 8**11 - 1), Limits(size=1000)),
], ids=["bytes", "files", "folders", "size in an extended header", "size in a header"])
def test_what_unpacks_to_too_much_is_refused(raw, limits, compress, tmp_path):
    with pytest.raises(InvalidContent, match="unpacks to more than"):
        extract(in_blocks(packed(raw, compress)), str(tmp_path), "x.tar", limits)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_extension_header_is_not_read_into_memory_whatever_its_size(kind):
    header = with_header_size(tar(member("x", kind=kind), tar_format=tarfile.USTAR_FORMAT)[:512], 2**30)
    blocks = (block for part in ([header], (bytes(BLOCK) for _number in range(1024))) for block in part)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidContent, match="size 1073741824"):
            list(tar_entries(blocks, "x.tar"))
        assert tracemalloc.get_traced_memory()[1] < 20 * BLOCK
    finally:
        tracemalloc.stop()


def test_a_long_name_is_read():
    name = "d/" * 100 + "x" * 200
    for tar_format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert contents(tar((name, b"1"), tar_format=tar_format)) == {name: b"1"}


@pytest.mark.parametrize("raw", [bz2.compress(tar(("a", b"1")))], ids=["bzip2"])
def test_other_compressions_are_not_guessed(raw):
    with pytest.raises(InvalidContent):
        contents(raw)


def test_a_gzip_bomb_is_unpacked_in_small_pieces():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(BLOCK)) for _number in range(200)] + [packer.flush()])
    assert len(bomb) < BLOCK
    tracemalloc.start()
    try:
        pieces = [len(piece) for piece in gunzip([bomb], "x")]
        assert tracemalloc.get_traced_memory()[1] < 10 * BLOCK
    finally:
        tracemalloc.stop()
    assert sum(pieces) == 200 * BLOCK
    assert max(pieces) <= BLOCK


HELLO = gzip.compress(b"hello", mtime=0)


@pytest.mark.parametrize("raw, expected", [
    (HELLO, b"hello"), (HELLO + gzip.compress(b" world"), b"hello world"), (HELLO + bytes(1000), b"hello"),
    (HELLO + bytes(10) + HELLO, b"hellohello"), (gzip.compress(b""), b""), (gzip.compress(bytes(3 * BLOCK)), bytes(3 * BLOCK)),
    (gzip.compress(os.urandom(7) * 400_000), None),
], ids=["one", "two members", "padding", "padding between", "empty", "three blocks", "more"])
@pytest.mark.parametrize("size", [1, 7, 10**9], ids=["byte by byte", "odd", "whole"])
def test_gzip(raw, expected, size):
    expected = gzip.decompress(raw) if expected is None else expected
    assert b"".join(gunzip(in_blocks(raw, size), "x")) == expected


@pytest.mark.parametrize("raw, words", [
    (HELLO[:-1], "cut off"), (HELLO[:-8], "cut off"), (HELLO[:5], "cut off"), (HELLO + HELLO[:10], "cut off"),
    (HELLO + b"trailing garbage", "not a readable gzip"), (HELLO[:-8] + bytes(8), "not a readable gzip"), (b"hello", "not a readable gzip"),
], ids=["a byte short", "no checksum", "header only", "second member cut", "garbage behind", "wrong checksum", "no gzip"])
@pytest.mark.parametrize("size", [1, 10**9], ids=["byte by byte", "whole"])
def test_damaged_gzip(raw, words, size):
    with pytest.raises(InvalidContent) as caught:
        list(gunzip(in_blocks(raw, size), "x.gz"))
    assert words in str(caught.value)


def test_a_gzipped_tar_that_is_cut_off_or_followed_by_garbage_is_refused():
    raw = gzip.compress(tar(("a", os.urandom(5000))))
    for damaged in (raw[:-1], raw[:3000], raw + b"garbage"):
        with pytest.raises(InvalidContent):
            contents(damaged)


def test_the_stream_is_read_to_its_end_so_that_its_digest_is_checked():
    def blocks():
        yield tar(("a", b"1"))
        yield bytes(5000)
        raise DigestMismatch("the end was reached")

    with pytest.raises(DigestMismatch, match="the end was reached"):
        list(tar_entries(blocks(), "x.tar"))


def test_unpacked_files_have_plain_modes_and_their_content(tmp_path):
    raw = tar(member("run", b"#!", mode=0o6777), member("data", b"1", mode=0o000), member("empty", kind=tarfile.DIRTYPE), ("deep/er/x", b"2"))
    extract([raw], str(tmp_path), "x.tar")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o644
    assert (tmp_path / "deep" / "er" / "x").read_bytes() == b"2"
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize("members", [
    [("a", b"1"), ("a/b", b"2")],
    [("a/b", b"1"), ("a", b"2")],
    [("a", b"1"), member("a/b", kind=tarfile.DIRTYPE)],
    [(".", b"1")],
], ids=["file below a file", "file in place of a folder", "folder below a file", "file in place of the root"])
def test_entries_in_the_way_of_each_other_are_refused(members, tmp_path):
    with pytest.raises(InvalidContent):
        extract([tar(*members)], str(tmp_path), "x.tar")


@pytest.mark.parametrize("name, expected", [("a/b", "a/b"), ("./a", "a"), ("a//b/", "a/b"), (".", "."), ("", "."), ("..a", "..a"), ("a/...", "a/...")])
def test_names_that_stay_inside(name, expected):
    assert safe_name(name, "x") == expected


@pytest.mark.parametrize("name", ["..", "../a", "a/..", "/a", "//a", "a\0b", "\\a"])
def test_names_that_leave(name):
    with pytest.raises(InvalidContent):
        safe_name(name, "x")


def test_our_tars_have_fixed_owner_time_and_mode():
    raw = tar_entry("blobs", 0, 0o755, folder=True) + tar_file("blobs/a", b"123") + END_OF_ARCHIVE
    assert len(raw) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        found = [(info.name, info.isdir(), info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime) for info in archive]
    assert found == [("blobs", True, 0o755, 0, 0, "", "", FIXED_TIME), ("blobs/a", False, 0o644, 0, 0, "", "", FIXED_TIME)]
    assert FIXED_TIME == 1640995200


@pytest.mark.parametrize("size, expected", [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_padding(size, expected):
    assert padding(size) == bytes(expected)


def test_an_entry_above_eight_gibibytes_has_a_header():
    with tarfile.open(fileobj=io.BytesIO(tar_entry("a", 2**36) + END_OF_ARCHIVE), mode="r|") as archive:
        assert archive.next().size == 2**36


def test_stored_gzip_is_deterministic_and_gzip():
    content = os.urandom(100_000)
    first = b"".join(gzip_stored(in_blocks(content)))
    assert gzip.decompress(first) == content
    assert first == b"".join(gzip_stored(in_blocks(content)))


def test_a_block_reader_is_a_file():
    reader = io.BufferedReader(BlockReader([b"ab", b"", b"cdef"]), 3)
    assert (reader.read(3), reader.read(10), reader.read(1)) == (b"abc", b"def", b"")


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "out"
    for content in ("first", "second"):
        with folder_beside(str(path)) as new:
            with open(os.path.join(new, content), "w", encoding="utf-8") as file:
                file.write(content)
            replace_folder(new, str(path))
        assert [entry.name for entry in path.iterdir()] == [content]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_only_a_folder_is_replaced(kind, tmp_path):
    path, new = tmp_path / "out", tmp_path / "new"
    new.mkdir()
    if kind == "file":
        path.write_text("mine", encoding="utf-8")
    else:
        path.symlink_to(tmp_path)
    with pytest.raises(Refused):
        replace_folder(str(new), str(path))
    assert path.exists()


def test_a_folder_that_was_not_finished_is_gone(tmp_path):
    with pytest.raises(KeyError):
        with folder_beside(str(tmp_path / "out")):
            raise KeyError("stop")
    assert not list(tmp_path.iterdir())
