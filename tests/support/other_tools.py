# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second opinions of other tools on what is in a registry."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import List


def skopeo(arguments: List[str]) -> bytes:
    if not shutil.which("skopeo"):
        raise RuntimeError("The tests need skopeo: apt-get install skopeo")
    command = ["skopeo", "--insecure-policy", *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120)
    if result.returncode:
        raise AssertionError(f"{' '.join(command)}: {result.stderr.decode()}")
    return result.stdout


def raw_manifest(image: str) -> bytes:
    """What skopeo gets for host/path:tag."""
    return skopeo(["inspect", "--raw", "--tls-verify=false", f"docker://{image}"])


def copy_whole(image: str, folder: Path) -> None:
    """Read an image with all platforms; skopeo checks every digest on the way."""
    skopeo(["copy", "--all", "--preserve-digests", "--src-tls-verify=false", f"docker://{image}", f"dir:{folder}"])
