# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as YAML and JSON text in the style of the file that they go into."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, List, Tuple

from .tree import Node, plain_tag

# What YAML 1.1 or YAML 1.2 parsers, in any language, may take for something else than text.
_OTHER_TYPES = re.compile(
    r"""\A(?:
        [yYnN]|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|=|<<
        |[-+]?0[bB][01_]+|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO][0-7_]+
        |[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
        |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?
    )\Z""",
    re.VERBOSE,
)
_INDICATORS = "-?:,[]{}#&*!|>'\"%@`"
_FLOW_INDICATORS = ",[]{}:?"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class FileStyle:
    """How a file is written. step: indentation of maps, offset: of lists below their key, in columns.

    literals: texts of several lines may be block scalars. is_json: every value is JSON. indent: of pretty JSON, "" for
    one line. colon, comma: JSON's separators. ascii_only: other letters are escaped.
    """

    newline: str = "\n"
    step: int = 2
    offset: int = 2
    literals: bool = True
    is_json: bool = False
    indent: str = ""
    colon: str = ": "
    comma: str = ", "
    ascii_only: bool = False


def file_style(text: str, root: Any, is_json: bool) -> FileStyle:
    """Look at a file's text and its root node (None: nothing in it yet)."""
    newline = "\r\n" if re.search(r"\A[^\n]*\r\n", text) else "\n"
    if is_json:
        return _json_style(text, newline)
    step, offset = _block_indentation(root) if root is not None else (2, 2)
    return FileStyle(newline=newline, step=step, offset=offset)


def _json_style(text: str, newline: str) -> FileStyle:
    indent = re.search(r"[\[{][ \t]*\r?\n([ \t]+)", text)
    colon = re.search(r'"(\s*:[ \t]*)[^\s]', text)
    separator = colon.group(1) if colon else ": "
    return FileStyle(
        newline=newline,
        is_json=True,
        indent=indent.group(1) if indent else "",
        colon=separator if "\n" not in separator else ": ",
        comma=", " if separator.endswith(" ") else ",",
        ascii_only=text.isascii() and "\\u" in text,
    )


def _block_indentation(root: Node) -> Tuple[int, int]:
    """The columns by which the first nested map and the first list below a key are indented."""
    step, offset = 0, -1
    todo = [root]
    while todo and (not step or offset < 0):
        node = todo.pop(0)
        if node.kind == "list":
            todo.extend(node.value)
        if node.kind != "map":
            continue
        for key, value in node.value:
            todo.append(value)
            if value.style != "block" or not value.value or value.anchor or value.explicit_tag:
                continue
            if value.kind == "map" and not step:
                step = max(value.column - key.column, 0)
            elif value.kind == "list" and offset < 0:
                offset = max(value.column - key.column, 0)
    step = step or 2
    return step, offset if offset >= 0 else step


def scalar(value: Any, style: str = "", flow: bool = False) -> str:
    """A scalar as YAML on one line. style: the quotes to keep where they can hold the value."""
    if not isinstance(value, str):
        return json_scalar(value)
    printable = not _UNPRINTABLE.search(value) and "\n" not in value
    if style == "'" and printable:
        return "'" + value.replace("'", "''") + "'"
    if style == '"' or not printable or not is_plain(value, flow):
        return double_quoted(value)
    return value


def json_scalar(value: Any, ascii_only: bool = False) -> str:
    """A scalar as JSON, with floats that YAML 1.1 reads as floats too."""
    if isinstance(value, str):
        return double_quoted(value, ascii_only)
    text = json.dumps(value, allow_nan=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


def double_quoted(value: str, ascii_only: bool = False) -> str:
    """Text in double quotes; the escapes mean the same in JSON and YAML."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def is_plain(value: str, flow: bool = False) -> bool:
    """Whether a text needs no quotes: every YAML parser reads it as that text."""
    if not value or value != value.strip() or _OTHER_TYPES.match(value) or plain_tag(value) != "str":
        return False
    if value[0] in _INDICATORS and not (value[0] == "-" and len(value) > 1 and value[1].isalnum()):
        return False
    if ": " in value or " #" in value or value.endswith(":") or "\t" in value:
        return False
    return not (flow and any(mark in value for mark in _FLOW_INDICATORS))


def flow(value: Any) -> str:
    """A value as YAML on one line, in the flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, flow=True)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value, flow=True)


def json_text(value: Any, style: FileStyle, margin: str, one_line: bool = False) -> str:
    """A value as JSON. margin: the white space at the beginning of the line that it stands on."""
    if not isinstance(value, (dict, list)) or not value:
        return json_scalar(value, style.ascii_only) if not isinstance(value, (dict, list)) else json.dumps(value)
    pretty = bool(style.indent) and not one_line
    inner = margin + style.indent
    items = [json_text(item, style, inner, one_line) for item in (value.values() if isinstance(value, dict) else value)]
    if isinstance(value, dict):
        keys = (double_quoted(key, style.ascii_only) for key in value)
        items = [key + style.colon + item for key, item in zip(keys, items)]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if not pretty:
        return opening + style.comma.join(items) + closing
    lines = f",{style.newline}{inner}".join(items)
    return f"{opening}{style.newline}{inner}{lines}{style.newline}{margin}{closing}"


def block(value: Any, indent: int, style: FileStyle) -> List[str]:
    """A map or list that is not empty as YAML lines; indent: the column of its keys or dashes."""
    margin = " " * indent
    lines: List[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines.extend(entry(key, item, indent, style))
        return lines
    for item in value:
        head, body = below_dash(item, indent, style)
        lines.append(f"{margin}- {head}")
        lines.extend(body)
    return lines


def entry(key: str, value: Any, indent: int, style: FileStyle) -> List[str]:
    """A key with its value as YAML lines."""
    head, body = below_key(value, indent, style)
    first = " " * indent + scalar(key) + ":"
    return [f"{first} {head}" if head else first] + body


def below_key(value: Any, indent: int, style: FileStyle, quotes: str = "") -> Tuple[str, List[str]]:
    """What stands behind a key and what in the lines below. indent: the key's column."""
    if isinstance(value, (dict, list)) and value:
        return "", block(value, indent + (style.step if isinstance(value, dict) else style.offset), style)
    return _inline(value, indent + style.step, quotes, style.literals)


def below_dash(value: Any, indent: int, style: FileStyle, quotes: str = "") -> Tuple[str, List[str]]:
    """What stands behind the dash of a list's item and what in the lines below. indent: the dash's column."""
    if isinstance(value, (dict, list)) and value:
        lines = block(value, indent + 2, style)
        return lines[0].lstrip(" "), lines[1:]
    return _inline(value, indent + 2, quotes, style.literals)


def _inline(value: Any, indent: int, quotes: str, literals: bool) -> Tuple[str, List[str]]:
    if isinstance(value, (dict, list)):
        return ("{}" if isinstance(value, dict) else "[]"), []
    if literals and isinstance(value, str) and quotes not in ("'", '"') and _is_literal(value):
        return _literal(value, indent)
    return scalar(value, quotes), []


def _is_literal(value: str) -> bool:
    """Whether a text of several lines can be a literal block scalar without an indentation indicator."""
    body = value.rstrip("\n")
    if "\n" not in value or not body or body[0] in " \t\n" or _UNPRINTABLE.search(value) or "\r" in value:
        return False
    return not any(line != line.rstrip() for line in body.split("\n")) and len(value) - len(body) <= 1


def _literal(value: str, indent: int) -> Tuple[str, List[str]]:
    lines = value.rstrip("\n").split("\n")
    return "|" if value.endswith("\n") else "|-", [" " * indent + line if line else "" for line in lines]
