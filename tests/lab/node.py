# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node: containerd and a kubelet, so that pods really pull and run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import yaml

from .control_plane import FIRST, ControlPlane, Place
from .images import write_archive
from .namespaces import BRIDGE, NODE_ADDRESS, NODE_NETWORK
from .process import LabError, Process, run

PAUSE = "lab.test/pause:1"


class Node:
    """One node. Debian's programs (containerd, runc, CNI plugins) lie below the folder of unpacked packages."""

    def __init__(self, packages: Path, binaries: Path, folder: Path, logs: Path, place: Place = FIRST) -> None:
        self.packages, self.binaries, self.folder, self.logs, self.place = packages, binaries, folder, logs, place
        self._run = f"/run/{place.prefix}containerd"
        self._socket = f"{self._run}/containerd.sock"
        folder.mkdir(parents=True, exist_ok=True)

    def containerd(self) -> Process:
        file = self.folder / "containerd.toml"
        file.write_text(self._containerd_configuration(), encoding="utf-8")
        self._write_network()
        command = [str(self.packages / "usr/bin/containerd"), "--config", str(file)]
        search = f"{self.packages / 'usr/bin'}:{self.packages / 'usr/sbin'}:{os.environ['PATH']}"
        name = f"{self.place.prefix}containerd"
        return Process(name, command, self.logs / f"{name}.log", self.containerd_ready, {"PATH": search})

    def containerd_ready(self) -> bool:
        try:
            self._ctr("version")
        except LabError:
            return False
        return True

    def import_pause(self) -> None:
        """Puts the image that every pod needs on the node: it depends on no registry."""
        archive = self.folder / "pause.tar"
        write_archive(archive, PAUSE, [self.binaries / "pause"])
        self._ctr("images", "import", str(archive))

    def kubelet(self, plane: ControlPlane, cgroup: str) -> Process:
        file = self.folder / "kubelet.yaml"
        configuration = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "x509": {"clientCAFile": str(plane.authority.certificate)},
                "anonymous": {"enabled": False},
            },
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": self.place.kubelet_health_port,
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(self.logs / f"{self.place.prefix}pods"),
            "port": self.place.kubelet_port,
            "resolvConf": "",
            "volumePluginDir": str(self.folder / "volume-plugins"),
        }
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        options = [
            f"--config={file}",
            f"--kubeconfig={plane.kubeconfigs['kubelet']}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet-certificates'}",
            f"--hostname-override={self.place.node}",
            f"--node-ip={NODE_ADDRESS}",
        ]
        name = f"{self.place.prefix}kubelet"
        return Process(name, [str(self.binaries / "kubelet"), *options], self.logs / f"{name}.log", plane.node_ready)

    def stop_containers(self) -> None:
        """Ends every container by its own id; to be called when the kubelet cannot start it again."""
        tasks = [name for name in self._ctr("tasks", "list", "--quiet").split() if name]
        for task in tasks:
            run_quietly(self._command("tasks", "kill", "--signal", "SIGKILL", task))
        end = time.monotonic() + 10
        while tasks and time.monotonic() < end:
            for task in tasks:
                run_quietly(self._command("tasks", "delete", task))
            tasks = [name for name in self._ctr("tasks", "list", "--quiet").split() if name]

    def _ctr(self, *arguments: str) -> str:
        return run(self._command(*arguments))

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.packages / "usr/bin/ctr"), "--address", self._socket, "--namespace", "k8s.io", *arguments]

    def _containerd_configuration(self) -> str:
        # Root of a small virtual machine may lack CAP_SYS_RESOURCE: no sandbox would start without the restriction.
        return f"""version = 2
root = "{self.folder}/containerd"
state = "{self._run}"
[grpc]
address = "{self._socket}"
[debug]
address = "{self._run}/debug.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{self.packages}/usr/lib/cni"
conf_dir = "{self.folder}/cni"
"""

    def _write_network(self) -> None:
        pods = {"subnet": NODE_NETWORK, "gateway": NODE_ADDRESS}
        address = {"type": "host-local", "dataDir": "/run/cni", "ranges": [[pods]]}
        bridge = {"type": "bridge", "bridge": BRIDGE, "isDefaultGateway": True, "ipam": address}
        configuration = {"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge]}
        (self.folder / "cni").mkdir(exist_ok=True)
        (self.folder / "cni" / "10-lab.conflist").write_text(json.dumps(configuration), encoding="utf-8")


def run_quietly(command: list[str]) -> None:
    """Runs a command whose failure says only that its work was done already."""
    try:
        run(command)
    except LabError:
        pass
