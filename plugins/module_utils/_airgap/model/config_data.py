# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ConfigData, the document with the localization and configuration rules of a component (ocm-controller's format)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .errors import InvalidContent

API_VERSION = "config.ocm.software/v1alpha1"
KIND = "ConfigData"
TARGETS = ("registry", "repository", "fullyQualifiedRepository", "image", "tag")


@dataclass(frozen=True)
class LocalizationRule:
    """Writes parts of a resource's image reference to paths of a file.

    index: position in the list, from 0. resource: the identity (name and extra identity), empty beside a mapping.
    targets: key (one of TARGETS, in the order of application) -> path. mapping: the rule is a CUE program.
    """

    index: int
    name: str
    file: str
    resource: Mapping[str, str]
    targets: Mapping[str, str]
    mapping: bool = False


@dataclass(frozen=True)
class ConfigurationRule:
    """Writes a value, or what an expression in it yields, to a path of a file. index: from 0."""

    index: int
    file: str
    path: str
    value: Any


@dataclass(frozen=True)
class ConfigData:
    """The rules of one component version. defaults: what the values are merged over. schema: JSON schema of both."""

    localization: Tuple[LocalizationRule, ...] = ()
    configuration: Tuple[ConfigurationRule, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    schema: Optional[Mapping[str, Any]] = None

    @classmethod
    def from_mapping(cls, value: Any, where: str) -> "ConfigData":
        """Check a parsed document; `where` names it in messages. apiVersion and kind may be absent (inline rules).

        Raises InvalidContent naming the rule (counted from 1) and the field.
        """
        document = _mapping(value, where)
        _check_type(document, where)
        configuration = _optional_mapping(document, "configuration", where)
        return cls(
            localization=tuple(
                _localization_rule(rule, index, where)
                for index, rule in enumerate(_optional_list(document, "localization", where))
            ),
            configuration=tuple(
                _configuration_rule(rule, index, where)
                for index, rule in enumerate(_optional_list(configuration, "rules", f"{where}: configuration"))
            ),
            defaults=_optional_mapping(configuration, "defaults", f"{where}: configuration"),
            schema=_optional_mapping(configuration, "schema", f"{where}: configuration") or None,
        )


def _check_type(document: Mapping[str, Any], where: str) -> None:
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        found = document.get(key)
        if found is not None and found != expected:
            raise InvalidContent(
                f"{where}: the {key} is {found!r}, not {expected!r}.",
                f"Rules come from a document of kind {KIND} ({API_VERSION}).",
            )


def _localization_rule(value: Any, index: int, where: str) -> LocalizationRule:
    place = f"{where}: localization rule {index + 1}"
    rule = _mapping(value, place)
    mapping = rule.get("mapping") is not None
    targets: Dict[str, str] = {}
    for key in TARGETS:
        if rule.get(key) not in (None, ""):
            targets[key] = _text(rule, key, place)
    if not targets and not mapping:
        raise InvalidContent(
            f"{place} says nowhere what to write (its fields: {', '.join(map(str, rule)) or 'none'}).",
            f"Give it one of {', '.join(TARGETS)}, each with the path of the value to replace.",
        )
    return LocalizationRule(
        index=index,
        name=str(rule.get("name") or ""),
        file=_text(rule, "file", place),
        resource={} if mapping and rule.get("resource") is None else _identity(rule, place),
        targets=targets,
        mapping=mapping,
    )


def _identity(rule: Mapping[str, Any], place: str) -> Dict[str, str]:
    if rule.get("resource") is None:
        raise InvalidContent(f"{place}: the field resource is missing.")
    resource = _mapping(rule["resource"], f"{place}: resource")
    identity = {"name": _text(resource, "name", f"{place}: resource")}
    extra = _optional_mapping(resource, "extraIdentity", f"{place}: resource")
    for key in extra:
        identity[str(key)] = _text(extra, key, f"{place}: resource: extraIdentity")
    return identity


def _configuration_rule(value: Any, index: int, where: str) -> ConfigurationRule:
    place = f"{where}: configuration rule {index + 1}"
    rule = _mapping(value, place)
    if "value" not in rule:
        raise InvalidContent(f"{place}: the field value is missing.")
    return ConfigurationRule(
        index=index, file=_text(rule, "file", place), path=_text(rule, "path", place), value=rule["value"]
    )


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidContent(f"{place} is not a map.")
    return value


def _optional_mapping(parent: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return {} if value is None else _mapping(value, f"{place}: {key}")


def _optional_list(parent: Mapping[str, Any], key: str, place: str) -> List[Any]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise InvalidContent(f"{place}: {key} is not a list.")
    return list(value)


def _text(parent: Mapping[str, Any], key: str, place: str) -> str:
    value = parent.get(key)
    if value is None or value == "":
        raise InvalidContent(f"{place}: the field {key} is missing.")
    if not isinstance(value, str):
        raise InvalidContent(f"{place}: the field {key} is not a text.")
    return value
