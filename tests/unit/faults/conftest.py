# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene for every test of a fault."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci import limits
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.retry import RetryPolicy
from ansible_collections.ocm.airgap.tests.support.distributions import REGISTRY3
from ansible_collections.ocm.airgap.tests.support.fault_scene import Scene
from ansible_collections.ocm.airgap.tests.support.registry import BINARY


@pytest.fixture
def binary(request):
    """The program of both registries: tests that are marked with BOTH get each, the cases of others take turns."""
    case = getattr(request.node, "callspec", None)
    return REGISTRY3 if REGISTRY3 and case and sum(case.indices.values()) % 2 else BINARY


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """Between two tries, unless a server says how long; a module that is a fork of the test has it, too."""
    monkeypatch.setattr(limits, "RetryPolicy", partial(RetryPolicy, first_wait=0.02, max_wait=0.1))


@pytest.fixture
def new_scene(tmp_path_factory, binary):
    """new_scene(**options of Scene): registries with the content of a transfer, which ends with the test."""
    with ExitStack() as stack:

        def start(**options):
            found = Scene(tmp_path_factory.mktemp("scene"), binary, **options)
            stack.callback(found.close)
            return found

        yield start


@pytest.fixture
def scene(new_scene):
    """One with the usual content; `begin` starts it."""
    return new_scene()
