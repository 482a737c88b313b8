# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an artifact whole, out of an archive folder."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_MANIFEST, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.archive_files import FolderFiles
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import Ctf, in_memory
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.repository import read_artifact

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
]


def descriptor(content, media_type):
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


@pytest.fixture
def repository(tmp_path):
    folder = FolderFiles(str(tmp_path / "ctf"))
    return Ctf("ctf", folder, folder).repository("acme/image")


def write_image(repository, media_type, held):
    """An image with a plain and another layer; only the contents in `held` are there."""
    contents = {"config": b"{}", "plain": b"plain layer", "other": b"other layer"}
    for name in held:
        content = contents[name]
        repository.put_blob(digest_of(content), len(content), in_memory(content))
    content = {
        "schemaVersion": 2,
        "config": descriptor(contents["config"], "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(contents["plain"], LAYER), descriptor(contents["other"], media_type)],
    }
    repository.put_manifest(Manifest.parse(json.dumps(content).encode(), OCI_MANIFEST), "1.0.0")
    return {name: digest_of(value) for name, value in contents.items()}


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_that_is_elsewhere_stays_there(repository, media_type):
    digests = write_image(repository, media_type, ["config", "plain"])
    tree = read_artifact(repository, "1.0.0")
    assert tree.elsewhere == {digests["other"]}
    assert [blob.digest for blob in tree.blobs] == [digests["config"], digests["plain"]]


@pytest.mark.parametrize("media_type", FOREIGN + [LAYER])
def test_a_layer_that_is_there_moves(repository, media_type):
    digests = write_image(repository, media_type, ["config", "plain", "other"])
    assert [blob.digest for blob in read_artifact(repository, "1.0.0").blobs] == list(digests.values())


def test_a_layer_of_the_usual_kind_is_never_left_out(repository):
    digests = write_image(repository, LAYER, ["config", "plain"])
    assert digests["other"] in [blob.digest for blob in read_artifact(repository, "1.0.0").blobs]
