# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a Git tree against a lock: the objects, the manifests, and what else lies in their folders. Pure.

Objects are compared by what they mean, as a plan of gitops does: comments and the order of keys are nobody's drift.
Manifests are compared byte by byte.
"""

from __future__ import annotations

import posixpath
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..cluster.objects import title
from ..gitops.lock import LOCK_NAME, files_of, object_digest, read_lock
from ..gitops.tree import KUSTOMIZATION_FILES, Tree, below, key_of, locked_key, split_documents
from ..gitops.workloads import SUFFIXES, documents, is_object
from ..model.digest import digest_of
from ..model.errors import InvalidContent, Refused
from .items import GIT, Item, item

ADDED = "added"
NOTHING = "nothing"
MAX_NAMED = 3
# Flux applies none of them: the first say what it reads, the others are excluded by its sources.
_LEFT_ALONE = KUSTOMIZATION_FILES + (".sops.yaml", ".flux.yaml")
_BROKEN = "YAML that cannot be read"


def tree_items(lock: Mapping[str, Any], lock_path: str, tree: Tree) -> List[Item]:
    """What a Git tree has differently than a lock says: one item for each object, manifest, and addition.

    Files beside the lock and below the folder of the manifests that no lock names are items with the part `added`, and
    so are further documents in the delivery's own files: Flux applies them. They expect nothing, so putting them right
    is to remove them. A kustomization.yaml and files named README are left alone. Raises InvalidContent for the broken
    lock of another delivery.
    """
    return _Comparison(lock, lock_path, tree).items()


def lock_item(lock_path: str, name: str) -> Item:
    """The item for a lock that is not there. name: of the delivery."""
    obstacle = "it has to be restored from the Git history, or ocm.airgap.site has to be run again"
    return item(GIT, lock_path, "the lock of what was delivered", NOTHING, name=name, obstacle=obstacle, file=lock_path)


class _Comparison:
    """One lock and one tree."""

    def __init__(self, lock: Mapping[str, Any], lock_path: str, tree: Tree) -> None:
        self._lock, self._tree = lock, tree
        self._name = str(lock["name"])
        self._folder = posixpath.dirname(lock_path)
        # Folder -> lock of every other delivery of the tree.
        self._others = {
            posixpath.dirname(path): read_lock(content, path)
            for path, content in sorted(tree.files.items())
            if posixpath.basename(path) == LOCK_NAME and path != lock_path
        }

    def items(self) -> List[Item]:
        by_file: Dict[str, List[Mapping[str, Any]]] = {}
        for entry in self._lock.get("objects") or []:
            by_file.setdefault(str(entry["file"]), []).append(entry)
        found = [one for file, entries in by_file.items() for one in self._compare_objects(file, entries)]
        for entry in self._lock.get("manifests") or []:
            found += self._compare_manifest(entry)
        return found + [self._added_file(path) for path in self._added_files()]

    def _item(
        self, file: str, expected: str, found: str, entry: Optional[Mapping[str, Any]] = None, **more: str
    ) -> Item:
        """entry: the object of the file that it is about, where that is not all of it."""
        what = f"{file} {title(*locked_key(entry)[1:])}" if entry else file
        return item(GIT, what, expected, found, name=self._name, file=file, **more)

    def _compare_objects(self, file: str, entries: Sequence[Mapping[str, Any]]) -> List[Item]:
        content, obstacle = self._read(file)
        several = len(entries) > 1
        if content is None:
            return [self._absent(file, entry["digest"], obstacle, entry if several else None) for entry in entries]
        rest = [document for _text, document in split_documents(content) if document is not None]
        is_broken = _is_broken(content, file)
        items = []
        for entry in entries:
            document = _take(rest, entry)
            found = _BROKEN if document is None and is_broken else _object_found(document)
            if found != entry["digest"]:
                items.append(self._item(file, entry["digest"], found, entry if several else None))
        if posixpath.dirname(file) == self._folder:
            items += self._added_documents(file, rest, is_broken and not items)
        return items

    def _added_documents(self, file: str, rest: Sequence[Any], is_broken: bool) -> List[Item]:
        """rest: the documents of a file of the delivery's own that the lock does not name."""
        entries = [entry for lock in self._others.values() for entry in lock.get("objects") or []]
        named = {locked_key(entry) for entry in entries if entry["file"] == file}
        titles = [_title(document) for document in rest if not (is_object(document) and key_of(document) in named)]
        titles += [_BROKEN] if is_broken else []
        return [self._item(file, NOTHING, _named(titles), part=ADDED)] if titles else []

    def _compare_manifest(self, entry: Mapping[str, Any]) -> List[Item]:
        content, obstacle = self._read(entry["file"])
        if content is None:
            return [self._absent(entry["file"], entry["digest"], obstacle)]
        found = digest_of(content)
        return [] if found == entry["digest"] else [self._item(entry["file"], entry["digest"], found)]

    def _read(self, file: str) -> Tuple[Optional[bytes], str]:
        """The content of a file, or None and why it cannot be written either."""
        try:
            return self._tree.read(file), ""
        except Refused as error:
            return None, error.message.rstrip(".")

    def _absent(
        self, file: str, expected: str, obstacle: str, entry: Optional[Mapping[str, Any]] = None
    ) -> Item:
        found = "a link" if obstacle else "the file is missing"
        return self._item(file, expected, found, entry, obstacle=obstacle)

    def _added_file(self, path: str) -> Item:
        content = self._tree.files[path]
        titles = [_title(document) for _text, document in split_documents(content) if document is not None]
        titles += [_BROKEN] if _is_broken(content, path) else []
        return self._item(path, NOTHING, _named(titles) if titles else "a file without objects", part=ADDED)

    def _added_files(self) -> List[str]:
        """YAML files in the delivery's folders that no lock of the tree names."""
        own = [folder for folder in (self._folder, self._manifests_folder()) if folder]
        known = {file for lock in [self._lock, *self._others.values()] for file in files_of(lock)}
        # The folder of another delivery may lie inside of this one's.
        inner = [folder for folder in self._others if _is_below(folder, own)]
        candidates = [path for path in sorted(self._tree.files) if _is_below(path, own) and not _is_below(path, inner)]
        return [path for path in candidates if path not in known and _may_be_added(posixpath.basename(path))]

    def _manifests_folder(self) -> str:
        """The folder that all manifests lie in, "" without manifests.

        Manifests may lie in folders of their own below it; the delivery's folder is the one with its name.
        """
        folders = [posixpath.dirname(str(entry["file"])) for entry in self._lock.get("manifests") or []]
        common = posixpath.commonpath(folders) if folders else ""
        folder = common
        while folder and posixpath.basename(folder) != self._name:
            folder = posixpath.dirname(folder)
        return folder or common


def _take(rest: List[Any], entry: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """Take the document of an object out of the list, the right one where it stands there twice; None for none."""
    key = locked_key(entry)
    fitting = [document for document in rest if is_object(document) and key_of(document) == key]
    if not fitting:
        return None
    right = [document for document in fitting if object_digest(document) == entry["digest"]]
    chosen = (right or fitting)[0]
    rest.remove(chosen)
    return chosen


def _object_found(document: Optional[Mapping[str, Any]]) -> str:
    return "the file is there without the object" if document is None else object_digest(document)


def _is_broken(content: bytes, file: str) -> bool:
    try:
        documents(content, file)
    except InvalidContent:
        return True
    return False


def _title(document: Any) -> str:
    return title(*key_of(document)[1:]).strip() if is_object(document) else "a document that is no object"


def _named(titles: Sequence[str]) -> str:
    more = f" and {len(titles) - MAX_NAMED} more" if len(titles) > MAX_NAMED else ""
    return ", ".join(titles[:MAX_NAMED]) + more


def _may_be_added(name: str) -> bool:
    is_left = name in _LEFT_ALONE or name.upper().startswith("README")
    return name.lower().endswith(SUFFIXES[:2]) and not is_left


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(below(path, folder) for folder in folders)
