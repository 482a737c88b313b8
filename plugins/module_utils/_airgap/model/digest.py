# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: the OCI text form `algorithm:hex`, and hashing while content passes."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Iterable, Iterator

from .errors import DigestMismatch, InvalidContent

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"\A[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\Z")


def is_digest(text: Any) -> bool:
    """True for a sha256 or sha512 digest as the OCI image specification writes it."""
    if not isinstance(text, str):
        return False
    algorithm, _sep, encoded = text.partition(":")
    return len(encoded) == _HEX_LENGTH.get(algorithm, -1) and re.fullmatch(r"[0-9a-f]+", encoded) is not None


def check_digest(text: Any, where: str) -> str:
    """Return the digest. Raises InvalidContent naming `where` and what is wrong with it."""
    if is_digest(text):
        return text
    if isinstance(text, str) and _GRAMMAR.match(text) and text.partition(":")[0] not in _HEX_LENGTH:
        raise InvalidContent(f"{where}: the digest algorithm of {text!r} is not supported (sha256 and sha512 are).")
    raise InvalidContent(f"{where}: {text!r} is not a digest (sha256:<64 lower-case hex digits>).")


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest of bytes. algorithm: sha256 or sha512."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Digester:
    """Hashes what passes through: `update` with blocks, then `digest` and `size` (bytes)."""

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def update(self, block: bytes) -> None:
        self._hash.update(block)
        self.size += len(block)

    @property
    def digest(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"


def verified(blocks: Iterable[bytes], digest: str, size: int, where: str) -> Iterator[bytes]:
    """Pass blocks on; raise DigestMismatch unless size and digest are as promised.

    size: bytes, or -1 when it is not known. More than `size` bytes are never passed on, and the last block only when
    all is right: nobody who counts bytes takes damaged content for whole.
    """
    seen, last = Digester(digest.partition(":")[0]), b""
    for block in blocks:
        seen.update(block)
        if 0 <= size < seen.size:
            raise DigestMismatch(f"{where}: {digest} is longer than the {size} bytes that were promised.")
        if last:
            yield last
        last = block
    if 0 <= size != seen.size:
        raise DigestMismatch(f"{where}: {digest} ended after {seen.size} of {size} bytes.")
    if seen.digest != digest:
        raise DigestMismatch(f"{where}: the content that arrived has the digest {seen.digest}, not {digest}.")
    if last:
        yield last
