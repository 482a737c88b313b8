# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the model share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.descriptor_codec import decode_descriptor

EXPECTED = Path(__file__).resolve().parents[4] / "data" / "archives" / "expected"


@pytest.fixture
def interop_descriptor():
    """A descriptor of tests/data/archives by component and version, as the OCM tool printed it."""

    def describe(component, version):
        path = EXPECTED / f"archive-{component}-{version}.yaml"
        return decode_descriptor(path.read_bytes(), path.name)

    return describe
