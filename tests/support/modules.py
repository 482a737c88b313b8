# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as Ansible runs them: the module's file in a process of its own, its arguments as JSON on standard input."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

# Loaded here so that a fork for a module has them already.
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import (
    component_info,
    localize,
    resource,
    transfer,
)

LOADED = (component_info, localize, resource, transfer)
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

    @property
    def warnings(self) -> str:
        """All warnings as one text; the cores send them in different forms."""
        return json.dumps(self.result.get("warnings", []), ensure_ascii=False)

    def actions(self) -> Dict[str, str]:
        """`component:version` to action, of a transfer to one target."""
        return {f"{item['component']}:{item['version']}": item["action"] for item in self.result["component_versions"]}

    def resource_actions(self) -> Dict[str, str]:
        return {item["name"]: item["action"] for item in self.result["resources"]}


class ModuleProcess:
    """A module that runs. `wait` gives its outcome, `kill` ends it in the middle.

    fresh: with an interpreter of its own. Otherwise a fork of this process, which has the libraries loaded already, is
    enough, unless threads run here that could hold a lock at the wrong time.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], fresh: bool = False) -> None:
        self._files = [tempfile.TemporaryFile() for _number in range(3)]
        # As Ansible does: the module's temporary folder is given to it, and taken away after it, also when it was killed.
        self._folder = tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))
        given = dict(arguments, _ansible_tmpdir=self._folder.name)
        self._files[0].write(json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
        self._files[0].seek(0)
        path = str(COLLECTION / "plugins" / "modules" / f"{name}.py")
        if fresh or threading.active_count() > 1:
            self._process = subprocess.Popen(
                [sys.executable, path],
                stdin=self._files[0],
                stdout=self._files[1],
                stderr=self._files[2],
                env=module_environment(),
            )
            self.pid = self._process.pid
        else:
            self._process = None
            self.pid = os.fork() or self._run_forked(path)

    def _run_forked(self, path: str) -> int:
        code = 70
        try:
            for number, file in enumerate(self._files):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
            sys.argv = [path]
            environment = module_environment()
            os.environ.clear()
            os.environ.update(environment)
            _run_as_main(path)
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return 0

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        self._end()
        self._texts()

    def wait(self) -> Outcome:
        limit = threading.Timer(TIME_LIMIT, os.kill, (self.pid, signal.SIGKILL))
        limit.start()
        try:
            code, peak = self._end()
        finally:
            limit.cancel()
            limit.join()
        out, errors = self._texts()
        if not out.lstrip().startswith("{"):
            raise AssertionError(f"The module ended with {code}:\n{out}\n{errors}")
        return Outcome(json.loads(out), code, peak, out + errors)

    def _end(self) -> Tuple[int, int]:
        _pid, status, usage = os.wait4(self.pid, 0)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        if self._process:
            self._process.returncode = code
        return code, usage.ru_maxrss * 1024

    def _texts(self) -> List[str]:
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        self._folder.cleanup()
        return texts[1:]


def _run_as_main(path: str) -> None:
    """As runpy.run_path, which ansible-test's import hooks keep from working."""
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    spec = importlib.util.spec_from_loader("__main__", loader)
    loader.exec_module(importlib.util.module_from_spec(spec))


def module_environment(**more: str) -> Dict[str, str]:
    """The environment of a module: this Python's import path, and no auth file of the user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "REGISTRY_", "OCM_"))}
    kept["PYTHONPATH"] = os.pathsep.join([str(COLLECTION.parents[2]), *(path for path in sys.path if path)])
    kept["OCM_AIRGAP_AUTH_FILE"] = os.devnull
    return dict(kept, **more)


def start_module(
    name: str, arguments: Mapping[str, Any], check: bool = False, diff: bool = False, fresh: bool = False
) -> ModuleProcess:
    """Start a module. Arguments that are not given have the module's defaults."""
    return ModuleProcess(name, dict(arguments, _ansible_check_mode=check, _ansible_diff=diff), fresh)


def run_module(name: str, arguments: Optional[Mapping[str, Any]] = None, **options: Any) -> Outcome:
    """Run a module to its end. options: check, diff, fresh."""
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
