# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component version at the source against the same version at the target: what differs, and what a merge gives.

Follows the rules by which the OCM library decides between skipping, updating and refusing. Access, creation time
and repository contexts are where a version is kept, not what it is: they are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .access import canonical_type
from .descriptor import ComponentDescriptor
from .identity import Element, identity_of, identity_text
from .normalisation import signed_labels

_DIGEST_NAMES = {"sha256": "SHA-256", "sha512": "SHA-512"}
_CONTENT_DIGESTS = ("genericBlobDigest/v1", "ociArtifactDigest/v1", "ociArtefactDigest/v1")


@dataclass(frozen=True)
class Comparison:
    """signed: differences in what a signature covers; volatile: in what may change; noted: worth telling."""

    signed: Tuple[str, ...]
    volatile: Tuple[str, ...]
    noted: Tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.signed and not self.volatile


class _Differences:
    def __init__(self, is_signed: bool) -> None:
        self.is_signed = is_signed
        self.signed: List[str] = []
        self.volatile: List[str] = []
        self.noted: List[str] = []

    def fields(self, where: str, source: Mapping[str, Any], target: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in names:
            left, right = source.get(name) or None, target.get(name) or None
            if left != right:
                self.signed.append(f"{where}: {name} is {_short(left)} at the source, {_short(right)} at the target")

    def labels(self, where: str, source: Any, target: Any) -> None:
        left, right = _by_name(signed_labels(source)), _by_name(signed_labels(target))
        for name in sorted(set(left) | set(right)):
            if left.get(name) != right.get(name):
                self.signed.append(f"{where}: the signed label {name} differs")
        loose_left, loose_right = _unsigned(source), _unsigned(target)
        for name in sorted(set(loose_left) | set(loose_right)):
            if loose_left.get(name) != loose_right.get(name):
                self.volatile.append(f"{where}: the label {name} differs")


def compare(source: ComponentDescriptor, target: ComponentDescriptor) -> Comparison:
    """Compare two descriptors of the same component version, also across schemas."""
    found = _Differences(bool(source.signatures or target.signatures))
    heads = ({"name": source.name, "version": source.version}, {"name": target.name, "version": target.version})
    found.fields("component", heads[0], heads[1], ("name", "version"))
    found.fields("provider", source.provider, target.provider, ("name",))
    found.labels("provider", source.provider.get("labels"), target.provider.get("labels"))
    found.labels("component", source.labels, target.labels)
    _compare_lists(found, "resource", source.resources, target.resources)
    _compare_lists(found, "source", source.sources, target.sources)
    _compare_lists(found, "reference", source.references, target.references)
    left, right = _by_name(source.signatures), _by_name(target.signatures)
    found.volatile.extend(
        f"the signature {name} differs" for name in sorted(set(left) | set(right)) if left.get(name) != right.get(name)
    )
    return Comparison(tuple(found.signed), tuple(found.volatile), tuple(found.noted))


def _compare_lists(found: _Differences, kind: str, source: Sequence[Element], target: Sequence[Element]) -> None:
    left = [identity_of(element, source) for element in source]
    right = [identity_of(element, target) for element in target]
    for identity in left:
        if identity not in right:
            found.signed.append(f"{kind} {identity_text(identity)} is at the source only")
    for identity in right:
        if identity not in left:
            found.signed.append(f"{kind} {identity_text(identity)} is at the target only")
    common = [identity for identity in left if identity in right]
    if common != [identity for identity in right if identity in left]:
        found.signed.append(f"the {kind}s stand in another order")
    for identity in common:
        pair = source[left.index(identity)], target[right.index(identity)]
        _compare_element(found, kind, f"{kind} {identity_text(identity)}", pair)


def _compare_element(found: _Differences, kind: str, where: str, pair: Tuple[Element, Element]) -> None:
    source, target = pair
    found.fields(where, source, target, ("version", "extraIdentity"))
    found.labels(where, source.get("labels"), target.get("labels"))
    if kind == "reference":
        found.fields(where, source, target, ("componentName",))
        _compare_reference_digest(found, where, source.get("digest"), target.get("digest"))
        return
    found.fields(where, source, target, ("type",))
    if kind == "resource":
        found.fields(where, source, target, ("relation",))
        if (source.get("srcRefs") or source.get("srcRef")) != (target.get("srcRefs") or target.get("srcRef")):
            found.signed.append(f"{where}: srcRefs differ")
        _compare_resource_digest(found, where, pair)


def _compare_reference_digest(found: _Differences, where: str, source: Any, target: Any) -> None:
    if source and target and digest_key(source) != digest_key(target):
        found.signed.append(f"{where}: the digest is {_short(source)} at the source, {_short(target)} at the target")
    elif bool(source) != bool(target):
        found.volatile.append(f"{where}: only the {'source' if source else 'target'} has a digest")


def _compare_resource_digest(found: _Differences, where: str, pair: Tuple[Element, Element]) -> None:
    if all(canonical_type(element["access"]["type"]) == "none" for element in pair):
        return
    source, target = (element.get("digest") for element in pair)
    if not source and not target:
        return
    if not source:
        return  # a transfer fills in the digests that the source lacks
    if not target:
        found.signed.append(f"{where}: only the source has a digest, so it may differ")
        return
    left, right = digest_key(source), digest_key(target)
    if left == right:
        return
    if left[0] == right[0] and left[2] == right[2] and {left[1], right[1]} <= set(_CONTENT_DIGESTS):
        if found.is_signed:
            found.noted.append(
                f"{where}: the same digest is called {left[1]} at the source and {right[1]} at the target; "
                "the target's name stays, so a signature made at the source does not cover it"
            )
        return
    found.signed.append(f"{where}: the digest is {left[2]} at the source, {right[2]} at the target")


def digest_key(digest: Mapping[str, Any]) -> Tuple[str, str, str]:
    """(hash algorithm, normalisation algorithm, value) with the spellings of older tools made one."""
    algorithm = str(digest.get("hashAlgorithm", ""))
    normalisation = str(digest.get("normalisationAlgorithm", "")).replace("ociArtefactDigest", "ociArtifactDigest")
    return _DIGEST_NAMES.get(algorithm.lower(), algorithm), normalisation, str(digest.get("value", ""))


def merge_volatile(source: ComponentDescriptor, target: ComponentDescriptor) -> ComponentDescriptor:
    """The target's descriptor with the source's labels, signatures and reference digests merged in.

    What only the target has stays; where both have a label or signature of one name, the source's wins.
    """
    changes: Dict[str, Any] = {
        "labels": _merged(source.labels, target.labels),
        "signatures": _merged(source.signatures, target.signatures),
    }
    for kind in ("resources", "sources", "references"):
        changes[kind] = _merged_elements(getattr(source, kind), getattr(target, kind))
    provider_labels = _merged(source.provider.get("labels") or [], target.provider.get("labels") or [])
    return target.changed(**changes).with_provider_labels(provider_labels)


def _merged_elements(source: Sequence[Element], target: Sequence[Element]) -> List[Dict[str, Any]]:
    by_identity = {identity_text(identity_of(element, source)): element for element in source}
    result = []
    for element in target:
        inbound: Optional[Element] = by_identity.get(identity_text(identity_of(element, target)))
        merged = dict(element)
        if inbound is not None:
            labels = _merged(inbound.get("labels") or [], element.get("labels") or [])
            if labels or "labels" in element:
                merged["labels"] = labels
            if "componentName" in element and inbound.get("digest") and not element.get("digest"):
                merged["digest"] = inbound["digest"]
        result.append(merged)
    return result


def _merged(source: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    inbound = _by_name(source)
    known = {item["name"] for item in target}
    return [inbound.get(item["name"], item) for item in target] + [item for item in source if item["name"] not in known]


def _by_name(items: Any) -> Dict[str, Any]:
    return {item["name"]: item for item in items or []}


def _unsigned(labels: Any) -> Dict[str, Any]:
    return {label["name"]: label for label in labels or [] if label.get("signing") not in (True, "true")}


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value:
        return str(value["value"])
    return "not there" if value is None else str(value)
