# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tenth trap: ocm-controller and its successor own a definition of the same name with different schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..ansible_run import Ansible, Run
from ..estate import Cluster

GROUP = "delivery.ocm.software"
NAME = f"resources.{GROUP}"


def definition(kind: str, field: str) -> dict[str, Any]:
    """A definition of that group whose objects refer to their source by the field."""
    plural = f"{kind.lower()}s"
    spec = {"type": "object", "required": [field], "properties": {field: {"type": "object"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    metadata = {"name": f"{plural}.{GROUP}"}
    kinds = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": kinds,
    }


@pytest.fixture
def successor(cluster: Cluster) -> Iterator[list[dict[str, Any]]]:
    """The cluster has the successor's definitions, and afterwards none of that group."""
    given = [definition("Resource", "componentRef"), definition("Component", "repositoryRef")]
    cluster.apply(*given)
    cluster.kubectl("wait", "crd", NAME, "--for=condition=Established")
    yield given
    cluster.kubectl("delete", "crd", *(each["metadata"]["name"] for each in given))


def install(ansible: Ansible, folder: Path) -> Run:
    """The role, with ocm-controller's own definition of that name and nothing else."""
    manifests = folder / "ocm-controller.yaml"
    manifests.write_text(json.dumps(definition("Resource", "sourceRef")), encoding="utf-8")
    variables = {"ocm_controller_manifests": str(manifests), "ocm_controller_wait": False, "ocm_controller_force": True}
    role = {"ansible.builtin.include_role": {"name": "ocm.airgap.ocm_controller"}, "vars": variables}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    file = folder / "install.yml"
    file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": python, "tasks": [role]}]))
    return ansible.playbook(str(file), {})


def fields(cluster: Cluster) -> set[str]:
    (version,) = cluster.get("crd", NAME)["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


def test_trap_10_both_are_never_in_one_cluster(
    cluster: Cluster, ansible: Ansible, successor: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = cluster.get("namespace", "ocm-system")
    run = install(ansible, tmp_path).must_fail()
    assert "successor" in run.failure and NAME in run.failure and "Use another cluster" in run.failure
    assert fields(cluster) == {"componentRef"}
    assert cluster.get("namespace", "ocm-system") == before, "it was begun"

    # Who looks for what ocm-controller would have made is told the same.
    where = {"namespace": "default", "name": "podinfo", "try_images": False}
    seen = ansible.module("ocm_rollout_info", where).must_succeed()
    remedies = " ".join(each["remedy"] for each in seen.tasks[-1].result["diagnosis"])
    assert "successor" in remedies and "Never install both" in remedies
