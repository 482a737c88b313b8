# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are tried at a registry that runs, with the Secrets of their pods and nothing else."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.keyring import Keyring, read_keyring
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.pull import (
    NOT_FOUND,
    UNAUTHORIZED,
    UNKNOWN,
    PullTrial,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, RegistrySettings
from ansible_collections.ocm.airgap.tests.support.cluster import pull_secret
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace

PATH = "air-gapped/podinfo"
READER, WRITER = ("reader", "reader-password-1"), ("writer", "writer-password-1")


@pytest.fixture
def place(basic_registry):
    """A registry that wants a login, with one image."""
    place = RegistryPlace(basic_registry, WRITER)
    place.artifact = image([layer("a")])
    place.put(PATH, place.artifact, "6.3.5")
    return place


def trial(place, **options):
    """The machine's own account is the one that may write: the trial must not use it."""
    own = RegistrySettings(place.host, username=WRITER[0], password=WRITER[1], plain_http=True, **options)
    return PullTrial(ConnectionOptions(registries=(own,), timeout=10, retries=0), Registries)


def keyring(place, *accounts):
    secrets = {
        f"pull-{number}": pull_secret({place.host: account}, f"pull-{number}")
        for number, account in enumerate(accounts)
    }
    return read_keyring("default", secrets)


def test_with_the_right_password(place):
    names = ("pull-0",)
    pull = trial(place).run("default", f"{place.host}/{PATH}:6.3.5", names, keyring(place, READER))
    assert pull.as_result() == dict(
        namespace="default",
        image=f"{place.host}/{PATH}:6.3.5",
        secrets=["pull-0"],
        secret="pull-0",
        pullable=True,
        reason="",
        message="",
    )


def test_by_digest(place):
    reference = f"{place.host}/{PATH}@{place.artifact.digest}"
    assert trial(place).run("default", reference, ("pull-0",), keyring(place, READER)).pullable is True


def test_a_wrong_password_is_named_by_its_secret_and_never_told(place):
    pull = trial(place).run(
        "default", f"{place.host}/{PATH}:6.3.5", ("pull-0",), keyring(place, ("reader", "wrong-password-1"))
    )
    assert (pull.pullable, pull.reason) == (False, UNAUTHORIZED)
    assert "Secret default/pull-0" in pull.message and place.host in pull.message
    assert "wrong-password-1" not in json.dumps(pull.as_result())


def test_the_second_secret_is_tried_when_the_first_is_refused(place):
    rings = keyring(place, ("reader", "wrong-password-1"), READER)
    pull = trial(place).run("default", f"{place.host}/{PATH}:6.3.5", ("pull-0", "pull-1"), rings)
    assert (pull.pullable, pull.secret) == (True, "pull-1")


def test_without_a_secret_it_is_tried_anonymously(place, tmp_path, monkeypatch):
    auth_file = tmp_path / "auth.json"
    auth_file.write_text(json.dumps(dict(auths={place.host: dict(username=WRITER[0], password=WRITER[1])})))
    monkeypatch.setenv("OCM_AIRGAP_AUTH_FILE", str(auth_file))
    pull = trial(place).run("default", f"{place.host}/{PATH}:6.3.5", (), Keyring())
    assert (pull.pullable, pull.reason) == (False, UNAUTHORIZED)
    assert "no Secret has any" in pull.message


def test_a_secret_for_another_host_is_told(place):
    missing = read_keyring("default", {"pull": None})
    pull = trial(place).run("default", f"{place.host}/{PATH}:6.3.5", ("pull",), missing)
    assert "default/pull does not exist" in pull.message


def test_an_image_that_is_not_there(place):
    pull = trial(place).run("default", f"{place.host}/{PATH}:6.3.6", ("pull-0",), keyring(place, READER))
    assert (pull.pullable, pull.reason) == (False, NOT_FOUND)
    assert "6.3.6" in pull.message


def test_a_public_image_needs_no_secret(plain_registry):
    place = RegistryPlace(plain_registry)
    place.put(PATH, image([layer("a")]), "6.3.5")
    own = RegistrySettings(place.host, plain_http=True)
    pull = PullTrial(ConnectionOptions(registries=(own,)), Registries).run(
        "default", f"{place.host}/{PATH}:6.3.5", (), Keyring()
    )
    assert (pull.pullable, pull.secret) == (True, "")


def test_a_registry_that_cannot_be_reached_from_here_says_nothing_about_the_node(place):
    without_http = PullTrial(ConnectionOptions(retries=0, timeout=5), Registries)
    for tag in ("6.3.5", "6.3.6"):
        pull = without_http.run("default", f"{place.host}/{PATH}:{tag}", (), Keyring())
        assert (pull.pullable, pull.reason) == (None, UNKNOWN)
        assert "TLS" in pull.message


def test_a_reference_that_is_none(place):
    pull = trial(place).run("default", "podinfo:sha256:a1", (), Keyring())
    assert (pull.pullable, pull.reason) == (False, "InvalidImageName")
