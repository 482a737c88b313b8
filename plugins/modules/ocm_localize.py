#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_localize
short_description: Put image references and values of the site into manifests
version_added: 1.0.0
description:
  - Applies the localization and configuration rules of a component version to its manifests, with the results that
    ocm-controller gives in a cluster.
  - Files keep their comments, order, quoting and indentation. Only the values that the rules name differ afterwards.
  - Rules act on the first document of a file, as the controller's do. The controller drops the other documents, this
    module keeps them and warns.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  repository:
    description:
      - Where the component lives, a registry or an archive. C(repository//component:version) is accepted as well.
      - It is not needed with O(src) and O(references).
    type: str
  component:
    description: The component's name.
    type: str
  version:
    description: The exact version.
    type: str
  constraint:
    description: A range of versions; the newest that satisfies it is taken.
    type: str
  manifests:
    description: The resource that holds the manifests, a name or identity attributes. Its content is a tar.
    type: raw
  src:
    description: A folder of manifests to use instead of O(manifests).
    type: path
  config:
    description: The resource that holds the rules, a ConfigData document; a name or identity attributes.
    type: raw
    default: config
  rules:
    description: The rules themselves, a ConfigData mapping, instead of O(config).
    type: dict
  references:
    description:
      - What M(ocm.airgap.ocm_transfer) returned in RV(ocm.airgap.ocm_transfer#module:resources).
      - For components without rules. Every text in the manifests that equals an image reference from before the move
        is replaced by the one from after it.
    type: list
    elements: dict
  target:
    description:
      - The registry that the references are written for, C(host[/prefix]), as a transfer to it would write them.
      - So manifests can be localized from an archive, and before the transfer.
    type: str
  reference_form:
    description: How a transfer to O(target) writes references, see M(ocm.airgap.ocm_transfer).
    type: str
    choices: [tag_digest, tag]
    default: tag_digest
  path_mapping:
    description: The path mapping of the transfer to O(target), see M(ocm.airgap.ocm_transfer).
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
  values:
    description:
      - Values for the configuration rules, merged over the defaults of the ConfigData and checked against its schema.
      - Configuration rules run only if this is given; V({}) runs them with the defaults.
    type: dict
  tag_form:
    description:
      - What a C(tag) rule writes for a reference that has a digest.
      - V(controller) writes the digest, as ocm-controller does; V(tag) the tag.
    type: str
    choices: [controller, tag]
    default: controller
  dest:
    description:
      - The folder to write to; it may be O(src). Files there that are not part of the manifests are left alone.
      - Without it nothing is written.
    type: path
requirements:
  - jsonpath-ng
  - jsonschema
seealso:
  - module: ocm.airgap.ocm_transfer
"""

EXAMPLES = r"""
- name: Localize the manifests for the private registry, straight from the archive
  ocm.airgap.ocm_localize:
    repository: ./podinfo.tgz
    component: phoban.io/podinfo
    version: 6.3.5
    manifests: deployment
    target: registry.example.com/air-gapped
    values:
      replicas: 2
    dest: ./apps/podinfo
  register: localized

- name: Nothing may come from elsewhere
  ansible.builtin.assert:
    that: localized.foreign_images | length == 0

- name: Manifests of a component without rules
  ocm.airgap.ocm_transfer:
    source: ghcr.io/acme
    target: registry.example.com/air-gapped
    component: acme.org/product
    version: 2.1.0
  register: product

- name: Rewrite what points to the former places
  ocm.airgap.ocm_localize:
    src: ./manifests
    references: "{{ product.resources }}"
    target: registry.example.com/air-gapped
    dest: ./apps/product
"""

RETURN = r"""
files:
  description: The files of the manifests, by their path below O(dest).
  returned: success
  type: list
  elements: str
  sample: [deployment.yaml, service.yaml]
images:
  description: Where image references, or parts of them, were put.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
      returned: always
      sample: deployment.yaml
    path:
      description: The place in it.
      type: str
      returned: always
      sample: spec.template.spec.containers[0].image
    before:
      description: What was there; null for nothing.
      type: raw
      returned: always
      sample: ghcr.io/stefanprodan/podinfo:6.3.5
    after:
      description: What is there now.
      type: raw
      returned: always
      sample: registry.example.com/air-gapped/stefanprodan/podinfo@sha256:733d6c05673021a8c7bafe44ab097fa1029d61f0cf5f930ecd2f708eb4122c1f
configured:
  description: Where configuration rules put values; file, path, before and after of each.
  returned: success
  type: list
  elements: dict
  sample: [{file: deployment.yaml, path: spec.replicas, before: 1, after: 2}]
foreign_images:
  description:
    - Images in the manifests whose host and prefix are not those of O(target), or of O(repository) if that is a registry.
  returned: success
  type: list
  elements: dict
  sample: [{file: deployment.yaml, path: "spec.template.spec.initContainers[0].image", image: "docker.io/library/busybox:1"}]
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.localize import libraries, localize
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import repository_argument, selection_arguments
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.transfer import placement_arguments


def main() -> None:
    arguments = dict(
        manifests=dict(type="raw"),
        src=dict(type="path"),
        config=dict(type="raw", default="config"),
        rules=dict(type="dict"),
        references=dict(type="list", elements="dict"),
        target=dict(type="str"),
        values=dict(type="dict"),
        tag_form=dict(type="str", choices=["controller", "tag"], default="controller"),
        dest=dict(type="path"),
        **repository_argument(required=False),
        **placement_arguments(),
        **selection_arguments(),
    )
    run_registry_module(
        arguments,
        localize,
        libraries(),
        mutually_exclusive=[("version", "constraint"), ("manifests", "src"), ("rules", "references")],
    )


if __name__ == "__main__":
    main()
