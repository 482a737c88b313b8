# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that make further tasks, carried out by a few threads, the most urgent first."""

from __future__ import annotations

import heapq
import threading
from typing import Callable, List, Optional, Tuple

Task = Callable[[], None]


class Pipeline:
    """A pool of threads without barriers: a task adds what can begin when it has ended.

    After the first error nothing is begun any more; what has begun is waited for.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._news = threading.Condition()
        self._waiting: List[Tuple[int, int, Task]] = []
        self._added, self._running = 0, 0
        self._error: Optional[BaseException] = None

    def add(self, task: Task, rank: int = 0) -> None:
        """Add a task; those of the lowest rank are begun first, of one rank in the order in which they came."""
        with self._news:
            heapq.heappush(self._waiting, (rank, self._added, task))
            self._added += 1
            self._news.notify()

    def run(self) -> None:
        """Carry out everything that was added and what that adds. Raises the first error that a task raised."""
        threads = [threading.Thread(target=self._work, daemon=True) for _number in range(self._width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            task = self._next()
            if task is None:
                return
            try:
                task()
            except BaseException as error:  # raised again by run
                self._error = self._error or error
            finally:
                self._ended()

    def _next(self) -> Optional[Task]:
        """The next task when there is one; None when no further one can come."""
        with self._news:
            self._news.wait_for(lambda: self._error or self._waiting or not self._running)
            if self._error or not self._waiting:
                return None
            self._running += 1
            return heapq.heappop(self._waiting)[2]

    def _ended(self) -> None:
        with self._news:
            self._running -= 1
            self._news.notify_all()
