# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs whose download breaks off, arrives damaged, or begins in the middle."""

from __future__ import annotations

from collections import Counter

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import open_at
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, RegistryError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.repository import blob_source
from ansible_collections.ocm.airgap.tests.support.oci_client import put
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer, in_turn

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 3
SIZE = len(CONTENT)
DAMAGED = CONTENT[:-1] + b"X"


def start_of(asked):
    """The first byte that a Range request asks for, 0 without one."""
    return int(asked.headers["range"].partition("=")[2].rstrip("-")) if "range" in asked.headers else 0


def rest(asked):
    """Answers a Range request as it should be."""
    start = start_of(asked)
    return Reply(206, {"Content-Range": f"bytes {start}-{SIZE - 1}/{SIZE}"}, CONTENT[start:])


def cut(end, **how):
    """The blob from where it is asked for, broken off before byte `end`."""

    def reply(asked):
        start = start_of(asked)
        headers = {"Content-Range": f"bytes {start}-{SIZE - 1}/{SIZE}"} if start else {}
        return Reply(206 if start else 200, headers, CONTENT[start:end], length=SIZE - start, **how)

    return reply


def whole(_asked):
    return Reply(200, {}, CONTENT)


def read(server, size=SIZE):
    with server.repository.open_blob(digest_of(CONTENT), size) as blocks:
        return b"".join(blocks)


class TestContinued:
    @pytest.mark.parametrize("how", [{}, {"reset": True}, {"silence": 0.5}], ids=["early close", "reset", "stall"])
    @pytest.mark.parametrize("size", [SIZE, -1])
    def test_from_where_it_stopped(self, serve, how, size):
        end = MIB + 700000
        server = serve(cut(end, **how), rest, timeout=0.2)
        assert read(server, size) == CONTENT
        asked_from = start_of(server.asked[1])
        assert 0 < asked_from <= end and len(server.asked) == 2
        assert server.registries.traffic.bytes <= SIZE + MIB
        assert server.time.slept == [0.25]

    def test_no_byte_is_asked_for_twice_after_an_early_close(self, serve):
        server = serve(cut(MIB + 700000), cut(2 * MIB + 5), rest)
        assert read(server) == CONTENT
        assert [start_of(asked) for asked in server.asked] == [0, MIB + 700000, 2 * MIB + 5]
        assert server.registries.traffic.bytes == SIZE

    def test_end_without_a_length(self, serve):
        server = serve(Reply(200, {}, CONTENT[:1000], without_length=True), rest)
        assert read(server) == CONTENT
        assert start_of(server.asked[1]) == 1000

    def test_broken_behind_the_last_byte(self, serve):
        server = serve(Reply(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n" % (SIZE, CONTENT), without_length=True))
        assert read(server) == CONTENT
        assert len(server.asked) == 1

    def test_broken_behind_the_last_byte_of_a_blob_of_unknown_size(self, serve):
        chunked = Reply(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n" % (SIZE, CONTENT), without_length=True)
        server = serve(chunked, Reply(416, {"Content-Range": f"bytes */{SIZE}"}, b"nothing there"))
        assert read(server, -1) == CONTENT
        assert start_of(server.asked[1]) == SIZE

    def test_line_that_breaks_in_every_mib(self, serve):
        """It comes on: little of what has arrived goes with a break."""
        server = serve(*[lambda asked: cut(start_of(asked) + 700_000, reset=True)(asked)] * 8, rest, retries=2)
        assert read(server) == CONTENT
        starts = [start_of(asked) for asked in server.asked]
        assert starts == sorted(set(starts)) and len(starts) <= 7

    def test_retry_after_is_kept(self, serve):
        server = serve(cut(MIB), Reply(503, {"Retry-After": "7"}), rest)
        assert read(server) == CONTENT
        assert server.time.slept == [0.25, 7.0]

    def test_progress_begins_the_count_anew(self, serve):
        steps = [cut(MIB // 2), cut(MIB), cut(MIB + 10), cut(2 * MIB + 20), cut(2 * MIB + 30), rest]
        server = serve(*steps, retries=2)
        assert read(server) == CONTENT
        assert len(server.asked) == 6

    @pytest.mark.parametrize("size", [SIZE, -1])
    def test_ends_without_progress(self, serve, size):
        server = serve(cut(10), cut(10))
        with pytest.raises(RegistryError, match="repository a/b: cannot read the blob sha256:"):
            read(server, size)
        assert len(server.asked) == 6


class TestRegistriesWithoutParts:
    def continued(self, serve, *answers):
        server = serve(cut(MIB + 5), *answers)
        assert read(server) == CONTENT
        return server

    def test_all_is_sent_again(self, serve):
        server = self.continued(serve, whole)
        assert len(server.asked) == 2 and "range" in server.asked[1].headers

    @pytest.mark.parametrize(
        "status, headers",
        [
            (206, {"Content-Range": f"bytes 5-9/{SIZE}"}),
            (206, {"Content-Range": f"bytes {MIB + 5}-{SIZE}/{SIZE + 1}"}),
            (206, {"Content-Range": "none"}),
            (206, {}),
            (416, {}),
            (416, {"Content-Range": f"bytes */{MIB + 5}"}),
        ],
    )
    def test_part_that_is_not_believed(self, serve, status, headers):
        server = self.continued(serve, Reply(status, headers, b"Z" * 10), whole)
        assert ["range" in asked.headers for asked in server.asked] == [False, True, False]

    def test_is_learnt_once_a_host(self, serve):
        server = serve(cut(MIB + 5), whole, cut(MIB + 5), whole)
        assert read(server) == CONTENT
        other = server.registries.repository(server.host, "c/d", plain_http=True)
        with other.open_blob(digest_of(CONTENT), SIZE) as blocks:
            assert b"".join(blocks) == CONTENT
        assert ["range" in asked.headers for asked in server.asked] == [False, True, False, False]

    def test_that_break_off_every_time(self, serve):
        server = serve(cut(MIB // 2), lambda asked: Reply(200, {}, CONTENT[: MIB // 2], length=SIZE))
        with pytest.raises(RegistryError, match="repository a/b: cannot read the blob sha256:"):
            read(server)
        assert len(server.asked) == 6


class TestInTheMiddle:
    @pytest.mark.parametrize("offset", [1, MIB + 5, SIZE - 1])
    def test_part_alone(self, serve, offset):
        server = serve(rest)
        with server.repository.open_blob_at(digest_of(CONTENT), SIZE, offset) as blocks:
            assert b"".join(blocks) == CONTENT[offset:]
        assert server.registries.traffic.bytes == SIZE - offset

    def test_at_the_end_nothing_is_asked(self, serve):
        server = serve(rest)
        with server.repository.open_blob_at(digest_of(CONTENT), SIZE, SIZE) as blocks:
            assert list(blocks) == []
        assert server.asked == []

    def test_without_parts_the_beginning_is_left_out(self, serve):
        server = serve(whole)
        with server.repository.open_blob_at(digest_of(CONTENT), SIZE, MIB + 5) as blocks:
            assert b"".join(blocks) == CONTENT[MIB + 5 :]

    def test_broken_part_goes_on(self, serve):
        server = serve(cut(2 * MIB), rest)
        with server.repository.open_blob_at(digest_of(CONTENT), SIZE, MIB) as blocks:
            assert b"".join(blocks) == CONTENT[MIB:]
        assert [start_of(asked) for asked in server.asked] == [MIB, 2 * MIB]

    def test_real_registry(self, plain_registry, repository_path, serve):
        repository = serve(whole).registries.repository(plain_registry.host, repository_path, plain_http=True)
        put(repository, CONTENT)
        source = blob_source(repository, digest_of(CONTENT), SIZE)
        with open_at(source, 2 * MIB) as blocks:
            assert b"".join(blocks) == CONTENT[2 * MIB :]
        with source() as blocks:
            assert b"".join(blocks) == CONTENT


class TestDamaged:
    def test_small_blob_is_read_once_more_for_every_reader(self, serve):
        server = serve(Reply(200, {}, b"wrong"), Reply(200, {}, b"right"))
        with server.repository.open_blob(digest_of(b"right"), 5) as blocks:
            assert list(blocks) == [b"right"]
        assert len(server.asked) == 2

    def test_small_blob_that_is_damaged_twice(self, serve):
        server = serve(Reply(200, {}, b"wrong"))
        with pytest.raises(DigestMismatch) as caught:
            with server.repository.open_blob(digest_of(b"right"), 5):
                pass
        assert digest_of(b"right") in str(caught.value) and digest_of(b"wrong") in str(caught.value)
        assert len(server.asked) == 2

    def test_empty_blob(self, serve):
        server = serve(Reply(200))
        with server.repository.open_blob(digest_of(b""), 0) as blocks:
            assert list(blocks) == []

    def moved(self, serve, plain_registry, *answers):
        """Move a blob of 3 MiB from a scripted server into a real registry."""
        server = serve(*answers, retries=0)
        target = server.registries.repository(plain_registry.host, "test/moved", plain_http=True)
        source = blob_source(server.repository, digest_of(CONTENT), SIZE)
        assert target.put_blob(digest_of(CONTENT), SIZE, source) == "copied"
        return server

    def test_source_of_an_upload_is_read_once_more(self, serve, plain_registry):
        server = self.moved(serve, plain_registry, Reply(200, {}, DAMAGED), whole)
        assert plain_registry.blobs()[digest_of(CONTENT)].read_bytes() == CONTENT
        assert len(server.asked) == 2

    def test_source_of_an_upload_that_is_damaged_twice(self, serve, plain_registry):
        with pytest.raises(DigestMismatch) as caught:
            self.moved(serve, plain_registry, Reply(200, {}, DAMAGED))
        assert digest_of(CONTENT) in str(caught.value) and digest_of(DAMAGED) in str(caught.value)
        assert f"blob {digest_of(CONTENT)}" in str(caught.value) and "a/b" in str(caught.value)
        assert digest_of(CONTENT) not in plain_registry.blobs()


class TestStorageElsewhere:
    """Registries that send the readers of blobs to a storage, with a URL that is good for a while."""

    def served(self, serve, storage, **options):
        numbers = iter(range(100))

        def redirect(asked):
            return Reply(307, {"Location": f"http://localhost:{storage.port}/blob?signature={next(numbers)}"})

        return serve(redirect, **options)

    def test_a_broken_download_asks_the_registry_again(self, serve):
        with ScriptedServer(in_turn(cut(MIB), rest)) as storage:
            server = self.served(serve, storage)
            assert read(server) == CONTENT
            assert [asked.query["signature"] for asked in storage.asked] == [["0"], ["1"]]
            assert [start_of(asked) for asked in storage.asked] == [0, MIB]
        assert Counter(server.methods()) == {"GET": 2}

    @pytest.mark.parametrize("status", [401, 403, 410])
    def test_a_url_that_is_not_good_any_more(self, serve, status):
        refusal = Reply(status, {"WWW-Authenticate": 'Basic realm="storage"'}, b"<Error><Code>AccessDenied</Code></Error>")
        with ScriptedServer(in_turn(cut(MIB), refusal, rest)) as storage:
            server = self.served(serve, storage)
            assert read(server) == CONTENT
            assert [asked.query["signature"] for asked in storage.asked] == [["0"], ["1"], ["2"]]
            assert all("authorization" not in asked.headers for asked in storage.asked)

    def test_a_storage_that_always_refuses_is_named(self, serve):
        with ScriptedServer(lambda asked: Reply(403)) as storage:
            server = self.served(serve, storage, retries=2)
            with pytest.raises(RegistryError, match=f"localhost:{storage.port}.*403") as caught:
                read(server)
            assert "signature" not in str(caught.value)
            assert len(storage.asked) == 3
