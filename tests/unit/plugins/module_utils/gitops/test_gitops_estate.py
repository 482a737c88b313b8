# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a play does once: components, transfers by source, commits by repository."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.estate import (
    commits_of,
    joint_registries,
    outcome_text,
    read_components,
    transfers_of,
    with_references,
    with_versions,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput

A, B = {"component": "acme.org/a", "version": "1.0.0"}, {"component": "acme.org/b", "version": "2.0.0"}


def test_one_component_is_what_the_defaults_say():
    found = read_components([], dict(A, name="", constraint="", values=None, manifests="deployment"))
    assert found == [{"component": "acme.org/a", "version": "1.0.0", "constraint": "", "name": "a", "manifests": "deployment"}]


def test_entries_win_over_defaults():
    found = read_components([dict(B, name="x"), "acme.org/c"], {"version": "9.0.0", "target_namespace": "apps"})
    assert [(item["name"], item["version"], item["target_namespace"]) for item in found] == [("x", "2.0.0", "apps"), ("c", "9.0.0", "apps")]


def test_a_range_of_its_own_takes_the_place_of_the_common_version():
    assert read_components([{"component": "acme.org/c", "constraint": ">=1"}], {"version": "9.0.0"})[0]["version"] == ""


@pytest.mark.parametrize(
    "entries, defaults, text",
    [
        ([], {}, "ocm_airgap_component"),
        ([{"version": "1.0.0"}], {}, "No component"),
        ([dict(A, namespace="x")], {}, "namespace"),
        ([dict(A, version=1.1)], {}, "quotes"),
        ("acme.org/a", {}, "list"),
        ([1], {}, "mapping"),
    ],
)
def test_wrong_components_are_told(entries, defaults, text):
    with pytest.raises(InvalidInput, match=text):
        read_components(entries, defaults)


def test_ranges_get_their_newest_version():
    wanted = read_components([A, {"component": "acme.org/c", "constraint": ">=1"}], {})
    found = [{"item": wanted[1], "component_versions": [{"version": "3.0.0"}, {"version": "2.0.0"}]}]
    assert [item["version"] for item in with_versions(wanted, found)] == ["1.0.0", "3.0.0"]


def test_what_was_moved_goes_to_its_component():
    wanted = [{"component": "acme.org/a", "version": "1.0.0"}, {"component": "acme.org/b", "version": "1.0.0"}]
    image, file = {"after": {"imageReference": "r1.example.com/a:1"}}, {"after": {"localReference": "sha256:1"}}
    moves = [{"site_move": dict(wanted[0]), "resources": [image, file]}, {"skipped": True}, {"site_move": {}}]
    assert [item["references"] for item in with_references(wanted, moves)] == [[image], []]


def cluster(host, target="r1.example.com", source="./a.tgz", components=(A,), **git):
    return dict({"host": host, "source": source, "target": target, "components": list(components)}, **git)


def test_a_source_is_read_once_for_all_targets():
    found = transfers_of([cluster("one"), cluster("two", "r2.example.com", components=(A, B)), cluster("three")])
    read = dict(source="./a.tgz", overwrite=False)
    assert found == [
        dict(A, leader="one", hosts=["one", "two", "three"], targets=["r1.example.com", "r2.example.com"], **read),
        dict(B, leader="two", hosts=["two"], targets=["r2.example.com"], **read),
    ]


def test_what_may_be_overwritten_is_moved_apart():
    found = transfers_of([cluster("one", overwrite=True), cluster("two", "r2.example.com"), cluster("three", overwrite=True)])
    assert [(item["overwrite"], item["hosts"], item["targets"]) for item in found] == [
        (True, ["one", "three"], ["r1.example.com"]),
        (False, ["two"], ["r2.example.com"]),
    ]


def account(name, host="r.example.com", **more):
    return dict({"host": host, "username": name, "password": f"password-of-{name}"}, **more)


def test_every_target_is_reached_by_the_account_of_its_cluster():
    one, other = account("one"), account("other", "other.example.com")
    clusters = [
        ["r.example.com/one", [one, other]],
        ["http://r.example.com/two", [account("two"), account("unused", "unused.example.com")]],
        ["r.example.com/three", [account("third", "r.example.com/three/deep"), account("three", "r.example.com/three")]],
        [["r.example.com/four", "r.example.com/one"], [one]],
        ["r.example.com/two", [account("late")]],
        ["open.example.com", []],
        ["./a.tgz", [account("file")]],
    ]
    expected = [one, other, account("two", "r.example.com/two"), account("three", "r.example.com/three")]
    assert joint_registries(clusters) == expected


def test_how_a_registry_is_reached_belongs_to_its_account():
    private = account("one", ca_path="/etc/own.pem")
    assert joint_registries([["r.example.com/one", [account("one")]], ["r.example.com/two", [private]]])[1] == dict(
        private, host="r.example.com/two"
    )


def test_one_cluster_keeps_its_registries():
    own = [account("one"), account("two", "r.example.com/x")]
    assert joint_registries([["r.example.com", own]]) == own
    assert joint_registries([]) == []


def git(url="https://robot:secret-1@git.example.com/a.git", branch="main", push=""):
    return {"git_url": url, "git_branch": branch, "git_push_branch": push}


def test_a_branch_gets_one_commit():
    clusters = [
        cluster("one", components=[dict(A, name="a", git_path="x")], **git()),
        cluster("two", components=[dict(A, name="a", git_path="y")], **git("https://git.example.com/a.git")),
        cluster("three", components=[dict(A, name="a", git_path="x")], **git()),
        cluster("four", components=[dict(A, name="a", git_path="x")], **git(branch="other")),
        cluster("five", git_url=""),
    ]
    found = commits_of(clusters)
    assert [(item["leader"], item["hosts"], len(item["components"])) for item in found] == [("one", ["one", "two", "three"], 2), ("four", ["four"], 1)]
    assert "secret-1" not in str(found)


def test_clusters_that_want_one_folder_differently_are_told():
    clusters = [
        cluster("one", components=[dict(A, name="a", git_path="x")], **git()),
        cluster("two", components=[dict(A, name="a", git_path="x", version="2.0.0")], **git()),
    ]
    with pytest.raises(InvalidInput, match="ocm_airgap_git_path"):
        commits_of(clusters)


@pytest.mark.parametrize("option, values", [("foreign_images", ("fail", "allow")), ("git_adopt", (False, True))])
def test_clusters_that_want_one_commit_differently_are_told(option, values):
    mixed = [cluster(host, **git(), **{option: value}) for host, value in zip(("one", "two"), values)]
    with pytest.raises(InvalidInput, match=f"one and two .* ocm_airgap_{option}"):
        commits_of(mixed)
    apart = [mixed[0], dict(mixed[1], git_branch="other")]
    assert [item["hosts"] for item in commits_of(apart)] == [["one"], ["two"]]


def outcome(**more):
    usual = dict(cluster="one", components=["acme.org/a 1.0.0"], done=["preflight", "transfer"], transferred=[], commit="")
    return dict(usual, merged=True, failed=False, phase="", task="", reason="", **more)


@pytest.mark.parametrize(
    "values, text",
    [
        ({}, "one: acme.org/a 1.0.0. Done: preflight, transfer."),
        (
            {"transferred": ["acme.org/a 1.0.0"], "commit": "5f2b", "merged": False},
            "one: acme.org/a 1.0.0. Done: preflight, transfer. Transferred: acme.org/a 1.0.0. Commit: 5f2b. It has to be merged.",
        ),
        (
            {"failed": True, "phase": "credentials", "task": "Look", "reason": "No answer."},
            "one: FAILED in the phase credentials (Look): No answer. Done: preflight, transfer.",
        ),
        (
            {"failed": True, "phase": "preflight", "reason": "No version.", "done": [], "components": []},
            "one: FAILED in the phase preflight: No version.",
        ),
    ],
)
def test_what_has_become_of_a_cluster(values, text):
    assert outcome_text(dict(outcome(), **values)) == text
