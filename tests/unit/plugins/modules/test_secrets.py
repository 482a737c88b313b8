# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay secret in every result of a module."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
CANARY, WRONG, TOKEN = "canary-password-4711", "canary-wrong-4712", "canary-token-4713"
ACCOUNTS = {"writer": CANARY}


@pytest.fixture
def place(start_place):
    registry = start_place(login=("writer", CANARY), accounts=ACCOUNTS)
    artifact = image([layer("x")])
    registry.put("team/app", artifact, "1.0")
    resources = [local("text", b"text"), image_resource("image", f"{registry.image('team/app')}:1.0", artifact)]
    put_component(registry, component(NAME, resources), "from")
    return registry


def login(place, password=CANARY):
    return [{"host": place.host, "username": "writer", "password": password}]


def calls(place, folder):
    """Every module that talks to registries: (name, arguments without registries)."""
    from_there = dict(repository=place.repository("from"), component=NAME, version="1.0.0")
    return [
        ("ocm_component_info", from_there),
        (
            "ocm_repository_snapshot",
            dict(repository=place.repository("from"), component=NAME, dest=str(folder / "held.json")),
        ),
        ("ocm_resource", dict(from_there, resource="text", dest=str(folder / "text"))),
        ("ocm_resource", dict(from_there, resource="image", dest=str(folder / "image.tgz"))),
        ("ocm_transfer", dict(source=place.repository("from"), target=place.repository("into"), component=NAME)),
    ]


def test_no_secret_in_any_result(place, tmp_path):
    for name, arguments in calls(place, tmp_path):
        for more in ({}, {"check": True}, {"diff": True}):
            assert CANARY not in succeed(name, dict(arguments, registries=login(place)), **more).output
        refused = fail(name, dict(arguments, registries=login(place, WRONG)))
        assert WRONG not in refused.output and CANARY not in refused.output
        bearer = fail(name, dict(arguments, registries=[{"host": place.host, "token": TOKEN}]))
        assert TOKEN not in bearer.output
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_no_secret_of_an_auth_file_in_any_result(place, tmp_path):
    coded = b64encode(f"writer:{CANARY}".encode()).decode()
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {place.host: {"auth": coded}}}))
    for name, arguments in calls(place, tmp_path):
        output = succeed(name, dict(arguments, auth_file=str(path)), diff=True).output
        assert CANARY not in output and coded not in output


def test_a_login_inside_a_repository_is_refused_without_being_told(place):
    for text in (f"http://writer:{CANARY}@{place.host}/from", f"writer:{CANARY}@{place.host}/from"):
        assert CANARY not in fail("ocm_component_info", dict(repository=text, component=NAME)).message
