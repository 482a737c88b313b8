# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer into an archive in parts, and from it."""

from __future__ import annotations

import json
import random

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.images import image
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
MEBIBYTE = 1024 * 1024
IMAGE = image([random.Random(number).randbytes(900_000) for number in range(3)])


@pytest.fixture
def export(source, tmp_path):
    """The arguments of a transfer into an archive in parts of at most 1 MiB."""
    resources = [local("text", b"text"), image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE)]
    put_component(source, component(NAME, resources))
    return dict(source=source.repository(), target=str(tmp_path / "x.tar"), component=NAME, part_size="1M")


def files(tmp_path):
    return sorted(path.name for path in tmp_path.glob("*x.tar*"))


def test_there_and_back(export, target, tmp_path):
    predicted = succeed("ocm_transfer", export, check=True)
    assert files(tmp_path) == []
    first = succeed("ocm_transfer", export)
    assert predicted.result["component_versions"] == first.result["component_versions"] and first.result["changed"]
    parts = sorted(tmp_path.glob("x.tar.0*"))
    assert files(tmp_path) == [part.name for part in parts] + ["x.tar.parts.json"] and len(parts) == 3
    assert all(part.stat().st_size <= MEBIBYTE for part in parts)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("x.tar*")}
    for arguments in (export, {key: value for key, value in export.items() if key != "part_size"}):
        assert not succeed("ocm_transfer", arguments).result["changed"]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("x.tar*")} == before
    arrived = succeed("ocm_transfer", dict(source=export["target"], target=target.repository("into")))
    assert arrived.actions() == {f"{NAME}:1.0.0": "transferred"}
    assert target.whole("into/team/app", IMAGE)
    info = succeed("ocm_component_info", dict(repository=export["target"], component=NAME))
    assert [item["version"] for item in info.result["component_versions"]] == ["1.0.0"]


def test_a_broken_set_is_refused_before_anything_is_written(export, target, target_log, tmp_path):
    """F36: everything is told at once."""
    succeed("ocm_transfer", export)
    (tmp_path / "x.tar.001").unlink()
    edited = bytearray((tmp_path / "x.tar.003").read_bytes())
    edited[100] ^= 1
    (tmp_path / "x.tar.003").write_bytes(edited)
    outcome = fail("ocm_transfer", dict(source=export["target"], target=target.repository("into")))
    assert "x.tar.001 is missing; x.tar.003 has the digest" in outcome.message
    assert target_log.requests() == []
    again = fail("ocm_transfer", export)
    assert "x.tar.001 is missing; x.tar.003 has the digest" in again.message


def test_an_archive_that_is_whole_is_cut(export, tmp_path):
    whole = {key: value for key, value in export.items() if key != "part_size"}
    succeed("ocm_transfer", whole)
    assert files(tmp_path) == ["x.tar"]
    content = (tmp_path / "x.tar").read_bytes()
    predicted = succeed("ocm_transfer", export, check=True, diff=True)
    assert files(tmp_path) == ["x.tar"]
    outcome = succeed("ocm_transfer", export, diff=True)
    assert predicted.result["changed"] and outcome.result["changed"] and outcome.actions() == {f"{NAME}:1.0.0": "unchanged"}
    assert outcome.result["diff"] == predicted.result["diff"] and "written again" in json.dumps(outcome.result["diff"])
    assert b"".join(part.read_bytes() for part in sorted(tmp_path.glob("x.tar.0*"))) == content
    assert not succeed("ocm_transfer", export).result["changed"]


def test_what_cannot_be_cut_is_said(export, target, tmp_path):
    assert "no target is an archive" in fail("ocm_transfer", dict(export, target=target.repository())).message
    assert "is a folder" in fail("ocm_transfer", dict(export, target=str(tmp_path / "folder"))).message
    assert "700M or 4G" in fail("ocm_transfer", dict(export, part_size="4")).message
    assert files(tmp_path) == []
