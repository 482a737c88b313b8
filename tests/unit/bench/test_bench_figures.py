# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the benchmark that need no registry: what is moved, what follows from measurements, how it is shown."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from xml.etree import ElementTree

import pytest
from ansible_collections.ocm.airgap.tests.bench.figures import COUNT, TIME, Bar, Judge, is_short_of_a_count, table_of
from ansible_collections.ocm.airgap.tests.bench.report import bars_text, drawing, table_rst, table_text
from ansible_collections.ocm.airgap.tests.bench.rounds import Sample
from ansible_collections.ocm.airgap.tests.bench.sites import Traffic
from ansible_collections.ocm.airgap.tests.bench.tools import CRANE, MODULE, OCM1, REGSYNC
from ansible_collections.ocm.airgap.tests.bench.work import KIB, MIB, SCALES, Layer, Scale, several, several_changed
from ansible_collections.ocm.airgap.tests.support.images import digest

SMALL = SCALES["small"]


def test_a_layer_is_the_same_everywhere():
    """The digest was written down once: another one makes results of different machines hard to compare."""
    assert Layer("shared 0", 100_000).digest[7:] == "cdbe39d5a6833216924ee112107522eedcfdbd492b1ff78057488a12edb22fdc"


def test_a_layer_is_a_gzip_file_with_a_tar_that_cannot_be_made_smaller():
    layer = Layer("any", 3 * MIB)
    raw = b"".join(layer.blocks())
    assert (digest(raw), len(raw)) == (layer.digest, layer.size)
    content = gzip.decompress(raw)
    assert digest(content) == layer.diff_id
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getmember("content").size == 3 * MIB
    assert len(gzip.compress(content)) > 0.999 * len(raw)


def test_the_numbers_of_the_first_workload():
    work = several(Scale(layer=64))
    assert (len(work.images), len(work.manifests), len(work.blobs), work.mounts) == (20, 60, 163, 57)


def test_the_changed_workload_has_one_layer_and_its_config_anew():
    before, after = several(SMALL), several_changed(SMALL)
    new = [after.blobs[key] for key in set(after.blobs) - set(before.blobs)]
    assert {type(content) for content in new} == {bytes, Layer} and len(new) == 2
    assert len(set(after.manifests) - set(before.manifests)) == 2
    assert [image.reference for image in after.images[1:]] == [image.reference for image in before.images[1:]]


def sample(seconds, source=0, target=0, received=None, peak=40 * MIB):
    sides = Traffic({"GET": source}), Traffic({"HEAD": target} if target else {}, received=received)
    return Sample(seconds, seconds, peak, 0, 1, *sides)


def test_the_median_is_of_the_timed_rounds_and_ratios_are_ours_by_theirs():
    ours = [sample(99), sample(2), sample(1), sample(4)]
    table = table_of({"W1": {MODULE: ours, CRANE: [sample(99), sample(5), sample(8), sample(7)]}})
    seconds = table["W1"][MODULE]["seconds"]
    assert (seconds["median"], seconds["min"], seconds["max"]) == (2, 1, 4)
    assert table["W1"][CRANE]["ratio"] == pytest.approx(2 / 7)


def judged(work, **figures):
    given = {"source": 0, "target": 0, **figures}
    table = table_of({"W1": {MODULE: [sample(1, **given), sample(1)], REGSYNC: [sample(1), sample(2)]}})
    judge = Judge(table, True)
    judge.first("W1", work)
    return {each.name: each for each in judge.bars}


def test_the_bars_of_the_first_workload_follow_from_it():
    work = several(Scale(layer=64))
    bars = judged(work, source=227, target=471)
    assert bars["requests at the source"].met and bars["requests at the target"].met
    assert not judged(work, source=228)["requests at the source"].met
    assert not judged(work, target=472)["requests at the target"].met
    (time,) = [each for name, each in bars.items() if name.startswith("time by the fastest")]
    assert (time.figure, time.met) == (0.5, True)
    assert bars["time by that of the old ocm"].met is None


def test_only_a_count_that_is_not_met_ends_with_an_error():
    assert not is_short_of_a_count(
        [Bar("W1", "t", TIME, 2.0, 1.0), Bar("W1", "c", COUNT, 1, 1), Bar("W1", "n", COUNT, None, 1)]
    )
    assert is_short_of_a_count([Bar("W1", "c", COUNT, 2, 1)])


def test_the_table_and_the_drawing_show_every_tool():
    sides = Traffic({"GET": 3}, sent=5 * KIB), Traffic({"HEAD": 2, "PUT": 1}, received=7_000_000)
    counted = Sample(1, 1, 40 * MIB, 0, 4, *sides)
    table = table_of({"W1": {MODULE: [counted, counted], OCM1: [counted, counted], "<&>": [counted]}})
    titles = {"W1": "a title & more"}
    text = table_text(table, titles)
    assert "W1: a title & more" in text and "3 (2 HEAD, 1 PUT)" in text and "40 x4" in text and "7.0" in text
    root = ElementTree.fromstring(drawing(table, titles, "where"))
    shown = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"W1: a title & more", MODULE, OCM1, "<&>", "1.00", "where"} <= set(shown)
    row = "   * - ``ocm_transfer``\n     - 1.00 (1.00 to 1.00)\n     - 1.00\n     - 3 + 3\n"
    assert row in table_rst(table, titles)
    json.dumps(table)


def test_a_bar_is_shown_with_its_figure():
    assert bars_text([Bar("W1", "requests", COUNT, 3, 2)]) == "NOT MET     W1: requests: 3, at most 2"
