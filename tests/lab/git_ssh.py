# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Git server over SSH, with a key: git's own programs behind a small server.

Run as a program with the folder of the bare repositories, a port, and the folder of the keys.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from functools import partial
from pathlib import Path

import asyncssh

from .process import Process, listening

USER = "git"
CLIENT_KEY, CLIENTS, KNOWN_HOSTS = "client", "authorized_keys", "known_hosts"
_HOST_KEY = "host"
_PROGRAMS = ("git-upload-pack", "git-receive-pack")


def git_ssh_server(folder: Path, host: str, port: int, keys: Path, log: Path) -> Process:
    """The server of all repositories in the folder; makes its keys, and those of its one client."""
    _make_keys(keys, f"[{host}]:{port}")
    source = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", __name__, str(folder), str(port), str(keys)]
    return Process("git-ssh", command, log, partial(listening, port), source)


def _make_keys(folder: Path, address: str) -> None:
    folder.mkdir(mode=0o700, parents=True)
    for name, public, before in ((_HOST_KEY, KNOWN_HOSTS, f"{address} "), (CLIENT_KEY, CLIENTS, "")):
        key = asyncssh.generate_private_key("ssh-ed25519")
        (folder / name).touch(mode=0o600)
        key.write_private_key(str(folder / name))
        (folder / public).write_text(before + key.export_public_key().decode(), encoding="ascii")


async def _answer(folder: Path, process: asyncssh.SSHServerProcess[bytes]) -> None:
    program, *paths = shlex.split(process.command or "")
    if program not in _PROGRAMS or len(paths) != 1:
        process.stderr.write(b"this server knows Git alone\n")
        process.exit(1)
        return
    repository = folder / paths[0].lstrip("/")
    pipes = {name: asyncio.subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    child = await asyncio.create_subprocess_exec("git", program.partition("-")[2], str(repository), **pipes)
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())


async def _serve(folder: Path, port: int, keys: Path) -> None:
    await asyncssh.listen(
        "",
        port,
        server_host_keys=[str(keys / _HOST_KEY)],
        authorized_client_keys=str(keys / CLIENTS),
        process_factory=partial(_answer, folder),
        encoding=None,
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
