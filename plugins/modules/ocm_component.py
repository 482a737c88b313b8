#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_component
short_description: Write component versions
version_added: 1.0.0
description:
  - Writes component versions of the Open Component Model (OCM) from a constructor, the file that
    C(ocm add componentversions) reads, into an archive or a registry.
  - Digests of all content are computed. The same content again changes nothing, also on another machine. The time of
    creation is written once and not compared.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  repository:
    description: The repository to write to, an archive (created if it is not there) or a registry.
    type: str
    required: true
  constructor:
    description:
      - The constructor, C(components) or a single component.
      - Each resource and source has an C(access), which is written as it stands, or an C(input).
      - Inputs are C(file), C(dir), C(utf8), C(ociArtifact) and C(helm).
    type: dict
  constructor_file:
    description: A file with the constructor in YAML or JSON. Paths in it begin at the file's folder.
    type: path
  base:
    description: The folder that paths in O(constructor) begin at; by default the working directory.
    type: path
  overwrite:
    description: Replace a version that is there and differs in what a signature covers.
    type: bool
    default: false
seealso:
  - module: ocm.airgap.ocm_transfer
"""

EXAMPLES = r"""
- name: A component with manifests, rules and an image
  ocm.airgap.ocm_component:
    repository: ./podinfo.ctf
    constructor:
      components:
        - name: acme.org/podinfo
          version: 6.3.5
          provider: {name: acme.org}
          resources:
            - name: deployment
              type: Directory
              input: {type: dir, path: ./manifests, compress: true}
            - name: config
              type: PlainText
              input: {type: file, path: ./config.yaml}
            - name: image
              type: ociImage
              version: 6.3.5
              relation: external
              access: {type: ociArtifact, imageReference: "ghcr.io/stefanprodan/podinfo:6.3.5"}

- name: From a file, straight into a registry
  ocm.airgap.ocm_component:
    repository: registry.example.com/components
    constructor_file: ./component-constructor.yaml
"""

RETURN = r"""
component_versions:
  description: What became of each component version.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: The repository.
      type: str
      returned: always
      sample: ./podinfo.ctf
    component:
      description: The component's name.
      type: str
      returned: always
      sample: acme.org/podinfo
    version:
      description: The version.
      type: str
      returned: always
      sample: 6.3.5
    action:
      description: V(transferred) for one that was not there, V(updated) for one that was put right, V(unchanged) otherwise.
      type: str
      returned: always
      sample: transferred
resources:
  description: What became of each resource and source, as M(ocm.airgap.ocm_transfer) returns it.
  returned: always
  type: list
  elements: dict
  sample: []
statistics:
  description: The traffic of the run, as M(ocm.airgap.ocm_transfer) returns it.
  returned: always
  type: dict
  sample: {}
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.component import component
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import repository_argument


def main() -> None:
    arguments = dict(
        constructor=dict(type="dict"),
        constructor_file=dict(type="path"),
        base=dict(type="path"),
        overwrite=dict(type="bool", default=False),
        **repository_argument(),
    )
    run_registry_module(
        arguments,
        component,
        required_one_of=[("constructor", "constructor_file")],
        mutually_exclusive=[("constructor", "constructor_file"), ("constructor_file", "base")],
    )


if __name__ == "__main__":
    main()
