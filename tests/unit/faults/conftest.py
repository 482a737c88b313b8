# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene for every test of a fault."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ansible_collections.ocm.airgap.tests.support.fault_scene import Scene
from ansible_collections.ocm.airgap.tests.support.registry import BINARY


@pytest.fixture
def binary():
    """The program of both registries; tests that are marked with BOTH get each."""
    return BINARY


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
