# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flux's source-, kustomize- and helm-controller as processes of the machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .process import Process, answers

NAMESPACE = "flux-system"
_ARTIFACTS_PORT = 19090

# Each has ports of its own for its health and its metrics: the defaults are the same for all.
_PORTS = {
    "source-controller": (19440, 18080),
    "kustomize-controller": (19441, 18081),
    "helm-controller": (19442, 18082),
}


def flux_controllers(
    binaries: Path, folder: Path, logs: Path, kubeconfig: Path, prefix: str = "", ports: int = 0
) -> list[Process]:
    """The three controllers. They watch all namespaces.

    prefix: stands in front of the names of processes and logs. ports: what is added to the number of every port.
    """
    artifacts, scratch = folder / "artifacts", folder / "scratch"
    artifacts.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(exist_ok=True)
    address = f"127.0.0.1:{_ARTIFACTS_PORT + ports}"
    store = [f"--storage-path={artifacts}", f"--storage-addr={address}", f"--storage-adv-addr={address}"]
    retry = ["--http-retry=3", "--requeue-dependency=5s"]
    options = {
        "source-controller": store,
        "kustomize-controller": retry,
        "helm-controller": [*retry, "--graceful-shutdown-timeout=5s"],
    }
    environment = {"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": NAMESPACE, "TMPDIR": str(scratch)}
    controllers = []
    for name, (health, metrics) in _PORTS.items():
        addresses = [f"--health-addr=127.0.0.1:{health + ports}", f"--metrics-addr=127.0.0.1:{metrics + ports}"]
        command = [str(binaries / name), *addresses, "--events-addr=", *options[name]]
        ready = partial(answers, f"http://127.0.0.1:{health + ports}/readyz")
        controllers.append(Process(f"{prefix}{name}", command, logs / f"{prefix}{name}.log", ready, environment))
    return controllers
