# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is carried to a machine that has nothing: wheels and collections, made from those that are installed here.

The estate has no way to a package registry, from which they are fetched otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Scripts, which an installer makes anew, and a third of ansible-core that nobody needs there.
_LEFT_OUT = ("..", "ansible_test")


def write_wheels(packages: Iterable[str], folder: Path) -> None:
    """Packs installed Python packages, with those that they need, as wheels."""
    done: set[str] = set()
    todo = [Requirement(name) for name in packages]
    while todo:
        wanted = todo.pop()
        if canonicalize_name(wanted.name) in done:
            continue
        done.add(canonicalize_name(wanted.name))
        found = metadata.distribution(wanted.name)
        _write_wheel(found, folder)
        needed = map(Requirement, found.requires or [])
        todo += [each for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]


def _write_wheel(found: metadata.Distribution, folder: Path) -> None:
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2] for line in lines if line.startswith("Tag: ")]
    # All tags in one name: every part is a list of what its tags say.
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*(each.split("-") for each in tags)))
    name = f"{canonicalize_name(found.metadata['Name']).replace('-', '_')}-{found.version}"
    record, place = [], ""
    with zipfile.ZipFile(folder / f"{name}-{tag}.whl", "w") as wheel:
        for file in found.files or []:
            if file.parts[0] in _LEFT_OUT or file.suffix == ".pyc" or file.name in ("INSTALLER", "REQUESTED"):
                continue
            if file.name == "RECORD":
                place = str(file)
                continue
            content = file.read_binary()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(content)}")
            wheel.writestr(str(file), content)
        wheel.writestr(place, "\n".join([*record, f"{place},,", ""]))


def write_collection(name: str, folder: Path) -> None:
    """Packs name and version of an installed collection as what Galaxy serves: ours depends on them."""
    manifest = json.loads((_collection(name) / "MANIFEST.json").read_text(encoding="utf-8"))
    listed = json.dumps({"files": [_entry(".", "dir")], "format": 1}).encode()
    manifest["file_manifest_file"] = _entry("FILES.json", "file", listed)
    version = manifest["collection_info"]["version"]
    with tarfile.open(folder / f"{name.replace('.', '-')}-{version}.tar.gz", "w:gz") as tar:
        for path, text in (("MANIFEST.json", json.dumps(manifest).encode()), ("FILES.json", listed)):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text), 0o644
            tar.addfile(member, io.BytesIO(text))


def _collection(name: str) -> Path:
    for root in os.environ["ANSIBLE_COLLECTIONS_PATH"].split(":"):
        found = Path(root, "ansible_collections", *name.split("."))
        if (found / "MANIFEST.json").exists():
            return found
    raise AssertionError(f"the collection {name} is in no folder of ANSIBLE_COLLECTIONS_PATH")


def _entry(name: str, kind: str, content: bytes = b"") -> dict[str, object]:
    """A line of a collection's lists of files."""
    digest = hashlib.sha256(content).hexdigest() if kind == "file" else None
    return {"name": name, "ftype": kind, "chksum_type": digest and "sha256", "chksum_sha256": digest, "format": 1}
