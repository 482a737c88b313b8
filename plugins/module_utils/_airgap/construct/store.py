# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a constructor to component versions that a transfer can move: contents found, digests computed.

What the target has already is looked at: a version keeps its creation time, and compressed content that differs only in
how it was compressed keeps its digest.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.access import Access
from ..model.descriptor import V2, ComponentDescriptor
from ..model.errors import DigestMismatch, InvalidContent, InvalidInput, NotFound, OcmError, Refused
from ..model.identity import Element
from ..model.reference import RepositoryReference
from ..model.version import tag_of
from ..oci.client import Registries
from ..sources.content import Content, ContentFinder, stated_digest
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, BlobContent, StoredVersion
from ..store.repository import WritableRepository
from .constructor import ComponentDraft, ElementDraft
from .inputs import ARTIFACT_DIGEST, BLOB_DIGEST, InputContext, Prepared, prepare
from .packing import measure, plain_digest_of

Key = Tuple[str, str]


@dataclass(frozen=True)
class ConstructedVersion(StoredVersion):
    """A component version that a constructor describes. inputs: contents given by value, by the element's label."""

    inputs: Mapping[str, Prepared] = field(default_factory=dict, compare=False, repr=False)


class ConstructorStore(ComponentStore):
    """The component versions of a constructor, to be read like those of an archive."""

    def __init__(self, location: str, versions: Sequence[ConstructedVersion]) -> None:
        self.location, self.reference = location, RepositoryReference(path=location)
        self._versions = {(item.descriptor.name, item.descriptor.version): item for item in versions}

    def components(self) -> List[str]:
        return list(dict.fromkeys(name for name, _version in self._versions))

    def tags(self, component: str) -> List[str]:
        return [tag_of(version) for name, version in self._versions if name == component]

    def find(self, component: str, version: str, digest: str = "") -> Optional[StoredVersion]:
        return self._versions.get((component, version))

    def repository(self, component: str) -> WritableRepository:
        raise InvalidInput(f"{self.location} cannot be written.")

    def artifacts(self, path: str) -> WritableRepository:
        raise NotFound(f"{self.location} has no artifact {path}.")


class ConstructorFinder(ContentFinder):
    """Finds the contents of inputs."""

    def find(self, version: StoredVersion, kind: str, element: Element) -> Content:
        inputs = version.inputs if isinstance(version, ConstructedVersion) else {}
        prepared = inputs.get(version.descriptor.label_of(kind, element))
        return prepared.content if prepared else super().find(version, kind, element)


class Builder:
    """Makes component versions of drafts. base: the folder that paths begin at.

    Use as a context manager: files that inputs are read from stay open until its end. warnings: filled by `build`.
    """

    def __init__(self, base: str, registries: Registries, target: ComponentStore, skip_digest: bool) -> None:
        self._base, self._registries, self._target, self._skip_digest = base, registries, target, skip_digest
        self._stack = ExitStack()
        self._finder = ContentFinder(target, registries)  # relative references begin at the target
        self.warnings: List[str] = []

    def __enter__(self) -> "Builder":
        return self

    def __exit__(self, *_error: Any) -> None:
        self._stack.close()

    def build(self, drafts: Sequence[ComponentDraft]) -> List[ConstructedVersion]:
        """Raises what looking at contents and at the target raises."""
        return [self._version(draft) for draft in drafts]

    def _version(self, draft: ComponentDraft) -> ConstructedVersion:
        existing = self._target.find(*draft.key)
        elements: Dict[str, List[Dict[str, Any]]] = {"resource": [], "source": []}
        inputs: Dict[str, Prepared] = {}
        for item in draft.elements:
            element, prepared = self._element(draft, item, existing)
            elements[item.kind].append(element)
            if prepared is not None:
                inputs[draft.descriptor.label_of(item.kind, item.element)] = prepared
        _refuse_shared_names(inputs)
        content = dict(draft.descriptor.content["component"])
        content["creationTime"] = existing.descriptor.creation_time if existing else ""
        content["creationTime"] = content["creationTime"] or _now()
        content.update({f"{kind}s": found for kind, found in elements.items()})
        whole = {"meta": {"schemaVersion": V2}, "component": content}
        return ConstructedVersion(ComponentDescriptor.from_mapping(whole, draft.where), inputs=inputs)

    def _element(
        self, draft: ComponentDraft, item: ElementDraft, existing: Optional[StoredVersion]
    ) -> Tuple[Dict[str, Any], Optional[Prepared]]:
        element = dict(item.element)
        if item.input is None:
            if item.kind == "resource" and not (self._skip_digest or item.skip_digest):
                element.update(self._digest_of_access(draft, item))
            return element, None
        name, version = draft.key
        context = InputContext(
            self._base, self._registries, name, version, element["name"], item.where, self._stack.enter_context
        )
        prepared = prepare(item.input, context)
        stated = stated_digest(element)
        if stated and stated != prepared.digest:
            raise DigestMismatch(
                f"{item.where}: the input has the digest {prepared.digest}, the constructor says {stated}.",
                "Leave the digest out: it is computed.",
            )
        prepared = _as_compressed_before(prepared, item, existing)
        element["access"] = prepared.access
        if item.kind == "resource":
            element["digest"] = _digest(prepared.digest, prepared.algorithm)
        return element, prepared

    def _digest_of_access(self, draft: ComponentDraft, item: ElementDraft) -> Dict[str, Any]:
        """`{digest: ...}` of content that stays where it is, {} where there is none to be had."""
        access = Access.from_mapping(item.element["access"], item.where)
        if access.is_none or item.element.get("digest"):
            return {}
        label = draft.descriptor.label_of(item.kind, item.element)
        try:
            element = dict(item.element, access=_without_guessing(access))
            content = self._finder.find(StoredVersion(draft.descriptor), item.kind, element)
        except Refused as error:
            self.warnings.append(f"{label} has no digest. {error.message}")
            return {}
        if isinstance(content, ArtifactContent):
            there = content.repository.head_manifest(content.reference)
            if there is None:
                raise NotFound(f"{item.where}: {content.repository.name} has no artifact {content.reference}.")
            return {"digest": _digest(there.digest, ARTIFACT_DIGEST)}
        return {"digest": _digest(_digest_of_blob(content, item.where), BLOB_DIGEST)}

    def missing_references(self, drafts: Sequence[ComponentDraft]) -> List[str]:
        """A warning for each reference that is neither made nor at the target."""
        made = {draft.key for draft in drafts}
        wanted = {key: draft for draft in drafts for key in draft.references if key not in made}
        return [
            f"{draft.descriptor} refers to {name}:{version}, "
            f"which is neither in the constructor nor at {self._target.location}."
            for (name, version), draft in wanted.items()
            if not self._is_at_target(name, version)
        ]

    def _is_at_target(self, name: str, version: str) -> bool:
        try:
            return self._target.repository(name).head_manifest(tag_of(version)) is not None
        except OcmError:
            return False  # a registry may refuse to talk about a repository that is not there


def _without_guessing(access: Access) -> Dict[str, Any]:
    """An access that names its media type, so that no request is spent on asking for it."""
    return dict({"mediaType": "application/octet-stream"} if access.type == "wget" else {}, **access.to_mapping())


def _digest_of_blob(content: BlobContent, where: str) -> str:
    if content.digest and content.repository is not None:
        if content.repository.blob_size(content.digest) is None:
            raise NotFound(f"{where}: {content.repository.name} has no blob {content.digest}.")
        return content.digest
    found = measure(content.open).digest
    if content.digest and found != content.digest:
        raise DigestMismatch(f"{where}: the content that arrived has the digest {found}, not {content.digest}.")
    return found


def _as_compressed_before(prepared: Prepared, item: ElementDraft, existing: Optional[StoredVersion]) -> Prepared:
    """The target's blob in place of an input that differs from it only in how it was compressed."""
    if not prepared.plain_digest or existing is None:
        return prepared
    blob = _local_blob_of(existing, item)
    if blob is None or blob.digest == prepared.digest:
        return prepared
    try:
        same = plain_digest_of(blob.open, item.where) == prepared.plain_digest
    except (InvalidContent, NotFound):
        same = False  # what is there is not a whole gzip, so it differs
    if not same:
        return prepared
    return replace(prepared, digest=blob.digest, content=replace(blob, media_type=prepared.media_type))


def _local_blob_of(existing: StoredVersion, item: ElementDraft) -> Optional[BlobContent]:
    """The blob at the target of the element of the same identity."""
    wanted = dict(item.element.get("extraIdentity") or {}, name=item.element["name"])
    found = existing.descriptor.find_element(item.kind, wanted)
    access = existing.descriptor.access_of(found) if found else None
    if access is None or not access.is_local or existing.local_manifest(access, item.where) is not None:
        return None
    blob = existing.local_blob(access, item.where)
    return blob if blob.digest else None


def _refuse_shared_names(inputs: Mapping[str, Prepared]) -> None:
    """Two images of one component version cannot have one name: one of them would lose it at a registry."""
    users: Dict[str, Tuple[str, str]] = {}
    for label, prepared in inputs.items():
        if not prepared.hint:
            continue
        other, digest = users.setdefault(prepared.hint, (label, prepared.digest))
        if digest != prepared.digest:
            raise InvalidInput(
                f"{label} and {other} are different images, and both would be called {prepared.hint}.",
                "Set repository in one of the inputs.",
            )


def _digest(digest: str, normalisation: str) -> Dict[str, str]:
    algorithm, _colon, value = digest.partition(":")
    name = algorithm.upper().replace("SHA", "SHA-")
    return {"hashAlgorithm": name, "normalisationAlgorithm": normalisation, "value": value}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
