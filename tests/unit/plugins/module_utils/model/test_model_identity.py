# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities, selectors, and the names that a message proposes."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.identity import (
    identity_of,
    identity_text,
    matches,
    parse_reference_path,
    parse_selector,
    select,
    select_all,
    suggestion,
)


def element(name, version="1.0.0", /, **extra):
    return {"name": name, "version": version, "extraIdentity": extra} if extra else {"name": name, "version": version}


PLATFORMS = [element("image", os="linux", arch="amd64"), element("image", os="linux", arch="arm64"), element("chart")]


@pytest.mark.parametrize("elements, expected", [
    ([element("a")], [{"name": "a"}]),
    ([element("a"), element("b")], [{"name": "a"}, {"name": "b"}]),
    ([element("a", "1"), element("a", "2")], [{"name": "a", "version": "1"}, {"name": "a", "version": "2"}]),
    ([element("a", os="x"), element("a", os="y")], [{"name": "a", "os": "x"}, {"name": "a", "os": "y"}]),
    ([element("a", "1", os="x"), element("a", "2", os="x")], [{"name": "a", "os": "x", "version": "1"}, {"name": "a", "os": "x", "version": "2"}]),
    ([dict(element("a", "1"), extraIdentity={"version": "7"}), element("a", "2")], [{"name": "a", "version": "7"}, {"name": "a", "version": "2"}]),
    ([dict(element("a"), extraIdentity=None)], [{"name": "a"}]),
], ids=["alone", "other names", "versions tell apart", "extra identity tells apart", "both", "version as extra identity", "null"])
def test_the_identity_has_the_version_only_where_it_is_needed(elements, expected):
    assert [identity_of(item, elements) for item in elements] == expected


@pytest.mark.parametrize("selector, expected", [
    ({"name": "chart"}, {"name": "chart"}),
    ({"name": "image", "arch": "arm64"}, {"name": "image", "os": "linux", "arch": "arm64"}),
    ({"arch": "amd64"}, {"name": "image", "os": "linux", "arch": "amd64"}),
    ({"name": "chart", "version": "1.0.0"}, {"name": "chart"}),
])
def test_a_selector_may_be_partial(selector, expected):
    found = select(PLATFORMS, selector, "here")
    assert identity_of(found, PLATFORMS) == expected


def test_an_exact_identity_wins_over_partial_matches():
    elements = [element("a", os="linux"), element("a")]
    assert select(elements, {"name": "a"}, "here") is elements[1]


def test_a_selector_may_mean_several_elements():
    assert select_all(PLATFORMS, {"name": "image"}) == PLATFORMS[:2]
    assert select_all(PLATFORMS, {"os": "windows"}) == []
    elements = [element("a", os="linux"), element("a"), element("b")]
    assert select_all(elements, {"name": "a"}) == [elements[1]]


def test_an_ambiguous_selector_is_refused_with_the_choices():
    with pytest.raises(InvalidInput) as caught:
        select(PLATFORMS, {"name": "image"}, "acme.org/x:1")
    assert "image[arch=amd64,os=linux], image[arch=arm64,os=linux]" in str(caught.value)


@pytest.mark.parametrize("selector, words", [
    ({"name": "imge"}, "Did you mean image[arch=amd64,os=linux] or image[arch=arm64,os=linux]?"),
    ({"name": "image", "os": "windows"}, "Did you mean image[arch=amd64,os=linux] or image[arch=arm64,os=linux]?"),
    ({"name": "chrt"}, "Did you mean chart?"),
    ({"name": "zzzzzz"}, "There are: chart, image[arch=amd64,os=linux], image[arch=arm64,os=linux]."),
    ({"name": "chart", "os": "linux"}, "chart[os=linux]"),
    ({"name": "chart", "version": "2.0.0"}, "chart[version=2.0.0]"),
])
def test_an_unknown_element_is_answered_with_the_nearest_names(selector, words):
    with pytest.raises(NotFound) as caught:
        select(PLATFORMS, selector, "acme.org/x:1", "source")
    assert words in str(caught.value)
    assert "acme.org/x:1 has no source" in caught.value.message


@pytest.mark.parametrize("names, expected", [
    ([], "There is none at all."),
    (["podinfo", "redis"], "Did you mean podinfo?"),
    (["x1", "x2"], "There are: x1, x2."),
    ([f"x{number}" for number in range(12)], "and 2 more."),
])
def test_suggestions(names, expected):
    assert expected in suggestion("podinof", names)


def test_every_given_attribute_has_to_match():
    assert matches(PLATFORMS[0], PLATFORMS, {"name": "image", "version": "1.0.0"})
    assert not matches(PLATFORMS[0], PLATFORMS, {"name": "image", "os": "windows"})
    assert not matches(PLATFORMS[2], PLATFORMS, {"name": "chart", "os": "linux"})


@pytest.mark.parametrize("value, expected", [("x", {"name": "x"}), ({"name": "x", "version": 1}, {"name": "x", "version": "1"})])
def test_a_selector_is_a_name_or_a_mapping(value, expected):
    assert parse_selector(value) == expected


@pytest.mark.parametrize("value", ["", {}, None, 5, ["x"], {1: "x"}])
def test_what_is_no_selector(value):
    with pytest.raises(InvalidInput):
        parse_selector(value)


@pytest.mark.parametrize("value, expected", [
    (None, []), ([], []), ("a", [{"name": "a"}]), ({"name": "a"}, [{"name": "a"}]),
    (["a", {"name": "b", "version": "2"}], [{"name": "a"}, {"name": "b", "version": "2"}]),
])
def test_a_reference_path(value, expected):
    assert parse_reference_path(value) == expected


def test_the_text_of_an_identity():
    assert identity_text({"name": "a"}) == "a"
    assert identity_text({"version": "1", "name": "a", "os": "x"}) == "a[os=x,version=1]"
