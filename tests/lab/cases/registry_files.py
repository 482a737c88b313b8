# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a registry of the estate holds, read from its disk, and changed there: no client can be wrong about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_V2 = Path("data", "docker", "registry", "v2")


def tags(folder: Path, prefix: str) -> dict[str, set[str]]:
    """Repository below the prefix -> the tags that can be seen there. folder: the registry's."""
    root = folder / _V2 / "repositories"
    found: dict[str, set[str]] = {}
    for place in sorted((root / prefix).rglob("_manifests/tags/*")):
        if (place / "current" / "link").exists():
            found.setdefault(str(place.parents[2].relative_to(root)), set()).add(place.name)
    return found


def incomplete(folder: Path, prefix: str) -> list[str]:
    """Repository and digest of everything that a tag leads to and that is not there."""
    root = folder / _V2 / "repositories"
    links = (root / prefix).rglob("_manifests/tags/*/current/link")
    lacking = (_lacking(folder, link.parents[4], link.read_text(encoding="utf-8").strip()) for link in links)
    return sorted(f"{each.parent} {each.name}" for group in lacking for each in group)


def _lacking(folder: Path, repository: Path, digest: str) -> Iterator[Path]:
    algorithm, _colon, code = digest.partition(":")
    content = folder / _V2 / "blobs" / algorithm / code[:2] / code / "data"
    if not content.exists() or not (repository / "_manifests" / "revisions" / algorithm / code).exists():
        yield repository / digest
        return
    manifest = json.loads(content.read_bytes())
    for blob in [manifest[name] for name in ("config",) if name in manifest] + manifest.get("layers", []):
        algorithm, _colon, code = blob["digest"].partition(":")
        linked = repository / "_layers" / algorithm / code / "link"
        if not linked.exists() or not (folder / _V2 / "blobs" / algorithm / code[:2] / code / "data").exists():
            yield repository / blob["digest"]
    for child in manifest.get("manifests", []):
        yield from _lacking(folder, repository, child["digest"])


def forget_image(folder: Path, repository: str) -> None:
    """Somebody deletes all images of a repository; their layers stay. Other repositories keep what they have."""
    for name in ("tags", "revisions"):
        shutil.rmtree(folder / _V2 / "repositories" / repository / "_manifests" / name)


def forget_layer(folder: Path, repository: str, digest: str) -> None:
    """Somebody deletes a layer of a repository."""
    algorithm, _colon, code = digest.partition(":")
    (folder / _V2 / "repositories" / repository / "_layers" / algorithm / code / "link").unlink()


def move_tag(folder: Path, repository: str, tag: str, digest: str) -> None:
    """Somebody has a tag stand for another manifest of the repository."""
    _link(folder, repository, tag).write_text(digest, encoding="utf-8")


def stands_for(folder: Path, repository: str, tag: str) -> str:
    """The digest behind a tag that is there."""
    return _link(folder, repository, tag).read_text(encoding="utf-8")


def _link(folder: Path, repository: str, tag: str) -> Path:
    return folder / _V2 / "repositories" / repository / "_manifests" / "tags" / tag / "current" / "link"


def manifest(folder: Path, digest: str) -> dict[str, Any]:
    """A manifest that the registry holds, as a mapping."""
    algorithm, _colon, code = digest.partition(":")
    found: dict[str, Any] = json.loads((folder / _V2 / "blobs" / algorithm / code[:2] / code / "data").read_bytes())
    return found
