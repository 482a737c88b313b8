# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archives that the real OCM tools wrote, in every form: what is read equals what those tools print."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import NotFound
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_INDEX
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.artifact_set import ArtifactSet, is_artifact_set
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.repository import read_artifact
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.yaml_text import load_yaml

DATA = Path(__file__).resolve().parents[4] / "data"
ARCHIVES = DATA / "archives"
VERSIONS = [
    ("given.test/backend", "2.0.0"),
    ("given.test/podinfo", "6.2.3"),
    ("given.test/podinfo", "6.3.5"),
    ("given.test/podinfo", "6.4.0-rc.1+build.7"),
    ("given.test/redis", "7.0.1"),
    ("given.test/suite", "v1.0.0"),
]
FORMS = ["by-value", "by-value.tar", "by-value.tgz"]
FOLDERS = ["by-value", "by-reference", "signed", "schema-v3alpha1"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("component, version", VERSIONS)
def test_a_descriptor_is_read_as_the_ocm_tool_prints_it(form, component, version, open_path):
    expected = ARCHIVES / "expected" / f"archive-{component.rpartition('/')[2]}-{version}.yaml"
    found = open_path(ARCHIVES / form).read(component, version)
    assert found.descriptor.content == load_yaml(expected.read_bytes(), expected.name)


@pytest.mark.parametrize("form", FORMS)
def test_components_and_versions_are_listed(form, open_path):
    store = open_path(ARCHIVES / form)
    assert store.components() == ["given.test/backend", "given.test/podinfo", "given.test/redis", "given.test/suite"]
    assert store.versions("given.test/podinfo") == ["6.4.0-rc.1+build.7", "6.3.5", "6.2.3"]


@pytest.mark.parametrize("form", FORMS)
def test_every_local_blob_is_read_and_has_its_digest(form, open_path, read_blob):
    store = open_path(ARCHIVES / form)
    count = 0
    for component, version in VERSIONS:
        found = store.read(component, version)
        for element in found.descriptor.resources + found.descriptor.sources:
            access = found.descriptor.access_of(element)
            if not access.is_local:
                continue
            content = found.local_blob(access, element["name"])
            assert len(read_blob(content)) == content.size
            if is_artifact_set(content.media_type):
                tree = read_artifact(ArtifactSet(content.open, element["name"]), "")
                assert tree.main.digest == "sha256:" + element["digest"]["value"]
            count += 1
    assert count > 8


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_version_of_every_archive_is_read(folder, open_path):
    store = open_path(ARCHIVES / folder)
    keys = [(component, version) for component in store.components() for version in store.versions(component)]
    assert len(keys) >= 3
    for component, version in keys:
        found = store.read(component, version)
        assert (found.descriptor.name, found.descriptor.version) == (component, version)
        assert found.descriptor.schema == ("v3alpha1" if folder == "schema-v3alpha1" else "v2")
    assert any(found.descriptor.signatures for found in (store.read(*key) for key in keys)) == (folder == "signed")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("component, version, words", [
    ("given.test/podinfo", "6.3.6", "Did you mean 6.3.5"),
    ("given.test/podinfo", "v6.3.5", "has no version v6.3.5"),
    ("given.test/podinfo", "6.3", "has no version 6.3 "),
    ("given.test/podinfoo", "6.3.5", "Did you mean given.test/podinfo"),
])
def test_an_unknown_version_is_answered_with_what_there_is(form, component, version, words, open_path):
    with pytest.raises(NotFound) as caught:
        open_path(ARCHIVES / form).read(component, version)
    assert words in str(caught.value)


def test_a_version_is_read_by_the_digest_of_its_manifest(open_path):
    store = open_path(ARCHIVES / "by-value")
    digest = store.read("given.test/podinfo", "6.3.5").digest
    assert store.read("given.test/podinfo", "6.3.5", digest).digest == digest
    with pytest.raises(NotFound):
        store.read("given.test/podinfo", "6.3.5", "sha256:" + "0" * 64)


@pytest.mark.parametrize("name", ["local-blob", "by-reference"])
def test_archives_of_the_new_cli(name, open_path):
    expected = load_yaml((DATA / "new-cli" / f"{name}.yaml").read_bytes(), name)
    store = open_path(DATA / "new-cli" / name)
    assert store.components() == ["given2.test/podinfo"]
    assert store.versions("given2.test/podinfo") == ["6.3.5"]
    assert store.read("given2.test/podinfo", "6.3.5").descriptor.content == expected[0]


def test_an_image_of_the_index_layout_is_a_manifest_of_the_repository(open_path, read_blob):
    found = open_path(DATA / "new-cli" / "local-blob").read("given2.test/podinfo", "6.3.5")
    elements = {element["name"]: element for element in found.descriptor.resources}
    access = found.descriptor.access_of(elements["image"])
    digest = found.local_manifest(access, "image")
    assert digest == access.get("localReference")
    tree = read_artifact(found.repository, digest)
    assert tree.main.media_type == OCI_INDEX
    assert len(tree.manifests) == 3 and tree.manifests[-1] is tree.main
    for blob in tree.blobs:
        assert len(read_blob(found.repository.open_blob(blob.digest, blob.size))) == blob.size
    assert found.local_manifest(found.descriptor.access_of(elements["config"]), "config") is None


def test_untagged_entries_are_no_versions(builder, open_path):
    for folder in ("by-value", "new-cli"):
        source = ARCHIVES / folder if folder == "by-value" else DATA / "new-cli" / "local-blob"
        index = load_yaml((source / "artifact-index.json").read_bytes(), "index")
        untagged = [entry for entry in index["artifacts"] if "tag" not in entry]
        target = builder.folder.parent / folder
        shutil.copytree(source, target)
        store = open_path(target)
        listed = sum(len(store.versions(component)) for component in store.components() if store.repository(component).tags())
        assert listed == len(index["artifacts"]) - len(untagged)


def test_an_archive_is_not_changed_by_reading(tmp_path, open_path):
    path = tmp_path / "ctf.tgz"
    shutil.copy(ARCHIVES / "by-value.tgz", path)
    before = path.read_bytes()
    open_path(path).read("given.test/suite", "v1.0.0")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["ctf.tgz"]
