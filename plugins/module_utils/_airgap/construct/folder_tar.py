# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a tar that depends on names and content alone: sorted entries, fixed owner and time, two modes."""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from ..model.errors import InvalidContent, InvalidInput, NotFound
from ..store.repository import OpenSource
from ..store.safe_tar import BLOCK, END_OF_ARCHIVE, padding, tar_entry

Ignores = Callable[[str, bool], bool]
_EXCLUDE = "Exclude it with excludeFiles."


@dataclass(frozen=True)
class FolderEntry:
    """A file or folder below a root. name: relative, with `/`; path: on disk; mode: 0o644 or 0o755; size in bytes."""

    name: str
    path: str
    is_folder: bool
    mode: int = 0o755
    size: int = 0


@dataclass(frozen=True)
class Selection:
    """Which entries of a folder count, as shell patterns on the path from the folder; `*` does not match a `/`.

    include: none means everything; a folder counts when something in it does. exclude: cuts a whole subtree.
    """

    include: Tuple[str, ...] = ()
    exclude: Tuple[str, ...] = ()
    follow_symlinks: bool = False


def list_folder(root: str, selection: Selection, where: str) -> List[FolderEntry]:
    """The entries that are selected, each folder before what is in it, names in byte order.

    Raises InvalidInput for symbolic links (unless they are followed and stay inside), devices, sockets and pipes.
    """
    include, exclude = _matcher(selection.include, where), _matcher(selection.exclude, where)
    walk = _Walk(root, selection.follow_symlinks, where, lambda name, _is_folder: exclude(name))
    entries = list(walk.below("", os.path.realpath(root), ()))
    if not selection.include:
        return entries
    names = {entry.name for entry in entries if include(entry.name)}
    parents = {parent for name in names for parent in _parents(name)}
    return [entry for entry in entries if entry.name in names or entry.name in parents]


def list_folder_without(root: str, ignores: Ignores, where: str) -> List[FolderEntry]:
    """The entries of a folder but those that `ignores(name, is_folder)` names; links as in list_folder."""
    return list(_Walk(root, False, where, ignores).below("", os.path.realpath(root), ()))


def folder_tar(entries: Sequence[FolderEntry], prefix: str = "") -> OpenSource:
    """A source of the tar of these entries, each below `prefix`. Reading raises InvalidContent if a file changes."""

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        yield _tar_blocks(entries, prefix)

    return opened


def pattern_of(glob: str, where: str) -> Any:
    """A shell pattern as Go's path.Match reads it, as a compiled expression. Raises InvalidInput."""
    result, position = "", 0
    while position < len(glob):
        letter = glob[position]
        position += 1
        if letter == "*":
            result += "" if result.endswith("[^/]*") else "[^/]*"
        elif letter == "?":
            result += "[^/]"
        elif letter == "[":
            end = glob.find("]", position + 1)
            if end < 0:
                raise InvalidInput(f"{where}: the pattern {glob!r} has a [ without a ].")
            negated = glob[position] == "^"
            inner = glob[position + negated: end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            result += f"(?!/)[{'^' if negated else ''}{inner}]"
            position = end + 1
        else:
            if letter == "\\" and position < len(glob):
                letter, position = glob[position], position + 1
            result += re.escape(letter)
    try:
        return re.compile(result + r"\Z", re.DOTALL)
    except re.error:
        raise InvalidInput(f"{where}: {glob!r} is not a shell pattern.") from None


def file_source(path: str, where: str, size: int = -1) -> OpenSource:
    """A source of a file. Raises NotFound on opening; InvalidContent when it has not `size` bytes (-1: any)."""

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        try:
            file = open(path, "rb")
        except OSError as error:
            raise NotFound(f"{where}: {path} cannot be read ({error.strerror}).") from None
        with file:
            yield _file_blocks(file, path, size)

    return opened


class _Walk:
    """Walks through a folder without leaving it."""

    def __init__(self, root: str, follow: bool, where: str, ignores: Ignores) -> None:
        self._root, self._follow, self._where, self._ignores = os.path.realpath(root), follow, where, ignores

    def below(self, name: str, folder: str, parents: Tuple[str, ...]) -> Iterator[FolderEntry]:
        try:
            children = sorted(os.listdir(folder), key=os.fsencode)
        except OSError as error:
            raise NotFound(f"{self._where}: {folder} cannot be read ({error.strerror}).") from None
        for child in children:
            inner = f"{name}/{child}" if name else child
            yield from self._entries(inner, os.path.join(folder, child), parents + (folder,))

    def _entries(self, name: str, path: str, parents: Tuple[str, ...]) -> Iterator[FolderEntry]:
        is_link = os.path.islink(path)
        if self._ignores(name, os.path.isdir(path) and (self._follow or not is_link)):
            return
        if is_link:
            path = self._target(name, path, parents)
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            yield FolderEntry(name, path, True)
            yield from self.below(name, path, parents)
        elif stat.S_ISREG(status.st_mode):
            yield FolderEntry(name, path, False, 0o755 if status.st_mode & 0o100 else 0o644, status.st_size)
        else:
            raise InvalidInput(f"{self._where}: {path} is neither a file nor a folder.", _EXCLUDE)

    def _target(self, name: str, path: str, parents: Tuple[str, ...]) -> str:
        if not self._follow:
            raise InvalidInput(
                f"{self._where}: {path} is a symbolic link.",
                "Set followSymlinks to true to take what it leads to, or exclude it with excludeFiles.",
            )
        target = os.path.realpath(path)
        if not os.path.exists(target):
            raise InvalidInput(f"{self._where}: the symbolic link {name} leads nowhere.", _EXCLUDE)
        if target != self._root and not target.startswith(self._root.rstrip("/") + "/"):
            raise InvalidInput(
                f"{self._where}: the symbolic link {name} leads out of the folder, to {target}.",
                "Links are followed inside the folder alone: copy the content there, or exclude the link.",
            )
        if target in parents:
            raise InvalidInput(f"{self._where}: the symbolic link {name} leads to a folder that it lies in.")
        return target


def _matcher(globs: Sequence[str], where: str) -> Callable[[str], bool]:
    patterns = [pattern_of(glob[1:] if glob.startswith("/") else glob, where) for glob in globs]
    return lambda name: any(pattern.match(name) for pattern in patterns)


def _parents(name: str) -> List[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _tar_blocks(entries: Sequence[FolderEntry], prefix: str) -> Iterator[bytes]:
    if prefix:
        yield tar_entry(prefix, 0, 0o755, folder=True)
    for entry in entries:
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        yield tar_entry(name, entry.size, entry.mode, entry.is_folder)
        if not entry.is_folder:
            with file_source(entry.path, entry.name, entry.size)() as blocks:
                yield from blocks
            yield padding(entry.size)
    yield END_OF_ARCHIVE


def _file_blocks(file: Any, path: str, size: int) -> Iterator[bytes]:
    seen = 0
    for block in iter(lambda: file.read(BLOCK), b""):
        seen += len(block)
        if 0 <= size < seen:
            break
        yield block
    if 0 <= size != seen:
        raise InvalidContent(f"{path} changed while it was read.", "Run again when nothing writes to it any more.")
