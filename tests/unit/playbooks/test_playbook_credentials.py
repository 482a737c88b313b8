# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook site with `--tags credentials`: a new account comes everywhere, a bad one nowhere, and nobody else may
work on the estate meanwhile.

A real registry and a real Git server; the API server is a stub. Needs the controller's Python, so it lies outside of
the tests that run on every target's.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.lease import LEASE, micro_time
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import DEPLOYMENT, Kind
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.pull_secret import RECORD
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import StubApi
from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed
from ansible_collections.ocm.airgap.tests.support.playbook import run_playbook
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

PODINFO, VERSION = "example.org/podinfo", "6.3.5"
ACCOUNTS = {name: f"{name}-password-4711" for name in ("writer", "reader", "robot")}
GIT, WRONG = "git-password-4711", "wrong-password-4711"
SECRET = Kind("v1", "Secret")
KINDS = (SECRET, Kind("v1", "ServiceAccount"), DEPLOYMENT)
# Where the account is used: by workloads, by Flux for charts, and by the pods of the platform under a name of its own.
PLACES = {("podinfo", "pull"), ("flux-system", "pull"), ("flux-system", "platform-pull")}


class Estate:
    def __init__(self, folder, registry, git, api):
        self.folder, self.registry, self.git, self.api = folder, registry, git, api
        self.target = f"http://{registry.host}/air-gapped"
        self.repository = git.repository()
        self.repository.commit(folder / "clone", {"README.md": "the estate\n"}, subject="Begin")
        source = str(COLLECTION / "playbooks" / "files" / "podinfo")
        arguments = dict(source=source, target=[self.target], component=PODINFO, version=VERSION)
        succeed("ocm_transfer", dict(arguments, registries=[self.account("writer")]))
        self.output = ""

    def account(self, user, password=""):
        return dict(host=self.registry.host, username=user, password=password or ACCOUNTS[user])

    def variables(self, **more):
        values = dict(
            target=self.target,
            component=PODINFO,
            version=VERSION,
            delivery="rendered",
            target_namespace="podinfo",
            pull_secret="pull",
            install=["flux"],
            registries=[self.account("writer"), dict(host="public.example.com", plain_http=True)],
            pull_registries=[self.account("reader")],
            git_url=self.git.url_of(self.repository),
            git_username="robot",
            git_password=GIT,
            kubernetes=dict(kubeconfig=str(self.folder / "kubeconfig")),
        )
        return {f"ocm_airgap_{name}": value for name, value in dict(values, **more).items()}

    def site(self, *options, tags="credentials", **more):
        """Runs the playbook."""
        self.api.asked.clear()
        (self.folder / "kubeconfig").write_text(json.dumps(self.api.kubeconfig))
        options = ("-vvvv", "--diff", "--tags", tags, *options)
        played = run_playbook(self.folder, "ocm.airgap.site", self.variables(**more), *options)
        secrets = (*ACCOUNTS.values(), GIT, WRONG)
        assert not [secret for secret in secrets if secret in played.output or _coded(secret) in played.output]
        return played

    def writes(self):
        """The requests that write, without those for the Lease."""
        return [f"{asked.method} {asked.path}" for asked in self.api.writes if "/leases" not in asked.path]

    def leases(self):
        return [asked.method for asked in self.api.writes if "/leases" in asked.path]

    def lease(self, holder):
        """Somebody works on the estate."""
        found = make.lease(holder, micro_time(datetime.now(timezone.utc)), namespace="flux-system")
        found["metadata"]["name"] = "ocm-airgap-components"
        self.api.cluster.objects.append(found)
        return found

    def pull_accounts(self):
        """(namespace, Secret) to the user names for each host."""
        found = {}
        for secret in self.api.cluster.objects:
            if secret["kind"] == "Secret" and secret["type"].endswith("dockerconfigjson"):
                auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
                place = (secret["metadata"]["namespace"], secret["metadata"]["name"])
                found[place] = {host: entry["username"] for host, entry in auths.items()}
        return found

    def git_password(self):
        secret = self.api.cluster.get(SECRET, "flux-system", "flux-system-git")
        return base64.b64decode(secret["data"]["password"]).decode()


def _coded(secret):
    return base64.b64encode(secret.encode()).decode()


def platform():
    """A Flux that was installed by the role, and pulls with a Secret of its own."""
    found = make.deployment(name="source-controller", namespace="flux-system")
    found["metadata"]["labels"] = {"ocm.airgap/platform": "flux"}
    found["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": "platform-pull"}]
    return found


def flux_secret(password):
    found = make.make("Secret", "v1", "flux-system-git", "flux-system", observed=None)
    found.update(type="Opaque", data=dict(username=_coded("robot"), password=_coded(password)))
    return found


@pytest.fixture
def estate(tmp_path):
    spec = dict(interval="1m0s", ref=dict(branch="main"), secretRef=dict(name="flux-system-git"))
    objects = [platform(), make.git_repository(spec=spec), flux_secret("old-password-4711")]
    with run_registry(tmp_path / "registry", RegistryOptions(accounts=ACCOUNTS)) as registry:
        with run_git_server(tmp_path / "git", f"robot:{GIT}") as git, StubApi(objects, kinds=KINDS) as api:
            yield Estate(tmp_path, registry, git, api)


def test_a_new_account_comes_everywhere_and_nothing_changes_the_second_time(estate):
    status, output = estate.site()
    assert status == 0, output[-5000:]
    assert estate.pull_accounts() == {place: {estate.registry.host: "reader"} for place in PLACES}
    assert estate.git_password() == GIT
    assert estate.leases() == ["POST", "DELETE"]
    assert estate.api.writes[0].path.endswith("/namespaces/flux-system/leases")

    others = dict(username="somebody", password="kept-password-1")
    found = estate.api.cluster.objects
    for secret in (item for item in found if item["metadata"]["name"] == "pull"):
        auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
        content = json.dumps(dict(auths=dict(auths, **{"others.example.com": others}))).encode()
        secret["data"][".dockerconfigjson"] = base64.b64encode(content).decode()
    status, output = estate.site(pull_registries=[estate.account("robot")])
    assert status == 0, output[-5000:]
    robot = {estate.registry.host: "robot"}
    assert estate.pull_accounts() == {
        ("podinfo", "pull"): dict(robot, **{"others.example.com": "somebody"}),
        ("flux-system", "pull"): dict(robot, **{"others.example.com": "somebody"}),
        ("flux-system", "platform-pull"): robot,
    }

    status, output = estate.site(pull_registries=[estate.account("robot")])
    assert status == 0 and "changed=0 " in output, output[-5000:]
    assert estate.writes() == []


def test_the_account_of_a_former_registry_stays_as_long_as_a_delivery_may_name_it(estate):
    former = make.pull_secret({"former.example.com": ("reader", "former-password-1")}, "pull", "podinfo")
    former["metadata"]["annotations"] = {RECORD: "former.example.com"}
    estate.api.cluster.objects.append(former)
    own = {estate.registry.host: "reader"}
    for tags, accounts in (("transfer,credentials", {"former.example.com": "reader", **own}), ("credentials", own)):
        status, output = estate.site(tags=tags)
        assert status == 0, output[-5000:]
        assert estate.pull_accounts()["podinfo", "pull"] == accounts


@pytest.mark.parametrize(
    "bad",
    [
        dict(pull_registries="reader"),
        dict(registries="writer"),
        dict(git_password=WRONG),
        dict(pull_registries="elsewhere"),
    ],
    ids=["pull", "push", "git", "unused"],
)
def test_a_bad_account_is_refused_before_anything_changes(estate, bad):
    elsewhere = dict(host=f"{estate.registry.host}/elsewhere", plain_http=True)
    accounts = {
        "reader": [estate.account("reader", WRONG)],
        "writer": [estate.account("writer", WRONG)],
        "elsewhere": [estate.account("reader"), dict(estate.account("robot", WRONG), **elsewhere)],
    }
    status, output = estate.site(**{name: accounts.get(value, value) for name, value in bad.items()})
    assert status == 2, output[-5000:]
    assert estate.writes() == []
    assert estate.leases() == ["POST", "DELETE"], "the Lease is given back after a failure as well"


def test_two_runs_exclude_each_other(estate):
    held = estate.lease("process 1 of another host")
    status, output = estate.site()
    assert status == 2 and "is held by process 1 of another host since" in output
    assert "kubectl --namespace flux-system delete lease ocm-airgap-components" in output
    assert not estate.api.writes

    status, output = estate.site("--check")
    assert status == 0 and "may be its work half done" in output, output[-5000:]
    assert not estate.api.writes
    assert estate.api.cluster.get(LEASE, "flux-system", "ocm-airgap-components") == held


def test_without_a_cluster_content_can_be_moved(estate):
    status, output = estate.site(tags="transfer", source=str(COLLECTION / "playbooks" / "files" / "podinfo"))
    assert status == 0, output[-5000:]
    assert not estate.api.asked
