# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast and how long: pauses that hosts ask for, requests a second, bytes a second, and the time of a whole run.

Only monotonic time counts here: a clock that is set back or forward changes nothing.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Optional

from ..model.errors import OutOfTime
from .failures import Place
from .retry import Retrier, RetryPolicy
from .settings import ConnectionOptions

# Bytes that are read and sent at once: larger pieces leave the processor's cache between reading, hashing and sending,
# and their memory comes from the system anew each time.
LARGEST_PIECE = 128 * 1024
SMALLEST_PIECE = 16 * 1024
PIECES_A_SECOND = 4


@dataclass(frozen=True)
class Timing:
    """How time passes. clock: monotonic seconds. chance: 0 to 1, for jitter."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class TokenBucket:
    """Tokens that come at a rate; whoever takes more than there are waits for them, one after the other.

    rate: tokens a second. burst: tokens that may have gathered while nobody took any.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._level, self._at = burst, clock()
        self._lock = threading.Lock()

    def take(self, count: float) -> float:
        """Take tokens; returns the seconds to wait until they are there."""
        with self._lock:
            now = self._clock()
            self._level = min(self._burst, self._level + (now - self._at) * self._rate) - count
            self._at = now
            return max(0.0, -self._level / self._rate)


class Pause:
    """All workers wait together when a host asks for it."""

    def __init__(self, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._sleep, self._clock = sleep, clock
        self._lock = threading.Lock()
        self._until = clock()

    def extend(self, seconds: float) -> None:
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def wait(self) -> None:
        """Until the end of the pause, also when it is extended in the meantime."""
        while self.remaining > 0:
            self._sleep(self.remaining)

    @property
    def remaining(self) -> float:
        with self._lock:
            return self._until - self._clock()


class HostLimits:
    """What all requests to one host share, for whatever they are."""

    def __init__(self, request_rate: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self.pause = Pause(sleep, clock)
        self._sleep = sleep
        self._requests = TokenBucket(request_rate, 1, clock) if request_rate else None

    def wait(self) -> None:
        """Until another request may be sent."""
        if self._requests is not None:
            self._sleep(self._requests.take(1))
        self.pause.wait()


class Limits:
    """The limits of one run, shared by all its connections. Safe for several threads."""

    def __init__(self, options: ConnectionOptions, timing: Timing = Timing()) -> None:
        self._timing = timing
        self.clock = timing.clock
        self._budget = options.time_budget
        self._rate = options.request_rate
        self._policy = RetryPolicy(retries=options.retries)
        self._end = timing.clock() + options.time_budget
        self._hosts: Dict[str, HostLimits] = {}
        self._lock = threading.Lock()
        bandwidth = options.bandwidth
        self.piece = LARGEST_PIECE
        if bandwidth:
            self.piece = max(SMALLEST_PIECE, min(LARGEST_PIECE, bandwidth // PIECES_A_SECOND))
        self._received = TokenBucket(bandwidth, self.piece, timing.clock) if bandwidth else None
        self._sent = TokenBucket(bandwidth, self.piece, timing.clock) if bandwidth else None

    def retrier(self) -> Retrier:
        """A retrier whose waits keep to the time of the run."""
        return Retrier(self._policy, self.sleep, self._timing.chance, self.clock)

    def sleep(self, seconds: float) -> None:
        """Wait. Raises OutOfTime at once when the time of the run would be over before."""
        if seconds <= 0:
            return
        if seconds > self.remaining:
            raise self._out_of_time(f"leaves no time to wait {seconds:.3g} seconds")
        self._timing.sleep(seconds)

    @property
    def remaining(self) -> float:
        """Seconds until the time of the run is over; infinite without a limit."""
        return self._end - self._timing.clock() if self._budget else float("inf")

    def before_request(self, host: str, method: str, place: Place) -> None:
        """Wait until a request may be sent to a host. Raises OutOfTime.

        Requests that clean up (DELETE) are sent without a wait when the time is over: nothing else would undo what
        was begun.
        """
        if method == "DELETE" and self.remaining <= 0:
            return
        self.check(place)
        with self._told_at(place):
            self._host(host).wait()

    def pause(self, host: str, seconds: float) -> None:
        """A host asks all workers to wait. What is longer than any request waits is left to each of them."""
        if seconds <= min(self._policy.max_total, self.remaining):
            self._host(host).pause.extend(seconds)

    def check(self, place: Place) -> None:
        """Raises OutOfTime when the time of the run is over."""
        if self.remaining <= 0:
            with self._told_at(place):
                raise self._out_of_time("is used up")

    def received(self, count: int, place: Place) -> None:
        """Bytes of a body have come: wait until more may."""
        self._pass(self._received, count, place)

    def sent(self, count: int, place: Place) -> None:
        """Bytes of a body are to go: wait until they may."""
        self._pass(self._sent, count, place)

    def _pass(self, bucket: Optional[TokenBucket], count: int, place: Place) -> None:
        self.check(place)
        if bucket is not None:
            with self._told_at(place):
                self.sleep(bucket.take(count))

    def _host(self, name: str) -> HostLimits:
        with self._lock:
            if name not in self._hosts:
                self._hosts[name] = HostLimits(self._rate, self.sleep, self._timing.clock)
            return self._hosts[name]

    @contextmanager
    def _told_at(self, place: Place) -> Iterator[None]:
        try:
            yield
        except OutOfTime as error:
            raise OutOfTime(place.tell(error.message), error.hint) from None

    def _out_of_time(self, what: str) -> OutOfTime:
        hint = "What has arrived stays: the next run goes on from there."
        return OutOfTime(f"the time_budget of {self._budget:g} seconds {what}.", hint)


class LimitedBody:
    """The file-like body of a request, read no faster than the limits allow. failure: that of the body."""

    def __init__(self, body: Any, limits: Limits, place: Place) -> None:
        self.len = body.len
        self._body, self._limits, self._place = body, limits, place

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    def read(self, count: int = -1) -> bytes:
        """The next bytes, at most `count`; empty at the end."""
        piece = self._limits.piece
        block = self._body.read(piece if count < 0 else min(count, piece))
        self._limits.sent(len(block), self._place)
        return block

    @property
    def failure(self) -> Optional[Exception]:
        return getattr(self._body, "failure", None)
