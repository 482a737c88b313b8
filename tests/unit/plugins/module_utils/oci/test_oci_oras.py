# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seams to oras: a new release that adds or renames something is noticed here."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import oras.auth.base
import oras.container
import oras.provider
import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci import connection, library
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.auth import Authenticator
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.connection import (
    RegistryConnection,
    RepositoryContainer,
)
from ansible_collections.ocm.airgap.tests.support.oci_client import connect

HARMLESS = {"version"}
AUTH_HARMLESS = {"get_container"}


def public(kind):
    return {name for name, _member in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_the_client_extends_oras():
    assert issubclass(RegistryConnection, oras.provider.Registry)
    assert issubclass(Authenticator, oras.auth.base.AuthBackend)
    assert issubclass(RepositoryContainer, oras.container.Container)
    assert library.HAS_ORAS and library.ORAS_IMPORT_ERROR is None


@pytest.mark.parametrize(
    "ours, theirs, harmless",
    [
        (RegistryConnection, oras.provider.Registry, HARMLESS),
        (Authenticator, oras.auth.base.AuthBackend, AUTH_HARMLESS),
    ],
)
def test_every_method_of_oras_is_overridden(ours, theirs, harmless):
    assert {name for name in public(theirs) - harmless if getattr(ours, name) is getattr(theirs, name)} == set()


def test_closed_methods_say_so(plain_registry):
    repository = connect().repository(plain_registry.host, "a/b", plain_http=True)
    client = repository._reader
    for name in ("push", "pull", "login", "get_manifest", "upload_blob", "get_tags"):
        with pytest.raises(NotImplementedError, match=name):
            getattr(client, name)("a/b:1")
    with pytest.raises(NotImplementedError):
        client.do_request(plain_registry.url)


def test_urls():
    container = RepositoryContainer("r.example:5000", "a/b/c")
    assert container.manifest_url("1.0") == "r.example:5000/v2/a/b/c/manifests/1.0"
    assert container.get_blob_url("sha256:x") == "r.example:5000/v2/a/b/c/blobs/sha256:x"
    assert container.tags_url() == "r.example:5000/v2/a/b/c/tags/list"
    assert container.upload_blob_url() == "r.example:5000/v2/a/b/c/blobs/uploads/"
    assert RepositoryContainer("r.example", "a").tags_url() == "r.example/v2/a/tags/list"


def test_docker_hub_has_an_api_host():
    repository = connect().repository("index.docker.io", "library/x")
    assert repository.name == "docker.io/library/x"
    assert repository._reader.hostname == "registry-1.docker.io" and repository._reader.prefix == "https"


def test_modules_load_without_oras_and_say_what_is_missing():
    package = connection.__name__.rpartition(".")[0]
    names = sorted(path.stem for path in Path(connection.__file__).parent.glob("*.py") if path.stem != "__init__")
    script = f"""
import importlib, sys
for name in ("oras", "oras.provider", "requests", "urllib3"):
    sys.modules[name] = None
for name in {names!r}:
    importlib.import_module("{package}." + name)
library = importlib.import_module("{package}.library")
print(library.HAS_ORAS, "NotFoundError" in library.ORAS_IMPORT_ERROR)
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    result = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, check=True)
    assert result.stdout.split() == [b"False", b"True"]
