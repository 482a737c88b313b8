# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects as plain mappings: which kinds the collection knows, and how to read what all of them have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import OcmError

Object = Mapping[str, Any]


class ClusterError(OcmError):
    """The API server refuses a request. status: the HTTP status, 0 without an answer."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class ClusterUnreachable(ClusterError):
    """The API server does not answer, or not now: another try may help."""


@dataclass(frozen=True)
class Kind:
    """What an API server calls a type of objects."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return self.kind


OCM_API = "delivery.ocm.software/v1alpha1"
COMPONENT_VERSION = Kind(OCM_API, "ComponentVersion")
RESOURCE = Kind(OCM_API, "Resource")
LOCALIZATION = Kind(OCM_API, "Localization")
CONFIGURATION = Kind(OCM_API, "Configuration")
FLUX_DEPLOYER = Kind(OCM_API, "FluxDeployer")
SNAPSHOT = Kind(OCM_API, "Snapshot")
COMPONENT_DESCRIPTOR = Kind(OCM_API, "ComponentDescriptor")
# A kind of the successor of ocm-controller, which owns the same group.
SUCCESSOR = Kind(OCM_API, "Component")

SOURCE_API = "source.toolkit.fluxcd.io/v1"
GIT_REPOSITORY = Kind(SOURCE_API, "GitRepository")
OCI_REPOSITORY = Kind(SOURCE_API, "OCIRepository")
EXTERNAL_ARTIFACT = Kind(SOURCE_API, "ExternalArtifact")
KUSTOMIZATION = Kind("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
HELM_RELEASE = Kind("helm.toolkit.fluxcd.io/v2", "HelmRelease")

DEPLOYMENT = Kind("apps/v1", "Deployment")
REPLICA_SET = Kind("apps/v1", "ReplicaSet")
STATEFUL_SET = Kind("apps/v1", "StatefulSet")
DAEMON_SET = Kind("apps/v1", "DaemonSet")
JOB = Kind("batch/v1", "Job")
CRON_JOB = Kind("batch/v1", "CronJob")
POD = Kind("v1", "Pod")
SECRET = Kind("v1", "Secret")
EVENT = Kind("v1", "Event")
NAMESPACE = Kind("v1", "Namespace")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")

OCM_KINDS = (COMPONENT_VERSION, RESOURCE, LOCALIZATION, CONFIGURATION, FLUX_DEPLOYER, SNAPSHOT)
SOURCE_KINDS = (
    GIT_REPOSITORY,
    OCI_REPOSITORY,
    Kind(SOURCE_API, "Bucket"),
    Kind(SOURCE_API, "HelmRepository"),
    Kind(SOURCE_API, "HelmChart"),
    EXTERNAL_ARTIFACT,
)
FLUX_KINDS = SOURCE_KINDS + (KUSTOMIZATION, HELM_RELEASE)
WORKLOAD_KINDS = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, REPLICA_SET, JOB, CRON_JOB, POD)


class Cluster:
    """What the chain reads from. Every method raises ClusterError; a kind that the API server lacks has no objects."""

    def get(self, kind: Kind, namespace: str, name: str) -> Optional[Object]:
        """One object, None when it is not there."""
        raise NotImplementedError

    def list(self, kind: Kind, namespace: str, selector: str = "", fields: str = "") -> List[Object]:
        """The objects of a namespace. selector, fields: label and field selectors as the API takes them."""
        raise NotImplementedError

    def knows(self, kind: Kind) -> bool:
        """Whether the API server has the kind."""
        raise NotImplementedError


def named(kinds: Sequence[Kind], name: str, api_version: str = "") -> Optional[Kind]:
    """The kind with this name; where the group of api_version is not the expected one, None. Letter case is ignored."""
    group = api_version.rpartition("/")[0]
    for kind in kinds:
        if kind.kind.lower() == name.lower() and (not api_version or kind.group == group):
            return kind
    return None


def mapping(obj: Any, *path: str) -> Mapping[str, Any]:
    """The mapping at a path, an empty one when there is none."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj if isinstance(obj, Mapping) else {}


def sequence(obj: Any, *path: str) -> List[Any]:
    """The list at a path, an empty one when there is none."""
    parent: Any = mapping(obj, *path[:-1])
    value = parent.get(path[-1])
    return list(value) if isinstance(value, (list, tuple)) else []


def text(obj: Any, *path: str) -> str:
    """The value at a path as text, "" when there is none."""
    value = mapping(obj, *path[:-1]).get(path[-1])
    return "" if value is None or isinstance(value, (Mapping, list)) else str(value)


def number(obj: Any, *path: str) -> Optional[int]:
    """The integer at a path, None when there is none."""
    value = mapping(obj, *path[:-1]).get(path[-1])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def kind_of(obj: Object) -> Kind:
    return Kind(text(obj, "apiVersion"), text(obj, "kind"))


def name_of(obj: Object) -> str:
    return text(obj, "metadata", "name")


def namespace_of(obj: Object) -> str:
    return text(obj, "metadata", "namespace")


def title(kind: str, namespace: str, name: str) -> str:
    """How an object is named in messages: `Deployment default/podinfo`."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def title_of(obj: Object) -> str:
    return title(text(obj, "kind"), namespace_of(obj), name_of(obj))


def condition(obj: Object, kind: str) -> Optional[Mapping[str, Any]]:
    """The condition of a type, None when it has never been reported."""
    for entry in sequence(obj, "status", "conditions"):
        if isinstance(entry, Mapping) and entry.get("type") == kind:
            return entry
    return None


def is_true(entry: Optional[Mapping[str, Any]]) -> bool:
    return entry is not None and entry.get("status") == "True"


def is_suspended(obj: Object) -> bool:
    return mapping(obj, "spec").get("suspend") is True


def owned_by(obj: Object, owners: Sequence[Object]) -> bool:
    """Whether one of the owners is in the object's ownerReferences."""
    uids = {text(owner, "metadata", "uid") for owner in owners} - {""}
    return any(text(entry, "uid") in uids for entry in sequence(obj, "metadata", "ownerReferences"))


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector (matchLabels, matchExpressions) in the form that a list request takes."""
    parts = [f"{key}={value}" for key, value in sorted(mapping(selector, "matchLabels").items())]
    for entry in sequence(selector, "matchExpressions"):
        key, values = text(entry, "key"), ",".join(str(value) for value in sequence(entry, "values"))
        operator = text(entry, "operator")
        forms: Dict[str, str] = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append(forms[operator])
    return ",".join(parts)


def split_path(value: str) -> Tuple[str, str]:
    """Namespace and name of `namespace/name`."""
    namespace, _slash, name = value.rpartition("/")
    return namespace, name
