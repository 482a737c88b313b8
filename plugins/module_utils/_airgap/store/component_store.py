# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where component versions live: registries, CTFs and component archives behind one small interface."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Iterable, List, Optional, Tuple

from ..model.descriptor import ComponentDescriptor
from ..model.errors import InvalidContent, InvalidInput, NotFound, Refused
from ..model.identity import suggestion
from ..model.reference import RepositoryReference, archive_format_of, check_component_name, component_path
from ..model.snapshot import Snapshot
from ..model.version import newest_first, tag_of, version_of
from ..oci.client import Registries
from .archive_files import PARTIAL, ArchiveFiles, FolderFiles, TarFiles
from .artifact_index import INDEX
from .component_archive import read_component_archive
from .component_version import NotAComponentVersion, StoredVersion, read_component_version
from .ctf import Ctf, TarTarget, is_there
from .descriptor_codec import FILE_NAME
from .left_out import NOTE
from .parts import is_split
from .repository import ArtifactRepository, WritableRepository


class ComponentStore(ABC):
    """A repository of component versions. location: as messages and results name it."""

    location: str
    reference: RepositoryReference

    @property
    def is_archive(self) -> bool:
        return self.reference.is_archive

    @abstractmethod
    def components(self) -> List[str]:
        """The names of all components. Raises InvalidInput for registries, which cannot list them."""

    def repository(self, component: str) -> WritableRepository:
        """The OCI repository that a component's versions are in."""
        return self.artifacts(component_path(component))

    @abstractmethod
    def artifacts(self, path: str) -> WritableRepository:
        """An OCI repository for artifacts, `path` below this store's prefix."""

    def tags(self, component: str) -> List[str]:
        """The tags of a component; NotFound when it is unknown."""
        return self.repository(check_component_name(component)).tags()

    def versions(self, component: str) -> List[str]:
        """The versions of a component, newest first. Tags that are no version are left out.

        Raises NotFound for an unknown component.
        """
        try:
            tags = self.tags(component)
        except NotFound:
            raise NotFound(f"{self.location} has no component {component}.", self.component_hint(component)) from None
        found = [version for version in map(version_of, tags) if version]
        if not found:
            raise NotFound(f"{self.location} has no version of the component {component}.", self.component_hint(component))
        return newest_first(found)

    def component_hint(self, component: str) -> str:
        """The next step when a component is not there."""
        return "Check the component's name and the repository's prefix; a registry cannot list its components."

    def read(self, component: str, version: str, digest: str = "") -> StoredVersion:
        """Read one component version. Raises NotFound with what there is, InvalidContent, DigestMismatch."""
        found = self.find(component, version, digest)
        if found is not None:
            return found
        versions = self.versions(component)
        if version in versions:  # listed, so a part of it is missing: reading it again names that part
            return self._read(component, version, digest)
        raise NotFound(
            f"{self.location} has no version {version} of the component {component}.", suggestion(version, versions)
        )

    def find(self, component: str, version: str, digest: str = "") -> Optional[StoredVersion]:
        """Like read, but None when the version is not there."""
        check_component_name(component)
        tag_of(version)
        try:
            return self._read(component, version, digest)
        except NotAComponentVersion:
            raise
        except NotFound:
            return None

    def _read(self, component: str, version: str, digest: str) -> StoredVersion:
        where = f"{self.location} {component}:{version}"
        return read_component_version(self.repository(component), component, version, where, digest)

    def repository_context(self) -> Optional[dict]:
        """What a transfer to this store appends to a descriptor's repository contexts; None for archives."""
        return None

    @property
    def needs_writing(self) -> bool:
        """True if what is there has to be written again although all content is there."""
        return False

    @property
    def left_out(self) -> Snapshot:
        """The blobs that it names and does not hold, because the place that it is for holds them (an archive)."""
        return Snapshot("")

    def leave_out(self, known: Snapshot, digests: Iterable[str]) -> None:
        """Do without these blobs in what is written, as far as they are known. Only archives can."""

    def begin(self) -> None:
        """Called before the first write. Raises Refused while another run writes to the same archive."""

    def tidy(self) -> None:
        """Called when there is nothing to write: remove what an interrupted run has left."""

    def commit(self) -> None:
        """Make what was written visible where that is done at once for all (a tar)."""

    def close(self) -> None:
        """Give back what is held open."""


class RegistryStore(ComponentStore):
    """A prefix at an OCI registry."""

    def __init__(self, reference: RepositoryReference, registries: Registries) -> None:
        self.reference, self.registries, self.location = reference, registries, str(reference)

    def components(self) -> List[str]:
        raise InvalidInput(
            f"{self.location}: a registry cannot list its components.", "Name one in the option component."
        )

    def artifacts(self, path: str) -> WritableRepository:
        image = self.reference.image(path)
        return self.registries.repository(image.host, image.repository, self.reference.plain_http)

    def repository_context(self) -> Optional[dict]:
        scheme = f"{self.reference.scheme}://" if self.reference.scheme else ""
        context = {
            "baseUrl": f"{scheme}{self.reference.host}",
            "componentNameMapping": "urlPath",
            "type": "OCIRegistry",
        }
        if self.reference.prefix:
            context["subPath"] = self.reference.prefix
        return context


class CtfStore(ComponentStore):
    """A CTF: a folder, a tar or a gzipped tar. tar: what is written, if it is not a folder."""

    def __init__(self, reference: RepositoryReference, ctf: Ctf, tar: Optional[TarTarget] = None) -> None:
        self.reference, self.ctf, self.tar, self.location = reference, ctf, tar, reference.path

    @property
    def path(self) -> str:
        """Where it lies."""
        return os.path.expanduser(self.reference.path)

    def components(self) -> List[str]:
        folder = component_path("")
        return [path[len(folder):] for path in self.ctf.repositories() if path.startswith(folder)]

    def component_hint(self, component: str) -> str:
        return suggestion(component, self.components())

    def versions(self, component: str) -> List[str]:
        if check_component_name(component) not in self.components():
            raise NotFound(f"{self.location} has no component {component}.", self.component_hint(component))
        return super().versions(component)

    def artifacts(self, path: str) -> WritableRepository:
        return self.ctf.repository(path)

    @property
    def left_out(self) -> Snapshot:
        return self.ctf.left_out

    def leave_out(self, known: Snapshot, digests: Iterable[str]) -> None:
        self.ctf.leave_out(known, digests)

    @property
    def needs_writing(self) -> bool:
        return self.tar is not None and self.tar.needs_writing

    def begin(self) -> None:
        (self.tar or self.ctf).begin()

    def tidy(self) -> None:
        place = self.tar or self.ctf
        if not place.has_unfinished():
            return
        try:
            place.begin()
        except Refused:
            return  # what is unfinished there belongs to a run that is at work
        place.drop_unfinished()

    def commit(self) -> None:
        if self.tar is not None:
            self.tar.commit()
        else:
            self.ctf.flush()
            self.ctf.settle_left_out()
            self.ctf.drop_unfinished()

    def close(self) -> None:
        self.ctf.close()


class ComponentArchiveStore(ComponentStore):
    """A component archive: one component version, read only."""

    def __init__(self, reference: RepositoryReference, files: ArchiveFiles) -> None:
        self.reference, self._files, self.location = reference, files, reference.path
        self._version = read_component_archive(files, self.location)

    @property
    def _descriptor(self) -> ComponentDescriptor:
        return self._version.descriptor

    def components(self) -> List[str]:
        return [self._descriptor.name]

    def component_hint(self, component: str) -> str:
        return suggestion(component, self.components())

    def tags(self, component: str) -> List[str]:
        if component != self._descriptor.name:
            raise NotFound(f"{self.location} has no component {component}.", self.component_hint(component))
        return [tag_of(self._descriptor.version)]

    def repository(self, component: str) -> WritableRepository:
        raise InvalidInput(f"{self.location} is a component archive and cannot be written.", "Use a CTF as the target.")

    def artifacts(self, path: str) -> WritableRepository:
        raise NotFound(f"{self.location} is a component archive: it has no artifact {path}.")

    def find(self, component: str, version: str, digest: str = "") -> Optional[StoredVersion]:
        return self._version if (component, version) == (self._descriptor.name, self._descriptor.version) else None

    def close(self) -> None:
        self._files.close()


def open_store(reference: RepositoryReference, registries: Registries) -> ComponentStore:
    """Open a repository for reading. Raises NotFound for a missing archive, InvalidContent for what is none."""
    if not reference.is_archive:
        return RegistryStore(reference, registries)
    path = os.path.expanduser(reference.path)
    if not os.path.exists(path) and not is_split(path):
        raise NotFound(f"{reference.path} does not exist.", "Check the path of the archive.")
    kind, files = _open_files(path, reference)
    return CtfStore(reference, Ctf(path, files)) if kind == INDEX else ComponentArchiveStore(reference, files)


def open_target(reference: RepositoryReference, registries: Registries, part_size: int = 0) -> ComponentStore:
    """Open a repository for writing; an archive that is not there begins empty, and nothing is created yet.

    part_size: for a tar, write it in parts that are smaller than so many bytes. Raises Refused for a file or folder
    that is something else.
    """
    if not reference.is_archive:
        return RegistryStore(reference, registries)
    path = os.path.expanduser(reference.path)
    archive_format = archive_format_of(reference)
    if os.path.isdir(path) and os.listdir(path):
        _refuse_unless_ctf(FolderFiles(path), path)
    if os.path.isdir(path) or (not is_there(path) and archive_format == "directory"):
        if part_size:
            raise InvalidInput(f"{reference.path} is a folder: part_size is for files.", "Name the archive .tar or .tgz.")
        folder = FolderFiles(path)
        return CtfStore(reference, Ctf(path, folder, folder))
    target = TarTarget(path, archive_format == "tgz", part_size)
    if target.base is not None and _kind_of(target.base, reference) != INDEX:
        target.ctf.close()
        _refuse_unless_ctf(target.base, path)
    return CtfStore(reference, target.ctf, target)


def _refuse_unless_ctf(files: ArchiveFiles, path: str) -> None:
    unfinished = all(name.startswith(("blobs/", PARTIAL, NOTE)) for name in files.names())
    if files.size(INDEX) is None and not unfinished:
        raise Refused(f"{path} exists and is not a CTF ({INDEX} is missing).", "Choose another target or remove it.")


def _open_files(path: str, reference: RepositoryReference) -> Tuple[str, ArchiveFiles]:
    files: ArchiveFiles = FolderFiles(path) if os.path.isdir(path) else TarFiles(path)
    return _kind_of(files, reference), files


def _kind_of(files: ArchiveFiles, reference: RepositoryReference) -> str:
    """The file that tells what an archive is. Closes it and raises InvalidContent when there is none."""
    for name in (INDEX, FILE_NAME):
        if files.size(name) is not None:
            return name
    files.close()
    raise InvalidContent(
        f"{reference.path} is neither a CTF ({INDEX}) nor a component archive ({FILE_NAME}).",
        "Check the path; an archive that was not copied completely has to be copied again.",
    )


def artifact_repository_of(store: ComponentStore, path: str) -> ArtifactRepository:
    """The repository of a relative reference: its path begins at the host, not at the store's prefix."""
    if isinstance(store, RegistryStore):
        reference = store.reference
        return store.registries.repository(reference.host, path, reference.plain_http)
    return store.artifacts(path)
