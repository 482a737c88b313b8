# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of module_utils depend on each other in one direction, and only one of them knows Ansible."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

COLLECTION = "ansible_collections.ocm.airgap"
SHARED = f"{COLLECTION}.plugins.module_utils._airgap"
ROOT = Path(__file__).resolve().parents[2]
RANKS = {
    "model": 0,
    "oci": 1,
    "store": 2,
    "sources": 3,
    "transfer": 4,
    "localize": 4,
    "cluster": 4,
    "gitops": 4,
    "platform": 4,
    "construct": 5,
    "drift": 5,
    "teardown": 5,
    "entry": 6,
}

# Where Python itself does not tell (before 3.10), the modules that the model may use are named.
STANDARD_LIBRARY = getattr(
    sys,
    "stdlib_module_names",
    frozenset(
        "__future__ abc base64 binascii bisect collections contextlib copy dataclasses datetime decimal difflib enum fractions"
        " functools hashlib io itertools json math operator posixpath re string textwrap types typing unicodedata urllib".split()
    ),
)


def module_name(path):
    """The dotted name of a file of the collection; a package has the name of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join((COLLECTION,) + (parts[:-1] if parts[-1] == "__init__" else parts))


def imported_names(source, name, is_package):
    """Every (line, dotted name) that a source imports, wherever in the file, relative imports resolved.

    "from a import b" gives "a.b": whether b is a module or a value in it makes no difference to the direction.
    """
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def package_of(name):
    """The package below _airgap that a dotted name lies in, or None for a name outside of it."""
    if not name.startswith(SHARED + "."):
        return None
    return name[len(SHARED) + 1:].split(".")[0]


def faults_of_shared(source, name, is_package=False):
    """What a file of module_utils/_airgap imports that it may not, as sentences."""
    own = package_of(name)
    for line, imported in imported_names(source, name, is_package):
        other = package_of(imported)
        top = imported.split(".")[0]
        if other is not None:
            if other not in RANKS:
                yield f"{name}:{line} imports {imported}, which is in no known package"
            elif other != own and RANKS[other] >= RANKS[own]:
                yield f"{name}:{line} ({own}) imports {imported}: {other} does not come before {own}"
        elif imported == COLLECTION or imported.startswith(COLLECTION + "."):
            yield f"{name}:{line} imports {imported}, which is outside of module_utils/_airgap"
        elif top in ("ansible", "ansible_collections") and own != "entry":
            yield f"{name}:{line} imports {imported}: only entry knows Ansible"
        elif own == "model" and top not in STANDARD_LIBRARY:
            yield f"{name}:{line} imports {imported}: model uses the standard library alone"


def faults_of_module(source, name):
    """What a module imports beside entry, AnsibleModule and the standard library, as sentences."""
    for line, imported in imported_names(source, name, False):
        top = imported.split(".")[0]
        if package_of(imported) == "entry" or imported.startswith("ansible.module_utils.basic."):
            continue
        if top in ("ansible", "ansible_collections") or top not in STANDARD_LIBRARY:
            yield f"{name}:{line} imports {imported}: a module imports entry alone"


def python_files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


SHARED_FILES = [path for path in python_files("plugins/module_utils/_airgap") if len(path.relative_to(ROOT).parts) > 4]


def test_there_is_something_to_check():
    assert {path.relative_to(ROOT).parts[3] for path in SHARED_FILES} >= {"model"}


@pytest.mark.parametrize("path", SHARED_FILES, ids=lambda path: "/".join(path.relative_to(ROOT).parts[3:]))
def test_imports_of_the_shared_code_point_one_way(path):
    assert package_of(module_name(path) + ".") in RANKS, f"{path} is in no known package"
    source = path.read_text(encoding="utf-8")
    assert not list(faults_of_shared(source, module_name(path), path.name == "__init__.py"))


def test_modules_import_entry_alone():
    faults = []
    for path in python_files("plugins/modules"):
        faults += faults_of_module(path.read_text(encoding="utf-8"), module_name(path))
    assert not faults


def test_filters_load_no_client():
    """Ansible loads every filter file in every process that needs one filter: clients would cost half a second each."""
    names = [module_name(path) for path in python_files("plugins/filter")]
    assert names
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    clients = ("jsonschema", "kubernetes", "oras", "requests")
    program = f"import {', '.join(names)}; import sys; print(sorted(set(sys.modules) & set({clients!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "package, source",
    [
        ("model", "from ..oci import client"),
        ("model", "import requests"),
        ("model", "def late():\n    import yaml\n    return yaml"),
        ("model", "from ansible.module_utils.basic import AnsibleModule"),
        ("oci", "from ..store.registry import Registry"),
        ("oci", "from .. import store"),
        ("oci", f"from {SHARED}.transfer import plan"),
        ("oci", f"import {SHARED}.entry.results"),
        ("store", "from ..sources import helm"),
        ("transfer", "if True:\n    from ..localize import rules"),
        ("transfer", "from ansible.module_utils.urls import open_url"),
        ("localize", "from ..unknown import anything"),
        ("entry", f"from {COLLECTION}.plugins.plugin_utils import native"),
    ],
)
def test_a_wrong_import_is_found(package, source):
    assert list(faults_of_shared(source, f"{SHARED}.{package}.sample"))


@pytest.mark.parametrize(
    "package, source",
    [
        ("model", "from __future__ import annotations\nimport json\nfrom .digest import digest_of"),
        ("oci", "import requests\nfrom ..model.errors import OcmError\nfrom . import auth"),
        ("transfer", "from ..store import registry\nfrom ..sources.helm import chart\nfrom ..model import digest"),
        ("entry", "from ansible.module_utils.basic import AnsibleModule\nfrom ..localize import rules"),
    ],
)
def test_a_right_import_is_accepted(package, source):
    assert not list(faults_of_shared(source, f"{SHARED}.{package}.sample"))


@pytest.mark.parametrize("source", ["import oras", f"from {SHARED}.store import registry", "from ansible.module_utils.urls import open_url"])
def test_a_wrong_import_of_a_module_is_found(source):
    assert list(faults_of_module(source, f"{COLLECTION}.plugins.modules.sample"))


def test_relative_imports_of_a_package_start_at_itself():
    names = [name for _line, name in imported_names("from . import client", f"{SHARED}.oci", True)]
    assert names == [f"{SHARED}.oci.client"]
