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
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, NotFound
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
