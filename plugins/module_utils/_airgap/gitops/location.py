# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Git repository is, and the login to its server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..model.errors import InvalidInput

_SCHEME = re.compile(r"\A([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


@dataclass(frozen=True)
class GitLocation:
    """A repository. url: without login."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, username: str = "", password: str = "") -> "GitLocation":
        """Split a login off a URL; a login given beside it wins. Raises InvalidInput."""
        if not text or text.startswith("-") or any(ord(letter) < 32 for letter in text):
            raise InvalidInput("The URL of the Git repository is not one.", "Write it as https://git.example.com/team/estate.git.")
        match = _SCHEME.match(text)
        if not match:
            return cls(text, username, password)
        authority, slash, path = text[match.end():].partition("/")
        login, _at, host = authority.rpartition("@")
        name, _colon, secret = login.partition(":")
        keeps_name = match.group(1).lower() not in ("http", "https") and name
        url = f"{match.group(0)}{name + '@' if keeps_name else ''}{host}{slash}{path}"
        return cls(url, username or _unquoted(name), password or _unquoted(secret))

    @property
    def server(self) -> str:
        """`https://host:port`, which Git names when it asks for a login."""
        match = _SCHEME.match(self.url)
        return match.group(0) + self.url[match.end():].partition("/")[0] if match else ""


def _unquoted(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match.group(1), 16)), text)
