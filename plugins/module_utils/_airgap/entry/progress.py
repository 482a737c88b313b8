# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that tells how far a transfer has come, one JSON object a line."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterator, Optional

from ..model.errors import InvalidInput
from ..transfer.progress import Progress


@contextmanager
def progress_to(path: Optional[str], warn: Callable[[str], None]) -> Iterator[Progress]:
    """Progress that is appended to a file; without a path it is told nobody. The last line is told at the end.

    warn: told once when the file takes no more; the transfer goes on. Raises InvalidInput for a file that cannot be
    opened.
    """
    if not path:
        yield Progress()
        return
    writer = _Writer(path, warn)
    progress = Progress(writer.write)
    try:
        yield progress
    finally:
        progress.end()
        writer.close()


class _Writer:
    """Appends events to a file, each with the time."""

    def __init__(self, path: str, warn: Callable[[str], None]) -> None:
        self._path, self._warn = path, warn
        try:
            self._file: Any = open(path, "a", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"progress_file: {path} cannot be written ({error.strerror}).") from None

    def write(self, event: Dict[str, Any]) -> None:
        if self._file is None:
            return
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        try:
            self._file.write(json.dumps(dict(event, time=now), sort_keys=True) + "\n")
            self._file.flush()
        except OSError as error:
            self._warn(f"progress_file: {self._path} takes no more ({error.strerror}); the transfer goes on.")
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
