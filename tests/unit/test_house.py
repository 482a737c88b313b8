# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs together in the collection is together: groups, documentation, role arguments, examples."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "plugins" / "modules").glob("*.py") if path.name != "__init__.py")
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
DOCUMENTATION_PARTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def action_groups():
    """The names of modules by group, without the entries that are metadata."""
    groups = load(ROOT / "meta" / "runtime.yml").get("action_groups") or {}
    return {name: [entry for entry in entries if isinstance(entry, str)] for name, entries in groups.items()}


def module_texts(source):
    """The string constants at the top of a module: DOCUMENTATION, EXAMPLES, RETURN."""
    return {
        target.id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def yaml_examples(text):
    """The fenced blocks of a Markdown text that are marked as YAML."""
    return re.findall(r"^[ ]*```ya?ml[ ]*\n(.*?)^[ ]*```", text, flags=re.MULTILINE | re.DOTALL)


def documented_defaults(role):
    """The defaults of meta/argument_specs.yml, of all entry points together."""
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    options = {}
    for spec in specs.values():
        options.update(spec.get("options") or {})
    return {name: option["default"] for name, option in options.items() if "default" in option}


def test_only_the_known_action_groups_exist():
    assert set(action_groups()) <= {"ocm", "kubernetes"}


@pytest.mark.parametrize("group, member", [(group, member) for group, members in sorted(action_groups().items()) for member in members])
def test_every_member_of_a_group_exists(group, member):
    assert (ROOT / "plugins" / "modules" / f"{member}.py").is_file(), f"{group} names {member}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_is_in_a_group(path):
    assert [group for group, members in action_groups().items() if path.stem in members]


def test_groups_are_sorted_and_name_a_module_once():
    for group, members in action_groups().items():
        assert members == sorted(set(members)), group


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_is_documented(path):
    texts = module_texts(path.read_text(encoding="utf-8"))
    for part in DOCUMENTATION_PARTS:
        assert yaml.safe_load(texts.get(part, "")), f"{path.stem} has no {part}"
    documentation = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == path.stem
    assert all(f"ocm.airgap.{path.stem}" in str(task) for task in yaml.safe_load(texts["EXAMPLES"])[:1])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_says_what_it_does(role):
    assert (role / "README.md").is_file()
    assert (role / "meta" / "argument_specs.yml").is_file()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_defaults_of_a_role_are_the_documented_ones(role):
    defaults = role / "defaults" / "main.yml"
    written = load(defaults) if defaults.is_file() else {}
    public = {name: value for name, value in (written or {}).items() if not name.startswith("_")}
    assert public == documented_defaults(role)


@pytest.mark.parametrize("path", [ROOT / "README.md"] + [role / "README.md" for role in ROLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_readme_are_yaml(path):
    for example in yaml_examples(path.read_text(encoding="utf-8")):
        assert list(yaml.safe_load_all(example))


def test_examples_are_found():
    fence = "`" * 3
    text = f"{fence}yaml\na: 1\n{fence}\n{fence}shell\nls\n{fence}\n  {fence}yaml\n  b: 2\n  {fence}\n"
    assert [yaml.safe_load(example) for example in yaml_examples(text)] == [{"a": 1}, {"b": 2}]


def test_the_versions_of_the_requirements_agree():
    def lines(name):
        content = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return [line for line in content if line and not line.startswith("#")]

    modules = lines("requirements.txt")
    for name in ("meta/ee-requirements.txt", "tests/unit/requirements.txt", "tests/integration/requirements.txt"):
        assert lines(name)[: len(modules)] == modules, name


def test_every_variable_of_the_playbooks_is_documented():
    files = [path for path in (ROOT / "playbooks").rglob("*.yml") if "files" not in path.parts]
    used = {name for path in files for name in re.findall(r"\bocm_airgap_\w+", path.read_text(encoding="utf-8"))}
    guides = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "docsite" / "rst").glob("*.rst"))
    assert used
    assert sorted(name for name in used if f"``{name}``" not in guides) == []
