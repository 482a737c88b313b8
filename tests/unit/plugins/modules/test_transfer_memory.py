# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer holds blocks, not blobs: its memory does not grow with what it moves."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.images import image
from ansible_collections.ocm.airgap.tests.support.modules import start_module

NAME = "acme.test/product"
MIB = 1024 * 1024
SMALL, LARGE, LIMIT = 10 * MIB, 256 * MIB, 32 * MIB


def put_blob(source, kind, size):
    content = bytes(size)
    if kind == "local":
        put_component(source, component(NAME, [local("large", content)], f"1.0.{size}"))
        return
    artifact = image([content], types={0: "application/vnd.oci.image.layer.v1.tar"})
    reference = source.put("team/large", artifact, str(size))
    put_component(source, component(NAME, [image_resource("image", reference, artifact)], f"1.0.{size}"))


def peak(source, target, size):
    call = dict(source=source, target=target, component=NAME, version=f"1.0.{size}")
    outcome = start_module("ocm_transfer", call, fresh=True).wait()
    assert not outcome.failed, outcome.output
    return outcome.peak


@pytest.mark.parametrize(
    "way, kind", [("registry", "image"), ("registry", "local"), ("folder", "image"), ("x.tgz", "image")]
)
def test_memory_is_independent_of_the_size_of_blobs(way, kind, source, target, tmp_path):
    peaks = {}
    for size in (SMALL, LARGE):
        put_blob(source, kind, size)
        into = target.repository("into") if way == "registry" else str(tmp_path / way)
        peaks[size] = peak(source.repository(), into, size)
        if way != "registry":
            peaks[size] = max(peaks[size], peak(into, target.repository("into"), size))
    assert peaks[LARGE] - peaks[SMALL] < LIMIT, {size: f"{value // MIB} MiB" for size, value in peaks.items()}
