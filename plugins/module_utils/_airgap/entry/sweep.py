# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing objects until they have gone: Flux is asked to prune, and what nobody else removes or releases goes here."""

from __future__ import annotations

import time
from typing import Callable, Dict, List, Sequence

from ..cluster.flux import REQUESTED_AT, attempted_revision, same_revision
from ..cluster.objects import (
    DEPLOYMENT,
    KUSTOMIZATION,
    ClusterError,
    ClusterUnreachable,
    Object,
    number,
    text,
    title,
    title_of,
)
from ..model.errors import NotFound
from ..teardown.order import keeper_of, next_steps, still_there
from ..teardown.survey import Found
from .cluster import Conflict, Deadline, LiveCluster
from .flux_reconcile import Reconciliation, Wanted
from .module import Failed

OCM_NAMESPACE = "ocm-system"
# Seconds for a controller that has no available Deployment here: it may run elsewhere.
GRACE_SECONDS = 30.0


class Prune:
    """Has Flux apply a Git tree in which the deliveries are not any more. name, namespace: of its Kustomization."""

    def __init__(self, cluster: LiveCluster, namespace: str, name: str) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name

    def until_applied(self, revision: str, seconds: float) -> bool:
        """Whether Flux has applied the revision, or nothing that could be older; False when Flux does not answer.

        Raises ClusterError when it goes on applying what was there before, and Refused when it is suspended.
        """
        if self._cluster.get(KUSTOMIZATION, self._namespace, self._name) is None:
            return True
        try:
            self._ask(Wanted(revision, False), GRACE_SECONDS)
            return True
        except NotFound:
            # Without its source it applies nothing.
            return True
        except Failed:
            pass
        if self._has_tried(revision):
            return True
        if not self._answers():
            return False
        try:
            self._ask(Wanted(revision, False), seconds)
        except Failed as error:
            if not self._has_tried(revision):
                message = f"Flux still applies what Git had before the deliveries were taken out: {error.message}"
                raise ClusterError(message, f"{error.hint} Then run this again.".strip()) from None
        return True

    def _ask(self, wanted: Wanted, seconds: float) -> None:
        run = Reconciliation(self._cluster, Deadline(seconds), False)
        run.reconcile(KUSTOMIZATION, self._namespace, self._name, wanted)

    def _has_tried(self, revision: str) -> bool:
        """Whatever hinders it, what it applies from now on is that revision."""
        return same_revision(revision, attempted_revision(self._read()))

    def _answers(self) -> bool:
        """Whether anybody answers the request to apply once more what is there."""
        try:
            self._ask(Wanted("", True), GRACE_SECONDS)
            return True
        except Failed:
            obj = self._read()
            asked = text(obj, "metadata", "annotations", REQUESTED_AT)
            return bool(asked) and asked == text(obj, "status", "lastHandledReconcileAt")

    def _read(self) -> Object:
        return self._cluster.get(KUSTOMIZATION, self._namespace, self._name) or {}

    @property
    def title(self) -> str:
        return title(KUSTOMIZATION.kind, self._namespace, self._name)


class Sweep:
    """Removes objects, and waits until they have gone. released: those whose finalizers were taken away.

    acted: whether anything was written.
    """

    def __init__(self, cluster: LiveCluster, flux_namespace: str, seconds: float) -> None:
        self._cluster, self._seconds = cluster, seconds
        self._homes = (flux_namespace, OCM_NAMESPACE)
        self._patience: Dict[str, float] = {}
        self._since: Dict[str, float] = {}
        self.released: List[str] = []
        self.acted = False

    def until_gone(self, look: Callable[[], Sequence[Found]]) -> None:
        """look: what is still there. Raises ClusterError for what does not go in time."""
        deadline = Deadline(self._seconds)
        while True:
            try:
                found = look()
                if not found:
                    return
                self._step(found)
            except ClusterUnreachable:
                if deadline.over:
                    raise
            else:
                if deadline.over:
                    raise ClusterError(still_there(found), "See who applies it or sets them, and run this again.")
            deadline.sleep()

    def _step(self, found: Sequence[Found]) -> None:
        steps = next_steps(found, self._is_overdue)
        self.acted = self.acted or bool(steps.remove or steps.release)
        for obj in steps.remove:
            self._remove(obj)
        for obj, finalizers in steps.release:
            try:
                self._cluster.set_finalizers(obj, finalizers)
            except ClusterError as error:
                # Somebody was faster; the next look tells.
                if error.status not in (404, 409, 422):
                    raise
            else:
                self.released.append(title_of(obj))

    def _remove(self, obj: Object) -> None:
        """Whatever its state is now, as long as it is the same object."""
        metadata = {key: obj["metadata"].get(key) for key in ("name", "namespace", "uid")}
        try:
            self._cluster.delete(dict(apiVersion=obj["apiVersion"], kind=obj["kind"], metadata=metadata))
        except Conflict:
            pass

    def _is_overdue(self, obj: Object) -> bool:
        since = self._since.setdefault(text(obj, "metadata", "uid"), time.monotonic())
        keeper = keeper_of(obj)
        if keeper not in self._patience:
            # The other half is for what comes after.
            half = self._seconds / 2
            self._patience[keeper] = half if not keeper or self._is_available(keeper) else min(half, GRACE_SECONDS)
        return time.monotonic() - since >= self._patience[keeper]

    def _is_available(self, deployment: str) -> bool:
        found = [self._cluster.get(DEPLOYMENT, namespace, deployment) for namespace in self._homes]
        return any((number(obj, "status", "availableReplicas") or 0) > 0 for obj in found if obj is not None)
