# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that end when nothing, or next to nothing, comes or goes: a slow line is no error, a silent one is.

The timeout of a socket alone is neither: a byte now and then satisfies it for ever, and where a large block is sent in
one call it is the time for all of it.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import time
from typing import Any, Callable, Dict

from .library import urllib3

# Bytes a second; what is slower for as long as the timeout counts as silent.
LEAST_RATE = 100
# What a call sends: TLS gives its records away one by one, a plain socket takes what fits into its buffer.
TLS_PIECE = 16 * 1024
PLAIN_PIECE = 1024 * 1024
# What an other side gets to answer a body that ends early.
END_SECONDS = 5
Remaining = Callable[[], float]


class TooSlow(socket.timeout):
    """Fewer than LEAST_RATE bytes a second came or went, for as long as the timeout of the connection."""


class Watch:
    """How much goes over one connection in one direction, and how long that is waited for.

    Only the time inside of calls counts: not what the other side of a transfer, or a limit of our own, takes.
    remaining: seconds until the time of the run is over.
    """

    def __init__(self, remaining: Remaining) -> None:
        self.remaining = remaining
        self.is_sending = True
        self._seconds, self._bytes = 0.0, 0

    def passed(self, is_sending: bool, count: int, seconds: float, timeout: float) -> None:
        """So many bytes came or went within so many seconds. Raises TooSlow.

        The first bytes of an answer are left out: a registry may take its time to give one.
        """
        if is_sending != self.is_sending:
            self.is_sending, self._seconds, self._bytes = is_sending, 0.0, 0
            return
        self._seconds += seconds
        self._bytes += count
        if self._seconds < timeout:
            return
        if self._bytes < LEAST_RATE * self._seconds or self.remaining() <= 0:
            raise TooSlow
        self._seconds, self._bytes = 0.0, 0


class _Watched:
    """What sockets of both kinds do more than others, once `watch` was called."""

    _watch: Any = None
    _piece = PLAIN_PIECE

    def watch(self, remaining: Remaining) -> None:
        self._watch = Watch(remaining)

    def recv_into(self, *arguments: Any) -> int:
        receive = super().recv_into
        if self._watch is None:
            return receive(*arguments)
        while True:
            unsent = _unsent(self) if self._watch.is_sending else 0
            try:
                return self._timed(False, receive, *arguments)
            except socket.timeout as error:
                gone = unsent - _unsent(self) if unsent else 0
                if isinstance(error, TooSlow) or gone < max(1, LEAST_RATE * self.gettimeout()):
                    raise

    def send(self, data: Any, flags: int = 0) -> int:
        send = super().send
        if self._watch is None:
            return send(data, flags)
        with memoryview(data) as view, view.cast("B") as content:
            return self._timed(True, send, content[: self._piece], flags)

    def _timed(self, is_sending: bool, action: Callable[..., int], *arguments: Any) -> int:
        """Raises socket.timeout, at the latest when the time of the run is over; what begins then is left its timeout."""
        timeout, remaining = self.gettimeout(), self._watch.remaining()
        if timeout is not None and 0 < remaining < timeout:
            timeout = max(0.1, remaining)
            self.settimeout(timeout)
        started = time.monotonic()
        count = action(*arguments)
        if timeout is not None:
            self._watch.passed(is_sending, count, time.monotonic() - started, timeout)
        return count


class WatchedSocket(_Watched, socket.socket):
    """A plain one."""

    @classmethod
    def instead_of(cls, other: socket.socket) -> "WatchedSocket":
        """Takes the connection over."""
        timeout, kind = other.gettimeout(), (other.family, other.type, other.proto)
        found = cls(*kind, fileno=other.detach())
        found.settimeout(timeout)
        return found

    def sendall(self, data: Any, flags: int = 0) -> None:
        """The timeout is that of every piece; socket.sendall takes it for that of all of them."""
        with memoryview(data) as view, view.cast("B") as content:
            sent = 0
            while sent < len(content):
                sent += self.send(content[sent:], flags)


class WatchedTlsSocket(_Watched, ssl.SSLSocket):
    """One with TLS, which a context makes whose sslsocket_class it is. Its sendall sends piece by piece."""

    _piece = TLS_PIECE


def _unsent(connection: Any) -> int:
    """Bytes that the other side has not got yet, 0 where the operating system does not tell."""
    try:
        return struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    except OSError:
        return 0


class _Ending:
    """What connections do more than others when the source of a body fails: the line itself is well then."""

    sock: Any = None

    def request(self, *arguments: Any, **options: Any) -> None:
        try:
            super().request(*arguments, **options)
        except OSError:
            raise
        except Exception:
            _end_body(self.sock)
            raise


def _end_body(connection: Any) -> None:
    """Say that no more comes, and wait for what the other side makes of it.

    A registry that still reads keeps the session of an upload, whatever it is told meanwhile on another connection.
    """
    if connection is None:
        return
    try:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(END_SECONDS)
        connection.recv(1)
    except OSError:
        pass


def watched_pools(remaining: Remaining) -> Dict[str, Any]:
    """The kinds of pools, by scheme, that a urllib3 PoolManager makes for watched connections."""
    connections, pools = urllib3.connection, urllib3.connectionpool

    class Connection(_Ending, connections.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = WatchedSocket.instead_of(self.sock)
            self.sock.watch(remaining)

    class TlsConnection(_Ending, connections.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            if isinstance(self.sock, WatchedTlsSocket):  # not so behind a proxy that itself wants TLS
                self.sock.watch(remaining)

    class Pool(pools.HTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(pools.HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": Pool, "https": TlsPool}
