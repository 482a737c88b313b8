# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error answers of registries: those that ask to wait, those that pass, those that do not say what they mean."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import KIB, converges, noise
from ansible_collections.ocm.airgap.tests.support.images import image

SLOW_DOWN = "TOOMANYREQUESTS"
METHODS = {
    "get": ("reader", "GET", "/blobs/"),
    "get-manifest": ("reader", "GET", "/manifests/"),
    "head": ("writer", "HEAD", "/manifests/"),
    "post": ("writer", "POST", "/blobs/uploads/"),
    "put-blob": ("writer", "PUT", "/blobs/uploads/"),
    "put-manifest": ("writer", "PUT", "/manifests/"),
}


def begin(scene, name, *actions):
    """Break the first matches of a method, one action after the other."""
    side, method, path = METHODS[name]
    rules = [Rule(method, path, action, (number,)) for number, action in enumerate(actions, 1)]
    scene.begin(**{"reading" if side == "reader" else "writing": rules})
    return getattr(scene, side)


MANY = {f"team/small-{number}": image([noise(f"small-{number}", KIB)]) for number in range(12)}
# Requests that are on their way when the registry asks for a pause, and those whose thread is about to send.
ON_THEIR_WAY = 8


def slow(exchange):
    time.sleep(0.03)
    exchange.send(exchange.forward())


@pytest.mark.parametrize("name", METHODS)
def test_f06_retry_after_in_seconds(name, new_scene):
    """Whatever was asked: nobody asks this host again within the second that it wants, but for what is on its way."""
    scene = new_scene(images=MANY)
    side, method, path = METHODS[name]
    number = 1 if name == "head" else 5  # the first of the others come alone, one after the other
    refused = faults.refusal(429, SLOW_DOWN, Retry_After="1")
    rules = [Rule(method, path, refused, (number,)), Rule(".*", "", slow, EVERY)]
    scene.begin(**{"reading" if side == "reader" else "writing": rules})
    scene.succeed(concurrency=1)
    seen = getattr(scene, side).seen()
    asked = next(one for one in seen if one.status == 429)
    early = [one for one in seen if asked.end < one.start < asked.end + 0.98]
    late = [one for one in seen if one.start >= asked.end + 0.98]
    assert len(early) <= ON_THEIR_WAY < len(late), "requests were sent in the window"
    converges(scene)


def dated(exchange):
    """Retry-After as a date, by the clock of a registry that is a day behind."""
    clock = time.time() - 86400
    found = faults.refusal(
        429, SLOW_DOWN, Retry_After=formatdate(clock + 1, usegmt=True), Date=formatdate(clock, usegmt=True)
    )
    found(exchange)


@BOTH
def test_f06_retry_after_as_a_date(scene):
    """The date is meant by the clock of the server."""
    proxy = begin(scene, "get", dated)
    scene.succeed()
    asked = proxy.broken()[0]
    assert not [seen for seen in proxy.seen() if asked.end + 0.05 < seen.start < asked.end + 0.9]
    converges(scene)


@pytest.mark.parametrize("value", ["", "-5", "soon", "0"])
def test_f06_retry_after_that_says_nothing(value, scene):
    """Then the wait is our own."""
    begin(scene, "get", faults.refusal(429, SLOW_DOWN, Retry_After=value))
    scene.succeed()
    converges(scene)


@BOTH
def test_f06_retry_after_that_is_too_long(scene):
    """An hour is not waited: the run ends at once, and says why."""
    scene.begin(writing=[Rule("HEAD", "/manifests/", faults.refusal(429, SLOW_DOWN, Retry_After="3600"), EVERY)])
    outcome = scene.fail()
    assert "too many requests" in outcome.message and scene.writer.host in outcome.message
    converges(scene)


@pytest.mark.parametrize("name", METHODS)
def test_f07_statuses_that_pass(name, scene):
    """Each of them, at each kind of request, one after the other, is tried again."""
    statuses = (500, 502, 503, 504, 408, 425)
    proxy = begin(scene, name, *map(faults.answer, statuses))
    scene.succeed(retries=6)
    assert sorted(seen.status for seen in proxy.broken()) == sorted(statuses)
    converges(scene)


@pytest.mark.parametrize("name", ["get", "head", "post", "put-manifest"])
def test_f07_a_status_that_does_not_pass(name, scene):
    """For ever: an end after the tries that are allowed, with a message that names host, operation and status."""
    side, method, path = METHODS[name]
    scene.begin(**{"reading" if side == "reader" else "writing": [Rule(method, path, faults.answer(503), EVERY)]})
    outcome = scene.fail(retries=1)
    assert getattr(scene, side).host in outcome.message and "503" in outcome.message
    assert "cannot " in outcome.message
    converges(scene)


def test_f07_for_ever_ends_with_the_time_of_the_run(scene):
    """However many tries are allowed."""
    scene.begin(writing=[Rule("PUT", "/blobs/", faults.answer(503), EVERY)])
    outcome = scene.fail(retries=10000, time_budget=4)
    assert "time_budget of 4 seconds" in outcome.message
    converges(scene)


@pytest.mark.parametrize("status", [403, 404])
def test_f08_absence_that_is_told_otherwise(status, scene):
    """403 for what is not there is told as denied, with what to do; 404 for what is there makes it come again."""
    found = faults.refusal(status, "DENIED" if status == 403 else "NAME_UNKNOWN")
    scene.begin(writing=[Rule("HEAD|GET", "/(manifests|blobs)/", found, EVERY)])
    if status == 403:
        message = scene.fail().message
        assert "access denied to 'writer'" in message and scene.writer.host in message and "the right" in message
    else:
        for _run in range(2):
            assert scene.succeed().resource_actions()["app"] == "transferred"
    converges(scene)


@BOTH
def test_f08_no_rights_that_look_like_absence(scene):
    """404 to a write: the message says that the repository or its project may have to be created."""
    scene.begin(writing=[Rule("POST", "/blobs/uploads/", faults.refusal(404, "NAME_UNKNOWN"), EVERY)])
    outcome = scene.fail()
    assert "does not know the repository" in outcome.message and "created first" in outcome.message
    converges(scene)


@BOTH
def test_f08_401_after_success(scene):
    """A login that is refused in the middle ends with the account's name, after one more try at most."""
    challenge = faults.refusal(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="test"')
    scene.begin(writing=[Rule("PUT", "/manifests/", challenge, EVERY)])
    outcome = scene.fail()
    assert "login is not accepted" in outcome.message and "writer" in outcome.message
    assert len(scene.writer.seen("PUT", "/manifests/")) <= 4
    converges(scene)
