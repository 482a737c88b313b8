# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that make further tasks, carried out by a few threads, the most urgent first."""

from __future__ import annotations

import heapq
import threading
from typing import Callable, Dict, List, Optional, Tuple

Task = Callable[[], None]

# Requests that move next to nothing spend their time with waiting: so many times more of them are on their way at once.
LIGHT = 4


class Pipeline:
    """A pool of threads without barriers: a task adds what can begin when it has ended.

    width: tasks at once. heavy: of them so many heavy ones, which go first; all by default.
    After the first error nothing is begun any more; what has begun is waited for.
    """

    def __init__(self, width: int, heavy: int = 0) -> None:
        self._width, self._heavy = width, heavy or width
        self._news = threading.Condition()
        self._waiting: Dict[bool, List[Tuple[int, int, Task]]] = {True: [], False: []}
        self._added = 0
        self._running = {True: 0, False: 0}
        self._error: Optional[BaseException] = None

    def add(self, task: Task, rank: int = 0, heavy: bool = False) -> None:
        """Add a task; those of the lowest rank are begun first, of one rank in the order in which they came."""
        with self._news:
            heapq.heappush(self._waiting[heavy], (rank, self._added, task))
            self._added += 1
            self._news.notify_all()

    def run(self) -> None:
        """Carry out everything that was added and what that adds. Raises the first error that a task raised."""
        threads = [threading.Thread(target=self._work, daemon=True) for _number in range(self._width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error
        if any(self._waiting.values()):
            raise RuntimeError("The threads of a transfer ended before its tasks did.")

    def _work(self) -> None:
        while True:
            found = self._next()
            if found is None:
                return
            task, heavy = found
            try:
                task()
            except BaseException as error:  # raised again by run
                self._error = self._error or error
            finally:
                self._ended(heavy)

    def _next(self) -> Optional[Tuple[Task, bool]]:
        """The next task when one may begin, and whether it is heavy; None when no further one can come."""
        with self._news:
            self._news.wait_for(lambda: self._error or self._kind() is not None or self._is_over())
            heavy = self._kind()
            if self._error or heavy is None:
                return None
            self._running[heavy] += 1
            return heapq.heappop(self._waiting[heavy])[2], heavy

    def _kind(self) -> Optional[bool]:
        """Which kind of task may begin now."""
        if self._waiting[True] and self._running[True] < self._heavy:
            return True
        return False if self._waiting[False] else None

    def _is_over(self) -> bool:
        return not any(self._running.values()) and not any(self._waiting.values())

    def _ended(self, heavy: bool) -> None:
        with self._news:
            self._running[heavy] -= 1
            self._news.notify_all()
