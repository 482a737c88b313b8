#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_rollout_info
short_description: Follow a component version from the cluster's registry to running pods
version_added: 1.0.0
description:
  - Reads the whole chain from a ComponentVersion over Resource, Localization, Configuration and FluxDeployer, over Flux's
    OCIRepository and Kustomization or HelmRelease, to the workloads and their pods, and says what is ready.
  - Where manifests were rendered before they came to Git, the chain begins with the Kustomization or HelmRelease and
    its source; where they were applied without Flux, with the workloads.
  - Ready means more than the condition of that name. The status has to be about the present generation and version, the
    content has to come from the repository that is asked for, and the pods have to run.
  - What is not ready is explained, with what to do about it.
  - Each image is looked for in its registry with the Secrets that the kubelet would use, because a running pod hides a wrong
    password until it moves to another node. No content of a Secret is returned.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.cluster.with_registries
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes.info
  - ocm.airgap.registries
options:
  namespace:
    description: The namespace of the ComponentVersion, or of the Kustomization or HelmRelease that applies rendered manifests.
    type: str
    default: ocm-system
  name:
    description:
      - The name of the ComponentVersion or the FluxDeployer, or of the Kustomization or HelmRelease.
      - At least one of O(name) and O(component) is needed.
    type: str
  component:
    description:
      - The component's name. The ComponentVersion of this component is taken; where several are, O(name) tells which.
      - Without a ComponentVersion, O(name) or the last part of the component's name is that of the Kustomization or HelmRelease.
    type: str
  version:
    description: The exact version that the ComponentVersion has to have reached to be ready.
    type: str
  target_namespace:
    description:
      - The namespace of workloads that were applied without Flux. Their label C(ocm.airgap/delivery) is O(name).
      - The default is O(namespace).
    type: str
  target:
    description:
      - The private registry, C(host[:port][/prefix]), that images have to come from.
      - The default is the repository of the ComponentVersion.
    type: str
  wait_timeout:
    description:
      - Seconds to wait until everything is ready; 0 looks once.
      - An error that waiting does not mend ends it earlier, when it lasts for half a minute.
      - A pod whose image can be pulled by now is waited for, with O(try_images). Its node tries again by itself, up to five
        minutes after it has failed.
    type: int
    default: 0
  try_images:
    description:
      - Whether the images are looked for in their registries. O(registries) tells how this machine reaches them; its
        accounts are not used for that.
      - Images that do not come from the private registry are looked for only when O(registries) has an entry for their host.
    type: bool
    default: true
seealso:
  - module: ocm.airgap.flux_reconcile
"""

EXAMPLES = r"""
- name: Wait for podinfo
  ocm.airgap.ocm_rollout_info:
    component: phoban.io/podinfo
    version: 6.3.5
    target: registry.example.com/air-gapped
    wait_timeout: 300
  register: rollout

- name: What was rendered into Git
  ocm.airgap.ocm_rollout_info:
    namespace: flux-system
    name: podinfo
    target: registry.example.com/air-gapped
"""

RETURN = r"""
ready:
  description: Whether every object of the chain is ready.
  returned: success
  type: bool
chain:
  description: The objects, in the order in which content passes them.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The object's kind.
      type: str
      sample: ComponentVersion
    namespace:
      description: Its namespace.
      type: str
      sample: ocm-system
    name:
      description: Its name.
      type: str
      sample: podinfo
    ready:
      description: Whether it is ready.
      type: bool
    given_up:
      description:
        - Whether ocm-controller has stopped looking at it, also when what it needs is there by now.
        - M(ocm.airgap.ocm_reconcile) makes it look again. With the reasons V(RepositoryNotFollowed) and
          V(DescriptorMissing) it needs O(ocm.airgap.ocm_reconcile#module:anew).
      type: bool
    reason:
      description:
        - The reason that its controller gives, or one of these. V(Missing), V(NotReported) (no conditions yet),
          V(StaleStatus) (about an older generation), V(Suspended), V(RepositoryNotFollowed), V(VersionNotReached),
          V(VersionNotApplied), V(RevisionNotApplied), V(Superseded) (an old pod).
      type: str
      sample: Succeeded
    message:
      description: What its controller says.
      type: str
      sample: "Applied version: 6.3.5"
    revision:
      description: What of its content it has reached, a version or a revision of Flux.
      type: str
      sample: 6.3.5
images:
  description: The image of every container; of workloads without pods what their templates say.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: The pod's namespace.
      type: str
      sample: default
    workload:
      description: The workload's kind and name.
      type: str
      sample: Deployment/podinfo
    pod:
      description: The pod's name, null where there is none.
      type: str
      sample: podinfo-7d9c5b5b9c-x2v4k
    container:
      description: The container's name.
      type: str
      sample: podinfod
    image:
      description: The reference as it is in the pod.
      type: str
      sample: registry.example.com/air-gapped/stefanprodan/podinfo@sha256:b925b0d087e0bd53ad030cd4f6a820fe6ff2638b39953e245eb109ed62281e8c
    digest:
      description: The digest in the reference, else the one that the node reports; null as long as there is none.
      type: str
      sample: sha256:b925b0d087e0bd53ad030cd4f6a820fe6ff2638b39953e245eb109ed62281e8c
    private:
      description: Whether it comes from the private registry; null when that is not known.
      type: bool
pullable:
  description: Each image with the Secrets that pods pull it with, once; empty without O(try_images).
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: The namespace of the pods.
      type: str
      sample: default
    image:
      description: The image.
      type: str
      sample: registry.example.com/air-gapped/stefanprodan/podinfo:6.3.5
    secrets:
      description: The names of the Secrets that the pods name.
      type: list
      elements: str
      sample: [ocm-airgap-pull]
    secret:
      description: The Secret whose account the registry has accepted; null for none.
      type: str
      sample: ocm-airgap-pull
    pullable:
      description: Whether the registry gives it; null when that cannot be told from here.
      type: bool
    reason:
      description: V(Unauthorized), V(NotFound), V(InvalidImageName), V(NotTried), or empty.
      type: str
      sample: ""
    message:
      description: What the registry said.
      type: str
      sample: ""
diagnosis:
  description: What is wrong and what to do, causes before what follows from them. Empty when all is well.
  returned: success
  type: list
  elements: dict
  contains:
    object:
      description: The object's kind, namespace and name.
      type: str
      sample: Pod default/podinfo-7d9c5b5b9c-x2v4k
    reason:
      description: As in RV(chain[].reason), or V(ForeignImage), V(NotPullable).
      type: str
      sample: ImagePullBackOff
    message:
      description: What was said about it.
      type: str
      sample: "Container podinfod: Back-off pulling image"
    remedy:
      description: What to do.
      type: str
      sample: The pod has no imagePullSecrets. Write a pull secret into the namespace default.
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.rollout_info import rollout_info


def main() -> None:
    arguments = dict(
        namespace=dict(type="str", default="ocm-system"),
        name=dict(type="str"),
        component=dict(type="str"),
        version=dict(type="str"),
        target_namespace=dict(type="str"),
        target=dict(type="str"),
        wait_timeout=dict(type="int", default=0),
        try_images=dict(type="bool", default=True),
        **connection_arguments(),
    )
    run_registry_module(arguments, rollout_info, libraries=libraries(), required_one_of=[("name", "component")])


if __name__ == "__main__":
    main()
