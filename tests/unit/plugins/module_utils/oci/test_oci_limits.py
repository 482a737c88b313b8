# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses, rates, bandwidth and the time of a run, on a clock that moves only when somebody waits."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import OutOfTime, RateLimited
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_MANIFEST, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.challenge import Access
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.connection import Call
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.failures import Place
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.limits import (
    LARGEST_PIECE,
    SMALLEST_PIECE,
    Limits,
    Pause,
    TokenBucket,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions
from ansible_collections.ocm.airgap.tests.support.oci_client import FakeTime, put
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer, in_turn

PLACE = Place("registry.example.com", "a/b", "read the blob x")
MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 3
MANIFEST = Manifest.parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode())


def limits_of(time, **options):
    return Limits(ConnectionOptions(**options), time.timing())


class TestTokenBucket:
    def test_rate(self):
        time = FakeTime()
        bucket = TokenBucket(4, 1, time.clock)
        waits = [bucket.take(1) for _number in range(4)]
        assert waits == [0, 0.25, 0.5, 0.75]

    def test_tokens_come_back_up_to_the_burst(self):
        time = FakeTime()
        bucket = TokenBucket(10, 5, time.clock)
        assert bucket.take(5) == 0
        time.now = 100.0
        assert [bucket.take(5), bucket.take(5)] == [0, 0.5]

    def test_more_than_the_burst_at_once(self):
        assert TokenBucket(100, 10, FakeTime().clock).take(210) == 2.0

    def test_threads_share_it(self):
        time, waits = FakeTime(), []
        bucket = TokenBucket(1, 1, time.clock)
        threads = [threading.Thread(target=lambda: waits.append(bucket.take(1))) for _number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(waits) == list(range(20))


class TestPause:
    def test_longest_wins(self):
        time = FakeTime()
        pause = Pause(time.sleep, time.clock)
        pause.extend(20.0)
        pause.extend(5.0)
        time.now = 5.0
        pause.wait()
        assert time.slept == [15.0]

    def test_extended_while_somebody_waits(self):
        time = FakeTime()

        def sleep(seconds):
            if not time.slept:
                pause.extend(30.0)
            time.sleep(seconds)

        pause = Pause(sleep, time.clock)
        pause.extend(10.0)
        pause.wait()
        assert time.now == 30.0


class TestLimits:
    def test_requests_a_second_are_counted_for_each_host(self):
        time = FakeTime()
        limits = limits_of(time, request_rate=2)
        for _number in range(3):
            limits.before_request("a", "GET", PLACE)
        assert time.now == 1.0
        limits.before_request("b", "GET", PLACE)
        assert time.now == 1.0

    def test_pause_of_one_host_is_kept_by_all_its_requests_alone(self):
        time = FakeTime()
        limits = limits_of(time)
        limits.pause("a", 7)
        limits.before_request("b", "GET", PLACE)
        assert time.now == 0
        limits.before_request("a", "DELETE", PLACE)
        assert time.now == 7

    def test_pause_that_is_longer_than_a_request_waits_is_not_kept_by_all(self):
        time = FakeTime()
        limits = limits_of(time)
        limits.pause("a", 3600)
        limits.before_request("a", "GET", PLACE)
        assert time.now == 0

    @pytest.mark.parametrize(
        "bandwidth, piece",
        [(0, LARGEST_PIECE), (100, SMALLEST_PIECE), (MIB // 4, MIB // 16), (MIB, LARGEST_PIECE)],
    )
    def test_pieces_get_smaller_with_the_bandwidth(self, bandwidth, piece):
        assert limits_of(FakeTime(), bandwidth=bandwidth).piece == piece

    def test_each_direction_has_the_bandwidth(self):
        time = FakeTime()
        limits = limits_of(time, bandwidth=MIB)
        for _number in range(17):
            limits.received(LARGEST_PIECE, PLACE)
        assert time.now == 2.0
        limits.sent(LARGEST_PIECE, PLACE)
        assert time.now == 2.0

    def test_time_that_is_over(self):
        time = FakeTime()
        limits = limits_of(time, time_budget=60)
        limits.before_request("a", "GET", PLACE)
        time.now = 60.0
        for action in (
            lambda: limits.before_request("a", "GET", PLACE),
            lambda: limits.received(1, PLACE),
            lambda: limits.sent(1, PLACE),
        ):
            with pytest.raises(OutOfTime) as caught:
                action()
            assert str(caught.value) == (
                "Registry registry.example.com, repository a/b: cannot read the blob x: the time_budget of 60 seconds is "
                "used up. What has arrived stays: the next run goes on from there."
            )
        limits.before_request("a", "DELETE", PLACE)

    def test_wait_that_would_take_too_long_is_not_begun(self):
        time = FakeTime()
        limits = limits_of(time, time_budget=60)
        time.now = 50.0
        with pytest.raises(OutOfTime, match="60 seconds leaves no time to wait 11 seconds"):
            limits.sleep(11)
        assert time.slept == []

    def test_no_limit(self):
        time = FakeTime()
        limits = limits_of(time)
        time.now = 1e9
        limits.before_request("a", "GET", PLACE)
        limits.received(10**12, PLACE)
        assert time.slept == [] and limits.remaining == float("inf")


def manifest_reply(_asked=None):
    return Reply(200, {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": MANIFEST.digest}, MANIFEST.raw)


class TestRequests:
    """When requests leave, by a clock that the server's answers are noted with."""

    @contextmanager
    def served(self, handle, **options):
        time, left = FakeTime(), []

        def noted(asked):
            left.append((asked.method, time.now))
            return handle(asked)

        with ScriptedServer(noted) as server:
            chosen = ConnectionOptions(auth_file="/dev/null", timeout=10, **options)
            registries = Registries(chosen, limits=Limits(chosen, time.timing()))
            yield registries.repository(server.host, "a/b", plain_http=True), time, left

    def test_rate_holds_for_every_method(self):
        answers = in_turn(Reply(404), manifest_reply, Reply(201))
        with self.served(answers, request_rate=0.5) as (repository, _time, left):
            repository.head_manifest("1")
            repository.get_manifest("1")
            repository.put_manifest(MANIFEST)
        assert left == [("HEAD", 0.0), ("GET", 2.0), ("PUT", 4.0)]

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    def test_retry_after_is_kept_by_requests_that_were_not_told(self, status, method):
        """The request that is told to wait is not tried again; the next one, whatever it is, waits."""
        answers = in_turn(Reply(status, {"Retry-After": "30"}), Reply(202, {"Location": "/upload"}))
        with self.served(answers, retries=0) as (repository, _time, left):
            with pytest.raises(Exception, match=str(status)):
                repository.tags()
            connection = repository._writer
            call = Call(method, f"{connection.hostname}/v2/", "try", Access("a/b"), (202,))
            connection.send(call)
        assert left == [("GET", 0.0), (method, 30.0)]

    @pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
    def test_upload_that_is_told_to_wait(self, method):
        """Whatever comes next, the cancelling of its session as well, comes when the host wants it."""
        told = []

        def handle(asked):
            if asked.method == method and not told:
                told.append(asked)
                return Reply(429, {"Retry-After": "9"})
            return answers[asked.method]

        opened = Reply(202, {"Location": "/v2/a/b/blobs/uploads/1"})
        answers = {"POST": opened, "HEAD": Reply(404), "PUT": Reply(201), "DELETE": Reply(204)}
        with self.served(handle) as (repository, time, left):
            assert put(repository, b"content") == "copied"
        number = [name for name, _at in left].index(method)
        assert {at for _name, at in left[: number + 1]} == {0.0}
        assert {at for _name, at in left[number + 1 :]} == {9.0} and time.now == 9.0

    def test_token_service_that_asks_to_wait(self):
        def handle(asked):
            if asked.path == "/token":
                return tokens.pop(0)
            if "authorization" in asked.headers:
                return manifest_reply()
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="http://{asked.headers["host"]}/token"'})

        tokens = [Reply(429, {"Retry-After": "12"}), Reply(200, body=b'{"token": "abc"}')]
        with self.served(handle) as (repository, time, left):
            assert repository.get_manifest("1") == MANIFEST
        assert [at for _method, at in left] == [0.0, 0.0, 12.0, 12.0]

    def test_bandwidth_of_a_download(self):
        with self.served(lambda asked: Reply(200, {}, CONTENT), bandwidth=MIB) as (repository, time, _left):
            with repository.open_blob(digest_of(CONTENT), len(CONTENT)) as blocks:
                sizes = [len(block) for block in blocks]
        assert sum(sizes) == len(CONTENT) and max(sizes) <= MIB // 4
        assert 2.5 <= time.now <= 3.0

    def test_bandwidth_of_an_upload(self, plain_registry):
        time, options = FakeTime(), ConnectionOptions(auth_file="/dev/null", bandwidth=MIB)
        registries = Registries(options, limits=Limits(options, time.timing()))
        repository = registries.repository(plain_registry.host, "test/slow", plain_http=True)
        assert put(repository, CONTENT) == "copied"
        assert plain_registry.blobs()[digest_of(CONTENT)].read_bytes() == CONTENT
        assert 2.5 <= time.now <= 3.0

    def test_connections_of_one_run_share_the_limits(self, plain_registry):
        time, options = FakeTime(), ConnectionOptions(auth_file="/dev/null", request_rate=1)
        limits = Limits(options, time.timing())
        for _number in range(3):
            registries = Registries(options, limits=limits)
            registries.repository(plain_registry.host, "test/a", plain_http=True).head_manifest("1")
        assert time.now == 2.0


class TestTimeOfARun:
    def test_retries_end_with_it(self, serve):
        server = serve(Reply(503), retries=50, time_budget=20)
        with pytest.raises(OutOfTime, match="the server answered 503.* It is not tried again: the time_budget of 20"):
            server.repository.tags()
        assert server.time.now <= 20

    def test_retry_after_beyond_it_is_told_at_once(self, serve):
        server = serve(Reply(429, {"Retry-After": "30"}), time_budget=20)
        with pytest.raises(OutOfTime, match="too many requests.*no time to wait 30 seconds"):
            server.repository.tags()
        assert server.time.slept == []

    def test_retry_after_beyond_what_a_request_waits(self, serve):
        server = serve(Reply(429, {"Retry-After": "3600"}), time_budget=20)
        with pytest.raises(RateLimited):
            server.repository.tags()

    def test_download_that_breaks_all_the_time(self, serve):
        server = serve(Reply(200, {}, CONTENT[:10], length=len(CONTENT)), retries=50, time_budget=20)
        with pytest.raises(OutOfTime, match="cannot read the blob .* It is not tried again: the time_budget of 20"):
            with server.repository.open_blob(digest_of(CONTENT), len(CONTENT)) as blocks:
                list(blocks)

    def test_session_of_an_upload_is_cancelled(self, plain_registry):
        time, options = FakeTime(), ConnectionOptions(auth_file="/dev/null", time_budget=20)
        repository = Registries(options, limits=Limits(options, time.timing())).repository(
            plain_registry.host, "test/late", plain_http=True
        )

        @contextmanager
        def source():
            time.now = 30.0
            yield iter([CONTENT])

        with pytest.raises(OutOfTime, match="cannot write the blob .* the time_budget of 20 seconds is used up"):
            repository.put_blob(digest_of(CONTENT), len(CONTENT), source)
        assert plain_registry.uploads("test/late") == []

    def test_an_answer_is_not_waited_for_beyond_it(self):
        options = ConnectionOptions(auth_file="/dev/null", time_budget=1.5, timeout=30)

        def handle(_asked):
            threading.Event().wait(4)
            return Reply(200)

        with ScriptedServer(handle) as server:
            repository = Registries(options).repository(server.host, "a/b", plain_http=True)
            with pytest.raises(OutOfTime, match="cannot list the tags: .*the time_budget of 1.5 seconds"):
                repository.tags()
            assert len(server.asked) == 1
