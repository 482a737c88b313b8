# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the platform is made from: images of the built programs, and manifests as "flux install" and the chart of
ocm-controller write them.

The pods use the network of the node, because the estate has neither DNS nor kube-proxy: so they get ports of their own,
a name for the registry in the cluster, and are replaced rather than doubled.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import images
from ..estate import Lab

FLUX = ("source-controller", "kustomize-controller", "helm-controller")
CLUSTER_REGISTRY = "registry.ocm-system.svc.cluster.local"
CLUSTER_REGISTRY_PORT = 15000
_ARTIFACTS = "127.0.0.1:19090"
_PORTS = dict(zip(FLUX, ((19440, 18080), (19441, 18081), (19442, 18082))))
_MANAGER_HEALTH = 19443

Object = dict[str, Any]


class Images:
    """Puts images of our programs into the public registry, under the names that the real ones have elsewhere."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.digests: dict[str, str] = {}

    def push(self, name: str, programs: Sequence[Path], user: str = "65534:65534") -> str:
        """name: repository and tag. Returns the reference in the public registry."""
        archive, reference = self.folder / "image.tar", f"{self.lab.public}/{name}"
        self.digests[name] = images.write_archive(archive, name, programs, user)
        run("skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"docker://{reference}")
        archive.unlink()
        return reference

    def private(self, name: str, digest: bool = True) -> str:
        """Where a transfer to "air-gapped" puts it."""
        return f"{self.lab.private}/air-gapped/{name}" + (f"@{self.digests[name]}" if digest else "")


def run(*command: str, environment: dict[str, str] | None = None) -> str:
    """Runs a command that has to succeed, and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def flux_manifests(image_of: dict[str, str]) -> str:
    """What "flux install --export" prints. image_of: controller -> image reference."""
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
    namespace["metadata"]["labels"] = {**_FLUX_LABELS, "pod-security.kubernetes.io/warn": "restricted"}
    deployments = [_flux_deployment(name, image_of[name]) for name in FLUX]
    accounts = [_of_flux("v1", "ServiceAccount", name) for name in FLUX]
    binding = _of_flux("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "cluster-reconciler-flux-system")
    del binding["metadata"]["namespace"]
    binding |= _administrators(FLUX, "flux-system")
    quota = _of_flux("v1", "ResourceQuota", "critical-pods-flux-system")
    classes = ["system-node-critical", "system-cluster-critical"]
    critical = {"operator": "In", "scopeName": "PriorityClass", "values": classes}
    quota["spec"] = {"hard": {"pods": "1000"}, "scopeSelector": {"matchExpressions": [critical]}}
    service = _of_flux("v1", "Service", "source-controller")
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    service["spec"] = {"selector": {"app": "source-controller"}, "ports": ports}
    objects = [namespace, quota, *_flux_policies(), *accounts, binding, service, *deployments]
    return _documents(objects) + _definitions("LAB_FLUX_DEFINITIONS")


_FLUX_LABELS = {"app.kubernetes.io/instance": "flux-system", "app.kubernetes.io/part-of": "flux"}


def _of_flux(version: str, kind: str, name: str) -> Object:
    metadata = {"name": name, "namespace": "flux-system", "labels": dict(_FLUX_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _flux_policies() -> list[Object]:
    anywhere = [{"from": [{"namespaceSelector": {}}]}]
    specs: dict[str, Object] = {
        "allow-egress": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
            "egress": [{}],
        },
        "allow-scraping": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{**anywhere[0], "ports": [{"port": 8080, "protocol": "TCP"}]}],
        },
        "allow-webhooks": {
            "podSelector": {"matchLabels": {"app": "notification-controller"}},
            "policyTypes": ["Ingress"],
            "ingress": anywhere,
        },
    }
    return [{**_of_flux("networking.k8s.io/v1", "NetworkPolicy", name), "spec": spec} for name, spec in specs.items()]


def _flux_deployment(name: str, image: str) -> Object:
    health, metrics = _PORTS[name]
    arguments = ["--watch-all-namespaces=true", "--log-level=info", "--log-encoding=json", "--enable-leader-election"]
    arguments += ["--events-addr=", f"--health-addr=:{health}", f"--metrics-addr=:{metrics}"]
    ports = [{"containerPort": health, "name": "healthz", "protocol": "TCP"}]
    volumes = ["tmp"]
    if name == "source-controller":
        arguments += ["--storage-path=/data", f"--storage-addr={_ARTIFACTS}", f"--storage-adv-addr={_ARTIFACTS}"]
        ports.append({"containerPort": 19090, "name": "http", "protocol": "TCP"})
        volumes.append("data")
    field = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    container = {
        "name": "manager",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "env": [{"name": "RUNTIME_NAMESPACE", "valueFrom": field}],
        "ports": ports,
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "healthz"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "healthz"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": each, "mountPath": f"/{each}"} for each in volumes],
    }
    more = {"priorityClassName": "system-cluster-critical"} if name == "source-controller" else {}
    found = _of_flux("apps/v1", "Deployment", name)
    empty = [{"name": each, "emptyDir": {}} for each in volumes]
    found["spec"] = _deployment({"app": name}, container, name, volumes=empty, **more)
    return found


def ocm_controller_manifests(images_of: tuple[str, str], controller: str) -> str:
    """The output of its chart. images_of: those of the manager and the registry. controller: the program, "" for none.

    Without the program something that only waits stands for it.
    """
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ocm-controller"}}
    binding: Object = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
    binding["metadata"] = {"name": "ocm-controller-rolebinding"}
    binding |= _administrators(["ocm-controller"], "ocm-system")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "registry"}}
    service["spec"] = {"selector": {"app": "registry"}, "ports": [{"port": 5000, "targetPort": CLUSTER_REGISTRY_PORT}]}
    deployments = [_manager(images_of[0], controller), _cluster_registry(images_of[1])]
    return _documents([account, binding, service, *deployments]) + _definitions("LAB_OCM_CONTROLLER_DEFINITIONS")


def libraries(program: Path) -> list[Path]:
    """The loader and the shared libraries that a program needs, the loader first; nothing for a static program."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    files = [Path(each) for each in re.findall(r"(/\S+) \(0x", done.stdout)]
    return sorted(files, key=lambda file: not file.name.startswith("ld-"))


def _manager(image: str, controller: str) -> Object:
    container: Object = {"name": "manager", "image": image}
    if controller:
        loader = [f"/{file.name}" for file in libraries(Path(controller))[:1]]
        address = f"{CLUSTER_REGISTRY}:{CLUSTER_REGISTRY_PORT}"
        probe = {"port": _MANAGER_HEALTH}
        container |= {
            "command": [*loader, *(["--library-path", "/"] if loader else []), f"/{Path(controller).name}"],
            "args": [
                "--zap-log-level=4",
                "--leader-elect",
                f"--oci-registry-addr={address}",
                f"--health-probe-bind-address=:{_MANAGER_HEALTH}",
                "--metrics-bind-address=0",
            ],
            "env": [{"name": "GODEBUG", "value": "netdns=go"}],
            "livenessProbe": {"httpGet": {"path": "/healthz", **probe}},
            "readinessProbe": {"httpGet": {"path": "/readyz", **probe}},
        }
    root = {"name": "registry-root", "mountPath": "/etc/ssl/certs/registry-root.pem", "subPath": "registry-root.pem"}
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container["volumeMounts"] = [root, {"name": "tmp", "mountPath": "/tmp"}]
    certificate = {"secretName": "ocm-registry-tls-certs", "items": [{"key": "ca.crt", "path": "registry-root.pem"}]}
    volumes = [{"name": "registry-root", "secret": certificate}, {"name": "tmp", "emptyDir": {}}]
    spec = _deployment({"app": "ocm-controller"}, container, "ocm-controller", volumes=volumes)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ocm-controller"}, "spec": spec}


def _cluster_registry(image: str) -> Object:
    probe = {"httpGet": {"path": "/", "port": CLUSTER_REGISTRY_PORT, "scheme": "HTTPS"}}
    environment = {
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_HTTP_ADDR": f":{CLUSTER_REGISTRY_PORT}",
        "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/cert.pem",
        "REGISTRY_HTTP_TLS_KEY": "/certs/key.pem",
        "OTEL_TRACES_EXPORTER": "none",
    }
    container = {
        "name": "registry",
        "image": image,
        "args": ["serve", "/config.yml"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "certs", "mountPath": "/certs", "readOnly": True}],
    }
    keys = [{"key": "tls.crt", "path": "cert.pem"}, {"key": "tls.key", "path": "key.pem"}]
    volumes = [{"name": "certs", "secret": {"secretName": "ocm-registry-tls-certs", "items": keys}}]
    spec = _deployment({"app": "registry"}, container, "default", volumes=volumes, enableServiceLinks=False)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "registry"}, "spec": spec}


def cluster_registry_configuration(folder: Path) -> Path:
    """The configuration file that the registry's image has."""
    file = folder / "config.yml"
    storage = {"filesystem": {"rootdirectory": "/var/lib/registry"}}
    configuration = {"version": "0.1", "storage": storage, "http": {"addr": ":5000"}}
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return file


def _deployment(labels: dict[str, str], container: Object, account: str, **pod: Any) -> Object:
    names = [{"ip": "127.0.0.1", "hostnames": [CLUSTER_REGISTRY]}]
    spec = {"serviceAccountName": account, "hostNetwork": True, "hostAliases": names, "containers": [container], **pod}
    spec["terminationGracePeriodSeconds"] = 5
    return {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": labels}, "spec": spec},
    }


def _administrators(accounts: Sequence[str], namespace: str) -> Object:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace} for name in accounts]
    return {"roleRef": role, "subjects": subjects}


def _documents(objects: Sequence[Object]) -> str:
    return "\n---\n".join(json.dumps(each, indent=1) for each in objects)


def _definitions(variable: str) -> str:
    files = sorted(Path(os.environ[variable]).glob("*.yaml"))
    return "".join(f"\n---\n{file.read_text(encoding='utf-8')}" for file in files if file.name != "kustomization.yaml")


def decoded(secret: Object, key: str) -> str:
    """A value of a Secret."""
    return base64.b64decode(secret["data"][key]).decode()


def accounts_in(secret: Object) -> dict[str, str]:
    """The registries of a pull Secret, each with its user."""
    auths = json.loads(decoded(secret, ".dockerconfigjson"))["auths"]
    return {host: entry["username"] for host, entry in auths.items()}
