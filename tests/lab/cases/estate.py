# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The estate as the cases see it: its addresses and accounts, its Git repositories, its cluster, what its servers saw."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import git_server, service

_ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d+) \S+ "[^"]*" "(?P<agent>[^"]*)"')
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_CHANGING_VERBS = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Account:
    user: str
    password: str

    def at(self, host: str) -> dict[str, str]:
        """An entry of the option registries."""
        return {"host": host, "username": self.user, "password": self.password}


class Lab:
    """What the variables of the lab name. All of it may be used, switched off and broken: it lives for the cases alone."""

    def __init__(self) -> None:
        named = os.environ
        self.public, self.private = named["LAB_PUBLIC"], named["LAB_PRIVATE"]
        self.push = Account(named["LAB_PUSH_USER"], named["LAB_PUSH_PASSWORD"])
        self.pull = Account(named["LAB_PULL_USER"], named["LAB_PULL_PASSWORD"])
        self.git = Account(named["LAB_GIT_USER"], named["LAB_GIT_PASSWORD"])
        self.second = named["LAB_SECOND"]
        self.second_push = Account(named["LAB_SECOND_PUSH_USER"], named["LAB_SECOND_PUSH_PASSWORD"])
        self.second_pull = Account(named["LAB_SECOND_PULL_USER"], named["LAB_SECOND_PULL_PASSWORD"])
        self.git_url, self.git_folder = named["LAB_GIT_URL"].rpartition("/")[0], Path(named["LAB_GIT_FOLDER"]).parent
        self.git_ssh_url = named["LAB_GIT_SSH_URL"].rpartition("/")[0]
        self.git_ssh_keys = Path(named["LAB_GIT_SSH_KEYS"])
        self.logs, self.binaries = Path(named["LAB_LOGS"]), Path(named["LAB_BINARIES"])
        self.authority, self.certificates = Path(named["LAB_CA"]), Path(named["LAB_CERTIFICATES"])
        self.private_folder = Path(named["LAB_PRIVATE_FOLDER"])
        self.ocm_controller = bool(named["LAB_OCM_CONTROLLER"])

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Switches a server off, when nobody keeps it on, and on again at the end."""
        with _lock(name, fcntl.LOCK_EX):
            service.ask("stop", name)
            try:
                yield
            finally:
                service.ask("start", name)

    @staticmethod
    @contextmanager
    def with_server(name: str) -> Iterator[None]:
        """Keeps a server on that another worker may want to switch off."""
        with _lock(name, fcntl.LOCK_SH):
            yield

    @staticmethod
    def switch(action: str, name: str) -> None:
        """Starts, stops or restarts one server; starting one that runs does nothing."""
        service.ask(action, name)

    def log(self, name: str) -> "Log":
        """What the server writes into its log from now on."""
        return Log(self.logs / f"{name}.log")


class Log:
    """The lines that a file gets after this was made."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.start = file.stat().st_size if file.exists() else 0

    def lines(self) -> list[str]:
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            return stream.read().decode(errors="replace").splitlines()

    def requests(self) -> list[str]:
        """METHOD PATH of what the collection asked of a registry, without that of kubelets and controllers."""
        found = filter(None, map(_ACCESS.search, self.lines()))
        return [f"{each['method']} {each['path']}" for each in found if each["agent"].startswith("ocm.airgap")]

    def writes(self) -> list[str]:
        """The requests that may have changed something."""
        return [each for each in self.requests() if each.split()[0] in _WRITES]

    def changes(self) -> list[str]:
        """VERB PATH of the changes that Ansible's modules made, by the API server's audit log.

        Dry runs are none, and the Lease that a run has is none of what it works on.
        """
        events = [json.loads(line) for line in self.lines() if line.startswith("{")]
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in events
            if event["verb"] in _CHANGING_VERBS
            and event.get("userAgent", "").startswith("OpenAPI-Generator")
            and "dryRun=All" not in event["requestURI"]
            and "/leases" not in event["requestURI"]
        ]


class Cluster:
    """The cluster, through kubectl, or another one."""

    def __init__(self, kubeconfig: str = "") -> None:
        self.kubeconfig = kubeconfig or os.environ["KUBECONFIG"]

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=180)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """One object, or an empty mapping."""
        where = [f"--namespace={namespace}"] if namespace else []
        text = self.kubectl("get", kind, name, *where, "--ignore-not-found", "--output=json")
        found: dict[str, Any] = json.loads(text) if text.strip() else {}
        return found

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[dict[str, Any]]:
        where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        found = self.kubectl("get", kind, *where, f"--selector={selector}", "--output=json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=_stream(objects))

    def set_status(self, kind: str, name: str, namespace: str, status: dict[str, Any]) -> None:
        """Gives an object the status that its controller would give it."""
        patch = json.dumps({"status": status})
        where = [f"--namespace={namespace}", "--subresource=status", "--type=merge"]
        self.kubectl("patch", kind, name, *where, f"--patch={patch}")

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        """Those that nobody is ending."""
        return [pod for pod in self.list("pods", namespace) if "deletionTimestamp" not in pod["metadata"]]

    def accounts(self, namespace: str, pull_secret: str) -> dict[str, str]:
        """Whose account a pull Secret holds for each registry."""
        secret = self.get("secret", pull_secret, namespace)
        config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        return {host: entry["username"] for host, entry in config["auths"].items()}

    def images(self, namespace: str) -> list[str]:
        """The images of the running pods' containers: name@digest, the pod's name for it and the digest that runs.

        The name in a container's status may be that of another site: the node knows one image by several.
        """
        pods = [pod for pod in self.pods(namespace) if pod["status"]["phase"] == "Running"]
        return sorted(image for pod in pods for image in _images_of(pod))

    def waiting(self, namespace: str) -> set[str]:
        """Why the containers of the pods wait."""
        statuses = [status for pod in self.pods(namespace) for status in pod["status"].get("containerStatuses", [])]
        return {status["state"]["waiting"]["reason"] for status in statuses if "waiting" in status["state"]}


class GitRepository:
    """One repository of the Git server, and somebody's clone of it."""

    def __init__(self, lab: Lab, folder: Path, name: str) -> None:
        self.url, self.bare, self.clone = f"{lab.git_url}/{name}.git", lab.git_folder / f"{name}.git", folder / name
        git_server.make_repository(self.bare)

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@git.test"]
        command = ["git", "-C", str(folder or self.bare), *author, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def head(self, branch: str = "main") -> str:
        return self.git("rev-parse", f"refs/heads/{branch}").strip()

    def commits(self, branch: str = "main") -> int:
        return int(self.git("rev-list", "--count", f"refs/heads/{branch}"))

    def files(self, branch: str = "main") -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", branch).splitlines()

    def read(self, path: str, branch: str = "main") -> str:
        return self.git("show", f"{branch}:{path}")

    def commit(self, files: dict[str, str], message: str = "By hand") -> str:
        """Somebody writes these files and pushes them (through the disk: the account is not theirs)."""
        shutil.rmtree(self.clone, ignore_errors=True)
        self.git("clone", "--quiet", str(self.bare), str(self.clone), folder=self.bare.parent)
        for path, content in files.items():
            file = self.clone / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        self.git("add", "--all", folder=self.clone)
        self.git("commit", "--quiet", "--message", message, folder=self.clone)
        self.git("push", "--quiet", "origin", "main", folder=self.clone)
        return self.head()

    def everything(self) -> bytes:
        """The content of every object."""
        command = ["git", "-C", str(self.bare), "cat-file", "--batch", "--batch-all-objects"]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@contextmanager
def _lock(name: str, how: int) -> Iterator[None]:
    with service.SOCKET.with_name(f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, how)
        yield


def until(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")
        time.sleep(0.5)
    return answer


def _images_of(pod: dict[str, Any]) -> list[str]:
    digests = {status["name"]: status["imageID"].rpartition("@")[2] for status in pod["status"]["containerStatuses"]}
    stated = {container["name"]: container["image"].partition("@")[0] for container in pod["spec"]["containers"]}
    return [f"{re.sub(':[^:/]+$', '', image)}@{digests[name]}" for name, image in stated.items()]


def pull_secret(name: str, namespace: str, host: str, account: Account) -> dict[str, Any]:
    """A docker-registry Secret, as kubectl makes it."""
    login = base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
    entry = {"username": account.user, "password": account.password, "auth": login}
    value = base64.b64encode(json.dumps({"auths": {host: entry}}).encode()).decode()
    metadata = {"name": name, "namespace": namespace}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
    return {**kind, "metadata": metadata, "data": {".dockerconfigjson": value}}


def _stream(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
