# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ./run bench is asked for."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.bench.__main__ import KILLS, parse

NEEDED = ["--folder", "x", "--registry", "y"]


@pytest.mark.parametrize(
    "words, kills",
    [([], KILLS), (["W1"], 0), (["--scale", "small"], 0), (["W1", "--kills", "7"], 7), (["--kills", "0"], 0)],
)
def test_a_whole_run_kills_and_a_part_of_it_only_when_asked(words, kills):
    assert parse([*words, *NEEDED]).kills == kills


@pytest.mark.parametrize("words", [["W9"], ["--repeat", "0"]])
def test_what_makes_no_sense_is_said(words, capsys):
    with pytest.raises(SystemExit):
        parse([*words, *NEEDED])
    assert ("no workload W9" if words == ["W9"] else "--repeat wants 1") in capsys.readouterr().err
