# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the variables of a play to what is done once: components, transfers by source, commits by repository. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ..model.errors import InvalidInput
from .location import GitLocation

COMPONENT_KEYS = (
    "component", "version", "constraint", "name", "manifests", "config", "values", "rules", "target_namespace", "follow",
)


def read_components(components: Any, defaults: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The components of one cluster: the list if there is one, else the single one; what an entry lacks is a default.

    defaults: the same keys. Raises InvalidInput for entries without a component and for unknown keys.
    """
    entries = components or [{}]
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise InvalidInput("ocm_airgap_components is not a list.", "It is a list of mappings, each with a component.")
    return [_component(entry, defaults, number) for number, entry in enumerate(entries)]


def _component(entry: Any, defaults: Mapping[str, Any], number: int) -> Dict[str, Any]:
    if isinstance(entry, str):
        entry = {"component": entry}
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"ocm_airgap_components[{number}] is not a mapping.")
    unknown = sorted(set(entry) - set(COMPONENT_KEYS))
    if unknown:
        raise InvalidInput(f"ocm_airgap_components[{number}] has the unknown key {', '.join(unknown)}.", f"There are: {', '.join(COMPONENT_KEYS)}.")
    own = {key: value for key, value in entry.items() if value is not None and value != ""}
    # A version of its own takes the place of the common range, and the other way round.
    usual = {key: value for key, value in defaults.items() if not (key in ("version", "constraint") and {"version", "constraint"} & set(own))}
    merged = dict({key: None for key in COMPONENT_KEYS}, **dict(usual, **own))
    if not merged["component"]:
        raise InvalidInput("No component is named.", "Set ocm_airgap_component, or ocm_airgap_components for several.")
    merged["name"] = merged["name"] or str(merged["component"]).rpartition("/")[2]
    for key in ("version", "constraint"):
        merged[key] = "" if merged[key] is None else merged[key]
        if not isinstance(merged[key], str):
            raise InvalidInput(f"The {key} of {merged['component']} is not a text but {merged[key]!r}.", 'Write it in quotes: "1.10".')
    return {key: value for key, value in merged.items() if value is not None}


def with_versions(components: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The components with exact versions. found: for each that has none, {item: component, component_versions: newest first}."""
    newest = {
        (entry["item"]["component"], entry["item"]["constraint"]): entry["component_versions"][0]["version"] for entry in found
    }
    return [
        dict(component, version=component["version"] or newest[component["component"], component["constraint"]])
        for component in components
    ]


def with_references(
    components: Sequence[Mapping[str, Any]], moves: Sequence[Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    """The components with what the transfer of each has moved, for those without rules: their former images.

    moves: for each transfer {site_move: {component, version}, resources}, as ocm_transfer returned them.
    """
    moved: Dict[Any, List[Any]] = {}
    for entry in moves:
        move = entry.get("site_move") or {}
        images = [item for item in entry.get("resources") or [] if (item.get("after") or {}).get("imageReference")]
        moved.setdefault((move.get("component"), move.get("version")), []).extend(images)
    keys = [(component["component"], component["version"]) for component in components]
    return [dict(component, references=moved.get(key, [])) for component, key in zip(components, keys)]


def transfers_of(clusters: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """What is moved, once for each source and selection with all targets: {leader, source, component, version, targets}.

    clusters: {host, source, target, components} in the order of the play; the first that wants something leads.
    """
    found: Dict[Any, Dict[str, Any]] = {}
    for cluster in clusters:
        for component in cluster["components"]:
            key = (cluster["source"], component["component"], component["version"])
            entry = dict(
                leader=cluster["host"], source=cluster["source"], component=component["component"],
                version=component["version"], targets=[],
            )
            targets = found.setdefault(key, entry)["targets"]
            if cluster["target"] not in targets:
                targets.append(cluster["target"])
    return list(found.values())


def commits_of(clusters: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """What is committed, once for each repository and branch: {leader, hosts, url, components}.

    clusters: {host, git_url, git_branch, git_push_branch, components}; components that several clusters read from one
    folder are listed once. Raises InvalidInput when clusters want one folder differently.
    """
    found: Dict[Any, Dict[str, Any]] = {}
    for cluster in clusters:
        if not cluster.get("git_url"):
            continue
        url = GitLocation.parse(str(cluster["git_url"])).url
        key = (url, cluster["git_branch"], cluster.get("git_push_branch") or cluster["git_branch"])
        group = found.setdefault(key, dict(leader=cluster["host"], hosts=[], url=url, components=[]))
        group["hosts"].append(cluster["host"])
        for component in cluster["components"]:
            _add(group["components"], component, cluster["host"])
    return list(found.values())


def _add(components: List[Mapping[str, Any]], component: Mapping[str, Any], host: str) -> None:
    for known in components:
        if (known.get("git_path"), known.get("name")) == (component.get("git_path"), component.get("name")):
            if known != component:
                raise InvalidInput(
                    f"{host} and another cluster of the play read {component.get('name')} from one folder, but want it differently.",
                    "Give each a folder of its own: ocm_airgap_git_path and ocm_airgap_git_manifests_path.",
                )
            return
    components.append(component)
