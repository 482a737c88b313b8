# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real registries for tests: distribution's `docker-registry` on a loopback port, each with its own folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .authority import Certificate
from .token_server import ISSUER, SERVICE, TokenServer

BINARY = "docker-registry"
_LISTENING = re.compile(r"listening on [^ \"]*?:(\d+)")
_ACCESS = re.compile(r'"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.[01]" (\d{3})')


@dataclass(frozen=True)
class RegistryOptions:
    """tls: server certificate. client_authority: PEM of the authority that client certificates must be from.

    accounts: user -> password (htpasswd). token_server: who gives tokens. read_only: refuses writes with 405.
    port: 0 for a free one.
    """

    tls: Optional[Certificate] = None
    client_authority: Optional[Path] = None
    accounts: Optional[Mapping[str, str]] = None
    token_server: Optional[TokenServer] = None
    read_only: bool = False
    binary: str = BINARY
    port: int = 0


class RunningRegistry:
    """A registry that runs. host: localhost:port, the name in its certificate."""

    def __init__(self, folder: Path, port: int, tls: bool) -> None:
        self.folder = folder
        self.port = port
        self.host = f"localhost:{port}"
        self.plain_http = not tls
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.storage = folder / "storage" / "docker" / "registry" / "v2"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def requests(self) -> List[Tuple[str, str, int]]:
        """Method, path with query, and status of every request, as the registry itself logged them."""
        return [(found[1], found[2], int(found[3])) for found in _ACCESS.finditer(self.log)]

    def uploads(self, repository: str = "**") -> List[Path]:
        """Upload sessions, of one repository or of all, that were neither finished nor cancelled.

        docker-registry 2.8 leaves the folder `hashstates` of cancelled ones, so that is not looked at.
        """
        return sorted(path.parent for path in self.storage.glob(f"repositories/{repository}/_uploads/*/startedat"))

    def blobs(self) -> Dict[str, Path]:
        """Digest to file of everything that is stored, manifests included."""
        found = self.storage.glob("blobs/*/*/*/data")
        return {f"{path.parent.parent.parent.name}:{path.parent.name}": path for path in found}


@contextmanager
def run_registry(folder: Path, options: RegistryOptions = RegistryOptions()) -> Iterator[RunningRegistry]:
    """Start a registry with its storage below `folder`, end it by its process id."""
    if not shutil.which(options.binary):
        raise RuntimeError(f"The tests need {options.binary}: apt-get install docker-registry apache2-utils openssl")
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "config.json"
    configuration.write_text(json.dumps(_configuration(folder, options)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [options.binary, "serve", str(configuration)], stdout=log, stderr=subprocess.STDOUT, cwd=str(folder)
        )
    try:
        yield RunningRegistry(folder, _port(process, folder / "log"), options.tls is not None)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: Any, log: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found:
            return int(found.group(1))
        time.sleep(0.02)
    raise RuntimeError(f"The registry does not start:\n{log.read_text(errors='replace')}")


def _configuration(folder: Path, options: RegistryOptions) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": options.read_only}},
        },
        "http": {"addr": f"127.0.0.1:{options.port}", "secret": "not a secret, a test"},
    }
    if options.tls:
        result["http"]["tls"] = {"certificate": str(options.tls.certificate), "key": str(options.tls.key)}
        if options.client_authority:
            result["http"]["tls"]["clientcas"] = [str(options.client_authority)]
    if options.accounts is not None:
        result["auth"] = {"htpasswd": {"realm": "test", "path": str(_htpasswd(folder, options.accounts))}}
    if options.token_server:
        server = options.token_server
        result["auth"] = {
            "token": {
                "realm": server.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(server.certificate),
            }
        }
    return result


def _htpasswd(folder: Path, accounts: Mapping[str, str]) -> Path:
    if not shutil.which("htpasswd"):
        raise RuntimeError("The tests need htpasswd: apt-get install apache2-utils")
    path = folder / "htpasswd"
    lines = [
        subprocess.run(["htpasswd", "-niBC", "4", user], input=password.encode(), stdout=subprocess.PIPE, check=True)
        .stdout.decode()
        .strip()
        for user, password in accounts.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
