# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component versions made by hand, as the old OCM tool writes them, and read back without the code under test."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any, Dict, List, Mapping, Optional, Sequence

import yaml

from .images import OCI_MANIFEST, Artifact, artifact_set, digest, tar_of

CONFIG = "application/vnd.ocm.software.component.config.v1+json"
DESCRIPTOR = "application/vnd.ocm.software.component-descriptor.v2+yaml+tar"
CREATED = "2026-01-02T03:04:05Z"


def folder_of(component: str, prefix: str = "") -> str:
    return f"{prefix}/component-descriptors/{component}".lstrip("/")


def blob_digest(key: str) -> Dict[str, str]:
    return _digest(key, "genericBlobDigest/v1")


def artifact_digest(key: str) -> Dict[str, str]:
    return _digest(key, "ociArtifactDigest/v1")


def _digest(key: str, normalisation: str) -> Dict[str, str]:
    return {"hashAlgorithm": "SHA-256", "normalisationAlgorithm": normalisation, "value": key.partition(":")[2]}


def resource(
    name: str, access: Mapping[str, Any], digest: Optional[Mapping[str, str]] = None, **more: Any
) -> Dict[str, Any]:
    """A resource, external unless told otherwise."""
    given = {"name": name, "version": "1.0.0", "type": "blob", "relation": "external", "access": dict(access), **more}
    return dict(given, digest=dict(digest)) if digest else given


def image_resource(name: str, reference: str, artifact: Artifact, **more: Any) -> Dict[str, Any]:
    access = {"type": "ociArtifact", "imageReference": reference}
    return resource(name, access, artifact_digest(artifact.digest), **dict({"type": "ociImage"}, **more))


def local(name: str, content: bytes, media_type: str = "text/plain", hint: str = "", **more: Any) -> Dict[str, Any]:
    """A resource with its content in the component version; `blobs_of` finds it in the key `content`."""
    access = {"type": "localBlob", "localReference": digest(content), "mediaType": media_type}
    if hint:
        access["referenceName"] = hint
    return resource(
        name, access, **dict({"digest": blob_digest(digest(content)), "relation": "local", "content": content}, **more)
    )


def local_image(name: str, artifact: Artifact, hint: str, **more: Any) -> Dict[str, Any]:
    kind, content = artifact_set(artifact, hint.rpartition(":")[2])
    return local(
        name, content, kind, hint, **dict({"digest": artifact_digest(artifact.digest), "type": "ociImage"}, **more)
    )


def reference(name: str, component: str, version: str = "1.0.0", **more: Any) -> Dict[str, Any]:
    return {"name": name, "componentName": component, "version": version, **more}


def component(
    name: str, resources: Sequence[Mapping[str, Any]] = (), version: str = "1.0.0", **more: Any
) -> Dict[str, Any]:
    """A component descriptor, schema v2. Resources and sources may have the key `content`."""
    return {
        "meta": {"schemaVersion": "v2"},
        "component": {
            "name": name,
            "version": version,
            "provider": "acme.test",
            "creationTime": CREATED,
            "repositoryContexts": [],
            "sources": [],
            "componentReferences": [],
            "resources": [dict(item) for item in resources],
            **{key: value for key, value in more.items() if key != "signatures"},
        },
        **{key: value for key, value in more.items() if key == "signatures"},
    }


def put_component(place: Any, descriptor: Mapping[str, Any], prefix: str = "") -> str:
    """Write a component version. Returns the digest of its manifest."""
    content = json.loads(json.dumps(descriptor, default=lambda _bytes: None))
    path = folder_of(content["component"]["name"], prefix)
    layers = [_layer(place, path, kind, item) for kind, item in _elements(descriptor) if "content" in item]
    for _kind, item in _elements(content):
        item.pop("content", None)
    raw = tar_of({"component-descriptor.yaml": yaml.safe_dump(content).encode()})
    first = {"mediaType": DESCRIPTOR, "digest": digest(raw), "size": len(raw)}
    config = json.dumps({"componentDescriptorLayer": first}).encode()
    for blob in (raw, config):
        place.put_blob(path, blob)
    version = content["component"]["version"]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [first, *layers],
            "annotations": {"software.ocm.componentversion": f"{content['component']['name']}:{version}"},
        }
    ).encode()
    place.put_manifest(path, version.replace("+", ".build-"), OCI_MANIFEST, manifest)
    return digest(manifest)


def _elements(descriptor: Mapping[str, Any]) -> List[Any]:
    parts = descriptor["component"]
    return [("resource", item) for item in parts["resources"]] + [("source", item) for item in parts["sources"]]


def _layer(place: Any, path: str, kind: str, item: Mapping[str, Any]) -> Dict[str, Any]:
    content = item["content"]
    place.put_blob(path, content)
    owner = json.dumps([{"kind": kind, "identity": {"name": item["name"]}}])
    return {
        "mediaType": item["access"]["mediaType"],
        "digest": digest(content),
        "size": len(content),
        "annotations": {"software.ocm.artifact": owner},
    }


def read_manifest(place: Any, name: str, version: str = "1.0.0", prefix: str = "") -> Dict[str, Any]:
    """The manifest of a component version; where its tag stands for an index, the first one that this lists."""
    _kind, raw = place.manifest(folder_of(name, prefix), version.replace("+", ".build-"))
    top = json.loads(raw)
    if "manifests" in top:
        _kind, raw = place.manifest(folder_of(name, prefix), top["manifests"][0]["digest"])
    return json.loads(raw)


def read_component(place: Any, name: str, version: str = "1.0.0", prefix: str = "") -> Dict[str, Any]:
    """The descriptor of a component version."""
    layer = read_manifest(place, name, version, prefix)["layers"][0]
    raw = place.blob(folder_of(name, prefix), layer["digest"])
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        return yaml.safe_load(archive.extractfile("component-descriptor.yaml").read())


def accesses(descriptor: Mapping[str, Any], kind: str = "resources") -> Dict[str, Dict[str, Any]]:
    """Name to access."""
    return {item["name"]: item["access"] for item in descriptor["component"][kind]}
