# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections to one host a transfer has open at the same time."""

from __future__ import annotations

import time

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    image_resource,
    local,
    put_component,
    reference,
)
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, FaultProxy, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import KIB, noise
from ansible_collections.ocm.airgap.tests.support.images import image
from ansible_collections.ocm.airgap.tests.support.modules import succeed
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace

# Requests that are on their way at once for each unit of `concurrency`, see the documentation of the option.
WIDTH = 4


def slowly(exchange):
    """What is sent at the same time is there at the same time."""
    time.sleep(0.03)
    exchange.send(exchange.forward())


def fill(place, url):
    """Three component versions, the first of which refers to the others, with more images than are moved at once."""
    for name in ("first", "second", "third"):
        resources = [local("text", noise(name, 20 * KIB))]
        for number in range(4):
            path = f"team/{name}{number}"
            artifact = image([noise(path, 300 * KIB), noise(f"{path} small", 2 * KIB), noise(f"{path} more", KIB)])
            place.put(path, artifact, "1")
            resources.append(image_resource(f"image{number}", f"{url}/{path}:1", artifact))
        others = ("second", "third") if name == "first" else ()
        references = [reference(other, f"acme.test/{other}") for other in others]
        put_component(place, component(f"acme.test/{name}", resources, componentReferences=references), "from")


@pytest.fixture
def proxy(tmp_path):
    """proxy(name, port): in front of a registry; every exchange takes some time."""
    started = []

    def start(name, port):
        found = FaultProxy(tmp_path / name, port, [Rule(".*", "", slowly, EVERY)])
        found.start()
        started.append(found)
        return found

    yield start
    for found in started:
        found.__exit__()


def transfer(source, target, targets, concurrency):
    """The first component version and the others with it, from one proxy to repositories behind another one."""
    hosts = dict.fromkeys([source.host, target.host])
    arguments = {
        "source": f"{source.url}/from",
        "target": [f"{target.url}/into{number}" for number in range(targets)],
        "component": "acme.test/first",
        "version": "1.0.0",
        "recursive": True,
        "concurrency": concurrency,
        "registries": [{"host": host, "plain_http": True} for host in hosts],
    }
    found = succeed("ocm_transfer", arguments).result
    assert len(found["component_versions"]) == 3 * targets


def most(proxy):
    return max(seen.connections for seen in proxy.seen())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_one_host_that_is_source_and_target(concurrency, proxy, plain_registry):
    both = proxy("both", plain_registry.port)
    fill(RegistryPlace(plain_registry), both.url)
    transfer(both, both, 1, concurrency)
    assert WIDTH * concurrency < most(both) <= 2 * WIDTH * concurrency


def test_several_targets(proxy, plain_registry):
    """Each has its own; the source has no more than for one of them."""
    source, target = proxy("source", plain_registry.port), proxy("target", plain_registry.port)
    fill(RegistryPlace(plain_registry), source.url)
    transfer(source, target, 4, 1)
    assert most(source) <= WIDTH < most(target) <= 4 * WIDTH
