# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to a server on loopback that breaks when so many bytes have gone over it."""

from __future__ import annotations

import select
import socket
import struct
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, List, Sequence

_RESET = struct.pack("ii", 1, 0)


class Line:
    """A context manager. breaks: bytes to the server after which one connection breaks, each at most once, in turn.

    carried: bytes that every connection brought to the server.
    """

    def __init__(self, port: int, breaks: Sequence[int] = ()) -> None:
        self.breaks = list(breaks)
        self.carried: List[int] = []
        self._server = ThreadingTCPServer(("127.0.0.1", 0), _handler(self, port))
        self.ends: List[socket.socket] = []
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_address[1]}"

    def __enter__(self) -> "Line":
        self._thread.start()
        return self

    def __exit__(self, *details: Any) -> None:
        self._server.shutdown()
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                continue
        self._server.server_close()
        self._thread.join()


def _handler(line: Line, port: int) -> type:
    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            number = len(line.carried)
            line.carried.append(0)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as server:
                other = {self.request: server, server: self.request}
                line.ends.extend(other)
                while True:
                    for ready in select.select(list(other), [], [], 10)[0]:
                        block = ready.recv(65536)
                        if not block:
                            return
                        other[ready].sendall(block)
                        line.carried[number] += len(block) if ready is self.request else 0
                    if line.breaks and line.carried[number] >= line.breaks[0]:
                        line.breaks.pop(0)
                        for end in other:
                            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        return

    return Handler
