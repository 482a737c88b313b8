# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options as values."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, is_prefix

LOGIN = {"username": "u", "password": "password-1"}


def read(*entries, **more):
    return ConnectionOptions.from_params({"registries": list(entries), **more})


def test_defaults():
    assert ConnectionOptions.from_params({}) == ConnectionOptions()
    empty = {"registries": None, "auth_file": None, "timeout": None, "retries": None, "concurrency": None}
    assert ConnectionOptions.from_params(empty) == ConnectionOptions((), "", 60.0, 5, 4)


def test_an_entry():
    options = read(
        {
            "host": "R.Example:5000/team/a/",
            **LOGIN,
            "mirror": "m.example/cache",
            "token_realms": ["auth.example"],
            "token": None,
        },
        timeout=3,
        retries=0,
        concurrency=2,
        auth_file="/a",
    )
    entry = options.registries[0]
    assert (entry.host, entry.path, entry.name) == ("r.example:5000", "team/a", "r.example:5000/team/a")
    assert entry.validate_certs and not entry.plain_http and entry.token_realms == ("auth.example",)
    assert (options.timeout, options.retries, options.concurrency, options.auth_file) == (3, 0, 2, "/a")


def test_limits():
    options = read(time_budget=90, request_rate=2.5, bandwidth=10 * 1024**3)
    assert (options.time_budget, options.request_rate, options.bandwidth) == (90, 2.5, 10 * 1024**3)


def test_secrets_are_not_shown():
    options = read({"host": "r.example", **LOGIN}, {"host": "t.example", "token": "token-1"})
    assert "password-1" not in repr(options) and "token-1" not in repr(options)


@pytest.mark.parametrize(
    "entry, message",
    [
        ({}, "no host"),
        ({"host": "https://r.example"}, "has a scheme.*plain_http"),
        ({"host": "u:p@r.example"}, "user name and a password"),
        ({"host": "r.example:99999"}, "not a host name"),
        ({"host": "r.example//a"}, "not a repository prefix"),
        ({"host": "r.example/../a"}, "not a repository prefix"),
        ({"host": "r.example", "username": "u"}, "r.example of registries has a username, but no password"),
        ({"host": "r.example", "password": "p"}, "has a password, but no username"),
        ({"host": "r.example", **LOGIN, "token": "t"}, "a token and a username"),
        ({"host": "r.example", "client_key": "/k"}, "client_key, but no client_cert"),
        ({"host": "r.example", "ca_data": "/etc/ca.pem"}, "holds no PEM.*ca_path"),
        ({"host": "r.example", "mirror": "http://m"}, "mirror.*scheme"),
        ({"host": "r.example", "token_realms": ["https://a"]}, "token_realms of r.example"),
        ("r.example", "no host"),
    ],
)
def test_entries_that_cannot_be(entry, message):
    with pytest.raises(InvalidInput, match=message):
        read(entry)


@pytest.mark.parametrize("twice", [("docker.io", "Index.Docker.io"), ("r.example/a", "r.example/a/")])
def test_two_entries_for_one_place(twice):
    with pytest.raises(InvalidInput, match="two entries"):
        read(*({"host": host} for host in twice))


@pytest.mark.parametrize(
    "name, value",
    [
        ("timeout", 0),
        ("timeout", -1),
        ("retries", -1),
        ("concurrency", 0),
        ("timeout", "1"),
        ("time_budget", -1),
        ("request_rate", -0.5),
        ("bandwidth", -1),
        ("bandwidth", "10M"),
    ],
)
def test_numbers(name, value):
    with pytest.raises(InvalidInput, match=f"option {name} must be a number"):
        read(**{name: value})


@pytest.mark.parametrize(
    "host, path, wanted",
    [
        ("r.example", "team/a/b", "r.example/team/a"),
        ("r.example", "team/ab", "r.example/team"),
        ("r.example", "teams", "r.example"),
        ("r.example:443", "team", None),
        ("other.example", "team", None),
        ("registry-1.docker.io", "library/x", "docker.io"),
    ],
)
def test_the_longest_prefix_by_whole_segments_decides(host, path, wanted):
    options = read(*({"host": name} for name in ("r.example/team", "r.example", "r.example/team/a", "index.docker.io")))
    found = options.entry_for(host, path)
    assert (found.name if found else None) == wanted


def test_prefixes():
    assert is_prefix("", "a") and is_prefix("a", "a") and is_prefix("a", "a/b")
    assert not is_prefix("a", "ab") and not is_prefix("a/b", "a")
