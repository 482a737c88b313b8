# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gzip that does not depend on the machine, and the digests of content before and after it.

Headers carry no name, time or operating system. What is compressed still depends on the version of zlib, so compressed
content is compared by what is inside it; what is only wrapped is the same everywhere.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterable, Iterator

from ..model.digest import Digester
from ..model.errors import InvalidContent
from ..store.repository import OpenSource

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_SIZE = 65535
_LAST_STORED = b"\x01\x00\x00\xff\xff"


@dataclass(frozen=True)
class Measured:
    """Digest and size in bytes of content; plain_digest: before it was compressed, "" where it was not."""

    digest: str
    size: int
    plain_digest: str = ""


def measure(source: OpenSource) -> Measured:
    """Read content once."""
    seen = Digester()
    with source() as blocks:
        for block in blocks:
            seen.update(block)
    return Measured(seen.digest, seen.size)


def measure_compressed(source: OpenSource) -> Measured:
    """Read content once, compressing it on the way."""
    plain, packed = Digester(), Digester()
    with source() as blocks:
        for block in compressed(_noting(blocks, plain)):
            packed.update(block)
    return Measured(packed.digest, packed.size, plain.digest)


def compressing(source: OpenSource) -> OpenSource:
    """A source of the compressed content."""
    return _mapped(source, compressed)


def wrapping(source: OpenSource) -> OpenSource:
    """A source of the content as gzip that is not compressed: the same bytes with every version of zlib."""
    return _mapped(source, wrapped)


def compressed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks as one gzip member (RFC 1952)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    checksum = length = 0
    yield _HEADER
    for block in blocks:
        checksum, length = zlib.crc32(block, checksum), length + len(block)
        packed = packer.compress(block)
        if packed:
            yield packed
    yield packer.flush() + _trailer(checksum, length)


def wrapped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks as one gzip member of stored blocks (RFC 1951, 3.2.4), whose borders do not depend on `blocks`."""
    checksum = length = 0
    waiting = bytearray()
    yield _HEADER
    for block in blocks:
        checksum, length = zlib.crc32(block, checksum), length + len(block)
        waiting += block
        while len(waiting) >= _STORED_SIZE:
            yield _stored(bytes(waiting[:_STORED_SIZE]))
            del waiting[:_STORED_SIZE]
    yield _stored(bytes(waiting)) + _LAST_STORED + _trailer(checksum, length)


def plain_digest_of(source: OpenSource, where: str) -> str:
    """The digest of what a gzip holds. Raises InvalidContent for what is no gzip."""
    seen = Digester()
    with source() as blocks:
        for block in decompressed(blocks, where):
            seen.update(block)
    return seen.digest


def decompressed(blocks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """What one or more gzip members hold. Raises InvalidContent."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    started = False
    try:
        for block in blocks:
            while block:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
                started = True
                yield unpacker.decompress(block)
                block = unpacker.unused_data
    except zlib.error as error:
        raise InvalidContent(f"{where}: not a readable gzip ({error}).") from None
    if not started or not unpacker.eof:
        raise InvalidContent(f"{where}: the gzip is cut off.")


def _mapped(source: OpenSource, function) -> OpenSource:
    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        with source() as blocks:
            yield function(blocks)

    return opened


def _noting(blocks: Iterable[bytes], seen: Digester) -> Iterator[bytes]:
    for block in blocks:
        seen.update(block)
        yield block


def _stored(content: bytes) -> bytes:
    return b"\x00" + struct.pack("<HH", len(content), len(content) ^ 0xFFFF) + content


def _trailer(checksum: int, length: int) -> bytes:
    return struct.pack("<II", checksum & 0xFFFFFFFF, length & 0xFFFFFFFF)
