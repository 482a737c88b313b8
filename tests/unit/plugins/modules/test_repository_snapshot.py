# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_repository_snapshot: what a registry or an archive holds, as one small file."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    folder_of,
    image_resource,
    local,
    local_image,
    put_component,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, image, layer, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME, CHILD = "acme.test/product", "acme.test/child"
FIRST, SECOND = two_platforms("first"), image([layer("second")])


def put_product(place):
    """Two versions; the second refers to a child with an image of its own, and to one that is nowhere."""
    image_at = image_resource("image", place.put("team/first", FIRST, "1.0"), FIRST)
    put_component(place, component(NAME, [image_at, local("text", b"text")]))
    put_component(place, component(CHILD, [image_resource("image", place.put("team/second", SECOND, "2.0"), SECOND)]))
    away = resource("away", {"type": "npm", "registry": "https://x.invalid", "package": "a", "version": "1.0.0"})
    references = [reference("child", CHILD), reference("gone", "acme.test/gone")]
    put_component(place, component(NAME, [image_at, away], version="1.1.0", componentReferences=references))


def taken(arguments, path, **options):
    outcome = succeed("ocm_repository_snapshot", dict(arguments, dest=str(path)), **options)
    return outcome, json.loads(path.read_text()) if path.exists() else None


def by_digest(items):
    return {item["digest"]: (item["size"], item["repositories"]) for item in items}


@BOTH
def test_a_registry(source, source_log, tmp_path):
    put_product(source)
    outcome, found = taken(dict(repository=source.repository(), component=NAME), tmp_path / "held.json")
    versions = [(item["component"], item["version"]) for item in found["componentVersions"]]
    assert versions == [(CHILD, "1.0.0"), (NAME, "1.0.0"), (NAME, "1.1.0")]
    assert [item["digest"] for item in found["componentVersions"]] == [
        source.digest_of(folder_of(name), version) for name, version in versions
    ]
    manifests, blobs = by_digest(found["manifests"]), by_digest(found["blobs"])
    for path, artifact in (("team/first", FIRST), ("team/second", SECOND)):
        for _kind, raw in artifact.manifests:
            assert manifests[digest(raw)] == (len(raw), [path])
        for key, content in artifact.blobs.items():
            assert blobs[key] == (len(content), [path])
    assert blobs[digest(b"text")] == (4, [folder_of(NAME)])
    assert all(source.has_blob(path, key) for key, (_size, paths) in blobs.items() for path in paths)
    assert len(manifests) == len(FIRST.manifests) + len(SECOND.manifests) + 3
    assert outcome.result["counts"] == dict(
        component_versions=3, manifests=len(manifests), blobs=len(blobs), bytes=sum(size for size, _paths in blobs.values())
    )
    assert outcome.result["size"] == (tmp_path / "held.json").stat().st_size
    assert "acme.test/gone:1.0.0" in outcome.warnings and source_log.writes() == []
    assert not set(source_log.blob_reads()) & {*FIRST.blobs, *SECOND.blobs}


def test_check_mode_and_a_second_run_leave_the_file_alone(source, tmp_path):
    put_product(source)
    path, arguments = tmp_path / "held.json", dict(repository=source.repository(), component=[CHILD])
    predicted, nothing = taken(arguments, path, check=True, diff=True)
    assert nothing is None and list(tmp_path.iterdir()) == []
    happened, _found = taken(arguments, path, diff=True)
    assert predicted.result == happened.result and happened.result["changed"]
    assert f"component version {CHILD}:1.0.0" in happened.result["diff"]["after"]
    before = path.stat()
    again, _found = taken(arguments, path)
    assert not again.result["changed"] and path.stat().st_mtime_ns == before.st_mtime_ns
    put_component(source, component(CHILD, [], version="1.1.0"))
    more, _found = taken(arguments, path, diff=True)
    assert more.result["changed"] and f"{CHILD}:1.1.0" not in more.result["diff"]["before"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["held.json"]


def test_the_same_content_gives_the_same_file(source, tmp_path):
    put_product(source)
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, components in zip(paths, ([NAME, CHILD], [CHILD, NAME])):
        taken(dict(repository=source.repository(), component=components, concurrency=8), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("prefix", ["", "deep/er"])
def test_paths_are_below_the_prefix(prefix, source, target, tmp_path):
    put_product(source)
    into = target.repository(prefix)
    succeed("ocm_transfer", dict(source=source.repository(), target=into, component=CHILD))
    _outcome, found = taken(dict(repository=f"{into}//{CHILD}"), tmp_path / "held.json")
    places = {path for item in found["blobs"] + found["manifests"] for path in item["repositories"]}
    assert places == {"team/second", folder_of(CHILD)}


@pytest.mark.parametrize("name", ["x", "x.tar", "x.tgz"])
def test_an_archive_says_what_it_brings(name, source, target, tmp_path):
    put_component(source, component(NAME, [image_resource("image", source.put("team/first", FIRST, "1.0"), FIRST), local("text", b"text")]))
    archive = str(tmp_path / name)
    succeed("ocm_transfer", dict(source=source.repository(), target=archive, component=NAME))
    _outcome, brought = taken(dict(repository=archive), tmp_path / "brought.json")
    succeed("ocm_transfer", dict(source=archive, target=target.repository("into")))
    _outcome, held = taken(dict(repository=target.repository("into"), component=NAME), tmp_path / "held.json")
    promised, there = by_digest(brought["blobs"]), by_digest(held["blobs"])
    assert {key: promised[key] for key in [*FIRST.blobs, digest(b"text")]} == {key: there[key] for key in [*FIRST.blobs, digest(b"text")]}
    assert set(by_digest(held["manifests"])) - set(by_digest(brought["manifests"])) == {held["componentVersions"][0]["digest"]}


def test_an_image_in_a_component_version_is_looked_into(ctf, tmp_path):
    put_component(ctf, component(NAME, [local_image("image", SECOND, "team/app:2.0")]))
    put_component(ctf, component(NAME, [local_image("image", FIRST, "team/app:1.0")], version="1.1.0"))
    _outcome, found = taken(dict(repository=ctf.repository()), tmp_path / "held.json")
    blobs = by_digest(found["blobs"])
    assert all(blobs[key] == (len(content), ["team/app"]) for one in (FIRST, SECOND) for key, content in one.blobs.items())


def test_an_image_that_was_deleted_is_told_and_left_out(source, tmp_path):
    put_product(source)
    source.delete_manifest("team/second", SECOND.digest)
    outcome, found = taken(dict(repository=source.repository(), component=CHILD), tmp_path / "held.json")
    assert f"{CHILD}:1.0.0" in outcome.warnings
    assert not set(SECOND.blobs) & set(by_digest(found["blobs"]))


def test_what_cannot_be_looked_at_is_said(source, ctf, tmp_path):
    put_product(source)
    dest = str(tmp_path / "held.json")
    call = dict(repository=source.repository(), dest=dest)
    assert "a registry cannot list its components" in fail("ocm_repository_snapshot", call).message
    assert "acme.test/other" in fail("ocm_repository_snapshot", dict(call, component="acme.test/other")).message
    assert "leave it out" in fail("ocm_repository_snapshot", dict(call, repository=f"{source.repository()}//{NAME}:1.0.0")).message
    assert "is a folder" in fail("ocm_repository_snapshot", dict(call, component=NAME, dest=str(tmp_path))).message
    assert not (tmp_path / "held.json").exists()
