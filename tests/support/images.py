# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OCI artifacts made by hand, byte by byte, for tests: images, indexes with platforms and attestations, sets."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def spaced_json(value: Any) -> bytes:
    """JSON that nobody who writes it anew would write the same way."""
    return (json.dumps(value, indent=3) + "\n").encode()


@dataclass(frozen=True)
class Artifact:
    """Manifests, children before parents and the main one last, as (media type, bytes); blobs by digest."""

    manifests: Sequence[Tuple[str, bytes]]
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        return self.manifests[-1][0]

    @property
    def raw(self) -> bytes:
        return self.manifests[-1][1]

    @property
    def digest(self) -> str:
        return digest(self.raw)

    def digests(self) -> List[str]:
        """Of everything: manifests and blobs."""
        return sorted([digest(raw) for _kind, raw in self.manifests] + list(self.blobs))


def layer(text: str) -> bytes:
    """A gzipped tar with one file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(target.getvalue(), mtime=0)


def image(
    layers: Sequence[bytes],
    docker: bool = False,
    platform: str = "amd64",
    types: Optional[Mapping[int, str]] = None,
    **more: Any,
) -> Artifact:
    """An image of one platform. types: other media types for single layers. more: further fields of the manifest."""
    usual = DOCKER_LAYER if docker else OCI_LAYER
    diff_ids = [digest(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content) for content in layers]
    config = json.dumps(
        {"architecture": platform, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    content = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
        "config": _descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, config),
        "layers": [_descriptor((types or {}).get(number, usual), blob) for number, blob in enumerate(layers)],
        **more,
    }
    blobs = {digest(blob): blob for blob in [config, *layers]}
    return Artifact([(content["mediaType"], spaced_json(content))], blobs)


def attestation(subject: Artifact, text: str = "{}") -> Artifact:
    """What buildx puts beside an image: a manifest with an in-toto statement."""
    return image([text.encode()], platform="unknown", types={0: IN_TOTO})


def index(children: Sequence[Tuple[str, Artifact]], docker: bool = False, **more: Any) -> Artifact:
    """An index over (architecture, artifact)."""
    entries = [
        dict(
            _descriptor(child.media_type, child.raw),
            platform={"os": "unknown" if platform == "unknown" else "linux", "architecture": platform},
        )
        for platform, child in children
    ]
    kind = DOCKER_LIST if docker else OCI_INDEX
    raw = spaced_json({"schemaVersion": 2, "mediaType": kind, "manifests": entries, **more})
    manifests = [manifest for _platform, child in children for manifest in child.manifests]
    blobs = {key: blob for _platform, child in children for key, blob in child.blobs.items()}
    return Artifact([*manifests, (kind, raw)], blobs)


def two_platforms(name: str, docker: bool = False, attested: bool = False) -> Artifact:
    """An index with amd64 and arm64 that share their first layer; with an attestation if wanted."""
    base = layer(f"{name} base")
    parts = [(arch, image([base, layer(f"{name} {arch}")], docker, arch)) for arch in ("amd64", "arm64")]
    if attested:
        parts.append(("unknown", attestation(parts[0][1], json.dumps({"subject": name}))))
    return index(parts, docker)


def artifact_set(artifact: Artifact, tag: str = "") -> Tuple[str, bytes]:
    """Media type and content of a blob that holds the artifact, as the old OCM tool packs it."""
    listed = [_descriptor(kind, raw) for kind, raw in artifact.manifests]
    if tag:
        listed[-1]["annotations"] = {"org.opencontainers.image.ref.name": tag, "software.ocm/tags": tag}
    head = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    head["annotations"] = {"software.ocm/main": artifact.digest}
    files = {"index.json": json.dumps(head).encode(), "oci-layout": b'{\n    "imageLayoutVersion": "1.0.0"\n}\n'}
    files.update({_flat(digest(raw)): raw for _kind, raw in artifact.manifests})
    files.update({_flat(key): blob for key, blob in artifact.blobs.items()})
    return artifact.media_type.replace("+json", "+tar+gzip"), gzip.compress(tar_of(files), mtime=0)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def unpacked_set(content: bytes) -> Dict[str, bytes]:
    """Digest to bytes of everything in an artifact set."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        members = [item for item in archive.getmembers() if item.isfile() and item.name.startswith("blobs/sha256")]
        return {item.name[len("blobs/") :].replace(".", ":", 1): archive.extractfile(item).read() for item in members}


def _flat(key: str) -> str:
    return "blobs/" + key.replace(":", ".")


def _descriptor(kind: str, content: bytes) -> Dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}
