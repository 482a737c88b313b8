# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reverse proxy in front of a real registry that breaks the exchanges that a test chooses, and records all of them.

It is a process of its own: tests that have no thread can start modules as forks, and a proxy that hangs is just killed.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Container, Dict, List, Optional, Sequence, Tuple

EVERY = range(1, 1_000_000)
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding")
_PATIENCE = 5


@dataclass(frozen=True)
class Answer:
    """What a registry answered, or what is sent instead. headers: in their order, names as they came."""

    status: int
    headers: Sequence[Tuple[str, str]] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def without(self, *names: str) -> "Answer":
        gone = [name.lower() for name in names]
        return replace(self, headers=[pair for pair in self.headers if pair[0].lower() not in gone])

    def having(self, **headers: str) -> "Answer":
        """With other headers; `_` in a name stands for `-`. A value of "" takes the header away."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        rest = self.without(*given).headers
        return replace(self, headers=[*rest, *(pair for pair in given.items() if pair[1])])


class Exchange:
    """One request at the proxy, for an action: look at it, `forward` it or not, answer it as it should not be."""

    def __init__(self, handler: Any, registry_port: int) -> None:
        self._handler = handler
        self._registry_port = registry_port
        self.method: str = handler.command
        self.path: str = handler.path
        self.headers: Dict[str, str] = {name.lower(): value for name, value in handler.headers.items()}
        self.status = 0
        self.sent = 0
        self._body: Optional[bytes] = None
        self._withheld, self._lent = "", ""

    @property
    def received(self) -> int:
        """Bytes of the request's body that were read."""
        return len(self._body or b"")

    def take_body(self) -> bytes:
        """The request's body; an answer without it would leave it in the connection."""
        if self._body is None:
            self._body = self._handler.read_body()
        return self._body

    def forward(self, without: str = "", login: str = "") -> Answer:
        """The registry's answer. without: a header that it does not get (lower case). login: what it gets as one."""
        self._withheld, self._lent = without, login
        content = self.take_body()
        size = self.headers.get("content-length")
        connection = self._to_registry(int(size) if size else len(content))
        connection.send(content)
        if size and len(content) < int(size):
            connection.close()
            raise ConnectionAbortedError("The client broke off.")
        found = connection.getresponse()
        body = found.read()
        connection.close()
        headers = [(name, value) for name, value in found.getheaders() if name.lower() not in _HOP_BY_HOP]
        return Answer(found.status, headers, body)

    def forward_part(self, share: float) -> None:
        """Only the first part of the body goes to the registry, then the connection to it breaks."""
        size = int(self.headers.get("content-length") or 0)
        part = self._handler.rfile.read(int(size * share))
        connection = self._to_registry(size)
        connection.send(part)
        time.sleep(0.02)
        connection.close()
        self._body = part

    def _to_registry(self, size: int) -> HTTPConnection:
        connection = HTTPConnection("localhost", self._registry_port, timeout=30)
        connection.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self._handler.headers.items():
            if name.lower() not in _HOP_BY_HOP + ("content-length", self._withheld):
                connection.putheader(name, value)
        if self._lent:
            connection.putheader("Authorization", self._lent)
        if self._handler.secure:
            connection.putheader("X-Forwarded-Proto", "https")
        if size or self.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection

    def send(self, answer: Answer) -> None:
        """An answer as it should be: its length is that of its body, unless it names another."""
        self.start(answer)
        self.write(answer.body)

    def start(self, answer: Answer, chunked: bool = False) -> None:
        """Status and headers. chunked: without a length; the end of the connection is the end of the body."""
        self.status = answer.status
        head = [f"HTTP/1.1 {answer.status} As it is"]
        head += [f"{name}: {value}" for name, value in answer.headers if not (chunked and name == "Content-Length")]
        if chunked:
            head.append("Connection: close")
            self._handler.close_connection = True
        elif not answer.header("Content-Length") and answer.status not in (204, 304):
            head.append(f"Content-Length: {len(answer.body)}")
        self._handler.wfile.write(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))

    def write(self, content: bytes) -> None:
        if self.method != "HEAD":
            self._handler.wfile.write(content)
            self.sent += len(content)

    def raw(self, content: bytes) -> None:
        self._handler.wfile.write(content)

    def tunnel(self) -> None:
        """What a CONNECT asks for, until one side ends it."""
        host, _colon, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_PATIENCE) as other:
            self.raw(b"HTTP/1.1 200 OK\r\n\r\n")
            self.status = 200
            ways = {self._handler.connection: other, other: self._handler.connection}
            while True:
                for ready in select.select(list(ways), [], [], _PATIENCE)[0]:
                    block = ready.recv(65536)
                    if not block:
                        self.close()
                        return
                    ways[ready].sendall(block)

    def reset(self) -> None:
        """The connection breaks with RST."""
        self._handler.close_connection = True
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._handler.connection.detach())

    def close(self) -> None:
        """The connection ends with FIN."""
        self._handler.close_connection = True

    def stall(self, seconds: float) -> None:
        """Nothing more comes, and the connection stays open; at most as long as the test could care for."""
        time.sleep(seconds)
        self.close()


Action = Callable[[Exchange], None]


@dataclass(frozen=True)
class Rule:
    """Break exchanges whose method and path (with query) match completely and anywhere; which of them: their numbers.

    Of several rules the first one that matches and has this number decides; every rule counts all its matches.
    may_rest: that it is never needed may be what the test shows.
    """

    method: str
    path: str
    action: Action
    numbers: Container[int] = (1,)
    may_rest: bool = False

    def matches(self, exchange: Exchange) -> bool:
        return bool(re.fullmatch(self.method, exchange.method) and re.search(self.path, exchange.path))


@dataclass
class Seen:
    """An exchange that the proxy had. start and end: monotonic seconds; status 0: it was never answered.

    connections: open ones when it began, whatever they were used for. rule: the place of the rule that broke it, -1 for
    none.
    """

    method: str
    path: str
    headers: Dict[str, str]
    start: float
    rule: int = -1
    status: int = 0
    sent: int = 0
    received: int = 0
    end: float = 0.0
    connections: int = 0

    @property
    def broken(self) -> bool:
        return self.rule >= 0


class FaultProxy:
    """A context manager. port: of the registry behind it, 0 when every request has a rule. `host` is the proxy's."""

    def __init__(
        self, folder: Path, port: int, rules: Sequence[Rule] = (), tls: Optional[ssl.SSLContext] = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rules = list(rules)
        self.registry_port = port
        self.tls = tls
        self._record, self._healed = folder / "exchanges", folder / "healed"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.host = f"localhost:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._pid = 0

    def add(self, *rules: Rule) -> None:
        """Before the first request."""
        if self._pid:
            raise RuntimeError("The proxy runs already.")
        self.rules.extend(rules)

    def start(self) -> None:
        self._record.write_text("")
        self._pid = os.fork()
        if not self._pid:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                _Server(self._socket, self.rules, self.registry_port, self.tls, self._record, self._healed).run()
            finally:
                os._exit(0)
        self._socket.close()

    def heal(self) -> None:
        """From here on nothing is broken any more."""
        self._healed.touch()

    def seen(self, method: str = "", path: str = "") -> List[Seen]:
        """The exchanges that match (like a rule; "" is every one), in their order, when all of them are through."""
        until = time.monotonic() + _PATIENCE + 1
        while True:
            lines = [json.loads(line) for line in self._record.read_text().splitlines() if line.endswith("}")]
            found: Dict[int, Seen] = {}
            for line in lines:
                number = line.pop("number")
                if number not in found:
                    found[number] = Seen(**line)
                else:
                    vars(found[number]).update(line)
            if all(item.end for item in found.values()) or time.monotonic() > until:
                break
            time.sleep(0.01)
        return [
            item for item in found.values() if re.fullmatch(method or ".*", item.method) and re.search(path, item.path)
        ]

    def broken(self) -> List[Seen]:
        return [item for item in self.seen() if item.broken]

    def resting(self) -> List[Rule]:
        """Rules that broke nothing: a test that has some shows less than it says."""
        used = {item.rule for item in self.seen()}
        return [rule for place, rule in enumerate(self.rules) if place not in used and not rule.may_rest]

    def __enter__(self) -> "FaultProxy":
        self.start()
        return self

    def __exit__(self, *details: Any) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


class _Server(ThreadingHTTPServer):
    """The process of a proxy."""

    daemon_threads = True

    def __init__(
        self,
        listening: socket.socket,
        rules: Sequence[Rule],
        registry_port: int,
        tls: Optional[ssl.SSLContext],
        record: Path,
        healed: Path,
    ) -> None:
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.registry_port, self.tls = registry_port, tls
        self.rules, self._counts = rules, [0] * len(rules)
        self._healed = healed
        self._parent = os.getppid()
        self._lock = threading.Lock()
        self._number = 0
        self._connections = 0
        self._file = record.open("a")

    def run(self) -> None:
        self.serve_forever(poll_interval=0.5)

    def service_actions(self) -> None:
        if os.getppid() != self._parent:
            os._exit(0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what this is for."""

    def choose(self, exchange: Exchange) -> int:
        """The place of the rule for an exchange, after it has been counted; -1 for none."""
        with self._lock:
            if self._healed.exists():
                return -1
            chosen = -1
            for place, rule in enumerate(self.rules):
                if rule.matches(exchange):
                    self._counts[place] += 1
                    if chosen < 0 and self._counts[place] in rule.numbers:
                        chosen = place
            return chosen

    def arrived(self, exchange: Exchange, rule: int) -> int:
        with self._lock:
            self._number += 1
            number, connections = self._number, self._connections
        head = {"method": exchange.method, "path": exchange.path, "headers": exchange.headers}
        self._write(dict(head, number=number, start=time.monotonic(), rule=rule, connections=connections))
        return number

    def connected(self, more: int) -> None:
        with self._lock:
            self._connections += more

    def ended(self, number: int, exchange: Exchange) -> None:
        done = {"status": exchange.status, "sent": exchange.sent, "received": exchange.received}
        self._write(dict(done, number=number, end=time.monotonic()))

    def _write(self, line: Dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.secure = self.server.tls is not None
        if self.secure:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.server.connected(1)
        super().setup()

    def finish(self) -> None:
        self.server.connected(-1)
        super().finish()

    def read_body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        content = self.rfile.read(size)
        self.rfile.readline()
        return content

    def _serve(self) -> None:
        exchange = Exchange(self, self.server.registry_port)
        rule = self.server.choose(exchange)
        number = self.server.arrived(exchange, rule)
        try:
            if rule >= 0:
                self.server.rules[rule].action(exchange)
            else:
                exchange.send(exchange.forward())
        finally:
            self.server.ended(number, exchange)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _serve

    def handle_expect_100(self) -> bool:
        return True

    def log_message(self, *arguments: Any) -> None:
        pass
