# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at source and target and says what is there. Only reads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar

from ..model.access import BY_VALUE_TYPES, Access
from ..model.comparison import compare
from ..model.content_source import read_whole
from ..model.digest import is_digest
from ..model.errors import DigestMismatch, InvalidContent, NotFound, Refused
from ..model.identity import Element
from ..model.reference import component_path
from ..sources.content import ContentFinder, stated_digest
from ..store.artifact_set import ArtifactSet, is_artifact_set
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, BlobContent, StoredVersion
from ..store.repository import ArtifactRepository, ArtifactTree, blob_source, read_artifact, read_below
from ..model.placement import Place, artifact_name, hint_of, place_of, wanted_digest
from .holdings import HeldImage, Holdings, own_artifact
from .moves import unknown_bytes
from .options import BLOBS, MANIFESTS, SETS, TransferOptions
from .pipeline import LIGHT
from .plan import ElementFacts, TargetFacts, VersionFacts, layout_of, single_resources_refused, tag_conflicts

# From so many bytes on it is worth some requests to look for them in images that are there.
MUCH_TO_MOVE = 16 * 1024 * 1024
Item = TypeVar("Item")
Found = TypeVar("Found")


class Survey:
    """One look at a source and a target for a list of component versions."""

    def __init__(
        self, source: ComponentStore, target: ComponentStore, finder: ContentFinder, options: TransferOptions
    ) -> None:
        self._source, self._target, self._finder, self._options = source, target, finder, options
        self._trees: Dict[Tuple[str, str, str], ArtifactTree] = {}
        self._holdings = Holdings(target, options.check == MANIFESTS)

    def look(self, versions: Sequence[StoredVersion]) -> Tuple[List[VersionFacts], TargetFacts]:
        """The facts of every version, in the order given, and of the target.

        Raises Refused for content that cannot be moved by value, and whatever reading raises.
        """
        self._refuse_immovable(versions)
        target = TargetFacts(self._target.reference, self._target.location, self._target.repository_context())
        begun = self._map(self._begin, versions)
        self._refuse_single_resources(begun)
        jobs = [(version, element) for version in begun for element in version.elements]
        seen = self._map(lambda job: self._look_at(*job), jobs)
        elements = iter(seen)
        facts = [replace(version, elements=tuple(next(elements) for _element in version.elements)) for version in begun]
        self._look_for_held(facts)
        return facts, replace(target, claims=self._claims(facts, target), held=self._holdings.all())

    def _map(self, function: Callable[[Item], Found], items: Iterable[Item]) -> List[Found]:
        with ThreadPoolExecutor(LIGHT * self._options.concurrency) as pool:
            return list(pool.map(function, items))

    def _looked_at(self, version: StoredVersion) -> List[Tuple[str, Element]]:
        """What is not believed to be at the target."""
        if not self._options.resources:
            return version.descriptor.contents()
        return [("resource", element) for element in self._options.named(version.descriptor.resources)]

    def _refuse_immovable(self, versions: Sequence[StoredVersion]) -> None:
        """Everything that cannot be moved by value, told at once and before anything is read."""
        against: List[str] = []
        types: Set[str] = set()
        for version in versions:
            for kind, element in self._looked_at(version):
                access = version.descriptor.access_of(element)
                if self._options.by_value(kind, access) and not _is_movable(access):
                    against.append(f"{version.descriptor.label_of(kind, element)} has the access type {access.type}")
                    types.add(access.type)
        if against:
            raise Refused(
                f"{self._source.location}: content that cannot be moved by value: {'; '.join(against)}.",
                f"Nothing was written. by_reference_access_types: [{', '.join(sorted(types))}] leaves it where it is.",
            )

    def _refuse_single_resources(self, facts: Sequence[VersionFacts]) -> None:
        against = single_resources_refused(facts, self._target.location) if self._options.resources else []
        if against:
            raise Refused("\n".join(against), "Nothing was written. It needs the whole transfer: leave out resources.")

    def _begin(self, version: StoredVersion) -> VersionFacts:
        descriptor = version.descriptor
        existing = self._target.find(descriptor.name, descriptor.version)
        comparison = compare(descriptor, existing.descriptor) if existing else None
        keeps = existing is not None and comparison is not None and not comparison.signed
        written = comparison is not None and comparison.volatile and not self._options.resources
        if existing is not None and written and _is_index_layout(existing) and not self._target.is_archive:
            keeps = False  # what is written to a registry has another layout, so its local blobs have to move again
        elements = []
        looked_at = self._looked_at(version) if self._options.resources else None
        for kind, element in descriptor.contents():
            access = descriptor.access_of(element)
            identity = descriptor.identity_of(kind, element)
            facts = ElementFacts(
                kind, element, descriptor.label_of(kind, element), identity, access, hint_of(access, self._source.reference)
            )
            kept = _access_at(existing, kind, identity) if existing is not None and keeps else None
            if kept is not None and self._options.adopt_accesses and not self._says_the_same(kept, facts, existing):
                kept = None
            believed = looked_at is not None and (kind, element) not in looked_at
            elements.append(replace(facts, kept=kept, believed=believed))
        moves = any(self._options.by_value(facts.kind, facts.access) and not facts.believed for facts in elements)
        base = self._holdings.base_of(descriptor, existing) if moves else None
        return VersionFacts(version, existing, comparison, tuple(elements), base)

    def _says_the_same(self, kept: Mapping[str, Any], facts: ElementFacts, existing: StoredVersion) -> bool:
        """True if the access at the target has the media type and the name that the source gives the content.

        A resource's content is compared by its digest already; sources have none.
        """
        if not self._options.by_value(facts.kind, facts.access):
            return True  # the plan compares accesses of content that stays where it is
        there = Access.from_mapping(kept, facts.label)
        if there.is_local:
            same_type = _uncompressed(there.get("mediaType")) == _uncompressed(facts.access.get("mediaType"))
            if not same_type or there.hint != facts.hint:
                return False
            return facts.kind == "resource" or _local_digest(there, facts, existing) == facts.access.get("localReference")
        place, digest = own_artifact(self._target.reference, there, facts.element)
        name, fallback = artifact_name(facts.access), component_path(existing.descriptor.name)
        if place is None or place != place_of(facts.hint, name, self._options.path_mapping, fallback, facts.label):
            return False
        return facts.kind == "resource" or digest in ("", facts.access.get("localReference"))

    def _look_at(self, version: VersionFacts, facts: ElementFacts) -> ElementFacts:
        if not self._options.by_value(facts.kind, facts.access):
            return facts
        if facts.believed and facts.kept is not None:
            return replace(facts, by_value=True, digest=self._told_digest(facts, facts.kept))
        facts = self._check_kept(version, replace(facts, by_value=True))
        if facts.present:
            return facts
        content = self._finder.find(version.source, facts.kind, facts.element)
        facts = replace(facts, content=content)
        if isinstance(content, ArtifactContent):
            return self._look_at_artifact(version, facts, content)
        return _look_at_blob(facts, content)

    def _told_digest(self, facts: ElementFacts, kept: Mapping[str, Any]) -> str:
        """The digest of content that is believed, as far as descriptors tell it."""
        access = Access.from_mapping(kept, facts.label)
        stated = stated_digest(facts.element)
        if access.is_local and not stated and not is_artifact_set(str(access.get("mediaType"))):
            return str(access.get("localReference") or "")
        return stated or own_artifact(self._target.reference, access, facts.element)[1]

    def _check_kept(self, version: VersionFacts, facts: ElementFacts) -> ElementFacts:
        """Is what the version at the target refers to its own, and is it there?"""
        if facts.kept is None or version.target is None:
            return facts
        access = Access.from_mapping(facts.kept, facts.label)
        if access.is_local:
            return self._check_kept_blob(version.target, facts, access)
        place, digest = own_artifact(self._target.reference, access, facts.element)
        if place is None:
            return replace(facts, kept=None)
        repository = self._target.artifacts(place.path)
        if not digest and place.tag:  # a source has no digest: without one in the reference its tag decides
            by_tag = repository.head_manifest(place.tag)
            digest = by_tag.digest if by_tag else ""
        present, tag_there = self._artifact_there(repository, place.tag, digest)
        return replace(facts, place=place, digest=digest, present=present, tag_there=tag_there)

    def _check_kept_blob(self, existing: StoredVersion, facts: ElementFacts, access: Access) -> ElementFacts:
        if access.get("mediaType") and _should_be_artifact(access):
            nested = existing.local_manifest(access, facts.label)
            if nested is not None and existing.repository is not None:
                present, _tag = self._artifact_there(existing.repository, "", nested)
                return replace(facts, digest=nested, present=present)
        blob = existing.local_blob(access, facts.label)
        digest = blob.digest
        if is_artifact_set(blob.media_type):  # an artifact goes by the digest of its manifest, not of its packing
            stated = stated_digest(facts.element)
            digest = stated if stated != blob.digest else ""
        return replace(facts, digest=digest, size=blob.size, present=self._blob_there(blob, self._level))

    @property
    def _level(self) -> str:
        """A file is cheap to look for: an archive's blobs are always looked at."""
        return BLOBS if self._target.is_archive and self._options.check == MANIFESTS else self._options.check

    def _artifact_there(
        self, repository: ArtifactRepository, tag: str, digest: str, expected: bool = True, older: str = ""
    ) -> Tuple[bool, str]:
        """(is the artifact there as deep as `check` asks, what its tag stands for).

        expected: a version at the target refers to it. Otherwise an absent tag is answer enough, one request, and so
        is one that stands for `older`, the image that this one comes after.
        """
        by_tag = repository.head_manifest(tag) if tag else None
        tag_there = by_tag.digest if by_tag else ""
        there = bool(digest) and tag_there == digest
        if digest and not there and (expected or not tag or tag_there not in ("", older)):
            there = repository.head_manifest(digest) is not None
        if there and self._level != MANIFESTS:
            there = self._artifact_whole(repository, digest)
        return there, tag_there

    def _artifact_whole(self, repository: ArtifactRepository, digest: str) -> bool:
        try:
            tree = read_artifact(repository, digest)
        except NotFound:
            return False
        except DigestMismatch as error:
            raise self._damaged(error) from None
        blobs = [
            BlobContent(blob.media_type, blob.digest, blob.size, blob_source(repository, blob.digest, blob.size), repository)
            for blob in tree.blobs
        ]
        return all(self._blob_there(blob, self._level) for blob in blobs)

    def _blob_there(self, blob: BlobContent, level: str) -> bool:
        """Raises DigestMismatch when `check` is content and what is stored is damaged."""
        if level == MANIFESTS or blob.repository is None:
            return True
        if level == BLOBS:
            size = blob.repository.blob_size(blob.digest)
            return size is not None and (size == blob.size or blob.size < 0 or not self._target.is_archive)
        try:
            read_whole(blob.open, lambda blocks: deque(blocks, 0))
        except NotFound:
            return False
        except DigestMismatch as error:
            raise self._damaged(error) from None
        return True

    def _damaged(self, error: DigestMismatch) -> DigestMismatch:
        return DigestMismatch(
            f"{self._target.location}: stored content is damaged. {error.message}",
            "Delete the blob's file, or write a new archive."
            if self._target.is_archive
            else "A registry keeps a blob that it has: delete it there (or its repository), then run again.",
        )

    def _look_at_artifact(self, version: VersionFacts, facts: ElementFacts, content: ArtifactContent) -> ElementFacts:
        digest = facts.digest or self._source_digest(facts, content)
        if self._target.is_archive:
            tree = None if self._stays_packed(facts, content) else self._tree(facts, content, digest)
            return replace(facts, digest=digest, tree=tree)
        place, present, tag_there = facts.place, False, facts.tag_there
        if place is None:
            fallback = component_path(version.source.descriptor.name)
            name = artifact_name(facts.access)
            place = place_of(facts.hint, name, self._options.path_mapping, fallback, facts.label)
        old = self._holdings.image_of(version.base, facts, place.path)
        if facts.place is None:
            present, tag_there = self._is_it_there(place, digest, old)
        tree = None if present else self._tree(facts, content, digest, place.path, old)
        return replace(facts, place=place, digest=digest, present=present, tag_there=tag_there, tree=tree)

    def _stays_packed(self, facts: ElementFacts, content: ArtifactContent) -> bool:
        """An artifact set goes into an archive as it is, unless artifacts share their blobs there.

        Also then where the component version states the digest of the set itself.
        """
        packed = content.packed
        if packed is None or not packed.digest:
            return False
        return layout_of(facts, self._options) == SETS or stated_digest(facts.element) == packed.digest

    def _is_it_there(self, place: Place, digest: str, old: Optional[HeldImage]) -> Tuple[bool, str]:
        """(is the image there, what its tag stands for), with what an older version says of it."""
        repository = self._target.artifacts(place.path)
        expected = old == HeldImage(place.path, digest)
        return self._artifact_there(repository, place.tag, digest, expected, old.digest if old else "")

    def _source_digest(self, facts: ElementFacts, content: ArtifactContent) -> str:
        """The digest of the artifact's main manifest: stated, else as the source answers."""
        stated = stated_digest(facts.element)
        packed = content.packed
        if stated and not (packed and stated == packed.digest):
            return stated
        if is_digest(content.reference):
            return content.reference
        there = content.repository.head_manifest(content.reference)
        if there is None:
            raise NotFound(f"{facts.label}: {content.repository.name} has no artifact {content.reference}.")
        return there.digest

    def _tree(
        self, facts: ElementFacts, content: ArtifactContent, digest: str, path: str = "", old: Optional[HeldImage] = None
    ) -> ArtifactTree:
        """The artifact's manifests, without those that the repository at `path` of the target is known to hold."""
        key = (content.repository.name, digest, path)
        if key not in self._trees:
            # A tag was resolved once; by now it may stand for something else.
            main = content.repository.get_manifest(content.reference if is_digest(content.reference) else digest)
            if main.digest != digest or wanted_digest(facts.hint) not in ("", digest):
                raise DigestMismatch(
                    f"{facts.label}: the artifact at {content.repository.name} is {main.digest}, "
                    f"the component version says {digest}.",
                    "It was changed after the component version was made: get the component version anew.",
                )
            if old is not None and old.digest != digest:
                self._holdings.learn_image(old, main)
            without = self._holdings.at(path) if path else frozenset()
            self._trees[key] = read_below(content.repository, main, without)
        return self._trees[key]

    def _look_for_held(self, facts: Sequence[VersionFacts]) -> None:
        """Images of these component versions that are there are read when much is to be moved: they may have it."""
        elements = [element for version in facts for element in version.elements]
        if not self._target.is_archive and unknown_bytes(elements, self._holdings.all()) >= MUCH_TO_MOVE:
            there = {(one.place.path, one.digest) for one in elements if one.present and one.place is not None}
            self._map(lambda image: self._holdings.read_image(*image), sorted(there))

    def _claims(self, facts: Sequence[VersionFacts], target: TargetFacts) -> Mapping[str, FrozenSet[Tuple[str, str, str]]]:
        """For components with a tag in dispute: what their versions at the target refer to."""
        if self._options.overwrite:
            return {}
        known = {one.base.descriptor.name: frozenset(claims_in(self._target, one.base)) for one in facts if one.base}
        moved = [one for version in facts for one in version.elements if one.tag_was_moved and self._options.resources]
        if not (moved or tag_conflicts(facts, replace(target, claims=known), self._options)):
            return known
        names = {version.source.descriptor.name for version in facts}
        return {name: frozenset(claims_of(self._target, name)) for name in names}


def claims_of(store: ComponentStore, component: str) -> Dict[Tuple[str, str, str], str]:
    """What the versions of a component in a store refer to there: (path, tag, digest) -> the first such version."""
    try:
        versions = store.versions(component)
    except NotFound:
        return {}
    found: Dict[Tuple[str, str, str], str] = {}
    for version in versions:
        stored = store.find(component, version)
        for claim in claims_in(store, stored) if stored else ():
            found.setdefault(claim, version)
    return found


def claims_in(store: ComponentStore, stored: StoredVersion) -> List[Tuple[str, str, str]]:
    """What one version refers to in the store that it is in: (path, tag, digest)."""
    descriptor = stored.descriptor
    places = [own_artifact(store.reference, descriptor.access_of(element), element) for _kind, element in descriptor.contents()]
    return [(place.path, place.tag, digest) for place, digest in places if place is not None]


def _access_at(existing: StoredVersion, kind: str, identity: Mapping[str, str]) -> Optional[Mapping[str, Any]]:
    found = existing.descriptor.find_element(kind, identity)
    return dict(found["access"]) if found else None


def _local_digest(access: Access, facts: ElementFacts, existing: StoredVersion) -> str:
    """The digest of a local blob's content: of the artifact's main manifest where it holds one. "" if it is lost."""
    if not is_artifact_set(str(access.get("mediaType"))):
        return str(access.get("localReference") or "")
    try:
        return ArtifactSet(existing.local_blob(access, facts.label).open, facts.label).main
    except (NotFound, InvalidContent):
        return ""


def _uncompressed(media_type: Any) -> str:
    """Artifact sets are packed with or without gzip: for what they are that makes no difference."""
    text = str(media_type or "")
    return text[: -len("+gzip")] if text.endswith("+tar+gzip") else text


def _is_index_layout(existing: StoredVersion) -> bool:
    return existing.manifest is not None and existing.manifest.digest != existing.digest


def _is_movable(access: Access) -> bool:
    return access.type in BY_VALUE_TYPES


def _should_be_artifact(access: Access) -> bool:
    return str(access.get("mediaType")).endswith("+json")


def _look_at_blob(facts: ElementFacts, content: BlobContent) -> ElementFacts:
    stated = stated_digest(facts.element)
    if stated and content.digest and stated != content.digest:
        raise DigestMismatch(
            f"{facts.label}: its content has the digest {content.digest}, the component version says {stated}.",
            "The component version is damaged or was tampered with.",
        )
    digest = stated or content.digest
    size = content.size
    if size < 0 and content.digest and content.repository is not None:
        size = content.repository.blob_size(content.digest)
        if size is None:
            raise NotFound(f"{facts.label}: {content.repository.name} has no blob {content.digest}.")
    return replace(facts, digest=digest, size=size, content=replace(content, digest=digest, size=size))
