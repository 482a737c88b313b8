# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Git tree and what has to change in it. Pure: files in, edits out.

An object has one place. It is written to the delivery's folder unless it lies elsewhere already: that is an error, or
with adopt the place where it is rewritten.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..model.digest import digest_of
from ..model.errors import InvalidContent, InvalidInput, Refused
from ..store.yaml_text import dump_yaml
from .check import check_objects, describe
from .lock import LOCK_NAME, dump_lock, files_of, object_entry, read_lock
from .objects import Placed
from .settings import Delivery
from .workloads import documents, is_object

_DOCUMENT_START = re.compile(r"(?m)^---(?=\s|\Z)")
KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

Key = Tuple[str, str, str, str]
Place = Tuple[str, int]
Read = Callable[[str], Optional[bytes]]


@dataclass(frozen=True)
class Tree:
    """files: YAML and JSON files by path, the locks among them. read: any file, None for one that is not there."""

    files: Mapping[str, bytes]
    read: Read


@dataclass(frozen=True)
class Rendered:
    """A delivery with all that is written for it. manifests: files below the delivery's manifests folder.

    lock: everything in the lock except objects and manifests.
    """

    delivery: Delivery
    objects: Sequence[Placed]
    manifests: Mapping[str, bytes] = field(default_factory=dict)
    lock: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class TreePlan:
    """edits: path -> new content, None for a file that goes. places: where each object of each delivery is."""

    edits: Dict[str, Optional[bytes]] = field(default_factory=dict)
    locks: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    warnings: List[str] = field(default_factory=list)


def plan_tree(tree: Tree, deliveries: Sequence[Rendered], adopt: bool = False) -> TreePlan:
    """What has to be written so that the tree holds the deliveries.

    Raises InvalidInput for objects that are not right, Refused for objects that lie elsewhere.
    """
    _check_names(deliveries)
    index = Index(tree)
    plan = TreePlan()
    for root in sorted({rendered.delivery.git_path for rendered in deliveries}):
        _plan_root(_Root(tree, index, root, adopt), [item for item in deliveries if item.delivery.git_path == root], plan)
    return plan


def only_files(tree: Tree, plan: TreePlan, files: Collection[str], folders: Collection[str] = ()) -> TreePlan:
    """The plan with the edits of these files alone. Files below the folders that no lock names go, when they are named.

    Raises Refused where the lock of these files would have to change with them, and is not named: then what is rendered
    is something else than what was delivered.
    """
    wanted = {posixpath.normpath(path) for path in files}
    for folder, lock in plan.locks.items():
        path = posixpath.join(folder, LOCK_NAME)
        former = tree.read(path) if path in plan.edits and path not in wanted else None
        if former is not None and wanted.intersection(files_of(lock) + files_of(read_lock(former, path))):
            raise Refused(
                f"{path} would have to change, too: what is rendered now is something else than what was delivered.",
                "Give the same version and options as for the delivery, or deliver it anew (ocm.airgap.site).",
            )
    edits = {path: content for path, content in plan.edits.items() if path in wanted}
    edits.update({path: None for path in _strangers(tree, plan, folders) & wanted})
    return replace(plan, edits=edits)


def _strangers(tree: Tree, plan: TreePlan, folders: Collection[str]) -> Set[str]:
    """The files in these folders that no delivery has written."""
    locks = [read_lock(content, path) for path, content in tree.files.items() if posixpath.basename(path) == LOCK_NAME]
    known = {file for lock in [*locks, *plan.locks.values()] for file in files_of(lock)}
    others = {path for path in tree.files if posixpath.basename(path) in (LOCK_NAME, *KUSTOMIZATION_FILES)}
    return {path for path in set(tree.files) - known - others if any(below(path, folder) for folder in folders)}


def _check_names(deliveries: Sequence[Rendered]) -> None:
    folders = [rendered.delivery.folder for rendered in deliveries]
    for rendered in deliveries:
        if folders.count(rendered.delivery.folder) > 1:
            raise InvalidInput(
                f"Two components are to be written to {rendered.delivery.folder}.", "Give each a name of its own (name)."
            )


class Index:
    """Where every object of a tree lies, and which files other deliveries have written."""

    def __init__(self, tree: Tree) -> None:
        self.places: Dict[Key, List[Place]] = {}
        self.components: Dict[Tuple[str, str], List[Place]] = {}
        self.locks: Dict[str, Dict[str, Any]] = {}
        for path in sorted(tree.files):
            if posixpath.basename(path) == LOCK_NAME:
                self.locks[path] = read_lock(tree.files[path], path)
                continue
            for number, document in enumerate(split_documents(tree.files[path])):
                if is_object(document[1]):
                    self._add(document[1], (path, number))

    def _add(self, definition: Mapping[str, Any], place: Place) -> None:
        self.places.setdefault(key_of(definition), []).append(place)
        component = (definition.get("spec") or {}).get("component") if definition["kind"] == "ComponentVersion" else None
        if isinstance(component, str):
            self.components.setdefault((component, key_of(definition)[2]), []).append(place)

    def files_of_others(self, root: str) -> set:
        """Files of deliveries to other clusters, whose objects may be the same."""
        return {file for path, lock in self.locks.items() if not below(path, root) for file in files_of(lock)}


@dataclass(frozen=True)
class _Root:
    """The part of a tree that one cluster reads."""

    tree: Tree
    index: Index
    path: str
    adopt: bool


def _plan_root(root: _Root, deliveries: Sequence[Rendered], plan: TreePlan) -> None:
    check_objects([placed.definition for placed in _distinct(deliveries)])
    work = _Work(root, plan)
    for rendered in deliveries:
        work.deliver(rendered)
    work.warn_of_lists(deliveries)


def _distinct(deliveries: Sequence[Rendered]) -> List[Placed]:
    """All objects; what several deliveries share, once. Raises InvalidInput when they differ about it."""
    found: Dict[Tuple[bool, str], Placed] = {}
    result: List[Placed] = []
    for placed in (placed for rendered in deliveries for placed in rendered.objects):
        known = found.setdefault((placed.shared, describe(placed.definition)), placed)
        if known is placed:
            result.append(placed)
        elif not placed.shared:
            raise InvalidInput(f"{describe(placed.definition)} is rendered twice.", "Give each component a name of its own.")
        elif known.definition != placed.definition:
            raise InvalidInput(f"Two components want {describe(placed.definition)} differently.")
    return result


class _Work:
    """Plans the deliveries to one root."""

    def __init__(self, root: _Root, plan: TreePlan) -> None:
        self._root, self._plan = root, plan
        self._others = root.index.files_of_others(root.path)

    def deliver(self, rendered: Rendered) -> None:
        delivery = rendered.delivery
        lock_path = posixpath.join(delivery.folder, LOCK_NAME)
        former = self._root.index.locks.get(lock_path) or {}
        own = set(files_of(former))
        objects = []
        for placed in rendered.objects:
            file = self._write_object(placed, delivery, own)
            objects.append(object_entry(placed.definition, file, placed.shared))
        manifests = [self._write_manifest(path, rendered) for path in sorted(rendered.manifests)]
        lock = dict(rendered.lock, objects=objects, manifests=manifests)
        self._remove_former(former, lock)
        self._plan.locks[delivery.folder] = lock
        if not former or former != lock:
            self._edit(lock_path, dump_lock(lock))

    def _write_object(self, placed: Placed, delivery: Delivery, own: set) -> str:
        """Plan the writing of one object. Returns its file."""
        folder = delivery.git_path if placed.shared else delivery.folder
        default = posixpath.join(folder, placed.file)
        found = self._found(placed.definition, default)
        elsewhere = [place for place in found if place[0] != default]
        if not elsewhere:
            self._write_file(default, placed.definition)
            return default
        if len(found) > 1:
            files = " and ".join(sorted({path for path, _number in found}))
            raise Refused(f"{describe(placed.definition)} lies in {files}.", "Remove all but one of them.")
        path, number = elsewhere[0]
        if not self._same(elsewhere[0], placed.definition):
            if not (self._root.adopt or path in own):
                raise Refused(
                    f"{describe(placed.definition)} lies in {path} of the Git tree already, and differs.",
                    "Remove it there, or set ocm_airgap_git_adopt (git_adopt of the role gitops) to have it rewritten there.",
                )
            self._edit(path, replace_document(self._content(path), number, dump_yaml(placed.definition)))
        return path

    def _found(self, definition: Mapping[str, Any], default: str) -> List[Place]:
        """Where the object lies, and with adopt where a ComponentVersion of the same component does."""
        key = key_of(definition)
        index = self._root.index
        places = index.places.get(key, []) + index.places.get(key[:2] + ("",) + key[3:], [])
        places = [place for place in places if place[0] not in self._others]
        if not places and self._root.adopt and definition["kind"] == "ComponentVersion":
            # An object under its former name would go on asking the former repository.
            places = index.components.get((definition["spec"]["component"], key[2]), [])
            places = [place for place in places if place[0] not in self._others and place[0] != default]
        return places

    def _same(self, place: Place, definition: Mapping[str, Any]) -> bool:
        return split_documents(self._content(place[0]))[place[1]][1] == definition

    def _write_file(self, path: str, definition: Mapping[str, Any]) -> None:
        present = self._root.tree.read(path)
        if present is None or _parsed(present) != [definition]:
            self._edit(path, b"---\n" + dump_yaml(definition))

    def _write_manifest(self, name: str, rendered: Rendered) -> Dict[str, Any]:
        path = posixpath.join(rendered.delivery.manifests_folder, name)
        content = rendered.manifests[name]
        if self._root.tree.read(path) != content:
            self._edit(path, content)
        return {"file": path, "digest": digest_of(content)}

    def _remove_former(self, former: Mapping[str, Any], lock: Mapping[str, Any]) -> None:
        """What only this delivery wrote, and does not write any more. Shared objects stay."""
        kept = {(entry["file"], locked_key(entry)) for entry in lock["objects"]}
        gone: Dict[str, set] = {}
        for entry in former.get("objects") or []:
            if not entry.get("shared") and (entry["file"], locked_key(entry)) not in kept:
                gone.setdefault(entry["file"], set()).add(locked_key(entry))
        for path, keys in gone.items():
            if path in self._root.tree.files:
                self._edit(path, without_objects(self._content(path), keys))
        manifests = {entry["file"] for entry in lock["manifests"]}
        for path in sorted({entry["file"] for entry in former.get("manifests") or []} - manifests):
            if self._root.tree.read(path) is not None:
                self._edit(path, None)

    def _content(self, path: str) -> bytes:
        """The file with the edits so far."""
        planned = self._plan.edits.get(path)
        return planned if planned is not None else self._root.tree.files[path]

    def _edit(self, path: str, content: Optional[bytes]) -> None:
        self._plan.edits[path] = content

    def warn_of_lists(self, deliveries: Sequence[Rendered]) -> None:
        """A kustomization.yaml lists what Flux reads; what it does not list is not applied."""
        for name in KUSTOMIZATION_FILES:
            path = posixpath.join(self._root.path, name)
            content = self._root.tree.read(path)
            missing = [item.delivery.name for item in deliveries if content is not None and item.delivery.name.encode() not in content]
            if missing:
                self._plan.warnings.append(
                    f"{path} of the Git tree lists what Flux reads there, and does not name {', '.join(missing)}. Add the "
                    "files to its resources, or remove it so that Flux reads all."
                )


def key_of(definition: Mapping[str, Any]) -> Key:
    """Group, kind, namespace and name; the version of the API does not tell objects apart."""
    metadata = definition.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    return _group(definition["apiVersion"]), str(definition["kind"]), namespace, name


def locked_key(entry: Mapping[str, Any]) -> Key:
    return _group(entry["apiVersion"]), entry["kind"], entry["namespace"] or "", entry["name"]


def _group(api_version: Any) -> str:
    return str(api_version).rpartition("/")[0]


def split_documents(content: bytes) -> List[Tuple[str, Any]]:
    """(text behind the document's start, parsed document) of each part of a YAML file; None for what is none."""
    text = content.decode("utf-8-sig", "replace")
    return [(part, _one(part)) for part in _DOCUMENT_START.split(text)]


def _one(part: str) -> Any:
    try:
        found = documents(part.encode("utf-8"), "")
    except InvalidContent:
        return None
    return found[0] if len(found) == 1 else None


def replace_document(content: bytes, number: int, document: bytes) -> bytes:
    """The file with one of its documents replaced; the others stay byte for byte."""
    text = content.decode("utf-8-sig", "replace")
    starts = [match.end() for match in _DOCUMENT_START.finditer(text)]
    begin = starts[number - 1] if number else 0
    end = starts[number] - len("---") if number < len(starts) else len(text)
    opening = "\n" if number else ""
    return (text[:begin] + opening + document.decode("utf-8") + text[end:]).encode("utf-8")


def without_objects(content: bytes, keys: Collection[Key]) -> Optional[bytes]:
    """The file without some objects, None when nothing else is in it. Adopted files may hold others' objects."""
    parts = [text for text, document in split_documents(content) if not (is_object(document) and key_of(document) in keys)]
    rest = [text for text in parts if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())]
    return "".join("---" + ("" if text[:1] in "\n " else "\n") + _with_line_end(text) for text in rest).encode("utf-8") if rest else None


def _with_line_end(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _parsed(content: bytes) -> List[Any]:
    try:
        return documents(content, "")
    except InvalidContent:
        return []


def below(path: str, root: str) -> bool:
    return not root or path.startswith(f"{root}/")
