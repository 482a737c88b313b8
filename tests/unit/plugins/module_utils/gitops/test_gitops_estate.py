# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a play does once: components, transfers by source, commits by repository."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.estate import (
    commits_of,
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
    assert found == [
        {"leader": "one", "source": "./a.tgz", "component": "acme.org/a", "version": "1.0.0", "targets": ["r1.example.com", "r2.example.com"]},
        {"leader": "two", "source": "./a.tgz", "component": "acme.org/b", "version": "2.0.0", "targets": ["r2.example.com"]},
    ]


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
