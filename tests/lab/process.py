# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes of the lab: each has a log of its own, and is ended by its own id."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class LabError(Exception):
    """What went wrong, in one line that also says where to look."""


@dataclass
class Process:
    """A program that runs until it is stopped. Its output is appended to the log; ready tells whether it serves."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    _handle: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the program in a session of its own: Ctrl-C reaches the lab alone, which then ends it in order."""
        if self.running():
            return
        with self.log.open("ab") as log:
            self._handle = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def running(self) -> bool:
        return self._handle is not None and self._handle.poll() is None

    def died(self) -> bool:
        """Whether it was started, never stopped, and is gone all the same."""
        return self._handle is not None and self._handle.poll() is not None

    def wait(self, seconds: float = 120) -> None:
        """Waits until it is ready.

        Raises LabError when it ends before that, or the time is over. The message names the log.
        """
        end = time.monotonic() + seconds
        while not self.ready():
            if self.died():
                raise LabError(f"{self.name} ended before it was ready; its log: {self.log}")
            if time.monotonic() > end:
                raise LabError(f"{self.name} was not ready after {seconds:.0f} s; its log: {self.log}")
            time.sleep(0.1)

    def stop(self, seconds: float = 10) -> bool:
        """Ends the program, by force when it is still there after that time: then the answer is False."""
        handle, self._handle = self._handle, None
        if handle is None or handle.poll() is not None:
            return True
        handle.send_signal(signal.SIGTERM)
        try:
            handle.wait(seconds)
        except subprocess.TimeoutExpired:
            handle.kill()
            handle.wait()
            return False
        return True


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether an HTTP server says yes (200) at the address."""
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError is one
        return False


def listening(port: int) -> bool:
    """Whether something accepts connections at the port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def run(command: Sequence[str], text: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Runs a command to its end and returns its standard output.

    Raises LabError with the end of its error output when it fails.
    """
    full = {**os.environ, **(environment or {})}
    result = subprocess.run(list(command), input=text, capture_output=True, text=True, env=full, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip() or result.stdout.strip())[-1500:]
        raise LabError(f"{' '.join(command[:4])} ... failed with {result.returncode}: {reason}")
    return result.stdout
