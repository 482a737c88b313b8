# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A version at the source against the same version at the target, and the merge of what may change."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.comparison import compare, digest_key, merge_volatile
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import (
    described,
    digest,
    reference,
    resource,
    source,
    v2,
    v3,
)


def label(name="l", value="1", **more):
    return dict({"name": name, "value": value}, **more)


def signature(name="s", value="v"):
    return {"name": name, "digest": digest(), "signature": {"algorithm": "a", "value": value, "mediaType": "m"}}


def provider(*labels):
    return described(v2()).with_provider_labels(labels).content["component"]["provider"]


def one(**changes):
    return v2(resources=[resource(**changes)])


def srcs(*names):
    return [{"identitySelector": {"name": name}} for name in names]


REF_DIGEST = digest("aa", "jsonNormalisation/v3")
NONE = {"type": "none"}
OCI = "ociArtifactDigest/v1"
OLD_OCI = "ociArtefactDigest/v1"

EQUAL = {
    "the same": (one(), one()),
    "creation time": (v2(creationTime="2026-11-22T07:21:43Z"), v2()),
    "repository contexts": (v2(repositoryContexts=[{"type": "x"}]), v2()),
    "access": (one(access={"type": "ociArtifact", "imageReference": "h.test/a"}), one()),
    "nested digests": (v2(nestedDigests=[{"a": 1}]), v2()),
    "order of labels": (v2(labels=[label("a"), label("b")]), v2(labels=[label("b"), label("a")])),
    "order of signatures": (v2(signatures=[signature("a"), signature("b")]), v2(signatures=[signature("b"), signature("a")])),
    "order of signed labels": (
        one(labels=[label("a", signing=True), label("b", signing=True)]), one(labels=[label("b", signing=True), label("a", signing=True)])
    ),
    "empty or missing": (one(extraIdentity={}, labels=[], srcRefs=[]), one()),
    "spelling of srcRefs": (one(srcRefs=srcs("code")), one(srcRef=srcs("code"))),
    "spelling of the hash algorithm": (one(digest=digest(algorithm="sha256")), one()),
    "old spelling of the digest": (one(digest=digest(normalisation=OLD_OCI)), one(digest=digest(normalisation=OCI))),
    "digest at the target only": (one(digest=None), one()),
    "no digest at all": (one(digest=None), one(digest=None)),
    "no content": (one(access=NONE), one(access=NONE, digest=digest("bb"))),
    "across schemas": (one(), v3(spec={"resources": [resource()]})),
    "provider spelled as JSON": (v2(provider='{"name":"acme.org"}'), v2()),
    "merge rule of a signed label": (v2(labels=[label(signing=True, merge={"algorithm": "x"})]), v2(labels=[label(signing=True)])),
}

SIGNED = {
    "name": (v2(name="acme.org/other"), v2(), "component: name is acme.org/other at the source, acme.org/demo at the target"),
    "version": (v2(version="1.0.1"), v2(), "component: version"),
    "provider": (v2(provider="other.org"), v2(), "provider: name is other.org at the source"),
    "signed component label": (v2(labels=[label(signing=True)]), v2(), "component: the signed label l differs"),
    "label that is signed now": (v2(labels=[label(signing=True)]), v2(labels=[label()]), "component: the signed label l differs"),
    "value of a signed label": (v2(labels=[label(signing=True)]), v2(labels=[label(value="2", signing=True)]), "signed label l differs"),
    "signed provider label": (v2(provider=provider(label(signing=True))), v2(), "provider: the signed label l differs"),
    "signed resource label": (one(labels=[label(signing=True)]), one(), "resource file: the signed label l differs"),
    "resource at the source only": (one(), v2(), "resource file is at the source only"),
    "resource at the target only": (v2(), one(), "resource file is at the target only"),
    "renamed": (one(name="other"), one(), "resource other is at the source only"),
    "order of resources": (
        v2(resources=[resource("aa"), resource("bb")]), v2(resources=[resource("bb"), resource("aa")]), "the resources stand in another order"
    ),
    "order of sources": (v2(sources=[source("aa"), source("bb")]), v2(sources=[source("bb"), source("aa")]), "the sources stand in another order"),
    "resource version": (one(version="2.0.0"), one(), "resource file: version is 2.0.0 at the source, 1.0.0 at the target"),
    "resource type": (one(type="other"), one(), "resource file: type is other at the source, blob at the target"),
    "relation": (one(relation="external"), one(), "resource file: relation is external"),
    "extra identity": (one(extraIdentity={"os": "linux"}), one(), "resource file[os=linux] is at the source only"),
    "srcRefs": (one(srcRefs=srcs("code")), one(), "resource file: srcRefs differ"),
    "order of srcRefs": (one(srcRefs=srcs("aa", "bb")), one(srcRefs=srcs("bb", "aa")), "resource file: srcRefs differ"),
    "digest": (one(digest=digest("bb")), one(), "resource file: the digest is bb at the source, aa at the target"),
    "digest at the source only": (one(), one(digest=None), "resource file: only the source has a digest"),
    "hash algorithm": (one(digest=digest(algorithm="SHA-512")), one(), "resource file: the digest is aa"),
    "other kind of digest": (one(digest=digest(normalisation="EXCLUDE-FROM-SIGNATURE")), one(), "resource file: the digest is aa"),
    "two names and two values": (one(digest=digest("bb", OCI)), one(), "resource file: the digest is bb"),
    "content only at the source": (one(), one(access=NONE, digest=None), "resource file: only the source has a digest"),
    "source type": (v2(sources=[source(type="svn")]), v2(sources=[source()]), "source code: type is svn"),
    "source at the target only": (v2(), v2(sources=[source()]), "source code is at the target only"),
    "reference component": (
        v2(componentReferences=[reference(componentName="acme.org/other")]), v2(componentReferences=[reference()]), "reference leaf: componentName"
    ),
    "reference version": (v2(componentReferences=[reference(version="2.0.0")]), v2(componentReferences=[reference()]), "reference leaf: version"),
    "reference digest": (
        v2(componentReferences=[reference(digest=REF_DIGEST)]),
        v2(componentReferences=[reference(digest=digest("bb", "jsonNormalisation/v3"))]),
        "reference leaf: the digest is aa at the source, bb at the target",
    ),
}

VOLATILE = {
    "component label": (v2(labels=[label()]), v2(), "component: the label l differs"),
    "label at the target": (v2(), v2(labels=[label()]), "component: the label l differs"),
    "value of a label": (v2(labels=[label(value="2")]), v2(labels=[label()]), "component: the label l differs"),
    "provider label": (v2(provider=provider(label())), v2(), "provider: the label l differs"),
    "resource label": (one(labels=[label()]), one(), "resource file: the label l differs"),
    "source label": (v2(sources=[source(labels=[label()])]), v2(sources=[source()]), "source code: the label l differs"),
    "reference label": (v2(componentReferences=[reference(labels=[label()])]), v2(componentReferences=[reference()]), "reference leaf: the label l"),
    "signature": (v2(signatures=[signature()]), v2(), "the signature s differs"),
    "signature at the target": (v2(), v2(signatures=[signature()]), "the signature s differs"),
    "value of a signature": (v2(signatures=[signature(value="w")]), v2(signatures=[signature()]), "the signature s differs"),
    "reference digest at the source": (
        v2(componentReferences=[reference(digest=REF_DIGEST)]), v2(componentReferences=[reference()]), "reference leaf: only the source has a digest"
    ),
    "reference digest at the target": (
        v2(componentReferences=[reference()]), v2(componentReferences=[reference(digest=REF_DIGEST)]), "reference leaf: only the target has a digest"
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_versions(name):
    found = compare(*map(described, EQUAL[name]))
    assert (found.signed, found.volatile, found.noted) == ((), (), ())
    assert found.equal


@pytest.mark.parametrize("name", SIGNED)
def test_differences_in_what_a_signature_covers(name):
    left, right, words = SIGNED[name]
    found = compare(described(left), described(right))
    assert words in "; ".join(found.signed)
    assert not found.equal


@pytest.mark.parametrize("name", VOLATILE)
def test_differences_in_what_may_change(name):
    left, right, words = VOLATILE[name]
    found = compare(described(left), described(right))
    assert len(found.volatile) == 1 and words in found.volatile[0]
    assert (found.signed, found.noted) == ((), ())
    assert not found.equal


@pytest.mark.parametrize("left, right", [("genericBlobDigest/v1", OCI), (OCI, "genericBlobDigest/v1"), (OLD_OCI, "genericBlobDigest/v1")])
def test_one_digest_under_two_names_is_equal_and_noted_where_something_is_signed(left, right):
    unsigned = compare(described(one(digest=digest(normalisation=left))), described(one(digest=digest(normalisation=right))))
    assert unsigned.equal and not unsigned.noted
    signed = [
        described(v2(resources=[resource(digest=digest(normalisation=name))], signatures=[signature()])) for name in (left, right)
    ]
    found = compare(*signed)
    assert found.equal
    assert len(found.noted) == 1
    assert "at the source" in found.noted[0] and f"{right} at the target" in found.noted[0]


def test_every_difference_is_told():
    left = v2(labels=[label()], resources=[resource(digest=digest("bb")), resource("new")], signatures=[signature()])
    found = compare(described(left), described(v2(resources=[resource(type="x")])))
    assert len(found.signed) == 3
    assert len(found.volatile) == 2


def test_elements_of_one_name_are_told_apart_by_their_version():
    twins = [resource(version="1.0.0"), resource(version="2.0.0", digest=digest("bb"))]
    assert compare(described(v2(resources=twins)), described(v2(resources=twins))).equal
    changed = [twins[0], dict(twins[1], digest=digest("cc"))]
    found = compare(described(v2(resources=twins)), described(v2(resources=changed)))
    assert found.signed == ("resource file[version=2.0.0]: the digest is bb at the source, cc at the target",)


def test_digest_key():
    assert digest_key({"hashAlgorithm": "sha512", "normalisationAlgorithm": OLD_OCI, "value": "x"}) == ("SHA-512", OCI, "x")
    assert digest_key({}) == ("", "", "")


SOURCE = v2(
    provider=provider(label("both", "source"), label("source")),
    labels=[label("both", "source"), label("source"), label("signed", signing=True)],
    resources=[resource(labels=[label("both", "source")], access={"type": "ociArtifact", "imageReference": "src.test/a"})],
    sources=[source(labels=[label("source")])],
    componentReferences=[reference(digest=REF_DIGEST, labels=[label("source")])],
    signatures=[signature("both", "source"), signature("source")],
    creationTime="2026-11-22T07:21:43Z",
    repositoryContexts=[{"type": "source"}],
)
TARGET = v2(
    provider=provider(label("target"), label("both", "target")),
    labels=[label("both", "target"), label("signed", signing=True), label("target")],
    resources=[resource(labels=[label("target"), label("both", "target")])],
    sources=[source()],
    componentReferences=[reference()],
    signatures=[signature("target"), signature("both", "target")],
    repositoryContexts=[{"type": "target"}],
)
PAIRS = {
    "both with more": (SOURCE, TARGET),
    "the other way round": (TARGET, SOURCE),
    "nothing at the target": (SOURCE, v2(**{key: TARGET["component"][key] for key in ("repositoryContexts",)})),
    "across schemas": (SOURCE, v3({"labels": [label("target")]}, {"resources": [resource()], "sources": [source()], "references": [reference()]})),
    "the same": (SOURCE, SOURCE),
}


def names(items):
    return {item["name"]: item.get("value", item.get("signature", {}).get("value")) for item in items}


def test_a_merge_keeps_what_only_the_target_has_and_takes_the_source_where_both_have():
    merged = merge_volatile(described(SOURCE), described(TARGET))
    assert names(merged.labels) == {"both": "source", "source": "1", "signed": "1", "target": "1"}
    assert names(merged.signatures) == {"both": "source", "source": "v", "target": "v"}
    assert names(merged.provider["labels"]) == {"both": "source", "source": "1", "target": "1"}
    assert names(merged.resources[0]["labels"]) == {"both": "source", "target": "1"}
    assert names(merged.sources[0]["labels"]) == {"source": "1"}
    assert names(merged.references[0]["labels"]) == {"source": "1"}
    assert merged.references[0]["digest"] == REF_DIGEST


def test_a_merge_leaves_where_the_target_is():
    merged = merge_volatile(described(SOURCE), described(TARGET))
    assert merged.resources[0]["access"] == resource()["access"]
    assert merged.repository_contexts == [{"type": "target"}]
    assert merged.creation_time == ""


def test_the_targets_digest_of_a_reference_stays():
    left, right = v2(componentReferences=[reference(digest=REF_DIGEST)]), v2(componentReferences=[reference(digest=digest("bb"))])
    assert merge_volatile(described(left), described(right)).content == right


@pytest.mark.parametrize("name", PAIRS)
def test_a_merge_is_settled_after_the_first_time(name):
    left, right = map(described, PAIRS[name])
    once = merge_volatile(left, right)
    assert merge_volatile(left, once).content == once.content


@pytest.mark.parametrize("name", ["both with more", "the same"])
def test_after_a_merge_only_what_the_target_has_more_differs(name):
    left, right = map(described, PAIRS[name])
    remaining = compare(left, merge_volatile(left, right))
    assert remaining.signed == ()
    assert all("target" in text or "l differs" in text for text in remaining.volatile)


def test_a_merge_of_equal_versions_changes_nothing():
    assert merge_volatile(described(SOURCE), described(SOURCE)).content == SOURCE
    empty = v2(resources=[resource(labels=[])])
    assert merge_volatile(described(empty), described(empty)).content == empty
