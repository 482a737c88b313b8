#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_drift
short_description: Hold an estate against the lock of what was delivered
version_added: 1.0.0
description:
  - Reads the locks that M(ocm.airgap.ocm_gitops) has committed, and compares with them the content of the private
    registry, the pull Secrets and ServiceAccounts, the Git tree, the objects in the cluster and the images in its pods.
  - Every difference is an item with a name that stays the same from run to run. Nothing is written, and no source of
    component versions is needed.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.git
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes
  - ocm.airgap.cluster.with_registries
options:
  names:
    description: The deliveries to look at, by their names.
    type: list
    elements: str
    required: true
  git_path:
    description: The folder in Git that holds the deliveries of this cluster.
    type: str
    default: ./components
  has_source:
    description: Whether there is a source to bring lost content back from. Without one, such items are not repairable.
    type: bool
    default: true
  scopes:
    description: What is compared.
    type: list
    elements: str
    choices: [registry, credentials, cluster, git, suspended]
    default: [registry, credentials, cluster, git, suspended]
  pull_accounts:
    description:
      - The accounts that belong into the pull Secrets. Without any, it is only looked at whether the Secrets are there
        and a kubelet can use them.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The registry, C(host[:port][/path]).
        type: str
        required: true
      username:
        description: The account's name.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  git_url:
    description: The Git repository.
    type: str
    required: true
  flux_source:
    description: The GitRepository by which Flux reads it.
    type: str
    default: flux-system
  flux_kustomization:
    description: The Kustomization by which Flux applies it.
    type: str
    default: components
  flux_namespace:
    description: The namespace of both.
    type: str
    default: flux-system
seealso:
  - module: ocm.airgap.ocm_gitops
  - module: ocm.airgap.ocm_rollout_info
"""

EXAMPLES = r"""
- name: See what has changed since the delivery
  ocm.airgap.ocm_drift:
    names: [podinfo]
    git_url: https://git.example.com/team/estate.git
    git_username: robot
    git_password: "{{ git_password }}"
    registries:
      - host: registry.example.com
        username: robot-pull
        password: "{{ pull_password }}"
  register: drift

- name: Tell it
  ansible.builtin.debug:
    msg: "{{ drift.drift_items }}"
"""

RETURN = r"""
drift:
  description: Whether anything differs.
  returned: success
  type: bool
  sample: true
commit:
  description: The commit whose locks were compared.
  returned: success
  type: str
  sample: 0a8f1d6ec0e4ec5bb3bdf0ee4be0a1a0dba1c9d2
drift_items:
  description: What differs.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The item's name, the same in every run for the same difference.
      type: str
      returned: always
      sample: cluster:Deployment default/podinfo
    scope:
      description: The scope that it belongs to.
      type: str
      returned: always
      sample: cluster
    object:
      description: What differs.
      type: str
      returned: always
      sample: Deployment default/podinfo
    expected:
      description: What should be there.
      type: str
      returned: always
      sample: as it is in apps/podinfo/deployment.yaml
    found:
      description: What is there.
      type: str
      returned: always
      sample: "spec.replicas: 3, wanted 1"
    name:
      description: The delivery that it belongs to, empty for what several share.
      type: str
      returned: always
      sample: podinfo
    file:
      description: The file of the Git tree that differs, empty outside of the scope C(git).
      type: str
      returned: always
      sample: ""
    repairable:
      description: Whether it can be put right.
      type: bool
      returned: always
      sample: true
    obstacle:
      description: Why it cannot, else empty.
      type: str
      returned: always
      sample: ""
    blocked_by:
      description:
        - The id of the item of what is suspended, where nothing but that keeps this one from being put right, else
          empty.
      type: str
      returned: always
      sample: ""
    text:
      description: All of that in one sentence.
      type: str
      returned: always
      sample: "Service default/podinfo: missing, expected as it is in apps/podinfo/service.yaml."
    keepers:
      description:
        - The objects of Flux and ocm-controller that put it right when they are asked in this order, with the
          C(api_version), C(kind), C(namespace) and C(name) of each, and C(anew) for a ComponentVersion that has to be
          read anew (M(ocm.airgap.ocm_reconcile)).
        - Empty where that is not how it is put right.
      type: list
      elements: dict
      returned: always
      sample:
        - api_version: kustomize.toolkit.fluxcd.io/v1
          kind: Kustomization
          namespace: flux-system
          name: podinfo
          anew: false
deliveries:
  description: The deliveries that were compared, as their locks have them.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the delivery.
      type: str
      returned: always
      sample: podinfo
    component:
      description: The component's name.
      type: str
      returned: always
      sample: example.org/podinfo
    version:
      description: The exact version.
      type: str
      returned: always
      sample: 6.3.5
    repository:
      description: The registry that the cluster reads.
      type: str
      returned: always
      sample: registry.example.com/air-gapped
    delivery:
      description: How it is delivered, V(controller) or V(rendered).
      type: str
      returned: always
      sample: controller
    namespace:
      description: The namespace of ocm-controller's objects.
      type: str
      returned: always
      sample: ocm-system
    target_namespace:
      description: The namespace of the workload.
      type: str
      returned: always
      sample: default
    lock:
      description: The path of the lock in Git.
      type: str
      returned: always
      sample: components/podinfo/ocm-airgap.lock.json
    images:
      description: The references of its images.
      type: list
      elements: str
      returned: always
      sample:
        - "registry.example.com/podinfo:6.3.5@sha256:b925b0d087e0bd53ad030cd4f6a820fe6ff2638b39953e245eb109ed62281e8c"
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.drift import drift
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.git import git_arguments
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module


def main() -> None:
    account = dict(
        host=dict(type="str", required=True),
        username=dict(type="str", required=True),
        password=dict(type="str", required=True, no_log=True),
    )
    arguments = dict(
        names=dict(type="list", elements="str", required=True),
        git_path=dict(type="str", default="./components"),
        has_source=dict(type="bool", default=True),
        scopes=dict(
            type="list",
            elements="str",
            choices=["registry", "credentials", "cluster", "git", "suspended"],
            default=["registry", "credentials", "cluster", "git", "suspended"],
        ),
        pull_accounts=dict(type="list", elements="dict", default=[], options=account),
        git_url=dict(type="str", required=True),
        flux_source=dict(type="str", default="flux-system"),
        flux_kustomization=dict(type="str", default="components"),
        flux_namespace=dict(type="str", default="flux-system"),
        **git_arguments(),
        **connection_arguments(),
    )
    run_registry_module(arguments, drift, libraries())


if __name__ == "__main__":
    main()
