# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands, some at once, and says how long they took and how much memory each held.

A program of its own, with the standard library alone: the kernel counts what the process that starts a command holds
as that command's own peak, so a small one has to start it. It takes a job as JSON on standard input:

    {"commands": [{"argv": [...], "stdin": "..."}], "width": 4, "environment": {...}, "folder": "...", "limit": 600}

and answers with seconds, and for every command its exit code, cpu (seconds), peak (bytes), written (bytes to disks),
and output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

BLOCK = 512


def main():
    job = json.load(sys.stdin)
    waiting = list(enumerate(job["commands"]))[::-1]
    running, done = {}, {}
    signal.signal(signal.SIGALRM, lambda *_arguments: end(running))
    signal.alarm(job["limit"])
    started = time.monotonic()
    while waiting or running:
        while waiting and len(running) < job["width"]:
            number, command = waiting.pop()
            process, out, errors = start(job, number, command)
            running[process.pid] = (number, process, out, errors)
        pid, status, usage = os.wait4(-1, 0)
        number, process, out, errors = running.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        done[number] = {
            "code": process.returncode,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak": usage.ru_maxrss * 1024,
            "written": usage.ru_oublock * BLOCK,
            "output": out,
            "errors": errors,
        }
    seconds = time.monotonic() - started
    for outcome in done.values():
        outcome.update(output=text(outcome["output"]), errors=text(outcome["errors"]))
    json.dump({"seconds": seconds, "commands": [done[number] for number in sorted(done)]}, sys.stdout)


def start(job, number, command):
    """Its files are in memory: what it prints is not to count as written."""
    files = [os.memfd_create(f"{number}") for _each in range(3)]
    os.pwrite(files[0], command.get("stdin", "").encode(), 0)
    given, out, errors = files
    process = subprocess.Popen(
        command["argv"], stdin=given, stdout=out, stderr=errors, env=job["environment"], cwd=job["folder"]
    )
    os.close(given)
    return process, out, errors


def text(file):
    """All that a file in memory holds, and no longer."""
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, encoding="utf-8", errors="replace") as content:
        return content.read()


def end(running):
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
