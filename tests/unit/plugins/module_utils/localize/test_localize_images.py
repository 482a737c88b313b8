# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image at the target an image of the manifests means, without rules that say it."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.images import former_images

TARGET = "registry.example.com/air-gapped"
ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def former(text, *present):
    manifest = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{name: a, image: '{text}'}}]}}\n"
    return former_images({"pod.yaml": manifest.encode()}, [{"reference": f"{TARGET}/{path}"} for path in present], TARGET)


@pytest.mark.parametrize(
    "text, present, same",
    [
        ("ghcr.io/acme/web:1", "acme/web:1", True),
        ("ghcr.io/acme/web:1", f"acme/web:1@{ONE}", True),
        ("ghcr.io/acme/web", "acme/web:latest", True),
        (f"ghcr.io/acme/web@{ONE}", f"acme/web@{ONE}", True),
        (f"ghcr.io/acme/web@{ONE}", f"acme/web:1@{ONE}", True),
        ("ghcr.io/acme/web:2", "acme/web:1", False),
        ("ghcr.io/acme/other:1", "acme/web:1", False),
        (f"ghcr.io/acme/web@{ONE}", f"acme/web@{OTHER}", False),
        (f"ghcr.io/acme/web:1@{ONE}", f"acme/web:1@{OTHER}", False),
    ],
)
def test_the_same_path_and_the_same_content(text, present, same):
    assert former(text, present) == ({text: f"{TARGET}/{present}"} if same else {})


def test_an_image_that_could_be_two_is_none_of_them():
    assert former("ghcr.io/acme/web:1", f"acme/web:1@{ONE}", f"acme/web:1@{OTHER}") == {}
