# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_drift."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..drift.cluster import cluster_items
from ..drift.credentials import Places, credential_items
from ..drift.items import CLUSTER, CREDENTIALS, GIT, REGISTRY, SUSPENDED, Item
from ..drift.keepers import FluxPlace, Place
from ..drift.registry import registry_items
from ..drift.suspended import own_part, suspended_id, suspended_items
from ..drift.tree import lock_item, tree_items
from ..gitops.git import GitClone
from ..gitops.lock import LOCK_NAME, read_lock
from ..gitops.pull_secret import PullAccount
from ..gitops.removal import pull_secret_namespaces, service_accounts_of
from ..gitops.settings import delivery_name, tree_path
from ..gitops.tree import Tree
from .cluster import open_cluster
from .git import git_settings
from .registries import RegistryContext

_NO_SOURCE = "no source is at hand to bring it back from (ocm_airgap_source or ocm_airgap_archive)"


@dataclass(frozen=True)
class _Delivery:
    """A delivery with its lock, and the locks of all others in the tree."""

    path: str
    lock: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Finding:
    """An item, and the objects of Flux and ocm-controller that put it right when they are asked in this order.

    anew: the last of them has to read everything anew. stopped: the one that is suspended, which keeps them from it.
    """

    item: Item
    keepers: Tuple[Place, ...] = ()
    anew: bool = False
    stopped: Optional[Place] = None

    def as_result(self) -> Dict[str, Any]:
        end = f" It is not put right: {self.item.obstacle}." if self.item.obstacle else ""
        sentence = f"{self.item.object}: {self.item.found}, expected {self.item.expected}.{end}"
        keepers = [_keeper(place, self.anew and place == self.keepers[-1]) for place in self.keepers]
        blocked_by = suspended_id(self.stopped) if self.stopped else ""
        return dict(self.item.as_result(), text=sentence, blocked_by=blocked_by, keepers=keepers)


def _keeper(place: Place, anew: bool) -> Dict[str, Any]:
    kind = place.kind
    return dict(api_version=kind.api_version, kind=kind.kind, namespace=place.namespace, name=place.name, anew=anew)


def drift(context: RegistryContext) -> Dict[str, Any]:
    """Hold an estate against the locks in its Git branch. Nothing is written."""
    params = context.params
    settings = git_settings(context)
    with context.temporary_folder("git-") as folder:
        clone = GitClone(context.run, folder, settings)
        commit = clone.check_out(settings.branch)
        tree = clone.tree()
        deliveries, missing = _deliveries(tree, params["git_path"], params["names"])
        looks = _Looks(context, tree, commit)
        found = [_Finding(item) for item in missing if GIT in params["scopes"]]
        found += [each for scope in params["scopes"] for one in deliveries for each in looks.look(scope, one)]
    items = [each.as_result() for each in _distinct(found)]
    described = [_described(each) for each in deliveries]
    return dict(changed=False, drift=bool(items), commit=commit, drift_items=items, deliveries=described)


def _distinct(found: Sequence[_Finding]) -> List[_Finding]:
    """Each item once. What is found for several deliveries, because they share it, belongs to none."""
    result: Dict[str, _Finding] = {}
    for each in found:
        known = result.setdefault(each.item.id, each)
        if known.item.name != each.item.name:
            result[each.item.id] = replace(known, item=replace(known.item, name=""))
    return list(result.values())


def _deliveries(tree: Tree, git_path: str, names: Sequence[str]) -> Tuple[List[_Delivery], List[Item]]:
    """The named deliveries, and items for those that have no lock."""
    locks = {path: read_lock(content, path) for path, content in tree.files.items() if _is_lock(path)}
    found: List[_Delivery] = []
    missing: List[Item] = []
    for name in dict.fromkeys(map(delivery_name, names)):
        path = posixpath.join(tree_path(git_path, "git_path"), name, LOCK_NAME)
        if path in locks:
            others = [lock for other, lock in sorted(locks.items()) if other != path]
            found.append(_Delivery(path, locks[path], others))
        else:
            missing.append(lock_item(path, name))
    return found, missing


def _is_lock(path: str) -> bool:
    return posixpath.basename(path) == LOCK_NAME


class _Looks:
    """How each scope is looked at. Registry and cluster are connected to when they are first asked."""

    def __init__(self, context: RegistryContext, tree: Tree, commit: str) -> None:
        params = context.params
        self._tree, self._commit, self._root = tree, commit, tree_path(params["git_path"], "git_path")
        self._registries, self._cluster = context.connect(), open_cluster(context)
        self._flux = FluxPlace(params["flux_source"], params["flux_kustomization"], params["flux_namespace"])
        self._obstacle = "" if params["has_source"] else _NO_SOURCE
        accounts = params["pull_accounts"]
        self._accounts = [PullAccount(each["host"], each["username"], each["password"]) for each in accounts]
        self._by_scope: Dict[str, Callable[[_Delivery], Iterator[_Finding]]] = {
            REGISTRY: self._registry,
            CREDENTIALS: self._credentials,
            CLUSTER: self._objects,
            GIT: self._git,
            SUSPENDED: self._suspended,
        }

    def look(self, scope: str, delivery: _Delivery) -> Iterator[_Finding]:
        return self._by_scope[scope](delivery)

    def _registry(self, delivery: _Delivery) -> Iterator[_Finding]:
        for item in registry_items(delivery.lock, self._registries, delivery.others):
            yield _Finding(replace(item, obstacle=item.obstacle or self._obstacle))

    def _credentials(self, delivery: _Delivery) -> Iterator[_Finding]:
        places = _places(delivery.lock)
        return map(_Finding, credential_items(delivery.lock, self._accounts, self._cluster, places))

    def _objects(self, delivery: _Delivery) -> Iterator[_Finding]:
        for kept in cluster_items(delivery.lock, self._tree, self._cluster, self._flux, self._commit):
            yield _Finding(kept.item, kept.asked, kept.anew, kept.stopped)

    def _git(self, delivery: _Delivery) -> Iterator[_Finding]:
        return map(_Finding, tree_items(delivery.lock, delivery.path, self._tree))

    def _suspended(self, delivery: _Delivery) -> Iterator[_Finding]:
        tree = own_part(self._tree, self._root)
        return map(_Finding, suspended_items(delivery.lock, self._cluster, self._flux, tree))


def _places(lock: Mapping[str, Any]) -> Places:
    """The pull Secret belongs with the workload and with what reads the registry for it."""
    accounts = tuple((name.partition("/")[0], name.partition("/")[2]) for name in service_accounts_of(lock))
    return Places(lock["pullSecret"], tuple(pull_secret_namespaces(lock)), accounts)


def _described(each: _Delivery) -> Dict[str, Any]:
    lock = each.lock
    return dict(
        name=lock["name"],
        component=lock["component"],
        version=lock["version"],
        repository=lock["repository"],
        delivery=lock["delivery"],
        namespace=lock["namespace"],
        target_namespace=lock["targetNamespace"],
        lock=each.path,
        images=[image["reference"] for image in lock["images"]],
    )
