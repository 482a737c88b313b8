# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to go from a Git tree so that it does not hold a delivery any more. Pure: files in, edits out.

The lock says what a delivery has written; nothing else goes.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidInput, Refused
from .lock import LOCK_NAME, read_lock
from .settings import LABEL, check_name, delivery_name, tree_path
from .tree import KUSTOMIZATION_FILES, Index, Key, Tree, TreePlan, below, locked_key, without_objects

# A folder without files is none in Git, and Flux removes nothing where the folder that it reads is missing.
KEEPER = ".gitkeep"
_KEPT = b"Flux reads this folder. If it were not there, Flux would remove nothing that it has applied from it.\n"
_FLUX_KINDS = ("Kustomization", "HelmRelease", "OCIRepository")

Lock = Mapping[str, Any]


@dataclass(frozen=True)
class Removal:
    """A delivery that goes. git_path: the folder below the root of the tree that its cluster reads, "" for the root."""

    name: str
    git_path: str = "components"

    @property
    def folder(self) -> str:
        return posixpath.join(self.git_path, self.name)

    @property
    def lock_path(self) -> str:
        return posixpath.join(self.folder, LOCK_NAME)


@dataclass
class RemovalPlan(TreePlan):
    """locks: those that go, by folder. others: those that stay."""

    others: Dict[str, Dict[str, Any]] = field(default_factory=dict)


def read_removal(options: Mapping[str, Any]) -> Removal:
    """Read and check one entry of the option components: name, or component, and git_path. Raises InvalidInput."""
    component = str(options.get("component") or "")
    name = delivery_name(str(options.get("name") or component.rpartition("/")[2]))
    if not name:
        raise InvalidInput("A delivery that goes has neither a name nor a component.", "Give one of them.")
    check_name(name, f"Component {component or name}: name", LABEL, 54)
    return Removal(name, tree_path(options.get("git_path") or "components", f"Component {component or name}: git_path"))


def plan_removal(tree: Tree, removals: Sequence[Removal]) -> RemovalPlan:
    """What has to go so that the tree holds the deliveries no more. Without a lock there is nothing to do.

    Raises Refused for an object that somebody has moved to another file: it would go on being applied.
    """
    index = Index(tree)
    going = {removal.lock_path for removal in removals}
    others = {path: lock for path, lock in index.locks.items() if path not in going}
    plan = RemovalPlan(others={posixpath.dirname(path): lock for path, lock in others.items()})
    work = _Work(tree, index, plan, others)
    for removal in removals:
        lock = index.locks.get(removal.lock_path)
        if lock is not None and removal.folder not in plan.locks:
            work.remove(removal, lock)
    for root in sorted({removal.git_path for removal in removals if removal.folder in plan.locks}):
        work.keep_folder(root)
    return plan


class _Work:
    """Plans removals in one tree."""

    def __init__(self, tree: Tree, index: Index, plan: RemovalPlan, others: Mapping[str, Lock]) -> None:
        self._tree, self._index, self._plan, self._others = tree, index, plan, others
        self._used = {_place(entry) for lock in others.values() for entry in _objects(lock)}
        self._files = {entry["file"] for lock in others.values() for entry in lock.get("manifests") or []}

    def remove(self, removal: Removal, lock: Dict[str, Any]) -> None:
        self._plan.locks[removal.folder] = lock
        gone = [entry for entry in _objects(lock) if not self._stays(entry, removal.git_path)]
        for entry in gone:
            self._refuse_moved(entry, removal.git_path)
        by_file: Dict[str, List[Key]] = {}
        for entry in gone:
            by_file.setdefault(entry["file"], []).append(locked_key(entry))
        for path, keys in by_file.items():
            content = self._content(path)
            if content is not None:
                self._plan.edits[path] = without_objects(content, keys)
        for entry in lock.get("manifests") or []:
            if entry["file"] not in self._files and self._tree.read(entry["file"]) is not None:
                self._plan.edits[entry["file"]] = None
        self._plan.edits[removal.lock_path] = None
        self._strike_from_lists(removal)

    def _stays(self, entry: Mapping[str, Any], root: str) -> bool:
        """Whether a delivery that stays needs the object: its lock names it in this file, or shares it in this root."""
        if _place(entry) in self._used:
            return True
        locks = [lock for path, lock in self._others.items() if _root_of(path) == root] if entry.get("shared") else []
        return any(locked_key(entry) == locked_key(item) for lock in locks for item in _objects(lock))

    def _refuse_moved(self, entry: Mapping[str, Any], root: str) -> None:
        places = self._index.places.get(locked_key(entry), [])
        elsewhere = [path for path, _number in places if path != entry["file"] and below(path, root)]
        elsewhere = [path for path in elsewhere if (path, locked_key(entry)) not in self._used]
        if elsewhere:
            what = f"{entry['kind']} {entry['name']}"
            raise Refused(
                f"{what} lies in {elsewhere[0]} of the Git tree, but was written to {entry['file']}.",
                "Move it back, or remove it there: Flux would go on applying it.",
            )

    def _content(self, path: str) -> Optional[bytes]:
        """The file with the edits so far; None when it is not there."""
        return self._plan.edits[path] if path in self._plan.edits else self._tree.files.get(path)

    def _strike_from_lists(self, removal: Removal) -> None:
        """A kustomization.yaml that lists a file which is gone stops Flux for everything in it."""
        for name in KUSTOMIZATION_FILES:
            path = posixpath.join(removal.git_path, name)
            content = self._plan.edits.get(path) or self._tree.read(path)
            gone = [file for file, edit in self._plan.edits.items() if edit is None and below(file, removal.git_path)]
            if content is None:
                continue
            listed = [posixpath.relpath(file, removal.git_path or ".") for file in gone] + [removal.name]
            struck = _without_lines(content, listed)
            if struck != content:
                self._plan.edits[path] = struck
                self._plan.warnings.append(f"{path} of the Git tree listed what has gone; those lines went, too.")

    def keep_folder(self, root: str) -> None:
        """Something has to stay in the folder that Flux reads."""
        keeper = posixpath.join(root, KEEPER)
        left = [path for path in self._tree.files if below(path, root) and self._plan.edits.get(path, b"") is not None]
        if root and not left and self._tree.read(keeper) is None:
            self._plan.edits[keeper] = _KEPT


def _without_lines(content: bytes, listed: Iterable[str]) -> bytes:
    """A file without the list items that are one of these paths."""
    names = "|".join(re.escape(path) for path in sorted(listed))
    pattern = re.compile(rf"(?m)^[ ]*-[ ]+[\"']?(?:\./)?(?:{names})/?[\"']?[ ]*(?:#.*)?(?:\n|\Z)")
    return pattern.sub("", content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _objects(lock: Lock) -> List[Dict[str, Any]]:
    return list(lock.get("objects") or [])


def _place(entry: Mapping[str, Any]) -> Tuple[str, Key]:
    return entry["file"], locked_key(entry)


def _root_of(lock_path: str) -> str:
    return posixpath.dirname(posixpath.dirname(lock_path))


def former_lock(content: str, path: str) -> Dict[str, Any]:
    """A lock that the history of the branch still has. Raises InvalidContent."""
    return read_lock(content.encode("utf-8"), path)


def pull_secret_namespaces(lock: Lock) -> List[str]:
    """The namespaces that have the delivery's pull secret."""
    if lock.get("delivery") == "controller":
        found = [lock["namespace"]]
    else:
        found = [entry["namespace"] for entry in _objects(lock) if entry["kind"] in _FLUX_KINDS]
    return sorted({name for name in found + [lock["targetNamespace"]] if name})


def service_accounts_of(lock: Lock) -> List[str]:
    """namespace/name of the ServiceAccounts in Git that the delivery needs."""
    accounts = [entry for entry in _objects(lock) if entry["kind"] == "ServiceAccount"]
    return sorted({f"{entry['namespace']}/{entry['name']}" for entry in accounts})


def sharing_of(lock: Lock, others: Mapping[str, Lock]) -> Dict[str, Any]:
    """The folders of other deliveries of the tree that use the same.

    Returns {pull_secrets: {namespace: folders}, target_namespace: folders,
    service_accounts: {namespace/name: folders}}.
    """
    secret = lock.get("pullSecret")
    same = {folder: other for folder, other in others.items() if other.get("pullSecret") == secret}
    return {
        "pull_secrets": {name: _with(same, name, pull_secret_namespaces) for name in pull_secret_namespaces(lock)},
        "target_namespace": _with(others, lock["targetNamespace"], _namespaces_of),
        "service_accounts": {name: _with(others, name, service_accounts_of) for name in service_accounts_of(lock)},
    }


def _namespaces_of(lock: Lock) -> List[str]:
    entries = _objects(lock) + list(lock.get("delivered") or [])
    named = [entry["namespace"] for entry in entries if entry.get("namespace")]
    return [lock["namespace"], lock["targetNamespace"]] + named


def _with(others: Mapping[str, Lock], name: str, names_of: Any) -> List[str]:
    return sorted(folder for folder, lock in others.items() if name in names_of(lock))
