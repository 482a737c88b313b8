# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an access specification to the content behind it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import Any, Iterator, Union

from ..model.access import BY_VALUE_TYPES, Access, image_reference
from ..model.content_source import once_more_if_damaged
from ..model.digest import Digester, check_digest
from ..model.errors import DigestMismatch, InvalidContent, Refused
from ..model.identity import Element
from ..model.reference import ImageReference
from ..oci.access_hosts import check_access_host
from ..oci.client import Registries
from ..oci.transport import host_of, is_plain_url
from ..store.artifact_set import ArtifactSet, is_artifact_set
from ..store.component_store import ComponentStore, artifact_repository_of
from ..store.component_version import ArtifactContent, BlobContent, StoredVersion
from ..store.repository import blob_source
from ..store.safe_tar import BLOCK
from .helm import helm_content
from .wget import wget_content

Content = Union[BlobContent, ArtifactContent]
KEPT_IN_MEMORY = 4 * 1024 * 1024


class ContentFinder:
    """Finds the content of the elements of component versions that were read from one store."""

    def __init__(self, store: ComponentStore, registries: Registries) -> None:
        self._store, self._registries = store, registries

    def find(self, version: StoredVersion, kind: str, element: Element) -> Content:
        """The content of a resource or source, not read yet.

        Raises Refused for access types that cannot be followed and hosts that may not be read from, InvalidContent for
        broken accesses.
        """
        descriptor = version.descriptor
        where = descriptor.label_of(kind, element)
        access = descriptor.access_of(element)
        if access.is_local:
            return _local(version, access, where)
        if access.type in ("ociArtifact", "relativeOciReference"):
            return self._artifact(access, element, where)
        if access.type == "ociBlob":
            return self._blob(access, where)
        if access.type == "helm":
            self._check_host(_host_of_url(access.text("helmRepository", where), where), where)
            return helm_content(access, self._registries, where)
        if access.type == "wget":
            self._check_host(_host_of_url(access.text("url", where), where), where)
            return wget_content(access, self._registries, where)
        raise Refused(
            f"{where}: the content of access type {access.type} cannot be read.",
            f"Types that can: {', '.join(BY_VALUE_TYPES)}.",
        )

    def _artifact(self, access: Access, element: Element, where: str) -> ArtifactContent:
        if access.type == "relativeOciReference" and self._store.is_archive:
            image = ImageReference.parse(f"archive.local/{access.text('reference', where)}")
            repository = self._store.artifacts(image.repository)
        elif access.type == "relativeOciReference":
            image = image_reference(access, self._store.reference, where)
            repository = artifact_repository_of(self._store, image.repository)
        else:
            image = image_reference(access, self._store.reference, where)
            self._check_host(image.host, where)
            repository = self._registries.repository(image.host, image.repository, image.plain_http)
        return ArtifactContent(repository, image.digest or stated_artifact_digest(element) or image.locator)

    def _blob(self, access: Access, where: str) -> BlobContent:
        image = ImageReference.parse(str(access.get("ref") or access.text("imageReference", where)))
        digest = check_digest(access.get("digest") or image.digest, where)
        size = access.get("size")
        size = size if isinstance(size, int) and size > 0 else -1
        self._check_host(image.host, where)
        repository = self._registries.repository(image.host, image.repository, image.plain_http)
        media_type = str(access.get("mediaType") or "application/octet-stream")
        return BlobContent(media_type, digest, size, blob_source(repository, digest, size), repository)

    def _check_host(self, host: str, where: str) -> None:
        options = self._registries.options
        own = () if self._store.is_archive else (self._store.reference.host,)
        check_access_host(host, options.access_hosts, options.named_hosts + own, where)


def _host_of_url(url: str, where: str) -> str:
    """host[:port] of the address of a file or a chart. Raises InvalidContent for one that cannot be read from."""
    plain = f"https://{url[len('oci://') :]}" if url.startswith("oci://") else url
    if not is_plain_url(plain):
        hint = "Logins belong into registries or an auth_file."
        raise InvalidContent(f"{where}: its address is no http or https URL without a login.", hint)
    return host_of(plain)


def _local(version: StoredVersion, access: Access, where: str) -> Content:
    nested = version.local_manifest(access, where)
    if nested is not None and version.repository is not None:
        return ArtifactContent(version.repository, nested)
    blob = version.local_blob(access, where)
    if is_artifact_set(blob.media_type):
        return ArtifactContent(ArtifactSet(blob.open, where), "", blob)
    return blob


def stated_artifact_digest(element: Element) -> str:
    """The digest of an OCI artifact as its resource states it, or "".

    A resource's digest names the very manifest, whatever its tag stands for by now.
    """
    return stated_digest(element) if _is_artifact_digest(element) else ""


def stated_digest(element: Element) -> str:
    """The resource's digest as `sha256:<hex>`, or "" when it has none or content is excluded from digests."""
    digest = element.get("digest") or {}
    algorithm = str(digest.get("hashAlgorithm", "")).lower().replace("-", "")
    return f"{algorithm}:{digest['value']}" if algorithm in ("sha256", "sha512") and digest.get("value") else ""


def _is_artifact_digest(element: Element) -> bool:
    access = Access.from_mapping(element.get("access"), str(element.get("name")))
    algorithm = str((element.get("digest") or {}).get("normalisationAlgorithm", ""))
    external = access.type in ("ociArtifact", "relativeOciReference")
    return algorithm.startswith(("ociArtifactDigest/", "ociArtefactDigest/")) or external


@contextmanager
def spooled(content: BlobContent, where: str) -> Iterator[BlobContent]:
    """Content with its digest and size known: as it is, or read once into a nameless temporary file.

    Raises DigestMismatch when the content is not what its digest promises.
    """
    if content.digest and content.size >= 0:
        yield content
        return
    with tempfile.SpooledTemporaryFile(max_size=KEPT_IN_MEMORY) as file:
        seen = once_more_if_damaged(lambda: _fill(file, content, where))
        yield BlobContent(content.media_type, seen.digest, seen.size, lambda: _Rewound(file))


def _fill(file: Any, content: BlobContent, where: str) -> Digester:
    seen = Digester(content.digest.partition(":")[0] or "sha256")
    file.seek(0)
    file.truncate()
    with content.open() as blocks:
        for block in blocks:
            seen.update(block)
            file.write(block)
    if content.digest and seen.digest != content.digest:
        raise DigestMismatch(f"{where}: the content that arrived has the digest {seen.digest}, not {content.digest}.")
    return seen


class _Rewound:
    """The blocks of an open file from its beginning; the file stays open."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        return iter(lambda: self._file.read(BLOCK), b"")

    def __exit__(self, *_error: Any) -> None:
        pass
