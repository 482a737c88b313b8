# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects as ocm-controller, Flux and Kubernetes leave them, a cluster in memory, and one behind HTTP."""

from __future__ import annotations

import base64
import copy
import json
import threading
import uuid
from typing import Any, Dict, List, Optional

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import Cluster, Kind
from ansible_collections.ocm.airgap.tests.support.server import Asked, Reply, ScriptedServer

LEASE_API = "coordination.k8s.io/v1"
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


def lease(holder: str = "somebody", renewed: str = EARLY, duration: int = 3600, **options: Any) -> Dict[str, Any]:
    """A Lease as an API server gives it."""
    times = dict(acquireTime=options.pop("acquired", renewed), renewTime=renewed)
    values: Dict[str, Any] = dict(name="ocm-airgap", observed=None)
    values["spec"] = dict(times, holderIdentity=holder, leaseDurationSeconds=duration, leaseTransitions=3)
    found = make("Lease", LEASE_API, **dict(values, **options))
    found["metadata"].update(resourceVersion="1", uid=str(uuid.uuid4()))
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
            for found in (self._of(kind, namespace) if namespace else self._of_all(kind))
            if wanted.items() <= (found["metadata"].get("labels") or {}).items()
        ]
        return copy.deepcopy([found for found in matching if _has_fields(found, fields)])

    def knows(self, kind: Kind) -> bool:
        return kind.kind not in self._unknown

    def _of(self, kind: Kind, namespace: str) -> List[Dict[str, Any]]:
        return [found for found in self._of_all(kind) if found["metadata"]["namespace"] == namespace]

    def _of_all(self, kind: Kind) -> List[Dict[str, Any]]:
        own = (kind.api_version, kind.kind)
        return [found for found in self.objects if (found["apiVersion"], found["kind"]) == own]


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

    on_patch and on_delete are called with the object: where a test plays the controllers. broken: answers instead, by
    turns.
    Objects can be created, replaced and deleted, with the conflicts of a real one; each of these is one step.
    missing: the namespaces that do not exist. kinds: those that are served although no object of them is there.
    """

    def __init__(self, objects: Any, on_patch: Any = lambda found: None, kinds: Any = ()) -> None:
        super().__init__(self._answer)
        self._more_kinds = set(kinds)
        self.cluster = MemoryCluster(objects)
        self.on_patch = on_patch
        self.on_delete: Any = lambda found: None
        self.broken: List[Reply] = []
        self.missing: List[str] = []
        self._one_by_one = threading.Lock()
        self._revision = 1000

    @property
    def writes(self) -> List[Asked]:
        return [asked for asked in self.asked if asked.method not in ("GET", "HEAD") and "dryRun" not in asked.query]

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
            kind = next((kind for kind in self._kinds() if parts[1:] == _path(kind)), None)
            return self._everywhere(asked, kind) if kind else _json(self._resources("/".join(parts[1:])))
        with self._one_by_one:
            kept = copy.deepcopy(self.cluster.objects)
            reply = self._objects(asked, parts)
            if "dryRun" in asked.query:
                self.cluster.objects[:] = kept
            return reply

    def _kinds(self) -> List[Kind]:
        """The kinds that it serves: those of its objects, Leases, and what it was told to."""
        own = {Kind(found["apiVersion"], found["kind"]) for found in self.cluster.objects} | self._more_kinds
        return sorted(own | {Kind(LEASE_API, "Lease")}, key=lambda kind: (kind.api_version, kind.kind))

    def _versions(self) -> List[str]:
        return sorted({kind.api_version for kind in self._kinds()})

    def _groups(self) -> List[Dict[str, Any]]:
        groups = []
        for api_version in self._versions():
            group, _slash, version = api_version.rpartition("/")
            if group:
                entry = dict(groupVersion=api_version, version=version)
                groups.append(dict(name=group, versions=[entry], preferredVersion=entry))
        return groups

    def _resources(self, api_version: str) -> Dict[str, Any]:
        kinds = [kind.kind for kind in self._kinds() if kind.api_version == api_version]
        entries = [
            dict(
                name=_plural(kind),
                singularName=kind.lower(),
                namespaced=kind != "Namespace",
                kind=kind,
                verbs=["create", "delete", "get", "list", "patch", "update"],
            )
            for kind in kinds + (["Namespace"] if api_version == "v1" else [])
        ]
        parts = [dict(entry, name=f"{entry['name']}/status") for entry in entries if api_version == OCM_API]
        entries += parts
        return dict(kind="APIResourceList", apiVersion="v1", groupVersion=api_version, resources=entries)

    def _everywhere(self, asked: Asked, kind: Kind) -> Reply:
        """The objects of a kind in all namespaces, by a selector `KEY in (VALUE,VALUE)` or `KEY=VALUE,KEY=VALUE`."""
        if "=" in asked.query.get("labelSelector", [""])[0]:
            return self._list(asked, kind, "")
        key, _in, values = asked.query.get("labelSelector", [""])[0].partition(" in ")
        wanted = values.strip("()").split(",")
        found = self.cluster.list(kind, "")
        items = [item for item in found if not key or (item["metadata"].get("labels") or {}).get(key) in wanted]
        return _json(dict(kind=f"{kind.kind}List", apiVersion=kind.api_version, metadata={}, items=items))

    def _list(self, asked: Asked, kind: Kind, namespace: str) -> Reply:
        selectors = [asked.query.get(name, [""])[0] for name in ("labelSelector", "fieldSelector")]
        found = self.cluster.list(kind, namespace, *selectors)
        items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in found]
        return _json(dict(kind=f"{kind.kind}List", apiVersion=kind.api_version, metadata={}, items=items))

    def _objects(self, asked: Asked, parts: List[str]) -> Reply:
        at = parts.index("namespaces")
        if parts[at + 1 :] == []:
            return self._list(asked, Kind("v1", "Namespace"), "")
        api_version, namespace, rest = "/".join(parts[1:at]), parts[at + 1], parts[at + 2 :]
        if not rest:
            if namespace in self.missing:
                return _not_found(Kind("v1", "Namespace"), namespace)
            if asked.method == "DELETE":
                self.missing.append(namespace)
            return _json(dict(apiVersion="v1", kind="Namespace", metadata=dict(name=namespace)))
        served = [kind for kind in self._kinds() if kind.api_version == api_version]
        kind = next((kind for kind in served if _plural(kind.kind) == rest[0]), None)
        if kind is None:
            return Reply(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if asked.method == "POST":
            return self._create(json.loads(asked.body), kind, namespace)
        if len(rest) == 1:
            return self._list(asked, kind, namespace)
        return self._one(asked, kind, namespace, rest[1], rest[2:] == ["status"])

    def _one(self, asked: Asked, kind: Kind, namespace: str, name: str, status: bool = False) -> Reply:
        for found in self.cluster.objects:
            own = (found["apiVersion"], found["kind"], found["metadata"]["namespace"], found["metadata"]["name"])
            if own == (kind.api_version, kind.kind, namespace, name):
                if asked.method == "PATCH" and "dryRun" in asked.query:
                    found = copy.deepcopy(found)
                    _merge(found, json.loads(asked.body), status)
                elif asked.method == "PATCH":
                    _merge(found, json.loads(asked.body), status)
                    found["metadata"]["resourceVersion"] = self._next_revision()
                    self.finalize(found)
                    self.on_patch(found)
                if asked.method == "PUT":
                    return self._replace(json.loads(asked.body), kind, found)
                if asked.method == "DELETE":
                    return self._delete(json.loads(asked.body or b"{}"), kind, found)
                return _json(found)
        if asked.method == "PUT" and json.loads(asked.body)["metadata"].get("uid"):
            # Leases are created by PUT as well, but not under the uid of one that was deleted.
            return _status(409, "Conflict", kind, name, "Precondition failed: UID in precondition")
        return _not_found(kind, name)

    def _create(self, body: Dict[str, Any], kind: Kind, namespace: str) -> Reply:
        name = body["metadata"]["name"]
        if namespace in self.missing:
            return _not_found(Kind("v1", "Namespace"), namespace)
        if self.cluster.get(kind, namespace, name):
            return _status(409, "AlreadyExists", kind, name, "already exists")
        body["metadata"].update(namespace=namespace, uid=str(uuid.uuid4()), resourceVersion=self._next_revision())
        self.cluster.objects.append(body)
        return _json(body, 201)

    def _replace(self, body: Dict[str, Any], kind: Kind, found: Dict[str, Any]) -> Reply:
        version = body["metadata"].get("resourceVersion")
        if not version:
            message = "is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
            return _status(422, "Invalid", kind, body["metadata"]["name"], message)
        if _differs(body["metadata"], found):
            return _status(409, "Conflict", kind, body["metadata"]["name"], "the object has been modified")
        body["metadata"]["resourceVersion"] = self._next_revision()
        found.clear()
        found.update(body)
        return _json(found)

    def _delete(self, options: Dict[str, Any], kind: Kind, found: Dict[str, Any]) -> Reply:
        if _differs(options.get("preconditions") or {}, found):
            return _status(409, "Conflict", kind, found["metadata"]["name"], "Precondition failed")
        found["metadata"].setdefault("deletionTimestamp", LATE)
        self.finalize(found)
        self.on_delete(found)
        return _json(dict(kind="Status", apiVersion="v1", status="Success"))

    def finalize(self, found: Dict[str, Any]) -> None:
        """What is removed goes when it has no finalizers."""
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.cluster.objects[:] = [item for item in self.cluster.objects if item is not found]

    def _next_revision(self) -> str:
        self._revision += 1
        return str(self._revision)


def _path(kind: Kind) -> List[str]:
    """Where the objects of all namespaces are listed, below api or apis."""
    return [*kind.api_version.split("/"), _plural(kind.kind)]


def _plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind.lower()}s")


def _merge(found: Dict[str, Any], change: Dict[str, Any], status: bool) -> None:
    """A merge patch of an object or of its status. What changes the specification raises the generation."""
    spec = copy.deepcopy(found.get("spec"))
    _merge_values(found, {part: values for part, values in change.items() if part != "status" or status})
    if found.get("spec") != spec:
        found["metadata"]["generation"] = found["metadata"].get("generation", 1) + 1


def _merge_values(found: Dict[str, Any], change: Dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            _merge_values(found.setdefault(key, {}), value)
        else:
            found[key] = value


def _differs(conditions: Dict[str, Any], found: Dict[str, Any]) -> bool:
    """Whether an object is another one, or in another state, than conditions (uid, resourceVersion) say."""
    wanted = {key: conditions.get(key) for key in ("uid", "resourceVersion")}
    return any(value and value != found["metadata"].get(key) for key, value in wanted.items())


def _not_found(kind: Kind, name: str) -> Reply:
    return _status(404, "NotFound", kind, name, "not found")


def _status(code: int, reason: str, kind: Kind, name: str, message: str) -> Reply:
    plural = _plural(kind.kind)
    details = dict(name=name, group=kind.group, kind=plural)
    text = f'{plural}{"." if kind.group else ""}{kind.group} "{name}" {message}'
    return _json(dict(kind="Status", status="Failure", reason=reason, code=code, message=text, details=details), code)


def _json(content: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())
