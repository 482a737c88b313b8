# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_lease against an API server: who gets a Lease, who does not, and what is written."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.lease import (
    LEASE,
    micro_time,
    parse_time,
    process_of,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import KUSTOMIZATION, ClusterError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import cluster as entry_cluster
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import lease as lease_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import processes
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.cluster import (
    Conflict,
    LiveCluster,
    NamespaceMissing,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import Context, Failed
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, fail, module_environment, succeed
from ansible_collections.ocm.airgap.tests.support.server import Reply

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

UNAVAILABLE = Reply(503, {"Content-Type": "application/json"}, b'{"kind": "Status", "message": "starting"}')
COMMAND = "kubectl --namespace ocm-system delete lease ocm-airgap"

# Stands for ansible-playbook: every line of its input are the arguments of a task, which a worker runs through a shell.
PLAYBOOK = """
import os, subprocess, sys
for line in sys.stdin:
    worker = os.fork()
    if not worker:
        command = f"'{sys.executable}' '{sys.argv[1]}' && sleep 0"
        subprocess.run(["/bin/sh", "-c", command], input=line.encode())
        os._exit(0)
    os.waitpid(worker, 0)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No waits of seconds, and no discovery cache of an earlier test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(entry_cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(lease_entry, "CONTACT_SECONDS", 2.0)


@pytest.fixture
def api():
    with StubApi([]) as server:
        yield server


def context(api, check_mode=False, warnings=None, **params):
    values = dict(name="ocm-airgap", namespace="ocm-system", state="present", holder="me", duration=3600)
    module = SimpleNamespace(
        params=dict(values, **dict(params, kubeconfig=api.kubeconfig)),
        check_mode=check_mode,
        _diff=True,
        no_log_values=set(),
        warn=(warnings if warnings is not None else []).append,
    )
    return Context(module)


def take(api, **options):
    return lease_entry.lease(context(api, **options))


def give_back(api, **options):
    return take(api, state="absent", **options)


def live(api):
    return LiveCluster(dict(kubeconfig=api.kubeconfig))


def stored(api):
    """The spec of the Lease, None when there is none."""
    found = api.cluster.get(LEASE, "ocm-system", "ocm-airgap")
    return found and found["spec"]


def ago(seconds):
    return micro_time(datetime.now(timezone.utc) - timedelta(seconds=seconds))


def somebody(age=60, **options):
    return make.lease("somebody", ago(age), **options)


# Taking


def test_a_free_one_is_taken(api):
    result = take(api)
    assert (result["changed"], result["acquired"], result["reachable"], result["holder"]) == (True, True, True, "me")
    assert result["message"] == f"Lease ocm-system/ocm-airgap is taken, until {result['expires']}."
    assert result["diff"] == dict(before=dict(holder=None, duration=None), after=dict(holder="me", duration=3600))
    spec = stored(api)
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("me", 3600, 0)
    end = parse_time(spec["renewTime"]) + timedelta(hours=1)
    assert parse_time(result["expires"]) == end.replace(microsecond=0)
    assert [(asked.method, asked.query["fieldManager"]) for asked in api.writes] == [("POST", ["ansible-ocm"])]


def test_ones_own_is_renewed_and_that_is_no_change(api):
    api.cluster.objects.append(make.lease("me", ago(600)))
    result = take(api)
    assert (result["changed"], result["acquired"]) == (False, True)
    assert "is renewed, until" in result["message"]
    spec = stored(api)
    assert parse_time(spec["renewTime"]) - parse_time(spec["acquireTime"]) > timedelta(seconds=590)
    assert (spec["leaseTransitions"], [asked.method for asked in api.writes]) == (3, ["PUT"])


def test_another_duration_is_a_change(api):
    api.cluster.objects.append(make.lease("me", ago(600)))
    assert take(api, duration=60)["changed"] is True
    assert stored(api)["leaseDurationSeconds"] == 60


@pytest.mark.parametrize("check_mode", [False, True])
def test_somebody_living_keeps_it(api, check_mode):
    api.cluster.objects.append(somebody())
    before = copy.deepcopy(api.cluster.objects)
    with pytest.raises(Failed) as failed:
        take(api, check_mode=check_mode)
    hold = before[0]["spec"]
    since = parse_time(hold["acquireTime"])
    until = (since + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = (
        f"Lease ocm-system/ocm-airgap is held by somebody since {since.strftime('%Y-%m-%dT%H:%M:%SZ')}, until {until}."
    )
    assert said in failed.value.message
    assert "Wait" in failed.value.hint and COMMAND in failed.value.hint
    result = failed.value.result
    assert (result["changed"], result["acquired"], result["holder"], result["expires"]) == (
        False,
        False,
        "somebody",
        until,
    )
    assert api.cluster.objects == before and not api.writes


def test_a_holder_whose_time_is_over_is_followed(api):
    api.cluster.objects.append(somebody(age=3601))
    result = take(api)
    assert (result["changed"], result["holder"]) == (True, "me")
    assert "It was free: the time of somebody was over at" in result["message"]
    assert (stored(api)["holderIdentity"], stored(api)["leaseTransitions"]) == ("me", 4)


def test_a_namespace_that_does_not_exist(api):
    api.missing = ["ocm-system"]
    for options in (dict(), dict(check_mode=True), dict(state="absent")):
        result = take(api, **options)
        assert (result["changed"], result["acquired"], result["holder"], result["expires"]) == (
            False,
            False,
            None,
            None,
        )
    assert "namespace ocm-system does not exist" in take(api)["message"]
    assert not api.cluster.objects


@pytest.mark.parametrize("duration", [0, -1, 2**31])
def test_a_duration_that_a_lease_cannot_have(api, duration):
    with pytest.raises(InvalidInput, match="duration"):
        take(api, duration=duration)
    assert not api.asked


# Giving back


def test_ones_own_is_given_back(api):
    take(api)
    result = give_back(api)
    assert (result["changed"], result["acquired"], result["holder"], result["expires"]) == (True, False, None, None)
    assert result["diff"] == dict(before=dict(holder="me", duration=3600), after=dict(holder=None, duration=None))
    assert stored(api) is None
    again = give_back(api)
    assert (again["changed"], again["message"]) == (False, "Lease ocm-system/ocm-airgap does not exist.")


@pytest.mark.parametrize("age", [60, 7200])
def test_that_of_others_is_left_alone(api, age):
    api.cluster.objects.append(somebody(age))
    result = give_back(api)
    assert (result["changed"], result["acquired"], result["holder"]) == (False, False, "somebody")
    assert "is held by somebody" in result["message"] and "left alone" in result["message"]
    assert not api.writes


def test_one_without_a_holder_is_left_alone(api):
    api.cluster.objects.append(make.lease(""))
    result = give_back(api)
    assert (result["changed"], result["holder"]) == (False, None)
    assert "has no holder" in result["message"]
    assert not api.writes


# Check mode


@pytest.mark.parametrize("objects", [[], [make.lease("me", ago(60))], [somebody(7200)], [make.lease("")]])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_writes_nothing_and_predicts_the_same(api, objects, state):
    api.cluster.objects.extend(copy.deepcopy(objects))
    predicted = take(api, state=state, check_mode=True)
    assert api.cluster.objects == objects and not api.writes
    done = take(api, state=state)
    for key in ("changed", "acquired", "holder", "diff"):
        assert predicted[key] == done[key], key


def test_check_mode_of_an_account_that_may_not_ask_for_the_namespace(api):
    refused = Reply(403, {"Content-Type": "application/json"}, b'{"message": "namespaces is forbidden"}')
    api.handle = lambda asked: refused if asked.path.endswith("/namespaces/ocm-system") else api._answer(asked)
    assert take(api, check_mode=True)["acquired"] is True


# Others at the same moment


def race(api, runs):
    """Do runs at the same moment: none of them writes before all of them have read. Results, or what was raised."""
    gate, waiting = threading.Barrier(len(runs), timeout=30), []

    def answer(asked):
        reply = api._answer(asked)
        if asked.method == "GET" and asked.path.endswith("/leases/ocm-airgap") and len(waiting) < len(runs):
            waiting.append(asked)
            gate.wait()
        return reply

    def outcome(run):
        try:
            return run()
        except Failed as error:
            return error

    api.handle = answer
    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(outcome, runs))


@pytest.mark.parametrize("objects", [[], [somebody(7200)], [make.lease("")]], ids=["none", "dead", "free"])
def test_one_of_those_that_ask_at_the_same_moment_gets_it(api, objects):
    api.cluster.objects.extend(copy.deepcopy(objects))
    holders = [f"run-{number}" for number in range(4)]
    outcomes = race(api, [lambda holder=holder: take(api, holder=holder) for holder in holders])
    winners = [each for each in outcomes if isinstance(each, dict)]
    losers = [each for each in outcomes if isinstance(each, Failed)]
    assert (len(winners), len(losers)) == (1, 3)
    assert winners[0]["acquired"] is True
    assert stored(api)["holderIdentity"] == winners[0]["holder"]
    assert {each.result["holder"] for each in losers} == {winners[0]["holder"]}
    # All of them have tried, and three were told that somebody else was first.
    assert [asked.method for asked in api.writes] == ["PUT" if objects else "POST"] * 4


def test_a_holder_that_renews_late_and_one_that_follows_it(api):
    """Either the holder keeps it or the other one gets it, never both."""
    api.cluster.objects.append(make.lease("late", ago(7200)))
    outcomes = race(api, [lambda: take(api, holder="late"), lambda: take(api, holder="next")])
    winners = [each for each in outcomes if isinstance(each, dict)]
    assert [each["holder"] for each in winners] == [stored(api)["holderIdentity"]]


def test_one_that_was_lost_meanwhile_is_not_removed(api):
    """Between reading and removing, another run has taken it over because its time was over."""
    api.cluster.objects.append(make.lease("me", ago(7200)))

    def answer(asked):
        if asked.method == "DELETE" and stored(api)["holderIdentity"] == "me":
            other = live(api).get(LEASE, "ocm-system", "ocm-airgap")
            other["spec"]["holderIdentity"] = "next"
            live(api).replace(other)
        return api._answer(asked)

    api.handle = answer
    result = give_back(api)
    assert (result["changed"], result["holder"]) == (True, "next")
    assert stored(api)["holderIdentity"] == "next"


def test_one_that_others_change_all_the_time(api):
    conflict = Reply(409, {"Content-Type": "application/json"}, b'{"message": "the object has been modified"}')
    api.handle = lambda asked: conflict if asked.method in ("POST", "DELETE") else api._answer(asked)
    with pytest.raises(ClusterError, match="changed by others"):
        take(api)
    api.cluster.objects.append(make.lease("me", ago(60)))
    with pytest.raises(ClusterError, match="changed by others"):
        give_back(api)


def test_an_answer_that_was_lost(api):
    """The API server has done it, and could not say so any more."""
    lost = []

    def answer(asked):
        reply = api._answer(asked)
        if asked.method in ("POST", "DELETE") and asked.method not in lost:
            lost.append(asked.method)
            return UNAVAILABLE
        return reply

    api.handle = answer
    assert (take(api)["changed"], stored(api)["holderIdentity"]) == (True, "me")
    assert (give_back(api)["changed"], stored(api)) == (True, None)
    assert lost == ["POST", "DELETE"]


def test_an_api_server_that_restarts_and_one_that_stays_away(api):
    api.broken = [UNAVAILABLE] * 3
    assert take(api)["acquired"] is True
    api.broken = [UNAVAILABLE]
    with pytest.raises(Failed, match=r"starting \(503\)"):
        take(api, check_mode=True)
    api.broken = [UNAVAILABLE] * 9999
    with pytest.raises(Failed, match=r"starting \(503\)") as failed:
        take(api)
    result = failed.value.result
    assert (result["reachable"], result["acquired"], result["holder"]) == (False, False, None)


def test_an_account_that_may_not(api):
    refused = Reply(403, {"Content-Type": "application/json"}, b'{"message": "leases is forbidden"}')
    api.handle = lambda asked: refused if asked.method == "POST" else api._answer(asked)
    with pytest.raises(
        ClusterError, match=r"cannot create Lease ocm-system/ocm-airgap: leases is forbidden \(403\)"
    ) as caught:
        take(api)
    assert "role" in caught.value.hint


# What LiveCluster writes


def test_objects_are_created_replaced_and_deleted_once(api):
    definition = dict(apiVersion=LEASE.api_version, kind="Lease", metadata=dict(name="a", namespace="b"), spec={})
    first = live(api).create(definition)
    assert first["metadata"]["uid"]
    with pytest.raises(Conflict, match="cannot create Lease b/a: .* already exists"):
        live(api).create(definition)
    second = live(api).replace(dict(first, spec=dict(holderIdentity="x")))
    with pytest.raises(Conflict, match="cannot replace Lease b/a"):
        live(api).replace(first)
    with pytest.raises(Conflict, match="cannot delete Lease b/a"):
        live(api).delete(first)
    assert live(api).delete(second) is True
    assert live(api).delete(second) is False
    with pytest.raises(Conflict):
        live(api).replace(second)
    third = live(api).create(definition)
    with pytest.raises(Conflict):
        live(api).delete(
            dict(second, metadata=dict(second["metadata"], resourceVersion=third["metadata"]["resourceVersion"]))
        )


def test_what_cannot_be_written(api):
    missing = make.kustomization(namespace="none")
    with pytest.raises(ClusterError, match="no kind Kustomization"):
        live(api).create(missing)
    assert live(api).delete(missing) is False
    api.cluster.objects.append(make.kustomization())
    api.missing = ["none"]
    with pytest.raises(NamespaceMissing, match='namespaces "none" not found'):
        LiveCluster(dict(kubeconfig=api.kubeconfig)).create(missing)
    # Only Leases may be created by a replacement; of other kinds the API server says that there is none.
    del missing["metadata"]["uid"]
    missing["metadata"]["resourceVersion"] = "7"
    with pytest.raises(Conflict, match="has been removed"):
        live(api).replace(missing)
    assert live(api).get(KUSTOMIZATION, "none", "podinfo") is None


# As Ansible runs it


class Playbook:
    """A run of Ansible. task: runs the module, its result."""

    def __init__(self, folder, api):
        script = folder / "ansible-playbook"
        script.write_text(PLAYBOOK)
        module = COLLECTION / "plugins" / "modules" / "ocm_lease.py"
        self._arguments = dict(kubeconfig=api.kubeconfig, name="ocm-airgap", namespace="ocm-system")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(module)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=module_environment(),
            text=True,
        )

    def task(self, **arguments):
        line = json.dumps(dict(ANSIBLE_MODULE_ARGS=dict(self._arguments, **arguments)))
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(next(answer for answer in iter(self.process.stdout.readline, "") if answer.strip()))

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.communicate()


def test_the_tasks_of_a_run_are_one_holder_and_a_killed_run_is_followed(api, tmp_path):
    with Playbook(tmp_path, api) as first, Playbook(tmp_path, api) as second:
        taken = first.task()
        assert (taken["changed"], process_of(taken["holder"]).pid) == (True, first.process.pid)
        assert first.task()["changed"] is False
        refused = second.task()
        assert refused["failed"] and f"process {first.process.pid} of the host" in refused["msg"]
        assert COMMAND in refused["msg"]
        api.cluster.objects[0]["spec"]["renewTime"] = ago(7200)
        assert "It is not free: its time is over, and the process still runs." in second.task()["msg"]
        assert second.task(state="absent")["changed"] is False
        first.process.kill()
        first.process.wait()
        followed = second.task()
        assert (followed["changed"], process_of(followed["holder"]).pid) == (True, second.process.pid)
        assert f"process {first.process.pid} of the host" in followed["message"] and "has ended" in followed["message"]
        assert second.task(state="absent")["changed"] is True
    assert stored(api) is None


def test_where_the_run_cannot_be_seen_the_host_is_the_holder(api, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    warnings = []
    result = take(api, holder=None, warnings=warnings)
    assert result["holder"] == processes.host_name()
    assert "Give a holder" in warnings[0]
    assert give_back(api, holder=None, warnings=warnings)["changed"] is True
    assert len(warnings) == 1


def test_the_module_itself(api):
    arguments = dict(kubeconfig=api.kubeconfig, name="ocm-airgap", namespace="ocm-system")
    done = succeed("ocm_lease", dict(arguments, holder="me"))
    assert done.result["acquired"] is True
    refused = fail("ocm_lease", dict(arguments, holder="you"), check=True)
    assert (refused.result["holder"], refused.result["acquired"]) == ("me", False)
    assert refused.message.endswith(COMMAND)
    assert "stub-token-secret-1" not in done.output + refused.output
