# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain downloads from web servers: chart repositories and URLs in component versions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator, Mapping, Optional

from ..model.errors import InvalidInput
from ..model.reference import check_no_login
from .authfile import Credentials
from .credentials import of_entry
from .failures import Place, status_error
from .retry import RETRYABLE_STATUSES, Retrier
from .transport import Answer, BodyBroken, Request, Transport, display, host_of, is_plain_url


class HttpBody:
    """What a server sent. media_type without parameters; size: bytes, -1 when unknown; url: after redirects."""

    def __init__(self, transport: Transport, answer: Answer, request: Request) -> None:
        self._transport = transport
        self._answer = answer
        self._request = request
        self.media_type = (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        self.size = answer.length
        self.url = answer.url

    def blocks(self) -> Iterator[bytes]:
        """The body as it came, in blocks of at most 128 KiB. Raises Unreachable or RegistryError when it breaks."""
        try:
            yield from self._transport.blocks(self._answer, self._request)
        except BodyBroken as broken:
            raise broken.error from None


class Fetcher:
    """GET requests with the settings of the fitting entry of `registries`. retrier: that of a host."""

    def __init__(self, transport: Transport, retrier: Callable[[str], Retrier]) -> None:
        self._transport = transport
        self._retrier = retrier

    @contextmanager
    def fetch(self, url: str, headers: Optional[Mapping[str, str]] = None) -> Iterator[HttpBody]:
        """Open an http or https URL. The login of the entry is sent to that host alone, over http only if the entry
        sets plain_http; redirects to other hosts get none.

        Raises InvalidInput, NotFound, AuthError, RateLimited, Unreachable, RegistryError; errors name the URL without
        its query.
        """
        _check_url(url)
        settings = self._transport.settings_for_url(url)
        credentials = of_entry(settings)
        place = Place(host_of(url), "", f"download {display(url)}")
        allowed = url.lower().startswith("https:") or settings.plain_http
        login = _authorization(credentials) if allowed else ""
        request = Request("GET", url, place, dict(headers or {}), login, stream=True)
        answer = self._retrier(host_of(url)).run(lambda: self._attempt(request, credentials))
        try:
            yield HttpBody(self._transport, answer, request)
        finally:
            answer.close()

    def _attempt(self, request: Request, credentials: Credentials) -> Answer:
        session = self._transport.session(self._transport.settings_for_url(request.url))
        answer = self._transport.perform(request, session)
        if answer.status == 200:
            return answer
        answer.close()
        answer.body = self._transport.secrets.strike(answer.body.decode("utf-8", "replace")).encode("utf-8")
        error = status_error(answer, request.place, credentials)
        if answer.status in RETRYABLE_STATUSES:
            raise answer.try_again(error)
        raise error


def _authorization(credentials: Credentials) -> str:
    if credentials.registry_token:
        return f"Bearer {credentials.registry_token}"
    return credentials.basic if credentials.password else ""


def _check_url(url: str) -> None:
    check_no_login(url)
    if not is_plain_url(url):
        shown = "A URL with a login" if "@" in url else repr(url.partition("?")[0])
        raise InvalidInput(f"{shown} is not an http or https URL.")
