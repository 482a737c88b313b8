# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer that is killed in the middle: nothing half-written is visible, and the next run goes on from there."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    component,
    folder_of,
    image_resource,
    local,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image, index
from ansible_collections.ocm.airgap.tests.support.modules import start_module, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace, RegistryPlace, RequestLog

NAME = "acme.test/product"
LAYERS = [bytes([number]) * 400_000 for number in range(6)]
IMAGE = index([(arch, image([LAYERS[0], *LAYERS[at:at + 2]], platform=arch)) for arch, at in (("amd64", 1), ("arm64", 3))])
SECOND = image([LAYERS[0], LAYERS[5]])
TEXT = b"text" * 100_000


@pytest.fixture
def call(source):
    resources = [
        local("text", TEXT),
        image_resource("image", source.put("team/app", IMAGE, "1.0"), IMAGE),
        image_resource("second", source.put("team/second", SECOND, "1.0"), SECOND),
    ]
    put_component(source, component(NAME, resources))
    return dict(source=source.repository(), component=NAME, version="1.0.0")


def kill_when(condition, arguments):
    """Kill a module as soon as the condition holds, or when it has ended. True: it was killed in the middle."""
    running = start_module("ocm_transfer", arguments)
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        if os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.001)
    ended = os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    running.kill()
    return not ended


def without_host(descriptor, place):
    text = str(dict(descriptor["component"], repositoryContexts=None))
    return text.replace(place.host, "host")


@pytest.mark.parametrize("writes", [1, 3, 5, 8, 12, 16, 20])
def test_into_a_registry(writes, call, source, start_place, target, source_log):
    log = target.registry.folder / "log"
    # A write is logged when it is done; the file itself is read, as one more request would come too late.
    kill_when(
        lambda: sum(log.read_text(errors="replace").count(f'"{method} ') for method in ("PUT", "POST")) >= writes,
        dict(call, target=target.repository("into"), concurrency=2),
    )
    first = RequestLog(target.registry)
    first_uploads = uploads_of(target.registry)
    for path, artifact in (("into/team/app", IMAGE), ("into/team/second", SECOND)):
        assert target.tags(path) in ([], ["1.0"])
        assert not target.tags(path) or target.whole(path, artifact)
    if target.tags(folder_of(NAME, "into")):
        assert target.whole("into/team/app", IMAGE) and target.whole("into/team/second", SECOND)

    source_log.restart()
    succeed("ocm_transfer", dict(call, target=target.repository("into")))
    again = set(first.blob_uploads()) & first_uploads
    assert not again, "blobs that had arrived were sent again"
    assert not set(source_log.blob_reads()) & first_uploads & {*IMAGE.blobs, *SECOND.blobs, digest(TEXT)}

    clean = start_place()
    succeed("ocm_transfer", dict(call, target=clean.repository("into")))
    assert without_host(read_component(target, NAME, prefix="into"), target) == without_host(
        read_component(clean, NAME, prefix="into"), clean
    )
    for path in ("into/team/app", "into/team/second"):
        assert target.state()[path] == clean.state()[path]
    assert target.whole("into/team/app", IMAGE) and target.whole("into/team/second", SECOND)
    assert not succeed("ocm_transfer", dict(call, target=target.repository("into"))).result["changed"]


def uploads_of(registry):
    """The digests of all blobs that have arrived since the registry started."""
    log = RequestLog(registry)
    log._start = 0
    return set(log.blob_uploads())


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("files", [1, 2, 3, 4, 6])
def test_into_a_folder(files, call, source_log, tmp_path):
    folder, clean = tmp_path / "archive", tmp_path / "clean"
    kill_when(
        lambda: len([path for path in folder.rglob("*") if path.is_file()]) >= files,
        dict(call, target=str(folder), concurrency=2),
    )
    if (folder / "artifact-index.json").exists():
        assert read_component(CtfPlace(folder), NAME)
    finished = {f"sha256:{path.name[7:]}" for path in folder.rglob("sha256.*")}

    source_log.restart()
    succeed("ocm_transfer", dict(call, target=str(folder)))
    assert not finished & set(source_log.blob_reads()), "content that had arrived was read again"
    succeed("ocm_transfer", dict(call, target=str(clean)))
    assert files_of(folder) == files_of(clean)
    assert not succeed("ocm_transfer", dict(call, target=str(folder))).result["changed"]


@pytest.mark.parametrize("form", ["x.tar", "x.tgz"])
@pytest.mark.parametrize("files", [1, 3, 5, 7])
def test_into_a_tar(files, form, call, source_log, tmp_path):
    place, clean = tmp_path / "place", tmp_path / "clean"
    for folder in (place, clean):
        folder.mkdir()
    killed = kill_when(
        lambda: len([path for path in place.rglob("*") if path.is_file()]) >= files,
        dict(call, target=str(place / form), concurrency=2),
    )
    assert not killed or not (place / form).exists() or (place / form).stat().st_size > 0
    finished = {f"sha256:{path.name[7:]}" for path in place.rglob("sha256.*")}

    source_log.restart()
    succeed("ocm_transfer", dict(call, target=str(place / form)))
    assert not finished & set(source_log.blob_reads()), "content that had arrived was read again"
    succeed("ocm_transfer", dict(call, target=str(clean / form)))
    assert files_of(place) == files_of(clean)
    assert not succeed("ocm_transfer", dict(call, target=str(place / form))).result["changed"]


def test_a_registry_that_is_gone_in_the_middle_is_told_by_name(call, target):
    """Not killed ourselves: the other side. The message names it, and a later run completes."""
    place = RegistryPlace(target.registry)
    dead = dict(call, target=place.repository("into").replace(str(target.registry.port), "1"), retries=0)
    outcome = start_module("ocm_transfer", dead).wait()
    assert outcome.failed and "localhost:1" in outcome.message
    succeed("ocm_transfer", dict(call, target=place.repository("into")))
