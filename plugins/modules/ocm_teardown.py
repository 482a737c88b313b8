#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_teardown
short_description: Remove from a cluster what deliveries have there
version_added: 1.0.0
description:
  - Removes the objects of deliveries by their record, and of what they share that which nothing else uses.
  - The record is the lock that M(ocm.airgap.ocm_gitops) took out of Git. It names the objects that were written.
    What Flux and ocm-controller have made of them is found by its owners, and by the labels of Flux on objects that
    Flux has applied. Without Git it is the label C(ocm.airgap/delivery).
  - What applies a workload goes first (FluxDeployer, Kustomization, HelmRelease), then the workload, then what it
    was made from (ComponentVersion, Resource, Localization, Configuration, Snapshot, OCIRepository).
  - With O(flux_kustomization) Flux is asked to apply O(revision) before anything is removed, so that it applies
    nothing of it again, and removes what it can. When nobody answers for 30 seconds, everything is removed without
    Flux. When Flux answers and does not get to that revision, the module fails.
  - Finalizers of Flux and ocm-controller that nobody takes away are taken away here. A controller has half of
    O(wait_timeout) for that when its Deployment is available in O(flux_namespace) or C(ocm-system), otherwise at
    most 30 seconds.
  - What a Kustomization or HelmRelease that a delivery brings has applied goes as well.
  - Objects with the annotation C(kustomize.toolkit.fluxcd.io/prune=disabled) or C(helm.sh/resource-policy=keep)
    stay, and Namespaces unless V(namespaces) is in O(scope). A warning names Namespaces that Flux removes all the
    same, because they lack that annotation.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.cluster
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes
options:
  deliveries:
    description: The deliveries that go.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the delivery.
        type: str
        required: true
      lock:
        description:
          - The lock, as RV(ocm.airgap.ocm_gitops#module:components[].lock) of M(ocm.airgap.ocm_gitops) with
            C(state=absent).
          - Without it the delivery is one that was applied without Git, O(deliveries[].delivery) is required, and
            the other options say how.
        type: dict
      sharing:
        description: What other deliveries in Git use as well, as RV(ocm.airgap.ocm_gitops#module:components[].sharing).
        type: dict
      delivery:
        description: Who localized the manifests of a delivery without Git, ocm-controller or M(ocm.airgap.ocm_gitops).
        type: str
        choices: [controller, rendered]
      namespace:
        description: The namespace of ocm-controller's objects.
        type: str
        default: ocm-system
      target_namespace:
        description: The namespace of the workload.
        type: str
        default: default
      flux_namespace:
        description: The namespace of a HelmRelease with O(deliveries[].delivery=rendered).
        type: str
        default: flux-system
      manifests:
        description: The resource with the manifests, a name or identity attributes.
        type: raw
        default: deployment
      service_account:
        description: The ServiceAccount that ocm-controller reads the registry with.
        type: str
        default: air-gapped-ops
      pull_secret:
        description: The Secret with the registry's account.
        type: str
        default: ocm-airgap-pull
      pull_secret_by:
        description: How pods get the pull secret.
        type: str
        choices: [patch, configuration, service_account]
        default: patch
  scope:
    description:
      - What else goes, when nothing else uses it.
      - V(secrets) stands for the pull secrets and the ServiceAccounts that have them. Of a Secret, the accounts go
        that the role C(ocm.airgap.credentials) has written; accounts of others stay, and the Secret with them.
      - V(platform) stands for the Kustomization, the GitRepository and the Secret by which Flux reads the Git tree,
        when the role C(ocm.airgap.gitops) has made them. Flux and ocm-controller themselves are removed by
        their roles, which RV(platform_users) is for.
      - V(namespaces) stands for the namespaces of the deliveries and, with V(platform), those of the platform.
        C(default) and those of Kubernetes stay in any case.
    type: list
    elements: str
    choices: [secrets, platform, namespaces]
    default: []
  flux_kustomization:
    description: The Kustomization by which Flux applies the Git tree.
    type: str
    default: ""
  flux_source:
    description: The GitRepository that it takes the tree from.
    type: str
    default: ""
  flux_namespace:
    description: The namespace of both.
    type: str
    default: flux-system
  revision:
    description: The commit that took the deliveries out of Git. Without it Flux is not asked.
    type: str
    default: ""
  wait_timeout:
    description: Seconds to wait for Flux, and then for objects to go.
    type: int
    default: 600
attributes:
  diff_mode:
    details:
      - The difference is the list of objects that go.
  idempotent:
    details:
      - What has gone is not there to be removed. Objects that came back because something else applies them are
        removed again.
notes:
  - The account has to be able to list all kinds that may have been delivered. Kinds that it may not list are named
    in a warning.
  - What a registry holds stays.
seealso:
  - module: ocm.airgap.ocm_gitops
  - module: ocm.airgap.flux_reconcile
"""

EXAMPLES = r"""
- name: Remove what was applied without Git
  ocm.airgap.ocm_teardown:
    deliveries:
      - name: podinfo
        delivery: rendered
        target_namespace: podinfo
    scope: [secrets, namespaces]

- name: Take podinfo out of Git
  ocm.airgap.ocm_gitops:
    state: absent
    components:
      - component: phoban.io/podinfo
    git_url: https://git.example.com/team/estate.git
    git_username: robot
    git_password: "{{ git_password }}"
  register: gone

- name: Remove it from the cluster, and its pull secrets unless somebody else has them
  ocm.airgap.ocm_teardown:
    deliveries: "{{ gone.components | selectattr('lock') }}"
    scope: [secrets]
    flux_kustomization: components
    revision: "{{ gone.commit }}"
"""

RETURN = r"""
removed:
  description:
    - The objects that have gone, or in check mode would go, in the order in which they were found.
    - Empty when the module fails. What Flux had removed before the module looked is not among them.
  returned: always
  type: list
  elements: str
  sample: [FluxDeployer ocm-system/podinfo, Deployment podinfo/podinfo, ComponentVersion ocm-system/podinfo-3b7c1f0a]
updated:
  description: Secrets and ServiceAccounts that stay and had something taken out of them.
  returned: always
  type: list
  elements: str
  sample: [ServiceAccount podinfo/default]
released:
  description: The objects whose finalizers were taken away, because nobody else did.
  returned: always
  type: list
  elements: str
  sample: [Snapshot ocm-system/podinfo-deployment-abcdefg]
workloads:
  description: Those of the removed objects that make pods.
  returned: always
  type: list
  elements: str
  sample: [Deployment podinfo/podinfo]
volumes:
  description: The PersistentVolumeClaims that go with them.
  returned: always
  type: list
  elements: str
  sample: [PersistentVolumeClaim podinfo/cache]
kept_volumes:
  description: The PersistentVolumeClaims that the workloads use, and that stay.
  returned: always
  type: list
  elements: str
  sample: [PersistentVolumeClaim podinfo/data-redis-0]
kept:
  description: What stays, although it belongs to the deliveries or lies in the scope.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: The object.
      type: str
      returned: always
      sample: Secret podinfo/ocm-airgap-pull
    because:
      description: What uses it.
      type: list
      elements: str
      returned: always
      sample: [components/redis, Deployment podinfo/redis]
platform_users:
  description: What needs Flux or ocm-controller beside the deliveries. Empty without V(platform) in O(scope).
  returned: always
  type: list
  elements: str
  sample: [ComponentVersion ocm-system/redis-0c9d1e2f]
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import run_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.teardown import teardown


def main() -> None:
    delivery = dict(
        name=dict(type="str", required=True),
        lock=dict(type="dict"),
        sharing=dict(type="dict"),
        delivery=dict(type="str", choices=["controller", "rendered"]),
        namespace=dict(type="str", default="ocm-system"),
        target_namespace=dict(type="str", default="default"),
        flux_namespace=dict(type="str", default="flux-system"),
        manifests=dict(type="raw", default="deployment"),
        service_account=dict(type="str", default="air-gapped-ops"),
        pull_secret=dict(type="str", default="ocm-airgap-pull", no_log=False),
        pull_secret_by=dict(
            type="str", choices=["patch", "configuration", "service_account"], default="patch", no_log=False
        ),
    )
    arguments = dict(
        deliveries=dict(type="list", elements="dict", required=True, options=delivery),
        scope=dict(type="list", elements="str", choices=["secrets", "platform", "namespaces"], default=[]),
        flux_kustomization=dict(type="str", default=""),
        flux_source=dict(type="str", default=""),
        flux_namespace=dict(type="str", default="flux-system"),
        revision=dict(type="str", default=""),
        wait_timeout=dict(type="int", default=600),
        **connection_arguments(),
    )
    run_module(arguments, teardown, libraries=libraries())


if __name__ == "__main__":
    main()
