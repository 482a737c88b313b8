# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_component_info."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import NotFound
from ..model.identity import identity_of, matches, nearest_hint, identity_text, parse_selector
from ..store.component_store import ComponentStore, open_store
from ..store.component_version import NotAComponentVersion, StoredVersion
from ..store.closure import Closure, Key, Selection, references_of, resolve_versions, roots_first
from .registries import RegistryContext
from .selection import read_selection

ReferencePath = List[Dict[str, str]]


def component_info(context: RegistryContext) -> Dict[str, Any]:
    """Read component versions and describe them."""
    params = context.params
    reference, selection = read_selection(params)
    store = open_store(reference, context.connect())
    try:
        versions, roots = _read(store, selection, bool(params["recursive"]), context)
    finally:
        store.close()
    selector = parse_selector(params["resource"]) if params["resource"] else None
    paths = _reference_paths(versions, roots)
    described = [describe(version, paths[_key(version)], selector) for version in versions]
    if selector and not any(item["resources"] for item in described):
        elements = [element for version in versions for element in version.descriptor.resources]
        raise NotFound(
            f"{store.location}: no resource {identity_text(selector)} in {', '.join(map(str, versions))}.",
            nearest_hint(selector, elements),
        )
    return dict(changed=False, component_versions=described)


def _read(
    store: ComponentStore, selection: Selection, recursive: bool, context: RegistryContext
) -> Tuple[List[StoredVersion], List[Key]]:
    keys = resolve_versions(store, selection.component, selection.version, selection.constraint)
    closure = Closure(store, recursive)
    roots: List[Key] = []
    for key in keys:
        try:
            closure.read(key)
            roots.append(key)
        except NotAComponentVersion as error:
            if selection.version:
                raise
            context.warn(f"{error} It is left out.")
    return roots_first(closure.children_first(roots), roots), roots


def _key(version: StoredVersion) -> Key:
    return version.descriptor.name, version.descriptor.version


def _reference_paths(versions: Sequence[StoredVersion], roots: Sequence[Key]) -> Dict[Key, ReferencePath]:
    """The shortest way by references from a root to each version."""
    by_key = {_key(version): version for version in versions}
    paths: Dict[Key, ReferencePath] = {key: [] for key in roots}
    todo = list(roots)
    while todo:
        current = todo.pop(0)
        references = by_key[current].descriptor.references
        for element, child in zip(references, references_of(by_key[current])):
            if child in by_key and child not in paths:
                paths[child] = paths[current] + [identity_of(element, references)]
                todo.append(child)
    return paths


def describe(
    version: StoredVersion, path: ReferencePath, selector: Optional[Mapping[str, str]] = None
) -> Dict[str, Any]:
    """The return value for one component version."""
    descriptor = version.descriptor
    resources = descriptor.resources
    chosen = [element for element in resources if selector is None or matches(element, resources, selector)]
    return dict(
        component=descriptor.name,
        version=descriptor.version,
        provider=descriptor.provider["name"],
        schema=descriptor.schema,
        digest=version.digest or None,
        resources=[dict(_element(item, resources), relation=item.get("relation"), digest=item.get("digest"), reference_path=path) for item in chosen],
        sources=[_element(item, descriptor.sources) for item in descriptor.sources],
        references=[_reference(item, descriptor.references) for item in descriptor.references],
        labels=descriptor.labels,
        signatures=descriptor.signatures,
        descriptor=descriptor.content,
    )


def _element(element: Mapping[str, Any], elements: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    return dict(
        name=element["name"],
        version=element["version"],
        type=element["type"],
        identity=identity_of(element, elements),
        access=element["access"],
        labels=element.get("labels") or [],
    )


def _reference(element: Mapping[str, Any], elements: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    return dict(
        name=element["name"],
        component=element["componentName"],
        version=element["version"],
        identity=identity_of(element, elements),
        digest=element.get("digest"),
        labels=element.get("labels") or [],
    )
