# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values are checked against the schema; messages name the path and never repeat the value."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.schema import check_values
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["replicas"],
    "properties": {
        "replicas": {"type": "integer", "minimum": 1},
        "mode": {"enum": ["a", "b"]},
        "list": {"type": "array", "items": {"$ref": "#/definitions/item"}},
        "a.b": {"type": ["string", "null"], "pattern": "^x"},
    },
    "definitions": {"item": {"type": "object", "required": ["name"]}},
}


@pytest.mark.parametrize("values", [
    {"replicas": 1},
    {"replicas": 3, "mode": "b", "list": [{"name": "x"}], "a.b": None},
])
def test_values_that_fit(values):
    check_values(values, SCHEMA, "config")


@pytest.mark.parametrize("values, words", [
    ({}, ["the values lacks replicas"]),
    ({"replicas": "secret"}, ["replicas is of type string, not integer"]),
    ({"replicas": True}, ["replicas is of type boolean, not integer"]),
    ({"replicas": 0}, ["replicas does not satisfy minimum: 1"]),
    ({"replicas": 1, "mode": "secret"}, ["mode is not one of a, b"]),
    ({"replicas": 1, "list": [{"name": 1}, {"secret": 1}]}, ["list[1] lacks name"]),
    ({"replicas": 1, "a.b": 5}, ['"a.b" is of type integer, not string or null']),
    ({"replicas": 1, "a.b": "secret"}, ['"a.b" does not satisfy pattern']),
    ({"replicas": 1, "typo": "secret", "other": 1}, ["keys that the schema does not know: typo, other"]),
    ({"replicas": None, "mode": 1}, ["replicas is of type null", "mode is not one of"]),
])
def test_values_that_do_not_fit(values, words):
    with pytest.raises(InvalidInput) as caught:
        check_values(values, SCHEMA, "config")
    for word in words + ["config"]:
        assert word in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("schema, words", [
    ({"type": "whatever"}, ["not a JSON schema"]),
    ({"properties": {"a": {"$ref": "https://host.test/x.json"}}}, ["host.test", "another document"]),
    ({"$ref": "#/definitions/missing"}, ["cannot be applied"]),
])
def test_a_schema_that_is_none(schema, words):
    with pytest.raises(InvalidContent) as caught:
        check_values({"a": 1}, schema, "config")
    for word in words:
        assert word in str(caught.value)


def test_many_problems_are_cut():
    schema = {"additionalProperties": {"type": "integer"}}
    with pytest.raises(InvalidInput) as caught:
        check_values({f"k{number}": "x" for number in range(30)}, schema, "config")
    assert "and 20 more" in str(caught.value)
