# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull secrets as a kubelet reads them."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.keyring import read_keyring, secret_names
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import ImageReference
from ansible_collections.ocm.airgap.tests.support.cluster import pull_secret

ACCOUNT = ("puller", "pull-password-1")


def matching(keys, image):
    keyring = read_keyring("default", {"pull": pull_secret({key: ACCOUNT for key in keys}, "pull")})
    return [entry.key for entry in keyring.matching(ImageReference.parse(image))]


@pytest.mark.parametrize(
    "key, image, fits",
    [
        ("registry.example.com", "registry.example.com/a/b", True),
        ("https://registry.example.com", "registry.example.com/a/b", True),
        ("https://registry.example.com/v2/", "registry.example.com/a/b", True),
        ("Registry.Example.Com", "registry.example.com/a/b", True),
        ("registry.example.com/a", "registry.example.com/a/b", True),
        ("registry.example.com/c", "registry.example.com/a/b", False),
        ("registry.example.com", "registry.example.com:5000/a/b", False),
        ("registry.example.com:5000", "registry.example.com:5000/a/b", True),
        ("*.example.com", "registry.example.com/a/b", True),
        ("*.example.com", "eu.registry.example.com/a/b", False),
        ("https://index.docker.io/v1/", "busybox", True),
        ("docker.io", "docker.io/library/busybox", True),
        ("ghcr.io", "busybox", False),
    ],
)
def test_keys(key, image, fits):
    assert bool(matching([key], image)) is fits


def test_the_longest_path_is_tried_first():
    keys = ["registry.example.com", "registry.example.com/a", "registry.example.com/a/b"]
    assert matching(keys, "registry.example.com/a/b/c") == list(reversed(keys))


def test_user_and_password_of_auth_come_before_their_own_keys():
    auth = base64.b64encode(b"puller:with:colons").decode()
    keyring = read_keyring(
        "default", {"pull": pull_secret({"r.example.com": dict(auth=auth, username="x", password="y")})}
    )
    assert [(entry.username, entry.password) for entry in keyring.entries] == [("puller", "with:colons")]


def test_base64_without_padding_is_read():
    auth = base64.b64encode(b"puller:word").decode().rstrip("=")
    assert len(auth) % 4
    keyring = read_keyring("default", {"pull": pull_secret({"r.example.com": dict(auth=auth)})})
    assert [(entry.username, entry.password) for entry in keyring.entries] == [("puller", "word")]


def test_the_older_type_of_secret_is_read():
    content = base64.b64encode(json.dumps({"r.example.com": dict(username="u", password="p-1")}).encode()).decode()
    secret = pull_secret({}, type="kubernetes.io/dockercfg", data={".dockercfg": content})
    assert [entry.key for entry in read_keyring("default", {"pull": secret}).entries] == ["r.example.com"]


@pytest.mark.parametrize(
    "secret, problem",
    [
        (None, "does not exist"),
        (pull_secret({"r.example.com": ACCOUNT}, type="Opaque"), "of type Opaque"),
        (pull_secret({}, data={".dockerconfigjson": ""}), "no key .dockerconfigjson"),
        (pull_secret({}, raw=b"pull-password-1"), "not hold JSON"),
        (pull_secret({}, raw=b"[]"), "JSON mapping"),
        (pull_secret({}), "no entry"),
        (pull_secret({"r.example.com": dict(identitytoken="token-1")}), "tokens and helpers"),
        (pull_secret({"r.example.com": dict(auth="pull-password-1")}), "not base64"),
        (pull_secret({}, raw=b'{"auths": {"r.example.com": "pull-password-1"}}'), "not a mapping"),
    ],
)
def test_what_a_kubelet_cannot_use_is_told_without_its_content(secret, problem):
    keyring = read_keyring("default", {"pull": secret})
    assert not keyring.entries
    assert problem in keyring.problems[0] and "default/pull" in keyring.problems[0]
    assert "pull-password-1" not in keyring.problems[0] and "token-1" not in keyring.problems[0]


def test_secrets_are_in_no_representation():
    keyring = read_keyring("default", {"pull": pull_secret({"r.example.com": ACCOUNT})})
    assert "pull-password-1" not in repr(keyring)


def test_names_of_secrets():
    entries = [dict(name="a"), {}, dict(name="b"), dict(name="a")]
    assert secret_names(dict(imagePullSecrets=entries)) == ("a", "b")
    assert secret_names({}) == ()
