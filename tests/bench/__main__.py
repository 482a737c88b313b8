# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark: `./run bench` sets up what it needs and runs this."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..support.authority import Authority
from .figures import Bar, is_short_of_a_count, table_of
from .kills import kill_many
from .report import bars_text, drawing, table_rst, table_text
from .rounds import TransferFailed, run_rounds, sees_writes
from .sites import Site, put_work
from .tools import CRANE, OCM1, OCM2, PREFIX, REGSYNC, SKOPEO, Desk, Move
from .work import SCALES, Work
from .workloads import NAMES, Bench, select

PROGRAMS = {SKOPEO: "skopeo", CRANE: "crane", REGSYNC: "regsync"}
VARIABLES = {OCM1: "OCM_V1", OCM2: "OCM_V2"}
MEMORY = Path("/dev/shm")
# Of a whole run; ten more are in the tests of fault class F39.
KILLS = 40


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures transfers side by side.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="W1 to W7; default: all")
    parser.add_argument("--repeat", type=int, default=5, help="rounds that are timed (default 5)")
    parser.add_argument("--scale", choices=sorted(SCALES), default="full", help="small: a mere try")
    parser.add_argument(
        "--kills",
        type=int,
        help=f"kill W1 at so many random moments, and look at the next run (default {KILLS} with all workloads, else 0)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of those moments")
    parser.add_argument("--folder", type=Path, required=True, help="takes result.json, result.svg and result.rst")
    parser.add_argument("--registry", required=True, help="the program of the registries")
    options = parser.parse_args(words)
    unknown = sorted(set(options.workloads) - set(NAMES))
    if unknown:
        parser.error(f"there is no workload {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.repeat < 1:
        parser.error("--repeat wants 1 or more")
    if options.kills is None:
        options.kills = KILLS if options.scale == "full" and not options.workloads else 0
    return options


def programs(note: Any) -> Dict[str, str]:
    """Tool to program of the peers that are here."""
    found: Dict[str, str] = {}
    for tool, name in PROGRAMS.items():
        path = shutil.which(name)
        if path:
            found[tool] = path
        else:
            note(f"left out: {tool}, {name} is not on PATH")
    for tool, name in VARIABLES.items():
        path = shutil.which(os.environ.get(name, ""))
        if path:
            found[tool] = str(Path(path).resolve())
        else:
            note(f"left out: {tool}, {name} names no program")
    return found


@contextmanager
def places(registry: str, peers: Dict[str, str]) -> Iterator[Desk]:
    """Two registries in memory where that can be had, and a folder on a disk for what programs write."""
    in_memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="ocm-airgap-bench-", dir=in_memory) as memory:
        with tempfile.TemporaryDirectory(prefix="ocm-airgap-bench-") as disk:
            authority = Authority(Path(disk) / "authority")
            source, target = (Site(Path(memory) / name, authority, registry, name) for name in ("source", "target"))
            try:
                yield Desk(Path(disk) / "home", Path(memory), source, target, peers)
            finally:
                source.stop()
                target.stop()


def say(text: str) -> None:
    print(text, flush=True)


def main(words: Optional[Sequence[str]] = None) -> int:
    options = parse(sys.argv[1:] if words is None else words)
    # Ended as by Ctrl-C: the registries end as well.
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(128 + signal.SIGTERM))
    # Distribution 3 would send traces of every request.
    os.environ["OTEL_TRACES_EXPORTER"] = "none"
    with places(options.registry, programs(say)) as desk:
        try:
            return run(desk, options)
        except TransferFailed as error:
            say(f"failed: {error}")
            return 1


def run(desk: Desk, options: argparse.Namespace) -> int:
    bench = Bench(desk, SCALES[options.scale], say)
    chosen = select(bench, options.workloads)
    results: Dict[str, Any] = {}
    titles: Dict[str, str] = {}
    for group in chosen:
        store(desk, group.works)
        for chain in group.chains:
            results.update(run_rounds(desk, chain, options.repeat, say))
            titles.update({step.name: step.title for step in chain.steps})
    table = table_of(results)
    bars = bench.judge(table, sees_writes(desk))
    killed = None
    if options.kills:
        store(desk, [bench.first])
        killed = kill_many(desk, Move(bench.first), options.kills, options.seed, say)
    report(options, table, titles, bars, killed)
    return 1 if is_short_of_a_count(bars) or (killed and killed["faults"]) else 0


def store(desk: Desk, works: Sequence[Work]) -> None:
    """Have these works, and nothing else, at the source."""
    desk.source.empty()
    desk.source.start()
    for work in works:
        put_work(desk.source, work, PREFIX)


def report(
    options: argparse.Namespace, table: Any, titles: Dict[str, str], bars: List[Bar], killed: Optional[Dict[str, Any]]
) -> None:
    """Print the result and write it as JSON and SVG."""
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Linux {platform.release()}"
    content = {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine,
        "scale": options.scale,
        "repeat": options.repeat,
        "titles": titles,
        "workloads": table,
        "kills": killed,
        "bars": [dict(asdict(each), met=each.met) for each in bars],
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "result.json").write_text(json.dumps(content, indent=2) + "\n")
    caption = f"{machine}; median, fastest and slowest of {options.repeat} rounds; registries on the same machine"
    (options.folder / "result.svg").write_text(drawing(table, titles, caption))
    (options.folder / "result.rst").write_text(table_rst(table, titles))
    say("")
    say(table_text(table, titles))
    say("")
    say(bars_text(bars))
    if killed:
        words = f"{killed['killed']} of {killed['number']} were killed in the middle"
        say(f"kills: {words}, {killed['finished']} blobs had arrived, {len(killed['faults'])} faults")
    say(f"\nwritten: result.json, result.svg and result.rst in {options.folder}")


if __name__ == "__main__":
    sys.exit(main())
