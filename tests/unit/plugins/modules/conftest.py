# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for module tests: a source and a target, of one program."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ansible_collections.ocm.airgap.tests.support.places import CtfPlace, RegistryPlace, RequestLog
from ansible_collections.ocm.airgap.tests.support.registry import BINARY, RegistryOptions, run_registry


@pytest.fixture
def binary():
    """The registry's program; tests that are marked with BOTH get each."""
    return BINARY


@pytest.fixture
def start_place(tmp_path_factory, binary):
    """start_place(login=..., verify=..., **RegistryOptions): a further registry."""
    with ExitStack() as stack:

        def start(login=None, verify=True, **options):
            chosen = RegistryOptions(**dict({"binary": binary}, **options))
            registry = stack.enter_context(run_registry(tmp_path_factory.mktemp("registry"), chosen))
            return RegistryPlace(registry, login, verify)

        yield start


@pytest.fixture
def source(start_place):
    """The registry that is read from."""
    return start_place()


@pytest.fixture
def target(start_place):
    """The registry that is written to."""
    return start_place()


@pytest.fixture
def target_log(target):
    """The requests to the target."""
    return RequestLog(target.registry)


@pytest.fixture
def source_log(source):
    """The requests to the source."""
    return RequestLog(source.registry)


@pytest.fixture
def ctf(tmp_path):
    """An empty CTF in a folder."""
    return CtfPlace(tmp_path / "ctf")
