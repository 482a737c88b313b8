# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as the OCM tools read and write it: the scalars of Go's YAML library, no time stamps, no aliases."""

from __future__ import annotations

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
_BOOLEAN = re.compile(r"\A(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)\Z")
_INTEGER = re.compile(r"\A[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"\A[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_TRUE = ("y", "yes", "on", "true")


class _GoLoader(_Loader):
    """Safe loader with Go's rules for plain scalars."""


class _GoDumper(_Dumper):
    """Dumper that quotes every text that Go would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _construct_boolean(loader: Any, node: Any) -> bool:
    return loader.construct_scalar(node).lower() in _TRUE


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
    _GoLoader.add_constructor("tag:yaml.org,2002:bool", _construct_boolean)
    _GoLoader.add_constructor("tag:yaml.org,2002:int", _construct_integer)
    _GoDumper.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeDumper.yaml_implicit_resolvers.items()}
    for tag, pattern, first in rules:
        _GoDumper.add_implicit_resolver(tag, pattern, first)


if yaml is not None:
    _set_up()


def load_yaml(raw: bytes, where: str) -> Any:
    """Read one YAML or JSON document. Raises InvalidContent that names `where` and the line."""
    if len(raw) > MAX_YAML_SIZE:
        raise InvalidContent(f"{where}: {len(raw)} bytes of YAML are over the limit of {MAX_YAML_SIZE}.")
    try:
        text = raw.decode("utf-8-sig")
        _refuse_aliases(text, where)
        return yaml.load(text, Loader=_GoLoader)  # a safe loader, see above
    except RecursionError:
        raise InvalidContent(f"{where}: the YAML text is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContent(f"{where}: not valid YAML ({_in_one_line(error)}).") from None


def dump_yaml(value: Any) -> bytes:
    """Write JSON-like data as YAML: keys sorted, block style, as the old OCM tool writes descriptors."""
    text = yaml.dump(value, Dumper=_GoDumper, sort_keys=True, allow_unicode=True, width=2**31, default_flow_style=False)
    return text.encode("utf-8")


def _refuse_aliases(text: str, where: str) -> None:
    if "*" not in text or "&" not in text:
        return
    for event in yaml.parse(text, Loader=_GoLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InvalidContent(f"{where}: line {line} has the YAML alias *{event.anchor}; aliases are not accepted.")


def _in_one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or ' '.join(str(error).split())}{place}"
