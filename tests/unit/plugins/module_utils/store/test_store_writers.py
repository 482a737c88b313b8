# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs that write to one archive: one goes on, the other is told."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import Refused
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.manifest import OCI_MANIFEST, Manifest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.reference import RepositoryReference
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.component_store import open_target
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.store.ctf import in_memory

FORMS = pytest.mark.parametrize("form", ["folder", "x.tar", "x.tgz"])
EMPTY = Manifest.parse(b'{"schemaVersion":2,"layers":[]}', OCI_MANIFEST)


@pytest.fixture
def open_it(tmp_path):
    """Opens the archive of a form for writing, as another run each time."""
    opened = []

    def opening(form):
        opened.append(open_target(RepositoryReference(path=str(tmp_path / form)), None))
        return opened[-1]

    yield opening
    for store in opened:
        store.close()


def write(store, tag):
    store.artifacts("acme/image").put_manifest(EMPTY, tag)
    store.commit()
    store.close()


@FORMS
def test_the_second_writer_is_refused_while_the_first_is_at_work(open_it, form):
    first, second = open_it(form), open_it(form)
    first.begin()
    with pytest.raises(Refused, match="Another run is writing"):
        second.begin()
    write(first, "1")
    third = open_it(form)
    third.begin()
    write(third, "2")
    assert open_it(form).artifacts("acme/image").tags() == ["1", "2"]


def test_a_folder_that_was_written_meanwhile_is_read_anew(open_it):
    first, second = open_it("folder"), open_it("folder")
    first.begin()
    write(first, "1")
    second.begin()
    write(second, "2")
    assert open_it("folder").artifacts("acme/image").tags() == ["1", "2"]


@pytest.mark.parametrize("form", ["x.tar", "x.tgz"])
def test_a_tar_that_was_written_meanwhile_is_not_replaced(open_it, form):
    first, second = open_it(form), open_it(form)
    first.begin()
    write(first, "1")
    with pytest.raises(Refused, match="has written"):
        second.begin()
    assert open_it(form).artifacts("acme/image").tags() == ["1"]


@FORMS
def test_what_an_interrupted_run_left_goes_when_nobody_writes(open_it, form, tmp_path):
    interrupted = open_it(form)
    interrupted.begin()
    interrupted.ctf.spool(digest_of(b"shared"), 6, in_memory(b"shared"))
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left
    other = open_it(form)
    other.tidy()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == left
    interrupted.close()
    other.tidy()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@FORMS
def test_where_nothing_is_left_nothing_is_made(open_it, form, tmp_path):
    open_it(form).tidy()
    assert not list(tmp_path.iterdir())
