# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests and bytes a transfer may cost: first, again, and with one layer that is new."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Dict, List, Tuple

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    folder_of,
    image_resource,
    local,
    put_component,
    read_manifest,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import Artifact, digest, image, index
from ansible_collections.ocm.airgap.tests.support.modules import succeed

NAME = "acme.test/product"
IMAGES = 5
OWN = 2
PLATFORMS = ("amd64", "arm64")
SIZE = 3000
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def content(name: str) -> bytes:
    """Bytes of a layer that nobody can compress, always the same for one name."""
    return random.Random(name).getrandbits(8 * SIZE).to_bytes(SIZE, "big")


SHARED = [content("shared 0"), content("shared 1")]


def one_image(name: str, changed: str = "") -> Artifact:
    """Two platforms with four layers each, two of them in all images. changed: another last layer for amd64."""
    children = []
    for platform in PLATFORMS:
        layers = SHARED + [content(f"{name} {platform} {number}") for number in range(OWN)]
        if changed and platform == "amd64":
            layers[-1] = content(f"{name} {changed}")
        children.append((platform, image(layers, platform=platform)))
    return index(children)


@dataclass
class Work:
    """Images of a component version by their names."""

    images: Dict[str, Artifact]

    @property
    def manifests(self) -> int:
        return sum(len(one.manifests) for one in self.images.values())

    @property
    def blobs(self) -> Dict[str, bytes]:
        return {key: blob for one in self.images.values() for key, blob in one.blobs.items()}

    @property
    def mounts(self) -> int:
        """How often a blob has to be in a further repository."""
        return sum(len(one.blobs) for one in self.images.values()) - len(self.blobs)


def first_work() -> Work:
    return Work({f"app{number}": one_image(f"app{number}") for number in range(IMAGES)})


def changed_work() -> Work:
    return Work(dict(first_work().images, app2=one_image("app2", "changed")))


def put_work(place, work, version, tags=None):
    resources = []
    for name, one in work.images.items():
        tag = (tags or {}).get(name, "1.0")
        resources.append(image_resource(name, place.put(f"team/{name}", one, tag), one))
    put_component(place, component(NAME, resources, version))


def call_of(source, target, version="1.0.0", **more):
    return dict(source=source.repository(), target=target.repository("into"), component=NAME, version=version, **more)


def of_path(requests, path) -> List[Tuple[str, str, int]]:
    return [one for one in requests if one[1].startswith(f"/v2/{path}/")]


def shown(requests) -> str:
    return "\n".join(f"{method} {path[:150]} {status}" for method, path, status in requests)


def whole(target, work) -> bool:
    return all(target.whole(f"into/team/{name}", one) for name, one in work.images.items())


@BOTH
def test_the_first_copy(source, target, source_log, target_log):
    work = first_work()
    put_work(source, work, "1.0.0")
    source_log.restart()
    outcome = succeed("ocm_transfer", call_of(source, target))
    read, written = source_log.requests(), target_log.requests()
    assert whole(target, work)
    assert len(read) <= work.manifests + len(work.blobs) + 4, shown(read)
    limit = 2 * len(work.blobs) + work.mounts + work.manifests + len(work.images) + 8
    assert len(written) <= limit, shown(written)
    assert sorted(set(source_log.blob_reads()) & {*work.blobs}) == sorted(work.blobs)
    counts = outcome.result["statistics"]["blobs"]
    assert counts == {"copied": len(work.blobs), "mounted": work.mounts, "present": 0}


@BOTH
def test_again_with_nothing_to_do(source, target, source_log, target_log):
    work = first_work()
    put_work(source, work, "1.0.0")
    succeed("ocm_transfer", call_of(source, target))
    source_log.restart()
    target_log.restart()
    outcome = succeed("ocm_transfer", call_of(source, target))
    requests = source_log.requests() + target_log.requests()
    assert not outcome.result["changed"] and target_log.writes() == []
    assert len(requests) <= 4 + len(work.images), shown(requests)


@BOTH
@pytest.mark.parametrize("tag", ["1.1", "1.0"], ids=["new_tag", "same_tag"])
def test_one_layer_of_one_image_changed(tag, source, target, source_log, target_log):
    put_work(source, first_work(), "1.0.0")
    succeed("ocm_transfer", call_of(source, target))
    work = changed_work()
    put_work(source, work, "1.1.0", {"app2": tag})
    source_log.restart()
    target_log.restart()
    outcome = succeed("ocm_transfer", call_of(source, target, "1.1.0"))
    read, written = source_log.requests(), target_log.requests()
    assert whole(target, work)
    changed, others = "into/team/app2", [f"into/team/{name}" for name in work.images if name != "app2"]
    assert len(of_path(read, folder_of(NAME))) <= 4, shown(read)
    assert len(of_path(read, "team/app2")) <= 4 and len(read) <= 4 + 4, shown(read)
    for path in others:
        assert [method for method, _path, _status in of_path(written, path)] == ["HEAD"], shown(written)
    assert len(written) <= 10 + 8 + len(others), shown(written)
    assert len(of_path(written, folder_of(NAME, "into"))) <= 10, shown(written)
    new = {*work.blobs} - {*first_work().blobs}
    assert len(new) == 2 and {*source_log.blob_reads()} & {*work.blobs} == new
    descriptor = {blob["digest"] for blob in _blobs(read_manifest(target, NAME, "1.1.0", "into"))}
    assert {*target_log.blob_uploads()} == new | descriptor
    assert outcome.result["statistics"]["blobs"]["copied"] == len(new)
    assert of_path(written, changed)


def delete_blob(place, path, key):
    place._send("DELETE", f"{path}/blobs/{key}", (202,))


@BOTH
@pytest.mark.parametrize("lost", ["unchanged manifest", "unchanged layer"])
def test_what_an_older_image_vouches_for_and_is_gone_is_brought(lost, source, target):
    """The registry refuses the manifest then."""
    old = first_work().images["app2"]
    put_work(source, first_work(), "1.0.0")
    succeed("ocm_transfer", call_of(source, target))
    if lost == "unchanged manifest":
        target.delete_manifest("into/team/app2", digest(old.manifests[1][1]))
    else:
        delete_blob(target, "into/team/app2", digest(content("app2 amd64 0")))
    work = changed_work()
    put_work(source, work, "1.1.0", {"app2": "1.1"})
    succeed("ocm_transfer", call_of(source, target, "1.1.0"))
    assert whole(target, work)


@BOTH
@pytest.mark.parametrize("lost", [False, True], ids=["there", "lost"])
def test_a_local_blob_of_an_older_version_is_not_sent_again(lost, source, target, source_log, target_log):
    for version in ("1.0.0", "1.1.0"):
        put_component(source, component(NAME, [local("text", b"text"), local("more", version.encode())], version))
    succeed("ocm_transfer", call_of(source, target))
    path = folder_of(NAME, "into")
    if lost:
        delete_blob(target, path, digest(b"text"))
    source_log.restart()
    target_log.restart()
    succeed("ocm_transfer", call_of(source, target, "1.1.0"))
    assert target.blob(path, digest(b"text")) == b"text" and target.blob(path, digest(b"1.1.0")) == b"1.1.0"
    assert source_log.blob_reads().count(digest(b"text")) == int(lost)
    if not lost:
        assert not [one for one in target_log.requests() if digest(b"text") in one[1]]


@BOTH
def test_content_of_several_versions_is_read_once(source, target, source_log, target_log):
    """One graph with local blobs and layers that several component versions share."""
    parts = {f"acme.test/part{number}": one_image(f"part{number}") for number in range(3)}
    for name, one in parts.items():
        reference = source.put(f"team/{name.rpartition('/')[2]}", one, "1.0")
        put_component(source, component(name, [local("text", b"text"), image_resource("image", reference, one)]))
    references = [{"name": name.rpartition("/")[2], "componentName": name, "version": "1.0.0"} for name in parts]
    put_component(source, component(NAME, [local("text", b"text")], componentReferences=references))
    source_log.restart()
    target_log.restart()
    succeed("ocm_transfer", call_of(source, target))
    reads = source_log.blob_reads()
    assert len(reads) == len(set(reads)) and {digest(b"text"), *map(digest, SHARED)} <= set(reads)
    assert len(target_log.blob_uploads()) == len(set(target_log.blob_uploads()))
    for name, one in parts.items():
        assert target.whole(f"into/team/{name.rpartition('/')[2]}", one)
        assert target.has_blob(folder_of(name, "into"), digest(b"text"))


def _blobs(manifest):
    return [manifest["config"], *manifest["layers"]]


def planned_and_counted(call):
    """What check mode says that the rest takes, and what the run takes beyond what check mode has cost."""
    checked = succeed("ocm_transfer", call, check=True).result["statistics"]
    done = succeed("ocm_transfer", call).result["statistics"]
    assert done["planned"] == checked["planned"]
    counted = {
        side: {name: done[side][name] - checked[side][name] for name in ("requests", "bytes")}
        for side in ("source", "target")
    }
    return checked["planned"], dict(counted, blobs=done["blobs"])


@BOTH
def test_check_mode_tells_requests_and_bytes_exactly(source, target):
    put_work(source, first_work(), "1.0.0")
    planned, counted = planned_and_counted(call_of(source, target))
    assert planned == counted
    put_work(source, changed_work(), "1.1.0", {"app2": "1.1"})
    planned, counted = planned_and_counted(call_of(source, target, "1.1.0"))
    assert planned == counted
    planned, counted = planned_and_counted(call_of(source, target, "1.1.0"))
    assert planned == counted and not any(planned["target"].values())


@pytest.mark.parametrize("layout", ["sets", "shared"])
def test_for_an_archive_check_mode_tells_what_it_grows_by_at_most(layout, source, tmp_path):
    put_work(source, first_work(), "1.0.0")
    archive = tmp_path / "archive"
    call = dict(source=source.repository(), target=str(archive), component=NAME, version="1.0.0", archive_layout=layout)
    planned, counted = planned_and_counted(call)
    assert planned["source"] == counted["source"] and planned["blobs"] == counted["blobs"]
    written = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
    assert written <= planned["target"]["bytes"] <= 1.2 * written
    assert planned["target"]["requests"] == 0
