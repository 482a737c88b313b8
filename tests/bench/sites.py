# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two registries of a run, with TLS and a login, and what they are asked."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import requests
from urllib3.exceptions import InsecureRequestWarning

from ..support.authority import Authority
from ..support.components import component, image_resource, put_component
from ..support.images import digest
from ..support.places import OWN_AGENT, RegistryPlace
from ..support.registry import RegistryOptions, RunningRegistry, run_registry
from .work import Content, Work, size_of

# We prepare and look at registries of our own: the certificates are there for those that are measured.
warnings.simplefilter("ignore", InsecureRequestWarning)

LOGIN = ("bench", "bench-password-1")
_ACCESS = re.compile(r'"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/[0-9.]+" (\d{3}) (\d+) "[^"]*" "([^"]*)"$')
UNAUTHORIZED = 401


@dataclass(frozen=True)
class Request:
    """A request as the registry logged it. size: bytes of the answer's body."""

    method: str
    path: str
    status: int
    size: int


@dataclass(frozen=True)
class Way:
    """How a client comes to the registry. counted: through a proxy that counts bytes. latency: ms more a round trip."""

    counted: bool = False
    latency: int = 0

    @property
    def direct(self) -> bool:
        return not self.counted and not self.latency


@dataclass
class Traffic:
    """What one side was asked. challenges: requests that were answered with 401, apart from the others.

    sent: bytes of answers' bodies. received, returned: bytes of connections to the registry and from it, TLS included,
    None where no proxy counted them.
    """

    requests: Dict[str, int] = field(default_factory=dict)
    challenges: int = 0
    sent: int = 0
    received: Optional[int] = None
    returned: Optional[int] = None

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    @property
    def writes(self) -> int:
        return sum(count for method, count in self.requests.items() if method not in ("GET", "HEAD"))


class Site:
    """A registry at one address for ever, which can be emptied, and be reached through a proxy."""

    def __init__(self, folder: Path, authority: Authority, binary: str, name: str) -> None:
        self.name = name
        self.port = _free_port()
        self.host = f"localhost:{self.port}"
        self.authority = authority.certificate
        self._folder = folder
        self._options = RegistryOptions(tls=authority.issue(), accounts=dict([LOGIN]), binary=binary)
        self._stack = ExitStack()
        self._counts: Optional[Path] = None
        self._start = 0
        self._bytes = (0, 0)
        self.registry: Optional[RunningRegistry] = None

    def start(self, way: Way = Way()) -> None:
        """Begin anew with what is stored."""
        self.stop()
        options = replace(self._options, port=self.port if way.direct else 0)
        self.registry = self._stack.enter_context(run_registry(self._folder, options))
        self._counts = None
        if not way.direct:
            self._counts = self._folder / "bytes"
            self._counts.write_bytes(bytes(16))
            self._stack.callback(_end, _proxy(self.port, self.registry.port, way.latency, self._counts))

    def stop(self) -> None:
        self._stack.close()
        self._stack = ExitStack()

    def empty(self) -> None:
        """Forget everything; it has to be started again."""
        self.stop()
        shutil.rmtree(self._folder / "storage", ignore_errors=True)

    def place(self) -> RegistryPlace:
        return RegistryPlace(self.registry, LOGIN, verify=False)

    def watch(self) -> None:
        """Count from here on."""
        self._settle()
        self._start = (self._folder / "log").stat().st_size
        self._bytes = self._counted()

    def asked(self) -> List[Request]:
        """The requests since `watch`, without those of RegistryPlace."""
        self._settle()
        with (self._folder / "log").open("rb") as log:
            log.seek(self._start)
            lines = log.read().decode("utf-8", "replace").splitlines()
        found = [_ACCESS.search(line) for line in lines]
        foreign = [item for item in found if item and item[5] != OWN_AGENT]
        return [Request(item[1], item[2], int(item[3]), int(item[4])) for item in foreign]

    def writes(self) -> int:
        """How many writes are in the log since `watch`, without waiting for it."""
        with (self._folder / "log").open("rb") as log:
            log.seek(self._start)
            text = log.read()
        return sum(text.count(b'"%s /v2/' % method) for method in (b"POST", b"PUT", b"PATCH"))

    def traffic(self) -> Traffic:
        """What was asked since `watch`."""
        asked = self.asked()
        requests_ = Counter(item.method for item in asked if item.status != UNAUTHORIZED)
        traffic = Traffic(dict(requests_), len(asked) - sum(requests_.values()), sum(item.size for item in asked))
        if self._counts:
            now = self._counted()
            traffic.received, traffic.returned = now[0] - self._bytes[0], now[1] - self._bytes[1]
        return traffic

    def _counted(self) -> Tuple[int, int]:
        return struct.unpack("<QQ", self._counts.read_bytes()) if self._counts else (0, 0)

    def _settle(self) -> None:
        """A request of our own, until it is in the log: all before it are then."""
        mark = f"/v2/?mark={time.monotonic_ns()}"
        url = f"https://localhost:{self.registry.port}{mark}"
        requests.get(url, timeout=30, verify=False, headers={"User-Agent": OWN_AGENT})
        deadline = time.monotonic() + 30
        while mark not in self._tail() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _tail(self) -> str:
        with (self._folder / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 16384))
            return log.read().decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _proxy(port: int, other: int, latency: int, counts: Path) -> Any:
    program = Path(__file__).with_name("proxy.py")
    command = [sys.executable, "-I", str(program), str(port), str(other), str(latency), str(counts)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    if process.stdout.readline() != b"ready\n":
        _end(process)
        raise RuntimeError("The proxy of the benchmark does not start.")
    return process


def _end(process: Any) -> None:
    process.terminate()
    process.wait()
    process.stdout.close()


class _Body:
    """Content as requests sends it: with a length, read in pieces."""

    def __init__(self, content: Content) -> None:
        self._length = size_of(content)
        self._blocks: Iterator[bytes] = iter([content]) if isinstance(content, bytes) else content.blocks()
        self._rest = b""

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            self._rest = next(self._blocks, b"")
            if not self._rest:
                return b""
        given, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return given


def put_work(site: Site, work: Work, prefix: str) -> None:
    """Store a component version below a prefix, and its images at the registry's own paths."""
    place = site.place()
    for image in work.images:
        for key, content in image.blobs.items():
            if not place.has_blob(image.path, key):
                place.put_blob(image.path, _Body(content), key)
        for kind, raw in image.manifests:
            place.put_manifest(image.path, digest(raw), kind, raw)
        place.put_manifest(image.path, image.tag, *image.manifests[-1])
    resources = [
        image_resource(f"image-{number}", f"{site.host}/{image.reference}", image)
        for number, image in enumerate(work.images)
    ]
    put_component(place, component(work.component, resources, work.version), prefix)


def missing(registry: RunningRegistry, work: Work) -> List[str]:
    """The digests of what the work consists of and the registry does not store."""
    return sorted({*work.blobs, *work.manifests} - set(registry.blobs()))
