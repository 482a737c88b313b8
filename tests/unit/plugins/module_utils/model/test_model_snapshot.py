# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of repositories: the file, and what several of them have in common."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.snapshot import (
    Held,
    HeldVersion,
    Snapshot,
    common,
    merged,
    restricted,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
SNAPSHOT = Snapshot(
    "registry.test/x",
    (HeldVersion("acme.org/b", "1.0.0"), HeldVersion("acme.org/a", "1.0.0+x", A)),
    (Held(B, 3, ("team/app",)),),
    (Held(C, 0, ("team/app",)), Held(A, 7, ("team/app", "team/other"))),
)


def test_a_snapshot_is_read_as_it_was_written():
    again = Snapshot.parse(SNAPSHOT.to_bytes(), "here")
    assert again.to_bytes() == SNAPSHOT.to_bytes()
    assert sorted(again.blobs) == sorted(SNAPSHOT.blobs) and sorted(again.component_versions) == sorted(SNAPSHOT.component_versions)
    assert again.counts() == dict(component_versions=2, manifests=1, blobs=2, bytes=7)


def test_the_order_makes_no_difference():
    other = Snapshot(SNAPSHOT.repository, SNAPSHOT.component_versions[::-1], SNAPSHOT.manifests, SNAPSHOT.blobs[::-1])
    assert other.to_bytes() == SNAPSHOT.to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(schemaVersion=2),
        lambda value: value.update(repository=None),
        lambda value: value.update(blobs={}),
        lambda value: value["blobs"].append("x"),
        lambda value: value["blobs"][0].update(size=-1),
        lambda value: value["blobs"][0].update(size=True),
        lambda value: value["blobs"][0].update(digest="sha256:1"),
        lambda value: value["blobs"][0].update(repositories="team/app"),
        lambda value: value["blobs"][0].update(repositories=["../x"]),
        lambda value: value["componentVersions"][0].update(component="No Name"),
        lambda value: value["componentVersions"][0].update(digest="x"),
        lambda value: value["componentVersions"][0].pop("version"),
    ],
)
def test_what_is_no_snapshot_is_refused(change):
    value = json.loads(SNAPSHOT.to_bytes())
    change(value)
    with pytest.raises((InvalidContent, InvalidInput)):
        Snapshot.parse(json.dumps(value).encode(), "here")


ONE = Snapshot(
    "one", (HeldVersion("acme.org/a", "1", A), HeldVersion("acme.org/b", "1")), (), (Held(A, 1, ("a",)), Held(B, 2, ("b",)), Held(C, 3, ("c",)))
)
OTHER = Snapshot("other", (HeldVersion("acme.org/a", "1", B),), (), (Held(A, 1, ("z",)), Held(B, 9, ("b",))))


def test_common_is_what_all_hold_with_every_place():
    found = common([ONE, OTHER])
    assert found.blobs == (Held(A, 1, ("a", "z")),) and found.repository == "one, other"
    assert [str(version) for version in found.component_versions] == ["acme.org/a:1"]
    assert common([ONE]) == ONE and common([]) == Snapshot("")


def test_merged_is_what_any_holds():
    assert [(blob.digest, blob.paths) for blob in merged(OTHER, ONE).blobs] == [(A, ("a", "z")), (B, ("b",)), (C, ("c",))]
    assert [str(version) for version in merged(OTHER, ONE).component_versions] == ["acme.org/a:1", "acme.org/b:1"]


def test_restricted_keeps_the_blobs_that_are_named():
    assert [blob.digest for blob in restricted(ONE, {C, A}).blobs] == [A, C]
    assert restricted(ONE, ()) == Snapshot("one")
