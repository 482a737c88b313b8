# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What localizing a set of files yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List


@dataclass(frozen=True)
class Change:
    """One value that differs now. before: None where nothing was. kind: localization, configuration or reference."""

    file: str
    path: str
    before: Any
    after: Any
    kind: str


@dataclass
class LocalizeResult:
    """files: every file that was given, changed or not. warnings: sentences for the user.

    several_documents: files of which rules change the first document alone.
    """

    files: Dict[str, bytes]
    changes: List[Change] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    several_documents: List[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Add a warning once."""
        if text not in self.warnings:
            self.warnings.append(text)
