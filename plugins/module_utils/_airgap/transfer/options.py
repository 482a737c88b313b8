# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transfer is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, List, Mapping, Sequence, Tuple

from ..model.access import LOCAL_TYPES, Access
from ..model.identity import Element, select_all
from ..model.snapshot import Snapshot

MANIFESTS, BLOBS, CONTENT = "manifests", "blobs", "content"
SETS, SHARED = "sets", "shared"


@dataclass(frozen=True)
class TransferOptions:
    """Options of one transfer.

    path_mapping: (from, to) prefixes of artifact names. by_reference: access types that stay where they are.
    check: how far the target is believed, one of manifests, blobs, content. adopt_accesses: what the source says of an
    access (media type, name, where content lies) is wanted at the target, too, also when the content is the same; the
    localReference of its local blobs is the digest of their content, for artifacts that of the main manifest.
    resources: selectors of the only elements that are looked at, at a target that has the version; () for all.
    part_size: archives that are files are written in parts smaller than so many bytes; 0 leaves their form to themselves.
    known: what the place that an archive is for holds, and the archive therefore leaves out.
    archive_layout: how artifacts that are new lie in an archive, each blob of all once (shared), or each as a set (sets).
    """

    copy_resources: bool = True
    copy_sources: bool = False
    recursive: bool = True
    overwrite: bool = False
    with_digest: bool = True
    path_mapping: Tuple[Tuple[str, str], ...] = ()
    by_reference: FrozenSet[str] = frozenset()
    check: str = MANIFESTS
    adopt_accesses: bool = False
    resources: Tuple[Mapping[str, str], ...] = ()
    concurrency: int = 4
    part_size: int = 0
    archive_layout: str = SHARED
    known: Snapshot = Snapshot("")

    def by_value(self, kind: str, access: Access) -> bool:
        """True if the content of a resource or source with this access has to move."""
        if access.type in LOCAL_TYPES:
            return True
        if access.is_none or access.type in self.by_reference:
            return False
        if access.type == "relativeOciReference":
            return True  # it means something in the source repository only
        return self.copy_resources if kind == "resource" else self.copy_sources

    def named(self, elements: Sequence[Element]) -> List[Element]:
        """Those of a version's resources that the option resources names."""
        return [one for selector in self.resources for one in select_all(elements, selector)]
