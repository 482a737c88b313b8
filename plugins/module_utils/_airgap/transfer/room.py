# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the disk of an archive has the room that a plan takes, told before anything is written. Nothing is written here.

What an interrupted run has left counts as written. Content whose size only reading tells does not count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Container, Dict, Iterable

from ..model.manifest import ContentDescriptor
from ..store.archive_files import check_room
from ..store.component_store import ComponentStore, CtfStore
from ..store.component_version import ArtifactContent
from ..store.ctf import TarTarget
from ..store.repository import ArtifactTree
from .archive import set_name
from .forecast import in_tar, set_bytes, versions_bytes
from .moves import moving
from .plan import Plan

COMPRESSED = ("gzip", "zstd")
TWICE = "While a .tar or .tgz is written, its content lies in a folder beside it as well; a folder takes its room once."


@dataclass
class _Content:
    """What an archive gets. blobs: those that lie in it as they are, by digest. sets: artifacts to pack, by name."""

    blobs: Dict[str, ContentDescriptor] = field(default_factory=dict)
    sets: Dict[str, ArtifactTree] = field(default_factory=dict)


def check_room_for(plan: Plan, target: ComponentStore) -> None:
    """Raises NoRoom with the bytes that the archive `target` takes on its disk until it is finished, at most."""
    if not isinstance(target, CtfStore):
        return
    if not plan.changes and not (target.tar and target.tar.other_form):
        return
    content = _content(plan)
    collected = _collected(content, target) + versions_bytes(plan)
    packed = _packed(content, target.tar) if target.tar else 0
    check_room(target.path, collected + packed, TWICE if packed else "")


def _content(plan: Plan) -> _Content:
    found = _Content()
    held = plan.target.held.get("", frozenset())
    for _version, element in moving(plan):
        facts, content = element.facts, element.facts.content
        if element.is_shared:
            manifests = [manifest.descriptor() for manifest in facts.tree.manifests]
            found.blobs.update(_listed([*manifests, *facts.tree.blobs], held))
        elif facts.tree is not None:
            found.sets[set_name(facts)] = facts.tree
        else:
            blob = content.packed if isinstance(content, ArtifactContent) else content
            found.blobs.update(_listed([ContentDescriptor(blob.media_type, blob.digest, blob.size)], held))
    return found


def _listed(blobs: Iterable[ContentDescriptor], held: Container[str]) -> Dict[str, ContentDescriptor]:
    return {blob.digest: blob for blob in blobs if blob.digest and blob.size > 0 and blob.digest not in held}


def _collected(content: _Content, target: CtfStore) -> int:
    """Bytes that are not there yet: of blobs, of artifact sets, and of blobs that sets share, which are kept meanwhile."""
    ctf = target.ctf
    sets = {name: tree for name, tree in content.sets.items() if ctf.recall(name) is None}
    users = Counter(blob.digest for tree in sets.values() for blob in tree.blobs)
    kept = {
        blob.digest: blob.size
        for tree in sets.values()
        for blob in tree.blobs
        if users[blob.digest] > 1 and not ctf.is_spooled(blob.digest)
    }
    missing = ctf.bytes_missing({blob.digest: blob.size for blob in content.blobs.values()})
    return missing + sum(map(set_bytes, sets.values())) + sum(kept.values())


def _packed(content: _Content, tar: TarTarget) -> int:
    """Bytes of the new tar, which is written from what was collected, and from the old tar, which goes only then."""
    blobs = [blob for blob in content.blobs.values() if not tar.has(blob.digest)]
    if tar.compresses:
        # By how much other content gets smaller nobody knows before it is packed.
        in_sets = [blob for tree in content.sets.values() for blob in tree.blobs]
        return tar.size + sum(blob.size for blob in blobs + in_sets if blob.media_type.endswith(COMPRESSED))
    return tar.size + sum(in_tar(blob.size) for blob in blobs) + sum(in_tar(set_bytes(tree)) for tree in content.sets.values())
