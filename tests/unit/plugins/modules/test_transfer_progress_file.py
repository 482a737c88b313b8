# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer with progress_file."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.images import two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
IMAGES = {name: two_platforms(name) for name in ("one", "two")}


def put_product(source):
    resources = [local("text", b"text")]
    resources += [image_resource(name, source.put(f"team/{name}", one, "1.0"), one) for name, one in IMAGES.items()]
    put_component(source, component(NAME, resources))


def call_of(source, target, path):
    return dict(source=source.repository(), target=target, component=NAME, version="1.0.0", progress_file=str(path))


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("form", ["registry", "archive"])
def test_the_file_tells_every_image_and_the_end(form, source, target, tmp_path):
    put_product(source)
    path = tmp_path / "progress"
    place = target.repository("into") if form == "registry" else str(tmp_path / "archive")
    succeed("ocm_transfer", call_of(source, place, path), check=True)
    assert not path.exists()
    outcome = succeed("ocm_transfer", call_of(source, place, path))
    events = events_of(path)
    assert [event["event"] for event in events if event["event"] != "moving"] == ["image", "image", "end"]
    assert {event["target"] for event in events if event["event"] == "image"} == {place}
    last = events[-1]
    assert last["images"] == {"done": 2, "total": 2} and last["time"] and last["seconds_left"] == 0.0
    if form == "registry":
        blobs = {key: blob for one in IMAGES.values() for key, blob in one.blobs.items()}
        size = sum(map(len, blobs.values())) + len(b"text")
        assert last["bytes"] == {"done": size, "total": size}
        count = sum(outcome.result["statistics"]["blobs"].values())
        assert last["blobs"] == {"done": count, "total": count}
    succeed("ocm_transfer", call_of(source, place, path))
    assert [event["event"] for event in events_of(path)[len(events):]] == ["end"]


def test_a_file_that_cannot_be_written_is_refused_before_anything_moves(source, target, tmp_path):
    put_product(source)
    message = fail("ocm_transfer", call_of(source, target.repository("into"), tmp_path / "no" / "folder")).message
    assert "progress_file" in message and target.repositories() == []
