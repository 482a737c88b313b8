# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of this host, as /proc tells of them: which run of Ansible this is, and whether another one lives.

A module is a child of a worker of ansible-playbook (through a shell, perhaps sudo), and the worker is a fork of
ansible-playbook itself. So the run is found by going up from parent to parent: to the first process whose command is
one of Ansible's programs, and from there on as long as the parent has the very same command line.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import List, Optional, Tuple

from ..cluster.lease import Process

PROC = "/proc"
_PROGRAMS = (b"ansible", b"ansible-console", b"ansible-playbook")
# The program stands behind the interpreter and its options.
_LEADING_ARGUMENTS = 5
_ENDED = "ZX"


@dataclass(frozen=True)
class _Stat:
    """Of /proc/<pid>/stat. state: a letter, as proc(5) has them. started: clock ticks since boot."""

    state: str
    parent: int
    started: int


def host_name() -> str:
    return socket.gethostname()


def ansible_run() -> Optional[Process]:
    """The process of Ansible that this one works for, None where there is no /proc or no such process above it."""
    place = _place()
    found = _topmost_ansible(os.getpid())
    return None if place is None or found is None else Process(*place, *found)


def is_gone(process: Process) -> bool:
    """Whether a process is known to have ended. Of another host, boot or PID namespace nothing is known."""
    if (process.host, process.boot, process.space) != _place():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # It is there and belongs to somebody else; /proc may hide it then.
    stat = _stat(process.pid)
    return stat is not None and not _is_running(stat, process)


def is_alive(process: Process) -> bool:
    """Whether a process is known to run. Of another host, boot or PID namespace nothing is known."""
    stat = _stat(process.pid) if (process.host, process.boot, process.space) == _place() else None
    return stat is not None and _is_running(stat, process)


def _is_running(stat: _Stat, process: Process) -> bool:
    return stat.started == process.started and stat.state not in _ENDED


def _topmost_ansible(pid: int) -> Optional[Tuple[int, int]]:
    """Process id and start time of the process of Ansible above a process."""
    found, command = None, b""
    stat = _stat(pid)
    while stat is not None:
        own = _read(f"{pid}/cmdline")
        if found is not None and own != command:
            break
        if found is not None or _is_ansible(own):
            found, command = (pid, stat.started), own
        pid = stat.parent
        stat = _stat(pid)
    return found


def _is_ansible(command: bytes) -> bool:
    return any(os.path.basename(word) in _PROGRAMS for word in command.split(b"\0")[:_LEADING_ARGUMENTS])


def _place() -> Optional[Tuple[str, str, str]]:
    """Host name, boot id and PID namespace of this process; None where they cannot be told."""
    boot = _read("sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    try:
        space = os.readlink(os.path.join(PROC, "self", "ns", "pid"))
    except OSError:
        return None
    return (host_name(), boot, space.partition("[")[2].rstrip("]")) if boot else None


def _stat(pid: int) -> Optional[_Stat]:
    # The second field is the command in parentheses, which may hold blanks and parentheses itself.
    fields: List[str] = _read(f"{pid}/stat").decode("utf-8", "replace").rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[19])) if len(fields) > 19 else None


def _read(name: str) -> bytes:
    """A file below /proc, b"" when it is not to be had."""
    try:
        with open(os.path.join(PROC, name), "rb") as file:
            return file.read()
    except OSError:
        return b""
