# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has stopped: objects of Flux and of ocm-controller that are suspended, although Git does not say so."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..cluster.objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    FLUX_DEPLOYER,
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    LOCALIZATION,
    OCI_REPOSITORY,
    RESOURCE,
    Cluster,
    Kind,
    Object,
    is_suspended,
    mapping,
    named,
    sequence,
    split_path,
    text,
)
from ..gitops.tree import Index, Tree, split_documents
from ..gitops.workloads import SUFFIXES, is_object
from ..model.labels import SHOWN
from .items import SUSPENDED, Item, item
from .keepers import FluxPlace, Place

SUSPENDABLE = (
    COMPONENT_VERSION,
    RESOURCE,
    LOCALIZATION,
    CONFIGURATION,
    GIT_REPOSITORY,
    OCI_REPOSITORY,
    KUSTOMIZATION,
    HELM_RELEASE,
)
# What a FluxDeployer creates: the kind, the field of its status that names it, the template it is made from.
CHILDREN: Tuple[Tuple[Kind, str, str], ...] = (
    (OCI_REPOSITORY, "ociRepository", ""),
    (KUSTOMIZATION, "kustomization", "kustomizationTemplate"),
    (HELM_RELEASE, "helmRelease", "helmReleaseTemplate"),
)


def suspended_items(
    lock: Mapping[str, Any], cluster: Cluster, flux: FluxPlace, tree: Optional[Tree] = None
) -> List[Item]:
    """What of a delivery is suspended, an item each. tree: what is suspended there is meant to be. Raises ClusterError.

    What several deliveries share has items that belong to none, so that the items of two locks can be made one.
    """
    found: Dict[Place, Item] = {}
    for name, place in _places(lock, cluster, flux):
        live = cluster.get(place.kind, place.namespace, place.name)
        if live is not None and is_stopped(live) and place not in found and not _is_meant(tree, place):
            found[place] = _item(place.title, name)
    return list(found.values())


def own_part(tree: Tree, root: str) -> Tree:
    """A tree without the files of deliveries to other clusters, whose objects may be the same.

    root: the folder that the deliveries to this one lie in.
    """
    others = Index(tree).files_of_others(root)
    return Tree({path: content for path, content in tree.files.items() if path not in others}, tree.read)


def suspended_id(place: Place) -> str:
    """The id of the item for an object, should it be suspended."""
    return _item(place.title).id


def _item(title: str, name: str = "") -> Item:
    return item(SUSPENDED, title, "not suspended", "spec.suspend is true", name=name)


def is_stopped(obj: Object) -> bool:
    """Whether somebody has suspended an object; not by ocm_reconcile, which was killed between two changes."""
    return is_suspended(obj) and SHOWN not in mapping(obj, "metadata", "annotations")


def children_of(deployer: Object) -> List[Tuple[Kind, str, str]]:
    """Kind, namespace and name of what a live FluxDeployer says that it has created."""
    found = []
    for kind, field, template in CHILDREN:
        path = text(deployer, "status", field)
        if path and (not template or mapping(deployer, "spec").get(template)):
            found.append((kind, *split_path(path)))
    return found


def _places(lock: Mapping[str, Any], cluster: Cluster, flux: FluxPlace) -> List[Tuple[str, Place]]:
    """(name of the delivery or "", place) of all that can be suspended, in the order in which content passes it."""
    found = [("", flux.git_repository), ("", flux.tree)]
    for entry in sequence(lock, "objects"):
        kind = named(SUSPENDABLE + (FLUX_DEPLOYER,), text(entry, "kind"), text(entry, "apiVersion"))
        name = "" if entry.get("shared") else text(lock, "name")
        if kind == FLUX_DEPLOYER:
            deployer = cluster.get(kind, text(entry, "namespace"), text(entry, "name"))
            found += [(name, Place(*child)) for child in children_of(deployer or {})]
        elif kind is not None:
            found.append((name, Place(kind, text(entry, "namespace"), text(entry, "name"))))
    return found


def _is_meant(tree: Optional[Tree], place: Place) -> bool:
    """Whether Git says that the object is suspended: by its own definition, or by the FluxDeployer's template."""
    for path, content in tree.files.items() if tree else ():
        if path.lower().endswith(SUFFIXES):
            for _text, document in split_documents(content):
                if is_object(document) and _suspends(document, place):
                    return True
    return False


def _suspends(document: Object, place: Place) -> bool:
    kind = named(SUSPENDABLE + (FLUX_DEPLOYER,), text(document, "kind"), text(document, "apiVersion"))
    name, namespace = text(document, "metadata", "name"), text(document, "metadata", "namespace")
    if name != place.name or namespace not in ("", place.namespace):
        return False
    if kind == FLUX_DEPLOYER:
        return any(
            mapping(document, "spec", template).get("suspend") is True
            for child, _field, template in CHILDREN
            if child == place.kind and template
        )
    return kind == place.kind and is_suspended(document)
