#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_component_info
short_description: Look at component versions in a registry or archive
version_added: 1.0.0
description:
  - Reads the component descriptors of component versions of the Open Component Model (OCM) and says what they consist of.
  - No C(ocm) program is needed.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes.info
options:
  repository:
    description:
      - Where the component lives, a registry or an archive.
      - A whole component reference, C(repository//component:version), is accepted as well.
    type: str
    required: true
  component:
    description:
      - The component's name, for example V(acme.org/podinfo).
      - Without it, all components of an archive are read. A registry cannot list its components.
    type: str
  version:
    description:
      - The exact version, as text. V(v1.0.0) and V(1.0.0) are two versions.
      - Without O(version) and O(constraint), all versions are read.
    type: str
  constraint:
    description:
      - A range of versions, for example V(>=6.3.5), V(^1.2 || ~2.0), V(1.2 - 1.4).
      - Prereleases match only a range that names one.
    type: str
  resource:
    description: Return only the resources with this name, or with these identity attributes (a mapping).
    type: raw
  recursive:
    description: Follow references to other components.
    type: bool
    default: false
seealso:
  - module: ocm.airgap.ocm_resource
  - module: ocm.airgap.ocm_transfer
"""

EXAMPLES = r"""
- name: Look at a component in a registry
  ocm.airgap.ocm_component_info:
    repository: ghcr.io/phoban01
    component: phoban.io/podinfo
    constraint: ">=6.3.5"
  register: podinfo

- name: Where is its image
  ansible.builtin.debug:
    msg: "{{ podinfo.component_versions[0].resources | selectattr('name', 'eq', 'image') | map(attribute='access') }}"

- name: Everything in an archive, with what it refers to
  ocm.airgap.ocm_component_info:
    repository: ./transfer.tgz
    recursive: true
"""

RETURN = r"""
component_versions:
  description: The component versions, newest first; with O(recursive), those that were asked for come first.
  returned: success
  type: list
  elements: dict
  contains:
    component:
      description: The component's name.
      type: str
      returned: always
      sample: phoban.io/podinfo
    version:
      description: The version.
      type: str
      returned: always
      sample: 6.3.5
    provider:
      description: Who provides the component.
      type: str
      returned: always
      sample: phoban.io
    schema:
      description: The schema of its descriptor, V(v2) or V(v3alpha1).
      type: str
      returned: always
      sample: v2
    digest:
      description: The digest of the manifest that the version's tag stands for; null for a component archive.
      type: str
      returned: always
      sample: sha256:51a17f9e590b316a5e1f4c8d1ac47d37ecf396731d2fe8b3516db64dea2fb08b
    resources:
      description: What the component version delivers.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The resource's name.
          type: str
          returned: always
          sample: image
        version:
          description: The resource's version.
          type: str
          returned: always
          sample: 6.3.5
        type:
          description: The resource's type.
          type: str
          returned: always
          sample: ociImage
        relation:
          description: V(local) for content of the component's own, V(external) otherwise.
          type: str
          returned: always
          sample: external
        identity:
          description: Name and extra identity, with the version where that is needed to tell resources apart.
          type: dict
          returned: always
          sample: {name: image}
        access:
          description: How the content is reached.
          type: dict
          returned: always
          sample: {type: ociArtifact, imageReference: "ghcr.io/stefanprodan/podinfo:6.3.5"}
        digest:
          description: The digest of the content as the descriptor states it; null if it states none.
          type: dict
          returned: always
          sample:
            hashAlgorithm: SHA-256
            normalisationAlgorithm: ociArtifactDigest/v1
            value: 733d6c05673021a8c7bafe44ab097fa1029d61f0cf5f930ecd2f708eb4122c1f
        labels:
          description: The resource's labels.
          type: list
          elements: dict
          returned: always
          sample: []
        reference_path:
          description: The identities of the references that lead from a root to the component version.
          type: list
          elements: dict
          returned: always
          sample: [{name: backend}]
    sources:
      description: What the component version was made from; name, version, type, identity, access, labels of each.
      type: list
      elements: dict
      returned: always
      sample: []
    references:
      description: Other component versions that belong to it; name, component, version, identity, digest, labels of each.
      type: list
      elements: dict
      returned: always
      sample: [{name: backend, component: acme.org/backend, version: 2.0.0, identity: {name: backend}, digest: null, labels: []}]
    labels:
      description: The component version's labels.
      type: list
      elements: dict
      returned: always
      sample: []
    signatures:
      description: The signatures, as the descriptor has them.
      type: list
      elements: dict
      returned: always
      sample: []
    descriptor:
      description: The whole component descriptor.
      type: dict
      returned: always
      sample: {meta: {schemaVersion: v2}}
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.component_info import component_info
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import repository_argument, selection_arguments


def main() -> None:
    arguments = dict(
        resource=dict(type="raw"),
        recursive=dict(type="bool", default=False),
        **repository_argument(),
        **selection_arguments(),
    )
    run_registry_module(arguments, component_info, mutually_exclusive=[("version", "constraint")])


if __name__ == "__main__":
    main()
