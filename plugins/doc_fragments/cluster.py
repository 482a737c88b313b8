# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module that talks to a cluster has beside the connection options of kubernetes.core."""

from __future__ import annotations


class ModuleDocFragment:
    """The action group ocm.airgap.kubernetes."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - kubernetes >= 24.2.0
notes:
  - The connection options are those of kubernetes.core. Without any of them the account of the pod that this runs in is
    used, then the kubeconfig that E(KUBECONFIG) or C(~/.kube/config) names.
attributes:
  action_group:
    description: Use C(group/ocm.airgap.kubernetes) in C(module_defaults) to set options for all modules that talk to a cluster.
    support: full
    membership:
      - ocm.airgap.kubernetes
"""

    WITH_REGISTRIES = r"""
options: {}
requirements:
  - kubernetes >= 24.2.0
notes:
  - The connection options to the cluster are those of kubernetes.core. Without any of them the account of the pod that
    this runs in is used, then the kubeconfig that E(KUBECONFIG) or C(~/.kube/config) names.
attributes:
  action_group:
    description:
      - Use C(group/ocm.airgap.ocm) in C(module_defaults) to set options for all modules that talk to registries, and
        C(group/ocm.airgap.kubernetes) for all that talk to a cluster.
    support: full
    membership:
      - ocm.airgap.ocm
      - ocm.airgap.kubernetes
"""
