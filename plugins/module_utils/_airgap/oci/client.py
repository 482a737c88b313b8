# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries of one set of options, and one repository at one of them (OCI distribution specification 1.1)."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..model.content_source import OpenSource, once_more_if_damaged
from ..model.digest import check_digest, is_digest, verified
from ..model.errors import NotFound, RegistryError
from ..model.manifest import ARTIFACT_TYPES, MAX_MANIFEST_SIZE, ContentDescriptor, Manifest, parse_json
from ..model.reference import check_host
from .authfile import RunProgram
from .challenge import Access
from .connection import CHUNK_SIZE, Call, Chunks, HostState, RegistryConnection
from .credentials import CredentialStore, Secrets
from .download import BlobDownload
from .failures import Place
from .fetch import Fetcher, HttpBody
from .journal import UploadJournal
from .library import requests
from .limits import Limits
from .retry import TryAgain
from .session import BLOCK_SIZE, Trust
from .settings import ConnectionOptions, RegistrySettings, split_location
from .traffic import Traffic
from .transport import Answer, Transport, join, origin
from .upload import BlobUpload
from .upload_session import earlier_session

MAX_TAG_PAGE = 8 * 1024 * 1024
MAX_TAG_PAGES = 10000
_HEAD_REFUSED = (400, 403, 405, 501)
_ACCEPT = {"Accept": ", ".join(ARTIFACT_TYPES)}


class Registries:
    """All hosts that are reached with one set of options. Safe for several threads; close it at the end.

    chunk_size: bytes; a larger blob is written in chunks of that size. journal: where those that are open are kept.
    on_secret is called with every password and token that is read or received, so that output can be masked.
    run_program runs credential helpers; without it an auth file that names one is an error. limits, trust: those of the
    run, shared with its other connections.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        on_secret: Callable[[str], None] = lambda secret: None,
        run_program: Optional[RunProgram] = None,
        limits: Optional[Limits] = None,
        chunk_size: int = CHUNK_SIZE,
        journal: Optional[UploadJournal] = None,
        trust: Optional[Trust] = None,
    ) -> None:
        self._chunk_size = chunk_size
        self._limits = limits or Limits(options)
        self._journal = journal or UploadJournal()
        self.traffic = Traffic()
        self.options = options
        self._secrets = Secrets(on_secret)
        self._store = CredentialStore(options, self._secrets, run_program=run_program)
        self._transport = Transport(options, self.traffic, self._secrets, self._limits, trust)
        self._connections: Dict[Tuple[RegistrySettings, bool], RegistryConnection] = {}
        self._states: Dict[str, HostState] = {}
        self._lock = threading.RLock()

    def repository(self, host: str, path: str, plain_http: bool = False) -> "RegistryRepository":
        """One repository. host: host[:port]; path: with all segments (Docker Hub: library/x). Nothing is sent yet."""
        host = check_host(host, f"Registry {host}")
        settings = self._transport.settings_for(host, path)
        writer = self._connection(settings, plain_http or settings.plain_http)
        if not settings.mirror:
            return RegistryRepository(host, path, (writer, path), (writer, path))
        mirror_host, prefix = split_location(settings.mirror, f"The entry {settings.name} of registries, mirror")
        mirror_path = f"{prefix}/{path}" if prefix else path
        mirror = self._transport.settings_for(mirror_host, mirror_path)
        reader = self._connection(mirror, mirror.plain_http)
        return RegistryRepository(host, path, (reader, mirror_path), (writer, path))

    def fetch(self, url: str, headers: Optional[Mapping[str, str]] = None) -> ContextManager[HttpBody]:
        """Download from a web server: see Fetcher.fetch."""
        return Fetcher(self._transport, lambda host: self._state(host).retrier).fetch(url, headers)

    def log_in(self, host: str, path: str = "") -> None:
        """Ask for the base of the registry's API, as `docker login` does. path: of the account that is meant.

        Raises AuthError when the registry refuses the account, and what every request raises. A registry that lets
        everybody read its base takes every account.
        """
        settings = self._transport.settings_for(host, path)
        connection = self._connection(settings, settings.plain_http)
        connection.send(Call("GET", f"{connection.hostname}/v2/", "log in", Access(path, ()), (200, 404)))

    def cancel_left_uploads(self) -> None:
        """Cancel what earlier runs left in the journal and this one had no use for. Best effort."""
        for upload in self._journal.take_all():
            settings = self._transport.settings_for(upload.host, upload.repository)
            connection = self._connection(settings, upload.location.startswith("http://"))
            session = earlier_session(connection, upload)
            if session is None:
                self._journal.forget(*upload.key)
            else:
                session.cancel()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _connection(self, settings: RegistrySettings, plain_http: bool) -> RegistryConnection:
        with self._lock:
            key = (settings, plain_http)
            if key not in self._connections:
                state = self._state(settings.host)
                self._connections[key] = RegistryConnection(settings, plain_http, self._transport, self._store, state)
            return self._connections[key]

    def _state(self, host: str) -> HostState:
        with self._lock:
            if host not in self._states:
                self._states[host] = HostState(self._limits.retrier(), Chunks(self._chunk_size), self._journal)
            return self._states[host]


class RegistryRepository:
    """One repository at one registry. Reads go to the mirror when the registry's entry names one.

    Every method raises AuthError, RateLimited, Unreachable and RegistryError, which name registry, repository,
    operation and next step. reader, writer: a connection and the path of the repository there.
    """

    def __init__(
        self, host: str, path: str, reader: Tuple[RegistryConnection, str], writer: Tuple[RegistryConnection, str]
    ) -> None:
        self.host = host
        self.path = path
        self.name = f"{host}/{path}"
        self._reader, self._read_path = reader
        self._writer, self._write_path = writer
        self._source = self._reader.get_container(self._read_path)

    def tags(self) -> List[str]:
        """All tags, each once, in the registry's order. Raises NotFound when the repository is unknown."""
        url = self._reader.url(self._source.tags_url())
        found: Dict[str, None] = {}
        seen = set()
        while url:
            if url in seen or len(seen) >= MAX_TAG_PAGES:
                raise RegistryError(self._place("list the tags").tell("the pages of the list have no end."))
            seen.add(url)
            answer = self._read("GET", url, "list the tags", limit=MAX_TAG_PAGE)
            found.update(dict.fromkeys(self._page(answer)))
            url = self._next_page(answer)
        return list(found)

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        """Media type, digest and size of a manifest; None when the tag or digest is not there.

        A registry that refuses HEAD, or whose HEAD does not say all three, is asked with GET, from then on at once.
        """
        heads = self._reader.heads
        if heads.manifests:
            url, operation = self._source.manifest_url(reference), f"look for the manifest {reference}"
            answer = self._read("HEAD", url, operation, (200, 404, *_HEAD_REFUSED), _ACCEPT)
            if answer.status == 404:
                return None
            found = _told_by(answer)
            if found and (not is_digest(reference) or found.digest == reference):
                return found
        try:
            found = self.get_manifest(reference).descriptor()
        except NotFound:
            return None
        heads.manifests = False
        return found

    def get_manifest(self, reference: str) -> Manifest:
        """A manifest's exact bytes, checked. Raises NotFound, DigestMismatch (after a second try), InvalidContent."""
        return once_more_if_damaged(lambda: self._get_manifest(reference))

    def put_manifest(self, manifest: Manifest, tag: str = "") -> None:
        """Write a manifest's exact bytes under a tag, or under its digest.

        Raises MissingContent when something that it names is not here, and RegistryError with the registry's code.
        """
        reference = tag or manifest.digest
        operation = f"write the manifest {reference}"
        container = self._writer.get_container(self._write_path)
        call = Call(
            "PUT",
            container.manifest_url(reference),
            operation,
            Access(self._write_path, ("pull", "push")),
            (200, 201, 202, 204),
            {"Content-Type": manifest.media_type},
            lambda: manifest.raw,
        )
        answer = self._writer.retrying(lambda: self._put_once(call))
        stored = answer.headers.get("Docker-Content-Digest") or manifest.digest
        if stored != manifest.digest:
            text = f"the registry stored {stored} instead of {manifest.digest}."
            raise RegistryError(Place(self.host, self.path, operation).tell(text), "", answer.status)

    def _put_once(self, call: Call) -> Answer:
        """One try. A registry that finds our digest wrong met the half-written file of another run: once more."""
        try:
            return self._writer.attempt(call)
        except RegistryError as error:
            if error.code == "DIGEST_INVALID":
                raise TryAgain(error) from None
            raise

    def blob_size(self, digest: str) -> Optional[int]:
        """The size of a blob in bytes (-1 when the registry does not say it), None when it is not there."""
        check_digest(digest, self.name)
        url = self._source.get_blob_url(digest)
        operation = f"look for the blob {digest}"
        if self._reader.heads.blobs:
            answer = self._read("HEAD", url, operation, (200, 404, *_HEAD_REFUSED))
            if answer.status not in _HEAD_REFUSED:
                return answer.length if answer.status == 200 else None
        answer = self._reader.send(Call("GET", url, operation, Access(self._read_path), (200, 404), stream=True))
        answer.close()
        self._reader.heads.blobs = False
        return answer.length if answer.status == 200 else None

    @contextmanager
    def open_blob(self, digest: str, size: int = -1) -> Iterator[Iterator[bytes]]:
        """A blob in blocks of at most 128 KiB; size and digest are checked while they pass.

        size: bytes as promised, -1 when unknown. A broken download goes on where it broke. A blob that is promised to
        fit into one block is checked before it is passed on, and read once more when it arrived damaged; who reads a
        larger one can open it again (once_more_if_damaged).
        Raises NotFound on entering; DigestMismatch on entering or while reading.
        """
        if 0 <= size <= BLOCK_SIZE:
            whole = once_more_if_damaged(lambda: self._read_blob(digest, size))
            yield iter([whole] if whole else [])
            return
        with self._download(digest, size) as download:
            yield self._verified(download, digest, size)

    @contextmanager
    def open_blob_at(self, digest: str, size: int, offset: int) -> Iterator[Iterator[bytes]]:
        """A blob from byte `offset` on, in blocks of at most 128 KiB. size: bytes of the whole blob, -1 when unknown.

        Neither size nor digest are checked: whoever has the beginning does that. A registry that sends no parts is
        read from the beginning, and what comes before the offset is left out.
        """
        with self._download(digest, size, offset) as download:
            yield download.blocks()

    def put_blob(
        self, digest: str, size: int, open_source: OpenSource, mount_from: Sequence[str] = (), absent: bool = False
    ) -> str:
        """Bring a blob here: "present" (it was here), "mounted" (from another repository) or "copied".

        size: bytes, always known. open_source: opens the content, again for every try. mount_from: repositories on
        the same host that hold the blob. absent: it is believed not to be here, so nothing is spent on asking.
        Raises what the source raises, too.
        """
        check_digest(digest, self.name)
        return BlobUpload(self._writer, self._write_path, digest, size, open_source).run(mount_from, absent)

    @contextmanager
    def _download(self, digest: str, size: int, offset: int = 0) -> Iterator[BlobDownload]:
        check_digest(digest, self.name)
        url, access = self._source.get_blob_url(digest), Access(self._read_path)
        call = Call("GET", url, f"read the blob {digest}", access, stream=True)
        download = BlobDownload(self._reader, call, size, offset)
        try:
            download.open()
            yield download
        finally:
            download.close()

    def _read_blob(self, digest: str, size: int) -> bytes:
        with self._download(digest, size) as download:
            return b"".join(self._verified(download, digest, size))

    def _verified(self, download: BlobDownload, digest: str, size: int) -> Iterator[bytes]:
        return verified(download.blocks(), digest, size, f"{self.name}, blob {digest}")

    def _get_manifest(self, reference: str) -> Manifest:
        operation = f"read the manifest {reference}"
        answer = self._read(
            "GET", self._source.manifest_url(reference), operation, (200,), _ACCEPT, limit=MAX_MANIFEST_SIZE
        )
        self._check_plain(answer, operation)
        announced = answer.headers.get("Docker-Content-Digest") or ""
        expected = reference if is_digest(reference) else announced if is_digest(announced) else ""
        mark = "@" if is_digest(reference) else ":"
        media_type = answer.headers.get("Content-Type") or ""
        return Manifest.parse(answer.body, media_type, expected, f"{self.name}{mark}{reference}")

    def _read(
        self,
        method: str,
        url: str,
        operation: str,
        accepted: Tuple[int, ...] = (200,),
        headers: Optional[Mapping[str, str]] = None,
        limit: int = MAX_TAG_PAGE,
    ) -> Answer:
        return self._reader.send(
            Call(method, url, operation, Access(self._read_path), accepted, headers or {}, limit=limit)
        )

    def _page(self, answer: Answer) -> List[str]:
        self._check_plain(answer, "list the tags")
        tags = parse_json(answer.body, f"{self.name}, list of tags").get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryError(self._place("list the tags").tell("the answer is not a list of tags."))
        return tags

    def _next_page(self, answer: Answer) -> str:
        """The URL of the next page, "" at the end. Only the registry's own scheme, host and port are followed."""
        links: Any = requests.utils.parse_header_links(answer.headers.get("Link") or "")
        link = next((item["url"] for item in links if item.get("rel") == "next" and item.get("url")), "")
        if not link:
            return ""
        url = join(answer.url, link, self._place("list the tags"))
        if origin(url) != origin(answer.url):
            raise RegistryError(self._place("list the tags").tell("the next page is on another host; it is not read."))
        return url

    def _check_plain(self, answer: Answer, operation: str) -> None:
        encoding = answer.headers.get("Content-Encoding") or "identity"
        if encoding.lower() != "identity":
            raise RegistryError(
                self._place(operation).tell(f"the answer is encoded ({encoding}), nobody asked for that.")
            )

    def _place(self, operation: str) -> Place:
        return Place(self._reader.host, self._read_path, operation)


def _told_by(answer: Answer) -> Optional[ContentDescriptor]:
    """What the answer to a HEAD tells of a manifest; None when that is not all."""
    digest = answer.headers.get("Docker-Content-Digest") or ""
    media_type = (answer.headers.get("Content-Type") or "").partition(";")[0].strip()
    complete = answer.status == 200 and is_digest(digest) and answer.length >= 0 and media_type in ARTIFACT_TYPES
    return ContentDescriptor(media_type, digest, answer.length) if complete else None
