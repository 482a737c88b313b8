# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where oras and requests are imported; entry reports their absence."""

from __future__ import annotations

import traceback
from typing import Any, Callable, Optional

HAS_ORAS: bool = True
ORAS_IMPORT_ERROR: Optional[str] = None
requests: Any = None
urllib3: Any = None
Registry: Any = object
AuthBackend: Any = object
Container: Any = object
HTTPAdapter: Any = object

try:
    import requests as _requests
    import urllib3 as _urllib3
    from oras.auth.base import AuthBackend as _AuthBackend
    from oras.container import Container as _Container
    from oras.provider import Registry as _Registry
    from requests.adapters import HTTPAdapter as _HTTPAdapter
except ImportError:
    HAS_ORAS = False
    ORAS_IMPORT_ERROR = traceback.format_exc()
else:
    requests, urllib3, HTTPAdapter = _requests, _urllib3, _HTTPAdapter
    Registry, AuthBackend, Container = _Registry, _AuthBackend, _Container


def not_used(name: str) -> Callable[..., Any]:
    """Stands for a method of oras that must not be called: it logs in, retries, trusts or parses in unsafe ways."""

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.{name} of oras is not used: see RegistryRepository.")

    return method
