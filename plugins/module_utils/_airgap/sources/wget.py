# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content behind an http or https address (access type wget)."""

from __future__ import annotations

import mimetypes
from typing import Any, Dict

from ..model.access import Access
from ..model.errors import Refused
from ..oci.client import Registries
from ..store.component_version import BlobContent

DEFAULT_TYPE = "application/octet-stream"
ARCHIVE_TYPES = ((".tgz", "application/x-tgz"), (".tar.gz", "application/x-tgz"), (".tar", "application/x-tar"))


def wget_content(access: Access, registries: Registries, where: str) -> BlobContent:
    """The body behind `url`; its media type is the stated one, else the server's, else told by the address.

    Raises Refused for requests other than GET.
    """
    url = access.text("url", where)
    verb = str(access.get("verb") or "GET").upper()
    if verb != "GET" or access.get("body"):
        raise Refused(
            f"{where}: the access wget asks for a {verb} request, only GET is supported.",
            "List wget in by_reference_access_types to leave it where it is.",
        )
    headers = _headers(access.get("header"))

    def open_body() -> Any:
        return HttpBlocks(registries, url, headers)

    media_type = str(access.get("mediaType") or "") or _media_type_of(open_body(), url)
    return BlobContent(media_type, "", -1, open_body)


def _media_type_of(body: "HttpBlocks", url: str) -> str:
    """What the server says the content is, else what the address looks like."""
    with body:
        stated = body.media_type
    guessed = next((kind for suffix, kind in ARCHIVE_TYPES if url.endswith(suffix)), None)
    return stated or guessed or mimetypes.guess_type(url)[0] or DEFAULT_TYPE


def _headers(value: Any) -> Dict[str, str]:
    """The access keeps each header as a list of values, as Go does."""
    if not isinstance(value, dict):
        return {}
    return {name: ", ".join(map(str, parts)) if isinstance(parts, list) else str(parts) for name, parts in value.items()}


class HttpBlocks:
    """The blocks of an answer's body; media_type is known once it is open."""

    media_type = ""

    def __init__(self, registries: Registries, url: str, headers: Dict[str, str]) -> None:
        self._request = registries.fetch(url, headers=headers)

    def __enter__(self) -> Any:
        body = self._request.__enter__()
        self.media_type = (body.media_type or "").partition(";")[0].strip()
        return body.blocks()

    def __exit__(self, *error: Any) -> None:
        self._request.__exit__(*error)
