# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flux's source-, kustomize- and helm-controller as processes of the machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .process import Process, answers

NAMESPACE = "flux-system"
_ARTIFACTS = "127.0.0.1:19090"

# Each has ports of its own for its health and its metrics: the defaults are the same for all.
_PORTS = {
    "source-controller": (19440, 18080),
    "kustomize-controller": (19441, 18081),
    "helm-controller": (19442, 18082),
}


def flux_controllers(binaries: Path, folder: Path, logs: Path, kubeconfig: Path) -> list[Process]:
    """The three controllers. They watch all namespaces."""
    artifacts, scratch = folder / "artifacts", folder / "scratch"
    artifacts.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(exist_ok=True)
    store = [f"--storage-path={artifacts}", f"--storage-addr={_ARTIFACTS}", f"--storage-adv-addr={_ARTIFACTS}"]
    retry = ["--http-retry=3", "--requeue-dependency=5s"]
    options = {
        "source-controller": store,
        "kustomize-controller": retry,
        "helm-controller": [*retry, "--graceful-shutdown-timeout=5s"],
    }
    environment = {"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": NAMESPACE, "TMPDIR": str(scratch)}
    controllers = []
    for name, (health, metrics) in _PORTS.items():
        addresses = [f"--health-addr=127.0.0.1:{health}", f"--metrics-addr=127.0.0.1:{metrics}", "--events-addr="]
        command = [str(binaries / name), *addresses, *options[name]]
        ready = partial(answers, f"http://127.0.0.1:{health}/readyz")
        controllers.append(Process(name, command, logs / f"{name}.log", ready, environment))
    return controllers
