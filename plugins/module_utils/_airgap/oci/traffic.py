# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of requests and bytes."""

from __future__ import annotations

import threading
from typing import Dict


class Traffic:
    """What went over the wire. bytes: bodies in both directions. Token requests are counted apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0
        self.token_requests = 0
        self.by_method: Dict[str, int] = {}

    def count(self, method: str) -> None:
        with self._lock:
            self.requests += 1
            self.by_method[method] = self.by_method.get(method, 0) + 1

    def count_token(self) -> None:
        with self._lock:
            self.token_requests += 1

    def add_bytes(self, count: int) -> None:
        with self._lock:
            self.bytes += count
