# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Git server over HTTP with a password: git's own http-backend behind a small server.

Run as a program with the folder of the bare repositories and a port. The account comes from the environment.
"""

from __future__ import annotations

import base64
import hmac
import os
import subprocess
import sys
from email.parser import BytesParser
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .process import Process, listening, run
from .registries import Account

REPOSITORY = "estate.git"


def git_server(folder: Path, port: int, account: Account, log: Path) -> Process:
    """The server of all repositories in the folder, with a first one."""
    make_repository(folder / REPOSITORY)
    secrets = {"LAB_GIT_USER": account.user, "LAB_GIT_PASSWORD": account.password}
    source = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", __name__, str(folder), str(port)]
    return Process("git", command, log, partial(listening, port), {**secrets, **source})


def make_repository(folder: Path) -> None:
    """A bare repository that may be pushed to over HTTP, with a first, empty commit on the branch main."""
    run(["git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(folder)])
    run(["git", "-C", str(folder), "config", "http.receivepack", "true"])
    author = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _PERSON.items()}
    tree = run(["git", "-C", str(folder), "mktree"], "").strip()
    commit = run(["git", "-C", str(folder), "commit-tree", "-m", "Begin", tree], environment=author).strip()
    run(["git", "-C", str(folder), "update-ref", "refs/heads/main", commit])


_PERSON = {"NAME": "lab", "EMAIL": "lab@git.test"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: str
    authorization: str

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        self._answer()

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), self.authorization.encode()):
            self._send(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="git"'}, b"who are you?\n")
            return
        path, _mark, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": "lab",
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        backend = ["git", "http-backend"]
        result = subprocess.run(backend, input=body, stdout=subprocess.PIPE, env=environment, check=False)
        head, _blank, content = result.stdout.partition(b"\r\n\r\n")
        headers = dict(BytesParser().parsebytes(head + b"\r\n\r\n").items())
        status = int(headers.pop("Status", "200").split()[0])
        self._send(HTTPStatus(status), headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, status: HTTPStatus, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _serve(folder: str, port: int) -> None:
    account = f"{os.environ.pop('LAB_GIT_USER')}:{os.environ.pop('LAB_GIT_PASSWORD')}"
    _Handler.folder = folder
    _Handler.authorization = "Basic " + base64.b64encode(account.encode()).decode()
    ThreadingHTTPServer(("", port), _Handler).serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
