# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A token service as the distribution project specifies it, for tests: RS256 tokens signed with openssl."""

from __future__ import annotations

import base64
import json
import os
import ssl
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import parse_qs

from .authority import openssl
from .server import Asked, Reply, ScriptedServer

ISSUER, SERVICE = "ocm.airgap tests", "test registry"


class TokenServer(ScriptedServer):
    """accounts: user -> password. rights: user ("" is anonymous) -> repository ("*" is every one) -> actions.

    lifetime: what expires_in says, seconds. spoiled: so many next tokens are ones that the registry refuses.
    refresh_tokens: identity token -> user. rotates: an identity token is good once, the answer has the next one.
    name: the host name in `realm`.
    """

    def __init__(
        self,
        folder: Path,
        accounts: Mapping[str, str],
        rights: Mapping[str, Mapping[str, str]],
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        super().__init__(self._answer, tls)
        self.name = "127.0.0.1"
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key, self._folder = folder / "token.pem", folder / "token.key", folder
        self.accounts, self.rights = dict(accounts), rights
        self.lifetime, self.spoiled = 300, 0
        self.refresh_tokens: Dict[str, str] = {}
        self.rotates = False
        openssl(
            [
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=token",
                "-days",
                "30",
                "-keyout",
                str(self._key),
                "-out",
                str(self.certificate),
            ]
        )

    @property
    def realm(self) -> str:
        return f"{self.url.replace('127.0.0.1', self.name)}/token"

    def _answer(self, asked: Asked) -> Reply:
        if asked.path != "/token":
            return Reply(404)
        fields = parse_qs(asked.body.decode()) if asked.method == "POST" else asked.query
        user = self._user(asked, fields)
        if user is None:
            return Reply(401, {"Content-Type": "application/json"}, b'{"details": "incorrect username or password"}')
        scopes = [scope for value in fields.get("scope", []) for scope in value.split()]
        text = self._sign(self._claims(user, [self._granted(user, scope) for scope in scopes]))
        answer: Dict[str, Any] = {
            "access_token" if asked.method == "POST" else "token": text,
            "expires_in": self.lifetime,
        }
        if asked.method == "POST" and self.rotates:
            former = fields["refresh_token"][0]
            answer["refresh_token"] = f"{former}-next"
            self.refresh_tokens[f"{former}-next"] = self.refresh_tokens.pop(former)
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _user(self, asked: Asked, fields: Mapping[str, List[str]]) -> Optional[str]:
        if asked.method == "POST":
            return self.refresh_tokens.get(fields.get("refresh_token", [""])[0])
        login = asked.headers.get("authorization", "")
        if not login:
            return ""
        user, _colon, password = base64.b64decode(login.partition(" ")[2]).decode().partition(":")
        return user if self.accounts.get(user) == password else None

    def _granted(self, user: str, scope: str) -> Dict[str, Any]:
        kind, name, actions = scope.split(":")
        rights = self.rights.get(user, {})
        allowed = (rights.get(name) or rights.get("*") or "").split(",")
        return {"type": kind, "name": name, "actions": [item for item in actions.split(",") if item in allowed]}

    def _claims(self, user: str, access: List[Dict[str, Any]]) -> Dict[str, Any]:
        now = int(time.time())
        ends = now + 3600
        if self.spoiled > 0:
            self.spoiled -= 1
            ends = now - 3600
        return {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": user,
            "exp": ends,
            "nbf": now - 7200,
            "iat": now - 7200,
            "jti": os.urandom(8).hex(),
            "access": access,
        }

    def _sign(self, claims: Mapping[str, Any]) -> str:
        chain = "".join(line for line in self.certificate.read_text().splitlines() if "-----" not in line)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        source = self._folder / f"claims-{os.urandom(6).hex()}"
        source.write_text(text)
        signature = openssl(["dgst", "-sha256", "-sign", str(self._key), str(source)])
        source.unlink()
        return f"{text}.{_encode(signature)}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
