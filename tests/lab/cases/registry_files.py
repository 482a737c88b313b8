# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a registry of the estate holds, read from its disk: no client can be wrong about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

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
