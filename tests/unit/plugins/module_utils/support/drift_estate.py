# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An estate with a delivered component: a real registry, a real Git repository, and what Flux would have applied."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from pathlib import Path

import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import kind_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.pull_secret import PullAccount, plan_secret
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import succeed
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

PODINFO = Path(__file__).resolve().parents[5] / "playbooks" / "files" / "podinfo"
COMPONENT, VERSION = "example.org/podinfo", "6.3.5"
ACCOUNTS = {"writer": "writer-password-1", "reader": "reader-password-1"}
SECRETS = (*ACCOUNTS.values(), "git-password-1", "other-password-1")
PULL, MANIFEST, SERVICE = "ocm-airgap-pull", "apps/podinfo/deployment.yaml", "Service default/podinfo"
OBJECT, LOCK = "components/podinfo/kustomization-object.yaml", "components/podinfo/ocm-airgap.lock.json"
IMAGE = f"registry:{COMPONENT}:{VERSION}/image"


class Estate:
    """A component that is delivered as rendered manifests; in the cluster is what Flux has made of the Git tree."""

    def __init__(self, registry, server, folder):
        self.registry, self.server, self.folder = registry, server, folder
        self.target = f"{registry.host}/air-gapped"
        self.repository = server.repository()
        self.repository.commit(folder / "other", {"README.md": "the estate\n"}, subject="Begin")
        where = dict(source=str(PODINFO), target=[self.target], component=COMPONENT, version=VERSION)
        succeed("ocm_transfer", dict(where, registries=self.registries("writer")))
        self.deliver()
        objects = self.applied()
        self.api = StubApi(objects, kinds=[kind_of(each) for each in objects])

    def registries(self, user):
        return [dict(host=self.registry.host, username=user, password=ACCOUNTS[user], plain_http=True)]

    def git(self):
        return dict(git_url=self.server.url_of(self.repository), git_username="robot", git_password="git-password-1")

    def deliver(self, **options):
        usual = dict(component=COMPONENT, version=VERSION, repository=f"http://{self.target}", delivery="rendered")
        component = dict(usual, pull_secret_by="service_account", **options)
        succeed("ocm_gitops", dict(components=[component], registries=self.registries("writer"), **self.git()))

    def applied(self):
        """The objects in the cluster."""
        files = self.repository.files()
        documents = [list(yaml.safe_load_all(files[name])) for name in sorted(files) if name.endswith(".yaml")]
        found = [self.live(document) for group in documents for document in group]
        (deployment,) = [each for each in found if each["kind"] == "Deployment"]
        current = make.replica_set(deployment)
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        current["metadata"]["labels"].update(deployment["spec"]["selector"]["matchLabels"])
        running = make.pod(current, image)
        running["spec"]["containers"][0]["name"] = "podinfo"
        sources = [make.git_repository(), self.tree()]
        secrets = [self.secret(namespace) for namespace in ("default", "flux-system")]
        return found + sources + secrets + [current, running]

    def tree(self):
        source = dict(kind="GitRepository", name="flux-system")
        spec = dict(interval="1m0s", path="./components", prune=True, sourceRef=source)
        return make.git_kustomization(name="components", namespace="flux-system", spec=spec)

    def live(self, definition):
        metadata, kind = definition["metadata"], definition["kind"]
        metadata.update(uid=f"{kind}-{metadata['name']}", generation=1, namespace=metadata.get("namespace", "default"))
        definition["status"] = dict(observedGeneration=1, conditions=[make.ready()])
        if kind == "Deployment":
            metadata["annotations"] = {"deployment.kubernetes.io/revision": "2"}
            definition["status"].update(replicas=1, updatedReplicas=1, readyReplicas=1, availableReplicas=1)
        if kind == "Kustomization":
            names = [("apps", "Deployment"), ("", "Service")]
            entries = [dict(id=f"default_podinfo_{group}_{name}", v="v1") for group, name in names]
            definition["status"].update(inventory=dict(entries=entries))
        return definition

    def secret(self, namespace, password=ACCOUNTS["reader"]):
        plan = plan_secret(PULL, namespace, [PullAccount(self.registry.host, "reader", password)], None)
        found = json.loads(json.dumps(plan.definition))
        content = found.pop("stringData", {})
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        return dict(found, data=dict(found.get("data") or {}, **encoded))

    def options(self, **more):
        accounts = [dict(host=self.registry.host, username="reader", password=ACCOUNTS["reader"])]
        given = dict(names=["podinfo"], pull_accounts=accounts, registries=self.registries("reader"), **self.git())
        return dict(dict(given, kubeconfig=self.api.kubeconfig), **more)

    def look(self, **more):
        """What the module returns. It writes nothing and shows no secret."""
        self.flux_is_there()
        head, requests, writes = self.repository.head(), len(self.registry.requests()), len(self.api.writes)
        outcome = succeed("ocm_drift", self.options(**more))
        assert not outcome.result["changed"] and self.repository.head() == head and len(self.api.writes) == writes
        methods = {method for method, _path, _status in self.registry.requests()[requests:]}
        assert methods <= {"GET", "HEAD"}
        assert not [secret for secret in SECRETS if secret in outcome.output]
        return outcome.result

    def flux_is_there(self):
        """Flux has applied the newest commit."""
        revision = f"main@sha1:{self.repository.head()}"
        for each in self.api.cluster.objects:
            if each["kind"] == "GitRepository":
                each["status"]["artifact"] = dict(revision=revision)
            if each["kind"] == "Kustomization":
                each["status"].update(lastAppliedRevision=revision, lastAttemptedRevision=revision)

    def ids(self, **more):
        return [item["id"] for item in self.look(**more)["drift_items"]]

    def find(self, kind, name="podinfo", namespace="default"):
        for each in self.api.cluster.objects:
            own = each["metadata"]
            if (each["kind"], own["name"], own["namespace"]) == (kind, name, namespace):
                return each
        raise LookupError(kind)

    def remove(self, *place):
        self.api.cluster.objects.remove(self.find(*place))

    def edit(self, path, old, new):
        before = self.repository.files()[path]
        assert old in before
        self.repository.commit(self.folder / "person", {path: before.replace(old, new)}, subject="By hand")

    def forget_image(self):
        (manifests,) = self.registry.storage.glob("repositories/air-gapped/stefanprodan/podinfo/_manifests")
        for link in manifests.rglob("link"):
            link.unlink()

    def forget_layers_and_tag(self):
        """What is left of the image is its manifest."""
        (repository,) = self.registry.storage.glob("repositories/air-gapped/stefanprodan/podinfo")
        for link in (repository / "_layers").rglob("link"):
            link.unlink()
        for link in (repository / "_manifests" / "tags").rglob("link"):
            link.unlink()


@contextmanager
def run_estate(folder):
    """folder: an empty one."""
    with run_registry(folder / "registry", RegistryOptions(accounts=ACCOUNTS)) as registry:
        with run_git_server(folder / "server", "robot:git-password-1") as server:
            made = Estate(registry, server, folder)
            with made.api:
                yield made
