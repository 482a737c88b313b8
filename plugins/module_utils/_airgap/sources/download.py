# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content to disk: to a file, to a folder, or as text. What is written appears only when it is complete and right."""

from __future__ import annotations

import filecmp
import hashlib
import os
from dataclasses import dataclass
from typing import Iterator, Optional

from ..model.content_source import damage_first, once_more_if_damaged
from ..model.digest import Digester, digest_of, verified
from ..model.errors import DigestMismatch, InvalidContent, InvalidInput, NotFound, OcmError
from ..store.artifact_set import ArtifactSet, artifact_set_type, is_artifact_set, pack_artifact_set
from ..store.archive_files import BlockSource
from ..store.component_version import ArtifactContent, BlobContent
from ..store.repository import read_artifact
from ..store.safe_tar import BLOCK, extract, file_beside, folder_beside, replace_folder
from .content import Content

MAX_TEXT_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Download:
    """What was downloaded. digest: of the bytes, or of an artifact's main manifest; size: bytes written."""

    digest: str
    media_type: str
    size: int
    changed: bool
    text: Optional[str] = None


def as_file(content: Content, expected: str, path: str, where: str, check_mode: bool) -> Download:
    """Write content to a file. expected: the digest that it must have, "" when nothing is promised.

    A file that has the content already is left alone and, where its digest is known, nothing is read for it.
    """
    if os.path.isdir(path):
        raise InvalidInput(f"{path} is a folder.", "Name the file in dest, or set extract to true to fill the folder.")
    if isinstance(content, ArtifactContent):
        return _artifact_as_file(content, expected, path, where, check_mode)
    wanted = expected or content.digest
    if wanted and os.path.isfile(path) and _file_digest(path, wanted) == wanted:
        return Download(wanted, content.media_type, os.path.getsize(path), False)
    if check_mode:
        return Download(wanted, content.media_type, max(content.size, 0), True)
    with file_beside(path) as temporary:
        seen = once_more_if_damaged(lambda: _write(_checked(content, wanted, where), temporary))
        changed = not (os.path.isfile(path) and filecmp.cmp(temporary, path, shallow=False))
        if changed:
            os.replace(temporary, path)
    return Download(seen.digest, content.media_type, seen.size, changed)


def as_folder(content: Content, expected: str, path: str, where: str, check_mode: bool) -> Download:
    """Unpack a tar, plain or gzipped, into a folder that takes the place of what was there.

    Raises InvalidContent for content that is no tar or unsafe to unpack.
    """
    if isinstance(content, ArtifactContent) or is_artifact_set(content.media_type):
        raise InvalidInput(f"{where} is an OCI artifact; it cannot be unpacked.", "Download it without extract.")
    wanted = expected or content.digest
    return once_more_if_damaged(lambda: _unpack(content, wanted, path, where, check_mode))


def _unpack(content: BlobContent, wanted: str, path: str, where: str, check_mode: bool) -> Download:
    with folder_beside(path) as temporary:
        seen = Digester(wanted.partition(":")[0] or "sha256")
        blocks = _counted(_checked(content, wanted, where), seen)
        with damage_first(blocks):
            extract(blocks, temporary, where)
        changed = not _same_tree(temporary, path)
        if changed and not check_mode:
            os.chmod(temporary, 0o755)
            replace_folder(temporary, path)
    return Download(seen.digest, content.media_type, seen.size, changed)


def as_text(content: Content, expected: str, where: str) -> Download:
    """Small text content. Raises InvalidInput for what is too large or no UTF-8 text."""
    advice = "Give dest to write it to a file."
    if isinstance(content, ArtifactContent):
        raise InvalidInput(f"{where} is an OCI artifact, not a text.", advice)
    if content.size > MAX_TEXT_SIZE:
        raise InvalidInput(f"{where} has {content.size} bytes; up to {MAX_TEXT_SIZE} can be returned as text.", advice)
    found = once_more_if_damaged(lambda: _small(_checked(content, expected or content.digest, where), where, advice))
    try:
        text = found.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{where} is not a text ({content.media_type}).", advice) from None
    if "\0" in text:
        raise InvalidInput(f"{where} is not a text ({content.media_type}).", advice)
    digest = expected or content.digest or digest_of(found)
    return Download(digest, content.media_type, len(found), False, text)


def _small(blocks: Iterator[bytes], where: str, advice: str) -> bytes:
    found = bytearray()
    for block in blocks:
        found += block
        if len(found) > MAX_TEXT_SIZE:
            raise InvalidInput(f"{where} is larger than the {MAX_TEXT_SIZE} bytes that can be returned as text.", advice)
    return bytes(found)


def _artifact_as_file(content: ArtifactContent, expected: str, path: str, where: str, check_mode: bool) -> Download:
    packed = content.packed
    digest = expected if not packed or expected != packed.digest else ""
    if digest and os.path.isfile(path) and _holds_artifact(path, digest):
        with open(path, "rb") as file:
            manifest = ArtifactSet(lambda: BlockSource(path), path).get_manifest(digest)
            size = os.fstat(file.fileno()).st_size
        return Download(digest, artifact_set_type(manifest), size, False)
    tree = read_artifact(content.repository, content.reference)
    if digest and tree.main.digest != digest:
        raise DigestMismatch(f"{where}: the artifact is {tree.main.digest}, the component version says {digest}.")
    media_type = packed.media_type if packed else artifact_set_type(tree.main)
    if check_mode:
        return Download(tree.main.digest, media_type, 0, True)

    def blocks() -> Iterator[bytes]:
        if packed:
            return _checked(packed, packed.digest, where)
        return pack_artifact_set(tree, [], content.repository)

    with file_beside(path) as temporary:
        seen = once_more_if_damaged(lambda: _write(blocks(), temporary))
        if packed and not _holds_artifact(temporary, tree.main.digest):
            raise InvalidContent(f"{where}: the artifact set is damaged.", "Get the component version anew.")
        changed = not (os.path.isfile(path) and filecmp.cmp(temporary, path, shallow=False))
        if changed:
            os.replace(temporary, path)
    return Download(tree.main.digest, media_type, seen.size, changed)


def _holds_artifact(path: str, digest: str) -> bool:
    """True if the file is an artifact set with this main manifest, and everything in it is whole."""
    try:
        found = ArtifactSet(lambda: BlockSource(path), path)
        tree = read_artifact(found, found.main)
        wanted = {blob.digest for blob in tree.blobs}
        for held, _size, blocks in found.walk():
            for _block in blocks:
                pass
            wanted.discard(held)
        return tree.main.digest == digest and not wanted
    except (OcmError, NotFound):
        return False


def _checked(content: BlobContent, digest: str, where: str) -> Iterator[bytes]:
    with content.open() as blocks:
        yield from verified(blocks, digest, content.size, where) if digest else blocks


def _counted(blocks: Iterator[bytes], seen: Digester) -> Iterator[bytes]:
    for block in blocks:
        seen.update(block)
        yield block


def _write(blocks: Iterator[bytes], path: str) -> Digester:
    seen = Digester()
    with open(path, "wb") as file:
        for block in _counted(blocks, seen):
            file.write(block)
    return seen


def _file_digest(path: str, like: str) -> str:
    algorithm = like.partition(":")[0]
    found = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            found.update(block)
    return f"{algorithm}:{found.hexdigest()}"


def _same_tree(left: str, right: str) -> bool:
    """True if two folders hold the same files, folders and executable bits."""
    if not os.path.isdir(right):
        return False
    return _tree(left) == _tree(right)


def _tree(root: str) -> dict:
    found = {}
    for folder, folders, files in os.walk(root):
        inner = os.path.relpath(folder, root)
        found.update({os.path.join(inner, name): "folder" for name in folders})
        for name in files:
            path = os.path.join(folder, name)
            executable = bool(os.stat(path).st_mode & 0o100)
            found[os.path.join(inner, name)] = (_file_digest(path, "sha256:"), executable)
    return found
