# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills the module at random moments, and looks at what the next run makes of it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any, Dict, List, Set

from .rounds import Note, TransferFailed, faults_of, measure
from .sites import Request, Site, missing
from .tools import MODULE, Desk, Move


def kill_many(desk: Desk, move: Move, number: int, seed: int, note: Note) -> Dict[str, Any]:
    """Kill a transfer `number` times, each into an empty target, each with a whole run after it.

    Returns number, killed (those that had not ended before), finished (blobs that had arrived), faults as sentences.
    """
    begin(desk)
    run(desk, move)
    writes = desk.target.traffic().writes
    wanted = state_of(desk.target)
    moments = random.Random(seed)
    result: Dict[str, Any] = {"number": number, "seed": seed, "killed": 0, "finished": 0, "faults": []}
    for each in range(number):
        begin(desk)
        count = moments.randrange(writes)
        result["killed"] += kill_after(desk, move, count, moments.uniform(0, 0.05))
        finished = uploaded(desk.target.asked()) & set(move.work.blobs)
        faults = look_again(desk, move, finished, wanted)
        result["finished"] += len(finished)
        result["faults"] += [f"killed after {count} writes: {fault}" for fault in faults]
        words = "; ".join(faults) or "the next run ended right"
        note(f"kill {each + 1:3} after {count:4} writes: {len(finished):4} blobs had arrived; {words}")
    return result


def begin(desk: Desk) -> None:
    desk.target.empty()
    desk.source.start()
    desk.target.start()
    desk.target.watch()


def run(desk: Desk, move: Move) -> None:
    faults = faults_of(MODULE, measure(desk, MODULE, desk.job(MODULE, move)))
    if faults:
        raise TransferFailed(f"kills: {faults[0]}")


def kill_after(desk: Desk, move: Move, writes: int, seconds: float) -> bool:
    """Kill it some seconds after so many writes at the target: a loaded machine makes no moment later than another.

    Was it killed in the middle?
    """
    (command,) = desk.job(MODULE, move).commands
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command.argv, env=desk.environment(MODULE), **streams) as process:
        process.stdin.write(command.stdin.encode())
        process.stdin.close()
        while process.poll() is None and desk.target.writes() < writes:
            time.sleep(0.002)
        time.sleep(seconds)
        process.kill()
    return process.returncode == -signal.SIGKILL


def look_again(desk: Desk, move: Move, finished: Set[str], wanted: Any) -> List[str]:
    """The next run, and what is wrong with it."""
    desk.source.watch()
    desk.target.watch()
    faults = faults_of(MODULE, measure(desk, MODULE, desk.job(MODULE, move)))
    faults += [f"{key} was sent again" for key in sorted(uploaded(desk.target.asked()) & finished)]
    faults += [f"{key} was read again" for key in sorted(read(desk.source.asked()) & finished)]
    faults += [f"{key} is missing" for key in missing(desk.target.registry, move.work)]
    if state_of(desk.target) != wanted:
        faults.append("the target differs from that of an undisturbed run")
    return faults


def uploaded(asked: Sequence[Request]) -> Set[str]:
    """The digests of the blobs that arrived."""
    ends = [item for item in asked if item.method == "PUT" and "/blobs/uploads/" in item.path and item.status == 201]
    return {item.path.rpartition("digest=")[2].partition("&")[0].replace("%3A", ":") for item in ends}


def read(asked: Sequence[Request]) -> Set[str]:
    """The digests of the blobs that were read."""
    return {item.path.rpartition("/")[2] for item in asked if item.method == "GET" and "/blobs/sha" in item.path}


def state_of(site: Site) -> str:
    """All tags of all repositories, and everything that is stored."""
    return json.dumps([site.place().state(), sorted(site.registry.blobs())], sort_keys=True)
