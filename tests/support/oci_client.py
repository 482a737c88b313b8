# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short ways to a client and a blob, for tests."""

from __future__ import annotations

from contextlib import contextmanager

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.connection import CHUNK_SIZE
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.limits import Limits, Timing
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.retry import Retrier
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions


class FakeTime:
    """A clock that only moves when somebody sleeps; `slept` has the waits."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now

    def timing(self):
        return Timing(self.sleep, self.clock, lambda: 0.0)

    def retrier(self, policy):
        return Retrier(policy, self.sleep, lambda: 0.0, self.clock)


def connect(*entries, retries=0, time=None, chunk_size=CHUNK_SIZE, journal=None, **options):
    """Registries with these entries, without an auth file of the user, and without real waiting."""
    options.setdefault("timeout", 10)
    chosen = ConnectionOptions(registries=tuple(entries), retries=retries, auth_file="/dev/null", **options)
    limits = Limits(chosen, (time or FakeTime()).timing())
    return Registries(chosen, limits=limits, chunk_size=chunk_size, journal=journal)


def source_of(*blocks):
    """An open_source of these blocks."""

    @contextmanager
    def open_source():
        yield iter(blocks)

    return open_source


def put(repository, content, mount_from=()):
    return repository.put_blob(digest_of(content), len(content), source_of(content), mount_from)
