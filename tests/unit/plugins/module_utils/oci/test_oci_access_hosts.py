# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts content may make us talk to."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.access_hosts import (
    ForbiddenAddresses,
    check_access_host,
    check_pattern,
    is_listed,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.server import Reply

FORBIDDEN = [
    "169.254.169.254",
    "169.254.169.254:80",
    "2852039166",
    "0xa9fea9fe",
    "169.254.43518",
    "[fe80::1]",
    "[::ffff:169.254.169.254]:443",
    "[fd00:ec2::254]",
    "100.100.100.200",
]


@pytest.mark.parametrize("host", FORBIDDEN)
def test_link_local_addresses_however_they_are_written(host):
    with pytest.raises(Refused, match="here: .*link-local.*Nothing was sent"):
        ForbiddenAddresses(()).check(host, "here: {}".format)


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost", "10.0.0.1", "192.168.7.7:443", "unknown.invalid", "[::1]:5000"])
def test_other_addresses_pass(host):
    ForbiddenAddresses(()).check(host, str)


def test_an_address_that_the_user_named_passes():
    ForbiddenAddresses(("169.254.169.254",)).check("169.254.169.254", str)
    with pytest.raises(Refused):
        ForbiddenAddresses(("169.254.169.254:5000",)).check("169.254.169.254", str)


@pytest.mark.parametrize(
    "host, listed",
    [
        ("ghcr.io", True),
        ("GHCR.io", True),
        ("ghcr.io.evil.example", False),
        ("xghcr.io", False),
        ("ghcr.io:8443", False),
        ("index.docker.io", True),
        ("a.example.com", True),
        ("a.b.example.com", True),
        ("example.com", False),
        ("aexample.com", False),
        ("a.example.com:5000", False),
        ("c.example.org:5000", True),
        ("c.example.org", False),
    ],
)
def test_patterns(host, listed):
    patterns = [check_pattern(text) for text in ("ghcr.io", "docker.io", "*.example.com", "*.example.org:5000")]
    assert is_listed(host, patterns) == listed
    if listed:
        check_access_host(host, patterns, (), "here")
    else:
        with pytest.raises(Refused, match="here: .*access_hosts"):
            check_access_host(host, patterns, (), "here")
    check_access_host(host, patterns, (host,), "here")
    check_access_host(host, (), (), "here")


@pytest.mark.parametrize("text", ["", "*", "a/b", "https://a", "*.a/b", "user@a", "a.*.b", "*."])
def test_what_is_no_pattern(text):
    with pytest.raises(InvalidInput):
        check_pattern(text)


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "http://2852039166/latest"])
def test_a_redirect_to_a_forbidden_address(serve, location):
    server = serve(Reply(302, {"Location": location}))
    with pytest.raises(Refused, match="link-local"):
        server.repository.tags()


def test_a_token_realm_at_a_forbidden_address(serve):
    server = serve(Reply(401, {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/token"'}))
    with pytest.raises(Refused, match="link-local"):
        server.repository.tags()


def test_the_user_s_own_entry_allows_it():
    entry = RegistrySettings("169.254.169.254:5000", plain_http=True)
    options = connect(entry).options
    assert "169.254.169.254:5000" in options.named_hosts
    assert "mirror.example" in connect(RegistrySettings("a.example", mirror="mirror.example/x")).options.named_hosts
