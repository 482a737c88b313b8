# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull secrets: accounts that a kubelet can use, and Secrets of the type kubernetes.io/dockerconfigjson. Pure.

The layout is that of kubectl create secret docker-registry. Secrets are compared after decoding. What others put into
a Secret stays; an annotation names the hosts that were written here, so that those can go again.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..model.errors import InvalidContent, InvalidInput, Refused
from ..model.reference import DOCKER_HUB, RepositoryReference
from ..oci.authfile import DOCKER_HUB_KEY, Credentials, read_entry, split_key
from ..oci.settings import is_prefix, split_location

SECRET_TYPE = "kubernetes.io/dockerconfigjson"
DATA_KEY = ".dockerconfigjson"
RECORD = "ocm.airgap/registries"
# How a registry is reached; a pull account takes it over from the entry of the same registry in registries.
_CONNECTION = ("ca_path", "ca_data", "client_cert", "client_key", "validate_certs", "plain_http", "token_realms")


@dataclass(frozen=True)
class PullAccount:
    """host: host[:port][/path]. shared: the account is the one that also pushes."""

    host: str
    username: str
    password: str = field(repr=False)
    connection: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False

    @property
    def key(self) -> str:
        """The key in auths. Kubelet, containerd, Flux and OCM all understand the bare host."""
        return DOCKER_HUB_KEY if self.host == DOCKER_HUB else self.host

    def to_registry(self) -> Dict[str, Any]:
        """An entry of the option registries."""
        return dict(self.connection, host=self.host, username=self.username, password=self.password)


def pull_accounts(
    repositories: Sequence[str],
    pull_registries: Sequence[Mapping[str, Any]],
    auth_config: Optional[Mapping[str, Any]] = None,
    registries: Sequence[Mapping[str, Any]] = (),
    push_auth_config: Optional[Mapping[str, Any]] = None,
) -> List[PullAccount]:
    """The accounts that a cluster gets for the repositories that it pulls from, without anonymous ones.

    pull_registries, then auth_config (the content of a Docker or Podman auth file) are asked; entries of
    pull_registries are used for other hosts as well. Only when neither has something for a repository, registries
    and push_auth_config (whose accounts push) are. Raises InvalidInput for what a kubelet cannot use.
    """
    found: Dict[str, PullAccount] = {}
    for entry in pull_registries:
        account = _of_entry(entry, registries)
        if account:
            found[account.host] = account
    for text in repositories:
        reference = RepositoryReference.parse(text)
        if reference.is_archive:
            raise InvalidInput(f"The repository {text} is an archive; a cluster pulls from a registry.")
        if _covered(pull_registries, reference):
            continue
        account = _of_file(auth_config, reference, registries) or _of_push(registries, push_auth_config, reference)
        if account:
            found.setdefault(account.host, account)
    return [found[host] for host in sorted(found)]


def _covered(entries: Sequence[Mapping[str, Any]], reference: RepositoryReference) -> bool:
    return entry_for(entries, reference) is not None


def entry_for(entries: Sequence[Mapping[str, Any]], reference: RepositoryReference) -> Optional[Mapping[str, Any]]:
    """The entry with this host and the longest path that is a prefix by whole segments."""
    fitting = []
    for entry in entries:
        host, path = split_location(str(entry.get("host") or ""), "An entry of registries")
        if host == reference.host and is_prefix(path, reference.prefix):
            fitting.append((len(path), entry))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _of_entry(
    entry: Mapping[str, Any], registries: Sequence[Mapping[str, Any]], shared: bool = False
) -> Optional[PullAccount]:
    host, path = split_location(str(entry.get("host") or ""), "An entry of pull_registries")
    name = f"{host}/{path}" if path else host
    if entry.get("token"):
        raise InvalidInput(
            f"The entry {name} has a bearer token, which a kubelet cannot use.", "Give username and password of a pull-only account."
        )
    if not entry.get("password"):
        return None
    if not entry.get("username"):
        raise InvalidInput(f"The entry {name} has a password, but no username.")
    same = entry_for(registries, RepositoryReference(host, path)) or {}
    connection = {key: entry[key] if entry.get(key) is not None else same[key] for key in _CONNECTION if _stated(key, entry, same)}
    return PullAccount(name, str(entry["username"]), str(entry["password"]), connection, shared)


def _stated(key: str, *entries: Mapping[str, Any]) -> bool:
    return any(entry.get(key) is not None for entry in entries)


def _of_push(
    registries: Sequence[Mapping[str, Any]], config: Optional[Mapping[str, Any]], reference: RepositoryReference
) -> Optional[PullAccount]:
    entry = entry_for(registries, reference)
    if entry:
        return _of_entry(entry, registries, shared=True)
    account = _of_file(config, reference, registries)
    return replace(account, shared=True) if account else None


def _of_file(
    config: Optional[Mapping[str, Any]], reference: RepositoryReference, registries: Sequence[Mapping[str, Any]]
) -> Optional[PullAccount]:
    """The account that an auth file has for a repository."""
    if not config:
        return None
    auths = config.get("auths") or {}
    fitting = []
    for key in auths:
        host, path = split_key(key)
        if host == reference.host and is_prefix(path, reference.prefix):
            fitting.append((len(path), key, f"{host}/{path}" if path else host))
    helpers = [key for key in config.get("credHelpers") or {} if split_key(key)[0] == reference.host]
    _length, key, name = max(fitting, default=(0, "", ""))
    found = read_entry(auths.get(key) or {}, f"The auth file's entry for {reference.host}")
    if found.identity_token or (found.registry_token and not found.password):
        raise _unusable(reference.host, "a token")
    if not found.password:
        if helpers or config.get("credsStore"):
            raise _unusable(reference.host, "a credential helper")
        return None
    same = entry_for(registries, reference) or {}
    connection = {key: same[key] for key in _CONNECTION if _stated(key, same)}
    return PullAccount(name, found.username, found.password, connection)


def _unusable(host: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"The auth file has {what} for {host}, which a kubelet cannot use.",
        "Give username and password of a pull-only account in pull_registries.",
    )


def docker_config(accounts: Sequence[PullAccount]) -> Dict[str, Any]:
    """auths as kubectl writes it."""
    return {account.key: _auth(account) for account in accounts}


def _auth(account: PullAccount) -> Dict[str, str]:
    login = base64.b64encode(f"{account.username}:{account.password}".encode("utf-8")).decode("ascii")
    return {"username": account.username, "password": account.password, "auth": login}


@dataclass(frozen=True)
class SecretPlan:
    """action: created, updated or unchanged. definition: the Secret as it is to be. hosts: what was written here."""

    action: str
    definition: Dict[str, Any] = field(repr=False)
    hosts: Sequence[str] = ()
    removed: Sequence[str] = ()


def plan_secret(
    name: str,
    namespace: str,
    accounts: Sequence[PullAccount],
    present: Optional[Mapping[str, Any]],
    keep_former: bool = False,
) -> SecretPlan:
    """What the Secret has to be. present: the Secret that is there.

    keep_former: what was written here earlier stays, and stays recorded, as long as something may still pull with it.

    Raises Refused for a Secret of another type, InvalidContent for one that cannot be read.
    """
    where = f"Secret {namespace}/{name}"
    wanted = docker_config(accounts)
    content = _content(present, where)
    auths = dict(content.get("auths") or {})
    recorded = _recorded(present)
    former = [host for host in recorded if host in auths and host not in wanted]
    removed = [] if keep_former else former
    kept = {host: entry for host, entry in auths.items() if host not in removed}
    changed = removed or any(not _equal(kept.get(host), entry) for host, entry in wanted.items())
    merged = dict(kept, **{host: entry for host, entry in wanted.items() if not _equal(kept.get(host), entry)})
    record = sorted({*wanted, *former} - {*removed})
    action = "created" if present is None else "updated" if changed or recorded != record else "unchanged"
    definition = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {"name": name, "namespace": namespace, "annotations": {RECORD: ",".join(record)}},
        "data": {DATA_KEY: _encoded(dict(content, auths=merged))},
    }
    return SecretPlan(action, definition, record, sorted(removed))


def plan_secret_removal(name: str, namespace: str, present: Optional[Mapping[str, Any]]) -> Optional[SecretPlan]:
    """The Secret without what was written here; None when nothing else is in it, so that it can go."""
    if present is None:
        return None
    plan = plan_secret(name, namespace, [], present)
    rest = json.loads(base64.b64decode(plan.definition["data"][DATA_KEY]))["auths"]
    return plan if rest else None


def _encoded(config: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode("utf-8")).decode("ascii")


def _content(present: Optional[Mapping[str, Any]], where: str) -> Dict[str, Any]:
    if present is None:
        return {}
    if present.get("type") != SECRET_TYPE:
        raise Refused(
            f"{where} is there with the type {present.get('type')}, which no kubelet pulls with, and the type cannot be changed.",
            "Delete it, or choose another name (pull_secret).",
        )
    try:
        content = json.loads(base64.b64decode((present.get("data") or {}).get(DATA_KEY) or "e30="))
    except (binascii.Error, ValueError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("auths", {}), dict):
        raise InvalidContent(f"{where}: its {DATA_KEY} is not what Docker writes.", "Delete it.")
    return content


def _recorded(present: Optional[Mapping[str, Any]]) -> List[str]:
    annotations = ((present or {}).get("metadata") or {}).get("annotations") or {}
    return sorted(host for host in str(annotations.get(RECORD) or "").split(",") if host)


def _equal(left: Any, right: Mapping[str, str]) -> bool:
    """Whether two entries of auths log in the same; either may state the login once or twice."""
    try:
        found = read_entry(left, "")
    except InvalidInput:
        return False
    return found == Credentials(right["username"], right["password"])
