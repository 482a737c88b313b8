# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of rules: the part of yq's path syntax that names places in a document, looked up with jsonpath-ng.

Accepted: `name`, `."quoted name"`, `["quoted"]`, `['quoted']`, `[n]`, `[-n]`, `[*]` and `[]`, with an optional
leading `.`, `$` or `$.`, and kubectl's braces around the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from ..model.errors import InvalidInput, NotFound, OcmError

JSONPATH_IMPORT_ERROR: Optional[ImportError] = None
try:
    import jsonpath_ng
except ImportError as error:
    jsonpath_ng = None
    JSONPATH_IMPORT_ERROR = error


class _Each:
    """Every item of a list, every value of a map."""

    def __repr__(self) -> str:
        return "EACH"


EACH = _Each()
Step = Union[str, int, _Each]
Place = Tuple[Union[str, int], ...]

_NAME = re.compile(r"[\w-]+")
_INDEX = re.compile(r"-?[0-9]+")
_SIMPLE = re.compile(r"\A[A-Za-z0-9_-]+\Z")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Path:
    """A parsed path. steps: names of keys, indexes of lists, EACH."""

    text: str
    steps: Tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Read a path. Raises InvalidInput naming the character and its position, counted from 1."""
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput("A path is empty.", "Write it as in spec.template.spec.containers[0].image.")
        return cls(text, tuple(_Reader(text).read()))

    @property
    def has_wildcard(self) -> bool:
        return EACH in self.steps

    def places(self, document: Any) -> List[Place]:
        """The places in a document that the path means; what follows the last wildcard need not exist.

        Raises NotFound if a wildcard matches nothing.
        """
        runs = _runs(self.steps)
        found: List[Place] = [()]
        for run in runs[:-1]:
            found = [place + (child,) for start in found for place, child in _children(document, start + run)]
        if not found:
            raise NotFound(f"The path {self.text!r} matches nothing: its wildcard has no item or key to stand for.")
        return [place + runs[-1] for place in found]


def lookup(document: Any, place: Place) -> List[Any]:
    """The value at a place, in a list of one; an empty list if there is none."""
    if jsonpath_ng is None:
        raise OcmError("The Python library jsonpath-ng is missing.", "Install it where the module runs.")
    return [match.value for match in _expression(place).find(document)]


def format_place(place: Place) -> str:
    """A place as the text of a path; names with other than letters, digits, _ and - are quoted."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        name = step if _SIMPLE.match(step) else _quoted(step)
        text += f".{name}" if text else name
    return text


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(maxsize=1024)
def _expression(place: Place) -> Any:
    steps = (f"[{step}]" if isinstance(step, int) else f"[{_quoted(step)}]" for step in place)
    return jsonpath_ng.parse("$" + "".join(steps))


def _runs(steps: Tuple[Step, ...]) -> List[Place]:
    """The steps between the wildcards."""
    runs: List[List[Any]] = [[]]
    for step in steps:
        if step is EACH:
            runs.append([])
        else:
            runs[-1].append(step)
    return [tuple(run) for run in runs]


def _children(document: Any, place: Place) -> List[Tuple[Place, Union[str, int]]]:
    found = lookup(document, place)
    if found and isinstance(found[0], list):
        return [(place, index) for index in range(len(found[0]))]
    if found and isinstance(found[0], Mapping):
        return [(place, key) for key in found[0]]
    return []


class _Reader:
    """Reads one path from left to right."""

    HINTS: Dict[str, str] = {
        "|": "Operators of yq are not supported: a path only names a place.",
        "(": "Functions of yq are not supported: a path only names a place.",
        "*": "Write [*] for every item.",
        "/": 'Quote a name with other characters, as in metadata.annotations."acme.org/name".',
        "\\": 'Quote a name with dots, as in metadata.annotations."acme.org/name".',
        "?": "Filters are not supported: give the index of the item, or [*].",
        ":": "Slices are not supported: give one index, or [*].",
    }

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.end = len(text)

    def read(self) -> List[Step]:
        self._skip_frame()
        steps: List[Step] = []
        while self.position < self.end:
            steps.append(self._step(first=not steps))
        if not steps:
            raise self._error("names nothing")
        return steps

    def _skip_frame(self) -> None:
        stripped = self.text.strip()
        self.position = self.text.index(stripped)
        self.end = self.position + len(stripped)
        if stripped.startswith("{") and stripped.endswith("}"):
            self.position, self.end = self.position + 1, self.end - 1
        if self._peek() == "$":
            self.position += 1
            if self._peek() not in ("", ".", "["):
                raise self._unexpected()

    def _peek(self) -> str:
        return self.text[self.position] if self.position < self.end else ""

    def _step(self, first: bool) -> Step:
        if self._peek() == "[":
            return self._bracket()
        if self._peek() == ".":
            self.position += 1
            if self._peek() == "[":
                return self._bracket()
        elif not first:
            raise self._unexpected()
        return self._name()

    def _name(self) -> str:
        if self._peek() in ("'", '"'):
            return self._string()
        match = _NAME.match(self.text, self.position, self.end)
        if not match:
            raise self._unexpected()
        self.position = match.end()
        return match.group()

    def _string(self) -> str:
        quote, start = self._peek(), self.position
        match = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL).match(self.text, start, self.end)
        if not match:
            raise self._error(f"has no closing {quote} for the one at position {start + 1}")
        self.position = match.end()
        if match.group(1) in ("", "*"):
            raise self._error(f"has the name {match.group(1)!r} at position {start + 1}, which is not supported")
        return _ESCAPE.sub(r"\1", match.group(1))

    def _bracket(self) -> Step:
        self.position += 1
        step: Step = EACH
        if self._peek() in ("'", '"'):
            step = self._string()
        elif self._peek() == "*":
            self.position += 1
        elif self._peek() != "]":
            match = _INDEX.match(self.text, self.position, self.end)
            if not match:
                raise self._unexpected()
            self.position = match.end()
            step = int(match.group())
        if self._peek() != "]":
            raise self._unexpected()
        self.position += 1
        return step

    def _unexpected(self) -> InvalidInput:
        letter = self._peek()
        if not letter:
            return self._error("ends where a name or an index is expected")
        message = f"has an unexpected {letter!r} at position {self.position + 1}"
        return self._error(message, self.HINTS.get(letter, ""))

    def _error(self, message: str, hint: str = "") -> InvalidInput:
        return InvalidInput(f"The path {self.text!r} {message}.", hint)
