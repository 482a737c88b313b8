# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which revision an object of Flux was asked for, has attempted and has applied.

Revisions decide, never the transitions of conditions: with short intervals the moment between two of them is not seen.
Requests follow Flux: the annotation reconcile.fluxcd.io/requestedAt, answered in status.lastHandledReconcileAt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .objects import (
    HELM_RELEASE,
    KUSTOMIZATION,
    SOURCE_KINDS,
    Kind,
    Object,
    condition,
    is_suspended,
    is_true,
    kind_of,
    mapping,
    named,
    namespace_of,
    sequence,
    text,
    title_of,
)
from .status import FAILED, PROGRESSING, READY, Status, is_stale, status_of

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
# kustomize-controller takes fields of kubectl's managers away, not those of this one, which flux itself uses.
FIELD_MANAGER = "flux-client-side-apply"
_HEX = re.compile(r"\A[0-9a-f]{7,64}\Z")
# What an attempt at the wanted revision ended with, and would end with again unless something else changes.
_ENDED = frozenset(
    (
        "BuildFailed",
        "ReconciliationFailed",
        "PruneFailed",
        "HealthCheckFailed",
        "InvalidCELExpression",
        "FeatureGateDisabled",
        "InstallFailed",
        "UpgradeFailed",
        "TestFailed",
        "AuthenticationFailed",
        "URLInvalid",
        "VerificationError",
    )
)


@dataclass(frozen=True)
class Request:
    """What is waited for. revision: "" for whatever there is. token: our value of the annotation, "" for none.

    must_answer: the request has to be answered, also when the revision is there.
    """

    revision: str = ""
    token: str = ""
    must_answer: bool = False


def flux_source(obj: Object) -> Optional[Tuple[Kind, str, str]]:
    """Kind, namespace and name of what a Kustomization or HelmRelease takes its content from, None for others."""
    spec = mapping(obj, "spec")
    if kind_of(obj) == KUSTOMIZATION:
        ref = mapping(spec, "sourceRef")
    elif kind_of(obj) == HELM_RELEASE:
        ref = mapping(spec, "chartRef")
    else:
        return None
    kind = named(SOURCE_KINDS, text(ref, "kind"))
    if kind is None:
        return None
    return kind, text(ref, "namespace") or namespace_of(obj), text(ref, "name")


def conditions_of(obj: Object) -> List[Dict[str, Any]]:
    """The conditions as a return value."""
    return [dict(entry) for entry in sequence(obj, "status", "conditions") if isinstance(entry, Mapping)]


def applied_revision(obj: Object) -> str:
    """The revision that a source has fetched, or that a Kustomization or HelmRelease has applied; "" for none."""
    kind = kind_of(obj)
    if kind == KUSTOMIZATION:
        return text(obj, "status", "lastAppliedRevision")
    if kind == HELM_RELEASE:
        latest = _latest_release(obj)
        version, digest = text(latest, "chartVersion"), text(latest, "ociDigest")
        return f"{version}@{digest}" if digest else version
    if kind in SOURCE_KINDS:
        return text(obj, "status", "artifact", "revision")
    return ""


def attempted_revision(obj: Object) -> str:
    """The revision that was tried last, applied or not."""
    attempted, digest = text(obj, "status", "lastAttemptedRevision"), text(obj, "status", "lastAttemptedRevisionDigest")
    return f"{attempted}@{digest}" if attempted and digest else attempted or applied_revision(obj)


def same_revision(wanted: str, actual: str) -> bool:
    """Whether a revision of Flux is the wanted one.

    wanted: a revision as Flux writes it (`main@sha1:<hex>`, `6.3.5@sha256:<hex>`), its digest, a commit (at least
    7 hex digits), or a tag or chart version. A branch alone is no revision.
    """
    if not wanted or not actual:
        return False
    head, _at, digest = actual.rpartition("@")
    algorithm, _colon, value = digest.rpartition(":")
    if wanted in (actual, digest):
        return True
    if "@" in wanted:
        wanted_head, _at, wanted_digest = wanted.rpartition("@")
        if not algorithm:
            return wanted_head == actual.partition("+")[0]
        return wanted_digest == digest and wanted_head == head.partition("+")[0]
    if _HEX.match(wanted) and value.startswith(wanted):
        return True
    version = head if algorithm == "sha256" else (actual if not algorithm else "")
    return bool(version) and wanted in (version, version.partition("+")[0])


def is_applied(obj: Object, revision: str) -> bool:
    """Whether the revision is applied, whatever the object is doing right now."""
    return same_revision(revision, applied_revision(obj)) and same_revision(revision, attempted_revision(obj))


def is_late(obj: Object, applier: Object) -> bool:
    """Whether an object takes its content from where the one that applies it does, and has not tried that revision."""
    revision = applied_revision(applier)
    same_source = flux_source(obj) is not None and flux_source(obj) == flux_source(applier)
    return same_source and not is_suspended(obj) and not same_revision(revision, attempted_revision(obj))


def progress(obj: Object, request: Request) -> Status:
    """How far an object is with a request: ready when it is done, failed when its attempt at it has failed."""
    if is_suspended(obj):
        return Status(
            FAILED, "Suspended", f"{title_of(obj)} is suspended (spec.suspend is true), it does not reconcile."
        )
    handled = not request.token or text(obj, "status", "lastHandledReconcileAt") == request.token
    reached = not request.revision or same_revision(request.revision, applied_revision(obj))
    status = status_of(obj)
    if status.ready and reached and (handled or (request.revision and not request.must_answer)):
        return status
    if not handled:
        return Status(PROGRESSING, "Requested", f"The request is not answered yet; before it: {_said(status)}")
    if status.ready:
        there = applied_revision(obj) or "nothing"
        return Status(PROGRESSING, "OtherRevision", f"It is at {there}, not at {request.revision}.")
    return _attempt(obj, request, status)


def _attempt(obj: Object, request: Request, status: Status) -> Status:
    ready = condition(obj, "Ready")
    if ready is None or is_true(ready) or is_stale(obj, ready):
        return status
    about_it = not request.revision or same_revision(request.revision, attempted_revision(obj))
    ended = text(ready, "reason") in _ENDED and (kind_of(obj) in SOURCE_KINDS or about_it)
    if status.state != READY and (ended or status.failed):
        return Status(FAILED, text(ready, "reason"), text(ready, "message"))
    return status


def _said(status: Status) -> str:
    return f"{status.reason}: {status.message}".strip(": ")


def _latest_release(obj: Object) -> Mapping[str, Any]:
    history = sequence(obj, "status", "history")
    return mapping(history[0]) if history else {}
