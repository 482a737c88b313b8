# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for tests, one of its own for each test.

ansible-test runs every test in a fork that ends without the teardown of wider fixtures: a registry that a session
shares would be started by every test again and ended by none.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ansible_collections.ocm.airgap.tests.support.authority import Authority
from ansible_collections.ocm.airgap.tests.support.oci_client import FakeTime, connect
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.support.server import ScriptedServer, in_turn
from ansible_collections.ocm.airgap.tests.support.token_server import TokenServer

ACCOUNTS = {"writer": "writer-password-1", "reader": "reader-password-1"}
RIGHTS = {"writer": {"*": "pull,push,delete"}, "reader": {"*": "pull"}, "": {"public/image": "pull"}}


def pytest_collection_modifyitems(items):
    """Playbooks take longest: spread over the first half, so that no worker is left with many of them at the end."""
    playbooks = [item for item in items if item.path.parent.name == "playbooks"]
    ordered = [item for item in items if item not in playbooks]
    step = len(ordered) // 2 // max(1, len(playbooks)) + 1
    for number, item in enumerate(playbooks):
        ordered.insert(number * (step + 1), item)
    items[:] = ordered


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A private certificate authority: `certificate`, `issue()`."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def plain_registry(tmp_path_factory):
    """A registry without TLS and without logins."""
    with run_registry(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


@pytest.fixture
def tls_registry(tmp_path_factory, authority):
    """A registry with a certificate of `authority`, without logins."""
    with run_registry(tmp_path_factory.mktemp("tls"), RegistryOptions(tls=authority.issue())) as registry:
        yield registry


@pytest.fixture
def basic_registry(tmp_path_factory):
    """A registry without TLS that wants a login of ACCOUNTS (htpasswd)."""
    with run_registry(tmp_path_factory.mktemp("basic"), RegistryOptions(accounts=ACCOUNTS)) as registry:
        yield registry


@pytest.fixture
def token_server(tmp_path_factory):
    """A token service with ACCOUNTS and RIGHTS."""
    with TokenServer(tmp_path_factory.mktemp("tokens"), ACCOUNTS, RIGHTS) as server:
        yield server


@pytest.fixture
def token_registry(tmp_path_factory, token_server):
    """A registry without TLS that wants tokens of `token_server`, at localhost; the service is at 127.0.0.1."""
    with run_registry(tmp_path_factory.mktemp("token"), RegistryOptions(token_server=token_server)) as registry:
        yield registry


@pytest.fixture
def repository_path():
    return "test/repository"


@pytest.fixture
def serve():
    """serve(*replies, **options of connect): a scripted server with `repository`, `registries`, `time` (no waits)."""
    with ExitStack() as stack:

        def start(*replies, retries=5, **options):
            server = stack.enter_context(ScriptedServer(in_turn(*replies)))
            server.time = FakeTime()
            server.registries = connect(retries=retries, time=server.time, **options)
            server.repository = server.registries.repository(server.host, "a/b", plain_http=True)
            return server

        yield start
