# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository holds: component versions, manifests and blobs, as a small file that travels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Container, Dict, List, Mapping, Sequence, Tuple

from .digest import check_digest
from .errors import InvalidContent
from .manifest import parse_json
from .reference import ImageReference, check_component_name
from .version import tag_of

MAX_SNAPSHOT_SIZE = 256 * 1024 * 1024


@dataclass(frozen=True, order=True)
class HeldVersion:
    """A component version. digest: what its tag stands for, "" in a component archive."""

    component: str
    version: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.component}:{self.version}"

    def to_mapping(self) -> Dict[str, Any]:
        return {"component": self.component, "version": self.version, "digest": self.digest or None}


@dataclass(frozen=True, order=True)
class Held:
    """A manifest or a blob. size: bytes. paths: the repositories that have it, below the prefix."""

    digest: str
    size: int
    paths: Tuple[str, ...]

    def to_mapping(self) -> Dict[str, Any]:
        return {"digest": self.digest, "size": self.size, "repositories": list(self.paths)}


@dataclass(frozen=True)
class Snapshot:
    """What a repository holds. The same content gives the same bytes. repository: its name."""

    repository: str
    component_versions: Tuple[HeldVersion, ...] = ()
    manifests: Tuple[Held, ...] = ()
    blobs: Tuple[Held, ...] = ()

    def counts(self) -> Dict[str, int]:
        """Numbers of component versions, manifests and blobs, and the bytes of the blobs."""
        return {
            "component_versions": len(self.component_versions),
            "manifests": len(self.manifests),
            "blobs": len(self.blobs),
            "bytes": sum(blob.size for blob in self.blobs),
        }

    def to_bytes(self) -> bytes:
        content = {
            "schemaVersion": 1,
            "repository": self.repository,
            "componentVersions": [version.to_mapping() for version in sorted(self.component_versions)],
            "manifests": [manifest.to_mapping() for manifest in sorted(self.manifests)],
            "blobs": [blob.to_mapping() for blob in sorted(self.blobs)],
        }
        return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode("utf-8")

    @classmethod
    def parse(cls, raw: bytes, where: str) -> "Snapshot":
        """Raises InvalidContent for what is no snapshot."""
        content = parse_json(raw, where)
        lists = [content.get(key) for key in ("componentVersions", "manifests", "blobs")]
        if content.get("schemaVersion") != 1 or not all(isinstance(items, list) for items in lists):
            raise InvalidContent(
                f"{where} is not a snapshot of schemaVersion 1.", "Give a file that ocm_repository_snapshot has written."
            )
        repository = content.get("repository")
        if not isinstance(repository, str):
            raise InvalidContent(f"{where}: repository is not a text.")
        versions = tuple(_version(item, f"{where} componentVersions[{number}]") for number, item in enumerate(lists[0]))
        return cls(repository, versions, held_list(lists[1], f"{where} manifests"), held_list(lists[2], f"{where} blobs"))

    def lines(self) -> List[str]:
        """A line for each thing that is held, for a difference that a person reads."""
        versions = [f"component version {version} {version.digest}".rstrip() for version in sorted(self.component_versions)]
        kinds = (("manifest", self.manifests), ("blob", self.blobs))
        things = [f"{kind} {one.digest} {one.size} {' '.join(one.paths)}" for kind, held in kinds for one in sorted(held)]
        return versions + things


def held_list(values: Sequence[Any], where: str) -> Tuple[Held, ...]:
    """Read a list of manifests or blobs. Raises InvalidContent."""
    return tuple(_held(value, f"{where}[{number}]") for number, value in enumerate(values))


def collect(found: Mapping[str, Mapping[str, Any]]) -> Tuple[Held, ...]:
    """digest -> {"size": bytes, "paths": set of repositories} as a list in order."""
    return tuple(Held(digest, found[digest]["size"], tuple(sorted(found[digest]["paths"]))) for digest in sorted(found))


def common(snapshots: Sequence[Snapshot]) -> Snapshot:
    """What every one of the repositories holds, with all the places where one of them has it. Manifests are left out."""
    everything = merged(*snapshots)
    blobs = [{(blob.digest, blob.size) for blob in snapshot.blobs} for snapshot in snapshots]
    versions = [{(one.component, one.version) for one in snapshot.component_versions} for snapshot in snapshots]
    return Snapshot(
        everything.repository,
        tuple(one for one in everything.component_versions if all((one.component, one.version) in held for held in versions)),
        (),
        tuple(blob for blob in everything.blobs if all((blob.digest, blob.size) in held for held in blobs)),
    )


def merged(*snapshots: Snapshot) -> Snapshot:
    """What any of them tells of component versions and blobs; a digest means one blob."""
    blobs: Dict[str, Held] = {}
    versions: Dict[Tuple[str, str], HeldVersion] = {}
    for snapshot in snapshots:
        versions.update(((one.component, one.version), one) for one in snapshot.component_versions)
        for blob in snapshot.blobs:
            former = blobs.get(blob.digest, blob)
            blobs[blob.digest] = Held(blob.digest, former.size, tuple(sorted({*former.paths, *blob.paths})))
    names = ", ".join(sorted({snapshot.repository for snapshot in snapshots if snapshot.repository}))
    return Snapshot(names, tuple(sorted(versions.values())), (), tuple(blobs[digest] for digest in sorted(blobs)))


def restricted(snapshot: Snapshot, digests: Container[str]) -> Snapshot:
    """The snapshot with these blobs alone."""
    blobs = tuple(blob for blob in snapshot.blobs if blob.digest in digests)
    return Snapshot(snapshot.repository, snapshot.component_versions if blobs else (), (), blobs)


def _version(value: Any, where: str) -> HeldVersion:
    fields = value if isinstance(value, dict) else {}
    component, version, digest = (fields.get(key) for key in ("component", "version", "digest"))
    if not isinstance(component, str) or not isinstance(version, str):
        raise InvalidContent(f"{where} is not an entry with component and version.")
    check_component_name(component)
    tag_of(version)
    return HeldVersion(component, version, check_digest(digest, where) if digest else "")


def _held(value: Any, where: str) -> Held:
    fields = value if isinstance(value, dict) else {}
    size, paths = fields.get("size"), fields.get("repositories")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidContent(f"{where}: size is not a number of bytes.")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InvalidContent(f"{where}: repositories is not a list of paths.")
    for path in paths:
        ImageReference.parse(f"target.local/{path}")
    return Held(check_digest(fields.get("digest"), where), size, tuple(sorted(set(paths))))
