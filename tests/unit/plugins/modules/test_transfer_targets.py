# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several targets from one reading of the source, when one of them breaks down inside a blob."""

from __future__ import annotations

import random

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    image_resource,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, FaultProxy, Rule
from ansible_collections.ocm.airgap.tests.support.faults import upload_broken
from ansible_collections.ocm.airgap.tests.support.images import image
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
IMAGE = image([random.Random(number).getrandbits(8 * 300_000).to_bytes(300_000, "big") for number in range(3)])


@pytest.fixture
def places(source, start_place, tmp_path):
    """The source with its content, two targets, and the proxy in front of the second, not started yet."""
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]))
    first, second = start_place(), start_place()
    return source, first, second, FaultProxy(tmp_path / "proxy", second.registry.port)


def call_of(source, first, proxy):
    targets = [first.repository("into"), f"http://{proxy.host}/into"]
    return dict(source=source.repository(), target=targets, component=NAME, version="1.0.0", retries=1)


def is_read_once(log):
    reads = log.blob_reads()
    return {*IMAGE.blobs} <= set(reads) and len(reads) == len(set(reads))


def test_a_target_that_comes_back_gets_the_rest_and_the_source_is_read_once(places, source_log):
    source, first, second, proxy = places
    proxy.add(Rule("PUT", "/blobs/uploads/", upload_broken(0.5), range(1, 2)))
    source_log.restart()
    with proxy:
        succeed("ocm_transfer", call_of(source, first, proxy))
        assert proxy.broken()
    assert first.whole("into/team/app", IMAGE) and second.whole("into/team/app", IMAGE)
    assert is_read_once(source_log)


def test_a_target_that_stays_broken_keeps_the_other_from_nothing(places, source_log):
    source, first, second, proxy = places
    proxy.add(Rule("PUT", "/blobs/uploads/", upload_broken(0.5), EVERY))
    source_log.restart()
    with proxy:
        outcome = fail("ocm_transfer", call_of(source, first, proxy))
        assert proxy.broken()
    assert proxy.host in outcome.message and "1 of 2 targets failed" in outcome.message
    assert first.whole("into/team/app", IMAGE) and read_component(first, NAME, prefix="into")
    assert second.tags("into/team/app") == [] and is_read_once(source_log)
