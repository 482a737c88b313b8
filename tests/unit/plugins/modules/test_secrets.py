# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay secret: in results, in Ansible's most verbose output, and in the arguments of processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, local, put_component
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, fail, module_environment, succeed

NAME = "acme.test/product"
CANARY, WRONG, TOKEN = "canary-password-4711", "canary-wrong-4712", "canary-token-4713"
ACCOUNTS = {"writer": CANARY}


@pytest.fixture
def place(start_place):
    registry = start_place(login=("writer", CANARY), accounts=ACCOUNTS)
    artifact = image([layer("x")])
    registry.put("team/app", artifact, "1.0")
    resources = [local("text", b"text"), image_resource("image", f"{registry.image('team/app')}:1.0", artifact)]
    put_component(registry, component(NAME, resources), "from")
    return registry


def login(place, password=CANARY):
    return [{"host": place.host, "username": "writer", "password": password}]


def calls(place, folder):
    """Every module that talks to registries: (name, arguments without registries)."""
    from_there = dict(repository=place.repository("from"), component=NAME, version="1.0.0")
    return [
        ("ocm_component_info", from_there),
        ("ocm_resource", dict(from_there, resource="text", dest=str(folder / "text"))),
        ("ocm_resource", dict(from_there, resource="image", dest=str(folder / "image.tgz"))),
        ("ocm_transfer", dict(source=place.repository("from"), target=place.repository("into"), component=NAME)),
    ]


def test_no_secret_in_any_result(place, tmp_path):
    for name, arguments in calls(place, tmp_path):
        for more in ({}, {"check": True}, {"diff": True}):
            assert CANARY not in succeed(name, dict(arguments, registries=login(place)), **more).output
        refused = fail(name, dict(arguments, registries=login(place, WRONG)))
        assert WRONG not in refused.output and CANARY not in refused.output
        bearer = fail(name, dict(arguments, registries=[{"host": place.host, "token": TOKEN}]))
        assert TOKEN not in bearer.output
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_no_secret_of_an_auth_file_in_any_result(place, tmp_path):
    coded = b64encode(f"writer:{CANARY}".encode()).decode()
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {place.host: {"auth": coded}}}))
    for name, arguments in calls(place, tmp_path):
        output = succeed(name, dict(arguments, auth_file=str(path)), diff=True).output
        assert CANARY not in output and coded not in output


def test_a_login_inside_a_repository_is_refused_without_being_told(place):
    for text in (f"http://writer:{CANARY}@{place.host}/from", f"writer:{CANARY}@{place.host}/from"):
        assert CANARY not in fail("ocm_component_info", dict(repository=text, component=NAME)).message


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/ocm.airgap.ocm:
      registries: [{host: "{{ host }}", username: writer, password: "{{ secret }}"}]
  tasks:
  - ocm.airgap.ocm_component_info: {repository: "{{ source }}", component: acme.test/product}
    register: found
  - ocm.airgap.ocm_resource:
      {repository: "{{ source }}", component: acme.test/product, version: 1.0.0, resource: text}
    register: text
  - ocm.airgap.ocm_transfer: {source: "{{ source }}", target: "{{ target }}", component: acme.test/product}
    register: moved
  - ocm.airgap.ocm_transfer: {source: "{{ source }}", target: "{{ target }}", component: acme.test/product}
    register: again
  - ansible.builtin.assert:
      that:
      - found.component_versions | length == 1
      - text.content == 'text'
      - moved is changed
      - again is not changed
  - ocm.airgap.ocm_component_info:
      repository: "{{ source }}"
      component: acme.test/product
      registries: [{host: "{{ host }}", username: writer, password: "{{ wrong }}"}]
    register: refused
    ignore_errors: true
  - ansible.builtin.debug: {var: refused}
"""


def ansible_playbook():
    beside = Path(sys.executable).parent / "ansible-playbook"
    return str(beside) if beside.exists() else shutil.which("ansible-playbook")


class ArgumentWatch:
    """Looks at the arguments of all processes again and again, for a text that must not be among them."""

    def __init__(self, text):
        self._text, self._ended = text.encode(), threading.Event()
        self.looks, self.seen = 0, set()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._ended.wait(0.01):
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    found = path.read_bytes()
                except OSError:
                    continue
                if self._text in found:
                    self.seen.add(found)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()


def test_no_secret_in_a_playbook_at_its_most_verbose(place, tmp_path):
    """The secret comes out of a file, as out of a vault; the target runs with this very Python."""
    program = ansible_playbook()
    assert program, "The test needs ansible-playbook on PATH."
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    variables = {
        "host": place.host,
        "source": place.repository("from"),
        "target": place.repository("into"),
        "secret": CANARY,
        "wrong": WRONG,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    unwanted = ("ANSIBLE_", "PYTHONPATH")
    environment = {name: value for name, value in module_environment().items() if not name.startswith(unwanted)}
    (tmp_path / "ansible.cfg").write_text("")
    own = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
    }
    variables_file = f"@{tmp_path / 'variables.json'}"
    command = [program, "-vvvv", "-i", "localhost,", "-e", variables_file, "--diff", str(tmp_path / "play.yml")]
    with ArgumentWatch(CANARY) as watch:
        result = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment, **own, LC_ALL="C.UTF-8"),
            cwd=str(tmp_path),
            check=False,
            timeout=300,
        )
    output = result.stdout.decode("utf-8", "replace")
    assert result.returncode == 0, output[-3000:]
    assert "not accepted" in output
    coded = [b64encode(f"writer:{secret}".encode()).decode() for secret in (CANARY, WRONG)]
    assert not [secret for secret in (CANARY, WRONG, *coded) if secret in output]
    assert watch.looks > 20 and not watch.seen
