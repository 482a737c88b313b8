# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What localization needs from a component version: its manifests, its rules, and the references of its images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ..model.access import Access
from ..model.config_data import ConfigData
from ..model.content_source import read_whole
from ..model.errors import InvalidContent, InvalidInput, NotFound
from ..model.identity import Element, identity_text, parse_selector, select
from ..model.reference import ImageReference, RepositoryReference, component_path
from ..sources.content import ContentFinder, stated_artifact_digest, stated_digest
from ..sources.download import as_text
from ..store.component_store import ComponentStore
from ..store.component_version import ArtifactContent, StoredVersion
from ..store.safe_tar import Limits, read_files
from ..store.yaml_text import load_yaml
from ..model.placement import artifact_name, hint_of, place_of, target_reference

MANIFESTS_LIMITS = Limits(size=256 * 1024 * 1024, count=20_000)


@dataclass(frozen=True)
class Placement:
    """The repository that references are written for, as a transfer to it would write them."""

    target: RepositoryReference
    with_digest: bool = True
    path_mapping: Sequence[Any] = ()


class ComponentFiles:
    """One component version, as localization sees it. warn is told what ocm-controller would do differently."""

    def __init__(self, store: ComponentStore, version: StoredVersion, finder: ContentFinder, warn: Callable[[str], None]) -> None:
        self._store, self._version, self._finder, self._warn = store, version, finder, warn

    def manifests(self, resource: Any) -> Dict[str, bytes]:
        """The files of a resource that is a tar, path -> content. Raises InvalidContent for anything else."""
        element = self._resource(resource)
        where = self._version.descriptor.label_of("resource", element)
        content = self._finder.find(self._version, "resource", element)
        if isinstance(content, ArtifactContent):
            raise InvalidContent(f"{where} is an OCI artifact, not a folder of manifests.", "Name another resource.")
        return read_whole(content.open, lambda blocks: read_files(blocks, where, MANIFESTS_LIMITS))

    def config(self, resource: Any) -> Optional[ConfigData]:
        """The ConfigData of a resource. Raises NotFound with the nearest names."""
        element = self._resource(resource)
        where = self._version.descriptor.label_of("resource", element)
        found = as_text(self._finder.find(self._version, "resource", element), stated_digest(element), where)
        return ConfigData.from_mapping(load_yaml((found.text or "").encode("utf-8"), where), where)

    def has(self, resource: Any) -> bool:
        try:
            return self._resource(resource) is not None
        except NotFound:
            return False

    def image_of(self, placement: Optional[Placement]) -> Callable[[Mapping[str, Any]], str]:
        """The function that gives the image reference of a rule's resource, at the target if there is one."""
        return lambda resource: self._image(resource, placement)

    def _resource(self, selector: Any) -> Element:
        return select(self._version.descriptor.resources, parse_selector(selector), str(self._version))

    def _image(self, resource: Mapping[str, Any], placement: Optional[Placement]) -> str:
        selector = dict(resource.get("extraIdentity") or {}, name=resource.get("name", ""))
        element = self._resource(selector)
        descriptor = self._version.descriptor
        where = descriptor.label_of("resource", element)
        if descriptor.identity_of("resource", element) != {"name": element["name"]}:
            self._warn(
                f"{where}: ocm-controller looks resources up by name alone and does not find "
                f"{identity_text(descriptor.identity_of('resource', element))}."
            )
        access = descriptor.access_of(element)
        return self._at_target(element, access, placement, where) if placement else self._as_it_is(access, where)

    def _at_target(self, element: Element, access: Access, placement: Placement, where: str) -> str:
        """The reference that a transfer to the target writes for this resource."""
        digest = stated_artifact_digest(element) or stated_digest(element) or self._digest(element, where)
        fallback = component_path(self._version.descriptor.name)
        hint = hint_of(access, self._store.reference)
        place = place_of(hint, artifact_name(access), tuple(placement.path_mapping), fallback, where)
        return str(target_reference(placement.target, place, digest, placement.with_digest))

    def _digest(self, element: Element, where: str) -> str:
        content = self._finder.find(self._version, "resource", element)
        found = content.repository.head_manifest(content.reference) if isinstance(content, ArtifactContent) else None
        if found is None:
            raise NotFound(f"{where}: there is no OCI artifact behind it.")
        return found.digest

    def _as_it_is(self, access: Access, where: str) -> str:
        """The reference that ocm-controller resolves: of an OCI access, or of a local blob's global access."""
        if access.is_local:
            outer = access.get("globalAccess")
            if not isinstance(outer, Mapping):
                raise InvalidContent(
                    f"{where} is a local blob without global access, so it has no image reference yet.",
                    "Give target: the references that a transfer to it writes are used then.",
                )
            access = Access.from_mapping(outer, where)
        if access.type == "ociArtifact":
            return access.text("imageReference", where)
        if access.type == "ociBlob":
            image = ImageReference.parse(str(access.get("ref") or access.text("imageReference", where)))
            return str(image.pinned(access.text("digest", where)))
        raise InvalidContent(
            f"{where}: the access {access.type} is not an image reference.",
            "Only ociArtifact, ociBlob and local blobs with a global access are; give target for others.",
        )


def read_folder(path: str) -> Dict[str, bytes]:
    """Every file below a folder, path with / -> content; hidden folders such as .git are left out.

    Raises NotFound for a missing folder, InvalidInput for links that leave it.
    """
    if not os.path.isdir(path):
        raise NotFound(f"{path} is not a folder.", "src names the folder of manifests.")
    root = os.path.realpath(path)
    found: Dict[str, bytes] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            full = os.path.join(folder, name)
            if not os.path.realpath(full).startswith(root + os.sep):
                raise InvalidInput(f"{full} is a link that leaves {path}.", "Replace it by a file.")
            with open(full, "rb") as file:
                found[os.path.relpath(full, path).replace(os.sep, "/")] = file.read()
    return found
