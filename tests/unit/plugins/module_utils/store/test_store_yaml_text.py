# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML with the scalars of Go, as the OCM tools read it, and nothing in it that is not JSON."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store import yaml_text
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.yaml_text import MAX_YAML_DEPTH, dump_yaml, load_yaml


@pytest.mark.parametrize("text, expected", [
    ("y", True), ("Y", True), ("yes", True), ("on", True), ("True", True), ("n", False), ("NO", False), ("off", False), ("false", False),
    ("yEs", "yEs"), ("t", "t"), ("'y'", "y"), ('"no"', "no"),
    ("0", 0), ("-1", -1), ("+1", 1), ("017", 15), ("0o17", 15), ("-017", -15), ("0x1F", 31), ("0b101", 5), ("1_000", 1000), ("08", 8.0),
    ("12345678901234567890", 12345678901234567890), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-3", -0.0015),
    ("1_0.5", 10.5), ("1_0e3", 10000.0), (".5_0", 0.5), ("1_", 1), ("_1", "_1"), ("0b1_1", 3), ("0b_", "0b_"), ("0x_", "0x_"), ("0o_7", 7),
    ("18446744073709551615", 18446744073709551615), ("123456789012345678901", 123456789012345678901.0), ("-9223372036854775809", -9223372036854775809.0),
    ("1e999", "1e999"), (".inf", ".inf"), (".nan", ".nan"), ("1.2.3", "1.2.3"), ("1:30", "1:30"), ("0x", "0x"), ("1e", "1e"),
    ("~", None), ("null", None), ("Null", None), ("", None), ("nULL", "nULL"),
    ("2026-11-22", "2026-11-22"), ("2026-11-22T07:21:43Z", "2026-11-22T07:21:43Z"), ("2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.10 -5"),
    ("=", "="), ("sha256:" + "0" * 64, "sha256:" + "0" * 64), ("!!str 5", "5"), ("!!int '5'", 5), ("!!float 5", 5.0), ("! x", "x"),
])
def test_scalars(text, expected):
    found = load_yaml(f"key: {text}".encode(), "x")["key"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text, expected", [
    ("{n: 1, 'y': 2}", {"false": 1, "y": 2}), ("{1: a}", {"1": "a"}), ("{~: a}", {"null": "a"}), ("{on: a}", {"true": "a"}),
    ("{1.5: a}", {"1.5": "a"}), ("{2026-11-22: a}", {"2026-11-22": "a"}),
])
def test_keys_are_texts_as_in_json(text, expected):
    assert load_yaml(text.encode(), "x") == expected


@pytest.mark.parametrize("text, words", [
    ("a: 1\nb: 2\na: 3", "the key 'a' stands twice, line 3"),
    ("{x: {a: 1, a: 1}}", "stands twice"),
    ("{1: a, '1': b}", "the key '1' stands twice"),
    ("{n: a, no: b}", "the key 'false' stands twice"),
    ("? [a]\n: b", "a key is no text"),
    ("? {a: b}\n: c", "a key is no text"),
    ("a: &x 1\nb: *x", "line 2 has the YAML alias *x"),
    ("a: *x", "alias *x"),
    ("a: &x [*x]", "alias *x"),
    ("!!python/object/apply:os.system [id]", "python"),
    ("!!python/name:os.system ''", "python"),
    ("a: !!python/tuple [1]", "python"),
    ("!!timestamp 2026-11-22", "timestamp"),
    ("!!binary aGk=", "binary"),
    ("!!set {a, b}", "set"),
    ("!!omap [a: 1]", "omap"),
    ("!own {a: 1}", "!own"),
    ("!!bool maybe", "maybe"),
    ("!!int x", "not valid YAML"),
    ("!!float .inf", "not valid YAML"),
    ("a: b: c", "line 1"),
    ("a: [", "not valid YAML"),
    ("a: \x00", "not valid YAML"),
    ("a: 1\n---\nb: 2", "not valid YAML"),
    ("%YAML 3.0\n---\na: 1", "not valid YAML"),
])
def test_what_is_no_json_is_refused(text, words):
    with pytest.raises(InvalidContent) as caught:
        load_yaml(text.encode(), "ctf//x")
    assert words in str(caught.value)
    assert "ctf//x" in str(caught.value)


@pytest.mark.parametrize("raw", [b"a: \xff", b"\xff\xfea\x00"], ids=["latin", "utf-16"])
def test_only_utf_8_is_read(raw):
    with pytest.raises(InvalidContent):
        load_yaml(raw, "x")


def test_a_byte_order_mark_is_left_out():
    assert load_yaml(b"\xef\xbb\xbfa: 1", "x") == {"a": 1}


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(yaml_text, "MAX_YAML_SIZE", 10)
    assert load_yaml(b"a: 1234567", "x")
    with pytest.raises(InvalidContent, match="over the limit of 10"):
        load_yaml(b"a: 12345678", "x")


def test_nesting_is_bounded():
    assert load_yaml(b"[" * MAX_YAML_DEPTH + b"]" * MAX_YAML_DEPTH, "x")
    with pytest.raises(InvalidContent, match="nested deeper"):
        load_yaml(b"[" * (MAX_YAML_DEPTH + 1) + b"]" * (MAX_YAML_DEPTH + 1), "x")


@pytest.mark.parametrize("bomb", ["'[' * 100000", "'- ' * 100000 + 'a'", "'{a: ' * 100000"])
def test_a_nesting_bomb_does_not_end_the_process(bomb):
    # in a process of its own: the parser below crashes without an exception
    program = (
        f"from {yaml_text.__name__} import load_yaml\n"
        f"try:\n    load_yaml(({bomb}).encode(), 'x')\nexcept Exception as error:\n    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "InvalidContent")


def test_an_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x]"] + [f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, 40)]
    with pytest.raises(InvalidContent, match="alias"):
        load_yaml("\n".join(lines).encode(), "x")


STRANGE = [
    "", " ", " lead", "trail ", "y", "n", "Y", "N", "yes", "No", "on", "OFF", "true", "null", "~", "Null", "0", "017", "08", "0o17", "0x1F", "0b1",
    "1_000", "-1", "+1", "1.5", ".5", "1.", "1e3", "1e999", ".inf", "-.INF", ".nan", "1:30", "190:20:30", "2026-11-22", "2026-11-22T07:21:43Z",
    "0123456789012345678901234567890123456789", "=", "<<", "-", "--", "---", "...", "- a", "? a", ": a", "a: b", "a:", "a #b", "#c", "&a", "*a",
    "!a", "!!str", "%a", "@a", "`a", "'", '"', "''", "[a", "{a", "]", "}", ",", "|", ">", "\n", "a\n", "\na", "a\nb", "a\n\n b\n", "\t", "a\tb",
    "\r", "a\r\nb", "\x00", "\x07", "\x7f", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufeffa", "\u00fcn\u00ef", "\U0001f600", "\u202eabc",
    "\\", "\\n", "word " * 60, "x" * 500, '{"name":"acme.org","labels":[{"name":"a","value":{"a":"x: y"}}]}',
]


@pytest.mark.parametrize("text", STRANGE, ids=[repr(text)[:30] for text in STRANGE])
def test_strange_texts_survive(text):
    value = {"value": text, "list": [text, {"in": text}]}
    if text.strip() == text and text not in ("", "\ufeff", "\ufeffa"):
        value[text] = text
    assert load_yaml(dump_yaml(value), "x") == value


@pytest.mark.parametrize("value", [
    None, True, False, 0, -1, 15, 1.5, 1e21, 1e-7, 5e-324, 2**63, [], {}, [[]], [{}], {"a": []}, {"a": {"b": [1, {"c": None}]}},
])
def test_values_survive(value):
    found = load_yaml(dump_yaml({"a": value}), "x")["a"]
    assert found == value
    assert type(found) is type(value)


def test_the_form_that_is_written():
    value = {"b": [{"z": 1, "a": "yes"}], "a": "word " * 40 + "end", "c": [], "m": "1\n2\n"}
    text = dump_yaml(value).decode()
    assert text.splitlines()[0] == "a: " + "word " * 40 + "end"
    assert "b:\n- a: 'yes'\n  z: 1\n" in text
    assert "c: []\n" in text
    assert text.endswith("\n")


def test_what_is_written_never_has_aliases():
    shared = {"x": [1]}
    text = dump_yaml({"a": shared, "b": shared, "c": [shared["x"]]})
    assert b"*" not in text and b"&" not in text
    assert load_yaml(text, "x") == {"a": {"x": [1]}, "b": {"x": [1]}, "c": [[1]]}


def test_other_readers_read_the_same():
    value = {"value": STRANGE}
    assert yaml.safe_load(dump_yaml(value)) == value


def test_no_number_becomes_infinite():
    assert not any(isinstance(item, float) and math.isinf(item) for item in load_yaml(b"[1e400, -1e400, .inf]", "x"))
