# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the machine that moves: a full disk, kills, runs at the same time, a wrong clock, little memory."""

from __future__ import annotations

import os
import random
import re
import resource as limits
import time
from contextlib import contextmanager

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.components import component, image_resource, put_component
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import (
    IMAGES,
    KIB,
    LARGE,
    NAME,
    check_secrets,
    converges,
    noise,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image, index
from ansible_collections.ocm.airgap.tests.support.modules import run_module, start_module
from ansible_collections.ocm.airgap.tests.support.small_disk import resize, small_disk

MIB = 1024 * KIB
KILLS = int(os.environ.get("OCM_AIRGAP_KILLS", "10"))
UPLOADED = re.compile(r"/v2/(.+)/blobs/uploads/.*digest=(sha256:[0-9a-f]+)")


@contextmanager
def limited(kind, value):
    """A limit for the processes that are started meanwhile."""
    soft, hard = limits.getrlimit(kind)
    limits.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        limits.setrlimit(kind, (soft, hard))


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_f38_no_room_for_the_archive(form, scene, tmp_path):
    """A file that cannot grow any more: told with its place, nothing that looks finished, and the next run goes on."""
    scene.begin()
    (tmp_path / "into").mkdir()
    path = tmp_path / "into" / form
    with limited(limits.RLIMIT_FSIZE, 100 * KIB):
        outcome = scene.fail(target=str(path))
    assert str(tmp_path / "into") in outcome.message and "File too large" in outcome.message
    assert not (path if form != "folder" else path / "artifact-index.json").exists()
    scene.succeed(target=str(path))
    assert not scene.succeed(target=str(path)).result["changed"]
    scene.succeed(source=str(path))
    converges(scene)


@pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
def test_f38_a_disk_that_is_too_small(form, scene, tmp_path):
    """Told with what is needed and what there is, before anything is written or read but manifests; check mode tells it too."""
    scene.begin()
    with small_disk(tmp_path / "disk", 100 * KIB) as disk:
        for outcome in (scene.fail(target=str(disk / form)), scene.run(check_mode=True, target=str(disk / form))):
            assert outcome.failed and "Nothing was written" in outcome.message
            assert str(disk / form) in outcome.message and f"room for {100 * KIB}" in outcome.message
        assert not list(disk.iterdir())
        read = sum(digest(LARGE) in seen.path for seen in scene.reader.seen("GET", "/blobs/"))
        assert not read, "content was read for nothing"
        resize(disk, MIB)
        scene.succeed(target=str(disk / form))
        scene.succeed(source=str(disk / form))
    converges(scene)


@BOTH
def test_f38_a_disk_that_is_full_in_the_middle(new_scene, tmp_path):
    """Nobody could know: told with its place, nothing that looks finished, and the next run reads nothing again."""
    content = image([noise("plain", 200 * KIB)], types={0: "application/vnd.oci.image.layer.v1.tar"})
    scene = new_scene(images={"team/plain": content}).begin()
    with small_disk(tmp_path / "disk", 360 * KIB) as disk:
        outcome = scene.fail(target=str(disk / "x.tgz"), archive_layout="shared")
        assert str(disk) in outcome.message and "the disk is full" in outcome.message
        assert [path.name for path in disk.iterdir()] == [".x.tgz.unfinished"]
        resize(disk, MIB)
        before = len(scene.reader.seen("GET", "/blobs/"))
        scene.succeed(target=str(disk / "x.tgz"), archive_layout="shared")
        again = [seen.path for seen in scene.reader.seen("GET", "/blobs/")[before:]]
        assert not any(blob in path for path in again for blob in content.blobs)
        assert [path.name for path in disk.iterdir()] == ["x.tgz"]
        scene.succeed(source=str(disk / "x.tgz"))
    converges(scene)


@pytest.mark.parametrize("name", ["n" * 300, "file/below", "x" * 250 + ".tar"])
def test_f38_places_that_cannot_be_written(name, scene, tmp_path):
    """Names that are too long, a file where a folder should be."""
    scene.begin()
    (tmp_path / "file").write_text("")
    outcome = scene.fail(target=str(tmp_path / name))
    assert name.partition("/")[0] in outcome.message
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("scene")] == ["file"]
    converges(scene)


def uploaded(proxy):
    """(repository, digest) of every blob that arrived."""
    found = [UPLOADED.search(seen.path) for seen in proxy.seen("PUT", "/blobs/uploads/") if seen.status == 201]
    return [(item[1], item[2]) for item in found if item]


def small_w1():
    """Images of two platforms that share layers."""
    shared = [noise(f"shared-{number}", 60 * KIB) for number in range(2)]
    found = {}
    for number in range(3):
        children = [(arch, image([*shared, noise(f"{number}-{arch}", 60 * KIB)])) for arch in ("amd64", "arm64")]
        found[f"team/app-{number}"] = index(children)
    return found


@BOTH
def test_f39_killed_at_random_moments(new_scene):
    """The next run ends as an undisturbed one does, and moves no blob again that had arrived."""
    scene = new_scene(images=small_w1()).begin()
    began = time.monotonic()
    scene.succeed(target=f"{scene.writer.url}/clean")
    usual = time.monotonic() - began
    chance = random.Random(39)
    killed = 0
    for number in range(KILLS // 2 + KILLS % 2):
        target = f"{scene.writer.url}/into-{number}"
        running = start_module("ocm_transfer", scene.arguments(target=target))
        time.sleep(chance.uniform(0.05, 1) * usual)
        killed += not os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        running.kill()
        uploaded(scene.writer)  # waits for what was on its way: it arrives, or does not, before the next run looks
        scene.succeed(target=target)
        sent = [item for item in uploaded(scene.writer) if item[0].startswith(f"into-{number}/")]
        assert len(sent) == len(set(sent)), "a blob was moved again"
        for path, artifact in scene.images.items():
            assert scene.target.digest_of(f"into-{number}/{path}", "1.0") == artifact.digest
            assert scene.target.whole(f"into-{number}/{path}", artifact)
        assert not scene.succeed(target=target).result["changed"]
    assert killed
    left = scene.target.registry.uploads()
    assert len(left) <= killed * scene.arguments()["concurrency"], left
    check_secrets(scene)


@BOTH
def test_f40_eight_transfers_into_one_registry(scene):
    """All of them succeed, and what they leave is what one leaves."""
    scene.begin()
    running = [start_module("ocm_transfer", scene.arguments(retries=10)) for _number in range(8)]
    outcomes = [process.wait() for process in running]
    scene.outcomes.extend(outcomes)
    assert [outcome.message for outcome in outcomes if outcome.failed] == []
    converges(scene)


@BOTH
def test_f40_a_manifest_that_another_run_was_writing(scene):
    """docker-registry 2.8 then finds the digest of the half-written file wrong: ours is right, and is sent again."""
    scene.begin(writing=[Rule("PUT", "/manifests/", faults.refusal(400, "DIGEST_INVALID"), (1, 3))])
    scene.succeed()
    assert len(scene.writer.broken()) == 2
    converges(scene)


@pytest.mark.parametrize("form", ["folder", "x.tar"])
def test_f40_eight_transfers_into_one_archive(form, scene, tmp_path):
    """Each succeeds or says clearly why not, and the archive is whole."""
    scene.begin()
    target = str(tmp_path / form)
    running = [start_module("ocm_transfer", scene.arguments(target=target)) for _number in range(8)]
    outcomes = [process.wait() for process in running]
    scene.outcomes.extend(outcomes)
    assert any(not outcome.failed for outcome in outcomes)
    for outcome in outcomes:
        told = re.search("Another run (is writing to|has written) " + re.escape(str(tmp_path)), outcome.message)
        assert not outcome.failed or (told and "Traceback" not in outcome.output)
    scene.succeed(target=target)
    assert not scene.succeed(target=target).result["changed"]
    scene.succeed(source=target)
    converges(scene)


@BOTH
def test_f41_a_clock_that_jumps(scene, monkeypatch):
    """Years forward and back while it runs: waits, retries and time limits do not notice."""
    shown = iter(range(10**9))
    scene.begin(reading=[Rule("GET", "/blobs/", faults.answer(503), (1, 3))])
    real = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + (next(shown) % 3 - 1) * 3 * 365 * 86400)
        began = time.monotonic()
        scene.succeed()
    assert time.monotonic() - began < 60
    converges(scene)


def test_f42_little_memory_and_few_files(new_scene):
    """Two hundred MiB take the memory that ten take, and 64 open files are enough."""
    scene = new_scene().begin()
    peaks = {}
    for size in (10, 200):
        content = image([bytes(size * MIB)], types={0: "application/vnd.oci.image.layer.v1.tar"})
        name = f"team/size-{size}"
        reference = scene.source.put(name, content, "1.0")
        large = image_resource("large", reference, content)
        put_component(scene.source, component(NAME, [large], f"{size}.0.0"), "from")
        login = dict(scene.arguments()["registries"][0], host=scene.source.host)
        arguments = scene.arguments(version=f"{size}.0.0", target=f"{scene.target.repository()}/into")
        other = dict(scene.arguments()["registries"][1], host=scene.target.host)
        arguments["registries"] = [*arguments["registries"], login, other]
        with limited(limits.RLIMIT_NOFILE, 64):
            outcome = run_module("ocm_transfer", arguments, fresh=True)
        assert not outcome.failed, outcome.output
        peaks[size] = outcome.peak
    assert peaks[200] - peaks[10] < 16 * MIB, peaks


def test_images_of_the_scene_share_a_layer():
    """Otherwise nothing above would ever mount."""
    app, second = IMAGES.values()
    assert set(app.blobs) & set(second.blobs)
