# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles and playbooks of this collection compute from their variables. The logic lies in module_utils."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.repairs import (
    repairs_of,
    with_locked as complete_locked,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.estate import (
    commits_of,
    joint_registries as join_registries,
    outcome_text,
    read_components,
    transfers_of,
    with_references as complete_references,
    with_versions as complete_versions,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.location import GitLocation
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.moves import suspensions as suspending
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.pull_secret import (
    PullAccount,
    plan_secret,
    plan_secret_removal,
    pull_accounts,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import OcmError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.pod_spec import with_pull_secret
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.authfile import find_auth_file, read_auth_file


def _plain(value: Any) -> Any:
    """Variables as plain lists and mappings: since ansible-core 2.19 they are of other types."""
    return json.loads(json.dumps(value))


def _told(action: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return action(*[_plain(argument) for argument in arguments])
    except OcmError as error:
        raise AnsibleFilterError(str(error)) from None


def components(entries: Any, defaults: Optional[Mapping[str, Any]] = None) -> List[Dict[str, Any]]:
    return _told(read_components, entries, defaults or {})


def with_versions(entries: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    return _told(complete_versions, entries, found)


def with_references(entries: Sequence[Mapping[str, Any]], moves: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    return _told(complete_references, entries, moves)


def drift_repairs(items: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    return _told(repairs_of, items)


def with_locked(
    entries: Sequence[Mapping[str, Any]], deliveries: Sequence[Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    return _told(complete_locked, entries, deliveries)


def transfers(clusters: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    return _told(transfers_of, clusters)


def joint_registries(clusters: Sequence[Any]) -> List[Dict[str, Any]]:
    return _told(join_registries, list(clusters))


def commits(clusters: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    return _told(commits_of, clusters)


def suspensions(objects: Sequence[Mapping[str, Any]], suspend: bool = True) -> List[Dict[str, Any]]:
    return _told(suspending, objects, suspend)


def outcome(cluster: Mapping[str, Any]) -> str:
    return _told(outcome_text, cluster)


def pull_registries(
    repositories: Sequence[str],
    pull: Optional[Sequence[Mapping[str, Any]]] = None,
    pull_auth_file: str = "",
    registries: Optional[Sequence[Mapping[str, Any]]] = None,
    auth_file: str = "",
) -> Dict[str, Any]:
    own = str(pull_auth_file or "") or os.environ.get("OCM_AIRGAP_PULL_AUTH_FILE", "")
    shared = str(auth_file or "") or find_auth_file(os.environ)
    auth_configs = [_told(read_auth_file, os.path.expanduser(path)) if path else {} for path in (own, shared)]
    accounts = _told(pull_accounts, repositories, pull or [], auth_configs[0], registries or [], auth_configs[1])
    return dict(
        registries=[account.to_registry() for account in accounts],
        shared=[account.host for account in accounts if account.shared],
    )


def _accounts(registries: Sequence[Mapping[str, Any]]) -> List[PullAccount]:
    return [PullAccount(item["host"], item["username"], item["password"]) for item in registries]


def pull_secret(
    present: Optional[Mapping[str, Any]],
    name: str,
    namespace: str,
    registries: Sequence[Mapping[str, Any]],
    keep_former: bool = False,
) -> Dict[str, Any]:
    def plan(found: Any, *wanted: Any) -> Dict[str, Any]:
        result = plan_secret(wanted[0], wanted[1], _accounts(wanted[2]), found or None, wanted[3])
        hosts, removed = list(result.hosts), list(result.removed)
        return dict(action=result.action, definition=result.definition, hosts=hosts, removed=removed)

    return _told(plan, present, name, namespace, registries, keep_former)


def pull_secret_rest(present: Optional[Mapping[str, Any]], name: str, namespace: str) -> Optional[Dict[str, Any]]:
    def plan(found: Any, *place: Any) -> Optional[Dict[str, Any]]:
        result = plan_secret_removal(place[0], place[1], found or None)
        return result.definition if result else None

    return _told(plan, present, name, namespace)


def image_pull_secrets(present: Optional[Mapping[str, Any]], secret: str) -> List[Dict[str, Any]]:
    return _told(with_pull_secret, present, secret)


def git_login(url: str, username: Optional[str] = None, password: Optional[str] = None) -> Dict[str, str]:
    location = _told(GitLocation.parse, url, username or "", password or "")
    return dict(url=location.url, username=location.username, password=location.password)


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return dict(
            commits=commits,
            components=components,
            drift_repairs=drift_repairs,
            git_login=git_login,
            image_pull_secrets=image_pull_secrets,
            joint_registries=joint_registries,
            outcome=outcome,
            pull_registries=pull_registries,
            pull_secret=pull_secret,
            pull_secret_rest=pull_secret_rest,
            suspensions=suspensions,
            transfers=transfers,
            with_locked=with_locked,
            with_references=with_references,
            with_versions=with_versions,
        )
