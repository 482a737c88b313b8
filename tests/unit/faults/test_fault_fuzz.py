# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and component descriptors that are damaged at random: read, or refused by an error of ours."""

from __future__ import annotations

import random
from typing import Any, Callable, Iterator

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import OcmError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.descriptor_codec import (
    decode_descriptor,
    encode_descriptor,
)
from ansible_collections.ocm.airgap.tests.support.fault_scene import APP
from ansible_collections.ocm.airgap.tests.support.images import image, index
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import (
    reference,
    resource,
    source,
    v2,
)

TOKENS = (
    b"null", b"{}", b"[]", b"-1", b"1e999", b'""', b"\0", b"\xff", b"true", b"9" * 30, b"&a", b"*a", b"!!binary x", b"!!python/name:os",
    b": ", b"- ", b"\n", b"{", b"}", b"[", b"]", b"'", b'"', b",", b"<<: ", b"%", "\u202e".encode(), b"2001-01-01", b"0o7", b"? ", b"|",
    b"\t", b"#", b"!!set {a}", b"NaN", b".inf", b"sha256:", b"a" * 300,
)


def damaged(raw: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many variants of a text, each with bytes changed, left out, repeated or replaced by what parsers stumble over."""
    chance = random.Random(seed)
    for _number in range(count):
        text = bytearray(raw)
        for _place in range(chance.choice((1, 1, 1, 2, 4))):
            place = chance.randrange(len(text) + 1)
            other = chance.randrange(len(text) + 1)
            text[place : place + chance.choice((0, 0, 1, 12))] = chance.choice(
                (bytes([chance.randrange(256)]), b"", text[other : other + 40], *(3 * (chance.choice(TOKENS),)))
            )
        yield bytes(text)


def accepted(texts: Iterator[bytes], read: Callable[[bytes], Any]) -> int:
    """How many could be read. Errors that are not ours pass."""
    count = 0
    for text in texts:
        try:
            read(text)
        except OcmError:
            continue
        count += 1
    return count


def read_manifest(raw: bytes) -> None:
    manifest = Manifest.parse(raw)
    for described in [*manifest.blobs, *manifest.children]:
        described.to_mapping()
    str((manifest.annotations, manifest.artifact_type, manifest.descriptor()))


def read_descriptor(raw: bytes) -> None:
    descriptor = decode_descriptor(raw, "the test")
    for kind, element in descriptor.contents():
        str((descriptor.label_of(kind, element), descriptor.access_of(element).hint))
        assert descriptor.find_element(kind, descriptor.identity_of(kind, element)) is not None
    str((descriptor.provider, descriptor.labels, descriptor.signatures, descriptor.references, descriptor.repository_contexts))
    decode_descriptor(encode_descriptor(descriptor), "what was read")


@pytest.mark.parametrize("raw", [APP.raw, index([("amd64", APP), ("arm64", image([b"arm"]))]).raw], ids=["image", "index"])
def test_f24_manifests_damaged_at_random(raw):
    count = accepted(damaged(raw, 2000, 24), read_manifest)
    assert 50 < count < 1500, "too few were damaged, or too many"


def test_f25_component_descriptors_damaged_at_random():
    content = v2(
        creationTime="2026-11-22T07:21:43Z",
        labels=[{"name": "l", "value": {"a": 1}, "signing": True}],
        repositoryContexts=[{"type": "OCIRegistry", "baseUrl": "host", "subPath": "a"}],
        resources=[resource(extraIdentity={"os": "linux"})],
        sources=[source()],
        componentReferences=[reference()],
    )
    count = accepted(damaged(yaml.safe_dump(content).encode(), 500, 25), read_descriptor)
    assert 50 < count < 400, "too few were damaged, or too many"
