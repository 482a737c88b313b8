# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as the OCM tools read and write it: the scalars of Go's YAML library, JSON's types, no aliases."""

from __future__ import annotations

import math
import re
import traceback
from typing import Any, Callable, List

from ..model.errors import InvalidContent

try:
    import yaml

    YAML_IMPORT_ERROR = None
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _Dumper = yaml.SafeDumper
except ImportError:
    YAML_IMPORT_ERROR = traceback.format_exc()
    yaml = None
    _Loader = _Dumper = object

MAX_YAML_SIZE = 64 * 1024 * 1024
MAX_YAML_DEPTH = 100
_PATTERNS = {
    "null": re.compile(r"\A(?:~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"\A(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)\Z"),
    "int": re.compile(
        r"\A[-+]?(?:0b_*[01][01_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0o_*[0-7][0-7_]*|0[0-7_]*|[1-9][0-9_]*)\Z"
    ),
    "float": re.compile(r"\A[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
    "merge": re.compile(r"\A<<\Z"),
}
# The characters that such a scalar begins with; "" is the empty scalar.
_FIRST = {
    "null": ["~", "n", "N", ""],
    "bool": list("yYnNtTfFoO"),
    "int": list("-+0123456789"),
    "float": list("-+.0123456789"),
    "merge": ["<"],
}
_TRUE = ("y", "yes", "on", "true")
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
# what JSON knows; every other tag is refused
_JSON_TAGS = tuple(f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map"))


class _GoLoader(_Loader):
    """Safe loader with Go's rules for plain scalars, keys that are texts, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _value in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self._key(key_node)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return {_key_text(key): value for key, value in super().construct_mapping(node, deep).items()}

    def _key(self, node: Any) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key is no text", problem_mark=node.start_mark)
        return _key_text(self.construct_object(node, deep=True))


class _GoDumper(_Dumper):
    """Dumper that quotes every text that Go would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _key_text(key: Any) -> str:
    """The key as Go's conversion to JSON writes it: the key `n` is "false"."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)


def _represent_text(dumper: Any, text: str) -> Any:
    """Line breaks of Unicode are lost in plain and single quotes, the byte order mark too."""
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029\ufeff") else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


def plain_tag(text: str) -> str:
    """The type of a scalar without quotes: null, bool, int, float, merge or str. There are no timestamps."""
    return next((tag for tag, pattern in _PATTERNS.items() if pattern.match(text)), "str")


def scalar_value(tag: str, text: str) -> Any:
    """The value of a scalar of a type: None, truth value, number or text; text where it cannot be of the type.

    As in Go's yaml.v2 an integer over 64 bits is a float, and a number that no double can hold (1e999) is text.
    """
    if tag == "null":
        return None
    if tag == "bool" and _PATTERNS["bool"].match(text):
        return text.lower() in _TRUE
    digits = text.replace("_", "")
    if tag == "int" and _PATTERNS["int"].match(text):
        number = _integer(digits)
        if -(2**63) <= number < 2**64:
            return number
    if tag in ("int", "float") and _PATTERNS["float"].match(text):
        return float(digits) if math.isfinite(float(digits)) else text
    return text


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = "0o" + digits[1:]
    return sign * int(digits, 0)


def _construct(loader: Any, node: Any) -> Any:
    text, tag = loader.construct_scalar(node), node.tag[len(_TAG):]
    if not _PATTERNS[tag].match(text):
        raise ValueError(f"{text!r} is not of the type {tag}")
    return scalar_value(tag, text)


def _set_up() -> None:
    _GoLoader.yaml_implicit_resolvers = {}
    _GoDumper.yaml_implicit_resolvers = {
        key: list(value) for key, value in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }
    for tag, pattern in _PATTERNS.items():
        _GoLoader.add_implicit_resolver(_TAG + tag, pattern, _FIRST[tag])
        _GoDumper.add_implicit_resolver(_TAG + tag, pattern, _FIRST[tag])
    known = _GoLoader.yaml_constructors
    _GoLoader.yaml_constructors = {tag: known[tag] for tag in _JSON_TAGS + (None,)}
    for tag in ("bool", "int", "float"):
        _GoLoader.add_constructor(_TAG + tag, _construct)
    _GoDumper.add_representer(str, _represent_text)


if yaml is not None:
    _set_up()


def load_yaml(raw: bytes, where: str) -> Any:
    """Read one YAML or JSON document. Raises InvalidContent that names `where` and the line."""
    return _load(raw, where, aliases=False, load=yaml.load)


def load_yaml_documents(raw: bytes, where: str) -> List[Any]:
    """Read every document of a file as kubectl and Flux do, with aliases. Raises InvalidContent as load_yaml."""
    return _load(raw, where, aliases=True, load=lambda text, Loader: list(yaml.load_all(text, Loader=Loader)))


def _load(raw: bytes, where: str, aliases: bool, load: Callable[..., Any]) -> Any:
    if len(raw) > MAX_YAML_SIZE:
        raise InvalidContent(f"{where}: {len(raw)} bytes of YAML are over the limit of {MAX_YAML_SIZE}.")
    try:
        text = raw.decode("utf-8-sig")
        _check_events(text, where, aliases)
        return load(text, Loader=_GoLoader)  # a safe loader, see above
    except RecursionError:
        raise InvalidContent(f"{where}: the YAML text is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContent(f"{where}: not valid YAML ({_in_one_line(error)}).") from None


def dump_yaml(value: Any) -> bytes:
    """Write JSON-like data as YAML: keys sorted, block style, as the old OCM tool writes descriptors."""
    text = yaml.dump(value, Dumper=_GoDumper, sort_keys=True, allow_unicode=True, width=2**31, default_flow_style=False)
    return text.encode("utf-8")


def _check_events(text: str, where: str, aliases: bool) -> None:
    """Refuse aliases where they are not wanted, and nesting that would exhaust the stack of the parser (which no exception reports)."""
    depth = 0
    for event in yaml.parse(text, Loader=_GoLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise InvalidContent(f"{where}: the YAML text is nested deeper than {MAX_YAML_DEPTH} levels.")
        if isinstance(event, yaml.AliasEvent) and not aliases:
            line = event.start_mark.line + 1
            raise InvalidContent(f"{where}: line {line} has the YAML alias *{event.anchor}; aliases are not accepted.")


def _in_one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or ' '.join(str(error).split())}{place}"
