# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that several targets read at the same time come from the source once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer import shared
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.shared import SharedReadings

CONTENT = b"".join(bytes([number]) * 70_000 for number in range(40))


class Source:
    """A blob in blocks. opened: how often. gate: is waited for before every block but the first.

    broken: the number of the block that fails.
    """

    def __init__(self, content=CONTENT, block=64 * 1024, broken=None):
        self.content, self.block, self.broken, self.opened = content, block, broken, 0
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def __call__(self):
        self.opened += 1
        yield self._blocks()

    def _blocks(self):
        for number, start in enumerate(range(0, len(self.content), self.block)):
            if number:
                self.gate.wait(30)
            if number == self.broken:
                raise NotFound("The blob has gone.")
            yield self.content[start : start + self.block]


@pytest.fixture
def readings(tmp_path):
    made = SharedReadings(str(tmp_path), 4, 10 * len(CONTENT))
    yield made
    made.close()


def read(readings, source, digest="sha256:1", size=len(CONTENT)):
    with readings.open(digest, size, source) as blocks:
        return b"".join(blocks)


def test_all_get_everything_of_one_reading(readings):
    source = Source()
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda _number: read(readings, source), range(5)))
    assert found == [CONTENT] * 5 and source.opened == 1


def test_who_comes_later_gets_what_was_read(readings):
    source = Source()
    assert [read(readings, source) for _number in range(2)] == [CONTENT] * 2
    assert source.opened == 1


def test_what_has_come_is_passed_on_at_once(readings):
    source = Source()
    source.gate.clear()
    with readings.open("sha256:1", len(CONTENT), source) as blocks:
        first = next(blocks)
        assert first == CONTENT[: len(first)] and len(first) == source.block
        source.gate.set()
        assert first + b"".join(blocks) == CONTENT


def test_one_that_gives_up_keeps_nobody_from_the_rest(readings):
    source = Source()
    source.gate.clear()
    with readings.open("sha256:1", len(CONTENT), source) as blocks:
        next(blocks)
    source.gate.set()
    assert read(readings, source) == CONTENT and source.opened == 1


def test_an_error_reaches_all_and_the_next_try_reads_anew(readings):
    source = Source(broken=3)
    for opened in (1, 2):
        with pytest.raises(NotFound, match="has gone"):
            read(readings, source)
        assert source.opened == opened
    source.broken = None
    assert read(readings, source) == CONTENT


def test_an_error_reaches_who_has_everything_before_it(readings):
    source = Source(broken=1)
    source.gate.clear()
    with readings.open("sha256:1", len(CONTENT), source) as blocks:
        assert len(next(blocks)) == source.block
        source.gate.set()
        readings._readings["sha256:1"]._thread.join(30)
        with pytest.raises(NotFound, match="has gone"):
            next(blocks)


def test_what_is_too_large_or_of_unknown_size_is_read_by_each(tmp_path):
    readings, source = SharedReadings(str(tmp_path), 4, len(CONTENT) - 1), Source()
    for size in (len(CONTENT), -1):
        assert [read(readings, source, size=size) for _number in range(2)] == [CONTENT] * 2
    assert source.opened == 4


def test_the_oldest_makes_room_unless_somebody_reads_it(tmp_path):
    readings, sources = SharedReadings(str(tmp_path), 4, 2 * len(CONTENT)), [Source() for _number in range(3)]
    with readings.open("sha256:0", len(CONTENT), sources[0]) as blocks:
        for number in (1, 2):
            assert read(readings, sources[number], f"sha256:{number}") == CONTENT
        assert b"".join(blocks) == CONTENT
    for number in (0, 2, 1):
        read(readings, sources[number], f"sha256:{number}")
    assert [source.opened for source in sources] == [1, 2, 1]
    readings.close()


def test_a_full_disk_only_costs_a_second_reading(readings, monkeypatch):
    source = Source()
    kept = shared._Reading._keep

    def keep(self, block):
        if self._written > 1_000_000:
            raise shared._FileFull
        kept(self, block)

    monkeypatch.setattr(shared._Reading, "_keep", keep)
    assert read(readings, source) == CONTENT and source.opened == 2


def test_what_is_asked_for_once_is_kept_but_no_error(readings):
    answers = [NotFound("no"), "yes", "again"]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(NotFound):
        readings.once("key", ask)
    assert [readings.once("key", ask) for _number in range(2)] == ["yes", "yes"]


def test_no_more_is_read_at_once_than_the_width(tmp_path):
    """Blobs and manifests together; what has to wait is read when something else is through."""
    readings, lock, most, held = SharedReadings(str(tmp_path), 2, 100 * len(CONTENT)), threading.Lock(), [], []

    @contextmanager
    def source():
        with lock:
            held.append(True)
            most.append(len(held))
        time.sleep(0.02)
        yield iter([CONTENT])
        with lock:
            held.pop()

    def once():
        with source() as blocks:
            return b"".join(blocks)

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(read, readings, source, f"sha256:{number}") for number in range(6)]
        asked += [pool.submit(readings.once, number, once) for number in range(6)]
        assert [one.result() for one in asked] == [CONTENT] * 12
    readings.close()
    assert max(most) == 2


def test_readings_that_wait_for_others_end_with_them(tmp_path):
    readings, source = SharedReadings(str(tmp_path), 1, 100 * len(CONTENT)), Source()
    source.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        with readings.open("sha256:1", len(CONTENT), source) as first:
            next(first)
            waiting = Source()
            with readings.open("sha256:2", len(CONTENT), waiting):
                closing = pool.submit(readings.close)
                source.gate.set()
                closing.result(30)
    assert waiting.opened == 0
