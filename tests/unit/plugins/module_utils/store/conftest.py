# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the store share."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_store import open_store, open_target
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.archives import CtfBuilder


@pytest.fixture
def builder(tmp_path):
    """A CTF that is made by hand, in a folder."""
    return CtfBuilder(tmp_path / "ctf")


@pytest.fixture
def open_path():
    """Open an archive by its path for reading; closed at the end."""
    opened = []

    def open_it(path):
        opened.append(open_store(RepositoryReference.parse(str(path)), None))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def open_path_to_write():
    """Open an archive by its path as a target."""

    def open_it(path):
        return open_target(RepositoryReference.parse(str(path)), None)

    return open_it


@pytest.fixture
def read_blob():
    """The bytes of something with an `open` method, or of a context manager of blocks."""

    def read(source):
        with (source.open() if hasattr(source, "open") else source) as blocks:
            return b"".join(blocks)

    return read
