# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites: what one story delivers to the cluster, apart from all others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .ansible_run import Ansible, Run
from .estate import Cluster, GitRepository, Lab, pull_secret

PODINFO = "example.org/podinfo"
TLS = "ocm-registry-tls-certs"


class Watch:
    """What changes at a site from now on."""

    def __init__(self, site: "Site") -> None:
        self._site, self._commits = site, site.repository.commits()
        self._registry, self._audit = site.lab.log("private"), site.lab.log("audit")

    def requests(self) -> list[str]:
        """Those that the collection sent to the private registry."""
        return [request for request in self._registry.requests() if f"/v2/{self._site.name}/" in request]

    def changes(self) -> list[str]:
        """What the collection wrote: to the registry, to the API server, to Git."""
        registry = [request for request in self._registry.writes() if f"/v2/{self._site.name}/" in request]
        own = re.compile(rf"\b{re.escape(self._site.name)}\b")
        cluster = [change for change in self._audit.changes() if own.search(change)]
        commits = self._site.repository.commits() - self._commits
        return registry + cluster + commits * ["a commit"]


class Site:
    """One Git repository, one prefix in the private registry, one namespace, one GitRepository and Kustomization."""

    def __init__(self, lab: Lab, ansible: Ansible, folder: Path, name: str, delivery: str = "rendered") -> None:
        self.lab, self.ansible, self.folder, self.name = lab, ansible, folder, name
        self.repository = GitRepository(lab, folder, name)
        self.source, self.delivery = "", delivery
        self.target = f"{lab.private}/{name}"
        self.namespace = name
        # ocm-controller keeps the descriptor of a component version once in a namespace, whoever wants it.
        self.controller_namespace = f"{name}-ocm" if delivery == "controller" else "ocm-system"

    def variables(self, **more: Any) -> dict[str, Any]:
        """The variables of the playbooks, without the prefix ocm_airgap_. None takes one out."""
        values: dict[str, Any] = {
            "source": self.source,
            "target": self.target,
            "component": PODINFO,
            "version": "6.3.5",
            "delivery": self.delivery,
            "target_namespace": self.namespace,
            "namespace": self.controller_namespace,
            "registries": [self.lab.push.at(self.lab.private)],
            "pull_registries": [self.lab.pull.at(self.lab.private)],
            "git_url": self.repository.url,
            "git_username": self.lab.git.user,
            "git_password": self.lab.git.password,
            "flux_source": self.name,
            "flux_kustomization": self.name,
            "pull_secret": f"{self.name}-pull",
            "service_account": f"{self.name}-ops",
            # Flux is asked, and looks seldom; nobody can ask ocm-controller.
            "interval": "1m0s" if self.delivery == "rendered" else "5s",
            "wait_timeout": 120,
            "name": f"{self.name}-podinfo",
            **more,
        }
        return {f"ocm_airgap_{name}": value for name, value in values.items() if value is not None}

    def deliver(self, *options: str, at: tuple[str, str] = ("", ""), **more: Any) -> Run:
        """One run of the playbook site."""
        return self.ansible.playbook("ocm.airgap.site", self.variables(**more), *options, at=at)

    def image(self, version: str) -> str:
        """The image of podinfo that the transfer has put into the private registry, as a node names it."""
        found = self.ansible.module(
            "ocm_component_info",
            {
                "repository": self.target,
                "component": PODINFO,
                "version": version,
                "resource": "image",
                "registries": [self.lab.pull.at(self.lab.private)],
            },
        ).must_succeed()
        (resource,) = found.tasks[-1].result["component_versions"][0]["resources"]
        name, _tag, digest = resource["access"]["imageReference"].rpartition("@")
        return f"{name.rpartition(':')[0]}@{digest}"

    def make_the_controllers_namespace(self, cluster: Cluster) -> None:
        """With the authority of the registry in the cluster, which a namespace of FluxDeployers needs."""
        given = cluster.get("secret", TLS, "ocm-system")
        metadata = {"name": TLS, "namespace": self.controller_namespace}
        authority = {"ca.crt": given["data"]["ca.crt"]}
        cluster.kubectl("create", "namespace", self.controller_namespace)
        cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": authority})

    def give_the_controller_its_account(self, cluster: Cluster) -> None:
        """What step 3 of the guide makes: a Secret and a ServiceAccount in the controller's namespace."""
        cluster.apply(
            pull_secret(f"{self.name}-pull", self.controller_namespace, self.lab.private, self.lab.pull),
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": f"{self.name}-ops", "namespace": self.controller_namespace},
                "imagePullSecrets": [{"name": f"{self.name}-pull"}],
            },
        )

    def watch(self) -> Watch:
        return Watch(self)

    def close(self, cluster: Cluster) -> None:
        """Ends what Flux does for it, so that it does not use the machine while others are tested."""
        for kind in ("kustomizations.kustomize.toolkit.fluxcd.io", "gitrepositories.source.toolkit.fluxcd.io"):
            if cluster.get("customresourcedefinition", kind):  # a case may have removed Flux
                cluster.kubectl("delete", kind, self.name, "--namespace=flux-system", "--ignore-not-found", "--wait=false")
