# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of YAML and JSON files that change the named value and leave every other character as it is.

A new value is spliced into the text at the place that the parser reports; then the text is parsed again and
compared with what was intended, so that a layout this module does not understand is an error, never a wrong file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, List, Optional, Tuple, Union

from ..model.errors import InvalidContent, NotFound
from . import render
from .meaning import projection, projection_of_value, same
from .paths import Path, Place, format_place
from .tree import (
    Node,
    Parsed,
    block_header,
    content_end,
    decode,
    line_end,
    node_value,
    parse_first,
    used_anchors,
    walk,
    without_properties,
)

BOM = "\ufeff"
_BLANK = re.compile(r"(?:\s+|#[^\r\n]*)*")
_COLON = re.compile(r"[ \t]*:")
_KINDS = {"scalar": "a single value", "map": "a map", "list": "a list", "alias": "an alias"}

Splice = Tuple[int, int, str]


@dataclass(frozen=True)
class _Slot:
    """A node and where it hangs. key: of a map's value. index: of a list's item. place: its path."""

    node: Node
    place: Place
    parent: Optional[Node] = None
    key: Optional[Node] = None
    index: int = 0


@dataclass(frozen=True)
class Document:
    """A file whose first document can be edited. name: for messages. others: there are further documents."""

    name: str
    text: str
    bom: bool
    is_json: bool
    parsed: Parsed
    style: render.FileStyle

    @classmethod
    def read(cls, content: bytes, name: str) -> "Document":
        """Raises InvalidContent unless it is JSON or YAML in UTF-8."""
        text = decode(content, name)
        bom = text.startswith(BOM)
        return cls._of(name, text[1:] if bom else text, bom)

    @classmethod
    def _of(cls, name: str, text: str, bom: bool) -> "Document":
        is_json = _is_json(text)
        parsed = parse_first(text, name)
        if parsed.root is None and name.endswith(".json"):
            raise InvalidContent(f"{name} is empty: not a JSON file.")
        return cls(name, text, bom, is_json, parsed, render.file_style(text, parsed.root, is_json))

    @property
    def content(self) -> bytes:
        return ((BOM if self.bom else "") + self.text).encode("utf-8")

    @property
    def others(self) -> bool:
        return self.parsed.others

    def places(self, path: Path) -> List[Place]:
        """What a path means here. Raises NotFound if a wildcard matches nothing."""
        root = self.parsed.root
        return path.places(node_value(root, self.name) if root is not None and path.has_wildcard else None)

    def replace(self, place: Place, value: Any) -> "Edited":
        """Write a JSON value to a place; maps that are missing on the way are created.

        Raises NotFound for an index past the end of a list, InvalidContent for a path through something that is no
        map or list, for aliases and anchors, and for layouts that cannot be edited.
        """
        return _Editor(self, place, value).run()


@dataclass(frozen=True)
class Edited:
    """The document afterwards, the place with its indexes counted from the start, and what was there before."""

    document: Document
    place: Place
    before: Any
    changed: bool


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[", '"')) and text.strip() != "null":
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def apply_splices(text: str, splices: List[Splice]) -> str:
    """Replace parts of a text; insertions at one place keep their order."""
    parts: List[str] = []
    position = 0
    for start, end, new in sorted(splices, key=lambda splice: splice[0]):
        parts += [text[position:start], new]
        position = end
    return "".join(parts) + text[position:]


class _Unintended(Exception):
    """The edited text does not mean what was intended."""


class _Editor:
    """One edit of one document."""

    def __init__(self, document: Document, place: Place, value: Any) -> None:
        self.document = document
        self.text = document.text
        self.style = document.style
        self.place = place
        self.value = value
        root = document.parsed.root
        self.anchors = used_anchors(root) if root is not None else set()

    def run(self) -> Edited:
        try:
            return self._run()
        except _Unintended:
            # A comment behind the value may look like a line of a block scalar: quotes have no such neighbours.
            self.style = replace(self.style, literals=False)
        try:
            return self._run()
        except _Unintended:
            raise self._unsuitable() from None

    def _run(self) -> Edited:
        root = self.document.parsed.root
        if root is None:
            new = self._nested(self.place)
            return self._finish(self._in_nothing(new), projection_of_value(new), None, self.place)
        slot, rest = self._descend(_Slot(root, ()))
        place = slot.place + rest
        if not rest:
            return self._replaced(slot, self.value, place)
        if slot.node.is_null or (slot.node.kind == "map" and not slot.node.value):
            return self._replaced(slot, self._nested(rest), place, missing=True)
        if slot.node.kind != "map":
            raise self._through(slot, rest[0])
        return self._added(slot, str(rest[0]), self._nested(rest[1:]), place)

    def _replaced(self, slot: _Slot, value: Any, place: Place, missing: bool = False) -> Edited:
        self._refuse_anchors(slot)
        before = None if missing else node_value(slot.node, self.document.name)
        if not missing and same(before, value):
            return Edited(self.document, place, before, False)
        expected = projection(self.document.parsed.root, {id(slot.node): projection_of_value(value)}, {})
        return self._finish(self._replacement(slot, value), expected, before, place)

    def _added(self, slot: _Slot, key: str, value: Any, place: Place) -> Edited:
        added = (projection_of_value(key), projection_of_value(value))
        expected = projection(self.document.parsed.root, {}, {id(slot.node): [added]})
        in_flow = slot.node.style == "flow"
        splices = self._flow_entry(slot.node, key, value) if in_flow else self._block_entry(slot.node, key, value)
        return self._finish(splices, expected, None, place)

    def _finish(self, splices: List[Splice], expected: Any, before: Any, place: Place) -> Edited:
        text = apply_splices(self.text, splices)
        document = self._intended(text, expected)
        if document is None and not text.endswith("\n") and not self.document.is_json:
            # A block scalar that now ends the file may need the line break that the file did not have.
            document = self._intended(text + self.style.newline, expected)
        if document is None:
            raise _Unintended()
        return Edited(document, place, before, True)

    def _intended(self, text: str, expected: Any) -> Optional[Document]:
        """The text as a document, None if it does not mean what is expected."""
        try:
            document = Document._of(self.document.name, text, self.document.bom)
        except InvalidContent:
            return None
        same_kind = (document.is_json, document.others) == (self.document.is_json, self.document.others)
        if document.parsed.root is None or not same_kind or projection(document.parsed.root) != expected:
            return None
        return document

    # Finding the place

    def _descend(self, slot: _Slot) -> Tuple[_Slot, Place]:
        """Follow the place as far as it exists; what is left is the second value."""
        for position, step in enumerate(self.place):
            self._refuse_alias(slot)
            if slot.node.anchor in self.anchors:
                raise self._anchored(slot)
            child = self._child(slot, step)
            if child is None:
                return slot, self._names(slot, self.place[position:])
            slot = child
        return slot, ()

    def _child(self, slot: _Slot, step: Union[str, int]) -> Optional[_Slot]:
        node = slot.node
        if isinstance(step, int):
            return self._item(slot, step)
        if node.kind != "map":
            return None
        pairs = [pair for pair in node.value if pair[0].kind == "scalar" and str(pair[0].value) == step]
        if len(pairs) > 1:
            raise InvalidContent(f"{self._where(slot.place)}: the key {step!r} occurs {len(pairs)} times.")
        if not pairs and any(key.kind == "scalar" and key.tag == "merge" for key, _value in node.value):
            raise InvalidContent(
                f"{self._where(slot.place)}: the key {step!r} may come from a merge key (<<), which cannot be edited.",
                "Write the key out in the file.",
            )
        if not pairs:
            return None
        key, value = pairs[0]
        return _Slot(value, slot.place + (step,), node, key)

    def _item(self, slot: _Slot, step: int) -> _Slot:
        if slot.node.kind != "list":
            raise self._through(slot, step)
        length = len(slot.node.value)
        index = step + length if step < 0 else step
        if not 0 <= index < length:
            raise NotFound(f"{self._where(slot.place)} is a list of {length} items: there is no index {step}.")
        return _Slot(slot.node.value[index], slot.place + (index,), slot.node, None, index)

    def _names(self, slot: _Slot, rest: Place) -> Place:
        for step in rest[1:]:
            if isinstance(step, int):
                start = format_place(slot.place + rest[:rest.index(step)])
                raise NotFound(f"{self.document.name}: {start} does not exist, so there is no index {step} in it.")
        return rest

    def _nested(self, rest: Place) -> Any:
        """The value inside the maps that are missing."""
        value = self.value
        for step in reversed(rest):
            if isinstance(step, int):
                raise NotFound(f"{self.document.name} has no content, so there is no index {step} in it.")
            value = {step: value}
        return value

    def _where(self, place: Place) -> str:
        return f"{self.document.name}: {format_place(place)}" if place else self.document.name

    def _through(self, slot: _Slot, step: Union[str, int]) -> InvalidContent:
        wanted = "a list" if isinstance(step, int) else "a map"
        return InvalidContent(
            f"{self._where(slot.place)} is {_KINDS[slot.node.kind]}, not {wanted}: there is no {step!r} in it."
        )

    def _anchored(self, slot: _Slot) -> InvalidContent:
        return InvalidContent(
            f"{self._where(slot.place)} has the anchor &{slot.node.anchor}: an edit would change its aliases too.",
            "Write the value out in each place of the file.",
        )

    def _refuse_alias(self, slot: _Slot) -> None:
        if slot.node.kind == "alias":
            raise InvalidContent(
                f"{self._where(slot.place)} is the alias *{slot.node.anchor}: an edit would change its anchor too.",
                "Write the value out in each place of the file.",
            )

    def _refuse_anchors(self, slot: _Slot) -> None:
        self._refuse_alias(slot)
        for node in walk(slot.node):
            if node.kind != "alias" and node.anchor in self.anchors:
                raise self._anchored(_Slot(node, slot.place))
        if self.text[slot.node.start:slot.node.start + 2] == "{{" and not self.document.is_json:
            raise InvalidContent(
                f"{self._where(slot.place)} is an action of a Go template, not a value.",
                "Let the rule write to the chart's values.yaml, which the template reads.",
            )

    def _unsuitable(self) -> InvalidContent:
        return InvalidContent(
            f"{self._where(self.place)} cannot be written without touching other parts of the file.",
            "Write this part of the file in YAML's ordinary block style, one key a line.",
        )

    # Writing

    def _in_nothing(self, value: Any) -> List[Splice]:
        """The file has no content yet, or comments alone."""
        newline = self.style.newline
        gap = newline if self.text and not self.text.endswith("\n") else ""
        return [(len(self.text), len(self.text), gap + newline.join(render.block(value, 0, self.style)) + newline)]

    def _block_entry(self, node: Node, key: str, value: Any) -> List[Splice]:
        position = line_end(self.text, content_end(node, self.text))
        lines = render.entry(key, value, node.value[0][0].column, self.style)
        below = (position, position, self._below(lines))
        return [below] if position < len(self.text) else self._stripped(node) + [below]

    def _stripped(self, node: Node) -> List[Splice]:
        """A block scalar at the end of a file without a final line break must not gain that line break."""
        while node.style == "block" and node.value:
            node = node.value[-1][1] if node.kind == "map" else node.value[-1]
        if node.kind != "scalar" or node.style not in ("|", ">"):
            return []
        start, end = block_header(node, self.text)
        return [(start, end, re.sub(r"[-+]", "", self.text[start:end]) + "-")]

    def _below(self, lines: List[str]) -> str:
        return "".join(self.style.newline + line for line in lines)

    def _flow_entry(self, node: Node, key: str, value: Any) -> List[Splice]:
        last_key, last_value = node.value[-1]
        gap = self.text[last_key.end:last_value.end]
        last_end = last_key.end if last_value.is_empty and ":" not in gap else last_value.end
        margin = self.text[self.text.rfind("\n", 0, last_key.start) + 1:last_key.start]
        own_line = not margin.strip() and last_key.line > node.line
        new = self._flow_pair(key, value, margin if own_line else None)
        if not own_line:
            return [(last_end, last_end, self.style.comma + new)]
        newline = self.style.newline + margin
        end_of_line = line_end(self.text, last_end)
        if end_of_line >= node.end - 1:
            return [(last_end, last_end, "," + newline + new)]
        comma = "," in re.sub(r"#[^\r\n]*", "", self.text[last_end:node.end - 1])
        if comma:
            return [(end_of_line, end_of_line, newline + new + ",")]
        return [(last_end, last_end, ","), (end_of_line, end_of_line, newline + new)]

    def _flow_pair(self, key: str, value: Any, margin: Optional[str]) -> str:
        if not self.document.is_json:
            return f"{render.scalar(key, flow=True)}: {render.flow(value)}"
        new = render.json_text(value, self.style, margin or "", one_line=margin is None)
        return render.double_quoted(key, self.style.ascii_only) + self.style.colon + new

    def _replacement(self, slot: _Slot, value: Any) -> List[Splice]:
        if self.document.is_json:
            return self._in_json(slot.node, value)
        if slot.parent is None:
            return self._at_root(slot.node, value)
        if slot.parent.style == "flow":
            return self._in_flow(slot, value)
        return self._in_block(slot, value)

    def _in_json(self, node: Node, value: Any) -> List[Splice]:
        line = self.text[self.text.rfind("\n", 0, node.start) + 1:node.start]
        margin = line[:len(line) - len(line.lstrip())]
        one_line = node.kind != "scalar" and bool(node.value) and "\n" not in self.text[node.start:node.end]
        return [(node.start, node.end, render.json_text(value, self.style, margin, one_line))]

    def _at_root(self, node: Node, value: Any) -> List[Splice]:
        if node.kind == "map" and node.style == "flow":
            return [(node.start, node.end, render.flow(value))]
        lines = self.style.newline.join(render.block(value, 0, self.style))
        return [(node.start, node.end, (self.style.newline if node.column else "") + lines)]

    def _in_flow(self, slot: _Slot, value: Any) -> List[Splice]:
        node = slot.node
        nested = isinstance(value, (dict, list))
        new = render.flow(value) if nested else render.scalar(value, node.style, flow=True)
        if not node.is_empty or slot.key is None:
            return [(node.start, node.end, new)]
        colon = _COLON.match(self.text, slot.key.end)
        if colon:
            return [(colon.end(), colon.end(), " " + new)]
        return [(slot.key.end, slot.key.end, ": " + new)]

    def _in_block(self, slot: _Slot, value: Any) -> List[Splice]:
        indicator_end = self._indicator_end(slot)
        head, body = self._rendered(slot, value, indicator_end)
        return self._head_and_body(slot.node, indicator_end, head, body)

    def _indicator_end(self, slot: _Slot) -> int:
        """The place behind the colon of a key or the dash of an item."""
        if slot.key is not None:
            colon = _COLON.match(self.text, slot.key.end)
            if not colon:
                raise self._unsuitable()
            return colon.end()
        siblings = slot.parent.value
        before = content_end(siblings[slot.index - 1], self.text) if slot.index else None
        start = without_properties(slot.parent, self.text) if before is None else before
        dash = _BLANK.match(self.text, start).end()
        if self.text[dash:dash + 1] != "-":
            raise self._unsuitable()
        return dash + 1

    def _rendered(self, slot: _Slot, value: Any, indicator_end: int) -> Tuple[str, List[str]]:
        node = slot.node
        nested = isinstance(value, (dict, list)) and bool(value)
        if nested and node.kind in ("map", "list") and node.style == "flow" and node.value:
            return render.flow(value), []
        quotes = node.style if node.kind == "scalar" else ""
        if isinstance(value, str) and "\n" in value and self.text[node.end:node.end + 1] == "\t":
            # PyYAML does not read a block scalar whose header is followed by a tab.
            quotes = '"'
        if slot.key is None:
            column = indicator_end - 1 - (self.text.rfind("\n", 0, indicator_end) + 1)
            if not node.is_empty and not self._on_later_line(node, indicator_end):
                # The lines below align with the first one, however far from the dash that stands.
                column = node.column - 2
            return render.below_dash(value, column, self.style, quotes)
        kind = "map" if isinstance(value, dict) else "list"
        own_lines = node.style == "block" and not node.explicit_tag and not node.anchor
        if nested and own_lines and node.kind == kind:
            return "", render.block(value, node.column, self.style)
        return render.below_key(value, slot.key.column, self.style, quotes)

    def _head_and_body(self, node: Node, indicator_end: int, head: str, body: List[str]) -> List[Splice]:
        """Replace what stands behind the indicator by head, and the lines below it by body."""
        end = line_end(self.text, content_end(node, self.text))
        start = body_start = node.start
        stop = node.end
        if node.is_empty:
            start = stop = indicator_end
            body_start = end = line_end(self.text, indicator_end)
        elif self._on_later_line(node, indicator_end) and (node.style == "block" or body or not head):
            start = stop = indicator_end
            body_start = self._line_break_before(node.start)
        elif node.kind in ("map", "list") and node.style == "block":
            stop = body_start = end
        elif node.kind == "scalar" and node.style in ("|", ">"):
            stop = block_header(node, self.text)[1]
            body_start, end = line_end(self.text, stop), content_end(node, self.text)
        else:
            body_start = end = line_end(self.text, stop)
        return [self._head(indicator_end, start, stop, head), (body_start, end, self._below(body))]

    def _head(self, indicator_end: int, start: int, stop: int, head: str) -> Splice:
        if not head:
            return (indicator_end, stop, "")
        if start > indicator_end:
            return (start, stop, head)
        rest_of_line = self.text[stop:line_end(self.text, stop)]
        return (start, stop + len(rest_of_line) if not rest_of_line.strip() else stop, f" {head}")

    def _on_later_line(self, node: Node, indicator_end: int) -> bool:
        return line_end(self.text, indicator_end) < node.start

    def _line_break_before(self, position: int) -> int:
        start = self.text.rfind("\n", 0, position)
        return start - 1 if self.text[start - 1:start] == "\r" else start
