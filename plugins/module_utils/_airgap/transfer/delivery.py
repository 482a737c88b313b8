# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings blobs and manifests to a registry: a blob once from the source, mounted wherever else it is wanted; a manifest
as soon as everything that it names is there.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ..model.errors import MissingContent
from ..store.component_store import ComponentStore
from ..store.repository import OpenSource, blob_source, read_artifact
from .moves import ArtifactMove, BlobMove, Moves
from .outcome import COPIED, PRESENT, BlobCounts
from .pipeline import Pipeline
from .progress import Progress

# Mounts and manifests move no bytes: they go first, beside the blobs that do.
AT_ONCE = -(2**63)
# For smaller blobs the requests take longer than the bytes.
HEAVY_FROM = 256 * 1024


class Delivery:
    """Carries moves out at one target, in a pipeline that others use as well."""

    def __init__(
        self, moves: Moves, target: ComponentStore, counts: BlobCounts, pipeline: Pipeline, progress: Progress
    ) -> None:
        self._moves, self._target, self._counts, self._pipeline = moves, target, counts, pipeline
        self._progress = progress
        self._arrivals = _Arrivals(moves)

    def begin(self) -> None:
        """Add the first tasks; the others follow from them. Brings one small blob itself, to learn of the registry."""
        self._counts.add(PRESENT, self._moves.held)
        self._progress.blobs_there(self._moves.held)
        learnt = self._learn()
        for artifact in self._arrivals.ready():
            self._add_manifests(artifact)
        packed: Dict[int, List[BlobMove]] = {}
        for move in self._moves.blobs:
            if move.held_at:
                self._add_mounts(move, move.held_at, move.paths)
            elif move.is_packed:
                packed.setdefault(id(move.origin), []).append(move)
            elif move is not learnt:
                self._pipeline.add(self._first_task(move), -move.size, move.size >= HEAVY_FROM)
        for group in packed.values():
            self._pipeline.add(self._walk_task(group), -sum(move.size for move in group), heavy=True)

    def _learn(self) -> Optional[BlobMove]:
        """Find out with the smallest blob whether a mount of a repository from itself tells that a blob is there.

        Otherwise every thread asks with its first blob.
        """
        move = self._moves.probe
        if move is None:
            return None
        repository = self._target.artifacts(move.paths[0])
        outcome = repository.put_blob(move.digest, move.size, move.open_source, absent=True)
        if outcome == COPIED:
            repository.put_blob(move.digest, move.size, move.open_source)
        self._first_arrived(move, outcome)
        return move

    def _first_task(self, move: BlobMove) -> Callable[[], None]:
        mount_from = [move.origin.path] if move.same_host else []
        return lambda: self._bring_first(move, move.open_source, mount_from)

    def _bring_first(self, move: BlobMove, source: OpenSource, mount_from: Sequence[str]) -> None:
        repository = self._target.artifacts(move.paths[0])
        watched = self._progress.watched(source, self._key(move))
        outcome = repository.put_blob(move.digest, move.size, watched, mount_from, absent=move.absent)
        self._first_arrived(move, outcome)

    def _first_arrived(self, move: BlobMove, outcome: str) -> None:
        self._arrived(move, move.paths[0], outcome)
        self._add_mounts(move, move.paths[0], move.paths[1:])

    def _add_mounts(self, move: BlobMove, holder: str, paths: Sequence[str]) -> None:
        for path in paths:
            self._pipeline.add(self._mount_task(move, holder, path), AT_ONCE)

    def _mount_task(self, move: BlobMove, holder: str, path: str) -> Callable[[], None]:
        def mount() -> None:
            mount_from = [getattr(self._target.artifacts(holder), "path", holder)]
            repository = self._target.artifacts(path)
            self._arrived(move, path, repository.put_blob(move.digest, move.size, move.open_source, mount_from))

        return mount

    def _walk_task(self, moves: Sequence[BlobMove]) -> Callable[[], None]:
        """All wanted blobs of one artifact set in one pass over its stream."""

        def walk() -> None:
            wanted = {move.digest: move for move in moves}
            sizes = {move.digest: move.size for move in moves}
            for digest, source in moves[0].origin.sources(sizes):
                self._bring_first(wanted[digest], source, ())

        return walk

    def _arrived(self, move: BlobMove, path: str, outcome: str) -> None:
        self._counts.add(outcome)
        self._progress.blob_done(self._key(move), move.size if path == move.paths[0] and move.is_copied else 0)
        for artifact in self._arrivals.arrived(path, move.digest):
            self._add_manifests(artifact)

    def _key(self, move: BlobMove) -> Tuple[str, str]:
        return self._target.location, move.digest

    def _add_manifests(self, artifact: ArtifactMove) -> None:
        self._pipeline.add(lambda: self._put_manifests(artifact), AT_ONCE)

    def _put_manifests(self, artifact: ArtifactMove) -> None:
        try:
            self._put_tree(artifact, artifact.tree)
        except MissingContent:
            self._put_whole(artifact)
        place = self._target.reference.image(artifact.path, artifact.tags[0] if artifact.tags else "")
        self._progress.image_done(str(place), self._target.location)

    def _put_tree(self, artifact: ArtifactMove, tree: Any) -> None:
        """Children first, the main one last, under every tag wanted."""
        repository = self._target.artifacts(artifact.path)
        for manifest in tree.manifests[:-1]:
            repository.put_manifest(manifest)
        for tag in artifact.tags or ("",):
            repository.put_manifest(tree.main, tag)

    def _put_whole(self, artifact: ArtifactMove) -> None:
        """Something was believed to be there that is not: ask for every blob, and bring all manifests."""
        origin = artifact.facts.content.repository
        tree = read_artifact(origin, artifact.facts.digest)
        repository = self._target.artifacts(artifact.path)
        for blob in tree.blobs:
            repository.put_blob(blob.digest, blob.size, blob_source(origin, blob.digest, blob.size))
        self._put_tree(artifact, tree)


class _Arrivals:
    """Which artifacts have all their blobs at their path."""

    def __init__(self, moves: Moves) -> None:
        self._lock = threading.Lock()
        self._waiting: Dict[Tuple[str, str], List[int]] = {}
        self._missing: List[Set[str]] = []
        self._artifacts = moves.artifacts
        coming = {(path, move.digest) for move in moves.blobs for path in move.paths}
        for number, artifact in enumerate(self._artifacts):
            missing = {blob.digest for blob in artifact.tree.blobs if (artifact.path, blob.digest) in coming}
            self._missing.append(missing)
            for digest in missing:
                self._waiting.setdefault((artifact.path, digest), []).append(number)
        self._ready = [artifact for artifact, missing in zip(self._artifacts, self._missing) if not missing]

    def ready(self) -> List[ArtifactMove]:
        """Those that waited for nothing from the beginning."""
        return self._ready

    def arrived(self, path: str, digest: str) -> List[ArtifactMove]:
        """Those for which this blob at this path was the last one."""
        found = []
        with self._lock:
            for number in self._waiting.pop((path, digest), ()):
                self._missing[number].discard(digest)
                if not self._missing[number]:
                    found.append(self._artifacts[number])
        return found
