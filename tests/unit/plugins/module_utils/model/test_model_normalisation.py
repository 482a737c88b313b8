# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Normal forms, byte for byte as the OCM library writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.normalisation import (
    canonical_json,
    descriptor_digest,
    normalise,
    signed_labels,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.descriptor_codec import decode_descriptor
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import described, digest, reference, resource, v2, v3

DATA = Path(__file__).resolve().parents[4] / "data"
V1, V2, V3 = (f"jsonNormalisation/v{number}" for number in (1, 2, 3))
ARCHIVE = DATA / "archives" / "expected"


def form_of(path, algorithm):
    return normalise(decode_descriptor(path.read_bytes(), path.name), algorithm)


def expected_form(path):
    """A file with a normal form; the newline at its end is not part of it."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n")
    return text[:-1]


@pytest.mark.parametrize("algorithm", [V1, V2, V3])
@pytest.mark.parametrize("component, version", [("podinfo", "6.3.5"), ("suite", "v1.0.0")])
def test_the_interop_archives(component, version, algorithm, interop_descriptor):
    expected = expected_form(ARCHIVE / f"norm-{algorithm.rpartition('/')[2]}-{component}.txt")
    assert normalise(interop_descriptor(component, version), algorithm) == expected


@pytest.mark.parametrize("algorithm", [V1, V2, V3])
def test_numbers_keys_and_characters(algorithm):
    folder = DATA / "normalisation"
    expected = expected_form(folder / f"numbers-{algorithm.rpartition('/')[2]}.txt")
    assert form_of(folder / "numbers.yaml", algorithm) == expected


@pytest.mark.parametrize("name, algorithm, expected", [
    ("plain", V1, "0b94768207ab9405d3333dc42590365a9474691b2a2294fa4a212aaf00781465"),
    ("plain", V2, "62d18983bd0a923d1c0ce2d11800c5e35eb88b19de07c30b2d0bfe604ff9ed80"),
    ("plain", V3, "62d18983bd0a923d1c0ce2d11800c5e35eb88b19de07c30b2d0bfe604ff9ed80"),
    ("edges", V1, "0471d242878a456206afb1541039b254aa87328aae7b64ad2979c9011a717e88"),
    ("edges", V2, "18d6748d88d88f4e729fbc3e730e21363f5c0859ff72281c80c204d064d7b225"),
    ("edges", V3, "70edaa5a510d3c14a0f6cbd1a80e95a40af9cd152f7052c9fcac885c0109414b"),
])
def test_the_golden_digests(name, algorithm, expected):
    path = DATA / "normalisation" / f"{name}.yaml"
    descriptor = decode_descriptor(path.read_bytes(), name)
    assert descriptor_digest(descriptor, algorithm) == expected
    assert hashlib.sha256(normalise(descriptor, algorithm).encode("utf-8")).hexdigest() == expected


def test_both_schemas_have_one_normal_form_from_v2_on():
    old = described(v2(resources=[resource()], componentReferences=[reference()]))
    new = described(v3(spec={"resources": [resource()], "references": [reference()]}))
    assert normalise(old, V2) == normalise(new, V2)
    assert normalise(old, V3) == normalise(new, V3)
    assert normalise(old, V1) != normalise(new, V1)


def test_version_one_of_the_newer_schema():
    text = resource("txt", digest=None)
    descriptor = described(v3({"creationTime": "2026-11-22T07:35:18Z"}, {"resources": [text]}, repositoryContexts=[{"type": "x"}]))
    assert normalise(descriptor, V1) == (
        '[{"apiVersion":"ocm.software/v3alpha1"},{"kind":"ComponentVersion"},{"metadata":[{"creationTime":"2026-11-22T07:35:18Z"},'
        '{"name":"acme.org/demo"},{"provider":[{"name":"acme.org"}]},{"version":"1.0.0"}]},{"spec":[{"resources":[[{"name":"txt"},'
        '{"relation":"local"},{"type":"blob"},{"version":"1.0.0"}]]}]}]'
    )


@pytest.mark.parametrize("change", [
    {"repositoryContexts": [{"type": "OCIRegistry"}]},
    {"signatures": [{"name": "s", "digest": digest(), "signature": {"algorithm": "a", "value": "v", "mediaType": "m"}}]},
    {"nestedDigests": [{"name": "x"}]},
    {"labels": [{"name": "l", "value": 1}]},
    {"resources": [resource(labels=[{"name": "l", "value": 1, "signing": False}])]},
    {"resources": [resource(access={"type": "ociArtifact", "imageReference": "h.test/a"})]},
    {"resources": [resource(srcRefs=[{"identitySelector": {"name": "x"}}])]},
    {"resources": [resource(extraIdentity={}, labels=[])]},
], ids=",".join)
@pytest.mark.parametrize("algorithm", [V1, V2, V3])
def test_what_a_signature_does_not_cover(change, algorithm):
    plain = v2(resources=[resource()])
    assert normalise(described(v2(**dict({"resources": [resource()]}, **change))), algorithm) == normalise(described(plain), algorithm)


@pytest.mark.parametrize("change", [
    {"creationTime": "2026-11-22T07:21:43Z"},
    {"version": "1.0.1"},
    {"provider": "other.org"},
    {"labels": [{"name": "l", "value": 1, "signing": True}]},
    {"labels": [{"name": "l", "value": 1, "signing": "true"}]},
    {"resources": [resource(digest=digest("bb"))]},
    {"resources": [resource(relation="external")]},
    {"resources": [resource(extraIdentity={"os": "linux"})]},
    {"resources": [resource("other"), resource()]},
    {"componentReferences": [reference()]},
], ids=",".join)
@pytest.mark.parametrize("algorithm", [V1, V2, V3])
def test_what_a_signature_covers(change, algorithm):
    plain = v2(resources=[resource()])
    assert normalise(described(v2(**dict({"resources": [resource()]}, **change))), algorithm) != normalise(described(plain), algorithm)


@pytest.mark.parametrize("access", ["none", "None", "none/v1"])
def test_a_resource_without_content_has_no_digest(access):
    with_digest = v2(resources=[resource(access={"type": access})])
    without = v2(resources=[resource(access={"type": access}, digest=None)])
    for algorithm in (V1, V2, V3):
        assert normalise(described(with_digest), algorithm) == normalise(described(without), algorithm)


def test_labels_of_references_are_kept_whole_as_signatures_in_use_expect():
    label = {"name": "l", "value": 1, "merge": {"algorithm": "default"}}
    descriptor = described(v2(componentReferences=[reference(labels=[label])]))
    assert '"labels":[{"merge":{"algorithm":"default"},"name":"l","value":1}]' in normalise(descriptor, V3)
    assert "merge" not in normalise(descriptor, V1)


@pytest.mark.parametrize("labels, expected", [
    (None, []), ([], []), ([{"name": "a", "value": 1}], []), ([{"name": "a", "value": 1, "signing": False}], []),
    ([{"name": "a", "value": None, "signing": True, "version": "v1", "merge": {}}], [{"name": "a", "version": "v1", "value": None, "signing": True}]),
])
def test_signed_labels(labels, expected):
    assert signed_labels(labels) == expected


def test_an_unknown_algorithm_is_named():
    with pytest.raises(InvalidContent, match="jsonNormalisation/v4alpha1"):
        normalise(described(v2()), "jsonNormalisation/v4alpha1")


@pytest.mark.parametrize("value, expected", [
    (None, "null"), (True, "true"), (False, "false"), (0, "0"), (-0.0, "0"), (1, "1"), (-1, "-1"), (1.0, "1"), (1.5, "1.5"),
    (100, "100"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (123456789012345680000.0, "123456789012345680000"),
    (1.5e21, "1.5e+21"), (9007199254740991, "9007199254740991"), (9007199254740993, "9007199254740992"),
    (12345678901234567890, "12345678901234567000"), (10**40, "1e+40"), (0.1, "0.1"), (0.000001, "0.000001"), (0.0000015, "0.0000015"),
    (1e-7, "1e-7"), (1.25e-7, "1.25e-7"), (-1.5e-5, "-0.000015"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    (333333333.33333329, "333333333.3333333"), (-12345.678, "-12345.678"), (4.35, "4.35"), (1e23, "1e+23"), (2**63, "9223372036854776000"),
])
def test_numbers_are_written_as_ecmascript_does(value, expected):
    assert canonical_json(value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400])
def test_a_number_that_no_double_holds_is_refused(value):
    with pytest.raises(InvalidContent):
        canonical_json({"a": value})


@pytest.mark.parametrize("value, expected", [
    ({}, "{}"), ([], "[]"), ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
    ({"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\ufb33": 5}, '{"\\r":2,"1":3,"\u20ac":1,"\U0001f600":4,"\ufb33":5}'),
    ("<>&\u2028'\"\\/", '"<>&\u2028\'\\"\\\\/"'), ("\b\t\n\f\r\x0f\x7f", '"\\b\\t\\n\\f\\r\\u000f\x7f"'), ("\u00e9", '"\u00e9"'),
])
def test_texts_and_order_follow_rfc_8785(value, expected):
    assert canonical_json(value) == expected
