# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried again, and when: a pure decision and a small loop around it.

Retry-After follows RFC 9110 section 10.2.3 (seconds or a date). Errors of authentication are never tried again.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Callable, Optional, TypeVar

from ..model.errors import OcmError, OutOfTime

RETRYABLE_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
Result = TypeVar("Result")


class TryAgain(Exception):
    """One attempt failed in a way that a later one may not.

    error: what the user is told if there is no later one. retry_after: seconds that the server asks for, or None.
    told_at: when it did, by the clock of the Retrier.
    """

    def __init__(self, error: OcmError, retry_after: Optional[float] = None, told_at: Optional[float] = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after
        self.told_at = told_at


@dataclass(frozen=True)
class RetryPolicy:
    """retries: attempts after the first. All times in seconds; max_total: the sum of all waits of one request."""

    retries: int = 5
    first_wait: float = 0.5
    max_wait: float = 30.0
    max_total: float = 300.0

    def wait_before(self, retry: int, retry_after: Optional[float], waited: float, chance: float) -> Optional[float]:
        """Seconds to wait before the retry number `retry` (1, 2, ...), or None: give up.

        A wait that the server asks for is kept exactly, plus up to a quarter second; otherwise the wait doubles, of
        which the upper half is left to `chance` (0 to 1). waited: seconds waited before for this request.
        """
        if retry > self.retries:
            return None
        if retry_after is not None:
            wait = retry_after + chance * 0.25
        else:
            backoff = min(self.max_wait, self.first_wait * 2 ** (retry - 1))
            wait = backoff * (0.5 + chance / 2)
        return wait if waited + wait <= self.max_total else None


def parse_retry_after(value: str, now: float, server_date: str = "") -> Optional[float]:
    """Seconds from a Retry-After header, None if it says nothing usable (text, negative, a date gone by).

    now: the local clock (Unix time). server_date: the answer's Date header; it wins over the local clock.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until = _unix_time(value)
    if until is None:
        return None
    reference = _unix_time(server_date)
    wait = until - (now if reference is None else reference)
    return wait if wait >= 0 else None


def _unix_time(text: str) -> Optional[float]:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


class Retrier:
    """Runs an action until it succeeds or the policy gives up; then the last error is raised.

    sleep: may raise OutOfTime instead of waiting. Pauses that a host asks all workers for are not kept here, see
    Limits.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self._sleep = sleep
        self._chance = chance
        self._clock = clock

    def run(self, action: Callable[[], Result]) -> Result:
        """Raises the error inside the last TryAgain; every other exception passes at once."""
        waited, retry = 0.0, 0
        while True:
            try:
                return action()
            except TryAgain as failure:
                failed, retry = failure.error, retry + 1
                wait = self.policy.wait_before(retry, failure.retry_after, waited, self._chance())
                if wait is None:
                    raise failure.error from failure.__cause__
                since = 0.0 if failure.told_at is None else self._clock() - failure.told_at
            waited += wait
            self._wait(max(0.0, wait - since), failed)

    def wait_before(self, retry: int, failed: Optional[OcmError] = None) -> None:
        """Wait as before the retry number `retry` (1, 2, ...) after `failed`."""
        self._wait(self.policy.wait_before(min(retry, self.policy.retries), None, 0.0, self._chance()) or 0.0, failed)

    def _wait(self, seconds: float, failed: Optional[OcmError]) -> None:
        try:
            self._sleep(seconds)
        except OutOfTime as late:
            text = f"{failed.message} It is not tried again: {late.message}" if failed else late.message
            raise OutOfTime(text, late.hint) from None
