#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: flux_reconcile
short_description: Have Flux fetch and apply a revision, and wait for it
version_added: 1.0.0
description:
  - Asks Flux to reconcile an object, in the way that C(flux reconcile) does, and waits until the wanted revision is
    applied.
  - For a Kustomization and for a HelmRelease the source (GitRepository, OCIRepository) is asked first, then the object
    itself.
  - When the revision is applied already, nothing is written, unless O(again) is set.
  - Kustomizations that a Kustomization applies from the same source, and that have not tried its revision yet, are asked
    as well, but not waited for. After an API server was away Flux may otherwise leave them alone for a long time.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.cluster
  - kubernetes.core.k8s_auth_options
  - ocm.airgap.attributes
options:
  kind:
    description:
      - The kind of the object, one of C(Kustomization), C(HelmRelease), C(GitRepository), C(OCIRepository), C(Bucket),
        C(HelmRepository), C(HelmChart).
      - The objects of ocm-controller do not heed such requests.
    type: str
    default: Kustomization
  name:
    description: The object's name.
    type: str
    required: true
  namespace:
    description: The object's namespace.
    type: str
    default: flux-system
  revision:
    description:
      - What is to be applied. A commit (at least 7 hex digits), a digest, a tag or chart version, or the revision as
        Flux writes it, C(main@sha1:<commit>) or C(<tag>@sha256:<digest>).
      - Without it the source fetches whatever is newest, and that is applied. Then a request is always written, and the
        module reports a change when the applied revision differs from the one before. Check mode cannot know what the
        source will find, and goes by what it has.
    type: str
  again:
    description:
      - Ask also when the revision is applied already, so that Flux puts back what was changed by hand, and wait until
        it has answered. This is always a change.
      - The source of a Kustomization or HelmRelease is asked only when it does not have the O(revision). Without
        O(revision) what the source has is applied again, and nothing newer is fetched. A source that is not asked may
        be suspended.
      - A source itself fetches again, and without O(revision) may find something newer.
      - A HelmRelease compares the cluster with the release only when C(spec.driftDetection.mode) is V(enabled).
        Otherwise it answers, and leaves what was changed by hand. No upgrade is forced.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds until the revision has to be applied.
      - An error that waiting does not mend ends it earlier, when it lasts for half a minute.
    type: int
    default: 300
attributes:
  diff_mode:
    details:
      - The difference is told by revisions.
  idempotent:
    support: partial
    details:
      - With O(revision) and without O(again). Without O(revision) something new may have come to the source between two
        runs.
seealso:
  - module: ocm.airgap.ocm_rollout_info
"""

EXAMPLES = r"""
- name: Have Flux apply the commit that was pushed
  ocm.airgap.flux_reconcile:
    kind: Kustomization
    name: components
    namespace: flux-system
    revision: 5f2b6f3c8f1f5f2d0a9a3bd1f3c0f3a6c7d8e9f0

- name: Put back what somebody changed in the cluster
  ocm.airgap.flux_reconcile:
    kind: Kustomization
    name: podinfo
    namespace: ocm-system
    again: true

- name: Have the deployed content fetched again
  ocm.airgap.flux_reconcile:
    kind: OCIRepository
    name: podinfo
    namespace: ocm-system
"""

RETURN = r"""
revision:
  description:
    - The revision that is applied; of a source the one that it has fetched. In check mode the one that would be.
  returned: when the object is there, also on failure
  type: str
  sample: main@sha1:5f2b6f3c8f1f5f2d0a9a3bd1f3c0f3a6c7d8e9f0
conditions:
  description: The object's conditions, also when the time is over.
  returned: when the object is there, also on failure
  type: list
  elements: dict
  sample:
    - type: Ready
      status: "True"
      reason: ReconciliationSucceeded
      message: "Applied revision: main@sha1:5f2b6f3c8f1f5f2d0a9a3bd1f3c0f3a6c7d8e9f0"
      observedGeneration: 1
      lastTransitionTime: "2026-01-01T00:00:00Z"
timed_out:
  description: Whether it ended because O(wait_timeout) was over. Then waiting longer may help.
  returned: on failure, when Flux was waited for
  type: bool
  sample: false
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import connection_arguments, libraries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.flux_reconcile import flux_reconcile
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import run_module


def main() -> None:
    arguments = dict(
        kind=dict(type="str", default="Kustomization"),
        name=dict(type="str", required=True),
        namespace=dict(type="str", default="flux-system"),
        revision=dict(type="str"),
        again=dict(type="bool", default=False),
        wait_timeout=dict(type="int", default=300),
        **connection_arguments(),
    )
    run_module(arguments, flux_reconcile, libraries=libraries())


if __name__ == "__main__":
    main()
