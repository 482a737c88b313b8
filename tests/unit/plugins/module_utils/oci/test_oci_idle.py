# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silent, next to silent and slow lines to a real registry: the first two are errors, the third is not."""

from __future__ import annotations

import random

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import OutOfTime, Unreachable
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.client import Registries
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.settings import ConnectionOptions, RegistrySettings
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.watched import TooSlow, Watch
from ansible_collections.ocm.airgap.tests.support.line import Line, Slow
from ansible_collections.ocm.airgap.tests.support.oci_client import connect, put
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry

KIB, MIB = 1024, 1024 * 1024
CONTENT = random.Random("idle").randbytes(3 * MIB)
# More than fits into the buffers between here and a server that does not read.
LONG = CONTENT * 4
SILENT, TRICKLE = "no answer within 0.5 seconds", "fewer than 100 bytes a second came or went for 0.5 seconds"


@pytest.fixture(params=["http", "https"])
def registry(request, tmp_path, authority):
    """One of either kind; `reach(host)` makes a repository at it."""
    tls = authority.issue() if request.param == "https" else None
    with run_registry(tmp_path, RegistryOptions(tls=tls)) as found:

        def reach(host=found.host, **options):
            settings = RegistrySettings(host, ca_path=str(authority.certificate), plain_http=found.plain_http)
            return connect(settings, **options).repository(host, "test/idle")

        found.reach = reach
        yield found


def read(repository, content=CONTENT):
    with repository.open_blob(digest_of(content), len(content)) as blocks:
        return b"".join(blocks)


class TestDownloads:
    @pytest.mark.parametrize(
        "slow, message",
        [(Slow(False, MIB + 700 * KIB), SILENT), (Slow(False, MIB + 700 * KIB, 1, 0.1), TRICKLE)],
        ids=["silent", "trickle"],
    )
    def test_body(self, registry, slow, message):
        """It is a break: told without another try, otherwise continued with the last MiB that arrived.

        A record of TLS that trickles is silence.
        """
        message = message if registry.plain_http else SILENT
        put(registry.reach(), CONTENT)
        with Line(registry.port, slow=slow) as line:
            with pytest.raises(Unreachable, match=f"cannot read the blob .*{message}"):
                read(registry.reach(line.host, timeout=0.5))
        with Line(registry.port, slow=slow) as line:
            assert read(registry.reach(line.host, timeout=0.5, retries=1)) == CONTENT
            assert len(line.returned) == 2 and line.returned[1] < 2 * MIB + 100 * KIB

    def test_head(self, plain_registry):
        """An answer whose head never comes to its end."""
        with Line(plain_registry.port, slow=Slow(False, 1, 1, 0.1)) as line:
            with pytest.raises(Unreachable, match=f"cannot list the tags: {TRICKLE}"):
                connect(timeout=0.5).repository(line.host, "test/idle", plain_http=True).tags()

    def test_slow_body(self, registry):
        """No fault, though it takes three times the timeout."""
        put(registry.reach(), CONTENT)
        with Line(registry.port, slow=Slow(False, 2 * MIB, 70 * KIB, 0.1)) as line:
            assert read(registry.reach(line.host, timeout=0.5)) == CONTENT
            assert len(line.returned) == 1

    def test_time_of_the_run(self, registry, authority):
        """It ends inside of a block, however much time the next bytes would have."""
        put(registry.reach(), CONTENT)
        with Line(registry.port, slow=Slow(False, 2 * MIB, 100, 0.1)) as line:
            settings = RegistrySettings(line.host, ca_path=str(authority.certificate), plain_http=registry.plain_http)
            options = ConnectionOptions((settings,), "/dev/null", timeout=30, time_budget=1)
            with pytest.raises(OutOfTime, match="cannot read the blob .*the time_budget of 1 seconds"):
                read(Registries(options).repository(line.host, "test/idle"))


class TestUploads:
    def test_registry_that_does_not_read(self, registry):
        """The next try finds a registry that does."""
        slow = Slow(True, 300 * KIB)
        with Line(registry.port, slow=slow) as line:
            with pytest.raises(Unreachable, match=f"cannot write the blob .*{SILENT}"):
                put(registry.reach(line.host, timeout=0.5), LONG)
        with Line(registry.port, slow=slow) as line:
            assert put(registry.reach(line.host, timeout=0.5, retries=1), LONG) == "copied"
        assert registry.blobs()[digest_of(LONG)].read_bytes() == LONG

    def test_slow_registry(self, registry):
        """No fault, though each MiB takes longer than the timeout, and so does what waits in buffers at the end."""
        with Line(registry.port, slow=Slow(True, len(LONG) - 4 * MIB, 60 * KIB, 0.04)) as line:
            assert put(registry.reach(line.host, timeout=0.5), LONG) == "copied"
            assert max(line.carried) >= len(LONG)
        assert registry.blobs()[digest_of(LONG)].read_bytes() == LONG


class TestWatch:
    @pytest.mark.parametrize(
        "passed, fails",
        [
            ([(1, 9.0)] * 2, True),
            ([(1000, 9.0)] * 5, False),
            ([(5000, 1.0), (1, 9.0)], False),
            ([(5000, 1.0), (1, 9.0), (1, 9.0), (1, 9.0)], True),
            ([(1, 4.0), (1, 5.0)], False),
        ],
    )
    def test_rate_over_the_timeout(self, passed, fails):
        watch = Watch(lambda: float("inf"))
        watch.passed(False, 1, 0.0, 10.0)

        def run():
            for count, seconds in passed:
                watch.passed(False, count, seconds, 10.0)

        if fails:
            with pytest.raises(TooSlow):
                run()
        else:
            run()

    def test_waiting_for_an_answer_is_not_slowness(self):
        watch = Watch(lambda: float("inf"))
        for _number in range(5):
            watch.passed(True, 100, 0.0, 10.0)
            watch.passed(False, 100, 9.0, 10.0)
            watch.passed(False, 100, 0.0, 10.0)
