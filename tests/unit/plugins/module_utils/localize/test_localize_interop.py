# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every case of tests/data/rules gives what ocm-controller gave; where it failed, ours fails and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize import rules
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.component import ComponentFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.config_data import ConfigData
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import NotFound, OcmError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.sources.content import ContentFinder
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_store import open_store
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.yaml_text import load_yaml

CASES = Path(__file__).resolve().parents[4] / "data" / "rules"
ALL = sorted(case.name for case in CASES.iterdir())
FAILING = [name for name in ALL if (CASES / name / "error.txt").is_file()]
WORKING = [name for name in ALL if name not in FAILING]


def manifests(case):
    """The component's manifests, out of the archive that the real tool wrote."""
    store = open_store(RepositoryReference(path=str(case / "ctf.tgz")), None)
    component = store.components()[0]
    version = store.read(component, store.versions(component)[0])
    return ComponentFiles(store, version, ContentFinder(store, None), print).manifests("manifests")


def run(name):
    case = CASES / name
    descriptor = yaml.safe_load((case / "descriptor.yaml").read_text(encoding="utf-8"))
    resources = {resource["name"]: resource for resource in descriptor["component"]["resources"]}

    def image_of(identity):
        if identity["name"] not in resources:
            raise NotFound(f"The component version has no resource {dict(identity)}.")
        return resources[identity["name"]]["access"]["imageReference"]

    config = ConfigData.from_mapping(load_yaml((case / "config.yaml").read_bytes(), "config"), "config")
    files = manifests(case)
    values_file = case / "values.yaml"
    values = load_yaml(values_file.read_bytes(), "values") if values_file.is_file() else None
    return files, rules.localize(files, config, image_of, values)


def test_there_are_cases_of_both_kinds():
    assert len(WORKING) >= 7
    assert len(FAILING) >= 2


@pytest.mark.parametrize("name", WORKING)
def test_the_result_equals_the_controllers(name):
    files, result = run(name)
    assert set(result.files) == set(files)
    for path in (CASES / name / "expected").iterdir():
        first = next(yaml.safe_load_all(result.files[path.name]))
        assert first == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WORKING)
def test_only_the_lines_of_changed_values_differ(name):
    files, result = run(name)
    for path, before in files.items():
        old = before.decode().splitlines()
        new = result.files[path].decode().splitlines()
        changes = [change for change in result.changes if change.file == path]
        assert changes
        replaced = sum(1 for change in changes if change.before is not None)
        assert sum(1 for line in old if line not in new) <= replaced


@pytest.mark.parametrize("name, words", [
    ("missing-file", ["localization rule 1", "b.yaml", "a.yaml"]),
    ("unknown-resource", ["nothere"]),
])
def test_where_the_controller_fails_ours_says_why(name, words):
    assert name in FAILING
    with pytest.raises(OcmError) as caught:
        run(name)
    for word in words:
        assert word in str(caught.value)


def test_every_failing_case_fails():
    for name in FAILING:
        with pytest.raises(OcmError):
            run(name)


def test_the_second_document_is_kept_with_a_warning():
    _files, result = run("two-documents")
    assert result.files["all.yaml"].endswith(b"---\nkind: B\nimage: y\n")
    assert any("all.yaml" in warning and "drop" in warning for warning in result.warnings)


def test_a_digest_as_tag_is_warned_about():
    _files, result = run("split-rules")
    assert any("image.tag" in warning and "tag_form" in warning for warning in result.warnings)
