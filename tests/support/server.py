# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP(S) server on loopback whose answers a test scripts; it records what it was asked."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived. path without query; query: name to list of values."""

    method: str
    path: str
    query: Mapping[str, List[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer. length: the Content-Length to send, None for the true one; a body shorter than it ends early.

    reset: the connection is reset after the body. silence: seconds for which it stays open without a byte.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: Optional[int] = None
    without_length: bool = False
    more_headers: tuple = ()
    reset: bool = False
    silence: float = 0


class ScriptedServer:
    """Answers with `handle(asked) -> Reply`. A context manager; `asked` grows with every request."""

    def __init__(self, handle: Callable[[Asked], Reply], tls: Optional[ssl.SSLContext] = None) -> None:
        self.handle = handle
        self.asked: List[Asked] = []
        self._tls = tls
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def methods(self) -> List[str]:
        return [asked.method for asked in self.asked]

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(self, *details: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TunnelProxy:
    """An HTTP proxy that knows CONNECT alone. A context manager; `asked` has the header lines of every request."""

    def __init__(self) -> None:
        self.asked: List[List[str]] = []
        self._server = ThreadingTCPServer(("127.0.0.1", 0), _tunnel(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def __enter__(self) -> "TunnelProxy":
        self._thread.start()
        return self

    def __exit__(self, *details: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _tunnel(owner: TunnelProxy) -> type:
    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            lines = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
            owner.asked.append(lines)
            host, _colon, port = lines[0].split()[1].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as target:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                self._relay(target)

        def _relay(self, target: socket.socket) -> None:
            other = {self.connection: target, target: self.connection}
            while True:
                for ready in select.select(list(other), [], [], 5)[0]:
                    block = ready.recv(65536)
                    if not block:
                        return
                    other[ready].sendall(block)

    return Handler


def in_turn(*replies: Any) -> Callable[[Asked], Reply]:
    """Answers one after the other, the last one for ever. A reply is a Reply or a function of Asked."""
    waiting = list(replies)

    def handle(asked: Asked) -> Reply:
        reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return reply(asked) if callable(reply) else reply

    return handle


def _handler(owner: ScriptedServer) -> type:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            headers: Dict[str, str] = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, self.rfile.read(length))
            owner.asked.append(asked)
            self._reply(owner.handle(asked))

        def _reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in (*reply.headers.items(), *reply.more_headers):
                self.send_header(name, value)
            length = len(reply.body) if reply.length is None else reply.length
            if not reply.without_length and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(length))
            if length != len(reply.body) or reply.without_length:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            if reply.silence:
                time.sleep(reply.silence)
            if reply.reset:
                self._reset()

        def _reset(self) -> None:
            """Close with a reset, once the other side has had the time to read what was sent."""
            self.wfile.flush()
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler
