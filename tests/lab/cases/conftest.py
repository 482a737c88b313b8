# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cases share: the estate, runs of Ansible, and sites of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .ansible_run import Ansible
from .estate import Cluster, Lab
from .secrecy import Secrets
from .site import PODINFO, Site

_failed: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: switches off or breaks what other cases need, so it runs by itself")


def _story(item: pytest.Item) -> str:
    """The file, the class and the delivery of a test: what is done in order, in one site."""
    delivery = item.callspec.params.get("delivery", "") if hasattr(item, "callspec") else ""
    return f"{item.parent.nodeid if item.parent else ''} {delivery}".strip()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """The tests of a class are the steps of one story: what follows a failed step cannot be judged."""
    report = (yield).get_result()
    if report.failed and isinstance(item, pytest.Function) and item.cls:
        _failed.add(_story(item))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _story(item) in _failed:
        pytest.skip("a step before this one has failed")


def deliveries() -> list[str]:
    """The deliveries that this estate can do."""
    return ["rendered", "controller"] if Lab().ocm_controller else ["rendered"]


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="session")
def secrets(lab: Lab) -> Secrets:
    return Secrets(lab.push.password, lab.pull.password, lab.git.password)


@pytest.fixture(scope="session")
def ansible(lab: Lab, secrets: Secrets, tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return Ansible(tmp_path_factory.mktemp("ansible"), lab.logs / "runs" / worker, secrets)


@pytest.fixture(scope="session")
def podinfo(lab: Lab, ansible: Ansible) -> str:
    """The repository in the public registry that holds both versions of podinfo."""
    source = f"{lab.public}/guide"
    files = Path(__file__).resolve().parents[3] / "playbooks" / "files" / "podinfo"
    with lab.with_server("public"):
        ansible.module("ocm_transfer", {"source": str(files), "target": source, "component": PODINFO}).must_succeed()
    return source


@pytest.fixture(scope="class")
def delivery(request: pytest.FixtureRequest) -> str:
    """How the class delivers. One that can do both is parametrized, indirectly, with deliveries()."""
    found: str = getattr(request, "param", "rendered")
    return found


@pytest.fixture(scope="class")
def site(
    request: pytest.FixtureRequest,
    delivery: str,
    lab: Lab,
    cluster: Cluster,
    ansible: Ansible,
    podinfo: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A site for the class: a Git repository, a namespace and Flux objects that nobody else uses."""
    story = request.node.name.replace("Test", "").lower()
    name = re.sub("[^a-z0-9]+", "-", f"site {story} {'' if delivery == 'rendered' else delivery}".strip())
    made = Site(lab, ansible, tmp_path_factory.mktemp(name), name, delivery)
    made.source = podinfo
    if delivery == "controller":
        made.make_the_controllers_namespace(cluster)
    yield made
    assert not ansible.secrets.found_in(made.repository.everything()), "a secret is in Git"
    made.close(cluster)
