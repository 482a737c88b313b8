# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook at -vvvv: what the tasks did, what was printed, and that no secret was seen anywhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .secrecy import Arguments, Secrets

_HERE = Path(__file__).parent
_TIME_LIMIT = 420


@dataclass(frozen=True)
class Task:
    """What a task did on a host. state: ok, changed, failed, ignored or skipped."""

    name: str
    state: str
    result: Mapping[str, Any]
    host: str = "localhost"


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    status: int
    output: str
    tasks: list[Task]

    def named(self, name: str) -> list[Task]:
        """The results of the tasks of that name, without the skipped ones."""
        return [task for task in self.tasks if task.name.endswith(name) and task.state != "skipped"]

    def states(self, state: str) -> list[str]:
        """The names of the tasks that ended so, on whatever host."""
        return [task.name for task in self.tasks if task.state == state]

    @property
    def failure(self) -> str:
        """What the failed tasks say."""
        return "\n".join(_message(task.result) for task in self.tasks if task.state == "failed")

    def must_succeed(self) -> "Run":
        assert self.status == 0, f"exit status {self.status}: {self.failure or self.output[-3000:]}"
        return self

    def must_fail(self) -> "Run":
        assert self.status == 2 and self.failure, f"exit status {self.status}, where a failed task was expected"
        return self

    def must_change_nothing(self) -> "Run":
        assert self.must_succeed().states("changed") == []
        return self


def _message(result: Mapping[str, Any]) -> str:
    message = result.get("msg", "")
    lines = message if isinstance(message, list) else [str(message)]
    # A failed item of a loop is told by its exception alone.
    items = [each for each in result.get("results", []) if each.get("failed") or "exception" in each]
    return "\n".join([*lines, *map(_message, items)])


class Ansible:
    """Runs playbooks of the collection as a user would, each with a home of its own."""

    def __init__(self, folder: Path, logs: Path, secrets: Secrets) -> None:
        self.folder, self.logs, self.secrets = folder, logs, secrets
        self._number = 0
        # One for all runs, as on a user's machine: kubernetes.core keeps there what it has found out about a cluster.
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        logs.mkdir(parents=True, exist_ok=True)

    def playbook(
        self,
        playbook: str,
        variables: Mapping[str, Any],
        *options: str,
        at: tuple[str, str] = ("", ""),
        inventory: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """One run. at: the name of a task, and a shell command that is run when that task is about to begin."""
        return self.start(playbook, variables, *options, at=at, inventory=inventory, environment=environment).wait()

    def start(
        self,
        playbook: str,
        variables: Mapping[str, Any],
        *options: str,
        at: tuple[str, str] = ("", ""),
        inventory: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> "Running":
        """Begins a run, in a session of its own. It has to be waited for, or killed."""
        self._number += 1
        folder = self.folder / f"run-{self._number:03}"
        folder.mkdir()
        values = folder / "variables.json"
        values.touch(mode=0o600)
        values.write_text(json.dumps(variables), encoding="utf-8")
        where = ["--inventory", inventory] if inventory else []
        command = ["ansible-playbook", "-vvvv", *where, "--extra-vars", f"@{values}", *options, playbook]
        given = {**self._environment(folder), "LAB_AT_TASK": at[0], "LAB_AT_COMMAND": at[1], **(environment or {})}
        name = Path(playbook).stem if "/" in playbook else playbook.rpartition(".")[2]
        log = self.logs / f"{self._number:03}-{name}.log"
        return Running(self, command, given, folder, log)

    def end(self, folder: Path, log: Path, arguments: Arguments, status: int) -> Run:
        """What a run that has ended leaves behind is looked at and removed."""
        (folder / "variables.json").unlink()
        self._nothing_shown(folder, log, arguments)
        tasks = _tasks(folder / "record.json")
        shutil.rmtree(folder)
        return Run(status, log.read_text(encoding="utf-8", errors="replace"), tasks)

    def module(self, name: str, arguments: Mapping[str, Any], times: int = 0) -> Run:
        """One module, as a playbook of one task. times: as a loop, so many times."""
        file = self.folder / f"{name}.yml"
        loop = {"loop": list(range(times))} if times else {}
        task = {"name": name, f"ocm.airgap.{name}": arguments, **loop}
        python = {"ansible_python_interpreter": sys.executable}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": python, "tasks": [task]}
        file.touch(mode=0o600)
        file.write_text(json.dumps([play]), encoding="utf-8")
        return self.playbook(str(file), {})

    def _environment(self, folder: Path) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if "PASSWORD" not in name},
            "ANSIBLE_CALLBACKS_ENABLED": "lab_recorder",
            "ANSIBLE_CALLBACK_PLUGINS": str(_HERE / "callback_plugins"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "HOME": str(folder),
            "TMPDIR": str(self.temporary),
            "LAB_RECORD": str(folder / "record.json"),
        }

    def _nothing_shown(self, folder: Path, log: Path, arguments: Arguments) -> None:
        assert len(arguments.looks) > 5, "the processes of the run were not looked at"
        assert not arguments.found, f"a secret was an argument of {sorted(arguments.found)}"
        assert not self.secrets.found_in(log.read_bytes()), f"a secret was printed, see {log}"
        left = self.secrets.files_with(folder) + self.secrets.files_with(self.temporary)
        assert not left, f"a secret was left in {left}"


class Running:
    """A run that has been begun."""

    def __init__(
        self, ansible: Ansible, command: list[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self._ansible, self._folder, self._log = ansible, folder, log
        self._at = environment["LAB_AT_TASK"]
        self._arguments = Arguments(ansible.secrets)
        self._arguments.__enter__()
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def wait(self) -> Run:
        """How it ended."""
        try:
            status = self.process.wait(_TIME_LIMIT)
        except subprocess.TimeoutExpired:
            self._kill()
            raise
        finally:
            self._arguments.__exit__(None, None, None)
        run = self._ansible.end(self._folder, self._log, self._arguments, status)
        missed = self._at and not any(task.name.endswith(self._at) for task in run.tasks)
        assert not missed, f"no task is called {self._at!r}, see {self._log}"
        return run

    def kill(self, results: int, after: float) -> Run:
        """Ends it and all of its processes, some seconds after it has so many results, as when a container is killed."""
        deadline = time.monotonic() + _TIME_LIMIT
        while self.process.poll() is None and self._results() < results and time.monotonic() < deadline:
            time.sleep(0.1)
        try:
            self.process.wait(after)
        except subprocess.TimeoutExpired:
            self._kill()
        return self.wait()

    def _results(self) -> int:
        record = self._folder / "record.json"
        return record.read_bytes().count(b"\n") if record.exists() else 0

    def _kill(self) -> None:
        # Ansible's workers have sessions of their own. What has been stopped begins no more of them.
        found: set[int] = set()
        while new := {self.process.pid, *_below(self.process.pid)} - found:
            _signal(new, signal.SIGSTOP)
            found |= new
        _signal(found, signal.SIGKILL)
        self.process.wait()


def _signal(numbers: set[int], which: signal.Signals) -> None:
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, which)


def _below(number: int) -> list[int]:
    """The processes that a process has begun, and that those have begun."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(own): int(parent) for own, parent in map(str.split, listed.splitlines())}
    children = [own for own, parent in parents.items() if parent == number]
    return [*children, *(each for child in children for each in _below(child))]


def _tasks(record: Path) -> list[Task]:
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return [Task(each["task"], each["state"], each["result"], each["host"]) for each in map(json.loads, lines)]
