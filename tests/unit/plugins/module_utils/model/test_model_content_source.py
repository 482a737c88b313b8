# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources that are opened in the middle, or again."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import (
    SeekableSource,
    once_more_if_damaged,
    open_at,
    read_whole,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of, verified
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    DigestMismatch,
    InvalidContent,
    NotFound,
)
from ansible_collections.ocm.airgap.tests.support.oci_client import source_of


class Text(SeekableSource):
    """A text of which every open is noted."""

    def __init__(self, content):
        self.content, self.opened = content, []

    def __call__(self):
        return self.open_at(0)

    @contextmanager
    def open_at(self, offset):
        self.opened.append(offset)
        try:
            yield iter([self.content[offset:]])
        finally:
            self.opened.append("closed")


@pytest.mark.parametrize(
    "offset, wanted",
    [
        (0, [b"abc", b"", b"defg"]),
        (1, [b"bc", b"defg"]),
        (3, [b"defg"]),
        (5, [b"fg"]),
        (7, []),
    ],
)
def test_source_that_cannot_be_opened_in_the_middle(offset, wanted):
    with open_at(source_of(b"abc", b"", b"defg"), offset) as blocks:
        assert list(blocks) == wanted


def test_source_that_can():
    source = Text(b"abcdefg")
    with open_at(source, 5) as blocks:
        assert list(blocks) == [b"fg"]
    assert source.opened == [5, "closed"]


def test_source_is_closed_when_its_reader_fails():
    closed = []

    @contextmanager
    def source():
        try:
            yield iter([b"abc"])
        finally:
            closed.append(True)

    with pytest.raises(NotFound):
        with open_at(source, 1):
            raise NotFound("gone")
    assert closed == [True]


@pytest.mark.parametrize("failures, runs", [(0, 1), (1, 2)])
def test_damaged_content_is_read_once_more(failures, runs):
    tries = []

    def action():
        tries.append(True)
        if len(tries) <= failures:
            raise DigestMismatch("damaged")
        return "whole"

    assert once_more_if_damaged(action) == "whole"
    assert len(tries) == runs


@pytest.mark.parametrize("error, runs", [(DigestMismatch, 2), (NotFound, 1)])
def test_what_is_damaged_twice_or_not_there(error, runs):
    tries = []

    def action():
        tries.append(True)
        raise error(f"try {len(tries)}")

    with pytest.raises(error, match=f"try {runs}"):
        once_more_if_damaged(action)
    assert len(tries) == runs


def arriving(*heads):
    """A source of what should be `right tail`, with these heads in turn; `opened` has those that were taken."""
    opened = []

    @contextmanager
    def source():
        opened.append(heads[len(opened)])
        yield verified(iter([opened[-1], b"tail"]), digest_of(b"right tail"), 10, "here")

    return source, opened


def tail_behind(head):
    """Reads what begins with the head, and nothing of anything else."""

    def read(blocks):
        if next(blocks) != head:
            raise InvalidContent("no such head")
        return b"".join(blocks)

    return read


def test_what_cannot_be_read_because_it_is_damaged_is_read_once_more():
    source, opened = arriving(b"wrong ", b"right ")
    assert read_whole(source, tail_behind(b"right ")) == b"tail"
    assert len(opened) == 2


def test_damage_is_told_and_not_what_it_looks_like():
    source, opened = arriving(b"wrong ", b"wrong ")
    with pytest.raises(DigestMismatch, match="has the digest"):
        read_whole(source, tail_behind(b"right "))
    assert len(opened) == 2


def test_what_is_whole_and_cannot_be_read_is_read_once():
    source, opened = arriving(b"right ")
    with pytest.raises(InvalidContent, match="^no such head$"):
        read_whole(source, tail_behind(b"other "))
    assert len(opened) == 1
