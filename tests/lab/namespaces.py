# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world of its own for the estate: mounts, network and processes that vanish with it.

The files of the system are seen through overlays, so that whatever is written to them lies in memory and is gone in
the end. There is no way out of the network: the air gap is real, and all ports are free.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from .process import LabError, run

NODE_ADDRESS = "10.250.0.1"
NODE_NETWORK = "10.250.0.0/24"
API_SERVICE = "10.96.0.1"
BRIDGE = "lab0"
OVERLAID = ("/etc", "/var/lib", "/var/log")

# What a kubelet sets, and what belongs to the whole machine: it writes into plain files that lie over them.
TUNABLES = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x08000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_inside(inner: Callable[[int], int]) -> int:
    """Runs the function in namespaces of its own and returns its exit status when all processes there are gone.

    The function gets the number of a process outside whose namespaces (pid_for_children among them) these are.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def door() -> int:
        # When the outer process is killed, these go with it, and everything in the namespaces with them.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        number = os.getpid()
        if libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET) != 0:
            raise LabError(f"no namespaces can be made ({os.strerror(ctypes.get_errno())}): the lab needs root.")
        return _fork(lambda: first_process(number))

    def first_process(number: int) -> int:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prepare_mounts()
        _prepare_network()
        return _fork(lambda: inner(number))

    return _fork(door)


def _fork(child: Callable[[], int]) -> int:
    """Runs the function in a child process, hands signals on to it, and collects every process that is left over."""
    before = {number: signal.getsignal(number) for number in _FORWARDED}
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    pid = os.fork()
    if pid == 0:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        status = 1
        try:
            status = child()
        except LabError as error:
            print(f"lab: {error}", flush=True)
        except BaseException:  # pylint: disable=broad-exception-caught  # never back into the parent's code
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    for number in _FORWARDED:
        signal.signal(number, lambda received, frame: _send(pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            break
    for number, handler in before.items():
        signal.signal(number, handler)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _mount(*arguments: str) -> None:
    run(["mount", *arguments])


def _prepare_mounts() -> None:
    _mount("--make-rprivate", "/")
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "lab", "/run")
    for folder in OVERLAID:
        layers = Path("/run/lab") / folder.strip("/").replace("/", "-")
        (layers / "upper").mkdir(parents=True)
        (layers / "work").mkdir()
        options = f"lowerdir={folder},upperdir={layers}/upper,workdir={layers}/work"
        _mount("-t", "overlay", "-o", options, "lab", folder)
    for name in TUNABLES:
        real, mask = Path("/proc/sys", name), Path("/run/lab", name.replace("/", "-"))
        if real.exists():
            mask.write_text(real.read_text(encoding="ascii"), encoding="ascii")
            _mount("--bind", str(mask), str(real))


def _prepare_network() -> None:
    run(["ip", "link", "set", "lo", "up"])
    # The bridge of the pods comes up with the first of them, but the node needs its address before.
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", BRIDGE])
    # There is no kube-proxy: the API server itself answers at the address of its Service.
    run(["ip", "address", "add", f"{API_SERVICE}/32", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])


def add_hosts(names: list[str]) -> None:
    """Gives the names the address of the node, for everything in the namespace."""
    with Path("/etc/hosts").open("a", encoding="utf-8") as hosts:
        hosts.write("".join(f"\n{NODE_ADDRESS} {name}" for name in names) + "\n")


def trust(authority: Path) -> None:
    """Adds a certificate to the system's trust store, for everything in the namespace."""
    store = Path("/etc/ssl/certs/ca-certificates.crt")
    if not store.exists():
        raise LabError(f"{store} is missing; install ca-certificates.")
    with store.open("a", encoding="utf-8") as bundle:
        bundle.write(authority.read_text(encoding="utf-8"))
