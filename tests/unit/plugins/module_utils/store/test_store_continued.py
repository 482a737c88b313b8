# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A blob of an archive that was written in part: continued, never visible, and a disk that takes no more."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import SeekableSource
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, NoRoom, Unreachable
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import pack
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import blob_name
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.repository import blob_source
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import digest_of

CONTENT = os.urandom(3_000_000)
DIGEST = digest_of(CONTENT)
PARTIAL = blob_name(DIGEST).replace("blobs/", "blobs/.part-")


class Content(SeekableSource):
    """Content that notes where it was opened and what was read, and breaks off after so many bytes."""

    def __init__(self, content=CONTENT, breaks_after=None):
        self.content, self.breaks_after = content, breaks_after
        self.opened, self.read = [], 0

    def __call__(self):
        return self.open_at(0)

    @contextmanager
    def open_at(self, offset):
        self.opened.append(offset)
        yield self._blocks(offset)

    def _blocks(self, offset):
        for start in range(offset, len(self.content), 100_000):
            if self.breaks_after is not None and start - offset >= self.breaks_after:
                raise Unreachable("the line broke")
            block = self.content[start : start + 100_000]
            self.read += len(block)
            yield block


@pytest.fixture
def repository(tmp_path, open_path_to_write):
    return open_path_to_write(tmp_path / "ctf").repository("acme.org/demo")


def put(repository, source):
    return repository.put_blob(DIGEST, len(CONTENT), source)


def broken_off(repository, tmp_path, after=2_000_000):
    with pytest.raises(Unreachable):
        put(repository, Content(breaks_after=after))
    partial = tmp_path / "ctf" / PARTIAL
    assert repository.blob_size(DIGEST) is None and not (tmp_path / "ctf" / blob_name(DIGEST)).exists()
    return partial


def test_what_was_written_is_not_read_again(repository, tmp_path, read_blob):
    partial = broken_off(repository, tmp_path)
    there = partial.stat().st_size
    assert there == 2_000_000
    source = Content()
    assert put(repository, source) == "copied"
    assert source.opened == [there] and source.read == len(CONTENT) - there
    assert read_blob(repository.open_blob(DIGEST, len(CONTENT))) == CONTENT
    assert not partial.exists()


def test_what_was_written_whole_is_not_opened_at_all(repository, tmp_path):
    (tmp_path / "ctf" / "blobs").mkdir(parents=True)
    (tmp_path / "ctf" / PARTIAL).write_bytes(CONTENT)
    assert put(repository, lambda: pytest.fail("all of it is there")) == "copied"
    assert repository.blob_size(DIGEST) == len(CONTENT)


@pytest.mark.parametrize("damage", [
    lambda content: b"x" + content[1:2_000_000],
    lambda content: content[:1_999_999] + b"xyz",
    lambda content: bytes(len(content)),
    lambda content: content + b"more",
], ids=["first byte", "last byte", "zeros", "longer"])
def test_what_was_written_and_is_damaged_is_written_anew(damage, repository, tmp_path, read_blob):
    broken_off(repository, tmp_path).write_bytes(damage(CONTENT))
    source = Content()
    put(repository, source)
    assert source.opened[-1] == 0
    assert read_blob(repository.open_blob(DIGEST, len(CONTENT))) == CONTENT
    assert [path.name for path in (tmp_path / "ctf" / "blobs").iterdir()] == [blob_name(DIGEST)[6:]]


def test_a_source_that_is_damaged_leaves_nothing(repository, tmp_path):
    broken_off(repository, tmp_path)
    source = Content(CONTENT[:-1] + b"x")
    with pytest.raises(DigestMismatch, match=DIGEST):
        put(repository, source)
    assert source.opened == [2_000_000, 0]
    assert not list((tmp_path / "ctf" / "blobs").iterdir())


def test_what_is_left_goes_with_the_commit(repository, tmp_path, open_path_to_write):
    broken_off(repository, tmp_path)
    open_path_to_write(tmp_path / "ctf").commit()
    assert not list((tmp_path / "ctf" / "blobs").iterdir())


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_blobs_of_an_archive_are_opened_in_the_middle(form, tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path / form)
    put(store.artifacts(""), Content())
    source = blob_source(store.artifacts(""), DIGEST, len(CONTENT))
    for offset in (0, 1, 1_500_000, len(CONTENT)):
        with source.open_at(offset) as blocks:
            assert b"".join(blocks) == CONTENT[offset:]


@contextmanager
def largest_file(size):
    """A disk that takes no larger file: what writing then raises is what a full disk raises, with another number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_told_and_the_next_run_goes_on(repository, tmp_path):
    with largest_file(1_000_000), pytest.raises(NoRoom, match="takes no file as large"):
        put(repository, Content())
    assert repository.blob_size(DIGEST) is None
    assert 0 < (tmp_path / "ctf" / PARTIAL).stat().st_size <= 1_000_000
    source = Content()
    put(repository, source)
    assert source.read < len(CONTENT)
    assert repository.blob_size(DIGEST) == len(CONTENT)


def test_a_disk_that_is_full_while_the_tar_is_packed_is_told(tmp_path, open_path_to_write):
    store = open_path_to_write(tmp_path / "x.tar")
    put(store.artifacts("acme.org/demo"), Content())
    with largest_file(1_000_000), pytest.raises(NoRoom):
        pack(store.ctf._files, [blob_name(DIGEST)], str(tmp_path / "x.tar"), False)
    assert not (tmp_path / "x.tar").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".x.tar.unfinished"]
