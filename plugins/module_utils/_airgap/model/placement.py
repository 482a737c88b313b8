# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an artifact goes at the target, and how the target's descriptor refers to it.

Follows the old OCM tool's rules, so that either tool can continue what the other began: the repository path of the
source without its host below the target's prefix, the same tag, and the digest behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from .access import Access
from .digest import is_digest
from .errors import InvalidContent, InvalidInput
from .reference import ImageReference, RepositoryReference


@dataclass(frozen=True)
class Place:
    """An artifact's repository path below the target's prefix, and its tag (may be empty)."""

    path: str
    tag: str = ""


def hint_of(access: Access, source: RepositoryReference) -> str:
    """`repository[:tag][@digest]` that an access suggests for its artifact; "" for none."""
    if access.is_local:
        return access.hint
    if access.type == "relativeOciReference":
        return str(access.get("reference") or "")
    if access.type != "ociArtifact":
        return ""
    image = ImageReference.parse(str(access.get("imageReference") or ""))
    path = image.repository
    if source.prefix and path.startswith(f"{source.prefix}/"):
        path = path[len(source.prefix) + 1:]
    return f"{path}:{image.tag}" if image.tag else path


def artifact_name(access: Access) -> str:
    """`host/repository` where the artifact comes from, as path mappings see it; the hint's path for local blobs."""
    if access.type == "ociArtifact":
        return ImageReference.parse(str(access.get("imageReference") or "")).name
    return _split_hint(hint_of(access, RepositoryReference()))[0]


def place_of(hint: str, name: str, mapping: Sequence[Tuple[str, str]], fallback: str, where: str) -> Place:
    """The place of an artifact. fallback: the path when there is no hint. Raises InvalidContent for an unsafe hint."""
    path, tag, _digest = _split_hint(hint)
    mapped = _mapped(name, mapping) or _mapped(path, mapping)
    path = mapped if mapped is not None else path or fallback
    try:
        ImageReference.parse(f"target.local/{path}{':' if tag else ''}{tag}")
    except InvalidInput as error:
        raise InvalidContent(f"{where}: the artifact's name {hint!r} cannot be used at the target. {error}") from None
    return Place(path, tag)


def wanted_digest(hint: str) -> str:
    """The digest that a hint asks for, or ""."""
    return _split_hint(hint)[2]


def target_reference(target: RepositoryReference, place: Place, digest: str, with_digest: bool) -> ImageReference:
    """The image reference that the target's descriptor gets."""
    keep = with_digest or not place.tag
    return target.image(place.path, place.tag, digest if keep else "")


def parse_path_mapping(entries: Sequence[dict]) -> Tuple[Tuple[str, str], ...]:
    """Read the option `path_mapping`. Raises InvalidInput."""
    pairs = tuple((str(entry.get("from") or "").strip("/"), str(entry.get("to") or "").strip("/")) for entry in entries)
    for source, target in pairs:
        if not source or not target:
            raise InvalidInput(
                f"path_mapping: {source!r} to {target!r} is not a pair of prefixes.",
                "Write {from: quay.io/bitnami, to: quay/bitnami}.",
            )
        ImageReference.parse(f"target.local/{target}")
    return pairs


def _split_hint(hint: str) -> Tuple[str, str, str]:
    rest, _at, digest = hint.rpartition("@") if "@" in hint else (hint, "", "")
    head, slash, last = rest.rpartition("/")
    name, _colon, tag = last.partition(":")
    return head + slash + name, tag, digest if is_digest(digest) else ""


def _mapped(name: str, mapping: Sequence[Tuple[str, str]]) -> Optional[str]:
    """The name with its longest mapped prefix (by whole segments) replaced, None when no mapping fits."""
    fits = [(source, target) for source, target in mapping if name == source or name.startswith(f"{source}/")]
    if not fits:
        return None
    source, target = max(fits, key=lambda pair: len(pair[0]))
    return target + name[len(source):]
