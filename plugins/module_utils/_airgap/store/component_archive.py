# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component archives: one component version as a descriptor file and its blobs, in a folder or a tar.

Follows the OCM specification; local blobs are named by their file, `sha256.<hex>`.
"""

from __future__ import annotations

from typing import Any, Optional

from ..model.access import Access
from ..model.digest import is_digest
from ..model.errors import InvalidContent, NotFound
from .archive_files import ArchiveFiles, VerifiedBlocks
from .component_version import BlobContent, StoredVersion
from .descriptor_codec import FILE_NAME, MAX_DESCRIPTOR_SIZE, decode_descriptor


class ArchivedVersion(StoredVersion):
    """The component version of a component archive; its local blobs are files."""

    files: ArchiveFiles

    def local_blob(self, access: Access, where: str) -> BlobContent:
        name = self._file_name(access, where)
        size = self.files.size(name)
        if size is None:
            raise NotFound(f"{where}: the archive has no file {name}.", "The archive is incomplete: copy it again.")
        digest = name.partition("/")[2].replace(".", ":", 1)
        digest = digest if is_digest(digest) else ""

        def open_file() -> Any:
            return VerifiedBlocks(self.files.open(name), digest, size, where)

        return BlobContent(str(access.get("mediaType") or "application/octet-stream"), digest, size, open_file)

    def local_manifest(self, access: Access, where: str) -> Optional[str]:
        return None

    def _file_name(self, access: Access, where: str) -> str:
        field = {"localFilesystemBlob": "fileName", "localOciBlob": "digest"}.get(access.type, "localReference")
        name = access.text(field, where).replace(":", ".")
        if "/" in name or name.startswith("."):
            raise InvalidContent(f"{where}: {name!r} is not the name of a file in blobs/.")
        return f"blobs/{name}"


def read_component_archive(files: ArchiveFiles, location: str) -> ArchivedVersion:
    """Read the one component version of a component archive. Raises InvalidContent."""
    descriptor = decode_descriptor(files.read(FILE_NAME, MAX_DESCRIPTOR_SIZE), f"{location} {FILE_NAME}")
    version = ArchivedVersion(descriptor)
    object.__setattr__(version, "files", files)
    return version
