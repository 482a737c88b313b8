# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads as chains of steps, and the bars that they have to meet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, List, NamedTuple

from ..support.modules import COLLECTION
from .figures import Bar, Judge
from .rounds import Chain, Note, Step, idle_peak
from .tools import CRANE, MODULE, OCM1, OCM2, PLAYBOOK, REGSYNC, SKOPEO, Desk, Move
from .work import Scale, Work, many, one, several, several_changed

NAMES = ("W1", "W2", "W3", "W4", "W5", "W6", "W7")
COPIERS = (MODULE, PLAYBOOK, SKOPEO, CRANE, REGSYNC, OCM1, OCM2)
IMAGE_COPIERS = (MODULE, SKOPEO, CRANE, REGSYNC, OCM1, OCM2)
SLOW_LINE = (MODULE, SKOPEO, CRANE, REGSYNC, OCM2)
ARCHIVERS = (MODULE, OCM1, OCM2)
LATENCY = 40


class Group(NamedTuple):
    """Chains that find the same works at the source."""

    chains: Sequence[Chain]
    works: Sequence[Work]


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

    @cached_property
    def large(self) -> Sequence[Work]:
        """With the small layer, and with the large one."""
        return [one(size) for size in (self.scale.small, self.scale.large)]

    @cached_property
    def many(self) -> Work:
        return many(self.scale)

    def _can(self, tools: Sequence[str]) -> List[str]:
        """Those of the tools that are here."""
        return [tool for tool in tools if tool in (MODULE, PLAYBOOK, *self.desk.programs)]

    def of_several(self, names: Sequence[str]) -> Group:
        """W1 to W3, of which each needs those before it, and W6 and W7, which move the same."""
        chains = []
        last = max([int(name[1:]) for name in names if name in ("W1", "W2", "W3")] or [0])
        if last:
            chains.append(Chain(self._copy()[:last], self._can(COPIERS)))
        if "W6" in names:
            chains.append(Chain(self._gap(), self._can(ARCHIVERS)))
        if "W7" in names and offers("known_content"):
            chains.append(Chain(self._delta(), [MODULE]))
        elif "W7" in names:
            self._note("left out: W7, ocm_transfer has no option known_content")
        return Group(chains, [self.first, self.changed])

    def _copy(self) -> List[Step]:
        images, size = len(self.first.images), self.first.size
        return [
            Step("W1", Move(self.first), f"{images} images of two platforms, {size / 1e6:.0f} MB"),
            Step("W2", Move(self.first), "the same again, nothing to do"),
            Step("W3", Move(self.changed), "a new component version, one layer of one image is another"),
        ]

    def _gap(self) -> List[Step]:
        archive = self.desk.memory / "archive"
        options = {"archive_layout": "shared"} if offers("archive_layout") else {}
        return [
            Step("W6 to", Move(self.first, archive, options=options), "W1 to an archive, a folder"),
            Step("W6 from", Move(self.first, archive, back=True), "from that archive to a registry"),
        ]

    def _delta(self) -> List[Step]:
        archive, snapshot = self.desk.memory / "delta", self.desk.memory / "snapshot.json"
        options = {"known_content": str(snapshot)}
        if offers("archive_layout"):
            options["archive_layout"] = "shared"
        return [
            Step("W7 before", Move(self.first), "W1, as the far side has it"),
            Step("W7 snapshot", Move(self.first, snapshot=snapshot), "what the far side has, written down"),
            Step("W7 to", Move(self.changed, archive, options=options), "W3 to an archive, without what is there"),
            Step("W7 from", Move(self.changed, archive, back=True), "from that archive to the registry"),
        ]

    def of_one(self) -> Group:
        """W4."""
        works = self.large
        steps = [
            Step(name, Move(work), f"one image with a layer of {size / 1e6:.1f} MB")
            for name, work, size in zip(("W4 small", "W4"), works, (self.scale.small, self.scale.large))
        ]
        return Group([Chain(steps, self._can(IMAGE_COPIERS))], works)

    def of_many(self) -> Group:
        """W5."""
        title = f"{len(self.many.images)} images with 5 layers of {self.scale.thin / 1000:.0f} kB"
        near = Step("W5", Move(self.many), title)
        far = Step("W5 far", Move(self.many), f"{title}, {LATENCY} ms more a round trip")
        chains = [Chain([near], self._can(IMAGE_COPIERS)), Chain([far], self._can(SLOW_LINE), LATENCY)]
        return Group(chains, [self.many])

    def judge(self, table: Any, sees_writes: bool) -> List[Bar]:
        """The bars of the steps that are in the table."""
        judge = Judge(table, sees_writes)
        bars = {
            "W1": lambda: judge.first("W1", self.first),
            "W2": lambda: judge.again("W2", self.first),
            "W3": lambda: judge.changed("W3", self.first, self.changed),
            "W4": lambda: judge.memory("W4 small", "W4", idle_peak(self.desk, Move(self.large[0]))),
            "W5 far": lambda: judge.latency("W5 far"),
            "W6 to": lambda: judge.archive("W6 to", "W6 from", self.first),
            "W7 to": lambda: judge.delta("W7 to", self.first, self.changed),
        }
        for step, add in bars.items():
            if step in table:
                add()
        return judge.bars


def offers(option: str) -> bool:
    """Does the module have an option?"""
    text = (COLLECTION / "plugins" / "modules" / "ocm_transfer.py").read_text(encoding="utf-8")
    return f"\n  {option}:\n" in text


def select(bench: Bench, names: Sequence[str]) -> List[Group]:
    """What to run for these workloads; for all without names."""
    wanted = names or NAMES
    groups = [bench.of_several(wanted)]
    if "W4" in wanted:
        groups.append(bench.of_one())
    if "W5" in wanted:
        groups.append(bench.of_many())
    return [group for group in groups if group.chains]
