# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an estate differs in from its lock: items with stable names, each of one scope. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict

REGISTRY, CREDENTIALS, CLUSTER, GIT, SUSPENDED = "registry", "credentials", "cluster", "git", "suspended"
SCOPES = (REGISTRY, CREDENTIALS, CLUSTER, GIT, SUSPENDED)


@dataclass(frozen=True)
class Item:
    """One difference.

    id: the same in every run for the same difference, `scope:object`, or `scope:object:part`. object: what differs, as
    messages name it. expected, found: short texts without secrets. name: of the delivery that it belongs to.
    obstacle: why it cannot be put right now, "" when it can. file: of the Git tree, where it is one of Git.
    """

    id: str
    scope: str
    object: str
    expected: str
    found: str
    name: str = ""
    obstacle: str = ""
    file: str = ""

    def as_result(self) -> Dict[str, Any]:
        """The entry of the return value `items`."""
        return dict(asdict(self), repairable=not self.obstacle)


def item(scope: str, what: str, expected: str, found: str, **more: str) -> Item:
    """An item whose id is made from scope, object and the part (`part`) of it that differs."""
    part = more.pop("part", "")
    return Item(":".join(text for text in (scope, what, part) if text), scope, what, expected, found, **more)
