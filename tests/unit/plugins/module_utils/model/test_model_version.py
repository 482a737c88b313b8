# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions, their order, tags and ranges. What ranges allow is compared with tests/data/semver.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.version import (
    Constraint,
    Version,
    newest_first,
    tag_of,
    version_of,
)

TRUTH = json.loads((Path(__file__).resolve().parents[4] / "data" / "semver.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text, numbers, prerelease, build", [
    ("1", (1, 0, 0), "", ""),
    ("v1", (1, 0, 0), "", ""),
    ("1.2", (1, 2, 0), "", ""),
    ("v1.2.3", (1, 2, 3), "", ""),
    ("0.0.0", (0, 0, 0), "", ""),
    ("1.2.3-rc.1", (1, 2, 3), "rc.1", ""),
    ("1.2.3+b.01", (1, 2, 3), "", "b.01"),
    ("1.2.3-a-b.0+c-d", (1, 2, 3), "a-b.0", "c-d"),
    ("1-rc", (1, 0, 0), "rc", ""),
    ("v1.2+x", (1, 2, 0), "", "x"),
    ("1.2.3--", (1, 2, 3), "-", ""),
    ("18446744073709551615.0.0", (2**64 - 1, 0, 0), "", ""),
])
def test_a_version_is_read(text, numbers, prerelease, build):
    version = Version.parse(text)
    assert (version.numbers, version.prerelease, version.build, str(version)) == (numbers, prerelease, build, text)


@pytest.mark.parametrize("text", [
    "", "v", "latest", "V1.0", "1.", ".1", "1.2.3.4", "01.2", "1.02.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.3+a+b",
    " 1.2", "1.2 ", "1.2\n", "1.2.3_4", "1.2.3-\u00e9", "\uff11.2", "sha256-abc.sig", "-1", "18446744073709551616",
    "1.2.3-" + "a" * 251, None, 1, 1.2,
])
def test_what_is_no_version(text):
    assert Version.parse_or_none(text) is None
    with pytest.raises(InvalidInput):
        Version.parse(text)


def test_versions_are_ordered_as_semver_does():
    assert [str(version) for version in sorted(map(Version.parse, TRUTH["versions"]))] == TRUTH["ascending"]


@pytest.mark.parametrize("smaller, greater", [
    ("1.0.0-alpha", "1.0.0-alpha.1"), ("1.0.0-alpha.1", "1.0.0-alpha.beta"), ("1.0.0-beta", "1.0.0-beta.2"),
    ("1.0.0-beta.2", "1.0.0-beta.11"), ("1.0.0-beta.11", "1.0.0-rc.1"), ("1.0.0-rc.1", "1.0.0"), ("1.9.0", "1.10.0"),
    ("1.0.0-999", "1.0.0-a"), ("1.0.0-A", "1.0.0-a"), ("0.9.9", "v1"),
])
def test_one_version_is_older(smaller, greater):
    assert Version.parse(smaller) < Version.parse(greater)
    assert Version.parse(greater) > Version.parse(smaller)


def test_build_metadata_and_spelling_take_no_part_in_the_order():
    assert Version.parse("1.0.0+a") == Version.parse("v1+b")
    assert hash(Version.parse("1.0.0+a")) == hash(Version.parse("v1+b"))
    assert Version.parse("1.0.0") != "1.0.0"


def test_the_newest_version_comes_first_and_equal_ones_have_a_fixed_order():
    versions = ["1.0.0", "1.0.0+b", "1.0.0+a", "v2", "1.0.0-rc.1"]
    expected = ["v2", "1.0.0+b", "1.0.0+a", "1.0.0", "1.0.0-rc.1"]
    assert newest_first(versions) == expected
    assert newest_first(reversed(versions)) == expected


@pytest.mark.parametrize("constraint", sorted(TRUTH["allowed"]))
def test_a_constraint_allows_what_semver_allows(constraint):
    allowed = Constraint.parse(constraint)
    found = [index for index, text in enumerate(TRUTH["versions"]) if allowed.allows(Version.parse(text))]
    assert found == TRUTH["allowed"][constraint]


@pytest.mark.parametrize("constraint", TRUTH["invalid"] + ["x" * 513, None, 5])
def test_what_semver_refuses_is_no_constraint(constraint):
    with pytest.raises(InvalidInput):
        Constraint.parse(constraint)


@pytest.mark.parametrize("constraint, version, allowed", [
    (">=6.3.5, <7", "6.3.5", True),
    (">=6.3.5 <7", "7.0.0", False),
    ("^1.2 || ~2.0", "2.0.9", True),
    ("1.2 - 1.4", "1.4.9", True),
    ("1.2 - 1.4.5", "1.4.6", False),
    ("> 0.0.0-0", "1.0.0-rc.1", True),
    (">=1.0.0", "1.1.0-rc.1", False),
    (">=1.0.0-0", "1.1.0-rc.1", True),
    (">=1.0.0-0 || >=3", "4.0.0-rc.1", True),
    (">=5.0.0-0 || >=3", "4.0.0-rc.1", False),
    ("*", "0.0.0", True),
    ("*", "1.0.0-rc.1", False),
    ("=1.2.3", "1.2.3+build", True),
])
def test_the_rules_that_users_meet(constraint, version, allowed):
    assert Constraint.parse(constraint).allows(Version.parse(version)) is allowed


@pytest.mark.parametrize("version, tag", [
    ("1.0.0", "1.0.0"),
    ("v1.2.3+meta.4", "v1.2.3.build-meta.4"),
    ("6.4.0-rc.1+build.7", "6.4.0-rc.1.build-build.7"),
    ("1.0.0-a.build-b+c", "1.0.0-a.build-b.build-c"),
    ("1.0.0+x.build", "1.0.0.build-x.build"),
])
def test_a_version_has_a_tag_and_is_found_by_it(version, tag):
    assert tag_of(version) == tag
    assert version_of(tag) == version


@pytest.mark.parametrize("tag", [
    "latest", "sha256-" + "a" * 64, "sha256-" + "a" * 64 + ".sig", "stable", "1.0.0.build-", ".build-1", "1.0.0.0", "1.0_0",
])
def test_a_tag_that_is_no_version(tag):
    assert version_of(tag) is None


@pytest.mark.parametrize("version", ["latest", "", "v1.2.3.build-meta.4", "1.0.0+" + "a" * 117])
def test_what_has_no_tag(version):
    with pytest.raises(InvalidInput):
        tag_of(version)


def test_the_longest_tag():
    assert len(tag_of("1.0.0+" + "a" * 116)) == 128
