# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switching single servers of the running estate off and on again, from another process in its namespaces."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from .process import LabError

SOCKET = Path("/run/lab/service.sock")
ACTIONS = ("list", "start", "stop", "restart")


def listen(act: Callable[[str, str], str]) -> None:
    """Answers requests (an action and a name) in a thread of its own, one after the other."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(SOCKET))
    server.listen()
    os.chmod(SOCKET, 0o600)
    threading.Thread(target=_serve, args=(server, act), daemon=True).start()


def _serve(server: socket.socket, act: Callable[[str, str], str]) -> None:
    while True:
        client, _address = server.accept()
        with client, client.makefile("rw", encoding="utf-8") as stream:
            action, _blank, name = stream.readline().strip().partition(" ")
            try:
                answer = f"ok\n{act(action, name)}"
            except LabError as error:
                answer = f"error\n{error}"
            stream.write(answer)


def ask(action: str, name: str) -> str:
    """Asks the running estate and returns its answer. Raises LabError."""
    if not SOCKET.exists():
        raise LabError("no estate here: 'lab service' works inside of 'lab run' or 'lab enter'.")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(SOCKET))
        with client.makefile("rw", encoding="utf-8") as stream:
            stream.write(f"{action} {name}\n")
            stream.flush()
            verdict, _newline, text = stream.read().partition("\n")
    if verdict != "ok":
        raise LabError(text or "the estate gave no answer.")
    return text
