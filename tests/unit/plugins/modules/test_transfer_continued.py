# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer that is killed inside a large blob on its way to a registry: the next run goes on inside the blob."""

from __future__ import annotations

import os
import random
import time

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, local, put_component
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH, REGISTRY3
from ansible_collections.ocm.airgap.tests.support.images import digest
from ansible_collections.ocm.airgap.tests.support.line import Line
from ansible_collections.ocm.airgap.tests.support.modules import start_module, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace
from ansible_collections.ocm.airgap.tests.support.registry import BINARY

NAME = "acme.test/product"
MIB = 1024 * 1024
SIZE, KILLED_AT = 200 * MIB, 100 * MIB


@pytest.fixture(scope="module")
def content():
    return random.Random(7).randbytes(MIB) * (SIZE // MIB)


@pytest.fixture
def archive(tmp_path, content):
    place = CtfPlace(tmp_path / "product")
    put_component(place, component(NAME, [local("big", content)]))
    return tmp_path / "product"


def arrived(registry):
    """Bytes of the upload that is open."""
    return sum(path.stat().st_size for upload in registry.uploads() for path in [upload / "data"] if path.exists())


def kill_inside(registry, call):
    """Kill a run when KILLED_AT bytes of the blob have arrived. Returns what the registry has of it."""
    running = start_module("ocm_transfer", call)
    until = time.monotonic() + 120
    while arrived(registry) < KILLED_AT and time.monotonic() < until:
        assert not os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), "it ended too early"
        time.sleep(0.005)
    running.kill()
    had, before = arrived(registry), -1
    while had != before:
        time.sleep(0.2)
        had, before = arrived(registry), had
    assert KILLED_AT <= had < SIZE
    return had


def call_of(archive, line, **more):
    return dict(source=str(archive), target=f"http://{line.host}/into", component=NAME, version="1.0.0", **more)


@BOTH
def test_the_next_run_sends_the_rest(binary, archive, content, target, tmp_path):
    journal = tmp_path / ".product.journal"
    with Line(target.registry.port) as line:
        call = call_of(archive, line)
        had = kill_inside(target.registry, call)
        assert journal.stat().st_mode & 0o777 == 0o600
        first = len(line.carried)
        outcome = succeed("ocm_transfer", call)
        sent = sum(line.carried[first:])
        assert not succeed("ocm_transfer", call).result["changed"]
    assert target.registry.blobs()[digest(content)].read_bytes() == content
    assert not journal.exists() and "_state" not in outcome.output
    if binary == BINARY:  # 2.8 has lost an upload whose chunk broke off, and keeps what it has of it
        assert sent >= SIZE and len(target.registry.uploads()) == 1
    else:
        assert SIZE - had <= sent < SIZE - had + MIB
        assert target.registry.uploads() == []


def test_an_upload_that_nobody_wants_any_more_is_cancelled(start_place, archive, tmp_path):
    registry = start_place(binary=REGISTRY3 or BINARY).registry
    journal = tmp_path / "uploads.journal"
    with Line(registry.port) as line:
        call = call_of(archive, line, journal=str(journal))
        kill_inside(registry, call)
        put_component(CtfPlace(archive), component(NAME, [local("small", b"text")], "2.0.0"))
        kept = journal.read_bytes()
        succeed("ocm_transfer", dict(call, version="2.0.0"), check=True)
        assert journal.read_bytes() == kept and len(registry.uploads()) == 1
        succeed("ocm_transfer", dict(call, version="2.0.0"))
    assert len(registry.uploads()) == (0 if REGISTRY3 else 1)
    assert not journal.exists()


def test_another_file_in_its_place_is_told(target, tmp_path):
    place = CtfPlace(tmp_path / "product")
    put_component(place, component(NAME, [local("small", b"text")]))
    journal = tmp_path / ".product.journal"
    journal.write_text("something else")
    call = dict(source=str(tmp_path / "product"), target=target.repository("into"), component=NAME)
    outcome = succeed("ocm_transfer", call)
    assert str(journal) in outcome.warnings and journal.read_text() == "something else"
