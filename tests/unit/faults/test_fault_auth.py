# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of logins, TLS and proxies: what is secret goes where it belongs, and nowhere else."""

from __future__ import annotations

import os
import ssl

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import (
    TARGET_LOGIN,
    check_secrets,
    converges,
    secrets_in,
    told,
)
from ansible_collections.ocm.airgap.tests.support.modules import run_module
from ansible_collections.ocm.airgap.tests.support.token_server import TokenServer

PROXY_SECRET = "canary-proxy-4729"


@pytest.fixture
def tokens(tmp_path_factory):
    """A token service at the registries' name."""
    user, password = TARGET_LOGIN
    server = TokenServer(tmp_path_factory.mktemp("tokens"), {user: password}, {user: {"*": "pull,push,delete"}})
    server.name = "localhost"
    with server:
        yield server


@pytest.fixture
def token_scene(new_scene, tokens):
    """A target that wants tokens."""
    scene = new_scene(token_server=tokens)
    scene.tokens = tokens
    return scene


@BOTH
def test_f11_tokens_that_live_shorter_than_the_transfer(token_scene):
    """They are renewed ahead of their end, and each is asked for with the password at its own service alone."""
    token_scene.tokens.lifetime = 1
    token_scene.begin(writing=[Rule("PUT", "/blobs/", faults.drip(0.4, 1), range(1, 4))])
    token_scene.succeed()
    assert len(token_scene.tokens.asked) > 3
    assert not secrets_in(told(token_scene.writer)), "the registry saw the password"
    converges(token_scene)


@BOTH
def test_f11_token_that_is_refused_in_the_middle(token_scene):
    """401 in the middle: one new token, and the request is sent again with its body; nothing else is."""
    refused = [Rule("PUT", "/blobs/uploads/", faults.not_logged_in), Rule("PUT", "/manifests/", faults.not_logged_in)]
    token_scene.begin(writing=refused)
    token_scene.succeed()
    assert [seen.status for seen in token_scene.writer.broken()] == [401, 401]
    converges(token_scene)


@BOTH
def test_f20_proxy_in_between(new_scene, authority, monkeypatch):
    """CONNECT with the login of the proxy, which goes there alone; the private authority is still demanded."""
    scene = new_scene(tls=authority.issue().server_context()).begin()
    tunnel = scene.stranger(Rule("CONNECT", "", faults.tunnel, EVERY))
    monkeypatch.setenv("https_proxy", f"http://mover:{PROXY_SECRET}@{tunnel.host}")
    monkeypatch.setenv("no_proxy", "")
    assert "not from a known authority" in scene.fail().message
    scene.more["registries"] = trusted(scene, authority)
    scene.succeed()
    assert {seen.path for seen in tunnel.seen("CONNECT")} == {scene.reader.host, scene.writer.host}
    assert all("proxy-authorization" in seen.headers for seen in tunnel.seen())
    assert not [seen for seen in scene.reader.seen() + scene.writer.seen() if "proxy-authorization" in seen.headers]
    assert not any(PROXY_SECRET in outcome.output for outcome in scene.outcomes)
    converges(scene)


@BOTH
def test_f20_proxy_that_refuses(new_scene, authority, monkeypatch):
    """407 names the proxy's variables, not its password; nothing goes past the proxy."""
    scene = new_scene(tls=authority.issue().server_context()).begin()
    scene.more["registries"] = trusted(scene, authority)
    refusing = scene.stranger(Rule("CONNECT", "", faults.answer(407, Proxy_Authenticate="Basic realm=proxy"), EVERY))
    with monkeypatch.context() as patched:
        patched.setenv("https_proxy", f"http://mover:{PROXY_SECRET}@{refusing.host}")
        patched.setenv("no_proxy", "")
        outcome = scene.fail(retries=0)
    assert "HTTPS_PROXY" in outcome.message and PROXY_SECRET not in outcome.output
    assert scene.reader.seen() == [] and scene.writer.seen() == []
    converges(scene)


def trusted(scene, authority):
    return [dict(entry, ca_path=str(authority.certificate)) for entry in scene.arguments()["registries"]]


def old_context(certificate):
    context = certificate.server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


CERTIFICATES = {
    "expired": (lambda authority: authority.issue(starts=-9, ends=-2).server_context(), "has expired"),
    "not-yet": (lambda authority: authority.issue(starts=2, ends=9).server_context(), "not valid yet.*clock"),
    "wrong-name": (lambda authority: authority.issue(["DNS:other.example"]).server_context(), "for another name"),
    "old-protocol": (lambda authority: old_context(authority.issue()), "TLS"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.filterwarnings("ignore:.*TLSv1_1.*:DeprecationWarning")
def test_f45_certificates(name, new_scene, authority):
    """It ends with the reason, before anything is asked; plain HTTP is never tried instead."""
    make, words = CERTIFICATES[name]
    scene = new_scene(tls=make(authority)).begin()
    scene.more["registries"] = trusted(scene, authority)
    outcome = scene.fail(retries=0)
    assert all(word in outcome.message for word in words.split(".*")), outcome.message
    assert scene.reader.seen() == [] and scene.writer.seen() == []
    check_secrets(scene)


@BOTH
def test_f45_unknown_authority_and_the_environment(new_scene, authority, monkeypatch):
    """Another host's authority is not enough; the entry's own one is, whatever the environment says."""
    scene = new_scene(tls=authority.issue().server_context()).begin()
    entries = trusted(scene, authority)
    scene.more["registries"] = [dict(entries[0], ca_path=None), entries[1]]
    assert scene.reader.host in scene.fail(retries=0).message and scene.reader.seen() == []
    scene.more["registries"] = entries
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.environ.get("SSL_CERT_FILE", str(authority.certificate)))
    scene.succeed()
    converges(scene)


@BOTH
def test_f45_from_https_to_http(new_scene, authority):
    """Neither a redirect, nor an upload address, nor a token realm leads from TLS to plain HTTP."""
    scene = new_scene(tls=authority.issue().server_context())
    plain = scene.stranger(Rule(".*", "", faults.answer(200, b"{}"), EVERY))
    realm = faults.refusal(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{plain.url}/token"')
    scene.begin(
        reading=[
            Rule("GET", "/manifests/", faults.elsewhere(f"{plain.url}/redirected"), (1,)),
            Rule("GET", "/manifests/", realm, (2,)),
        ],
        writing=[Rule("POST", "/uploads/", faults.headers(Location=f"{plain.url}/session"), range(1, 9))],
    )
    scene.more["registries"] = trusted(scene, authority)
    for words in ("from https to http", "is not https", "from https to http"):
        assert words in scene.fail(retries=0).message
    assert plain.seen() == []
    check_secrets(scene)


@BOTH
def test_f46_token_realm_on_a_foreign_host(scene):
    """It is not asked, and the message says how to allow it."""
    evil = scene.stranger(Rule(".*", "", faults.answer(200, b'{"token": "x"}'), EVERY, may_rest=True))
    evil_host = evil.host.replace("localhost", "127.0.0.1")
    header = f'Bearer realm="http://{evil_host}/token",service="registry"'
    scene.begin(writing=[Rule(".*", "", faults.refusal(401, "UNAUTHORIZED", WWW_Authenticate=header), EVERY)])
    outcome = scene.fail()
    assert evil_host in outcome.message and "token_realms" in outcome.message and evil.seen() == []
    converges(scene)


@BOTH
def test_f46_token_realm_that_is_listed(new_scene, tokens):
    """The password goes there, and nowhere else."""
    tokens.name = "127.0.0.1"
    scene = new_scene(token_server=tokens).begin()
    assert "token_realms" in scene.fail().message and tokens.asked == []
    entries = scene.arguments()["registries"]
    scene.more["registries"] = [entries[0], dict(entries[1], token_realms=[tokens.realm.split("/")[2]])]
    scene.succeed()
    assert tokens.asked and all("Basic" in asked.headers["authorization"] for asked in tokens.asked)
    assert not secrets_in(told(scene.writer)), "the registry saw the password"
    converges(scene)


@pytest.mark.parametrize("place", ["source", "target"])
def test_f46_a_realm_that_is_no_address(place, scene):
    """Nor is anything sent to what is no http address."""
    header = 'Bearer realm="file:///etc/passwd",service="registry"'
    rule = Rule(".*", "", faults.refusal(401, "UNAUTHORIZED", WWW_Authenticate=header), EVERY)
    scene.begin(**{"reading" if place == "source" else "writing": [rule]})
    assert "realm" in scene.fail().message
    converges(scene)


@BOTH
def test_f46_a_login_is_not_for_a_longer_name(scene):
    """The entry of one port is not used for another one of the same name."""
    stranger = scene.stranger(Rule(".*", "", faults.answer(401, WWW_Authenticate='Basic realm="x"'), EVERY))
    scene.begin()
    arguments = scene.arguments(source=f"{stranger.url}/from")
    outcome = run_module("ocm_transfer", arguments)
    assert outcome.failed and stranger.seen() and "authorization" not in told(stranger)
