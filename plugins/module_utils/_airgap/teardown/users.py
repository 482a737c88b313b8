# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else uses that which deliveries share: pull secrets, namespaces, and the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ..cluster.objects import (
    COMPONENT_VERSION,
    FLUX_DEPLOYER,
    HELM_RELEASE,
    KUSTOMIZATION,
    SECRET,
    SERVICE_ACCOUNT,
    SOURCE_KINDS,
    WORKLOAD_KINDS,
    Cluster,
    ClusterError,
    Kind,
    Object,
    kind_of,
    mapping,
    name_of,
    named,
    sequence,
    text,
    title_of,
)
from ..cluster.workloads import inventory
from ..gitops.workloads import pod_spec
from ..model.pod_spec import pull_secrets_of
from ..platform.additions import LABEL as PLATFORM
from .record import Record
from .survey import Key, is_going, key_of

# What Kubernetes puts into every namespace, and what tells of what was there.
_ALWAYS_THERE = frozenset((("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")))
_TRACES = frozenset(("Endpoints", "EndpointSlice", "Event", "Lease", "PodMetrics"))
# Those that are not made by others. What fetches from them may be in another place, or begin to later.
_SOURCES = tuple(kind for kind in SOURCE_KINDS if kind.kind not in ("ExternalArtifact", "HelmChart"))
_TOKEN = "kubernetes.io/service-account-token"


@dataclass(frozen=True)
class Going:
    """What goes anyway, so that it uses nothing. platform: what a role of the collection has installed goes as well."""

    keys: FrozenSet[Key] = frozenset()
    platform: bool = False

    def has(self, obj: Object) -> bool:
        installed = self.platform and bool(text(obj, "metadata", "labels", PLATFORM))
        return installed or is_going(obj) or key_of(obj) in self.keys


@dataclass(frozen=True)
class SecretPlace:
    """A pull secret in a namespace. accounts: the deliveries' own ServiceAccounts there. sharers: folders in Git."""

    namespace: str
    name: str
    accounts: FrozenSet[str] = frozenset()
    sharers: FrozenSet[str] = frozenset()


def secret_places(records: Sequence[Record]) -> List[SecretPlace]:
    """Where the deliveries' pull secrets are, each once."""
    found: Dict[Tuple[str, str], Tuple[Set[str], Set[str]]] = {}
    for record in records:
        for namespace in record.secret_namespaces:
            accounts, sharers = found.setdefault((namespace, record.pull_secret), (set(), set()))
            accounts.update(name for place, name in record.accounts if place == namespace)
            sharers.update(record.sharers.get(namespace) or ())
    return [SecretPlace(*key, frozenset(accounts), frozenset(sharers)) for key, (accounts, sharers) in found.items()]


def secret_users(cluster: Cluster, place: SecretPlace, going: Going) -> List[str]:
    """What still needs a pull secret, as titles: workloads, ServiceAccounts, sources of Flux, ComponentVersions."""
    pods = {kind: cluster.list(kind, place.namespace) for kind in WORKLOAD_KINDS}
    users = {title_of(obj) for obj in _workload_users(pods, place) if not going.has(obj)}
    for kind in (SERVICE_ACCOUNT, COMPONENT_VERSION, *SOURCE_KINDS):
        found = cluster.list(kind, place.namespace)
        users.update(title_of(obj) for obj in found if _names(obj, place) and not going.has(obj))
    return sorted(users | place.sharers)


def _names(obj: Object, place: SecretPlace) -> bool:
    if kind_of(obj) == SERVICE_ACCOUNT:
        return place.name in pull_secrets_of(obj) and name_of(obj) not in place.accounts
    if text(obj, "spec", "serviceAccountName") in place.accounts:
        return True
    references = [mapping(obj, "spec", "secretRef"), mapping(obj, "spec", "repository", "secretRef")]
    return place.name in [text(reference, "name") for reference in references]


def _workload_users(workloads: Mapping[Kind, Sequence[Object]], place: SecretPlace) -> List[Object]:
    """The workloads that need a pull secret. A pod counts as what has made it; when that has gone, so has the pod."""
    by_uid = {text(obj, "metadata", "uid"): obj for found in workloads.values() for obj in found}
    users = []
    for found in workloads.values():
        for obj in found:
            top = _top(obj, by_uid) if _pulls_with(obj, place) else None
            if top is not None:
                users.append(top)
    return users


def _pulls_with(workload: Object, place: SecretPlace) -> bool:
    """Its pods get the Secret from their ServiceAccount when they are made, and there may be none now."""
    spec = pod_spec(workload)
    account = text(spec, "serviceAccountName") or "default"
    return place.name in pull_secrets_of(spec) or account in place.accounts


def _top(obj: Object, by_uid: Mapping[str, Object]) -> Optional[Object]:
    """The workload that an object comes from in the end, None when that has gone."""
    for owner in sequence(obj, "metadata", "ownerReferences"):
        if named(WORKLOAD_KINDS, text(owner, "kind"), text(owner, "apiVersion")):
            above = by_uid.get(text(owner, "uid"))
            return _top(above, by_uid) if above is not None else None
    return obj


def inhabitants(
    cluster: Cluster, kinds: Iterable[Kind], namespace: str, secrets: Sequence[str], going: Going
) -> List[str]:
    """What is in a namespace beside what goes anyway, as titles. secrets: pull secrets that go as well."""
    found = []
    for kind in kinds:
        if kind.kind not in _TRACES:
            try:
                found += [title_of(obj) for obj in cluster.list(kind, namespace) if _lives(obj, secrets, going)]
            except ClusterError as error:
                if error.status not in (403, 405):
                    raise
                found += [f"what there is of the kind {kind}, which may not be listed"] if error.status == 403 else []
    return sorted(found)


def _lives(obj: Object, secrets: Sequence[str], going: Going) -> bool:
    kind, name = kind_of(obj), name_of(obj)
    if (kind.kind, name) in _ALWAYS_THERE or sequence(obj, "metadata", "ownerReferences"):
        return False
    if kind == SECRET and (obj.get("type") == _TOKEN or name in secrets):
        return False
    return not going.has(obj)


def platform_users(
    cluster: Cluster, going: Going, reader: Optional[Object], source: Optional[Object] = None
) -> List[str]:
    """What Flux and ocm-controller would be missed by, as titles.

    reader: the Kustomization that applies the Git tree. It needs them as long as it applies anything that does not go.
    source: the GitRepository of that tree, which goes with the reader.
    """
    users = []
    for kind in _SOURCES:
        for obj in cluster.list(kind, ""):
            is_own = source is not None and key_of(obj) == key_of(source)
            if not (is_own or going.has(obj) or sequence(obj, "metadata", "ownerReferences")):
                users.append(title_of(obj))
    for kind in (COMPONENT_VERSION, FLUX_DEPLOYER, KUSTOMIZATION, HELM_RELEASE):
        for obj in cluster.list(kind, ""):
            is_reader = reader is not None and key_of(obj) == key_of(reader)
            if not going.has(obj) and not (is_reader and not _applies_others(obj, going)):
                users.append(title_of(obj))
    return sorted(users)


def _applies_others(reader: Object, going: Going) -> bool:
    keys = {(kind.group, kind.kind, namespace, name) for kind, namespace, name in going.keys}
    return any((group, kind, namespace, name) not in keys for namespace, name, group, kind in inventory(reader))
