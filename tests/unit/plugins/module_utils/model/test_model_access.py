# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access specifications: aliases, fields in any case, and the images that they mean."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.access import (
    Access,
    canonical_type,
    image_reference,
    local_blob,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference

SHA256 = "sha256:" + "a" * 64
REGISTRY = RepositoryReference.parse("http://h.test:5000/prefix")


def access(**spec):
    return Access.from_mapping(spec, "here")


@pytest.mark.parametrize("stated, expected", [
    ("localBlob", "localBlob"), ("LocalBlob", "localBlob"), ("LocalBlob/v1", "localBlob"), ("localBlob/v1", "localBlob"),
    ("localOciBlob", "localOciBlob"), ("localFilesystemBlob/v1", "localFilesystemBlob"),
    ("ociArtifact", "ociArtifact"), ("OCIArtifact/v1", "ociArtifact"), ("ociRegistry", "ociArtifact"), ("ociImage", "ociArtifact"),
    ("OCIImage", "ociArtifact"), ("OCIImage/v1", "ociArtifact"), ("ociBlob", "ociBlob"), ("OCIImageLayer/v1", "ociBlob"),
    ("relativeOciReference", "relativeOciReference"), ("helm/v1", "helm"), ("Helm", "helm"), ("wget", "wget"), ("Wget/v1", "wget"),
    ("none", "none"), ("None", "none"), ("gitHub", "gitHub"), ("npm/v1", "npm"), ("s3/v2", "s3/v2"), ("ociArtifact/v9", "ociArtifact/v9"),
    ("git/v1alpha1", "git"), ("acme.org/own/v1", "acme.org/own/v1"),
])
def test_types_have_one_name(stated, expected):
    assert canonical_type(stated) == expected


@pytest.mark.parametrize("spec", [None, {}, [], "localBlob", {"type": ""}, {"type": 5}, {"Type": "localBlob"}])
def test_an_access_needs_a_type(spec):
    with pytest.raises(InvalidContent) as caught:
        Access.from_mapping(spec, "acme.org/x:1 image")
    assert "acme.org/x:1 image" in str(caught.value)


def test_fields_are_found_in_any_case_and_the_exact_one_first():
    found = access(type="wget", URL="upper", mediatype="m")
    assert found.get("url") == "upper"
    assert found.get("mediaType") == "m"
    assert access(type="wget", URL="upper", url="exact").get("url") == "exact"
    assert found.get("header", "none") == "none"
    assert Access.from_mapping({"type": "wget", 5: "x"}, "here").get("url") is None


@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
def test_a_text_field_has_to_be_a_text(value):
    with pytest.raises(InvalidContent) as caught:
        access(type="wget", url=value).text("url", "acme.org/x:1 file")
    assert "acme.org/x:1 file: the access wget has no url" in str(caught.value)


def test_what_an_access_is():
    assert access(type="LocalBlob/v1").is_local
    assert access(type="localOciBlob").is_local
    assert not access(type="ociBlob").is_local
    assert access(type="None").is_none
    assert access(type="localBlob", referenceName="a/b:1").hint == "a/b:1"
    assert access(type="localBlob").hint == ""
    assert access(type="ociArtifact", referenceName="a/b:1").hint == ""
    assert access(type="own/v1", odd={"x": [1]}).to_mapping() == {"type": "own/v1", "odd": {"x": [1]}}


@pytest.mark.parametrize("spec, expected", [
    ({"type": "ociArtifact", "imageReference": "ghcr.io/a/b:1"}, "ghcr.io/a/b:1"),
    ({"type": "ociRegistry", "imageReference": "nginx:1"}, "docker.io/library/nginx:1"),
    ({"type": "ociArtifact", "imageReference": f"http://h.test/a:1@{SHA256}"}, f"http://h.test/a:1@{SHA256}"),
    ({"type": "relativeOciReference", "reference": f"prefix/a:1@{SHA256}"}, f"http://h.test:5000/prefix/a:1@{SHA256}"),
])
def test_the_image_of_an_access(spec, expected):
    assert str(image_reference(Access.from_mapping(spec, "here"), REGISTRY, "here")) == expected


@pytest.mark.parametrize("spec, repository, error, words", [
    ({"type": "wget", "url": "x"}, REGISTRY, InvalidContent, "is not an image"),
    ({"type": "ociArtifact"}, REGISTRY, InvalidContent, "has no imageReference"),
    ({"type": "relativeOciReference", "reference": "a:1"}, None, InvalidContent, "only be followed at a registry"),
    ({"type": "relativeOciReference", "reference": "a:1"}, RepositoryReference.parse("./ctf"), InvalidContent, "only be followed at a registry"),
    ({"type": "relativeOciReference", "reference": "../a:1"}, REGISTRY, InvalidInput, "not a repository name"),
    ({"type": "ociArtifact", "imageReference": "h.test/A"}, REGISTRY, InvalidInput, "upper-case"),
])
def test_what_is_no_image(spec, repository, error, words):
    with pytest.raises(error) as caught:
        image_reference(Access.from_mapping(spec, "here"), repository, "here")
    assert words in str(caught.value)


def test_a_local_blob_is_written_as_the_tools_do():
    assert local_blob(SHA256, "text/plain") == {"localReference": SHA256, "mediaType": "text/plain", "type": "localBlob"}
    assert local_blob(SHA256, "x", "a:1")["referenceName"] == "a:1"
