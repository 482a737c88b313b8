# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves by value and what stays where it is."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.access import Access
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.options import TransferOptions

DEFAULT = TransferOptions()
NOTHING = TransferOptions(copy_resources=False)
EVERYTHING = TransferOptions(copy_sources=True)
LISTED = TransferOptions(by_reference=frozenset({"ociArtifact", "npm"}))


@pytest.mark.parametrize(
    "stated, resources, sources",
    [
        # (resource or source) x (DEFAULT, NOTHING, EVERYTHING, LISTED)
        ("localBlob", (True, True, True, True), (True, True, True, True)),
        ("LocalBlob/v1", (True, True, True, True), (True, True, True, True)),
        ("relativeOciReference", (True, True, True, True), (True, True, True, True)),
        ("ociArtifact", (True, False, True, False), (False, False, True, False)),
        ("ociRegistry", (True, False, True, False), (False, False, True, False)),
        ("wget", (True, False, True, True), (False, False, True, False)),
        ("npm", (True, False, True, False), (False, False, True, False)),
        ("none", (False, False, False, False), (False, False, False, False)),
        ("None", (False, False, False, False), (False, False, False, False)),
    ],
)
def test_by_value(stated, resources, sources):
    access = Access.from_mapping({"type": stated}, "here")
    chosen = (DEFAULT, NOTHING, EVERYTHING, LISTED)
    assert tuple(options.by_value("resource", access) for options in chosen) == resources
    assert tuple(options.by_value("source", access) for options in chosen) == sources


def test_resources_name_elements_of_a_component_version():
    elements = [{"name": name, "version": "1.0.0"} for name in ("one", "two", "three")]
    options = TransferOptions(resources=({"name": "three"}, {"name": "one"}, {"name": "of another component"}))
    assert options.named(elements) == [elements[2], elements[0]]
    assert DEFAULT.named(elements) == []
