# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: their grammar, and content that is hashed while it passes."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import (
    Digester,
    check_digest,
    digest_of,
    is_digest,
    verified,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent

HELLO = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


@pytest.mark.parametrize("text", ["sha256:" + "0" * 64, "sha256:" + "abcdef09" * 8, "sha512:" + "a" * 128])
def test_a_digest(text):
    assert is_digest(text)
    assert check_digest(text, "here") == text


@pytest.mark.parametrize("text, words", [
    ("", "is not a digest"),
    (None, "is not a digest"),
    (5, "is not a digest"),
    (b"sha256:" + b"a" * 64, "is not a digest"),
    ("sha256:", "is not a digest"),
    ("sha256:" + "a" * 63, "is not a digest"),
    ("sha256:" + "a" * 65, "is not a digest"),
    ("sha256:" + "A" * 64, "is not a digest"),
    ("SHA256:" + "a" * 64, "is not a digest"),
    ("sha256:" + "g" * 64, "is not a digest"),
    ("sha256:" + "a" * 63 + "\n", "is not a digest"),
    ("sha256:" + "a" * 64 + "\n", "is not a digest"),
    (" sha256:" + "a" * 64, "is not a digest"),
    ("sha256:../../" + "a" * 58, "is not a digest"),
    ("sha256:" + "\u0661" * 64, "is not a digest"),
    ("sha512:" + "a" * 64, "is not a digest"),
    ("sha256." + "a" * 64, "is not a digest"),
    ("sha256:" + "a" * 64 + ",sha256:" + "b" * 64, "is not a digest"),
    ("md5:" + "a" * 32, "algorithm of 'md5:"),
    ("sha384:" + "a" * 96, "algorithm of 'sha384:"),
    ("blake3:" + "a" * 64, "algorithm of 'blake3:"),
    ("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", "algorithm of 'multihash+base58:"),
])
def test_what_is_no_digest(text, words):
    assert not is_digest(text)
    with pytest.raises(InvalidContent) as caught:
        check_digest(text, "layer 2")
    assert words in str(caught.value)
    assert "layer 2" in str(caught.value)


def test_hashing_bytes_and_blocks_gives_the_same():
    assert digest_of(b"hello\n") == HELLO
    assert digest_of(b"", "sha512") == "sha512:" + hashlib.sha512(b"").hexdigest()
    seen = Digester()
    for block in (b"he", b"", b"llo\n"):
        seen.update(block)
    assert (seen.digest, seen.size) == (HELLO, 6)


@pytest.mark.parametrize("size", [6, -1])
@pytest.mark.parametrize("blocks", [[b"hello\n"], [b"h", b"", b"ello\n"]], ids=["one block", "three blocks"])
def test_right_content_passes(blocks, size):
    assert b"".join(verified(blocks, HELLO, size, "here")) == b"hello\n"


def test_sha512_content_passes():
    digest = digest_of(b"x", "sha512")
    assert list(verified([b"x"], digest, 1, "here")) == [b"x"]


@pytest.mark.parametrize("blocks, size, words", [
    ([b"hello!"], 6, "has the digest"),
    ([b"hello!"], -1, "has the digest"),
    ([b"hello"], 6, "ended after 5 of 6 bytes"),
    ([], 6, "ended after 0 of 6 bytes"),
    ([b"hello\n", b"more"], 6, "longer than the 6 bytes"),
    ([b"hello\n"], 0, "longer than the 0 bytes"),
])
def test_wrong_content_is_refused(blocks, size, words):
    with pytest.raises(DigestMismatch) as caught:
        list(verified(blocks, HELLO, size, "ctf blobs/x"))
    assert words in str(caught.value)
    assert "ctf blobs/x" in str(caught.value)


def test_more_than_the_promised_size_never_passes():
    passed = []
    with pytest.raises(DigestMismatch):
        for block in verified(iter([b"hel", b"lo\n", b"x" * 100, b"y"]), HELLO, 6, "here"):
            passed.append(block)
    assert b"".join(passed) == b"hel"


def test_last_block_of_damaged_content_does_not_pass():
    passed = []
    with pytest.raises(DigestMismatch):
        for block in verified(iter([b"hel", b"lo", b"!"]), HELLO, 6, "here"):
            passed.append(block)
    assert b"".join(passed) == b"hello"
