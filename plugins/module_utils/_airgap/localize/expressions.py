# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions `(( ... ))` of ConfigData: the part of spiff's language that real ConfigData uses.

References, literals, juxtaposition, `||`, `+ - * /` and parentheses, with spiff's precedence (`||` binds weakest,
then juxtaposition, then sums, then products) and scopes (the nearest enclosing map first, `.name` from the root).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from ..model.errors import InvalidContent

_SPACE = re.compile(r"[ \t\r\n]+")
_NUMBER = re.compile(r"-?[0-9][0-9_]*(\.[0-9]+)?([eE]-?[0-9]+)?(?![\w.-])")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r"(?:true|false|nil)(?![\w.\[(:-])|~(?!~)")
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_REFERENCE = re.compile(rf"\.?{_KEY}(?:\.{_KEY}|\.?\[-?[0-9]+\]|\.?\[\"(?:[^\"\\]|\\.)*\"\])*")
_PART = re.compile(rf"({_KEY})|\[(-?[0-9]+)\]|\[(\"(?:[^\"\\]|\\.)*\")\]")
_OPERATOR = re.compile(r"(\|\||[-+*/])(?=[ \t\r\n])")
_RESERVED = ("merge", "auto", "prefer", "lambda")
_HINT = (
    "Supported are references, literals, juxtaposition, ||, + - * / (with spaces around them) and parentheses; "
    "work out everything else beforehand and give it in the values."
)

Scopes = Tuple[Mapping[str, Any], ...]


class _Unresolved(Exception):
    """An expression has no value; || goes on with its right side."""


@dataclass(frozen=True)
class _Context:
    """What an expression is evaluated in. scopes: enclosing maps, the root first."""

    evaluator: "Evaluator"
    scopes: Scopes


Term = Callable[[_Context], Any]


def expression_of(text: str) -> Optional[str]:
    """The expression inside a text, None for plain text. `a (( b )) c` is an expression too (interpolation)."""
    if text.startswith("((") and text.endswith("))") and len(text) >= 4:
        inner = text[2:-2]
        return None if inner.startswith("!") else inner
    parts = _interpolation(text)
    if not any(is_expression for is_expression, _part in parts):
        return None
    return " ".join(part.strip() if is_expression else json.dumps(part) for is_expression, part in parts)


def unescaped(text: str) -> str:
    """Plain text as spiff leaves it: `((! x ))` stands for `(( x ))`."""
    return text.replace("((!", "((") if "((!" in text and "))" in text else text


def _interpolation(text: str) -> List[Tuple[bool, str]]:
    """Split `text (( expression )) text`; an expression that is not closed is text."""
    parts: List[Tuple[bool, str]] = []
    plain_start = position = 0
    while True:
        opening = text.find("((", position)
        closing = _closing(text, opening + 2) if opening >= 0 else -1
        if closing < 0:
            break
        position = closing + 2
        if text[opening + 2:opening + 3] == "!":
            continue
        if opening > plain_start:
            parts.append((False, text[plain_start:opening]))
        parts.append((True, text[opening + 2:closing]))
        plain_start = position
    if plain_start < len(text):
        parts.append((False, text[plain_start:]))
    return parts


def _closing(text: str, position: int) -> int:
    """Where the )) that closes an expression stands, -1 if nowhere."""
    depth = 0
    while position < len(text):
        if text[position] == '"':
            string = _STRING.match(text, position)
            position = string.end() if string else len(text)
            continue
        if text[position] == "(":
            depth += 1
        elif text[position] == ")":
            if not depth and text[position:position + 2] == "))":
                return position
            depth -= 1
        position += 1
    return -1


class Evaluator:
    """Replaces the expressions in a tree of JSON values by what they yield."""

    def __init__(self, root: Mapping[str, Any], where: str) -> None:
        self.root = root
        self.where = where
        self._open: Set[Tuple[int, Any]] = set()
        self._done: Dict[Tuple[int, Any], Any] = {}
        self._terms: Dict[str, Term] = {}
        self._kept: List[Mapping[str, Any]] = []

    def resolve_root(self) -> Dict[str, Any]:
        """The whole tree. Raises InvalidContent quoting the expression that has no value or is not supported."""
        return {key: self._top(self.root, key, (self.root,), key) for key in self.root}

    def resolve(self, fields: Mapping[str, Any], place: str) -> Dict[str, Any]:
        """A map below the root, as a rule: its own fields hide the root's, as in spiff."""
        scopes = (self.root, fields)
        # Values are remembered by the identity of their map, which must therefore not be freed.
        self._kept.append(fields)
        return {key: self._top(fields, key, scopes, f"{place}: {key}") for key in fields}

    @staticmethod
    def own_fields(fields: Mapping[str, Any], text: Any) -> List[str]:
        """The names in an expression that mean the map's own fields, not the root's of the same name."""
        expression = expression_of(text) if isinstance(text, str) else None
        if expression is None:
            return []
        names = {match.group() for match in re.finditer(r"(?<![\w.\"-])[A-Za-z_][\w-]*", _STRING.sub('""', expression))}
        return sorted(name for name in names if name in fields)

    def _top(self, container: Any, key: Any, scopes: Scopes, place: str) -> Any:
        try:
            return self.member(container, key, scopes)
        except _Unresolved as error:
            raise InvalidContent(f"{self.where}: {place}: {error}.") from None

    def member(self, container: Any, key: Any, scopes: Scopes) -> Any:
        """A member of a map or list, resolved, once."""
        identity = (id(container), key)
        if identity in self._done:
            return self._done[identity]
        if identity in self._open:
            raise _Unresolved(f"the expression {container[key]!r} refers to itself")
        self._open.add(identity)
        try:
            result = self._value(container[key], scopes)
        finally:
            self._open.discard(identity)
        self._done[identity] = result
        return result

    def _value(self, value: Any, scopes: Scopes) -> Any:
        if isinstance(value, Mapping):
            control = [key for key in value if str(key).startswith("<<")]
            if control:
                raise InvalidContent(f"{self.where}: spiff's control key {control[0]!r} is not supported.", _HINT)
            inner = scopes + (value,)
            return {key: self.member(value, key, inner) for key in value}
        if isinstance(value, list):
            return [self.member(value, index, scopes) for index in range(len(value))]
        if not isinstance(value, str):
            return value
        expression = expression_of(value)
        return unescaped(value) if expression is None else self._evaluate(expression, scopes)

    def _evaluate(self, expression: str, scopes: Scopes) -> Any:
        if expression not in self._terms:
            self._terms[expression] = _Parser(expression, self.where).parse()
        try:
            return self._terms[expression](_Context(self, scopes))
        except _Unresolved as error:
            quoted = f"(( {expression.strip()} ))"
            text = str(error)
            raise _Unresolved(text if quoted in text else f"{quoted}: {text}") from None


class _Parser:
    """Recursive descent over one expression; each method returns a function that yields the value."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.position = 0

    def parse(self) -> Term:
        term = self._alternatives()
        self._space()
        if self.position < len(self.text):
            raise self._error()
        return term

    def _error(self) -> InvalidContent:
        return InvalidContent(
            f"{self.where}: the expression (( {self.text.strip()} )) is not supported "
            f"(from {self.text[self.position:].strip()[:40]!r} on).",
            _HINT,
        )

    def _space(self) -> bool:
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return bool(match)

    def _operator(self, operators: str) -> str:
        """Consume one of the operators, which have white space on both sides."""
        start = self.position
        if self._space():
            match = _OPERATOR.match(self.text, self.position)
            if match and match.group(1) in operators.split():
                self.position = match.end()
                return match.group(1)
        self.position = start
        return ""

    def _alternatives(self) -> Term:
        term = self._juxtaposition()
        while self._operator("||"):
            term = _either(term, self._juxtaposition())
        return term

    def _juxtaposition(self) -> Term:
        term = self._sum()
        while True:
            start = self.position
            if not self._space() or self.position >= len(self.text) or self.text[self.position] == ")":
                break
            if _OPERATOR.match(self.text, self.position):
                self.position = start
                break
            term = _joined(term, self._sum())
        return term

    def _sum(self) -> Term:
        return self._binary("+ -", self._product)

    def _product(self) -> Term:
        return self._binary("* /", self._operand)

    def _binary(self, operators: str, operand: Callable[[], Term]) -> Term:
        term = operand()
        operator = self._operator(operators)
        while operator:
            term = _computed(operator, term, operand())
            operator = self._operator(operators)
        return term

    def _operand(self) -> Term:
        self._space()
        if self.text[self.position:self.position + 1] == "(":
            return self._group()
        for expression, build in (
            (_STRING, _string),
            (_NUMBER, _number),
            (_WORD, _word),
            (_REFERENCE, _reference),
        ):
            match = expression.match(self.text, self.position)
            if match and self._ends(match.end()) and match.group() not in _RESERVED:
                self.position = match.end()
                return build(match.group())
        raise self._error()

    def _ends(self, position: int) -> bool:
        """Whether an operand ends here: a call, a projection or another operator must not follow directly."""
        return self.text[position:position + 1] in ("", " ", "\t", "\r", "\n", ")")

    def _group(self) -> Term:
        self.position += 1
        term = self._alternatives()
        self._space()
        if self.text[self.position:self.position + 1] != ")" or not self._ends(self.position + 1):
            raise self._error()
        self.position += 1
        return term


def _string(text: str) -> Term:
    value = _text_of(text)
    return lambda context: value


def _text_of(literal: str) -> str:
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        return literal[1:-1].replace('\\"', '"')


def _number(text: str) -> Term:
    digits = text.replace("_", "")
    value = int(digits) if re.match(r"\A-?[0-9]+\Z", digits) else float(digits)
    return lambda context: value


def _word(text: str) -> Term:
    value = {"true": True, "false": False}.get(text)
    return lambda context: value


def _reference(text: str) -> Term:
    parts: List[Any] = []
    for name, index, quoted in _PART.findall(text):
        parts.append(name or (int(index) if index else _text_of(quoted)))
    from_root = text.startswith(".")
    return lambda context: _lookup(context, text, parts, from_root)


def _lookup(context: _Context, text: str, parts: List[Any], from_root: bool) -> Any:
    scopes = context.scopes[:1] if from_root else context.scopes
    depth = next((depth for depth in range(len(scopes), 0, -1) if parts[0] in scopes[depth - 1]), 0)
    if not depth:
        raise _Unresolved(f"{text} is not in the values or defaults")
    scopes = scopes[:depth]
    current: Any = scopes[-1]
    for position, part in enumerate(parts):
        if not _has(current, part):
            raise _Unresolved(f"{text} is not in the values or defaults")
        last = position == len(parts) - 1
        if last or isinstance(current[part], str):
            current = context.evaluator.member(current, part, scopes)
        else:
            current = current[part]
        if isinstance(current, Mapping):
            scopes = scopes + (current,)
    return current


def _has(container: Any, part: Any) -> bool:
    if isinstance(container, list):
        return isinstance(part, int) and -len(container) <= part < len(container)
    return isinstance(container, Mapping) and part in container


def _either(left: Term, right: Term) -> Term:
    def term(context: _Context) -> Any:
        try:
            return left(context)
        except _Unresolved:
            return right(context)

    return term


def _joined(left: Term, right: Term) -> Term:
    return lambda context: _concatenated(left(context), right(context))


def _concatenated(left: Any, right: Any) -> Any:
    if _is_simple(left) and _is_simple(right):
        return _as_text(left) + _as_text(right)
    if isinstance(left, list):
        if right is None:
            return left
        return left + (right if isinstance(right, list) else [right])
    if isinstance(left, dict) and (right is None or isinstance(right, dict)):
        return {**left, **(right or {})}
    raise _Unresolved(f"{_kind(left)} and {_kind(right)} cannot be joined")


def _is_simple(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _computed(operator: str, left: Term, right: Term) -> Term:
    return lambda context: _calculated(operator, left(context), right(context))


def _calculated(operator: str, left: Any, right: Any) -> Any:
    for operand in (left, right):
        if isinstance(operand, bool) or not isinstance(operand, (int, float)):
            raise _Unresolved(f"{operator} wants numbers, not {_kind(operand)}")
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    return _quotient(left, right)


def _quotient(left: Any, right: Any) -> Any:
    """Integers are divided as in Go: towards zero."""
    if right == 0:
        raise _Unresolved("division by zero")
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _kind(value: Any) -> str:
    names = {dict: "a map", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
