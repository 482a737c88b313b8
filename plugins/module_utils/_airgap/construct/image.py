# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OCI artifacts as inputs: an image reference of a registry, or a path to a CTF, an OCI layout or an artifact set.

The text alone decides which: what begins like a path, or contains `//`, is one.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple

from ..model.digest import is_digest, verified
from ..model.errors import InvalidContent, InvalidInput, NotFound, OcmError
from ..model.identity import suggestion
from ..model.manifest import MAX_MANIFEST_SIZE, ContentDescriptor, Manifest, parse_json
from ..model.reference import DESCRIPTOR_FOLDER, ImageReference
from ..oci.client import Registries
from ..store.archive_files import ArchiveFiles, FolderFiles, TarFiles
from ..store.artifact_index import INDEX
from ..store.artifact_set import INDEX_FILES, MAIN, REF_NAME, TAGS
from ..store.component_version import ArtifactContent
from ..store.ctf import Ctf
from ..store.repository import ArtifactRepository

_DOCKER_ARCHIVE = "manifest.json"


@dataclass(frozen=True)
class FoundArtifact:
    """An artifact that is there. content names it by its digest; tag: as it is known there, may be empty."""

    content: ArtifactContent
    media_type: str
    tag: str

    @property
    def digest(self) -> str:
        return self.content.reference


class OciLayout(ArtifactRepository):
    """An OCI image layout or an artifact set, in a folder or a tar, with any number of artifacts."""

    def __init__(self, files: ArchiveFiles, name: str) -> None:
        self._files, self.name = files, name
        index_file = next(file for file in INDEX_FILES if files.size(file) is not None)
        self._index = parse_json(files.read(index_file), f"{name} {index_file}")

    def choose(self, tag: str) -> Tuple[str, str]:
        """(digest, tag) of the artifact with this tag, or without one of the only or main one.

        Raises NotFound and InvalidInput with the tags that there are.
        """
        listed = [_Listed(item, self.name) for item in self._index.get("manifests") or []]
        main = (self._index.get("annotations") or {}).get(MAIN)
        if is_digest(tag):
            found = [item for item in listed if item.digest == tag]
        elif tag:
            found = [item for item in listed if tag in item.tags]
        else:
            found = [item for item in listed if item.digest == main] or listed
        if len({item.digest for item in found}) == 1:
            return found[0].digest, tag if tag and not is_digest(tag) else (found[0].tags or [""])[0]
        tags = [text for item in listed for text in item.tags]
        if tag:
            raise NotFound(f"{self.name} has no artifact {tag}.", suggestion(tag, tags))
        raise InvalidInput(
            f"{self.name} holds {len(found)} artifacts; which one is meant?",
            f"Write <path>//:<tag> or <path>//@<digest>. Tags: {', '.join(tags) or 'none'}.",
        )

    def tags(self) -> List[str]:
        return [tag for item in self._index.get("manifests") or [] for tag in _Listed(item, self.name).tags]

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        return self.get_manifest(reference).descriptor() if self._file(reference) else None

    def get_manifest(self, reference: str) -> Manifest:
        raw = self._files.read(self._existing(reference), MAX_MANIFEST_SIZE)
        return Manifest.parse(raw, "", reference, f"{self.name} {reference}")

    def blob_size(self, digest: str) -> Optional[int]:
        file = self._file(digest)
        return self._files.size(file) if file else None

    @contextmanager
    def open_blob(self, digest: str, size: int = -1) -> Iterator[Iterator[bytes]]:
        with self._files.open(self._existing(digest)) as blocks:
            yield verified(blocks, digest, size, f"{self.name} {digest}")

    def _file(self, digest: str) -> str:
        """`blobs/sha256/<hex>` or, in artifact sets, `blobs/sha256.<hex>`; "" when there is neither."""
        names = [f"blobs/{digest.replace(':', mark)}" for mark in "/."] if is_digest(digest) else []
        return next((name for name in names if self._files.size(name) is not None), "")

    def _existing(self, digest: str) -> str:
        file = self._file(digest)
        if not file:
            raise NotFound(f"{self.name} has no content {digest}.", "The archive is incomplete: make it again.")
        return file


class _Listed:
    """One entry of a layout's index."""

    def __init__(self, item: Any, where: str) -> None:
        descriptor = ContentDescriptor.from_mapping(item, where)
        self.digest = descriptor.digest
        texts = [descriptor.annotations.get(REF_NAME) or ""] + str(descriptor.annotations.get(TAGS) or "").split(",")
        tags = [text.rpartition(":")[2] if "/" in text else text for text in texts]
        self.tags = list(dict.fromkeys(tag for tag in tags if tag))


def find_artifact(
    text: str, base: str, registries: Registries, keep: Callable[[ArchiveFiles], Any], where: str
) -> FoundArtifact:
    """Look for the artifact that a `path` means. keep: is handed files that have to stay open.

    base: the folder that relative paths begin at. Raises NotFound, InvalidInput, InvalidContent, and what registries
    raise.
    """
    try:
        if is_path(text):
            return _in_archive(text, base, keep)
        return _at_registry(ImageReference.parse(text), registries)
    except OcmError as error:
        error.message = f"{where}: {error.message}"
        raise


def is_path(text: str) -> bool:
    """True for a path, False for an image reference."""
    without_scheme = text.partition("://")[2] or text
    return text in (".", "..") or text.startswith(("/", "./", "../", "~", "ctf::")) or "//" in without_scheme


def _at_registry(image: ImageReference, registries: Registries) -> FoundArtifact:
    repository = registries.repository(image.host, image.repository, image.plain_http)
    there = repository.head_manifest(image.locator)
    if there is None:
        hint = "Check the repository and the tag; a file or folder is written with ./ in front."
        raise NotFound(f"There is no artifact {image}.", hint)
    return FoundArtifact(ArtifactContent(repository, there.digest), there.media_type, image.tag)


def _in_archive(text: str, base: str, keep: Callable[[ArchiveFiles], Any]) -> FoundArtifact:
    path, separator, name = text.rpartition("//")
    path, name = (path, name) if separator and path else (text, "")
    path = path[len("ctf::"):] if path.startswith("ctf::") else path
    full = os.path.join(base, os.path.expanduser(path))
    if not os.path.exists(full):
        raise NotFound(f"{full} does not exist.", "Check the path; it begins at the constructor's folder.")
    files: ArchiveFiles = FolderFiles(full) if os.path.isdir(full) else TarFiles(full)
    keep(files)
    if files.size(INDEX) is not None:
        return _in_ctf(Ctf(path, files), name)
    if any(files.size(file) is not None for file in INDEX_FILES):
        return _in_layout(OciLayout(files, path), name)
    if files.size(_DOCKER_ARCHIVE) is not None:
        raise InvalidContent(
            f"{path} is a Docker archive, whose layers are not those of an OCI image.",
            "Turn it into an OCI archive first: skopeo copy docker-archive:FILE oci-archive:FILE.",
        )
    raise InvalidContent(f"{path} is neither a CTF ({INDEX}) nor an OCI layout or artifact set ({INDEX_FILES[0]}).")


def _in_ctf(ctf: Ctf, name: str) -> FoundArtifact:
    artifacts = [
        f"{entry.repository}:{entry.tag}" if entry.tag else f"{entry.repository}@{entry.digest}"
        for entry in ctf.all_entries()
        if not entry.repository.startswith(f"{DESCRIPTOR_FOLDER}/")
    ]
    if not name:
        raise InvalidInput(
            f"{ctf.location} is a CTF, so the artifact in it has to be named.",
            f"Write {ctf.location}//repository:tag. {suggestion('', artifacts)}",
        )
    image = ImageReference.parse(f"archive.local/{name}")
    repository = ctf.repository(image.repository)
    there = repository.head_manifest(image.locator)
    if there is None:
        raise NotFound(f"{ctf.location} has no artifact {name}.", suggestion(name, artifacts))
    return FoundArtifact(ArtifactContent(repository, there.digest), there.media_type, image.tag)


def _in_layout(layout: OciLayout, name: str) -> FoundArtifact:
    tag = name.rpartition("@")[2] if "@" in name else name.rpartition(":")[2]
    digest, found = layout.choose(tag)
    return FoundArtifact(ArtifactContent(layout, digest), layout.get_manifest(digest).media_type, found)
