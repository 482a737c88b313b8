# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every form in which OCM's and Gardener's tools wrote a component version into an OCI repository."""

from __future__ import annotations

import json
import tarfile

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import DigestMismatch, InvalidContent, NotFound
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import (
    CONFIG_TYPE,
    DESCRIPTOR_FILE,
    OCI_INDEX,
    OCI_MANIFEST,
    content_descriptor,
    digest_of,
    member,
    tar,
    to_json,
    to_yaml,
)
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.descriptors import resource, v2

DESCRIPTOR = v2(resources=[resource()])
YAML, JSON = to_yaml(DESCRIPTOR), to_json(DESCRIPTOR)
OCM, GARDENER = "application/vnd.ocm.software", "application/vnd.gardener.cloud.cnudie"
OLDEST = "application/vnd.oci.gardener.cloud.cnudie.component-descriptor"


def named_tar(name, content=YAML, tar_format=tarfile.USTAR_FORMAT):
    return tar((name, content), tar_format=tar_format)


def without_magic(raw):
    """The tar as it was before POSIX: no magic, checksum right."""
    header = bytearray(raw[:512])
    header[257:265], header[148:156] = bytes(8), b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + raw[512:]


def read(builder, open_path):
    return open_path(builder.folder).read("acme.org/demo", "1.0.0")


@pytest.mark.parametrize("layer_type, encoded", [
    (f"{OCM}.component-descriptor.v2+yaml+tar", named_tar(DESCRIPTOR_FILE)),
    (f"{OCM}.component-descriptor.v2+yaml", YAML),
    (f"{OCM}.component-descriptor.v2+json", JSON),
    (f"{OCM}.component-descriptor.v2+json+tar", named_tar(DESCRIPTOR_FILE, JSON)),
    (f"{GARDENER}.component-descriptor.v2+yaml+tar", named_tar(DESCRIPTOR_FILE)),
    (f"{GARDENER}.component-descriptor.v2+yaml", YAML),
    (f"{GARDENER}.component-descriptor.v2+json", JSON),
    (f"{OLDEST}.config.v2+yaml+tar", named_tar(DESCRIPTOR_FILE)),
    (f"{OCM}.component-descriptor.v2+yaml+tar", YAML),
    (f"{OCM}.component-descriptor.v2+yaml", named_tar(DESCRIPTOR_FILE)),
    (f"{OCM}.component-descriptor.v2+yaml+tar", named_tar(f"./{DESCRIPTOR_FILE}")),
    (f"{OCM}.component-descriptor.v2+yaml+tar", named_tar(f"/{DESCRIPTOR_FILE}")),
    (f"{OCM}.component-descriptor.v2+yaml+tar", named_tar(DESCRIPTOR_FILE, tar_format=tarfile.PAX_FORMAT)),
    (f"{OCM}.component-descriptor.v2+yaml+tar", without_magic(named_tar(DESCRIPTOR_FILE))),
    (f"{OCM}.component-descriptor.v2+yaml+tar", tar(("other", b"x"), (DESCRIPTOR_FILE, YAML))),
    ("application/octet-stream", YAML),
], ids=lambda value: value if isinstance(value, str) else repr(value[:24]))
def test_the_descriptor_layer(layer_type, encoded, builder, open_path):
    builder.component(DESCRIPTOR, encoded=encoded, layer_type=layer_type)
    assert read(builder, open_path).descriptor.content == DESCRIPTOR


@pytest.mark.parametrize("encoded, words", [
    (named_tar("other.yaml"), "has no component-descriptor.yaml"),
    (tar(member(DESCRIPTOR_FILE, kind=tarfile.SYMTYPE, linkname="/etc/passwd")), "a link"),
    (named_tar(DESCRIPTOR_FILE)[:700], "tar cannot be read"),
    (named_tar(DESCRIPTOR_FILE, b"a: ["), "not valid YAML"),
    (b"", "is not a mapping"),
    (b"\x1f\x8b\x08\x00", "not valid YAML"),
    (to_yaml(v2(name="acme.org/other")), "the descriptor there is that of acme.org/other:1.0.0"),
    (to_yaml(v2(version="1.0.1")), "the descriptor there is that of acme.org/demo:1.0.1"),
    (to_yaml(v2(version="latest")), "component.version: 'latest' is not a version"),
])
def test_a_damaged_descriptor_is_named(encoded, words, builder, open_path):
    builder.component(DESCRIPTOR, encoded=encoded)
    with pytest.raises(InvalidContent) as caught:
        read(builder, open_path)
    assert words in str(caught.value)
    assert "acme.org/demo:1.0.0" in str(caught.value)


@pytest.mark.parametrize("config_type", [
    CONFIG_TYPE, f"{GARDENER}.component.config.v1+json", f"{OLDEST}-metadata.config.v2+json",
])
@pytest.mark.parametrize("config", [None, b"{}", b'{"other": 1}', b"not json", b'{"componentDescriptorLayer": null}', b'{"componentDescriptorLayer": 5}'])
@pytest.mark.parametrize("layer_type", [f"{OCM}.component-descriptor.v2+yaml", "text/plain"], ids=["typed", "untyped"])
def test_the_config(config_type, config, layer_type, builder, open_path):
    builder.component(DESCRIPTOR, encoded=YAML, layer_type=layer_type, config_type=config_type, config=config)
    assert read(builder, open_path).descriptor.content == DESCRIPTOR


@pytest.mark.parametrize("layer_type", [f"{OCM}.component-descriptor.v2+yaml", "text/plain"])
def test_the_config_names_a_layer_that_is_not_the_first(layer_type, builder, open_path):
    config = to_json({"componentDescriptorLayer": content_descriptor(YAML, layer_type)})
    layers = [content_descriptor(b"first", layer_type), content_descriptor(YAML, layer_type)]
    builder.blob(b"first")
    manifest = json.loads(builder.descriptor_manifest(DESCRIPTOR, encoded=YAML, layer_type=layer_type, config=config))
    raw = builder.blob(to_json(dict(manifest, layers=layers)))
    builder.entry("component-descriptors/acme.org/demo", raw, tag="1.0.0")
    assert read(builder, open_path).descriptor.content == DESCRIPTOR


@pytest.mark.parametrize("config_type", ["application/vnd.oci.image.config.v1+json", "application/vnd.cncf.helm.config.v1+json", ""])
def test_a_tag_that_stands_for_something_else_is_no_component_version(config_type, builder, open_path):
    builder.component(DESCRIPTOR, config_type=config_type)
    with pytest.raises(NotFound, match="no component version"):
        read(builder, open_path)


def test_a_manifest_without_layers_is_named(builder, open_path):
    raw = builder.blob(to_json({"schemaVersion": 2, "config": content_descriptor(builder.blob(b"{}"), CONFIG_TYPE), "layers": []}))
    builder.entry("component-descriptors/acme.org/demo", raw, tag="1.0.0")
    with pytest.raises(InvalidContent, match="no layer"):
        read(builder, open_path)


def index_of(builder, *children, **more):
    raw = builder.blob(to_json(dict({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children)}, **more)))
    builder.entry("component-descriptors/acme.org/demo", raw, tag="1.0.0", mediaType=OCI_INDEX)


def descriptor_child(builder, **more):
    raw = builder.blob(builder.descriptor_manifest(DESCRIPTOR, encoded=JSON, layer_type=f"{OCM}.component-descriptor.v2+json"))
    return content_descriptor(raw, OCI_MANIFEST, **more)


def image_child(builder, **more):
    raw = builder.blob(to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": content_descriptor(b"{}", "x/y"), "layers": []}))
    return content_descriptor(raw, OCI_MANIFEST, **more)


def test_the_index_layout_with_the_descriptor_first(builder, open_path):
    index_of(builder, descriptor_child(builder), image_child(builder))
    assert read(builder, open_path).descriptor.content == DESCRIPTOR


@pytest.mark.parametrize("mark", [
    {"annotations": {"software.ocm.descriptor": "true"}},
    {"artifactType": "application/vnd.ocm.software.component-descriptor.v2"},
    {"artifactType": CONFIG_TYPE},
], ids=["annotation", "artifact type", "config type"])
def test_the_index_layout_with_a_mark(mark, builder, open_path):
    index_of(builder, image_child(builder), descriptor_child(builder, **mark))
    assert read(builder, open_path).descriptor.content == DESCRIPTOR


def test_an_index_without_a_descriptor_is_no_component_version(builder, open_path):
    index_of(builder, image_child(builder), descriptor_child(builder))
    with pytest.raises(NotFound, match="no component version"):
        read(builder, open_path)


def test_an_empty_index_is_no_component_version(builder, open_path):
    index_of(builder)
    with pytest.raises(NotFound, match="empty index"):
        open_path(builder.folder).read("acme.org/demo", "1.0.0")


HELLO, WORLD = b"hello ", b"world"


@pytest.mark.parametrize("access, expected, digest, size", [
    ({"type": "localBlob", "localReference": digest_of(HELLO), "mediaType": "text/x"}, HELLO, digest_of(HELLO), 6),
    ({"type": "LocalBlob/v1", "localReference": digest_of(HELLO)}, HELLO, digest_of(HELLO), 6),
    ({"type": "localOciBlob", "digest": digest_of(HELLO)}, HELLO, digest_of(HELLO), 6),
    ({"type": "localBlob", "localReference": f"{digest_of(HELLO)},{digest_of(WORLD)}", "mediaType": "text/x"}, HELLO + WORLD, "", 11),
    ({"type": "localBlob", "localReference": f"{digest_of(WORLD)}, {digest_of(HELLO)}"}, WORLD + HELLO, "", 11),
    ({"type": "localBlob", "localReference": digest_of(b"elsewhere")}, b"elsewhere", digest_of(b"elsewhere"), -1),
], ids=["localBlob", "LocalBlob/v1", "localOciBlob", "two chunks", "chunks with a blank", "no layer"])
def test_local_blobs(access, expected, digest, size, builder, open_path, read_blob):
    descriptor = v2(resources=[resource(access=access)])
    builder.blob(b"elsewhere")
    builder.component(descriptor, [(HELLO, "text/plain"), (WORLD, "text/plain")])
    found = read(builder, open_path)
    content = found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here")
    assert (read_blob(content), content.digest, content.size) == (expected, digest, size)
    assert content.media_type == (access.get("mediaType") or ("" if size != 6 else "text/plain"))


@pytest.mark.parametrize("access, error, words", [
    ({"type": "localBlob"}, InvalidContent, "has no localReference"),
    ({"type": "localBlob", "localReference": "sha256:../../x"}, InvalidContent, "is not a digest"),
    ({"type": "localBlob", "localReference": "../artifact-index.json"}, InvalidContent, "is not a digest"),
    ({"type": "localBlob", "localReference": f"{digest_of(HELLO)},"}, InvalidContent, "is not a digest"),
    ({"type": "localFilesystemBlob", "fileName": "x"}, NotFound, "only be read in a component archive"),
    ({"type": "localBlob", "localReference": digest_of(b"gone")}, NotFound, "has no blobs/sha256."),
])
def test_local_blobs_that_are_not_there(access, error, words, builder, open_path, read_blob):
    builder.component(v2(resources=[resource(access=access)]))
    found = read(builder, open_path)
    with pytest.raises(error) as caught:
        read_blob(found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "acme.org/demo:1.0.0 resource file"))
    assert words in str(caught.value)


def test_a_changed_blob_is_found_while_it_is_read(builder, open_path, read_blob):
    access = {"type": "localBlob", "localReference": digest_of(HELLO)}
    builder.component(v2(resources=[resource(access=access)]), [(HELLO, "text/plain")])
    (builder.folder / "blobs" / digest_of(HELLO).replace(":", ".")).write_bytes(b"HELLO ")
    found = read(builder, open_path)
    with pytest.raises(DigestMismatch):
        read_blob(found.local_blob(found.descriptor.access_of(found.descriptor.resources[0]), "here"))
