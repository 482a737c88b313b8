# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that make further tasks."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.pipeline import Pipeline


def test_the_most_urgent_first_and_what_tasks_add():
    done = []
    pipeline = Pipeline(1)

    def parent():
        done.append("parent")
        pipeline.add(lambda: done.append("child"), -5)

    pipeline.add(lambda: done.append("late"), 7)
    pipeline.add(parent, -9)
    pipeline.add(lambda: done.append("middle"), 0)
    pipeline.run()
    assert done == ["parent", "child", "middle", "late"]


def test_nothing_to_do():
    Pipeline(3).run()


def test_the_first_error_is_raised_and_nothing_is_begun_any_more():
    done = []
    pipeline = Pipeline(1)
    pipeline.add(lambda: done.append(1 / 0), 0)
    pipeline.add(lambda: done.append("later"), 1)
    with pytest.raises(ZeroDivisionError):
        pipeline.run()
    assert done == []


def test_heavy_tasks_go_first_but_only_so_many_at_once():
    lock, state, light_done = threading.Lock(), {"now": 0, "most": 0}, threading.Semaphore(0)
    pipeline = Pipeline(6, heavy=2)

    def heavy():
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        assert light_done.acquire(timeout=30)  # the light ones pass beside
        with lock:
            state["now"] -= 1

    for _number in range(5):
        pipeline.add(heavy, heavy=True)
        pipeline.add(light_done.release)
    pipeline.run()
    assert state == {"now": 0, "most": 2}


def test_tasks_that_no_thread_has_done_are_told(monkeypatch):
    pipeline = Pipeline(2)
    pipeline.add(lambda: None)
    monkeypatch.setattr(pipeline, "_work", lambda: None)
    with pytest.raises(RuntimeError, match="before its tasks"):
        pipeline.run()
