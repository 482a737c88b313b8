# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries that tests run against: docker-registry 2.8, and distribution 3 where it has been built."""

from __future__ import annotations

import os
import shutil

import pytest

from .registry import BINARY

REGISTRY3 = os.environ.get("OCM_AIRGAP_REGISTRY3") or shutil.which("registry3")


def _binaries():
    if REGISTRY3:
        return [pytest.param(BINARY, id="distribution2"), pytest.param(REGISTRY3, id="distribution3")]
    return [pytest.param(BINARY, id="distribution2-only,OCM_AIRGAP_REGISTRY3-is-not-set")]


BOTH = pytest.mark.parametrize("binary", _binaries())
