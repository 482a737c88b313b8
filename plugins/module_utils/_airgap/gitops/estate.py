# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the variables of a play to what is done once: components, transfers by source, commits by repository. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidInput
from ..model.reference import RepositoryReference
from ..oci.settings import split_location
from .location import GitLocation
from .pull_secret import entry_for

COMPONENT_KEYS = (
    "component", "version", "constraint", "name", "manifests", "config", "values", "rules", "target_namespace", "follow",
    "replaces",
)
# Options that hold for a commit as a whole.
_OF_A_COMMIT = ("foreign_images", "git_adopt")


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
    """What is moved, once for each source and selection with all targets.

    {leader, hosts, source, component, version, overwrite, targets} of each; hosts: all that want it, the leader first.
    clusters: {host, source, target, overwrite, components} in the order of the play; the first that wants something leads.
    """
    found: Dict[Any, Dict[str, Any]] = {}
    for cluster in clusters:
        overwrite = bool(cluster.get("overwrite"))
        for component in cluster["components"]:
            key = (cluster["source"], component["component"], component["version"], overwrite)
            entry = dict(
                leader=cluster["host"],
                hosts=[],
                source=cluster["source"],
                component=component["component"],
                version=component["version"],
                overwrite=overwrite,
                targets=[],
            )
            move = found.setdefault(key, entry)
            for name, value in (("hosts", cluster["host"]), ("targets", cluster["target"])):
                move[name] += [] if value in move[name] else [value]
    return list(found.values())


def joint_registries(clusters: Sequence[Tuple[Any, Sequence[Mapping[str, Any]]]]) -> List[Dict[str, Any]]:
    """The option registries of a task that one cluster does for several: each one's target is reached by its account.

    clusters: (target or targets, registries) of each, first that of the cluster that does it, whose entries hold for
    everything else. Where two have different entries for one host, the second one's holds for its target alone. Raises
    InvalidInput for what is no host and no repository.
    """
    found = [dict(entry) for entry in (clusters[0][1] if clusters else ())]
    for targets, registries in clusters[1:]:
        for target in [targets] if isinstance(targets, str) else targets:
            _add_account(found, RepositoryReference.parse(target), registries)
    return found


def _add_account(
    found: List[Dict[str, Any]], target: RepositoryReference, registries: Sequence[Mapping[str, Any]]
) -> None:
    own = None if target.is_archive else entry_for(registries, target)
    if own is None or _but_host(own) == _but_host(entry_for(found, target)):
        return
    place = "/".join(part for part in (target.host, target.prefix) if part)
    if place not in [_place_of(entry) for entry in found]:  # of two accounts for one target the first is as good
        found.append(dict(own, host=place))


def _but_host(entry: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    return None if entry is None else {key: value for key, value in entry.items() if key != "host"}


def _place_of(entry: Mapping[str, Any]) -> str:
    return "/".join(part for part in split_location(str(entry["host"]), "An entry of registries") if part)


def commits_of(clusters: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """What is committed, once for each repository and branch: {leader, hosts, url, components}.

    clusters: {host, git_url, git_branch, git_push_branch, foreign_images, git_adopt, components}; components that
    several clusters read from one folder are listed once. Raises InvalidInput when clusters want one folder, or one
    commit, differently.
    """
    found: Dict[Any, Dict[str, Any]] = {}
    leaders: Dict[Any, Mapping[str, Any]] = {}
    for cluster in clusters:
        if not cluster.get("git_url"):
            continue
        url = GitLocation.parse(str(cluster["git_url"])).url
        key = (url, cluster["git_branch"], cluster.get("git_push_branch") or cluster["git_branch"])
        group = found.setdefault(key, dict(leader=cluster["host"], hosts=[], url=url, components=[]))
        group["hosts"].append(cluster["host"])
        _require_same(leaders.setdefault(key, cluster), cluster)
        for component in cluster["components"]:
            _add(group["components"], component, cluster["host"])
    return list(found.values())


def _require_same(leader: Mapping[str, Any], cluster: Mapping[str, Any]) -> None:
    for option in _OF_A_COMMIT:
        if leader.get(option) != cluster.get(option):
            raise InvalidInput(
                f"{leader['host']} and {cluster['host']} are served by one commit, but differ in ocm_airgap_{option}.",
                "Give all clusters of a branch the same value, or run the playbook for each (--limit).",
            )


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


def outcome_text(outcome: Mapping[str, Any]) -> str:
    """What has become of one cluster of a play, in a line.

    outcome: {cluster, components, done (phases), transferred, commit, merged, failed, phase, task, reason}.
    """
    moved = f" Transferred: {', '.join(outcome['transferred'])}." if outcome["transferred"] else ""
    commit = f" Commit: {outcome['commit']}." if outcome["commit"] else ""
    commit += "" if outcome["merged"] else " It has to be merged."
    done = f" Done: {', '.join(outcome['done'])}.{moved}{commit}" if outcome["done"] else ""
    if outcome["failed"]:
        task = f" ({outcome['task']})" if outcome["task"] else ""
        return f"{outcome['cluster']}: FAILED in the phase {outcome['phase']}{task}: {outcome['reason']}{done}"
    return f"{outcome['cluster']}: {', '.join(outcome['components']) or 'nothing'}.{done}"
