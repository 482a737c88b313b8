# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ConfigData: what is read, and what each mistake is called."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.config_data import ConfigData
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent

COMPLETE = {
    "apiVersion": "config.ocm.software/v1alpha1",
    "kind": "ConfigData",
    "metadata": {"name": "x"},
    "configuration": {
        "defaults": {"a": 1},
        "schema": {"type": "object"},
        "rules": [{"value": "(( a ))", "file": "x.yaml", "path": "a"}, {"value": None, "file": "x.yaml", "path": "b"}],
    },
    "localization": [
        {"name": "n", "resource": {"name": "image", "extraIdentity": {"os": "linux"}}, "file": "x.yaml", "tag": "t",
         "image": "i", "registry": "r"},
        {"file": "y.yaml", "mapping": {"path": "p", "transform": "out: 1"}},
    ],
}


def test_everything_is_read():
    config = ConfigData.from_mapping(COMPLETE, "config")
    first, second = config.localization
    assert (first.index, first.name, first.file, first.mapping) == (0, "n", "x.yaml", False)
    assert first.resource == {"name": "image", "os": "linux"}
    assert list(first.targets.items()) == [("registry", "r"), ("image", "i"), ("tag", "t")]
    assert (second.index, second.mapping, second.resource) == (1, True, {})
    assert [(rule.index, rule.value) for rule in config.configuration] == [(0, "(( a ))"), (1, None)]
    assert config.defaults == {"a": 1}
    assert config.schema == {"type": "object"}


@pytest.mark.parametrize("value", [{}, {"localization": None, "configuration": None}, {"kind": "ConfigData"}])
def test_every_part_is_optional(value):
    config = ConfigData.from_mapping(value, "config")
    assert (config.localization, config.configuration, config.defaults, config.schema) == ((), (), {}, None)


@pytest.mark.parametrize("value, words", [
    ([], ["config is not a map"]),
    ("x", ["config is not a map"]),
    ({"kind": "ConfigMap"}, ["kind", "ConfigMap"]),
    ({"apiVersion": "config.ocm.software/v2"}, ["apiVersion", "v2"]),
    ({"localization": {}}, ["localization is not a list"]),
    ({"localization": ["x"]}, ["localization rule 1 is not a map"]),
    ({"localization": [{"file": "a", "resource": {"name": "i"}}]}, ["localization rule 1", "nowhere", "image"]),
    ({"localization": [{"file": "a", "image": "p"}]}, ["localization rule 1", "resource is missing"]),
    ({"localization": [{"resource": {"name": "i"}, "image": "p"}]}, ["localization rule 1", "file is missing"]),
    ({"localization": [{"resource": {}, "file": "a", "image": "p"}]}, ["resource", "name is missing"]),
    ({"localization": [{"resource": "i", "file": "a", "image": "p"}]}, ["resource is not a map"]),
    ({"localization": [{"resource": {"name": "i"}, "file": "a", "image": 5}]}, ["image is not a text"]),
    ({"configuration": {"rules": [{"file": "a", "path": "b"}]}}, ["configuration rule 1", "value is missing"]),
    ({"configuration": {"rules": [{"value": 1, "path": "b"}]}}, ["configuration rule 1", "file is missing"]),
    ({"configuration": {"rules": [{"value": 1, "file": "b"}]}}, ["configuration rule 1", "path is missing"]),
    ({"configuration": {"defaults": []}}, ["defaults is not a map"]),
    ({"configuration": {"schema": "x"}}, ["schema is not a map"]),
])
def test_a_mistake_is_named(value, words):
    with pytest.raises(InvalidContent) as caught:
        ConfigData.from_mapping(value, "config")
    for word in words:
        assert word in str(caught.value)
