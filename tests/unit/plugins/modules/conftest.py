# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for module tests: a source and a target, docker-registry 2.8 and distribution 3 where it is there."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.ocm.airgap.tests.support.places import CtfPlace, RegistryPlace, RequestLog
from ansible_collections.ocm.airgap.tests.support.registry import BINARY, RegistryOptions, run_registry

REGISTRY3 = os.environ.get("OCM_AIRGAP_REGISTRY3") or shutil.which("registry3")
BINARIES = [pytest.param(BINARY, id="distribution2")] if REGISTRY3 else [
    pytest.param(BINARY, id="distribution2-only-as-OCM_AIRGAP_REGISTRY3-is-not-set")
]
if REGISTRY3:
    BINARIES.append(pytest.param(REGISTRY3, id="distribution3"))


def pytest_generate_tests(metafunc):
    """A test that asks for `binary` runs with every registry that there is."""
    if "binary" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("both_registries")
        metafunc.parametrize("binary", BINARIES if marked else BINARIES[:1])


@pytest.fixture
def start_place(tmp_path_factory, binary):
    """start_place(login=..., verify=..., **RegistryOptions): a further registry."""
    from contextlib import ExitStack

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
