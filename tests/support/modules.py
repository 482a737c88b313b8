# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as Ansible runs them: the module's file in a process of its own, its arguments as JSON on standard input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

COLLECTION = Path(__file__).parents[2]
TIME_LIMIT = 300


@dataclass(frozen=True)
class Outcome:
    """What a module answered. peak: its largest resident memory in bytes. output: everything that it printed."""

    result: Dict[str, Any]
    code: int
    peak: int
    output: str

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def message(self) -> str:
        return str(self.result.get("msg", ""))

    def actions(self) -> Dict[str, str]:
        """`component:version` to action, of a transfer to one target."""
        return {f"{item['component']}:{item['version']}": item["action"] for item in self.result["component_versions"]}

    def resource_actions(self) -> Dict[str, str]:
        return {item["name"]: item["action"] for item in self.result["resources"]}


class ModuleProcess:
    """A module that runs. `wait` gives its outcome, `kill` ends it in the middle."""

    def __init__(self, name: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._files = [tempfile.TemporaryFile() for _number in range(3)]
        self._files[0].write(json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments)}).encode())
        self._files[0].seek(0)
        self.process = subprocess.Popen(
            [sys.executable, str(COLLECTION / "plugins" / "modules" / f"{name}.py")],
            stdin=self._files[0],
            stdout=self._files[1],
            stderr=self._files[2],
            env=dict(environment),
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._texts()

    def wait(self) -> Outcome:
        limit = threading.Timer(TIME_LIMIT, self.process.kill)
        limit.start()
        try:
            _pid, status, usage = os.wait4(self.process.pid, 0)
        finally:
            limit.cancel()
        self.process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        out, errors = self._texts()
        if not out.lstrip().startswith("{"):
            raise AssertionError(f"The module ended with {self.process.returncode}:\n{out}\n{errors}")
        return Outcome(json.loads(out), self.process.returncode, usage.ru_maxrss * 1024, out + errors)

    def _texts(self) -> List[str]:
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        return texts[1:]


def module_environment(**more: str) -> Dict[str, str]:
    """The environment of a module: this Python's import path, and no auth file of the user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "REGISTRY_", "OCM_"))}
    kept["PYTHONPATH"] = os.pathsep.join([str(COLLECTION.parents[2]), *(path for path in sys.path if path)])
    kept["OCM_AIRGAP_AUTH_FILE"] = os.devnull
    return dict(kept, **more)


def start_module(name: str, arguments: Mapping[str, Any], check: bool = False, diff: bool = False) -> ModuleProcess:
    """Start a module in a fresh process. Arguments that are not given have the module's defaults."""
    given = dict(arguments, _ansible_check_mode=check, _ansible_diff=diff)
    return ModuleProcess(name, given, module_environment())


def run_module(name: str, arguments: Optional[Mapping[str, Any]] = None, **options: Any) -> Outcome:
    """Run a module to its end. options: check, diff."""
    return start_module(name, arguments or {}, **options).wait()


def succeed(name: str, arguments: Mapping[str, Any], **options: Any) -> Outcome:
    """Run a module that has to succeed."""
    outcome = run_module(name, arguments, **options)
    if outcome.failed or outcome.code:
        raise AssertionError(f"{name} failed: {outcome.message}\n{outcome.output}")
    return outcome


def fail(name: str, arguments: Mapping[str, Any], **options: Any) -> Outcome:
    """Run a module that has to fail, with a message and without a traceback."""
    outcome = run_module(name, arguments, **options)
    if not outcome.failed or not outcome.message or "Traceback" in outcome.output:
        raise AssertionError(f"{name} did not fail as it should: {outcome.output}")
    return outcome
