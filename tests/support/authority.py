# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private certificate authority for tests, made with the openssl command."""

from __future__ import annotations

import itertools
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import List, Sequence

_CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


def openssl(arguments: Sequence[str]) -> bytes:
    if not shutil.which("openssl"):
        raise RuntimeError("The tests need openssl: apt-get install openssl")
    result = subprocess.run(["openssl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if result.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {result.stderr.decode()}")
    return result.stdout


@dataclass(frozen=True)
class Certificate:
    """Paths of a PEM certificate and its key."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.certificate), str(self.key))
        return context


class Authority:
    """`certificate` is what clients have to trust; `issue` makes server and client certificates."""

    def __init__(self, folder: Path, name: str = "ocm.airgap test authority") -> None:
        self._folder = folder
        self._numbers = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.txt").write_text("")
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        self.certificate, self._key = folder / "authority.pem", folder / "authority.key"
        openssl(
            [
                "req",
                "-x509",
                *self._new_key(self._key),
                "-subj",
                f"/CN={name}",
                "-days",
                "30",
                "-out",
                str(self.certificate),
                "-config",
                str(self._config),
                "-addext",
                "basicConstraints=critical,CA:TRUE",
            ]
        )

    def issue(
        self, names: Sequence[str] = ("DNS:localhost", "IP:127.0.0.1"), starts: int = -1, ends: int = 30
    ) -> Certificate:
        """A certificate for subject alternative names; starts and ends are days from now."""
        base = self._folder / f"issued-{next(self._numbers)}"
        request, extensions = base.with_suffix(".csr"), base.with_suffix(".ext")
        issued = Certificate(base.with_suffix(".pem"), base.with_suffix(".key"))
        extensions.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl(
            [
                "req",
                "-new",
                *self._new_key(issued.key),
                "-subj",
                "/CN=test",
                "-out",
                str(request),
                "-config",
                str(self._config),
            ]
        )
        openssl(
            [
                "ca",
                "-batch",
                "-notext",
                "-config",
                str(self._config),
                "-cert",
                str(self.certificate),
                "-keyfile",
                str(self._key),
                "-in",
                str(request),
                "-out",
                str(issued.certificate),
                "-extfile",
                str(extensions),
                "-startdate",
                _day(starts),
                "-enddate",
                _day(ends),
            ]
        )
        return issued

    @staticmethod
    def _new_key(path: Path) -> List[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]


def _day(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
