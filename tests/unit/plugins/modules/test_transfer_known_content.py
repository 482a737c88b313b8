# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer with known_content: archives without what the far side holds, and their way into it."""

from __future__ import annotations

import json
import random
import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, folder_of, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import digest, image, index
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

NAME = "acme.test/product"
NOTE = "left-out.json"
FORMS = pytest.mark.parametrize("name", ["delta", "delta.tar", "delta.tgz"])
TEXT = b"a text of many words\n" * 100


def noise(seed, size=20_000):
    return random.Random(seed).randbytes(size)


def two(name, version="1"):
    """An image of two platforms: a layer that all images share, one of its platform, one that changes."""
    shared = [noise("shared")]
    parts = [
        (arch, image([*shared, noise(f"{name} {arch}"), noise(f"{name} {arch} {version}")], platform=arch)) for arch in ("amd64", "arm64")
    ]
    return index(parts)


OLD = {name: two(name) for name in ("one", "two")}
NEW = dict(OLD, two=two("two", "2"))
NEWEST = dict(NEW, one=two("one", "3"))


def put_product(place, version, images):
    resources = [image_resource(name, place.put(f"team/{name}", artifact, version), artifact) for name, artifact in images.items()]
    put_component(place, component(NAME, [*resources, local("text", TEXT)], version=version))


@pytest.fixture
def near(source):
    """The open side, with two versions."""
    for version, images in (("1.0.0", OLD), ("2.0.0", NEW)):
        put_product(source, version, images)
    return source


def export(near, archive, version, *known, **more):
    call = dict(source=near.repository(), target=str(archive), component=NAME, version=version, archive_layout="shared")
    return dict(call, known_content=[str(path) for path in known], **more)


def delivered(near, far, tmp_path, version="1.0.0", prefix="into"):
    """Bring a version to the far side and return what it then writes down."""
    succeed("ocm_transfer", dict(source=near.repository(), target=far.repository(prefix), component=NAME, version=version))
    path = tmp_path / f"held-{prefix}-{version}.json"
    succeed("ocm_repository_snapshot", dict(repository=far.repository(prefix), component=NAME, dest=str(path)))
    return path


def files_of(archive):
    """Name to content."""
    if archive.is_dir():
        return {str(path.relative_to(archive)): path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    with tarfile.open(archive) as opened:
        return {item.name: opened.extractfile(item).read() for item in opened if item.isfile()}


def blobs_in(archive):
    return {name[len("blobs/"):].replace(".", ":", 1): content for name, content in files_of(archive).items() if name.startswith("blobs/")}


def left_out(archive):
    return {item["digest"] for item in json.loads(files_of(archive)[NOTE])["blobs"]}


def changed_blobs(new, old):
    return {key for name in new for key in new[name].blobs if not any(key in artifact.blobs for artifact in old.values())}


def whole(place, images, prefix="into"):
    return all(place.whole(f"{prefix}/team/{name}", artifact) for name, artifact in images.items())


@BOTH
def test_a_new_version_brings_what_is_new(near, target, target_log, tmp_path):
    """W7: one layer of one image was changed, on both platforms."""
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    held, changed = blobs_in(archive), changed_blobs(NEW, OLD)
    assert len(changed) == 4
    everything = {key for artifact in NEW.values() for key in artifact.blobs}
    assert set(held) & everything == changed
    assert left_out(archive) == everything - changed | {digest(TEXT)}
    manifests = {digest(raw): raw for artifact in NEW.values() for _kind, raw in artifact.manifests}
    assert set(manifests) <= set(held)
    own = set(held) - set(manifests) - changed
    assert len(own) == 4 and sum(len(held[key]) for key in own) < 20_000  # index, manifest, descriptor, its config
    beside = sum(len(content) for file, content in files_of(archive).items() if not file.startswith("blobs/"))
    assert beside < 8_000
    target_log.restart()
    outcome = succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into")))
    assert outcome.actions() == {f"{NAME}:2.0.0": "transferred"}
    assert whole(target, NEW) and target.blob(f"into/{folder_of(NAME)}", digest(TEXT)) == TEXT
    assert set(target_log.blob_uploads()) & everything == changed
    target_log.restart()
    assert not succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into"))).result["changed"]
    assert target_log.writes() == []


def test_a_delta_on_a_wrong_base_is_refused(near, target, start_place, tmp_path):
    """F37: the second delta without the first one: everything that is missing is named, and nothing is written."""
    put_product(near, "3.0.0", NEWEST)
    delivered(near, target, tmp_path)
    other = start_place()
    known = delivered(near, other, tmp_path, "2.0.0", "far")
    archive = tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "3.0.0", known))
    before = target.state()
    for check in (True, False):
        outcome = fail("ocm_transfer", dict(source=str(archive), target=target.repository("into")), check=check)
        missing = changed_blobs(NEW, OLD)
        for key in missing:
            assert f"{key} ({len(NEW['two'].blobs[key])} bytes, " in outcome.message
        assert outcome.message.count("sha256:") == len(missing) and f"does not hold {len(missing)} of the blobs" in outcome.message
        assert f"holds {NAME}:2.0.0 as well, which is not there" in outcome.message and "Nothing was written" in outcome.message
        assert target.state() == before
    first = tmp_path / "first.tar"
    succeed("ocm_transfer", export(near, first, "2.0.0", tmp_path / "held-into-1.0.0.json"))
    for one in (first, archive):
        succeed("ocm_transfer", dict(source=str(one), target=target.repository("into")))
    assert whole(target, NEWEST)


def test_nothing_is_written_where_nothing_is_held(near, target, start_place, target_log, tmp_path):
    known, archive = delivered(near, start_place(), tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    target_log.restart()
    message = fail("ocm_transfer", dict(source=str(archive), target=target.repository("into"))).message
    assert all(key in message for key in left_out(archive)) and f"{NAME}:1.0.0" in message
    assert target_log.writes() == [] and target.repositories() == []


@FORMS
def test_writing_it_again_changes_nothing_and_without_known_content_fills_it(name, near, target, tmp_path):
    known, archive = delivered(near, target, tmp_path), tmp_path / name
    predicted = succeed("ocm_transfer", export(near, archive, "2.0.0", known), check=True)
    assert not archive.exists()
    first = succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    assert predicted.result["component_versions"] == first.result["component_versions"]
    assert predicted.result["resources"] == first.result["resources"]
    before = files_of(archive)
    assert not succeed("ocm_transfer", export(near, archive, "2.0.0", known)).result["changed"]
    assert files_of(archive) == before
    assert succeed("ocm_transfer", export(near, archive, "2.0.0")).actions() == {f"{NAME}:2.0.0": "updated"}
    filled = files_of(archive)
    assert NOTE not in filled and {key for artifact in NEW.values() for key in artifact.blobs} <= set(blobs_in(archive))
    whole_one = tmp_path / f"whole-{name}"
    succeed("ocm_transfer", export(near, whole_one, "2.0.0"))
    assert blobs_in(whole_one) == blobs_in(archive)


def test_for_several_places_only_what_all_of_them_hold_is_left_out(near, target, start_place, tmp_path):
    other = start_place()
    snapshots = [delivered(near, target, tmp_path), delivered(near, other, tmp_path, "2.0.0", "else/where")]
    archive = tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", *snapshots))
    assert changed_blobs(NEW, OLD) <= set(blobs_in(archive)) and not changed_blobs(NEW, OLD) & left_out(archive)
    both = [target.repository("into"), other.repository("else/where")]
    succeed("ocm_transfer", dict(source=str(archive), target=both))
    assert whole(target, NEW) and whole(other, NEW, "else/where")


def test_a_blob_that_the_target_has_elsewhere_is_mounted(near, target, target_log, tmp_path):
    """The archive's images go to other repositories than those that hold their layers."""
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    target_log.restart()
    mapping = [{"from": "team", "to": "other"}]
    succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into"), path_mapping=mapping))
    assert all(target.whole(f"into/other/{name}", artifact) for name, artifact in NEW.items())
    everything = {key for artifact in NEW.values() for key in artifact.blobs}
    assert set(target_log.blob_uploads()) & everything == changed_blobs(NEW, OLD)


def test_a_blob_is_found_where_the_far_side_has_moved_it(near, target, tmp_path):
    """The snapshot names other repositories than those that hold the blobs by now; a component version there tells."""
    known = delivered(near, target, tmp_path)
    told = json.loads(known.read_text())
    for item in told["blobs"]:
        item["repositories"] = ["long/gone"]
    known.write_text(json.dumps(told))
    archive = tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    mapping = [{"from": "team", "to": "other"}]
    succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into"), path_mapping=mapping))
    assert all(target.whole(f"into/other/{name}", artifact) for name, artifact in NEW.items())


def test_an_archive_that_was_delivered_is_known_as_well(near, target, tmp_path):
    first, second, known = tmp_path / "first.tar", tmp_path / "second.tar", tmp_path / "known.json"
    succeed("ocm_transfer", export(near, first, "1.0.0"))
    succeed("ocm_repository_snapshot", dict(repository=str(first), dest=str(known)))
    succeed("ocm_transfer", export(near, second, "2.0.0", known))
    assert set(blobs_in(second)) & {key for artifact in NEW.values() for key in artifact.blobs} == changed_blobs(NEW, OLD)
    for archive in (first, second):
        succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into")))
    assert whole(target, NEW)


def test_from_one_archive_into_another(near, target, tmp_path):
    known, delta = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, delta, "2.0.0", known))
    message = fail("ocm_transfer", dict(source=str(delta), target=str(tmp_path / "other"), archive_layout="shared")).message
    assert "does not hold" in message and not (tmp_path / "other").exists()
    succeed("ocm_transfer", export(near, tmp_path / "full", "1.0.0"))
    succeed("ocm_transfer", dict(source=str(delta), target=str(tmp_path / "full"), archive_layout="shared"))
    assert NOTE not in files_of(tmp_path / "full")
    assert {key for artifact in NEW.values() for key in artifact.blobs} <= set(blobs_in(tmp_path / "full"))
    call = dict(source=str(delta), target=str(tmp_path / "again"), archive_layout="shared", known_content=[str(known)])
    succeed("ocm_transfer", call)
    assert left_out(tmp_path / "again") == left_out(delta)


def test_a_version_that_is_added_keeps_what_was_left_out_before(near, target, tmp_path):
    put_product(near, "3.0.0", NEWEST)
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    succeed("ocm_transfer", export(near, archive, "3.0.0", known))
    everything = {key for artifact in [*NEW.values(), *NEWEST.values()] for key in artifact.blobs}
    assert left_out(archive) == (everything & {key for artifact in OLD.values() for key in artifact.blobs}) | {digest(TEXT)}
    outcome = succeed("ocm_transfer", dict(source=str(archive), target=target.repository("into")))
    assert len(outcome.actions()) == 2 and whole(target, NEWEST)


def test_what_was_left_out_and_is_asked_for_is_said(near, target, tmp_path):
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    call = dict(repository=str(archive), component=NAME, version="2.0.0", resource="text")
    assert f"leaves out {digest(TEXT)}" in fail("ocm_resource", call).message
    assert succeed("ocm_component_info", dict(repository=str(archive))).result["component_versions"][0]["version"] == "2.0.0"


def test_a_blob_that_is_missing_and_not_left_out_is_damage(near, target, target_log, tmp_path):
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta"
    succeed("ocm_transfer", export(near, archive, "2.0.0", known))
    lost = sorted(changed_blobs(NEW, OLD))[0]
    CtfPlace(archive).blob_path(lost).unlink()
    message = fail("ocm_transfer", dict(source=str(archive), target=target.repository("into"))).message
    assert lost.replace(":", ".") in message or lost in message
    assert target.digest_of(f"into/{folder_of(NAME)}", "2.0.0") == ""


def test_what_cannot_be_left_out_is_said(near, target, tmp_path):
    known, archive = delivered(near, target, tmp_path), tmp_path / "delta.tar"
    call = export(near, archive, "2.0.0", known)
    assert "archive_layout" in fail("ocm_transfer", dict(call, archive_layout="sets")).message
    assert "no target is an archive" in fail("ocm_transfer", dict(call, target=target.repository("into"))).message
    assert "gone.json does not exist" in fail("ocm_transfer", dict(call, known_content=["gone.json"])).message
    (tmp_path / "text.json").write_text("{}")
    assert "is not a snapshot" in fail("ocm_transfer", dict(call, known_content=[str(tmp_path / "text.json")])).message
    assert not archive.exists()
