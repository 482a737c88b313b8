# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks as a user runs them: ansible-playbook in a process of its own, with nothing of this machine's settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional

from .modules import COLLECTION

_TIME_LIMIT = 600


class Played(NamedTuple):
    """How a run ended. output: everything that it printed."""

    status: int
    output: str

    @property
    def stats(self) -> Dict[str, Any]:
        """What the run has published with set_stats, without values of single hosts."""
        line = [line for line in self.output.splitlines() if "RUN: {" in line][-1]
        found: Dict[str, Any] = json.loads(line.partition("RUN: ")[2])
        return found


def run_playbook(
    folder: Path,
    playbook: str,
    variables: Mapping[str, Any],
    *options: str,
    environment: Optional[Mapping[str, str]] = None,
) -> Played:
    """Runs a playbook, by its name in a collection or its path, in a folder that takes what the run writes.

    variables: come as extra variables from a file, as out of a vault.
    """
    program = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, "The test needs ansible-playbook on PATH."
    file = folder / "variables.json"
    file.write_text(json.dumps({"ansible_python_interpreter": sys.executable, **variables}), encoding="utf-8")
    (folder / "ansible.cfg").write_text("", encoding="utf-8")
    done = subprocess.run(
        [program, "--extra-vars", f"@{file}", *options, playbook],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**_environment(folder), **(environment or {})},
        cwd=str(folder),
        check=False,
        timeout=_TIME_LIMIT,
    )
    return Played(done.returncode, done.stdout.decode("utf-8", "replace"))


def _environment(folder: Path) -> Dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "REGISTRY_"))}
    own = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_SHOW_CUSTOM_STATS": "true",
        "OCM_AIRGAP_AUTH_FILE": os.devnull,
        "LC_ALL": "C.UTF-8",
    }
    return {**kept, **own}
