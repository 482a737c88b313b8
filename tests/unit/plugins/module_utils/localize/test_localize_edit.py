# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits change the named value and nothing else, character for character."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize import render, tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.edit import Document
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.paths import Path
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, NotFound, OcmError

NESTED = "spec:\n  list:\n  - a: 1 # x\n    b: 2 # y\n  - c # z\nother: 1\n"
IMAGE = "private.test:5001/acme/podinfo@sha256:" + "a" * 64


def edit(text, path, value, name="file.yaml"):
    document = Document.read(text.encode("utf-8") if isinstance(text, str) else text, name)
    for place in document.places(Path.parse(path)):
        document = document.replace(place, value).document
    return document.content.decode("utf-8")


SCALARS = [
    ("plain", "a: x # c\nb: 2\n", "a", "v", "a: v # c\nb: 2\n"),
    ("image", "a: x\n", "a", IMAGE, f"a: {IMAGE}\n"),
    ("single quotes stay", "a: 'x' # c\n", "a", "it's", "a: 'it''s' # c\n"),
    ("double quotes stay", 'a: "x" # c\n', "a", 'say "y"', 'a: "say \\"y\\"" # c\n'),
    ("aligned values stay aligned", "a:    x\nbb:   y\n", "a", "z", "a:    z\nbb:   y\n"),
    ("number-like tag", "tag: x\n", "tag", "1.10", 'tag: "1.10"\n'),
    ("number-like tag in quotes", "tag: '1.9'\n", "tag", "1.10", "tag: '1.10'\n"),
    ("number instead of text", 'replicas: "1"\n', "replicas", 3, "replicas: 3\n"),
    ("text instead of number", "replicas: 1\n", "replicas", "3", 'replicas: "3"\n'),
    ("truth value", "a: x\n", "a", True, "a: true\n"),
    ("null", "a: x\n", "a", None, "a: null\n"),
    ("large float", "a: x\n", "a", 1e30, "a: 1.0e+30\n"),
    ("absent value", "a:\nb: 1\n", "a", "v", "a: v\nb: 1\n"),
    ("absent value and comment", "a: # c\nb: 1\n", "a", "v", "a: v # c\nb: 1\n"),
    ("absent value and blanks", "a:   \nb: 1\n", "a", "v", "a: v\nb: 1\n"),
    ("tilde", "a: ~ # c\n", "a", "v", "a: v # c\n"),
    ("several lines to one", "a: |\n  x\n  y\n\n# c\nb: 1\n", "a", "v", "a: v\n\n# c\nb: 1\n"),
    ("folded to one", "a: >- # c\n  x\n  y\nb: 1\n", "a", "v", "a: v # c\nb: 1\n"),
    ("block scalar to block scalar", "a: | # c\n    x\nb: 1\n", "a", "y\nz\n", "a: | # c\n  y\n  z\nb: 1\n"),
    ("one line to several", "a: x # c\nb: 1\n", "a", "y\n\nz", "a: |- # c\n  y\n\n  z\nb: 1\n"),
    ("several lines in quotes", 'a: "x"\n', "a", "y\nz", 'a: "y\\nz"\n'),
    ("lines with blanks at the end", "a: x\n", "a", "y \nz\n", 'a: "y \\nz\\n"\n'),
    ("folded plain scalar", "a:\n  folded\n  text # c\nb: 1\n", "a", "v", "a:\n  v # c\nb: 1\n"),
    ("folded quoted scalar", "a: 'x\n\n  y'\nb: 1\n", "a", "v", "a: 'v'\nb: 1\n"),
    ("block scalar beside it", "a: |\n  x: 1\n  # no comment\nb: 1\nc: >\n  y\n", "b", 2,
     "a: |\n  x: 1\n  # no comment\nb: 2\nc: >\n  y\n"),
    ("no newline at the end", "a: 1\nb: x", "b", "v", "a: 1\nb: v"),
    ("CRLF", "a: x # c\r\nb: 1\r\n", "a", "v", "a: v # c\r\nb: 1\r\n"),
    ("byte order mark", "\ufeffa: x\n", "a", "v", "\ufeffa: v\n"),
    ("non-ASCII", "größe: x # ä\n日本: '語'\n", "日本", "ü", "größe: x # ä\n日本: 'ü'\n"),
    ("emoji", "a: 😀 # 😀\nb: x\n", "b", "😀", "a: 😀 # 😀\nb: 😀\n"),
    ("tabs before and in comments", "a: x\t# tab\there\nb: 1\n", "a", "v", "a: v\t# tab\there\nb: 1\n"),
    ("comments at odd places", "# t\na: # k\n  # b\n  b: x # e\n   # deeper\n# less\nc: 1 # l\n", "a.b", "v",
     "# t\na: # k\n  # b\n  b: v # e\n   # deeper\n# less\nc: 1 # l\n"),
    ("header", "%YAML 1.1\n--- # start\na: x\n...\n", "a", "v", "%YAML 1.1\n--- # start\na: v\n...\n"),
    ("several documents", "---\na: x\n---\na: x\n--- \n{{ no yaml\n", "a", "v",
     "---\na: v\n---\na: x\n--- \n{{ no yaml\n"),
    ("empty first document", "---\n# c\n---\na: x\n", "a", "v", "---\n# c\n---\na: v\n"),
    ("flow", "a: {b: [x, {c: y}], d: z}\n", "a.b[1].c", "v", "a: {b: [x, {c: v}], d: z}\n"),
    ("flow quotes what needs it", "a: {b: x}\n", "a.b", "c:d", 'a: {b: "c:d"}\n'),
    ("flow over lines", "a: [\n  x, # one\n  'y'\n]\n", "a[1]", "z", "a: [\n  x, # one\n  'z'\n]\n"),
    ("absent value in flow", "{a: , b: 1}\n", "a", "v", "{a: v , b: 1}\n"),
    ("key without colon in flow", "{a, b: 1}\n", "a", "v", "{a: v, b: 1}\n"),
    ("item", "- a\n- b # c\n- - c\n  - d\n", "[2][1]", "v", "- a\n- b # c\n- - c\n  - v\n"),
    ("last item", "- a\n- b # c\n", "[-1]", "v", "- a\n- v # c\n"),
    ("absent item", "- a\n-\n- # c\n", "[1]", "v", "- a\n- v\n- # c\n"),
    ("dotted key", 'm:\n  a.b/c: x\n  "q r": y\n', 'm."a.b/c"', "v", 'm:\n  a.b/c: v\n  "q r": y\n'),
    ("quoted key", 'm:\n  "q r": y\n', 'm["q r"]', "v", 'm:\n  "q r": v\n'),
    ("number as key", "ports:\n  8080: x\n", "ports.8080", "v", "ports:\n  8080: v\n"),
    ("explicit tag goes", "a: !!str 1 # c\n", "a", "v", "a: v # c\n"),
    ("anchor without alias", "a: &x 1\nb: 2\n", "a", "v", "a: v\nb: 2\n"),
    ("alias elsewhere", "a: &x 1\nb: *x\nc: y\n", "c", "v", "a: &x 1\nb: *x\nc: v\n"),
    ("custom tags elsewhere", "a: !Ref x\nb: !Sub\n- y\nc: z\n", "c", "v", "a: !Ref x\nb: !Sub\n- y\nc: v\n"),
    ("template in a text", 'a: "{{ .Values.x }}"\nb: y\n', "b", "v", 'a: "{{ .Values.x }}"\nb: v\n'),
    ("wildcard", "c:\n- image: a\n- image: b\n- name: c\n", "c[*].image", "v",
     "c:\n- image: v\n- image: v\n- name: c\n  image: v\n"),
    ("long line", "a: " + "x " * 300 + "y # c\nb: z\n", "b", "v " * 300 + "v",
     "a: " + "x " * 300 + "y # c\nb: " + "v " * 300 + "v\n"),
]
MISSING = [
    ("maps", "a: 1\n", "b.c.d", "v", "a: 1\nb:\n  c:\n    d: v\n"),
    ("own indentation", "a:\n    b: 1\n", "a.c.d", "v", "a:\n    b: 1\n    c:\n        d: v\n"),
    ("before the comment behind the map", "a:\n  b: 1 # x\n  # tail\nc: 1\n", "a.d", "v",
     "a:\n  b: 1 # x\n  d: v\n  # tail\nc: 1\n"),
    ("in an item", NESTED, "spec.list[0].c.d", "v",
     "spec:\n  list:\n  - a: 1 # x\n    b: 2 # y\n    c:\n      d: v\n  - c # z\nother: 1\n"),
    ("in null", "a:\nb: ~ # c\n", "b.c", "v", "a:\nb: # c\n  c: v\n"),
    ("in an absent value", "a: # c\nb: 1\n", "a.c", "v", "a: # c\n  c: v\nb: 1\n"),
    ("in an empty item", "- a\n-\n", "[1].k", "v", "- a\n- k: v\n"),
    ("in an empty map", "a: {} # c\n", "a.b.c", "v", "a: # c\n  b:\n    c: v\n"),
    ("in a flow map", "a: {b: 1}\n", "a.c.d", "v", "a: {b: 1, c: {d: v}}\n"),
    ("in an empty flow map in a flow map", "a: {b: {}}\n", "a.b.c", "v", "a: {b: {c: v}}\n"),
    ("in a flow map over lines", "a: {\n  b: 1, # one\n  c: 2 # two\n}\n", "a.d", "v",
     "a: {\n  b: 1, # one\n  c: 2, # two\n  d: v\n}\n"),
    ("behind a last comma", "a: {\n  b: 1, # one\n}\n", "a.d", "v", "a: {\n  b: 1, # one\n  d: v,\n}\n"),
    ("behind a block scalar", "a: |\n  x\n\n\n# c\n", "b", "v", "a: |\n  x\nb: v\n\n\n# c\n"),
    ("behind a block scalar that keeps", "a: |+\n  x\n\n\n", "b", "v", "a: |+\n  x\n\n\nb: v\n"),
    ("behind a block scalar without newline", "a: |\n  x", "b", "v", "a: |-\n  x\nb: v"),
    ("behind an absent value", "a: 1\nb: # c\n", "c", "v", "a: 1\nb: # c\nc: v\n"),
    ("no newline at the end", "a: 1", "b.c", "v", "a: 1\nb:\n  c: v"),
    ("CRLF", "a:\r\n  b: 1\r\n", "a.c.d", "v", "a:\r\n  b: 1\r\n  c:\r\n    d: v\r\n"),
    ("before other documents", "---\na: 1\n---\nb: 1\n", "c", "v", "---\na: 1\nc: v\n---\nb: 1\n"),
    ("comments alone", "# a\n# b", "a.b", "v", "# a\n# b\na:\n  b: v\n"),
    ("nothing", "", "a.b", "v", "a:\n  b: v\n"),
    ("marker alone", "---\n", "a", "v", "---\na: v\n"),
    ("null at the top", "--- ~\n", "a.b", "v", "--- \na:\n  b: v\n"),
    ("null at the top of JSON", "null\n", "a.b", "v", '{"a": {"b": "v"}}\n'),
    ("empty map at the top", "# c\n{} # d\n", "a.b", "v", "# c\n{a: {b: v}} # d\n"),
    ("key that needs quotes", "m:\n  x: 1\n", 'm."on"', "v", 'm:\n  x: 1\n  "on": v\n'),
    ("key with dot and slash", "m:\n  x: 1\n", 'm."a.b/c"', "true", 'm:\n  x: 1\n  a.b/c: "true"\n'),
]
COLLECTIONS = [
    ("list of maps, own offset", "a:\n  - x\nb: 1\n", "b", [{"name": "m", "o": 1}],
     "a:\n  - x\nb:\n  - name: m\n    o: 1\n"),
    ("list of maps, no offset", "a:\n- x\nb: 1\n", "b", [{"name": "m", "o": 1}], "a:\n- x\nb:\n- name: m\n  o: 1\n"),
    ("empty list filled", "a: [] # c\nb: 1\n", "a", [{"name": "m"}], "a: # c\n  - name: m\nb: 1\n"),
    ("list emptied", NESTED, "spec.list", [], "spec:\n  list: []\nother: 1\n"),
    ("list to text", NESTED, "spec.list", "x", "spec:\n  list: x\nother: 1\n"),
    ("list to list", NESTED, "spec.list", [1, [2, 3]], "spec:\n  list:\n  - 1\n  - - 2\n    - 3\nother: 1\n"),
    ("list to map", NESTED, "spec.list", {"q": {}}, "spec:\n  list:\n    q: {}\nother: 1\n"),
    ("map to list", "a:\n    b: 1\nc: 1\n", "a", [1], "a:\n    - 1\nc: 1\n"),
    ("map to map", "a: # k\n  # b\n  b: 1\n  c: 2\nd: 1\n", "a", {"x": "y\n"}, "a: # k\n  # b\n  x: |\n    y\nd: 1\n"),
    ("map item to text", NESTED, "spec.list[0]", "x", "spec:\n  list:\n  - x\n  - c # z\nother: 1\n"),
    ("map item to map", NESTED, "spec.list[0]", {"q": 1, "r": [1]},
     "spec:\n  list:\n  - q: 1\n    r:\n    - 1\n  - c # z\nother: 1\n"),
    ("map item far from its dash", "-   c: 1\n    d: 2\n- e\n", "[0]", {"z": 1, "w": 2}, "-   z: 1\n    w: 2\n- e\n"),
    ("map item below its dash", "-\n    c: 1\n- e\n", "[0]", {"z": 1, "w": 2}, "- z: 1\n  w: 2\n- e\n"),
    ("text item to map", NESTED, "spec.list[1]", {"q": 1, "r": 2},
     "spec:\n  list:\n  - a: 1 # x\n    b: 2 # y\n  - q: 1 # z\n    r: 2\nother: 1\n"),
    ("flow stays flow", "a: [1, 2] # c\n", "a", [{"x": "y"}, "a, b"], "a: [{x: \"y\"}, \"a, b\"] # c\n"),
    ("in flow", "a: {b: 1}\n", "a.b", {"x": [1, "é"]}, "a: {b: {x: [1, é]}}\n"),
    ("text to map", "a: x # c\nb: 1\n", "a", {"x": {"w": "z"}}, "a: # c\n  x:\n    w: z\nb: 1\n"),
    ("block scalar to map", "a: |-\n  x\n  y\nb: 1\n", "a", {"x": 1}, "a:\n  x: 1\nb: 1\n"),
    ("text on the next line to list", "a:\n  x\nb: 1\n", "a", [1], "a:\n  - 1\nb: 1\n"),
    ("no newline at the end", "a: x", "a", {"b": 1}, "a:\n  b: 1"),
    ("CRLF", "a: x\r\nb: 1\r\n", "a", {"c": [1]}, "a:\r\n  c:\r\n    - 1\r\nb: 1\r\n"),
]
JSON = [
    ("compact", '{"a":{"b":"x"},"c":1}', "a.b", "1.10", '{"a":{"b":"1.10"},"c":1}'),
    ("compact, missing", '{"a":{"b":1},"c":{}}', "c.d.e", "v", '{"a":{"b":1},"c":{"d":{"e":"v"}}}'),
    ("compact, next to others", '{"a":{"b":1}}', "a.c", [1, {"x": "y"}], '{"a":{"b":1,"c":[1,{"x":"y"}]}}'),
    ("one line with blanks", '{"a": 1}\n', "b.c", "v", '{"a": 1, "b": {"c": "v"}}\n'),
    ("empty", "{}\n", "a.b", "v", '{"a": {"b": "v"}}\n'),
    ("two blanks", '{\n  "a": {\n    "b": 1\n  }\n}\n', "a.c.d", "v",
     '{\n  "a": {\n    "b": 1,\n    "c": {\n      "d": "v"\n    }\n  }\n}\n'),
    ("four blanks", '{\n    "a": [\n        1\n    ]\n}', "a", [{"x": 1}],
     '{\n    "a": [\n        {\n            "x": 1\n        }\n    ]\n}'),
    ("tabs", '{\n\t"a": {},\n\t"b": 1\n}\n', "a.c", "v", '{\n\t"a": {\n\t\t"c": "v"\n\t},\n\t"b": 1\n}\n'),
    ("CRLF", '{\r\n  "a": 1\r\n}\r\n', "b", "v", '{\r\n  "a": 1,\r\n  "b": "v"\r\n}\r\n'),
    ("list on one line", '{\n  "a": [1, 2],\n  "b": 1\n}\n', "a", ["x", "y"], '{\n  "a": ["x", "y"],\n  "b": 1\n}\n'),
    ("null", '{"a":null}', "a.b", "v", '{"a":{"b":"v"}}'),
    ("escapes elsewhere", '{"a":"\\u00e9\\/\\ud83d\\ude00","b":"x"}', "b", "é",
     '{"a":"\\u00e9\\/\\ud83d\\ude00","b":"\\u00e9"}'),
    ("JSON in a .yaml file", '{"a": "x"}', "a", "v", '{"a": "v"}'),
    ("exponent elsewhere", '{"a":1e5,"b":1}', "b", 2.5, '{"a":1e5,"b":2.5}'),
    ("list at the top", '[{"a":1}]', "[0].a", None, '[{"a":null}]'),
]


def case_ids(cases):
    return [case[0] for case in cases]


@pytest.mark.parametrize("case", SCALARS, ids=case_ids(SCALARS))
def test_a_scalar_is_replaced(case):
    _name, before, path, value, after = case
    assert edit(before, path, value) == after


@pytest.mark.parametrize("case", MISSING, ids=case_ids(MISSING))
def test_missing_maps_are_created(case):
    _name, before, path, value, after = case
    assert edit(before, path, value) == after


@pytest.mark.parametrize("case", COLLECTIONS, ids=case_ids(COLLECTIONS))
def test_maps_and_lists_are_replaced(case):
    _name, before, path, value, after = case
    assert edit(before, path, value) == after


@pytest.mark.parametrize("case", JSON, ids=case_ids(JSON))
def test_json_stays_json(case):
    _name, before, path, value, after = case
    result = edit(before, path, value)
    assert result == after
    json.loads(result)


@pytest.mark.parametrize("case", SCALARS + MISSING + COLLECTIONS + JSON, ids=lambda case: case[0])
def test_the_same_value_again_changes_nothing(case):
    _name, _before, path, value, after = case
    assert edit(after, path, value) == after


@pytest.mark.parametrize("text, path, error, words", [
    ("a:\n- x\n", "a[1]", NotFound, ["file.yaml: a is a list of 1 items", "index 1"]),
    ("a:\n- x\n", "a[-2]", NotFound, ["index -2"]),
    ("a: []\n", "a[0].b", NotFound, ["0 items"]),
    ("a: 1\n", "b[0]", NotFound, ["b does not exist", "index 0"]),
    ("a: {}\n", "a.b[0].c", NotFound, ["a.b does not exist", "index 0"]),
    ("", "a[0]", NotFound, ["no content"]),
    ("a: x\n", "a.b", InvalidContent, ["file.yaml: a is a single value, not a map", "'b'"]),
    ("a: x\n", "a[0]", InvalidContent, ["a single value, not a list"]),
    ("a:\n- x\n", "a.b", InvalidContent, ["a is a list, not a map"]),
    ("a: {b: 1}\n", "a[0]", InvalidContent, ["a is a map, not a list"]),
    ("text\n", "a", InvalidContent, ["file.yaml is a single value"]),
    ("a: &x 1\nb: *x\n", "a", InvalidContent, ["a has the anchor &x"]),
    ("a: &x\n  c: 1\nb: *x\n", "a.c", InvalidContent, ["a has the anchor &x"]),
    ("a: &x\n  c: 1\nb: *x\n", "a.d", InvalidContent, ["a has the anchor &x"]),
    ("a:\n- &x 1\n- *x\n", "a", InvalidContent, ["anchor &x"]),
    ("a: &x 1\nb: *x\n", "b", InvalidContent, ["b is the alias *x"]),
    ("a: &x\n  c: 1\nb: *x\n", "b.c", InvalidContent, ["b is the alias *x"]),
    ("a: &x\n  c: 1\nb:\n  <<: *x\n", "b.c", InvalidContent, ["merge key", "'c'"]),
    ("a: 1\na: 2\n", "a", InvalidContent, ["'a' occurs 2 times"]),
    ("? a\n: 1\n", "a", InvalidContent, ["file.yaml: a cannot be written"]),
    ("a: {{ .Values.x }}\n", "a", InvalidContent, ["Go template", "values.yaml"]),
    ("{{- if .x }}\na: 1\n{{- end }}\n", "a", InvalidContent, ["Go template", "line 1", "values.yaml"]),
    ("a: [\n", "a", InvalidContent, ["neither JSON nor YAML", "line"]),
    ("a: b: c\n", "a", InvalidContent, ["line 1, column 5"]),
    ("a: *x\n", "a", InvalidContent, ["undefined alias 'x'"]),
    (b"a: \xff\n", "a", InvalidContent, ["UTF-8", "byte 3"]),
    (b"\xff\xfea\x00", "a", InvalidContent, ["UTF-8"]),
    ("a: \x01\n", "a", InvalidContent, ["file.yaml"]),
    ("[" * 5000, "a", InvalidContent, ["file.yaml"]),
])
def test_what_cannot_be_edited_is_refused(text, path, error, words):
    with pytest.raises(error) as caught:
        edit(text, path, "v")
    for word in words:
        assert word in str(caught.value)


def test_an_empty_json_file_is_refused():
    with pytest.raises(InvalidContent):
        edit("", "a", "v", name="x.json")


def test_before_is_what_was_there():
    document = Document.read(b"a: 0x1F\nb: 2020-01-01\nc: [yes, ~, 1.50]\nd: 'x'\n", "x.yaml")
    found = [document.replace((key,), "v").before for key in "abcde"]
    assert found == [31, "2020-01-01", [True, None, 1.5], "x", None]


def test_the_place_has_its_index_counted_from_the_start():
    edited = Document.read(b"a: [1, 2, 3]\n", "x.yaml").replace(("a", -1), 4)
    assert edited.place == ("a", 2)


@pytest.mark.parametrize("text", [
    "1", "1.10", "-1", "+1", ".5", "1.", "1e5", "1_000", "0x1F", "0o17", "017", "0b1", "1:30", "1:30:00", "true",
    "True", "yes", "No", "on", "OFF", "y", "N", "null", "Null", "~", "", ".inf", "-.INF", ".nan", "2020-01-01", "=",
    "<<",
    "2020-01-01T10:00:00Z", "- x", "-", "? x", ": x", "a: b", "a #b", "#a", "&a", "*a", "!a", "|", ">", "'a", '"a',
    "%a", "@a", "`a", "[a", "{a", " a", "a ", "a:", "a\tb", "a\nb", "a\\b", "ä", "\ufeff", "\x7f", "\u2028", "\x85",
    "---",
    "...", "sha256:" + "0" * 64, "6.3.5", "1234567e8", "v1.2.3", "host:5000/a/b:1.0", "--flag=x", "-flag",
])
@pytest.mark.parametrize(
    "frame", ["k: x\n", "k: 'x'\n", 'k: "x"\n', "k: {l: 1, k: x}\n", "- x\n", "k: |\n  x\n", "k:\n"]
)
def test_every_text_is_read_back_as_that_text(text, frame):
    path = "[0]" if frame.startswith("-") else "k.k" if "{" in frame else "k"
    result = edit(frame, path, text)
    found = yaml.safe_load(result)
    while not isinstance(found, str):
        found = found[0] if isinstance(found, list) else found["k"]
    assert found == text


@pytest.mark.parametrize("text, tag", [
    ("0o8", "str"), ("1e5", "float"), ("1.5.2", "str"), ("1:30", "str"), ("0_7", "int"), ("0x_", "str"),
    ("2020-01-01", "str"), ("-", "str"), (".", "str"), ("1_000", "int"), ("OFF", "bool"), ("no ", "str"),
])
def test_types_of_plain_scalars(text, tag):
    assert tree.plain_tag(text) == tag


def test_infinity_is_no_json():
    with pytest.raises(ValueError):
        render.json_scalar(float("inf"))


def test_an_error_is_of_the_family():
    with pytest.raises(OcmError):
        edit("a: [", "a", 1)
