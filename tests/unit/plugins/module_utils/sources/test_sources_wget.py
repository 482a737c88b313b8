# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content behind web addresses (access type wget)."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.access import Access
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import NotFound, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.sources.wget import wget_content
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer


def find(server, path="/file", **more):
    access = Access.from_mapping(dict({"type": "wget", "url": f"{server.url}{path}"}, **more), "here")
    return wget_content(access, connect(), "resource file")


@pytest.mark.parametrize(
    "path, sent, wanted",
    [
        ("/x", "text/plain; charset=utf-8", "text/plain"),
        ("/x.tgz", None, "application/x-tgz"),
        ("/x.tar.gz", None, "application/x-tgz"),
        ("/x.tar", None, "application/x-tar"),
        ("/x.json", None, "application/json"),
        ("/x", None, "application/octet-stream"),
    ],
)
def test_the_media_type(path, sent, wanted):
    with ScriptedServer(lambda asked: Reply(200, {"Content-Type": sent} if sent else {}, b"x")) as server:
        assert find(server, path).media_type == wanted
        assert find(server, path, mediaType="a/b").media_type == "a/b"


def test_headers_as_go_writes_them_and_fields_in_any_case():
    with ScriptedServer(lambda asked: Reply(200, {}, asked.headers.get("x-two", "").encode())) as server:
        access = {"type": "Wget/v1", "URL": f"{server.url}/x", "header": {"X-Two": ["a", "b"]}, "mediaType": "a/b"}
        content = wget_content(Access.from_mapping(access, "here"), connect(), "here")
        with content.open() as blocks:
            assert b"".join(blocks) == b"a, b"


@pytest.mark.parametrize("more", [{"verb": "POST"}, {"body": "eA=="}])
def test_only_get(more):
    with ScriptedServer(lambda asked: Reply(200)) as server, pytest.raises(Refused, match="by_reference_access_types"):
        find(server, **more)
    assert server.asked == []


def test_what_is_not_there():
    with ScriptedServer(lambda asked: Reply(404)) as server, pytest.raises(NotFound, match="/file"):
        find(server)
