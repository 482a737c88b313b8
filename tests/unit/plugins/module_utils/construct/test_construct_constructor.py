# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a constructor may say, and what is wrong with one."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.construct.constructor import children_first, parse_constructor
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput


def component(name="acme.org/app", **parts):
    return dict({"name": name, "version": "1.0.0", "provider": {"name": "acme.org"}}, **parts)


def resource(**parts):
    return dict({"name": "text", "type": "plainText", "input": {"type": "utf8", "text": "x"}}, **parts)


def one(**parts):
    return parse_constructor(component(**parts))[0].descriptor


def test_a_single_component_and_a_list_of_them_are_the_same():
    alone = parse_constructor(component(resources=[resource()]))
    listed = parse_constructor({"components": [component(resources=[resource()])]})
    assert [draft.key for draft in alone] == [draft.key for draft in listed] == [("acme.org/app", "1.0.0")]
    assert alone[0].descriptor == listed[0].descriptor


def test_a_provider_may_be_a_text():
    assert one(provider="acme.org").content["component"]["provider"] == "acme.org"


def test_labels_of_a_provider_are_kept_in_a_json_text():
    labels = [{"name": "team", "value": {"b": 1, "a": [None, "ü"]}, "signing": True}]
    descriptor = one(provider={"name": "acme.org", "labels": labels})
    assert json.loads(descriptor.content["component"]["provider"]) == {"name": "acme.org", "labels": labels}
    assert descriptor.provider["labels"] == labels


def test_labels_pass_through():
    label = {"name": "l", "value": {"any": [1, True]}, "version": "v1", "signing": True, "merge": {"algorithm": "default"}}
    descriptor = one(labels=[label], resources=[resource(labels=[label])])
    assert descriptor.labels == [label]
    assert descriptor.resources[0]["labels"] == [label]


@pytest.mark.parametrize(
    "parts, relation, version",
    [
        ({}, "local", "1.0.0"),
        ({"version": "2.0.0"}, "local", "2.0.0"),
        ({"version": "<componentversion>", "relation": "external"}, "external", "1.0.0"),
        ({"input": {"type": "helm", "path": "x", "version": "9.9.9"}}, "local", "9.9.9"),
        ({"input": None, "access": {"type": "none"}, "version": "3.0.0"}, "external", "3.0.0"),
        ({"input": None, "access": {"type": "none"}, "relation": "local"}, "local", "1.0.0"),
    ],
)
def test_defaults_of_relation_and_version(parts, relation, version):
    element = one(resources=[resource(**parts)]).resources[0]
    assert (element["relation"], element["version"]) == (relation, version)


def test_sources_and_references_have_the_version_of_the_component():
    descriptor = one(
        sources=[{"name": "code", "type": "git", "access": {"type": "gitHub", "repoUrl": "x.test/y"}}],
        references=[{"name": "leaf", "componentName": "acme.org/leaf"}],
    )
    assert descriptor.sources[0]["version"] == descriptor.references[0]["version"] == "1.0.0"


def test_both_names_of_the_references_are_read():
    reference = {"name": "leaf", "componentName": "acme.org/leaf", "version": "2.0.0"}
    assert one(references=[reference]).references == one(componentReferences=[reference]).references == [reference]


def test_elements_that_differ_in_their_version_get_it_as_identity():
    found = one(resources=[resource(version="1.0.0"), resource(version="2.0.0"), resource(name="other")]).resources
    assert [element.get("extraIdentity") for element in found] == [{"version": "1.0.0"}, {"version": "2.0.0"}, None]


@pytest.mark.parametrize(
    "constructor, told",
    [
        ([], "not a mapping"),
        ({"components": []}, "components is empty"),
        ({"components": {}}, "components is not a list"),
        ({"components": [1]}, "components[0]: a component is a mapping"),
        (component(resource=[]), "unknown field resource"),
        (component(provider=None), "provider is missing"),
        (component(provider={"labels": []}), "the name is missing"),
        (component(meta={"schemaVersion": "ocm.software/v3alpha1"}), "v3alpha1"),
        (component(resources=[resource(access={"type": "none"})]), "either an input or an access"),
        (component(resources=[resource(input=None)]), "either an input or an access"),
        (component(resources=[resource(input={})]), "resources[0]: input is not a mapping with a type"),
        (component(resources=[resource(input=None, access={"type": "localBlob"})]), "leads nowhere"),
        (component(resources=[resource(input=None, access={"type": "none"})]), "an external resource needs a version"),
        (component(resources=[resource(inputs={})]), "resources[0]: unknown field inputs"),
        (component(resources=[resource(), resource()]), "the resource text[version=1.0.0] stands twice"),
        (component(references=[{"name": "aa"}], componentReferences=[{"name": "aa"}]), "both given"),
        ({"components": [component(), component()]}, "components[1]: acme.org/app:1.0.0 stands twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(constructor, told):
    with pytest.raises(InvalidInput) as caught:
        parse_constructor(constructor)
    assert told in str(caught.value)
    assert "constructor" in str(caught.value)


def test_every_fault_against_the_schema_is_named():
    faulty = component(
        "Acme", version="one", labels=[{"name": "l"}],
        resources=[resource(name="x", version="1.0.0", relation="near", extraIdentity={"a": 1})],
        references=[{"name": "leaf"}],
    )
    with pytest.raises(InvalidContent) as caught:
        parse_constructor({"components": [component(), faulty]})
    for told in ("components[1]", "'Acme'", "'one'", "labels[0]", "'x' is not an element name", "'near'", "componentName"):
        assert told in str(caught.value)


def test_references_come_before_what_refers_to_them():
    def refers(*names):
        return [{"name": name.partition("/")[2], "componentName": name} for name in names]

    drafts = parse_constructor({
        "components": [
            component("acme.org/top", references=refers("acme.org/middle", "acme.org/leaf")),
            component("acme.org/middle", references=refers("acme.org/leaf", "acme.org/elsewhere")),
            component("acme.org/leaf"),
        ]
    })
    assert [draft.key[0] for draft in children_first(drafts)] == ["acme.org/leaf", "acme.org/middle", "acme.org/top"]


def test_a_cycle_of_references_is_named():
    def refers(name):
        return [{"name": "next", "componentName": name}]

    drafts = parse_constructor({
        "components": [
            component("acme.org/start", references=refers("acme.org/aa")),
            component("acme.org/aa", references=refers("acme.org/bb")),
            component("acme.org/bb", references=refers("acme.org/aa")),
        ]
    })
    with pytest.raises(InvalidInput, match="acme.org/aa:1.0.0 -> acme.org/bb:1.0.0 -> acme.org/aa:1.0.0"):
        children_first(drafts)
