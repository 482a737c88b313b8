# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component descriptors: both schemas, every fault with its path, and changes that keep everything else."""

from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.descriptor import ComponentDescriptor
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import (
    described,
    digest,
    reference,
    resource,
    source,
    v2,
    v3,
)


def test_a_descriptor_of_schema_v2():
    content = v2(
        creationTime="2026-11-22T07:21:43Z",
        labels=[{"name": "l", "value": None}],
        repositoryContexts=[{"type": "OCIRegistry"}],
        resources=[resource()],
        sources=[source()],
        componentReferences=[reference()],
        signatures=[{"name": "s", "digest": digest(), "signature": {"algorithm": "a", "value": "v", "mediaType": "m"}}],
    )
    found = described(content)
    assert (found.schema, str(found), found.creation_time) == ("v2", "acme.org/demo:1.0.0", "2026-11-22T07:21:43Z")
    assert (found.provider, found.labels) == ({"name": "acme.org"}, [{"name": "l", "value": None}])
    assert (found.resources, found.sources, found.references) == ([resource()], [source()], [reference()])
    assert (found.repository_contexts, found.signatures) == ([{"type": "OCIRegistry"}], content["signatures"])
    assert found.elements("resource") == [resource()] and found.elements("source") == [source()]
    assert found.access_of(found.resources[0]).type == "localBlob"
    assert found.label_of("resource", found.resources[0]) == "acme.org/demo:1.0.0 resource file"


def test_a_descriptor_of_schema_v3alpha1():
    content = v3(
        {"labels": [{"name": "l", "value": 1}], "creationTime": "2026-11-22T07:21:43Z"},
        {"resources": [resource()], "sources": [source()], "references": [reference()]},
        repositoryContexts=[{"type": "OCIRegistry"}],
    )
    found = described(content)
    assert (found.schema, found.name, found.version) == ("v3alpha1", "acme.org/demo", "1.0.0")
    assert (found.resources, found.sources, found.references) == ([resource()], [source()], [reference()])
    assert (found.repository_contexts, found.provider) == ([{"type": "OCIRegistry"}], {"name": "acme.org"})
    assert described(v3(apiVersion="ocm.gardener.cloud/v3alpha1")).schema == "v3alpha1"


def test_an_element_is_found_by_its_whole_identity():
    linux, windows = resource(extraIdentity={"os": "linux"}), resource(extraIdentity={"os": "windows"})
    found = described(v2(resources=[linux, windows], sources=[source()]))
    assert found.find_element("resource", {"name": "file", "os": "windows"}) == windows
    assert found.find_element("resource", {"name": "file"}) is None
    assert found.find_element("source", {"name": "file", "os": "linux"}) is None
    assert found.contents() == [("resource", linux), ("resource", windows), ("source", source())]


@pytest.mark.parametrize("content", [
    v2(sources=None, resources=None),
], ids=["missing lists"])
def test_schema_v2_needs_its_lists(content):
    with pytest.raises(InvalidContent, match="component: sources is missing; component: resources is missing"):
        described(content)


def test_lists_may_be_null_as_the_new_tools_write_them():
    content = v2()
    content["component"].update(sources=None, resources=None, componentReferences=None, repositoryContexts=None)
    found = described(content)
    assert (found.sources, found.resources, found.references, found.repository_contexts) == ([], [], [], [])


@pytest.mark.parametrize("provider, expected", [
    ("acme.org", {"name": "acme.org"}),
    ('{"name":"acme.org"}', {"name": "acme.org"}),
    (' {"name":"acme.org","labels":[{"name":"a","value":1}]}', {"name": "acme.org", "labels": [{"name": "a", "value": 1}]}),
    ('{"name":"acme.org","homepage":"x"}', {"name": "acme.org"}),
    ("{not json", {"name": "{not json"}),
    ('{"title":"acme"}', {"name": '{"title":"acme"}'}),
    ('{"name":5}', {"name": '{"name":5}'}),
    ('{"a":' * 100_000, {"name": '{"a":' * 100_000}),
], ids=["name", "JSON name", "with labels", "unknown field", "broken", "no name", "name is a number", "bomb"])
def test_the_provider_of_schema_v2_may_hold_labels(provider, expected):
    assert described(v2(provider=provider)).provider == expected


@pytest.mark.parametrize("content, words", [
    ([], "is not a mapping"),
    (None, "is not a mapping"),
    ("text", "is not a mapping"),
    ({}, "schema None is not known"),
    ({"meta": {"schemaVersion": "v1"}}, "schema 'v1' is not known"),
    ({"meta": "v2"}, "schema None is not known"),
    (dict(v2(), apiVersion="ocm.software/v3alpha1"), "mixes the schemas"),
    ({"meta": {"schemaVersion": "v2"}}, "component: must be a mapping, not nothing"),
])
def test_what_is_no_descriptor(content, words):
    with pytest.raises(InvalidContent) as caught:
        ComponentDescriptor.from_mapping(content, "ctf//x")
    assert words in str(caught.value)
    assert "ctf//x" in str(caught.value)


LABEL = {"name": "l", "value": 1}
SIGNATURE = {"name": "s", "digest": digest(), "signature": {"algorithm": "a", "value": "v", "mediaType": "m"}}
FAULTS = [
    (v2(name=None), "component: name is missing"),
    (v2(name="Acme.org/x"), "component.name: 'Acme.org/x' is not a component name"),
    (v2(name=5), "component.name: 5 is not a component name"),
    (v2(version=None), "component: version is missing"),
    (v2(version="latest"), "component.version: 'latest' is not a version"),
    (v2(version=1.0), "component.version: 1.0 is not a version"),
    (v2(provider=None), "component: provider is missing"),
    (v2(provider={"name": "x"}), "component.provider: must be a text, not dict"),
    (v2(provider='{"name":"x","labels":5}'), "component.provider.labels: must be a list, not a number"),
    (v2(provider='{"name":"x","labels":[{"name":"a"}]}'), "component.provider.labels[0]: value is missing"),
    (v2(creationTime="yesterday"), "component.creationTime: 'yesterday' is not a time"),
    (v2(creationTime=5), "component.creationTime: 5 is not a time"),
    (v2(labels={}), "component.labels: must be a list, not dict"),
    (v2(labels=["x"]), "component.labels[0]: must be a mapping, not a text"),
    (v2(labels=[LABEL, {"value": 1}]), "component.labels[1]: name is missing"),
    (v2(labels=[dict(LABEL, name=True)]), "component.labels[0].name: must be a text, not true or false"),
    (v2(labels=[dict(LABEL, version="1")]), "component.labels[0].version: '1' is not v and a number"),
    (v2(labels=[dict(LABEL, signing="yes")]), "component.labels[0].signing: must be true or false"),
    (v2(labels=[dict(LABEL, signing=1)]), "component.labels[0].signing: must be true or false"),
    (v2(repositoryContexts=["x"]), "component.repositoryContexts[0]: must be a mapping"),
    (v2(repositoryContexts=[{}]), "component.repositoryContexts[0]: type is missing"),
    (v2(resources={}), "component.resources: must be a list"),
    (v2(resources=[None]), "component.resources[0]: must be a mapping, not nothing"),
    (v2(resources=[resource(name=None)]), "component.resources[0]: name is missing"),
    (v2(resources=[resource(name="x")]), "component.resources[0].name: 'x' is not an element name"),
    (v2(resources=[resource(name="Xy")]), "component.resources[0].name: 'Xy' is not an element name"),
    (v2(resources=[resource(name="xy-")]), "component.resources[0].name: 'xy-' is not an element name"),
    (v2(resources=[resource(name="x\u202ey")]), "is not an element name"),
    (v2(resources=[resource(name="x\0y")]), "is not an element name"),
    (v2(resources=[resource(version=None)]), "component.resources[0]: version is missing"),
    (v2(resources=[resource(version="x")]), "component.resources[0].version: 'x' is not a version"),
    (v2(resources=[resource(type=None)]), "component.resources[0]: type is missing"),
    (v2(resources=[resource(type=5)]), "component.resources[0].type: must be a text, not a number"),
    (v2(resources=[resource(relation=None)]), "component.resources[0]: relation is missing"),
    (v2(resources=[resource(relation="x")]), "component.resources[0].relation: 'x' is neither local nor external"),
    (v2(resources=[resource(access=None)]), "component.resources[0]: access is missing"),
    (v2(resources=[resource(access="x")]), "component.resources[0].access: must be a mapping, not a text"),
    (v2(resources=[resource(access={})]), "component.resources[0].access: type is missing"),
    (v2(resources=[resource(access={"type": 5})]), "component.resources[0].access.type: must be a text"),
    (v2(resources=[resource(), resource(digest=5)]), "component.resources[1].digest: must be a mapping"),
    (v2(resources=[resource(digest={"value": "x"})]), "component.resources[0].digest: hashAlgorithm is missing"),
    (v2(resources=[resource(digest=digest(5))]), "component.resources[0].digest.value: must be a text"),
    (v2(resources=[resource(extraIdentity={"x": "y"})]), "component.resources[0].extraIdentity: 'x' is not an attribute name"),
    (v2(resources=[resource(extraIdentity={"os": 5})]), "component.resources[0].extraIdentity.os: must be a text, not a number"),
    (v2(resources=[resource(extraIdentity=[])]), "component.resources[0].extraIdentity: must be a mapping"),
    (v2(resources=[resource(labels=[{}])]), "component.resources[0].labels[0]: name is missing"),
    (v2(resources=[resource(srcRefs=["x"])]), "component.resources[0].srcRefs[0]: must be a mapping"),
    (v2(resources=[resource(srcRef=[{"x": 1}])]), "component.resources[0].srcRefs[0]: 'x' is not a field of it"),
    (v2(resources=[resource(srcRefs=[{"identitySelector": {"name": 1}}])]), "srcRefs[0].identitySelector.name: must be a text"),
    (v2(sources=[source(type=None)]), "component.sources[0]: type is missing"),
    (v2(sources=[source(access=None)]), "component.sources[0]: access is missing"),
    (v2(componentReferences=[reference(componentName=None)]), "component.componentReferences[0]: componentName is missing"),
    (v2(componentReferences=[reference(componentName="leaf")]), "component.componentReferences[0].componentName: 'leaf'"),
    (v2(componentReferences=[reference(access={})]), "component.componentReferences[0]: 'access' is not a field of it"),
    (v2(componentReferences=[reference(digest=[])]), "component.componentReferences[0].digest: must be a mapping"),
    (v2(signatures="x"), "signatures: must be a list"),
    (v2(signatures=[{}]), "signatures[0]: name is missing"),
    (v2(signatures=[dict(SIGNATURE, signature={"algorithm": "a"})]), "signatures[0].signature: value is missing"),
    (v2(signatures=[dict(SIGNATURE, digest={})]), "signatures[0].digest: hashAlgorithm is missing"),
    (v3(apiVersion="ocm.software/v4"), "apiVersion: 'ocm.software/v4' is not one of"),
    (v3(kind="Component"), "kind: 'Component' is not ComponentVersion"),
    (v3({"name": "x"}), "metadata.name: 'x' is not a component name"),
    (v3({"version": "x"}), "metadata.version: 'x' is not a version"),
    (v3({"provider": "acme.org"}), "metadata.provider: must be a mapping, not a text"),
    (v3({"provider": {"labels": []}}), "metadata.provider: name is missing"),
    (v3({"provider": {"name": "x", "labels": [{}]}}), "metadata.provider.labels[0]: name is missing"),
    (v3({"labels": 5}), "metadata.labels: must be a list"),
    (dict(v3(), spec=None), "spec: must be a mapping, not nothing"),
    (v3(spec={"componentReferences": []}), "spec: 'componentReferences' is not a field of it"),
    (v3(spec={"resources": [resource(version=None)]}), "spec.resources[0]: version is missing"),
    (v3(spec={"sources": [source(access=5)]}), "spec.sources[0].access: must be a mapping"),
    (v3(spec={"references": [reference(name=None)]}), "spec.references[0]: name is missing"),
    (v3(repositoryContexts=[5]), "repositoryContexts[0]: must be a mapping"),
    (v3(signatures=[5]), "signatures[0]: must be a mapping"),
]


@pytest.mark.parametrize("content, words", FAULTS, ids=[words for _content, words in FAULTS])
def test_a_fault_is_named_with_its_path(content, words):
    with pytest.raises(InvalidContent) as caught:
        ComponentDescriptor.from_mapping(content, "ctf//x")
    assert words in caught.value.message
    assert caught.value.message.startswith("ctf//x: the component descriptor does not fit schema v")


def test_every_fault_is_told_up_to_ten():
    two = v2(resources=[resource(type=None), resource(relation="x")])
    with pytest.raises(InvalidContent, match=r"resources\[0\]: type is missing; component\.resources\[1\]\.relation"):
        described(two)
    with pytest.raises(InvalidContent, match=r"\(and 5 more\)"):
        described(v2(resources=[resource(type=None) for _number in range(15)]))


@pytest.mark.parametrize("accepted", [
    v2(version="v1"), v2(version="1.2.3-rc.1+b"), v2(creationTime="2024-03-01T10:11:13.5+01:00"),
    v2(labels=[dict(LABEL, signing="true", version="v12", merge={"algorithm": "default"})]),
    v2(resources=[resource(name="a+b_c-d", extraIdentity={"os": ""})]),
    v2(resources=[resource(srcRef=[{"identitySelector": {"name": "code"}, "labels": []}])]),
    v2(resources=[resource(access={"type": "acme.org/own/v3", "any": [1]})]),
    v2(nestedDigests=[{"any": 1}]),
    v3({"provider": None}),
])
def test_what_the_schemas_allow(accepted):
    assert described(accepted).content == accepted


def test_unknown_fields_are_kept_through_a_change():
    content = v2(resources=[resource(unknown={"a": 1})], future=["x"], nestedDigests=[{"n": 1}])
    content["meta"]["extra"] = True
    changed = described(content).changed(repository_contexts=[{"type": "OCIRegistry"}])
    expected = copy.deepcopy(content)
    expected["component"]["repositoryContexts"] = [{"type": "OCIRegistry"}]
    assert changed.content == expected


def test_a_change_leaves_the_descriptor_it_came_from_alone():
    content = v2(resources=[resource()])
    before = described(content)
    after = before.with_accesses("resource", [{"type": "none"}])
    assert before.content == content
    assert after.resources[0]["access"] == {"type": "none"}
    assert before.with_accesses("resource", [resource()["access"]]) is before


def test_an_empty_list_stays_as_it_was_written():
    content = v2()
    content["component"]["resources"] = None
    assert described(content).changed(resources=[], labels=[], signatures=[]).content == content
    assert described(v3()).changed(resources=[]).content == v3()


def test_v3alpha1_is_changed_at_its_own_places():
    changed = described(v3()).changed(
        repository_contexts=[{"type": "x"}], resources=[resource()], references=[reference()], sources=[source()], labels=[LABEL]
    )
    assert changed.content["repositoryContexts"] == [{"type": "x"}]
    assert changed.content["spec"] == {"resources": [resource()], "references": [reference()], "sources": [source()]}
    assert changed.content["metadata"]["labels"] == [LABEL]


def test_provider_labels_are_written_as_each_schema_keeps_them():
    labelled = described(v2()).with_provider_labels([LABEL])
    assert labelled.content["component"]["provider"] == json.dumps({"name": "acme.org", "labels": [LABEL]}, separators=(",", ":"))
    assert labelled.provider == {"name": "acme.org", "labels": [LABEL]}
    assert labelled.with_provider_labels([LABEL]) is labelled
    assert described(v3()).with_provider_labels([LABEL]).content["metadata"]["provider"] == {"name": "acme.org", "labels": [LABEL]}
