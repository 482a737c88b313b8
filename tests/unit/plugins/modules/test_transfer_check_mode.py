# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer in check mode: it only reads, and says what the run that follows says."""

from __future__ import annotations

import json
import re

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    image_resource,
    local,
    local_image,
    put_component,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import image, layer, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import succeed
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

NAME, CHILD = "acme.test/product", "acme.test/child"
IMAGE, SMALL = two_platforms("image"), image([layer("small")])
UNKNOWN_BEFORE_PACKING = ("digest", "localReference")


def differences(predicted, happened, path=""):
    """Where two results differ, apart from what exists only after packing and is null before."""
    if predicted is None and path.rpartition(".")[2] in UNKNOWN_BEFORE_PACKING:
        return []
    if isinstance(predicted, dict) and isinstance(happened, dict):
        keys = sorted(set(predicted) | set(happened))
        return [text for key in keys for text in differences(predicted.get(key), happened.get(key), f"{path}.{key}")]
    if isinstance(predicted, list) and isinstance(happened, list) and len(predicted) == len(happened):
        pairs = enumerate(zip(predicted, happened))
        return [text for number, pair in pairs for text in differences(*pair, f"{path}[{number}]")]
    return [] if predicted == happened else [f"{path}: {predicted!r} was predicted, {happened!r} happened"]


def comparable(outcome):
    """A result without statistics, and with what a diff says of blobs that have no digest before they are packed."""
    values = {key: value for key, value in outcome.result.items() if key != "statistics"}
    shown = re.sub(r": (sha256:[0-9a-f]{64}|localBlob) \(", ": a blob (", json.dumps(values.get("diff", [])))
    return dict(values, diff=json.loads(shown))


def compare(predicted, happened):
    assert differences(comparable(predicted), comparable(happened)) == []


def put_everything(source, server):
    resources = [
        local("text", b"text"),
        local_image("packed", SMALL, "team/packed:1.0"),
        image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE),
        image_resource("same", source.put("team/app", IMAGE, "1.0"), IMAGE, version="2.0.0"),
        resource("download", {"type": "wget", "url": f"{server.url}/x.txt"}),
        resource("nothing", {"type": "none"}),
        resource("stays", {"type": "npm", "registry": "https://x.invalid", "package": "a", "version": "1.0.0"}),
    ]
    put_component(source, component(CHILD, [local("text", b"child")]))
    put_component(source, component(NAME, resources, componentReferences=[reference("child", CHILD)]))


def arguments(source, target):
    return dict(
        source=source.repository(), target=target, component=NAME, version="1.0.0", by_reference_access_types=["npm"]
    )


@BOTH
def test_into_a_registry(source, target, target_log, source_log):
    with ScriptedServer(lambda asked: Reply(200, {"Content-Type": "text/plain"}, b"downloaded")) as server:
        put_everything(source, server)
        call = arguments(source, target.repository("into"))
        for log in (target_log, source_log):
            log.restart()
        predicted = succeed("ocm_transfer", call, check=True, diff=True)
        assert target_log.writes() == [] == source_log.writes() and target.repositories() == []
        compare(predicted, succeed("ocm_transfer", call, diff=True))
        assert source_log.writes() == []

        target.delete_manifest("into/team/app", IMAGE.digest)
        target_log.restart()
        predicted = succeed("ocm_transfer", call, check=True, diff=True)
        assert target_log.writes() == [] and predicted.result["changed"]
        compare(predicted, succeed("ocm_transfer", call, diff=True))
        target_log.restart()
        compare(succeed("ocm_transfer", call, check=True, diff=True), succeed("ocm_transfer", call, diff=True))
        assert target_log.writes() == []


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_into_an_archive(form, source, source_log, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    with ScriptedServer(lambda asked: Reply(200, {"Content-Type": "text/plain"}, b"downloaded")) as server:
        put_everything(source, server)
        call = arguments(source, str(place / form))
        source_log.restart()
        predicted = succeed("ocm_transfer", call, check=True, diff=True)
        assert source_log.writes() == [] and files_of(place) == {}
        happened = succeed("ocm_transfer", call, diff=True)
        compare(predicted, happened)

        there = files_of(place)
        again = succeed("ocm_transfer", call, check=True, diff=True)
        assert not again.result["changed"] and files_of(place) == there
        compare(again, succeed("ocm_transfer", call, diff=True))
        assert files_of(place) == there


def test_the_source_is_not_read_for_what_is_there(source, target, source_log, target_log):
    """Nothing to do costs one look at each version and one at each image."""
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]))
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, version="1.0.0")
    succeed("ocm_transfer", call)
    for log in (target_log, source_log):
        log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert not [path for _method, path, _status in source_log.requests() if "/team/app/" in path]
    at_the_image = [item[:2] for item in target_log.requests() if "/team/app/" in item[1]]
    assert at_the_image == [("HEAD", "/v2/into/team/app/manifests/1.0")]
