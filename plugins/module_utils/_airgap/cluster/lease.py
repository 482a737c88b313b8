# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lease by which runs exclude each other: what it says, whether its holder is dead, what to write. Pure.

Follows coordination.k8s.io/v1. That two runs do not both get a Lease is up to the API server, which takes no definition
that was made from an older state of the object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Optional

from .objects import Kind, Object, mapping, number, text, title

LEASE = Kind("coordination.k8s.io/v1", "Lease")
TAKEN, RENEWED, HELD = "taken", "renewed", "held by somebody else"
_STILL_RUNS = "its time is over, and the process still runs"

_TIME = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z")
_IDENTITY = re.compile(
    r"\A(?P<host>\S+) pid=(?P<pid>[1-9]\d{0,8}) start=(?P<started>\d{1,20}) pidns=(?P<space>\S+) boot=(?P<boot>\S+)\Z"
)


@dataclass(frozen=True)
class Process:
    """A process, told from every other one: process ids come again, and containers count them anew.

    host: the host's name. boot: the boot id of its kernel. space: its PID namespace. started: clock ticks since boot.
    As text it is the holderIdentity of a Lease.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.host} pid={self.pid} start={self.started} pidns={self.space} boot={self.boot}"


@dataclass(frozen=True)
class Claim:
    """What a run wants. holder: its identity. duration: in seconds, from now on. now: with its time zone."""

    namespace: str
    name: str
    holder: str
    duration: int
    now: datetime


@dataclass(frozen=True)
class Hold:
    """What a Lease says. holder: "" for nobody. duration: in seconds. None is what it does not say."""

    holder: str = ""
    duration: Optional[int] = None
    acquired: Optional[datetime] = None
    renewed: Optional[datetime] = None
    transitions: int = 0

    @property
    def expires(self) -> Optional[datetime]:
        """When its time is over; None is never."""
        seen = self.renewed or self.acquired
        return None if seen is None or self.duration is None else seen + timedelta(seconds=self.duration)

    def is_over(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True)
class Decision:
    """outcome: TAKEN, RENEWED or HELD. definition: what to write, None for HELD.

    reason: why it could be taken, or why it is held although its time is over.
    """

    outcome: str
    definition: Optional[Dict[str, Any]] = None
    reason: str = ""


# What is known about a process; False where it is not known.
Known = Callable[[Process], bool]


def hold_of(lease: Optional[Object]) -> Hold:
    """What a Lease says; one that is not there is held by nobody."""
    spec = mapping(lease, "spec")
    return Hold(
        text(spec, "holderIdentity"),
        number(spec, "leaseDurationSeconds"),
        parse_time(text(spec, "acquireTime")),
        parse_time(text(spec, "renewTime")),
        number(spec, "leaseTransitions") or 0,
    )


def death_of(hold: Hold, now: datetime, is_gone: Known, is_alive: Known) -> str:
    """Why the holder counts as dead, "" for one that may live.

    is_gone, is_alive: whether a process is known to have ended, and to run.
    """
    process = process_of(hold.holder)
    if process is not None and is_gone(process):
        return f"{holder_title(hold.holder)} has ended"
    if hold.is_over(now) and not (process is not None and is_alive(process)):
        return f"the time of {holder_title(hold.holder)} was over at {seconds_text(hold.expires)}"
    return ""


def decide(lease: Optional[Object], claim: Claim, is_gone: Known, is_alive: Known) -> Decision:
    """Whether the claim is granted by the Lease as it was read, and what to write then."""
    if lease is None:
        return Decision(TAKEN, _new(claim))
    hold = hold_of(lease)
    if hold.holder == claim.holder:
        return Decision(RENEWED, _changed(lease, claim, hold.acquired or claim.now, hold.transitions))
    reason = death_of(hold, claim.now, is_gone, is_alive) if hold.holder else "it named no holder"
    if not reason:
        return Decision(HELD, reason=_STILL_RUNS if hold.is_over(claim.now) else "")
    return Decision(TAKEN, _changed(lease, claim, claim.now, hold.transitions + 1), reason)


def held_message(hold: Hold, namespace: str, name: str) -> str:
    """Whose the Lease is, since when and until when."""
    since = f" since {seconds_text(hold.acquired)}" if hold.acquired else ""
    until = f"until {seconds_text(hold.expires)}" if hold.expires else "until it is removed"
    return f"{title(LEASE.kind, namespace, name)} is held by {holder_title(hold.holder)}{since}, {until}."


def removal_command(namespace: str, name: str) -> str:
    """How a person removes a Lease whose holder is known to be dead."""
    return f"kubectl --namespace {namespace} delete lease {name}"


def process_of(identity: str) -> Optional[Process]:
    """The process that an identity names, None when it is another text."""
    found = _IDENTITY.match(identity)
    if found is None:
        return None
    return Process(found["host"], found["boot"], found["space"], int(found["pid"]), int(found["started"]))


def holder_title(identity: str) -> str:
    """How a holder is named in messages."""
    process = process_of(identity)
    return identity if process is None else f"process {process.pid} of the host {process.host}"


def parse_time(value: str) -> Optional[datetime]:
    """A time as RFC 3339 has it, to the microsecond; None for another text."""
    found = _TIME.match(value)
    if found is None:
        return None
    fraction = (found[2] or "").ljust(6, "0")[:6]
    zone = "+00:00" if found[3] == "Z" else found[3]
    try:
        return datetime.fromisoformat(f"{found[1]}.{fraction}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def micro_time(value: datetime) -> str:
    """A time as MicroTime of Kubernetes has it, always with six digits behind the point."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_text(value: datetime) -> str:
    """A time for people, in RFC 3339 to the second."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _new(claim: Claim) -> Dict[str, Any]:
    metadata = dict(name=claim.name, namespace=claim.namespace)
    return dict(apiVersion=LEASE.api_version, kind=LEASE.kind, metadata=metadata, spec=_spec(claim, claim.now, 0))


def _changed(lease: Object, claim: Claim, acquired: datetime, transitions: int) -> Dict[str, Any]:
    """The Lease that was read with another spec. By its resourceVersion and uid a later change is noticed."""
    metadata = {key: value for key, value in mapping(lease, "metadata").items() if key != "managedFields"}
    spec = dict(mapping(lease, "spec"), **_spec(claim, acquired, transitions))
    return dict(apiVersion=LEASE.api_version, kind=LEASE.kind, metadata=metadata, spec=spec)


def _spec(claim: Claim, acquired: datetime, transitions: int) -> Dict[str, Any]:
    return dict(
        holderIdentity=claim.holder,
        leaseDurationSeconds=claim.duration,
        acquireTime=micro_time(acquired),
        renewTime=micro_time(claim.now),
        leaseTransitions=transitions,
    )
