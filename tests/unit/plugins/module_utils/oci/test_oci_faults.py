# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real registries do not do on demand: a scripted server breaks the protocol at one place."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    AuthError,
    DigestMismatch,
    NotFound,
    RateLimited,
    RegistryError,
    Unreachable,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import (
    ARTIFACT_TYPES,
    OCI_MANIFEST,
    Manifest,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

MIB = 1024 * 1024
MANIFEST = Manifest.parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode())
CONTENT = bytes(range(256)) * 4096 * 3


def manifest_reply(**more):
    headers = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": MANIFEST.digest, **more}
    return Reply(200, {name: value for name, value in headers.items() if value}, MANIFEST.raw)


class TestRetries:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_cured_by_another_try(self, serve, status):
        server = serve(Reply(status), manifest_reply())
        assert server.repository.get_manifest("1") == MANIFEST
        assert server.time.slept == [0.25]

    @pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 501])
    def test_not_tried_again(self, serve, status):
        server = serve(Reply(status))
        with pytest.raises((RegistryError, NotFound), match=str(status)):
            server.repository.get_manifest("1")
        assert len(server.asked) == 1

    def test_gives_up_with_the_last_error(self, serve):
        server = serve(Reply(503, body=b"<html><head><title>Sorry</title></head><body>secret stack</body></html>"))
        with pytest.raises(RegistryError, match=r"503 \(an HTML page, Sorry\)") as caught:
            server.repository.tags()
        assert len(server.asked) == 6 and len(server.time.slept) == 5
        assert caught.value.status == 503
        assert f"Registry {server.host}, repository a/b: cannot list the tags" in str(caught.value)

    def test_retry_after_seconds_and_date(self, serve):
        date = Reply(429, {"Retry-After": formatdate(time.time() + 30, usegmt=True)})
        server = serve(Reply(429, {"Retry-After": "7"}), date, manifest_reply())
        server.repository.get_manifest("1")
        assert server.time.slept[0] == 7.0
        assert 25 <= server.time.slept[1] <= 31

    def test_retry_after_that_is_too_long(self, serve):
        server = serve(Reply(429, {"Retry-After": "3600"}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow"}]}'))
        with pytest.raises(RateLimited, match="too many requests: 429 TOOMANYREQUESTS"):
            server.repository.get_manifest("1")
        assert server.time.slept == [] and len(server.asked) == 1

    def test_broken_connection_in_a_manifest(self, serve):
        server = serve(
            Reply(200, {"Content-Type": OCI_MANIFEST}, MANIFEST.raw[:10], length=len(MANIFEST.raw)), manifest_reply()
        )
        assert server.repository.get_manifest("1") == MANIFEST

    def test_timeout(self, serve):
        def slow(_asked):
            time.sleep(0.6)
            return manifest_reply()

        server = serve(slow, manifest_reply(), timeout=0.2)
        assert server.repository.get_manifest("1") == MANIFEST
        server = serve(slow, timeout=0.2, retries=0)
        with pytest.raises(Unreachable, match="no answer within 0.2 seconds"):
            server.repository.get_manifest("1")

    def test_token_service_is_retried(self, serve):
        server = serve(
            lambda asked: Reply(401, {"WWW-Authenticate": f'Bearer realm="http://{asked.headers["host"]}/token"'}),
            Reply(503),
            Reply(200, body=b'{"token": "abc"}'),
            manifest_reply(),
        )
        assert server.repository.get_manifest("1") == MANIFEST
        assert server.registries.traffic.token_requests == 2

    def test_unknown_host_and_refused_connection(self):
        with pytest.raises(Unreachable, match="the host unknown.invalid is unknown"):
            connect().repository("unknown.invalid", "a/b").tags()
        with pytest.raises(Unreachable, match="localhost:1 refuses the connection"):
            connect().repository("localhost:1", "a/b").tags()


class TestManifests:
    def test_accept_lists_all_types(self, serve):
        server = serve(manifest_reply())
        server.repository.head_manifest("1")
        server.repository.get_manifest("1")
        for asked in server.asked:
            assert asked.headers["accept"].split(", ") == list(ARTIFACT_TYPES)
            assert asked.headers["accept-encoding"] == "identity"
            assert asked.headers["user-agent"] == "ocm.airgap"

    @pytest.mark.parametrize(
        "head",
        [
            manifest_reply(**{"Docker-Content-Digest": ""}),
            manifest_reply(**{"Docker-Content-Digest": "sha256:short"}),
            manifest_reply(**{"Content-Type": "text/plain"}),
            Reply(405),
            Reply(400),
            Reply(403),
        ],
    )
    def test_head_that_says_too_little(self, serve, head):
        """Then GET is asked, and that is learnt for all repositories of the host."""
        server = serve(head, manifest_reply())
        assert server.repository.head_manifest("1") == MANIFEST.descriptor()
        assert server.methods() == ["HEAD", "GET"]
        other = server.registries.repository(server.host, "c/d", plain_http=True)
        assert other.head_manifest("1") == MANIFEST.descriptor()
        assert server.methods() == ["HEAD", "GET", "GET"]

    def test_head_of_another_manifest_than_asked_for(self, serve):
        server = serve(manifest_reply(**{"Docker-Content-Digest": digest_of(b"other")}), manifest_reply())
        assert server.repository.head_manifest(MANIFEST.digest) == MANIFEST.descriptor()

    def test_no_rights_at_all(self, serve):
        server = serve(Reply(403))
        for _number in range(2):
            with pytest.raises(AuthError, match="access denied"):
                server.repository.head_manifest("1")
        assert server.methods() == ["HEAD", "GET"] * 2

    @pytest.mark.parametrize("status", [403, 405])
    def test_blobs_where_head_is_refused(self, serve, status):
        server = serve(Reply(status), Reply(200, {}, CONTENT), Reply(200, {}, CONTENT), Reply(404))
        sizes = [server.repository.blob_size(digest_of(CONTENT)) for _number in range(3)]
        assert sizes == [len(CONTENT), len(CONTENT), None]
        assert server.methods() == ["HEAD", "GET", "GET", "GET"]
        assert server.registries.traffic.bytes == 0

    def test_head_of_an_absent_manifest_where_head_is_not_supported(self, serve):
        assert serve(Reply(405), Reply(404)).repository.head_manifest("1") is None

    def test_wrong_bytes_are_asked_for_once_more(self, serve):
        wrong = Reply(200, {"Content-Type": OCI_MANIFEST}, MANIFEST.raw + b" ")
        server = serve(wrong, manifest_reply())
        assert server.repository.get_manifest(MANIFEST.digest) == MANIFEST
        with pytest.raises(DigestMismatch):
            serve(wrong).repository.get_manifest(MANIFEST.digest)

    def test_header_and_bytes_that_disagree(self, serve):
        with pytest.raises(DigestMismatch):
            serve(manifest_reply(**{"Docker-Content-Digest": digest_of(b"other")})).repository.get_manifest("1")

    def test_encoded_answer(self, serve):
        with pytest.raises(RegistryError, match="encoded .gzip."):
            serve(manifest_reply(**{"Content-Encoding": "gzip"})).repository.get_manifest("1")

    @pytest.mark.parametrize("without_length", [True, False])
    def test_endless_manifest(self, serve, without_length):
        server = serve(Reply(200, {"Content-Type": OCI_MANIFEST}, b" " * (9 * MIB), without_length=without_length))
        with pytest.raises(RegistryError, match="longer than 8388608 bytes"):
            server.repository.get_manifest("1")

    def test_manifest_stored_under_another_digest(self, serve):
        with pytest.raises(RegistryError, match="stored .* instead of"):
            serve(Reply(201, {"Docker-Content-Digest": digest_of(b"x")})).repository.put_manifest(MANIFEST, "1")

    def test_put_sends_exact_bytes(self, serve):
        server = serve(Reply(201))
        server.repository.put_manifest(MANIFEST)
        asked = server.asked[0]
        assert (asked.path, asked.body) == (f"/v2/a/b/manifests/{MANIFEST.digest}", MANIFEST.raw)
        assert asked.headers["content-type"] == OCI_MANIFEST
        assert server.registries.traffic.bytes == len(MANIFEST.raw)


class TestTags:
    @pytest.mark.parametrize("absolute", [False, True])
    def test_pages(self, serve, absolute):
        def first(asked):
            base = f"http://{asked.headers['host']}" if absolute else ""
            return Reply(200, {"Link": f'<{base}/v2/a/b/tags/list?last=b&n=2>; rel="next"'}, b'{"tags": ["a", "b"]}')

        server = serve(first, Reply(200, body=b'{"tags": ["b", "c"]}'))
        assert server.repository.tags() == ["a", "b", "c"]
        assert server.asked[1].query == {"last": ["b"], "n": ["2"]}

    def test_null_means_none(self, serve):
        assert serve(Reply(200, body=b'{"name": "a/b", "tags": null}')).repository.tags() == []

    def test_next_page_on_another_host(self, serve):
        server = serve(Reply(200, {"Link": '<http://localhost:1/v2/>; rel="next"'}, b'{"tags": ["a"]}'))
        with pytest.raises(RegistryError, match="next page is on another host"):
            server.repository.tags()

    def test_pages_without_end(self, serve):
        server = serve(Reply(200, {"Link": '</v2/a/b/tags/list?last=a>; rel="next"'}, b'{"tags": ["a"]}'))
        with pytest.raises(RegistryError, match="no end"):
            server.repository.tags()
        assert len(server.asked) == 2

    @pytest.mark.parametrize("body", [b'{"tags": [1]}', b'{"tags": {}}', b"<html></html>", b"[]"])
    def test_answers_that_are_no_list(self, serve, body):
        if body == b'{"tags": {}}':
            assert serve(Reply(200, body=body)).repository.tags() == []
            return
        with pytest.raises(Exception, match="list of tags"):
            serve(Reply(200, body=body)).repository.tags()


class TestDownloads:
    def read(self, server, size=len(CONTENT)):
        with server.repository.open_blob(digest_of(CONTENT), size) as blocks:
            return b"".join(blocks)

    def test_body_that_is_too_long(self, serve):
        server = serve(Reply(200, {}, CONTENT + b"more", without_length=True))
        with pytest.raises(DigestMismatch, match="longer than"):
            self.read(server)
        with pytest.raises(DigestMismatch, match="were promised"):
            self.read(serve(Reply(200, {}, CONTENT + b"more")))

    def test_changed_content(self, serve):
        with pytest.raises(DigestMismatch, match="has the digest"):
            self.read(serve(Reply(200, {}, b"X" + CONTENT[1:])))

    def test_redirect_to_storage_gets_no_login(self):
        with ScriptedServer(lambda asked: Reply(200, {}, CONTENT)) as storage:
            redirect = Reply(307, {"Location": f"http://localhost:{storage.port}/blob?signature=abc"})
            challenge = Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})

            def handle(asked):
                return redirect if "authorization" in asked.headers else challenge

            with ScriptedServer(handle) as server:
                settings = RegistrySettings(server.host, username="u", password="password-1", plain_http=True)
                repository = connect(settings).repository(server.host, "a/b")
                with repository.open_blob(digest_of(CONTENT)) as blocks:
                    assert b"".join(blocks) == CONTENT
            assert "authorization" not in storage.asked[0].headers
            assert storage.asked[0].query == {"signature": ["abc"]}

    def test_redirects_without_end(self, serve):
        with pytest.raises(RegistryError, match="more than 5 redirects"):
            serve(Reply(302, {"Location": "/again"})).repository.blob_size(digest_of(b"x"))

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "http://user:pw@localhost/x", "http://[broken/"])
    def test_redirects_to_strange_places(self, serve, location):
        with pytest.raises(RegistryError, match="not a plain http or https URL"):
            serve(Reply(302, {"Location": location})).repository.blob_size(digest_of(b"x"))
