#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_pull_check
short_description: Try the accounts that a cluster pulls images with
version_added: 1.0.0
description:
  - Asks registries for images with the accounts that a cluster is going to have, so that a wrong password shows before
    pods are moved, not after.
  - The logins of O(registries) are used and no others. An image whose host has no entry is asked for anonymously, as a
    kubelet without a pull secret does.
  - A login that none of the images needs is tried as C(docker login) does it. Where the registry cannot be reached from
    here, that is a warning.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes.info
options:
  images:
    description: The references of the images that are going to be pulled.
    type: list
    elements: str
    required: true
  allow_missing:
    description: An image that is not there is no error, as it is before a transfer.
    type: bool
    default: false
  shared:
    description: Registries, C(host[:port][/path]), whose account also writes. A warning says so.
    type: list
    elements: str
    default: []
seealso:
  - module: ocm.airgap.ocm_transfer
"""

EXAMPLES = r"""
- name: Could the cluster pull
  ocm.airgap.ocm_pull_check:
    images:
      - registry.example.com/air-gapped/stefanprodan/podinfo:6.3.5
    registries:
      - host: registry.example.com
        username: puller
        password: "{{ pull_password }}"
"""

RETURN = r"""
images:
  description: What became of each image.
  returned: always
  type: list
  elements: dict
  contains:
    image:
      description: The reference.
      type: str
      returned: always
      sample: registry.example.com/air-gapped/stefanprodan/podinfo:6.3.5
    account:
      description: The entry of O(registries) that was used; null for an anonymous request.
      type: str
      returned: always
      sample: registry.example.com
    pullable:
      description: Whether it can be pulled.
      type: bool
      returned: always
      sample: true
    reason:
      description: Why not, V(credentials) or V(missing).
      type: str
      returned: always
      sample: null
    message:
      description: What the registry said.
      type: str
      returned: always
      sample: ""
untried:
  description: Accounts that no image needs, and whose registry could not be reached.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.pull_check import pull_check
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module


def main() -> None:
    arguments = dict(
        images=dict(type="list", elements="str", required=True),
        allow_missing=dict(type="bool", default=False),
        shared=dict(type="list", elements="str", default=[]),
    )
    run_registry_module(arguments, pull_check)


if __name__ == "__main__":
    main()
