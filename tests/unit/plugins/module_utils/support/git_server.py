# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Git server for tests: bare repositories behind Git's own http-backend on a loopback port, with a password or not."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.org",
    "GIT_COMMITTER_NAME": "Somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    command = ["git", "-C", str(folder)] + list(arguments)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, env=dict(os.environ, **ENVIRONMENT)).stdout.decode()


class BareRepository:
    """A repository as it lies on the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(path)], check=True)
        git(path, "config", "http.receivepack", "true")

    def commits(self, branch: str = "main") -> List[str]:
        """The subjects of all commits, newest first."""
        return git(self.path, "log", "--format=%s", branch).splitlines()

    def head(self, branch: str = "main") -> str:
        return git(self.path, "rev-parse", branch).strip()

    def branches(self) -> List[str]:
        return git(self.path, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()

    def files(self, branch: str = "main") -> Dict[str, str]:
        names = git(self.path, "ls-tree", "-r", "--name-only", branch).splitlines()
        return {name: git(self.path, "show", f"{branch}:{name}") for name in names}

    def commit(self, folder: Path, files: Dict[str, Optional[str]], branch: str = "main", subject: str = "By somebody else") -> None:
        """Push a commit, as somebody else would: files by path, None for one that goes."""
        if not folder.exists():
            subprocess.run(["git", "clone", "--quiet", str(self.path), str(folder)], check=True)
        git(folder, "fetch", "--quiet", "origin")
        if branch in self.branches():
            git(folder, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
        else:
            git(folder, "checkout", "--quiet", "-B", branch)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", subject)
        git(folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


class GitServer:
    """The server that runs. url: without a slash at the end. requests: "METHOD path status" of each."""

    def __init__(self, server: Any, scheme: str, root: Path) -> None:
        self.port = server.server_address[1]
        self.url = f"{scheme}://localhost:{self.port}"
        self.root = root
        self.requests: List[str] = server.seen

    def repository(self, name: str = "estate") -> BareRepository:
        return BareRepository(self.root / f"{name}.git")

    def url_of(self, repository: BareRepository) -> str:
        return f"{self.url}/{repository.path.name}"


@contextmanager
def run_git_server(root: Path, login: str = "", certificate: Any = None) -> Iterator[GitServer]:
    """login: user:password. certificate: for TLS (certificate and key files)."""
    root.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.root, server.login, server.seen = root, login, []
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate.certificate), str(certificate.key))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield GitServer(server, "https" if certificate else "http", root)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    """Hands requests to git http-backend (RFC 3875)."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def _serve(self) -> None:
        body = self._body()
        expected = "Basic " + base64.b64encode(self.server.login.encode()).decode()
        if self.server.login and self.headers.get("Authorization") != expected:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"no")
            return
        path, _mark, query = self.path.partition("?")
        environment = dict(
            os.environ,
            GIT_PROJECT_ROOT=str(self.server.root),
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO=path,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
            GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
            REMOTE_USER="test",
            REMOTE_ADDR="127.0.0.1",
        )
        output = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env=environment, check=False).stdout
        head, _blank, content = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self._answer(int(headers.pop("Status", "200").split()[0]), headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            found += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return found

    def _answer(self, status: int, headers: Dict[str, str], content: bytes) -> None:
        self.server.seen.append(f"{self.command} {self.path} {status}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
