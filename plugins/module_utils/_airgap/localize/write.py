# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Localized files to disk."""

from __future__ import annotations

import os
from typing import Dict, Mapping, Optional

from ..model.errors import Refused
from ..store.safe_tar import file_beside


def write_files(files: Mapping[str, bytes], folder: str, check_mode: bool) -> Dict[str, Optional[bytes]]:
    """Write the files that differ; others in the folder are left alone.

    Returns, for each file that is written (in check mode: would be), what was there before, None for nothing.
    """
    written: Dict[str, Optional[bytes]] = {}
    for name, content in sorted(files.items()):
        path = os.path.join(folder, *name.split("/"))
        before = _read(path)
        if before == content:
            continue
        written[name] = before
        if not check_mode:
            _write(path, content)
    return written


def _read(path: str) -> Optional[bytes]:
    if os.path.isdir(path):
        raise Refused(f"{path} is a folder, and a file has to be there.", "Remove it or choose another dest.")
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, content: bytes) -> None:
    with file_beside(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
