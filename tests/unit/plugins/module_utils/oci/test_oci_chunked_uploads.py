# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big blobs in chunks: continued where they broke, and no session is left behind."""

from __future__ import annotations

import random
from contextlib import contextmanager, nullcontext
from itertools import groupby

import pytest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import SeekableSource
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of, verified
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    DigestMismatch,
    RegistryError,
    Unreachable,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.line import Line
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.registry import BINARY, RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.support.server import Reply

CHUNK = 1024 * 1024
CONTENT = random.Random(5).randbytes(5 * CHUNK + 12345)
DIGEST = digest_of(CONTENT)
ENDS = [min(start + CHUNK, len(CONTENT)) for start in range(0, len(CONTENT), CHUNK)]
RANGES = [f"{end - CHUNK if end % CHUNK == 0 else end // CHUNK * CHUNK}-{end - 1}" for end in ENDS]


class Source(SeekableSource):
    """CONTENT in blocks that fit to nothing. opened: the offsets at which it was opened. content: what it has instead."""

    def __init__(self, content=CONTENT, failure=None, fails_at=-1):
        self.opened, self.content, self.failure, self.fails_at = [], content, failure, fails_at

    @contextmanager
    def __call__(self):
        yield verified(self._blocks(0), DIGEST, len(CONTENT), "the source")

    @contextmanager
    def open_at(self, offset):
        yield self._blocks(offset)

    def _blocks(self, offset):
        self.opened.append(offset)
        while offset < len(self.content):
            if 0 <= self.fails_at <= offset:
                raise self.failure
            yield self.content[offset : offset + 300_000]
            offset += 300_000


def put(repository, source):
    return repository.put_blob(DIGEST, len(CONTENT), source)


@pytest.fixture
def start(tmp_path_factory):
    """start(binary, tls): a running registry. tls: its certificate."""
    open_ones = []

    def run(binary, tls=None):
        context = run_registry(tmp_path_factory.mktemp("registry"), RegistryOptions(binary=binary, tls=tls))
        open_ones.append(context)
        return context.__enter__()

    yield run
    for context in open_ones:
        context.__exit__(None, None, None)


def repository_at(host, retries=3):
    return connect(retries=retries, chunk_size=CHUNK).repository(host, "a/b", plain_http=True)


def check_sessions(registry, binary, broken):
    """No session is left. broken: so many requests broke off in their bodies, after which docker-registry 2.8 answers
    nothing more to the session, not even DELETE, and keeps it until it purges old ones.
    """
    assert len(registry.uploads()) <= (broken if binary == BINARY else 0)


def stored(registry):
    return registry.blobs()[DIGEST].read_bytes() == CONTENT


@BOTH
class TestRealRegistries:
    def test_in_chunks(self, start, binary):
        registry, source = start(binary), Source()
        assert put(repository_at(registry.host), source) == "copied"
        assert stored(registry) and registry.uploads() == []
        writes = [method for method, _path, _status in registry.requests()]
        assert writes.count("PATCH") == len(ENDS) and writes.count("PUT") == 1 and "GET" not in writes
        assert source.opened == [0]

    def test_small_ones_cost_two_requests(self, start, binary):
        registry = start(binary)
        repository = repository_at(registry.host)
        repository.put_blob(digest_of(b"first"), 5, lambda: nullcontext(iter([b"first"])))
        before = len(registry.requests())
        content = CONTENT[:CHUNK]
        repository.put_blob(digest_of(content), CHUNK, lambda: nullcontext(iter([content])))
        assert [method for method, _path, _status in registry.requests()[before:]] == ["POST", "PUT"]

    @pytest.mark.parametrize("size", [CHUNK, len(CONTENT)])
    def test_a_line_that_breaks(self, start, binary, size):
        registry, source = start(binary), Source()
        content = CONTENT[:size]
        with Line(registry.port, breaks=[size // 2]) as line:
            repository = repository_at(line.host)
            if size == CHUNK:
                opened = contextmanager(lambda: (yield iter([content])))
                assert repository.put_blob(digest_of(content), size, opened) == "copied"
            else:
                assert put(repository, source) == "copied"
            sent = sum(line.carried)
        assert registry.blobs()[digest_of(content)].read_bytes() == content
        check_sessions(registry, binary, broken=1)
        if size != CHUNK and binary != BINARY:
            # How much of the chunk that broke off the registry has read depends on who runs when. It may still be
            # reading when it is asked; then the next chunk is refused, and there is another question.
            assert sent < size + 2 * CHUNK, "more than the rest was sent again"
            assert len(source.opened) in (2, 3) and source.opened[1] > size // 2 - CHUNK

    def test_more_breaks_than_retries_while_it_comes_on(self, start, binary):
        registry, source = start(binary), Source()
        breaks = [CHUNK * 3 // 2] * 3 if binary != BINARY else [CHUNK * 3 // 2]
        with Line(registry.port, breaks) as line:
            put(repository_at(line.host, retries=1), source)
        assert stored(registry)

    @pytest.mark.parametrize("big", [True, False])
    @pytest.mark.parametrize("at", [0, 600_000, 5_100_000])
    def test_a_source_that_fails(self, start, binary, at, big):
        registry = start(binary)
        source = Source(failure=Unreachable("The source is gone."), fails_at=at)
        chunk = CHUNK if big else len(CONTENT)
        repository = connect(retries=3, chunk_size=chunk).repository(registry.host, "a/b", plain_http=True)
        with pytest.raises(Unreachable, match="The source is gone"):
            put(repository, source)
        assert DIGEST not in registry.blobs()
        check_sessions(registry, binary, broken=1 if at and not big else 0)

    @pytest.mark.parametrize("big", [True, False])
    def test_a_source_that_is_damaged(self, start, binary, big):
        registry = start(binary)
        source = Source(b"?" + CONTENT[1:])
        chunk = CHUNK if big else len(CONTENT)
        with pytest.raises(DigestMismatch):
            put(connect(chunk_size=chunk).repository(registry.host, "a/b", plain_http=True), source)
        assert DIGEST not in registry.blobs() and source.opened == [0, 0]
        check_sessions(registry, binary, broken=0 if big else 2)

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_a_session_is_cancelled_when_the_registry_is_through_with_the_body(self, start, binary, scheme, authority):
        registry = start(binary, authority.issue() if scheme == "https" else None)
        settings = RegistrySettings(registry.host, ca_path=str(authority.certificate), plain_http=registry.plain_http)
        with pytest.raises(DigestMismatch):
            put(connect(settings, chunk_size=len(CONTENT)).repository(registry.host, "a/b"), Source(b"?" + CONTENT[1:]))
        writes = [method for method, _path, _status in registry.requests() if method in ("PUT", "DELETE")]
        assert [method for method, _group in groupby(writes)] == ["PUT", "DELETE"] * 2

    @pytest.mark.parametrize("content", [CONTENT + b"x", CONTENT[:-1]], ids=["more", "less"])
    def test_a_source_of_another_size(self, start, binary, content):
        registry = start(binary)
        with pytest.raises((DigestMismatch, RegistryError)):
            put(repository_at(registry.host), Source(content))
        assert DIGEST not in registry.blobs() and registry.uploads() == []


class ChunkServer:
    """The upload protocol with a Location that changes with every answer. rules: method to a function of (server, asked)
    that answers instead, or None: as it should be. open: sessions that were neither finished nor cancelled.
    """

    def __init__(self, headers=(), **rules):
        self.headers, self.rules = dict(headers), rules
        self.open, self.blobs, self.turn = {}, {}, 0

    def __call__(self, asked):
        rule = self.rules.get(asked.method)
        return (rule and rule(self, asked)) or getattr(self, asked.method.lower())(asked)

    def head(self, asked):
        return Reply(200 if asked.path.rpartition("/")[2] in self.blobs else 404)

    def post(self, _asked):
        name = f"/session/{len(self.open)}-{self.turn}"
        self.open[name] = b""
        return Reply(202, dict(self.location(name), **self.headers))

    def location(self, name):
        self.turn += 1
        return {"Location": f"{name}?state={self.turn}"}

    def known(self, asked):
        return asked.path in self.open and asked.query.get("state") == [str(self.turn)]

    def patch(self, asked):
        start = int(asked.headers["content-range"].partition("-")[0])
        if not self.known(asked):
            return Reply(404)
        if start != len(self.open[asked.path]):
            return Reply(416)
        self.open[asked.path] += asked.body
        return Reply(202, self.location(asked.path))

    def get(self, asked):
        if asked.path not in self.open:
            return Reply(404)
        end = max(len(self.open[asked.path]) - 1, 0)
        return Reply(204, dict(self.location(asked.path), Range=f"0-{end}"))

    def put(self, asked):
        if not self.known(asked):
            return Reply(404)
        content = self.open.pop(asked.path) + asked.body
        if digest_of(content) != asked.query["digest"][0]:
            return Reply(400)
        self.blobs[asked.query["digest"][0]] = content
        return Reply(201, {"Location": "/blobs/there"})

    def delete(self, asked):
        if asked.path in self.open and not self.known(asked):
            return Reply(416)
        return Reply(204 if self.open.pop(asked.path, None) is not None else 404)


def once(action):
    """A rule that holds for the first request alone."""
    waiting = [action]
    return lambda server, asked: waiting.pop()(server, asked) if waiting else None


def lost_answer(server, asked):
    getattr(server, asked.method.lower())(asked)
    return Reply(502)


def ranges_of(server):
    return [asked.headers["content-range"] for asked in server.asked if asked.method == "PATCH"]


class TestProtocol:
    def run(self, serve, registry, retries=3, source=None):
        server = serve(registry, retries=retries, chunk_size=CHUNK)
        assert put(server.repository, source or Source()) == "copied"
        assert registry.blobs == {DIGEST: CONTENT}
        assert registry.open == {}
        return server

    def test_the_location_is_taken_anew_from_every_answer(self, serve):
        server = self.run(serve, ChunkServer())
        assert ranges_of(server) == RANGES
        assert [len(asked.body) for asked in server.asked if asked.method == "PUT"] == [0]

    def test_a_registry_that_wants_larger_chunks(self, serve):
        server = self.run(serve, ChunkServer({"OCI-Chunk-Min-Length": str(3 * CHUNK)}))
        assert ranges_of(server) == [f"0-{3 * CHUNK - 1}", f"{3 * CHUNK}-{len(CONTENT) - 1}"]

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 411, 413, 416, 501])
    def test_a_registry_that_takes_no_chunks_is_known_then(self, serve, status):
        registry = ChunkServer(PATCH=lambda _server, _asked: Reply(status))
        server = self.run(serve, registry, retries=0)
        assert server.methods().count("PATCH") == 1
        registry.blobs.clear()
        before = len(server.asked)
        put(server.repository, Source())
        assert "PATCH" not in server.methods()[before:] and registry.open == {}

    def test_a_chunk_that_arrived_although_its_answer_was_lost(self, serve):
        source = Source()
        server = self.run(serve, ChunkServer(PATCH=once(lost_answer)), source=source)
        assert ranges_of(server) == RANGES and source.opened == [0]

    def test_half_a_chunk_arrived(self, serve):
        def half(server, asked):
            server.open[asked.path] += asked.body[: CHUNK // 2]
            return Reply(500)

        source = Source()
        server = self.run(serve, ChunkServer(PATCH=once(half)), source=source)
        assert ranges_of(server)[:2] == [RANGES[0], f"{CHUNK // 2}-{CHUNK // 2 + CHUNK - 1}"]
        assert source.opened == [0, CHUNK // 2]

    def test_a_registry_that_has_another_part_than_it_said(self, serve):
        def early(server, asked):
            server.open[asked.path] += asked.body[:CHUNK]
            return Reply(416)

        assert ranges_of(self.run(serve, ChunkServer(PATCH=once(early))))[1] == RANGES[1]

    @pytest.mark.parametrize("answer", [Reply(404), Reply(204), Reply(204, {"Range": "5-9"}), Reply(204, {"Range": f"0-{10**9}"})])
    def test_a_session_that_cannot_be_continued_is_cancelled(self, serve, answer):
        registry = ChunkServer(PATCH=once(lambda _server, _asked: Reply(503)), GET=once(lambda _server, _asked: answer))
        server = self.run(serve, registry)
        assert [text.partition("-")[0] for text in ranges_of(server)[:2]] == ["0", "0"]
        assert server.methods().count("DELETE") >= 1

    def test_a_registry_that_forgets_what_it_took(self, serve):
        def forget(server, asked):
            server.open[asked.path] = b""

        waiting = [None, forget]
        registry = ChunkServer(PATCH=lambda server, asked: (waiting.pop(0) or (lambda *_all: None))(server, asked) if waiting else None)
        self.run(serve, registry)

    def test_the_answer_to_the_last_request_is_lost(self, serve):
        server = self.run(serve, ChunkServer(PUT=once(lost_answer)))
        assert server.methods().count("PUT") == 1 and server.methods().count("PATCH") == len(RANGES)

    def test_the_last_request_is_lost(self, serve):
        server = self.run(serve, ChunkServer(PUT=once(lambda _server, _asked: Reply(502))))
        assert server.methods().count("PUT") == 2 and server.methods().count("PATCH") == len(RANGES)

    def test_gives_up_and_cancels(self, serve):
        registry = ChunkServer(PATCH=lambda _server, _asked: Reply(503))
        server = serve(registry, retries=2, chunk_size=CHUNK)
        with pytest.raises(RegistryError, match="503"):
            put(server.repository, Source())
        assert server.methods().count("PATCH") == 3 and registry.open == {}
