# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module flux_reconcile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional

from ..cluster.flux import (
    FIELD_MANAGER,
    REQUESTED_AT,
    Request,
    applied_revision,
    conditions_of,
    flux_source,
    is_applied,
    is_late,
    progress,
    same_revision,
)
from ..cluster.objects import (
    EXTERNAL_ARTIFACT,
    FLUX_KINDS,
    KUSTOMIZATION,
    OCM_KINDS,
    ClusterError,
    ClusterUnreachable,
    Kind,
    Object,
    is_suspended,
    kind_of,
    name_of,
    named,
    namespace_of,
    title,
    title_of,
)
from ..cluster.remedies import remedy_for
from ..cluster.status import Status, status_of
from ..cluster.workloads import inventory
from ..model.errors import InvalidInput, NotFound, Refused
from .cluster import CONTACT_SECONDS, Deadline, Lasting, LiveCluster, open_cluster
from .module import Context, Failed

# An ExternalArtifact is written by whoever makes it; nobody answers a request for it.
ASKED_KINDS = tuple(kind for kind in FLUX_KINDS if kind != EXTERNAL_ARTIFACT)
GRACE_SECONDS = 30.0
SETTLE_SECONDS = 30.0


def flux_reconcile(context: Context) -> Dict[str, Any]:
    """Ask Flux for a revision and wait until it is applied."""
    params = context.params
    kind = _kind(params["kind"])
    if params["wait_timeout"] < 1:
        raise InvalidInput(f"wait_timeout must be at least 1 second, not {params['wait_timeout']}.")
    cluster = open_cluster(context)
    deadline = Deadline(params["wait_timeout"])
    run = Reconciliation(cluster, deadline, context.check_mode)
    wanted = Wanted(params["revision"] or "", params["again"])
    return run.reconcile(kind, params["namespace"], params["name"], wanted)


def _kind(name: str) -> Kind:
    kind = named(ASKED_KINDS, name)
    if kind is not None:
        return kind
    if named(OCM_KINDS, name) is not None:
        raise InvalidInput(
            f"{name} is an object of ocm-controller, which does not heed the annotation that Flux is asked with.",
            "Setting spec.suspend to true and back to false makes it look again.",
        )
    known = ", ".join(item.kind for item in ASKED_KINDS)
    raise InvalidInput(f"{name} is no kind that Flux reconciles when asked.", f"Use one of {known}.")


@dataclass(frozen=True)
class Wanted:
    """What is asked for. revision: "" for no particular one. again: also when it is applied already."""

    revision: str
    again: bool

    @property
    def takes_what_is_there(self) -> bool:
        return self.again and not self.revision

    def needs_fetching(self, source: Object) -> bool:
        """Whether the source has to be asked before the object that takes its content from it."""
        if self.takes_what_is_there:
            return False
        there = same_revision(self.revision, applied_revision(source))
        # What was fetched once can be applied again, also while its server is away.
        return not (there and (self.again or status_of(source).ready))


class Reconciliation:
    """One request, and waiting for the answer. Everything that is written is an annotation."""

    def __init__(self, cluster: LiveCluster, deadline: Deadline, check_mode: bool) -> None:
        self._cluster, self._deadline, self._check_mode = cluster, deadline, check_mode
        self._latest: Optional[Object] = None
        self._before = ""
        self._in_contact, self._contact = False, Deadline(CONTACT_SECONDS)

    def reconcile(self, kind: Kind, namespace: str, name: str, wanted: Wanted) -> Dict[str, Any]:
        """Have an object apply what is wanted. Raises Failed, Refused when it is suspended, NotFound."""
        obj = self._read(kind, namespace, name)
        self._latest, self._before = obj, applied_revision(obj)
        if wanted.revision and not wanted.again and self._is_there(obj, wanted.revision):
            return self._result(self._latest, self._ask_late_ones(self._latest))
        source = self._source(obj, wanted)
        if self._check_mode:
            return self._prediction(obj, source, wanted)
        revision = wanted.revision
        if source is not None and not wanted.takes_what_is_there:
            revision = self._fetch(source, wanted)
        must_answer = wanted.again or not wanted.revision
        done = self._wait(obj, Request(revision, self._ask(obj), must_answer))
        self._ask_late_ones(done)
        changed = wanted.again or bool(wanted.revision) or applied_revision(done) != self._before
        return self._result(done, changed)

    def _read(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object that is going to be asked. Raises Refused when it is suspended."""
        obj = self._look(kind, namespace, name)
        _refuse_suspended(obj)
        return obj

    def _look(self, kind: Kind, namespace: str, name: str) -> Object:
        while True:
            try:
                obj = self._cluster.get(kind, namespace, name)
                break
            except ClusterUnreachable as error:
                self._pause(error)
        self._in_contact = True
        if obj is None:
            if not self._cluster.knows(kind):
                raise NotFound(f"The cluster has no kind {kind} ({kind.api_version}).", "Install Flux first.")
            raise NotFound(f"{title(kind.kind, namespace, name)} does not exist.", "Check its name and namespace.")
        return obj

    def _source(self, obj: Object, wanted: Wanted) -> Optional[Object]:
        reference = flux_source(obj)
        if reference is None or reference[0] == EXTERNAL_ARTIFACT:
            return None
        source = self._look(*reference)
        if not wanted.again or wanted.needs_fetching(source):
            _refuse_suspended(source)
        return source

    def _is_there(self, obj: Object, revision: str) -> bool:
        """Whether the revision is applied already. A reconciliation that happens to run is waited for, not repeated."""
        settle = Deadline(SETTLE_SECONDS)
        while is_applied(obj, revision):
            status = status_of(obj)
            if status.ready or (self._check_mode and not status.failed):
                self._latest = obj
                return True
            if status.failed or settle.over or self._deadline.over or self._check_mode:
                return False
            self._deadline.sleep()
            obj = self._read(kind_of(obj), namespace_of(obj), name_of(obj))
        return False

    def _prediction(self, obj: Object, source: Optional[Object], wanted: Wanted) -> Dict[str, Any]:
        """What a run would do as far as it can be told: without a revision, what is there already counts."""
        revision = wanted.revision
        there = revision or (applied_revision(source) if source is not None else applied_revision(obj))
        if revision and source is not None and same_revision(revision, applied_revision(source)):
            there = applied_revision(source)
        changed = wanted.again or bool(revision) or there != self._before
        return dict(changed=changed, revision=there or None, conditions=conditions_of(obj), diff=self._diff(there))

    def _fetch(self, source: Object, wanted: Wanted) -> str:
        """Have the source fetch the revision; the revision in the form that the source gives it."""
        if wanted.needs_fetching(source):
            source = self._wait(source, Request(wanted.revision, self._ask(source)))
        return applied_revision(source)

    def _ask(self, obj: Object) -> str:
        """Write the request; its token."""
        token = _token()
        while True:
            try:
                self._cluster.annotate(obj, REQUESTED_AT, token, FIELD_MANAGER)
                return token
            except ClusterUnreachable as error:
                self._pause(error)

    def _ask_late_ones(self, obj: Object) -> bool:
        """Ask the Kustomizations that this one applies and that have not tried its revision yet; whether there are any.

        After an API server was away Flux may leave them alone for a quarter of an hour. Best effort: Flux comes to
        them by itself, and nothing here waits for them.
        """
        late = [child for child in self._children(obj) if is_late(child, obj)]
        for child in late if not self._check_mode else ():
            with suppress(ClusterError):
                self._cluster.annotate(child, REQUESTED_AT, _token(), FIELD_MANAGER)
        return bool(late)

    def _children(self, obj: Object) -> List[Object]:
        found: List[Object] = []
        for namespace, name, group, kind in inventory(obj):
            if (group, kind) == (KUSTOMIZATION.group, KUSTOMIZATION.kind):
                with suppress(ClusterError):
                    child = self._cluster.get(KUSTOMIZATION, namespace, name)
                    if child is not None:
                        found.append(child)
        return found

    def _wait(self, obj: Object, request: Request) -> Object:
        lasting = Lasting(GRACE_SECONDS)
        while True:
            obj = self._read(kind_of(obj), namespace_of(obj), name_of(obj))
            self._keep(obj)
            status = progress(obj, request)
            if status.ready:
                return obj
            lasts = lasting.see([status.reason] if status.failed else [])
            if lasts or self._deadline.over:
                raise self._failure(obj, request, status, timed_out=not lasts)
            self._deadline.sleep()

    def _keep(self, obj: Object) -> None:
        """The partial state of an error is the asked object's, also while its source is waited for."""
        if self._latest is not None and title_of(self._latest) == title_of(obj):
            self._latest = obj

    def _failure(self, obj: Object, request: Request, status: Status, timed_out: bool) -> Failed:
        what = f"revision {request.revision}" if request.revision else "what its source has"
        end = "failed" if status.failed else "is not there in time"
        message = f"{title_of(obj)}: {what} {end}: {status.reason}: {status.message}"
        return Failed(ClusterError(message, remedy_for(status)), self._state(timed_out))

    def _pause(self, error: ClusterUnreachable) -> None:
        """An API server that answered before may come back in time; one that never did may just be starting."""
        if self._deadline.over or self._check_mode or not self._in_contact and self._contact.over:
            raise Failed(error, self._state(self._deadline.over)) from None
        self._deadline.sleep()

    def _result(self, obj: Object, changed: bool) -> Dict[str, Any]:
        revision = applied_revision(obj)
        return dict(
            changed=changed, revision=revision or None, conditions=conditions_of(obj), diff=self._diff(revision)
        )

    def _state(self, timed_out: bool) -> Dict[str, Any]:
        obj = self._latest or {}
        return dict(revision=applied_revision(obj) or None, conditions=conditions_of(obj), timed_out=timed_out)

    def _diff(self, after: str) -> Dict[str, Any]:
        return dict(before=dict(revision=self._before or None), after=dict(revision=after or None))


def _token() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def _refuse_suspended(obj: Object) -> None:
    if is_suspended(obj):
        raise Refused(
            f"{title_of(obj)} is suspended (spec.suspend is true): it does not reconcile.", "Resume it first."
        )
