# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twelve steps of idempotence for every module that writes: created, changed, removed behind our back; each in
check mode and for real, each twice.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict

import pytest

from ansible_collections.ocm.airgap.tests.support.components import (
    accesses,
    component,
    image_resource,
    local,
    put_component,
    read_component,
)
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.images import image, layer, tar_of
from ansible_collections.ocm.airgap.tests.support.modules import succeed
from ansible_collections.ocm.airgap.tests.support.places import CtfPlace, RequestLog

NAME = "acme.test/product"
MANIFEST = b"kind: Deployment\nspec:\n  image: old  # a comment\n  replicas: 1\n"
CONFIG = b"""\
apiVersion: config.ocm.software/v1alpha1
kind: ConfigData
metadata: {name: product}
localization:
- {resource: {name: image}, file: deploy.yaml, image: spec.image}
configuration:
  defaults: {replicas: 2}
  rules:
  - {value: (( replicas )), file: deploy.yaml, path: spec.replicas}
"""


@dataclass
class Case:
    """A module in its three situations. changed: the arguments, or what is done, so that another result is wanted.

    remove: takes away what was written. state: everything that the module writes to; it must not move in check mode.
    exact: the state after putting back is the one before removing (a folder keeps blobs that nothing names any more).
    """

    module: str
    arguments: Dict[str, Any]
    changed: Callable[[], Dict[str, Any]]
    remove: Callable[[], None]
    state: Callable[[], Any]
    exact: bool = True


def twice_each(case, arguments):
    """Check mode twice: the same change told, nothing written. For real: changed once, and then no more."""
    before = case.state()
    first = succeed(case.module, arguments, check=True)
    second = succeed(case.module, arguments, check=True)
    assert first.result["changed"] and second.result["changed"] and case.state() == before
    assert without_time(first) == without_time(second)
    done = succeed(case.module, arguments)
    after = case.state()
    again = succeed(case.module, arguments)
    assert done.result["changed"] and after != before
    assert not again.result["changed"] and case.state() == after
    checked = succeed(case.module, arguments, check=True)
    assert not checked.result["changed"] and without_time(checked) == without_time(again)
    return after


def without_time(outcome):
    return {key: value for key, value in outcome.result.items() if key != "statistics"}


def twelve_steps(case):
    twice_each(case, case.arguments)
    changed = dict(case.arguments, **case.changed())
    wanted = twice_each(case, changed)
    case.remove()
    assert case.state() != wanted
    found = twice_each(case, changed)
    assert found == wanted or not case.exact


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put_product(place, version="1.0.0", text="first", number=1):
    """A component with text, an image, manifests and rules."""
    artifact = image([layer(text)])
    resources = [
        local("text", text.encode()),
        local("manifests", tar_of({"deploy.yaml": MANIFEST, "note.txt": text.encode()}), "application/x-tar"),
        local("config", CONFIG),
    ]
    if place.repository().startswith("http"):
        resources.append(image_resource("image", place.put("team/app", artifact, text), artifact))
    else:
        reference = f"registry.test/team/app:{text}@{artifact.digest}"
        resources.append(image_resource("image", reference, artifact))
    put_component(place, component(NAME, resources, version, labels=[{"name": "number", "value": number}]))
    return artifact


def relabelled(place):
    """Another unsigned label at the source: the component version is to be updated."""

    def change():
        put_product(place, number=2)
        return {}

    return change


@BOTH
def test_transfer_to_a_registry(source, target):
    artifact = put_product(source)
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME)
    remove = partial(target.delete_manifest, "into/team/app", artifact.digest)
    twelve_steps(Case("ocm_transfer", call, relabelled(source), remove, target.state))


@BOTH
def test_transfer_of_a_further_version(source, target):
    put_product(source)

    def change():
        put_product(source, "1.1.0", "second")
        return {}

    def remove():
        path = f"into/component-descriptors/{NAME}"
        target.delete_manifest(path, target.digest_of(path, "1.1.0"))

    call = dict(source=source.repository(), target=target.repository("into"), component=NAME)
    twelve_steps(Case("ocm_transfer", call, change, remove, target.state))


@pytest.mark.parametrize("form, lost", [("folder", "blob"), ("folder", "all"), ("x.tar", "all"), ("x.tgz", "all")])
def test_transfer_to_an_archive(form, lost, source, tmp_path):
    put_product(source)
    place = tmp_path / "place"
    place.mkdir()
    archive = place / form

    def remove():
        if lost == "blob":
            key = accesses(read_component(CtfPlace(archive), NAME))["image"]["localReference"]
            CtfPlace(archive).blob_path(key).unlink()
        elif archive.is_dir():
            shutil.rmtree(str(archive))
        else:
            archive.unlink()

    call = dict(source=source.repository(), target=str(archive), component=NAME)
    exact = (form, lost) != ("folder", "all")
    twelve_steps(Case("ocm_transfer", call, relabelled(source), remove, lambda: files_of(place), exact))


@pytest.mark.parametrize("name", ["text", "image"])
def test_resource_to_a_file(name, source, tmp_path):
    put_product(source)
    put_product(source, "1.1.0", "second")
    place = tmp_path / "place"
    place.mkdir()
    call = dict(
        repository=source.repository(), component=NAME, version="1.0.0", resource=name, dest=str(place / "file")
    )
    remove = (place / "file").unlink
    twelve_steps(Case("ocm_resource", call, lambda: {"version": "1.1.0"}, remove, lambda: files_of(place)))


def test_resource_to_a_folder(ctf, tmp_path):
    put_product(ctf)
    put_product(ctf, "1.1.0", "second")
    place = tmp_path / "place"
    place.mkdir()
    arguments = dict(repository=ctf.repository(), component=NAME, version="1.0.0", resource="manifests", extract=True)
    call = dict(arguments, dest=str(place / "folder"))
    remove = (place / "folder" / "note.txt").unlink
    twelve_steps(Case("ocm_resource", call, lambda: {"version": "1.1.0"}, remove, lambda: files_of(place)))


def test_localize_to_a_folder(ctf, tmp_path):
    put_product(ctf)
    put_product(ctf, "1.1.0", "second")
    place = tmp_path / "place"
    place.mkdir()
    call = dict(
        repository=ctf.repository(),
        component=NAME,
        version="1.0.0",
        manifests="manifests",
        values={},
        target="registry.test/into",
        dest=str(place / "folder"),
    )
    remove = (place / "folder" / "deploy.yaml").unlink
    change = partial(dict, version="1.1.0", values={"replicas": 5})
    twelve_steps(Case("ocm_localize", call, change, remove, lambda: files_of(place)))
    written = (place / "folder" / "deploy.yaml").read_text()
    assert "replicas: 5" in written and "registry.test/into/team/app@sha256:" in written and "# a comment" in written


def constructor(text):
    """A component with an inline text and a folder, as `ocm add componentversions` reads it."""
    resources = [
        {"name": "text", "type": "plainText", "input": {"type": "utf8", "text": text}},
        {"name": "folder", "type": "directoryTree", "input": {"type": "dir", "path": "folder", "compress": True}},
    ]
    return {
        "components": [{"name": NAME, "version": "1.0.0", "provider": {"name": "acme.test"}, "resources": resources}]
    }


@pytest.mark.parametrize("form", ["registry", "folder", "x.tgz"])
def test_component(form, target, tmp_path):
    place, inputs = tmp_path / "place", tmp_path / "inputs"
    place.mkdir()
    (inputs / "folder").mkdir(parents=True)
    (inputs / "folder" / "deploy.yaml").write_bytes(MANIFEST)
    path = f"into/component-descriptors/{NAME}"

    def remove():
        if form == "registry":
            target.delete_manifest(path, target.digest_of(path, "1.0.0"))
        elif form == "folder":
            shutil.rmtree(str(place / form))
        else:
            (place / form).unlink()

    state = target.state if form == "registry" else lambda: files_of(place)
    repository = target.repository("into") if form == "registry" else str(place / form)
    call = dict(repository=repository, constructor=constructor("first"), base=str(inputs))
    change = partial(dict, constructor=constructor("second"), overwrite=True)
    # What is put back has a creation time of its own.
    twelve_steps(Case("ocm_component", call, change, remove, state, exact=False))


def test_no_write_request_when_there_is_nothing_to_do(source, target):
    put_product(source)
    call = dict(source=source.repository(), target=target.repository("into"), component=NAME)
    succeed("ocm_transfer", call)
    log = RequestLog(target.registry)
    succeed("ocm_transfer", call)
    succeed("ocm_transfer", call, check=True)
    assert log.writes() == []
