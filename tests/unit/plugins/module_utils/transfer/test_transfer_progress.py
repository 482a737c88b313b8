# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What progress tells, with a clock of its own."""

from __future__ import annotations

from contextlib import nullcontext

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import open_at
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.progress import Progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def progress_of(events):
    clock = Clock()
    return Progress(events.append, clock), clock


def test_sums_rate_and_time_left():
    events = []
    progress, clock = progress_of(events)
    progress.expect(1000, 4, 1)
    progress.expect(1000, 4, 1)
    clock.now += 2
    progress.blob_done("one", 500)
    event = events[-1]
    assert event["event"] == "moving" and event["seconds"] == 2.0
    assert event["bytes"] == {"done": 500, "total": 2000} and event["blobs"] == {"done": 1, "total": 8}
    assert event["rate"] == 250 and event["seconds_left"] == 6.0


def test_moving_is_told_at_most_twice_a_second_images_and_the_end_always():
    events = []
    progress, clock = progress_of(events)
    progress.expect(100, 100, 2)
    for number in range(100):
        clock.now += 0.01
        progress.blob_done(number, 1)
    assert len(events) == 2
    progress.image_done("registry.test/app:1", "registry.test")
    progress.image_done("registry.test/other:1", "registry.test")
    progress.end()
    assert [event["event"] for event in events[2:]] == ["image", "image", "end"]
    assert events[2]["image"] == "registry.test/app:1" and events[2]["target"] == "registry.test"
    assert events[-1]["images"] == {"done": 2, "total": 2} and events[-1]["seconds_left"] == 0.0


def test_what_is_read_again_does_not_count_twice_and_nothing_goes_back():
    events = []
    progress, clock = progress_of(events)
    progress.expect(30, 1, 0)
    source = progress.watched(lambda: nullcontext(iter([b"0123456789"] * 3)), "blob")

    def read(blocks):
        for _block in blocks:
            clock.now += 1

    with source() as blocks:
        read(blocks)
    with open_at(source, 20) as blocks:
        read(blocks)
    with source() as blocks:
        read(blocks)
    progress.blob_done("blob", 30)
    done = [event["bytes"]["done"] for event in events]
    assert done == sorted(done) and done[0] == 10 and done[-1] == 30


def test_without_a_rate_nobody_tells_the_time_left():
    events = []
    progress, _clock = progress_of(events)
    progress.expect(10, 1, 1)
    progress.image_done("registry.test/app:1", "registry.test")
    assert events[0]["seconds_left"] is None


def test_time_before_there_was_anything_to_move_is_in_no_rate():
    events = []
    progress, clock = progress_of(events)
    clock.now += 10
    progress.expect(1000, 2, 0)
    clock.now += 2
    progress.blob_done("one", 500)
    assert events[-1]["rate"] == 250 and events[-1]["seconds_left"] == 2.0 and events[-1]["seconds"] == 12.0


def test_a_few_bytes_tell_nothing_of_the_time_left():
    events = []
    progress, clock = progress_of(events)
    progress.expect(10**9, 3, 0)
    for size, told in ((11, None), (10**6, None), (10**8, 26.7)):
        clock.now += 1
        progress.blob_done(size, size)
        assert events[-1]["seconds_left"] == told
    assert events[-1]["bytes"]["done"] == 10**8 + 10**6 + 11


def test_blocks_of_what_is_packed_count_while_they_pass():
    events = []
    progress, clock = progress_of(events)
    progress.expect(30, 1, 0)
    for _block in progress.passing([b"0123456789"] * 3, "set"):
        clock.now += 1
    progress.blob_done("set", 30)
    assert [event["bytes"]["done"] for event in events] == [10, 20, 30]


def test_more_than_was_expected_raises_the_total():
    events = []
    progress, _clock = progress_of(events)
    progress.blob_done("one", 10)
    progress.end()
    assert events[-1]["bytes"] == {"done": 10, "total": 10}
