# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the pull Secrets and ServiceAccounts of a cluster against the accounts that it is to have.

Hosts are named, users and passwords never.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..cluster.objects import SECRET, SERVICE_ACCOUNT, Cluster, title
from ..gitops.pull_secret import DATA_KEY, SECRET_TYPE, PullAccount, plan_secret
from ..model.errors import InvalidContent, InvalidInput, Refused
from ..model.pod_spec import pull_secrets_of
from ..oci.authfile import read_entry
from .items import CREDENTIALS, Item, item

NOTHING = "nothing"


@dataclass(frozen=True)
class Places:
    """Where a cluster needs what to pull with.

    secret: the name of the Secret. namespaces: those that it has to be in. service_accounts: (namespace, name) of those
    that have to name it.
    """

    secret: str
    namespaces: Tuple[str, ...] = ()
    service_accounts: Tuple[Tuple[str, str], ...] = ()


def credential_items(
    lock: Mapping[str, Any], accounts: Sequence[PullAccount], cluster: Cluster, places: Places
) -> List[Item]:
    """One item for each Secret and each ServiceAccount that is not as it should be.

    accounts: all that the Secret is to have. Without any, nothing is said about the accounts in it, only whether a
    kubelet can use it. A namespace that is missing has no Secret either. Raises ClusterError.
    """
    name = str(lock["name"])
    namespaces, service_accounts = dict.fromkeys(places.namespaces), dict.fromkeys(places.service_accounts)
    found = [_secret_item(name, namespace, accounts, cluster, places) for namespace in namespaces]
    found += [_service_account_item(name, account, cluster, places) for account in service_accounts]
    return [one for one in found if one is not None]


def _secret_item(
    name: str, namespace: str, accounts: Sequence[PullAccount], cluster: Cluster, places: Places
) -> Optional[Item]:
    what = title(SECRET.kind, namespace, places.secret)
    hosts = ", ".join(sorted(account.host for account in accounts))
    expected = f"type {SECRET_TYPE} with accounts for {hosts}" if hosts else f"type {SECRET_TYPE}"
    present = cluster.get(SECRET, namespace, places.secret)
    if present is None:
        obstacle = "" if accounts else "no account that could be put into it is known here (pull_registries)"
        return item(CREDENTIALS, what, expected, NOTHING, name=name, obstacle=obstacle)
    try:
        # What a move has kept is no drift: something may still pull with it.
        plan = plan_secret(places.secret, namespace, accounts, present, keep_former=True)
    except Refused:
        obstacle = "the type of a Secret cannot be changed: it has to be deleted, or pull_secret has to be another name"
        return item(CREDENTIALS, what, expected, f"type {present.get('type')}", name=name, obstacle=obstacle)
    except InvalidContent:
        found = "content that no kubelet can read"
        return item(CREDENTIALS, what, expected, found, name=name, obstacle="it has to be deleted first")
    if not accounts or plan.action == "unchanged":
        return None
    return item(CREDENTIALS, what, expected, _differences(accounts, present), name=name)


def _differences(accounts: Sequence[PullAccount], present: Mapping[str, Any]) -> str:
    auths = _auths(present)
    found = [_difference(account, auths) for account in accounts]
    return "; ".join(text for text in found if text) or "the record of what was written here is another one"


def _difference(account: PullAccount, auths: Mapping[str, Any]) -> str:
    """What is different about one account, "" for nothing."""
    if account.key not in auths:
        return f"no account for {account.host}"
    try:
        entry = read_entry(auths[account.key], "")
    except InvalidInput:
        return f"the entry of {account.host} cannot be read"
    if entry.username != account.username:
        return f"the user of {account.host} is another one"
    if entry.password != account.password:
        return f"the password of {account.host} is another one"
    return f"the entry of {account.host} has a token" if entry.identity_token or entry.registry_token else ""


def _auths(present: Mapping[str, Any]) -> Dict[str, Any]:
    """The entries of a Secret that plan_secret has read already."""
    content = (present.get("data") or {}).get(DATA_KEY)
    return (json.loads(base64.b64decode(content)).get("auths") or {}) if content else {}


def _service_account_item(name: str, account: Tuple[str, str], cluster: Cluster, places: Places) -> Optional[Item]:
    namespace, account_name = account
    present = cluster.get(SERVICE_ACCOUNT, namespace, account_name)
    secrets = pull_secrets_of(present)
    if places.secret in secrets:
        return None
    found = NOTHING if present is None else f"the pull secret {', '.join(secrets)}" if secrets else "no pull secret"
    what = title(SERVICE_ACCOUNT.kind, namespace, account_name)
    return item(CREDENTIALS, what, f"the pull secret {places.secret}", found, name=name)
