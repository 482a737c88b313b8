#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_gitops
short_description: Render the objects that deliver components, and commit them to Git
version_added: 1.0.0
description:
  - Renders, for each component version, the objects by which ocm-controller and Flux bring it into a cluster, checks them,
    and brings a Git branch to them.
  - A commit is made and pushed only when the tree differs. When somebody else pushed first, it is planned anew on what
    they left.
  - Beside the objects lies the lock C(ocm-airgap.lock.json), which says exactly what was delivered.
  - With O(state=absent) the branch is brought to hold deliveries no more. The lock says what a delivery has written, and
    nothing else goes. Objects that it shares stay as long as another lock below the same O(components[].git_path) names them.
  - The program C(git) is needed when O(git_url) is given. A login never appears in its arguments or configuration.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.git
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  state:
    description:
      - Whether the branch is to hold the deliveries.
      - With V(absent), of O(components) only O(components[].name) or O(components[].component), and O(components[].git_path)
        are read, no registry is asked, and O(git_url) is needed. A delivery without a lock is absent.
    type: str
    choices: [present, absent]
    default: present
  components:
    description: What is delivered.
    type: list
    elements: dict
    required: true
    suboptions:
      component:
        description: The component's name. Needed with O(state=present).
        type: str
      version:
        description: The exact version. Without it, the newest that satisfies O(components[].constraint) is taken.
        type: str
      constraint:
        description: A range of versions.
        type: str
      follow:
        description: Write the range to the cluster, so that the controller follows it; otherwise the version is written.
        type: bool
        default: false
      name:
        description: The name of the delivery and of its folder. The default is the last part of the component's name.
        type: str
      repository:
        description: The registry that the cluster reads, C(host[:port][/prefix]). Needed with O(state=present).
        type: str
      source:
        description: Where the component is read from in check mode when it is not in O(components[].repository) yet.
        type: str
      reference_form:
        description: How the transfer writes references, see M(ocm.airgap.ocm_transfer).
        type: str
        choices: [tag_digest, tag]
        default: tag_digest
      path_mapping:
        description: The path mapping of the transfer, see M(ocm.airgap.ocm_transfer).
        type: list
        elements: dict
        default: []
        suboptions:
          from:
            description: A prefix of the image's name at the source.
            type: str
            required: true
          to:
            description: What is put in its place.
            type: str
            required: true
      manifests:
        description:
          - The resource with the manifests, a name or identity attributes.
          - A Helm chart is delivered by a HelmRelease, whose values are what the rules for C(values.yaml) change.
        type: raw
        default: deployment
      config:
        description: The resource with the rules. A component that has none is localized by its images.
        type: raw
        default: config
      rules:
        description: The rules, given here. ocm-controller cannot read them.
        type: dict
      references:
        description: What M(ocm.airgap.ocm_transfer) returned in RV(ocm.airgap.ocm_transfer#module:resources), for components without rules.
        type: list
        elements: dict
      values:
        description: Values for the configuration rules. Without them no configuration is rendered.
        type: dict
      delivery:
        description:
          - With V(controller), ocm-controller localizes in the cluster.
          - With V(rendered), the manifests are localized here and lie in Git; only Flux is needed in the cluster.
        type: str
        choices: [controller, rendered]
        default: controller
      namespace:
        description: The namespace of ocm-controller's objects.
        type: str
        default: ocm-system
      target_namespace:
        description: The namespace of the workload.
        type: str
        default: default
      interval:
        description: How often the cluster looks, as C(1m0s).
        type: str
        default: 1m0s
      timeout:
        description: How long Flux waits for the workload.
        type: str
        default: 5m0s
      service_account:
        description: The ServiceAccount that ocm-controller reads the registry with.
        type: str
        default: air-gapped-ops
      pull_secret:
        description: The Secret with the registry's account.
        type: str
        default: ocm-airgap-pull
      pull_secret_by:
        description:
          - How pods get the pull secret. V(patch) adds it to every workload.
          - V(configuration) leaves it to the component's own rules; it is checked that they do it.
          - V(service_account) gives it to the namespace's default ServiceAccount.
        type: str
        choices: [patch, configuration, service_account]
        default: patch
      ca_secret:
        description: A Secret with C(ca.crt) for Flux, which pulls charts itself with O(components[].delivery=rendered).
        type: str
      git_path:
        description: The folder of the objects. They lie in a folder of the delivery's name there.
        type: str
        default: ./components
      git_manifests_path:
        description: The folder of rendered manifests.
        type: str
        default: ./apps
      flux_source:
        description: The GitRepository by which Flux reads the tree.
        type: str
        default: flux-system
      flux_namespace:
        description: Its namespace.
        type: str
        default: flux-system
      kustomization:
        description:
          - Further fields of the Flux Kustomization, which win over the rendered ones.
          - Its C(patches) take the place of those that add the pull secret, and of the one by which Flux never removes
            a Namespace.
        type: dict
        default: {}
      helm_release:
        description: Further fields of the HelmRelease, which win over the rendered ones.
        type: dict
        default: {}
      replaces:
        description:
          - The names of deliveries below the same O(components[].git_path) whose place this one takes. They go in the same
            commit; one that is not there is no error.
          - Without it, a delivery of workloads that another one delivers already is an error.
        type: list
        elements: str
        default: []
  foreign_images:
    description: What becomes of images in the manifests that are not at the registry.
    type: str
    choices: [fail, warn, allow]
    default: fail
  git_url:
    description: The Git repository. Without it, objects are rendered and returned, and nothing is written.
    type: str
  git_push_branch:
    description: Another branch to push to, when O(git_branch) is protected.
    type: str
  git_adopt:
    description: Rewrite objects that lie elsewhere in the tree where they lie. Otherwise they are an error.
    type: bool
    default: false
  git_files:
    description:
      - Of the files that would be written or removed, write or remove these alone, to put back what was edited by hand.
        Paths begin at the root of the repository, as in RV(files).
      - YAML files in the folders of the components that no lock names are removed when they are named here.
      - The lock is written only when it is named, too. Where it would have to change with the files, because the version
        or options are others than those of the delivery, that is an error.
      - A file that is right already makes no difference.
      - Not with O(state=absent).
    type: list
    elements: str
  stop_for_handover:
    description:
      - Make no commit while RV(handover) names something, so that it can be suspended before. Then run it again without.
      - Otherwise Flux may remove the workloads, with their volumes, before whoever takes over has applied them.
      - Check mode goes on and predicts the commit.
    type: bool
    default: false
  git_author:
    description: The author of commits, C(Name <address>).
    type: str
    default: ocm.airgap <ocm.airgap@localhost>
  git_message:
    description: The message of the commit. The default names components and versions.
    type: str
requirements:
  - jsonpath-ng
  - jsonschema
seealso:
  - module: ocm.airgap.ocm_transfer
  - module: ocm.airgap.ocm_localize
"""

EXAMPLES = r"""
- name: Deliver podinfo by ocm-controller
  ocm.airgap.ocm_gitops:
    components:
      - component: phoban.io/podinfo
        version: 6.3.5
        repository: registry.example.com/air-gapped
    git_url: https://git.example.com/team/estate.git
    git_username: robot
    git_password: "{{ git_password }}"
  register: podinfo

- name: Manifests for Flux alone, for somebody to review
  ocm.airgap.ocm_gitops:
    components:
      - component: phoban.io/podinfo
        version: 6.3.5
        repository: registry.example.com/air-gapped
        delivery: rendered
        target_namespace: podinfo
    git_url: https://git.example.com/team/estate.git
    git_push_branch: podinfo-6.3.5

- name: Put back one file that somebody edited, and leave other edits
  ocm.airgap.ocm_gitops:
    components:
      - component: phoban.io/podinfo
        version: 6.3.5
        repository: registry.example.com/air-gapped
    git_url: https://git.example.com/team/estate.git
    git_username: robot
    git_password: "{{ git_password }}"
    git_files:
      - components/podinfo/component-version.yaml
    git_message: Put back what was edited by hand

- name: Take podinfo out of Git, so that Flux removes it
  ocm.airgap.ocm_gitops:
    state: absent
    components:
      - component: phoban.io/podinfo
    git_url: https://git.example.com/team/estate.git
    git_username: robot
    git_password: "{{ git_password }}"
"""

RETURN = r"""
revision:
  description: What Flux calls the commit; null in check mode before it is made.
  returned: success
  type: str
  sample: main@sha1:0a8f1d6ec0e4ec5bb3bdf0ee4be0a1a0dba1c9d2
commit:
  description: The commit that holds the deliveries.
  returned: success
  type: str
  sample: 0a8f1d6ec0e4ec5bb3bdf0ee4be0a1a0dba1c9d2
branch:
  description: The branch that holds them.
  returned: success
  type: str
  sample: main
merged:
  description: Whether that is the branch that the cluster reads.
  returned: success
  type: bool
  sample: true
files:
  description: The files that were written or removed.
  returned: success
  type: list
  elements: str
  sample: [components/podinfo/component-version.yaml, components/podinfo/ocm-airgap.lock.json]
held:
  description: Whether there is no commit because of O(stop_for_handover).
  returned: O(state=present)
  type: bool
  sample: false
handover:
  description:
    - The objects that go with the commit while others apply the same workloads from then on, as with another
      O(components[].delivery) or O(components[].namespace); apiVersion, kind, namespace and name of each.
    - They have to be suspended before, a FluxDeployer by its template and what it has made. The role C(gitops) does that.
  returned: O(state=present)
  type: list
  elements: dict
  sample: [{apiVersion: delivery.ocm.software/v1alpha1, kind: FluxDeployer, namespace: ocm-system, name: podinfo}]
components:
  description: What is delivered, or was. With O(state=absent) this is what M(ocm.airgap.ocm_teardown) takes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The delivery's name.
      type: str
      returned: always
      sample: podinfo
    component:
      description: The component's name.
      type: str
      returned: O(state=present)
      sample: phoban.io/podinfo
    version:
      description: The exact version.
      type: str
      returned: O(state=present)
      sample: 6.3.5
    digest:
      description: The digest of the component version at the registry; null in check mode before the transfer.
      type: str
      returned: O(state=present)
      sample: sha256:51a17f9e590b316a5e1f4c8d1ac47d37ecf396731d2fe8b3516db64dea2fb08b
    folder:
      description: The folder in Git.
      type: str
      returned: O(state=present)
      sample: components/podinfo
    component_version:
      description: The name of the ComponentVersion object; null without ocm-controller.
      type: str
      returned: O(state=present)
      sample: podinfo-3b7c1f0a
    namespace:
      description: The namespace of ocm-controller's objects.
      type: str
      returned: O(state=present)
      sample: ocm-system
    target_namespace:
      description: The namespace of the workload.
      type: str
      returned: O(state=present)
      sample: default
    images:
      description: Every image of the component version and of those it refers to; component, version, resource, type, reference and digest of each.
      type: list
      elements: dict
      returned: O(state=present)
      sample: []
    foreign_images:
      description: Images in the manifests that are not at the registry; file, path and image of each.
      type: list
      elements: dict
      returned: O(state=present)
      sample: []
    objects:
      description: The objects, for a cluster that is not served from Git.
      type: list
      elements: dict
      returned: O(state=present)
      sample: []
    placed:
      description: The objects in Git as the lock has them; apiVersion, kind, namespace, name, file and digest of each.
      type: list
      elements: dict
      returned: O(state=present)
      sample: []
    lock:
      description:
        - The lock that the delivery had. When it was removed earlier, it is read from the history of the branch.
        - Null when the branch never had one.
      type: dict
      returned: O(state=absent)
      sample: {name: podinfo, targetNamespace: default}
    sharing:
      description:
        - What other deliveries in the same O(components[].git_path) use as well, with their folders; null without a
          lock.
      type: dict
      returned: O(state=absent)
      contains:
        pull_secrets:
          description: Of each namespace that has the delivery's pull secret.
          type: dict
          returned: always
          sample: {default: [components/redis], ocm-system: [components/redis]}
        target_namespace:
          description: Of the namespace of the workload.
          type: list
          elements: str
          returned: always
          sample: [components/redis]
        service_accounts:
          description: Of each ServiceAccount in Git, as C(namespace/name).
          type: dict
          returned: always
          sample: {ocm-system/air-gapped-ops: [components/redis]}
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.git import git_arguments
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.gitops import gitops
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.localize import libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.transfer import placement_arguments


def main() -> None:
    component = dict(
        component=dict(type="str"),
        version=dict(type="str"),
        constraint=dict(type="str"),
        follow=dict(type="bool", default=False),
        name=dict(type="str"),
        repository=dict(type="str"),
        source=dict(type="str"),
        manifests=dict(type="raw", default="deployment"),
        config=dict(type="raw", default="config"),
        rules=dict(type="dict"),
        references=dict(type="list", elements="dict"),
        values=dict(type="dict"),
        delivery=dict(type="str", choices=["controller", "rendered"], default="controller"),
        namespace=dict(type="str", default="ocm-system"),
        target_namespace=dict(type="str", default="default"),
        interval=dict(type="str", default="1m0s"),
        timeout=dict(type="str", default="5m0s"),
        service_account=dict(type="str", default="air-gapped-ops"),
        pull_secret=dict(type="str", default="ocm-airgap-pull", no_log=False),
        pull_secret_by=dict(type="str", choices=["patch", "configuration", "service_account"], default="patch", no_log=False),
        ca_secret=dict(type="str", no_log=False),
        git_path=dict(type="str", default="./components"),
        git_manifests_path=dict(type="str", default="./apps"),
        flux_source=dict(type="str", default="flux-system"),
        flux_namespace=dict(type="str", default="flux-system"),
        kustomization=dict(type="dict", default={}),
        helm_release=dict(type="dict", default={}),
        replaces=dict(type="list", elements="str", default=[]),
        **placement_arguments(),
    )
    arguments = dict(
        state=dict(type="str", choices=["present", "absent"], default="present"),
        components=dict(type="list", elements="dict", required=True, options=component),
        foreign_images=dict(type="str", choices=["fail", "warn", "allow"], default="fail"),
        git_url=dict(type="str"),
        git_push_branch=dict(type="str"),
        git_adopt=dict(type="bool", default=False),
        git_files=dict(type="list", elements="str"),
        stop_for_handover=dict(type="bool", default=False),
        git_author=dict(type="str", default="ocm.airgap <ocm.airgap@localhost>"),
        git_message=dict(type="str"),
        **git_arguments(),
    )
    run_registry_module(arguments, gitops, libraries())


if __name__ == "__main__":
    main()
