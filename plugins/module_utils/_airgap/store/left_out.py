# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that an archive names and does not hold, because the place that it is for holds them.

They are noted in a file of the archive, in the form of a snapshot: the blobs, where they are there, and the component
versions that are there as well. Other OCM tools pass such a file over; they cannot read the blobs.
"""

from __future__ import annotations

from typing import AbstractSet, Dict, Optional

from ..model.errors import NotFound
from ..model.snapshot import MAX_SNAPSHOT_SIZE, Snapshot, merged, restricted
from .archive_files import ArchiveFiles

NOTE = "left-out.json"


class LeftOut:
    """What an archive leaves out. noted: by those who wrote it; further blobs may be agreed upon while it is written."""

    def __init__(self, noted: Snapshot) -> None:
        self.noted, self._agreed = noted, Snapshot("")
        self._sizes: Dict[str, int] = {}

    def agree(self, known: Snapshot, digests: AbstractSet[str]) -> None:
        """Leave these blobs out, as far as they are known at the other side."""
        self._agreed = merged(self._agreed, restricted(known, digests))
        self._sizes = {blob.digest: blob.size for blob in self._agreed.blobs}

    def agreed_size(self, digest: str) -> Optional[int]:
        """The size of a blob that was agreed upon, None for others."""
        return self._sizes.get(digest)

    @property
    def everything(self) -> Snapshot:
        return merged(self.noted, self._agreed)

    def refuse(self, digest: str, location: str) -> None:
        """Raises NotFound for a blob that is noted."""
        if any(blob.digest == digest for blob in self.noted.blobs):
            raise NotFound(
                f"{location} leaves out {digest}: it was written for a place that holds it ({self.noted.repository}).",
                "Import it there, and read it there; or write it again without known_content.",
            )


def read_note(files: ArchiveFiles, location: str) -> Snapshot:
    """What an archive leaves out; nothing, when it says nothing. Raises InvalidContent."""
    if files.size(NOTE) is None:
        return Snapshot("")
    return Snapshot.parse(files.read(NOTE, MAX_SNAPSHOT_SIZE), f"{location} {NOTE}")
