# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throwaway certificate authority, made with openssl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .process import run

_EXTENSIONS = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates for a few days; everything lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.crt"
        self._key = make_key(folder / "ca.key")
        subject = ["-subj", "/CN=ocm.airgap lab", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        output = ["-days", "7", "-out", str(self.certificate)]
        run(["openssl", "req", "-x509", "-new", "-key", str(self._key), *subject, *output])

    def issue(self, name: str, hosts: list[str], subject: str = "", expired: bool = False) -> Pair:
        """Issues NAME.crt and NAME.key for the hosts (names, or addresses as IP:...); expired: no longer valid."""
        pair = Pair(self.folder / f"{name}.crt", make_key(self.folder / f"{name}.key"))
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        names = ",".join(host if ":" in host else f"DNS:{host}" for host in hosts)
        extensions.write_text(_EXTENSIONS + (f"subjectAltName={names}\n" if names else ""), encoding="utf-8")
        run(["openssl", "req", "-new", "-key", str(pair.key), "-subj", subject or f"/CN={name}", "-out", str(request)])
        signer = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
        # No days at all: the certificate ends in the second that it begins.
        days = ["-days", "0" if expired else "7", "-extfile", str(extensions)]
        run(["openssl", "x509", "-req", "-in", str(request), *signer, *days, "-out", str(pair.certificate)])
        return pair


def make_key(path: Path) -> Path:
    """Makes a private key on the curve P-256, which only its owner can read."""
    path.touch(mode=0o600)
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path)])
    return path
