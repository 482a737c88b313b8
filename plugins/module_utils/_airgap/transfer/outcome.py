# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of content during a run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping


COPIED, MOUNTED, PRESENT = "copied", "mounted", "present"


@dataclass
class BlobCounts:
    """How many blobs were copied, mounted from another repository of the target, or there already."""

    copied: int = 0
    mounted: int = 0
    present: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, outcome: str, count: int = 1) -> None:
        with self._lock:
            setattr(self, outcome, getattr(self, outcome) + count)

    def take(self, other: "BlobCounts") -> None:
        """Add what another one has counted."""
        for outcome in (COPIED, MOUNTED, PRESENT):
            self.add(outcome, getattr(other, outcome))

    @property
    def total(self) -> int:
        return self.copied + self.mounted + self.present

    def to_mapping(self) -> Dict[str, int]:
        return {"copied": self.copied, "mounted": self.mounted, "present": self.present}


@dataclass(frozen=True)
class Landed:
    """Where an element's content is after the run: the final access, and digest and size of its blob."""

    access: Mapping[str, Any]
    digest: str
    size: int
