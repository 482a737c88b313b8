# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer: content of every access type moves by value; what cannot move is refused before anything is written."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    artifact_digest,
    blob_digest,
    component,
    image_resource,
    local,
    local_image,
    put_component,
    read_component,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import (
    OCI_FOREIGN,
    OCI_MANIFEST,
    digest,
    image,
    layer,
    two_platforms,
    unpacked_set,
)
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.other_tools import copy_whole, raw_manifest
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

NAME = "acme.test/product"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def transfer(source, target, **more):
    return succeed("ocm_transfer", dict(source=source, target=target, component=NAME, version="1.0.0", **more))


def plain(place):
    return [{"host": place.host, "plain_http": True}]


IMAGES = {
    "oci": two_platforms("oci"),
    "docker": two_platforms("docker", docker=True),
    "attested": two_platforms("attested", attested=True),
    "single": image([layer("single")]),
    "foreign": image([layer("base"), layer("foreign")], types={1: OCI_FOREIGN}),
    "annotated": image([layer("a")], annotations={"org.example/note": "<&>"}),
}


@BOTH
def test_images_move_whole(source, target, tmp_path):
    resources = [
        image_resource(name, source.put(f"team/{name}", artifact, "1.0"), artifact) for name, artifact in IMAGES.items()
    ]
    put_component(source, component(NAME, resources), "from")
    outcome = transfer(source.repository("from"), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    for name, artifact in IMAGES.items():
        expected = f"{target.image('into/team')}/{name}:1.0@{artifact.digest}"
        assert found[name] == {"type": "ociArtifact", "imageReference": expected}
        assert target.whole(f"into/team/{name}", artifact), name
        assert raw_manifest(f"{target.host}/into/team/{name}:1.0") == artifact.raw
        copy_whole(f"{target.host}/into/team/{name}:1.0", tmp_path / name)
    distinct = {key for artifact in IMAGES.values() for key in artifact.blobs}
    assert outcome.result["statistics"]["blobs"]["copied"] == len(distinct)


def test_an_image_by_digest_alone_gets_no_tag(source, target):
    artifact = IMAGES["single"]
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", artifact), artifact)]))
    transfer(source.repository(), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}@{artifact.digest}"
    assert target.tags("into/team/app") == [] and target.whole("into/team/app", artifact)


def test_a_tag_that_looks_like_the_beginning_of_a_digest(source, target):
    artifact = IMAGES["single"]
    resource = image_resource("image", source.put("team/app", artifact, "sha-1a2b3c"), artifact)
    del resource["digest"]
    resource["access"]["imageReference"] = f"{source.image('team/app')}:sha-1a2b3c"
    put_component(source, component(NAME, [resource]))
    transfer(source.repository(), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}:sha-1a2b3c@{artifact.digest}"


def test_the_reference_form_tag_leaves_the_digest_away(source, target):
    artifact = IMAGES["single"]
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", artifact, "1.0"), artifact)]))
    transfer(source.repository(), target.repository("into"), reference_form="tag")
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}:1.0"
    assert not transfer(source.repository(), target.repository("into"), reference_form="tag").result["changed"]


def test_the_tag_may_have_moved_on_the_digest_decides(source, target):
    old, new = image([layer("old")]), image([layer("new")])
    reference = source.put("team/app", old, "1.0")
    put_component(source, component(NAME, [image_resource("image", reference, old)]))
    source.put("team/app", new, "1.0")
    transfer(source.repository(), target.repository("into"))
    assert target.digest_of("into/team/app", "1.0") == old.digest


@pytest.mark.parametrize("form", ["folder", "x.tgz"])
def test_images_in_an_archive_are_artifact_sets_and_become_images_again(form, source, target, tmp_path):
    names = ("docker", "attested")
    resources = [image_resource(name, source.put(f"team/{name}", IMAGES[name], "1.0"), IMAGES[name]) for name in names]
    put_component(source, component(NAME, resources))
    transfer(source.repository(), str(tmp_path / form), archive_layout="sets")
    if form == "folder":
        place = CtfPlace(tmp_path / form)
        for name, access in accesses(read_component(place, NAME)).items():
            assert access["referenceName"] == f"team/{name}:1.0"
            assert access["mediaType"] == IMAGES[name].media_type.replace("+json", "+tar+gzip")
            held = unpacked_set(place.blob("", access["localReference"]))
            assert sorted(held) == IMAGES[name].digests() and all(digest(held[key]) == key for key in held)
    transfer(str(tmp_path / form), target.repository("into"))
    assert all(target.whole(f"into/team/{name}", IMAGES[name]) for name in names)


def test_local_blobs(source, target):
    text, artifact = b"text\n", IMAGES["oci"]
    put_component(
        source, component(NAME, [local("text", text), local_image("image", artifact, "team/app:1.0")]), "from"
    )
    transfer(source.repository("from"), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["text"] == {"type": "localBlob", "localReference": digest(text), "mediaType": "text/plain"}
    assert target.blob(f"into/component-descriptors/{NAME}", digest(text)) == text
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}:1.0@{artifact.digest}"
    assert target.whole("into/team/app", artifact)


def test_a_relative_reference_at_a_registry_begins_at_its_host(source, target):
    artifact = IMAGES["single"]
    source.put("from/team/app", artifact, "1.0")
    access = {"type": "relativeOciReference", "reference": f"from/team/app:1.0@{artifact.digest}"}
    put_component(source, component(NAME, [resource("image", access, artifact_digest(artifact.digest))]), "from")
    transfer(source.repository("from"), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image('into/from/team/app')}:1.0@{artifact.digest}"
    assert target.whole("into/from/team/app", artifact)


def test_a_relative_reference_in_an_archive(ctf, target):
    artifact = IMAGES["docker"]
    access = {"type": "relativeOciReference", "reference": ctf.put("team/app", artifact, "1.0")}
    put_component(ctf, component(NAME, [resource("image", access, artifact_digest(artifact.digest))]))
    transfer(ctf.repository(), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["image"]["imageReference"] == f"{target.image('into/team/app')}:1.0@{artifact.digest}"
    assert target.whole("into/team/app", artifact)


def test_a_single_blob_of_a_registry(source, target):
    content = b"one layer"
    source.put_blob("team/blobs", content)
    access = {
        "type": "ociBlob",
        "ref": source.image("team/blobs"),
        "digest": digest(content),
        "mediaType": "text/plain",
    }
    put_component(
        source, component(NAME, [resource("blob", dict(access, size=len(content)), blob_digest(digest(content)))])
    )
    transfer(source.repository(), target.repository("into"))
    found = accesses(read_component(target, NAME, prefix="into"))
    assert found["blob"] == {"type": "localBlob", "localReference": digest(content), "mediaType": "text/plain"}
    assert target.blob(f"into/component-descriptors/{NAME}", digest(content)) == content


def chart_server(chart, with_digest=True):
    entry = {"name": "app", "version": "1.2.3", "urls": ["files/app-1.2.3.tgz"]}
    if with_digest:
        entry["digest"] = hashlib.sha256(chart).hexdigest()
    answers = {
        "/charts/index.yaml": yaml.safe_dump({"apiVersion": "v1", "entries": {"app": [entry]}}).encode(),
        "/charts/files/app-1.2.3.tgz": chart,
    }
    return ScriptedServer(lambda asked: Reply(200, {}, answers[asked.path]) if asked.path in answers else Reply(404))


@pytest.mark.parametrize("with_digest", [True, False])
def test_a_chart_of_a_chart_repository(with_digest, ctf, target, target_log):
    chart = layer("chart")
    with chart_server(chart, with_digest) as server:
        access = {"type": "helm", "helmRepository": f"{server.url}/charts", "helmChart": "app:1.2.3"}
        put_component(ctf, component(NAME, [resource("chart", access)]))
        transfer(ctf.repository(), target.repository("into"))
        descriptor = read_component(target, NAME, prefix="into")
        assert accesses(descriptor)["chart"] == {
            "type": "localBlob",
            "localReference": digest(chart),
            "mediaType": CHART,
        }
        assert descriptor["component"]["resources"][0]["digest"] == blob_digest(digest(chart))
        assert target.blob(f"into/component-descriptors/{NAME}", digest(chart)) == chart
        target_log.restart()
        assert not transfer(ctf.repository(), target.repository("into")).result["changed"]
        assert target_log.writes() == []


def test_a_chart_of_a_registry(source, target):
    chart, config = layer("chart"), b"{}"
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(config), "size": 2},
        "layers": [{"mediaType": CHART, "digest": digest(chart), "size": len(chart)}],
    }
    for content in (chart, config):
        source.put_blob("charts/app", content)
    source.put_manifest("charts/app", "1.2.3_build", OCI_MANIFEST, json.dumps(manifest).encode())
    access = {"type": "helm", "helmRepository": f"oci://{source.host}/charts", "helmChart": "app:1.2.3+build"}
    put_component(source, component(NAME, [resource("chart", access, blob_digest(digest(chart)))]))
    transfer(source.repository(), target.repository("into"), registries=plain(source))
    assert target.blob(f"into/component-descriptors/{NAME}", digest(chart)) == chart


@pytest.mark.parametrize(
    "stated, more, sent, kept",
    [
        (True, {"mediaType": "text/x"}, "text/html", "text/x"),
        (False, {"mediaType": "text/x"}, "", "text/x"),
        (True, {}, "text/y; charset=utf-8", "text/y"),
        (False, {}, "", "application/x-tgz"),
    ],
    ids=["digest,type", "no-digest,type", "digest,told", "no-digest,guessed"],
)
def test_a_download(stated, more, sent, kept, ctf, target, target_log):
    content = b"downloaded"
    headers = {"Content-Type": sent} if sent else {}
    with ScriptedServer(lambda asked: Reply(200, headers, content)) as server:
        access = dict(more, type="wget", url=f"{server.url}/files/x.tgz")
        put_component(
            ctf, component(NAME, [resource("file", access, blob_digest(digest(content)) if stated else None)])
        )
        transfer(ctf.repository(), target.repository("into"))
        found = read_component(target, NAME, prefix="into")
        assert accesses(found)["file"] == {"type": "localBlob", "localReference": digest(content), "mediaType": kept}
        assert found["component"]["resources"][0]["digest"] == blob_digest(digest(content))
        target_log.restart()
        assert not transfer(ctf.repository(), target.repository("into")).result["changed"]
        assert target_log.writes() == []


@pytest.mark.parametrize("access_type", ["wget", "helm"])
def test_content_that_is_not_what_its_digest_says_does_not_arrive(access_type, ctf, target):
    with chart_server(layer("chart"), with_digest=False) as server:
        access = {
            "wget": {"type": "wget", "url": f"{server.url}/charts/files/app-1.2.3.tgz"},
            "helm": {"type": "helm", "helmRepository": f"{server.url}/charts", "helmChart": "app:1.2.3"},
        }[access_type]
        put_component(ctf, component(NAME, [resource("file", access, blob_digest(digest(b"other")))]))
        outcome = fail("ocm_transfer", dict(source=ctf.repository(), target=target.repository("into")))
    assert digest(b"other") in outcome.message and f"{NAME}:1.0.0" in outcome.message and "file" in outcome.message
    assert target.tags(f"into/component-descriptors/{NAME}") == []
