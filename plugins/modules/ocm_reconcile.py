#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_reconcile
short_description: Have ocm-controller look at an object again
version_added: 1.0.0
description:
  - Makes ocm-controller reconcile an object at once. It heeds no annotation, only a change of the specification, so
    C(spec.suspend) is set to true and back to false. A FluxDeployer cannot be suspended; C(spec.interval) of it is
    written in another way that means the same, and back.
  - It is for objects that the controller has given up, see RV(ocm.airgap.ocm_rollout_info#module:chain[].given_up), and for
    those that it takes for done.
  - Nothing is waited for. M(ocm.airgap.ocm_rollout_info) does that.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.cluster
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes
options:
  kind:
    description:
      - The kind of the object, one of C(ComponentVersion), C(Resource), C(Localization), C(Configuration),
        C(FluxDeployer).
    type: str
    default: ComponentVersion
  name:
    description: The object's name.
    type: str
    required: true
  namespace:
    description: The object's namespace.
    type: str
    default: ocm-system
  anew:
    description:
      - Have a ComponentVersion read again although it has reached its version, by emptying C(status.reconciledVersion).
      - The controller then reads the component version from the repository that the specification names, and makes its
        ComponentDescriptors. It follows a repository that was changed in place, and has back a descriptor that went with
        another ComponentVersion.
      - The object itself stays, so nothing that belongs to it is removed.
      - The account needs the verb C(patch) for C(componentversions/status) of C(delivery.ocm.software).
    type: bool
    default: false
attributes:
  diff_mode:
    details:
      - The difference is told by generation and version.
  idempotent:
    support: none
    details:
      - Asking is always a change.
seealso:
  - module: ocm.airgap.flux_reconcile
  - module: ocm.airgap.ocm_rollout_info
"""

EXAMPLES = r"""
- name: A Secret came late, and ocm-controller did not notice
  ocm.airgap.ocm_reconcile:
    kind: ComponentVersion
    name: podinfo-3b7c1f0a
    namespace: ocm-system

- name: Have the component version read from its repository once more
  ocm.airgap.ocm_reconcile:
    name: podinfo-3b7c1f0a
    anew: true
"""

RETURN = r"""
generation:
  description: The generation of the object afterwards; in check mode the one that it would have.
  returned: success
  type: int
  sample: 5
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import run_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.ocm_reconcile import ocm_reconcile


def main() -> None:
    arguments = dict(
        kind=dict(type="str", default="ComponentVersion"),
        name=dict(type="str", required=True),
        namespace=dict(type="str", default="ocm-system"),
        anew=dict(type="bool", default=False),
        **connection_arguments(),
    )
    run_module(arguments, ocm_reconcile, libraries=libraries())


if __name__ == "__main__":
    main()
