# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer with data that the real tools wrote: what arrives equals what they would have written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.components import put_component, read_component, read_manifest
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

DATA = COLLECTION / "tests" / "data"
ARCHIVES = DATA / "archives"
EXPECTED = sorted((ARCHIVES / "expected").glob("registry-*.yaml"))
VERSIONS = {
    "given.test/backend:2.0.0",
    "given.test/podinfo:6.2.3",
    "given.test/podinfo:6.3.5",
    "given.test/podinfo:6.4.0-rc.1+build.7",
    "given.test/redis:7.0.1",
    "given.test/suite:v1.0.0",
}


def transfer(source, target, **more):
    return succeed("ocm_transfer", dict(source=source, target=target, **more))


def read_all(place, prefix=""):
    found = [name.rpartition(":") for name in VERSIONS]
    return {f"{name}:{version}": read_component(place, name, version, prefix) for name, _colon, version in found}


def expected_at(host):
    """The descriptors that the old tool wrote to private.test:5001/given, without contexts, for another host."""
    texts = [path.read_text().replace("private.test:5001/given/", f"{host}/given/") for path in EXPECTED]
    return {_key(content): content for content in map(without_contexts, map(yaml.safe_load, texts))}


def _key(descriptor):
    return f"{descriptor['component']['name']}:{descriptor['component']['version']}"


def without_contexts(descriptor):
    return dict(descriptor, component=dict(descriptor["component"], repositoryContexts=None))


def artifact_digests(descriptors):
    return {
        (key, item["name"]): item.get("digest")
        for key, content in descriptors.items()
        for item in content["component"]["resources"]
    }


@BOTH
@pytest.mark.parametrize("form", ["by-value", "by-value.tar", "by-value.tgz"])
def test_an_archive_arrives_as_the_old_tool_would_write_it(form, target, target_log):
    outcome = transfer(str(ARCHIVES / form), target.repository("given"))
    assert set(outcome.actions()) == VERSIONS and set(outcome.actions().values()) == {"transferred"}
    found = read_all(target, "given")
    assert {key: without_contexts(content) for key, content in found.items()} == expected_at(f"http://{target.host}")
    context = {
        "type": "OCIRegistry",
        "baseUrl": f"http://{target.host}",
        "subPath": "given",
        "componentNameMapping": "urlPath",
    }
    assert all(content["component"]["repositoryContexts"][-1] == context for content in found.values())
    statistics = outcome.result["statistics"]
    assert statistics["target"]["requests"] == len(target_log.requests())

    target_log.restart()
    again = transfer(str(ARCHIVES / form), target.repository("given"))
    assert not again.result["changed"] and set(again.actions().values()) == {"unchanged"}
    assert target_log.writes() == []
    assert again.result["statistics"]["target"]["requests"] == len(target_log.requests())


def test_the_layers_of_a_component_version_stand_as_the_old_tool_writes_them(target):
    transfer(str(ARCHIVES / "by-value"), target.repository("given"))
    manifest = read_manifest(target, "given.test/podinfo", "6.3.5", "given")
    owners = [json.loads(layer["annotations"]["software.ocm.artifact"]) for layer in manifest["layers"][1:]]
    assert owners == [[{"kind": "resource", "identity": {"name": name}}] for name in ("config", "deployment")]
    assert manifest["layers"][0]["mediaType"] == "application/vnd.ocm.software.component-descriptor.v2+yaml+tar"
    assert manifest["annotations"]["software.ocm.componentversion"] == "given.test/podinfo:6.3.5"


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_registry_to_registry_equals_the_way_through_an_archive(form, source, target, tmp_path):
    transfer(str(ARCHIVES / "by-value"), source.repository("given"))
    components = ("given.test/suite", "given.test/podinfo")  # everything: the suite refers to the rest
    archive = str(tmp_path / form)
    for name in components:
        transfer(source.repository("given"), target.repository("direct"), component=name)
        transfer(source.repository("given"), archive, component=name)
    outcome = transfer(archive, target.repository("archived"))
    assert set(outcome.actions()) == VERSIONS
    direct, archived = read_all(target, "direct"), read_all(target, "archived")
    text = json.dumps({key: without_contexts(content) for key, content in archived.items()})
    text = text.replace("/archived/", "/direct/")
    assert json.loads(text) == {key: without_contexts(content) for key, content in direct.items()}
    assert artifact_digests(direct) == artifact_digests(expected_at("any"))


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_archive_to_archive_and_again(form, tmp_path):
    archive = str(tmp_path / form)
    first = transfer(str(ARCHIVES / "by-value.tgz"), archive, archive_layout="sets")
    assert set(first.actions().values()) == {"transferred"}
    second = transfer(str(ARCHIVES / "by-value"), archive)
    assert not second.result["changed"] and set(second.actions()) == VERSIONS
    back = transfer(archive, str(tmp_path / "back"), archive_layout="sets")
    original, copy = read_all(CtfPlace(ARCHIVES / "by-value")), read_all(CtfPlace(tmp_path / "back"))
    assert copy == original and set(back.actions().values()) == {"transferred"}


def put_as_the_old_tool(place, path):
    """Write the descriptor that the old tool wrote, with its layers, in place of our own."""
    descriptor = yaml.safe_load(path.read_text().replace("private.test:5001/given/", f"http://{place.host}/given/"))
    for item in descriptor["component"]["resources"]:
        if item["access"]["type"] == "localBlob":
            item["content"] = CtfPlace(ARCHIVES / "by-value").blob("", item["access"]["localReference"])
    put_component(place, descriptor, "given")


def test_what_the_old_tool_began_is_continued(target, target_log):
    """The images are there, and the descriptors are byte for byte not ours."""
    transfer(str(ARCHIVES / "by-value"), target.repository("given"))
    for path in EXPECTED:
        if "podinfo" in path.name:
            put_as_the_old_tool(target, path)
    before = {key: value for key, value in read_all(target, "given").items() if "podinfo" in key}
    target_log.restart()
    assert not transfer(str(ARCHIVES / "by-value"), target.repository("given")).result["changed"]
    assert target_log.writes() == []
    transfer(target.repository("given"), target.repository("further"), component="given.test/suite")
    assert {key: read_all(target, "given")[key] for key in before} == before


@BOTH
def test_a_component_of_the_new_tool_moves_on(target, target_log, tmp_path):
    origin = str(DATA / "new-cli" / "local-blob")
    first = transfer(origin, target.repository("new"))
    assert set(first.actions().values()) == {"transferred"}
    image = next(item for item in first.result["resources"] if item["name"] == "image")
    raw = target.manifest("new/given2/podinfo", "6.3.5")[1]
    assert image["after"]["imageReference"].endswith(f"@{image['digest']}") and len(raw) > 0
    assert target.digest_of("new/given2/podinfo", "6.3.5") == image["digest"]
    stated = yaml.safe_load((DATA / "new-cli" / "registry-ociArtifact.yaml").read_text())
    wanted = [item for item in _only(stated)["component"]["resources"] if item["name"] == "image"][0]
    assert image["digest"].endswith(wanted["digest"]["value"])
    target_log.restart()
    assert not transfer(origin, target.repository("new")).result["changed"]
    assert target_log.writes() == []
    transfer(target.repository("new"), str(tmp_path / "archive"), component="given2.test/podinfo")
    back = transfer(str(tmp_path / "archive"), target.repository("back"))
    assert {item["digest"] for item in back.result["resources"]} == {
        item["digest"] for item in first.result["resources"]
    }


def test_a_version_of_the_new_tool_that_is_there_is_equal(target, target_log, tmp_path):
    """The new tool's generic name for an image's digest at the target stays, and is no difference."""
    folder = Path(tmp_path / "copy")
    shutil.copytree(str(DATA / "new-cli" / "local-blob"), str(folder))
    transfer(str(folder), target.repository("new"))
    descriptor = read_component(target, "given2.test/podinfo", "6.3.5", "new")
    names = {item["name"]: item["digest"]["normalisationAlgorithm"] for item in descriptor["component"]["resources"]}
    assert names["image"] == "genericBlobDigest/v1"
    target_log.restart()
    assert transfer(str(folder), target.repository("new")).actions() == {"given2.test/podinfo:6.3.5": "unchanged"}
    assert target_log.writes() == []


def _only(content):
    return content[0] if isinstance(content, list) else content
