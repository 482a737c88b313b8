# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The common transport format (CTF): OCI repositories in a folder or tar, with one index over all of them.

Follows the OCM specification: `artifact-index.json` and flat blobs `blobs/sha256.<hex>`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ..model.digest import Digester, check_digest, digest_of
from ..model.errors import InvalidContent, NotFound, Refused
from ..model.manifest import MAX_MANIFEST_SIZE, ContentDescriptor, Manifest, parse_json
from ..model.snapshot import Snapshot, restricted
from .archive_files import PARTIAL, ArchiveFiles, BlockSource, FolderFiles, TarFiles, VerifiedBlocks, pack, packed_blocks, room_needed
from .artifact_index import INDEX, ArtifactIndex, IndexEntry, parse_index
from .left_out import NOTE, LeftOut, read_note
from .parts import SUFFIX, has_unplaced_parts, is_split, place_parts, write_parts
from .repository import Blocks, OpenSource, WritableRepository

SPOOL = "blobs/.shared"
NEW = ".new-"


class Ctf:
    """A CTF that is read, and written if it has a folder to write to. Safe for several threads."""

    def __init__(
        self,
        location: str,
        files: ArchiveFiles,
        writer: Optional[FolderFiles] = None,
        index: Optional[ArchiveFiles] = None,
    ) -> None:
        """index: where the artifact index is read, if not in `files`."""
        self.location, self._files, self._writer = location, files, writer
        self._lock = threading.Lock()
        self._writing: Dict[str, ContextManager[Any]] = {}
        self._index_files = index or files
        self._index = _read_index(self._index_files, location)
        self._index_differs = False
        self._left_out = LeftOut(read_note(self._index_files, location))
        self._held: Optional[int] = None

    @property
    def left_out(self) -> Snapshot:
        """The blobs that it notes as left out and does not hold."""
        noted = self._left_out.noted
        return restricted(noted, {blob.digest for blob in noted.blobs if self._files.size(blob_name(blob.digest)) is None})

    def leave_out(self, known: Snapshot, digests: Iterable[str]) -> None:
        """Do without these blobs, as far as they are known: they count as held from now on."""
        self._left_out.agree(known, frozenset(digests))

    def repositories(self) -> List[str]:
        return sorted({entry.repository for entry in self.all_entries()})

    def repository(self, path: str) -> "CtfRepository":
        return CtfRepository(self, path)

    def entries(self, repository: str) -> List[IndexEntry]:
        return [entry for entry in self.all_entries() if entry.repository == repository]

    def all_entries(self) -> List[IndexEntry]:
        with self._lock:
            return self._index.entries()

    def entry(self, repository: str, reference: str) -> Optional[IndexEntry]:
        """What a repository lists under a tag or a digest."""
        with self._lock:
            find = self._index.by_digest if ":" in reference else self._index.by_tag
            return find(repository, reference)

    def blob_size(self, digest: str) -> Optional[int]:
        size = self._files.size(blob_name(digest))
        return self._left_out.agreed_size(digest) if size is None else size

    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        if self._files.size(blob_name(digest)) is None:
            self._left_out.refuse(digest, self.location)
        where = f"{self.location} {blob_name(digest)}"
        return VerifiedBlocks(self._files.open(blob_name(digest)), digest, size, where)

    def read_blob(self, digest: str, limit: int) -> bytes:
        return self._files.read(blob_name(digest), limit)

    def open_blob_at(self, digest: str, offset: int) -> Blocks:
        """The blob from byte `offset` on; nothing is checked."""
        return self._files.open(blob_name(digest), offset)

    def write_blob(self, digest: str, size: int, open_source: OpenSource) -> None:
        with self.alone_with(digest):
            self._writable().write_blob(blob_name(digest), digest, size, open_source)

    def bytes_missing(self, blobs: Mapping[str, int]) -> int:
        """How many bytes of these blobs (digest to size) are not here yet."""
        files = self._writable()
        missing = {digest: size for digest, size in blobs.items() if self.blob_size(digest) != size}
        return sum(max(0, size - files.begun(blob_name(digest))) for digest, size in missing.items())

    @contextmanager
    def alone_with(self, digest: str) -> Iterator[None]:
        """Keep other threads from writing this blob."""
        with self._lock:
            lock = self._writing.setdefault(digest, threading.RLock())
        with lock:
            yield

    def add_blob(self, blocks: Iterable[bytes], name: str = "") -> ContentDescriptor:
        """Write content whose digest is known only at its end. Returns its digest and size.

        name: what `recall` finds the blob by until `drop_unfinished`, so that no later run has to make it again.
        """
        files, seen = self._writable(), Digester()
        temporary = f"blobs/{NEW}{os.getpid()}-{threading.get_ident()}"
        full = os.path.join(files.path, temporary)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        try:
            with room_needed(self.location), open(full, "wb") as file:
                for block in blocks:
                    seen.update(block)
                    file.write(block)
                os.fchmod(file.fileno(), 0o644)
            if name:
                note = {"digest": seen.digest, "size": seen.size}
                files.write(_note_name(name), json.dumps(note).encode("utf-8"))
            os.replace(full, os.path.join(files.path, blob_name(seen.digest)))
        except BaseException:
            if os.path.exists(full):
                os.unlink(full)
            raise
        return ContentDescriptor("", seen.digest, seen.size)

    def spool(self, digest: str, size: int, open_source: OpenSource) -> None:
        """Keep a blob that several artifact sets share on the archive's disk until `drop_spooled`."""
        self._writable().write_blob(_spool_name(digest), digest, size, open_source)

    def is_spooled(self, digest: str) -> bool:
        return self._writable().size(_spool_name(digest)) is not None

    def open_spooled(self, digest: str, size: int) -> Blocks:
        return VerifiedBlocks(self._writable().open(_spool_name(digest)), digest, size, _spool_name(digest))

    def recall(self, name: str) -> Optional[ContentDescriptor]:
        """The blob that was added under this name, if it is there."""
        files = self._writable()
        if files.size(_note_name(name)) is None:
            return None
        noted = parse_json(files.read(_note_name(name)), f"{self.location} {_note_name(name)}")
        blob = ContentDescriptor("", str(noted.get("digest")), int(noted.get("size") or 0))
        return blob if self.blob_size(blob.digest) == blob.size else None

    def has_unfinished(self) -> bool:
        return bool(self._unfinished())

    def drop_unfinished(self) -> None:
        """Remove spooled blobs, notes, and the partial files of runs that were interrupted."""
        for path in self._unfinished():
            remove = shutil.rmtree if os.path.isdir(path) else os.unlink
            remove(path)

    def _unfinished(self) -> List[str]:
        root = self._writable().path
        blobs = os.path.join(root, "blobs")
        return _beginning_with((PARTIAL,), root) + _beginning_with((PARTIAL, NEW, os.path.basename(SPOOL)), blobs)

    def begin(self) -> None:
        """Become the only writer, and see what another one has written since. Raises Refused while there is one."""
        self._held = self._writable().lock()
        self._index = _read_index(self._index_files, self.location)
        self._left_out.noted = read_note(self._index_files, self.location)
        if self._left_out.everything.blobs:
            self._writable().write(NOTE, self._left_out.everything.to_bytes())

    def settle_left_out(self) -> bool:
        """Note exactly what is left out by now. False if it is nothing."""
        everything = self._left_out.everything
        if not everything.blobs:
            return False
        named = {digest for digest in _named(self) if self._files.size(blob_name(digest)) is None}
        note = restricted(everything, named)
        if note.blobs:
            self._writable().write(NOTE, note.to_bytes())
        elif self._writable().size(NOTE) is not None:
            os.unlink(os.path.join(self._writable().path, NOTE))
        return bool(note.blobs)

    def write_index(self) -> None:
        """Write the artifact index as it stands."""
        self._writable().write(INDEX, self._index.to_bytes())
        self._index_differs = False

    def flush(self) -> None:
        """Write the artifact index if it lists more than its file."""
        with self._lock:
            if self._index_differs:
                self.write_index()

    def put_entry(self, entry: IndexEntry) -> None:
        """List a manifest; an entry of the same repository and tag is replaced.

        Untagged entries come into the file with the next tagged one, or with `flush`: many are listed at once.
        """
        self._writable()
        with self._lock:
            self._index.put(entry)
            self._index_differs = True
            if entry.tag:
                self.write_index()

    def unlist(self, repository: str, digests: Iterable[str]) -> None:
        """Take untagged entries out of the index; the file follows with the next tagged entry, or with `flush`."""
        with self._lock:
            self._index.unlist(repository, digests)
            self._index_differs = True

    def _writable(self) -> FolderFiles:
        if self._writer is None:
            raise InvalidContent(f"{self.location} is open for reading only.")
        return self._writer

    def close(self) -> None:
        self._files.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None


class CtfRepository(WritableRepository):
    """One repository of a CTF. Blobs are shared by all of its repositories."""

    def __init__(self, ctf: Ctf, path: str) -> None:
        self.ctf, self.path = ctf, path
        self.name = f"{ctf.location}//{path}"

    def tags(self) -> List[str]:
        entries = self.ctf.entries(self.path)
        if not entries:
            raise NotFound(f"{self.ctf.location} has no repository {self.path}.")
        return [entry.tag for entry in entries if entry.tag]

    def _entry(self, reference: str) -> Optional[IndexEntry]:
        known = self.ctf.entry(self.path, reference)
        if known is None and ":" in reference and self.ctf.blob_size(reference) is not None:
            return IndexEntry(self.path, "", reference, "")
        return known

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        entry = self._entry(reference)
        size = None if entry is None else self.ctf.blob_size(entry.digest)
        if entry is None or size is None:
            return None
        media_type = entry.media_type or self.get_manifest(entry.digest).media_type
        return ContentDescriptor(media_type, entry.digest, size)

    def get_manifest(self, reference: str) -> Manifest:
        entry = self._entry(reference)
        if entry is None:
            raise NotFound(f"{self.name} has no manifest {reference}.")
        raw = self.ctf.read_blob(entry.digest, MAX_MANIFEST_SIZE)
        return Manifest.parse(raw, entry.media_type, entry.digest, f"{self.name} {reference}")

    def blob_size(self, digest: str) -> Optional[int]:
        return self.ctf.blob_size(digest)

    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        return self.ctf.open_blob(digest, size)

    def open_blob_at(self, digest: str, size: int, offset: int) -> Blocks:
        """The blob from byte `offset` on; nothing is checked."""
        return self.ctf.open_blob_at(digest, offset)

    def put_blob(
        self, digest: str, size: int, open_source: OpenSource, mount_from: Sequence[str] = (), absent: bool = False
    ) -> str:
        with self.ctf.alone_with(digest):
            if self.ctf.blob_size(digest) == size:
                return "present"
            self.ctf.write_blob(digest, size, open_source)
            return "copied"

    def put_manifest(self, manifest: Manifest, tag: str = "") -> None:
        former = self.ctf.entry(self.path, tag) if tag else None
        self.ctf.write_blob(manifest.digest, manifest.size, in_memory(manifest.raw))
        self.ctf.put_entry(IndexEntry(self.path, tag, manifest.digest, manifest.media_type))
        if former is not None and former.digest != manifest.digest:
            self._unlist_orphans(former.digest)

    def _unlist_orphans(self, former: str) -> None:
        """Take out what was listed for an index that lost its tag, and that no other tag leads to."""
        below = self._manifests_below([former])
        if len(below) > 1:
            self.ctf.unlist(self.path, below - self._manifests_below([self._digest_at(tag) for tag in self.tags()]))
            self.ctf.flush()

    def _digest_at(self, tag: str) -> str:
        entry = self.ctf.entry(self.path, tag)
        return entry.digest if entry else ""

    def _manifests_below(self, digests: Iterable[str]) -> Set[str]:
        """The digests of manifests and of all manifests below them, as far as they can be read."""
        found: Set[str] = set()
        todo = list(digests)
        while todo:
            digest = todo.pop()
            if digest in found:
                continue
            found.add(digest)
            try:
                todo += [child.digest for child in self.get_manifest(digest).children]
            except (NotFound, InvalidContent):
                pass  # what is damaged leads nowhere
        return found


class TarTarget:
    """A tar that is written: new files are collected in a folder beside it and packed with the old ones at the end.

    compresses: it is gzipped. other_form: what is there is in other parts than those that are asked for.
    """

    def __init__(self, path: str, compress: bool, part_size: int = 0) -> None:
        """compress: for an archive that is not there yet. part_size: write it in parts; 0 keeps the form that is there."""
        self.path = path
        self._staging = FolderFiles(unfinished_folder(path))
        self.base = base = TarFiles(path, self._staging.path) if is_there(path) else None
        self._base_is = _identity(path)
        self.compresses = base.is_compressed if base else compress
        self._part_size = part_size or (base.part_size if base else 0)
        self.other_form = base is not None and base.part_size != self._part_size
        # What an unfinished run has put into its index is not in the tar yet; its blobs are used.
        self.ctf = Ctf(path, _Layers(path, self._staging, base), self._staging, _Layers(path, base))

    @property
    def size(self) -> int:
        """Bytes of the tar that is there, 0 for none."""
        return self.base.packed_size if self.base else 0

    def has(self, digest: str) -> bool:
        """True if a blob is in the tar that is there."""
        return self.base is not None and self.base.size(blob_name(digest)) is not None

    @property
    def needs_writing(self) -> bool:
        """True if what is there is not in the form that is asked for, or not in its place, whatever its content."""
        return self.other_form or has_unplaced_parts(self._staging.path)

    def begin(self) -> None:
        """Become the only writer. Raises Refused while there is one, or if one has replaced the tar since it was read."""
        self.ctf.begin()
        if _identity(self.path) != self._base_is:
            raise Refused(f"Another run has written {self.path} meanwhile.", "Run again.")
        if place_parts(self.path, self._staging.path):
            _empty_folder(self._staging.path)

    def commit(self) -> None:
        """Pack what is reachable from the index, if anything was written. The old file is replaced at the end."""
        if not os.path.isdir(self._staging.path):
            return
        if os.listdir(self._staging.path) or self.other_form:
            self.ctf.write_index()
            noted = [NOTE] if self.ctf.settle_left_out() else []
            self._pack([INDEX] + noted + sorted(_reachable(self.ctf)))
        self.ctf.close()
        self.drop_unfinished()

    def _pack(self, names: List[str]) -> None:
        files, staging = self.ctf._files, self._staging.path
        if self._part_size:
            with room_needed(self.path):
                write_parts(packed_blocks(files, names, self.compresses), self.path, self._part_size, staging)
            place_parts(self.path, staging)
            return
        packed = os.path.join(staging, "packed")
        pack(files, names, packed, self.compresses)
        os.replace(packed, self.path)

    def has_unfinished(self) -> bool:
        return os.path.isdir(self._staging.path)

    def drop_unfinished(self) -> None:
        """Remove what was collected and is not needed any more."""
        shutil.rmtree(self._staging.path, ignore_errors=True)


def unfinished_folder(path: str) -> str:
    """Where what is written to a tar is collected."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, f".{name}.unfinished")


def is_there(path: str) -> bool:
    """True if there is a tar to read, whole, in parts, or in parts that are to be put in their place."""
    return os.path.isfile(path) or is_split(path) or has_unplaced_parts(unfinished_folder(path))


def _identity(path: str) -> Optional[Tuple[int, int]]:
    """What tells a tar from another one that was put in its place."""
    there = next((name for name in (path, path + SUFFIX) if os.path.isfile(name)), None)
    return (os.stat(there).st_ino, os.stat(there).st_mtime_ns) if there else None


def _empty_folder(path: str) -> None:
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


class _Layers(ArchiveFiles):
    """New files over old ones."""

    def __init__(self, path: str, *layers: Optional[ArchiveFiles]) -> None:
        self._layers = [layer for layer in layers if layer]
        self.path = path

    def size(self, name: str) -> Optional[int]:
        return next((size for size in (layer.size(name) for layer in self._layers) if size is not None), None)

    def open(self, name: str, offset: int = 0) -> BlockSource:
        holder = next((layer for layer in self._layers if layer.size(name) is not None), self._layers[-1])
        return holder.open(name, offset)

    def names(self) -> List[str]:
        return sorted({name for layer in self._layers for name in layer.names()})

    def close(self) -> None:
        for layer in self._layers:
            layer.close()


class _Bytes:
    """Content that is in memory already, as a source."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __enter__(self) -> Iterator[bytes]:
        return iter([self._content])

    def __exit__(self, *_error: Any) -> None:
        pass


def in_memory(content: bytes) -> OpenSource:
    """A source for small content."""
    return lambda: _Bytes(content)


def blob_name(digest: str) -> str:
    """The file of a blob: `blobs/sha256.<hex>`. Raises InvalidContent for what is no digest."""
    return "blobs/" + check_digest(digest, "archive").replace(":", ".")


def _spool_name(digest: str) -> str:
    return SPOOL + "/" + check_digest(digest, "archive").replace(":", ".")


def _note_name(name: str) -> str:
    return SPOOL + "/" + digest_of(name.encode("utf-8")).replace(":", ".") + ".json"


def _beginning_with(prefixes: Tuple[str, ...], folder: str) -> List[str]:
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if name.startswith(prefixes)]


def _reachable(ctf: Ctf) -> List[str]:
    """The blob files that the index leads to."""
    return [blob_name(digest) for digest in _named(ctf) if ctf._files.size(blob_name(digest)) is not None]


def _named(ctf: Ctf) -> List[str]:
    """The digests of all manifests and blobs that the index leads to."""
    found: Dict[str, None] = {}
    entries = ctf.all_entries()
    tagged, todo = {entry.digest for entry in entries if entry.tag}, [entry.digest for entry in entries]
    while todo:
        digest = todo.pop()
        if digest in found:
            continue
        found[digest] = None
        if digest not in tagged and ctf._files.size(blob_name(digest)) is None:
            continue  # an image that was lost stays lost, with all that it names
        manifest = Manifest.parse(ctf.read_blob(digest, MAX_MANIFEST_SIZE), "", digest, f"{ctf.location} {digest}")
        todo.extend(child.digest for child in manifest.children)
        found.update((blob.digest, None) for blob in manifest.blobs)
    return list(found)


def _read_index(files: ArchiveFiles, location: str) -> ArtifactIndex:
    return ArtifactIndex() if files.size(INDEX) is None else parse_index(files.read(INDEX), location)
