# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be seen, what must not be written, and what somebody changed by hand."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.components import folder_of
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import (
    APP,
    LARGE,
    NAME,
    check_secrets,
    converges,
    secrets_in,
    writes,
)
from ansible_collections.ocm.airgap.tests.support.images import digest

PATH = "into/team/app"


def repeats_the_login(exchange):
    """A server that tells everything that it was told, in each place where it can."""
    login = exchange.headers.get("authorization", "nothing")
    faults.refusal(403, "DENIED", f"no rights for {login}", WWW_Authenticate=f'Basic realm="{login}"')(exchange)


def redirects_with_the_login(exchange):
    """The login in the query of a redirect that leads nowhere."""
    login = exchange.headers.get("authorization", "nothing").replace(" ", "%20")
    faults.answer(307, Location=f"ftp://localhost/?login={login}")(exchange)


@pytest.mark.parametrize("action", [repeats_the_login, redirects_with_the_login])
def test_f44_a_server_that_repeats_the_login(action, scene):
    """It is struck out of messages, warnings and results at the highest verbosity."""
    scene.begin(writing=[Rule("GET|HEAD|POST|PUT", "", action, range(2, 9))])
    outcome = scene.fail()
    assert scene.writer.host in outcome.message and not secrets_in(outcome.output)
    converges(scene)


@BOTH
def test_f44_nothing_secret_on_the_disk(scene, tmp_path, monkeypatch):
    """Neither in an archive nor beside it nor in the folder for temporary files, also after a failure."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    scene.begin(reading=[Rule("GET", f"/blobs/{digest(LARGE)}", faults.answer(404), range(1, 3))])
    scene.fail(target=str(tmp_path / "folder"))
    for form in ("folder", "x.tar"):
        scene.run(target=str(tmp_path / form))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not secrets_in(path.read_bytes().decode("latin-1")), path
    converges(scene)


@BOTH
def test_f47_check_mode_writes_nothing_and_says_the_same(scene):
    """Only GET and HEAD; the result is that of the run apart from what is counted."""
    scene.begin()

    def told(outcome):
        return {key: outcome.result[key] for key in ("changed", "component_versions", "resources", "diff")}

    predicted = scene.succeed(check_mode=True)
    assert writes(scene.writer) == [] and writes(scene.reader) == []
    assert told(predicted) == told(scene.succeed())
    count = len(writes(scene.writer))
    assert told(scene.succeed(check_mode=True)) == told(scene.succeed())
    assert len(writes(scene.writer)) == count
    converges(scene)


def move_tag(target):
    target.put_manifest(PATH, "1.0", *other_manifest(target))


def other_manifest(target):
    return target.manifest("into/team/second", "1.0")


def delete_image(target):
    target.delete_manifest(PATH, APP.digest)


def delete_version(target):
    target.delete_manifest(folder_of(NAME, "into"), target.digest_of(folder_of(NAME, "into"), "1.0.0"))


@BOTH
@pytest.mark.parametrize("change", [move_tag, delete_image, delete_version])
def test_f48_changes_by_hand(change, scene):
    """Told in check mode, put right by a run; a tag that somebody moved only with overwrite."""
    scene.begin()
    scene.succeed()
    if change is move_tag:
        for key in APP.blobs:
            scene.target.put_blob(PATH, APP.blobs[key])
        second = scene.images["team/second"]
        for key in second.blobs:
            scene.target.put_blob(PATH, second.blobs[key])
    change(scene.target)
    if change is move_tag:
        for outcome in (scene.succeed(check_mode=True), scene.succeed()):
            assert "overwrite" in outcome.warnings and f"{PATH}:1.0" in outcome.warnings
        assert scene.succeed(overwrite=True).result["changed"]
    else:
        assert scene.succeed(check_mode=True).result["changed"]
        assert scene.succeed().result["changed"]
    converges(scene)


@BOTH
def test_f48_a_blob_that_was_corrupted(scene):
    """Found with check: content, with the digest and what to do; after that it is put back."""
    scene.begin()
    scene.succeed()
    stored = scene.target.registry.blobs()[digest(LARGE)]
    content = stored.read_bytes()
    stored.write_bytes(faults.flipped(content))
    count = len(writes(scene.writer))
    outcome = scene.fail(check="content")
    assert digest(LARGE) in outcome.message and "delete" in outcome.message
    assert len(writes(scene.writer)) == count
    stored.unlink()
    assert scene.succeed(check="content").result["changed"]
    assert stored.read_bytes() == content
    check_secrets(scene)
    converges(scene)
