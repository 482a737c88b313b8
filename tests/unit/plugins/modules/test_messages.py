# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules say when something is wrong: each fault has its own message, which names the thing and the next step."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    blob_digest,
    component,
    image_resource,
    local,
    put_component,
    read_manifest,
    reference,
)
from ansible_collections.ocm.airgap.tests.support.images import digest, image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed

NAME = "acme.test/product"
TEXT = b"some text\n"
ACCOUNTS = {"reader": "reader-password-1"}


def said(outcome, *words):
    missing = [word for word in words if word not in outcome.message]
    assert not missing, f"{missing} not in: {outcome.message}"


def info(repository, **more):
    return fail("ocm_component_info", dict(dict(repository=repository, component=NAME), **more))


@pytest.fixture
def product(ctf):
    put_component(ctf, component(NAME, [local("text", TEXT), local("notes", b"notes")]))
    put_component(ctf, component(NAME, [local("text", TEXT)], "1.1.0"))
    return ctf


def test_content_that_was_changed(product, tmp_path):
    path = product.blob_path(digest(TEXT))
    path.write_bytes(TEXT.upper())
    arguments = dict(repository=product.repository(), component=NAME, version="1.0.0", resource="text")
    for dest in (None, str(tmp_path / "file")):
        outcome = fail("ocm_resource", dict(arguments, dest=dest))
        said(outcome, digest(TEXT), digest(TEXT.upper()))
    assert not (tmp_path / "file").exists() and list(tmp_path.glob(".file*")) == []


def test_content_that_is_not_what_the_component_version_says(ctf):
    put_component(ctf, component(NAME, [local("text", TEXT, digest=blob_digest(digest(b"signed")))]))
    said(
        fail("ocm_resource", dict(repository=ctf.repository(), component=NAME, version="1.0.0", resource="text")),
        digest(b"signed"),
        digest(TEXT),
        "text",
    )


def test_content_that_was_changed_at_a_registry(source, target):
    artifact = image([layer("x")])
    put_component(source, component(NAME, [image_resource("image", source.put("team/app", artifact, "1.0"), artifact)]))
    key = next(iter(artifact.blobs))
    stored = source.registry.blobs()[key]
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME)
    said(fail("ocm_transfer", call), key, source.host, "team/app")
    assert target.repositories() in ([], ["into/team/app"]) and target.tags("into/team/app") == []


@pytest.mark.parametrize(
    "damage, words",
    [
        ({"name": "No Name"}, ["name"]),
        ({"version": "one"}, ["version"]),
        ({"resources": [{"name": "x"}]}, ["resources"]),
        ({"provider": None}, ["provider"]),
    ],
    ids=["name", "version", "resource", "provider"],
)
def test_a_descriptor_that_does_not_fit_its_schema(damage, words, ctf):
    good = component(NAME)
    put_component(ctf, good)
    bad = dict(good, component=dict(good["component"], **damage))
    put_component(Renamed(ctf), bad)
    said(info(ctf.repository(), version="1.0.0"), NAME, *words)


class Renamed:
    """Puts a component version under another name and version than its descriptor says."""

    def __init__(self, place):
        self._place = place

    def put_blob(self, path, content):
        self._place.put_blob(path, content)

    def put_manifest(self, _path, _tag, kind, raw):
        self._place.put_manifest(f"component-descriptors/{NAME}", "1.0.0", kind, raw)


def test_an_unknown_component(product, source):
    said(info(product.repository(), component="acme.test/produkt"), "acme.test/produkt", NAME)
    put_component(source, component(NAME))
    said(info(source.repository(), component="acme.test/produkt"), "acme.test/produkt", source.host, "name")


def test_an_unknown_version(product):
    said(info(product.repository(), version="1.0.1"), "1.0.1", "1.0.0", "1.1.0")
    said(info(product.repository(), constraint=">=2"), ">=2", "1.1.0")
    said(info(product.repository(), version="v1.0.0"), "v1.0.0", "1.0.0")


def test_a_missing_resource(product):
    arguments = dict(repository=product.repository(), component=NAME, version="1.0.0", resource="note")
    for outcome in (fail("ocm_resource", arguments), fail("ocm_component_info", arguments)):
        said(outcome, "note", "notes", f"{NAME}:1.0.0")


def test_a_missing_reference_step(ctf):
    put_component(ctf, component(NAME, componentReferences=[reference("backend", "acme.test/backend")]))
    arguments = dict(repository=ctf.repository(), component=NAME, version="1.0.0", resource="x")
    said(fail("ocm_resource", dict(arguments, reference_path=["backent"])), "backent", "backend")
    said(fail("ocm_resource", dict(arguments, reference_path=["backend"])), "acme.test/backend:1.0.0", NAME)


def test_an_archive_that_is_not_there_or_none(tmp_path):
    said(info(str(tmp_path / "missing.tgz")), "missing.tgz", "path")
    (tmp_path / "text.tgz").write_bytes(b"no archive")
    said(info(str(tmp_path / "text.tgz")), "text.tgz")
    said(info("x.tgz"), "x.tgz", "./x.tgz")


def test_credentials(start_place):
    place = start_place(login=("reader", ACCOUNTS["reader"]), accounts=ACCOUNTS)
    put_component(place, component(NAME))
    entry = {"host": place.host, "username": "reader", "password": "wrong-password-1"}
    wrong = info(place.repository(), version="1.0.0", registries=[entry])
    said(wrong, place.host, "not accepted", "'reader'", "password")
    assert "wrong-password-1" not in wrong.output
    none = info(place.repository(), version="1.0.0")
    said(none, place.host, "none are configured", "registries", "auth_file")
    succeed(
        "ocm_component_info",
        dict(repository=place.repository(), component=NAME, registries=[dict(entry, password=ACCOUNTS["reader"])]),
    )


def test_a_host_that_does_not_exist():
    outcome = info("registry.invalid/from", version="1.0.0", retries=0)
    said(outcome, "registry.invalid", "unknown", "spelling")


def test_a_port_that_nobody_listens_at():
    said(info("http://localhost:1/from", version="1.0.0", retries=0), "localhost:1", "refuses", "port")


def test_certificates(start_place, authority):
    trusted = start_place(tls=authority.issue(), verify=False)
    expired = start_place(tls=authority.issue(starts=-20, ends=-10), verify=False)
    other_name = start_place(tls=authority.issue(names=("DNS:registry.test",)), verify=False)
    known = {"ca_path": str(authority.certificate)}
    said(info(trusted.repository(), version="1.0.0"), trusted.host, "authority", "ca_path", "ca_data")
    said(
        info(expired.repository(), version="1.0.0", registries=[dict(known, host=expired.host)]),
        expired.host,
        "expired",
    )
    said(info(other_name.repository(), version="1.0.0", registries=[dict(known, host=other_name.host)]), "another name")
    said(info(trusted.repository(), version="1.0.0", registries=[dict(known, host=trusted.host)]), NAME)


def test_tls_and_no_tls_mixed_up(source, start_place, authority):
    said(info(source.repository().replace("http://", ""), version="1.0.0", retries=0), "TLS", "http://", "plain_http")
    tls = start_place(tls=authority.issue(), verify=False)
    said(info(f"http://{tls.host}", version="1.0.0", retries=0), "TLS", "http://")


def test_a_registry_that_takes_no_writes(source, start_place):
    put_component(source, component(NAME, [local("text", TEXT)]))
    target = start_place(read_only=True)
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME, retries=0)
    said(fail("ocm_transfer", call), target.host, "into", "read-only")


def test_a_target_that_is_something_else(product, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    (tmp_path / "notes.tar").write_text("no tar")
    for name in ("home", "notes.tar"):
        said(fail("ocm_transfer", dict(source=product.repository(), target=str(tmp_path / name))), name)
    assert (tmp_path / "notes.tar").read_text() == "no tar" and len(list((tmp_path / "home").iterdir())) == 1


def test_options_that_contradict_each_other(product):
    repository = product.repository()
    said(info(repository, version="1.0.0", constraint=">=1"), "version", "constraint")
    said(info(f"{repository}//{NAME}:1.0.0", version="1.1.0"), "1.0.0", "1.1.0")
    said(fail("ocm_transfer", dict(source=repository, target=["./a", "./a"])), "target")
    said(fail("ocm_transfer", dict(source="http://localhost:1/x", target="./a")), "component")
    assert read_manifest(product, NAME)["layers"]
