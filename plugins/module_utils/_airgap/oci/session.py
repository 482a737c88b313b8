# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP sessions: TLS trust for one host, connection pools with large blocks, nothing taken from netrc or cookies."""

from __future__ import annotations

import os
import ssl
import threading
import warnings
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Dict, Optional, Tuple

from ..model.errors import InvalidInput
from .library import HTTPAdapter, requests, urllib3
from .limits import LARGEST_PIECE
from .settings import RegistrySettings
from .watched import Remaining, WatchedTlsSocket, watched_pools

BLOCK_SIZE = 1024 * 1024
USER_AGENT = "ocm.airgap"


def tls_context(settings: RegistrySettings) -> ssl.SSLContext:
    """The system's trust (and REQUESTS_CA_BUNDLE), plus the authorities and the client certificate of one entry.

    Raises InvalidInput that names the entry and the file that cannot be used.
    """
    where = f"The entry {settings.name} of registries"
    context = ssl.create_default_context()
    context.verify_flags &= (
        ~ssl.VERIFY_X509_STRICT
    )  # Python 3.13 sets it; private authorities rarely pass, others accept them
    if not context.get_ca_certs() and not ssl.get_default_verify_paths().capath:
        context.load_verify_locations(requests.certs.where())
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or ""
    if bundle:
        _trust(context, bundle, "The environment variable REQUESTS_CA_BUNDLE")
    if settings.ca_path:
        _trust(context, os.path.expanduser(settings.ca_path), f"{where}: ca_path")
    if settings.ca_data:
        _load(lambda: context.load_verify_locations(cadata=settings.ca_data), f"{where}: ca_data")
    if settings.client_cert:
        certificate, key = os.path.expanduser(settings.client_cert), os.path.expanduser(settings.client_key)
        _load(
            lambda: context.load_cert_chain(certificate, key or None, password=""),
            f"{where}: client_cert {settings.client_cert}",
        )
    if not settings.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust(context: ssl.SSLContext, path: str, where: str) -> None:
    kind = "capath" if os.path.isdir(path) else "cafile"
    _load(lambda: context.load_verify_locations(**{kind: path}), f"{where} {path}")


def _load(action: Any, where: str) -> None:
    try:
        action()
    except ssl.SSLError as error:
        raise InvalidInput(f"{where}: no usable PEM content ({error.reason or 'not PEM'}).") from None
    except OSError as error:
        raise InvalidInput(f"{where}: cannot be read ({error.strerror}).") from None
    except ValueError:
        raise InvalidInput(f"{where}: no usable PEM content.") from None


class Trust:
    """The TLS contexts of a run. Entries with the same TLS keys share one: to load the authorities takes long.

    Safe for several threads.
    """

    def __init__(self) -> None:
        self._contexts: Dict[Any, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, settings: RegistrySettings) -> ssl.SSLContext:
        """Raises InvalidInput that names the entry and the file that cannot be used."""
        key = tls_keys(settings)
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = tls_context(settings)
            return self._contexts[key]


def tls_keys(settings: RegistrySettings) -> Tuple[Any, ...]:
    """What an entry says of TLS."""
    return (
        settings.ca_path,
        settings.ca_data,
        settings.client_cert,
        settings.client_key,
        settings.validate_certs,
    )


class TrustingAdapter(HTTPAdapter):
    """An adapter with a TLS context of its own; requests' bundle of authorities is never mixed in.

    remaining: seconds until the time of the run is over, see `watched`.
    """

    def __init__(self, context: ssl.SSLContext, pool_size: int, remaining: Remaining) -> None:
        context.sslsocket_class = WatchedTlsSocket
        self._pool_classes = watched_pools(remaining)
        self._pool_options: Dict[str, Any] = {
            "ssl_context": context,
            "cert_reqs": "CERT_NONE" if context.verify_mode == ssl.CERT_NONE else "CERT_REQUIRED",
        }
        if urllib3.__version__.startswith("1."):
            context.check_hostname = False  # urllib3 1 compares names itself, and fails for addresses when both do
        else:
            self._pool_options["blocksize"] = LARGEST_PIECE
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **dict(options, **self._pool_options))
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **dict(options, **self._pool_options))
        if not proxy.lower().startswith("socks"):  # its connections are of a kind of their own
            manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host_options, _tls_options = super().build_connection_pool_key_attributes(request, verify, cert)
        return host_options, {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context decides alone."""


@dataclass(frozen=True)
class SessionOptions:
    """What all sessions of a run have in common. remaining: see TrustingAdapter."""

    concurrency: int
    remaining: Remaining
    trust: Trust


def configure(session: Any, settings: RegistrySettings, options: SessionOptions) -> Any:
    """Prepare a requests session for one host and return it. Raises InvalidInput (certificates)."""
    session.trust_env = False
    session.get_redirect_target = _no_target
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
    adapter = TrustingAdapter(options.trust.context(settings), max(10, 5 * options.concurrency), options.remaining)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    if not settings.validate_certs:
        _expect_unverified(settings.host)
    return session


def _no_target(_response: Any) -> None:
    """Redirects are Transport's business: requests reads their bodies without a limit, even when it does not follow."""


def new_session(settings: RegistrySettings, options: SessionOptions) -> Any:
    return configure(requests.Session(), settings, options)


def environment_proxies(url: str) -> Dict[str, str]:
    """The proxies that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a URL."""
    return requests.utils.get_environ_proxies(url, no_proxy=None)


def _expect_unverified(host: str) -> None:
    """validate_certs: false was the user's word: no warning for each request to this host, others keep theirs."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    warnings.filterwarnings("ignore", message=f".*being made to host '{_escaped(name)}'")


def _escaped(name: str) -> str:
    return "".join(letter if letter.isalnum() else f"\\{letter}" for letter in name.strip("[]"))


def close_quietly(response: Optional[Any]) -> None:
    """Give a response's connection up, whatever state it is in."""
    if response is not None:
        response.close()
