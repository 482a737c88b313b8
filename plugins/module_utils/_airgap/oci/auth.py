# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in at one registry host: Basic, and Bearer tokens as the distribution project specifies them.

Token requests follow the token and the OAuth2 page of the distribution specification's authentication documents.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from ..model.errors import AuthError, InvalidContent
from ..model.manifest import parse_json
from ..model.reference import DOCKER_HUB
from .authfile import Credentials
from .challenge import Access, Challenge, covers, merge_scopes, parse_challenges
from .credentials import Secrets
from .failures import Place, auth_error, read_error, what_was_said
from .library import AuthBackend, not_used
from .settings import RegistrySettings
from .transport import Answer, Request, display, host_of, is_plain_url

MAX_TOKEN_ANSWER = 1024 * 1024
DEFAULT_LIFETIME = 60.0
CLIENT_ID = "ocm.airgap"
BUILT_IN_REALMS = {DOCKER_HUB: ("auth.docker.io",)}


@dataclass(frozen=True)
class Token:
    """A bearer token with what it allows; renew_at: monotonic time from which it is not used any more."""

    text: str = field(repr=False)
    scopes: Tuple[str, ...]
    renew_at: float
    credentials: Credentials


class Authenticator(AuthBackend):
    """Makes Authorization headers for one registry. Safe for several threads.

    credentials: finds those of a repository. send: sends a token request, with retries.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        plain_http: bool,
        credentials: Callable[[str], Credentials],
        send: Callable[[Request], Answer],
        secrets: Secrets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._host = settings.host
        self._plain_http = plain_http
        self._realms = settings.token_realms + BUILT_IN_REALMS.get(settings.host, ())
        self._credentials = credentials
        self._send = send
        self._secrets = secrets
        self._clock = clock
        self._lock = threading.RLock()
        self._known: Optional[Challenge] = None
        self._tokens: List[Token] = []
        self._rotated: Dict[str, str] = {}

    get_auth_header = not_used("get_auth_header")
    authenticate_request = not_used("authenticate_request")
    request_anonymous_token = not_used("request_anonymous_token")
    load_configs = not_used("load_configs")
    set_basic_auth = not_used("set_basic_auth")
    set_token_auth = not_used("set_token_auth")
    logout = not_used("logout")

    def credentials(self, access: Access) -> Credentials:
        return self._credentials(access.repository)

    def header(self, access: Access, place: Place) -> str:
        """The Authorization to send at once: "" until the registry has asked for one. Raises AuthError."""
        credentials = self.credentials(access)
        if credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        with self._lock:
            if self._known is None:
                return ""
            if self._known.scheme == "basic":
                return credentials.basic if credentials.password else ""
            return self._bearer(self._known, access.scopes, credentials, place)

    def answer(self, header: str, access: Access, sent: str, place: Place, said: str = "") -> str:
        """The Authorization that answers a 401. header: its WWW-Authenticate. sent: what was refused.

        Raises AuthError: no credentials, wrong ones, or a token service that must not see them.
        """
        credentials = self.credentials(access)
        refused = auth_error(place, credentials, 401, "", said or "401")
        if sent.startswith("Basic ") or credentials.registry_token:
            raise refused
        with self._lock:
            challenge = self._choose(parse_challenges(header), credentials)
            if challenge is None:
                raise refused
            self._known = challenge
            if challenge.scheme == "basic":
                return credentials.basic
            self._tokens = [token for token in self._tokens if f"Bearer {token.text}" != sent]
            return self._bearer(challenge, access.scopes + challenge.scopes, credentials, place)

    def _choose(self, challenges: List[Challenge], credentials: Credentials) -> Optional[Challenge]:
        """Bearer before Basic; Basic only with a password. Servers that forget the header are offered Basic."""
        bearer = next((item for item in challenges if item.scheme == "bearer" and item.realm), None)
        basic = next((item for item in challenges if item.scheme == "basic"), None)
        if bearer:
            return bearer
        if credentials.password and (basic or not challenges):
            return basic or Challenge("basic")
        return None

    def _bearer(self, challenge: Challenge, scopes: Tuple[str, ...], credentials: Credentials, place: Place) -> str:
        wanted, now = merge_scopes(scopes), self._clock()
        self._tokens = [token for token in self._tokens if token.renew_at > now]
        for token in self._tokens:
            if token.credentials == credentials and covers(token.scopes, wanted):
                return f"Bearer {token.text}"
        token = self._request_token(challenge, wanted, credentials, place)
        self._tokens.append(token)
        return f"Bearer {token.text}"

    def _request_token(
        self, challenge: Challenge, scopes: Tuple[str, ...], credentials: Credentials, place: Place
    ) -> Token:
        check_realm(challenge.realm, self._host, self._plain_http, self._realms, credentials, place)
        place = Place(place.host, place.repository, f"{place.operation} (token from {display(challenge.realm)})")
        request = self._token_request(challenge, scopes, credentials, place)
        answer = self._send(request)
        if answer.status == 200:
            return self._read_token(answer, scopes, credentials, place)
        said, code = self._secrets.strike(what_was_said(answer)), read_error(answer)[0]
        if answer.status in (401, 403):
            raise auth_error(place, credentials, 401, code, said)
        raise AuthError(place.tell(f"the token service answered {said}."), "", answer.status, code)

    def _token_request(
        self, challenge: Challenge, scopes: Tuple[str, ...], credentials: Credentials, place: Place
    ) -> Request:
        fields = [("service", challenge.service)] if challenge.service else []
        if credentials.identity_token:
            token = self._rotated.get(credentials.identity_token, credentials.identity_token)
            fields += [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)]
            fields += [("scope", " ".join(scopes))]
            body = urlencode(fields).encode("ascii")
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request(
                "POST",
                challenge.realm,
                place,
                headers,
                body=lambda: body,
                limit=MAX_TOKEN_ANSWER,
                for_token=True,
                redirects=False,
            )
        fields += [("scope", scope) for scope in scopes]
        mark = "&" if urlsplit(challenge.realm).query else "?"
        url = challenge.realm + (mark + urlencode(fields) if fields else "")
        basic = credentials.basic if credentials.password else ""
        return Request("GET", url, place, authorization=basic, limit=MAX_TOKEN_ANSWER, for_token=True)

    def _read_token(self, answer: Answer, scopes: Tuple[str, ...], credentials: Credentials, place: Place) -> Token:
        try:
            content = parse_json(answer.body, "token answer")
        except InvalidContent:
            raise AuthError(place.tell("the answer of the token service is not JSON.")) from None
        text = content.get("token") or content.get("access_token")
        if not isinstance(text, str) or not text.isprintable() or " " in text:
            raise AuthError(place.tell("the answer of the token service holds no token."))
        self._secrets.add(text)
        rotated = content.get("refresh_token")
        if credentials.identity_token and isinstance(rotated, str) and rotated:
            self._secrets.add(rotated)
            self._rotated[credentials.identity_token] = rotated
        lifetime = content.get("expires_in")
        if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not 0 < lifetime < 1e9:
            lifetime = DEFAULT_LIFETIME
        renew_at = self._clock() + lifetime - min(15.0, lifetime / 5)
        return Token(text, scopes, renew_at, credentials)


def check_realm(
    realm: str, host: str, plain_http: bool, allowed: Tuple[str, ...], credentials: Credentials, place: Place
) -> None:
    """Raises AuthError unless a token request, with the password if there is one, may go to this realm.

    host: the registry's host[:port]. allowed: further hosts (with or without a port) that may see the password.
    """
    if not is_plain_url(realm):
        raise AuthError(place.tell("the registry names a token realm that is not an https URL."))
    parts = urlsplit(realm)
    shown = display(realm)
    if parts.scheme == "http" and not plain_http:
        hint = "It must be https; only a registry that is reached without TLS may have a realm without TLS."
        raise AuthError(place.tell(f"the token realm {shown} of the registry is not https."), hint)
    own_name = urlsplit(f"//{host}").hostname
    names = (host_of(realm), parts.hostname)
    if credentials.anonymous or parts.hostname == own_name or any(name in allowed for name in names):
        return
    hint = (
        f"If that service may see the password, add {host_of(realm)} to token_realms of the entry {host} of registries."
    )
    raise AuthError(
        place.tell(f"the registry wants the password sent to the token realm {shown}, another host. Nothing was sent."),
        hint,
    )
