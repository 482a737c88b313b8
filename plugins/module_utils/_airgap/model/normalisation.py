# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The normal forms of a component descriptor that digests and signatures cover.

Implements jsonNormalisation/v1, v2 and v3 as the OCM library computes them, with the deviations from the
specification that existing signatures depend on: labels of references are kept whole in v2 and v3.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any, Callable, Dict, List, Mapping, Sequence, Union

from .access import canonical_type
from .descriptor import V2, ComponentDescriptor
from .errors import InvalidContent

ALGORITHMS = ("jsonNormalisation/v1", "jsonNormalisation/v2", "jsonNormalisation/v3")
_SIGNED_LABEL_FIELDS = ("name", "version", "value", "signing")


def normalise(descriptor: ComponentDescriptor, algorithm: str = "jsonNormalisation/v3") -> str:
    """The normal form as text. Raises InvalidContent for an algorithm that is not in ALGORITHMS."""
    if algorithm == "jsonNormalisation/v1":
        return _entry_form(_v1_input(descriptor))
    if algorithm in ALGORITHMS:
        return canonical_json({"component": _component(descriptor, algorithm == "jsonNormalisation/v2")})
    raise InvalidContent(f"{descriptor}: the normalisation algorithm {algorithm!r} is not supported.")


def descriptor_digest(descriptor: ComponentDescriptor, algorithm: str = "jsonNormalisation/v3") -> str:
    """SHA-256 of the normal form, in lower-case hex."""
    return hashlib.sha256(normalise(descriptor, algorithm).encode("utf-8")).hexdigest()


def canonical_json(value: Any) -> str:
    """RFC 8785: keys sorted by UTF-16 code units, no blanks, numbers as ECMAScript writes them."""
    return _write(value, _plain_string)


def signed_labels(labels: Any) -> List[Dict[str, Any]]:
    """The labels that a signature covers, with the fields that it covers."""
    return [
        {key: label[key] for key in _SIGNED_LABEL_FIELDS if key in label}
        for label in labels or []
        if label.get("signing") in (True, "true")
    ]


def _component(descriptor: ComponentDescriptor, legacy: bool) -> Dict[str, Any]:
    resources = _with_legacy_identity(descriptor.resources) if legacy else descriptor.resources
    form: Dict[str, Any] = {
        "name": descriptor.name,
        "version": descriptor.version,
        "provider": _with_signed_labels(descriptor.provider),
        "componentReferences": [_reference(element) for element in descriptor.references],
        "resources": [_artifact(element, ("relation", "digest")) for element in resources],
        "sources": [_artifact(element, ()) for element in descriptor.sources],
    }
    if descriptor.creation_time:
        form["creationTime"] = descriptor.creation_time
    labels = signed_labels(descriptor.labels)
    return dict(form, labels=labels) if labels else form


def _artifact(element: Mapping[str, Any], further: Sequence[str]) -> Dict[str, Any]:
    form = _present(element, ("name", "version", "extraIdentity", "type", "labels") + tuple(further))
    if _has_no_content(element):
        form.pop("digest", None)
    return _with_signed_labels(form)


def _reference(element: Mapping[str, Any]) -> Dict[str, Any]:
    return _present(element, ("name", "version", "extraIdentity", "componentName", "digest", "labels"))


def _present(element: Mapping[str, Any], fields: Sequence[str]) -> Dict[str, Any]:
    return {key: element[key] for key in fields if element.get(key) not in (None, {}, [])}


def _with_signed_labels(value: Mapping[str, Any]) -> Dict[str, Any]:
    form = {key: part for key, part in value.items() if key != "labels"}
    labels = signed_labels(value.get("labels"))
    return dict(form, labels=labels) if labels else form


def _has_no_content(element: Mapping[str, Any]) -> bool:
    return canonical_type(element["access"]["type"]) == "none"


def _with_legacy_identity(resources: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Old tools gave all but the last of equally identified resources their version as extra identity."""
    result = [dict(resource) for resource in resources]
    for index, left in enumerate(result):
        for right in result[index + 1:]:
            if left["name"] == right["name"] and _extra(left) == _extra(right):
                left["extraIdentity"] = dict(_extra(left), version=left["version"])
                break
    return result


def _extra(element: Mapping[str, Any]) -> Mapping[str, Any]:
    return element.get("extraIdentity") or {}


def _v1_input(descriptor: ComponentDescriptor) -> Dict[str, Any]:
    """The serialised descriptor of its schema, without what signatures leave out."""
    content = {key: value for key, value in descriptor.content.items() if key not in ("signatures", "nestedDigests")}
    if descriptor.schema != V2:
        return _v1_input_of_v3(content)
    component = dict(content["component"])
    component.pop("repositoryContexts", None)
    component.pop("sources", None)
    resources = _with_legacy_identity(descriptor.resources)
    component["resources"] = [_v1_element(element, True) for element in resources]
    component["componentReferences"] = [_v1_element(element, True) for element in descriptor.references]
    if set(descriptor.provider) - {"name"}:
        component["provider"] = _with_signed_labels(descriptor.provider)
    return dict(content, component=_with_signed_labels(_without_none(component)))


def _v1_input_of_v3(content: Dict[str, Any]) -> Dict[str, Any]:
    content.pop("repositoryContexts", None)
    spec = {
        key: [_v1_element(element, False) for element in elements]
        for key, elements in content["spec"].items()
        if elements
    }
    metadata = _with_signed_labels(content["metadata"])
    if isinstance(metadata.get("provider"), Mapping):
        metadata["provider"] = _with_signed_labels(metadata["provider"])
    return dict(content, spec=spec, metadata=metadata)


def _v1_element(element: Mapping[str, Any], explicit_identity: bool) -> Dict[str, Any]:
    form = {key: value for key, value in element.items() if key not in ("access", "srcRefs", "srcRef")}
    if "access" in element and _has_no_content(element):
        form.pop("digest", None)
    form = _without_none(form)
    if not form.get("extraIdentity"):
        form.pop("extraIdentity", None)
        if explicit_identity:
            form["extraIdentity"] = None
    return _with_signed_labels(form)


def _without_none(value: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: part for key, part in value.items() if part is not None}


def _entry_form(value: Any) -> str:
    """Every object becomes a list of objects with one key each, sorted by key."""
    return _write(_entries(value), _html_safe_string)


def _entries(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [{key: _entries(value[key])} for key in sorted(value, key=lambda key: key.encode("utf-8"))]
    return [_entries(item) for item in value] if isinstance(value, (list, tuple)) else value


def _write(value: Any, string: Callable[[str], str]) -> str:
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{string(key)}:{_write(value[key], string)}" for key in keys) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(item, string) for item in value) + "]"
    if isinstance(value, str):
        return string(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _ecmascript_number(value)
    return json.dumps(value)


def _plain_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _html_safe_string(text: str) -> str:
    escaped = _plain_string(text)
    for character in "<>&\u2028\u2029":
        escaped = escaped.replace(character, f"\\u{ord(character):04x}")
    return escaped


def _ecmascript_number(number: Union[int, float]) -> str:
    """The shortest text of the double that is nearest; also for integers, which JSON readers hold as doubles."""
    double = _double(number)
    if double == 0:
        return "0"
    negative, digits, exponent = Decimal(repr(double)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + exponent
    sign = "-" if negative else ""
    if len(text) <= point <= 21:
        return sign + text.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{text[:point]}.{text[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{text}"
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{sign}{text[0]}{fraction}e{point - 1:+d}"


def _double(number: Union[int, float]) -> float:
    try:
        double = float(number)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise InvalidContent("A number that no double can hold cannot be in a normalised descriptor.")
    return double
