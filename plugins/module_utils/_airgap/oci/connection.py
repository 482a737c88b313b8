# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One registry host: oras' Registry with the session, the logins and the retries of this collection."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Tuple
from urllib.parse import quote, urlsplit

from ..model.errors import OcmError, RegistryError
from ..model.reference import DOCKER_HUB
from .auth import Authenticator
from .challenge import Access
from .credentials import CredentialStore
from .failures import Place, status_error, what_was_said
from .journal import UploadJournal
from .library import Container, Registry, not_used
from .retry import RETRYABLE_STATUSES, Retrier, TryAgain
from .session import SessionOptions, configure
from .settings import RegistrySettings
from .transport import DOCKER_HUB_API, MAX_JSON, Answer, Request, Transport, host_of, origin

CHUNK_SIZE = 64 * 1024 * 1024
_STORAGE_REFUSED = (401, 403, 410)


@dataclass(frozen=True)
class Call:
    """A request to a registry. accepted: statuses that are returned; every other one is an error.

    url: absolute, or a path below the API's root. access: what its token must allow. See Request for the rest.
    """

    method: str
    url: str
    operation: str
    access: Access
    accepted: Tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Optional[Callable[[], Any]] = None
    stream: bool = False
    limit: int = MAX_JSON


class RepositoryContainer(Container):
    """oras' URL builder, filled from a checked host and path instead of parsed text."""

    def __init__(self, host: str, path: str) -> None:
        namespace, _slash, repository = path.rpartition("/")
        self.registry = host
        self.namespace = quote(namespace)
        self.repository = quote(repository)
        self.tag = ""
        self.digest = None


class Mounts:
    """What was learned about mounts at one host.

    own: does a mount of a repository from itself tell whether a blob is there? None until it is known; one thread at
    a time may find out.
    """

    PATIENCE = 3

    def __init__(self) -> None:
        self.own: Optional[bool] = None
        self._refusals: Dict[str, int] = {}
        self._lock = threading.Lock()
        self._probing = False

    def claim_probe(self) -> bool:
        with self._lock:
            if self._probing or self.own is not None:
                return False
            self._probing = True
            return True

    def learn(self, own: Optional[bool]) -> None:
        """None: the probe found nothing out, another one may try."""
        with self._lock:
            self._probing = False
            if own is not None:
                self.own = own

    def refuse(self, source: str, for_good: bool) -> None:
        """A mount from `source` failed: for good, or perhaps only for this blob."""
        with self._lock:
            self._refusals[source] = self._refusals.get(source, 0) + (self.PATIENCE if for_good else 1)

    def worth_trying(self, source: str) -> bool:
        with self._lock:
            return self._refusals.get(source, 0) < self.PATIENCE


class Chunks:
    """What was learned about uploads in chunks at one host. size: bytes of a chunk; smaller blobs go in one piece."""

    def __init__(self, size: int = CHUNK_SIZE) -> None:
        self.size = size
        self.accepted = False
        self._refused = False

    def worth_trying(self, blob_size: int) -> bool:
        return blob_size > self.size and not self._refused

    def refuse(self) -> None:
        self._refused = True


@dataclass
class Heads:
    """What one host answers to HEAD as far as is known: whether it is worth asking for manifests, and for blobs."""

    manifests: bool = True
    blobs: bool = True


class HostState:
    """What all connections to one host share: when they try again, and what it can do.

    ranges: it sends a part of a blob when it is asked for one, as far as is known.
    """

    def __init__(
        self, retrier: Retrier, chunks: Optional[Chunks] = None, journal: Optional[UploadJournal] = None
    ) -> None:
        self.retrier = retrier
        self.mounts = Mounts()
        self.ranges = True
        self.heads = Heads()
        self.chunks = chunks or Chunks()
        self.journal = journal or UploadJournal()


class RegistryConnection(Registry):
    """All requests to one registry host: the right login, one re-authentication, retries. Safe for several threads.

    Raises for every request: AuthError, NotFound, RateLimited, RegistryError, Unreachable; each names registry,
    repository, operation. Those methods of oras that work differently are closed.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        plain_http: bool,
        transport: Transport,
        store: CredentialStore,
        shared: Optional[HostState] = None,
    ) -> None:
        api_host = DOCKER_HUB_API if settings.host == DOCKER_HUB else settings.host
        super().__init__(hostname=api_host, insecure=plain_http)
        self.host = settings.host
        shared = shared or HostState(transport.limits.retrier())
        self.mounts = shared.mounts
        self.heads = shared.heads
        self._shared = shared
        self.chunks = shared.chunks
        self.journal = shared.journal
        self._retrier = shared.retrier
        self._transport = transport
        self.session = transport.session(settings, self._configured_session)
        self.auth = Authenticator(
            settings, plain_http, lambda path: store.find(settings.host, path), self._send_token, transport.secrets
        )

    def _configured_session(self, settings: RegistrySettings, options: SessionOptions) -> Any:
        return configure(self.session, settings, options)

    def get_container(self, name: Any) -> RepositoryContainer:
        """The URL builder of a repository path."""
        return name if isinstance(name, Container) else RepositoryContainer(self.hostname, str(name))

    def url(self, path: str) -> str:
        """The absolute URL of what RepositoryContainer builds (host and path, no scheme)."""
        return path if path.startswith(("http://", "https://")) else f"{self.prefix}://{path}"

    def is_own(self, url: str) -> bool:
        """Whether an absolute URL is on the registry's own scheme, host and port."""
        return origin(url) == origin(self.url(self.hostname))

    def send(self, call: Call) -> Answer:
        """Send a request that may be repeated; a body must be replayable."""
        return self._retrier.run(lambda: self.attempt(call))

    def retrying(self, action: Callable[[], Any]) -> Any:
        """Run several attempts of something bigger (an upload) under the policy of this host."""
        return self._retrier.run(action)

    @property
    def ranges(self) -> bool:
        """Whether this host sends parts of blobs, as far as is known."""
        return self._shared.ranges

    @ranges.setter
    def ranges(self, able: bool) -> None:
        self._shared.ranges = able

    @property
    def retries(self) -> int:
        return self._retrier.policy.retries

    def wait_before(self, retry: int, failed: Optional[OcmError] = None) -> None:
        self._retrier.wait_before(retry, failed)

    def add_bytes(self, count: int) -> None:
        self._transport.traffic.add_bytes(count)

    def blocks(self, answer: Answer, call: Call) -> Any:
        return self._transport.blocks(answer, self._request(call, ""))

    def attempt(self, call: Call) -> Answer:
        """One try. Raises TryAgain for what another one may cure."""
        request = self._request(call, "")
        inside = self.is_own(request.url)
        header = self.auth.header(call.access, request.place) if inside else ""
        session = self.session if inside else self._foreign_session(request.url)
        answer = self._transport.perform(self._request(call, header), session)
        if answer.status in _STORAGE_REFUSED and origin(answer.url) != origin(request.url):
            raise self._storage_refused(answer, request.place)
        if answer.status == 401 and inside and 401 not in call.accepted:
            header = self._answer_challenge(answer, call, header, request.place)
            answer = self._transport.perform(self._request(call, header), session)
        if answer.status in call.accepted:
            return answer
        raise self._failure(answer, call, request.place)

    def _answer_challenge(self, answer: Answer, call: Call, sent: str, place: Place) -> str:
        challenge = answer.headers.get("WWW-Authenticate") or ""
        said = self._transport.secrets.strike(what_was_said(answer))
        return self.auth.answer(challenge, call.access, sent, place, said)

    def _request(self, call: Call, authorization: str) -> Request:
        place = Place(self.host, call.access.repository, call.operation)
        return Request(
            call.method, self.url(call.url), place, call.headers, authorization, call.body, call.stream, call.limit
        )

    def _failure(self, answer: Answer, call: Call, place: Place) -> Exception:
        answer.close()
        answer.body = self._transport.secrets.strike(answer.body.decode("utf-8", "replace")).encode("utf-8")
        error: OcmError = status_error(answer, place, self.auth.credentials(call.access))
        if answer.status in RETRYABLE_STATUSES:
            return answer.try_again(error)
        return error

    def _storage_refused(self, answer: Answer, place: Place) -> TryAgain:
        """The URL that the registry redirected to is good for a while alone: the registry makes a new one."""
        answer.close()
        said = self._transport.secrets.strike(what_was_said(answer))
        text = f"the registry sends its readers to {host_of(answer.url)}, which refuses them: {said}."
        hint = "Check the clock and the storage of the registry."
        return TryAgain(RegistryError(place.tell(text), hint, answer.status))

    def _foreign_session(self, url: str) -> Any:
        """The session for an upload URL on another host: its own TLS settings, never a login."""
        return self._transport.session(self._transport.settings_for_url(url))

    def _send_token(self, request: Request) -> Answer:
        """Send a token request; a realm on the registry's own name shares its TLS settings."""
        own_name = urlsplit(f"//{self.hostname}").hostname
        same = urlsplit(request.url).hostname == own_name and not self._transport.options.entry_for(
            host_of(request.url)
        )
        session = self.session if same else self._transport.session(self._transport.settings_for_url(request.url))
        return self._retrier.run(lambda: self._attempt_token(request, session))

    def _attempt_token(self, request: Request, session: Any) -> Answer:
        answer = self._transport.perform(request, session)
        if answer.status in RETRYABLE_STATUSES:
            raise answer.try_again(status_error(answer, request.place, None))
        return answer

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        json: Any = None,
        stream: bool = False,
    ) -> Any:
        """The seam through which oras sends everything: closed, because it cannot say what a token must allow."""
        raise NotImplementedError(f"{method} {urlsplit(url).path}: requests go through RegistryConnection.send.")

    _get_location = not_used("_get_location")
    _do_paginated_request = not_used("_do_paginated_request")
    blob_exists = not_used("blob_exists")
    chunked_upload = not_used("chunked_upload")
    delete_tag = not_used("delete_tag")
    delete_tags = not_used("delete_tags")
    download_blob = not_used("download_blob")
    get_blob = not_used("get_blob")
    get_manifest = not_used("get_manifest")
    get_tags = not_used("get_tags")
    login = not_used("login")
    logout = not_used("logout")
    pull = not_used("pull")
    push = not_used("push")
    put_upload = not_used("put_upload")
    set_header = not_used("set_header")
    upload_blob = not_used("upload_blob")
    upload_manifest = not_used("upload_manifest")
