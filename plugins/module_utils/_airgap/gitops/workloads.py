# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects that make pods: where their pod specification is, and how a pull secret is put there."""

from __future__ import annotations

import json
import posixpath
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidContent
from ..model.pod_spec import CONTAINER_LISTS, pull_secrets_of, template_path
from ..store.yaml_text import load_yaml_documents

_API_VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "ReplicationController": "v1",
    "Pod": "v1",
}
# kind -> (apiVersion, path of the pod specification)
POD_SPECS: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    kind: (version, (*template_path(kind), "spec")) for kind, version in _API_VERSIONS.items()
}
SUFFIXES = (".yaml", ".yml", ".json")
# Files of other programs that lie between manifests, and that Flux does not apply.
NOT_MANIFESTS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def pull_secret_patches(secret: str) -> List[Dict[str, Any]]:
    """Kustomize patches that add a pull secret to every kind of workload; a patch without an object does nothing."""
    return [{"patch": _patch(kind, secret), "target": _target(kind)} for kind in POD_SPECS]


def namespace_patch() -> Dict[str, Any]:
    """A Kustomize patch by which Flux never removes a Namespace: others may have something in it."""
    metadata = {"name": "any", "annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}
    patch = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    return {"patch": json.dumps(patch), "target": {"version": "v1", "kind": "Namespace"}}


def _target(kind: str) -> Dict[str, str]:
    group, _slash, version = POD_SPECS[kind][0].rpartition("/")
    return dict({"group": group} if group else {}, version=version, kind=kind)


def _patch(kind: str, secret: str) -> str:
    """A strategic merge patch: imagePullSecrets is merged by name, so others that are there stay."""
    api_version, path = POD_SPECS[kind]
    value: Dict[str, Any] = {"imagePullSecrets": [{"name": secret}]}
    for key in reversed(path):
        value = {key: value}
    return json.dumps(dict({"apiVersion": api_version, "kind": kind, "metadata": {"name": "any"}}, **value))


def documents(content: bytes, where: str) -> List[Any]:
    """Every document of a YAML or JSON file. Raises InvalidContent."""
    return [document for document in load_yaml_documents(content, where) if document is not None]


def manifests_of(files: Mapping[str, bytes]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """(file, object) of every Kubernetes object in a set of files, the items of a List one by one.

    Raises InvalidContent for a file that Flux could not read, or that holds no object. Where a kustomization.yaml lists
    the manifests, such files are passed over.
    """
    listed = any(name in NOT_MANIFESTS for name in files)
    for name in sorted(files):
        if name.lower().endswith(SUFFIXES) and posixpath.basename(name) not in NOT_MANIFESTS:
            try:
                found = [item for document in documents(files[name], name) for item in _items(document, name)]
            except InvalidContent:
                if not listed:
                    raise
                continue
            yield from ((name, item) for item in found)


def _items(document: Any, name: str) -> Iterator[Dict[str, Any]]:
    if not is_object(document):
        raise InvalidContent(
            f"{name}: a document is no Kubernetes object (apiVersion, kind); Flux applies every YAML file it finds.",
            "Keep other files out of the manifests, or list the manifests in a kustomization.yaml.",
        )
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _items(item, name)
    else:
        yield document


def is_object(document: Any) -> bool:
    return isinstance(document, dict) and bool(document.get("apiVersion")) and bool(document.get("kind"))


def pod_spec(manifest: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The pod specification of a workload, None for any other object."""
    if manifest.get("kind") not in POD_SPECS:
        return None
    value: Any = manifest
    for key in POD_SPECS[manifest["kind"]][1]:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else None


def images_of(manifest: Mapping[str, Any]) -> List[str]:
    """The images of a workload's containers, each once."""
    spec = pod_spec(manifest) or {}
    containers = [item for key in CONTAINER_LISTS for item in spec.get(key) or [] if isinstance(item, Mapping)]
    return list(dict.fromkeys(str(item["image"]) for item in containers if item.get("image")))


def service_accounts(manifests: Sequence[Mapping[str, Any]], secret: str) -> List[str]:
    """The ServiceAccounts that workloads without the pull secret of their own run under."""
    names = []
    for manifest in manifests:
        spec = pod_spec(manifest)
        if spec is not None and secret not in pull_secrets_of(spec):
            names.append(str(spec.get("serviceAccountName") or "default"))
    return sorted(set(names))
