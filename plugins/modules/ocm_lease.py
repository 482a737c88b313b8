#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_lease
short_description: Keep two runs from working on one estate at the same time
version_added: 1.0.0
description:
  - Takes, renews or gives back a Lease (C(coordination.k8s.io/v1)) in a namespace of the cluster. While one run holds
    it, every other run that asks for it fails, with a message that says who holds it, since when and until when.
  - The API server decides who was first. Of several runs that ask at the same moment one gets the Lease.
  - A dead holder is no obstacle. It is dead when O(duration) has passed since it took or renewed the Lease, or when it
    is a process of the same host that has ended. A process of the same host that is seen to run is never dead.
  - Where the namespace does not exist there is nothing to protect yet. Then no Lease is taken, and that is no error.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.cluster
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes
options:
  name:
    description: The name of the Lease. Runs that ask for the same one exclude each other.
    type: str
    required: true
  namespace:
    description: The namespace of the Lease.
    type: str
    required: true
  state:
    description:
      - With V(present) the Lease is taken, or renewed when O(holder) holds it already.
      - With V(absent) it is removed when O(holder) holds it. The Lease of somebody else is left alone, and that is no
        error.
    type: str
    choices: [present, absent]
    default: present
  holder:
    description:
      - Who holds the Lease, a text that no other run has.
      - The default names the host, and the process of C(ansible-playbook) by its id, its start time, its PID namespace
        and the boot id of the host. So all tasks of a run are one holder, and other runs on the host see when it has
        ended.
      - The process is found in C(/proc) by going up from the module, from parent to parent, to the first one whose
        command is C(ansible-playbook), C(ansible) or C(ansible-console), and on to the last one in a row with the same
        command line, as the worker of a task is a fork of C(ansible-playbook).
      - Where there is no C(/proc), and on hosts that the task reaches by SSH, that process cannot be seen. Then the
        default is the name of the host, all runs on it count as one holder, with a warning, and only the time tells
        whether it is dead.
    type: str
  duration:
    description:
      - Seconds until the holder counts as dead, from when it has last taken or renewed the Lease.
      - A run that takes longer has to renew it in time.
    type: int
    default: 3600
notes:
  - The clocks of all hosts that ask for a Lease have to agree, apart from what is small beside O(duration).
  - The account needs the verbs C(get), C(create), C(update) and C(delete) for C(leases) of C(coordination.k8s.io). In
    check mode it asks for the namespace as well, where it may.
  - A run that has ended without giving the Lease back, and a host that was started anew, leave it behind. On the same
    host and boot the next run notices. On others it waits for the time to pass, unless the Lease is removed by hand.
attributes:
  diff_mode:
    details:
      - The difference is told by holder and duration.
  idempotent:
    details:
      - A Lease that is renewed by its holder has not changed, although its times have.
seealso:
  - name: Leases
    description: What Kubernetes says of them.
    link: https://kubernetes.io/docs/concepts/architecture/leases/
"""

EXAMPLES = r"""
- name: Work on the estate alone
  block:
    - name: Take the Lease
      ocm.airgap.ocm_lease:
        name: ocm-airgap
        namespace: ocm-system

    - name: Deliver
      ansible.builtin.include_role:
        name: ocm.airgap.gitops
  always:
    - name: Give it back
      ocm.airgap.ocm_lease:
        name: ocm-airgap
        namespace: ocm-system
        state: absent

- name: Keep everybody away for a night, whatever runs where
  ocm.airgap.ocm_lease:
    name: ocm-airgap
    namespace: ocm-system
    holder: maintenance of the storage, ask the platform team
    duration: 43200
"""

RETURN = r"""
acquired:
  description: Whether O(holder) holds the Lease now. In check mode, whether it would.
  returned: always, also when somebody else holds it
  type: bool
  sample: true
reachable:
  description: Whether the API server has answered, so that the rest is known.
  returned: always, also when somebody else holds it
  type: bool
  sample: true
holder:
  description: Who holds the Lease now; null when nobody does.
  returned: always, also when somebody else holds it
  type: str
  sample: build7 pid=4242 start=8123456 pidns=4026531836 boot=7c1f4a86-3f0e-4c7e-9d0b-2f3a5e6b7c8d
expires:
  description: Until when, unless it is renewed; null when nobody holds it, or when it has no end.
  returned: always, also when somebody else holds it
  type: str
  sample: "2026-01-01T01:00:00Z"
message:
  description: What has become of the Lease.
  returned: always, also when somebody else holds it
  type: str
  sample: Lease ocm-system/ocm-airgap is taken, until 2026-01-01T01:00:00Z.
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.lease import lease
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import run_module


def main() -> None:
    arguments = dict(
        name=dict(type="str", required=True),
        namespace=dict(type="str", required=True),
        state=dict(type="str", choices=["present", "absent"], default="present"),
        holder=dict(type="str"),
        duration=dict(type="int", default=3600),
        **connection_arguments(),
    )
    run_module(arguments, lease, libraries=libraries())


if __name__ == "__main__":
    main()
