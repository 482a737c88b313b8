# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay secret in Ansible's most verbose output, and in the arguments of processes.

Needs the controller's Python, so it lies outside of the tests that run on every target's.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.tests.support.components import component, local, put_component
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry

NAME = "acme.test/product"
CANARY, WRONG = "canary-password-4711", "canary-wrong-4712"


@pytest.fixture
def place(tmp_path_factory):
    options = RegistryOptions(accounts={"writer": CANARY})
    with run_registry(tmp_path_factory.mktemp("registry"), options) as registry:
        found = RegistryPlace(registry, ("writer", CANARY), True)
        put_component(found, component(NAME, [local("text", b"text")]), "from")
        yield found


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
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    variables = {
        "host": place.host,
        "source": place.repository("from"),
        "target": place.repository("into"),
        "secret": CANARY,
        "wrong": WRONG,
        "ansible_connection": "local",
    }
    options = ("-vvvv", "-i", "localhost,", "--diff")
    with ArgumentWatch(CANARY) as watch:
        status, output = run_playbook(tmp_path, str(tmp_path / "play.yml"), variables, *options)
    assert status == 0, output[-3000:]
    assert "not accepted" in output
    coded = [b64encode(f"writer:{secret}".encode()).decode() for secret in (CANARY, WRONG)]
    assert not [secret for secret in (CANARY, WRONG, *coded) if secret in output]
    assert watch.looks > 20 and not watch.seen
