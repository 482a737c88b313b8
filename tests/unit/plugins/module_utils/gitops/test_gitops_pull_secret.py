# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull secrets: whose account a cluster gets, and what becomes of the Secret that is there."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.pull_secret import (
    DATA_KEY,
    RECORD,
    SECRET_TYPE,
    PullAccount,
    plan_secret,
    plan_secret_removal,
    pull_accounts,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput, Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.pod_spec import with_pull_secret

HOST = "registry.example.com"
PULL = {"host": HOST, "username": "reader", "password": "reader-password-1"}
PUSH = {"host": HOST, "username": "writer", "password": "writer-password-1", "ca_path": "/ca.pem", "validate_certs": True}
WANTED = [f"{HOST}/air-gapped"]
ACCOUNT = PullAccount(HOST, "reader", "reader-password-1")


def login(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def auth_file(host=HOST, **entry):
    return {"auths": {host: entry or {"auth": login("filed", "filed-password-1")}}}


def names(accounts):
    return [(account.host, account.username, account.shared) for account in accounts]


@pytest.mark.parametrize(
    "pull, config, push, push_config, expected",
    [
        ([PULL], None, [PUSH], None, [(HOST, "reader", False)]),
        ([], auth_file(), [PUSH], None, [(HOST, "filed", False)]),
        ([PULL], auth_file(), [PUSH], None, [(HOST, "reader", False)]),
        ([], None, [PUSH], None, [(HOST, "writer", True)]),
        ([], None, [], auth_file(), [(HOST, "filed", True)]),
        ([], auth_file("other.example.com"), [PUSH], None, [(HOST, "writer", True)]),
        ([], None, [], None, []),
        ([{"host": HOST}], None, [PUSH], None, []),
        ([PULL, dict(PULL, host="second.example.com")], None, [], None, [(HOST, "reader", False), ("second.example.com", "reader", False)]),
        ([dict(PULL, host=f"{HOST}/air-gapped")], None, [PUSH], None, [(f"{HOST}/air-gapped", "reader", False)]),
        ([dict(PULL, host=f"{HOST}/other")], None, [PUSH], None, [(HOST, "writer", True), (f"{HOST}/other", "reader", False)]),
    ],
)
def test_whose_account_a_cluster_gets(pull, config, push, push_config, expected):
    assert names(pull_accounts(WANTED, pull, config, push, push_config)) == expected


def test_an_account_takes_over_how_its_registry_is_reached():
    entry = pull_accounts(WANTED, [PULL], None, [PUSH])[0].to_registry()
    assert entry == {"ca_path": "/ca.pem", "validate_certs": True, "host": HOST, "username": "reader", "password": "reader-password-1"}
    assert pull_accounts(WANTED, [], auth_file(), [PUSH])[0].to_registry()["ca_path"] == "/ca.pem"


@pytest.mark.parametrize(
    "pull, config",
    [
        ([{"host": HOST, "token": "bearer"}], None),
        ([], auth_file(identitytoken="x")),
        ([], auth_file(auth=login("a", "b"), identitytoken="x")),
        ([], auth_file(registrytoken="x")),
        ([], {"credHelpers": {HOST: "desktop"}}),
        ([], {"credsStore": "desktop", "auths": {HOST: {}}}),
        ([{"host": HOST, "password": "x"}], None),
        ([], auth_file(auth="no base64")),
        ([], {"auths": {HOST: "no mapping"}}),
    ],
)
def test_what_a_kubelet_cannot_use_is_an_error(pull, config):
    with pytest.raises(InvalidInput):
        pull_accounts(WANTED, pull, config, [PUSH])


def test_an_archive_is_nothing_to_pull_from():
    with pytest.raises(InvalidInput, match="archive"):
        pull_accounts(["./a.tgz"], [])


def test_the_layout_is_that_of_kubectl():
    """kubectl create secret docker-registry --docker-server=... --docker-username=reader --docker-password=..."""
    definition = plan_secret("pull", "apps", [ACCOUNT], None).definition
    assert definition["type"] == SECRET_TYPE and list(definition["data"]) == [DATA_KEY]
    text = base64.b64decode(definition["data"][DATA_KEY]).decode()
    assert text == (
        '{"auths":{"registry.example.com":{"username":"reader","password":"reader-password-1",'
        f'"auth":"{login("reader", "reader-password-1")}"}}}}}}'
    )


def test_docker_hub_has_its_own_key():
    definition = plan_secret("pull", "apps", [PullAccount("docker.io", "a", "b")], None).definition
    assert list(auths(definition)) == ["https://index.docker.io/v1/"]


def auths(definition):
    return json.loads(base64.b64decode(definition["data"][DATA_KEY]))["auths"]


def present(entries, record=None, kind=SECRET_TYPE, indent=2):
    text = json.dumps({"auths": entries}, indent=indent)
    metadata = {"annotations": {RECORD: record}} if record is not None else {}
    return {"type": kind, "metadata": metadata, "data": {DATA_KEY: base64.b64encode(text.encode()).decode()}}


def entry(user="reader", password="reader-password-1", **further):
    return dict({"auth": login(user, password)}, **further)


@pytest.mark.parametrize(
    "found, action, hosts, removed",
    [
        (None, "created", {HOST}, []),
        (present({HOST: entry()}, HOST), "unchanged", {HOST}, []),
        (present({HOST: entry(username="reader", password="reader-password-1")}, HOST, indent=None), "unchanged", {HOST}, []),
        (present({HOST: {"username": "reader", "password": "reader-password-1"}}, HOST), "unchanged", {HOST}, []),
        (present({HOST: entry(password="old-password-1")}, HOST), "updated", {HOST}, []),
        (present({HOST: entry()}), "updated", {HOST}, []),
        (present({HOST: entry(), "others.example.com": entry("x", "y")}, HOST), "unchanged", {HOST, "others.example.com"}, []),
        (present({HOST: entry(), "gone.example.com": entry()}, f"gone.example.com,{HOST}"), "updated", {HOST}, ["gone.example.com"]),
        (present({"others.example.com": entry("x", "y")}), "updated", {HOST, "others.example.com"}, []),
        ({"type": SECRET_TYPE, "metadata": {}, "data": {}}, "updated", {HOST}, []),
        (present({HOST: "broken"}, HOST), "updated", {HOST}, []),
    ],
)
def test_what_becomes_of_the_secret(found, action, hosts, removed):
    plan = plan_secret("pull", "apps", [ACCOUNT], found)
    assert (plan.action, set(auths(plan.definition)), list(plan.removed)) == (action, hosts, removed)
    again = plan_secret("pull", "apps", [ACCOUNT], plan.definition)
    assert again.action == "unchanged"
    logged = auths(plan.definition)[HOST]
    assert base64.b64decode(logged.get("auth", login("reader", "reader-password-1"))).decode() == "reader:reader-password-1"


def test_former_accounts_stay_until_nothing_needs_them():
    found = present({"former.example.com": entry(), "others.example.com": entry("x", "y")}, "former.example.com,lost.example.com")
    moved = plan_secret("pull", "apps", [ACCOUNT], found, keep_former=True)
    assert set(auths(moved.definition)) == {HOST, "former.example.com", "others.example.com"}
    assert (moved.action, list(moved.hosts), list(moved.removed)) == ("updated", ["former.example.com", HOST], [])
    assert plan_secret("pull", "apps", [ACCOUNT], moved.definition, keep_former=True).action == "unchanged"
    done = plan_secret("pull", "apps", [ACCOUNT], moved.definition)
    assert set(auths(done.definition)) == {HOST, "others.example.com"}
    assert (done.action, list(done.hosts), list(done.removed)) == ("updated", [HOST], ["former.example.com"])


def test_a_new_password_keeps_what_others_wrote():
    found = present({HOST: entry(), "others.example.com": {"auth": login("x", "y"), "email": "z"}}, HOST)
    plan = plan_secret("pull", "apps", [PullAccount(HOST, "reader", "new-password-1")], found)
    assert plan.action == "updated" and auths(plan.definition)["others.example.com"] == {"auth": login("x", "y"), "email": "z"}
    assert auths(plan.definition)[HOST]["password"] == "new-password-1"


def test_a_secret_of_another_type_is_not_touched():
    with pytest.raises(Refused, match="Opaque"):
        plan_secret("pull", "apps", [ACCOUNT], present({}, kind="Opaque"))


@pytest.mark.parametrize("text", ["no json", "[]", '{"auths": []}'])
def test_a_secret_that_cannot_be_read_is_an_error(text):
    found = {"type": SECRET_TYPE, "metadata": {}, "data": {DATA_KEY: base64.b64encode(text.encode()).decode()}}
    with pytest.raises(InvalidContent):
        plan_secret("pull", "apps", [ACCOUNT], found)


def test_what_stays_when_the_accounts_go():
    assert plan_secret_removal("pull", "apps", None) is None
    assert plan_secret_removal("pull", "apps", present({HOST: entry()}, HOST)) is None
    rest = plan_secret_removal("pull", "apps", present({HOST: entry(), "others.example.com": entry()}, HOST))
    assert list(auths(rest.definition)) == ["others.example.com"]


def test_no_plan_shows_a_secret():
    plan = plan_secret("pull", "apps", [ACCOUNT], None)
    assert "reader-password-1" not in repr(plan) + repr(ACCOUNT) and login("reader", "reader-password-1") not in repr(plan)


def test_the_pull_secrets_of_an_account():
    assert with_pull_secret(None, "pull") == [{"name": "pull"}]
    assert with_pull_secret({"imagePullSecrets": [{"name": "a"}]}, "pull") == [{"name": "a"}, {"name": "pull"}]
    assert with_pull_secret({"imagePullSecrets": [{"name": "pull"}]}, "pull") == [{"name": "pull"}]
    assert with_pull_secret({"imagePullSecrets": None}, "pull") == [{"name": "pull"}]
