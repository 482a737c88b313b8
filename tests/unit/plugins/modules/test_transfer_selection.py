# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: what moves by value and what stays, and what is refused before the first write."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    component,
    image_resource,
    local,
    put_component,
    read_component,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
IMMOVABLE = {
    "npm": {"type": "npm", "registry": "https://registry.invalid", "package": "yargs", "version": "1.0.0"},
    "s3": {"type": "s3", "region": "x", "bucket": "b", "key": "k"},
    "gitHub": {"type": "gitHub", "repoUrl": "github.invalid/acme/demo", "commit": "0" * 40},
    "homeGrown": {"type": "homeGrown", "where": "somewhere"},
}


def arguments(source, target, **more):
    return dict(source=source, target=target, component=NAME, version="1.0.0", **more)


@pytest.mark.parametrize("kind", sorted(IMMOVABLE))
def test_what_cannot_move_is_refused_before_anything_is_written(kind, source, target, target_log):
    artifact = image([layer("x")])
    resources = [
        image_resource("image", source.put("team/app", artifact, "1.0"), artifact),
        resource("stuck", IMMOVABLE[kind]),
    ]
    put_component(source, component(NAME, resources))
    outcome = fail("ocm_transfer", arguments(source.repository(), target.repository("into")))
    assert "stuck" in outcome.message and kind in outcome.message and "by_reference_access_types" in outcome.message
    assert target_log.writes() == []
    checked = fail("ocm_transfer", arguments(source.repository(), target.repository("into")), check=True)
    assert checked.message == outcome.message


@pytest.mark.parametrize("kind", sorted(IMMOVABLE))
def test_what_cannot_move_stays_where_it_is_on_demand(kind, ctf, target, target_log):
    put_component(ctf, component(NAME, [resource("stuck", IMMOVABLE[kind]), local("text", b"text")]))
    call = arguments(ctf.repository(), target.repository("into"), by_reference_access_types=[kind])
    outcome = succeed("ocm_transfer", call)
    assert outcome.resource_actions() == {"stuck": "by_reference", "text": "transferred"}
    assert accesses(read_component(target, NAME, prefix="into"))["stuck"] == IMMOVABLE[kind]
    target_log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert target_log.writes() == []


def test_all_that_cannot_move_is_told_at_once(ctf, target):
    put_component(ctf, component(NAME, [resource(kind.lower(), spec) for kind, spec in IMMOVABLE.items()]))
    message = fail("ocm_transfer", arguments(ctf.repository(), target.repository("into"))).message
    assert all(kind in message for kind in IMMOVABLE)


def test_none_is_nothing_to_do(ctf, target, target_log):
    put_component(ctf, component(NAME, [resource("nothing", {"type": "none"})]))
    call = arguments(ctf.repository(), target.repository("into"))
    assert succeed("ocm_transfer", call).resource_actions() == {"nothing": "none"}
    assert accesses(read_component(target, NAME, prefix="into")) == {"nothing": {"type": "none"}}
    target_log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert target_log.writes() == []


def test_images_stay_by_reference_on_demand(source, target):
    artifact = image([layer("x")])
    reference = source.put("team/app", artifact, "1.0")
    put_component(source, component(NAME, [image_resource("image", reference, artifact), local("text", b"text")]))
    for number, option in enumerate(({"copy_resources": False}, {"by_reference_access_types": ["ociArtifact"]})):
        prefix = f"into{number}"
        outcome = succeed("ocm_transfer", arguments(source.repository(), target.repository(prefix), **option))
        assert outcome.resource_actions() == {"image": "by_reference", "text": "transferred"}
        assert accesses(read_component(target, NAME, prefix=prefix))["image"]["imageReference"] == reference
        assert f"{prefix}/team/app" not in target.repositories()


@pytest.mark.parametrize("form", ["tag_digest", "tag"])
def test_sources_move_on_demand_only(form, source, target, target_log):
    artifact = image([layer("code")])
    code = image_resource("code", source.put("team/code", artifact, "1.0"), artifact)
    code = {key: value for key, value in code.items() if key not in ("relation", "digest")}
    put_component(source, component(NAME, sources=[code]))
    call = arguments(source.repository(), target.repository("into"), reference_form=form)
    assert succeed("ocm_transfer", call).resource_actions() == {"code": "by_reference"}
    target_log.restart()
    assert not succeed("ocm_transfer", call).result["changed"]
    assert target_log.writes() == []
    with_sources = succeed("ocm_transfer", dict(call, copy_sources=True))
    assert with_sources.resource_actions() == {"code": "transferred"}
    assert with_sources.actions() == {f"{NAME}:1.0.0": "updated"}
    found = accesses(read_component(target, NAME, prefix="into"), "sources")
    wanted = f"{target.image('into/team/code')}:1.0"
    assert found["code"]["imageReference"] == (wanted if form == "tag" else f"{wanted}@{artifact.digest}")
    for again in (dict(call, copy_sources=True), call):
        assert not succeed("ocm_transfer", again).result["changed"]


def test_a_version_that_was_moved_by_reference_is_completed(source, target):
    artifact = image([layer("x")])
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", artifact, "1.0"), artifact)]))
    call = arguments(source.repository(), target.repository("into"))
    succeed("ocm_transfer", dict(call, copy_resources=False))
    outcome = succeed("ocm_transfer", call)
    assert outcome.actions() == {f"{NAME}:1.0.0": "updated"} and outcome.resource_actions() == {"image": "transferred"}
    assert target.whole("into/team/app", artifact)
    assert not succeed("ocm_transfer", call).result["changed"]
    assert not succeed("ocm_transfer", dict(call, copy_resources=False)).result["changed"]
