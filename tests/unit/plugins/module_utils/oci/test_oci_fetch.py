# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain downloads from web servers."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    AuthError,
    InvalidInput,
    NotFound,
    OcmError,
    Unreachable,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import FakeTime, connect
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

TEXT = Reply(200, {"Content-Type": "Text/Plain; charset=utf-8"}, b"x" * 3000000)


def get(registries, url, headers=None):
    with registries.fetch(url, headers) as body:
        return body, b"".join(body.blocks())


def test_body():
    with ScriptedServer(lambda asked: TEXT) as server:
        registries = connect()
        body, content = get(registries, f"{server.url}/a?b=c", {"X-Own": "1"})
        assert content == TEXT.body
        assert (body.media_type, body.size, body.url) == ("text/plain", 3000000, f"{server.url}/a?b=c")
        asked = server.asked[0]
        assert asked.query == {"b": ["c"]} and asked.headers["x-own"] == "1"
        assert asked.headers["accept-encoding"] == "identity" and "authorization" not in asked.headers
        assert (registries.traffic.requests, registries.traffic.bytes) == (1, 3000000)


def test_login_goes_to_its_own_host_alone():
    with ScriptedServer(lambda asked: TEXT) as other:
        with ScriptedServer(lambda asked: Reply(302, {"Location": f"http://localhost:{other.port}/x"})) as server:
            settings = RegistrySettings(server.host, username="u", password="password-1", plain_http=True)
            body, _content = get(connect(settings), f"{server.url}/a")
            assert body.url == f"http://localhost:{other.port}/x"
            assert server.asked[0].headers["authorization"].startswith("Basic ")
        assert "authorization" not in other.asked[0].headers


def test_login_does_not_go_over_http_unless_allowed():
    with ScriptedServer(lambda asked: TEXT) as server:
        get(connect(RegistrySettings(server.host, username="u", password="password-1")), f"{server.url}/a")
        assert "authorization" not in server.asked[0].headers


def test_own_authority(authority):
    with ScriptedServer(lambda asked: TEXT, authority.issue().server_context()) as server:
        settings = RegistrySettings(server.host, ca_path=str(authority.certificate))
        assert get(connect(settings), f"{server.url}/a")[1] == TEXT.body
        with pytest.raises(Unreachable, match="known authority"):
            get(connect(), f"{server.url}/a")


def test_https_is_not_turned_into_http(authority):
    with ScriptedServer(lambda asked: TEXT) as plain:
        redirect = Reply(302, {"Location": f"{plain.url}/a"})
        with ScriptedServer(lambda asked: redirect, authority.issue().server_context()) as server:
            with pytest.raises(OcmError, match="points from https to http://"):
                get(connect(RegistrySettings(server.host, ca_path=str(authority.certificate))), f"{server.url}/a")
        assert plain.asked == []


@pytest.mark.parametrize("status, error", [(404, NotFound), (401, AuthError), (403, AuthError), (500, OcmError)])
def test_errors_name_the_url_without_its_query(status, error):
    with ScriptedServer(lambda asked: Reply(status, body=b"<html><title>Oh no</title>")) as server:
        with pytest.raises(error, match=f"cannot download {server.url}/a: .*{status} .an HTML page, Oh no") as caught:
            get(connect(), f"{server.url}/a?signature=secret")
        assert "secret" not in str(caught.value)


def test_retries():
    answers = [Reply(503, {"Retry-After": "2"}), TEXT]
    time = FakeTime()
    with ScriptedServer(lambda asked: answers.pop(0)) as server:
        assert get(connect(retries=2, time=time), f"{server.url}/a")[1] == TEXT.body
    assert time.slept == [2.0]


def test_broken_body():
    with ScriptedServer(lambda asked: Reply(200, {}, b"short", length=10)) as server:
        with pytest.raises(OcmError, match="cannot download"):
            get(connect(), f"{server.url}/a")


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "a/b", "", "https://", "http://[broken/", "https://u:secret@host/x", "https://user@host/x"]
)
def test_what_is_not_a_url(url):
    with pytest.raises(InvalidInput) as caught:
        get(connect(), url)
    assert "secret" not in str(caught.value)
