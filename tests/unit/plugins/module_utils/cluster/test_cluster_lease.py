# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Lease says, when its holder is dead, and what is written when it is taken or renewed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.lease import (
    HELD,
    RENEWED,
    TAKEN,
    Claim,
    Process,
    death_of,
    decide,
    held_message,
    hold_of,
    micro_time,
    parse_time,
    process_of,
    removal_command,
    seconds_text,
)
from ansible_collections.ocm.airgap.tests.support.cluster import LEASE_API, lease

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
OTHER = Process("build7", "7c1f4a86-3f0e-4c7e-9d0b-2f3a5e6b7c8d", "4026531836", 4242, 8123456)


def lives(process):
    return False


def ended(process):
    return process == OTHER


def unknown(process):
    return False


def runs(process):
    return process == OTHER


def claim(holder="me", duration=3600, now=NOON):
    return Claim("ocm-system", "ocm-airgap", holder, duration, now)


def held(holder="somebody", age=60, **options):
    """A Lease that was renewed `age` seconds before noon."""
    return lease(holder, micro_time(NOON - timedelta(seconds=age)), **options)


# Times


@pytest.mark.parametrize(
    "text, micros",
    [
        ("2026-01-01T12:00:00Z", 0),
        ("2026-01-01T12:00:00.000000Z", 0),
        ("2026-01-01T12:00:00.5Z", 500000),
        ("2026-01-01T12:00:00.123456789Z", 123456),
        ("2026-01-01T14:00:00.000001+02:00", 1),
        ("2026-01-01T05:30:00-06:30", 0),
    ],
)
def test_times_are_read(text, micros):
    assert parse_time(text) == NOON + timedelta(microseconds=micros)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-01-01", "2026-01-01T12:00:00", "2026-13-01T12:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_time(text):
    assert parse_time(text) is None


def test_times_are_written_as_the_api_wants_them():
    assert micro_time(NOON) == "2026-01-01T12:00:00.000000Z"
    east = timezone(timedelta(hours=2))
    assert micro_time(datetime(2026, 1, 1, 14, 0, 0, 1200, tzinfo=east)) == "2026-01-01T12:00:00.001200Z"
    assert seconds_text(datetime(2026, 1, 1, 14, tzinfo=east)) == "2026-01-01T12:00:00Z"


# Identities


def test_an_identity_can_be_read_again():
    assert process_of(str(OTHER)) == OTHER


@pytest.mark.parametrize(
    "text", ["", "build7", "maintenance by Jo", "build7 pid=0 start=1 pidns=1 boot=a", f"{OTHER}\n", f"a {OTHER}"]
)
def test_another_text_names_no_process(text):
    assert process_of(text) is None


# The holder


def test_the_time_of_a_holder():
    hold = hold_of(held(age=60, duration=60))
    assert hold.expires == NOON
    assert "was over at 2026-01-01T12:00:00Z" in death_of(hold, NOON, lives, unknown)
    assert not death_of(hold, NOON - timedelta(microseconds=1), lives, unknown)


def test_a_process_that_has_ended_is_dead_before_its_time():
    assert "process 4242 of the host build7 has ended" in death_of(hold_of(held(str(OTHER))), NOON, ended, unknown)
    assert not death_of(hold_of(held(str(OTHER))), NOON, lives, unknown)
    assert not death_of(hold_of(held("build7")), NOON, ended, unknown)


def test_a_time_that_is_not_told():
    """Whoever writes a Lease by hand without a duration keeps it until it is removed."""
    for missing in ("leaseDurationSeconds", "renewTime"):
        found = held(age=7200)
        del found["spec"][missing]
        still = death_of(hold_of(found), NOON, lives, unknown)
        # Since when somebody has it stands in for when it was renewed.
        assert bool(still) == (missing == "renewTime")
    del found["spec"]["acquireTime"]
    assert hold_of(found).expires is None and not death_of(hold_of(found), NOON, lives, unknown)


# Decisions


def test_a_lease_that_is_not_there_is_taken():
    decision = decide(None, claim(), lives, unknown)
    assert (decision.outcome, decision.reason) == (TAKEN, "")
    assert decision.definition == dict(
        apiVersion=LEASE_API,
        kind="Lease",
        metadata=dict(name="ocm-airgap", namespace="ocm-system"),
        spec=dict(
            holderIdentity="me",
            leaseDurationSeconds=3600,
            acquireTime="2026-01-01T12:00:00.000000Z",
            renewTime="2026-01-01T12:00:00.000000Z",
            leaseTransitions=0,
        ),
    )


def test_ones_own_is_renewed():
    found = held("me", acquired="2026-01-01T10:00:00.000000Z")
    decision = decide(found, claim(duration=60), lives, unknown)
    assert decision.outcome == RENEWED
    assert decision.definition["metadata"] == found["metadata"]
    assert decision.definition["spec"] == dict(
        holderIdentity="me",
        leaseDurationSeconds=60,
        acquireTime="2026-01-01T10:00:00.000000Z",
        renewTime="2026-01-01T12:00:00.000000Z",
        leaseTransitions=3,
    )


def test_ones_own_is_renewed_also_when_its_time_was_over():
    assert decide(held("me", age=7200), claim(), lives, unknown).outcome == RENEWED


def test_a_dead_holder_is_followed():
    found = held(str(OTHER))
    found["metadata"].update(labels=dict(team="a"), managedFields=[dict(manager="kubectl")])
    decision = decide(found, claim(), ended, unknown)
    assert (decision.outcome, decision.reason) == (TAKEN, "process 4242 of the host build7 has ended")
    spec = decision.definition["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("me", 4)
    assert spec["acquireTime"] == spec["renewTime"] == "2026-01-01T12:00:00.000000Z"
    kept = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    assert decision.definition["metadata"] == kept


def test_a_lease_without_a_holder_is_free():
    found = held("")
    assert decide(found, claim(), lives, unknown).outcome == TAKEN
    del found["spec"]
    taken = decide(found, claim(), lives, unknown)
    assert (taken.outcome, taken.definition["spec"]["leaseTransitions"]) == (TAKEN, 1)


@pytest.mark.parametrize("holder", [str(OTHER), "build7"])
def test_somebody_living_keeps_it(holder):
    decision = decide(held(holder), claim(), lives, unknown)
    assert (decision.outcome, decision.definition) == (HELD, None)


def test_a_process_that_still_runs_keeps_it_when_its_time_is_over():
    found = held(str(OTHER), age=7200)
    decision = decide(found, claim(), lives, runs)
    assert (decision.outcome, decision.definition) == (HELD, None)
    assert decision.reason == "its time is over, and the process still runs"
    assert decide(found, claim(), lives, unknown).outcome == TAKEN
    assert decide(held("build7", age=7200), claim(), lives, runs).outcome == TAKEN
    assert decide(held(str(OTHER)), claim(), lives, runs).reason == ""


def test_what_is_said_of_a_lease_that_is_held():
    assert held_message(hold_of(held(str(OTHER), age=0)), "ocm-system", "ocm-airgap") == (
        "Lease ocm-system/ocm-airgap is held by process 4242 of the host build7 since 2026-01-01T12:00:00Z,"
        " until 2026-01-01T13:00:00Z."
    )
    by_hand = held("Jo")
    by_hand["spec"] = dict(holderIdentity="Jo")
    said = held_message(hold_of(by_hand), "ocm-system", "ocm-airgap")
    assert said == "Lease ocm-system/ocm-airgap is held by Jo, until it is removed."
    assert removal_command("ocm-system", "ocm-airgap") == "kubectl --namespace ocm-system delete lease ocm-airgap"
