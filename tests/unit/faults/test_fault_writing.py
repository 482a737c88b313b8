# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while content is written to a registry."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import (
    KIB,
    LARGE,
    NAME,
    TARGET_LOGIN,
    basic,
    converges,
    noise,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image
from ansible_collections.ocm.airgap.tests.support.registry import BINARY

MIB = 1024 * KIB
HUGE = noise("huge", 3 * MIB)
BIG = {"team/app": image([HUGE])}
PUT_BLOB = "/blobs/uploads/"
PUT_LARGE = f"/blobs/uploads/.*digest={digest(LARGE)}"
OTHERS_MOUNT = "into/team/app/.*from=into/team/second$|into/team/second/.*from=into/team/app$"


@BOTH
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_f04_reset_inside_an_upload(share, binary, new_scene):
    """The upload is done again, and the session that broke is cancelled.

    docker-registry 2.8 no longer answers an upload whose request broke off inside its body, not even to cancel it: that
    one is left to the registry's own uploadpurging.
    """
    scene = new_scene(images=BIG)
    scene.begin(writing=[Rule("PUT|PATCH", PUT_BLOB + f".*{digest(HUGE)}", faults.upload_broken(share))])
    scene.succeed()
    assert scene.writer.broken()
    forgotten = 1 if share and binary == BINARY else 0
    assert len(scene.target.registry.uploads()) <= forgotten
    converges(scene, forgotten)


@BOTH
@pytest.mark.parametrize("path", [PUT_LARGE, f"{NAME}/manifests/", "team/app/manifests/"], ids=["blob", "root", "app"])
def test_f05_answer_lost_after_the_registry_committed(path, scene):
    """What arrived is found and counts; it is not sent again and is no error."""
    scene.begin(writing=[Rule("PUT", path, faults.answer_lost)])
    scene.succeed()
    assert len([seen for seen in scene.writer.seen("PUT", path) if seen.received]) == (1 if path == PUT_LARGE else 2)
    converges(scene)


def test_f09_an_upload_that_nobody_reads(new_scene):
    """Sending waits no longer than the option timeout, and the next try is another upload."""
    huge = noise("huger than buffers", 12 * MIB)
    path = PUT_BLOB + f".*{digest(huge)}"
    scene = new_scene(images={"team/app": image([huge])})
    scene.begin(writing=[Rule("PUT", path, faults.silence())])
    scene.succeed(timeout=1)
    assert [seen.received for seen in scene.writer.seen("PUT", path)] == [0, len(huge)]
    converges(scene)


def relative(found):
    parts = urlsplit(found.header("Location"))
    return found.having(Location=f"{parts.path}?{parts.query}")


def with_more_in_the_query(found):
    return found.having(Location=found.header("Location") + "&keep=this%2Fhere")


@BOTH
@pytest.mark.parametrize("change", [relative, with_more_in_the_query])
def test_f13_upload_location(change, scene):
    """Joined to the address that answered, with its query."""
    scene.begin(writing=[Rule("POST", PUT_BLOB, faults.changed(change), EVERY)])
    scene.succeed()
    kept = {"keep=this%2Fhere" in seen.path for seen in scene.writer.seen("PUT", PUT_BLOB)}
    assert kept == {change is with_more_in_the_query}
    converges(scene)


@BOTH
def test_f13_upload_location_on_another_host(scene):
    """No login goes there; what it answers is told under the name of the registry."""
    stranger = scene.stranger(Rule("PUT", "", faults.answer(401, WWW_Authenticate='Basic realm="give it"'), EVERY))
    moved = faults.headers(Location=f"{stranger.url}/session?state=1")
    scene.begin(writing=[Rule("POST", PUT_BLOB, moved, EVERY), Rule("DELETE", "", faults.answer(204), EVERY)])
    outcome = scene.fail()
    assert scene.writer.host in outcome.message and stranger.seen("PUT")
    assert all("authorization" not in seen.headers for seen in stranger.seen())


def vouched(exchange):
    """A storage that takes what the registry has let through."""
    exchange.send(exchange.forward(without="authorization", login=f"Basic {basic(*TARGET_LOGIN)}"))


@BOTH
def test_f13_upload_location_on_another_host_that_takes_it(scene):
    """It gets the content, and no login."""
    port = scene.target.registry.port
    storage = scene.stranger(Rule("PUT", "", vouched, EVERY), port=port)

    def moved(exchange):
        found = exchange.forward()
        parts = urlsplit(found.header("Location"))
        exchange.send(found.having(Location=f"{storage.url}{parts.path}?{parts.query}"))

    scene.begin(writing=[Rule("POST", PUT_BLOB, moved, EVERY)])
    scene.succeed()
    assert scene.writer.seen("PUT", PUT_BLOB) == []
    assert storage.seen("PUT") and all("authorization" not in seen.headers for seen in storage.seen())
    converges(scene)


@BOTH
@pytest.mark.parametrize("status", [202, 400, 401, 403, 404, 405, 500])
def test_f14_mount_refused(status, scene):
    """The blob is uploaded instead; a host that keeps refusing is not asked for every blob."""
    found = faults.refusal(status, "UNSUPPORTED", WWW_Authenticate="Basic realm=test" if status == 401 else "")
    if status == 202:
        found = unmounted
    scene.begin(writing=[Rule("POST", OTHERS_MOUNT, found, EVERY)])
    scene.succeed()
    assert scene.writer.broken()
    converges(scene)


@BOTH
def test_f14_a_registry_that_mounts_nothing_is_known_then(new_scene):
    """It is not asked for every blob of every image; one of those that are on their way may still ask."""
    shared = [noise(f"shared-{number}", KIB) for number in range(12)]
    images = {f"team/app-{number}": image([*shared, noise(f"own-{number}", KIB)]) for number in range(4)}
    scene = new_scene(images=images)
    scene.begin(writing=[Rule("POST", "from=into/team/", mount_refused, EVERY)])
    scene.succeed(concurrency=1)
    mounts = {seen.path for seen in scene.writer.broken() if seen.status == 405}
    assert 0 < len(mounts) < 3 * len(shared) / 2, len(mounts)
    converges(scene)


def mount_refused(exchange):
    """Of another repository; of its own is another matter."""
    path = exchange.path.partition("/blobs/")[0].partition("/v2/")[2]
    if f"from={path}" in exchange.path:
        exchange.send(exchange.forward())
    else:
        faults.refusal(405, "UNSUPPORTED")(exchange)


def unmounted(exchange):
    """A registry that knows no mounts opens a session."""
    exchange.path = exchange.path.partition("?")[0]
    exchange.send(exchange.forward())


@pytest.mark.parametrize("status", [400, 404, 405, 416])
def test_f15_a_registry_that_knows_no_mounts_at_all(status, scene):
    """Neither for another repository nor for asking whether a blob is there: plain HEAD, POST and PUT are enough."""
    scene.begin(writing=[Rule("POST", "mount=", faults.refusal(status, "UNSUPPORTED"), EVERY)])
    scene.run() if status == 416 else scene.succeed()
    converges(scene)


@BOTH
def test_f15_a_body_that_is_too_large(scene):
    """413 ends with a message that names blob, registry and the probable reason."""
    scene.begin(writing=[Rule("PUT", PUT_LARGE, faults.answer(413), EVERY)])
    outcome = scene.fail()
    assert "413" in outcome.message and digest(LARGE) in outcome.message
    assert "limits the size of uploads" in outcome.message
    assert scene.target.registry.uploads() == []
    converges(scene)


def lose(registry, path, key):
    """A blob goes out of a repository and off the disk."""
    (registry.storage / f"repositories/{path}/_layers/sha256/{key[7:]}/link").unlink()
    registry.blobs()[key].unlink()


@BOTH
def test_f18_manifest_refused_because_of_a_missing_blob(scene):
    """A registry that lost a blob between its upload and the manifest gets it again."""

    def losing(exchange):
        lose(scene.target.registry, "into/team/app", digest(LARGE))
        exchange.send(exchange.forward())

    scene.begin(writing=[Rule("PUT", "team/app/manifests/", losing)])
    scene.succeed()
    assert [seen.status for seen in scene.writer.broken()] in ([400], [404])
    assert len([seen for seen in scene.writer.seen("PUT", PUT_LARGE) if seen.status == 201]) == 2
    converges(scene)


@BOTH
def test_f18_a_blob_that_was_lost_since_the_last_run(scene):
    """Together with the manifest that needs it."""
    scene.begin()
    scene.succeed()
    scene.target.delete_manifest("into/team/app", scene.images["team/app"].digest)
    lose(scene.target.registry, "into/team/app", digest(LARGE))
    scene.succeed()
    converges(scene)


@BOTH
def test_f19_what_was_written_is_not_seen_at_once(scene):
    """Nothing is called lost: it is brought again, whether its upload's answer was lost or another run comes."""
    scene.begin(
        writing=[
            Rule("PUT", PUT_LARGE, faults.answer_lost),
            Rule("HEAD", "/manifests/|/blobs/", faults.answer(404), EVERY),
        ]
    )
    scene.succeed()
    assert len([seen for seen in scene.writer.seen("PUT", PUT_LARGE) if seen.received]) == 2
    assert scene.succeed().resource_actions()["app"] == "restored"
    converges(scene)
