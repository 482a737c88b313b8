# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ocm-controller as a process of the machine, when its binary is there, and the definitions of its objects."""

from __future__ import annotations

import base64
import os
import shutil
from functools import partial
from pathlib import Path

from .certificates import Authority, Pair
from .process import LabError, Process, answers

NAMESPACE = "ocm-system"
TLS_SECRET = "ocm-registry-tls-certs"
REGISTRY_PORT = 15000
_HEALTH = "127.0.0.1:19443"
_OWN_DEFINITIONS = Path(__file__).parent / "crds"


def find_binary() -> Path | None:
    """The binary named by OCM_CONTROLLER, or ocm-controller on the PATH, or None. Raises LabError."""
    named = os.environ.get("OCM_CONTROLLER")
    found = shutil.which(named or "ocm-controller")
    if named and not found:
        raise LabError(f"OCM_CONTROLLER names {named}, which is no program.")
    return Path(found).resolve() if found else None


def definitions() -> Path:
    """The folder of the CustomResourceDefinitions: the real ones where given, else our own small ones."""
    return Path(os.environ.get("OCM_CONTROLLER_CRDS") or _OWN_DEFINITIONS)


def registry_pair(authority: Authority) -> Pair:
    """The certificate of the registry that ocm-controller keeps its snapshots in."""
    return authority.issue("ocm-registry", ["localhost", "registry.ocm-system.svc.cluster.local", "IP:127.0.0.1"])


def tls_secret(authority: Authority, pair: Pair) -> dict[str, object]:
    """The Secret that ocm-controller reads the certificates of its registry from."""
    files = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.certificate}
    data = {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()}
    metadata = {"name": TLS_SECRET, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def controller(binary: Path, logs: Path, kubeconfig: Path) -> Process:
    options = [
        f"--kubeconfig={kubeconfig}",
        f"--oci-registry-addr=localhost:{REGISTRY_PORT}",
        f"--oci-registry-namespace={NAMESPACE}",
        f"--certificate-secret-name={TLS_SECRET}",
        "--metrics-bind-address=0",
        f"--health-probe-bind-address={_HEALTH}",
    ]
    ready = partial(answers, f"http://{_HEALTH}/readyz")
    return Process("ocm-controller", [str(binary), *options], logs / "ocm-controller.log", ready)
