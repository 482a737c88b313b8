# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML and JSON as trees of nodes that know their place in the text, and as the values that Go programs read.

Scalars are typed as in store.yaml_text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ..model.errors import InvalidContent, OcmError
from ..store.yaml_text import plain_tag, scalar_value

try:
    import yaml

    _Base: Any = yaml.SafeLoader
except ImportError:
    yaml = None
    _Base = object

MAX_VALUES = 1000000

_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")
_PROPERTY = re.compile(r"(?:[&!][^ \t\r\n]*[ \t]*)+")
_NO_CONTENT = re.compile(r"\A[ \t]*(?:#.*|---[ \t]*(?:#.*)?|\.\.\.[ \t]*(?:#.*)?|%.*)?\Z")
_TAG = "tag:yaml.org,2002:"


class Node:
    """One node. kind: scalar, map, list or alias. start, end: offsets in the text; line and column belong to start.

    tag: str, int, float, bool, null, merge, or an explicit tag. value: text, list of (key, value), list of nodes, or
    the node that an alias means. style: "" (plain), ', ", |, > for scalars, flow or block for collections.
    """

    __slots__ = ("kind", "tag", "value", "start", "end", "line", "column", "style", "anchor", "explicit_tag")

    def __init__(self, kind: str, tag: str, value: Any, style: str, event: Any) -> None:
        self.kind = kind
        self.tag = tag
        self.value = value
        self.style = style
        self.start = event.start_mark.index
        self.end = event.end_mark.index
        self.line = event.start_mark.line
        self.column = event.start_mark.column
        self.anchor: Optional[str] = getattr(event, "anchor", None)
        self.explicit_tag = False

    @property
    def is_empty(self) -> bool:
        """An absent value, as behind `key:`."""
        return self.kind == "scalar" and self.style == "" and self.start == self.end

    @property
    def is_null(self) -> bool:
        return self.kind == "scalar" and self.tag == "null"


@dataclass(frozen=True)
class Parsed:
    """The first document with content. root: None if there is none. end: where it ends. others: more documents."""

    root: Optional[Node]
    end: int
    others: bool


class _Loader(_Base):
    def scan_to_next_token(self) -> None:
        # PyYAML refuses tabs between tokens, which YAML and its own C library allow.
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()


def decode(content: bytes, where: str) -> str:
    """The text of a file, a byte order mark included. Raises InvalidContent unless it is UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidContent(f"{where} is not a text in UTF-8 (byte {error.start}).") from None


def parse_first(text: str, where: str) -> Parsed:
    """The first document that is not empty; later ones are not looked into. Raises InvalidContent."""
    for root, end in _guarded(text, where):
        if root is None or root.is_empty:
            continue
        rest = re.split(r"\r\n|\r|\n", text[end:])
        return Parsed(root, end, not all(_NO_CONTENT.match(line) for line in rest))
    return Parsed(None, len(text), False)


def parse_all(text: str, where: str) -> List[Optional[Node]]:
    """The roots of all documents. Raises InvalidContent."""
    return [root for root, _end in _guarded(text, where)]


def _guarded(text: str, where: str) -> Iterator[Tuple[Optional[Node], int]]:
    if yaml is None:
        raise OcmError("The Python library PyYAML is missing.", "Install it where the module runs.")
    try:
        yield from _documents(text)
    except yaml.YAMLError as error:
        raise _not_yaml(text, where, error) from None
    except RecursionError:
        raise InvalidContent(f"{where} is nested too deeply.") from None


def _not_yaml(text: str, where: str, error: Any) -> InvalidContent:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable"
    if "{{" in text:
        return InvalidContent(
            f"{where} is not YAML but a Go template{place}: {problem}.",
            "Let the rule write to the chart's values.yaml, which the template reads.",
        )
    return InvalidContent(f"{where} is neither JSON nor YAML{place}: {problem}.")


def _documents(text: str) -> Iterator[Tuple[Optional[Node], int]]:
    loader = _Loader(text)
    try:
        loader.get_event()
        while not loader.check_event(yaml.StreamEndEvent):
            loader.get_event()
            root = _node(loader, {})
            end = loader.get_event().start_mark.index
            yield root, end
    finally:
        loader.dispose()


def _node(loader: Any, anchors: Dict[str, Node]) -> Node:
    event = loader.get_event()
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise yaml.composer.ComposerError(None, None, f"undefined alias {event.anchor!r}", event.start_mark)
        return Node("alias", "", anchors[event.anchor], "", event)
    if isinstance(event, yaml.ScalarEvent):
        node = _scalar(event)
    else:
        style = "flow" if event.flow_style else "block"
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "list"
        node = Node(kind, _short(event.tag) or kind, [], style, event)
        node.explicit_tag = bool(event.tag)
    if event.anchor:
        anchors[event.anchor] = node
    if node.kind != "scalar":
        _fill(node, loader, anchors)
    return node


def _fill(node: Node, loader: Any, anchors: Dict[str, Node]) -> None:
    while not loader.check_event(yaml.MappingEndEvent, yaml.SequenceEndEvent):
        item = _node(loader, anchors)
        node.value.append((item, _node(loader, anchors)) if node.kind == "map" else item)
    node.end = loader.get_event().end_mark.index


def _scalar(event: Any) -> Node:
    style = event.style or ""
    value = event.value
    if style == '"' and any("\ud800" <= letter <= "\udfff" for letter in value):
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    tag = _short(event.tag)
    if not tag or tag == "!":
        tag = plain_tag(value) if event.implicit[0] and not tag else "str"
    node = Node("scalar", tag, value, style, event)
    node.explicit_tag = bool(event.tag)
    return node


def _short(tag: Optional[str]) -> str:
    return tag[len(_TAG):] if tag and tag.startswith(_TAG) else tag or ""


def without_properties(node: Node, text: str) -> int:
    """Where a node begins behind its anchor and its tag."""
    if not node.anchor and not node.explicit_tag:
        return node.start
    match = _PROPERTY.match(text, node.start)
    return match.end() if match else node.start


def content_end(node: Node, text: str) -> int:
    """Where the last character of a node ends: PyYAML's own mark lies behind comments and empty lines."""
    if node.kind in ("map", "list") and node.style == "block":
        if not node.value:
            return node.end
        last = node.value[-1]
        return content_end(last[1] if node.kind == "map" else last, text)
    if node.kind == "scalar" and node.style in ("|", ">"):
        return _block_scalar_end(node, text)
    return node.end


def block_header(node: Node, text: str) -> Tuple[int, int]:
    """Where the header (`|-`) of a block scalar begins and ends."""
    start = without_properties(node, text)
    match = _BLOCK_HEADER.match(text, start)
    return start, match.end() if match else start


def _block_scalar_end(node: Node, text: str) -> int:
    start, header_end = block_header(node, text)
    first_line_end = line_end(text, header_end)
    body = text[first_line_end:node.end]
    if "+" in text[start:header_end]:
        kept = body.rstrip(" \t") if body.endswith((" ", "\t")) else body
        for newline in ("\r\n", "\n", "\r"):
            if kept.endswith(newline):
                return first_line_end + len(kept) - len(newline)
        return first_line_end + len(body)
    return line_end(text, first_line_end + len(body.rstrip())) if body.strip() else first_line_end


def line_end(text: str, position: int) -> int:
    """Where the line of a position ends, before its line break."""
    while position < len(text) and text[position] not in "\r\n":
        position += 1
    return position


def used_anchors(node: Node) -> Set[str]:
    """The anchors that aliases below a node name."""
    found: Set[str] = set()
    for child in walk(node):
        if child.kind == "alias" and child.anchor:
            found.add(child.anchor)
    return found


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it; aliases are not followed."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        if current.kind == "map":
            todo.extend(part for pair in current.value for part in pair)
        elif current.kind == "list":
            todo.extend(current.value)


def node_value(node: Node, where: str) -> Any:
    """The value of a node as JSON knows it: keys are text, aliases and merge keys are followed.

    Raises InvalidContent for a key that occurs twice, a key that is no scalar, and aliases that grow without bound.
    """
    return _Values(where).of(node)


class _Values:
    def __init__(self, where: str) -> None:
        self.where = where
        self.count = 0
        self.open: Set[int] = set()

    def of(self, node: Node) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise InvalidContent(f"{self.where} has more than {MAX_VALUES} values (aliases of aliases?).")
        if node.kind == "scalar":
            return scalar_value(node.tag, node.value)
        target = node.value if node.kind == "alias" else node
        if id(target) in self.open:
            raise InvalidContent(f"{self.where}: the alias *{node.anchor} means a node that contains it.")
        if node.kind == "alias":
            return self.of(target)
        self.open.add(id(node))
        result: Any = self._map(node) if node.kind == "map" else [self.of(item) for item in node.value]
        self.open.discard(id(node))
        return result

    def _map(self, node: Node) -> Dict[str, Any]:
        own: Dict[str, Any] = {}
        merged: Dict[str, Any] = {}
        for key, value in node.value:
            if key.kind == "scalar" and key.tag == "merge":
                self._merge(merged, value)
                continue
            name = self._key(key)
            if name in own:
                raise InvalidContent(f"{self.where}, line {key.line + 1}: the key {name!r} occurs twice.")
            own[name] = self.of(value)
        merged.update(own)
        return merged

    def _merge(self, merged: Dict[str, Any], value: Node) -> None:
        content = self.of(value)
        for source in content if isinstance(content, list) else [content]:
            if not isinstance(source, dict):
                raise InvalidContent(f"{self.where}, line {value.line + 1}: << merges something that is not a map.")
            for name, item in source.items():
                merged.setdefault(name, item)

    def _key(self, key: Node) -> str:
        if key.kind == "alias":
            key = key.value
        if key.kind != "scalar":
            raise InvalidContent(f"{self.where}, line {key.line + 1}: a key is a map or a list.")
        return str(key.value)
