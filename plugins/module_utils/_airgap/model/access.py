# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access specifications: how the content of a resource or source is reached.

Names and fields follow the OCM specification and what both OCM command lines write (with their aliases).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from .errors import InvalidContent
from .reference import ImageReference, RepositoryReference

_ALIASES = {
    "localblob": "localBlob",
    "localociblob": "localOciBlob",
    "localfilesystemblob": "localFilesystemBlob",
    "ociartifact": "ociArtifact",
    "ociregistry": "ociArtifact",
    "ociimage": "ociArtifact",
    "ociblob": "ociBlob",
    "ociimagelayer": "ociBlob",
    "relativeocireference": "relativeOciReference",
    "helm": "helm",
    "wget": "wget",
    "none": "none",
}
LOCAL_TYPES = ("localBlob", "localOciBlob", "localFilesystemBlob")
BY_VALUE_TYPES = LOCAL_TYPES + ("ociArtifact", "relativeOciReference", "ociBlob", "helm", "wget")


@dataclass(frozen=True)
class Access:
    """An access specification. type: the canonical name without version; spec: the mapping as it stands."""

    type: str
    spec: Mapping[str, Any]

    @classmethod
    def from_mapping(cls, spec: Any, where: str) -> "Access":
        """Raises InvalidContent naming `where` for anything that is not a mapping with a type."""
        stated = spec.get("type") if isinstance(spec, Mapping) else None
        if not isinstance(stated, str) or not stated:
            raise InvalidContent(f"{where}: the access has no type.")
        return cls(canonical_type(stated), spec)

    def get(self, field: str, default: Any = None) -> Any:
        """A field by its name; upper and lower case are not told apart, as Go's JSON does."""
        if field in self.spec:
            return self.spec[field]
        wanted = field.lower()
        return next((value for key, value in self.spec.items() if str(key).lower() == wanted), default)

    def text(self, field: str, where: str) -> str:
        """A field that must be a text. Raises InvalidContent."""
        value = self.get(field)
        if not isinstance(value, str) or not value:
            raise InvalidContent(f"{where}: the access {self.type} has no {field}.")
        return value

    @property
    def is_local(self) -> bool:
        return self.type in LOCAL_TYPES

    @property
    def is_own(self) -> bool:
        """Whether the content lies in the repository of the component version itself."""
        return self.is_local or self.type == "relativeOciReference"

    @property
    def is_none(self) -> bool:
        return self.type == "none"

    @property
    def hint(self) -> str:
        """referenceName of a local blob: `repository[:tag]` without host."""
        return str(self.get("referenceName") or "") if self.is_local else ""

    def to_mapping(self) -> Dict[str, Any]:
        return dict(self.spec)


def canonical_type(stated: str) -> str:
    """The type without version and under its main name; unknown types stay as they are."""
    name, slash, version = stated.partition("/")
    versioned = slash and version not in ("v1", "v1alpha1")
    return stated if versioned else _ALIASES.get(name.lower(), name)


def image_reference(access: Access, repository: Optional[RepositoryReference], where: str) -> ImageReference:
    """The image of an ociArtifact or relativeOciReference access.

    repository: where the component version was read from, which relative references begin at.
    """
    if access.type == "ociArtifact":
        return ImageReference.parse(access.text("imageReference", where))
    if access.type != "relativeOciReference":
        raise InvalidContent(f"{where}: the access {access.type} is not an image.")
    text = access.text("reference", where)
    if repository is None or repository.is_archive:
        raise InvalidContent(f"{where}: the relative reference {text} can only be followed at a registry.")
    scheme = f"{repository.scheme}://" if repository.scheme else ""
    return ImageReference.parse(f"{scheme}{repository.host}/{text}")


def local_blob(reference: str, media_type: str, hint: str = "") -> Dict[str, Any]:
    """The access specification of a local blob. reference: digest, or file name in a component archive."""
    spec = {"localReference": reference, "mediaType": media_type}
    if hint:
        spec["referenceName"] = hint
    spec["type"] = "localBlob"
    return spec
