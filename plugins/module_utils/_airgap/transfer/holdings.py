# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target is known to hold without asking for it: a manifest that is there vouches for what it names.

The newest older version of a component tells which images and blobs are there, and where. Only reads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Set, Tuple

from ..model.access import Access
from ..model.descriptor import ComponentDescriptor
from ..model.errors import InvalidContent, NotFound, RateLimited, RegistryError, Unreachable
from ..model.identity import Element
from ..model.manifest import ContentDescriptor, Manifest
from ..model.placement import Place
from ..model.reference import ImageReference, RepositoryReference, component_path
from ..model.version import Version
from ..sources.content import stated_digest
from ..store.component_store import ComponentStore
from ..store.component_version import StoredVersion
from ..store.repository import read_artifact
from .plan import ElementFacts


@dataclass(frozen=True)
class HeldImage:
    """An image that a version at the target refers to. path: below the target's prefix."""

    path: str
    digest: str


class Holdings:
    """What was learnt of one target. Safe for several threads. trusting: False where everything is to be looked at."""

    def __init__(self, target: ComponentStore, trusting: bool) -> None:
        self._target = target
        self._trusting = trusting and not target.is_archive
        self._held: Dict[str, Set[str]] = {}
        self._older: Dict[str, Optional[StoredVersion]] = {}
        self._images: Dict[str, Mapping[str, HeldImage]] = {}
        self._lock, self._looking = threading.Lock(), threading.Lock()

    def all(self) -> Mapping[str, FrozenSet[str]]:
        """Path below the prefix -> digests of manifests and blobs."""
        with self._lock:
            return {path: frozenset(digests) for path, digests in self._held.items()}

    def at(self, path: str) -> FrozenSet[str]:
        with self._lock:
            return frozenset(self._held.get(path, ()))

    def base_of(self, wanted: ComponentDescriptor, existing: Optional[StoredVersion]) -> Optional[StoredVersion]:
        """The version at the target whose contents are most like the wanted one's: itself, else the newest older."""
        if not self._trusting:
            return None
        base = existing or self._newest_older(wanted.name, wanted.version)
        if base is not None and base.manifest is not None:
            self._keep(component_path(wanted.name), [blob.digest for blob in base.manifest.blobs])
        return base

    def _newest_older(self, component: str, version: str) -> Optional[StoredVersion]:
        with self._looking:  # for all versions of a component that are wanted, one is looked for
            if component not in self._older:
                self._older[component] = self._find_older(component, version)
            return self._older[component]

    def _find_older(self, component: str, version: str) -> Optional[StoredVersion]:
        try:
            versions = self._target.versions(component)
            older = [one for one in versions if Version.parse(one) < Version.parse(version)]
            return self._target.find(component, (older or versions)[0])
        except (RateLimited, Unreachable):
            raise
        except (InvalidContent, NotFound, RegistryError):  # nothing is known then, and more is asked for
            return None

    def image_of(self, base: Optional[StoredVersion], facts: ElementFacts, path: str) -> Optional[HeldImage]:
        """The image that the same element had in another version, else any that is at the same path."""
        if base is None:
            return None
        element = base.descriptor.find_element(facts.kind, facts.identity)
        return (self._image(base, element) if element else None) or self._images_of(base).get(path)

    def _images_of(self, base: StoredVersion) -> Mapping[str, HeldImage]:
        """The images of a version, by path."""
        key = str(base.descriptor)
        if key not in self._images:
            images = [self._image(base, element) for _kind, element in base.descriptor.contents()]
            self._images[key] = {image.path: image for image in images if image}
        return self._images[key]

    def _image(self, base: StoredVersion, element: Element) -> Optional[HeldImage]:
        place, digest = own_artifact(self._target.reference, base.descriptor.access_of(element), element)
        return HeldImage(place.path, digest) if place and digest else None

    def learn_image(self, image: HeldImage, wanted: Manifest) -> None:
        """Read of an image at the target what its successor may share with it; `wanted` is the successor's manifest."""
        repository = self._target.artifacts(image.path)
        try:
            main = repository.get_manifest(image.digest)
            kept = {child.digest for child in wanted.children}
            gone = _alike([child for child in main.children if child.digest not in kept], wanted, main)
            read = [main] + [repository.get_manifest(child.digest) for child in gone]
        except (InvalidContent, NotFound):  # nothing is known then
            return
        named = [one for manifest in read for one in (manifest.descriptor(), *manifest.blobs, *manifest.children)]
        self._keep(image.path, [one.digest for one in named])

    def read_image(self, path: str, digest: str) -> None:
        """Read all manifests of an image that is there: they name the blobs that its repository holds."""
        tree = read_artifact(self._target.artifacts(path), digest)
        self._keep(path, [blob.digest for blob in tree.blobs])

    def _keep(self, path: str, digests: Iterable[str]) -> None:
        with self._lock:
            self._held.setdefault(path, set()).update(digests)


def own_artifact(reference: RepositoryReference, access: Access, element: Element) -> Tuple[Optional[Place], str]:
    """Place and digest of an artifact of a repository's own; None for what lies elsewhere."""
    if access.type != "ociArtifact" or reference.is_archive:
        return None, ""
    image = ImageReference.parse(str(access.get("imageReference")))
    prefix = f"{reference.prefix}/" if reference.prefix else ""
    if image.host != reference.host or not image.repository.startswith(prefix):
        return None, ""
    return Place(image.repository[len(prefix):], image.tag), image.digest or stated_digest(element)


def _alike(gone: List[ContentDescriptor], wanted: Manifest, main: Manifest) -> List[ContentDescriptor]:
    """Of the manifests that only the old index has, those for a platform of a manifest that only the new one has."""
    old = {child.digest for child in main.children}
    platforms = [child.platform for child in wanted.children if child.digest not in old]
    if not wanted.is_index:
        return gone
    return [child for child in gone if child.platform in platforms]
