# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_localize."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..localize.component import ComponentFiles, Placement, read_folder
from ..localize.former import former_references
from ..localize.paths import JSONPATH_IMPORT_ERROR
from ..localize.rules import LocalizeResult, foreign_images, localize as apply_rules, rewrite_references
from ..localize.schema import JSONSCHEMA_IMPORT_ERROR
from ..localize.write import write_files
from ..model.config_data import ConfigData
from ..model.errors import InvalidInput
from ..model.reference import RepositoryReference
from ..sources.content import ContentFinder
from ..store.component_store import ComponentStore, open_store
from ..store.closure import resolve_versions
from ..model.placement import parse_path_mapping
from .registries import RegistryContext
from .selection import read_selection


def libraries() -> List[Tuple[str, Any]]:
    """(name, import error or None) of what localizing needs beside the registries' libraries."""
    return [("jsonpath-ng", JSONPATH_IMPORT_ERROR), ("jsonschema", JSONSCHEMA_IMPORT_ERROR)]


def localize(context: RegistryContext) -> Dict[str, Any]:
    """Localize and configure manifests."""
    params = context.params
    _check(params)
    placement = _placement(params)
    store: Optional[ComponentStore] = None
    try:
        component = None
        if params["repository"]:
            registries = context.connect()
            reference, selection = read_selection(params)
            store = open_store(reference, registries)
            keys = resolve_versions(store, selection.component, selection.version, selection.constraint)
            component = ComponentFiles(store, store.read(*keys[0]), ContentFinder(store, registries), context.warn)
        files = read_folder(os.path.expanduser(params["src"])) if params["src"] else component.manifests(params["manifests"])
        result = _localized(params, files, component, placement)
    finally:
        if store is not None:
            store.close()
    for warning in result.warnings:
        context.warn(warning)
    return _values(context, files, result, _target_text(params, placement))


def _check(params: Mapping[str, Any]) -> None:
    if not params["src"] and not params["repository"]:
        raise InvalidInput("There are no manifests to localize.", "Give repository and manifests, or src (a folder).")
    if params["repository"] and not params["src"] and not params["manifests"]:
        raise InvalidInput("repository is given, but not which of its resources holds the manifests.", "Give manifests.")
    if not params["repository"] and params["rules"] is None and params["references"] is None and params["values"] is None:
        raise InvalidInput("There is nothing to localize by.", "Give repository, rules or references.")


def _placement(params: Mapping[str, Any]) -> Optional[Placement]:
    if not params["target"]:
        return None
    target = RepositoryReference.parse(params["target"])
    if target.is_archive:
        raise InvalidInput(f"target {params['target']!r} is an archive; images are pulled from registries.")
    return Placement(target, params["reference_form"] == "tag_digest", parse_path_mapping(params["path_mapping"]))


def _target_text(params: Mapping[str, Any], placement: Optional[Placement]) -> str:
    """host/prefix that images may come from without being foreign; "" when that is not known."""
    reference = placement.target if placement else None
    if reference is None and params["repository"]:
        reference = read_selection(params)[0]
    if reference is None or reference.is_archive:
        return ""
    return "/".join(part for part in (reference.host, reference.prefix) if part)


def _localized(
    params: Mapping[str, Any], files: Dict[str, bytes], component: Optional[ComponentFiles], placement: Optional[Placement]
) -> LocalizeResult:
    if params["references"] is not None:
        return rewrite_references(files, former_references(params["references"]))
    config = _config(params, component)
    if component is None:
        image_of = _no_component
    else:
        image_of = component.image_of(placement)
    return apply_rules(files, config, image_of, params["values"], params["tag_form"])


def _config(params: Mapping[str, Any], component: Optional[ComponentFiles]) -> ConfigData:
    if params["rules"] is not None:
        return ConfigData.from_mapping(params["rules"], "rules")
    if component is None:
        raise InvalidInput("values are given, but no rules that use them.", "Give rules, or repository and config.")
    return component.config(params["config"])


def _no_component(resource: Mapping[str, Any]) -> str:
    raise InvalidInput(
        f"A rule names the resource {resource.get('name')!r}, but no component version is given.",
        "Give repository, component and version.",
    )


def _values(context: RegistryContext, files: Mapping[str, bytes], result: LocalizeResult, target: str) -> Dict[str, Any]:
    dest = context.params["dest"]
    written: Dict[str, Any] = {}
    if dest:
        written = write_files(result.files, os.path.expanduser(dest), context.check_mode)
    values: Dict[str, Any] = dict(
        changed=bool(written),
        files=sorted(result.files),
        images=[_change(change) for change in result.changes if change.kind != "configuration"],
        configured=[_change(change) for change in result.changes if change.kind == "configuration"],
        foreign_images=foreign_images(result.files, target) if target else [],
    )
    if context.wants_diff:
        values["diff"] = _diff(_before(files, written) if dest else files, result.files, dest or "")
    return values


def _change(change: Any) -> Dict[str, Any]:
    return dict(file=change.file, path=change.path, before=change.before, after=change.after)


def _before(files: Mapping[str, bytes], written: Mapping[str, Optional[bytes]]) -> Dict[str, bytes]:
    """What each written file is compared with: what was there, for a new file the manifest before the rules."""
    return {name: files[name] if old is None else old for name, old in written.items()}


def _diff(before: Mapping[str, bytes], after: Mapping[str, bytes], folder: str) -> List[Dict[str, str]]:
    """A before and after for every file that differs."""
    found = []
    for name in sorted(before):
        old, new = _text(before[name]), _text(after[name])
        if old != new:
            header = os.path.join(folder, name)
            found.append(dict(before_header=header, after_header=header, before=old, after=new))
    return found


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
