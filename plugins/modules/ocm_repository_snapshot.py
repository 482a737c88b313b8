#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_repository_snapshot
short_description: Write down what a repository holds
version_added: 1.0.0
description:
  - Writes a small file that says what a repository of the Open Component Model (OCM) holds, component versions, manifests and
    blobs, by their digests. It carries no content and no credentials.
  - It is meant to go the other way across the gap, so that the next archive can leave out what is there already.
  - A registry is asked for the manifests; they vouch for their blobs. No blob of an image is read, nor asked for.
  - The same content gives the same file.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  repository:
    description:
      - The repository to look at, a registry or an archive. C(repository//component) is accepted as well.
      - Of an archive the file says what a registry holds once the archive was imported; images are named by the places that
        a transfer gives them.
    type: str
    required: true
  component:
    description:
      - The component whose versions are looked at, or a list of components. Versions of others that they refer to are looked at
        as well.
      - An archive can do without, all of its components are meant then. A registry cannot list its components.
    type: list
    elements: str
    default: []
  dest:
    description: The file to write. It appears only when it is complete, and is left alone when nothing has changed.
    type: path
    required: true
seealso:
  - module: ocm.airgap.ocm_transfer
  - module: ocm.airgap.ocm_component_info
"""

EXAMPLES = r"""
- name: What the private registry holds of the product
  ocm.airgap.ocm_repository_snapshot:
    repository: registry.example.com/air-gapped
    component: acme.org/product
    dest: ./far-side.json
    registries:
      - host: registry.example.com
        username: "{{ registry_user }}"
        password: "{{ registry_password }}"

- name: What an archive brings
  ocm.airgap.ocm_repository_snapshot:
    repository: ./product.tar
    dest: ./delivered.json
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: ./far-side.json
size:
  description: Its size in bytes.
  returned: success
  type: int
  sample: 18234
component_versions:
  description: The component versions that are there.
  returned: success
  type: list
  elements: dict
  contains:
    component:
      description: The component's name.
      type: str
      returned: always
      sample: acme.org/product
    version:
      description: The version.
      type: str
      returned: always
      sample: 1.0.0
    digest:
      description: The digest of its manifest; null in a component archive.
      type: str
      returned: always
      sample: sha256:b925b0d087e0bd53ad030cd4f6a820fe6ff2638b39953e245eb109ed62281e8c
counts:
  description: How many component versions, manifests and blobs there are, and the bytes of the blobs.
  returned: success
  type: dict
  sample: {component_versions: 2, manifests: 61, blobs: 166, bytes: 387973120}
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.repository_snapshot import repository_snapshot
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import repository_argument


def main() -> None:
    arguments = dict(
        component=dict(type="list", elements="str", default=[]),
        dest=dict(type="path", required=True),
        **repository_argument(),
    )
    run_registry_module(arguments, repository_snapshot)


if __name__ == "__main__":
    main()
