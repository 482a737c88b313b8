# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revisions of Flux: which one is meant, and how far an object is with it."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.flux import (
    Request,
    applied_revision,
    is_applied,
    progress,
    same_revision,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.status import FAILED, PROGRESSING, READY
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import (
    COMMIT,
    DIGEST,
    OLDER_COMMIT,
    not_ready,
    ready,
    reconciling,
)

NEW, OLD = f"main@sha1:{COMMIT}", f"main@sha1:{OLDER_COMMIT}"
TOKEN = "2026-01-01T00:00:00.000001Z"


@pytest.mark.parametrize(
    "wanted, actual, same",
    [
        (NEW, NEW, True),
        (COMMIT, NEW, True),
        (COMMIT[:7], NEW, True),
        (f"sha1:{COMMIT}", NEW, True),
        (f"sha1:{COMMIT}", f"sha1:{COMMIT}", True),
        (COMMIT[:6], NEW, False),
        (COMMIT, OLD, False),
        ("main", NEW, False),
        (NEW, f"other@sha1:{COMMIT}", False),
        (f"6.3.5@{DIGEST}", f"6.3.5@{DIGEST}", True),
        (DIGEST, f"6.3.5@{DIGEST}", True),
        ("6.3.5", f"6.3.5@{DIGEST}", True),
        ("6.3.4", f"6.3.5@{DIGEST}", False),
        ("6.3.5", "6.3.5", True),
        ("6.3.5", "6.3.5+a1a1a1a1a1a1", True),
        (f"6.3.5@{DIGEST}", "6.3.5+a1a1a1a1a1a1", True),
        (f"6.3.5@{DIGEST}", f"6.3.5+a1a1a1a1a1a1@{DIGEST}", True),
        (f"6.3.4@{DIGEST}", f"6.3.5+a1a1a1a1a1a1@{DIGEST}", False),
        (f"6.3.5@sha256:{'0' * 64}", f"6.3.5@{DIGEST}", False),
        ("6.3", "6.3.5", False),
        ("", NEW, False),
        (COMMIT, "", False),
    ],
)
def test_revisions(wanted, actual, same):
    assert same_revision(wanted, actual) is same


def test_the_applied_revision_of_a_release_is_the_newest_of_its_history():
    history = [dict(chartVersion="6.3.6", ociDigest=DIGEST), dict(chartVersion="6.3.5")]
    found = make.make("HelmRelease", "helm.toolkit.fluxcd.io/v2", history=history)
    assert applied_revision(found) == f"6.3.6@{DIGEST}"


def git(revision=NEW, handled=TOKEN, **options):
    return make.git_repository(artifact=dict(revision=revision), lastHandledReconcileAt=handled, **options)


def applying(revision=NEW, attempted=NEW, handled=TOKEN, **options):
    return make.git_kustomization(revision, lastAttemptedRevision=attempted, lastHandledReconcileAt=handled, **options)


SUSPENDED = dict(suspend=True)
WAITING = [reconciling(), make.condition("Ready", "Unknown", "Progressing")]
TABLE = {
    "fetched": (git(), COMMIT, READY, "Succeeded"),
    "fetched by another request": (git(handled="earlier"), COMMIT, READY, "Succeeded"),
    "whatever there is, not answered": (git(handled="earlier"), "", PROGRESSING, "Requested"),
    "whatever there is": (git(), "", READY, "Succeeded"),
    "not answered": (git(OLD, "earlier"), COMMIT, PROGRESSING, "Requested"),
    "another commit": (git(OLD), COMMIT, PROGRESSING, "OtherRevision"),
    "wrong password": (
        git(OLD, conditions=[not_ready("AuthenticationFailed")]),
        COMMIT,
        FAILED,
        "AuthenticationFailed",
    ),
    "git server down": (
        git(OLD, conditions=[not_ready("GitOperationFailed")]),
        COMMIT,
        PROGRESSING,
        "GitOperationFailed",
    ),
    "suspended": (git(spec=SUSPENDED), COMMIT, FAILED, "Suspended"),
    "applied": (applying(), COMMIT, READY, "ReconciliationSucceeded"),
    "applied before the request was seen": (applying(handled="earlier"), COMMIT, READY, "ReconciliationSucceeded"),
    "ready with the old revision": (applying(OLD, OLD), COMMIT, PROGRESSING, "OtherRevision"),
    "ready, but of an older generation": (applying(generation=2), COMMIT, PROGRESSING, "StaleStatus"),
    "in the middle": (applying(OLD, conditions=WAITING), COMMIT, PROGRESSING, "Progressing"),
    # What failed before our revision was tried tells nothing about it
    "old failure": (
        applying(OLD, OLD, conditions=[not_ready("HealthCheckFailed")]),
        COMMIT,
        PROGRESSING,
        "HealthCheckFailed",
    ),
    "new failure": (applying(OLD, conditions=[not_ready("HealthCheckFailed")]), COMMIT, FAILED, "HealthCheckFailed"),
    "new failure while it tries again": (
        applying(OLD, conditions=[reconciling("ProgressingWithRetry"), not_ready("ReconciliationFailed")]),
        COMMIT,
        FAILED,
        "ReconciliationFailed",
    ),
    "waits for another": (
        applying(OLD, conditions=[not_ready("DependencyNotReady")]),
        COMMIT,
        PROGRESSING,
        "DependencyNotReady",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_progress(name):
    found, revision, state, reason = TABLE[name]
    status = progress(found, Request(revision, TOKEN))
    assert (status.state, status.reason) == (state, reason), status


@pytest.mark.parametrize(
    "found, there",
    [
        (applying(), True),
        (applying(OLD, OLD), False),
        (applying(NEW, OLD), False),
        # A reconciliation that runs does not take back what is applied.
        (applying(conditions=[ready(), reconciling()]), True),
        (applying("", ""), False),
    ],
)
def test_what_is_applied_is_told_by_revisions_alone(found, there):
    assert is_applied(found, COMMIT) is there
