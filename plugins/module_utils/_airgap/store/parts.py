# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive file in numbered parts, for media that are too small for it or take no large files.

`x.tar` becomes `x.tar.001`, `x.tar.002` and so on, which follow each other byte for byte, and `x.tar.parts.json`, which
tells how many there are, and size and digest of each and of the whole. It is written last. The archive is read where its
parts lie: they are not joined on the disk.
"""

from __future__ import annotations

import bisect
import io
import itertools
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import BinaryIO, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from ..model.digest import Digester, check_digest
from ..model.errors import InvalidContent, InvalidInput, Refused
from ..model.manifest import parse_json

SUFFIX = ".parts.json"
MIN_PART_SIZE = 1024 * 1024
MAX_PARTS = 9999
MAX_INDEX_SIZE = 16 * 1024 * 1024
_BLOCK = 1024 * 1024
_TAR_BLOCK = 512
_AGAIN = "Copy these files once more from where the archive was written."
_WRITTEN = "parts"


@dataclass(frozen=True)
class Part:
    """One part. size: bytes."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class PartsIndex:
    """What the parts of one archive are. name: the archive's. part_size: what the user asked for. size: of the whole."""

    name: str
    part_size: int
    size: int
    digest: str
    parts: Tuple[Part, ...]

    def to_bytes(self) -> bytes:
        parts = [
            {"number": number, "name": part.name, "size": part.size, "digest": part.digest}
            for number, part in enumerate(self.parts, 1)
        ]
        content = {
            "schemaVersion": 1,
            "name": self.name,
            "size": self.size,
            "digest": self.digest,
            "partSize": self.part_size,
            "total": len(parts),
            "parts": parts,
        }
        return (json.dumps(content, indent=1) + "\n").encode("utf-8")

    @classmethod
    def parse(cls, raw: bytes, name: str, where: str) -> "PartsIndex":
        """name: the archive's name, as the name of the file says. Raises InvalidContent."""
        content = parse_json(raw, where)
        values = content.get("parts")
        if content.get("schemaVersion") != 1 or not isinstance(values, list) or not 0 < len(values) <= MAX_PARTS:
            raise InvalidContent(f"{where} is not a list of parts of schemaVersion 1.")
        if content.get("name") != name:
            raise InvalidContent(
                f"{where} tells of the parts of {content.get('name')!r}.", "Parts keep the names that they were written under."
            )
        parts = tuple(_part(value, name, number, len(values), where) for number, value in enumerate(values, 1))
        sizes = [content.get("size"), content.get("partSize")]
        if sizes[0] != sum(part.size for part in parts) or content.get("total") != len(parts) or not _is_size(sizes[1]):
            raise InvalidContent(f"{where}: its sizes and its total do not agree with its parts.", _AGAIN)
        return cls(name, sizes[1], sizes[0], check_digest(content.get("digest"), where), parts)


def _part(value: object, name: str, number: int, total: int, where: str) -> Part:
    fields: Dict[str, object] = value if isinstance(value, dict) else {}
    expected = (part_name(name, number, total), number)
    if (fields.get("name"), fields.get("number")) != expected or not _is_size(fields.get("size")):
        raise InvalidContent(f"{where}: entry {number} is not that of {expected[0]}, with its size.", _AGAIN)
    return Part(expected[0], int(str(fields["size"])), check_digest(fields.get("digest"), where))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def part_name(name: str, number: int, total: int) -> str:
    """`x.tar.001`; as many digits as the total has, three at least, so that the names are sorted as the parts are."""
    return f"{name}.{number:0{max(3, len(str(total)))}d}"


def check_part_size(size: int) -> int:
    """The size that the user asked for. Raises InvalidInput for one that is too small to be meant."""
    if size < MIN_PART_SIZE:
        raise InvalidInput(
            f"part_size is {size} bytes; a part has at least {MIN_PART_SIZE}.", "Write it with its unit, as 700M or 4G."
        )
    return size


def largest_part(part_size: int) -> int:
    """Bytes of every part but the last: less than what was asked for, since FAT32 takes files of less than 4 GiB."""
    return (part_size - 1) // _TAR_BLOCK * _TAR_BLOCK


class JoinedParts(io.RawIOBase):
    """The parts as one file that is read; safe for several threads through `read_at`.

    Parts are opened when they are read: a set may have more of them than a process may have files.
    """

    def __init__(self, index: PartsIndex, places: Sequence[Sequence[str]]) -> None:
        """places: for each part the paths where it may lie; it may be moved from one to another meanwhile."""
        super().__init__()
        self.index = index
        self._places = places
        self._starts = [0, *itertools.accumulate(part.size for part in index.parts)]
        self._known = [_identity(os.stat(_first(paths))) for paths in places]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.index.size}
        self._position = bases[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end."""
        found = self.read_at(self.index.size if size is None or size < 0 else size, self._position)
        self._position += len(found)
        return found

    def readall(self) -> bytes:
        return self.read()

    def read_at(self, size: int, position: int) -> bytes:
        """`size` bytes from `position` on, fewer only at the end. Raises InvalidContent when a part was changed."""
        pieces = []
        end = min(position + size, self.index.size)
        while position < end:
            number = bisect.bisect_right(self._starts, position) - 1
            piece = self._read_part(number, min(end, self._starts[number + 1]) - position, position - self._starts[number])
            pieces.append(piece)
            position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_part(self, number: int, size: int, offset: int) -> bytes:
        for path in self._places[number]:
            try:
                with open(path, "rb", buffering=0) as file:
                    same = _identity(os.fstat(file.fileno())) == self._known[number]
                    found = os.pread(file.fileno(), size, offset) if same else b""
            except FileNotFoundError:
                continue
            if found:
                return found
        raise InvalidContent(f"{self._places[number][0]} was changed or taken away while it was read.", "Run again.")


def _identity(status: os.stat_result) -> Tuple[int, int]:
    """Not the inode: file systems of media and of networks may number anew what is opened again."""
    return status.st_size, status.st_mtime_ns


def _places(path: str, part: Part, written: str, pending: bool) -> List[str]:
    """Where a part lies now, and where it will be when it was put in its place."""
    final = os.path.join(os.path.dirname(path), part.name)
    return [written, final] if pending and os.path.isfile(written) else [final]


def _first(paths: Sequence[str]) -> str:
    return next((path for path in paths if os.path.isfile(path)), paths[0])


def open_parts(path: str, unfinished: str = "") -> Optional[JoinedParts]:
    """The archive `path` from its parts, every one of them checked; None if it is not in parts.

    unfinished: a folder where a run that was interrupted may have left a finished set, see `write_parts`.
    Raises InvalidContent naming everything that is wrong: parts that are missing, swapped, foreign or were changed.
    """
    written = os.path.join(unfinished, _WRITTEN) if unfinished else ""
    name, pending = os.path.basename(path), bool(unfinished) and has_unplaced_parts(unfinished)
    if os.path.exists(path) and not pending:
        return None
    where = os.path.join(written, SUFFIX) if pending else path + SUFFIX
    if not os.path.isfile(where):
        _refuse_parts_alone(path)
        return None
    index = PartsIndex.parse(_read_small(where), name, where)
    places = [_places(path, part, os.path.join(written, str(number)), pending) for number, part in enumerate(index.parts, 1)]
    faults = _faults(index, [_first(place) for place in places])
    faults += [] if pending else _strangers(path, index)
    if faults:
        raise InvalidContent(f"{path} cannot be joined from its {len(index.parts)} parts: {'; '.join(faults)}.", _AGAIN)
    return JoinedParts(index, places)


def is_split(path: str) -> bool:
    """True if the archive is not there as one file, but in parts, or something of them."""
    return not os.path.exists(path) and (os.path.isfile(path + SUFFIX) or bool(_numbered(path)))


def has_unplaced_parts(unfinished: str) -> bool:
    """True if a run was interrupted after all parts were written and before all were in their place."""
    return os.path.isfile(os.path.join(unfinished, _WRITTEN, SUFFIX))


def _read_small(path: str) -> bytes:
    if os.path.getsize(path) > MAX_INDEX_SIZE:
        raise InvalidContent(f"{path}: {os.path.getsize(path)} bytes are over the limit of {MAX_INDEX_SIZE}.")
    with open(path, "rb") as file:
        return file.read()


def _refuse_parts_alone(path: str) -> None:
    alone = _numbered(path)
    if alone:
        raise InvalidContent(
            f"{alone[0]} is there, but not {os.path.basename(path)}{SUFFIX}, which tells what the parts are.",
            "It lies beside the parts where they were written, and is copied with them. If writing them was interrupted, run that again.",
        )


def _numbered(path: str) -> List[str]:
    """Files that are named as parts of the archive are, sorted."""
    folder, name = os.path.split(path)
    numbered = re.compile(re.escape(name) + r"\.[0-9]{3,4}")
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    return sorted(os.path.join(folder, one) for one in names if numbered.fullmatch(one))


def _strangers(path: str, index: PartsIndex) -> List[str]:
    known, length = {part.name for part in index.parts}, len(index.parts[0].name)
    names = [os.path.basename(one) for one in _numbered(path)]
    return [f"{name} is no part of this archive" for name in names if name not in known and len(name) == length]


def _faults(index: PartsIndex, paths: Sequence[str]) -> List[str]:
    """What is wrong with the parts, each read once."""
    by_content: Dict[str, str] = {part.digest: part.name for part in index.parts}
    return [fault for part, path in zip(index.parts, paths) for fault in _fault(part, path, by_content)]


def _fault(part: Part, path: str, by_content: Dict[str, str]) -> Iterator[str]:
    if not os.path.lexists(path):
        yield f"{part.name} is missing"
        return
    seen = Digester(part.digest.partition(":")[0])
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                seen.update(block)
    except OSError as error:
        yield f"{part.name} cannot be read ({error.strerror})"
        return
    if seen.digest == part.digest:
        return
    if seen.digest in by_content:
        yield f"{part.name} has the content of {by_content[seen.digest]}"
    elif seen.size != part.size:
        yield f"{part.name} has {seen.size} bytes, not {part.size}: it is cut off, was changed, or is of another archive"
    else:
        yield f"{part.name} has the digest {seen.digest}, not {part.digest}: it was changed or is of another archive"


def write_parts(blocks: Iterable[bytes], path: str, part_size: int, unfinished: str) -> None:
    """Cut a stream into the parts of the archive `path`, in the folder `unfinished`.

    Once the set is complete there, `place_parts` may be called, as often as it takes.
    """
    folder = os.path.join(unfinished, _WRITTEN)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    writer = _Writer(folder, largest_part(part_size))
    try:
        for block in blocks:
            writer.write(block)
    finally:
        writer.close()
    name, total = os.path.basename(path), len(writer.written)
    parts = tuple(
        Part(part_name(name, number, total), part.size, part.digest) for number, part in enumerate(writer.written, 1)
    )
    _refuse_other_files(path, {part.name for part in parts})
    index = PartsIndex(name, part_size, writer.whole.size, writer.whole.digest, parts)
    _write_whole(os.path.join(folder, SUFFIX), index.to_bytes())


class _Writer:
    """Writes a stream into files 1, 2, ... of a folder. written: digest and size of each."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._file: Optional[BinaryIO] = None
        self.whole = Digester()
        self.written: List[Digester] = []

    def write(self, block: bytes) -> None:
        rest = memoryview(block)
        while len(rest):
            room = self._limit - self.written[-1].size if self._file else 0
            if not room:
                room = self._next()
            piece, rest = rest[:room], rest[room:]
            self.whole.update(piece)
            self.written[-1].update(piece)
            self._file.write(piece)

    def _next(self) -> int:
        self.close()
        if len(self.written) == MAX_PARTS:
            raise Refused(f"The archive has more than {MAX_PARTS} parts of this part_size.", "Choose a larger one.")
        self.written.append(Digester())
        self._file = open(os.path.join(self._folder, str(len(self.written))), "wb")
        return self._limit

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _refuse_other_files(path: str, names: Iterable[str]) -> None:
    """Raises Refused for files that have the name of a part and belong to no set that is known here."""
    mine = {part.name for part in _index_there(path).parts} if os.path.isfile(path + SUFFIX) else set()
    taken = [one for one in _numbered(path) if os.path.basename(one) in set(names) - mine]
    if taken:
        raise Refused(
            f"{', '.join(taken)} would be overwritten, and no {os.path.basename(path)}{SUFFIX} tells what it is.",
            "Remove it, or choose another name for the archive.",
        )


def _index_there(path: str) -> PartsIndex:
    return PartsIndex.parse(_read_small(path + SUFFIX), os.path.basename(path), path + SUFFIX)


def place_parts(path: str, unfinished: str) -> bool:
    """Put a finished set in its place, the index last; a set or a file that is there goes. False if there is none.

    It can be interrupted at any point and is then done by calling it again.
    """
    written = os.path.join(unfinished, _WRITTEN)
    if not has_unplaced_parts(unfinished):
        return False
    folder, name = os.path.split(os.path.abspath(path))
    index = PartsIndex.parse(_read_small(os.path.join(written, SUFFIX)), name, written)
    if os.path.isfile(path + SUFFIX):
        for former in {part.name for part in _index_there(path).parts} - {part.name for part in index.parts}:
            _unlink(os.path.join(folder, former))
        os.unlink(path + SUFFIX)
    for number, part in enumerate(index.parts, 1):
        if os.path.isfile(os.path.join(written, str(number))):
            os.replace(os.path.join(written, str(number)), os.path.join(folder, part.name))
    _unlink(path)
    os.replace(os.path.join(written, SUFFIX), path + SUFFIX)
    return True


def _unlink(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _write_whole(path: str, content: bytes) -> None:
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.replace(path + ".new", path)
