# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registries: CNCF distribution with TLS, and htpasswd accounts where wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from .certificates import Pair
from .process import Process, listening, run


@dataclass(frozen=True)
class Account:
    """A name and a password for a server of the estate."""

    user: str
    password: str
    pull_only: bool = False


def registry(
    binary: Path, name: str, port: int, pair: Pair, folder: Path, log: Path, accounts: Sequence[Account] = ()
) -> Process:
    """A registry that keeps its content below the folder. Without accounts anybody may do anything."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f":{port}", "tls": {"certificate": str(pair.certificate), "key": str(pair.key)}},
    }
    if accounts:
        htpasswd = folder / "htpasswd"
        write_accounts(binary, htpasswd, accounts)
        pull_only = [account.user for account in accounts if account.pull_only]
        configuration["auth"] = {"accounts": {"realm": name, "path": str(htpasswd), "pullonly": pull_only}}
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [str(binary), "serve", str(file)]
    return Process(name, command, log, partial(listening, port), {"OTEL_TRACES_EXPORTER": "none"})


def write_accounts(binary: Path, htpasswd: Path, accounts: Sequence[Account]) -> None:
    """Writes the file of the accounts. A running registry takes the new one at the next request."""
    lines = [f"{account.user}:{run([str(binary), 'hash'], account.password)}" for account in accounts]
    fresh = htpasswd.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text("".join(lines), encoding="utf-8")
    os.replace(fresh, htpasswd)
