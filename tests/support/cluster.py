# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects as ocm-controller, Flux and Kubernetes leave them, a cluster in memory, and one behind HTTP."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any, Dict, List, Optional

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import Cluster, Kind
from ansible_collections.ocm.airgap.tests.support.server import Asked, Reply, ScriptedServer

OCM_API = "delivery.ocm.software/v1alpha1"
PRIVATE = "registry.example.com/air-gapped"
DIGEST = "sha256:" + "a1" * 32
COMMIT = "5f2b6f3c8f1f5f2d0a9a3bd1f3c0f3a6c7d8e9f0"
OLDER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGE = f"{PRIVATE}/stefanprodan/podinfo@{DIGEST}"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
PLURALS = {
    "Kustomization": "kustomizations",
    "OCIRepository": "ocirepositories",
    "GitRepository": "gitrepositories",
    "HelmRepository": "helmrepositories",
    "NetworkPolicy": "networkpolicies",
}


def condition(
    kind: str, status: str, reason: str, message: str = "", time: str = EARLY, generation: Any = 1
) -> Dict[str, Any]:
    """One condition. generation: its observedGeneration, None for none."""
    entry = dict(type=kind, status=status, reason=reason, message=message, lastTransitionTime=time)
    if generation is not None:
        entry["observedGeneration"] = generation
    return entry


def ready(message: str = "", reason: str = "Succeeded", **options: Any) -> Dict[str, Any]:
    return condition("Ready", "True", reason, message, **options)


def not_ready(reason: str, message: str = "", **options: Any) -> Dict[str, Any]:
    return condition("Ready", "False", reason, message, **options)


def stalled(reason: str, message: str = "", **options: Any) -> Dict[str, Any]:
    return condition("Stalled", "True", reason, message, **options)


def reconciling(reason: str = "Progressing", message: str = "", **options: Any) -> Dict[str, Any]:
    return condition("Reconciling", "True", reason, message, **options)


def make(
    kind: str,
    api_version: str,
    name: str = "podinfo",
    namespace: str = "ocm-system",
    spec: Optional[Dict[str, Any]] = None,
    conditions: Any = (),
    observed: Any = 1,
    generation: int = 1,
    labels: Optional[Dict[str, str]] = None,
    owner: Optional[Dict[str, Any]] = None,
    **status: Any,
) -> Dict[str, Any]:
    """An object. observed: status.observedGeneration, None for none."""
    metadata: Dict[str, Any] = dict(name=name, namespace=namespace, generation=generation, uid=f"{kind}-{name}")
    if labels:
        metadata["labels"] = labels
    if owner:
        reference = dict(kind=owner["kind"], name=owner["metadata"]["name"], uid=owner["metadata"]["uid"])
        metadata["ownerReferences"] = [reference]
    if observed is not None:
        status["observedGeneration"] = observed
    if conditions:
        status["conditions"] = list(conditions)
    return dict(apiVersion=api_version, kind=kind, metadata=metadata, spec=spec or {}, status=status)


def component_version(**options: Any) -> Dict[str, Any]:
    spec = dict(
        component="phoban.io/podinfo",
        version=dict(semver=">=6.3.5"),
        repository=dict(url=PRIVATE),
        interval="1m0s",
        serviceAccountName="air-gapped-ops",
    )
    values: Dict[str, Any] = dict(
        spec=spec,
        conditions=[ready("Applied version: ")],
        reconciledVersion="6.3.5",
        replicatedRepositoryURL=PRIVATE,
    )
    values.update(options)
    return make("ComponentVersion", OCM_API, **values)


def resource(**options: Any) -> Dict[str, Any]:
    source = dict(kind="ComponentVersion", name="podinfo", resourceRef=dict(name="deployment"))
    values: Dict[str, Any] = dict(
        name="podinfo-deployment",
        spec=dict(interval="1m0s", sourceRef=source),
        conditions=[ready("Applied version: 6.3.5")],
        lastAppliedComponentVersion="6.3.5",
        snapshotName="podinfo-deployment-abcdefg",
    )
    values.update(options)
    return make("Resource", OCM_API, **values)


def localization(**options: Any) -> Dict[str, Any]:
    config = dict(kind="ComponentVersion", name="podinfo", resourceRef=dict(name="config"))
    values: Dict[str, Any] = dict(
        name="podinfo-deployment",
        spec=dict(interval="5m0s", sourceRef=dict(kind="Resource", name="podinfo-deployment"), configRef=config),
        conditions=[ready("Reconciliation success")],
        latestSourceVersion="6.3.5",
    )
    values.update(options)
    return make("Localization", OCM_API, **values)


def configuration(**options: Any) -> Dict[str, Any]:
    config = dict(kind="ComponentVersion", name="podinfo", resourceRef=dict(name="config"))
    source = dict(kind="Localization", name="podinfo-deployment")
    values: Dict[str, Any] = dict(
        name="podinfo-deployment",
        spec=dict(interval="1m0s", sourceRef=source, configRef=config, values=dict(serviceAccountName="app-ops")),
        conditions=[ready("Reconciliation success")],
        latestSourceVersion="6.3.5",
    )
    values.update(options)
    return make("Configuration", OCM_API, **values)


def flux_deployer(**options: Any) -> Dict[str, Any]:
    template = dict(interval="1m0s", path="./", prune=True, targetNamespace="default")
    source = dict(kind="Configuration", name="podinfo-deployment")
    values: Dict[str, Any] = dict(
        spec=dict(interval="1m0s", sourceRef=source, kustomizationTemplate=template),
        conditions=[ready("FluxDeployer 'podinfo' is ready")],
        ociRepository="ocm-system/podinfo",
        kustomization="ocm-system/podinfo",
    )
    values.update(options)
    return make("FluxDeployer", OCM_API, **values)


def oci_repository(**options: Any) -> Dict[str, Any]:
    values: Dict[str, Any] = dict(
        spec=dict(interval="1m0s", url="oci://registry.ocm-system.svc.cluster.local:5000/sha-1", ref=dict(tag="6.3.5")),
        conditions=[ready("stored artifact")],
        artifact=dict(revision=f"6.3.5@{DIGEST}"),
    )
    values.update(options)
    return make("OCIRepository", "source.toolkit.fluxcd.io/v1", **values)


def git_repository(**options: Any) -> Dict[str, Any]:
    values: Dict[str, Any] = dict(
        name="flux-system",
        namespace="flux-system",
        spec=dict(interval="1m0s", url="https://git.example.com/estate.git", ref=dict(branch="main")),
        conditions=[ready("stored artifact")],
        artifact=dict(revision=f"main@sha1:{COMMIT}"),
    )
    values.update(options)
    return make("GitRepository", "source.toolkit.fluxcd.io/v1", **values)


def kustomization(revision: str = f"6.3.5@{DIGEST}", **options: Any) -> Dict[str, Any]:
    entries = [dict(id="default_podinfo_apps_Deployment", v="v1"), dict(id="default_podinfo__Service", v="v1")]
    values: Dict[str, Any] = dict(
        spec=dict(interval="1m0s", path="./", prune=True, sourceRef=dict(kind="OCIRepository", name="podinfo")),
        conditions=[ready(f"Applied revision: {revision}", "ReconciliationSucceeded")],
        lastAppliedRevision=revision,
        lastAttemptedRevision=revision,
        inventory=dict(entries=entries),
    )
    values.update(options)
    return make("Kustomization", "kustomize.toolkit.fluxcd.io/v1", **values)


def git_kustomization(revision: str = f"main@sha1:{COMMIT}", **options: Any) -> Dict[str, Any]:
    """A Kustomization of rendered manifests, whose source is a GitRepository."""
    source = dict(kind="GitRepository", name="flux-system", namespace="flux-system")
    values: Dict[str, Any] = dict(spec=dict(interval="1m0s", path="./apps/podinfo", prune=True, sourceRef=source))
    values.update(options)
    return kustomization(revision, **values)


def deployment(image: str = IMAGE, secrets: Any = ("ocm-airgap-pull",), **options: Any) -> Dict[str, Any]:
    template = dict(spec=pod_spec(image, secrets))
    values: Dict[str, Any] = dict(
        namespace="default",
        spec=dict(replicas=1, selector=dict(matchLabels=dict(app="podinfo")), template=template),
        replicas=1,
        updatedReplicas=1,
        readyReplicas=1,
        availableReplicas=1,
    )
    values.update(options)
    found = make("Deployment", "apps/v1", **values)
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
    return found


def replica_set(owner: Dict[str, Any], revision: str = "2", pod_hash: str = "new") -> Dict[str, Any]:
    labels = {"app": "podinfo", "pod-template-hash": pod_hash}
    found = make("ReplicaSet", "apps/v1", f"podinfo-{pod_hash}", "default", labels=labels, owner=owner)
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": revision}
    return found


def pod_spec(image: str = IMAGE, secrets: Any = ("ocm-airgap-pull",)) -> Dict[str, Any]:
    return dict(
        containers=[dict(name="podinfod", image=image)],
        imagePullSecrets=[dict(name=name) for name in secrets],
        serviceAccountName="default",
    )


def pod(
    owner: Dict[str, Any], image: str = IMAGE, secrets: Any = ("ocm-airgap-pull",), **options: Any
) -> Dict[str, Any]:
    """A running pod of a ReplicaSet (or of any other owner). waiting: a container's (reason, message) instead."""
    waiting = options.pop("waiting", None)
    labels = dict(owner["metadata"].get("labels") or {"app": "podinfo"})
    state: Dict[str, Any] = dict(running={})
    if waiting:
        state = dict(waiting=dict(reason=waiting[0], message=waiting[1]))
    container = dict(name="podinfod", state=state, imageID=f"{image.partition('@')[0].partition(':')[0]}@{DIGEST}")
    values: Dict[str, Any] = dict(
        name=f"{owner['metadata']['name']}-x1",
        namespace="default",
        spec=pod_spec(image, secrets),
        labels=labels,
        owner=owner,
        observed=None,
        phase="Pending" if waiting else "Running",
        conditions=[condition("Ready", "False" if waiting else "True", "ContainersNotReady" if waiting else "")],
        containerStatuses=[container],
    )
    values.update(options)
    return make("Pod", "v1", **values)


def pull_secret(
    accounts: Dict[str, Any], name: str = "ocm-airgap-pull", namespace: str = "default", **options: Any
) -> Dict[str, Any]:
    """accounts: registry to (user name, password), or to the entry as it is."""
    auths = {
        host: account if isinstance(account, dict) else dict(username=account[0], password=account[1])
        for host, account in accounts.items()
    }
    raw = options.pop("raw", json.dumps(dict(auths=auths)).encode())
    found = make("Secret", "v1", name, namespace, observed=None)
    found["type"] = options.pop("type", "kubernetes.io/dockerconfigjson")
    found["data"] = {".dockerconfigjson": base64.b64encode(raw).decode()}
    found["data"].update(options.pop("data", {}))
    return found


def event(pod_object: Dict[str, Any], reason: str, message: str, kind: str = "Warning") -> Dict[str, Any]:
    metadata = pod_object["metadata"]
    found = make("Event", "v1", f"{metadata['name']}.{reason}", metadata["namespace"], observed=None)
    found.update(type=kind, reason=reason, message=message, lastTimestamp=EARLY)
    found["involvedObject"] = dict(kind=pod_object["kind"], name=metadata["name"], namespace=metadata["namespace"])
    return found


def controller_estate(**changed: Any) -> List[Dict[str, Any]]:
    """Everything of the controller delivery, ready. changed: replaces an object (None leaves it out) by name."""
    running = deployment()
    current = replica_set(running)
    objects: Dict[str, Any] = dict(
        component_version=component_version(),
        resource=resource(),
        localization=localization(),
        configuration=configuration(),
        flux_deployer=flux_deployer(),
        oci_repository=oci_repository(),
        kustomization=kustomization(),
        deployment=running,
        replica_set=current,
        pod=pod(current),
        secret=pull_secret({"registry.example.com": ("puller", "pull-password-1")}),
    )
    objects.update(changed)
    return [found for found in objects.values() if found is not None]


def rendered_estate(**changed: Any) -> List[Dict[str, Any]]:
    """Everything of the rendered delivery, ready."""
    left_out = dict.fromkeys(
        ("component_version", "resource", "localization", "configuration", "flux_deployer", "oci_repository")
    )
    objects: Dict[str, Any] = dict(left_out, git_repository=git_repository(), kustomization=git_kustomization())
    objects.update(changed)
    return controller_estate(**objects)


class MemoryCluster(Cluster):
    """A cluster of plain objects. kinds: the names of those that it has; by default all that are asked for."""

    def __init__(self, objects: Any = (), unknown: Any = ()) -> None:
        self.objects: List[Dict[str, Any]] = list(objects)
        self._unknown = set(unknown)

    def get(self, kind: Kind, namespace: str, name: str) -> Optional[Dict[str, Any]]:
        for found in self._of(kind, namespace):
            if found["metadata"]["name"] == name:
                return copy.deepcopy(found)
        return None

    def list(self, kind: Kind, namespace: str, selector: str = "", fields: str = "") -> List[Dict[str, Any]]:
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        matching = [
            found
            for found in self._of(kind, namespace)
            if wanted.items() <= (found["metadata"].get("labels") or {}).items()
        ]
        return copy.deepcopy([found for found in matching if _has_fields(found, fields)])

    def knows(self, kind: Kind) -> bool:
        return kind.kind not in self._unknown

    def _of(self, kind: Kind, namespace: str) -> List[Dict[str, Any]]:
        return [
            found
            for found in self.objects
            if (found["apiVersion"], found["kind"]) == (kind.api_version, kind.kind)
            and found["metadata"]["namespace"] == namespace
        ]


def _has_fields(found: Dict[str, Any], fields: str) -> bool:
    for part in fields.split(","):
        path, _equals, wanted = part.partition("=")
        value: Any = found
        for key in path.split(".") if path else ():
            value = (value or {}).get(key)
        if path and str(value) != wanted:
            return False
    return True


class StubApi(ScriptedServer):
    """An API server with the objects that it is given. `writes` has all requests that would change something.

    on_patch is called with the patched object: where a test plays the controller. broken: answers instead, by turns.
    """

    def __init__(self, objects: Any, on_patch: Any = lambda found: None) -> None:
        super().__init__(self._answer)
        self.cluster = MemoryCluster(objects)
        self.on_patch = on_patch
        self.broken: List[Reply] = []

    @property
    def writes(self) -> List[Asked]:
        return [asked for asked in self.asked if asked.method not in ("GET", "HEAD")]

    @property
    def kubeconfig(self) -> Dict[str, Any]:
        """A kubeconfig as a mapping."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stub",
            "clusters": [{"name": "stub", "cluster": {"server": self.url}}],
            "users": [{"name": "stub", "user": {"token": "stub-token-secret-1"}}],
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        }

    def _answer(self, asked: Asked) -> Reply:
        parts = [part for part in asked.path.split("/") if part]
        if self.broken and "namespaces" in parts:
            return self.broken.pop(0)
        if parts == ["version"]:
            return _json(dict(major="1", minor="33", gitVersion="v1.33.0"))
        if parts == ["api"]:
            return _json(dict(kind="APIVersions", versions=["v1"]))
        if parts == ["apis"]:
            return _json(dict(kind="APIGroupList", apiVersion="v1", groups=self._groups()))
        if "namespaces" not in parts:
            return _json(self._resources("/".join(parts[1:])))
        return self._objects(asked, parts)

    def _versions(self) -> List[str]:
        return sorted({found["apiVersion"] for found in self.cluster.objects})

    def _groups(self) -> List[Dict[str, Any]]:
        groups = []
        for api_version in self._versions():
            group, _slash, version = api_version.rpartition("/")
            if group:
                entry = dict(groupVersion=api_version, version=version)
                groups.append(dict(name=group, versions=[entry], preferredVersion=entry))
        return groups

    def _resources(self, api_version: str) -> Dict[str, Any]:
        kinds = sorted({found["kind"] for found in self.cluster.objects if found["apiVersion"] == api_version})
        entries = [
            dict(
                name=_plural(kind),
                singularName=kind.lower(),
                namespaced=True,
                kind=kind,
                verbs=["get", "list", "patch"],
            )
            for kind in kinds
        ]
        return dict(kind="APIResourceList", apiVersion="v1", groupVersion=api_version, resources=entries)

    def _objects(self, asked: Asked, parts: List[str]) -> Reply:
        at = parts.index("namespaces")
        api_version, namespace, rest = "/".join(parts[1:at]), parts[at + 1], parts[at + 2 :]
        kinds = {found["kind"] for found in self.cluster.objects if found["apiVersion"] == api_version}
        kind = next((Kind(api_version, name) for name in kinds if _plural(name) == rest[0]), None)
        if kind is None:
            return Reply(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if len(rest) == 1:
            found = self.cluster.list(
                kind, namespace, asked.query.get("labelSelector", [""])[0], asked.query.get("fieldSelector", [""])[0]
            )
            items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in found]
            return _json(dict(kind=f"{kind.kind}List", apiVersion=api_version, metadata={}, items=items))
        return self._one(asked, kind, namespace, rest[1])

    def _one(self, asked: Asked, kind: Kind, namespace: str, name: str) -> Reply:
        for found in self.cluster.objects:
            own = (found["apiVersion"], found["kind"], found["metadata"]["namespace"], found["metadata"]["name"])
            if own == (kind.api_version, kind.kind, namespace, name):
                if asked.method == "PATCH":
                    annotations = json.loads(asked.body)["metadata"]["annotations"]
                    found["metadata"].setdefault("annotations", {}).update(annotations)
                    self.on_patch(found)
                return _json(found)
        details = dict(name=name, group=kind.group, kind=_plural(kind.kind))
        return _json(dict(kind="Status", message=f"{_plural(kind.kind)} {name!r} not found", details=details), 404)


def _plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind.lower()}s")


def _json(content: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())
