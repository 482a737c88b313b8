# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something is tried again."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import AuthError, RegistryError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.retry import (
    RetryPolicy,
    TryAgain,
    parse_retry_after,
)
from ansible_collections.ocm.airgap.tests.support.oci_client import FakeTime

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    "value, server_date, wanted",
    [
        ("5", "", 5.0),
        (" 0 ", "", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", "", 10.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", "Tue, 14 Nov 2023 22:13:28 GMT", 2.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("", "", None),
        ("1.5", "", None),
        ("\u0665", "", None),
    ],
)
def test_retry_after(value, server_date, wanted):
    assert parse_retry_after(value, NOW, server_date) == wanted


@pytest.mark.parametrize(
    "retry, retry_after, waited, chance, wanted",
    [
        (1, None, 0, 0.0, 0.25),
        (1, None, 0, 1.0, 0.5),
        (2, None, 0, 1.0, 1.0),
        (5, None, 0, 1.0, 8.0),
        (6, None, 0, 0.0, None),
        (1, 10.0, 0, 0.0, 10.0),
        (1, 10.0, 0, 1.0, 10.25),
        (1, 301.0, 0, 0.0, None),
        (2, 200.0, 150.0, 0.0, None),
    ],
)
def test_policy(retry, retry_after, waited, chance, wanted):
    assert RetryPolicy().wait_before(retry, retry_after, waited, chance) == wanted


def test_waits_are_capped():
    assert RetryPolicy(retries=50).wait_before(40, None, 0, 1.0) == 30.0


def failing(*failures):
    waiting = list(failures)

    def action():
        if waiting:
            raise waiting.pop(0)
        return "done"

    return action


def test_loop_until_success():
    time = FakeTime()
    retrier = time.retrier(RetryPolicy())
    assert retrier.run(failing(TryAgain(RegistryError("a")), TryAgain(RegistryError("b"), 7.0))) == "done"
    assert time.slept == [0.25, 7.0]


def test_loop_gives_up_with_the_last_error():
    time = FakeTime()
    with pytest.raises(RegistryError, match="second"):
        time.retrier(RetryPolicy(retries=1)).run(
            failing(TryAgain(RegistryError("first")), TryAgain(RegistryError("second")))
        )
    assert len(time.slept) == 1


def test_errors_of_authentication_are_not_tried_again():
    time = FakeTime()
    with pytest.raises(AuthError):
        time.retrier(RetryPolicy()).run(failing(AuthError("no")))
    assert time.slept == []


def test_no_retries():
    with pytest.raises(RegistryError):
        FakeTime().retrier(RetryPolicy(retries=0)).run(failing(TryAgain(RegistryError("a"))))
