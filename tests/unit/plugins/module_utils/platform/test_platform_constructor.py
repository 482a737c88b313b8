# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The constructor of the platform component has what the roles and the script look for in it."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION

CONSTRUCTOR = yaml.safe_load((COLLECTION / "docs" / "platform" / "component-constructor.yaml").read_text(encoding="utf-8"))
RESOURCES = {entry["name"]: entry for entry in CONSTRUCTOR["components"][0]["resources"]}


@pytest.mark.parametrize("role", ["flux", "ocm_controller"])
def test_the_roles_find_their_manifests(role):
    defaults = yaml.safe_load((COLLECTION / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert RESOURCES[defaults[f"{role}_resource"]]["input"]["type"] == "dir"


def test_the_script_finds_collections_and_wheels():
    assert {RESOURCES[name]["input"]["type"] for name in ("collections", "wheels")} == {"dir"}


def test_every_image_is_pinned_to_a_version():
    images = [entry["access"]["imageReference"] for entry in RESOURCES.values() if entry["type"] == "ociImage"]
    assert images and all(":" in image.rpartition("/")[2] for image in images)
