# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that starts from the platform component with Python alone, on archives that ocm_component and ocm_transfer wrote."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile

import pytest

from ansible_collections.ocm.airgap.tests.support.modules import COLLECTION, succeed

SCRIPT = COLLECTION / "docs" / "platform" / "bootstrap.py"
NAME = "example.com/airgap/platform"
FILES = {"collections/ocm-airgap-1.0.0.tar.gz": b"tarball", "wheels/a-1.0-py3-none-any.whl": b"wheel", "wheels/requirements.txt": b"a\n"}


def bootstrap(*arguments):
    """Runs the script without any library of this environment. Returns its code and what it printed."""
    done = subprocess.run([sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def build(folder, archive, versions=("1.0.0",)):
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "flux.yaml").write_text("kind: Namespace\n", encoding="utf-8")
    resources = [
        {"name": "collections", "type": "directoryTree", "input": {"type": "dir", "path": "./collections"}},
        {"name": "wheels", "type": "directoryTree", "input": {"type": "dir", "path": "./wheels", "compress": True}},
        {"name": "flux-manifests", "type": "blob", "input": {"type": "file", "path": "./flux.yaml"}},
    ]
    components = [{"name": NAME, "version": version, "provider": {"name": "example.com"}, "resources": resources} for version in versions]
    succeed("ocm_component", dict(repository=str(folder / archive), constructor=dict(components=components), base=str(folder)))
    return folder / archive


def unpacked(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest_digest(archive):
    return json.loads((archive / "artifact-index.json").read_text(encoding="utf-8"))["artifacts"][0]["digest"]


@pytest.mark.parametrize("archive", ["platform.ctf", "platform.tar", "platform.tgz"])
def test_it_unpacks_collections_and_wheels(tmp_path, archive):
    code, output = bootstrap(build(tmp_path, archive), tmp_path / "out")
    assert code == 0, output
    assert unpacked(tmp_path / "out") == FILES


def test_it_reads_what_a_transfer_wrote_and_runs_twice(tmp_path):
    succeed("ocm_transfer", dict(source=str(build(tmp_path, "made.ctf")), target=str(tmp_path / "moved.tgz"), component=NAME, version="1.0.0"))
    for _time in range(2):
        code, output = bootstrap(tmp_path / "moved.tgz", tmp_path / "out")
        assert code == 0, output
    assert unpacked(tmp_path / "out") == FILES


def test_a_resource_that_is_no_tar_is_a_file(tmp_path):
    assert bootstrap(build(tmp_path, "platform.ctf"), tmp_path / "out", "--resource", "flux-manifests")[0] == 0
    assert unpacked(tmp_path / "out") == {"flux-manifests": b"kind: Namespace\n"}


def test_it_checks_the_digest_that_it_was_given(tmp_path):
    archive = build(tmp_path, "platform.ctf")
    right = manifest_digest(archive)
    assert bootstrap(archive, tmp_path / "out", "--digest", right)[0] == 0
    code, output = bootstrap(archive, tmp_path / "other", "--digest", "sha256:" + "0" * 64)
    assert code != 0 and right in output and "another" in output
    assert not (tmp_path / "other").exists()


def test_every_damaged_blob_that_is_used_is_noticed(tmp_path):
    archive = build(tmp_path, "platform.ctf")
    manifest = json.loads((archive / "blobs" / manifest_digest(archive).replace(":", ".")).read_text(encoding="utf-8"))
    used = [manifest_digest(archive)] + [layer["digest"] for layer in manifest["layers"] if "collections" in str(layer) or "wheels" in str(layer)]
    assert len(used) == 3
    for digest in used:
        blob = archive / "blobs" / digest.replace(":", ".")
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        code, output = bootstrap(archive, tmp_path / "out")
        assert code != 0 and digest in output and "damaged" in output
        blob.write_bytes(content)
    assert bootstrap(archive, tmp_path / "out")[0] == 0


def test_several_versions_have_to_be_told_apart(tmp_path):
    archive = build(tmp_path, "platform.ctf", ("1.0.0", "1.1.0+b"))
    code, output = bootstrap(archive, tmp_path / "out")
    assert code != 0 and f"{NAME} 1.0.0, {NAME} 1.1.0" in output
    assert bootstrap(archive, tmp_path / "out", "--component", NAME, "--version", "1.1.0+b")[0] == 0


@pytest.mark.parametrize("arguments, words", [(("--resource", "nothing"), "nothing is not in the archive; there are: collections, flux-manifests, wheels"),
                                              (("--version", "2"), f"there are: {NAME} 1.0.0")])
def test_what_is_not_there_is_said(tmp_path, arguments, words):
    code, output = bootstrap(build(tmp_path, "platform.ctf"), tmp_path / "out", *arguments)
    assert code != 0 and words in output and "Traceback" not in output


def test_something_else_is_no_archive(tmp_path):
    for archive in (tmp_path, SCRIPT, tmp_path / "absent"):
        code, output = bootstrap(archive, tmp_path / "out")
        assert code != 0 and output.startswith("bootstrap: ")


@pytest.mark.parametrize("name, kind", [("../evil", tarfile.REGTYPE), ("/evil", tarfile.REGTYPE), ("link", tarfile.SYMTYPE), ("a/../../evil", tarfile.REGTYPE)])
def test_nothing_is_written_outside_of_the_folder(tmp_path, name, kind):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as content:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        content.addfile(member, io.BytesIO(b""))
    (tmp_path / "evil.tar").write_bytes(raw.getvalue())
    resource = {"name": "evil", "type": "blob", "input": {"type": "file", "path": str(tmp_path / "evil.tar")}}
    component = {"name": NAME, "version": "1.0.0", "provider": {"name": "example.com"}, "resources": [resource]}
    succeed("ocm_component", dict(repository=str(tmp_path / "platform.ctf"), constructor=component))
    code, output = bootstrap(tmp_path / "platform.ctf", tmp_path / "deep" / "out", "--resource", "evil")
    assert code != 0 and "no plain file below its folder" in output
    assert not list(tmp_path.rglob("evil")) or list(tmp_path.rglob("evil")) == [tmp_path / "deep" / "out" / "evil"]
    assert not list((tmp_path / "deep" / "out" / "evil").iterdir())
