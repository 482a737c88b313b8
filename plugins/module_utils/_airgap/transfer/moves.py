# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan moves to a registry, as pure values: each distinct blob once, with every repository that wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import AbstractSet, Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..model.reference import component_path
from ..store.artifact_set import ArtifactSet
from ..store.component_version import ArtifactContent, BlobContent
from ..store.repository import ArtifactTree, OpenSource, blob_source
from .plan import ElementFacts, ElementPlan, Plan, VersionPlan

# Path of a repository below the target's prefix -> digests of what is known to be in it.
Held = Mapping[str, AbstractSet[str]]


@dataclass
class BlobMove:
    """One blob that has to be in some repositories of the target; `paths` are theirs, below the target's prefix.

    origin: the repository that it comes from, if it comes from one. held_at: a path of the target that holds it, "" for
    none. absent: the first path is known well enough to believe that it is not there. same_host: it comes from the
    registry that it goes to.
    """

    digest: str
    size: int
    open_source: OpenSource = field(repr=False)
    origin: Any = field(repr=False)
    paths: List[str]
    held_at: str = ""
    absent: bool = False
    same_host: bool = False

    @property
    def is_copied(self) -> bool:
        """Its bytes have to pass, as far as the registry mounts what it can."""
        return not self.held_at and not self.same_host

    @property
    def host(self) -> str:
        """The registry that it is read from, "" when it comes from elsewhere."""
        return str(getattr(self.origin, "host", "") or "")

    @property
    def is_packed(self) -> bool:
        """It is one of several in a stream that is better read once."""
        return isinstance(self.origin, ArtifactSet)


@dataclass(frozen=True)
class ArtifactMove:
    """The manifests of one artifact at one path, to be put under `tags`, without any under its digest."""

    path: str
    facts: ElementFacts
    tags: Tuple[str, ...]

    @property
    def tree(self) -> ArtifactTree:
        if self.facts.tree is None:
            raise ValueError(f"{self.facts.label} moves, but its manifests were not read.")
        return self.facts.tree

    @property
    def requests(self) -> int:
        """How many manifests are put."""
        return len(self.tree.manifests) - 1 + max(1, len(self.tags))


@dataclass(frozen=True)
class Moves:
    """Everything that a plan moves and whose digest is known. held: blobs that nobody has to bring."""

    blobs: Tuple[BlobMove, ...] = ()
    artifacts: Tuple[ArtifactMove, ...] = ()
    held: int = 0

    @property
    def probe(self) -> Optional[BlobMove]:
        """The blob that goes first, to find out how the registry tells that it has one; None when too few follow."""
        found = [move for move in self.blobs if move.is_copied and not move.absent and not move.is_packed]
        return min(found, key=lambda move: move.size) if len(found) > 1 else None


def registry_moves(plan: Plan) -> Moves:
    """The moves of a plan whose target is a registry."""
    collected = _Collected(plan.target.held, plan.target.reference.host)
    artifacts: Dict[Tuple[str, str], List[ElementPlan]] = {}
    for version, element in moving(plan):
        facts = element.facts
        if isinstance(facts.content, ArtifactContent):
            artifacts.setdefault((facts.place.path, facts.digest), []).append(element)
        elif has_known_size(facts.content):
            content = facts.content
            collected.want(component_path(version.name), content.digest, content.size, content.open, content.repository)
    for (path, _digest), group in artifacts.items():
        repository = group[0].facts.content.repository
        for blob in group[0].facts.tree.blobs:
            collected.want(path, blob.digest, blob.size, blob_source(repository, blob.digest, blob.size), repository)
    return Moves(tuple(collected.moves()), tuple(_artifact_move(group) for group in artifacts.values()), collected.held)


def moving(plan: Plan) -> List[Tuple[VersionPlan, ElementPlan]]:
    """What moves, with its component version."""
    return [(version, element) for version in plan.versions for element in version.elements if element.moves]


def has_known_size(content: Any) -> bool:
    """True for a blob that can be asked for and sent as it is; others are read first."""
    return isinstance(content, BlobContent) and bool(content.digest) and content.size >= 0


def unknown_bytes(facts: Iterable[ElementFacts], held: Held) -> int:
    """Bytes of images about whose repositories nothing is known, each blob once."""
    sizes = {
        blob.digest: blob.size
        for one in facts
        if one.tree is not None and one.place is not None and one.place.path not in held
        for blob in one.tree.blobs
    }
    return sum(sizes.values())


class _Collected:
    """Blobs by digest. held: how many of those wanted are at their path already."""

    def __init__(self, held: Held, host: str) -> None:
        self._known, self._host = held, host
        self._moves: Dict[str, BlobMove] = {}
        self._held: Dict[Tuple[str, str], None] = {}
        self._holders: Dict[str, str] = {}
        for path in sorted(held):
            for digest in held[path]:
                self._holders.setdefault(digest, path)

    @property
    def held(self) -> int:
        return len(self._held)

    def want(self, path: str, digest: str, size: int, open_source: OpenSource, origin: Any) -> None:
        if digest in self._known.get(path, ()):
            self._held[path, digest] = None
            return
        move = self._moves.get(digest)
        if move is None:
            holder = self._holders.get(digest, "")
            absent = not holder and path in self._known
            move = self._moves[digest] = BlobMove(digest, size, open_source, origin, [path], holder, absent)
            move.same_host = bool(move.host) and move.host == self._host
        elif path not in move.paths:
            move.paths.append(path)

    def moves(self) -> List[BlobMove]:
        return list(self._moves.values())


def _artifact_move(group: Sequence[ElementPlan]) -> ArtifactMove:
    places = [element.facts.place for element in group]
    tags = sorted({place.tag for place in places if place is not None and place.tag})
    return ArtifactMove(group[0].facts.place.path, group[0].facts, tuple(tags))
