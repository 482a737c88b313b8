# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured in a round: chains of steps that share a target, one tool at a time, the tools in turn."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Optional

from .sites import Traffic, Way, missing
from .tools import MODULE, OURS, Command, Desk, Job, Move

LIMIT = 900


class TransferFailed(Exception):
    """A transfer failed, or what it said to have moved is not there."""


@dataclass(frozen=True)
class Step:
    """One line of the result. prepare: what to do first, not measured."""

    name: str
    move: Move
    title: str


@dataclass(frozen=True)
class Chain:
    """Steps one after the other into one target that was empty before. tools: who can do them."""

    steps: Sequence[Step]
    tools: Sequence[str]
    latency: int = 0


@dataclass
class Sample:
    """One measurement. cpu: seconds of all processes. peak: bytes of the largest one. written: bytes to disks.

    stored: bytes of an archive.
    """

    seconds: float
    cpu: float
    peak: int
    written: int
    processes: int
    source: Traffic = field(default_factory=Traffic)
    target: Traffic = field(default_factory=Traffic)
    stored: int = 0


def measure(desk: Desk, tool: str, job: Job) -> Dict:
    """Run a job; see measure.py for what it answers."""
    task = {
        "commands": [
            {"argv": [str(word) for word in command.argv], "stdin": command.stdin} for command in job.commands
        ],
        "width": job.width,
        "environment": desk.environment(tool),
        "folder": str(desk.temporary),
        "limit": LIMIT,
    }
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("measure.py"))]
    done = subprocess.run(program, input=json.dumps(task).encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def faults_of(tool: str, answer: Dict) -> List[str]:
    """What the commands of a tool said when they failed."""
    return [
        f"{tool} ended with {command['code']}: {(command['errors'] + command['output']).strip()[-1500:]}"
        for command in answer["commands"]
        if command["code"] or (tool == MODULE and json.loads(command["output"]).get("failed"))
    ]


def run_step(desk: Desk, tool: str, step: Step) -> Sample:
    """Do one step and look at its result."""
    for site in (desk.source, desk.target):
        site.watch()
    job = desk.job(tool, step.move)
    answer = measure(desk, tool, job)
    faults = faults_of(tool, answer)
    into_target = not step.move.archive or step.move.back
    if not faults and into_target and not step.move.snapshot:
        faults = [f"{tool} left out {key}" for key in missing(desk.target.registry, step.move.work)[:3]]
    if faults:
        raise TransferFailed(f"{step.name}: {faults[0]}")
    commands = answer["commands"]
    return Sample(
        seconds=answer["seconds"],
        cpu=sum(command["cpu"] for command in commands),
        peak=max(command["peak"] for command in commands),
        written=sum(command["written"] for command in commands),
        processes=min(job.width, len(commands)),
        source=desk.source.traffic(),
        target=desk.target.traffic(),
        stored=0 if into_target else stored_in(step.move.archive),
    )


def stored_in(archive: Path) -> int:
    """Bytes of all files of an archive."""
    if archive.is_file():
        return archive.stat().st_size
    return sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())


def run_chain(desk: Desk, tool: str, chain: Chain, way: Way) -> Dict[str, Sample]:
    """A chain from its beginning, by one tool. Step name to measurement."""
    desk.target.empty()
    desk.source.start(way)
    desk.target.start(way)
    samples = {}
    for step in chain.steps:
        archive = step.move.archive
        if archive and not step.move.back:
            # What an archive was before would not be made anew.
            shutil.rmtree(archive, ignore_errors=True)
        samples[step.name] = run_step(desk, tool, step)
    return samples


Note = Callable[[str], None]


def run_rounds(desk: Desk, chain: Chain, repeat: int, note: Note) -> Dict[str, Dict[str, List[Sample]]]:
    """A pass through counting proxies, then `repeat` rounds in which the tools take turns.

    Returns step name to tool to measurements, the first of which is the counted one: its time says nothing. A tool that
    failed is there with what it had done, and told by a note; ours may not fail.
    """
    results: Dict[str, Dict[str, List[Sample]]] = {step.name: {} for step in chain.steps}
    tools = list(chain.tools)
    for number in range(repeat + 1):
        way = Way(latency=chain.latency) if number else Way(counted=True)
        for tool in tools[number % len(tools) :] + tools[: number % len(tools)]:
            samples = attempt(desk, tool, chain, way, note)
            if samples is None:
                tools = [other for other in tools if other != tool]
                continue
            for name, sample in samples.items():
                results[name].setdefault(tool, []).append(sample)
                if number:
                    note(f"{name:16} {tool:18} {sample.seconds:8.2f} s  (round {number})")
    return results


def attempt(desk: Desk, tool: str, chain: Chain, way: Way, note: Note) -> Optional[Dict[str, Sample]]:
    try:
        return run_chain(desk, tool, chain, way)
    except TransferFailed as error:
        if tool in OURS:
            raise
        note(f"left out: {error}")
        return None


def idle_peak(desk: Desk, move: Move) -> int:
    """The memory of the module when it does nothing: the archive that it should read is not there."""
    absent = replace(move, archive=desk.temporary / "absent", back=True)
    return measure(desk, MODULE, desk.job(MODULE, absent))["commands"][0]["peak"]


def sees_writes(desk: Desk) -> bool:
    """Does the kernel tell what a process writes to the disk of temporary files?"""
    file = desk.temporary / "probe"
    program = f"open({str(file)!r}, 'wb').write(bytes(1 << 20))"
    answer = measure(desk, MODULE, Job([Command([sys.executable, "-I", "-S", "-c", program])]))
    file.unlink()
    return answer["commands"][0]["written"] >= 1 << 20
