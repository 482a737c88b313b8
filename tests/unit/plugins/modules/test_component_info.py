# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_component_info with data that the real tools wrote, and with what registries hold beside component versions."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.components import component, local, put_component, reference
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import RequestLog

ARCHIVES = COLLECTION / "tests" / "data" / "archives"
NAME = "acme.test/product"
VERSIONS = {
    "given.test/backend": ["2.0.0"],
    "given.test/podinfo": ["6.4.0-rc.1+build.7", "6.3.5", "6.2.3"],
    "given.test/redis": ["7.0.1"],
    "given.test/suite": ["v1.0.0"],
}


def info(repository, **more):
    outcome = succeed("ocm_component_info", dict(repository=str(repository), **more))
    assert outcome.result["changed"] is False
    return outcome.result["component_versions"]


def names(found):
    return [(item["component"], item["version"]) for item in found]


@pytest.mark.parametrize("form", ["by-value", "by-value.tar", "by-value.tgz"])
def test_an_archive_of_the_old_tool(form):
    found = info(ARCHIVES / form)
    assert names(found) == [(name, version) for name, versions in VERSIONS.items() for version in versions]
    for item in found:
        path = ARCHIVES / "expected" / f"archive-{item['component'].partition('/')[2]}-{item['version']}.yaml"
        assert item["descriptor"] == yaml.safe_load(path.read_text())
        assert item["digest"].startswith("sha256:") and item["schema"] == "v2" and item["provider"] == "given.test"


@pytest.mark.parametrize("form", ["by-reference", "signed", "schema-v3alpha1"])
def test_the_other_archives_are_read(form):
    found = info(ARCHIVES / form)
    assert found and all(item["descriptor"] for item in found)
    assert {item["schema"] for item in found} == {"v3alpha1" if form == "schema-v3alpha1" else "v2"}
    assert any(item["signatures"] for item in found) == (form == "signed")


@pytest.mark.parametrize("form", ["by-reference", "local-blob"])
def test_an_archive_of_the_new_tool(form):
    (found,) = info(COLLECTION / "tests" / "data" / "new-cli" / form)
    assert found["component"] == "given2.test/podinfo" and [item["name"] for item in found["resources"]]


@pytest.mark.parametrize(
    "constraint, wanted",
    [
        (">=6.3.5", ["6.3.5"]),
        ("<6.3", ["6.2.3"]),
        (">=6.4.0-0", ["6.4.0-rc.1+build.7"]),
        ("6.2.3 || >=6.3, <6.4", ["6.3.5", "6.2.3"]),
        ("~6.2", ["6.2.3"]),
        ("", VERSIONS["given.test/podinfo"]),
    ],
)
def test_ranges(constraint, wanted):
    found = info(ARCHIVES / "by-value", component="given.test/podinfo", constraint=constraint or None)
    assert [item["version"] for item in found] == wanted


def test_roots_come_first_and_each_version_once():
    found = info(ARCHIVES / "by-value", component="given.test/suite", recursive=True)
    assert names(found)[0] == ("given.test/suite", "v1.0.0") and len(set(names(found))) == len(found) == 4
    paths = {item["component"]: [part["reference_path"] for part in item["resources"]] for item in found}
    assert paths["given.test/redis"] and all(path == [{"name": "cache"}] for path in paths["given.test/redis"])


def test_a_resource_is_chosen_by_name_or_identity(ctf):
    resources = [
        local("tool", b"a", extraIdentity={"os": "linux"}),
        local("tool", b"b", extraIdentity={"os": "darwin"}),
    ]
    put_component(ctf, component(NAME, [*resources, local("text", b"c")]))
    chosen = {"tool": 2, "text": 1}
    for name, count in chosen.items():
        assert len(info(ctf.folder, resource=name)[0]["resources"]) == count
    (found,) = info(ctf.folder, resource={"name": "tool", "os": "darwin"})[0]["resources"]
    assert found["identity"] == {"name": "tool", "os": "darwin"}
    assert (
        "tool"
        in fail("ocm_component_info", dict(repository=str(ctf.folder), resource={"name": "tool", "os": "x"})).message
    )


@BOTH
def test_tags_that_are_no_component_version(source):
    """latest, signatures of cosign and the fallback of referrers lie beside versions; so may an image."""
    path = f"from/component-descriptors/{NAME}"
    for version in ("1.0.0", "1.10.0", "v1.9.0", "1.2.3+meta.4"):
        put_component(source, component(NAME, version=version), "from")
    artifact = image([layer("x")])
    for tag in ("latest", f"sha256-{'0' * 64}.sig", f"sha256-{'0' * 64}", "2.0.0"):
        source.put(path, artifact, tag)
    outcome = succeed("ocm_component_info", dict(repository=source.repository("from"), component=NAME))
    found = [item["version"] for item in outcome.result["component_versions"]]
    assert found == ["1.10.0", "v1.9.0", "1.2.3+meta.4", "1.0.0"] and "2.0.0" in outcome.warnings
    said = fail(
        "ocm_component_info", dict(repository=source.repository("from"), component=NAME, version="2.0.0")
    ).message
    assert "2.0.0" in said and "no component version" in said


def test_a_cycle_is_named(ctf):
    for name, other in (("a.test/one", "a.test/two"), ("a.test/two", "a.test/one")):
        put_component(ctf, component(name, componentReferences=[reference("other", other)]))
    arguments = dict(repository=str(ctf.folder), component="a.test/one", version="1.0.0", recursive=True)
    assert "a.test/one:1.0.0 -> a.test/two:1.0.0 -> a.test/one:1.0.0" in fail("ocm_component_info", arguments).message
    assert len(info(ctf.folder, component="a.test/one")) == 1


def test_a_whole_reference_and_check_mode(source):
    put_component(source, component(NAME, [local("text", b"x")]), "from")
    log = RequestLog(source.registry)
    text = f"{source.repository('from')}//{NAME}:1.0.0"
    plain = succeed("ocm_component_info", dict(repository=text))
    checked = succeed("ocm_component_info", dict(repository=text), check=True)
    assert plain.result == checked.result and len(plain.result["component_versions"]) == 1
    assert log.writes() == []
