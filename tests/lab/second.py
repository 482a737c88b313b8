# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second site of the estate: a cluster with a node and Flux, and a private registry of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from . import flux, namespaces
from .certificates import Authority
from .cgroups import add_cgroup
from .control_plane import SECOND, ControlPlane
from .node import Node
from .parts import Parts
from .process import Process
from .registries import Account, registry

NAME = "second"
SITE = "second-site"  # all of it, for lab service; the registry alone is called by the name
REGISTRY = ("second.test", 5002)
_FLUX_PORTS = 1000


class SecondSite:
    """It stands beside the first one, on the same etcd. Nothing of it runs until it is brought up."""

    def __init__(self, parts: Parts, data: Path, logs: Path, authority: Authority, cgroup: str) -> None:
        self.parts, self.data, self.logs, self.authority, self.cgroup = parts, data / NAME, logs, authority, cgroup
        self.push = Account("second-pusher", secrets.token_urlsafe(18))
        self.pull = Account("second-puller", secrets.token_urlsafe(18), pull_only=True)
        self.plane = ControlPlane(parts.binaries, self.data / "kubernetes", logs, authority, SECOND)
        self.node = Node(parts.packages, parts.binaries, self.data / "node", logs, SECOND)

    @property
    def kubelet_name(self) -> str:
        return f"{SECOND.prefix}kubelet"

    @staticmethod
    def has(name: str) -> bool:
        """Whether a process of this name is one of the site's."""
        return name == NAME or name.startswith(SECOND.prefix)

    def up(self, start: Callable[[Process], Process]) -> None:
        """Brings it up, each process by start(), and waits until all serve. Raises LabError."""
        namespaces.add_hosts([REGISTRY[0]])
        begun = [start(self._registry()), start(self.node.containerd())]
        start(self.plane.api_server()).wait()
        begun += [start(self.plane.controller_manager()), start(self.plane.scheduler())]
        begun[1].wait()
        self.node.import_pause()
        begun.append(start(self.node.kubelet(self.plane, add_cgroup(self.cgroup, NAME))))
        for process in begun + self._start_flux(start):
            process.wait()

    def variables(self) -> dict[str, str]:
        """What a program needs to know of it, as environment variables."""
        return {
            "LAB_SECOND": ":".join(map(str, REGISTRY)),
            "LAB_SECOND_KUBECONFIG": str(self.plane.kubeconfigs["admin"]),
            "LAB_SECOND_PULL_PASSWORD": self.pull.password,
            "LAB_SECOND_PULL_USER": self.pull.user,
            "LAB_SECOND_PUSH_PASSWORD": self.push.password,
            "LAB_SECOND_PUSH_USER": self.push.user,
        }

    def _registry(self) -> Process:
        host, port = REGISTRY
        pair = self.authority.issue(NAME, [host])
        binary, log = self.parts.binaries / "registry", self.logs / f"{NAME}.log"
        return registry(binary, NAME, port, pair, self.data / "registry", log, [self.push, self.pull])

    def _start_flux(self, start: Callable[[Process], Process]) -> list[Process]:
        self.plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": flux.NAMESPACE}}])
        self.plane.apply_definitions(self.parts.definitions)
        admin, folder = self.plane.kubeconfigs["admin"], self.data / "flux"
        found = flux.flux_controllers(self.parts.binaries, folder, self.logs, admin, SECOND.prefix, _FLUX_PORTS)
        return [start(process) for process in found]
