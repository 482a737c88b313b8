# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process is the run of Ansible, and whether one has ended; on a /proc that the tests write, and on the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.lease import process_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import processes
from ansible_collections.ocm.airgap.tests.support.modules import module_environment

BOOT = "7c1f4a86-3f0e-4c7e-9d0b-2f3a5e6b7c8d"
PLAYBOOK = ["/usr/bin/python3", "/usr/bin/ansible-playbook", "site.yml"]
# Above a run: (process id, command), from below.
USER = [(12, ["-bash"]), (1, ["/sbin/init"])]

# Stands for ansible-playbook: a fork of it starts a module through a shell, which says what it finds.
RUN = """
import os, subprocess, sys
PROGRAM = "from {name} import ansible_run; print(ansible_run(), flush=True)"
for line in sys.stdin:
    worker = os.fork()
    if not worker:
        os.setsid()
        subprocess.run(["/bin/sh", "-c", f"'{{sys.executable}}' -c '{{PROGRAM}}' && sleep 0"], check=True)
        os._exit(0)
    os.waitpid(worker, 0)
""".format(name=processes.__name__)


@pytest.fixture
def proc(monkeypatch, tmp_path):
    """A /proc with a boot id and a PID namespace, and no processes."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text(f"{BOOT}\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026531836]")
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    monkeypatch.setattr(processes, "host_name", lambda: "build7")
    return tmp_path


def module():
    """This process, as if it were a module, and its shell."""
    return [
        (os.getpid(), ["/usr/bin/python3", "AnsiballZ_ocm_lease.py"]),
        (60, ["/bin/sh", "-c", "python3 && sleep 0"]),
    ]


def fill(proc, chain, state="S"):
    """Write processes, each the child of the next one. They start at 1000 + their process id."""
    for number, (pid, command) in enumerate(chain):
        parent = chain[number + 1][0] if number + 1 < len(chain) else 0
        folder = proc / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
        fields = [state, parent, *range(17), 1000 + pid, 0, 0]
        (folder / "stat").write_text(f"{pid} (a) b (c)) {' '.join(str(field) for field in fields)}\n")


def found_pid(proc, chain):
    fill(proc, module() + chain + USER)
    run = processes.ansible_run()
    return run and run.pid


def test_the_run_is_above_its_worker(proc):
    fill(proc, module() + [(40, PLAYBOOK), (30, PLAYBOOK)] + USER)
    run = processes.ansible_run()
    assert str(run) == f"build7 pid=30 start=1030 pidns=4026531836 boot={BOOT}"


@pytest.mark.parametrize(
    "chain",
    [
        [(50, ["sudo", "-u", "root", "/bin/sh"]), (40, PLAYBOOK), (30, PLAYBOOK)],
        [(30, PLAYBOOK), (20, ["sudo", *PLAYBOOK])],
        [
            (40, PLAYBOOK),
            (30, PLAYBOOK),
            (20, ["/bin/sh", "-c", "ansible-playbook site.yml"]),
            (19, ["ansible-playbook", "outer.yml"]),
        ],
        [(40, PLAYBOOK), (30, PLAYBOOK), (20, ["python3", "/usr/bin/ansible-pull"])],
        [(40, ["python3", "-m", "ansible", "playbook"]), (30, ["python3", "-m", "ansible", "playbook"])],
        [(40, ["python3", "-X", "dev", "/bin/ansible", "all"]), (30, ["python3", "-X", "dev", "/bin/ansible", "all"])],
    ],
)
def test_what_else_may_stand_above_a_module(proc, chain):
    assert found_pid(proc, chain) == 30


@pytest.mark.parametrize("chain", [[], [(30, ["sshd: root@notty"])], [(30, ["vim", "ansible-playbook.md"])]])
def test_a_module_without_ansible_above_it(proc, chain):
    assert found_pid(proc, chain) is None


@pytest.mark.parametrize("missing", ["sys/kernel/random/boot_id", "self/ns/pid"])
def test_a_host_that_cannot_be_told_from_others(proc, missing):
    fill(proc, module() + [(30, PLAYBOOK)] + USER)
    run = processes.ansible_run()
    (proc / missing).unlink()
    assert processes.ansible_run() is None
    assert not processes.is_gone(replace(run, pid=_free_pid()))


def test_a_system_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "PROC", str(tmp_path / "none"))
    assert processes.ansible_run() is None


def _free_pid():
    """The process id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_processes_of_this_place_are_judged(proc):
    fill(proc, [(os.getpid(), PLAYBOOK)])
    run = processes.ansible_run()
    gone = replace(run, pid=_free_pid())
    assert not processes.is_gone(run) and processes.is_alive(run)
    assert processes.is_gone(gone) and not processes.is_alive(gone)
    for other in (dict(host="build8"), dict(boot="other"), dict(space="4026532000")):
        assert not processes.is_gone(replace(gone, **other))
        assert not processes.is_alive(replace(run, **other))


def test_a_process_id_that_came_again(proc):
    fill(proc, [(os.getpid(), PLAYBOOK)])
    other = replace(processes.ansible_run(), started=5)
    assert processes.is_gone(other) and not processes.is_alive(other)


def test_a_process_that_proc_hides_may_live(proc):
    fill(proc, [(os.getpid(), PLAYBOOK)])
    run = processes.ansible_run()
    (proc / str(os.getpid()) / "stat").unlink()
    assert not processes.is_gone(run) and not processes.is_alive(run)


def test_a_process_that_was_killed(tmp_path):
    script = tmp_path / "ansible-playbook"
    script.write_text(RUN)
    with subprocess.Popen(
        [sys.executable, str(script), "site.yml"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=module_environment(),
        text=True,
    ) as playbook:
        tasks = []
        for _number in range(2):
            playbook.stdin.write("task\n")
            playbook.stdin.flush()
            tasks.append(process_of(playbook.stdout.readline().strip()))
        run = tasks[0]
        assert run is not None and tasks == [run, run]
        assert run.pid == playbook.pid
        assert not processes.is_gone(run) and processes.is_alive(run)
        playbook.kill()
        # It has ended, and nobody has asked for that yet: it is a zombie.
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{run.pid}/stat").exists()
        assert processes.is_gone(run) and not processes.is_alive(run)
    assert processes.is_gone(run)
