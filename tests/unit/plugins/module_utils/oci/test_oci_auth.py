# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: Basic and token registries that are real, realms, and what must never be sent."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import AuthError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.auth import check_realm
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.authfile import Credentials
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.failures import Place
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import connect, put
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

PASSWORD = "writer-password-1"


def entry(host, username="writer", password=PASSWORD, **more):
    return RegistrySettings(host, username=username, password=password, plain_http=True, **more)


class TestBasic:
    def test_login_is_sent_at_once_after_the_first_challenge(self, basic_registry, repository_path):
        registries = connect(entry(basic_registry.host))
        repository = registries.repository(basic_registry.host, repository_path)
        assert put(repository, b"one") == "copied"
        assert registries.traffic.by_method == {"POST": 3, "HEAD": 1, "PUT": 1}
        assert put(repository, b"one") == "present"
        assert registries.traffic.requests == 6
        assert registries.traffic.token_requests == 0

    def test_wrong_password_is_tried_once(self, basic_registry, repository_path):
        registries = connect(entry(basic_registry.host, password="wrong-password-1"), retries=5)
        with pytest.raises(AuthError, match="not accepted: 'writer' of the entry localhost:.* of registries") as caught:
            registries.repository(basic_registry.host, repository_path).head_manifest("1")
        assert registries.traffic.requests == 2
        assert "wrong-password-1" not in str(caught.value)

    def test_no_credentials(self, basic_registry, repository_path):
        with pytest.raises(AuthError, match="wants credentials, and none are configured.*username and password"):
            connect().repository(basic_registry.host, repository_path, plain_http=True).tags()

    def test_two_accounts_on_one_host(self, basic_registry):
        host = basic_registry.host
        registries = connect(
            entry(host), RegistrySettings(host, "closed", username="reader", password="bad-password-1", plain_http=True)
        )
        assert put(registries.repository(host, "open/one"), b"x") == "copied"
        with pytest.raises(AuthError, match="'reader'"):
            registries.repository(host, "closed/one").head_manifest("1")

    def test_a_login_alone(self, basic_registry):
        host = basic_registry.host
        wrong = RegistrySettings(host, "closed", username="reader", password="bad-password-1", plain_http=True)
        registries = connect(entry(host), wrong)
        registries.log_in(host)
        with pytest.raises(AuthError, match="log in.*'reader'"):
            registries.log_in(host, "closed")


class TestToken:
    def make(self, registry, server, **more):
        """The service runs at 127.0.0.1, the registry at localhost: another host, so it has to be allowed."""
        return connect(entry(registry.host, token_realms=("127.0.0.1",)), **more)

    def test_one_token_for_a_repository(self, token_registry, token_server, repository_path):
        registries = self.make(token_registry, token_server)
        repository = registries.repository(token_registry.host, repository_path)
        for content in (b"one", b"two", b"three"):
            assert put(repository, content) == "copied"
        assert registries.traffic.token_requests == 1
        assert repository.blob_size(digest_of(b"one")) == 3
        assert registries.traffic.token_requests == 1
        assert registries.traffic.requests == 1 + 4 + 2 + 2 + 1

    def test_second_repository_asks_for_a_token_without_a_challenge(self, token_registry, token_server):
        registries = self.make(token_registry, token_server)
        put(registries.repository(token_registry.host, "team/one"), b"one")
        before = registries.traffic.requests
        assert put(registries.repository(token_registry.host, "team/two"), b"one", ["team/one"]) == "mounted"
        assert registries.traffic.requests - before == 1
        assert registries.traffic.token_requests == 2

    def test_fresh_token_that_is_refused_ends_it(self, token_registry, token_server, repository_path):
        token_server.spoiled = 5
        registries = self.make(token_registry, token_server, retries=5)
        with pytest.raises(AuthError):
            registries.repository(token_registry.host, repository_path).blob_size(digest_of(b"absent"))
        assert (registries.traffic.requests, registries.traffic.token_requests) == (2, 1)

    def test_tokens_are_renewed_before_they_expire(self, token_registry, token_server, repository_path):
        token_server.lifetime = 0.001
        registries = self.make(token_registry, token_server)
        repository = registries.repository(token_registry.host, repository_path)
        for _time in range(3):
            assert repository.blob_size(digest_of(b"absent")) is None
        assert registries.traffic.token_requests == 3
        assert registries.traffic.requests == 4

    def test_wrong_password(self, token_registry, token_server, repository_path):
        registries = connect(
            entry(token_registry.host, password="wrong-password-1", token_realms=("127.0.0.1",)), retries=5
        )
        with pytest.raises(AuthError, match="login is not accepted.*incorrect username or password"):
            registries.repository(token_registry.host, repository_path).tags()
        assert registries.traffic.token_requests == 1

    def test_a_login_alone(self, token_registry, token_server):
        """It asks for a token that allows nothing."""
        registries = self.make(token_registry, token_server)
        registries.log_in(token_registry.host)
        assert (registries.traffic.requests, registries.traffic.token_requests) == (2, 1)
        assert "scope" not in token_server.asked[-1].query
        wrong = entry(token_registry.host, password="wrong-password-1", token_realms=("127.0.0.1",))
        with pytest.raises(AuthError, match="login is not accepted"):
            connect(wrong).log_in(token_registry.host)

    def test_reader_may_not_write(self, token_registry, token_server, repository_path):
        registries = connect(entry(token_registry.host, "reader", "reader-password-1", token_realms=("127.0.0.1",)))
        repository = registries.repository(token_registry.host, repository_path)
        assert repository.blob_size(digest_of(b"absent")) is None
        with pytest.raises(AuthError, match="'reader'.*rights"):
            put(repository, b"forbidden")

    def test_anonymous_token(self, token_registry):
        registries = connect()
        repository = registries.repository(token_registry.host, "public/image", plain_http=True)
        assert repository.head_manifest("1") is None
        assert registries.traffic.token_requests == 1

    def test_identity_token(self, token_server, tmp_path):
        token_server.refresh_tokens["identity-token-1"] = "writer"
        token_server.name = "localhost"
        secrets, path = [], tmp_path / "config.json"
        with run_registry(tmp_path / "registry", RegistryOptions(token_server=token_server)) as registry:
            path.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "identity-token-1"}}}))
            registries = Registries(ConnectionOptions(auth_file=str(path), retries=0), secrets.append)
            assert put(registries.repository(registry.host, "a/b", plain_http=True), b"one") == "copied"
        assert token_server.methods() == ["POST"]
        assert "identity-token-1" in secrets and len(secrets) == 2

    def test_identity_token_that_is_good_once(self, token_server, tmp_path):
        """The answer brings the next one, which is as secret."""
        token_server.refresh_tokens["identity-token-1"] = "writer"
        token_server.name, token_server.rotates, token_server.lifetime = "localhost", True, 0.001
        secrets, path = [], tmp_path / "config.json"
        with run_registry(tmp_path / "registry", RegistryOptions(token_server=token_server)) as registry:
            path.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "identity-token-1"}}}))
            registries = Registries(ConnectionOptions(auth_file=str(path), retries=0), secrets.append)
            repository = registries.repository(registry.host, "a/b", plain_http=True)
            assert [put(repository, content) for content in (b"one", b"two")] == ["copied", "copied"]
        assert len(token_server.asked) >= 2 and token_server.methods() == ["POST"] * len(token_server.asked)
        assert {"identity-token-1", "identity-token-1-next", "identity-token-1-next-next"} <= set(secrets)

    def test_identity_token_is_not_sent_to_a_foreign_realm(self, token_registry, token_server, tmp_path):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"auths": {token_registry.host: {"identitytoken": "identity-token-1"}}}))
        registries = Registries(ConnectionOptions(auth_file=str(path), retries=0))
        with pytest.raises(AuthError, match="token_realms"):
            registries.repository(token_registry.host, "a/b", plain_http=True).tags()
        assert token_server.asked == []

    def test_foreign_realm_sees_nothing(self, token_registry, token_server, repository_path):
        registries = connect(entry(token_registry.host))
        with pytest.raises(
            AuthError, match="token realm http://127.0.0.1:.*Nothing was sent.*add 127.0.0.1:.* to token_realms"
        ):
            registries.repository(token_registry.host, repository_path).tags()
        assert token_server.asked == []
        assert registries.traffic.token_requests == 0


PLACE = Place("r.example:5000", "a/b", "list the tags")
LOGIN = Credentials("user", "password-1")


@pytest.mark.parametrize(
    "realm, credentials, host, plain_http, allowed",
    [
        ("https://r.example/token", LOGIN, "r.example:5000", False, ()),
        ("https://R.EXAMPLE:8443/token", LOGIN, "r.example:5000", False, ()),
        ("http://r.example/token", LOGIN, "r.example:5000", True, ()),
        ("https://auth.example/token", LOGIN, "r.example", False, ("auth.example",)),
        ("https://auth.example:444/token", LOGIN, "r.example", False, ("auth.example:444",)),
        ("https://auth.example/token", Credentials(), "r.example", False, ()),
    ],
)
def test_realms_that_may_be_asked(realm, credentials, host, plain_http, allowed):
    check_realm(realm, host, plain_http, allowed, credentials, PLACE)


@pytest.mark.parametrize(
    "realm, credentials, plain_http, allowed, message",
    [
        ("http://r.example/token", LOGIN, False, (), "is not https"),
        ("http://r.example/token", Credentials(), False, (), "is not https"),
        ("http://evil.example/token", LOGIN, True, (), "Nothing was sent"),
        ("https://evil.example/token", LOGIN, False, (), "token_realms"),
        ("https://r.example.evil.example/token", LOGIN, False, (), "token_realms"),
        ("https://evilr.example/token", LOGIN, False, (), "token_realms"),
        ("https://auth.example:444/token", LOGIN, False, ("auth.example:443",), "token_realms"),
        ("https://r.example@evil.example/token", LOGIN, False, (), "not an https URL"),
        ("token", LOGIN, False, (), "not an https URL"),
        ("file:///etc/passwd", LOGIN, False, (), "not an https URL"),
        ("https://r.example:99999/token", LOGIN, False, (), "not an https URL"),
    ],
)
def test_realms_that_may_not(realm, credentials, plain_http, allowed, message):
    with pytest.raises(AuthError, match=message) as caught:
        check_realm(realm, "r.example:5000", plain_http, allowed, credentials, PLACE)
    assert "password-1" not in str(caught.value)


def answering(challenge, status=401):
    return lambda asked: Reply(status, {"WWW-Authenticate": challenge} if challenge else {})


@pytest.mark.parametrize("challenge", ['Basic realm="x"', "Negotiate, Basic realm=x", ""])
def test_basic_login_of_odd_servers(challenge):
    def handle(asked):
        login = asked.headers.get("authorization", "")
        if base64.b64decode(login.partition(" ")[2]) == b"writer:writer-password-1":
            return Reply(404)
        return answering(challenge)(asked)

    with ScriptedServer(handle) as server:
        assert connect(entry(server.host)).repository(server.host, "a/b").head_manifest("1") is None
        assert len(server.asked) == 2


def test_challenge_that_nobody_can_answer():
    with ScriptedServer(answering("Negotiate")) as server:
        with pytest.raises(AuthError, match="login is not accepted"):
            connect(entry(server.host)).repository(server.host, "a/b").tags()


def test_token_service_that_redirects_gets_no_password_elsewhere(tmp_path):
    with ScriptedServer(lambda asked: Reply(200, body=b'{"token": "abc"}')) as evil:

        def handle(asked):
            if asked.path == "/token":
                return Reply(307, {"Location": f"http://localhost:{evil.port}/steal"})
            if asked.headers.get("authorization") == "Bearer abc":
                return Reply(404)
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="s"'})

        with ScriptedServer(handle) as server:
            connect(entry(server.host)).repository(server.host, "a/b").head_manifest("1")
            assert "authorization" in server.asked[1].headers
        assert [asked.headers.get("authorization") for asked in evil.asked] == [None]


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"token": 5}', b'{"token": "a b"}', b"x" * (1024 * 1024 + 1)]
)
def test_token_answers_that_are_none(body):
    def handle(asked):
        if asked.path == "/token":
            return Reply(200, body=body)
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})

    with ScriptedServer(handle) as server:
        with pytest.raises(Exception, match="token service|answer is longer"):
            connect(entry(server.host)).repository(server.host, "a/b").tags()


def test_static_bearer_token():
    with ScriptedServer(
        lambda asked: Reply(404 if asked.headers.get("authorization") == "Bearer t0ken" else 401)
    ) as server:
        settings = RegistrySettings(server.host, token="t0ken", plain_http=True)
        assert connect(settings).repository(server.host, "a/b").head_manifest("1") is None
        assert len(server.asked) == 1


def test_secrets_that_a_server_repeats_are_struck_out():
    with ScriptedServer(lambda asked: Reply(400, body=f"you sent {PASSWORD}".encode())) as server:
        with pytest.raises(Exception, match=r"you sent \*\*\*"):
            connect(entry(server.host)).repository(server.host, "a/b").tags()


def test_denied():
    with ScriptedServer(lambda asked: Reply(403, body=b'{"errors":[{"code":"DENIED","message":"no"}]}')) as server:
        with pytest.raises(AuthError, match=r"access denied to 'writer' of the entry.*403 DENIED \(no\)") as caught:
            connect(entry(server.host)).repository(server.host, "a/b").tags()
        assert (caught.value.status, caught.value.code) == (403, "DENIED")
        with pytest.raises(AuthError, match="access denied to anonymous users"):
            connect().repository(server.host, "a/b", plain_http=True).tags()
