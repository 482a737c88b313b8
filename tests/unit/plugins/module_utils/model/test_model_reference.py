# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References: every form that the OCM command lines and Docker write, and the traps that become clear errors."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import (
    ComponentReference,
    ImageReference,
    RepositoryReference,
    archive_format_of,
    check_component_name,
    check_host,
    check_no_login,
    is_component_name,
)

SHA256 = "sha256:" + "a" * 64
SHA512 = "sha512:" + "0f" * 64


def image(host, repository, tag="", digest="", scheme=""):
    return ImageReference(host, repository, tag, digest, scheme)


def registry(host, prefix="", scheme=""):
    return RepositoryReference(host=host, prefix=prefix, scheme=scheme)


def archive(path, archive_format=""):
    return RepositoryReference(path=path, archive_format=archive_format)


@pytest.mark.parametrize("text, expected", [
    ("nginx", image("docker.io", "library/nginx")),
    ("nginx:1.25", image("docker.io", "library/nginx", "1.25")),
    ("bitnami/redis:7", image("docker.io", "bitnami/redis", "7")),
    ("docker.io/nginx", image("docker.io", "library/nginx")),
    ("docker.io/library/nginx", image("docker.io", "library/nginx")),
    ("index.docker.io/nginx:1", image("docker.io", "library/nginx", "1")),
    ("registry-1.docker.io/bitnami/redis", image("docker.io", "bitnami/redis")),
    ("Docker.IO/nginx", image("docker.io", "library/nginx")),
    ("ghcr.io/stefanprodan/podinfo:6.3.5", image("ghcr.io", "stefanprodan/podinfo", "6.3.5")),
    ("GHCR.io/a/b:V1", image("ghcr.io", "a/b", "V1")),
    (f"ghcr.io/a/b@{SHA256}", image("ghcr.io", "a/b", digest=SHA256)),
    (f"ghcr.io/a/b:1@{SHA256}", image("ghcr.io", "a/b", "1", SHA256)),
    (f"a/b@{SHA512}", image("docker.io", "a/b", digest=SHA512)),
    ("localhost/a/b:1", image("localhost", "a/b", "1")),
    ("localhost:5000/a", image("localhost:5000", "a")),
    ("localhost:5000/a:1", image("localhost:5000", "a", "1")),
    ("localhost:5000", image("docker.io", "library/localhost", "5000")),
    ("registry:5000/a/b/c/d:x_y-Z.1", image("registry:5000", "a/b/c/d", "x_y-Z.1")),
    ("127.0.0.1:5000/a", image("127.0.0.1:5000", "a")),
    ("[::1]:5000/a:1", image("[::1]:5000", "a", "1")),
    ("[2001:DB8::1]/a", image("[2001:db8::1]", "a")),
    ("http://localhost:5000/a/b:1", image("localhost:5000", "a/b", "1", scheme="http")),
    (f"http://h.test:80/p/podinfo:6.3.5@{SHA256}", image("h.test:80", "p/podinfo", "6.3.5", SHA256, "http")),
    ("https://ghcr.io/a", image("ghcr.io", "a", scheme="https")),
    ("HTTPS://ghcr.io/a", image("ghcr.io", "a", scheme="https")),
    ("oci://ghcr.io/a:1", image("ghcr.io", "a", "1")),
    ("h.test/a__b/c--d/e.f_g", image("h.test", "a__b/c--d/e.f_g")),
    ("h.test/a:1.0.0.build-meta.4", image("h.test", "a", "1.0.0.build-meta.4")),
])
def test_an_image_reference_is_read(text, expected):
    assert ImageReference.parse(text) == expected


@pytest.mark.parametrize("text, words", [
    ("", "is empty"),
    ("ghcr.io/", "is empty"),
    ("ghcr.io/A/b", "upper-case"),
    ("Nginx", "upper-case"),
    ("ghcr.io/a//b", "empty segment"),
    ("ghcr.io/a/", "empty segment"),
    ("ghcr.io/a/../b", "not a repository name"),
    ("ghcr.io/a..b", "not a repository name"),
    ("ghcr.io/_a", "not a repository name"),
    ("ghcr.io/a b", "not a repository name"),
    ("ghcr.io/a:", "tag after the colon is missing"),
    ("ghcr.io/a:1.0+meta", "written .build-"),
    ("ghcr.io/a:.1", "is not a tag"),
    ("ghcr.io/a:" + "x" * 129, "is not a tag"),
    ("ghcr.io/a@", "is not a digest"),
    ("ghcr.io/a@latest", "is not a digest"),
    ("ghcr.io/a@sha256:abc", "is not a digest"),
    ("ghcr.io/a@SHA256:" + "a" * 64, "is not a digest"),
    ("ghcr.io/a@sha256:" + "A" * 64, "is not a digest"),
    ("ghcr.io/a@md5:" + "a" * 32, "is not a digest"),
    ("ghcr.io/a:1@md5:" + "a" * 32, "is not a digest"),
    (f"ghcr.io/a@{SHA256}@{SHA256}", "is not a digest"),
    ("ghcr.io:70000/a", "is not a host name"),
    ("ghcr.io:/a", "is not a host name"),
    ("ghcr.io:port/a", "is not a host name"),
    ("-x.test/a", "is not a host name"),
    ("[::1/a", "is not a host name"),
    ("ftp://ghcr.io/a", "scheme ftp://"),
    ("docker://ghcr.io/a", "scheme docker://"),
])
def test_what_is_no_image_reference_is_said(text, words):
    with pytest.raises(InvalidInput) as caught:
        ImageReference.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", [
    "ghcr.io/a/b:1", f"http://localhost:5000/a:1@{SHA256}", f"docker.io/library/nginx@{SHA512}", "[::1]:5000/a:1",
])
def test_an_image_reference_is_written_as_it_was_read(text):
    assert str(ImageReference.parse(text)) == text


def test_the_parts_of_an_image_reference():
    reference = ImageReference.parse(f"http://h.test:5000/a/b:1@{SHA256}")
    assert reference.plain_http
    assert reference.name == "h.test:5000/a/b"
    assert reference.locator == SHA256
    assert str(reference.without_scheme()) == f"h.test:5000/a/b:1@{SHA256}"
    assert ImageReference.parse("h.test/a:1").locator == "1"
    assert ImageReference.parse("h.test/a").locator == "latest"
    assert ImageReference.parse("h.test/a:1").pinned(SHA256) == image("h.test", "a", "1", SHA256)


@pytest.mark.parametrize("text, expected", [
    ("ghcr.io", registry("ghcr.io")),
    ("ghcr.io/acme", registry("ghcr.io", "acme")),
    ("ghcr.io/acme/", registry("ghcr.io", "acme")),
    ("GHCR.io/acme/x", registry("ghcr.io", "acme/x")),
    ("localhost:5000/acme", registry("localhost:5000", "acme")),
    ("localhost", registry("localhost")),
    ("[::1]:5000/x", registry("[::1]:5000", "x")),
    ("http://localhost:5000/acme", registry("localhost:5000", "acme", "http")),
    ("https://ghcr.io", registry("ghcr.io", "", "https")),
    ("oci://ghcr.io/acme", registry("ghcr.io", "acme")),
    ("+ghcr.io/acme", registry("ghcr.io", "acme")),
    ("OCIRegistry::http://h.test/sub", registry("h.test", "sub", "http")),
    ("oci::ghcr.io/x", registry("ghcr.io", "x")),
    ("OCI::ghcr.io/x", registry("ghcr.io", "x")),
    ("OCI/v1::ghcr.io/x", registry("ghcr.io", "x")),
    ("ociRegistry::ghcr.io/x", registry("ghcr.io", "x")),
    ("OCIRepository/v1::ghcr.io/x", registry("ghcr.io", "x")),
    ("https://ctf.tgz", registry("ctf.tgz", "", "https")),
    ("./ctf", archive("./ctf")),
    ("../ctf.tgz", archive("../ctf.tgz")),
    ("/data/ctf.tar", archive("/data/ctf.tar")),
    (".", archive(".")),
    ("~/ctf", archive("~/ctf")),
    ("file:///data/ctf", archive("/data/ctf")),
    ("file://./ctf", archive("./ctf")),
    ("ctf::ctf2.tgz", archive("ctf2.tgz")),
    ("CTF::x", archive("x")),
    ("CommonTransportFormat/v1::x", archive("x")),
    ("directory::x", archive("x", "directory")),
    ("tar::x", archive("x", "tar")),
    ("tgz::x", archive("x", "tgz")),
    ("ctf+tgz::x", archive("x", "tgz")),
    ("ctf+tar::x", archive("x", "tar")),
    ("ctf+directory::x.tgz", archive("x.tgz", "directory")),
    ("ca::x", archive("x")),
    ("ComponentArchive::./x", archive("./x")),
    ("+ctf::x", archive("x")),
    ("ctf::a@b", archive("a@b")),
    ("./user:x@home", archive("./user:x@home")),
    ("/a//b", archive("/a//b")),
    ('{"type":"CommonTransportFormat","filePath":"./ctf"}', archive("./ctf")),
    ('{"type":"CTF/v1","filePath":"x.d","accessMode":"readonly"}', archive("x.d")),
    ('{"type":"CTF","filePath":"x","fileFormat":"tgz"}', archive("x", "tgz")),
    ('{"type":"OCIRegistry","baseUrl":"http://h.test:5000/p","subPath":"/a/b"}', registry("h.test:5000", "p/a/b", "http")),
    ('{"type":"OCIRegistry","baseUrl":"ghcr.io","subPath":"","componentNameMapping":"urlPath"}', registry("ghcr.io")),
    ('{"type":"OCIRepository/v1","baseUrl":"https://ghcr.io/"}', registry("ghcr.io", "", "https")),
])
def test_a_repository_is_read(text, expected):
    assert RepositoryReference.parse(text) == expected


@pytest.mark.parametrize("text, words", [
    ("", "is empty"),
    ("  ", "is empty"),
    (None, "is empty"),
    ("ghcr.io/a\nb", "control character"),
    ("ctf2.tgz", "looks like a file"),
    ("ctf2.tar.gz", "looks like a file"),
    ("some/where.tar", "looks like a file"),
    ("bogus::x", "type 'bogus' is not known"),
    ("a.b::x", "not a known type"),
    ("ctf::", "path is empty"),
    ("file://", "path is empty"),
    ("ftp://h.test", "scheme ftp://"),
    ("http://", "is not a host name"),
    ("h.test:99999/x", "is not a host name"),
    ("C:\\ctf", "is not a host name"),
    ("ghcr.io/Acme", "upper-case"),
    ("ghcr.io/../x", "is not a repository name"),
    ("ghcr.io/acme:1.0", "is not a repository name"),
    ("ghcr.io//acme.org/x", "names a component as well"),
    ('{"type":"OCIRegistry"', "not a JSON repository specification"),
    ('{"baseUrl":"ghcr.io"}', "not a JSON repository specification"),
    ('{"type":"Nexus"}', "is not known"),
    ('{"type":"OCIRegistry","baseUrl":"ghcr.io","componentNameMapping":"sha256-digest"}', "componentNameMapping"),
    ('{"type":"CTF"}', "path is empty"),
    ('{"type":"CTF","filePath":"./x//acme.org/y"}', "write it behind the specification"),
    ('{"type":"CTF","filePath":"x"}/acme.org/y', "does not begin with //"),
])
def test_what_is_no_repository_is_said(text, words):
    with pytest.raises(InvalidInput) as caught:
        RepositoryReference.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text, repository, component, version, digest", [
    ("ghcr.io/sub//acme.org/demo:1.0.0", registry("ghcr.io", "sub"), "acme.org/demo", "1.0.0", ""),
    ("ghcr.io//acme.org/demo", registry("ghcr.io"), "acme.org/demo", "", ""),
    ("ghcr.io/sub//acme.org/demo:v1.2.3+meta.4", registry("ghcr.io", "sub"), "acme.org/demo", "v1.2.3+meta.4", ""),
    (f"ghcr.io//acme.org/demo:1.0.0@{SHA256}", registry("ghcr.io"), "acme.org/demo", "1.0.0", SHA256),
    (f"ghcr.io//acme.org/demo@{SHA256}", registry("ghcr.io"), "acme.org/demo", "", SHA256),
    ("ghcr.io/sub/component-descriptors/acme.org/demo:1.0.0", registry("ghcr.io", "sub"), "acme.org/demo", "1.0.0", ""),
    ("localhost:5000/sub//acme.org/a/b:1", registry("localhost:5000", "sub"), "acme.org/a/b", "1", ""),
    ("http://localhost:5000/sub//acme.org/demo", registry("localhost:5000", "sub", "http"), "acme.org/demo", "", ""),
    ("OCIRegistry::http://localhost//acme.org/demo", registry("localhost", "", "http"), "acme.org/demo", "", ""),
    ("[::1]:5000//acme.org/demo:1", registry("[::1]:5000"), "acme.org/demo", "1", ""),
    ("./ctf2.tgz//acme.org/leaf:1.0.0", archive("./ctf2.tgz"), "acme.org/leaf", "1.0.0", ""),
    ("ctf::ctf2.tgz//acme.org/leaf", archive("ctf2.tgz"), "acme.org/leaf", "", ""),
    ("/a//b//acme.org/leaf:1", archive("/a//b"), "acme.org/leaf", "1", ""),
    ("./ctf/component-descriptors/acme.org/leaf:1", archive("./ctf"), "acme.org/leaf", "1", ""),
    (f"./ctf//acme.org/leaf:1@{SHA256}", archive("./ctf"), "acme.org/leaf", "1", SHA256),
    ('{"type":"CTF","filePath":"./ctf"}//acme.org/demo:1.0.0', archive("./ctf"), "acme.org/demo", "1.0.0", ""),
])
def test_a_component_reference_is_read(text, repository, component, version, digest):
    assert ComponentReference.parse(text) == ComponentReference(repository, component, version, digest)


@pytest.mark.parametrize("text, words", [
    ("ctf2.tgz//acme.org/leaf", "looks like a file"),
    ("ghcr.io//leaf:1", "'leaf' behind // is not a component name"),
    ("ghcr.io//", "is not a component name"),
    ("ghcr.io//acme.org/Demo", "is not a component name"),
    ("ghcr.io/a//b//acme.org/demo", "prefixes have no //"),
    ("ghcr.io//acme.org/demo:", "version after the colon is missing"),
    ("./ctf//acme.org/demo:", "version after the colon is missing"),
    ("ghcr.io//acme.org/demo@sha256:1", "is not a digest"),
])
def test_what_is_no_component_reference_is_said(text, words):
    with pytest.raises(InvalidInput) as caught:
        ComponentReference.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", [
    "ghcr.io/sub//acme.org/demo:1.0.0", f"http://h.test:5000//acme.org/demo:v1+x@{SHA256}", "./ctf//acme.org/demo", "ghcr.io/sub",
])
def test_a_component_reference_is_written_as_it_was_read(text):
    assert str(ComponentReference.parse(text)) == text


LOGINS = [
    "user:hush@ghcr.io/a",
    "https://user:hush@ghcr.io/a",
    "+https://user:hush@ghcr.io/a",
    "http://user:hu:sh@ghcr.io:5000/a//acme.org/demo:1",
    "https://user:h@hush@ghcr.io/a",
    "https://hush@ghcr.io/a",
    "OCIRegistry::https://user:hush@ghcr.io/a",
    "OCIRegistry::user:hush@ghcr.io/a",
    json.dumps({"type": "OCIRegistry", "baseUrl": "https://user:hush@ghcr.io"}),
    json.dumps({"type": "OCIRegistry", "baseUrl": "user:hush@ghcr.io"}),
]


@pytest.mark.parametrize("text", LOGINS)
@pytest.mark.parametrize("read", [ComponentReference.parse, RepositoryReference.parse, check_no_login], ids=lambda read: read.__qualname__)
def test_a_login_in_a_repository_is_refused_and_not_repeated(read, text):
    with pytest.raises(InvalidInput) as caught:
        read(text)
    assert "hush" not in str(caught.value)
    assert "registries" in caught.value.hint


@pytest.mark.parametrize("text", LOGINS[:6])
def test_a_login_in_an_image_reference_is_refused_and_not_repeated(text):
    with pytest.raises(InvalidInput) as caught:
        ImageReference.parse(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", [
    f"localhost:5000/a@{SHA256}", f"nginx:1@{SHA256}", "http://[::1]:5000/a", "https://h.test/x?a=b:c@d", "ctf::a@b:c", "./a:b@c", "nginx:1",
])
def test_what_only_looks_like_a_login_is_none(text):
    check_no_login(text)


@pytest.mark.parametrize("text, expected", [
    ("./x", "directory"), ("./x.tar", "tar"), ("./x.tgz", "tgz"), ("./x.TAR.GZ", "tgz"), ("tgz::x", "tgz"),
    ("ctf+directory::x.tgz", "directory"), ("ctf::x.d", "directory"),
])
def test_the_format_of_a_new_archive(text, expected):
    assert archive_format_of(RepositoryReference.parse(text)) == expected


@pytest.mark.parametrize("name, valid", [
    ("acme.org/x", True), ("acme.org/a/b-c_d.e", True), ("a.b.co/x", True), ("acme.org", False), ("acme/x", False),
    ("acme.o/x", False), ("Acme.org/x", False), ("acme.org/X", False), ("acme.org/", False), ("acme.org//x", False),
    ("acme.org/1x", False), ("acme.org/x:1", False), ("acme.org/../x", False), ("1acme.org/x", False), ("acme.org/x\n", False),
    ("acme.org/" + "x" * 246, True), ("acme.org/" + "x" * 247, False),
])
def test_component_names(name, valid):
    assert is_component_name(name) == valid
    if valid:
        assert check_component_name(name) == name
    else:
        with pytest.raises(InvalidInput):
            check_component_name(name)


def test_a_component_name_is_a_text():
    with pytest.raises(InvalidInput):
        check_component_name(5)


@pytest.mark.parametrize("host", ["a_b.test", "h.test:0", "xn--bcher-kva.test", "10.0.0.1:65535", "[fe80::1%25eth0]:5000"])
def test_hosts(host):
    assert check_host(host, "here") == host


def test_images_below_a_prefix():
    below = RepositoryReference.parse("http://h.test:5000/a/b")
    assert str(below.image("stefanprodan/podinfo", "6.3.5", SHA256)) == f"http://h.test:5000/a/b/stefanprodan/podinfo:6.3.5@{SHA256}"
    assert str(RepositoryReference.parse("h.test").image("x")) == "h.test/x"
    assert below.plain_http and not below.is_archive
    assert RepositoryReference.parse("./x").is_archive
