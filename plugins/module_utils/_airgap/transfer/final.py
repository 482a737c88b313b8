# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of a component version in the end: its descriptor, and the layers that are its local blobs."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..model.access import Access, local_blob
from ..model.descriptor import ComponentDescriptor
from ..model.digest import is_digest
from ..sources.content import stated_digest
from ..store.component_version import BlobContent, LocalArtifact, LocalLayer
from ..store.repository import ArtifactRepository, read_artifact
from .moves import has_known_size, moving
from .outcome import Landed
from .plan import ElementPlan, Plan, VersionPlan

SizeOf = Callable[[str], Optional[int]]


def known_landed(plan: Plan) -> Dict[str, Landed]:
    """Where blobs end up whose digest and size are known before they move, by the label of their element."""
    found: Dict[str, Landed] = {}
    for _version, element in moving(plan):
        content = element.facts.content
        if has_known_size(content):
            found[element.facts.label] = landed_blob(element, content)
    return found


def landed_blob(element: ElementPlan, content: BlobContent) -> Landed:
    """Where a blob ends up, whose digest and size are known."""
    access = element.access or local_blob(content.digest, content.media_type, element.facts.hint)
    return Landed(access, content.digest, content.size)


def final_descriptor(version: VersionPlan, landed: Mapping[str, Landed]) -> ComponentDescriptor:
    """The descriptor with the accesses that its elements have after the run."""
    descriptor = version.base
    for kind in ("resource", "source"):
        plans = [plan for plan in version.elements if plan.facts.kind == kind]
        descriptor = descriptor.with_accesses(kind, [_access_of(plan, landed) for plan in plans])
    return _with_digests(descriptor, [_digest_of(plan, landed) for plan in version.elements])


def local_layers(version: VersionPlan, landed: Mapping[str, Landed], size_of: SizeOf) -> List[LocalLayer]:
    """One layer for each local blob, in the order of the elements, with every element that it belongs to.

    size_of: asked for blobs that nothing else tells the size of.
    """
    layers: Dict[str, LocalLayer] = {}
    for plan in version.elements:
        access = Access.from_mapping(_access_of(plan, landed), plan.facts.label)
        if not access.is_local or _artifact_beside(plan, version, landed):
            continue
        owner = (plan.facts.kind, plan.facts.identity)
        for digest, size in _parts(access, _sizes(version, landed.get(plan.facts.label)), size_of):
            known = layers.get(digest)
            owners = (known.owners if known else ()) + (owner,)
            layers[digest] = LocalLayer(str(access.get("mediaType") or ""), digest, size, owners)
    return list(layers.values())


def local_artifacts(
    version: VersionPlan, landed: Mapping[str, Landed], repository: ArtifactRepository
) -> List[LocalArtifact]:
    """The artifacts that stand beside the component version's manifest, with every element that each belongs to.

    repository: the component's, where they are read.
    """
    owners: Dict[str, Tuple[Any, ...]] = {}
    for plan in version.elements:
        digest = _artifact_beside(plan, version, landed)
        if digest:
            owners[digest] = owners.get(digest, ()) + ((plan.facts.kind, plan.facts.identity),)
    return [LocalArtifact(read_artifact(repository, digest), found) for digest, found in owners.items()]


def _artifact_beside(plan: ElementPlan, version: VersionPlan, landed: Mapping[str, Landed]) -> str:
    """The digest of an element's artifact that lies in the component's own repository, unpacked; "" for others."""
    found, existing = landed.get(plan.facts.label), version.facts.target
    if found is not None:
        return found.digest if plan.is_shared else ""
    access = Access.from_mapping(_access_of(plan, landed), plan.facts.label)
    return (existing.local_manifest(access, plan.facts.label) or "") if existing and access.is_local else ""


def _access_of(plan: ElementPlan, landed: Mapping[str, Landed]) -> Mapping[str, Any]:
    found = landed.get(plan.facts.label)
    return found.access if found else plan.access or {}


def _digest_of(plan: ElementPlan, landed: Mapping[str, Landed]) -> Tuple[bool, str]:
    found = landed.get(plan.facts.label)
    digest = "" if plan.facts.believed else plan.facts.digest
    return plan.facts.is_artifact, digest or (found.digest if found else "")


def _sizes(version: VersionPlan, landed: Optional[Landed]) -> Dict[str, int]:
    existing = version.facts.target
    sizes = {layer.digest: layer.size for layer in existing.manifest.layers} if existing and existing.manifest else {}
    if landed is not None:
        sizes[landed.digest] = landed.size
    return sizes


def _parts(access: Access, sizes: Mapping[str, int], size_of: SizeOf) -> Iterator[Tuple[str, int]]:
    for digest in str(access.get("localReference") or access.get("digest")).split(","):
        digest = digest.strip()
        if is_digest(digest):
            yield digest, (sizes[digest] if digest in sizes else size_of(digest)) or 0


def _with_digests(descriptor: ComponentDescriptor, digests: Sequence[Tuple[bool, str]]) -> ComponentDescriptor:
    """Fill in the digests that resources lack, as the old OCM tool does when it moves them."""
    changed, resources = False, []
    for element, (is_artifact, digest) in zip(descriptor.resources, digests):
        if not element.get("digest") and digest and not stated_digest(element):
            algorithm, _colon, value = digest.partition(":")
            name = "ociArtifactDigest/v1" if is_artifact else "genericBlobDigest/v1"
            spec = {"hashAlgorithm": algorithm.upper().replace("SHA", "SHA-"), "normalisationAlgorithm": name, "value": value}
            element, changed = dict(element, digest=spec), True
        resources.append(element)
    return descriptor.changed(resources=resources) if changed else descriptor
