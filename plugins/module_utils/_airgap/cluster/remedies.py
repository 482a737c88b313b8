# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about what controllers and kubelets say: by reason and by the text of the message."""

from __future__ import annotations

import re
from typing import Mapping, Tuple

from .status import Status

CREDENTIALS, AUTHORITY, MISSING_IMAGE, NETWORK, WRONG_NAME, PLAIN_HTTP, RATE, PLATFORM = (
    "credentials",
    "authority",
    "image missing",
    "network",
    "wrong name",
    "plain http",
    "rate limit",
    "platform",
)
# The first that fits counts: an x509 error also tells of a dial, a refused token also of a missing repository.
_CAUSES = (
    (AUTHORITY, r"x509|certificate (?:signed by unknown|has expired|is not)|tls: failed to verify|unknown authority"),
    (PLAIN_HTTP, r"server gave HTTP response to HTTPS client"),
    (RATE, r"\b429\b|toomanyrequests|rate limit"),
    (
        NETWORK,
        r"no such host|dial tcp|i/o timeout|connection refused|network is unreachable|no route to host"
        r"|TLS handshake timeout|connection reset",
    ),
    (
        CREDENTIALS,
        r"\b401\b|\b403\b|unauthorized|forbidden|denied|authorization failed|failed to fetch anonymous token"
        r"|no basic auth|authentication required",
    ),
    (WRONG_NAME, r"InvalidImageName|couldn't parse image|invalid reference format|failed to parse"),
    (PLATFORM, r"no match for platform|does not match the specified platform|no matching manifest"),
    (MISSING_IMAGE, r"not found|manifest unknown|MANIFEST_UNKNOWN|name unknown|NAME_UNKNOWN|does not exist"),
)
_SUSPENDED = "Set spec.suspend of it to false."
ANEW = ": ocm_reconcile with anew does that, the playbook site by itself. Or delete it and let Flux create it again."
KICK = "set spec.suspend of it to true and back to false; an annotation does not make ocm-controller look again."

# (reason, text of the message, remedy): the first that fits; an empty pattern fits everything.
_REMEDIES: Tuple[Tuple[str, str, str], ...] = (
    ("Suspended", "", _SUSPENDED),
    (
        "RepositoryNotFollowed",
        "",
        "The controller does not follow a changed repository of the same version: give the ComponentVersion another "
        "name, or have it read anew" + ANEW,
    ),
    (
        "DescriptorMissing",
        "",
        "Component versions of one namespace share their ComponentDescriptor, and the ComponentVersion that owned it has "
        "gone. Have this one read anew" + ANEW,
    ),
    (
        "AuthenticatedContextCreationFailed",
        "",
        "Create the ServiceAccount and the Secret that it names in this namespace (role ocm.airgap.credentials). The "
        "controller does not notice that: afterwards " + KICK,
    ),
    ("ComponentVerificationFailed", "", "Check spec.verify: the signature's name, and the public key in its Secret."),
    (
        "SourceReasonNotATarArchive",
        "",
        "Localization and Configuration want a folder: publish the resource with an input of type dir.",
    ),
    ("NoTemplate", "", "Give it kustomizationTemplate or helmReleaseTemplate."),
    ("TwoTemplates", "", "Keep one of kustomizationTemplate and helmReleaseTemplate."),
    ("ComponentVersionNotFound", "", "Check spec.sourceRef: no ComponentVersion has this name and namespace."),
    (
        "",
        r"ComponentDescriptor\S* \S+ not found",
        "Component versions of one namespace share their ComponentDescriptor, and the ComponentVersion that owned it has "
        "gone. Have the ComponentVersion read anew" + ANEW,
    ),
    (
        "GetResourceFailed",
        r"not found|no resource",
        "Check resourceRef: ocm_component_info lists the component's resources.",
    ),
    (
        "ReconcileMutationObjectFailed",
        r"source-controller.*(?:timeout|deadline|refused)|(?:timeout|deadline|refused).*source-controller",
        "Flux's NetworkPolicies keep ocm-controller away from source-controller: allow port 9090 from its namespace "
        "(role ocm.airgap.flux does).",
    ),
    (
        "ReconcileMutationObjectFailed",
        r"failed to parse access reference",
        "A repository URL with http:// does not work here: the private registry needs TLS.",
    ),
    (
        "ReconcileMutationObjectFailed",
        r"cannot determine (?:image digest|access spec type)",
        "Transfer the component with ocm_transfer: the image has to lie in the registry as an OCI artifact.",
    ),
    (
        "ReconcileMutationObjectFailed",
        r"substitution failed",
        "Check the ConfigData's rules; ocm_localize shows what they do.",
    ),
    (
        "",
        r"ocm-registry-tls-certs",
        "Every namespace with a FluxDeployer needs the Secret ocm-registry-tls-certs with ca.crt (role "
        "ocm.airgap.ocm_controller).",
    ),
    (
        "ReconciliationFailed",
        r"FluxDeployer.*spec\.interval|spec\.interval.*Required value",
        "FluxDeployer needs spec.interval today; the guide's text lacks it. Add it in Git.",
    ),
    (
        "ReconciliationFailed",
        r"no matches for kind",
        "The API server does not know this kind in this version: install its CRDs, or write the version that is served "
        "(v1 for sources and Kustomizations, v2 for HelmReleases).",
    ),
    (
        "ReconciliationFailed",
        r"namespaces? \S+ not found",
        "Create the namespace, or let Flux create it with the other objects.",
    ),
    (
        "BuildFailed",
        r"variable (?:not set|substitution)|strict|envsubst",
        "Flux substitutes strictly: define the variable in postBuild, write $${...}, or annotate the object with "
        "kustomize.toolkit.fluxcd.io/substitute: disabled.",
    ),
    ("BuildFailed", "", "Correct the manifests in the source; kustomize build shows the same error."),
    ("AuthenticationFailed", "", "Check the Secret in spec.secretRef: user name, password or key are not accepted."),
    (
        "GitOperationFailed",
        "",
        "Check that the Git server runs and that spec.url, spec.ref and the Secret in spec.secretRef are right.",
    ),
    (
        "FailedCreate",
        r"serviceaccount.*not found",
        "Create the ServiceAccount in this namespace (role ocm.airgap.credentials).",
    ),
    ("FailedCreate", r"quota", "Raise the namespace's ResourceQuota, or ask for less."),
    (
        "Terminating",
        "",
        "Wait until it is gone. If it stays, the controller of its finalizers does not run, or its node is lost.",
    ),
    (
        "CrashLoopBackOff",
        "",
        "The image is there and starts, but its program ends: read its log (kubectl logs --previous).",
    ),
    ("CreateContainerConfigError", "", "Create the ConfigMap or Secret that the message names in the pod's namespace."),
    ("Unschedulable", "", "No node fits: see the message for what is missing."),
    ("BackoffLimitExceeded", "", "Read the log of its pods; a Job is not started again, it has to be replaced."),
    ("OtherRevision", "", "Check that the revision was pushed to the branch and repository that the source reads."),
    ("StaleStatus", "", "If it stays like this, its controller does not run: look at the controller's log."),
)
CAUSE_REMEDIES: Mapping[str, str] = {
    CREDENTIALS: "Check the account in the Secret and that it may read this repository (role ocm.airgap.credentials).",
    AUTHORITY: "Make the registry's authority known there: for nodes in the container runtime, for controllers in "
    "their pods.",
    NETWORK: "Check the host name, the name service and the route from the cluster to the registry.",
    MISSING_IMAGE: "Transfer the component with ocm_transfer; check the repository and the version.",
    RATE: "Wait, or use an account with a higher limit.",
}
# The same for nodes, whose kubelet pulls an image.
NODE_REMEDIES: Mapping[str, str] = {
    AUTHORITY: "The node does not trust the registry's certificate: give its container runtime the authority (for "
    "containerd hosts.toml or the system's trust store), or renew the certificate.",
    PLAIN_HTTP: "The registry does not speak TLS: give it a certificate, or allow plain HTTP in the node's container "
    "runtime.",
    MISSING_IMAGE: "The image is not in the registry: transfer the component with ocm_transfer, with copy_resources.",
    NETWORK: "The node does not reach the registry: check the host name, the name service and the route from the node.",
    WRONG_NAME: "The image reference cannot be read: check the localization rule; a digest in a field for a tag gives "
    "such names.",
    RATE: "The registry limits requests: wait, or use an account with a higher limit.",
    PLATFORM: "The image has no variant for the node's platform: transfer all platforms, or choose another node.",
}


def remedy_for(status: Status) -> str:
    """What to do about an object of Flux or ocm-controller that is not ready; "" when nothing is known."""
    for reason, pattern, remedy in _REMEDIES:
        if reason in ("", status.reason) and re.search(pattern, status.message, re.I | re.S):
            return remedy
    return CAUSE_REMEDIES.get(cause_of(status.message), "")


def cause_of(message: str) -> str:
    """What stopped somebody from reading from a registry, told by the message; "" when it does not tell."""
    for cause, pattern in _CAUSES:
        if re.search(pattern, message, re.I):
            return cause
    return ""
