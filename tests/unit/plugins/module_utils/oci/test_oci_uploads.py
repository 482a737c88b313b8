# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upload protocol with registries that answer differently from distribution."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import NotFound, RegistryError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import connect, put, source_of
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

CONTENT = bytes(range(256)) * 4096 * 3


class UploadServer:
    """A registry's upload protocol, small; `own_mount`: does a mount from itself tell what is there."""

    def __init__(self, own_mount=False, location="/session/{}", **faults):
        self.own_mount, self.location, self.faults = own_mount, location, faults
        self.blobs, self.sessions, self.cancelled = {}, 0, []

    def __call__(self, asked):
        fault = self.faults.get(asked.method)
        if fault:
            reply = fault.pop(0)
            if reply is not None:
                if not fault:
                    del self.faults[asked.method]
                return reply
            if not fault:
                del self.faults[asked.method]
        return getattr(self, asked.method.lower())(asked)

    def head(self, asked):
        return Reply(200 if asked.path.rpartition("/")[2] in self.blobs else 404)

    def post(self, asked):
        digest = asked.query.get("mount", [""])[0]
        if self.own_mount and digest in self.blobs:
            return Reply(201)
        self.sessions += 1
        return Reply(202, {"Location": self.location.format(self.sessions)})

    def put(self, asked):
        self.blobs[asked.query["digest"][0]] = asked.body
        return Reply(201)

    def delete(self, asked):
        self.cancelled.append(asked.path)
        return Reply(204)


class TestUploads:
    def test_own_mount_that_tells_nothing_is_learned(self, serve):
        registry = UploadServer(own_mount=False)
        server = serve(registry)
        assert put(server.repository, b"one") == "copied"
        assert server.methods() == ["POST", "HEAD", "PUT", "POST", "DELETE"]
        assert put(server.repository, b"two") == "copied"
        assert server.methods()[5:] == ["HEAD", "POST", "PUT"]
        assert put(server.repository, b"two") == "present"
        assert server.methods()[8:] == ["HEAD"]
        assert registry.cancelled == ["/session/2"]

    def test_present_blob_where_own_mount_is_not_known_yet(self, serve):
        registry = UploadServer(own_mount=False)
        registry.blobs[digest_of(b"one")] = b"one"
        server = serve(registry)
        assert put(server.repository, b"one") == "present"
        assert server.methods() == ["POST", "HEAD", "DELETE", "POST", "DELETE"]
        assert put(server.repository, b"one") == "present"
        assert server.methods()[5:] == ["HEAD"]

    @pytest.mark.parametrize("status", [400, 404, 405])
    def test_own_mount_that_is_refused(self, serve, status):
        registry = UploadServer(POST=[Reply(status)])
        server = serve(registry)
        assert put(server.repository, b"one") == "copied"
        assert server.methods() == ["POST", "HEAD", "POST", "PUT"]

    @pytest.mark.parametrize("status", [202, 400, 403, 404, 405, 500])
    def test_mount_that_is_refused_falls_back(self, serve, status):
        headers = {"Location": "/session/mount"} if status == 202 else {}
        registry = UploadServer(own_mount=True, POST=[Reply(status, headers)])
        server = serve(registry, retries=0)
        assert put(server.repository, b"one", ["other/place"]) == "copied"
        assert registry.blobs == {digest_of(b"one"): b"one"}
        assert registry.cancelled == (["/session/mount"] if status == 202 else [])
        before = len(server.asked)
        assert put(server.repository, b"two", ["other/place"]) == "copied"
        again = ["POST", "DELETE"] if status == 202 else []
        assert server.methods()[before:] == again + ["POST", "PUT"]

    def test_source_that_never_has_a_blob_is_given_up(self, serve):
        server = serve(UploadServer(own_mount=True))
        for number in range(5):
            assert put(server.repository, b"%d" % number, ["other/place"]) == "copied"
        sources = [asked.query.get("from", [""])[0] for asked in server.asked if asked.method == "POST"]
        assert sources.count("other/place") == 3

    def test_repository_that_has_to_be_created_first(self, serve):
        with pytest.raises(NotFound, match="does not know the repository: 404.*created first"):
            put(serve(UploadServer(POST=[Reply(404), Reply(404)])).repository, b"one")

    @pytest.mark.parametrize("location", ["/session/{}", "/session/{}?state=a%2Fb&x=1", "session/{}"])
    def test_relative_locations_keep_their_query(self, serve, location):
        server = serve(UploadServer(own_mount=True, location=location))
        assert put(server.repository, b"one") == "copied"
        asked = next(asked for asked in server.asked if asked.method == "PUT")
        assert asked.query["digest"] == [digest_of(b"one")]
        if "?" in location:
            assert asked.query["state"] == ["a/b"] and asked.query["x"] == ["1"]

    def test_location_on_another_host_gets_no_login(self):
        with ScriptedServer(lambda asked: Reply(201)) as storage:
            registry = UploadServer(location=f"http://localhost:{storage.port}/" + "{}")

            def handle(asked):
                if "authorization" not in asked.headers:
                    return Reply(401, {"WWW-Authenticate": "Basic realm=x"})
                return registry(asked)

            with ScriptedServer(handle) as server:
                settings = RegistrySettings(server.host, username="u", password="password-1", plain_http=True)
                assert put(connect(settings).repository(server.host, "a/b"), b"one") == "copied"
            assert [asked.method for asked in storage.asked] == ["PUT", "DELETE"]
            assert all("authorization" not in asked.headers for asked in storage.asked)
            assert storage.asked[0].body == b"one"

    def test_upload_that_fails_is_replayed_in_a_new_session(self, serve):
        registry = UploadServer(own_mount=True, PUT=[Reply(503), Reply(404), Reply(500)])
        server = serve(registry)
        opened = []

        def open_source():
            opened.append(1)
            return source_of(b"o", b"", b"ne")()

        assert server.repository.put_blob(digest_of(b"one"), 3, open_source) == "copied"
        assert len(opened) == 4
        assert registry.cancelled == ["/session/1", "/session/2", "/session/3"]

    def test_answer_lost_after_the_registry_stored_the_blob(self, serve):
        registry = UploadServer(own_mount=True)

        def lost(asked):
            if asked.method == "PUT":
                registry.blobs[asked.query["digest"][0]] = asked.body
                return Reply(502)
            return registry(asked)

        server = serve(lost)
        assert put(server.repository, b"one") == "copied"
        assert server.methods().count("PUT") == 1

    def test_401_while_uploading(self):
        registry = UploadServer(own_mount=True)
        tokens = []

        def handle(asked):
            if asked.path == "/token":
                tokens.append(f"token-{len(tokens)}")
                return Reply(200, body=json.dumps({"token": tokens[-1]}).encode())
            expired = asked.method == "PUT" and len(tokens) == 1
            if expired or not tokens or asked.headers.get("authorization") != f"Bearer {tokens[-1]}":
                return Reply(
                    401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",scope="repository:a/b:pull,push"'}
                )
            return registry(asked)

        with ScriptedServer(handle) as server:
            registries = connect(retries=0)
            assert put(registries.repository(server.host, "a/b", plain_http=True), b"one") == "copied"
            assert registry.blobs == {digest_of(b"one"): b"one"}
            assert registries.traffic.token_requests == 2

    def test_upload_without_location(self, serve):
        with pytest.raises(RegistryError, match="without a Location"):
            put(serve(Reply(202)).repository, b"one")

    def test_read_only_registry(self, serve):
        registry = UploadServer(POST=[Reply(405), Reply(405)])
        with pytest.raises(RegistryError, match="405.*read-only"):
            put(serve(registry).repository, b"one")

    def test_upload_has_a_length_and_is_not_chunked(self, serve):
        server = serve(UploadServer(own_mount=True))
        server.repository.put_blob(digest_of(CONTENT), len(CONTENT), source_of(CONTENT[:5], CONTENT[5:]))
        asked = next(asked for asked in server.asked if asked.method == "PUT")
        assert asked.headers["content-length"] == str(len(CONTENT)) and "transfer-encoding" not in asked.headers
        assert asked.body == CONTENT
