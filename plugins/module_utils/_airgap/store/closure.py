# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component versions that a transfer or a recursive reading is about: roots and all that they refer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ..model.errors import InvalidContent, InvalidInput, NotFound
from ..model.identity import select
from ..model.version import Constraint, Version
from .component_store import ComponentStore
from .component_version import StoredVersion

Key = Tuple[str, str]


@dataclass(frozen=True)
class Selection:
    """Which component versions: component "" means all of an archive, neither version nor constraint all versions."""

    component: str = ""
    version: str = ""
    constraint: str = ""


def resolve_versions(
    store: ComponentStore, component: str, version: str = "", constraint: str = ""
) -> List[Key]:
    """The versions that exact version, range, or neither (all) select; newest first.

    component "": every component of an archive. Raises NotFound naming what there is, InvalidInput for both
    a version and a constraint.
    """
    if version and constraint:
        raise InvalidInput("version and constraint are both given.", "Give one of them.")
    if not component:
        if version:
            raise InvalidInput("A version is given, but no component.", "Name the component as well.")
        return [key for name in store.components() for key in resolve_versions(store, name, "", constraint)]
    if version:
        return [(component, version)]
    wanted = Constraint.parse(constraint) if constraint else None
    versions = store.versions(component)
    found = [text for text in versions if wanted is None or wanted.allows(Version.parse(text))]
    if not found:
        raise NotFound(
            f"{store.location}: no version of {component} satisfies {constraint!r}.",
            f"There are: {', '.join(versions[:10])}. Prereleases match only a constraint that names one.",
        )
    return [(component, text) for text in found]


class Closure:
    """Component versions by following references, each read once."""

    def __init__(self, store: ComponentStore, recursive: bool) -> None:
        self._store, self._recursive = store, recursive
        self._read: Dict[Key, StoredVersion] = {}

    def children_first(self, roots: Sequence[Key]) -> List[StoredVersion]:
        """Everything reachable, each once, references before what refers to them.

        Raises InvalidContent that names a cycle, NotFound that names the path to a missing reference.
        """
        ordered: Dict[Key, StoredVersion] = {}
        for root in roots:
            self._visit(root, ordered)
        return list(ordered.values())

    def read(self, key: Key, path: Sequence[Key] = ()) -> StoredVersion:
        """One version. path: the references that led to it, for the error message."""
        if key not in self._read:
            try:
                self._read[key] = self._store.read(*key)
            except NotFound as error:
                if not path:
                    raise
                raise NotFound(f"{_path_text(path)} refers to {_text(key)}, which is not there. {error.message}", error.hint) from None
        return self._read[key]

    def _visit(self, root: Key, ordered: Dict[Key, StoredVersion]) -> None:
        """Depth first without recursion: chains of references may be longer than Python's stack."""
        open_nodes: List[Tuple[Key, List[Key]]] = [(root, self._references(root, ()))]
        while open_nodes:
            key, pending = open_nodes[-1]
            path = [node for node, _pending in open_nodes]
            if not pending:
                open_nodes.pop()
                ordered.setdefault(key, self._read[key])
                continue
            child = pending.pop(0)
            if child in path:
                cycle = path[path.index(child):] + [child]
                raise InvalidContent(f"{self._store.location}: the references form a cycle: {_path_text(cycle)}.")
            if child not in ordered:
                open_nodes.append((child, self._references(child, path)))

    def _references(self, key: Key, path: Sequence[Key]) -> List[Key]:
        version = self.read(key, path)
        return references_of(version) if self._recursive else []


def references_of(version: StoredVersion) -> List[Key]:
    """(component, version) of each reference, in order."""
    return [(element["componentName"], element["version"]) for element in version.descriptor.references]


def roots_first(versions: Sequence[StoredVersion], roots: Sequence[Key]) -> List[StoredVersion]:
    """The versions with the roots in front, in their order."""
    by_key = {(item.descriptor.name, item.descriptor.version): item for item in versions}
    front = [by_key[key] for key in roots if key in by_key]
    return front + [item for item in reversed(versions) if item not in front]


def follow(
    store: ComponentStore, root: StoredVersion, path: Sequence[Dict[str, str]], closure: Optional[Closure] = None
) -> StoredVersion:
    """Walk a reference path from the root. Raises NotFound with the nearest names."""
    closure = closure or Closure(store, True)
    current = root
    for step in path:
        descriptor = current.descriptor
        element = select(descriptor.references, step, str(descriptor), "reference")
        current = closure.read((element["componentName"], element["version"]), [(descriptor.name, descriptor.version)])
    return current


def _text(key: Key) -> str:
    return f"{key[0]}:{key[1]}"


def _path_text(path: Sequence[Key]) -> str:
    return " -> ".join(map(_text, path))
