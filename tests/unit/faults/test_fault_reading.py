# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while content is read from a registry."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from ansible_collections.ocm.airgap.tests.support import faults
from ansible_collections.ocm.airgap.tests.support.components import component, local_image, put_component
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.fault_proxy import EVERY, Answer, Rule
from ansible_collections.ocm.airgap.tests.support.fault_scene import APP, KIB, LARGE, NAME, TEXT, converges, noise
from ansible_collections.ocm.airgap.tests.support.images import digest, image, tar_of
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

MIB = 1024 * KIB
HUGE = noise("huge", 3 * MIB)
BIG = {"team/app": image([HUGE])}
CONFIG = json.loads(APP.raw)["config"]["digest"]
BLOB = f"/blobs/{digest(LARGE)}"


@BOTH
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_f01_reset_inside_a_source_blob(share, new_scene):
    """It goes on with the last block that arrived; nothing of it is a second blob at the target."""
    scene = new_scene(images=BIG)
    scene.begin(reading=[Rule("GET", f"/blobs/{digest(HUGE)}", faults.reset_inside(share))])
    scene.succeed()
    reads = scene.reader.seen("GET", f"/blobs/{digest(HUGE)}")
    assert len(reads) == 2 and reads[0].broken
    assert sum(seen.sent for seen in reads) <= len(HUGE) + MIB
    assert "range" in reads[1].headers
    converges(scene)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_f02_early_close(chunked, new_scene):
    """An end before the end is noticed by counting, with and without a length."""
    scene = new_scene(images=BIG)
    scene.begin(reading=[Rule("GET", f"/blobs/{digest(HUGE)}", faults.early_end(0.5, chunked))])
    scene.succeed()
    reads = scene.reader.seen("GET", f"/blobs/{digest(HUGE)}")
    assert sum(seen.sent for seen in reads) <= len(HUGE) + MIB
    converges(scene)


@pytest.mark.parametrize("length_told", [False, True], ids=["without-length", "length"])
def test_f03_body_longer_than_the_descriptor(length_told, scene):
    """It is not believed, however long it is, and nothing of it is committed."""
    scene.begin(reading=[Rule("GET", BLOB, faults.longer(b"more" * 10, length_told), EVERY)])
    outcome = scene.fail()
    assert digest(LARGE) in outcome.message and scene.reader.host in outcome.message
    assert digest(LARGE) not in scene.target.registry.blobs()
    assert scene.target.tags("into/team/app") == []
    converges(scene)


@BOTH
def test_f09_a_body_that_stalls(scene):
    """Silence inside a body is an error after the option timeout, and the next try reads on."""
    scene.begin(reading=[Rule("GET", BLOB, faults.stall_inside(0.5))])
    scene.succeed(timeout=1)
    assert len(scene.reader.seen("GET", BLOB)) == 2
    converges(scene)


@BOTH
def test_f09_a_head_that_never_comes(scene):
    """The same for an answer that does not begin."""
    scene.begin(reading=[Rule("GET", BLOB, faults.silence())], writing=[Rule("PUT", "/blobs/", faults.silence())])
    scene.succeed(timeout=1)
    converges(scene)


@BOTH
def test_f09_a_body_that_trickles(scene):
    """A byte now and then is not better than silence: it does not hold a run."""
    scene.begin(reading=[Rule("GET", BLOB, faults.drip(0.2, len(LARGE)))])
    scene.succeed(timeout=1)
    assert len(scene.reader.seen("GET", BLOB)) == 2
    converges(scene)


@BOTH
def test_f09_a_slow_body_is_no_fault(scene):
    """Slow is not silent: the body may take longer than the option timeout."""
    scene.begin(reading=[Rule("GET", BLOB, faults.drip(0.3, 5), EVERY)])
    scene.succeed(timeout=1)
    assert len(scene.reader.seen("GET", BLOB)) == 1
    converges(scene)


@BOTH
def test_f10_name_service_that_fails_and_a_dead_address(scene, monkeypatch, tmp_path):
    """A name that cannot be asked for is asked for again; of its addresses the next one is tried."""
    real, asked = socket.getaddrinfo, tmp_path / "asked"

    def flapping(host, port, *more, **options):
        with asked.open("a") as file:
            file.write("x")
        if asked.stat().st_size in (1, 3):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        dead = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0))
        return [dead, *real(host, port, *more, **options)]

    scene.begin()
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", flapping)
        scene.succeed()
    assert asked.stat().st_size > 3
    converges(scene)


@BOTH
def test_f10_refused_connection_and_connections_that_died(scene):
    """A connection that the other side closed in between is replaced; a host that is not there is named."""
    scene.begin(
        reading=[Rule("GET", "/manifests/", faults.reset_at_once, (2, 4))],
        writing=[Rule("HEAD|POST", "", faults.reset_at_once, (1, 3))],
    )
    scene.succeed()
    outcome = scene.fail(target="http://localhost:1/into", retries=0)
    assert "localhost:1 refuses the connection" in outcome.message
    converges(scene)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_f12_redirect_to_storage_gets_no_login(status, scene):
    """It is followed, with nothing that is not for that host."""
    storage = scene.stranger(Rule("GET", "", faults.answer(200, LARGE), EVERY))
    scene.begin(reading=[Rule("GET", BLOB, faults.elsewhere(f"{storage.url}/storage?signed=1", status), EVERY)])
    scene.succeed()
    assert [seen.path for seen in storage.seen()] == ["/storage?signed=1"]
    assert all("authorization" not in seen.headers and "cookie" not in seen.headers for seen in storage.seen())
    converges(scene)


def first_half(exchange):
    exchange.start(Answer(200, [("Content-Length", str(len(HUGE)))]))
    exchange.write(HUGE[: len(HUGE) // 2])
    exchange.close()


def asked_part(exchange):
    begin = int(exchange.headers["range"].partition("bytes=")[2].partition("-")[0])
    told = f"bytes {begin}-{len(HUGE) - 1}/{len(HUGE)}"
    exchange.send(Answer(206, [("Content-Range", told)], HUGE[begin:]))


@BOTH
def test_f12_a_break_at_the_storage(new_scene):
    """The rest is asked for there, as a Range and without a login."""
    scene = new_scene(images=BIG)
    storage = scene.stranger(Rule("GET", "", first_half), Rule("GET", "", asked_part, (2,)))
    scene.begin(reading=[Rule("GET", f"/blobs/{digest(HUGE)}", faults.elsewhere(f"{storage.url}/signed"), EVERY)])
    scene.succeed()
    assert sum(seen.sent for seen in storage.seen()) <= len(HUGE) + MIB
    assert all("authorization" not in seen.headers for seen in storage.seen())
    converges(scene)


@BOTH
def test_f12_storage_address_that_expires(scene):
    """After a break the registry is asked again, not the address that it gave before."""
    storage = scene.stranger(
        Rule("GET", "signed=1", faults.answer(200, LARGE[:100], Content_Length=str(len(LARGE)))),
        Rule("GET", "signed=1", faults.answer(403, b"expired"), EVERY, may_rest=True),
        Rule("GET", "signed=2", faults.answer(200, LARGE), EVERY),
    )
    scene.begin(
        reading=[
            Rule("GET", BLOB, faults.elsewhere(f"{storage.url}/storage?signed=1")),
            Rule("GET", BLOB, faults.elsewhere(f"{storage.url}/storage?signed=2"), EVERY),
        ]
    )
    scene.succeed(timeout=1)
    assert storage.seen("GET", "signed=2")
    converges(scene)


@BOTH
def test_f12_redirects_without_end(scene):
    """A chain and a loop end after a few, with a message."""
    scene.begin(reading=[Rule("GET", BLOB, faults.elsewhere("{path}"), EVERY)])
    outcome = scene.fail()
    assert "redirects" in outcome.message and len(scene.reader.seen("GET", BLOB)) <= 6
    converges(scene)


def without_digest(found):
    return found.without("Docker-Content-Digest")


def with_type(found):
    return found.having(Content_Type="text/plain")


def without_length(found):
    return found.having(Content_Length="", Transfer_Encoding="")


@pytest.mark.parametrize("change", [without_digest, with_type, without_length])
def test_f16_head_that_says_too_little(change, new_scene):
    """The manifest is read and hashed instead; no header is believed alone."""
    scene = new_scene(stated=False)
    scene.begin(
        reading=[Rule("HEAD", "/manifests/", faults.changed(change), EVERY)],
        writing=[Rule("HEAD", "/manifests/", faults.changed(change), EVERY)],
    )
    scene.succeed()
    assert not scene.succeed().result["changed"]
    converges(scene)


@BOTH
def test_f16_digest_in_the_header_that_is_not_the_body_s(scene):
    """What is written has the digest of its bytes, whatever a header says."""
    lie = faults.headers(Docker_Content_Digest=digest(b"something else"))
    scene.begin(reading=[Rule("GET|HEAD", "team/app/manifests/", lie, EVERY)])
    outcome = scene.run()
    assert not outcome.failed or digest(b"something else") in outcome.message
    assert scene.target.digest_of("into/team/app", "1.0") in ("", APP.digest)
    converges(scene)


@BOTH
def test_f16_content_type_that_is_not_the_body_s(scene):
    """The type of a manifest is inside it; a header that disagrees is told, not followed."""
    index = "application/vnd.oci.image.index.v1+json"
    scene.begin(reading=[Rule("GET|HEAD", "team/app/manifests/", faults.headers(Content_Type=index), EVERY)])
    outcome = scene.run()
    assert not outcome.failed or index in outcome.message
    assert scene.target.digest_of("into/team/app", "1.0") in ("", APP.digest)
    converges(scene)


def gzipped(found):
    return found.having(Content_Encoding="gzip")


@BOTH
def test_f17_compressed_reply_that_nobody_asked_for(scene):
    """Identity is demanded, and an encoded manifest is refused before it is hashed."""
    scene.begin(reading=[Rule("GET", "/manifests/", faults.changed(gzipped), EVERY)])
    assert "encoded (gzip)" in scene.fail().message
    assert {seen.headers["accept-encoding"] for seen in scene.reader.seen()} == {"identity"}
    converges(scene)


def interim(exchange):
    """An interim answer before the real one."""
    exchange.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
    exchange.send(exchange.forward())


def two_answers(exchange):
    """Bytes behind the answer: the next one that uses the connection would take them for its own."""
    found = exchange.forward()
    exchange.send(found)
    exchange.raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


@BOTH
def test_f17_interim_answers(scene):
    scene.begin(
        reading=[Rule("GET|HEAD", "", interim, EVERY)], writing=[Rule("GET|HEAD|POST|PUT", "", interim, EVERY)]
    )
    scene.succeed()
    converges(scene)


@BOTH
def test_f17_answers_that_are_out_of_step(scene):
    """An answer too many on a connection changes nothing that is written."""
    scene.begin(reading=[Rule("GET", "/blobs/", two_answers, EVERY)])
    scene.run()
    converges(scene)


@BOTH
def test_f21_one_byte_changed_once(scene):
    """A damaged blob is read once more; the right one counts."""
    scene.begin(
        reading=[
            Rule("GET", BLOB, faults.body(faults.flipped)),
            Rule("GET", f"/blobs/{digest(TEXT)}", faults.body(faults.flipped)),
            Rule("GET", "team/second/manifests/", faults.body(faults.flipped)),
        ]
    )
    scene.succeed()
    assert len(scene.reader.broken()) == 3
    converges(scene)


@pytest.mark.parametrize(
    "what, key",
    [
        (BLOB, digest(LARGE)),
        (f"/blobs/{CONFIG}", CONFIG),
        (f"/blobs/{digest(TEXT)}", digest(TEXT)),
        ("team/app/manifests/", APP.digest),
        (f"{NAME}/manifests/", ""),
    ],
    ids=["layer", "config", "local-blob", "manifest", "component-version"],
)
def test_f21_one_byte_changed_always(what, key, scene):
    """Then it fails, and names what, where, and both digests; the target sees nothing of it."""
    scene.begin(reading=[Rule("GET", what, faults.body(faults.flipped), EVERY)])
    outcome = scene.fail()
    assert key in outcome.message and scene.reader.host in outcome.message
    assert outcome.message.count("sha256:") >= 2
    assert scene.target.registry.uploads() == []
    assert not key or key not in scene.target.registry.blobs()
    converges(scene)


@BOTH
def test_f27_a_tag_that_moves_between_two_readings(new_scene):
    """What was resolved once is read by its digest: the tag is not asked for again, whatever it stands for by then."""
    scene = new_scene(stated=False)
    other = image([noise("other", 10 * KIB)])
    scene.source.put("team/app", other)
    kind, raw = other.manifests[0]

    def switched(exchange):
        found = exchange.forward().having(Docker_Content_Digest=other.digest, Content_Type=kind, Content_Length="")
        exchange.send(replace(found, body=raw))

    tag = "team/app/manifests/1.0"
    scene.begin(reading=[Rule("GET|HEAD", tag, switched, range(2, 1000), may_rest=True)])
    scene.succeed()
    assert len(scene.reader.seen("GET|HEAD", tag)) == 1
    assert scene.target.digest_of("into/team/app", "1.0") == APP.digest
    converges(scene)


@BOTH
def test_f27_a_tag_that_moved_is_not_what_the_component_version_states(scene):
    """The digest in the descriptor is read, not the tag."""
    other = image([noise("other", 10 * KIB)])
    scene.begin()
    scene.source.put("team/app", other, "1.0")
    scene.succeed()
    assert scene.target.digest_of("into/team/app", "1.0") == APP.digest
    converges(scene)


@pytest.mark.parametrize("layout", ["sets", "shared"])
def test_f21_one_byte_changed_on_the_way_to_an_archive(layout, new_scene):
    """Large content is read once more as well, and what was begun of it begins again."""
    scene = new_scene(images=BIG)
    scene.text = noise("large text", 2 * MIB)
    flip = faults.body(faults.flipped)
    scene.begin(
        reading=[Rule("GET", f"/blobs/{digest(HUGE)}", flip), Rule("GET", f"/blobs/{digest(scene.text)}", flip)]
    )
    target = str(scene.folder / "archive.ctf")
    scene.succeed(target=target, archive_layout=layout)
    assert len(scene.reader.broken()) == 2
    assert not scene.succeed(target=target, archive_layout=layout, check="content").result["changed"]


@pytest.mark.parametrize("layout", ["sets", "shared"])
def test_f21_one_byte_changed_always_on_the_way_to_an_archive(layout, new_scene):
    """Both digests are named, and the archive is as if nothing had been read."""
    scene = new_scene(images=BIG)
    scene.begin(reading=[Rule("GET", f"/blobs/{digest(HUGE)}", faults.body(faults.flipped), EVERY)])
    target = scene.folder / "archive.ctf"
    outcome = scene.fail(target=str(target), archive_layout=layout)
    assert digest(HUGE) in outcome.message and digest(faults.flipped(HUGE)) in outcome.message
    assert len(scene.reader.broken()) == 2
    held = [path for path in target.rglob("*") if path.is_file() and path.stat().st_size > MIB]
    assert held == [] and not (target / "artifact-index.json").exists()
    scene.reader.heal()
    scene.succeed(target=str(target), archive_layout=layout)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("to_archive", [False, True], ids=["registry", "archive"])
def test_f21_one_byte_changed_in_an_artifact_set(number, to_archive, scene):
    """Whichever of its readings it is: that for the manifests, or that for the blobs."""
    app, name = image([HUGE]), "acme.test/packed"
    item = local_image("packed", app, "team/packed:1.0")
    path = f"/blobs/{digest(item['content'])}"
    scene.begin(reading=[Rule("GET", path, faults.body(faults.flipped), (number,))])
    put_component(scene.source, component(name, [item]), "from")
    more = {"target": str(scene.folder / "archive.ctf"), "archive_layout": "shared"} if to_archive else {}
    scene.succeed(component=name, **more)
    assert len(scene.reader.broken()) == 1
    assert not scene.succeed(component=name, check="content", **more).result["changed"]
    assert to_archive or scene.target.whole("into/team/packed", app)


@pytest.fixture
def get(scene, tmp_path):
    """get(resource, rule numbers, how it ends, options): the outcome, and how often the content was sent broken."""
    scene.text = tar_of({"file": noise("large text", 2 * MIB)})
    scene.images = BIG

    def run(name, numbers, end, **more):
        wanted = digest(HUGE if name == "app" else scene.text)
        scene.begin(reading=[Rule("GET", f"/blobs/{wanted}", faults.body(faults.flipped), numbers)])
        arguments = {key: scene.arguments()[key] for key in ("component", "version", "registries", "retries")}
        found = end(
            "ocm_resource",
            dict(arguments, repository=scene.arguments()["source"], resource=name, dest=str(tmp_path / "to"), **more),
        )
        return found, len(scene.reader.broken())

    return run


@pytest.mark.parametrize("name, more", [("text", {}), ("text", {"extract": True}), ("app", {})])
def test_f21_one_resource_changed_once(name, more, get, scene, tmp_path):
    """ocm_resource as file, folder and artifact set."""
    found, broken = get(name, (1,), succeed, **more)
    assert found.result["changed"] and broken == 1
    if name == "text":
        path = tmp_path / "to" / "file" if more else tmp_path / "to"
        assert path.read_bytes() == (noise("large text", 2 * MIB) if more else scene.text)


@pytest.mark.parametrize("name, more", [("text", {}), ("text", {"extract": True}), ("app", {})])
def test_f21_one_resource_changed_always(name, more, get, scene, tmp_path):
    """Nothing is left where it should have been written."""
    found, broken = get(name, EVERY, fail, **more)
    wanted = HUGE if name == "app" else scene.text
    assert digest(wanted) in found.message and digest(faults.flipped(wanted)) in found.message and broken == 2
    assert list(tmp_path.iterdir()) == []


def test_f21_one_byte_changed_on_the_way_to_several_targets(new_scene):
    """The one reading that all of them follow was wrong: there is one more, and no target fails."""
    scene = new_scene(images=BIG)
    path = f"/blobs/{digest(HUGE)}"
    scene.begin(reading=[Rule("GET", path, faults.body(faults.flipped))])
    into = scene.arguments()["target"]
    scene.succeed(target=[into, f"{into}-too", str(scene.folder / "archive.ctf")])
    assert scene.target.whole("into-too/team/app", scene.images["team/app"])
    assert len(scene.reader.broken()) == 1 and len(scene.reader.seen("GET", path)) <= 4
    converges(scene)
