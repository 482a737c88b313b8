# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The estate: what stands where, the order in which it comes up, and how it goes down again."""

from __future__ import annotations

import os
import secrets
import threading
import time
from pathlib import Path

from . import flux, namespaces, ocm_controller
from .certificates import Authority
from .control_plane import NODE, ControlPlane
from .git_server import REPOSITORY, git_server
from .git_ssh import USER, git_ssh_server
from .node import Node
from .parts import Parts, say
from .process import LabError, Process
from .registries import Account, registry
from .second import SITE as SECOND_SITE, SecondSite

PUBLIC, PRIVATE, GIT = ("public.test", 5000), ("private.test", 5001), ("git.test", 3000)
GIT_SSH_PORT = 3022


class Estate:
    """Registries, a Git server and a cluster in the namespaces of this process. All its files lie below one folder.

    A bare one has nothing in its cluster: neither Flux nor ocm-controller, nor the definitions of their objects.
    """

    def __init__(self, parts: Parts, folder: Path, cgroup: str, bare: bool = False) -> None:
        self.parts, self.folder, self.cgroup, self.bare = parts, folder, cgroup, bare
        self.logs, self.data = folder / "logs", folder / "data"
        self.push = Account("pusher", secrets.token_urlsafe(18))
        self.pull = Account("puller", secrets.token_urlsafe(18), pull_only=True)
        self.git = Account("gitops", secrets.token_urlsafe(18))
        self.controller = ocm_controller.find_binary()
        self.authority = Authority(self.data / "certificates")
        self.control_plane = ControlPlane(parts.binaries, self.data / "kubernetes", self.logs, self.authority)
        self.node = Node(parts.packages, parts.binaries, self.data / "node", self.logs)
        self.second = SecondSite(parts, self.data, self.logs, self.authority, cgroup)
        self._services: dict[str, Process] = {}
        self._lock = threading.RLock()

    def up(self) -> None:
        """Brings everything up. Raises LabError; what was started until then is ended by down()."""
        namespaces.add_hosts([host for host, _port in (PUBLIC, PRIVATE, GIT)])
        namespaces.trust(self.authority.certificate)
        self._start(self.control_plane.etcd(self.parts.packages / "usr/bin/etcd"))
        self._start(self.node.containerd())
        self._start_servers()
        self._start_cluster()
        if not self.bare:
            self._start_flux()
            self._start_ocm_controller()
        for process in self._services.values():
            process.wait()

    def switch_second(self, action: str) -> str:
        """Brings the second site up or down, with all its servers. Raises LabError."""
        with self._lock:
            own = [process for process in self._services.values() if self.second.has(process.name)]
            if action in ("stop", "restart"):
                for process in reversed(own):
                    self._stop(process)
            if action in ("start", "restart") and not own:
                self.second.up(self._start)
            elif action in ("start", "restart"):
                for process in own:
                    process.start()
                    process.wait()
        return f"{SECOND_SITE}: {action} done"

    def down(self) -> None:
        """Ends everything, in the opposite order of its start, and tells which process had ended before."""
        with self._lock:
            gone = [process for process in self._services.values() if process.died()]
            for process in reversed(self._services.values()):
                self._stop(process)
            for process in gone:
                say(f"{process.name} had ended by itself; its log: {process.log}")

    def act(self, action: str, name: str) -> str:
        """Starts, stops or restarts one server, or the second site, or lists all. Raises LabError."""
        if name == SECOND_SITE and action != "list":
            return self.switch_second(action)
        with self._lock:
            if action == "list":
                states = {name: "up" if process.running() else "down" for name, process in self._services.items()}
                return "\n".join(f"{each}: {state}" for each, state in states.items())
            process = self._services.get(name)
            if process is None:
                raise LabError(f"the estate has no '{name}', but {', '.join(self._services)}.")
            if action in ("stop", "restart"):
                process.stop()
            if action in ("start", "restart"):
                process.start()
                process.wait()
            return f"{name}: {action} done"

    def variables(self) -> dict[str, str]:
        """What a program needs to know of the estate, as environment variables."""
        git = f"http://{GIT[0]}:{GIT[1]}/{REPOSITORY}"
        return {
            "KUBECONFIG": str(self.control_plane.kubeconfigs["admin"]),
            "PATH": f"{self.parts.binaries}:{os.environ['PATH']}",
            "LAB_BINARIES": str(self.parts.binaries),
            "LAB_CA": str(self.authority.certificate),
            "LAB_CERTIFICATES": str(self.authority.folder),
            "LAB_FLUX_DEFINITIONS": str(self.parts.definitions),
            "LAB_FOLDER": str(self.folder),
            "LAB_GIT_FOLDER": str(self.data / "git" / REPOSITORY),
            "LAB_GIT_PASSWORD": self.git.password,
            "LAB_GIT_SSH_KEYS": str(self.data / "git-ssh"),
            "LAB_GIT_SSH_URL": f"ssh://{USER}@{GIT[0]}:{GIT_SSH_PORT}/{REPOSITORY}",
            "LAB_GIT_URL": git,
            "LAB_GIT_USER": self.git.user,
            "LAB_LOGS": str(self.logs),
            "LAB_NODE": NODE,
            "LAB_OCM_CONTROLLER": str(self.controller or ""),
            "LAB_OCM_CONTROLLER_DEFINITIONS": str(ocm_controller.definitions().resolve()),
            "LAB_PRIVATE": ":".join(map(str, PRIVATE)),
            "LAB_PRIVATE_FOLDER": str(self.data / "private"),
            "LAB_PUBLIC": ":".join(map(str, PUBLIC)),
            "LAB_PULL_PASSWORD": self.pull.password,
            "LAB_PULL_USER": self.pull.user,
            "LAB_PUSH_PASSWORD": self.push.password,
            "LAB_PUSH_USER": self.push.user,
            **self.second.variables(),
        }

    def _start(self, process: Process) -> Process:
        with self._lock:
            self._services[process.name] = process
            process.start()
        return process

    def _stop(self, process: Process) -> None:
        if not process.stop():
            say(f"{process.name} did not end in time and was killed")
        node = {"kubelet": self.node, self.second.kubelet_name: self.second.node}.get(process.name)
        if node and self._services[process.name.replace("kubelet", "containerd")].running():
            _stop_containers(node)

    def _start_servers(self) -> None:
        binary = self.parts.binaries / "registry"
        both = [self.push, self.pull]
        for (host, port), accounts in ((PUBLIC, []), (PRIVATE, both)):
            name = host.partition(".")[0]
            pair = self.authority.issue(name, [host])
            self._start(registry(binary, name, port, pair, self.data / name, self.logs / f"{name}.log", accounts))
        self.authority.issue("expired", [PRIVATE[0]], expired=True)
        self._start(git_server(self.data / "git", GIT[1], self.git, self.logs / "git.log"))
        keys, log = self.data / "git-ssh", self.logs / "git-ssh.log"
        self._start(git_ssh_server(self.data / "git", GIT[0], GIT_SSH_PORT, keys, log))

    def _start_cluster(self) -> None:
        plane = self.control_plane
        api = plane.api_server()
        self._services["etcd"].wait()
        self._start(api).wait()
        self._start(plane.controller_manager())
        self._start(plane.scheduler())
        self._services["containerd"].wait()
        self.node.import_pause()
        self._start(self.node.kubelet(plane, self.cgroup))

    def _start_flux(self) -> None:
        plane = self.control_plane
        names = (flux.NAMESPACE, ocm_controller.NAMESPACE)
        plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
        plane.apply_definitions(self.parts.definitions)
        plane.apply_definitions(ocm_controller.definitions())
        admin = plane.kubeconfigs["admin"]
        for controller in flux.flux_controllers(self.parts.binaries, self.data / "flux", self.logs, admin):
            self._start(controller)

    def _start_ocm_controller(self) -> None:
        if self.controller is None:
            say("no ocm-controller on the PATH, nor named by OCM_CONTROLLER: its cases are left out.")
            return
        pair = ocm_controller.registry_pair(self.authority)
        binary, log = self.parts.binaries / "registry", self.logs / "ocm-registry.log"
        folder, port = self.data / "ocm-registry", ocm_controller.REGISTRY_PORT
        self._start(registry(binary, "ocm-registry", port, pair, folder, log)).wait()
        self.control_plane.apply([ocm_controller.tls_secret(self.authority, pair)])
        admin = self.control_plane.kubeconfigs["admin"]
        self._start(ocm_controller.controller(self.controller, self.logs, admin))


def _stop_containers(node: Node) -> None:
    try:
        node.stop_containers()
    except LabError as error:
        say(f"the containers could not be ended one by one ({error}); they end with their namespace.")


def seconds_since(started: float) -> str:
    """The time that has passed, for a line that a person reads."""
    return f"{time.monotonic() - started:.0f} s"
