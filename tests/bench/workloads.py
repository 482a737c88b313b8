# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads as chains of steps, and the bars that they have to meet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, List, Tuple

from .figures import Bar, Judge
from .rounds import Chain, Note, Step
from .tools import CRANE, MODULE, OCM1, OCM2, PLAYBOOK, REGSYNC, SKOPEO, Desk, Move
from .work import Scale, Work, several, several_changed

NAMES = ("W1", "W2", "W3")
COPIERS = (MODULE, PLAYBOOK, SKOPEO, CRANE, REGSYNC, OCM1, OCM2)
Chosen = Tuple[Chain, Sequence[Work]]


class Bench:
    """The workloads at one scale."""

    def __init__(self, desk: Desk, scale: Scale, note: Note) -> None:
        self.desk = desk
        self.scale = scale
        self._note = note

    @cached_property
    def first(self) -> Work:
        return several(self.scale)

    @cached_property
    def changed(self) -> Work:
        return several_changed(self.scale)

    def _can(self, tools: Sequence[str]) -> List[str]:
        """Those of the tools that are here."""
        return [tool for tool in tools if tool in (MODULE, PLAYBOOK, *self.desk.programs)]

    def copy(self, last: int) -> Chosen:
        """W1, and up to `last` W2 and W3, which need it."""
        images = len(self.first.images)
        steps = [
            Step("W1", Move(self.first), f"{images} images of two platforms, {self.first.size / 1e6:.0f} MB"),
            Step("W2", Move(self.first), "the same again, nothing to do"),
            Step("W3", Move(self.changed), "a new component version, one layer of one image is another"),
        ]
        return Chain(steps[:last], self._can(COPIERS)), [self.first, self.changed][: last - 1 or 1]

    def judge(self, table: Any, sees_writes: bool) -> List[Bar]:
        """The bars of the steps that are in the table."""
        judge = Judge(table, sees_writes)
        if "W1" in table:
            judge.first("W1", self.first)
        if "W2" in table:
            judge.again("W2", self.first)
        if "W3" in table:
            judge.changed("W3", self.first, self.changed)
        return judge.bars


def select(bench: Bench, names: Sequence[str]) -> List[Chosen]:
    """The chains that have these workloads; all without names."""
    wanted = set(names or NAMES)
    chosen = []
    copied = [name for name in ("W1", "W2", "W3") if name in wanted]
    if copied:
        chosen.append(bench.copy(int(copied[-1][1:])))
    return chosen
