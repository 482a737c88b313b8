# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A constructor read: the component versions that it describes, with defaults filled in and contents not looked at.

Follows the form that the old OCM tool's `add componentversions` reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.access import LOCAL_TYPES, Access
from ..model.descriptor import V2, ComponentDescriptor
from ..model.errors import InvalidInput
from ..model.identity import identity_of, identity_text
from .fields import only_fields

# what stands for the component's version where a version is expected
COMPONENT_VERSION = "<componentversion>"
_COMPONENT_FIELDS = (
    "name", "version", "provider", "labels", "resources", "sources", "references", "componentReferences",
    "creationTime", "meta",
)
_ELEMENT_FIELDS = ("name", "version", "extraIdentity", "labels")
_SOURCE_FIELDS = _ELEMENT_FIELDS + ("type", "access", "input")
_RESOURCE_FIELDS = _SOURCE_FIELDS + ("relation", "srcRefs", "srcRef", "digest", "options")
_REFERENCE_FIELDS = _ELEMENT_FIELDS + ("componentName",)
_PLACEHOLDER = {"type": "localBlob"}


@dataclass(frozen=True)
class ElementDraft:
    """A resource or source. element: as the descriptor will have it, but for the access of an input, and digests.

    input: None where the access is given. where: its place in the constructor.
    """

    kind: str
    element: Mapping[str, Any]
    input: Optional[Mapping[str, Any]]
    where: str
    skip_digest: bool = False


@dataclass(frozen=True)
class ComponentDraft:
    """A component version to be made. descriptor: complete but for accesses of inputs, digests and creation time."""

    descriptor: ComponentDescriptor
    elements: Tuple[ElementDraft, ...]
    where: str = field(default="", compare=False)

    @property
    def key(self) -> Tuple[str, str]:
        return self.descriptor.name, self.descriptor.version

    @property
    def references(self) -> List[Tuple[str, str]]:
        """(component, version) of everything that it refers to."""
        return [(element["componentName"], element["version"]) for element in self.descriptor.references]


def parse_constructor(constructor: Any, where: str = "constructor") -> List[ComponentDraft]:
    """Read `{components: [...]}` or one component's mapping.

    Raises InvalidInput for what is no constructor, InvalidContent with every fault against the descriptor's schema.
    """
    if not isinstance(constructor, Mapping):
        raise InvalidInput(f"{where}: not a mapping with components.")
    if "components" in constructor:
        only_fields(constructor, ("components",), where)
        components = _list(constructor, "components", where)
        places = [f"{where} components[{number}]" for number in range(len(components))]
    else:
        components, places = [constructor], [where]
    if not components:
        raise InvalidInput(f"{where}: components is empty.")
    drafts = [_component(component, place) for component, place in zip(components, places)]
    first: Dict[Tuple[str, str], ComponentDraft] = {}
    for draft in drafts:
        if first.setdefault(draft.key, draft) is not draft:
            raise InvalidInput(f"{draft.where}: {draft.descriptor} stands twice, also at {first[draft.key].where}.")
    return drafts


def children_first(drafts: Sequence[ComponentDraft]) -> List[ComponentDraft]:
    """The drafts with references before what refers to them. Raises InvalidInput that names a cycle."""
    waiting = {draft.key: draft for draft in drafts}
    ordered: List[ComponentDraft] = []
    while waiting:
        ready = [draft for draft in waiting.values() if not any(key in waiting for key in draft.references)]
        if not ready:
            raise InvalidInput(f"The references form a cycle: {_cycle(waiting)}.")
        for draft in ready:
            ordered.append(waiting.pop(draft.key))
    return ordered


def _cycle(waiting: Mapping[Tuple[str, str], ComponentDraft]) -> str:
    key = next(iter(waiting))
    path: List[Tuple[str, str]] = []
    while key not in path:
        path.append(key)
        key = next(reference for reference in waiting[key].references if reference in waiting)
    return " -> ".join(f"{name}:{version}" for name, version in path[path.index(key):] + [key])


def _component(component: Any, where: str) -> ComponentDraft:
    if not isinstance(component, Mapping):
        raise InvalidInput(f"{where}: a component is a mapping.")
    only_fields(component, _COMPONENT_FIELDS, where)
    _check_schema(component.get("meta"), where)
    version = component.get("version")
    lists = {
        kind: [
            _element(kind, item, f"{where} {kind}s[{number}]", version)
            for number, item in enumerate(_list(component, f"{kind}s", where))
        ]
        for kind in ("resource", "source")
    }
    content: Dict[str, Any] = {
        field: component[field] for field in ("name", "version", "labels") if component.get(field) is not None
    }
    content.update(
        provider=_provider(component.get("provider"), where),
        repositoryContexts=[],
        componentReferences=_told_apart(_references(component, where, version)),
    )
    for kind, drafts in lists.items():
        content[f"{kind}s"] = _told_apart([dict(draft.element) for draft in drafts])
    descriptor = ComponentDescriptor.from_mapping({"meta": {"schemaVersion": V2}, "component": content}, where)
    _check_identities(descriptor, where)
    return ComponentDraft(descriptor, _with_elements(descriptor, lists), where)


def _with_elements(
    descriptor: ComponentDescriptor, lists: Mapping[str, Sequence[ElementDraft]]
) -> Tuple[ElementDraft, ...]:
    return tuple(
        ElementDraft(draft.kind, element, draft.input, draft.where, draft.skip_digest)
        for kind, drafts in lists.items()
        for draft, element in zip(drafts, descriptor.elements(kind))
    )


def _check_schema(meta: Any, where: str) -> None:
    schema = meta.get("schemaVersion") or meta.get("configuredSchemaVersion") if isinstance(meta, Mapping) else None
    if schema not in (None, V2):
        raise InvalidInput(f"{where}: the schema {schema!r} is not written.", "Leave meta out: schema v2 is written.")


def _provider(provider: Any, where: str) -> Any:
    """Schema v2 has room for a name; labels are kept in a JSON text in its place, as the old OCM tool does."""
    if not isinstance(provider, Mapping):
        if provider is None:
            raise InvalidInput(f"{where}: provider is missing.", "Write provider: {name: acme.org}.")
        return provider
    only_fields(provider, ("name", "labels"), f"{where} provider")
    if not isinstance(provider.get("name"), str) or not provider["name"]:
        raise InvalidInput(f"{where} provider: the name is missing.")
    labels = provider.get("labels")
    if not labels:
        return provider["name"]
    return json.dumps({"name": provider["name"], "labels": labels}, separators=(",", ":"), ensure_ascii=False)


def _element(kind: str, item: Any, where: str, version: Any) -> ElementDraft:
    if not isinstance(item, Mapping):
        raise InvalidInput(f"{where}: a {kind} is a mapping.")
    only_fields(item, _RESOURCE_FIELDS if kind == "resource" else _SOURCE_FIELDS, where)
    given, options = _input_of(item, where), item.get("options") or {}
    element = {key: item[key] for key in item if key not in ("input", "access", "options") and item[key] is not None}
    if kind == "resource":
        element.setdefault("relation", "external" if given is None else "local")
    element["version"] = _version(element, given, version, where)
    element["access"] = dict(_PLACEHOLDER if given is not None else item["access"])
    skip = isinstance(options, Mapping) and options.get("skipDigestGeneration") is True
    return ElementDraft(kind, element, given, where, skip)


def _input_of(item: Mapping[str, Any], where: str) -> Optional[Mapping[str, Any]]:
    """The input, or None where a usable access is given."""
    given, access = item.get("input"), item.get("access")
    if (given is None) == (access is None):
        raise InvalidInput(f"{where}: it needs either an input or an access.")
    value = access if given is None else given
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str) or not value["type"]:
        raise InvalidInput(f"{where}: {'access' if given is None else 'input'} is not a mapping with a type.")
    if given is None and Access.from_mapping(access, where).type in LOCAL_TYPES:
        raise InvalidInput(
            f"{where}: an access of type {access['type']} leads nowhere, the component version does not exist yet.",
            "Give the content as an input.",
        )
    return given


def _version(element: Mapping[str, Any], given: Optional[Mapping[str, Any]], version: Any, where: str) -> Any:
    """The element's version. version: the component's. Sources have no relation, so theirs is never missing."""
    stated = element.get("version")
    if stated not in (None, "", COMPONENT_VERSION):
        return stated
    if element.get("relation", "local") != "local" and stated != COMPONENT_VERSION:
        raise InvalidInput(f"{where}: an external resource needs a version.")
    if given is not None and given["type"].lower() == "helm" and given.get("version"):
        return given["version"]
    return version


def _references(component: Mapping[str, Any], where: str, version: Any) -> List[Dict[str, Any]]:
    if component.get("references") and component.get("componentReferences"):
        raise InvalidInput(f"{where}: references and componentReferences are both given.", "Keep one of them.")
    name = "references" if component.get("references") else "componentReferences"
    found = []
    for number, item in enumerate(_list(component, name, where)):
        place = f"{where} {name}[{number}]"
        if not isinstance(item, Mapping):
            raise InvalidInput(f"{place}: a reference is a mapping.")
        only_fields(item, _REFERENCE_FIELDS, place)
        reference = {key: item[key] for key in item if item[key] is not None}
        if reference.get("version") in (None, "", COMPONENT_VERSION):
            reference["version"] = version
        found.append(reference)
    return found


def _told_apart(elements: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Elements that only their version tells apart get it as extra identity, as the old OCM tool writes them."""
    if not all(isinstance(item.get("name"), str) and _is_identity(item.get("extraIdentity")) for item in elements):
        return elements  # the schema's check tells what is wrong
    result = []
    for item in elements:
        version = identity_of(item, elements).get("version")
        extra = item.get("extraIdentity") or {}
        is_needed = version is not None and "version" not in extra
        result.append(dict(item, extraIdentity=dict(extra, version=version)) if is_needed else item)
    return result


def _is_identity(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _check_identities(descriptor: ComponentDescriptor, where: str) -> None:
    kinds = (("resource", descriptor.resources), ("source", descriptor.sources), ("reference", descriptor.references))
    for kind, elements in kinds:
        texts = [identity_text(identity_of(element, elements)) for element in elements]
        for text in texts:
            if texts.count(text) > 1:
                raise InvalidInput(
                    f"{where}: the {kind} {text} stands twice.", "Tell them apart by name, version or extraIdentity."
                )


def _list(owner: Mapping[str, Any], name: str, where: str) -> List[Any]:
    value = owner.get(name)
    if value is not None and not isinstance(value, list):
        raise InvalidInput(f"{where}: {name} is not a list.")
    return value or []
