# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, and a kubeconfig for each client of them."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from .certificates import Authority
from .namespaces import API_SERVICE, NODE_ADDRESS
from .process import LabError, Process, answers, listening, run

API_PORT = 443  # that of its Service
NODE = "lab-node"
_SERVICE_NETWORK = "10.96.0.0/16"
_ETCD_PORT = 2379


@dataclass(frozen=True)
class Place:
    """What clusters on one machine do not share: ports, the keys in etcd, names of processes and logs (by prefix)."""

    prefix: str = ""
    node: str = NODE
    etcd_keys: str = "/registry"
    api_port: int = API_PORT
    controllers_port: int = 10257
    scheduler_port: int = 10259
    kubelet_port: int = 10250
    kubelet_health_port: int = 10248

    @property
    def clients(self) -> dict[str, tuple[str, str]]:
        """The clients, each with its user and group."""
        return {
            "admin": ("admin", "system:masters"),
            "controller-manager": ("system:kube-controller-manager", ""),
            "scheduler": ("system:kube-scheduler", ""),
            "kubelet": (f"system:node:{self.node}", "system:nodes"),
        }


FIRST = Place()
SECOND = Place("second-", "second-node", "/second", 6443, 11257, 11259, 11250, 11248)


class ControlPlane:
    """The control plane of a cluster with one node. Its programs are found in the folder of binaries."""

    def __init__(self, binaries: Path, folder: Path, logs: Path, authority: Authority, place: Place = FIRST) -> None:
        self.binaries, self.folder, self.logs, self.authority, self.place = binaries, folder, logs, authority, place
        folder.mkdir(parents=True, exist_ok=True)
        tokens = {name: secrets.token_hex(16) for name in place.clients}
        self.kubeconfigs = {name: self._write_kubeconfig(name, token) for name, token in tokens.items()}
        self._tokens = self._private_file("tokens.csv")
        lines = [f'{tokens[name]},{user},{user},"{group}"\n' for name, (user, group) in place.clients.items()]
        self._tokens.write_text("".join(lines), encoding="utf-8")

    def etcd(self, binary: Path) -> Process:
        here = f"http://127.0.0.1:{_ETCD_PORT}"
        data = self.folder / "etcd"
        options = [f"--data-dir={data}", f"--listen-client-urls={here}", f"--advertise-client-urls={here}"]
        return Process("etcd", [str(binary), *options], self.logs / "etcd.log", partial(listening, _ETCD_PORT))

    def api_server(self) -> Process:
        service_key, service_public = self.folder / "service-account.key", self.folder / "service-account.pub"
        # An RSA key, because every client of service account tokens can verify it.
        run(["openssl", "genpkey", "-algorithm", "RSA", "-out", str(service_key)])
        run(["openssl", "pkey", "-in", str(service_key), "-pubout", "-out", str(service_public)])
        hosts = ["localhost", "kubernetes.default.svc", "IP:127.0.0.1", f"IP:{NODE_ADDRESS}", f"IP:{API_SERVICE}"]
        name = f"{self.place.prefix}kube-apiserver"
        serving = self.authority.issue(name, hosts)
        to_kubelet = self.authority.issue(f"{name}-kubelet-client", [], "/O=system:masters/CN=kube-apiserver")
        return self._process(
            "kube-apiserver",
            self.api_ready,
            f"--etcd-servers=http://127.0.0.1:{_ETCD_PORT}",
            f"--etcd-prefix={self.place.etcd_keys}",
            "--bind-address=0.0.0.0",
            f"--advertise-address={NODE_ADDRESS}",
            f"--secure-port={self.place.api_port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--kubelet-client-certificate={to_kubelet.certificate}",
            f"--kubelet-client-key={to_kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--token-auth-file={self._tokens}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={service_public}",
            f"--service-account-signing-key-file={service_key}",
            f"--service-cluster-ip-range={_SERVICE_NETWORK}",
            "--allow-privileged=true",
            f"--audit-policy-file={self._audit_policy()}",
            f"--audit-log-path={self.logs / f'{self.place.prefix}audit.log'}",
        )

    def controller_manager(self) -> Process:
        return self._process(
            "kube-controller-manager",
            self.controllers_work,
            *self._clients("controller-manager"),
            f"--secure-port={self.place.controllers_port}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.folder / 'service-account.key'}",
            f"--root-ca-file={self.authority.certificate}",
        )

    def scheduler(self) -> Process:
        port = self.place.scheduler_port
        options = [*self._clients("scheduler"), f"--secure-port={port}", "--leader-elect=false"]
        return self._process("kube-scheduler", partial(listening, port), *options)

    def api_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        return answers(f"https://127.0.0.1:{self.place.api_port}/readyz", context)

    def controllers_work(self) -> bool:
        """Whether the controllers have made what the first pod needs: a service account."""
        try:
            self.kubectl("get", "serviceaccount", "default", "--namespace=default")
        except LabError:
            return False
        return True

    def node_ready(self) -> bool:
        """Whether the node takes pods."""
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        try:
            return self.kubectl("get", "node", self.place.node, f"--output=jsonpath={path}") == "True"
        except LabError:
            return False

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Runs kubectl as the administrator and returns what it prints. Raises LabError."""
        return run([str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfigs['admin']}", *arguments], text)

    def apply(self, objects: Sequence[Mapping[str, object]]) -> None:
        """Applies objects server-side."""
        self.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump_all(objects))

    def apply_definitions(self, folder: Path) -> None:
        """Applies the CustomResourceDefinitions of a folder and waits until they are established."""
        files = [f"--filename={file}" for file in sorted(folder.glob("*.yaml")) if file.name != "kustomization.yaml"]
        self.kubectl("apply", "--server-side", *files)
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", *files)

    def _clients(self, name: str) -> list[str]:
        file = self.kubeconfigs[name]
        return [f"--{use}={file}" for use in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")]

    def _process(self, name: str, ready: Callable[[], bool], *options: str) -> Process:
        own = f"{self.place.prefix}{name}"
        return Process(own, [str(self.binaries / name), *options], self.logs / f"{own}.log", ready)

    def _write_kubeconfig(self, name: str, token: str) -> Path:
        file = self._private_file(f"{name}.kubeconfig")
        address = f"https://127.0.0.1:{self.place.api_port}"
        server = {"server": address, "certificate-authority": str(self.authority.certificate)}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": server}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "current-context": "lab",
        }
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        return file

    def _audit_policy(self) -> Path:
        """Of every change: who asked for it, and for what, without the content."""
        verbs = ["create", "update", "patch", "delete", "deletecollection"]
        file = self.folder / "audit-policy.yaml"
        policy: dict[str, object] = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}
        policy["omitStages"] = ["RequestReceived"]
        policy["rules"] = [{"level": "Metadata", "verbs": verbs}, {"level": "None"}]
        file.write_text(yaml.safe_dump(policy), encoding="utf-8")
        return file

    def _private_file(self, name: str) -> Path:
        file = self.folder / name
        file.touch(mode=0o600)
        return file
