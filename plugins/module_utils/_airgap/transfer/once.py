# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several threads need is found once and kept."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, TypeVar

Found = TypeVar("Found")


class Once:
    """Values by key. Who asks for a key that is being found waits for it; other keys do not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: Dict[Any, threading.Lock] = {}
        self._kept: Dict[Any, Any] = {}

    def get(self, key: Any, find: Callable[[], Found]) -> Found:
        """What find() gave for the key the first time. What it raises is raised, and not kept."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._kept:
                self._kept[key] = find()
            return self._kept[key]
