# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a component descriptor must look like: the schemas v2 and v3alpha1, checked with every fault named.

Follows the JSON schemas of the OCM specification, which all OCM tools check on every read.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping

from .reference import is_component_name
from .version import Version

V3_API_VERSIONS = ("ocm.software/v3alpha1", "ocm.gardener.cloud/v3alpha1")
MAX_FAULTS_TOLD = 10
_ELEMENT_NAME = re.compile(r"\A[a-z0-9]([-_+a-z0-9]*[a-z0-9])?\Z")
_LABEL_VERSION = re.compile(r"\Av[0-9]+\Z")
_CREATION_TIME = re.compile(r"\A\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")
_ELEMENT_FIELDS = ("name", "version", "extraIdentity", "labels")
_REFERENCE_FIELDS = _ELEMENT_FIELDS + ("componentName", "digest")


class _Checker:
    """Collects faults as `path: what is wrong`."""

    def __init__(self) -> None:
        self.faults: List[str] = []

    def fault(self, path: str, text: str) -> None:
        self.faults.append(f"{path}: {text}")

    def mapping(self, value: Any, path: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        self.fault(path, f"must be a mapping, not {_kind(value)}")
        return {}

    def required(self, value: Mapping[str, Any], path: str, *fields: str) -> None:
        for field in fields:
            if field not in value:
                self.fault(path, f"{field} is missing")

    def text(self, value: Mapping[str, Any], path: str, *fields: str) -> None:
        for field in fields:
            if field in value and not isinstance(value[field], str):
                self.fault(f"{path}.{field}", f"must be a text, not {_kind(value[field])}")

    def known(self, value: Mapping[str, Any], path: str, fields: Any) -> None:
        for field in value:
            if field not in fields:
                self.fault(path, f"{field!r} is not a field of it")

    def version(self, value: Mapping[str, Any], path: str) -> None:
        version = value.get("version")
        if "version" in value and Version.parse_or_none(version) is None:
            self.fault(f"{path}.version", f"{version!r} is not a version")

    def component_name(self, value: Mapping[str, Any], path: str, field: str) -> None:
        name = value.get(field)
        if field in value and not (isinstance(name, str) and is_component_name(name)):
            self.fault(f"{path}.{field}", f"{name!r} is not a component name (domain/path in lower case)")

    def each(self, value: Any, path: str, check: Callable[[Any, str], None], nullable: bool = True) -> None:
        if value is None and nullable:
            return
        if not isinstance(value, list):
            self.fault(path, f"must be a list, not {_kind(value)}")
            return
        for index, item in enumerate(value):
            check(item, f"{path}[{index}]")

    def labels(self, owner: Mapping[str, Any], path: str) -> None:
        self.each(owner.get("labels"), f"{path}.labels", self.label)

    def label(self, value: Any, path: str) -> None:
        label = self.mapping(value, path)
        self.required(label, path, "name", "value")
        self.text(label, path, "name")
        if "version" in label and not _LABEL_VERSION.match(str(label["version"])):
            self.fault(f"{path}.version", f"{label['version']!r} is not v and a number")
        signing = label.get("signing")
        if signing is not None and not isinstance(signing, bool) and signing not in ("true", "false"):
            self.fault(f"{path}.signing", "must be true or false")

    def identity(self, value: Any, path: str) -> None:
        if value is None:
            return
        for key, part in self.mapping(value, path).items():
            if not isinstance(key, str) or len(key) < 2 or not _ELEMENT_NAME.match(key):
                self.fault(path, f"{key!r} is not an attribute name (two or more of a-z 0-9 - _ +)")
            if not isinstance(part, str):
                self.fault(f"{path}.{key}", f"must be a text, not {_kind(part)}")

    def digest(self, value: Any, path: str) -> None:
        if value is None:
            return
        digest = self.mapping(value, path)
        fields = ("hashAlgorithm", "normalisationAlgorithm", "value")
        self.required(digest, path, *fields)
        self.text(digest, path, *fields)

    def element(self, value: Any, path: str) -> Mapping[str, Any]:
        element = self.mapping(value, path)
        self.required(element, path, "name", "version")
        name = element.get("name")
        if "name" in element and not (isinstance(name, str) and len(name) > 1 and _ELEMENT_NAME.match(name)):
            self.fault(f"{path}.name", f"{name!r} is not an element name (two or more of a-z 0-9 - _ +)")
        self.version(element, path)
        self.identity(element.get("extraIdentity"), f"{path}.extraIdentity")
        self.labels(element, path)
        return element

    def artifact(self, value: Any, path: str) -> Mapping[str, Any]:
        element = self.element(value, path)
        self.required(element, path, "type", "access")
        self.text(element, path, "type")
        if "access" in element:
            access = self.mapping(element["access"], f"{path}.access")
            self.required(access, f"{path}.access", "type")
            self.text(access, f"{path}.access", "type")
        return element

    def source(self, value: Any, path: str) -> None:
        self.artifact(value, path)

    def resource(self, value: Any, path: str) -> None:
        resource = self.artifact(value, path)
        self.required(resource, path, "relation")
        if "relation" in resource and resource["relation"] not in ("local", "external"):
            self.fault(f"{path}.relation", f"{resource['relation']!r} is neither local nor external")
        self.digest(resource.get("digest"), f"{path}.digest")
        self.each(resource.get("srcRefs", resource.get("srcRef")), f"{path}.srcRefs", self.source_reference)

    def source_reference(self, value: Any, path: str) -> None:
        reference = self.mapping(value, path)
        self.known(reference, path, ("identitySelector", "labels"))
        self.identity(reference.get("identitySelector"), f"{path}.identitySelector")
        self.labels(reference, path)

    def reference(self, value: Any, path: str) -> None:
        reference = self.element(value, path)
        self.required(reference, path, "componentName")
        self.known(reference, path, _REFERENCE_FIELDS)
        self.component_name(reference, path, "componentName")
        self.digest(reference.get("digest"), f"{path}.digest")

    def repository_context(self, value: Any, path: str) -> None:
        context = self.mapping(value, path)
        self.required(context, path, "type")
        self.text(context, path, "type")

    def signature(self, value: Any, path: str) -> None:
        signature = self.mapping(value, path)
        self.required(signature, path, "name", "digest", "signature")
        self.text(signature, path, "name")
        self.digest(signature.get("digest"), f"{path}.digest")
        inner = self.mapping(signature.get("signature", {}), f"{path}.signature")
        self.required(inner, f"{path}.signature", "algorithm", "value", "mediaType")

    def head(self, component: Mapping[str, Any], path: str) -> None:
        self.component_name(component, path, "name")
        self.version(component, path)
        self.labels(component, path)
        created = component.get("creationTime")
        if created is not None and not (isinstance(created, str) and _CREATION_TIME.match(created)):
            self.fault(f"{path}.creationTime", f"{created!r} is not a time such as 2026-11-22T07:21:43Z")


def parse_provider(value: Any) -> Dict[str, Any]:
    """`{name, labels}` of a provider; schema v2 keeps labels in a JSON text in place of the name."""
    fields = value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            fields = json.loads(value)
        except (ValueError, RecursionError):
            fields = None
    if isinstance(fields, Mapping) and isinstance(fields.get("name"), str):
        return {key: fields[key] for key in ("name", "labels") if key in fields}
    return {"name": value or ""}


def faults_v2(content: Mapping[str, Any]) -> List[str]:
    """Every way in which the mapping is not a descriptor of schema v2."""
    check = _Checker()
    component = check.mapping(content.get("component"), "component")
    lists = ("repositoryContexts", "sources", "componentReferences", "resources")
    check.required(component, "component", "name", "version", "provider", *lists)
    check.text(component, "component", "provider")
    check.labels(parse_provider(component.get("provider")), "component.provider")
    check.head(component, "component")
    check.each(component.get("repositoryContexts"), "component.repositoryContexts", check.repository_context)
    check.each(component.get("sources"), "component.sources", check.source)
    check.each(component.get("componentReferences"), "component.componentReferences", check.reference)
    check.each(component.get("resources"), "component.resources", check.resource)
    check.each(content.get("signatures"), "signatures", check.signature)
    return check.faults


def faults_v3(content: Mapping[str, Any]) -> List[str]:
    """Every way in which the mapping is not a descriptor of schema v3alpha1."""
    check = _Checker()
    if content.get("apiVersion") not in V3_API_VERSIONS:
        check.fault("apiVersion", f"{content.get('apiVersion')!r} is not one of {', '.join(V3_API_VERSIONS)}")
    if content.get("kind") != "ComponentVersion":
        check.fault("kind", f"{content.get('kind')!r} is not ComponentVersion")
    metadata = check.mapping(content.get("metadata"), "metadata")
    check.required(metadata, "metadata", "name", "version")
    check.head(metadata, "metadata")
    provider = check.mapping(metadata.get("provider", {"name": ""}), "metadata.provider")
    check.required(provider, "metadata.provider", "name")
    check.labels(provider, "metadata.provider")
    spec = check.mapping(content.get("spec"), "spec")
    check.known(spec, "spec", ("sources", "references", "resources"))
    check.each(content.get("repositoryContexts"), "repositoryContexts", check.repository_context)
    check.each(spec.get("sources"), "spec.sources", check.source)
    check.each(spec.get("references"), "spec.references", check.reference)
    check.each(spec.get("resources"), "spec.resources", check.resource)
    check.each(content.get("signatures"), "signatures", check.signature)
    return check.faults


def _kind(value: Any) -> str:
    names = {type(None): "nothing", bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "a list" if isinstance(value, list) else type(value).__name__)
