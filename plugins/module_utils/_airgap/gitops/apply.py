# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a delivery without Git: what is applied to the cluster itself. Pure."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Sequence

from ..model.labels import DELIVERY
from ..model.pod_spec import FIELD, with_pull_secret
from .objects import Placed
from .settings import Delivery
from .workloads import pod_spec

# Kinds of Kubernetes itself that lie in no namespace.
CLUSTER_KINDS = (
    "APIService", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CustomResourceDefinition", "IngressClass",
    "MutatingWebhookConfiguration", "Namespace", "PersistentVolume", "PodSecurityPolicy", "PriorityClass", "RuntimeClass",
    "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
)
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount")


def objects_to_apply(delivery: Delivery, placed: Sequence[Placed], manifests: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """In the order in which they can be applied. manifests: the localized ones, for a rendered delivery.

    They take the place of the Flux Kustomization: target namespace and pull secret are put in here. A label tells whose
    they are.
    """
    written = [item for item in placed if not (manifests and item.definition["kind"] == "Kustomization")]
    objects = [item.definition if item.shared else _labelled(delivery, item.definition) for item in written]
    objects += [_as_kustomization(delivery, manifest) for manifest in manifests]
    return sorted(objects, key=lambda item: _FIRST.index(item["kind"]) if item["kind"] in _FIRST else len(_FIRST))


def _as_kustomization(delivery: Delivery, manifest: Dict[str, Any]) -> Dict[str, Any]:
    result = _labelled(delivery, manifest)
    if result["kind"] not in CLUSTER_KINDS:
        result["metadata"]["namespace"] = delivery.target_namespace
    spec = pod_spec(result)
    if delivery.pull_secret_by == "patch" and spec is not None:
        spec[FIELD] = with_pull_secret(spec, delivery.pull_secret)
    return result


def _labelled(delivery: Delivery, definition: Dict[str, Any]) -> Dict[str, Any]:
    result = copy.deepcopy(definition)
    metadata = result.setdefault("metadata", {})
    metadata["labels"] = dict(metadata.get("labels") or {}, **{DELIVERY: delivery.name})
    return result
