# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths: what they mean, what is refused and where."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.paths import EACH, Path, format_place, lookup
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, NotFound


@pytest.mark.parametrize("text, steps", [
    ("a", ("a",)),
    ("a.b.c", ("a", "b", "c")),
    (".a.b", ("a", "b")),
    ("$.a.b", ("a", "b")),
    ("$['a']", ("a",)),
    ("{.a.b}", ("a", "b")),
    (" a.b ", ("a", "b")),
    ("a[0].b", ("a", 0, "b")),
    ("a.[0].b", ("a", 0, "b")),
    ("a[-1]", ("a", -1)),
    ("[2]", (2,)),
    ("a[0][1]", ("a", 0, 1)),
    ("a[*].b", ("a", EACH, "b")),
    ("a[].b", ("a", EACH, "b")),
    ('a["b.c/d"].e', ("a", "b.c/d", "e")),
    ("a['b.c/d'].e", ("a", "b.c/d", "e")),
    ('a."b.c/d".e', ("a", "b.c/d", "e")),
    ("a.'b.c'", ("a", "b.c")),
    ('"a.b".c', ("a.b", "c")),
    ('a."say \\"x\\""', ("a", 'say "x"')),
    ('a."back\\\\slash"', ("a", "back\\slash")),
    ("a-b._c.8080", ("a-b", "_c", "8080")),
    ("größe.日本", ("größe", "日本")),
    ('a."[0]"', ("a", "[0]")),
])
def test_steps(text, steps):
    assert Path.parse(text).steps == steps


@pytest.mark.parametrize("text, words", [
    ("", ["empty"]),
    ("  ", ["empty"]),
    (".", ["ends"]),
    ("$", ["names nothing"]),
    ("a.", ["ends"]),
    ("a..b", ["'.'", "position 3"]),
    ("a b", ["' '", "position 2"]),
    ("a[", ["ends"]),
    ("a[0", ["ends"]),
    ("a[x]", ["'x'", "position 3"]),
    ("a[0:2]", ["':'", "position 4", "Slices"]),
    ("a[?(@.x==1)]", ["'?'", "position 3", "Filters"]),
    ('a[] | select(.name == "x")', ["' '", "position 4"]),
    ("a|b", ["'|'", "position 2", "yq"]),
    ("a.b/c", ["'/'", "position 4", "Quote"]),
    ("a.b\\.c", ["position 4", "Quote"]),
    ("a.*", ["'*'", "[*]"]),
    ('a."b', ["closing", "position 3"]),
    ("a['b\"]", ["closing", "position 3"]),
    ('a.""', ["''", "position 3"]),
    ("$a", ["'a'", "position 2"]),
    ("a]", ["']'", "position 2"]),
])
def test_what_is_no_path_is_refused_with_the_position(text, words):
    with pytest.raises(InvalidInput) as caught:
        Path.parse(text)
    for word in words:
        assert word in str(caught.value)


DOCUMENT = {"list": [{"name": "a"}, {"name": "b"}], "map": {"x": {"y.z": 1}, "w": {}}, "empty": [], "scalar": 1}


@pytest.mark.parametrize("text, places", [
    ("list[*].name", [("list", 0, "name"), ("list", 1, "name")]),
    ("list[*].missing.deep", [("list", 0, "missing", "deep"), ("list", 1, "missing", "deep")]),
    ("map[*].v", [("map", "x", "v"), ("map", "w", "v")]),
    ('map["x"][*]', [("map", "x", "y.z")]),
    ("[*][*].name", [("list", 0, "name"), ("list", 1, "name"), ("map", "x", "name"), ("map", "w", "name")]),
    ("nowhere.at.all", [("nowhere", "at", "all")]),
])
def test_places(text, places):
    assert Path.parse(text).places(DOCUMENT) == places


@pytest.mark.parametrize("text", ["empty[*]", "scalar[*]", "missing[*].x", "list[5][*]", "list[0].name[*].x"])
def test_a_wildcard_that_matches_nothing_is_an_error(text):
    with pytest.raises(NotFound) as caught:
        Path.parse(text).places(DOCUMENT)
    assert repr(text) in str(caught.value)


def test_lookup_takes_names_literally():
    assert lookup({"a.b": {"x y": [1, 2]}}, ("a.b", "x y", 1)) == [2]
    assert lookup({'say "x"\\': 1}, ('say "x"\\',)) == [1]
    assert lookup({"a": 1}, ("b",)) == []
    assert lookup([1], (4,)) == []


@pytest.mark.parametrize("text", ["a.b[0].c", 'a."b.c/d"[1]', '"a.b"', 'a."say \\"x\\""', "[0][1].x-y"])
def test_a_formatted_place_is_a_path_again(text):
    assert format_place(Path.parse(text).steps) == text
