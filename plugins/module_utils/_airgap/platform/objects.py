# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a platform part (Flux, ocm-controller): read, looked at and ordered."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from ..model.errors import InvalidContent
from ..model.pod_spec import template_path
from ..store.yaml_text import load_yaml

Object = Dict[str, Any]

CLUSTER_SCOPED = (
    "APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration", "Namespace",
    "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
)
# What others need comes first; kinds that are not listed come between these and the workloads.
FIRST = (
    "Namespace", "CustomResourceDefinition", "PriorityClass", "ResourceQuota", "ServiceAccount", "ClusterRole",
    "ClusterRoleBinding", "Role", "RoleBinding", "NetworkPolicy", "ConfigMap", "Secret", "Service",
)
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")

_DOCUMENT = re.compile(r"(?m)^---(?=[ \t\r\n]|\Z)")


def read_objects(files: Mapping[str, str], namespace: str) -> List[Object]:
    """The Kubernetes objects of YAML or JSON files (path -> text) in the order in which they can be applied.

    Lists are taken apart. Objects without a namespace get the given one. Raises InvalidContent for what is no object,
    for an object that occurs twice, and for one that belongs into another namespace.
    """
    objects: List[Object] = []
    for name in sorted(files):
        for number, document in enumerate(_DOCUMENT.split(files[name].lstrip("\ufeff")), 1):
            where = f"{name}, document {number}"
            objects += [_placed(item, namespace, where) for item in _items(load_yaml(document.encode("utf-8"), where), where)]
    if not objects:
        raise InvalidContent("The manifests hold no Kubernetes objects.", "Name a file or folder of YAML files.")
    _check_unique(objects)
    return sorted(objects, key=_rank)


def object_name(item: Mapping[str, Any]) -> str:
    """`Kind namespace/name`, for messages."""
    metadata = item["metadata"]
    return f"{item['kind']} {'/'.join(part for part in (metadata.get('namespace'), metadata['name']) if part)}"


def pod_templates(objects: Sequence[Object]) -> Iterator[Tuple[Object, Object]]:
    """Every object that makes pods, with its pod template: a mapping with `metadata` and `spec`."""
    for item in objects:
        if item["kind"] not in WORKLOADS:
            continue
        template: Any = item
        for key in template_path(item["kind"]):
            template = template.get(key) if isinstance(template, dict) else None
        if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
            raise InvalidContent(f"{object_name(item)} has no pod template.")
        yield item, template


def containers(template: Mapping[str, Any]) -> List[Object]:
    """All containers of a pod template."""
    return [entry for key in ("initContainers", "containers") for entry in template["spec"].get(key) or []]


def _items(document: Any, where: str) -> List[Object]:
    if document is None:
        return []
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise InvalidContent(f"{where} is not a Kubernetes object: apiVersion and kind are missing.")
    if document["kind"] == "List" or (document["kind"].endswith("List") and isinstance(document.get("items"), list)):
        return [item for entry in document.get("items") or [] for item in _items(entry, where)]
    if not isinstance(document.get("metadata"), dict) or not document["metadata"].get("name"):
        raise InvalidContent(f"{where}: the {document['kind']} has no name.")
    return [document]


def _placed(item: Object, namespace: str, where: str) -> Object:
    metadata = item["metadata"]
    if item["kind"] in CLUSTER_SCOPED:
        if item["kind"] == "Namespace" and metadata["name"] != namespace:
            raise _elsewhere(item, namespace, where)
        return item
    if metadata.setdefault("namespace", namespace) != namespace:
        raise _elsewhere(item, namespace, where)
    return item


def _elsewhere(item: Object, namespace: str, where: str) -> InvalidContent:
    return InvalidContent(
        f"{where}: {object_name(item)} does not belong into the namespace {namespace}.", f"Render the manifests for {namespace}."
    )


def _check_unique(objects: Sequence[Object]) -> None:
    seen = set()
    for item in objects:
        key = (item["apiVersion"].split("/")[0] if "/" in item["apiVersion"] else "", object_name(item))
        if key in seen:
            raise InvalidContent(f"The manifests hold {key[1]} twice.", "Name the files of one version only.")
        seen.add(key)


def _rank(item: Object) -> int:
    if item["kind"] in FIRST:
        return FIRST.index(item["kind"])
    return len(FIRST) + (1 if item["kind"] in WORKLOADS else 0)
