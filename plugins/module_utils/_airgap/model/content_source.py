# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where bytes come from: something that can be opened, also again, and perhaps in the middle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from itertools import islice
from typing import Callable, ContextManager, Iterable, Iterator, TypeVar

from .errors import DigestMismatch, InvalidContent

Blocks = ContextManager[Iterator[bytes]]
OpenSource = Callable[[], Blocks]
Result = TypeVar("Result")
# So many blocks are read behind a fault, to tell whether it is one of the content or of its way here.
BLOCKS_BEHIND_A_FAULT = 8192


class SeekableSource(ABC):
    """An OpenSource that can be opened in the middle as well."""

    @abstractmethod
    def __call__(self) -> Blocks:
        """The blocks from the beginning; what can check size and digest does so while they pass."""

    @abstractmethod
    def open_at(self, offset: int) -> Blocks:
        """The blocks from byte `offset` on (0 to size). Nothing is checked: whoever has the beginning has to."""


def open_at(source: OpenSource, offset: int) -> Blocks:
    """The blocks of a source from byte `offset` on, read from its beginning where it cannot be opened there."""
    if not offset:
        return source()
    return source.open_at(offset) if isinstance(source, SeekableSource) else _skipping(source, offset)


@contextmanager
def _skipping(source: OpenSource, offset: int) -> Iterator[Iterator[bytes]]:
    with source() as blocks:
        yield without_first(blocks, offset)


def without_first(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The blocks without their first `count` bytes; no block is empty."""
    for block in blocks:
        skipped = min(count, len(block))
        count -= skipped
        if skipped < len(block):
            yield block[skipped:] if skipped else block


def once_more_if_damaged(action: Callable[[], Result]) -> Result:
    """Run an action that opens a source and reads it; when what arrived was damaged, run it a second time.

    Raises the DigestMismatch of the second time, which names both digests.
    """
    try:
        return action()
    except DigestMismatch:
        return action()


def read_whole(source: OpenSource, read: Callable[[Iterator[bytes]], Result]) -> Result:
    """What `read` makes of the blocks of a source; once more when what arrived was damaged.

    Raises what `read` raises. What it finds wrong counts only for content that arrived as it should.
    """

    def attempt() -> Result:
        with source() as blocks, damage_first(blocks):
            return read(blocks)

    return once_more_if_damaged(attempt)


@contextmanager
def damage_first(blocks: Iterator[bytes]) -> Iterator[None]:
    """Turns an InvalidContent into the DigestMismatch that the rest of the blocks ends with, if it does."""
    try:
        yield
    except InvalidContent:
        for _block in islice(blocks, BLOCKS_BEHIND_A_FAULT):
            pass
        raise
