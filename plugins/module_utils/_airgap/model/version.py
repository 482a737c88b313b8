# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component versions: relaxed semantic versions, their tags, and ranges with the rules of Go's Masterminds/semver 3.

A version is looked up by its exact text; order and ranges are only for choosing among several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Iterable, List, Optional, Tuple

from .errors import InvalidInput

MAX_VERSION_LENGTH = 256
MAX_TAG_LENGTH = 128
MAX_NUMBER = 2**64 - 1
MAX_GROUPS = 32
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"\Av?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?"
    rf"(?:-({_PRE_PART}(?:\.{_PRE_PART})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?\Z"
)
_OPERATOR = r"(?:!=|>=|=>|<=|=<|~>|=|>|<|~|\^)?"
_PARTS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_RANGE_VERSION = rf"v?(?:[0-9]+|[xX*])(?:\.(?:[0-9]+|[xX*])){{0,2}}(?:-{_PARTS})?(?:\+{_PARTS})?"
_COMPARISON = re.compile(rf"\s*({_OPERATOR})\s*({_RANGE_VERSION})\s*(,\s*|(?<=\s)|\Z)")
_HYPHEN_RANGE = re.compile(rf"({_RANGE_VERSION})\s+-\s+({_RANGE_VERSION})")
_SYNONYMS = {"": "=", "=>": ">=", "=<": "<=", "~>": "~"}


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """A parsed version. Build metadata takes no part in the order; equality is equality of the order."""

    text: str
    numbers: Tuple[int, int, int]
    prerelease: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read `v1`, `1.2`, `1.2.3-rc.1+build`. Raises InvalidInput."""
        version = cls.parse_or_none(text)
        if version is None:
            raise InvalidInput(
                f"{text!r} is not a version.",
                "A version is 1.2.3 with an optional v in front, and -prerelease or +build behind.",
            )
        return version

    @classmethod
    def parse_or_none(cls, text: str) -> Optional["Version"]:
        match = _VERSION.match(text) if isinstance(text, str) and len(text) <= MAX_VERSION_LENGTH else None
        if match is None:
            return None
        *numbers, prerelease, build = match.groups()
        major, minor, patch = (int(number or 0) for number in numbers)
        if max(major, minor, patch) > MAX_NUMBER:
            return None
        return cls(text, (major, minor, patch), prerelease or "", build or "")

    @property
    def _order(self) -> tuple:
        parts = self.prerelease.split(".") if self.prerelease else []
        ranked = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
        return self.numbers, not parts, ranked

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._order == other._order

    def __lt__(self, other: "Version") -> bool:
        return self._order < other._order

    def __hash__(self) -> int:
        return hash((self.numbers, self.prerelease))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Comparison:
    """One comparison of a range. stated: how many of the three numbers were given (1.x states one)."""

    operator: str
    version: Version
    stated: int

    def holds(self, version: Version) -> bool:
        return getattr(self, _CHECKS[self.operator])(version)

    def _prefixes(self, version: Version, stated: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
        return version.numbers[:stated], self.version.numbers[:stated]

    @property
    def _partial(self) -> bool:
        return self.stated in (1, 2)

    def _equal(self, version: Version) -> bool:
        return version == self.version if self.stated == 3 else self._tilde(version)

    def _not_equal(self, version: Version) -> bool:
        if not self._partial:
            return version != self.version
        mine, theirs = self._prefixes(version, self.stated)
        return mine != theirs or (self.stated == 2 and version.prerelease != self.version.prerelease)

    def _greater(self, version: Version) -> bool:
        if not self._partial:
            return version > self.version
        mine, theirs = self._prefixes(version, self.stated)
        return mine > theirs

    def _at_most(self, version: Version) -> bool:
        if self.stated == 3:
            return version <= self.version
        mine, theirs = self._prefixes(version, self.stated or 2)
        return mine <= theirs

    def _less(self, version: Version) -> bool:
        return version < self.version

    def _at_least(self, version: Version) -> bool:
        return version >= self.version

    def _tilde(self, version: Version) -> bool:
        if version < self.version:
            return False
        if self.version.numbers == (0, 0, 0) and not self._partial:
            return True
        mine, theirs = self._prefixes(version, 1 if self.stated == 1 else 2)
        return mine == theirs

    def _caret(self, version: Version) -> bool:
        if version < self.version:
            return False
        major, minor, _patch = self.version.numbers
        fixed = 1 if major > 0 or self.stated == 1 else 2 if minor > 0 or self.stated == 2 else 3
        mine, theirs = self._prefixes(version, fixed)
        return mine == theirs


_CHECKS = {
    "=": "_equal", "!=": "_not_equal", ">": "_greater", "<": "_less", ">=": "_at_least", "<=": "_at_most",
    "~": "_tilde", "^": "_caret",
}


@dataclass(frozen=True)
class Constraint:
    """A version range: comparisons joined by `,` or blanks (AND) and `||` (OR).

    A prerelease matches only a group of comparisons that itself names a prerelease.
    """

    text: str
    groups: Tuple[Tuple[_Comparison, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Read a range such as `>=6.3.5, <7`, `^1.2 || ~2.0`, `1.2 - 1.4`, `1.x`. Raises InvalidInput."""
        if not isinstance(text, str) or len(text) > 512:
            raise InvalidInput("A version constraint must be a text of at most 512 characters.")
        groups = _HYPHEN_RANGE.sub(r">=\1 <=\2", text).split("||")
        if len(groups) > MAX_GROUPS:
            raise InvalidInput(f"A version constraint has at most {MAX_GROUPS} groups joined by ||, not {len(groups)}.")
        return cls(text, tuple(_parse_group(group, text) for group in groups))

    def allows(self, version: Version) -> bool:
        return any(_group_allows(group, version) for group in self.groups)


def _group_allows(group: Tuple[_Comparison, ...], version: Version) -> bool:
    if version.prerelease and not any(comparison.version.prerelease for comparison in group):
        return False
    return all(comparison.holds(version) for comparison in group)


def _parse_group(group: str, whole: str) -> Tuple[_Comparison, ...]:
    found, position = [], 0
    while position < len(group):
        match = _COMPARISON.match(group, position)
        if match is None:
            break
        found.append(_parse_comparison(match.group(1), match.group(2), whole))
        position = match.end()
    if not found or position < len(group) or group.rstrip().endswith(","):
        raise InvalidInput(
            f"{whole!r} is not a version constraint.",
            "Write comparisons such as >=1.2.3, ^1.2, ~1.2.3, 1.x or 1.2 - 1.4, joined by , (and) or || (or).",
        )
    return tuple(found)


def _parse_comparison(operator: str, text: str, whole: str) -> _Comparison:
    core, mark, tail = re.match(r"\Av?([^+-]*)([+-]?)(.*)\Z", text, re.DOTALL).groups()
    numbers: List[str] = []
    for part in core.split("."):
        if not part.isdigit():
            break
        numbers.append(str(int(part)))  # a leading zero is allowed here, though not in a version
    prerelease = f"-{tail.partition('+')[0]}" if mark == "-" else ""
    padded = ".".join((numbers + ["0", "0", "0"])[:3])
    version = Version.parse_or_none(padded + prerelease)
    if version is None:
        raise InvalidInput(f"{whole!r} is not a version constraint: {text!r} is not a version.")
    return _Comparison(_SYNONYMS.get(operator, operator), version, len(numbers))


def newest_first(versions: Iterable[str]) -> List[str]:
    """Sort texts that parse as versions, newest first; equal versions (only +build differs) by their text."""
    return [version.text for version in sorted(map(Version.parse, versions), key=_stable_key, reverse=True)]


def _stable_key(version: Version) -> tuple:
    return version, version.text


def tag_of(version: str) -> str:
    """The tag of a component version: `+` cannot be in a tag and is written `.build-`.

    Raises InvalidInput where the tag would be longer than the 128 characters that registries allow.
    """
    Version.parse(version)
    tag = version.replace("+", ".build-")
    if len(tag) > MAX_TAG_LENGTH:
        raise InvalidInput(f"Version {version!r}: its tag would have {len(tag)} characters, registries allow 128.")
    return tag


def version_of(tag: str) -> Optional[str]:
    """The version that a tag stands for, or None for a tag that is no version (latest, signature tags)."""
    head, separator, tail = tag.rpartition(".build-")
    version = f"{head}+{tail}" if separator else tag
    return version if Version.parse_or_none(version) else None
