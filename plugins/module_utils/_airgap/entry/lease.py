# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_lease."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Callable, Dict, Optional

from ..cluster.lease import (
    HELD,
    LEASE,
    TAKEN,
    Claim,
    Decision,
    Hold,
    decide,
    held_message,
    hold_of,
    removal_command,
    seconds_text,
)
from ..cluster.objects import ClusterError, ClusterUnreachable, Kind, Object, title
from ..model.errors import InvalidInput, Refused
from .cluster import CONTACT_SECONDS, Conflict, Deadline, LiveCluster, NamespaceMissing, open_cluster
from .module import Context, Failed
from .processes import ansible_run, host_name, is_alive, is_gone

NAMESPACE = Kind("v1", "Namespace")
# Every conflict means that somebody else has written; more of them than this are no coincidence.
ATTEMPTS = 20
# leaseDurationSeconds is an int32.
LONGEST = 2**31 - 1


def lease(context: Context) -> Dict[str, Any]:
    """Take, renew or give back a Lease."""
    params = context.params
    if not 1 <= params["duration"] <= LONGEST:
        raise InvalidInput(f"duration must be between 1 and {LONGEST} seconds, not {params['duration']}.")
    present = params["state"] == "present"
    holder = params["holder"] or _own_identity(context, present)
    run = _Run(open_cluster(context), context, holder)
    return run.reached(run.take if present else run.give_back)


def _own_identity(context: Context, present: bool) -> str:
    """The identity of this run of Ansible; where its process is not to be seen, the host is all that tells it."""
    process = ansible_run()
    if process is not None:
        return str(process)
    if present:
        context.warn(
            "The process of ansible-playbook cannot be seen from here: all runs that work on this host count as one"
            " holder of the Lease, and do not exclude each other. Give a holder of its own to each run."
        )
    return host_name()


class _Run:
    """One call of the module."""

    def __init__(self, cluster: LiveCluster, context: Context, holder: str) -> None:
        params = context.params
        self._cluster, self._check_mode, self._holder = cluster, context.check_mode, holder
        self._namespace, self._name, self._duration = params["namespace"], params["name"], params["duration"]
        self._title = title(LEASE.kind, self._namespace, self._name)
        self._before: Optional[Hold] = None

    def reached(self, step: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        """Do a step from its beginning until the API server has answered: it may be restarting just now."""
        deadline = Deadline(CONTACT_SECONDS)
        while True:
            try:
                return step()
            except ClusterUnreachable as error:
                if deadline.over or self._check_mode:
                    raise Failed(error, dict(self._result(Hold(), error.message), reachable=False)) from None
                deadline.sleep()

    def take(self) -> Dict[str, Any]:
        """Take or renew the Lease. Whoever writes first has it: the others read again and decide anew."""
        for _attempt in range(ATTEMPTS):
            found = self._read()
            decision = decide(found, self._claim(), is_gone, is_alive)
            if decision.outcome == HELD:
                raise self._held(hold_of(found), decision.reason)
            try:
                self._write(found, decision)
            except Conflict:
                continue
            except NamespaceMissing:
                return self._unprotected()
            return self._taken(decision)
        raise self._given_up()

    def give_back(self) -> Dict[str, Any]:
        """Remove the Lease if it is this run's own."""
        for _attempt in range(ATTEMPTS):
            found = self._read()
            hold = hold_of(found)
            if found is None:
                return self._result(hold, f"{self._title} does not exist.")
            if hold.holder != self._holder:
                whose = (
                    held_message(hold, self._namespace, self._name) if hold.holder else f"{self._title} has no holder."
                )
                return self._result(hold, f"{whose} It is left alone.")
            try:
                if not self._check_mode:
                    self._cluster.delete(found)
            except Conflict:
                continue
            return self._result(Hold(), f"{self._title} is given back.")
        raise self._given_up()

    def _read(self) -> Optional[Object]:
        found = self._cluster.get(LEASE, self._namespace, self._name)
        if self._before is None:
            self._before = hold_of(found)
        return found

    def _claim(self) -> Claim:
        return Claim(self._namespace, self._name, self._holder, self._duration, datetime.now(timezone.utc))

    def _write(self, found: Optional[Object], decision: Decision) -> None:
        definition = decision.definition or {}
        if not self._check_mode:
            self._cluster.create(definition) if found is None else self._cluster.replace(definition)
        elif found is None and not self._has_namespace():
            raise NamespaceMissing(f"The namespace {self._namespace} does not exist.")

    def _has_namespace(self) -> bool:
        """Whether the namespace is there; an account that may not ask for it hardly works in one that is not."""
        try:
            return self._cluster.get(NAMESPACE, "", self._namespace) is not None
        except ClusterError as error:
            if error.status != 403:
                raise
            return True

    def _taken(self, decision: Decision) -> Dict[str, Any]:
        hold = hold_of(decision.definition)
        message = f"{self._title} is {decision.outcome}, until {seconds_text(hold.expires)}."
        if decision.outcome == TAKEN and decision.reason:
            message += f" It was free: {decision.reason}."
        return self._result(hold, message, acquired=True)

    def _unprotected(self) -> Dict[str, Any]:
        message = (
            f"The namespace {self._namespace} does not exist: nothing is there to protect yet, and no Lease is taken."
        )
        return self._result(Hold(), message)

    def _held(self, hold: Hold, reason: str) -> Failed:
        message = held_message(hold, self._namespace, self._name) + (f" It is not free: {reason}." if reason else "")
        message += " Nobody else may work on this estate meanwhile."
        command = removal_command(self._namespace, self._name)
        hint = f"Wait until it has ended. If it is known to be dead, remove its Lease: {command}"
        return Failed(Refused(message, hint), self._result(hold, message))

    def _given_up(self) -> ClusterError:
        return ClusterError(f"{self._title} was changed by others {ATTEMPTS} times in a row.", "Run it again.", 409)

    def _result(self, after: Hold, message: str, acquired: bool = False) -> Dict[str, Any]:
        """What the module returns. Renewing is no change: the same run holds the Lease as before."""
        old, new = _state(self._before or Hold()), _state(after)
        return dict(
            changed=old != new and self._holder in (old["holder"], new["holder"]),
            acquired=acquired,
            reachable=True,
            holder=after.holder or None,
            expires=seconds_text(after.expires) if after.expires else None,
            message=message,
            diff=dict(before=old, after=new),
        )


def _state(hold: Hold) -> Dict[str, Any]:
    return dict(holder=hold.holder or None, duration=hold.duration)
