# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_resource."""

from __future__ import annotations

import os
from typing import Any, Dict

from ..model.errors import InvalidInput
from ..model.identity import parse_reference_path, parse_selector, select
from ..sources.content import ContentFinder, stated_digest
from ..sources.download import Download, as_file, as_folder, as_text
from ..store.component_store import open_store
from ..store.closure import follow, resolve_versions
from .registries import RegistryContext
from .selection import read_selection


def resource(context: RegistryContext) -> Dict[str, Any]:
    """Download one resource."""
    params = context.params
    reference, selection = read_selection(params)
    if params["extract"] and not params["dest"]:
        raise InvalidInput("extract is set, but there is no dest.", "Name the folder in dest.")
    registries = context.connect()
    store = open_store(reference, registries)
    try:
        keys = resolve_versions(store, selection.component, selection.version, selection.constraint)
        root = store.read(*keys[0])
        version = follow(store, root, parse_reference_path(params["reference_path"]))
        element = select(version.descriptor.resources, parse_selector(params["resource"]), str(version))
        where = version.descriptor.label_of("resource", element)
        content = ContentFinder(store, registries).find(version, "resource", element)
        expected = stated_digest(element)
        if params["dest"]:
            write = as_folder if params["extract"] else as_file
            found = write(content, expected, os.path.expanduser(params["dest"]), where, context.check_mode)
        else:
            found = as_text(content, expected, where)
    finally:
        store.close()
    return _values(context, found)


def _values(context: RegistryContext, found: Download) -> Dict[str, Any]:
    dest = context.params["dest"]
    values: Dict[str, Any] = dict(
        changed=found.changed,
        path=dest,
        digest=found.digest or None,
        media_type=found.media_type,
        size=found.size,
    )
    if found.text is not None:
        values["content"] = found.text
    if context.wants_diff and dest:
        after = f"{found.digest}\n"
        values["diff"] = dict(
            before_header=dest, after_header=dest, before="" if found.changed else after, after=after
        )
    return values
