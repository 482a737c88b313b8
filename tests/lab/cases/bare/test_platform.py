# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The platform, from its component on the open side to controllers that run in an empty cluster, deliver, and go again.

One story: what is built on the open side starts a machine that has nothing, fills the private registry and the cluster.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..ansible_run import Ansible, Run
from ..estate import Cluster, Lab, until
from ..site import TLS, Site
from . import far_side
from .platform_parts import (
    CLUSTER_REGISTRY,
    CLUSTER_REGISTRY_PORT,
    FLUX,
    Images,
    Object,
    accounts_in,
    cluster_registry_configuration,
    decoded,
    flux_manifests,
    libraries,
    ocm_controller_manifests,
    run,
)

REPOSITORY = Path(__file__).resolve().parents[4]
PLATFORM = "example.com/airgap/platform"
# What the import needs; the roles for the cluster need kubernetes and cryptography as well.
PACKAGES = ["ansible-core", "oras", "PyYAML", "jsonpath-ng", "jsonschema", "requests"]
# Not among our programs, or of no use here.
LEFT_OUT = ("execution-environment", "notification-controller")
AUTHORITIES = "/etc/ssl/certs/ocm-airgap-ca.pem"

SNAPSHOT: Object = {
    "apiVersion": "delivery.ocm.software/v1alpha1",
    "kind": "Snapshot",
    "metadata": {"name": "held", "namespace": "deployers", "finalizers": ["finalizers.snapshot.ocm.software"]},
    "spec": {"identity": {}, "digest": "", "tag": ""},
}


class Open:
    """The open side: docs/platform, filled as the guide says, but for what would need the internet."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.images = Images(lab, folder)
        self.controller = os.environ["LAB_OCM_CONTROLLER"]
        shutil.copytree(REPOSITORY / "docs" / "platform", folder, dirs_exist_ok=True)
        constructor = yaml.safe_load((folder / "component-constructor.yaml").read_text(encoding="utf-8"))
        (component,) = constructor["components"]
        component["resources"] = [each for each in component["resources"] if each["name"] not in LEFT_OUT]
        self.version = component["version"]
        #: resource -> image as the manifests of the real parts name it
        self.names: dict[str, str] = {}
        for resource in component["resources"]:
            if "access" in resource:
                self._move(resource)
        (folder / "component-constructor.yaml").write_text(yaml.safe_dump(constructor), encoding="utf-8")
        self._write_manifests()

    def path(self, resource: str) -> str:
        """Repository and tag of an image."""
        return self.names[resource].partition("/")[2]

    def flux(self) -> list[str]:
        """Those of Flux's images."""
        return [self.path(name) for name in FLUX]

    def _move(self, resource: Object) -> None:
        """Makes the image of a resource, in the public registry rather than where it is in the world."""
        name, access = resource["name"], resource["access"]
        self.names[name] = access["imageReference"]
        programs, user = self._programs(name)
        access["imageReference"] = self.images.push(self.path(name), programs, user)

    def _programs(self, name: str) -> tuple[list[Path], str]:
        if name == "registry":
            return [self.lab.binaries / name, cluster_registry_configuration(self.folder)], "0:0"
        if name == "ocm-controller" and self.controller:
            return [Path(self.controller), *libraries(Path(self.controller))], "65534:65534"
        return [self.lab.binaries / ("pause" if name == "ocm-controller" else name)], "65534:65534"

    def _write_manifests(self) -> None:
        both = (self.names["ocm-controller"], "registry:3")  # the chart says it so
        texts = {"flux": flux_manifests(self.names), "ocm-controller": ocm_controller_manifests(both, self.controller)}
        for name, text in texts.items():
            (self.folder / "manifests" / name).mkdir(parents=True)
            (self.folder / "manifests" / name / "install.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="class")
def opened(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Open:
    return Open(lab, tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="class")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of a machine behind the gap."""
    folder = tmp_path_factory.mktemp("far")
    yield folder
    shutil.rmtree(folder)


def platform(lab: Lab, site: Site, *parts: str, **more: Any) -> dict[str, Any]:
    """Variables of site that install parts of the platform out of the private registry."""
    component = {"repository": f"{lab.private}/air-gapped", "component": PLATFORM, "version": "1.0.0"}
    authority = lab.authority.read_text(encoding="utf-8")
    options = {**component, "ca_data": authority, "wait_timeout": 120}
    roles = {f"{role}_{name}": value for role in ("flux", "ocm_controller") for name, value in options.items()}
    return {**site.variables(install=list(parts), pull_secret=None, **more), **roles}


def containers(deployment: Object) -> list[Object]:
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def images(cluster: Cluster, namespace: str) -> list[str]:
    """The images that the Deployments name."""
    deployments = cluster.list("deployments", namespace)
    return sorted(entry["image"] for deployment in deployments for entry in containers(deployment))


@functools.cache
def podinfo_image(site: Site) -> str:
    """The image that has to run."""
    return site.image("6.3.5")


def definitions(cluster: Cluster, group: str) -> list[Object]:
    found = cluster.list("customresourcedefinitions")
    return [each for each in found if each["spec"]["group"].endswith(group)]


def served_certificate(authority: str) -> bytes:
    """The certificate that the registry in the cluster shows to somebody who trusts this authority."""
    context = ssl.create_default_context(cadata=authority)
    with socket.create_connection(("127.0.0.1", CLUSTER_REGISTRY_PORT), 5) as plain:
        with context.wrap_socket(plain, server_hostname=CLUSTER_REGISTRY) as connection:
            return connection.getpeercert(binary_form=True) or b""


class TestPlatform:
    """Open side, far side, cluster; and away again."""

    def test_the_component_is_built_as_documented(self, opened: Open, ansible: Ansible) -> None:
        folder = opened.folder
        for name in ("collections", "wheels"):
            (folder / name).mkdir()
        run("ansible-galaxy", "collection", "build", str(REPOSITORY), "--output-path", str(folder / "collections"))
        for collection in ("kubernetes.core", "community.crypto"):
            far_side.write_collection(collection, folder / "collections")
        far_side.write_wheels(PACKAGES, folder / "wheels")
        (folder / "wheels" / "requirements.txt").touch()  # nothing has to be fetched
        # The content is compressed already; a .tgz would be so twice.
        options = {"build_packages": PACKAGES, "build_archive": str(folder / "platform.tar")}
        done = ansible.playbook(str(folder / "build.yml"), options).must_succeed()
        (opened.folder / "digest").write_text(done.tasks[-1].result["msg"]["tell_by_another_way"], encoding="utf-8")

    def test_it_starts_a_machine_that_has_nothing(self, opened: Open, far: Path) -> None:
        for name in ("platform.tar", "bootstrap.py"):
            shutil.copy(opened.folder / name, far / name)
        digest = (opened.folder / "digest").read_text(encoding="utf-8")
        (far / "home").mkdir()
        nothing = {"HOME": str(far / "home"), "PATH": "/usr/bin:/bin", "TMPDIR": str(far), "PIP_NO_COMPILE": "1"}
        command = [os.path.realpath(sys.executable), "-I", "-S", str(far / "bootstrap.py"), str(far / "platform.tar"), str(far / "platform")]
        run(*command, "--digest", digest, "--venv", str(far / "ansible"), environment=nothing)

    def test_with_that_the_archive_comes_into_the_private_registry(
        self, lab: Lab, opened: Open, far: Path, ansible: Ansible
    ) -> None:
        variables = {
            "ocm_airgap_archive": str(far / "platform.tar"),
            "ocm_airgap_target": f"{lab.private}/air-gapped",
            "ocm_airgap_registries": [lab.push.at(lab.private)],
        }
        there = {"PATH": f"{far}/ansible/bin:/usr/bin:/bin", "ANSIBLE_COLLECTIONS_PATH": f"{far}/ansible/collections"}
        with lab.without("public"):
            ansible.playbook("ocm.airgap.import", variables, environment=there).must_succeed()

    def test_check_mode_on_the_empty_cluster_says_what_would_be_done(
        self, lab: Lab, cluster: Cluster, site: Site, ansible: Ansible
    ) -> None:
        audit, registry, commits = lab.log("audit"), lab.log("private"), site.repository.commits()
        variables = platform(lab, site, "flux", "ocm_controller")
        done = ansible.playbook("ocm.airgap.site", variables, "--check").must_succeed()
        said = "\n".join(str(task.result.get("msg")) for task in done.named("missing namespace flux-system"))
        assert "Deployment source-controller" in said, said
        assert "apply the definitions of flux" in " ".join(done.states("changed"))
        assert (audit.changes(), registry.writes(), site.repository.commits()) == ([], [], commits)
        assert cluster.get("namespace", "flux-system") == {} == cluster.get("namespace", "ocm-system")

    def test_one_command_installs_flux_from_a_file_and_delivers_with_it(
        self, lab: Lab, cluster: Cluster, opened: Open, site: Site, ansible: Ansible
    ) -> None:
        manifests = {"flux_manifests": str(opened.folder / "manifests" / "flux"), "flux_component": ""}
        where = {"flux_repository": "", "flux_registry": f"{lab.private}/air-gapped"}
        ansible.playbook("ocm.airgap.site", {**platform(lab, site, "flux"), **manifests, **where}).must_succeed()
        assert images(cluster, "flux-system") == sorted(opened.images.private(path, False) for path in opened.flux())
        assert cluster.images(site.namespace) == [podinfo_image(site)]
        for each in definitions(cluster, "toolkit.fluxcd.io"):
            assert {"Established"} <= {one["type"] for one in each["status"]["conditions"] if one["status"] == "True"}
        assert len(cluster.pods("flux-system")) == len(FLUX) == len(cluster.images("flux-system"))
        secret = cluster.get("secret", "ocm-airgap-pull", "flux-system")
        assert accounts_in(secret) == {lab.private: lab.pull.user}
        assert cluster.get("networkpolicy", "allow-ocm-controller", "flux-system")["spec"]["ingress"][0]["from"]
        assert len(cluster.list("networkpolicies", "flux-system")) == 4

    def test_one_command_updates_flux_and_installs_ocm_controller(
        self, lab: Lab, cluster: Cluster, opened: Open, site: Site, ansible: Ansible
    ) -> None:
        self._install_ocm_controller(lab, site, ansible, opened)
        # The component knows the digests of its images.
        assert images(cluster, "flux-system") == sorted(map(opened.images.private, opened.flux()))
        names = ("ocm-controller", "registry")
        assert images(cluster, "ocm-system") == sorted(opened.images.private(opened.path(name)) for name in names)
        secret = cluster.get("secret", TLS, "ocm-system")
        assert served_certificate(decoded(secret, "ca.crt"))
        copy = cluster.get("secret", TLS, "deployers")
        assert copy["data"] == {"ca.crt": secret["data"]["ca.crt"]}
        assert accounts_in(cluster.get("secret", "ocm-airgap-pull", "ocm-system")) == {lab.private: lab.pull.user}
        for each in cluster.list("deployments", "ocm-system"):
            assert AUTHORITIES in {mount["mountPath"] for mount in containers(each)[0]["volumeMounts"]}
        if opened.controller:
            assert cluster.images("controlled") == [podinfo_image(site)]

    @staticmethod
    def _install_ocm_controller(lab: Lab, site: Site, ansible: Ansible, opened: Open) -> Run:
        """Delivers by the controller if there is one. Its objects lie in a namespace of their own."""
        names = {"name": "controlled", "git_path": "./controlled", "flux_kustomization": "controlled"}
        where = {"delivery": "controller", "namespace": "deployers", "target_namespace": "controlled"}
        variables = platform(lab, site, "flux", "ocm_controller", **names, **where)
        phases = [] if opened.controller else ["--tags", "platform"]
        return ansible.playbook("ocm.airgap.site", variables, *phases).must_succeed()

    def test_a_second_run_changes_nothing(
        self, lab: Lab, cluster: Cluster, opened: Open, site: Site, ansible: Ansible
    ) -> None:
        audit, registry, commits = lab.log("audit"), lab.log("private"), site.repository.commits()
        self._install_ocm_controller(lab, site, ansible, opened).must_change_nothing()
        assert registry.requests(), "the registry was not asked at all"
        assert (audit.changes(), registry.writes(), site.repository.commits()) == ([], [], commits)

    def test_the_certificate_is_renewed_on_demand_and_served(
        self, lab: Lab, cluster: Cluster, opened: Open, site: Site, ansible: Ansible
    ) -> None:
        before = cluster.get("secret", TLS, "ocm-system")
        seen = served_certificate(decoded(before, "ca.crt"))
        variables = {**platform(lab, site, "ocm_controller", namespace="deployers"), "ocm_controller_rotate": True}
        done = ansible.playbook("ocm.airgap.site", variables, "--tags", "platform").must_succeed()
        after = cluster.get("secret", TLS, "ocm-system")
        assert after["data"]["tls.crt"] != before["data"]["tls.crt"]
        shown = served_certificate(decoded(before, "ca.crt"))
        assert shown == ssl.PEM_cert_to_DER_cert(decoded(after, "tls.crt")) != seen
        for key in (decoded(each, "tls.key") for each in (before, after)):
            assert key.splitlines()[1] not in done.output

    def test_flux_stays_while_ocm_controller_needs_it(self, lab: Lab, cluster: Cluster, ansible: Ansible) -> None:
        audit = lab.log("audit")
        run_ = ansible.playbook(self._removal(ansible, "flux"), {}).must_fail()
        assert "Remove it first (role ocm_controller)" in run_.failure
        assert audit.changes() == []

    def test_ocm_controller_goes_with_what_it_deployed(
        self, lab: Lab, cluster: Cluster, opened: Open, site: Site, ansible: Ansible
    ) -> None:
        timeout = 60
        if not opened.controller:  # what stands for it leaves finalizers where they are, like a controller that is dead
            timeout = 10
            cluster.apply(SNAPSHOT)
        else:  # otherwise Flux would write into the cluster again what Git holds
            held = ("kustomization.kustomize.toolkit.fluxcd.io/controlled", "--namespace=flux-system")
            cluster.kubectl("patch", *held, "--type=merge", '--patch={"spec":{"suspend":true}}')
        removal = self._removal(ansible, "ocm_controller")
        ansible.playbook(removal, {"ocm_controller_wait_timeout": timeout}).must_succeed()
        assert definitions(cluster, "delivery.ocm.software") == []
        assert cluster.list("deployments", "ocm-system") == [] == cluster.pods("ocm-system")
        assert cluster.get("secret", TLS, "ocm-system") == {} == cluster.get("secret", TLS, "deployers")
        until(lambda: cluster.pods("controlled") == [], 30, "what the FluxDeployer deployed is gone")
        assert cluster.images(site.namespace) == [podinfo_image(site)]

    def test_flux_goes_and_what_it_applied_stays(self, cluster: Cluster, site: Site, ansible: Ansible) -> None:
        pods = [pod["metadata"]["name"] for pod in cluster.pods(site.namespace)]
        ansible.playbook(self._removal(ansible, "flux"), {}).must_succeed()
        assert definitions(cluster, "toolkit.fluxcd.io") == []
        assert cluster.list("deployments", "flux-system") == [] == cluster.pods("flux-system")
        assert cluster.list("networkpolicies", "flux-system") == []
        assert cluster.get("clusterrolebinding", "cluster-reconciler-flux-system") == {}
        assert [pod["metadata"]["name"] for pod in cluster.pods(site.namespace)] == pods
        assert cluster.images(site.namespace) == [podinfo_image(site)]

    @staticmethod
    def _removal(ansible: Ansible, role: str) -> str:
        """A playbook that removes a part."""
        task = {"ansible.builtin.include_role": {"name": f"ocm.airgap.{role}"}, "vars": {f"{role}_state": "absent"}}
        play: Object = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        play |= {"vars": {"ansible_python_interpreter": sys.executable}, "tasks": [{"name": "Remove", **task}]}
        file = ansible.folder / f"remove-{role}.yml"
        file.write_text(yaml.safe_dump([play]), encoding="utf-8")
        return str(file)
