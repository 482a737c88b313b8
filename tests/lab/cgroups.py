# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control group of the pods: the one thing of the kernel that no namespace takes along when it goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "ocm-airgap-lab-"


def make_cgroup(number: int) -> str:
    """Makes the group below which the kubelet puts the pods, and returns its name."""
    return _make(f"{_PREFIX}{number}")


def add_cgroup(name: str, inner: str) -> str:
    """Makes a group in that one, for a second kubelet, and returns its name; it goes with the outer one."""
    return _make(f"{name}/{inner}")


def _make(name: str) -> str:
    for tree in _trees():
        if tree.name == "unified":  # beside those of version 1, without controllers
            continue
        (tree / name).mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if tree != _ROOT and (tree / setting).exists():
                (tree / name / setting).write_text((tree / setting).read_text(encoding="ascii"), encoding="ascii")
    return name


def remove_cgroup(name: str) -> None:
    """Removes the group with everything below, once all its processes are gone."""
    for tree in _trees():
        for folder, _folders, _files in os.walk(tree / name, topdown=False):
            _remove_folder(Path(folder))


def remove_stale_cgroups() -> None:
    """Removes the groups of labs that were killed and could not do it."""
    names = {folder.name for tree in _trees() for folder in tree.glob(f"{_PREFIX}*")}
    for name in names:
        if not Path("/proc", name.removeprefix(_PREFIX)).exists():
            remove_cgroup(name)


def _trees() -> list[Path]:
    """The roots: one in version 2 of control groups, several in version 1."""
    if (_ROOT / "cgroup.procs").exists():
        return [_ROOT]
    return sorted(tree for tree in _ROOT.iterdir() if (tree / "cgroup.procs").exists() and not tree.is_symlink())


def _remove_folder(folder: Path) -> None:
    for _try in range(50):
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:  # its processes are still on their way out
            time.sleep(0.1)
