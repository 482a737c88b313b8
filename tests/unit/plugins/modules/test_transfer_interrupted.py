# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_transfer that is killed in the middle: nothing half-written is visible, and the next run goes on from there."""

from __future__ import annotations

import os
import shutil
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
from ansible_collections.ocm.airgap.tests.support.images import digest, image, index, unpacked_set
from ansible_collections.ocm.airgap.tests.support.modules import start_module, succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace, RegistryPlace, RequestLog

NAME = "acme.test/product"
LAYERS = [bytes([number]) * 1_000_000 for number in range(6)]
IMAGE = index(
    [(arch, image([LAYERS[0], *LAYERS[at : at + 2]], platform=arch)) for arch, at in (("amd64", 1), ("arm64", 3))]
)
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


def kill_in_the_middle(condition, arguments, place):
    """Like kill_when; on a busy machine the moment may be missed, then from the beginning."""
    for _attempt in range(5):
        if kill_when(condition, arguments):
            return True
        for path in place.iterdir():
            shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
    return False


def without_host(descriptor, place):
    text = str(dict(descriptor["component"], repositoryContexts=None))
    return text.replace(place.host, "host")


@pytest.mark.parametrize("writes", [1, 4, 9, 14, 20])
def test_into_a_registry(writes, call, source, start_place, target, source_log):
    log = target.registry.folder / "log"
    # A write is logged when it is done; the file itself is read, as one more request would come too late.
    killed = kill_when(
        lambda: sum(log.read_text(errors="replace").count(f'"{method} ') for method in ("PUT", "POST")) >= writes,
        dict(call, target=target.repository("into"), concurrency=2),
    )
    assert killed or writes > 9
    # In this order: a blob whose upload the registry finishes between the two is in neither.
    first_uploads = uploads_of(target.registry)
    first = RequestLog(target.registry)
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


def sets_in(folder):
    """The digests of what is inside the artifact sets that are complete."""
    found = set()
    for path in folder.rglob("sha256.*"):
        if path.parent.name == "blobs" and path.read_bytes()[:2] == b"\x1f\x8b":
            found |= set(unpacked_set(path.read_bytes()))
    return found


FORMS = pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])


def check_continued(call, place, clean, form, source_log):
    """The next run gives what an undisturbed run gives, leaves no other file, and the one after that nothing to do."""
    arrived = sets_in(place) | {f"sha256:{path.name[7:]}" for path in place.rglob("sha256.*")}
    source_log.restart()
    succeed("ocm_transfer", dict(call, target=str(place / form)))
    assert not arrived & set(source_log.blob_reads()), "content that had arrived was read again"
    succeed("ocm_transfer", dict(call, target=str(clean / form)))
    assert files_of(place) == files_of(clean)
    assert not succeed("ocm_transfer", dict(call, target=str(place / form))).result["changed"]


@pytest.fixture
def folders(tmp_path):
    """Where the disturbed and the undisturbed archive go."""
    for name in ("place", "clean"):
        (tmp_path / name).mkdir()
    return tmp_path / "place", tmp_path / "clean"


@FORMS
@pytest.mark.parametrize("files", [1, 3, 5, 7])
def test_into_an_archive(files, form, call, source_log, folders):
    place, clean = folders
    killed = kill_when(lambda: len(names_of(place)) >= files, dict(call, target=str(place / form), concurrency=2))
    assert killed or files > 3
    if (place / "folder" / "artifact-index.json").exists():
        assert read_component(CtfPlace(place / "folder"), NAME)
    check_continued(call, place, clean, form, source_log)


@pytest.mark.parametrize("blobs", [[], [b"arrived"]])
def test_a_folder_whose_index_was_cut_short_is_continued(blobs, call, source_log, folders):
    place, clean = folders
    (place / "folder" / "blobs").mkdir(parents=True)
    for blob in blobs:
        (place / "folder" / "blobs" / digest(blob).replace(":", ".")).write_bytes(blob)
    (place / "folder" / ".part-ab12cd34").write_bytes(b'{"schemaVersion": 1, "artif')
    succeed("ocm_transfer", dict(call, target=str(place / "folder")))
    assert not list(place.rglob(".part-*"))
    assert read_component(CtfPlace(place / "folder"), NAME)


@FORMS
def test_an_artifact_set_that_is_complete_is_not_packed_again(form, call, source_log, folders):
    place, clean = folders
    call = dict(call, archive_layout="sets")
    assert kill_in_the_middle(lambda: has_set(place), dict(call, target=str(place / form), concurrency=1), place)
    assert {*IMAGE.blobs} <= sets_in(place) and not (place / form / "artifact-index.json").exists()
    check_continued(call, place, clean, form, source_log)


@pytest.mark.parametrize("form", ["x.tar", "x.tgz"])
def test_killed_while_the_tar_is_packed(form, source, source_log, folders):
    place, clean = folders
    put_component(source, component(NAME, [local("big", os.urandom(40_000_000))]))
    call = dict(source=source.repository(), component=NAME, version="1.0.0")
    assert kill_in_the_middle(lambda: is_packing(place), dict(call, target=str(place / form)), place)
    assert not (place / form).exists()
    predicted = succeed("ocm_transfer", dict(call, target=str(place / form)), check=True)
    assert predicted.actions() == {f"{NAME}:1.0.0": "transferred"}
    check_continued(call, place, clean, form, source_log)


@pytest.mark.parametrize("form", ["folder", "x.tar"])
def test_the_run_after_a_kill_goes_on_inside_the_blob(form, source, folders):
    place, clean = folders
    big = image([os.urandom(60_000_000)])
    put_component(source, component(NAME, [image_resource("image", source.put("team/big", big, "1.0"), big)]))
    call = dict(source=source.repository(), component=NAME, version="1.0.0", archive_layout="shared")

    def begun():
        return sum(size_of(path) for path in place.rglob("blobs/.part-sha256.*"))

    assert kill_in_the_middle(lambda: begun() > 5_000_000, dict(call, target=str(place / form)), place)
    arrived = begun()
    assert arrived > 5_000_000 and not (place / form / "artifact-index.json").exists()
    outcome = succeed("ocm_transfer", dict(call, target=str(place / form)))
    assert outcome.result["statistics"]["source"]["bytes"] < 60_000_000 - arrived + 100_000
    succeed("ocm_transfer", dict(call, target=str(clean / form)))
    assert files_of(place) == files_of(clean)


def names_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def is_packing(folder):
    return any(size_of(path) > 100_000 for path in folder.glob(".x.*.unfinished/.part-*"))


def has_set(folder):
    return any(size_of(path) > 1_500_000 for path in folder.rglob("blobs/sha256.*"))


def size_of(path):
    """0 for a file that is gone by now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_registry_that_is_gone_in_the_middle_is_told_by_name(call, target):
    """Not killed ourselves: the other side. The message names it, and a later run completes."""
    place = RegistryPlace(target.registry)
    dead = dict(call, target=place.repository("into").replace(str(target.registry.port), "1"), retries=0)
    outcome = start_module("ocm_transfer", dead).wait()
    assert outcome.failed and "localhost:1" in outcome.message
    succeed("ocm_transfer", dict(call, target=place.repository("into")))
