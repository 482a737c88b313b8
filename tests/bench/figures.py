# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From measurements to figures, and from figures to bars that are met or not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Dict, List, Optional

from .rounds import Sample
from .tools import CRANE, MODULE, OCM1, OCM2, REGSYNC, SKOPEO
from .work import KIB, MIB, Work

TIME, COUNT = "time", "count"
FASTEST = (SKOPEO, CRANE, REGSYNC, OCM2)


@dataclass(frozen=True)
class Bar:
    """A bar of the benchmark. figure, limit: None where nothing was measured to judge it by. kind: TIME or COUNT."""

    step: str
    name: str
    kind: str
    figure: Optional[float]
    limit: Optional[float]
    unit: str = ""

    @property
    def met(self) -> Optional[bool]:
        return None if self.figure is None or self.limit is None else self.figure <= self.limit


def summary(samples: Sequence[Sample]) -> Dict[str, Any]:
    """Figures of one tool at one step. The first sample is the counted one, its time says nothing."""
    counted, timed = samples[0], samples[1:]
    seconds = [sample.seconds for sample in timed]
    return {
        "seconds": {"median": median(seconds), "min": min(seconds), "max": max(seconds), "all": seconds}
        if seconds
        else None,
        "cpu": median(sample.cpu for sample in timed or samples),
        "peak": max(sample.peak for sample in samples),
        "processes": counted.processes,
        "written": max(sample.written for sample in samples),
        "stored": counted.stored,
        "source": dict(asdict(counted.source), total=counted.source.total),
        "target": dict(asdict(counted.target), total=counted.target.total, writes=counted.target.writes),
    }


def table_of(results: Mapping[str, Mapping[str, Sequence[Sample]]]) -> Dict[str, Dict[str, Dict[str, Any]]]:
    """Step to tool to figures, each with `ratio`: our median by the tool's."""
    table = {
        step: {tool: summary(samples) for tool, samples in tools.items() if samples} for step, tools in results.items()
    }
    for tools in table.values():
        for figures in tools.values():
            ours, theirs = seconds_of(tools, MODULE), seconds_in(figures)
            figures["ratio"] = ours / theirs if ours and theirs else None
    return table


def seconds_in(figures: Mapping[str, Any]) -> Optional[float]:
    return figures["seconds"]["median"] if figures.get("seconds") else None


def seconds_of(tools: Mapping[str, Mapping[str, Any]], tool: str) -> Optional[float]:
    return seconds_in(tools[tool]) if tool in tools else None


class Judge:
    """Bars of a table. sees_writes: the kernel tells what a process writes to disks."""

    def __init__(self, table: Mapping[str, Mapping[str, Mapping[str, Any]]], sees_writes: bool) -> None:
        self._table = table
        self._sees_writes = sees_writes
        self.bars: List[Bar] = []

    def _tools(self, step: str) -> Mapping[str, Mapping[str, Any]]:
        return self._table.get(step, {})

    def _add(self, *values: Any) -> None:
        self.bars.append(Bar(*values))

    def _against_fastest(self, step: str, limit: float) -> None:
        peers = [seconds_of(self._tools(step), tool) for tool in FASTEST]
        name = "time by the fastest of skopeo, crane x4, regsync x4, new ocm"
        self._against(step, limit, name, [each for each in peers if each])

    def _against(self, step: str, limit: float, name: str, peers: Sequence[float]) -> None:
        ours = seconds_of(self._tools(step), MODULE)
        self._add(step, name, TIME, ours / min(peers) if ours and peers else None, limit, "x")

    def _against_old(self, step: str, limit: float) -> None:
        theirs = seconds_of(self._tools(step), OCM1)
        self._against(step, limit, "time by that of the old ocm", [theirs] if theirs else [])

    def _requests(self, step: str, side: str, limit: int) -> None:
        self._add(step, f"requests at the {side}", COUNT, self._tools(step)[MODULE][side]["total"], limit, "")

    def _no_files(self, step: str) -> None:
        # Making and removing an empty folder writes some blocks to a disk.
        written = self._tools(step)[MODULE]["written"] if self._sees_writes else None
        self._add(step, "bytes of temporary files", COUNT, written, 64 * KIB, "B")

    def first(self, step: str, work: Work) -> None:
        """W1."""
        manifests, distinct, images = len(work.manifests), len(work.blobs), len(work.images)
        self._against_fastest(step, 0.65)
        self._against_old(step, 0.35)
        self._requests(step, "source", manifests + distinct + 4)
        self._requests(step, "target", 2 * distinct + work.mounts + manifests + images + 8)
        self._no_files(step)

    def again(self, step: str, work: Work) -> None:
        """W2."""
        ours = self._tools(step)[MODULE]
        self._add(step, "writes", COUNT, ours["target"]["writes"], 0, "")
        total = ours["source"]["total"] + ours["target"]["total"]
        self._add(step, "requests at both sides", COUNT, total, 4 + len(work.images), "")
        theirs = seconds_of(self._tools(step), REGSYNC)
        self._add(step, "time, by regsync's and 0.5 s", TIME, seconds_in(ours), theirs + 0.5 if theirs else None, "s")

    def changed(self, step: str, before: Work, work: Work) -> None:
        """W3: one image has a layer, a config and two manifests that the images before had not."""
        others = len(work.images) - 1
        self._requests(step, "source", 4 + 4)
        self._requests(step, "target", 10 + 8 + others)
        new = sum(_size(content) for key, content in work.blobs.items() if key not in before.blobs)
        documents = sum(len(raw) for _kind, raw in work.images[0].manifests) + 1024 * (len(work.images) + 64)
        ours = self._tools(step)[MODULE]
        self._add(step, "bytes from the source", COUNT, ours["source"]["sent"], new + documents, "B")
        received = ours["target"]["received"]
        # What TLS and HTTP themselves send: some 2 KiB a request.
        wire = 2048 * (18 + others)
        self._add(step, "bytes to the target", COUNT, received, int(1.01 * new) + documents + wire, "B")
        self._no_files(step)

    def memory(self, small: str, large: str, idle: int) -> None:
        """W4."""
        peaks = [self._tools(step)[MODULE]["peak"] / MIB for step in (small, large)]
        self._add(large, "memory over an idle module", COUNT, max(peaks) - idle / MIB, 64, "MiB")
        self._add(large, "memory over that with the small layer", COUNT, peaks[1] - peaks[0], 8, "MiB")
        self._no_files(large)

    def latency(self, step: str) -> None:
        """W5 with latency."""
        self._against_fastest(step, 0.5)

    def archive(self, there: str, back: str, work: Work) -> None:
        """W6."""
        stored = self._tools(there)[MODULE]["stored"]
        self._add(there, "bytes of the archive", COUNT, stored, int(1.01 * work.size) + 64 * KIB, "B")
        both = [seconds_of(self._tools(step), tool) for tool in (MODULE, OCM1) for step in (there, back)]
        ratio = sum(both[:2]) / sum(both[2:]) if all(both) else None
        self._add(f"{there}, {back}", "time there and back by that of the old ocm", TIME, ratio, 0.5, "x")

    def delta(self, step: str, before: Work, work: Work) -> None:
        """W7."""
        new = sum(_size(content) for key, content in work.blobs.items() if key not in before.blobs)
        documents = sum(len(raw) for _kind, raw in work.images[0].manifests) + KIB * (4 * len(work.images) + 64)
        stored = self._tools(step)[MODULE]["stored"]
        self._add(step, "bytes of the archive", COUNT, stored, int(1.01 * new) + documents, "B")


def _size(content: Any) -> int:
    return len(content) if isinstance(content, bytes) else content.size


def is_short_of_a_count(bars: Sequence[Bar]) -> bool:
    return any(each.kind == COUNT and each.met is False for each in bars)
