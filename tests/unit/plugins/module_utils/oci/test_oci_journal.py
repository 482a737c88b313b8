# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of uploads as a file, and what the next run makes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from contextlib import nullcontext

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.content_source import SeekableSource
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci import journal as journal_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.journal import OpenUpload, UploadJournal
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.oci.upload_session import UploadSession
from ansible_collections.ocm.airgap.tests.support.distributions import BOTH
from ansible_collections.ocm.airgap.tests.support.oci_client import connect
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry

CHUNK = 1024 * 1024
CONTENT = random.Random(6).randbytes(4 * CHUNK + 77)
DIGEST = digest_of(CONTENT)
ONE = OpenUpload("registry.test", "a/b", DIGEST, len(CONTENT), "https://registry.test/upload?_state=signed", CHUNK)
OTHER = OpenUpload("registry.test", "a/c", DIGEST, len(CONTENT), "https://registry.test/other", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".x.tgz.journal"


class TestFile:
    def test_what_was_kept_is_found_once(self, path):
        UploadJournal(str(path)).keep(ONE)
        assert path.stat().st_mode & 0o777 == 0o600
        later = UploadJournal(str(path))
        assert later.take("registry.test", "a/b", DIGEST, 1) is None
        assert later.take("registry.test", "a/b", DIGEST, len(CONTENT)) == ONE
        assert later.take("registry.test", "a/b", DIGEST, len(CONTENT)) is None
        assert UploadJournal(str(path)).take_all() == [ONE]

    def test_it_goes_with_the_last_entry(self, path):
        journal = UploadJournal(str(path))
        for upload in (ONE, OTHER):
            journal.keep(upload)
        journal.forget(*ONE.key)
        assert UploadJournal(str(path)).take_all() == [OTHER]
        journal.forget(*OTHER.key)
        journal.forget(*OTHER.key)
        assert os.listdir(path.parent) == []

    def test_two_runs_keep_what_the_other_one_wrote(self, path):
        first, second = UploadJournal(str(path)), UploadJournal(str(path))
        uploads = [OpenUpload("registry.test", f"a/{number}", DIGEST, 1, "https://registry.test/", 0) for number in range(40)]

        def write(journal, own):
            for upload in own:
                journal.keep(upload)

        threads = [threading.Thread(target=write, args=pair) for pair in ((first, uploads[::2]), (second, uploads[1::2]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(UploadJournal(str(path)).take_all(), key=str) == sorted(uploads, key=str)

    @pytest.mark.parametrize(
        "text",
        [
            "not JSON",
            "{}",
            "[" * 100_000,
            '{"kind": "ocm.airgap.uploads/v1", "uploads": [{"host": "x"}]}',
            '{"kind": "ocm.airgap.uploads/v1", "uploads": {"host": "x"}}',
            '{"kind": "another/v1", "uploads": []}',
            json.dumps({"kind": journal_module.KIND, "uploads": [dict(vars(ONE), size="5")]}),
            json.dumps({"kind": journal_module.KIND, "uploads": [dict(vars(ONE), digest="sha256:x")]}),
            json.dumps({"kind": journal_module.KIND, "uploads": [dict(vars(ONE), offset=-1)]}),
            json.dumps({"kind": journal_module.KIND, "uploads": [dict(vars(ONE), location=None)]}),
        ],
        ids=range(10),
    )
    def test_another_file_is_told_and_left_as_it_is(self, path, text):
        path.write_text(text)
        path.chmod(0o600)
        self.check_left(path, "journal|form")
        assert path.read_text() == text

    @pytest.mark.parametrize("shape", ["group", "link", "folder", "pipe"])
    def test_what_others_may_have_written_is_not_read(self, path, shape):
        real = path.with_name("real")
        UploadJournal(str(real)).keep(ONE)
        if shape == "group":
            real.rename(path)
            path.chmod(0o660)
        elif shape == "link":
            path.symlink_to(real)
        elif shape == "folder":
            path.mkdir()
        else:
            os.mkfifo(str(path), 0o600)
        self.check_left(path, str(path))

    def test_a_folder_that_is_not_there(self, path):
        told = []
        UploadJournal(str(path / "x"), told.append).keep(ONE)
        assert len(told) == 1 and "No such file" in told[0]

    def test_a_folder_that_somebody_holds(self, path, monkeypatch):
        monkeypatch.setattr(journal_module, "LOCK_SECONDS", 0.05)
        told = []
        with journal_module._locked(str(path.parent)):
            UploadJournal(str(path), told.append).keep(ONE)
        assert len(told) == 1 and "locked" in told[0] and not path.exists()

    def check_left(self, path, pattern):
        told = []
        journal = UploadJournal(str(path), told.append)
        assert journal.take_all() == []
        journal.keep(ONE)
        journal.forget(*ONE.key)
        assert len(told) == 1 and str(path) in told[0] and "begins anew" in told[0]
        assert "_state" not in told[0]

    def test_without_a_file_nothing_is_written(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        UploadJournal().keep(ONE)
        assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Ends a run where it stands."""


class Source(SeekableSource):
    """CONTENT. killed_at: the process ends when so much was read. opened: the offsets at which it was opened."""

    def __init__(self, killed_at=-1):
        self.killed_at, self.opened = killed_at, []

    def __call__(self):
        return self.open_at(0)

    def open_at(self, offset):
        self.opened.append(offset)
        return nullcontext(self._blocks(offset))

    def _blocks(self, offset):
        while offset < len(CONTENT):
            if 0 <= self.killed_at <= offset:
                raise Killed
            yield CONTENT[offset : offset + CHUNK // 8]
            offset += CHUNK // 8


@pytest.fixture
def start(tmp_path_factory):
    """start(binary): a running registry; start(binary, stopped): one that was stopped, at its port again."""
    open_ones = []

    def run(binary, stopped=None):
        folder, port = (stopped.folder, stopped.port) if stopped else (tmp_path_factory.mktemp("registry"), 0)
        context = run_registry(folder, RegistryOptions(binary=binary, port=port))
        open_ones.append(context)
        return context.__enter__()

    yield run
    for context in open_ones:
        context.__exit__(None, None, None)


def registries_with(path):
    return connect(chunk_size=CHUNK, journal=UploadJournal(str(path)))


def put(registries, registry, source, path="a/b"):
    return registries.repository(registry.host, path, plain_http=True).put_blob(DIGEST, len(CONTENT), source)


def kill(registry, path, monkeypatch, at=2 * CHUNK):
    """A run that ends where it stands, and cancels nothing."""
    with monkeypatch.context() as patched:
        patched.setattr(UploadSession, "cancel", lambda _session: None)
        with pytest.raises(Killed):
            put(registries_with(path), registry, Source(at))
    assert len(registry.uploads()) == 1 and path.exists()


def stopped_after_kill(folder, binary, path, monkeypatch):
    """A registry that does not run any more, so that nothing of the kill is still on its way to the disk."""
    with run_registry(folder, RegistryOptions(binary=binary)) as registry:
        kill(registry, path, monkeypatch)
    return registry


def patches(registry):
    return [status for method, _path, status in registry.requests() if method == "PATCH" and status == 202]


@BOTH
class TestNextRun:
    def test_goes_on_between_chunks(self, start, binary, path, monkeypatch):
        registry = start(binary)
        kill(registry, path, monkeypatch)
        assert len(patches(registry)) == 2
        source = Source()
        assert put(registries_with(path), registry, source) == "copied"
        assert source.opened == [2 * CHUNK] and len(patches(registry)) == 5
        assert registry.blobs()[DIGEST].read_bytes() == CONTENT
        assert registry.uploads() == [] and not path.exists()

    def test_the_blob_arrived_meanwhile(self, start, binary, path, monkeypatch):
        registry = start(binary)
        kill(registry, path, monkeypatch)
        put(connect(), registry, Source())
        assert put(registries_with(path), registry, Source()) == "present"
        assert registry.uploads() == [] and not path.exists()

    def test_the_registry_has_purged_it(self, start, binary, path, tmp_path, monkeypatch):
        stopped = stopped_after_kill(tmp_path / "registry", binary, path, monkeypatch)
        shutil.rmtree(str(stopped.uploads()[0]))
        registry, source = start(binary, stopped), Source()
        assert put(registries_with(path), registry, source) == "copied" and source.opened == [0]
        assert registry.uploads() == [] and not path.exists()

    def test_what_was_put_together_is_wrong(self, start, binary, path, tmp_path, monkeypatch):
        stopped = stopped_after_kill(tmp_path / "registry", binary, path, monkeypatch)
        upload = stopped.uploads()[0]
        (upload / "data").write_bytes(b"?" * 2 * CHUNK)
        for state in upload.glob("hashstates/*/*"):
            state.unlink()
        registry = start(binary, stopped)
        assert put(registries_with(path), registry, Source()) == "copied"
        assert registry.blobs()[DIGEST].read_bytes() == CONTENT
        assert len(registry.uploads()) <= (binary == "docker-registry") and not path.exists()

    def test_nobody_wants_it_any_more(self, start, binary, path, monkeypatch):
        registry = start(binary)
        kill(registry, path, monkeypatch)
        registries_with(path).cancel_left_uploads()
        assert registry.uploads() == [] and not path.exists()

    def test_a_registry_that_is_away_keeps_its_entry(self, start, binary, path, monkeypatch):
        registry = start(binary)
        kill(registry, path, monkeypatch)
        entry = json.loads(path.read_text())["uploads"][0]
        entry.update(host="localhost:1", location="http://localhost:1/x")
        path.write_text(json.dumps({"kind": journal_module.KIND, "uploads": [entry]}))
        registries_with(path).cancel_left_uploads()
        assert UploadJournal(str(path)).take_all()[0].host == "localhost:1"


def test_an_address_on_another_host_is_not_followed(plain_registry, path):
    UploadJournal(str(path)).keep(OpenUpload(plain_registry.host, "a/b", DIGEST, len(CONTENT), "http://localhost:1/x", 0))
    assert put(registries_with(path), plain_registry, Source()) == "copied"
    assert plain_registry.blobs()[DIGEST].read_bytes() == CONTENT and not path.exists()
