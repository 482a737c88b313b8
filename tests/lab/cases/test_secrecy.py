# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every run of the cases is searched for secrets. This is the proof that they would be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .ansible_run import Ansible
from .estate import Lab

# Whoever looks at the arguments of processes meanwhile would find this one's.
pytestmark = pytest.mark.alone

PRINTED = {"ansible.builtin.debug": {"msg": "{{ secret }}"}}
ENCODED = {"ansible.builtin.debug": {"msg": "{{ ('user:' ~ secret) | b64encode }}"}}
ARGUMENT = {"ansible.builtin.command": {"argv": ["sh", "-c", "sleep 1", "{{ secret }}"]}, "no_log": True}
LEFT = {
    "ansible.builtin.copy": {"content": "{{ secret }}", "dest": "{{ lookup('env', 'TMPDIR') }}/left", "mode": "0600"},
    "no_log": True,
}


@pytest.mark.parametrize(
    "task, found",
    [
        (PRINTED, "a secret was printed"),
        (ENCODED, "a secret was printed"),
        (ARGUMENT, "a secret was an argument of"),
        (LEFT, "a secret was left in"),
    ],
    ids=["printed", "encoded", "argument", "left"],
)
def test_it_would_be_found(lab: Lab, ansible: Ansible, tmp_path: Path, task: dict[str, Any], found: str) -> None:
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"name": "Show it", **task}]}
    file = tmp_path / "show.json"
    file.write_text(json.dumps([play]), encoding="utf-8")
    with pytest.raises(AssertionError, match=found):
        ansible.playbook(str(file), {"secret": lab.push.password})
    (ansible.temporary / "left").unlink(missing_ok=True)
