# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull Secrets and ServiceAccounts of a cluster against the accounts that it is to have; nothing secret is told."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import ClusterUnreachable
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.credentials import Places, credential_items
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.pull_secret import RECORD, PullAccount, plan_secret
from ansible_collections.ocm.airgap.tests.support.cluster import MemoryCluster, make, pull_secret

HOST, SECOND = "registry.example.com", "second.example.com:5000/team"
ACCOUNTS = (PullAccount(HOST, "reader", "reader-password-1"), PullAccount(SECOND, "robot", "robot-password-1"))
NAME = "ocm-airgap-pull"
PLACES = Places(NAME, ("ocm-system", "default"), (("ocm-system", "air-gapped-ops"),))
LOCK = {"name": "podinfo"}
WORDS = ("reader", "robot", "stranger", "password-")
DEFAULT = f"credentials:Secret default/{NAME}"
ACCOUNT = "credentials:ServiceAccount ocm-system/air-gapped-ops"


def secret(namespace, accounts=ACCOUNTS):
    """The Secret as the role credentials writes it."""
    return plan_secret(NAME, namespace, accounts, None).definition


def service_account(*secrets):
    found = make("ServiceAccount", "v1", "air-gapped-ops", "ocm-system", observed=None)
    return dict(found, imagePullSecrets=[dict(name=name) for name in secrets]) if secrets else found


def estate(default=None, account=None):
    """Everything as it should be; `default`, `account` replace an object, "none" leaves it out."""
    objects = [secret("ocm-system"), default or secret("default"), account or service_account(NAME)]
    return [found for found in objects if found != "none"]


def items(objects, accounts=ACCOUNTS, places=PLACES):
    found = credential_items(LOCK, accounts, MemoryCluster(objects), places)
    assert not [word for word in WORDS for item in found if word in str(item)], found
    assert not [login for login in encoded() if login in str(found)]
    assert {item.name for item in found} <= {"podinfo"}
    return found


def encoded():
    logins = [f"{account.username}:{account.password}" for account in ACCOUNTS]
    return [base64.b64encode(login.encode()).decode() for login in logins]


def told(objects, **options):
    return {item.id: item.found for item in items(objects, **options)}


def with_accounts(*accounts, **changes):
    """The Secret in the namespace default with other accounts, but with the record of the right ones."""
    found = secret("default", accounts)
    found["metadata"]["annotations"][RECORD] = changes.get("record", secret("default")["metadata"]["annotations"][RECORD])
    return found


def test_an_untouched_cluster_has_no_item():
    assert told(estate()) == {}


def test_a_secret_that_is_missing():
    (item,) = items(estate(default="none"))
    assert (item.id, item.object, item.found) == (DEFAULT, f"Secret default/{NAME}", "nothing")
    assert item.expected == f"type kubernetes.io/dockerconfigjson with accounts for {HOST}, {SECOND}" and not item.obstacle


def test_a_namespace_that_is_missing():
    places = replace(PLACES, namespaces=("default", "gone"))
    assert told(estate(), places=places) == {f"credentials:Secret gone/{NAME}": "nothing"}


def test_a_place_that_is_named_twice_is_looked_at_once():
    places = Places(NAME, ("gone", "gone"), (("gone", "a"), ("gone", "a")))
    assert len(items([], places=places)) == 2


def test_a_secret_of_another_type():
    (item,) = items(estate(default=pull_secret({}, NAME, type="Opaque")))
    assert (item.id, item.found) == (DEFAULT, "type Opaque") and "deleted" in item.obstacle


@pytest.mark.parametrize("raw", [b"no json", b"[]", b'{"auths": []}', b"\xff"])
@pytest.mark.parametrize("accounts", [ACCOUNTS, ()])
def test_a_secret_that_cannot_be_read(raw, accounts):
    (item,) = items(estate(default=pull_secret({}, NAME, raw=raw)), accounts=accounts)
    assert (item.id, item.found) == (DEFAULT, "content that no kubelet can read") and "deleted" in item.obstacle


@pytest.mark.parametrize(
    "changed, found",
    [
        (ACCOUNTS[:1], f"no account for {SECOND}"),
        ((), f"no account for {HOST}; no account for {SECOND}"),
        ((replace(ACCOUNTS[0], password="old-password-1"), ACCOUNTS[1]), f"the password of {HOST} is another one"),
        ((ACCOUNTS[0], replace(ACCOUNTS[1], username="stranger")), f"the user of {SECOND} is another one"),
        (
            (replace(ACCOUNTS[0], password="old-password-1"), replace(ACCOUNTS[1], username="stranger", password="x-password-1")),
            f"the password of {HOST} is another one; the user of {SECOND} is another one",
        ),
    ],
)
def test_accounts_that_differ(changed, found):
    assert told(estate(default=with_accounts(*changed))) == {DEFAULT: found}


@pytest.mark.parametrize(
    "entry, found",
    [
        ("broken", f"the entry of {HOST} cannot be read"),
        ({"auth": "no base64!"}, f"the entry of {HOST} cannot be read"),
        ({"username": "reader", "password": "reader-password-1", "identitytoken": "x"}, f"the entry of {HOST} has a token"),
        ({}, f"the user of {HOST} is another one"),
    ],
)
def test_entries_that_are_no_login(entry, found):
    accounts = {SECOND: ("robot", "robot-password-1")}
    raw_entry = {HOST: entry} if isinstance(entry, dict) else {}
    present = pull_secret(dict(accounts, **raw_entry), NAME)
    if not raw_entry:
        text = '{"auths":{"%s":"%s","%s":{"username":"robot","password":"robot-password-1"}}}' % (HOST, entry, SECOND)
        present = pull_secret({}, NAME, raw=text.encode())
    present["metadata"]["annotations"] = {RECORD: f"{HOST},{SECOND}"}
    assert told(estate(default=present)) == {DEFAULT: found}


def test_a_secret_without_content():
    present = dict(pull_secret({}, NAME), data=None)
    assert told(estate(default=present)) == {DEFAULT: f"no account for {HOST}; no account for {SECOND}"}


def test_what_others_put_into_the_secret_stays():
    others = PullAccount("others.example.com", "stranger", "stranger-password-1")
    assert told(estate(default=with_accounts(*ACCOUNTS, others))) == {}


def test_an_account_that_a_move_has_kept_is_no_drift():
    former = PullAccount("former.example.com", "stranger", "stranger-password-1")
    record = f"former.example.com,{HOST},{SECOND}"
    assert told(estate(default=with_accounts(*ACCOUNTS, former, record=record))) == {}
    assert told(estate(default=with_accounts(ACCOUNTS[0], former, record=record))) == {DEFAULT: f"no account for {SECOND}"}


def test_a_record_that_is_missing():
    found = told(estate(default=with_accounts(*ACCOUNTS, record="")))
    assert found == {DEFAULT: "the record of what was written here is another one"}


def test_docker_hub_is_named_by_its_host():
    hub = PullAccount("docker.io", "reader", "reader-password-1")
    cluster = [secret("default", [replace(hub, password="old-password-1")])]
    found = told(cluster, accounts=[hub], places=Places(NAME, ("default",)))
    assert found == {DEFAULT: "the password of docker.io is another one"}
    assert told([secret("default", [hub])], accounts=[hub], places=Places(NAME, ("default",))) == {}


def test_without_accounts_only_secrets_that_are_missing_or_of_no_use_are_told():
    assert told(estate(default=with_accounts(ACCOUNTS[0])), accounts=()) == {}
    assert told(estate(default=pull_secret({}, NAME, type="Opaque")), accounts=()) == {DEFAULT: "type Opaque"}
    (item,) = items(estate(default="none"), accounts=())
    assert (item.id, item.found, item.expected) == (DEFAULT, "nothing", "type kubernetes.io/dockerconfigjson")
    assert "pull_registries" in item.obstacle


@pytest.mark.parametrize(
    "account, found",
    [
        ("none", "nothing"),
        (service_account(), "no pull secret"),
        (dict(service_account(), imagePullSecrets=None), "no pull secret"),
        (service_account("other", "another"), "the pull secret other, another"),
    ],
)
def test_a_service_account_that_does_not_name_the_secret(account, found):
    (item,) = items(estate(account=account))
    assert (item.id, item.object) == (ACCOUNT, "ServiceAccount ocm-system/air-gapped-ops")
    assert (item.expected, item.found, item.obstacle) == (f"the pull secret {NAME}", found, "")


def test_further_pull_secrets_of_a_service_account_stay():
    assert told(estate(account=service_account("other", NAME))) == {}


def test_what_is_put_right_is_clean():
    """The plan that the role credentials follows takes every item away."""
    present = with_accounts(replace(ACCOUNTS[0], password="old-password-1"))
    repaired = plan_secret(NAME, "default", ACCOUNTS, present).definition
    assert told(estate(default=present)) != {} == told(estate(default=repaired))


def test_a_cluster_that_does_not_answer_is_no_drift():
    class Silent(MemoryCluster):
        def get(self, kind, namespace, name):
            raise ClusterUnreachable("The API server does not answer.")

    with pytest.raises(ClusterUnreachable):
        credential_items(LOCK, ACCOUNTS, Silent(), PLACES)
