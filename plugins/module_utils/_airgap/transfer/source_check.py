# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the archive that a transfer reads, before anything is written: all that is needed is there, and whole.

Every fault is told, in one error, with what needs the content. What does not have to move is not looked at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable, Dict, FrozenSet, Iterator, List, Optional, Tuple

from ..model.digest import check_digest
from ..model.errors import InvalidContent, NotFound, OcmError
from ..model.version import version_of
from ..sources.content import ContentFinder
from ..store.artifact_set import ArtifactSet
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, BlobContent, StoredVersion
from ..store.repository import ArtifactRepository, ArtifactTree, OpenSource, blob_source
from .once import Once
from .plan import ElementPlan, Plan

_HINT = "Nothing was written. Copy the archive again from where it was written."


@dataclass
class _Blob:
    """Content that has to be whole. size: -1 when it is not told. tree: of an artifact set, what it has to hold."""

    name: str
    size: int
    size_there: Callable[[], Optional[int]]
    open: OpenSource
    packed: Optional[ArtifactSet] = None
    tree: Optional[ArtifactTree] = None
    needed_by: List[str] = field(default_factory=list)


class _Needs:
    """What is needed of an archive, by the name of each blob, and the faults that were found on the way there."""

    def __init__(self) -> None:
        self.blobs: Dict[str, _Blob] = {}
        self.faults: Dict[str, List[str]] = {}

    def add_fault(self, fault: str, label: str) -> None:
        owners = self.faults.setdefault(fault, [])
        if label not in owners:
            owners.append(label)

    def add_blob(self, blob: _Blob, label: str) -> None:
        owners = self.blobs.setdefault(blob.name, blob).needed_by
        if label not in owners:
            owners.append(label)


class SourceCheck:
    """Checks of one source. Each blob is read once, however many targets need it. Safe for several threads.

    left_out: digests of what the archive need not have.
    """

    def __init__(self, source: ComponentStore, concurrency: int, left_out: FrozenSet[str] = frozenset()) -> None:
        self._source, self._concurrency, self._left_out = source, concurrency, left_out
        self._finder = ContentFinder(source, None)
        self._looked_at = Once()

    def check(self, plan: Plan, read: bool = True) -> None:
        """Check what the plan moves out of the archive; nothing at a registry. read: compare digests, not sizes alone.

        Raises InvalidContent with every fault.
        """
        if not self._source.is_archive:
            return
        needs = _Needs()
        for version in plan.versions:
            for element in version.elements:
                if element.moves and element.facts.access.is_own:
                    self._add_element(needs, version.facts.source, element)
        faults = self._faults(needs, read)
        if faults:
            raise InvalidContent(self._text(faults), _HINT)

    def explained(self, error: OcmError) -> OcmError:
        """An error in its place: with every fault of the archive, if it has any that explain why it cannot be read."""
        if not self._source.is_archive or not isinstance(error, (InvalidContent, NotFound)):
            return error
        needs = _Needs()
        for component, version in self._versions():
            self._add_version(needs, component, version)
        if isinstance(error, NotFound) and not self._faults(needs, read=False):
            return error  # nothing is lost: what is asked for was never there
        faults = self._faults(needs, read=True)
        return InvalidContent(f"{error.message}\n{self._text(faults)}", _HINT) if faults else error

    def _versions(self) -> Iterator[Tuple[str, str]]:
        for component in self._source.components():
            for version in map(version_of, self._source.tags(component)):
                if version:
                    yield component, version

    def _add_version(self, needs: _Needs, component: str, version: str) -> None:
        try:
            stored = self._source.read(component, version)
        except OcmError as error:
            needs.add_fault(error.message, f"{component}:{version}")
            return
        for kind, element in stored.descriptor.contents():
            if stored.descriptor.access_of(element).is_own:
                self._find(needs, stored, (kind, element, stored.descriptor.label_of(kind, element)), None)

    def _add_element(self, needs: _Needs, version: StoredVersion, plan: ElementPlan) -> None:
        facts = plan.facts
        self._find(needs, version, (facts.kind, facts.element, facts.label), facts.tree)

    def _find(self, needs: _Needs, version: StoredVersion, what: Tuple, tree: Optional[ArtifactTree]) -> None:
        kind, element, label = what
        try:
            content = self._finder.find(version, kind, element)
        except OcmError as error:
            needs.add_fault(error.message, label)
            return
        if isinstance(content, BlobContent):
            self._add_blob(needs, content, label)
        elif isinstance(content.repository, ArtifactSet):
            self._add_set(needs, content, label, tree)
        else:
            self._add_artifact(needs, content, label)

    def _add_blob(self, needs: _Needs, content: BlobContent, label: str) -> None:
        needs.add_blob(_Blob(content.digest or label, content.size, _size_there(content), content.open), label)

    def _add_set(self, needs: _Needs, content: ArtifactContent, label: str, tree: Optional[ArtifactTree]) -> None:
        packed = content.packed
        if packed is None:
            return
        name = packed.digest or label
        needs.add_blob(_Blob(name, packed.size, _size_there(packed), packed.open, content.repository, tree), label)

    def _add_artifact(self, needs: _Needs, content: ArtifactContent, label: str) -> None:
        """The manifests are read here, all of them, whatever is wrong with some."""
        repository, todo, seen = content.repository, [content.reference], set()
        while todo:
            reference = todo.pop()
            if reference in seen or reference in self._left_out:
                continue
            seen.add(reference)
            try:
                manifest = repository.get_manifest(reference)
                children, blobs = manifest.children, manifest.blobs
            except OcmError as error:
                needs.add_fault(error.message, label)
                continue
            todo += [child.digest for child in children]
            for blob in blobs:
                if not (blob.is_foreign and repository.blob_size(blob.digest) is None):
                    needs.add_blob(_blob_of(repository, blob.digest, blob.size), label)

    def _faults(self, needs: _Needs, read: bool) -> Dict[str, List[str]]:
        """Every fault, with what it is a fault of."""
        wanted = [blob for blob in needs.blobs.values() if blob.name not in self._left_out]
        with ThreadPoolExecutor(self._concurrency) as pool:
            found = list(pool.map(lambda blob: self._fault(blob, read), wanted))
        faults = {fault: list(owners) for fault, owners in needs.faults.items()}
        for blob, fault in zip(wanted, found):
            if fault:
                faults.setdefault(fault, []).extend(blob.needed_by)
        return faults

    def _fault(self, blob: _Blob, read: bool) -> str:
        return self._looked_at.get((blob.name, read), lambda: _fault_of(blob, read))

    def _text(self, faults: Dict[str, List[str]]) -> str:
        lines = [f"- {fault} Needed by {', '.join(owners)}." for fault, owners in sorted(faults.items())]
        return f"{self._source.location} is damaged, {len(faults)} faults:\n" + "\n".join(lines)


def _size_there(content: BlobContent) -> Callable[[], Optional[int]]:
    repository = content.repository
    return (lambda: repository.blob_size(content.digest)) if repository else (lambda: content.size)


def _blob_of(repository: ArtifactRepository, digest: str, size: int) -> _Blob:
    return _Blob(check_digest(digest, repository.name), size, lambda: repository.blob_size(digest), blob_source(repository, digest, size))


def _fault_of(blob: _Blob, read: bool) -> str:
    size = blob.size_there()
    if size is None:
        return f"{blob.name} is missing."
    if 0 <= blob.size != size:
        return f"{blob.name} has {size} bytes instead of {blob.size}."
    try:
        return _read(blob) if read else ""
    except OcmError as error:
        return error.message


def _read(blob: _Blob) -> str:
    """Read content to its end: what does not fit its digest raises DigestMismatch there."""
    if blob.packed is None or blob.tree is None:
        with blob.open() as blocks:
            for _block in blocks:
                pass
        return ""
    missing = {part.digest: part.size for part in blob.tree.blobs}
    for digest, size, blocks in blob.packed.walk():
        for _block in blocks:
            pass
        if missing.get(digest) == size:
            del missing[digest]
    return f"{blob.name}, an artifact set, lacks {', '.join(sorted(missing))}." if missing else ""
