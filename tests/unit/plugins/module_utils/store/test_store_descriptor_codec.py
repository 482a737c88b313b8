# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors as bytes: one form is written, and reading it gives the same descriptor."""

from __future__ import annotations

import io
import tarfile
from collections import OrderedDict

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.descriptor_codec import LAYER_TYPES, decode_descriptor, encode_descriptor
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import DESCRIPTOR_FILE, tar, to_json, to_yaml
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import described, resource, v2, v3

VALUES = [None, True, 1, 1.5, "y", "1.0", "2026-11-22", "a\nb\n", "\u2028", "", {"n": [{}]}, []]
CONTENTS = [
    v2(), v2(resources=[resource()], creationTime="2026-11-22T07:21:43Z"), v3(spec={"resources": [resource()]}),
    v2(labels=[{"name": f"l{number}", "value": value} for number, value in enumerate(VALUES)]),
    dict(v2(sources=[]), unknown={"z": 1, "a": [None]}),
]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_descriptor_survives(content):
    assert decode_descriptor(encode_descriptor(described(content)), "here").content == content


def test_the_order_of_keys_does_not_change_the_bytes():
    content = v2(resources=[resource()])
    turned = OrderedDict(reversed(list(content.items())))
    assert encode_descriptor(described(turned)) == encode_descriptor(described(content))


def test_the_layer_is_a_tar_with_one_file():
    raw = encode_descriptor(described(v2(resources=[resource()])))
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        (info,) = archive.getmembers()
    assert (info.name, info.mode, info.uid, info.gid, info.mtime) == (DESCRIPTOR_FILE, 0, 0, 0, 1640995200)
    assert raw.endswith(bytes(1024)) and len(raw) % 512 == 0
    assert len(raw) == 512 + -(-info.size // 512) * 512 + 1024


def test_the_form_is_told_by_the_bytes():
    content = v2()
    for raw in (to_yaml(content), to_json(content), tar((DESCRIPTOR_FILE, to_json(content))), b"\xef\xbb\xbf" + to_yaml(content), b"---\n" + to_yaml(content)):
        assert decode_descriptor(raw, "here").content == content


@pytest.mark.parametrize("raw, words", [
    (b"", "is not a mapping"), (b"x", "is not a mapping"), (b"a: &a 1\nb: *a", "alias"), (b"a: !!python/none x", "python"),
    (b"{", "not valid YAML"), (b"meta: {schemaVersion: v2, schemaVersion: v2}", "stands twice"), (b"[" * 5000, "nested"),
    (tar(), "not valid YAML"), (tar(("x", b"y")), "has no component-descriptor.yaml"),
], ids=lambda value: value if isinstance(value, str) else repr(value[:20]))
def test_what_is_no_descriptor(raw, words):
    with pytest.raises(InvalidContent) as caught:
        decode_descriptor(raw, "h.test/a:1")
    assert words in str(caught.value)
    assert "h.test/a:1" in str(caught.value)


def test_an_extension_header_of_a_descriptor_tar_is_bounded():
    raw = tar((DESCRIPTOR_FILE, to_yaml(v2())), tar_format=tarfile.PAX_FORMAT)
    big = tarfile.TarInfo("x")
    big.type, big.size = tarfile.XHDTYPE, 2**30
    with pytest.raises(InvalidContent, match="cannot be read"):
        decode_descriptor(big.tobuf(tarfile.USTAR_FORMAT) + raw, "here")


def test_every_known_layer_type_is_listed_once():
    assert len(set(LAYER_TYPES)) == len(LAYER_TYPES) == 9
