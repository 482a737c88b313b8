# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several threads need is found once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.transfer.once import Once


def test_who_asks_for_a_key_that_is_being_found_waits_for_it():
    once, begun, found = Once(), threading.Event(), []

    def find() -> str:
        found.append("key")
        begun.set()
        assert other.result(timeout=30) == "other", "another key does not wait"
        return "value"

    with ThreadPoolExecutor(3) as pool:
        other = pool.submit(lambda: begun.wait(30) and once.get("other", lambda: "other"))
        asked = [pool.submit(once.get, "key", find) for _time in range(2)]
        assert [one.result(timeout=30) for one in asked] == ["value", "value"]
    assert found == ["key"]


def test_an_error_is_not_kept():
    once = Once()
    with pytest.raises(OSError):
        once.get("key", lambda: open("/nonexistent/file", "rb"))
    assert once.get("key", lambda: "value") == "value"
