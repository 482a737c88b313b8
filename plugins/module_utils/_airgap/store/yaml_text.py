# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as the OCM tools read and write it: the scalars of Go's YAML library, JSON's types, no aliases."""

from __future__ import annotations

import math
import re
import traceback
from typing import Any

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
_BOOLEAN = re.compile(r"\A(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)\Z")
_INTEGER = re.compile(r"\A[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"\A[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
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


def _construct_boolean(loader: Any, node: Any) -> bool:
    text = loader.construct_scalar(node)
    if not _BOOLEAN.match(text):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in _TRUE


def _construct_float(loader: Any, node: Any) -> Any:
    """A number; one that no double can hold stays text, as in Go (a commit such as 1e999 is one)."""
    text = loader.construct_scalar(node)
    number = float(text.replace("_", ""))
    return number if math.isfinite(number) else text


def _construct_integer(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if digits.startswith(("0x", "0b", "0o")):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)


def _set_up() -> None:
    rules = (
        ("tag:yaml.org,2002:bool", _BOOLEAN, list("yYnNtTfFoO")),
        ("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789")),
        ("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789")),
        ("tag:yaml.org,2002:null", re.compile(r"\A(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
        ("tag:yaml.org,2002:merge", re.compile(r"\A<<\Z"), ["<"]),
    )
    _GoLoader.yaml_implicit_resolvers = {}
    for tag, pattern, first in rules:
        _GoLoader.add_implicit_resolver(tag, pattern, first)
    known = _GoLoader.yaml_constructors
    _GoLoader.yaml_constructors = {tag: known[tag] for tag in _JSON_TAGS + (None,)}
    _GoLoader.add_constructor(f"{_TAG}bool", _construct_boolean)
    _GoLoader.add_constructor(f"{_TAG}int", _construct_integer)
    _GoLoader.add_constructor(f"{_TAG}float", _construct_float)
    _GoDumper.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeDumper.yaml_implicit_resolvers.items()}
    for tag, pattern, first in rules:
        _GoDumper.add_implicit_resolver(tag, pattern, first)
    _GoDumper.add_representer(str, _represent_text)


if yaml is not None:
    _set_up()


def load_yaml(raw: bytes, where: str) -> Any:
    """Read one YAML or JSON document. Raises InvalidContent that names `where` and the line."""
    if len(raw) > MAX_YAML_SIZE:
        raise InvalidContent(f"{where}: {len(raw)} bytes of YAML are over the limit of {MAX_YAML_SIZE}.")
    try:
        text = raw.decode("utf-8-sig")
        _check_events(text, where)
        return yaml.load(text, Loader=_GoLoader)  # a safe loader, see above
    except RecursionError:
        raise InvalidContent(f"{where}: the YAML text is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContent(f"{where}: not valid YAML ({_in_one_line(error)}).") from None


def dump_yaml(value: Any) -> bytes:
    """Write JSON-like data as YAML: keys sorted, block style, as the old OCM tool writes descriptors."""
    text = yaml.dump(value, Dumper=_GoDumper, sort_keys=True, allow_unicode=True, width=2**31, default_flow_style=False)
    return text.encode("utf-8")


def _check_events(text: str, where: str) -> None:
    """Refuse aliases, and nesting that would exhaust the stack of the parser (which no exception reports)."""
    depth = 0
    for event in yaml.parse(text, Loader=_GoLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise InvalidContent(f"{where}: the YAML text is nested deeper than {MAX_YAML_DEPTH} levels.")
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InvalidContent(f"{where}: line {line} has the YAML alias *{event.anchor}; aliases are not accepted.")


def _in_one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or ' '.join(str(error).split())}{place}"
