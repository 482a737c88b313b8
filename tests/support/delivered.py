# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delivery in a cluster as ocm-controller and Flux have it, with those of them that are alive, and its lock."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import COMMIT, OLDER_COMMIT, StubApi, ready

KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
NEW, OLD = f"main@sha1:{COMMIT}", f"main@sha1:{OLDER_COMMIT}"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
SNAPSHOT, FLUX = "finalizers.snapshot.ocm.software", "finalizers.fluxcd.io"
OWN = ["FluxDeployer", "Kustomization", "Deployment", "ComponentVersion", "Resource", "OCIRepository", "Snapshot"]


def entry_of(kind: str, name: str, namespace: str = "ocm-system", **more: Any) -> Dict[str, Any]:
    """What the lock says of an object in Git."""
    file = f"components/podinfo/{kind.lower()}.yaml"
    return dict(apiVersion=make.OCM_API, kind=kind, namespace=namespace, name=name, file=file, **more)


LOCK = dict(
    lockVersion=1,
    name="podinfo",
    component="phoban.io/podinfo",
    delivery="controller",
    namespace="ocm-system",
    targetNamespace="apps",
    pullSecret="ocm-airgap-pull",
    objects=[
        dict(entry_of("ServiceAccount", "air-gapped-ops", shared=True), apiVersion="v1"),
        entry_of("ComponentVersion", "podinfo"),
        entry_of("Resource", "podinfo-deployment"),
        entry_of("FluxDeployer", "podinfo"),
    ],
)


def owned(obj: Dict[str, Any], owner: Dict[str, Any], *finalizers: str) -> Dict[str, Any]:
    reference = dict(kind=owner["kind"], name=owner["metadata"]["name"], uid=owner["metadata"]["uid"])
    obj["metadata"].update(ownerReferences=[reference], finalizers=list(finalizers))
    return obj


def applied(obj: Dict[str, Any]) -> Dict[str, Any]:
    obj["metadata"]["labels"] = {f"{KUSTOMIZE}/name": "podinfo", f"{KUSTOMIZE}/namespace": "ocm-system"}
    obj["metadata"]["managedFields"] = [dict(manager="kustomize-controller")]
    return obj


def simple(kind: str, name: str, namespace: str, **more: Any) -> Dict[str, Any]:
    made = make.make(kind, "v1", name, namespace, observed=None)
    made["metadata"]["resourceVersion"] = "1"
    return dict(made, **more)


def secret(namespace: str, *others: str) -> Dict[str, Any]:
    hosts = {"registry.example.com": ("puller", "pull-password-1"), **dict.fromkeys(others, ("them", "their-password"))}
    made = make.pull_secret(hosts, namespace=namespace)
    made["metadata"].update(annotations={"ocm.airgap/registries": "registry.example.com"}, resourceVersion="1")
    return made


def estate() -> List[Dict[str, Any]]:
    """A delivery, its Secrets and accounts, and the objects by which Flux reads the Git tree."""
    deployer, resource = make.flux_deployer(), make.resource()
    reader = make.git_kustomization(OLD, name="components", namespace="flux-system")
    reader["status"]["inventory"] = dict(entries=[])
    accounts = [dict(name="ocm-airgap-pull")]
    return [
        make.component_version(),
        resource,
        deployer,
        owned(make.oci_repository(), deployer, FLUX),
        owned(make.kustomization(), deployer, FLUX),
        owned(make.make("Snapshot", make.OCM_API, "podinfo-deployment-abc"), resource, SNAPSHOT),
        applied(make.deployment(namespace="apps")),
        secret("ocm-system"),
        secret("apps"),
        simple("ServiceAccount", "air-gapped-ops", "ocm-system", imagePullSecrets=accounts),
        simple("ServiceAccount", "default", "apps"),
        simple("ConfigMap", "kube-root-ca.crt", "apps"),
        make.git_repository(artifact=dict(revision=OLD)),
        reader,
    ]


class Estate:
    """An API server with the estate, the garbage collector, and the controllers that are alive.

    revision: what Flux finds in Git.
    """

    def __init__(self, api: StubApi, flux: bool = True, ocm_controller: bool = True) -> None:
        self.api, self.flux, self.ocm_controller = api, flux, ocm_controller
        self.revision = NEW
        api.on_patch, api.on_delete = self.answer, self.deleted

    def kinds(self) -> List[str]:
        return [obj["kind"] for obj in self.api.cluster.objects]

    def one(self, kind: str, namespace: str) -> Optional[Dict[str, Any]]:
        own = [obj for obj in self.api.cluster.objects if obj["kind"] == kind]
        return next((obj for obj in own if obj["metadata"]["namespace"] == namespace), None)

    def answer(self, found: Dict[str, Any]) -> None:
        """Somebody has written it. Flux fetches and applies, and prunes what has gone from Git."""
        self._collect()
        annotations = found["metadata"].get("annotations") or {}
        if not self.flux or REQUESTED not in annotations:
            return
        found["status"]["lastHandledReconcileAt"] = annotations[REQUESTED]
        if found["kind"] == "GitRepository":
            found["status"]["artifact"] = dict(revision=self.revision)
        else:
            revision = self.revision
            found["status"].update(lastAppliedRevision=revision, lastAttemptedRevision=revision, conditions=[ready()])
            for kind in ("FluxDeployer", "Resource", "ComponentVersion"):
                self._remove(self.one(kind, "ocm-system"))

    def _remove(self, found: Optional[Dict[str, Any]]) -> None:
        if found is not None:
            found["metadata"].setdefault("deletionTimestamp", make.LATE)
            self.api.finalize(found)
            self.deleted(found)

    def deleted(self, found: Dict[str, Any]) -> None:
        """Somebody has removed it."""
        self._release(found)
        self._collect()

    def _collect(self) -> None:
        """What has lost its owner goes, as the garbage collector has it."""
        uids = {obj["metadata"]["uid"] for obj in self.api.cluster.objects}
        for obj in list(self.api.cluster.objects):
            owners = obj["metadata"].get("ownerReferences") or []
            lost = owners and not any(owner["uid"] in uids for owner in owners)
            if lost and not obj["metadata"].get("deletionTimestamp"):
                self._remove(obj)

    def _release(self, found: Dict[str, Any]) -> None:
        finalizers = found["metadata"].get("finalizers") or []
        if self.flux and FLUX in finalizers:
            if found["kind"] == "Kustomization":
                self._remove(self.one("Deployment", "apps"))
            found["metadata"]["finalizers"] = []
        if self.ocm_controller and SNAPSHOT in finalizers:
            found["metadata"]["finalizers"] = []
        self.api.finalize(found)
