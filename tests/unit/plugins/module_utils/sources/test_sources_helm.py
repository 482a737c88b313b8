# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm charts out of the index of a chart repository."""

from __future__ import annotations

import hashlib

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.access import Access
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    DigestMismatch,
    InvalidContent,
    NotFound,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.sources.content import spooled
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.sources.helm import CHART_TYPE, helm_content
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer


def entry(version, content=b"", **more):
    return dict({"name": "app", "version": version, "urls": [f"app-{version}.tgz"]}, **more)


def serving(index, **files):
    """A chart repository below /charts. files: name without .tgz to content."""
    answers = {f"/charts/{name.replace('_', '-')}.tgz": content for name, content in files.items()}
    answers["/charts/index.yaml"] = index if isinstance(index, bytes) else yaml.safe_dump(index).encode()
    return ScriptedServer(lambda asked: Reply(200, {}, answers[asked.path]) if asked.path in answers else Reply(404))


def find(server, chart, **more):
    access = dict({"type": "helm", "helmRepository": f"{server.url}/charts/", "helmChart": chart}, **more)
    return helm_content(Access.from_mapping(access, "here"), connect(), "resource chart")


def read(content):
    with content.open() as blocks:
        return b"".join(blocks)


INDEX = {"apiVersion": "v1", "entries": {"app": [entry("1.9.0"), entry("1.10.0"), entry("2.0.0-rc.1")], "other": []}}


@pytest.mark.parametrize("chart, more", [("app:1.9.0", {}), ("app", {"version": "1.9.0"})], ids=["joined", "apart"])
def test_a_version(chart, more):
    with serving(INDEX, **{"app-1.9.0": b"chart"}) as server:
        found = find(server, chart, **more)
        assert (found.media_type, found.digest, found.size) == (CHART_TYPE, "", -1) and read(found) == b"chart"


def test_without_a_version_the_newest():
    with serving(INDEX, **{"app-1.10.0": b"newest"}) as server:
        assert read(find(server, "app")) == b"newest"
    index = {"entries": {"app": [entry("1.0.0-rc.1"), entry("1.0.0-rc.2")]}}
    with serving(index, **{"app-1.0.0-rc.2": b"newest"}) as server:
        assert read(find(server, "app")) == b"newest"


def test_an_address_elsewhere():
    with ScriptedServer(lambda asked: Reply(200, {}, b"elsewhere")) as other:
        index = {"entries": {"app": [entry("1.0.0", urls=[f"{other.url}/far/app.tgz"])]}}
        with serving(index) as server:
            assert read(find(server, "app:1.0.0")) == b"elsewhere"
            assert [asked.path for asked in other.asked] == ["/far/app.tgz"]


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_the_digest_of_the_index_is_checked(prefix):
    known = hashlib.sha256(b"chart").hexdigest()
    index = {"entries": {"app": [entry("1.0.0", digest=prefix + known)]}}
    with serving(index, **{"app-1.0.0": b"chart"}) as server:
        with spooled(find(server, "app:1.0.0"), "here") as content:
            assert (content.digest, content.size) == (f"sha256:{known}", 5)
    with serving(index, **{"app-1.0.0": b"other"}) as server, pytest.raises(DigestMismatch, match=known):
        with spooled(find(server, "app:1.0.0"), "here"):
            pass


@pytest.mark.parametrize(
    "chart, words",
    [("ap:1.9.0", ["ap", "app"]), ("app:1.9.1", ["1.9.1", "1.9.0"]), ("other:1.0.0", ["other", "1.0.0"])],
)
def test_what_is_not_there(chart, words):
    with serving(INDEX) as server, pytest.raises(NotFound) as caught:
        find(server, chart)
    assert all(word in str(caught.value) for word in ["resource chart", *words])


@pytest.mark.parametrize("index", [b"- a list", b"entries: text", b"{", b"apiVersion: v1", b"a: &a [*a]"])
def test_an_index_that_is_none(index):
    with serving(index) as server, pytest.raises(InvalidContent, match="index.yaml"):
        find(server, "app:1.0.0")


@pytest.mark.parametrize("damage", [{"urls": []}, {"urls": None}])
def test_an_entry_without_an_address(damage):
    with (
        serving({"entries": {"app": [entry("1.0.0", **damage)]}}) as server,
        pytest.raises(InvalidContent, match="app"),
    ):
        find(server, "app:1.0.0")


@pytest.mark.parametrize("entries", [["text"], "text", [None], {"a": 1}], ids=["texts", "text", "nothing", "mapping"])
def test_entries_that_are_none(entries):
    with serving({"entries": {"app": entries}}) as server, pytest.raises(InvalidContent, match="app"):
        find(server, "app:1.0.0")
