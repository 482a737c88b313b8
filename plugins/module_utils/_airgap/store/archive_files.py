# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an archive on disk, whatever its form: a folder, a tar, or a gzipped tar.

A folder is read in place. A tar is read by offsets; a gzipped one is first unpacked into a nameless temporary file.
What is written to a tar is collected in a folder beside it, which a later run continues, and packed at the end.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import tarfile
import tempfile
import zlib
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple, Union

from ..model.content_source import OpenSource, once_more_if_damaged, open_at
from ..model.digest import Digester, verified
from ..model.errors import DigestMismatch, InvalidContent, NoRoom, NotFound, Refused
from .parts import JoinedParts, open_parts
from .safe_tar import (
    BLOCK,
    END_OF_ARCHIVE,
    BlockReader,
    CheckedTarInfo,
    check_kind,
    gunzip,
    is_gzip,
    members_of,
    padding,
    safe_name,
    tar_entry,
)

MAX_INDEX_SIZE = 64 * 1024 * 1024
MAX_ENTRIES = 250_000
PARTIAL = ".part-"
# Bytes of a file: (how many, from where) -> content
ReadAt = Callable[[int, int], bytes]


@contextmanager
def room_needed(path: str) -> Iterator[None]:
    """Raises NoRoom for the errors of a disk that is full, or that takes no file as large."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise NoRoom(
                f"{path}: the disk takes no file as large ({os.strerror(error.errno)}).",
                "Write to another disk, or, for a .tar or .tgz, in parts (part_size). The next run goes on from here.",
            ) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(
                f"{path}: the disk is full ({os.strerror(error.errno)}).",
                "Make room and run again: the next run goes on from here.",
            ) from None
        raise


def check_room(path: str, size: int, hint: str = "") -> None:
    """Raises NoRoom unless the disk that `path` is on, or will be on, has `size` bytes left. hint: what else may help."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and size > free:  # a file system that counts no blocks tells nothing
        raise NoRoom(
            f"{path}: {size} bytes have to be written, and the disk of {folder} has room for {free}.",
            f"Nothing was written. Make room, or choose another disk. {hint}".rstrip(),
        )


class ArchiveFiles(ABC):
    """Named files of an archive. Names are relative, `blobs/sha256.<hex>`. path: where the archive lies."""

    path: str

    @abstractmethod
    def size(self, name: str) -> Optional[int]:
        """Size in bytes, or None when there is no such file."""

    @abstractmethod
    def open(self, name: str, offset: int = 0) -> "BlockSource":
        """The file's blocks from byte `offset` on. Raises NotFound."""

    @abstractmethod
    def names(self) -> List[str]:
        """Every file."""

    def read(self, name: str, limit: int = MAX_INDEX_SIZE) -> bytes:
        """A small file whole. Raises NotFound, InvalidContent above `limit` bytes."""
        size = self.size(name)
        if size is not None and size > limit:
            raise InvalidContent(f"{self.path}: {name} has {size} bytes, which are over the limit of {limit}.")
        with self.open(name) as blocks:
            return b"".join(blocks)

    def close(self) -> None:
        """Give back what is held open."""


class BlockSource:
    """A context manager that yields the blocks of a part of a file."""

    def __init__(self, source: Union[str, ReadAt], offset: int = 0, size: int = -1) -> None:
        """source: the path of a file that is read to its end, or what reads `size` bytes; both from `offset` on."""
        self._source, self._offset, self._size = source, offset, size
        self._own: Optional[BinaryIO] = None

    def __enter__(self) -> Iterator[bytes]:
        if callable(self._source):
            return self._by_offset(self._source)
        self._own = open(self._source, "rb")
        self._own.seek(self._offset)
        return iter(lambda: self._own.read(BLOCK), b"")

    def __exit__(self, *_error) -> None:
        if self._own is not None:
            self._own.close()

    def _by_offset(self, read_at: ReadAt) -> Iterator[bytes]:
        position, end = self._offset, self._offset + self._size
        while position < end:
            block = read_at(min(BLOCK, end - position), position)
            if not block:
                return
            position += len(block)
            yield block


class VerifiedBlocks:
    """Blocks of a file that are checked while they pass. digest "": nothing is promised."""

    def __init__(self, source: BlockSource, digest: str, size: int, where: str) -> None:
        self._source, self._digest, self._size, self._where = source, digest, size, where

    def __enter__(self) -> Iterator[bytes]:
        blocks = self._source.__enter__()
        return verified(blocks, self._digest, self._size, self._where) if self._digest else blocks

    def __exit__(self, *error: Any) -> None:
        self._source.__exit__(*error)


class FolderFiles(ArchiveFiles):
    """An archive that is a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _full(self, name: str) -> str:
        return os.path.join(self.path, *safe_name(name, self.path).split("/"))

    def _partial(self, name: str) -> str:
        """Where the beginning of a file lies until the whole is there."""
        folder, base = os.path.split(self._full(name))
        return os.path.join(folder, PARTIAL + base)

    def size(self, name: str) -> Optional[int]:
        full = self._full(name)
        if not os.path.isfile(full):
            return None
        return os.path.getsize(full)

    def open(self, name: str, offset: int = 0) -> BlockSource:
        full = self._full(name)
        if not os.path.isfile(full):
            raise NotFound(f"{self.path} has no {name}.", "The archive is incomplete: copy it again.")
        return BlockSource(full, offset)

    def names(self) -> List[str]:
        found = []
        for folder, _folders, files in os.walk(self.path):
            inner = os.path.relpath(folder, self.path)
            found.extend(file if inner == "." else f"{inner}/{file}" for file in files)
        return found

    def lock(self) -> int:
        """Keep other runs from writing here until the returned descriptor is closed. Raises Refused if one does."""
        os.makedirs(self.path, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise Refused(f"Another run is writing to {self.path}.", "Run again when it is done.") from None
        return handle

    def write(self, name: str, content: bytes) -> None:
        """Write a small file: beside its place, then renamed."""
        with self._beside(name) as file:
            file.write(content)

    def write_blob(self, name: str, digest: str, size: int, source: OpenSource) -> None:
        """Write a blob; it appears under its name only when size and digest are right. Raises DigestMismatch, NoRoom.

        What an interrupted run has left of it is read again, and only the rest is taken from the source; all of it once
        more when what came was damaged. size: bytes, -1 when it is not known. One name is not for two threads at once.
        """
        full, partial = self._full(name), self._partial(name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        once_more_if_damaged(lambda: self._complete(partial, digest, size, source))
        os.replace(partial, full)

    def begun(self, name: str) -> int:
        """How many bytes an interrupted `write_blob` has left of a blob."""
        partial = self._partial(name)
        return os.path.getsize(partial) if os.path.isfile(partial) else 0

    def _complete(self, partial: str, digest: str, size: int, source: OpenSource) -> None:
        try:
            self._fill(partial, digest, size, source)
        except DigestMismatch:
            os.unlink(partial)
            raise

    def _fill(self, partial: str, digest: str, size: int, source: OpenSource) -> None:
        algorithm = digest.partition(":")[0]
        with room_needed(self.path), open(partial, "a+b") as file:
            if not 0 <= os.fstat(file.fileno()).st_size <= size:
                file.truncate(0)
            seen = Digester(algorithm)
            file.seek(0)
            for block in iter(lambda: file.read(BLOCK), b""):
                seen.update(block)
            with open_at(source, seen.size) if seen.size != size or not size else nullcontext(()) as blocks:
                for block in blocks:
                    seen.update(block)
                    file.write(block)
            if seen.digest != digest or (size >= 0 and seen.size != size):
                raise DigestMismatch(
                    f"{self.path}: the content for {digest} ({size} bytes) has the digest {seen.digest} "
                    f"({seen.size} bytes)."
                )
            os.fchmod(file.fileno(), 0o644)

    @contextmanager
    def _beside(self, name: str) -> Iterator[BinaryIO]:
        full = self._full(name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=PARTIAL, dir=os.path.dirname(full))
        try:
            with room_needed(self.path), os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), 0o644)
            os.replace(temporary, full)
        except BaseException:
            os.unlink(temporary)
            raise


class TarFiles(ArchiveFiles):
    """An archive that is a tar or a gzipped tar, whole or in parts, read only. Raises InvalidContent for damage.

    part_size: what the user asked for when it was written in parts, else 0. packed_size: bytes of the file or the parts.
    """

    def __init__(self, path: str, unfinished: str = "") -> None:
        """unfinished: where a run that was interrupted may have left all parts, see `parts.open_parts`."""
        self.path = path
        joined = open_parts(path, unfinished)
        self.part_size = joined.index.part_size if joined else 0
        self._file: Any = joined or open(path, "rb")
        self.is_compressed = is_gzip(self._file.read(2))
        self.packed_size = self._file.seek(0, os.SEEK_END)
        if self.is_compressed:
            self._file = _unpacked(self._file, path)
        self._places = _places(self._file, path)

    def size(self, name: str) -> Optional[int]:
        place = self._places.get(name)
        return None if place is None else place[1]

    def open(self, name: str, offset: int = 0) -> BlockSource:
        if name not in self._places:
            raise NotFound(f"{self.path} has no {name}.", "The archive is incomplete: copy it again.")
        place, size = self._places[name]
        return BlockSource(self._read_at, place + offset, max(0, size - offset))

    def _read_at(self, size: int, position: int) -> bytes:
        if isinstance(self._file, JoinedParts):
            return self._file.read_at(size, position)
        return os.pread(self._file.fileno(), size, position)

    def names(self) -> List[str]:
        return list(self._places)

    def close(self) -> None:
        self._file.close()


def _unpacked(file: BinaryIO, path: str) -> BinaryIO:
    """The gzip's content in a temporary file that has no name, so that nothing of it can outlive the run."""
    # Gzip makes nothing larger by a hundredth: it unpacks to almost its own size at least.
    check_room(tempfile.gettempdir(), file.seek(0, os.SEEK_END) * 99 // 100, f"{path} is unpacked there; TMPDIR names another folder.")
    unpacked = tempfile.TemporaryFile()
    try:
        file.seek(0)
        with room_needed(f"{path}, unpacked to {tempfile.gettempdir()}"):
            _check_count(_kept(gunzip(iter(lambda: file.read(BLOCK), b""), path), unpacked), path)
            unpacked.flush()
    except BaseException:
        unpacked.close()
        raise
    finally:
        file.close()
    return unpacked


def _kept(blocks: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    for block in blocks:
        file.write(block)
        yield block


def _check_count(blocks: Iterator[bytes], path: str) -> None:
    """Read a tar to its end. Raises InvalidContent, before all of it is unpacked, for one with too many entries."""
    try:
        stream = io.BufferedReader(BlockReader(blocks), BLOCK)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, tarinfo=CheckedTarInfo) as archive:
            for count, _member in enumerate(members_of(archive)):
                _refuse_more(count, path)
    except (tarfile.TarError, RecursionError):
        pass  # told when the whole is looked at
    for _block in blocks:
        pass


def _refuse_more(count: int, path: str) -> None:
    if count >= MAX_ENTRIES:
        raise InvalidContent(f"{path}: the tar has more than {MAX_ENTRIES} entries.")


def _places(file: BinaryIO, path: str) -> Dict[str, Tuple[int, int]]:
    """Where in the tar each regular file lies: name -> (offset, size)."""
    places: Dict[str, Tuple[int, int]] = {}
    folded: Dict[str, str] = {}
    file.seek(0, os.SEEK_END)
    length = file.tell()
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=CheckedTarInfo) as archive:
            for count, member in enumerate(members_of(archive)):
                _refuse_more(count, path)
                check_kind(member, path)
                name = safe_name(member.name, path)
                if name in places:
                    raise InvalidContent(f"{path}: the entry {name!r} stands twice.")
                if folded.setdefault(name.casefold(), name) != name:
                    twin = folded[name.casefold()]
                    raise InvalidContent(f"{path}: the entries {twin!r} and {name!r} differ by upper and lower case alone.")
                if member.offset_data + member.size > length:
                    raise InvalidContent(f"{path}: the tar is cut off in {name!r}.", "Copy the archive again.")
                if member.isreg():
                    places[name] = (member.offset_data, member.size)
            end = archive.offset
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InvalidContent(f"{path}: the tar has no end or is damaged behind byte {end}.", "Copy the archive again.")
    except tarfile.TarError as error:
        raise InvalidContent(f"{path}: not a readable tar archive ({error}).") from None
    except RecursionError:
        raise InvalidContent(f"{path}: not a readable tar archive (headers of headers without end).") from None
    return places


def pack(files: ArchiveFiles, names: List[str], path: str, compress: bool) -> None:
    """Write the named files as a tar (gzipped if `compress`) to `path`, which appears only when it is complete.

    Entries stand in the order given, with the fixed owner, mode and time of the OCM tools.
    """
    handle, temporary = tempfile.mkstemp(prefix=PARTIAL, dir=os.path.dirname(os.path.abspath(path)))
    try:
        with room_needed(path), os.fdopen(handle, "wb") as file:
            for block in packed_blocks(files, names, compress):
                file.write(block)
            os.fchmod(file.fileno(), 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def packed_blocks(files: ArchiveFiles, names: List[str], compress: bool) -> Iterator[bytes]:
    """What `pack` writes."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31) if compress else None
    for block in _packed(files, names):
        yield packer.compress(block) if packer else block
    if packer:
        yield packer.flush()


def _packed(files: ArchiveFiles, names: List[str]) -> Iterator[bytes]:
    folders_written = set()
    for name in names:
        folder = os.path.dirname(name)
        if folder and folder not in folders_written:
            folders_written.add(folder)
            yield tar_entry(folder, 0, 0o755, folder=True)
        size = files.size(name) or 0
        yield tar_entry(name, size)
        with files.open(name) as blocks:
            yield from blocks
        yield padding(size)
    yield END_OF_ARCHIVE
