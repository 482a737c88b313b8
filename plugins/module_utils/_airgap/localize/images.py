# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a component version and of those it refers to, as they are called at the target."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..model.access import Access
from ..model.errors import InvalidInput
from ..model.reference import ImageReference
from ..sources.content import ContentFinder, stated_artifact_digest
from ..store.component_store import ComponentStore
from ..store.component_version import StoredVersion
from .component import ComponentFiles, Placement
from .former import former_references
from .references import foreign_images

IMAGE_TYPES = ("ociimage", "ociartifact", "dockerimage")


def component_images(
    store: ComponentStore, versions: Sequence[StoredVersion], finder: ContentFinder, placement: Optional[Placement]
) -> List[Dict[str, Any]]:
    """Every OCI artifact: component, version, resource (its identity), type, reference, digest and before (its access).

    placement: the target, for versions that are read before a transfer; else they are at the target already.
    """
    found = []
    for version in versions:
        files = ComponentFiles(store, version, finder, lambda text: None)
        for element in version.descriptor.resources:
            if _is_image(element, version.descriptor.access_of(element), placement):
                found.append(_image(version, files, element, placement))
    return found


def _is_image(element: Mapping[str, Any], access: Access, placement: Optional[Placement]) -> bool:
    if access.type == "ociArtifact":
        return True
    kind = str(element["type"]).partition("/")[0].lower()
    return placement is not None and kind in IMAGE_TYPES


def _image(
    version: StoredVersion, files: ComponentFiles, element: Mapping[str, Any], placement: Optional[Placement]
) -> Dict[str, Any]:
    identity = version.descriptor.identity_of("resource", element)
    extra = {key: value for key, value in identity.items() if key != "name"}
    reference = files.image_of(placement)({"name": identity["name"], "extraIdentity": extra})
    digest = ImageReference.parse(reference).digest or stated_artifact_digest(element) or None
    return dict(
        component=version.descriptor.name, version=version.descriptor.version, resource=identity,
        type=str(element["type"]), reference=reference, digest=digest, before=version.descriptor.access_of(element).to_mapping(),
    )


def former_images(files: Mapping[str, bytes], images: Sequence[Mapping[str, Any]], target: str) -> Dict[str, str]:
    """Image reference in the files -> reference at the target (host[:port][/prefix]), where it can mean one image only."""
    found = {}
    for foreign in foreign_images(files, target):
        same = {image["reference"] for image in images if _same_image(foreign["image"], image["reference"], target)}
        if len(same) == 1:
            found[foreign["image"]] = same.pop()
    return found


def moved_images(images: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """Image reference before the transfer -> reference at the target."""
    pairs = [dict(before=image["before"], after={"imageReference": image["reference"]}) for image in images]
    return former_references(pairs)


def _same_image(foreign: str, reference: str, target: str) -> bool:
    """Whether a reference is the former one of an image at the target: the same path without host, the same version."""
    try:
        former, present = ImageReference.parse(foreign), ImageReference.parse(reference)
    except InvalidInput:
        return False
    prefix = target.partition("/")[2]
    path = present.repository[len(prefix) + 1:] if prefix else present.repository
    if former.digest and present.digest:
        return path == former.repository and former.digest == present.digest
    return path == former.repository and (former.tag or "latest") == (present.tag or "latest")
