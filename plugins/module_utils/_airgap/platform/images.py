# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a platform part, and where they are in the private registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidContent, InvalidInput
from ..model.placement import place_of
from ..model.reference import ImageReference, RepositoryReference
from .objects import Object, containers, object_name, pod_templates


@dataclass(frozen=True)
class PrivateImages:
    """Where images are in the private registry.

    registry: `host[:port][/prefix]`, "" when nothing is known. explicit: reference in the manifests -> reference in the
    private registry; it wins. resources: the private references of a component's images, None without a component.
    path_mapping: as a transfer uses it.
    """

    registry: str = ""
    explicit: Mapping[str, str] = field(default_factory=dict)
    resources: Optional[Sequence[str]] = None
    path_mapping: Sequence[Tuple[str, str]] = ()

    def find(self, text: str) -> str:
        """The private reference of an image. Raises InvalidInput, or InvalidContent for one that the component lacks."""
        if text in self.explicit:
            return self.explicit[text]
        image = ImageReference.parse(text)
        if not self.registry:
            return text
        registry = RepositoryReference.parse(self.registry)
        if registry.is_archive:
            raise InvalidInput(f"{self.registry!r} is no registry; images are pulled from registries.", "Write host/prefix.")
        if _is_below(image, registry):
            return text if self.resources is None else self._pinned(image)
        place = place_of(f"{image.repository}:{image.tag}" if image.tag else image.repository, image.name, self.path_mapping, "", text)
        expected = registry.image(place.path, image.tag, image.digest).without_scheme()
        if self.resources is None:
            return str(expected)
        return self._of_component(image, expected)

    def _pinned(self, image: ImageReference) -> str:
        found = [entry for entry in self._references() if entry.name == image.name and _same_content(entry, image)]
        return str(found[0]) if found else str(image)

    def _of_component(self, image: ImageReference, expected: ImageReference) -> str:
        fitting = [entry for entry in self._references() if _same_content(entry, image)]
        found = [entry for entry in fitting if entry.name == expected.name]
        found = found or [entry for entry in fitting if f"/{entry.repository}".endswith(f"/{image.repository}")]
        if len({entry.name for entry in found}) > 1:
            names = ", ".join(sorted(str(entry) for entry in found))
            raise InvalidContent(f"The image {image} could be each of {names}.", "Name the right one in the variable for images.")
        if not found:
            known = ", ".join(sorted(self.resources or ())) or "none"
            raise InvalidContent(
                f"The component version has no resource for the image {image}; its images are: {known}.",
                "Add the image to the component, or say in the variable for images where it is.",
            )
        return str(found[0])

    def _references(self) -> List[ImageReference]:
        return [ImageReference.parse(text).without_scheme() for text in self.resources or ()]


def image_references(objects: Sequence[Object]) -> List[str]:
    """The distinct image references of all pod templates, in their order."""
    found: Dict[str, None] = {}
    for item, template in pod_templates(objects):
        for entry in containers(template):
            if not isinstance(entry.get("image"), str) or not entry["image"]:
                raise InvalidContent(f"{object_name(item)}: the container {entry.get('name')!r} has no image.")
            found[entry["image"]] = None
    return list(found)


def rewrite_images(objects: Sequence[Object], images: PrivateImages) -> Dict[str, str]:
    """Put the private references into all pod templates. Returns former reference -> private reference."""
    mapping = {text: images.find(text) for text in image_references(objects)}
    for _item, template in pod_templates(objects):
        for entry in containers(template):
            entry["image"] = mapping[entry["image"]]
    return mapping


def resource_images(resources: Sequence[Mapping[str, Any]]) -> List[str]:
    """The image references among the `resources` that ocm_component_info returned."""
    accesses = [entry.get("access") or {} for entry in resources]
    return [str(access["imageReference"]) for access in accesses if access.get("imageReference")]


def _same_content(entry: ImageReference, image: ImageReference) -> bool:
    if image.digest and entry.digest:
        return image.digest == entry.digest
    return (image.tag or "latest") == (entry.tag or "latest")


def _is_below(image: ImageReference, registry: RepositoryReference) -> bool:
    if image.host != registry.host:
        return False
    return not registry.prefix or f"{image.repository}/".startswith(f"{registry.prefix}/")
