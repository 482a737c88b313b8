# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that tests build by hand, good and damaged ones: tars, CTFs, component versions in a CTF."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import yaml

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.ocm.software.component.config.v1+json"
LAYER_TYPE = "application/vnd.ocm.software.component-descriptor.v2+yaml+tar"
DESCRIPTOR_FILE = "component-descriptor.yaml"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def to_json(value):
    return json.dumps(value).encode("utf-8")


def to_yaml(value):
    return yaml.safe_dump(value).encode("utf-8")


def content_descriptor(content, media_type, **more):
    return dict({"mediaType": media_type, "digest": digest_of(content), "size": len(content)}, **more)


def member(name, content=b"", kind=tarfile.REGTYPE, **fields):
    """A tar entry: TarInfo and content."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*members, tar_format=tarfile.PAX_FORMAT):
    """The bytes of a tar of (TarInfo, content) pairs or (name, content) pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for info, content in members:
            if isinstance(info, str):
                info, content = member(info, content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def packed(content, compress):
    """The bytes as they are, or gzipped."""
    return gzip.compress(content, mtime=0) if compress else content


class CtfBuilder:
    """A CTF folder made by hand. Nothing that is put in is checked."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = []
        (folder / "blobs").mkdir(parents=True)
        self.write_index()

    def blob(self, content):
        (self.folder / "blobs" / digest_of(content).replace(":", ".")).write_bytes(content)
        return content

    def entry(self, repository, content, **fields):
        self.entries.append(dict({"repository": repository, "digest": digest_of(content)}, **fields))
        self.write_index()

    def write_index(self, **changes):
        index = dict({"schemaVersion": 1, "artifacts": self.entries}, **changes)
        (self.folder / "artifact-index.json").write_bytes(to_json(index))

    def component(self, descriptor, layers=(), **form):
        """A component version. layers: (content, media type). form: see descriptor_manifest. Returns the manifest's bytes."""
        manifest = self.blob(self.descriptor_manifest(descriptor, layers, **form))
        head = descriptor["component"]
        self.entry(f"component-descriptors/{head['name']}", manifest, tag=head["version"].replace("+", ".build-"))
        return manifest

    def descriptor_manifest(self, descriptor, layers=(), encoded=None, layer_type=LAYER_TYPE, config_type=CONFIG_TYPE, config=None, **manifest):
        """encoded: the bytes of the descriptor's layer; config: a text in place of the usual config."""
        encoded = tar((DESCRIPTOR_FILE, to_yaml(descriptor))) if encoded is None else encoded
        first = content_descriptor(encoded, layer_type)
        config = to_json({"componentDescriptorLayer": first}) if config is None else config
        content = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": content_descriptor(config, config_type),
            "layers": [first] + [content_descriptor(layer, media_type) for layer, media_type in layers],
        }
        for blob in [encoded, config] + [layer for layer, _media_type in layers]:
            self.blob(blob)
        return to_json(dict(content, **manifest))
