# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private registry against a lock: what is lost, moved or damaged there, and what asking costs."""

from __future__ import annotations

import json
import shutil

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.registry import registry_items
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import AuthError, RegistryError, Unreachable
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import RegistrySettings
from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    folder_of,
    image_resource,
    local,
    put_component,
    read_manifest,
    reference,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import (
    OCI_FOREIGN,
    OCI_INDEX,
    OCI_MANIFEST,
    digest,
    image,
    layer,
    two_platforms,
)
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace, RequestLog
from ansible_collections.ocm.airgap.tests.support.registry import BINARY, RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.support.server import Reply, ScriptedServer

PREFIX = "air-gapped"
NAME, PART = "acme.test/product", "acme.test/part"
APP, TOOL = f"{PREFIX}/team/app", f"{PREFIX}/team/tool"
FOLDER, PART_FOLDER = folder_of(NAME, PREFIX), folder_of(PART, PREFIX)
IMAGE, OTHER = two_platforms("image", attested=True), two_platforms("other")
TOOL_IMAGE = image([layer("tool"), layer("more of tool")])
TEXT = b"some text\n"
LINUX = {"name": "tool", "os": "linux"}
ROOT_ID, APP_ID = f"registry:{NAME}:1.0.0", f"registry:{NAME}:1.0.0/app"
PART_ID, TOOL_ID = f"registry:{PART}:1.0.0", f"registry:{PART}:1.0.0/tool[os=linux]"


@pytest.fixture
def binary():
    """The registry's program; tests that are marked with BOTH get each."""
    return BINARY


@pytest.fixture
def place(tmp_path, binary):
    with run_registry(tmp_path / "registry", RegistryOptions(binary=binary)) as registry:
        yield RegistryPlace(registry)


@pytest.fixture
def log(place):
    return RequestLog(place.registry)


def locked(place, name, artifact, found, resource):
    """What a lock says of an image; `resource` is its identity."""
    component_name, _colon, version = found.rpartition(":")
    return dict(
        component=component_name, version=version, resource=resource, digest=artifact.digest,
        reference=f"{place.image(name)}@{artifact.digest}",
    )


@pytest.fixture
def lock(place):
    """A delivery as it was committed: a component with a text, an image, and a part that has an image of its own."""
    tool = image_resource("tool", place.put(TOOL, TOOL_IMAGE, "2.0"), TOOL_IMAGE, extraIdentity={"os": "linux"})
    put_component(place, component(PART, [tool]), PREFIX)
    resources = [local("text", TEXT), image_resource("app", place.put(APP, IMAGE, "1.0"), IMAGE)]
    found = put_component(place, component(NAME, resources, componentReferences=[reference("part", PART)]), PREFIX)
    images = [
        locked(place, f"{APP}:1.0", IMAGE, f"{NAME}:1.0.0", {"name": "app"}),
        locked(place, f"{TOOL}:2.0", TOOL_IMAGE, f"{PART}:1.0.0", LINUX),
    ]
    head = dict(name="product", component=NAME, version="1.0.0", repository=place.repository(PREFIX))
    return dict(head, descriptorDigest=found, images=images)


def items(lock, *entries, others=(), **options):
    registries = connect(*entries, **options)
    try:
        return registry_items(lock, registries, others)
    finally:
        registries.close()


def told(lock, **options):
    """Id to what was found."""
    found = items(lock, **options)
    assert len({item.id for item in found}) == len(found)
    assert {item.name for item in found} <= {lock["name"]}
    return {item.id: item.found for item in found}


def lose(place, key):
    place.registry.blobs()[key].unlink()


def damage(place, key):
    path = place.registry.blobs()[key]
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])


def untag(place, path, tag):
    shutil.rmtree(place.registry.storage / "repositories" / path / "_manifests" / "tags" / tag)


@BOTH
def test_an_untouched_registry_has_no_item(lock):
    assert [items(lock) for _time in range(10)] == [[]] * 10


def test_what_is_asked(lock, place, log):
    log.restart()
    assert items(lock) == []
    asked = [(method, path.partition("?")[0]) for method, path, _status in log.requests() if path != "/v2/"]
    assert log.writes() == []
    descriptors = [read_manifest(place, name, prefix=PREFIX)["layers"][0]["digest"] for name in (NAME, PART)]
    assert sorted(log.blob_reads()) == sorted(descriptors)
    heads = [path for method, path in asked if method == "HEAD" and "/blobs/" in path]
    manifests = [read_manifest(place, name, prefix=PREFIX) for name in (NAME, PART)]
    blobs = {(APP, key) for key in IMAGE.blobs} | {(TOOL, key) for key in TOOL_IMAGE.blobs}
    for path, manifest in zip((FOLDER, PART_FOLDER), manifests):
        blobs |= {(path, blob["digest"]) for blob in [manifest["config"], *manifest["layers"]]}
    assert sorted(heads) == sorted(f"/v2/{path}/blobs/{key}" for path, key in blobs)
    tags = [path for method, path in asked if method == "HEAD" and "/manifests/" in path]
    named = [(FOLDER, "1.0.0"), (PART_FOLDER, "1.0.0"), (APP, "1.0"), (TOOL, "2.0")]
    assert sorted(tags) == sorted(f"/v2/{path}/manifests/{tag}" for path, tag in named)
    read = [path for method, path in asked if method == "GET" and "/manifests/" in path]
    assert len(read) == len(set(read)) == 2 + len(IMAGE.manifests) + len(TOOL_IMAGE.manifests)


def test_one_request_at_a_time_is_enough(lock, place):
    lose(place, digest(layer("image amd64")))
    assert told(lock, concurrency=1) == told(lock, concurrency=8) != {}


@BOTH
def test_an_image_that_was_deleted(lock, place):
    place.delete_manifest(APP, IMAGE.digest)
    (found,) = items(lock)
    assert (found.id, found.object) == (f"{APP_ID}:content", f"{NAME}:1.0.0/app")
    assert found.found == "manifest is missing"
    assert found.expected == f"{place.host}/{APP}@{IMAGE.digest}" and not found.obstacle


@BOTH
def test_a_layer_that_was_deleted(lock, place):
    key = digest(layer("image amd64"))
    lose(place, key)
    assert told(lock) == {f"{APP_ID}:content": f"1 of {len(IMAGE.blobs)} blobs is missing: {key}"}


def test_a_platform_that_was_deleted(lock, place):
    key = digest(IMAGE.manifests[0][1])
    place.delete_manifest(APP, key)
    found = told(lock)
    assert found == {f"{APP_ID}:content": f"1 of {len(IMAGE.manifests)} manifests is missing: {key}"}


def test_three_of_many_are_named(lock, place):
    for key in IMAGE.blobs:
        lose(place, key)
    found = told(lock)[f"{APP_ID}:content"]
    assert found.startswith(f"{len(IMAGE.blobs)} of {len(IMAGE.blobs)} blobs are missing: sha256:")
    assert found.count("sha256:") == 3 and found.endswith(f" and {len(IMAGE.blobs) - 3} more")


@BOTH
def test_a_tag_that_was_moved(lock, place):
    place.put(APP, OTHER, "1.0")
    (found,) = items(lock)
    assert (found.id, found.found) == (f"{APP_ID}:tag", f"tag 1.0 stands for {OTHER.digest}")
    assert found.expected == f"{place.host}/{APP}:1.0@{IMAGE.digest}" and not found.obstacle


def test_a_tag_that_another_delivery_has_by_right_is_left(lock, place):
    place.put(APP, OTHER, "1.0")
    image = locked(place, f"{APP}:1.0", OTHER, "acme.test/neighbour:3.0.0", {"name": "app"})
    (found,) = items(lock, others=[dict(lock, images=[image])])
    assert found.obstacle == "what it stands for is an image of acme.test/neighbour:3.0.0, which has the same tag"
    image["digest"] = TOOL_IMAGE.digest
    (found,) = items(lock, others=[lock, dict(lock, images=[image])])
    assert found.obstacle == ""


@pytest.mark.parametrize("with_digest", [True, False])
def test_a_tag_that_another_version_of_the_component_has_by_right_is_left(with_digest, lock, place):
    reference_of_other = place.put(APP, OTHER, "1.0") + (f"@{OTHER.digest}" if with_digest else "")
    put_component(place, component(NAME, [image_resource("app", reference_of_other, OTHER)], "1.1.0"), PREFIX)
    (found,) = items(lock)
    assert found.obstacle == f"what it stands for is an image of {NAME}:1.1.0, which has the same tag"
    place.put(APP, TOOL_IMAGE, "1.0")
    (found,) = items(lock)
    assert found.obstacle == ""


def test_a_component_version_in_the_place_of_another_is_told_and_left(lock, place):
    other = put_component(place, component(NAME, [local("text", b"anew")]), PREFIX)
    (found,) = items(lock)
    assert (found.id, found.found) == (f"{ROOT_ID}:tag", other)
    assert "ocm.airgap.site delivers that one" in found.obstacle


def test_a_tag_that_was_moved_before_the_image_was_deleted(lock, place):
    place.put(APP, OTHER, "1.0")
    place.delete_manifest(APP, IMAGE.digest)
    assert set(told(lock)) == {f"{APP_ID}:content", f"{APP_ID}:tag"}
    assert [found.obstacle for found in items(lock)] == ["", ""]


def test_a_lost_image_whose_tag_another_delivery_has_by_right_is_left(lock, place):
    """A transfer of its content would set the tag, too."""
    place.put(APP, OTHER, "1.0")
    place.delete_manifest(APP, IMAGE.digest)
    image = locked(place, f"{APP}:1.0", OTHER, "acme.test/neighbour:3.0.0", {"name": "app"})
    obstacles = [found.obstacle for found in items(lock, others=[dict(lock, images=[image])])]
    assert obstacles == ["what it stands for is an image of acme.test/neighbour:3.0.0, which has the same tag"] * 2


def test_a_tag_that_was_deleted(lock, place):
    untag(place, APP, "1.0")
    assert told(lock) == {f"{APP_ID}:tag": "tag 1.0 is missing"}


def test_the_image_of_a_part(lock, place):
    lose(place, digest(layer("tool")))
    assert list(told(lock)) == [f"{TOOL_ID}:content"]


@BOTH
def test_a_component_version_that_was_deleted(lock, place):
    place.delete_manifest(FOLDER, lock["descriptorDigest"])
    (found,) = items(lock)
    assert (found.id, found.object) == (f"{ROOT_ID}:content", f"{NAME}:1.0.0")
    assert (found.expected, found.found) == (lock["descriptorDigest"], "nothing")


def test_images_and_parts_are_held_when_the_component_version_is_lost(lock, place):
    place.delete_manifest(FOLDER, lock["descriptorDigest"])
    place.delete_manifest(APP, IMAGE.digest)
    place.delete_manifest(PART_FOLDER, place.digest_of(PART_FOLDER, "1.0.0"))
    assert set(told(lock)) == {f"{each}:content" for each in (ROOT_ID, APP_ID, PART_ID)}


def test_a_component_version_whose_tag_was_moved(lock, place):
    moved = put_component(place, component(NAME), PREFIX)
    (found,) = items(lock)
    assert (found.id, found.expected, found.found) == (f"{ROOT_ID}:tag", lock["descriptorDigest"], moved)


def test_a_component_version_whose_tag_was_deleted(lock, place):
    untag(place, FOLDER, "1.0.0")
    assert told(lock) == {f"{ROOT_ID}:tag": "nothing"}


def test_a_component_version_that_was_replaced(lock, place):
    moved = put_component(place, component(NAME), PREFIX)
    place.delete_manifest(FOLDER, lock["descriptorDigest"])
    assert told(lock) == {f"{ROOT_ID}:content": "nothing", f"{ROOT_ID}:tag": moved}


@BOTH
@pytest.mark.parametrize("part", ["config", "descriptor", "text"])
def test_a_blob_of_a_component_version(part, lock, place):
    manifest = read_manifest(place, NAME, prefix=PREFIX)
    key = {"config": manifest["config"], "descriptor": manifest["layers"][0], "text": manifest["layers"][1]}[part]["digest"]
    lose(place, key)
    assert told(lock) == {f"{ROOT_ID}:content": f"1 of 3 blobs is missing: {key}"}


def test_a_part_that_was_deleted(lock, place):
    place.delete_manifest(PART_FOLDER, place.digest_of(PART_FOLDER, "1.0.0"))
    (found,) = items(lock)
    assert (found.id, found.expected, found.found) == (f"{PART_ID}:content", "a component version", "nothing")


def test_a_part_without_images_is_found_by_its_reference(place, lock):
    bare = "acme.test/bare"
    put_component(place, component(bare, [local("text", b"bare\n")]), PREFIX)
    references = [reference("part", PART), reference("bare", bare)]
    lock["descriptorDigest"] = put_component(place, component(NAME, componentReferences=references), PREFIX)
    assert told(lock) == {}
    lose(place, digest(b"bare\n"))
    assert told(lock) == {f"registry:{bare}:1.0.0:content": f"1 of 3 blobs is missing: {digest(b'bare' + bytes([10]))}"}


def test_a_part_whose_tag_is_no_component_version(lock, place):
    place.put(PART_FOLDER, TOOL_IMAGE, "1.0.0")
    assert told(lock) == {f"{PART_ID}:content": "no component version"}


def test_references_that_lead_back(place, lock):
    put_component(place, component(PART, componentReferences=[reference("product", NAME)]), PREFIX)
    assert told(lock) == {}


def test_an_emptied_registry(lock, place, log):
    shutil.rmtree(place.registry.storage / "repositories")
    log.restart()
    assert set(told(lock)) == {f"{each}:content" for each in (ROOT_ID, APP_ID, PART_ID, TOOL_ID)}
    assert log.writes() == []


def test_two_resources_that_are_one_image(lock, place, log):
    lock["images"].append(dict(lock["images"][0], resource={"name": "again"}))
    lose(place, digest(layer("image amd64")))
    log.restart()
    assert list(told(lock)) == [f"{APP_ID}:content", f"{ROOT_ID}/again:content"]
    asked = [path for _method, path, _status in log.requests() if f"/{APP}/" in path]
    assert len(asked) == len(set(asked))


def test_a_foreign_layer_need_not_be_there(lock, place):
    far = layer("far away")
    foreign = image([layer("here"), far], types={1: OCI_FOREIGN})
    place.put(f"{PREFIX}/windows", foreign, "1")
    lock["images"].append(locked(place, f"{PREFIX}/windows:1", foreign, f"{NAME}:1.0.0", {"name": "windows"}))
    lose(place, digest(far))
    assert told(lock) == {}
    lose(place, digest(layer("here")))
    assert told(lock) == {f"{ROOT_ID}/windows:content": f"1 of 2 blobs is missing: {digest(layer('here'))}"}


@pytest.mark.parametrize("where", ["elsewhere.invalid/team", "{host}/team", "{host}/air-gapped2"])
def test_images_that_were_left_where_they_are(where, lock, place):
    name = f"{where.format(host=place.host)}/app:1.0@{IMAGE.digest}"
    lock["images"].append(dict(lock["images"][0], reference=name, resource={"name": "left"}))
    assert told(lock) == {}


def test_a_lock_without_digests_goes_by_tags(lock, place):
    lock["descriptorDigest"] = None
    lock["images"][0].update(digest=None, reference=place.image(f"{APP}:1.0"))
    assert told(lock) == {}
    place.put(APP, OTHER, "1.0")
    put_component(place, component(NAME, [], componentReferences=[reference("part", PART)]), PREFIX)
    assert told(lock) == {}
    lose(place, digest(layer("other amd64")))
    assert list(told(lock)) == [f"{APP_ID}:content"]
    place.delete_manifest(APP, OTHER.digest)
    place.delete_manifest(FOLDER, place.digest_of(FOLDER, "1.0.0"))
    found = {item.id: (item.expected, item.found) for item in items(lock)}
    assert found == {
        f"{ROOT_ID}:content": ("a component version", "nothing"),
        f"{APP_ID}:content": (f"{place.host}/{APP}:1.0", "manifest is missing"),
    }


def test_a_repository_without_prefix(place):
    reference_text = place.put("team/app", IMAGE, "1.0")
    found = put_component(place, component(NAME, [image_resource("app", reference_text, IMAGE)]))
    images = [dict(component=NAME, version="1.0.0", resource={"name": "app"}, reference=reference_text, digest=IMAGE.digest)]
    lock = dict(name="product", component=NAME, version="1.0.0", repository=place.repository(), descriptorDigest=found, images=images)
    assert told(lock) == {}
    place.delete_manifest("team/app", IMAGE.digest)
    assert list(told(lock)) == [f"{APP_ID}:content"]


def test_a_version_with_build_metadata(place):
    found = put_component(place, component(NAME, version="1.0.0+3"))
    lock = dict(name="product", component=NAME, version="1.0.0+3", repository=place.repository(), descriptorDigest=found, images=[])
    assert told(lock) == {}


@pytest.fixture
def indexed(place):
    """A component version as the newer OCM tools write it: an index, and images in it as manifests of their own."""
    access = {"type": "localBlob", "localReference": TOOL_IMAGE.digest, "mediaType": OCI_MANIFEST}
    resource = {"name": "tool", "version": "1", "type": "ociImage", "relation": "local", "access": access}
    put_component(place, component(NAME, [resource]), PREFIX)
    place.put(FOLDER, TOOL_IMAGE)
    kind, raw = place.manifest(FOLDER, "1.0.0")
    children = [(kind, raw), TOOL_IMAGE.manifests[0]]
    listed = [dict(mediaType=media_type, digest=digest(content), size=len(content)) for media_type, content in children]
    top = json.dumps(dict(schemaVersion=2, mediaType=OCI_INDEX, manifests=listed)).encode()
    place.put_manifest(FOLDER, "1.0.0", OCI_INDEX, top)
    head = dict(name="product", component=NAME, version="1.0.0", repository=place.repository(PREFIX))
    return dict(head, descriptorDigest=digest(top), images=[])


def test_the_layout_of_the_newer_tools(indexed, place):
    assert told(indexed) == {}
    lose(place, digest(layer("tool")))
    assert told(indexed) == {f"{ROOT_ID}:content": f"1 of 5 blobs is missing: {digest(layer('tool'))}"}
    place.delete_manifest(FOLDER, TOOL_IMAGE.digest)
    assert told(indexed) == {f"{ROOT_ID}:content": f"1 of 3 manifests is missing: {TOOL_IMAGE.digest}"}


def test_a_damaged_manifest_has_to_be_deleted_first(lock, place):
    key = digest(IMAGE.manifests[0][1])
    path = place.registry.blobs()[key]
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    (found,) = items(lock)
    assert (found.id, found.found) == (f"{APP_ID}:content", f"1 of 4 manifests is damaged: {key}")
    assert f"{place.host}/{APP}@{key} has to be deleted" in found.obstacle


def test_a_damaged_descriptor_has_to_be_deleted_first(lock, place):
    damage(place, read_manifest(place, NAME, prefix=PREFIX)["layers"][0]["digest"])
    (found,) = items(lock)
    assert (found.id, found.found) == (f"{ROOT_ID}:content", "the descriptor is damaged")
    assert f"{place.host}/{FOLDER} has to be deleted" in found.obstacle


def test_a_tag_that_stands_for_no_artifact():
    """Every tag of this server stands for something else than a manifest or index; nothing is there by digest."""
    strange = Reply(200, {"Content-Type": "application/json"}, b'{"schemaVersion": 1}')
    with ScriptedServer(lambda asked: Reply(404) if "sha256:" in asked.path else strange) as server:
        image_lock = dict(component=NAME, version="1.0.0", resource={"name": "app"}, reference=f"{server.host}/a/app:1.0")
        lock = dict(name="product", component=NAME, version="1.0.0", repository=f"http://{server.host}/a")
        found = told(dict(lock, descriptorDigest=None, images=[dict(image_lock, digest=None)]))
        assert found == {f"{each}:content": "something that is no OCI artifact" for each in (ROOT_ID, APP_ID)}
        found = told(dict(lock, descriptorDigest=IMAGE.digest, images=[dict(image_lock, digest=IMAGE.digest)]))
        assert found == {
            f"{ROOT_ID}:content": "nothing",
            f"{ROOT_ID}:tag": "something that is no OCI artifact",
            f"{APP_ID}:content": "manifest is missing",
            f"{APP_ID}:tag": "tag 1.0 stands for something that is no OCI artifact",
        }


def test_a_registry_that_does_not_answer_is_no_drift(lock):
    with pytest.raises(Unreachable, match="localhost:1"):
        items(dict(lock, repository="http://localhost:1/air-gapped"))


def test_a_registry_that_fails_is_no_drift(lock):
    with ScriptedServer(lambda asked: Reply(500)) as server:
        with pytest.raises(RegistryError):
            items(dict(lock, repository=f"http://{server.host}/air-gapped"))
        assert len(server.asked) == 1


@pytest.mark.parametrize("login", [{}, {"username": "reader", "password": "wrong-password-1"}])
def test_a_refused_login_is_no_drift(login, lock, basic_registry):
    entry = RegistrySettings.from_mapping(dict(login, host=basic_registry.host, plain_http=True))
    with pytest.raises(AuthError) as caught:
        items(dict(lock, repository=f"http://{basic_registry.host}/air-gapped"), entry)
    assert "wrong-password-1" not in str(caught.value)


def test_an_account_that_only_reads_is_enough(basic_registry):
    writer = RegistryPlace(basic_registry, ("writer", "writer-password-1"))
    found = put_component(writer, component(NAME), PREFIX)
    entry = RegistrySettings.from_mapping(dict(host=basic_registry.host, username="reader", password="reader-password-1"))
    head = dict(name="product", component=NAME, version="1.0.0", repository=writer.repository(PREFIX))
    assert items(dict(head, descriptorDigest=found, images=[]), entry) == []
