# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer with both layouts of an archive: artifact sets, and manifests and blobs as they are."""

from __future__ import annotations

import json
import os
import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    folder_of,
    image_resource,
    local,
    local_image,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.images import (
    OCI_INDEX,
    artifact_set,
    digest,
    image,
    index,
    two_platforms,
    unpacked_set,
)
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

ARCHIVES = COLLECTION / "tests" / "data" / "archives"
NAME = "acme.test/product"
BASE = [os.urandom(100_000) for _number in range(3)]
SETS = pytest.mark.parametrize("layout", ["sets", "shared"])
FORMS = pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])


def app(number):
    """An image of two platforms that shares its base with all others."""
    parts = [(arch, image([*BASE, f"{number} {arch}".encode() * 5000], platform=arch)) for arch in ("amd64", "arm64")]
    return index(parts, docker=number == 2)


APPS = [app(number) for number in range(4)]
DISTINCT = {key: blob for one in APPS for key, blob in one.blobs.items()}


def transfer(source, target, **more):
    return succeed("ocm_transfer", dict(source=str(source), target=str(target), **more))


def put_product(source, version="1.0.0", apps=APPS, **more):
    resources = [local("text", b"text of the product")]
    resources += [
        image_resource(f"app{number}", source.put(f"team/app{number}", one, version), one)
        for number, one in enumerate(apps)
    ]
    put_component(source, component(NAME, resources, version, **more))
    return dict(source=source.repository(), component=NAME, version=version)


def files_of(archive):
    """Name to size of every file in an archive of any form."""
    if archive.is_dir():
        return {str(path.relative_to(archive)): path.stat().st_size for path in archive.rglob("*") if path.is_file()}
    with tarfile.open(archive) as opened:
        return {member.name: member.size for member in opened if member.isfile()}


def states_of(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}


def names_of(digests):
    return {"blobs/" + one.replace(":", ".") for one in digests}


@FORMS
def test_each_distinct_blob_lies_in_the_archive_once_as_it_is(form, source, source_log, tmp_path):
    call = put_product(source)
    source_log.restart()
    outcome = succeed("ocm_transfer", dict(call, target=str(tmp_path / "to" / form), archive_layout="shared"))
    reads = source_log.blob_reads()
    assert len(reads) == len(set(reads)), "a blob was read twice"
    assert [path.name for path in (tmp_path / "to").iterdir()] == [form]

    found = files_of(tmp_path / "to" / form)
    manifests = {digest(raw): raw for one in APPS for _kind, raw in one.manifests}
    assert names_of([*DISTINCT, *manifests]) <= set(found)
    others = set(found) - names_of([*DISTINCT, *manifests])
    assert "artifact-index.json" in others
    assert len(others) == 6, "index, text, descriptor, its config, the component's manifest and its index"
    assert outcome.result["statistics"]["blobs"]["copied"] == len(DISTINCT) + 1

    distinct = sum(map(len, DISTINCT.values())) + sum(map(len, manifests.values()))
    size = os.path.getsize(tmp_path / "to" / form) if form != "folder" else sum(found.values())
    assert size <= distinct * 1.01 + len(found) * 1024


def test_the_layout_is_the_specifications_index(source, tmp_path):
    """Without an option. The access names Docker's kinds as OCI does: the older ocm program takes others for plain files."""
    call = put_product(source)
    outcome = succeed("ocm_transfer", dict(call, target=str(tmp_path / "x")))
    place, path = CtfPlace(tmp_path / "x"), folder_of(NAME)
    kind, raw = place.manifest(path, "1.0.0")
    top = json.loads(raw)
    assert kind == top["mediaType"] == OCI_INDEX
    assert top["manifests"][0]["annotations"]["software.ocm.descriptor"] == "true"
    assert [item["digest"] for item in top["manifests"][1:]] == [one.digest for one in APPS]
    assert [item["mediaType"] for item in top["manifests"][1:]] == [one.media_type for one in APPS]
    owners = [json.loads(item["annotations"]["software.ocm.artifact"]) for item in top["manifests"][1:]]
    assert owners == [[{"kind": "resource", "identity": {"name": f"app{number}"}}] for number in range(len(APPS))]

    untagged = {(item["digest"], item["mediaType"]) for item in place.entries() if "tag" not in item}
    component_manifest = (top["manifests"][0]["digest"], top["manifests"][0]["mediaType"])
    assert untagged == {(digest(raw), kind) for one in APPS for kind, raw in one.manifests} | {component_manifest}
    assert {item["repository"] for item in place.entries()} == {path}

    found = {item["name"]: item["access"] for item in read_component(place, NAME)["component"]["resources"]}
    for number, one in enumerate(APPS):
        assert found[f"app{number}"] == {
            "type": "localBlob",
            "localReference": one.digest,
            "mediaType": OCI_INDEX,
            "referenceName": f"team/app{number}:1.0.0",
        }
    assert {item["name"]: item["after"] for item in outcome.result["resources"]} == found
    layers = [layer["digest"] for layer in json.loads(place.blob(path, top["manifests"][0]["digest"]))["layers"]]
    assert layers[1:] == [digest(b"text of the product")], "images are no layers of the component version"


@pytest.mark.parametrize("layout, form", [("sets", "folder"), ("shared", "folder"), ("shared", "x.tgz")])
def test_check_mode_predicts_and_a_second_run_writes_nothing(layout, form, source, tmp_path):
    call = dict(put_product(source), target=str(tmp_path / "to" / form), archive_layout=layout)
    (tmp_path / "to").mkdir()
    predicted = succeed("ocm_transfer", call, check=True)
    assert not list((tmp_path / "to").iterdir())
    outcome = succeed("ocm_transfer", call)
    assert predicted.actions() == outcome.actions()
    if layout == "shared":
        assert predicted.result["resources"] == outcome.result["resources"]
    before = states_of(tmp_path / "to")
    again = succeed("ocm_transfer", call)
    assert not again.result["changed"] and set(again.resource_actions().values()) == {"unchanged"}
    assert states_of(tmp_path / "to") == before


@FORMS
def test_every_module_reads_it(form, tmp_path):
    archive = tmp_path / form
    transfer(ARCHIVES / "by-value", archive, archive_layout="shared")
    common = dict(repository=str(archive), component="given.test/podinfo", version="6.3.5")
    (found,) = succeed("ocm_component_info", common).result["component_versions"]
    (known,) = succeed("ocm_component_info", dict(common, repository=str(ARCHIVES / "by-value"))).result["component_versions"]
    assert [(item["name"], item["digest"]) for item in found["resources"]] == [
        (item["name"], item["digest"]) for item in known["resources"]
    ]
    stated = {item["name"]: item["digest"]["value"] for item in found["resources"] if item["digest"]}

    gotten = succeed("ocm_resource", dict(common, resource="image", dest=str(tmp_path / "image.tgz"))).result
    assert gotten["digest"] == f"sha256:{stated['image']}"
    assert gotten["digest"] in unpacked_set((tmp_path / "image.tgz").read_bytes())
    assert "localization" in succeed("ocm_resource", dict(common, resource="config")).result["content"]

    call = dict(common, manifests="deployment", target="registry.test/given")
    results = [
        succeed("ocm_localize", dict(call, repository=str(place), dest=str(tmp_path / f"out{number}"))).result
        for number, place in enumerate((archive, ARCHIVES / "by-value"))
    ]
    assert results[0]["images"] == results[1]["images"] and results[0]["images"]


@pytest.mark.parametrize("form", ["folder", "x.tgz"])
def test_it_arrives_at_a_registry_as_from_artifact_sets(form, target, target_log, tmp_path):
    transfer(ARCHIVES / "by-value", tmp_path / form, archive_layout="shared")
    for name, archive in (("sets", ARCHIVES / "by-value"), ("shared", tmp_path / form)):
        transfer(archive, target.repository(name))
    state = target.state()
    images = {path: tags for path, tags in state.items() if path.startswith("sets/") and "component-" not in path}
    assert images and all(state[path.replace("sets/", "shared/", 1)] == tags for path, tags in images.items())
    for path in (path for path in state if path.startswith("sets/component-descriptors/")):
        for tag in state[path]:
            sets, shared = (
                read_component(target, path.partition("descriptors/")[2], tag.replace(".build-", "+"), prefix)
                for prefix in ("sets", "shared")
            )
            assert json.loads(json.dumps(shared).replace("/shared/", "/sets/"))["component"]["resources"] == sets["component"]["resources"]
    target_log.restart()
    assert not transfer(tmp_path / form, target.repository("shared")).result["changed"]
    assert target_log.writes() == []


@FORMS
def test_archives_of_both_layouts_are_copied_into_each_other(form, tmp_path):
    """There and back the same bytes: nothing is lost on the way."""
    steps = [("sets", "a"), ("shared", "b"), ("sets", "c"), ("shared", "d"), ("shared", "e"), ("sets", "f")]
    before = ARCHIVES / "by-value"
    for layout, name in steps:
        (tmp_path / name).mkdir()
        transfer(before, tmp_path / name / form, archive_layout=layout)
        before = tmp_path / name / form
    found = {name: files_of(tmp_path / name / form) for _layout, name in steps}
    assert found["b"] == found["d"] == found["e"]
    assert found["c"] == found["f"]
    assert transfer(before, tmp_path / "a" / form).actions() == transfer(before, tmp_path / "b" / form).actions()
    assert not transfer(before, tmp_path / "b" / form, archive_layout="shared").result["changed"]


@SETS
def test_what_an_archive_holds_stays_in_its_layout(layout, source, tmp_path):
    other = {"sets": "shared", "shared": "sets"}[layout]
    call = dict(put_product(source), target=str(tmp_path / "x"))
    succeed("ocm_transfer", dict(call, archive_layout=layout))
    before = states_of(tmp_path / "x")
    assert not succeed("ocm_transfer", dict(call, archive_layout=other)).result["changed"]
    assert states_of(tmp_path / "x") == before
    put_product(source, "1.1.0")
    succeed("ocm_transfer", dict(call, version="1.1.0", archive_layout=other))
    assert not succeed("ocm_transfer", dict(call, version="1.0.0")).result["changed"]
    kinds = {version: types_of(CtfPlace(tmp_path / "x"), version) for version in ("1.0.0", "1.1.0")}
    assert "tar" in str(kinds[{"sets": "1.0.0", "shared": "1.1.0"}[layout]])
    assert "tar" not in str(kinds[{"sets": "1.1.0", "shared": "1.0.0"}[layout]])


def types_of(place, version):
    resources = read_component(place, NAME, version)["component"]["resources"]
    return {item["access"]["mediaType"] for item in resources if item["name"] != "text"}


@pytest.mark.parametrize("form", ["folder", "x.tar"])
def test_labels_that_changed_do_not_move_images_again(form, source, source_log, tmp_path):
    call = dict(put_product(source), target=str(tmp_path / form), archive_layout="shared")
    succeed("ocm_transfer", call)
    put_product(source, labels=[{"name": "acme.test/note", "value": "new"}])
    source_log.restart()
    outcome = succeed("ocm_transfer", call)
    assert outcome.actions() == {f"{NAME}:1.0.0": "updated"}
    assert set(outcome.resource_actions().values()) == {"unchanged"}
    assert not set(source_log.blob_reads()) & set(DISTINCT)
    (found,) = succeed("ocm_component_info", dict(repository=str(tmp_path / form))).result["component_versions"]
    assert [label["value"] for label in found["labels"]] == ["new"]
    assert not succeed("ocm_transfer", call).result["changed"]


@pytest.mark.parametrize("damage", ["gone", "cut off"])
@SETS
def test_a_blob_that_was_lost_is_put_back_alone(layout, damage, source, source_log, tmp_path):
    call = dict(put_product(source), target=str(tmp_path / "x"), archive_layout=layout)
    succeed("ocm_transfer", call)
    before = files_of(tmp_path / "x")
    one = CtfPlace(tmp_path / "x").blob_path(max(APPS[1].blobs, key=lambda key: len(APPS[1].blobs[key])))
    if layout == "sets":
        accesses = {item["name"]: item["after"] for item in succeed("ocm_transfer", call, check=True).result["resources"]}
        one = CtfPlace(tmp_path / "x").blob_path(accesses["app1"]["localReference"])
    if damage == "gone":
        one.unlink()
    else:
        one.write_bytes(one.read_bytes()[:-1])
    source_log.restart()
    outcome = succeed("ocm_transfer", dict(call, archive_layout={"sets": "shared", "shared": "sets"}[layout]))
    assert outcome.resource_actions()["app1"] == "restored"
    if layout == "shared":
        assert len(source_log.blob_reads()) == len(set(source_log.blob_reads())) <= 3, "this blob, descriptor, config"
    assert files_of(tmp_path / "x") == before
    assert not succeed("ocm_transfer", call).result["changed"]


def test_a_lost_set_that_comes_back_otherwise_packed_is_found(source, tmp_path):
    """The component version at the target has to name the blob that is there now."""
    call = dict(put_product(source, apps=APPS[:1]), target=str(tmp_path / "x"), archive_layout="sets")
    succeed("ocm_transfer", call)
    place = CtfPlace(tmp_path / "x")
    lost = read_component(place, NAME)["component"]["resources"][1]["access"]["localReference"]
    place.blob_path(lost).unlink()
    packed = local_image("app0", APPS[0], "team/app0:1.0.0", relation="external")
    assert digest(packed["content"]) != lost
    put_component(CtfPlace(tmp_path / "other"), component(NAME, [local("text", b"text of the product"), packed]))
    assert transfer(tmp_path / "other", tmp_path / "x").resource_actions()["app0"] == "restored"
    assert read_component(place, NAME)["component"]["resources"][1]["access"]["localReference"] == digest(packed["content"])
    assert not transfer(tmp_path / "other", tmp_path / "x").result["changed"]


def test_a_version_that_is_replaced_leaves_nothing_in_the_index(source, tmp_path):
    call = dict(put_product(source), target=str(tmp_path / "x.tar"), archive_layout="shared")
    succeed("ocm_transfer", call)
    put_product(source, "1.1.0", APPS[2:])
    succeed("ocm_transfer", dict(call, version="1.1.0"))
    put_product(source, "1.0.0", APPS[:1])
    succeed("ocm_transfer", dict(call, overwrite=True))
    found = set(files_of(tmp_path / "x.tar"))
    kept = [*APPS[:1], *APPS[2:]]
    assert names_of([key for one in kept for key in one.digests()]) <= found
    assert not names_of(set(APPS[1].digests()) - {key for one in kept for key in one.digests()}) & found


def test_a_set_whose_own_digest_the_component_version_states_stays_a_set(tmp_path):
    kind, packed = artifact_set(two_platforms("image"), "1.0")
    place = CtfPlace(tmp_path / "from")
    put_component(place, component(NAME, [local("image", packed, kind, "team/app:1.0")]))
    transfer(tmp_path / "from", tmp_path / "to", archive_layout="shared")
    access = read_component(CtfPlace(tmp_path / "to"), NAME)["component"]["resources"][0]["access"]
    assert (access["localReference"], access["mediaType"]) == (digest(packed), kind)
