# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_repository_snapshot."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ..model.errors import InvalidContent, InvalidInput, NotFound
from ..model.reference import ComponentReference, check_component_name
from ..model.snapshot import MAX_SNAPSHOT_SIZE, Snapshot
from ..store.component_store import open_store
from ..store.safe_tar import file_beside
from ..transfer.inventory import Inventory
from .registries import RegistryContext


def repository_snapshot(context: RegistryContext) -> Dict[str, Any]:
    """Write down what a repository holds."""
    params = context.params
    reference = ComponentReference.parse(params["repository"])
    if reference.version:
        raise InvalidInput("repository names a version.", "A snapshot is of all versions: leave it out.")
    components = list(dict.fromkeys([*([reference.component] if reference.component else []), *params["component"]]))
    for component in components:
        check_component_name(component)
    dest = os.path.expanduser(params["dest"])
    if os.path.isdir(dest):
        raise InvalidInput(f"{dest} is a folder.", "Name the file in dest.")
    registries = context.connect()
    store = open_store(reference.repository, registries)
    try:
        inventory = Inventory(store, registries, params["concurrency"])
        snapshot = inventory.take(components)
    finally:
        store.close()
    for label in inventory.missing:
        context.warn(f"{store.location}: {label} is named there, but is not there. It is left out.")
    return _values(context, snapshot, dest)


def read_snapshot(path: str) -> Snapshot:
    """A file that the module has written. Raises NotFound, InvalidContent."""
    if not os.path.isfile(path):
        raise NotFound(f"{path} does not exist.", "Write it with ocm_repository_snapshot.")
    if os.path.getsize(path) > MAX_SNAPSHOT_SIZE:
        raise InvalidContent(f"{path}: {os.path.getsize(path)} bytes are over the limit of {MAX_SNAPSHOT_SIZE}.")
    with open(path, "rb") as file:
        return Snapshot.parse(file.read(), path)


def _values(context: RegistryContext, snapshot: Snapshot, dest: str) -> Dict[str, Any]:
    content, former = snapshot.to_bytes(), _former(dest)
    changed = former != content
    if changed and not context.check_mode:
        with file_beside(dest) as temporary:
            with open(temporary, "wb") as file:
                file.write(content)
            os.replace(temporary, dest)
    versions = [dict(component=one.component, version=one.version, digest=one.digest or None) for one in snapshot.component_versions]
    values: Dict[str, Any] = dict(
        changed=changed, path=context.params["dest"], size=len(content), component_versions=versions, counts=snapshot.counts()
    )
    if context.wants_diff:
        values["diff"] = dict(
            before_header=dest, after_header=dest, before=_text(_read_former(former, dest)), after=_text(snapshot)
        )
    return values


def _former(path: str) -> Optional[bytes]:
    if not os.path.isfile(path) or os.path.getsize(path) > MAX_SNAPSHOT_SIZE:
        return None
    with open(path, "rb") as file:
        return file.read()


def _read_former(raw: Optional[bytes], path: str) -> Optional[Snapshot]:
    try:
        return None if raw is None else Snapshot.parse(raw, path)
    except InvalidContent:
        return None  # another file: it is replaced, as any file at dest is


def _text(snapshot: Optional[Snapshot]) -> str:
    return "".join(f"{line}\n" for line in snapshot.lines()) if snapshot else ""
