# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WWW-Authenticate and scopes."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.challenge import (
    Access,
    Challenge,
    covers,
    merge_scopes,
    parse_challenges,
)

BEARER = 'Bearer realm="https://auth.example/token?a=1,b",service="reg istry",scope="repository:a/b:pull,push"'


@pytest.mark.parametrize(
    "header, wanted",
    [
        ("", []),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("Basic", [("basic", {})]),
        ("basic REALM=x", [("basic", {"realm": "x"})]),
        ('Basic realm="a \\"quoted\\" one"', [("basic", {"realm": 'a "quoted" one'})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Negotiate abc123==, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Bearer realm = "r" , service = s', [("bearer", {"realm": "r", "service": "s"})]),
        (
            'Basic realm="x", Bearer realm="y",scope="z"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "scope": "z"})],
        ),
        (', ,Basic realm="x",,', [("basic", {"realm": "x"})]),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ('Bearer realm="open', [("bearer", {})]),
        ('"""', []),
    ],
)
def test_challenges(header, wanted):
    assert [(item.scheme, dict(item.parameters)) for item in parse_challenges(header)][: len(wanted) or 1] == wanted


def test_bearer_challenge():
    found = parse_challenges(BEARER)
    assert len(found) == 1
    assert found[0].realm == "https://auth.example/token?a=1,b"
    assert found[0].service == "reg istry"
    assert found[0].scopes == ("repository:a/b:pull,push",)
    assert Challenge("basic").realm == "" and Challenge("basic").scopes == ()


def test_scopes_of_an_access():
    assert Access("a/b").scopes == ("repository:a/b:pull",)
    assert Access("a/b", ("push", "pull"), "c").scopes == ("repository:a/b:pull,push", "repository:c:pull")
    assert Access("a", ("pull", "push"), "a").scopes == ("repository:a:pull,push",)
    assert Access().scopes == ()


def test_merging_and_covering():
    assert merge_scopes(["repository:a:push", "repository:a:pull,push", "registry:catalog:*"]) == (
        "registry:catalog:*",
        "repository:a:pull,push",
    )
    assert covers(["repository:a:pull,push"], ["repository:a:pull"])
    assert not covers(["repository:a:pull"], ["repository:a:pull,push"])
    assert not covers(["repository:a:pull"], ["repository:b:pull"])
