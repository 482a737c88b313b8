# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a transfer to one target: a pure value, made from what was seen at the source and at the target.

Check mode shows it; `execute` carries it out. Nothing here reads or writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ..model.access import Access, local_blob
from ..model.comparison import Comparison, merge_volatile
from ..model.descriptor import ComponentDescriptor
from ..model.errors import Refused
from ..model.identity import Element
from ..model.manifest import ARTIFACT_TYPES, OCI_NAMES
from ..model.reference import RepositoryReference
from ..sources.content import Content
from ..store.artifact_set import artifact_set_type, is_artifact_set
from ..store.component_version import ArtifactContent, StoredVersion
from ..store.repository import ArtifactTree
from ..model.placement import Place, target_reference
from .options import SETS, SHARED, TransferOptions

TRANSFERRED, UPDATED, UNCHANGED = "transferred", "updated", "unchanged"
RESTORED, BY_REFERENCE, NO_CONTENT = "restored", "by_reference", "none"
MOVING = (TRANSFERRED, RESTORED)


@dataclass(frozen=True)
class ElementFacts:
    """What was seen of one resource or source.

    by_value: its content belongs to the target. content: what moves, None when nothing has to.
    digest: of the artifact's main manifest or of the blob, "" while unknown.
    kept: the access at the target, where the content belongs to the target already. present: it really is there.
    believed: it is not looked at, because only other elements are asked for.
    tag_there: the digest that the tag at the target stands for, "" for no tag.
    """

    kind: str
    element: Element
    label: str
    identity: Mapping[str, str]
    access: Access
    hint: str = ""
    by_value: bool = False
    content: Optional[Content] = None
    digest: str = ""
    size: int = -1
    place: Optional[Place] = None
    kept: Optional[Mapping[str, Any]] = None
    present: bool = False
    believed: bool = False
    tag_there: str = ""
    tree: Optional[ArtifactTree] = None

    @property
    def is_artifact(self) -> bool:
        kept = str((self.kept or {}).get("mediaType")) in ARTIFACT_TYPES
        return self.place is not None or kept or isinstance(self.content, ArtifactContent)

    @property
    def tag_was_moved(self) -> bool:
        """Its tag at the target stands for another image."""
        return self.is_artifact and bool(self.place and self.place.tag and self.tag_there) and self.tag_there != self.digest


@dataclass(frozen=True)
class VersionFacts:
    """What was seen of one component version. comparison: None when the target does not have it.

    base: the version at the target whose contents are most like this one's.
    """

    source: StoredVersion
    target: Optional[StoredVersion]
    comparison: Optional[Comparison]
    elements: Tuple[ElementFacts, ...]
    base: Optional[StoredVersion] = None


@dataclass(frozen=True)
class TargetFacts:
    """The target itself. claims: (path, tag, digest) that versions of a component there refer to, by component.

    held: what its repositories are known to hold, by their path below the prefix: digests of manifests and blobs.
    """

    reference: RepositoryReference
    location: str
    context: Optional[Mapping[str, Any]] = None
    claims: Mapping[str, FrozenSet[Tuple[str, str, str]]] = field(default_factory=dict)
    held: Mapping[str, FrozenSet[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ElementPlan:
    """What happens to one resource or source. access: at the target; None while its digest is not known."""

    facts: ElementFacts
    action: str
    access: Optional[Mapping[str, Any]]
    retag: bool = False

    @property
    def moves(self) -> bool:
        return self.action in MOVING and self.facts.content is not None

    @property
    def is_shared(self) -> bool:
        """It moves into an archive as it is, manifests and blobs, and is not packed."""
        facts = self.facts
        return facts.place is None and facts.tree is not None and self.access is not None


@dataclass(frozen=True)
class VersionPlan:
    """What happens to one component version. base: the descriptor to write, before accesses are put in."""

    facts: VersionFacts
    action: str
    base: ComponentDescriptor
    elements: Tuple[ElementPlan, ...]
    write: bool
    notes: Tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def version(self) -> str:
        return self.base.version


@dataclass(frozen=True)
class Plan:
    """The plan for one target, references before what refers to them."""

    target: TargetFacts
    versions: Tuple[VersionPlan, ...]

    @property
    def changes(self) -> bool:
        return any(version.action != UNCHANGED for version in self.versions)


def make_plan(facts: Sequence[VersionFacts], target: TargetFacts, options: TransferOptions) -> Plan:
    """Decide. Raises Refused, before anything is written, with everything that stands against it."""
    against = _differing_versions(facts, target, options) + tag_conflicts(facts, target, options)
    if against:
        raise Refused("\n".join(text for text, _hint in against), against[0][1])
    return Plan(target, tuple(_plan_version(version, target, options) for version in facts))


def _differing_versions(
    facts: Sequence[VersionFacts], target: TargetFacts, options: TransferOptions
) -> List[Tuple[str, str]]:
    if options.overwrite:
        return []
    return [
        (
            f"{target.location} has {version.source} already, and it differs in what its signature covers: "
            + "; ".join(version.comparison.signed),
            "Nothing was written. Set overwrite to true to replace it (ocm_airgap_overwrite for the playbook site).",
        )
        for version in facts
        if version.comparison is not None and version.comparison.signed
    ]


def single_resources_refused(facts: Sequence[VersionFacts], location: str) -> List[str]:
    """Why single resources cannot be brought to a target: the component versions that it does not have as they are."""
    found = []
    for version in facts:
        if version.comparison is None:
            found.append(f"{location} does not have {version.source}, so no single resource of it can be put right.")
        elif version.comparison.signed:
            found.append(
                f"{location} has {version.source}, but it differs in what its signature covers, so no single resource "
                "of it can be put right: " + "; ".join(version.comparison.signed)
            )
    return found


def tag_conflicts(
    facts: Sequence[VersionFacts], target: TargetFacts, options: TransferOptions
) -> List[Tuple[str, str]]:
    """Tags that two images want, and tags at the target that belong to something else: (message, hint)."""
    remedies = "Nothing was written. Give one of them another place with path_mapping ([{from: host/path, to: path}])"
    wanted: Dict[Tuple[str, str], ElementFacts] = {}
    found: List[Tuple[str, str]] = []
    for version in facts:
        for element in version.elements:
            if not element.is_artifact or element.place is None or not element.place.tag or target.reference.is_archive:
                continue
            key = (element.place.path, element.place.tag)
            other = wanted.setdefault(key, element)
            name = str(target.reference.image(*key))
            if other.digest != element.digest:
                found.append((
                    f"{name} is wanted by two different images: {_origin(other)} and {_origin(element)}.",
                    f"{remedies}.",
                ))
            elif _is_foreign_tag(element, version, target) and not _takes_tag(element, version, target, options):
                found.append((
                    f"{name} stands for {element.tag_there} at the target, which no version of "
                    f"{version.source.descriptor.name} there put there; {_origin(element)} wants the same tag.",
                    f"{remedies}, or set overwrite to true to move the tag.",
                ))
    return list(dict.fromkeys(found))


def _is_foreign_tag(element: ElementFacts, version: VersionFacts, target: TargetFacts) -> bool:
    if not element.tag_was_moved or (element.present and element.kept):
        return False
    return not _is_claimed(element, version, target)


def _is_claimed(element: ElementFacts, version: VersionFacts, target: TargetFacts) -> bool:
    """Whether a version of the component at the target wants its tag to stand for what it stands for there."""
    place = element.place or Place("")
    claims = target.claims.get(version.source.descriptor.name, frozenset())
    return (place.path, place.tag, element.tag_there) in claims


def _takes_tag(element: ElementFacts, version: VersionFacts, target: TargetFacts, options: TransferOptions) -> bool:
    """Whether a tag that was moved is set again.

    A resource that was named gets its own tag back, unless another version of the component has it by right.
    """
    if options.overwrite:
        return True
    return bool(options.resources) and element.kept is not None and not _is_claimed(element, version, target)


def _origin(element: ElementFacts) -> str:
    source = element.access.get("imageReference") or element.access.get("reference") or element.hint
    return f"{source} ({element.digest}) of {element.label}"


def _plan_version(facts: VersionFacts, target: TargetFacts, options: TransferOptions) -> VersionPlan:
    existing = facts.target
    replaced = existing is None or bool(facts.comparison and facts.comparison.signed)
    elements = tuple(_plan_element(element, facts, target, options) for element in facts.elements)
    notes = tuple(facts.comparison.noted if facts.comparison else ()) + _moved_tags(elements, target)
    if replaced or existing is None:
        base = _with_context(facts.source.descriptor, target)
        return VersionPlan(facts, TRANSFERRED if existing is None else UPDATED, base, elements, True, notes)
    merged = existing.descriptor if options.resources else merge_volatile(facts.source.descriptor, existing.descriptor)
    accesses_change = any(_changes_access(plan) for plan in elements)
    write = accesses_change or merged.content != existing.descriptor.content
    moved = write or any(plan.moves or plan.retag for plan in elements)
    return VersionPlan(facts, UPDATED if moved else UNCHANGED, merged, elements, write, notes)


def _changes_access(plan: ElementPlan) -> bool:
    facts = plan.facts
    if facts.by_value:
        return facts.kept is None or plan.access != facts.kept
    return facts.kept is not None and plan.access != facts.kept


def _plan_element(
    facts: ElementFacts, version: VersionFacts, target: TargetFacts, options: TransferOptions
) -> ElementPlan:
    if not facts.by_value:
        action = NO_CONTENT if facts.access.is_none else BY_REFERENCE
        kept = None if options.adopt_accesses else facts.kept
        return ElementPlan(facts, action, kept or facts.access.to_mapping())
    if facts.believed:
        return ElementPlan(facts, UNCHANGED, facts.kept)
    if facts.present:
        tag_wrong = facts.is_artifact and facts.place is not None and facts.tag_there != facts.digest
        retag = tag_wrong and bool(facts.place and facts.place.tag)
        retag = retag and (not facts.tag_there or _takes_tag(facts, version, target, options))
        action = RESTORED if retag and facts.kept else UNCHANGED
        return ElementPlan(facts, action, facts.kept or _new_access(facts, target, options), retag)
    if facts.kept is not None and not _needs_packing(facts, target):
        return ElementPlan(facts, RESTORED, facts.kept)
    return ElementPlan(facts, RESTORED if facts.kept else TRANSFERRED, _new_access(facts, target, options))


def _needs_packing(facts: ElementFacts, target: TargetFacts) -> bool:
    """An artifact in an archive that is written anew may come as another blob than the one that was lost."""
    return target.reference.is_archive and facts.is_artifact


def _new_access(facts: ElementFacts, target: TargetFacts, options: TransferOptions) -> Optional[Dict[str, Any]]:
    """The access at the target; None for an artifact set that is not packed yet."""
    content = facts.content
    if facts.place is not None:
        reference = target_reference(target.reference, facts.place, facts.digest, options.with_digest)
        return {"imageReference": str(reference), "type": "ociArtifact"}
    if isinstance(content, ArtifactContent):
        if facts.tree is not None and layout_of(facts, options) == SHARED:
            media_type = facts.tree.main.media_type
            # By Docker's names the OCM tools do not know an artifact beside a component version; its own bytes keep them.
            return local_blob(facts.digest, OCI_NAMES.get(media_type, media_type), facts.hint)
        if content.packed is not None and content.packed.digest:
            return local_blob(content.packed.digest, content.packed.media_type, facts.hint)
        return None
    if content is None or not facts.digest:
        return None
    return local_blob(facts.digest, content.media_type, facts.hint)


def layout_of(facts: ElementFacts, options: TransferOptions) -> str:
    """How an artifact lies in an archive: as it does already, if only its content was lost, else as is asked for."""
    media_type = str((facts.kept or {}).get("mediaType"))
    if media_type in ARTIFACT_TYPES:
        return SHARED
    return SETS if is_artifact_set(media_type) else options.archive_layout


def preview_access(plan: ElementPlan) -> Dict[str, Any]:
    """The access as check mode can tell it: the digest of what is not packed yet is null."""
    if plan.access is not None:
        return dict(plan.access)
    facts = plan.facts
    media_type = artifact_set_type(facts.tree.main) if facts.tree else getattr(facts.content, "media_type", "")
    return dict(local_blob("", media_type, facts.hint), localReference=None)


def _moved_tags(elements: Sequence[ElementPlan], target: TargetFacts) -> Tuple[str, ...]:
    notes = []
    for plan in elements:
        facts = plan.facts
        if plan.retag or not facts.is_artifact or not facts.present or not facts.tag_there or facts.place is None:
            continue
        if facts.tag_there != facts.digest:
            name = target.reference.image(facts.place.path, facts.place.tag)
            notes.append(
                f"{facts.label}: {name} was moved to {facts.tag_there}; the image {facts.digest} itself is there. "
                "Set overwrite to true to move the tag back."
            )
    return tuple(notes)


def _with_context(descriptor: ComponentDescriptor, target: TargetFacts) -> ComponentDescriptor:
    contexts = descriptor.repository_contexts
    if target.context is None or (contexts and contexts[-1] == target.context):
        return descriptor
    return descriptor.changed(repository_contexts=contexts + [dict(target.context)])
