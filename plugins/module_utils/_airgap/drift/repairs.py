# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From items to what puts them right: transfers, Secrets, files, objects, each named once. Pure."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence

from ..cluster.objects import FLUX_KINDS, OCM_KINDS, named
from ..gitops.settings import delivery_name
from ..model.errors import InvalidInput
from .items import CLUSTER, CREDENTIALS, GIT, REGISTRY, SUSPENDED

_AS_THEY_ARE = "Give items of ocm_drift as they are."
# As drift.registry names what differs: component:version, and behind a slash the identity of a resource.
_CONTENT = re.compile(
    r"\A(?P<component>[^:\s]+):(?P<version>[^/\s]+)(?:/(?P<name>[^\[\]]+)(?:\[(?P<extra>[^\]]+)\])?)?\Z"
)


def repairs_of(items: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """What has to be done for these items, as ocm_drift returns them.

    transfers: {component, version, resources}, no resources for all of them. namespaces: of pull Secrets.
    service_accounts: {namespace, name}. files: of the Git tree. suspended: {api_version, kind, namespace, name}.
    keepers: the same of the objects that have to be asked, in this order; of_flux: whether Flux is asked with an
    annotation, which ocm-controller does not heed. flux: whether the objects are gone by which Flux reads the tree.
    Raises InvalidInput for an item that it cannot read.
    """
    by_scope: Dict[str, List[Mapping[str, Any]]] = {}
    for item in items:
        by_scope.setdefault(item["scope"], []).append(item)
    accounts = [_object(item) for item in by_scope.get(CREDENTIALS, [])]
    in_cluster = by_scope.get(CLUSTER, [])
    return dict(
        transfers=_transfers(by_scope.get(REGISTRY, [])),
        namespaces=[each["namespace"] for each in accounts if each["kind"] == "Secret"],
        service_accounts=[
            dict(namespace=each["namespace"], name=each["name"])
            for each in accounts
            if each["kind"] == "ServiceAccount"
        ],
        files=_distinct([str(item["file"]) for item in by_scope.get(GIT, [])]),
        suspended=[_with_api(_object(item)) for item in by_scope.get(SUSPENDED, [])],
        keepers=_distinct([_asked(keeper) for item in in_cluster for keeper in item["keepers"]]),
        flux=any(not item["keepers"] for item in in_cluster),
    )


def _asked(keeper: Mapping[str, Any]) -> Dict[str, Any]:
    return dict(keeper, of_flux=named(FLUX_KINDS, keeper["kind"], keeper["api_version"]) is not None)


def _distinct(values: Sequence[Any]) -> List[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _object(item: Mapping[str, Any]) -> Dict[str, str]:
    """Kind, namespace and name of `Kind namespace/name`."""
    kind, _space, place = str(item["object"]).partition(" ")
    namespace, slash, name = place.partition("/")
    if not slash:
        raise InvalidInput(f"{item['object']!r} names no object in a namespace.", _AS_THEY_ARE)
    return dict(kind=kind, namespace=namespace, name=name)


def _with_api(found: Dict[str, str]) -> Dict[str, str]:
    kind = named(OCM_KINDS + FLUX_KINDS, found["kind"])
    if kind is None:
        raise InvalidInput(f"{found['kind']} is no kind that can be suspended.", _AS_THEY_ARE)
    return dict(found, api_version=kind.api_version)


def _transfers(items: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """One for each component version."""
    found: Dict[Any, List[Any]] = {}
    whole = set()
    for item in items:
        match = _CONTENT.match(str(item["object"]))
        if not match:
            raise InvalidInput(f"{item['object']!r} names no content of a registry.", _AS_THEY_ARE)
        key = (match.group("component"), match.group("version"))
        resources = found.setdefault(key, [])
        if not match.group("name"):
            whole.add(key)
        elif _selector(match) not in resources:
            resources.append(_selector(match))
    return [
        dict(component=key[0], version=key[1], resources=[] if key in whole else resources)
        for key, resources in found.items()
    ]


def _selector(match: Any) -> Dict[str, str]:
    extra = match.group("extra") or ""
    pairs = (pair.partition("=") for pair in extra.split(",") if pair)
    return dict({"name": match.group("name")}, **{key: value for key, _equals, value in pairs})


def with_locked(
    components: Sequence[Mapping[str, Any]], deliveries: Sequence[Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    """The components at the versions of their locks; those that have no lock are left out.

    components: as read_components returns them. deliveries: as ocm_drift returns them.
    """
    versions = {delivery["name"]: delivery["version"] for delivery in deliveries}
    named_so = [dict(component, name=delivery_name(component["name"])) for component in components]
    return [dict(each, version=versions[each["name"]]) for each in named_so if each["name"] in versions]
