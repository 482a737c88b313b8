# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random documents in random layouts: an edit of a random path changes that path, and no line beside it."""

from __future__ import annotations

import copy
import json
import random

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.edit import Document

WORDS = (
    "podinfo", "x", "host:5000/a/b:1.0", "1.10", "true", "größe", "two words", "it's", 'say "x"', "#no", "a, b", "-"
)
KEYS = ("name", "image", "spec", "list", "acme.org/x", "größe", "k-1", "on", "8080", "two words")


def plain_or_quoted(rng, text):
    """A scalar in a random style that can hold it in block and in flow context."""
    simple = text.isascii() and text.replace("-", "").isalpha() and text not in ("true", "on", "x", "-")
    styles = [json.dumps(text, ensure_ascii=False), "'" + text.replace("'", "''") + "'"]
    return rng.choice(styles + [text] * (3 if simple else 0))


def leaf(rng):
    value = rng.choice([rng.choice(WORDS), rng.randint(-5, 5000), True, None, rng.random(), "first\nsecond\n"])
    return value


def value_of(rng, depth):
    if depth <= 0 or rng.random() < 0.35:
        return leaf(rng)
    if rng.random() < 0.6:
        return {key: value_of(rng, depth - 1) for key in rng.sample(KEYS, rng.randint(0, 4))}
    return [value_of(rng, depth - 1) for _item in range(rng.randint(0, 3))]


class Emitter:
    """Writes a value as YAML in a layout drawn by chance."""

    def __init__(self, rng):
        self.rng = rng
        self.step = rng.choice((2, 3, 4))
        self.offset = rng.choice((0, 2, self.step))
        self.lines = []

    def comment(self, after_value):
        choices = ["", "", "", "  # why", " # x: y", " #"]
        # YAML has no tab directly behind a dash.
        return self.rng.choice(choices + ["\t# tab\there"] if after_value else choices)

    def noise(self):
        if self.rng.random() < 0.15:
            in_text = self.lines and self.lines[-1].strip() == "second"
            self.lines.append(self.rng.choice(("", "# a: comment", "#" if in_text else "        # deep", "#")))

    def flow(self, value):
        if isinstance(value, dict):
            space = self.rng.choice(("", " "))
            items = (f"{plain_or_quoted(self.rng, key)}: {self.flow(item)}" for key, item in value.items())
            return "{" + space + ", ".join(items) + space + "}"
        if isinstance(value, list):
            return "[" + self.rng.choice((",", ", ")).join(map(self.flow, value)) + "]"
        return self.scalar(value)

    def scalar(self, value):
        if isinstance(value, str):
            return json.dumps(value) if "\n" in value else plain_or_quoted(self.rng, value)
        return self.rng.choice(("~", "null")) if value is None else json.dumps(value)

    def head_and_rest(self, value, column, in_list):
        """What stands behind the indicator, and a function that writes the lines below, if any."""
        if isinstance(value, (dict, list)) and value and self.rng.random() < 0.75:
            nested = column + (self.step if in_list or isinstance(value, dict) else self.offset)
            return "", lambda: self.block(value, nested)
        if isinstance(value, (dict, list)):
            return " " + self.flow(value), None
        if value is None and self.rng.random() < 0.5:
            return "", None
        if value == "first\nsecond\n" and self.rng.random() < 0.7:
            margin = " " * (column + self.step)
            return " |", lambda: self.lines.extend([margin + "first", margin + "second"])
        return " " + self.scalar(value), None

    def block(self, value, column):
        margin = " " * column
        items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        for key, item in items:
            self.noise()
            head, rest = self.head_and_rest(item, column, key is None)
            indicator = "-" if key is None else plain_or_quoted(self.rng, key) + ":"
            self.lines.append(margin + indicator + head + self.comment(bool(head) and head != " |"))
            if rest:
                rest()

    def text(self, value):
        if self.rng.random() < 0.3:
            self.lines.append(self.rng.choice(("---", "--- # start", "# comment")))
        self.block(value, 0)
        self.noise()
        newline = self.rng.choice(("\n", "\n", "\r\n"))
        ends_in_text = self.lines[-1].strip() == "second"
        return newline.join(self.lines) + (newline if ends_in_text or self.rng.random() < 0.8 else "")


def places_of(value, place=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield place + (step,)
        yield from places_of(item, place + (step,))


def at(value, place):
    for step in place:
        value = value[step]
    return value


def written(document, place, new):
    result = copy.deepcopy(document)
    at(result, place[:-1])[place[-1]] = new
    return result


def normal(value):
    """Go and YAML 1.2 read keys as text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): normal(item) for key, item in value.items()}
    return [normal(item) for item in value] if isinstance(value, list) else value


def draw(seed):
    rng = random.Random(seed)
    value = {}
    while not any(not isinstance(at(value, place), (dict, list)) for place in places_of(value)):
        value = {key: value_of(rng, 4) for key in rng.sample(KEYS, rng.randint(1, 5))}
    text = Emitter(rng).text(value)
    return rng, value, text


def read(text):
    return normal(yaml.safe_load(text.replace("\t#", " #")))


def is_subsequence(lines, others):
    remaining = iter(others)
    return all(any(line == other for other in remaining) for line in lines)


def lines_of(text, place):
    """The first line of a value with its key or dash, and the first line behind it, from 0."""
    node = yaml.compose(text.replace("\t#", " #"))
    first = node.start_mark.line
    for step in place:
        if isinstance(node, yaml.MappingNode):
            key, node = next(pair for pair in node.value if pair[0].value == step)
            first = key.start_mark.line
        else:
            before = node.value[step - 1].end_mark.line if step else node.start_mark.line
            node = node.value[step]
            first = min(before, node.start_mark.line)
    end = node.end_mark
    return first, end.line + 1 if end.column else end.line


@pytest.mark.parametrize("seed", range(400))
def test_a_random_scalar(seed):
    rng, value, text = draw(seed)
    assert read(text) == value
    scalars = [place for place in places_of(value) if not isinstance(at(value, place), (dict, list))]
    place = rng.choice(scalars)
    new = rng.choice([word for word in WORDS if word != at(value, place)])
    after = Document.read(text.encode("utf-8"), "x.yaml").replace(place, new).document.content.decode("utf-8")
    assert read(after) == written(value, place, new)
    old_lines, new_lines = text.split("\n"), after.split("\n")
    if at(value, place) != "first\nsecond\n":
        assert len(old_lines) == len(new_lines)
        assert sum(old != new_line for old, new_line in zip(old_lines, new_lines)) == 1
    else:
        changed = [line for line in old_lines if line not in new_lines]
        assert len(changed) <= 3


@pytest.mark.parametrize("seed", range(400, 700))
def test_a_random_key_is_added(seed):
    rng, value, text = draw(seed)
    places = [()] + list(places_of(value))
    maps = [place for place in places if isinstance(at(value, place), dict) or at(value, place) is None]
    place = rng.choice(maps)
    new = rng.choice(["v1.2.3", 5, None, ["a", {"b": "c"}], {"p": {"q": []}}])
    after = Document.read(text.encode("utf-8"), "x.yaml").replace(place + ("added", "deep"), new).document
    expected = copy.deepcopy(value)
    if at(value, place) is None:
        expected = written(value, place, {"added": {"deep": new}})
    else:
        at(expected, place)["added"] = {"deep": new}
    content = after.content.decode("utf-8")
    assert read(content) == expected
    old_lines, new_lines = text.rstrip("\r\n").splitlines(), content.splitlines()
    if at(value, place) and text.endswith("\n"):
        kept = [line for line in old_lines if line in new_lines]
        # A map in the flow style grows on its own line.
        assert len(kept) >= len(old_lines) - 1
        assert is_subsequence(kept, new_lines)


@pytest.mark.parametrize("seed", range(700, 1000))
def test_a_random_value_is_replaced_by_a_random_value(seed):
    rng, value, text = draw(seed)
    place = rng.choice(list(places_of(value)))
    new = value_of(rng, 3)
    after = Document.read(text.encode("utf-8"), "x.yaml").replace(place, new).document.content.decode("utf-8")
    assert read(after) == written(value, place, new)
    first, last = lines_of(text, place)
    old_lines, new_lines = text.splitlines(), after.splitlines()
    assert new_lines[:first] == old_lines[:first]
    assert new_lines[len(new_lines) - len(old_lines[last:]):] == old_lines[last:]


@pytest.mark.parametrize("seed", range(1000, 1150))
def test_random_json(seed):
    rng, value, _text = draw(seed)
    layout = rng.choice(({"indent": 2}, {"indent": 4}, {"indent": "\t"}, {"separators": (",", ":")}, {}))
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, **layout) + rng.choice(("", "\n"))
    place = rng.choice(list(places_of(value)))
    new = value_of(rng, 2)
    after = Document.read(text.encode("utf-8"), "x.json").replace(place, new).document.content.decode("utf-8")
    assert json.loads(after) == written(value, place, new)
    if "indent" in layout and not isinstance(new, (dict, list)) and not isinstance(at(value, place), (dict, list)):
        assert sum(old != line for old, line in zip(text.split("\n"), after.split("\n"))) <= 1
