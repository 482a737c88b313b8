# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to a server on loopback that breaks, falls silent or gets slow when so many bytes have gone over it."""

from __future__ import annotations

import select
import socket
import struct
import threading
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, List, Optional, Sequence

_RESET = struct.pack("ii", 1, 0)
_BUFFER = 64 * 1024
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Slow:
    """How a connection goes on in one direction after so many bytes: `piece` bytes, and then a pause; 0: silence.

    connections: so many of the first ones are like this.
    """

    to_server: bool
    after: int
    piece: int = 0
    pause: float = 3.0
    connections: int = 1


class Line:
    """A context manager. breaks: bytes to the server after which one connection breaks, each at most once, in turn.

    carried, returned: bytes that every connection brought to the server, and from it.
    """

    def __init__(self, port: int, breaks: Sequence[int] = (), slow: Optional[Slow] = None) -> None:
        self.breaks = list(breaks)
        self.slow = slow
        self.carried: List[int] = []
        self.returned: List[int] = []
        self._server = ThreadingTCPServer(("127.0.0.1", 0), _handler(self, port))
        self.ends: List[socket.socket] = []
        self._over = threading.Event()
        if slow:
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_address[1]}"

    def __enter__(self) -> "Line":
        self._thread.start()
        return self

    def __exit__(self, *details: Any) -> None:
        self._over.set()
        self._server.shutdown()
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                continue
        self._server.server_close()
        self._thread.join()

    def next_piece(self, number: int, to_server: bool) -> int:
        """How much may go over a connection now, after the pause that it takes; 0: nothing any more."""
        slow, so_far = self.slow, (self.carried if to_server else self.returned)[number]
        if slow is None or slow.to_server != to_server or number >= slow.connections:
            return _BLOCK
        if so_far < slow.after:
            return min(_BLOCK, slow.after - so_far)
        return 0 if self._over.wait(slow.pause) else slow.piece


def _handler(line: Line, port: int) -> type:
    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            number = len(line.carried)
            line.carried.append(0)
            line.returned.append(0)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as server:
                other = {self.request: server, server: self.request}
                line.ends.extend(other)
                while True:
                    for ready in select.select(list(other), [], [], 10)[0]:
                        piece = line.next_piece(number, ready is self.request)
                        block = ready.recv(piece) if piece else b""
                        if not block:
                            return
                        other[ready].sendall(block)
                        (line.carried if ready is self.request else line.returned)[number] += len(block)
                    if line.breaks and line.carried[number] >= line.breaks[0]:
                        line.breaks.pop(0)
                        for end in other:
                            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        return

    return Handler
