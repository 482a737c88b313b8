# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command lab."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import namespaces, service
from .cgroups import make_cgroup, remove_cgroup, remove_stale_cgroups
from .estate import Estate, seconds_since
from .images import write_archive
from .parts import Parts, say
from .process import LabError

_DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / ".run" / "lab"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.action(options)
        return status
    except LabError as error:
        say(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="A real air-gap estate on this machine, as root.")
    folder = Path(os.environ.get("LAB_FOLDER") or _DEFAULT_FOLDER)
    parser.add_argument("--folder", type=Path, default=folder, help="where logs and data go (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    parts = commands.add_parser("parts", help="make the programs of the estate, once, into the cache")
    parts.set_defaults(action=_parts)
    up = commands.add_parser("up", help="bring the estate up until Ctrl-C or SIGTERM")
    up.set_defaults(action=_use, command=[])
    run = commands.add_parser("run", help="bring the estate up, run a command in it, take it down")
    run.set_defaults(action=_use)
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    for command in (up, run):
        command.add_argument("--bare", action="store_true", help="without Flux, ocm-controller and their definitions")
        command.add_argument("--second", action="store_true", help="with a second cluster and a registry of its own")
    enter = commands.add_parser("enter", help="run a command, or a shell, in the estate of 'lab up'")
    enter.set_defaults(action=_enter)
    enter.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    servers = commands.add_parser("service", help="switch one server of the estate off or on, from inside")
    servers.set_defaults(action=_service)
    servers.add_argument("act", choices=service.ACTIONS)
    servers.add_argument("name", nargs="?", default="")
    image = commands.add_parser("image", help="pack static programs, the first as entry point, as an image")
    image.set_defaults(action=_image)
    image.add_argument("archive", type=Path, help="the OCI archive to write, for skopeo's oci-archive:")
    image.add_argument("reference", help="its name and tag")
    image.add_argument("programs", type=Path, nargs="+")
    return parser


def _image(options: argparse.Namespace) -> int:
    print(write_archive(options.archive, options.reference, options.programs))
    return 0


def _parts(_options: argparse.Namespace) -> int:
    parts = Parts()
    parts.make()
    say(f"the parts are in {parts.folder}")
    return 0


def _service(options: argparse.Namespace) -> int:
    print(service.ask(options.act, options.name))
    return 0


def _enter(options: argparse.Namespace) -> int:
    note = options.folder.resolve() / "data" / "estate.json"
    if not note.exists():
        raise LabError(f"no estate is up in {options.folder}.")
    estate = json.loads(note.read_text(encoding="utf-8"))
    command = options.command or [os.environ.get("SHELL", "/bin/sh")]
    target = [f"--target={estate['door']}", f"--pid=/proc/{estate['door']}/ns/pid_for_children"]
    enter = ["nsenter", *target, "--mount", "--net", "--ipc", f"--wd={os.getcwd()}", "--", *command]
    os.execvpe(enter[0], enter, {**os.environ, **estate["variables"]})


def _use(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise LabError("the lab needs root.")
    if options.command[:1] == ["--"]:
        del options.command[0]
    folder = _prepare_folder(options.folder.resolve())
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabError(f"another lab uses {folder}; --folder names another place.") from error
        parts = Parts()
        parts.make()
        return _use_inside(parts, folder, options)


def _prepare_folder(folder: Path) -> Path:
    for overlaid in (*namespaces.OVERLAID, "/run", "/proc"):
        if folder.is_relative_to(overlaid):
            raise LabError(f"{folder} lies below {overlaid}, which the lab covers; --folder names another place.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _use_inside(parts: Parts, folder: Path, options: argparse.Namespace) -> int:
    for name in ("data", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(mode=0o700)
    remove_stale_cgroups()
    cgroup = make_cgroup(os.getpid())
    try:
        return namespaces.run_inside(
            lambda door: _use_estate(Estate(parts, folder, cgroup, options.bare), door, options)
        )
    finally:
        # Everything in the namespaces is gone by now, so nothing holds these any more.
        remove_cgroup(cgroup)
        shutil.rmtree(folder / "data", ignore_errors=True)
        say(f"logs: {folder / 'logs'}")


class _Ended(Exception):
    """Somebody asked the lab to end."""


def _on_signal(number: int, _frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise _Ended(signal.Signals(number).name)


def _use_estate(estate: Estate, door: int, options: argparse.Namespace) -> int:
    """What the process inside of the namespaces does."""
    command = options.command
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    started = time.monotonic()
    status = 1
    try:
        estate.up()
        if options.second:
            estate.switch_second("start")
        service.listen(estate.act)
        say(f"the estate is up ({seconds_since(started)})")
        status = _run_command(estate, command) if command else _wait_for_end(estate, door)
    except LabError as error:
        say(str(error))
    except _Ended as ended:
        say(f"ended by {ended}")
        status = 0 if not command else 130
    finally:
        started = time.monotonic()
        estate.down()
        say(f"the estate is down ({seconds_since(started)})")
    return status


def _run_command(estate: Estate, command: list[str]) -> int:
    try:
        process = subprocess.Popen(command, env={**os.environ, **estate.variables()})
    except OSError as error:
        raise LabError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        return process.wait()
    except _Ended:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def _wait_for_end(estate: Estate, door: int) -> int:
    note = {"door": door, "variables": estate.variables()}
    file = estate.data / "estate.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(note), encoding="utf-8")
    say("Ctrl-C takes it down. In another terminal: lab enter [COMMAND ...]")
    sys.stdout.flush()
    while True:
        signal.pause()
