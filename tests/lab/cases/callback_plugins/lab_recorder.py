# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what every task did as a line of JSON, and may run a command when a task is about to begin."""

from __future__ import annotations

DOCUMENTATION = """
name: lab_recorder
type: aggregate
short_description: Records the results of tasks for the cases of the lab
description:
  - Writes a line of JSON for every result to the file that E(LAB_RECORD) names.
  - Runs the command E(LAB_AT_COMMAND) when the first task that is called E(LAB_AT_TASK) begins.
author:
  - The ocm.airgap contributors
"""

import json
import os
import subprocess

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "lab_recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._file = os.environ["LAB_RECORD"]
        self._at = os.environ.get("LAB_AT_TASK", "")

    def _record(self, state, result) -> None:
        values = result.result
        if state == "ok" and values.get("changed"):
            state = "changed"
        line = {"task": result.task_name, "host": result.host.get_name(), "state": state, "result": values}
        with open(self._file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        if self._at and task.get_name().endswith(self._at):
            self._at = ""
            subprocess.run(["sh", "-c", os.environ["LAB_AT_COMMAND"]], check=True, timeout=120)

    def v2_runner_on_ok(self, result) -> None:
        self._record("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        self._record("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result) -> None:
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result) -> None:
        self._record("failed", result)
