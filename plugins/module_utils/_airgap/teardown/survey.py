# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of deliveries that go is still in the cluster: by their records, and by the labels of who applied it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Sequence, Set, Tuple

from ..cluster.objects import (
    HELM_RELEASE,
    KUSTOMIZATION,
    NAMESPACE,
    SECRET,
    Cluster,
    ClusterError,
    Kind,
    Object,
    kind_of,
    mapping,
    name_of,
    namespace_of,
    sequence,
    text,
    title_of,
)
from ..model.labels import DELIVERY, FIELD_MANAGER
from .record import Place, Record, stage_of

Key = Tuple[Kind, str, str]
# Under which name each of them applies objects.
_MANAGERS = {KUSTOMIZATION: "kustomize-controller", HELM_RELEASE: "helm-controller"}
_KEPT = ((f"{KUSTOMIZATION.group}/prune", "disabled"), ("helm.sh/resource-policy", "keep"))
# They come and go with others, or are never delivered.
_PASSED_OVER = frozenset(("Endpoints", "EndpointSlice", "Event", "Node", "Snapshot"))


@dataclass(frozen=True)
class Found:
    """An object of a delivery that goes. stage: when it goes, as in record."""

    stage: int
    content: Object

    @property
    def key(self) -> Key:
        return key_of(self.content)

    @property
    def title(self) -> str:
        return title_of(self.content)

    @property
    def is_going(self) -> bool:
        return is_going(self.content)


@dataclass(frozen=True)
class _Labels:
    """The labels of what one applier has applied. namespaces, kinds: none for all of them."""

    selector: str
    manager: str
    namespaces: Tuple[str, ...] = ()
    kinds: Tuple[Kind, ...] = ()

    def fit(self, obj: Object) -> bool:
        """Labels are copied to other objects, too: the field manager tells who applied this one."""
        managers = [text(entry, "manager") for entry in sequence(obj, "metadata", "managedFields")]
        place = namespace_of(obj)
        return self.manager in managers and not (self.namespaces and place and place not in self.namespaces)


class Survey:
    """Looks for what is left of deliveries, again and again. Its methods raise ClusterError.

    The first look goes through all kinds that the API server has; later ones go where something was. kept: what stays
    because its annotations say so, and Namespaces, in which others may have something. pruned: the Namespaces that Flux
    removes all the same. unreadable: kinds that this account may not list.
    """

    def __init__(self, cluster: Cluster, kinds: Iterable[Kind], records: Sequence[Record]) -> None:
        self._cluster, self._records = cluster, records
        self._kinds = [kind for kind in kinds if kind.kind not in _PASSED_OVER]
        self._appliers: Dict[int, Set[Key]] = {}
        self.kept: Dict[Key, Object] = {}
        self.pruned: Dict[Key, Object] = {}
        self.unreadable: Set[Kind] = set()

    def look(self) -> List[Found]:
        """What is there, in the order in which it goes."""
        found: Dict[Key, Found] = {}
        for number, record in enumerate(self._records):
            written = [item for place in record.places for item in objects_at(self._cluster, place)]
            marked = self._labelled(_marks_of(record))
            appliers = self._appliers_of(number, written + marked)
            applied = self._applied_by(appliers)
            for obj in written + marked + applied:
                found.setdefault(key_of(obj), Found(stage_of(kind_of(obj)), obj))
            self.pruned.update({key_of(obj): obj for obj in applied if kind_of(obj) == NAMESPACE and not is_kept(obj)})
        hits = {item.key[0] for item in found.values()}
        self._kinds = [kind for kind in self._kinds if kind in hits]
        staying = {key: item.content for key, item in found.items() if _stays(item.content)}
        self.kept.update({key: obj for key, obj in staying.items() if key not in self.pruned})
        left = [item for key, item in found.items() if key not in staying and key not in self.kept]
        return sorted(left, key=lambda item: item.stage)

    def _appliers_of(self, number: int, own: Sequence[Object]) -> Set[Key]:
        """The Kustomizations and HelmReleases of a delivery, also those that have just gone."""
        known = self._appliers.get(number)
        if known is None:
            places = [place.key for place in self._records[number].places if place.kind in _MANAGERS]
            # One that is there and not the delivery's own is somebody else's.
            known = self._appliers[number] = {key for key in places if self._cluster.get(*key) is None}
        known.update(key_of(obj) for obj in own if kind_of(obj) in _MANAGERS and not is_kept(obj))
        return known

    def _applied_by(self, appliers: Set[Key]) -> List[Object]:
        """What the appliers have applied. Those among that count as well, and are added to them."""
        found: List[Object] = []
        asked: Set[Key] = set()
        while appliers - asked:
            applied = self._labelled(_marks_by(appliers - asked))
            asked.update(appliers)
            appliers.update(key_of(obj) for obj in applied if _removes_all(obj))
            found += applied
        return found

    def _labelled(self, marks: Sequence[_Labels]) -> List[Object]:
        found = []
        for labels in marks:
            for kind in labels.kinds or self._kinds:
                found += [obj for obj in self._list(kind, labels.selector) if labels.fit(obj)]
        return found

    def _list(self, kind: Kind, selector: str) -> List[Object]:
        if kind in self.unreadable:
            return []
        try:
            return self._cluster.list(kind, "", selector)
        except ClusterError as error:
            if error.status not in (403, 405):
                raise
            self.unreadable.add(kind)
            return []


def _marks_of(record: Record) -> List[_Labels]:
    return [_Labels(f"{DELIVERY}={record.name}", FIELD_MANAGER, record.namespaces)] if record.labelled else []


def _marks_by(appliers: Iterable[Key]) -> List[_Labels]:
    marks = []
    for kind, namespace, name in sorted(appliers, key=str):
        selector = f"{kind.group}/name={name},{kind.group}/namespace={namespace}"
        marks.append(_Labels(selector, _MANAGERS[kind]))
        if kind == HELM_RELEASE:
            # In which Helm keeps what it knows of a release.
            marks.append(_Labels(f"owner=helm,name={name}", _MANAGERS[kind], (namespace,), (SECRET,)))
    return marks


def objects_at(cluster: Cluster, place: Place) -> List[Object]:
    """The objects of a place that are there."""
    if not place.name:
        found = cluster.list(place.kind, place.namespace)
    else:
        obj = cluster.get(place.kind, place.namespace, place.name)
        found = [obj] if obj is not None else []
    return [obj for obj in found if not place.owners or _has_owner(obj, place.owners)]


def _has_owner(obj: Object, owners: Sequence[Tuple[str, str]]) -> bool:
    """By kind and name: the owner itself may have gone."""
    entries = sequence(obj, "metadata", "ownerReferences")
    return any((text(entry, "kind"), text(entry, "name")) in owners for entry in entries)


def _removes_all(obj: Object) -> bool:
    """Whether the object applies others, and they go with it."""
    spec = mapping(obj, "spec")
    leaves = spec.get("prune") is False or spec.get("deletionPolicy") == "Orphan"
    return kind_of(obj) in _MANAGERS and not leaves and not is_kept(obj)


def _stays(obj: Object) -> bool:
    return kind_of(obj) == NAMESPACE or is_kept(obj)


def is_kept(obj: Object) -> bool:
    """Whether somebody has said that the object stays when what applied it goes."""
    metadata = mapping(obj, "metadata")
    return any(text(metadata, part, key) == value for key, value in _KEPT for part in ("annotations", "labels"))


def key_of(obj: Object) -> Key:
    return kind_of(obj), namespace_of(obj), name_of(obj)


def is_going(obj: Object) -> bool:
    """Whether somebody has removed it, and it only waits for its finalizers."""
    return bool(text(obj, "metadata", "deletionTimestamp"))
