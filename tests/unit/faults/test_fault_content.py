# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that is not what its format demands, or names what it must not name."""

from __future__ import annotations

import base64
import json

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.components import (
    CONFIG,
    DESCRIPTOR,
    component,
    folder_of,
    local,
    local_image,
    put_component,
    reference,
    resource,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import APP, KIB, NAME, check_secrets, converges, noise
from ansible_collections.ocm.airgap.tests.support.images import (
    OCI_FOREIGN,
    OCI_INDEX,
    OCI_MANIFEST,
    Artifact,
    digest,
    image,
    tar_of,
)
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace

RIGHT = json.loads(APP.raw)
HEX = "0123456789abcdef" * 4


def with_layer(**changes):
    """The image's manifest, its last layer described otherwise (None: left out)."""
    described = dict(RIGHT["layers"][-1], **changes)
    described = {key: value for key, value in described.items() if value is not None}
    return json.dumps(dict(RIGHT, layers=[*RIGHT["layers"][:-1], described])).encode()


@pytest.fixture
def served(new_scene):
    """served(cases): every case is what the source gives as the manifest of an image; each has to be refused."""

    def serve(cases):
        scene = new_scene(stated=False)
        path = scene.folder / "manifest"
        scene.begin(reading=[Rule("GET|HEAD", "team/app/manifests/", faults.from_file(path), EVERY)])
        for name, raw in cases.items():
            path.write_bytes(raw)
            outcome = scene.fail()
            assert scene.reader.host in outcome.message or "team/app" in outcome.message, (name, outcome.message)
            assert scene.target.tags("into/team/app") == [], name
            assert scene.target.registry.uploads() == [], name
        path.unlink()
        converges(scene)

    return serve


@BOTH
def test_f22_digest_string_games(served):
    """The grammar comes first: nothing of a wrong digest reaches a path or an address."""
    names = {
        "upper case": f"sha256:{HEX.upper()}",
        "too short": "sha256:abc",
        "path": "sha256:../../../../etc/passwd",
        "md5": "md5:0123456789abcdef0123456789abcdef",
        "unknown": f"sha257:{HEX}",
        "two": f"sha256:{HEX}+sha512:{HEX}",
        "empty": "",
        "newline": f"sha256:{HEX}\n",
        "no text": 7,
    }
    served({name: with_layer(digest=value) for name, value in names.items()})


@BOTH
def test_f23_descriptor_sizes(served):
    """A size is part of what a descriptor names: a wrong one is refused, not corrected."""
    right = RIGHT["layers"][-1]["size"]
    sizes = [-1, 2**63, None, "12", 1.5, True, right + 1, right - 1]
    served({str(size): with_layer(size=size) for size in sizes})


@pytest.mark.parametrize("difference", [1, -1])
def test_f23_descriptor_sizes_in_an_artifact_set(difference, scene):
    """A set that comes from a registry is read in one pass: what does not fit in it is not passed over."""
    raw = with_layer(size=RIGHT["layers"][-1]["size"] + difference)
    wrong = Artifact([(APP.media_type, raw)], APP.blobs)
    scene.begin()
    put_component(scene.source, component(NAME, [local_image("app", wrong, "team/set:1.0")], "2.0.0"), "from")
    outcome = scene.fail(version="2.0.0")
    assert RIGHT["layers"][-1]["digest"] in outcome.message
    assert scene.target.tags("into/team/set") == []
    check_secrets(scene)


@BOTH
def test_f24_manifests(served):
    """Not JSON, too deep, too long, of no type or of two: refused, by name and without a traceback."""
    text = APP.raw.decode()
    served(
        {
            "nothing": b"",
            "cut off": APP.raw[:50],
            "not UTF-8": text.encode("utf-16"),
            "byte order mark": b"\xef\xbb\xbf" + APP.raw,
            "NaN": text.replace('"schemaVersion": 2', '"schemaVersion": NaN').encode(),
            "key twice": text.replace("{", '{"layers": [],', 1).encode(),
            "deep": b'{"schemaVersion": 2, "a": ' + b"[" * 10000 + b"]" * 10000 + b"}",
            "list": b"[]",
            "long": APP.raw + b" " * 9 * 1024 * KIB,
            "image and index": json.dumps(dict(RIGHT, manifests=[])).encode(),
            "type of an index": json.dumps(dict(RIGHT, mediaType=OCI_INDEX)).encode(),
            "layers no list": json.dumps(dict(RIGHT, layers={})).encode(),
            "no config": json.dumps({key: RIGHT[key] for key in RIGHT if key != "config"}).encode(),
        }
    )


def put_raw(place, version, text):
    """A component version whose descriptor is this text."""
    path, raw = folder_of(NAME, "from"), tar_of({"component-descriptor.yaml": text})
    first = {"mediaType": DESCRIPTOR, "digest": digest(raw), "size": len(raw)}
    config = json.dumps({"componentDescriptorLayer": first}).encode()
    for blob in (raw, config):
        place.put_blob(path, blob)
    described = {"mediaType": CONFIG, "digest": digest(config), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": [first]}
    place.put_manifest(path, version, OCI_MANIFEST, json.dumps(manifest).encode())


@BOTH
def test_f25_component_descriptors(scene):
    """Aliases, tags that make objects, wrong shapes and names with strange characters are refused."""
    usual = yaml.safe_dump(component(NAME, version="2.0.0"))

    def named(text):
        return yaml.safe_dump(component(NAME, [resource(text, {"type": "none"})], "2.0.0"), allow_unicode=True)

    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + at)}: &{chr(98 + at)} [{','.join(['*' + chr(97 + at)] * 9)}]\n" for at in range(9)
    )
    cases = [
        bomb + usual,
        usual + "more: !!python/object/apply:os.system ['touch /tmp/never']\n",
        usual.replace("meta:", "meta: &m").replace("component:", "component: *m #"),
        "[" * 5000,
        "just text",
        usual.replace("schemaVersion: v2", "schemaVersion: v99"),
        usual.replace(NAME, "other.test/product"),
        usual.replace("version: 2.0.0", "version: 3.0.0"),
        usual.replace("resources: []", "resources: 7"),
        named("nul\0"),
        named("right\u202eleft"),
        "\x00" + usual,
        usual + "#" * 33 * 1024 * KIB,
    ]
    scene.begin()
    for text in cases:
        put_raw(scene.source, "2.0.0", text.encode())
        outcome = scene.fail(version="2.0.0")
        assert NAME in outcome.message, outcome.message
        assert scene.target.tags(folder_of(NAME, "into")) == [], text[:60]
    converges(scene)


def graph(place, edges):
    for version, targets in edges.items():
        refs = [reference(f"to-{at}", NAME, target) for at, target in enumerate(targets)]
        put_component(place, component(NAME, [local("text", version.encode())], version, componentReferences=refs))


def test_f26_references_in_a_circle(ctf, tmp_path):
    """Told as what it is, with the way; nothing is written."""
    graph(ctf, {"1.0.0": ["1.0.1"], "1.0.1": ["1.0.2"], "1.0.2": ["1.0.0"]})
    call = dict(source=ctf.repository(), target=str(tmp_path / "into"), component=NAME, version="1.0.0")
    outcome = fail("ocm_transfer", call)
    assert "1.0.0" in outcome.message and "1.0.2" in outcome.message
    assert not (tmp_path / "into").exists()


def test_f26_deep_wide_and_diamond(ctf, tmp_path):
    """Deeper than Python's stack, fifty wide, and one that is reached on two ways, moved once."""
    deep = {f"1.0.{at}": [f"1.0.{at + 1}"] if at < 1010 else [] for at in range(1011)}
    wide = {"2.0.0": [f"2.0.{at}" for at in range(1, 51)], **{f"2.0.{at}": ["3.0.0"] for at in range(1, 51)}}
    graph(ctf, {**deep, **wide, "3.0.0": []})
    call = dict(source=ctf.repository(), target=str(tmp_path / "into"), component=NAME)
    assert len(succeed("ocm_transfer", dict(call, version="1.0.0"), check=True).actions()) == 1011
    found = succeed("ocm_transfer", dict(call, version="2.0.0")).result["component_versions"]
    assert len(found) == 52
    assert not succeed("ocm_transfer", dict(call, version="2.0.0")).result["changed"]


@pytest.fixture
def ctf(tmp_path):
    return CtfPlace(tmp_path / "ctf")


METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "access",
    [
        {"type": "ociArtifact", "imageReference": f"http://{METADATA}/team/app:1.0"},
        {"type": "ociBlob", "ref": f"http://{METADATA}/team/app", "digest": digest(b"x"), "size": 1},
        {"type": "wget", "url": f"http://{METADATA}/latest/meta-data"},
        {"type": "wget", "url": "http://2852039166/latest/meta-data"},
        {"type": "wget", "url": "file:///etc/passwd"},
        {"type": "wget", "url": "http://writer:canary-target-4722@localhost/x"},
        {"type": "helm", "helmRepository": f"http://{METADATA}", "helmChart": "x:1.0"},
        {"type": "helm", "helmRepository": "file:///etc", "helmChart": "x:1.0"},
    ],
    ids=lambda access: access["type"],
)
def test_f30_accesses_that_nobody_may_follow(access, scene):
    """Link-local addresses, files, logins in addresses: refused by name, and nothing is sent."""
    scene.begin()
    put_component(scene.source, component(NAME, [resource("evil", access)], "2.0.0"), "from")
    outcome = scene.fail(version="2.0.0", retries=0)
    assert "evil" in outcome.message or "link-local" in outcome.message
    assert scene.target.tags(folder_of(NAME, "into")) == []
    check_secrets(scene)


@BOTH
def test_f30_hosts_that_are_not_listed(scene):
    """access_hosts: what it does not list is refused before the first request; redirects stay without a login."""
    stranger = scene.stranger()
    scene.begin()
    access = {"type": "ociArtifact", "imageReference": f"{stranger.url}/team/app:1.0"}
    wget = {"type": "wget", "url": f"{stranger.url}/file"}
    helm = {"type": "helm", "helmRepository": stranger.url, "helmChart": "x:1.0"}
    evil = f"{scene.reader.host.partition(':')[0]}:{stranger.port}"
    for given in (access, wget, helm):
        put_component(scene.source, component(NAME, [resource("evil", given)], "2.0.0"), "from")
        outcome = scene.fail(version="2.0.0", access_hosts=["ghcr.io", "*.acme.example"])
        assert "access_hosts" in outcome.message and evil in outcome.message
    assert stranger.seen() == []
    scene.succeed(access_hosts=["ghcr.io"])
    converges(scene)


@BOTH
def test_f31_foreign_layers_and_data(ctf, scene, tmp_path):
    """Addresses inside a descriptor are never fetched, `data` is carried; all is kept byte by byte."""
    stranger = scene.stranger(Rule("GET", "", faults.answer(200, b"from elsewhere"), EVERY))
    layer, foreign = noise("layer", KIB), noise("foreign", KIB)
    plain = image([layer, foreign], types={1: OCI_FOREIGN})
    content = json.loads(plain.raw)
    content["layers"][0]["data"] = base64.b64encode(layer).decode()
    content["layers"][1]["urls"] = [f"{stranger.url}/layer"]
    raw = json.dumps(content, indent=1).encode()
    ctf.put("team/app", Artifact([(OCI_MANIFEST, raw)], plain.blobs), "1.0")
    access = {"type": "relativeOciReference", "reference": "team/app:1.0"}
    put_component(ctf, component(NAME, [resource("app", access, type="ociImage")]))
    into = CtfPlace(tmp_path / "into")
    call = dict(source=ctf.repository(), target=into.repository(), component=NAME, archive_layout="shared")
    succeed("ocm_transfer", call)
    for content in (raw, layer, foreign):
        assert into.blob("", digest(content)) == content
    assert not succeed("ocm_transfer", call).result["changed"]
    assert stranger.seen() == []


@BOTH
def test_f32_access_types_that_are_unknown(scene):
    """An error by default that says what could be done; never a resource that is silently not carried."""
    scene.begin()
    resources = [resource("strange", {"type": "carrierPigeon", "coop": 7}), local("text", b"text")]
    put_component(scene.source, component(NAME, resources, "2.0.0"), "from")
    outcome = scene.fail(version="2.0.0")
    assert "carrierPigeon" in outcome.message and "strange" in outcome.message
    assert scene.target.tags(folder_of(NAME, "into")) == []
    outcome = scene.succeed(version="2.0.0", by_reference_access_types=["carrierPigeon"])
    assert set(outcome.resource_actions()) == {"strange", "text"}
    converges(scene)
