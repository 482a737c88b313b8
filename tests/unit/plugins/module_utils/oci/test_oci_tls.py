# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS: trust for one host, what each fault is called, client certificates, the environment."""

from __future__ import annotations

import json
import ssl
import warnings

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, Unreachable
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.session import Trust
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import connect, put
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer, TunnelProxy


def look(registries, host, **options):
    return registries.repository(host, "a/b", **options).head_manifest("1")


def nothing_here(_asked):
    return Reply(404)


def test_ca_path_and_ca_data(tls_registry, authority, repository_path):
    by_path = RegistrySettings(tls_registry.host, ca_path=str(authority.certificate))
    by_text = RegistrySettings(tls_registry.host, ca_data=authority.certificate.read_text())
    assert put(connect(by_path).repository(tls_registry.host, repository_path), b"content" * 400000) == "copied"
    assert look(connect(by_text), tls_registry.host) is None


def test_hosts_with_the_same_keys_share_what_was_loaded():
    trust, plain = Trust(), RegistrySettings("registry.example")
    assert trust.context(plain) is trust.context(RegistrySettings("other.example", username="u", password="p"))


@pytest.mark.parametrize("key", ["validate_certs", "ca_path", "ca_data", "client_cert"])
def test_hosts_with_other_keys_share_nothing(authority, key):
    own = authority.issue()
    values = {
        "validate_certs": {"validate_certs": False},
        "ca_path": {"ca_path": str(authority.certificate)},
        "ca_data": {"ca_data": authority.certificate.read_text()},
        "client_cert": {"client_cert": str(own.certificate), "client_key": str(own.key)},
    }
    trust = Trust()
    assert trust.context(RegistrySettings("registry.example", **values[key])) is not trust.context(
        RegistrySettings("registry.example")
    )


def test_unknown_authority(tls_registry):
    with pytest.raises(Unreachable, match="not from a known authority.*ca_path or ca_data"):
        look(connect(retries=5), tls_registry.host)


def test_authority_of_another_entry_is_not_trusted(tls_registry, authority):
    other = RegistrySettings("other.example", ca_path=str(authority.certificate))
    with pytest.raises(Unreachable, match="not from a known authority"):
        look(connect(other), tls_registry.host)


def test_certificates_are_not_validated_when_the_user_says_so(tls_registry):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look(connect(RegistrySettings(tls_registry.host, validate_certs=False)), tls_registry.host) is None


@pytest.mark.parametrize(
    "certificate, message",
    [
        ({"starts": -10, "ends": -2}, "has expired"),
        ({"starts": 2, "ends": 5}, "not valid yet"),
        ({"names": ["DNS:elsewhere.example"]}, "for another name"),
    ],
)
def test_bad_certificates(authority, certificate, message):
    with ScriptedServer(nothing_here, authority.issue(**certificate).server_context()) as server:
        settings = RegistrySettings(server.host, ca_path=str(authority.certificate))
        with pytest.raises(
            Unreachable, match=f"{server.host}, repository a/b: cannot look for the manifest 1.*{message}"
        ):
            look(connect(settings, retries=5), server.host)
        assert server.asked == []


def test_https_to_a_server_without_tls(plain_registry):
    with pytest.raises(Unreachable, match="does not speak TLS.*write http:// or set plain_http"):
        look(connect(), plain_registry.host)


def test_http_to_a_server_with_tls(tls_registry):
    with pytest.raises(Exception, match="It speaks TLS"):
        connect().repository(tls_registry.host, "a/b", plain_http=True).tags()


def test_environment_bundle_does_not_replace_ours(tls_registry, authority, monkeypatch, tmp_path):
    settings = RegistrySettings(tls_registry.host, ca_path=str(authority.certificate))
    bundle = ssl.get_default_verify_paths().cafile
    other = tmp_path / "other.pem"
    other.write_text(open(bundle).read() if bundle else authority.certificate.read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
    assert look(connect(settings), tls_registry.host) is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    assert look(connect(), tls_registry.host) is None


def test_netrc_is_not_read(plain_registry, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login netrc-user password netrc-password\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with ScriptedServer(nothing_here) as server:
        look(connect(), server.host, plain_http=True)
        assert "authorization" not in server.asked[0].headers


def test_proxy_of_the_environment_is_used(monkeypatch):
    with ScriptedServer(nothing_here) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "direct.invalid")
        assert look(connect(), "registry.invalid", plain_http=True) is None
        assert proxy.asked[0].headers["host"] == "registry.invalid"
        with pytest.raises(Unreachable, match="direct.invalid is unknown"):
            look(connect(), "direct.invalid", plain_http=True)
        assert len(proxy.asked) == 1


def test_own_authority_through_a_tunnel(tls_registry, authority, monkeypatch):
    with TunnelProxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:proxy-password@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        settings = RegistrySettings(tls_registry.host, ca_path=str(authority.certificate))
        assert put(connect(settings).repository(tls_registry.host, "a/b"), b"content") == "copied"
        assert proxy.asked[0][0].startswith(f"CONNECT {tls_registry.host} HTTP/1.")
        assert any(line.startswith("Proxy-Authorization: Basic ") for line in proxy.asked[0])
        with pytest.raises(Unreachable, match="not from a known authority"):
            look(connect(), tls_registry.host)


def test_proxy_password_is_not_told(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:proxy-password@127.0.0.1:1")
    with pytest.raises(Unreachable, match="proxy") as caught:
        look(connect(), "registry.invalid", plain_http=True)
    assert "proxy-password" not in str(caught.value)


def test_client_certificate(tmp_path, authority):
    options = RegistryOptions(tls=authority.issue(), client_authority=authority.certificate)
    ours = authority.issue(["DNS:client"])
    with run_registry(tmp_path, options) as registry:
        trust = {"ca_path": str(authority.certificate)}
        good = RegistrySettings(registry.host, client_cert=str(ours.certificate), client_key=str(ours.key), **trust)
        assert put(connect(good).repository(registry.host, "a/b"), b"content") == "copied"
        with pytest.raises(Unreachable, match="client_cert and client_key"):
            look(connect(RegistrySettings(registry.host, **trust)), registry.host)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"ca_path": "/nonexistent/ca.pem"}, "ca_path /nonexistent/ca.pem: cannot be read"),
        ({"ca_data": "-----BEGIN CERTIFICATE-----\nbad\n-----END CERTIFICATE-----\n"}, "ca_data: no usable PEM"),
        ({"client_cert": "/nonexistent/cert.pem"}, "client_cert /nonexistent/cert.pem: cannot be read"),
    ],
)
def test_certificate_files_that_cannot_be_used(keys, message):
    with pytest.raises(InvalidInput, match=f"The entry r.example of registries: {message}"):
        look(connect(RegistrySettings("r.example", **keys)), "r.example")


def test_realm_on_the_registry_host_shares_its_trust(authority):
    tls = authority.issue().server_context()
    with ScriptedServer(lambda asked: Reply(200, body=json.dumps({"token": "abc"}).encode()), tls) as service:

        def handle(asked):
            if asked.headers.get("authorization") == "Bearer abc":
                return Reply(404)
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="{service.url}/token"'})

        with ScriptedServer(handle, tls) as server:
            settings = RegistrySettings(
                server.host, username="u", password="password-1", ca_path=str(authority.certificate)
            )
            assert look(connect(settings), server.host) is None
            assert service.asked[0].headers["authorization"].startswith("Basic ")
