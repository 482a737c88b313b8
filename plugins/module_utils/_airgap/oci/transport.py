# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP exchange: redirects, counters, caps, errors in the words of `failures`. Knows no registry and no login."""

from __future__ import annotations

import threading
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, Mapping, Optional
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..model.errors import OcmError, RegistryError
from ..model.reference import DOCKER_HUB, canonical_host
from .access_hosts import ForbiddenAddresses
from .credentials import Secrets
from .failures import MAX_ERROR_BODY, Place, transport_error
from .library import requests, urllib3
from .limits import LimitedBody, Limits
from .retry import RETRYABLE_STATUSES, TryAgain, parse_retry_after
from .session import SessionOptions, Trust, close_quietly, environment_proxies, new_session, tls_keys
from .settings import ConnectionOptions, RegistrySettings
from .traffic import Traffic

MAX_REDIRECTS = 5
MAX_JSON = 8 * 1024 * 1024
# So long what cleans up may wait for an answer when the time of the run is over.
CLEANING_SECONDS = 2.0
REDIRECTS = {"GET": (301, 302, 303, 307, 308), "HEAD": (301, 302, 303, 307, 308), "POST": (307, 308), "PUT": (307, 308)}
DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True)
class Request:
    """One request. body: makes a fresh body (bytes, or an object with read, len and close), so it can be sent again.

    authorization goes to the scheme, host and port of `url` only. stream: a success is left unread.
    limit: bytes of a body that is read.
    """

    method: str
    url: str
    place: Place
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str = field(default="", repr=False)
    body: Optional[Callable[[], Any]] = None
    stream: bool = False
    limit: int = MAX_JSON
    for_token: bool = False
    redirects: bool = True


@dataclass
class Answer:
    """An answer: body is read unless the request said stream; then `blocks` reads it and `close` is a duty.

    arrived: by the clock of the run's limits.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    response: Any = None
    arrived: float = 0.0

    def close(self) -> None:
        close_quietly(self.response)

    @property
    def length(self) -> int:
        """Content-Length in bytes, -1 when it is absent."""
        text = self.headers.get("Content-Length") or ""
        return int(text) if text.isascii() and text.isdigit() else -1

    @property
    def retry_after(self) -> Optional[float]:
        value = self.headers.get("Retry-After") or ""
        return parse_retry_after(value, time.time(), self.headers.get("Date") or "") if value else None

    def try_again(self, error: OcmError) -> TryAgain:
        """Another try, when this answer says."""
        retry_after = self.retry_after
        return TryAgain(error, retry_after, None if retry_after is None else self.arrived)


class BodyBroken(Exception):
    """A body ended or stalled before its end. error: for the user."""

    def __init__(self, error: OcmError) -> None:
        super().__init__(str(error))
        self.error = error


@lru_cache(maxsize=1024)
def origin(url: str) -> str:
    """scheme://host:port of a URL, with the port always written."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


@lru_cache(maxsize=1024)
def host_of(url: str) -> str:
    """Canonical host[:port] of a URL, a default port left away, as `registries` writes it."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return canonical_host(name if parts.port in (None, default) else f"{name}:{parts.port}")


def is_plain_url(url: str) -> bool:
    """True for an absolute http or https URL with a host, a possible port, and no login."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False


def display(url: str) -> str:
    """A URL for a message: without login, query and fragment, where secrets may stand."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def join(base: str, location: str, place: Place) -> str:
    """The absolute URL of a Location. Raises RegistryError: no http(s) URL, a login in it, or https turned to http."""
    try:
        url = urljoin(base, location)
    except ValueError:
        url = ""
    if not is_plain_url(url):
        raise RegistryError(place.tell("the server points to something that is not a plain http or https URL."))
    if urlsplit(url).scheme == "http" and urlsplit(base).scheme == "https":
        hint = "Behind a proxy, the server must be told its outside URL (X-Forwarded-Proto, or an option of its own)."
        raise RegistryError(place.tell(f"the server points from https to {display(url)}."), hint)
    return url


class Transport:
    """Sessions for all hosts of one set of options. Safe for several threads."""

    def __init__(
        self,
        options: ConnectionOptions,
        traffic: Traffic,
        secrets: Secrets,
        limits: Optional[Limits] = None,
        trust: Optional[Trust] = None,
    ) -> None:
        self.options = options
        self.limits = limits or Limits(options)
        self.traffic = traffic
        self.secrets = secrets
        self._forbidden = ForbiddenAddresses(options.access_hosts + options.named_hosts)
        self._trust = trust or Trust()
        self._sessions: Dict[Any, Any] = {}
        self._proxies: Dict[str, Dict[str, str]] = {}
        self._lock = threading.Lock()

    def settings_for(self, host: str, path: str = "") -> RegistrySettings:
        return self.options.entry_for(host, path) or RegistrySettings(canonical_host(host))

    def settings_for_url(self, url: str) -> RegistrySettings:
        host = host_of(url)
        host = DOCKER_HUB if host == DOCKER_HUB_API else host
        return self.settings_for(host, urlsplit(url).path.lstrip("/"))

    def session(self, settings: RegistrySettings, make: Callable[..., Any] = new_session) -> Any:
        """The session of a host; entries of one host with the same TLS keys share it."""
        key = (settings.host, *tls_keys(settings))
        with self._lock:
            if key not in self._sessions:
                options = SessionOptions(self.options.concurrency, self._remaining, self._trust)
                self._sessions[key] = make(settings, options)
            return self._sessions[key]

    def _remaining(self) -> float:
        return self.limits.remaining

    def close(self) -> None:
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

    def perform(self, request: Request, session: Any) -> Answer:
        """Send, follow redirects, read. Error statuses are returned.

        Raises TryAgain (broken connections), Unreachable, RegistryError (a redirect that leads nowhere), Refused (an
        address that nothing may be sent to).
        """
        for _hop in range(MAX_REDIRECTS + 1):
            self._forbidden.check(host_of(request.url), request.place.tell)
            answer = self._send(request, session)
            location = answer.headers.get("Location")
            followed = REDIRECTS.get(request.method, ()) if request.redirects else ()
            if not location or answer.status not in followed:
                return answer
            answer.close()
            url = join(request.url, location, request.place)
            if origin(url) != origin(request.url):
                session = self.session(self.settings_for_url(url))
                request = replace(request, authorization="")
            request = replace(request, url=url)
        raise RegistryError(request.place.tell(f"more than {MAX_REDIRECTS} redirects, the last to {display(url)}."))

    def _send(self, request: Request, session: Any) -> Answer:
        """One hop. Raises OutOfTime, too."""
        headers, host = dict(request.headers), host_of(request.url)
        self.limits.before_request(host, request.method, request.place)
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.for_token:
            self.traffic.count_token()
        else:
            self.traffic.count(request.method)
        body = request.body() if request.body else None
        if isinstance(body, bytes) and not request.for_token:
            self.traffic.add_bytes(len(body))
            self.limits.sent(len(body), request.place)
        with closing(body) if hasattr(body, "close") else nullcontext():
            limited = LimitedBody(body, self.limits, request.place) if hasattr(body, "read") else body
            response = self._exchange(request, session, headers, limited)
        answer = Answer(response.status_code, response.headers, request.url, b"", response, self.limits.clock())
        if answer.status in RETRYABLE_STATUSES and answer.retry_after:
            self.limits.pause(host, answer.retry_after)
        if request.stream and answer.status < 300:
            return answer
        limit = MAX_ERROR_BODY if answer.status >= 300 else request.limit
        answer.body = self._read_whole(answer, request, limit)
        return answer

    def _exchange(self, request: Request, session: Any, headers: Mapping[str, str], body: Any) -> Any:
        try:
            # To the adapter at once: what a session adds is cookies, netrc and redirects, none of which is wanted.
            prepared = requests.PreparedRequest()
            prepared.prepare(request.method, request.url, {**session.headers, **headers}, data=body)
            timeout, proxies = self._timeout(request), self._proxies_for(request.url)
            return session.get_adapter(request.url).send(prepared, stream=True, timeout=timeout, proxies=proxies)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = getattr(body, "failure", None)
            if failure is not None:
                raise failure from None
            self._check_time(request)
            told, again = transport_error(error, request.place, self.options.timeout)
            if again:
                raise TryAgain(told) from None
            raise told from None

    def _timeout(self, request: Request) -> float:
        least = CLEANING_SECONDS if request.method == "DELETE" else 0.1
        return min(self.options.timeout, max(least, self.limits.remaining))

    def _proxies_for(self, url: str) -> Dict[str, str]:
        """The environment stays what it is for a run: it is asked once for each scheme, host and port."""
        place = origin(url)
        if place not in self._proxies:
            self._proxies[place] = environment_proxies(url)
        return self._proxies[place]

    def _check_time(self, request: Request) -> None:
        """Requests are not waited for beyond the time of the run: then that is the reason why they broke."""
        if request.method != "DELETE":
            self.limits.check(request.place)

    def _read_whole(self, answer: Answer, request: Request, limit: int) -> bytes:
        """The body, at most `limit` bytes. A longer one is cut for error statuses and an error for others."""
        parts, size = [], 0
        try:
            for block in self.blocks(answer, request):
                parts.append(block)
                size += len(block)
                if size > limit:
                    break
        except BodyBroken as broken:
            if answer.status < 300:
                raise TryAgain(broken.error) from None
        finally:
            answer.close()
        if size > limit and answer.status < 300:
            raise RegistryError(request.place.tell(f"the answer is longer than {limit} bytes."))
        return b"".join(parts)[:limit]

    def blocks(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """The body as it came, in blocks of at most 128 KiB. Raises BodyBroken when it ends before its length."""
        raw, seen = answer.response.raw, 0
        expected = -1 if request.method == "HEAD" or answer.status in (204, 304) else answer.length
        while True:
            try:
                block = raw.read(self.limits.piece, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                self._check_time(request)
                told, _again = transport_error(error, request.place, self.options.timeout)
                raise BodyBroken(told) from None
            if not block:
                break
            seen += len(block)
            if not request.for_token:
                self.traffic.add_bytes(len(block))
                self.limits.received(len(block), request.place)
            yield block
        if 0 <= expected != seen:
            error = RegistryError(
                request.place.tell(f"the body ended after {seen} of {expected} bytes."), "Run it again."
            )
            raise BodyBroken(error)
