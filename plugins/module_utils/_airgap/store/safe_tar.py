# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives from outside, and deterministic ones from us.

Reading accepts regular files and folders inside the archive's own root and nothing else; what an archive may
unpack to is capped. Writing uses fixed owner, mode and time, so that the same content gives the same bytes.
"""

from __future__ import annotations

import io
import itertools
import os
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, Iterator, Optional

from ..model.errors import InvalidContent, Refused

BLOCK = 1024 * 1024
# 2022-01-01T00:00:00Z, the time that the OCM tools give every entry
FIXED_TIME = 1640995200
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)
MAX_EXTENSION_SIZE = 1024 * 1024
# What holds for all entries that follow is kept: a Git archive has its commit there.
MAX_GLOBAL_SIZE, MAX_GLOBAL_NAMES = 4096, 1000
MAX_NAME_LENGTH = 4096
# Gzip may unpack to so many bytes, and beyond that to so many times its own size.
UNPACKED_FREELY, MAX_RATIO = 512 * 1024 * 1024, 200
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to: bytes in all, and number of entries."""

    size: int = 10 * 1024**3
    count: int = 100_000


@dataclass(frozen=True)
class TarEntry:
    """One regular file or folder of an archive. blocks: its content, to be read before the next entry."""

    name: str
    is_folder: bool
    size: int
    mode: int
    blocks: Callable[[], Iterator[bytes]]


class BlockReader(io.RawIOBase):
    """A file object over an iterator of blocks."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        super().__init__()
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not len(self._rest):
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class CheckedTarInfo(tarfile.TarInfo):
    """Headers that tarfile would believe: it reads the whole of an extension header into memory."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        info = super().frombuf(buf, encoding, errors)
        limit = MAX_GLOBAL_SIZE if info.type == tarfile.XGLTYPE else MAX_EXTENSION_SIZE
        if info.size < 0 or (info.type in _EXTENSIONS and info.size > limit):
            raise tarfile.ReadError(f"a header with the size {info.size}")
        return info


def plain(blocks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """The blocks as they are or, when they begin as gzip does, what they unpack to. Raises InvalidContent."""
    rest = iter(blocks)
    head = b""
    while len(head) < 2:
        block = next(rest, None)
        if block is None:
            break
        head += block
    whole = itertools.chain([head], rest)
    return gunzip(whole, where) if is_gzip(head) else whole


def gunzip(blocks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Unpack gzip of one or several members, at most BLOCK bytes at a time. Raises InvalidContent for damage and excess."""
    unpacker = zlib.decompressobj(31)
    allowed = UNPACKED_FREELY
    try:
        for block in blocks:
            allowed += MAX_RATIO * len(block)
            piece = b""
            while block or (len(piece) == BLOCK and not unpacker.eof):
                if unpacker.eof:
                    block = block.lstrip(b"\0")  # padding is allowed behind a member
                    unpacker = zlib.decompressobj(31) if block else unpacker
                    piece = b""
                    continue
                piece = unpacker.decompress(block, BLOCK)
                block = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                allowed -= len(piece)
                if allowed < 0:
                    raise InvalidContent(
                        f"{where}: the gzip file unpacks to more than {UNPACKED_FREELY} bytes and {MAX_RATIO} times its size.",
                        "It is damaged or made to fill the disk. If it is meant so, unpack it with gunzip.",
                    )
                yield piece
    except zlib.error as error:
        raise InvalidContent(f"{where}: not a readable gzip file ({error}).") from None
    if not unpacker.eof:
        raise InvalidContent(f"{where}: the gzip file is cut off.", "Copy it again.")


def tar_entries(blocks: Iterable[bytes], where: str, limits: Limits = Limits()) -> Iterator[TarEntry]:
    """Walk through a tar, plain or gzipped, in one pass.

    Raises InvalidContent naming `where` for damage, names outside the root, links, devices, duplicates and excess.
    """
    seen: Dict[str, bool] = {}
    total = 0
    try:
        stream = io.BufferedReader(BlockReader(plain(blocks, where)), BLOCK)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, tarinfo=CheckedTarInfo) as archive:
            for member in members_of(archive):
                name = safe_name(member.name, where)
                check_kind(member, where)
                total += member.size
                if total > limits.size or len(seen) >= limits.count:
                    raise InvalidContent(
                        f"{where}: unpacks to more than {limits.size} bytes or {limits.count} entries."
                    )
                if name in seen and not (member.isdir() and seen[name]):
                    raise InvalidContent(f"{where}: the entry {name!r} stands twice.")
                seen[name] = member.isdir()
                yield _entry(archive, member, name, where)
        while stream.read(BLOCK):
            pass  # a digest that is checked on the way is complete only at the end of the stream
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidContent(f"{where}: not a readable tar archive ({error}).") from None
    except RecursionError:
        raise InvalidContent(f"{where}: not a readable tar archive (headers of headers without end).") from None


def members_of(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of a tar; tarfile would keep all that it has seen. Raises tarfile.ReadError for excess."""
    for member in archive:
        archive.members = []
        if len(archive.pax_headers) > MAX_GLOBAL_NAMES:
            raise tarfile.ReadError(f"more than {MAX_GLOBAL_NAMES} global headers")
        yield member


def read_files(blocks: Iterable[bytes], where: str, limits: Limits) -> Dict[str, bytes]:
    """The regular files of a tar in memory, path -> content. Raises InvalidContent, see tar_entries."""
    return {entry.name: b"".join(entry.blocks()) for entry in tar_entries(blocks, where, limits) if not entry.is_folder}


def safe_name(name: str, where: str) -> str:
    """The entry's path below the root, `.` for the root itself. Raises InvalidContent for names that leave it."""
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidContent(f"{where}: the name {name[:100]!r}... of an entry has {len(name)} characters.")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise InvalidContent(f"{where}: the entry {name!r} would lie outside of the folder.")
    return posixpath.normpath(name) if name else "."


def extract(blocks: Iterable[bytes], folder: str, where: str, limits: Limits = Limits()) -> None:
    """Unpack into an existing empty folder. Raises InvalidContent, see tar_entries."""
    root = os.path.realpath(folder)
    for entry in tar_entries(blocks, where, limits):
        path = os.path.join(root, *entry.name.split("/"))
        try:
            if entry.is_folder:
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                for block in entry.blocks():
                    file.write(block)
        except (FileExistsError, NotADirectoryError):
            raise InvalidContent(f"{where}: the entry {entry.name!r} stands in the way of another one.") from None
        os.chmod(path, 0o755 if entry.mode & 0o100 else 0o644)


def tar_entry(name: str, size: int, mode: int = 0o644, folder: bool = False) -> bytes:
    """The header of an entry, deterministic."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, FIXED_TIME
    info.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What fills an entry of `size` bytes up to the tar block."""
    return bytes(-size % tarfile.BLOCKSIZE)


def tar_file(name: str, content: bytes, mode: int = 0o644) -> bytes:
    """A whole entry for small content."""
    return tar_entry(name, len(content), mode) + content + padding(len(content))


def gzip_stored(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Wrap blocks as gzip without compressing: layers are compressed already, doing it again costs time for nothing."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    for block in blocks:
        packed = packer.compress(block)
        if packed:
            yield packed
    yield packer.flush()


def is_gzip(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b"


@contextmanager
def file_beside(path: str) -> Iterator[str]:
    """The name of a temporary file beside `path`, with the rights of a new file, gone at the end unless it was renamed."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(handle, 0o666 & ~mask)
    os.close(handle)
    try:
        yield temporary
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def folder_beside(path: str) -> Iterator[str]:
    """A temporary folder in the same folder as `path`, gone at the end unless it was renamed."""
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=parent)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: str, path: str) -> None:
    """Put a finished folder in the place of `path`; what was there is removed only after that."""
    if not os.path.lexists(path):
        os.rename(new, path)
        return
    if os.path.islink(path) or not os.path.isdir(path):
        raise Refused(f"{path} exists and is not a folder.", "Choose another destination or remove it.")
    old = f"{new}.old"
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_kind(member: tarfile.TarInfo, where: str) -> None:
    """Raises InvalidContent unless the entry is a regular file or a folder."""
    if member.size < 0:
        raise InvalidContent(f"{where}: the entry {member.name!r} has the size {member.size}.")
    if member.isdir() or (member.isreg() and not member.issparse()):
        return
    kind = "a link" if member.issym() or member.islnk() else "a device, pipe or sparse file"
    raise InvalidContent(f"{where}: the entry {member.name!r} is {kind}; only files and folders are accepted.")


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, where: str) -> TarEntry:
    def blocks() -> Iterator[bytes]:
        file: Optional[io.BufferedReader] = archive.extractfile(member)
        while file is not None:
            try:
                block = file.read(BLOCK)
            except tarfile.TarError as error:
                raise InvalidContent(f"{where}: the tar is cut off in {name!r} ({error}).") from None
            if not block:
                return
            yield block

    return TarEntry(name, member.isdir(), member.size, member.mode, blocks)
