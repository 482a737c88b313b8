# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer to several targets, within one registry, and from and to registries that want a login."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    component,
    image_resource,
    local,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, image, layer, two_platforms
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import RequestLog

NAME = "acme.test/product"
IMAGE = two_platforms("image")
ACCOUNTS = {"reader": "reader-password-1", "writer": "writer-password-1"}


def put_product(source, prefix=""):
    path = f"{prefix}/team/app".lstrip("/")
    resources = [local("text", b"text"), image_resource("image", source.put(path, IMAGE, "1.0"), IMAGE)]
    put_component(source, component(NAME, resources), prefix)


def arguments(source, *targets, **more):
    return dict(dict(source=source, target=list(targets), component=NAME, version="1.0.0"), **more)


def test_one_target_that_is_down_does_not_stop_the_others(source, start_place, tmp_path):
    put_product(source)
    first, second = start_place(), start_place()
    down = "http://localhost:1/into"
    archive = str(tmp_path / "archive")
    call = arguments(source.repository(), first.repository("into"), down, second.repository("into"), archive, retries=0)
    outcome = fail("ocm_transfer", call)
    assert "1 of 4 targets failed" in outcome.message and "localhost:1" in outcome.message
    done = [item["target"] for item in outcome.result["component_versions"]]
    assert done == [first.repository("into"), second.repository("into"), archive]
    assert outcome.result["changed"] and {item["action"] for item in outcome.result["component_versions"]} == {
        "transferred"
    }
    assert len(outcome.result["resources"]) == 6 and outcome.result["statistics"]["blobs"]["copied"]
    for place in (first, second):
        assert place.whole("into/team/app", IMAGE) and read_component(place, NAME, prefix="into")


def test_a_source_is_read_once_for_all_targets(source, source_log, start_place):
    put_product(source)
    targets = [start_place() for _number in range(3)]
    source_log.restart()
    outcome = succeed("ocm_transfer", arguments(source.repository(), *[place.repository("into") for place in targets]))
    assert all(place.whole("into/team/app", IMAGE) for place in targets)
    reads = [request for request in source_log.requests() if request[0] == "GET"]
    assert reads and len(reads) == len(set(reads)), reads
    assert outcome.result["statistics"]["source"]["requests"] == len(source_log.requests())


def test_a_target_that_has_something_else_does_not_stop_the_others(source, start_place):
    put_product(source)
    first, second = start_place(), start_place()
    first.put("into/team/app", two_platforms("other"), "1.0")
    call = arguments(source.repository(), first.repository("into"), second.repository("into"))
    outcome = fail("ocm_transfer", call)
    assert first.repository("into") in outcome.message and "path_mapping" in outcome.message
    assert second.whole("into/team/app", IMAGE) and first.tags(f"into/component-descriptors/{NAME}") == []


def test_a_source_that_is_down_is_one_clear_error(target):
    call = arguments("http://localhost:1/from", target.repository("a"), target.repository("b"), retries=0)
    message = fail("ocm_transfer", call).message
    assert "localhost:1" in message and "refuses the connection" in message and "targets failed" not in message


@BOTH
def test_within_one_registry_blobs_are_mounted(source, source_log):
    put_product(source, "from")
    source_log.restart()
    outcome = succeed("ocm_transfer", arguments(source.repository("from"), source.repository("into")))
    counts = outcome.result["statistics"]["blobs"]
    assert counts["mounted"] == len(IMAGE.blobs) + 1 and counts["copied"] == 0
    assert not set(source_log.blob_uploads()) & {*IMAGE.blobs}
    assert not set(source_log.blob_reads()) & {*IMAGE.blobs}
    assert source.whole("into/team/app", IMAGE)


def test_a_blob_that_several_images_share_is_read_once(source, target, source_log):
    base = layer("shared")
    artifacts = {f"app{number}": image([base, layer(f"own {number}")]) for number in range(5)}
    resources = [
        image_resource(name, source.put(f"team/{name}", each, "1.0"), each) for name, each in artifacts.items()
    ]
    put_component(source, component(NAME, resources))
    source_log.restart()
    outcome = succeed("ocm_transfer", arguments(source.repository(), target.repository("into")))
    assert source_log.blob_reads().count(digest(base)) == 1
    assert outcome.result["statistics"]["blobs"]["mounted"] == 4
    assert all(target.whole(f"into/team/{name}", each) for name, each in artifacts.items())


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_a_blob_that_several_images_share_is_read_once_for_an_archive(form, source, source_log, tmp_path):
    base = layer("shared")
    artifacts = {f"app{number}": image([base, layer(f"own {number}")]) for number in range(3)}
    resources = [
        image_resource(name, source.put(f"team/{name}", each, "1.0"), each) for name, each in artifacts.items()
    ]
    put_component(source, component(NAME, resources))
    source_log.restart()
    succeed("ocm_transfer", arguments(source.repository(), str(tmp_path / form)))
    assert source_log.blob_reads().count(digest(base)) == 1
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


@BOTH
def test_between_registries_that_want_a_login(start_place):
    origin = start_place(login=("writer", ACCOUNTS["writer"]), accounts=ACCOUNTS)
    target = start_place(login=("writer", ACCOUNTS["writer"]), accounts=ACCOUNTS)
    put_product(origin)
    logins = [
        {"host": origin.host, "username": "reader", "password": ACCOUNTS["reader"]},
        {"host": target.host, "username": "writer", "password": ACCOUNTS["writer"]},
    ]
    call = arguments(origin.repository(), target.repository("into"), registries=logins)
    succeed("ocm_transfer", call)
    assert target.whole("into/team/app", IMAGE)
    assert not succeed("ocm_transfer", call).result["changed"]


def test_a_registry_that_gives_tokens(source, token_registry, token_server):
    put_product(source)
    text = f"http://{token_registry.host}/into"
    login = {
        "host": token_registry.host,
        "username": "writer",
        "password": ACCOUNTS["writer"],
        "token_realms": [token_server.host],
    }
    call = arguments(source.repository(), text, registries=[login])
    assert succeed("ocm_transfer", call).result["changed"]
    log = RequestLog(token_registry)
    assert not succeed("ocm_transfer", call).result["changed"]
    assert [item for item in log.writes() if item[2] < 400] == []


@BOTH
def test_a_registry_with_a_private_authority(source, start_place, authority):
    put_product(source)
    target = start_place(tls=authority.issue(), verify=False)
    entry = {"host": target.host, "ca_path": str(authority.certificate)}
    succeed("ocm_transfer", arguments(source.repository(), target.repository("into"), registries=[entry]))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.host}/into/team/app:1.0@{IMAGE.digest}"
    by_text = {"host": target.host, "ca_data": authority.certificate.read_text()}
    assert not succeed(
        "ocm_transfer", arguments(source.repository(), target.repository("into"), registries=[by_text])
    ).result["changed"]
