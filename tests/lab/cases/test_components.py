# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Components of other shapes than the guide's, and the other ways to bring them into a cluster."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .. import git_ssh
from .ansible_run import Ansible
from .conftest import deliveries
from .estate import Cluster, Lab
from .site import PODINFO, Site

PUBLIC_IMAGE = "ghcr.io/stefanprodan/podinfo:6.3.5"
# It is on the node, whose sandboxes are made of it: pods that name it run, though no registry has it.
FOREIGN_IMAGE = "lab.test/pause:1"
UP_TO_GIT = "preflight,transfer,gitops"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      containers:
        - name: {name}
          image: {image}
"""
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
    "values.yaml": """\
image:
  repository: ghcr.io/stefanprodan/podinfo
  tag: 6.3.5
worker:
  image: ghcr.io/stefanprodan/podinfo:6.3.5
""",
    "templates/web.yaml": DEPLOYMENT.format(
        name="web", image='"{{ .Values.image.repository }}:{{ .Values.image.tag }}"'
    ),
    "templates/worker.yaml": DEPLOYMENT.format(name="worker", image='"{{ .Values.worker.image }}"'),
}
# The guide's files, after both guides, with names that are ours alone.
GUIDE = {
    "component_version.yaml": """\
apiVersion: delivery.ocm.software/v1alpha1
kind: ComponentVersion
metadata:
  name: {name}
  namespace: {namespace}
spec:
  interval: 1m0s
  component: example.org/podinfo
  version:
    semver: ">=v6.3.5"
  repository:
    url: ghcr.io/phoban01/air-gapped
  serviceAccountName: {account}
""",
    "resource.yaml": """\
apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata:
  name: {name}-deployment
  namespace: {namespace}
spec:
  interval: 1m0s
  sourceRef:
    kind: ComponentVersion
    name: {name}
    resourceRef:
      name: deployment
      version: latest
""",
    "localization.yaml": """\
apiVersion: delivery.ocm.software/v1alpha1
kind: Localization
metadata:
  name: {name}-deployment
  namespace: {namespace}
spec:
  interval: 5m
  sourceRef:
    kind: Resource
    name: {name}-deployment # this is the podinfo deployment manifest resource we created previously
  configRef:
    kind: ComponentVersion
    name: {name}
    resourceRef:
      name: config # here we reference the resource containing localization rules
""",
    "deployer.yaml": """\
apiVersion: delivery.ocm.software/v1alpha1
kind: FluxDeployer
metadata:
  name: {name}
  namespace: {namespace}
spec:
  sourceRef:
    kind: Localization
    name: {name}-deployment
  kustomizationTemplate:
    interval: 1m0s
    path: ./
    prune: true
    targetNamespace: default
""",
    "service_account.yaml": """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {account}
  namespace: {namespace}
imagePullSecrets:
- name: ghcr-cred
""",
}

# Adds one file to main, the first time that it is asked for it.
SOMEBODY = """\
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
cd {bare} && ! git cat-file -e "main:$1" 2>/dev/null || exit 0
content=$(echo "$1" | git hash-object -w --stdin)
tree=$({{ git ls-tree main; printf '100644 blob %s\\t%s\\n' "$content" "$1"; }} | git mktree)
export GIT_AUTHOR_NAME=Somebody GIT_AUTHOR_EMAIL=somebody@git.test
export GIT_COMMITTER_NAME=Somebody GIT_COMMITTER_EMAIL=somebody@git.test
git update-ref refs/heads/main "$(git commit-tree "$tree" -p main -m "By hand: $1")"
"""


@dataclass(frozen=True)
class Image:
    """podinfo's image, in an archive of its own. digest: as the transfer keeps it."""

    archive: Path
    digest: str

    def resource(self) -> dict[str, Any]:
        """As a resource of a component."""
        given = {"type": "ociArtifact", "path": str(self.archive), "repository": "/stefanprodan/podinfo"}
        return {"name": "image", "type": "ociImage", "version": "6.3.5", "input": given}

    def at(self, target: str) -> str:
        """As a node names it that has pulled it from the private registry."""
        return f"{target}/stefanprodan/podinfo@{self.digest}"


@pytest.fixture(scope="session")
def published() -> str:
    """podinfo in an archive: other cases switch the public registry off."""
    return str(Path(__file__).resolve().parents[3] / "playbooks" / "files" / "podinfo")


@pytest.fixture(scope="session")
def image(ansible: Ansible, published: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    archive = tmp_path_factory.mktemp("image") / "podinfo.tgz"
    wanted = {"repository": published, "component": PODINFO, "version": "6.3.5", "resource": "image"}
    run = ansible.module("ocm_resource", {**wanted, "dest": str(archive)}).must_succeed()
    return Image(archive, run.tasks[-1].result["digest"])


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def manifests(folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """A folder of manifests as a resource."""
    given = {"type": "dir", "path": str(write_files(folder, files))}
    return {"name": "deployment", "type": "directoryTree", "input": given}


def rules(*localization: Mapping[str, Any]) -> dict[str, Any]:
    """Localization rules as a resource."""
    content = {
        "apiVersion": "config.ocm.software/v1alpha1",
        "kind": "ConfigData",
        "metadata": {"name": "rules"},
        "localization": [{"name": "image", "resource": {"name": "image"}, **rule} for rule in localization],
    }
    given = {"type": "utf8", "text": json.dumps(content), "mediaType": "text/plain"}
    return {"name": "config", "type": "PlainText", "input": given}


def publish(site: Site, source: str, components: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Makes the components, and a repository with them the site's source. components: name -> resources."""
    site.source = source
    constructor = {
        "components": [
            {"name": name, "version": "1.0.0", "provider": {"name": "example.org"}, "resources": list(resources)}
            for name, resources in components.items()
        ]
    }
    wanted = {"repository": site.source, "constructor": constructor}
    registries = [site.lab.push.at(site.lab.private)]
    site.ansible.module("ocm_component", {**wanted, "registries": registries}).must_succeed()


def write_program(file: Path, script: str) -> Path:
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def write_hook(site: Site, name: str, script: str) -> None:
    folder = site.repository.bare / "hooks"
    folder.mkdir(exist_ok=True)
    write_program(folder / name, script)


def pull_secrets(cluster: Cluster, namespace: str) -> list[Any]:
    """The names of the pull secrets of every pod."""
    specs = [pod["spec"] for pod in cluster.pods(namespace)]
    return [[secret["name"] for secret in spec.get("imagePullSecrets", [])] for spec in specs]


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestTwoComponents:
    """A Helm chart, and manifests without rules: in one run and one tree, each with a namespace of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def both(cls, site: Site) -> dict[str, Any]:
        chart, plain = ({"version": "1.0.0", "target_namespace": f"{site.name}-{name}"} for name in ("chart", "plain"))
        chart.update(component="example.org/chart", name=f"{site.name}-chart", manifests="chart")
        plain.update(component="example.org/plain", name=f"{site.name}-plain")
        return {"component": None, "version": None, "name": None, "components": [chart, plain]}

    def test_both_run_from_the_private_registry(
        self, lab: Lab, cluster: Cluster, site: Site, image: Image, both: dict[str, Any]
    ) -> None:
        origin = f"{lab.private}/{site.name}-origin"
        chart = {"type": "helm", "path": str(write_files(site.folder / "web", CHART)), "repository": "/charts/web"}
        repository_and_tag = {"fullyQualifiedRepository": "image.repository", "tag": "image.tag", "file": "values.yaml"}
        plain = {
            "origin.yaml": DEPLOYMENT.format(name="origin", image=f"{origin}/stefanprodan/podinfo:6.3.5"),
            "public.yaml": DEPLOYMENT.format(name="public", image=PUBLIC_IMAGE),
        }
        components = {
            "example.org/chart": [
                image.resource(),
                {"name": "chart", "type": "helmChart", "version": "1.2.3", "input": chart},
                rules(repository_and_tag, {"image": "worker.image", "file": "web/values.yaml"}),
            ],
            "example.org/plain": [image.resource(), manifests(site.folder / "plain", plain)],
        }
        publish(site, origin, components)
        site.deliver(**both).must_succeed()
        for namespace in (f"{site.name}-chart", f"{site.name}-plain"):
            assert cluster.images(namespace) == 2 * [image.at(site.target)]
            assert pull_secrets(cluster, namespace) == 2 * [[f"{site.name}-pull"]]
        web = cluster.get("deployment", "web", f"{site.name}-chart")["spec"]["template"]["spec"]["containers"][0]
        assert web["image"] == f"{site.target}/stefanprodan/podinfo:6.3.5"

    def test_the_tree_holds_both(self, site: Site, image: Image, delivery: str) -> None:
        chart, plain = (
            json.loads(site.repository.read(f"components/{site.name}-{name}/ocm-airgap.lock.json"))
            for name in ("chart", "plain")
        )
        assert [lock["component"] for lock in (chart, plain)] == ["example.org/chart", "example.org/plain"]
        assert all(image.digest in [entry["digest"] for entry in lock["images"]] for lock in (chart, plain))
        kinds = {entry["kind"] for entry in chart["objects"]}
        if delivery == "rendered":
            assert kinds == {"OCIRepository", "HelmRelease"}
            assert f"image: {site.target}/" in site.repository.read(f"apps/{site.name}-plain/public.yaml")
        else:
            assert kinds == {"ServiceAccount", "ComponentVersion", "Resource", "FluxDeployer"}

    def test_a_second_run_changes_nothing(self, site: Site, both: dict[str, Any]) -> None:
        watch = site.watch()
        site.deliver(**both).must_change_nothing()
        assert watch.requests() and watch.changes() == []


class TestForeignImage:
    """A component with rules for one of its two images."""

    def test_it_is_refused_before_anything_is_committed(self, cluster: Cluster, site: Site, image: Image) -> None:
        files = {
            "web.yaml": DEPLOYMENT.format(name="web", image=PUBLIC_IMAGE),
            "helper/helper.yaml": DEPLOYMENT.format(name="helper", image=FOREIGN_IMAGE),
        }
        rule = {"image": "spec.template.spec.containers[0].image", "file": "web.yaml"}
        resources = [image.resource(), manifests(site.folder / "files", files), rules(rule)]
        publish(site, str(site.folder / "published"), {PODINFO: resources})
        commits = site.repository.commits()
        run = site.deliver("--tags", UP_TO_GIT, version="1.0.0").must_fail()
        for told in ("helper/helper.yaml", "spec.template.spec.containers[0].image", FOREIGN_IMAGE, "Add rules"):
            assert told in run.failure, run.failure
        assert "ocm_airgap_foreign_images" in run.failure
        assert site.repository.commits() == commits
        assert cluster.get("gitrepository", site.name, "flux-system") == {}

    def test_with_a_warning_it_goes_on(self, cluster: Cluster, site: Site, image: Image) -> None:
        run = site.deliver(version="1.0.0", foreign_images="warn").must_succeed()
        assert "[WARNING]: Images that no rule brings to the private registry" in run.output
        images = {name.partition("@")[0]: name for name in cluster.images(site.namespace)}
        assert images.pop(f"{site.target}/stefanprodan/podinfo") == image.at(site.target)
        assert list(images) == [FOREIGN_IMAGE.partition(":")[0]]


@pytest.mark.parametrize("delivery", deliveries()[-1:], indirect=True, scope="class")
class TestGuidesOwnFiles:
    """A Git repository in which somebody has done both guides by hand."""

    @pytest.fixture(scope="class")
    @classmethod
    def guide(cls, site: Site) -> dict[str, str]:
        name, account = f"{site.name}-podinfo", f"{site.name}-ops"
        words = {"name": name, "account": account, "namespace": site.controller_namespace}
        return {f"components/{file}": text.format(**words) for file, text in GUIDE.items()}

    def test_they_are_not_touched_unasked(self, site: Site, published: str, guide: dict[str, str]) -> None:
        site.source = published
        head = site.repository.commit(guide)
        run = site.deliver("--tags", UP_TO_GIT, delivery="controller").must_fail()
        assert "lies in components/" in run.failure and "ocm_airgap_git_adopt" in run.failure, run.failure
        assert any(f"lies in {file} " in run.failure for file in guide)
        assert site.repository.head() == head

    def test_they_are_rewritten_where_they_lie(
        self, lab: Lab, cluster: Cluster, site: Site, image: Image, guide: dict[str, str]
    ) -> None:
        phases = [] if lab.ocm_controller else ["--tags", UP_TO_GIT]
        site.deliver(*phases, delivery="controller", git_adopt=True).must_succeed()
        assert site.repository.files() == sorted([*guide, f"components/{site.name}-podinfo/ocm-airgap.lock.json"])
        for file, told in {
            "component_version": f"url: {site.target}",
            "resource": f"name: {site.name}-podinfo-",
            "localization": f"name: {site.name}-podinfo-",
            "deployer": f"targetNamespace: {site.namespace}",
            "service_account": f"name: {site.name}-pull",
        }.items():
            assert told in site.repository.read(f"components/{file}.yaml")
        if lab.ocm_controller:
            assert cluster.images(site.namespace) == [image.at(site.target)]


@pytest.mark.parametrize("delivery", deliveries()[-1:], indirect=True, scope="class")
class TestPullSecret:
    """How pods come to the pull secret, when no patch brings it."""

    def test_by_the_default_service_account(
        self, cluster: Cluster, site: Site, image: Image, published: str
    ) -> None:
        site.source = published
        site.deliver(pull_secret_by="service_account").must_succeed()
        assert cluster.images(site.namespace) == [image.at(site.target)]
        account = cluster.get("serviceaccount", "default", site.namespace)
        assert account["imagePullSecrets"] == [{"name": f"{site.name}-pull"}]

    def test_by_the_values_of_the_component(self, cluster: Cluster, site: Site, image: Image) -> None:
        secret = f"{site.name}-pull"
        values = {
            "secret": {"imagePullSecrets": [{"name": secret}]},
            "account": {"serviceAccountName": "puller"},
        }
        components = [
            {"name": f"{site.name}-{way}", "target_namespace": f"{site.name}-{way}", "values": values[way]}
            for way in values
        ]
        target = f"{site.target}/values"
        site.deliver(pull_secret_by="configuration", name=None, components=components, target=target).must_succeed()
        for way in values:
            assert cluster.images(f"{site.name}-{way}") == [image.at(target)]
            assert pull_secrets(cluster, f"{site.name}-{way}") == [[secret]]
            assert "imagePullSecrets" not in cluster.get("serviceaccount", "default", f"{site.name}-{way}")


@pytest.mark.parametrize("delivery", deliveries(), indirect=True, scope="class")
class TestWithoutGit:
    """The objects are applied to the cluster itself."""

    def test_pods_run(self, cluster: Cluster, site: Site, image: Image, published: str) -> None:
        site.source = published
        site.deliver(git_url="").must_succeed()
        assert cluster.images(site.namespace) == [image.at(site.target)]
        assert pull_secrets(cluster, site.namespace) == [[f"{site.name}-pull"]]
        assert cluster.get("gitrepository", site.name, "flux-system") == {}

    def test_a_second_run_changes_nothing(self, site: Site) -> None:
        watch = site.watch()
        run = site.deliver(git_url="").must_change_nothing()
        assert run.named("Check that every pod runs, from the private registry")
        assert watch.requests() and watch.changes() == []


class TestGitOverSsh:
    """A key instead of a password, for the collection and for Flux."""

    @pytest.fixture(scope="class")
    @classmethod
    def login(cls, lab: Lab, site: Site) -> dict[str, Any]:
        """The variables that differ."""
        key, hosts = (lab.git_ssh_keys / name for name in (git_ssh.CLIENT_KEY, git_ssh.KNOWN_HOSTS))
        for line in key.read_text(encoding="ascii").splitlines()[1:-1]:
            site.ansible.secrets.add(line)
        url = f"{lab.git_ssh_url}/{site.repository.bare.name}"
        given = {"git_url": url, "git_ssh_key": str(key), "git_known_hosts": str(hosts)}
        return {**given, "git_username": None, "git_password": None}

    def test_a_server_with_another_key_is_not_talked_to(
        self, site: Site, published: str, login: dict[str, Any]
    ) -> None:
        site.source = published
        other = site.folder / "known_hosts"
        keys = Path(login["git_known_hosts"]).with_name(git_ssh.CLIENTS).read_text(encoding="ascii")
        address = Path(login["git_known_hosts"]).read_text(encoding="ascii").split()[0]
        other.write_text(f"{address} {keys}", encoding="ascii")
        run = site.deliver("--tags", UP_TO_GIT, **{**login, "git_known_hosts": str(other)}).must_fail()
        assert "Host key verification failed" in run.failure and "git_known_hosts" in run.failure, run.failure

    def test_pods_run(self, cluster: Cluster, site: Site, image: Image, login: dict[str, Any]) -> None:
        site.deliver(**login).must_succeed()
        assert cluster.images(site.namespace) == [image.at(site.target)]
        assert set(cluster.get("secret", f"{site.name}-git", "flux-system")["data"]) == {"identity", "known_hosts"}


class TestOthersInGit:
    """A branch that is protected, and somebody else who pushes as well."""

    def test_it_stops_after_the_push_and_says_what_to_merge(
        self, cluster: Cluster, site: Site, published: str
    ) -> None:
        site.source = published
        write_hook(site, "update", 'test "$1" != refs/heads/main')
        head = site.repository.head()
        run = site.deliver(git_push_branch="delivery").must_succeed()
        assert "Merge the branch delivery into main" in run.output
        assert site.repository.head() == head
        assert f"components/{site.name}-podinfo/ocm-airgap.lock.json" in site.repository.files("delivery")
        assert not run.named("Have Flux apply the commit") and cluster.pods(site.namespace) == []

    def test_after_the_merge_the_same_command_finishes(self, cluster: Cluster, site: Site, image: Image) -> None:
        site.repository.git("update-ref", "refs/heads/main", "refs/heads/delivery")
        site.deliver(git_push_branch="delivery").must_succeed()
        assert cluster.images(site.namespace) == [image.at(site.target)]

    def test_it_commits_anew_on_what_somebody_pushed_first(self, lab: Lab, site: Site) -> None:
        """Once before the server hears of the push, and once while it takes it."""
        bare, before = site.repository.bare, site.repository.commits()
        somebody = write_program(site.folder / "somebody", SOMEBODY.format(bare=bare))
        first = f'case " $* " in *" push "*) {somebody} first;; esac; exec git "$@"'
        (bare / "hooks" / "update").unlink()
        write_hook(site, "pre-receive", f"{somebody} second")
        wanted = {
            "components": [{"component": PODINFO, "version": "6.3.5", "repository": site.target, "interval": "7s"}],
            "registries": [lab.pull.at(lab.private)],
            "git_url": site.repository.url,
            "git_username": lab.git.user,
            "git_password": lab.git.password,
            "git_executable": str(write_program(site.folder / "git-and-somebody", first)),
        }
        run = site.ansible.module("ocm_gitops", wanted).must_succeed()
        assert run.tasks[-1].result["commit"] == site.repository.head()
        assert site.repository.commits() == before + 3
        assert {"first", "second", "components/podinfo/ocm-airgap.lock.json"} <= set(site.repository.files())
