# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tests put OCM content and look at it, without the code under test: a registry over HTTP, and a CTF folder."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import requests

from .images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Artifact, digest
from .registry import RunningRegistry

ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))}
OWN_AGENT = "ocm.airgap tests"
_ACCESS = re.compile(r'"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.[01]" (\d{3}) \d+ "[^"]*" "([^"]*)"$')
Request = Tuple[str, str, int]


class RegistryPlace:
    """A registry as a plain HTTP client sees it."""

    def __init__(self, registry: RunningRegistry, login: Optional[Tuple[str, str]] = None, verify: Any = True) -> None:
        self.registry = registry
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth, self._session.verify = login, verify
        self._session.headers["User-Agent"] = OWN_AGENT

    @property
    def host(self) -> str:
        return self.registry.host

    def repository(self, prefix: str = "") -> str:
        """The text that modules take as a repository."""
        scheme = "http://" if self.registry.plain_http else ""
        return f"{scheme}{self.host}/{prefix}".rstrip("/")

    def image(self, name: str) -> str:
        return f"{self.repository()}/{name}"

    def _send(self, method: str, path: str, expected: Tuple[int, ...], **options: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.registry.url}/v2/{path}"
        answer = self._session.request(method, url, timeout=60, **options)
        if answer.status_code not in expected:
            raise AssertionError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer

    def put_blob(self, path: str, content: Any, key: str = "") -> None:
        """content: bytes, or with the digest in `key` anything with a length that can be read."""
        answer = self._send("POST", f"{path}/blobs/uploads/", (202,))
        headers = {"Content-Type": "application/octet-stream"}
        location = answer.headers["Location"]
        mark = "&" if "?" in location else "?"
        self._send("PUT", f"{location}{mark}digest={key or digest(content)}", (201,), data=content, headers=headers)

    def put_manifest(self, path: str, reference: str, kind: str, raw: bytes) -> None:
        self._send("PUT", f"{path}/manifests/{reference}", (201,), data=raw, headers={"Content-Type": kind})

    def put(self, path: str, artifact: Artifact, tag: str = "") -> str:
        """Store an artifact. Returns the reference that an access has: tag, or digest when there is none."""
        for content in artifact.blobs.values():
            self.put_blob(path, content)
        for kind, raw in artifact.manifests:
            self.put_manifest(path, digest(raw), kind, raw)
        if tag:
            self.put_manifest(path, tag, artifact.media_type, artifact.raw)
        return f"{self.image(path)}:{tag}" if tag else f"{self.image(path)}@{artifact.digest}"

    def manifest(self, path: str, reference: str) -> Tuple[str, bytes]:
        answer = self._send("GET", f"{path}/manifests/{reference}", (200,), headers=ACCEPT)
        return answer.headers["Content-Type"], answer.content

    def digest_of(self, path: str, reference: str) -> str:
        """What a tag or digest stands for, "" when it is not there."""
        answer = self._send("HEAD", f"{path}/manifests/{reference}", (200, 404), headers=ACCEPT)
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else ""

    def blob(self, path: str, key: str) -> bytes:
        return self._send("GET", f"{path}/blobs/{key}", (200,)).content

    def has_blob(self, path: str, key: str) -> bool:
        return self._send("HEAD", f"{path}/blobs/{key}", (200, 404)).status_code == 200

    def tags(self, path: str) -> List[str]:
        answer = self._send("GET", f"{path}/tags/list", (200, 404))
        return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def delete_manifest(self, path: str, key: str) -> None:
        self._send("DELETE", f"{path}/manifests/{key}", (202,))

    def repositories(self) -> List[str]:
        return self._send("GET", "_catalog?n=1000", (200,)).json()["repositories"]

    def state(self) -> Dict[str, Dict[str, str]]:
        """Repository to tag to digest: all that can be seen."""
        return {path: {tag: self.digest_of(path, tag) for tag in self.tags(path)} for path in self.repositories()}

    def whole(self, path: str, artifact: Artifact) -> bool:
        """Is every byte of the artifact there?"""
        manifests = all(self.manifest(path, digest(raw)) == (kind, raw) for kind, raw in artifact.manifests)
        return manifests and all(self.blob(path, key) == content for key, content in artifact.blobs.items())


class RequestLog:
    """The requests that a registry logs from here on, without those of RegistryPlace."""

    def __init__(self, registry: RunningRegistry) -> None:
        self._registry = registry
        self._start = 0
        self.restart()

    def restart(self) -> None:
        self._start = len(self._settled())

    def _settled(self) -> List[Request]:
        """The log's requests, after one more of our own has been logged: those before it are."""
        mark = f"/v2/?mark={time.monotonic_ns()}"
        requests.get(f"{self._registry.url}{mark}", timeout=30, verify=False, headers={"User-Agent": OWN_AGENT})
        while mark not in self._registry.log:
            time.sleep(0.01)
        found = [_ACCESS.search(line) for line in self._registry.log.splitlines()]
        return [(item[1], item[2], int(item[3])) for item in found if item and item[4] != OWN_AGENT]

    def requests(self) -> List[Request]:
        """Method, path with query, and status."""
        return self._settled()[self._start :]

    def writes(self) -> List[Request]:
        return [item for item in self.requests() if item[0] not in ("GET", "HEAD")]

    def blob_reads(self) -> List[str]:
        """The digests of blobs that were read."""
        return [
            path.rpartition("/")[2]
            for method, path, _status in self.requests()
            if method == "GET" and "/blobs/" in path
        ]

    def blob_uploads(self) -> List[str]:
        """The digests of blobs that arrived."""
        return [
            path.rpartition("digest=")[2].partition("&")[0].replace("%3A", ":")
            for method, path, status in self.requests()
            if method == "PUT" and "/blobs/uploads/" in path and status == 201
        ]


class CtfPlace:
    """A CTF in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        if not self._index.exists():
            self._index.write_text('{"schemaVersion":1,"artifacts":[]}')

    @property
    def _index(self) -> Path:
        return self.folder / "artifact-index.json"

    def repository(self, _prefix: str = "") -> str:
        return str(self.folder)

    def put_blob(self, _path: str, content: bytes) -> None:
        self.blob_path(digest(content)).write_bytes(content)

    def put_manifest(self, path: str, reference: str, kind: str, raw: bytes) -> None:
        self.put_blob(path, raw)
        content = json.loads(self._index.read_text())
        entry = {"repository": path, "tag": reference, "digest": digest(raw), "mediaType": kind}
        others = [item for item in content["artifacts"] if (item["repository"], item.get("tag")) != (path, reference)]
        self._index.write_text(json.dumps(dict(content, artifacts=[*others, entry])))

    def put(self, path: str, artifact: Artifact, tag: str = "") -> str:
        for content in artifact.blobs.values():
            self.put_blob(path, content)
        for _kind, raw in artifact.manifests:
            self.put_blob(path, raw)
        self.put_manifest(path, tag, artifact.media_type, artifact.raw)
        return f"{path}:{tag}"

    def blob_path(self, key: str) -> Path:
        return self.folder / "blobs" / key.replace(":", ".")

    def blob(self, _path: str, key: str) -> bytes:
        return self.blob_path(key).read_bytes()

    def manifest(self, path: str, reference: str) -> Tuple[str, bytes]:
        listed = [item for item in self.entries() if item["repository"] == path]
        entry = next(item for item in listed if reference in (item.get("tag"), item["digest"]))
        return entry.get("mediaType", OCI_MANIFEST), self.blob(path, entry["digest"])

    def entries(self) -> List[Mapping[str, str]]:
        return json.loads(self._index.read_text())["artifacts"]
