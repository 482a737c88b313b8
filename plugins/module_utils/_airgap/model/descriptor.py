# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component descriptors of schema v2 and v3alpha1, read and changed as values.

Follows the OCM specification. A change makes a new descriptor; everything that is not changed stays as it was read.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from .access import Access
from .descriptor_schema import MAX_FAULTS_TOLD, faults_v2, faults_v3, parse_provider
from .errors import InvalidContent
from .identity import Element, identity_of, identity_text

V2 = "v2"
V3ALPHA1 = "v3alpha1"

# where each schema keeps what; an empty path is the descriptor itself
_PLACES: Dict[str, Dict[str, Tuple[str, ...]]] = {
    V2: {
        "head": ("component",),
        "sources": ("component", "sources"),
        "resources": ("component", "resources"),
        "references": ("component", "componentReferences"),
        "provider": ("component", "provider"),
        "labels": ("component", "labels"),
        "repository_contexts": ("component", "repositoryContexts"),
        "signatures": ("signatures",),
    },
    V3ALPHA1: {
        "head": ("metadata",),
        "sources": ("spec", "sources"),
        "resources": ("spec", "resources"),
        "references": ("spec", "references"),
        "provider": ("metadata", "provider"),
        "labels": ("metadata", "labels"),
        "repository_contexts": ("repositoryContexts",),
        "signatures": ("signatures",),
    },
}


def _key(kind: str, identity: Mapping[str, str]) -> Tuple[str, FrozenSet]:
    return kind, frozenset(identity.items())


@dataclass(frozen=True)
class ComponentDescriptor:
    """A component descriptor. content: the parsed mapping, never changed; schema: v2 or v3alpha1."""

    schema: str
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_mapping(cls, content: Any, where: str) -> "ComponentDescriptor":
        """Check a parsed descriptor against its schema. Raises InvalidContent that names every fault."""
        if not isinstance(content, Mapping):
            raise InvalidContent(f"{where}: the component descriptor is not a mapping.")
        meta = content.get("meta")
        stated = meta.get("schemaVersion") if isinstance(meta, Mapping) else None
        if "apiVersion" in content and stated is not None:
            raise InvalidContent(f"{where}: the component descriptor mixes the schemas v2 and v3alpha1.")
        if "apiVersion" not in content and stated != V2:
            raise InvalidContent(
                f"{where}: the component descriptor's schema {stated!r} is not known.",
                "v2 (meta.schemaVersion) and v3alpha1 (apiVersion ocm.software/v3alpha1) can be read.",
            )
        schema = V3ALPHA1 if "apiVersion" in content else V2
        faults = faults_v3(content) if schema == V3ALPHA1 else faults_v2(content)
        if faults:
            more = f" (and {len(faults) - MAX_FAULTS_TOLD} more)" if len(faults) > MAX_FAULTS_TOLD else ""
            told = "; ".join(faults[:MAX_FAULTS_TOLD])
            raise InvalidContent(f"{where}: the component descriptor does not fit schema {schema}: {told}{more}.")
        return cls(schema, content)

    def _at(self, part: str) -> Any:
        value: Any = self.content
        for key in _PLACES[self.schema][part]:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @property
    def _head(self) -> Mapping[str, Any]:
        return self._at("head")

    @property
    def name(self) -> str:
        return self._head["name"]

    @property
    def version(self) -> str:
        return self._head["version"]

    @property
    def creation_time(self) -> str:
        return self._head.get("creationTime") or ""

    @property
    def provider(self) -> Dict[str, Any]:
        """`{name, labels}`, in whatever form the schema keeps it."""
        return parse_provider(self._head.get("provider"))

    @property
    def labels(self) -> List[Mapping[str, Any]]:
        return list(self._at("labels") or [])

    @property
    def sources(self) -> List[Element]:
        return list(self._at("sources") or [])

    @property
    def resources(self) -> List[Element]:
        return list(self._at("resources") or [])

    @property
    def references(self) -> List[Element]:
        return list(self._at("references") or [])

    @property
    def repository_contexts(self) -> List[Mapping[str, Any]]:
        return list(self._at("repository_contexts") or [])

    @property
    def signatures(self) -> List[Mapping[str, Any]]:
        return list(self._at("signatures") or [])

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"

    def elements(self, kind: str) -> List[Element]:
        """The elements of a kind: resource or source."""
        return self.resources if kind == "resource" else self.sources

    def contents(self) -> List[Tuple[str, Element]]:
        """Every element with its kind, resources first: the order in which local blobs become layers."""
        return [(kind, element) for kind in ("resource", "source") for element in self.elements(kind)]

    @cached_property
    def _by_identity(self) -> Mapping[Tuple[str, FrozenSet], Element]:
        contents = reversed(self.contents())
        return {_key(kind, self.identity_of(kind, element)): element for kind, element in contents}

    def find_element(self, kind: str, identity: Mapping[str, str]) -> Optional[Element]:
        """The element of a kind that has exactly this identity, the first of them; None if there is none."""
        return self._by_identity.get(_key(kind, identity))

    def access_of(self, element: Element) -> Access:
        return Access.from_mapping(element.get("access"), f"{self} {element['name']}")

    def identity_of(self, kind: str, element: Element) -> Dict[str, str]:
        return identity_of(element, self.elements(kind))

    def label_of(self, kind: str, element: Element) -> str:
        """How messages name an element: `acme.org/podinfo:1.0.0 resource image`."""
        return f"{self} {kind} {identity_text(self.identity_of(kind, element))}"

    def changed(self, **parts: Any) -> "ComponentDescriptor":
        """A new descriptor with some of sources, resources, labels, repository_contexts, signatures replaced."""
        content = copy.deepcopy(dict(self.content))
        for part, value in parts.items():
            path = _PLACES[self.schema][part]
            owner = content
            for key in path[:-1]:
                owner = owner[key]
            if value or owner.get(path[-1]):  # an empty list and none at all stay as they were written
                owner[path[-1]] = value
        return ComponentDescriptor(self.schema, content)

    def with_provider_labels(self, labels: Sequence[Mapping[str, Any]]) -> "ComponentDescriptor":
        """A new descriptor whose provider has these labels."""
        if list(labels) == list(self.provider.get("labels") or []):
            return self
        provider: Any = {"name": self.provider["name"], "labels": list(labels)}
        if self.schema == V2:
            provider = json.dumps(provider, separators=(",", ":"), ensure_ascii=False)
        return self.changed(provider=provider)

    def with_accesses(self, kind: str, accesses: Sequence[Mapping[str, Any]]) -> "ComponentDescriptor":
        """A new descriptor whose resources (or sources) have these accesses, in their order."""
        elements = [dict(element, access=dict(access)) for element, access in zip(self.elements(kind), accesses)]
        if elements == self.elements(kind):
            return self
        return self.changed(**{f"{kind}s": elements})
