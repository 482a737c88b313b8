# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of ocm-controller in a namespace of their own, in the states that it leaves them in.

Where ocm-controller runs, it is waited for until it has brought them there. Where it does not, they are given the
status.
"""

from __future__ import annotations

from typing import Any

from .estate import Cluster, until

OCM = "delivery.ocm.software/v1alpha1"
# Nothing happens at an interval while a test looks.
INTERVAL = "1h0m0s"


class Stage:
    def __init__(self, cluster: Cluster, namespace: str, has_controller: bool) -> None:
        self.cluster, self.namespace, self.has_controller = cluster, namespace, has_controller
        cluster.kubectl("create", "namespace", namespace)

    def close(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def put(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        given = {"interval": INTERVAL, **spec}
        self.cluster.apply({"apiVersion": OCM, "kind": kind, "metadata": metadata, "spec": given})

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(f"{kind.lower()}s.delivery.ocm.software", name, self.namespace)

    def reach(self, kind: str, name: str, ready: str, reason: str, **status: Any) -> None:
        """The object reports Ready with this status ("True", "False") and reason, and has the other fields."""
        if self.has_controller:
            until(lambda: _reports(self.get(kind, name), ready, reason, status), 90, f"{kind} {name}: {ready} {reason}")
        else:
            self.force(kind, name, ready, reason, **status)

    def force(self, kind: str, name: str, ready: str, reason: str, **status: Any) -> None:
        """The object is given that status, whoever else would give it another one."""
        found = self.get(kind, name)
        generation = found["metadata"]["generation"]
        # What is not ready keeps the generation of its last success.
        former = found.get("status", {}).get("observedGeneration", -1)
        conditions = [condition("Ready", ready, reason, generation)]
        if reason == "AuthenticatedContextCreationFailed":
            conditions.append(condition("Stalled", "True", reason, generation))
        values = {"observedGeneration": generation if ready == "True" else former, "conditions": conditions, **status}
        self.cluster.set_status(f"{kind.lower()}s.delivery.ocm.software", name, self.namespace, values)

    def component_version(self, name: str, component: str, version: str, url: str, account: str = "") -> None:
        accounts = {"serviceAccountName": account} if account else {}
        spec = {"component": component, "version": {"semver": version}, "repository": {"url": url}, **accounts}
        self.put("ComponentVersion", name, spec)

    def resource(self, name: str, source: str) -> None:
        self.put("Resource", name, {"sourceRef": self._of(source, "deployment")})

    def localization(self, name: str, resource: str, component_version: str) -> None:
        source = {"kind": "Resource", "name": resource, "namespace": self.namespace}
        self.put("Localization", name, {"sourceRef": source, "configRef": self._of(component_version, "config")})

    def _of(self, component_version: str, resource: str) -> dict[str, Any]:
        where = {"kind": "ComponentVersion", "name": component_version, "namespace": self.namespace}
        return {**where, "resourceRef": {"name": resource}}


def condition(kind: str, status: str, reason: str, generation: int) -> dict[str, Any]:
    said = {"reason": reason, "message": "as ocm-controller says it", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"type": kind, "status": status, "observedGeneration": generation, **said}


def _reports(found: dict[str, Any], ready: str, reason: str, status: dict[str, Any]) -> bool:
    given = found.get("status", {})
    conditions = {each["type"]: each for each in given.get("conditions", [])}
    own = conditions.get("Ready", {})
    new = own.get("observedGeneration", 0) == found["metadata"]["generation"]
    return (
        new
        and (own["status"], own["reason"]) == (ready, reason)
        and all(given.get(key) == status[key] for key in status)
    )
