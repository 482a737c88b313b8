# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps an object as it is wanted: the object of Flux or of ocm-controller that applies it, or would again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from ..cluster.objects import (
    FLUX_DEPLOYER,
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    Kind,
    Object,
    kind_of,
    mapping,
    name_of,
    namespace_of,
    sequence,
    text,
    title,
)
from .items import Item


@dataclass(frozen=True)
class Place:
    """Where an object is, or should be. namespace: "" for objects that lie in none."""

    kind: Kind
    namespace: str
    name: str

    @property
    def title(self) -> str:
        return title(self.kind.kind, self.namespace, self.name)


@dataclass(frozen=True)
class FluxPlace:
    """The objects of Flux that read the Git tree: a GitRepository and a Kustomization by name, in one namespace."""

    source: str
    kustomization: str
    namespace: str

    @property
    def git_repository(self) -> Place:
        return Place(GIT_REPOSITORY, self.namespace, self.source)

    @property
    def tree(self) -> Place:
        """The Kustomization that applies the tree."""
        return Place(KUSTOMIZATION, self.namespace, self.kustomization)


@dataclass(frozen=True)
class Kept:
    """An item, the object that it is about, and who puts that right when asked.

    keeper: None where nobody in the cluster does, which are the objects by which Flux reads the tree. before: who has
    to be asked before the keeper, because the keeper itself lacks what they give it.

    An object of Flux is asked by an annotation, one of ocm-controller's has to be kicked (cluster.remedies.KICK; a
    FluxDeployer, which cannot be suspended, by another spelling of its interval). anew: it is a ComponentVersion that
    has to be read anew. A keeper may be missing, too: then it is another item, which comes before this one. stopped: who
    is suspended, so that nothing is put right until somebody lets go on.
    """

    item: Item
    about: Place
    keeper: Optional[Place] = None
    before: Tuple[Place, ...] = ()
    anew: bool = False
    stopped: Optional[Place] = None

    @property
    def asked(self) -> Tuple[Place, ...]:
        """Who is asked to put it right, in this order."""
        return self.before + ((self.keeper,) if self.keeper else ())


def place_of(obj: Object) -> Place:
    """Where an object is."""
    return Place(kind_of(obj), namespace_of(obj), name_of(obj))


def keeper_of(obj: Object) -> Optional[Place]:
    """Who says that it applies an object: Flux by its labels, a FluxDeployer as its owner. None for nobody."""
    labels = mapping(obj, "metadata", "labels")
    for kind in (KUSTOMIZATION, HELM_RELEASE):
        name, namespace = text(labels, f"{kind.group}/name"), text(labels, f"{kind.group}/namespace")
        if name and namespace:
            return Place(kind, namespace, name)
    for owner in sequence(obj, "metadata", "ownerReferences"):
        if text(owner, "kind") == FLUX_DEPLOYER.kind:
            return Place(FLUX_DEPLOYER, namespace_of(obj), text(owner, "name"))
    return None
