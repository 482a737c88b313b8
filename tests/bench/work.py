# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work that is moved: images of seeded random bytes, the same on every machine, and components that deliver them.

Layers are gzip files of stored blocks, so that they are as long as what is in them, and are made anew when they are
read: whoever measures memory beside this process wants it small.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import tarfile
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple, Union

from ..support.images import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest

KIB, MIB = 1024, 1024 * 1024
_STORED = 65535
_PIECE = 16 * _STORED


class Layer:
    """A layer with one file of `size` random bytes that follow from `seed`."""

    def __init__(self, seed: str, size: int) -> None:
        self._seed = seed
        self._size = size

    def blocks(self) -> Iterator[bytes]:
        """The layer's bytes, a piece at a time."""
        return _gzipped(self._tar())

    def _tar(self) -> Iterator[bytes]:
        info = tarfile.TarInfo("content")
        info.size = self._size
        yield info.tobuf(tarfile.USTAR_FORMAT)
        source = random.Random(self._seed)
        for start in range(0, self._size, _PIECE):
            yield source.randbytes(min(_PIECE, self._size - start))
        yield bytes(-self._size % 512 + 1024)

    @cached_property
    def _facts(self) -> Tuple[str, int]:
        whole, size = hashlib.sha256(), 0
        for block in self.blocks():
            whole.update(block)
            size += len(block)
        return f"sha256:{whole.hexdigest()}", size

    @property
    def digest(self) -> str:
        return self._facts[0]

    @property
    def size(self) -> int:
        return self._facts[1]

    @cached_property
    def diff_id(self) -> str:
        """The digest of the tar in the layer."""
        whole = hashlib.sha256()
        for block in self._tar():
            whole.update(block)
        return f"sha256:{whole.hexdigest()}"


def _gzipped(content: Iterator[bytes]) -> Iterator[bytes]:
    """RFC 1952 with blocks that are stored (RFC 1951, 3.2.4)."""
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    check, size = 0, 0
    for piece in content:
        check, size = zlib.crc32(piece, check), size + len(piece)
        for start in range(0, len(piece), _STORED):
            part = piece[start : start + _STORED]
            yield struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part
    yield struct.pack("<BHHII", 1, 0, 0xFFFF, check, size & 0xFFFFFFFF)


Content = Union[Layer, bytes]


@dataclass(frozen=True)
class Image:
    """An image at the source. manifests: children before the index, as (media type, bytes)."""

    path: str
    tag: str
    manifests: Sequence[Tuple[str, bytes]]
    blobs: Mapping[str, Content]

    @property
    def digest(self) -> str:
        return digest(self.manifests[-1][1])

    @property
    def reference(self) -> str:
        return f"{self.path}:{self.tag}"


@dataclass(frozen=True)
class Work:
    """A component version and the images that it delivers."""

    component: str
    version: str
    images: Sequence[Image] = field(repr=False)

    @cached_property
    def blobs(self) -> Dict[str, Content]:
        """Every distinct blob of the images."""
        return {key: content for image in self.images for key, content in image.blobs.items()}

    @cached_property
    def manifests(self) -> List[str]:
        """The digests of the distinct manifests of the images."""
        return sorted({digest(raw) for image in self.images for _kind, raw in image.manifests})

    @property
    def mounts(self) -> int:
        """Blobs that a repository can have from another one: those of all repositories without the distinct ones."""
        places = {(image.path, key) for image in self.images for key in image.blobs}
        return len(places) - len(self.blobs)

    @property
    def size(self) -> int:
        """Bytes of the distinct blobs."""
        return sum(size_of(content) for content in self.blobs.values())


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.size


def make_image(path: str, tag: str, platforms: Mapping[str, Sequence[Layer]]) -> Image:
    """An index of platforms, or for one platform its manifest alone."""
    blobs: Dict[str, Content] = {}
    manifests: List[Tuple[str, bytes]] = []
    entries = []
    for architecture, layers in platforms.items():
        config = _config(architecture, layers)
        blobs.update({digest(config): config, **{layer.digest: layer for layer in layers}})
        raw = _manifest(config, layers)
        manifests.append((OCI_MANIFEST, raw))
        platform = {"os": "linux", "architecture": architecture}
        entries.append({**_descriptor(OCI_MANIFEST, digest(raw), len(raw)), "platform": platform})
    if len(entries) > 1:
        manifests.append((OCI_INDEX, _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})))
    return Image(path, tag, manifests, blobs)


def _config(architecture: str, layers: Sequence[Layer]) -> bytes:
    root = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    return _json({"architecture": architecture, "os": "linux", "config": {}, "rootfs": root})


def _manifest(config: bytes, layers: Sequence[Layer]) -> bytes:
    listed = [_descriptor(OCI_LAYER, layer.digest, layer.size) for layer in layers]
    first = _descriptor(OCI_CONFIG, digest(config), len(config))
    return _json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": first, "layers": listed})


def _descriptor(kind: str, key: str, size: int) -> Dict[str, object]:
    return {"mediaType": kind, "digest": key, "size": size}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


@dataclass(frozen=True)
class Scale:
    """How large the workloads are; sizes in bytes."""

    images: int = 20
    layer: int = 3 * MIB
    small: int = 10 * MIB
    large: int = 1024 * MIB
    many: int = 300
    thin: int = 20_000


SMALL = Scale(images=4, layer=48 * KIB, small=256 * KIB, large=4 * MIB, many=12, thin=2_000)
SCALES = {"full": Scale(), "small": SMALL}
ARCHITECTURES = ("amd64", "arm64")


def several(scale: Scale) -> Work:
    """W1: images of two platforms with 6 layers each, 3 of which all images share."""
    return Work("bench.test/several", "1.0.0", [_of_several(scale, number) for number in range(scale.images)])


def several_changed(scale: Scale) -> Work:
    """W3: W1 with another last layer on one platform of the first image."""
    first = _of_several(scale, 0, "1.0.1", changed=True)
    return Work("bench.test/several", "1.0.1", [first, *several(scale).images[1:]])


def _of_several(scale: Scale, number: int, tag: str = "1.0.0", changed: bool = False) -> Image:
    shared = [Layer(f"shared {each}", scale.layer) for each in range(3)]
    platforms = {}
    for architecture in ARCHITECTURES:
        own = [Layer(f"image {number} {architecture} {each}", scale.layer) for each in range(3)]
        if changed and architecture == ARCHITECTURES[0]:
            own[-1] = Layer(f"image {number} {architecture} changed", scale.layer)
        platforms[architecture] = shared + own
    return make_image(f"several/app{number:03}", tag, platforms)


def one(size: int) -> Work:
    """W4: one image with one layer of `size`."""
    image = make_image("one/app", str(size), {"amd64": [Layer(f"one {size}", size)]})
    return Work("bench.test/one", f"1.0.{size}", [image])


def many(scale: Scale) -> Work:
    """W5: many images of 5 thin layers that no other image has."""
    images = []
    for number in range(scale.many):
        layers = [Layer(f"thin {number} {each}", scale.thin) for each in range(5)]
        images.append(make_image(f"many/app{number:03}", "1.0.0", {"amd64": layers}))
    return Work("bench.test/many", "1.0.0", images)
