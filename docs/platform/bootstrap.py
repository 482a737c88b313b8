# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts from the platform component on a machine that has nothing but Python: unpacks resources of an archive.

Reads a common transport archive (CTF: a folder, .tar or .tgz) with the standard library alone. Everything that is read
is checked against its digest; with --digest the chain begins at a digest that came another way than the archive.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

DESCRIPTORS = "component-descriptors/"
ARTIFACT = "software.ocm.artifact"
BLOCK = 1024 * 1024


class Problem(Exception):
    """What the user has to know."""


class Archive:
    """The files of a CTF, a folder or a tar."""

    def __init__(self, path):
        self.path = path
        self.tar = None if os.path.isdir(path) else tarfile.open(path, "r:*")

    def open(self, name):
        if self.tar is None:
            return open(os.path.join(self.path, *name.split("/")), "rb")
        for candidate in (name, "./" + name):
            try:
                found = self.tar.extractfile(candidate)
            except KeyError:
                continue
            if found is not None:
                return found
        raise FileNotFoundError(name)

    def blob(self, digest, target):
        """Copies a blob to a binary file and checks it."""
        algorithm, _sep, value = digest.partition(":")
        if algorithm not in ("sha256", "sha512") or not value.isalnum():
            raise Problem(f"{digest!r} is not a digest")
        check = hashlib.new(algorithm)
        try:
            with self.open(f"blobs/{algorithm}.{value}") as source:
                for block in iter(lambda: source.read(BLOCK), b""):
                    check.update(block)
                    target.write(block)
        except FileNotFoundError:
            raise Problem(f"{self.path} has no blob {digest}") from None
        if check.hexdigest() != value:
            raise Problem(f"{self.path}: the blob {digest} is damaged, it has the digest {algorithm}:{check.hexdigest()}")

    def document(self, digest):
        target = io.BytesIO()
        self.blob(digest, target)
        return json.loads(target.getvalue().decode("utf-8"))


def find_version(archive, component, version):
    """The entry of the one component version that is meant."""
    try:
        with archive.open("artifact-index.json") as source:
            entries = json.loads(source.read().decode("utf-8"))["artifacts"]
    except FileNotFoundError:
        raise Problem(f"{archive.path} is no common transport archive: it has no artifact-index.json") from None
    found = [entry for entry in entries if entry["repository"].startswith(DESCRIPTORS) and entry.get("tag")]
    names = sorted(f"{entry['repository'][len(DESCRIPTORS):]} {entry['tag']}" for entry in found)
    found = [entry for entry in found if component in ("", entry["repository"][len(DESCRIPTORS):])]
    # OCI tags have no "+": OCM writes it as ".build-".
    found = [entry for entry in found if version in ("", entry["tag"], entry["tag"].replace(".build-", "+"))]
    if len(found) != 1:
        raise Problem(f"say which component version is meant with --component and --version; there are: {', '.join(names) or 'none'}")
    return found[0]


def layers_of(archive, digest):
    """Resource name -> layer, from a component version's manifest."""
    manifest = archive.document(digest)
    if "manifests" in manifest:
        manifest = archive.document(manifest["manifests"][0]["digest"])
    layers = {}
    for layer in manifest.get("layers", []):
        for artifact in json.loads(layer.get("annotations", {}).get(ARTIFACT, "[]")):
            if artifact.get("kind") == "resource":
                layers[artifact["identity"]["name"]] = layer
    return layers


def unpack(archive, layer, dest):
    """Writes a resource: the files of a tar into the folder dest, anything else into the file dest."""
    partial = f"{dest}.partial"
    with open(partial, "wb") as target:
        archive.blob(layer["digest"], target)
    if not tarfile.is_tarfile(partial):
        os.replace(partial, dest)
        return
    if os.path.isdir(dest):
        shutil.rmtree(dest)
    os.makedirs(dest)
    with tarfile.open(partial, "r:*") as content:
        for member in content:
            write_member(content, member, dest)
    os.remove(partial)


def write_member(content, member, dest):
    """Writes one file of a tar; nothing but plain files and folders below dest."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.name.startswith("/") or ".." in parts or not (member.isreg() or member.isdir()):
        raise Problem(f"the archive holds {member.name!r}, which is no plain file below its folder")
    target = os.path.join(dest, *parts)
    os.makedirs(target if member.isdir() else os.path.dirname(target), exist_ok=True)
    if member.isreg():
        with content.extractfile(member) as source, open(target, "wb") as written:
            shutil.copyfileobj(source, written, BLOCK)


def install(dest, folder):
    """Makes a virtual environment from the wheels and puts the collections into it. No network is used."""
    wheels, collections = os.path.join(dest, "wheels"), os.path.join(dest, "collections")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = os.path.join(folder, "bin", "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links", wheels]
    subprocess.run(pip + ["-r", os.path.join(wheels, "requirements.txt")], check=True)
    tarballs = sorted(os.path.join(collections, name) for name in os.listdir(collections) if name.endswith(".tar.gz"))
    target = os.path.join(folder, "collections")
    galaxy = os.path.join(folder, "bin", "ansible-galaxy")
    command = [galaxy, "collection", "install", "--offline", "--force", "--collections-path", target, *tarballs]
    subprocess.run(command, check=True, env=dict(os.environ, ANSIBLE_COLLECTIONS_PATH=target))
    print(f"Ready. Use it with:\n  export ANSIBLE_COLLECTIONS_PATH={target}\n  {folder}/bin/ansible-playbook ocm.airgap.import ...")


def read_arguments(arguments):
    parser = argparse.ArgumentParser(description="Unpacks resources of a component version from an archive.")
    parser.add_argument("archive", help="a common transport archive: a folder, .tar or .tgz")
    parser.add_argument("dest", help="the folder to unpack into")
    parser.add_argument("--component", default="", help="the component's name, if the archive holds several")
    parser.add_argument("--version", default="", help="its version, if the archive holds several")
    parser.add_argument("--digest", default="", help="the digest that the component version's manifest must have")
    parser.add_argument("--resource", action="append", help="a resource to unpack; default: collections and wheels")
    parser.add_argument("--venv", default="", help="make a virtual environment here from what was unpacked")
    return parser.parse_args(arguments)


def main(arguments):
    options = read_arguments(arguments)
    archive = Archive(options.archive)
    entry = find_version(archive, options.component, options.version)
    if options.digest and entry["digest"] != options.digest:
        raise Problem(f"the archive holds another {entry['repository'][len(DESCRIPTORS):]} {entry['tag']}: {entry['digest']}")
    layers = layers_of(archive, entry["digest"])
    wanted = options.resource or ["collections", "wheels"]
    missing = [name for name in wanted if name not in layers]
    if missing:
        raise Problem(f"{', '.join(missing)} is not in the archive; there are: {', '.join(sorted(layers)) or 'none'}")
    os.makedirs(options.dest, exist_ok=True)
    for name in wanted:
        unpack(archive, layers[name], os.path.join(options.dest, name.replace("/", "_")))
        print(f"{name}: {layers[name]['digest']}")
    if options.venv:
        install(options.dest, os.path.abspath(options.venv))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Problem, OSError, EOFError, ValueError, KeyError, tarfile.TarError, subprocess.CalledProcessError) as error:
        sys.exit(f"bootstrap: {error}")
