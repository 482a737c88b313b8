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


@pytest.mark.parametrize("form", ["registry", "sets", "shared"])
def test_the_file_tells_every_image_and_the_end(form, source, target, tmp_path):
    put_product(source)
    path = tmp_path / "progress"
    place = target.repository("into") if form == "registry" else str(tmp_path / "archive")
    layout = "sets" if form == "registry" else form
    call = dict(call_of(source, place, path), archive_layout=layout)
    succeed("ocm_transfer", call, check=True)
    assert not path.exists()
    outcome = succeed("ocm_transfer", call)
    events = events_of(path)
    assert [event["event"] for event in events if event["event"] != "moving"] == ["image", "image", "end"]
    assert {event["target"] for event in events if event["event"] == "image"} == {place}
    last = events[-1]
    assert last["images"] == {"done": 2, "total": 2} and last["time"] and last["seconds_left"] == 0.0
    count = sum(outcome.result["statistics"]["blobs"].values())
    assert last["blobs"] == {"done": count, "total": count}
    if form == "sets":
        assert 0.8 * last["bytes"]["total"] < last["bytes"]["done"] <= last["bytes"]["total"]
    else:
        blobs = {key: blob for one in IMAGES.values() for key, blob in one.blobs.items()}
        size = sum(map(len, blobs.values())) + len(b"text")
        assert last["bytes"] == {"done": size, "total": size}
    succeed("ocm_transfer", call)
    assert [event["event"] for event in events_of(path)[len(events):]] == ["end"]


@pytest.mark.parametrize("layout", ["sets", "shared"])
def test_an_image_of_several_versions_is_one_and_complete_when_it_is_told(layout, source, tmp_path):
    put_product(source)
    resources = [image_resource("one", f"{source.image('team/one')}:1.0", IMAGES["one"])]
    put_component(source, component(NAME, resources, "2.0.0"))
    path = tmp_path / "progress"
    call = dict(call_of(source, str(tmp_path / "archive"), path), version=None, archive_layout=layout)
    succeed("ocm_transfer", call)
    events = events_of(path)
    images = [event["image"] for event in events if event["event"] == "image"]
    assert len(images) == len(set(images)) == 2 and events[-1]["images"] == {"done": 2, "total": 2}
    if layout == "shared":
        size = sum(len(blob) for blob in {**IMAGES["one"].blobs, **IMAGES["two"].blobs}.values())
        assert all(event["bytes"]["done"] >= size for event in events if event["event"] == "image")


def test_what_an_archive_has_or_leaves_out_is_no_work(source, target, tmp_path):
    put_product(source)
    path, far = tmp_path / "progress", tmp_path / "far.json"
    succeed("ocm_transfer", dict(call_of(source, target.repository("into"), path), progress_file=None))
    succeed("ocm_repository_snapshot", dict(repository=target.repository("into"), component=NAME, dest=str(far)))
    put_component(source, component(NAME, [local("new", b"what is new")], "2.0.0"))
    call = dict(call_of(source, str(tmp_path / "archive"), path), archive_layout="shared", known_content=[str(far)])
    outcome = succeed("ocm_transfer", dict(call, version=None))
    last = events_of(path)[-1]
    assert last["bytes"] == {"done": 11, "total": 11} and outcome.result["statistics"]["blobs"]["copied"] == 1
    assert last["blobs"]["done"] == last["blobs"]["total"]
    assert outcome.result["statistics"]["planned"]["blobs"] == outcome.result["statistics"]["blobs"]


def test_a_file_that_cannot_be_written_is_refused_before_anything_moves(source, target, tmp_path):
    put_product(source)
    message = fail("ocm_transfer", call_of(source, target.repository("into"), tmp_path / "no" / "folder")).message
    assert "progress_file" in message and target.repositories() == []
