# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of fault classes in the documentation and the tests agree."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "docsite" / "rst" / "faults.rst"
TESTS = ROOT / "tests" / "unit"
CLASSES = [f"F{number}" for number in (*range(1, 28), *range(30, 43), *range(44, 49))]


def rows():
    """Class to the names in its row."""
    table = PAGE.read_text(encoding="utf-8").partition(".. list-table::")[2].partition("What is not reached")[0]
    found = re.findall(r"^   \* - (F\d+)$(.*?)(?=^   \* - |\Z)", table, re.MULTILINE | re.DOTALL)
    return {name: re.findall(r"``(test_\w+)``", text) for name, text in found}


def functions():
    """Names of the tests of faults."""
    texts = [path.read_text(encoding="utf-8") for path in (TESTS / "faults").glob("test_fault_*.py")]
    return re.findall(r"^def (test_f\d\d_\w+)", "\n".join(texts), re.MULTILINE)


def test_every_class_has_a_row():
    assert list(rows()) == CLASSES


def test_every_test_stands_in_the_row_of_its_class():
    table = rows()
    for name in functions():
        assert name in table[f"F{int(name[6:8])}"], name


def test_every_name_in_the_table_exists():
    known = {*functions(), *(path.stem for path in TESTS.rglob("test_*.py"))}
    for name, tests in rows().items():
        assert set(tests) <= known, (name, set(tests) - known)


def test_a_class_without_a_test_says_so():
    text = PAGE.read_text(encoding="utf-8")
    without = [name for name, tests in rows().items() if not tests]
    assert text.count("not covered by a test of its own") == len(without)
