#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_resource
short_description: Download a resource of a component version
version_added: 1.0.0
description:
  - Downloads one resource of an Open Component Model (OCM) component version, from a registry or an archive, wherever
    its access points to, and checks its digest while it arrives.
  - OCI artifacts (images) are written as an artifact set, one file with all platforms, as the C(ocm) program writes and reads it.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  repository:
    description: Where the component lives, a registry or an archive. C(repository//component:version) is accepted as well.
    type: str
    required: true
  component:
    description: The component's name.
    type: str
  version:
    description: The exact version.
    type: str
  constraint:
    description: A range of versions; the newest that satisfies it is taken.
    type: str
  resource:
    description: The resource's name, or a mapping of identity attributes (name, os) that mean exactly one resource.
    type: raw
    required: true
  reference_path:
    description:
      - References to follow from the component version to the one that has the resource.
      - Each step is a name or a mapping of identity attributes.
    type: list
    elements: raw
    default: []
  dest:
    description:
      - The file to write, or with O(extract) the folder to fill. It appears only when the content is complete and right.
      - Without it, small text is returned in RV(content).
    type: path
  extract:
    description:
      - Unpack a tar or gzipped tar into the folder O(dest), which takes the place of what was there.
      - Archives with links, devices, or names that leave the folder are refused.
    type: bool
    default: false
attributes:
  diff_mode:
    details:
      - The difference is told by digests.
seealso:
  - module: ocm.airgap.ocm_component_info
"""

EXAMPLES = r"""
- name: Read the localization rules
  ocm.airgap.ocm_resource:
    repository: ghcr.io/phoban01
    component: phoban.io/podinfo
    version: 6.3.5
    resource: config
  register: config

- name: Unpack the manifests
  ocm.airgap.ocm_resource:
    repository: ./transfer.tgz
    component: phoban.io/podinfo
    version: 6.3.5
    resource: deployment
    dest: ./manifests
    extract: true

- name: An image of a component that the product refers to
  ocm.airgap.ocm_resource:
    repository: registry.example.com/air-gapped
    component: acme.org/product
    constraint: ">=1.0.0"
    reference_path: [backend]
    resource: {name: image, flavour: small}
    dest: ./image.tgz
"""

RETURN = r"""
path:
  description: What was written; null without O(dest).
  returned: success
  type: str
  sample: ./manifests
digest:
  description: The digest of the content, for an OCI artifact that of its main manifest.
  returned: success
  type: str
  sample: sha256:b925b0d087e0bd53ad030cd4f6a820fe6ff2638b39953e245eb109ed62281e8c
media_type:
  description: The content's media type.
  returned: success
  type: str
  sample: application/x-tgz
size:
  description: The content's size in bytes; in check mode 0 where it is not known before the download.
  returned: success
  type: int
  sample: 172
content:
  description: The text.
  returned: without O(dest)
  type: str
  sample: "kind: ConfigData"
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.resource import resource
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import repository_argument, selection_arguments


def main() -> None:
    arguments = dict(
        resource=dict(type="raw", required=True),
        reference_path=dict(type="list", elements="raw", default=[]),
        dest=dict(type="path"),
        extract=dict(type="bool", default=False),
        **repository_argument(),
        **selection_arguments(),
    )
    run_registry_module(arguments, resource, mutually_exclusive=[("version", "constraint")])


if __name__ == "__main__":
    main()
