# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong between us and a server, in the words of a user: transport errors and error answers."""

from __future__ import annotations

import json
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Iterator, List, Mapping, Optional, Tuple, Type

from ..model.errors import AuthError, MissingContent, NotFound, OcmError, RateLimited, RegistryError, Unreachable
from .authfile import Credentials
from .watched import LEAST_RATE, TooSlow

MAX_ERROR_BODY = 64 * 1024
_EXPIRED, _NOT_YET, _NAMES = 10, 9, (62, 64)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
_CLIENT_CERT = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_HANDSHAKE_FAILURE")
_MISSING_CONTENT = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")
_HTTPS_SERVER = "http request to an https server"


@dataclass(frozen=True)
class Place:
    """Where and at what something failed. repository: "" for plain downloads. operation: as in `cannot ...`."""

    host: str
    repository: str
    operation: str

    def tell(self, reason: str) -> str:
        where = f"Registry {self.host}, repository {self.repository}" if self.repository else f"Host {self.host}"
        return f"{where}: cannot {self.operation}: {reason}"


def transport_error(error: BaseException, place: Place, timeout: float) -> Tuple[Unreachable, bool]:
    """The error for the user, and whether another attempt may help."""
    chain = list(_chain(error))
    certificate = _first(chain, ssl.SSLCertVerificationError)
    if certificate:
        return _certificate_error(certificate, place), False
    if any(type(item).__name__ == "CertificateError" for item in chain):
        return _wrong_name(place), False
    tls = _first(chain, ssl.SSLError)
    if tls and not isinstance(tls, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return _tls_error(tls, place), False
    if any("Proxy" in type(item).__name__ for item in chain):
        reason = f"the proxy of the environment cannot be used ({_reason(chain)})."
        return Unreachable(place.tell(reason), "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."), True
    unknown = _first(chain, socket.gaierror)
    if unknown:
        reason = f"the host {place.host} is unknown ({unknown.strerror})."
        hint = "Check the spelling of the host name, and the name service."
        if "." not in place.host and ":" not in place.host:
            hint += f" A folder or file of that name is written ./{place.host}."
        return Unreachable(place.tell(reason), hint), unknown.errno == socket.EAI_AGAIN
    if _first(chain, ConnectionRefusedError):
        reason = f"{place.host} refuses the connection."
        return Unreachable(place.tell(reason), "Check the port, and that the server is running."), True
    if _first(chain, TooSlow):
        reason = f"fewer than {LEAST_RATE} bytes a second came or went for {timeout:g} seconds."
        return Unreachable(place.tell(reason), "Check the network; the option timeout allows more."), True
    if any(isinstance(item, (socket.timeout, TimeoutError)) or "Timeout" in type(item).__name__ for item in chain):
        reason = f"no answer within {timeout:g} seconds."
        return Unreachable(place.tell(reason), "Check the network; the option timeout allows more."), True
    return Unreachable(place.tell(f"the connection broke ({_reason(chain)})."), "Run it again."), True


def _certificate_error(error: Any, place: Place) -> Unreachable:
    code, text = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return Unreachable(place.tell("the certificate of the server has expired."), "Renew it; check the clock here.")
    if code == _NOT_YET:
        return Unreachable(place.tell("the certificate of the server is not valid yet."), "Check the clock here.")
    if code in _NAMES:
        return _wrong_name(place)
    reason = f"the certificate of the server is not from a known authority ({text})."
    hint = f"Give the authority's certificate in ca_path or ca_data of the entry {place.host} of registries."
    return Unreachable(place.tell(reason), hint)


def _wrong_name(place: Place) -> Unreachable:
    reason = "the certificate of the server is for another name."
    return Unreachable(place.tell(reason), "Use the name that the certificate has, or renew it with this name.")


def _tls_error(error: ssl.SSLError, place: Place) -> Unreachable:
    reason = str(error.reason or type(error).__name__)
    if any(word in reason for word in _NO_TLS):
        text = "the server does not speak TLS, https was expected."
        hint = f"For a registry without TLS write http:// or set plain_http in the entry {place.host} of registries."
        return Unreachable(place.tell(text), hint)
    hint = "Check which TLS versions the server accepts."
    if any(word in reason for word in _CLIENT_CERT):
        hint = f"It may want client_cert and client_key in the entry {place.host} of registries."
    return Unreachable(place.tell(f"no TLS connection ({reason})."), hint)


def status_error(answer: Any, place: Place, credentials: Optional[Credentials]) -> OcmError:
    """The error for an answer with an error status. answer: has status, headers and body (bytes)."""
    code, text = read_error(answer)
    said = what_was_said(answer)
    if answer.status in (401, 403):
        return auth_error(place, credentials, answer.status, code, said)
    if code in _MISSING_CONTENT and place.operation.startswith("write the manifest"):
        text = f"something that it names is not in the repository: {said}."
        return MissingContent(place.tell(text), "Run it again with check: blobs.", answer.status, code)
    if answer.status == 404 and place.operation.startswith("write"):
        hint = "Some registries want the repository or its project to be created first."
        return NotFound(place.tell(f"the registry does not know the repository: {said}."), hint)
    if answer.status == 404:
        return NotFound(place.tell(f"it is not there: {said}."))
    if answer.status == 429:
        hint = "Wait and run it again; a login often has a higher limit."
        return RateLimited(place.tell(f"too many requests: {said}."), hint, answer.status, code)
    return RegistryError(
        place.tell(f"the server answered {said}."), _next_step(answer, place, text), answer.status, code
    )


def _next_step(answer: Any, place: Place, text: str) -> str:
    if _HTTPS_SERVER in text.lower():
        return f"It speaks TLS: leave http:// and plain_http of {place.host} away."
    if answer.status == 413:
        return "The registry, or a proxy in front of it, limits the size of uploads."
    if answer.status == 405:
        return "The registry does not allow this: it may be a read-only mirror."
    return "Run it again, and look into the server's log." if answer.status >= 500 else ""


def auth_error(
    place: Place, credentials: Optional[Credentials], status: int = 401, code: str = "", said: str = ""
) -> AuthError:
    """Wrong credentials, no credentials, or no rights."""
    said = f": {said}" if said else ""
    known = credentials is not None and not credentials.anonymous
    who = f"{credentials.username!r} of {credentials.origin}" if known and credentials.username else ""
    who = who or (f"the token of {credentials.origin}" if known else "")
    if status == 403:
        reason = f"access denied to {who or 'anonymous users'}{said}."
        hint = "Give the account the right to do this." if known else _login_hint(place)
        return AuthError(place.tell(reason), hint, status, code)
    if known:
        reason = f"the login is not accepted: {who}{said}."
        return AuthError(place.tell(reason), "Check user name, password and the account's rights.", status, code)
    return AuthError(
        place.tell(f"it wants credentials, and none are configured{said}."), _login_hint(place), status, code
    )


def _login_hint(place: Place) -> str:
    return f"Give username and password in an entry {place.host} of registries, or an auth_file that has the host."


def what_was_said(answer: Any) -> str:
    """Status, code and message of an error answer: `404 NAME_UNKNOWN (repository name not known)`."""
    code, text = read_error(answer)
    return " ".join(part for part in (str(answer.status), code) if part) + (f" ({text})" if text else "")


def read_error(answer: Any) -> Tuple[str, str]:
    """Code and message of the first error in a registry's JSON answer; of other bodies a short plain text."""
    text = answer.body[:MAX_ERROR_BODY].decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "", _plain(text)
    errors = content.get("errors") if isinstance(content, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else content
    if not isinstance(first, Mapping):
        return "", ""
    message = first.get("message") or first.get("details") or first.get("error") or ""
    return _plain(str(first.get("code") or ""))[:80], _plain(str(message))


def _plain(text: str) -> str:
    """One short line: an HTML page is told by its title, control characters go."""
    title = re.search(r"<title[^>]*>(.{0,200}?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title or re.match(r"\s*<(!doctype|html|head|body|\?xml)", text, re.IGNORECASE):
        text = "an HTML page" + (f", {title.group(1)}" if title else "")
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    line = " ".join(words).rstrip(".")
    return line if len(line) <= 300 else line[:297] + "..."


def _chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    """The error and everything that it was made from, the outermost first."""
    waiting: List[Any] = [error]
    seen: List[int] = []
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.append(id(item))
        yield item
        waiting.extend([getattr(item, "reason", None), item.__cause__, item.__context__, *item.args])


def _first(chain: List[BaseException], kind: Type[BaseException]) -> Any:
    return next((item for item in chain if isinstance(item, kind)), None)


def _reason(chain: List[BaseException]) -> str:
    """The innermost operating system error, else the kind of the innermost error: never a text with a URL in it."""
    texts = [item.strerror for item in chain if isinstance(item, OSError) and item.strerror]
    return texts[-1] if texts else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(chain[-1]).__name__).lower()
