# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_transfer."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidInput
from ..model.identity import parse_selector
from ..model.placement import parse_path_mapping
from ..model.reference import RepositoryReference
from ..model.snapshot import Snapshot, common
from ..oci.journal import UploadJournal
from ..store.parts import check_part_size
from ..transfer.options import SHARED, TransferOptions
from ..transfer.run import Transfer, TransferResult
from .module import Failed
from .progress import progress_to
from .registries import RegistryContext
from .repository_snapshot import read_snapshot
from .selection import read_selection


def placement_arguments() -> Dict[str, Any]:
    """Options that decide what references at the target look like."""
    return dict(
        reference_form=dict(type="str", choices=["tag_digest", "tag"], default="tag_digest"),
        path_mapping=dict(
            type="list",
            elements="dict",
            default=[],
            options={"from": dict(type="str", required=True), "to": dict(type="str", required=True)},
        ),
    )


def transfer(context: RegistryContext) -> Dict[str, Any]:
    """Move component versions."""
    params = context.params
    source, selection = read_selection(params, "source")
    targets = [RepositoryReference.parse(target) for target in params["target"]]
    if not targets or len(set(map(str, targets))) != len(targets):
        raise InvalidInput("target must name at least one repository, and each only once.")
    for option in ("part_size", "known_content"):
        if params[option] and not any(target.is_archive for target in targets):
            raise InvalidInput(f"{option} is given, but no target is an archive.", "Leave it out.")
    options, path = read_options(params), None if context.check_mode else params["progress_file"]
    journal = _journal(context, source, targets)
    with context.temporary_folder("ocm-transfer-") as folder, progress_to(path, context.warn) as progress:
        move = Transfer(options, lambda: context.connect(journal=journal), context.check_mode, folder, progress)
        result = move.run(source, targets, selection)
        if not result.failures:
            context.connect(journal=journal).cancel_left_uploads()
    return finish(context, result)


def _journal(
    context: RegistryContext, source: RepositoryReference, targets: Sequence[RepositoryReference]
) -> Optional[UploadJournal]:
    """Where uploads are kept for the next run: the option journal, else a file beside a source that is an archive."""
    path = context.params["journal"]
    if not path and source.is_archive:
        folder, name = os.path.split(os.path.abspath(os.path.expanduser(source.path)))
        path = os.path.join(folder, f".{name}.journal") if os.access(folder, os.W_OK) else None
    wanted = path and not context.check_mode and not all(target.is_archive for target in targets)
    return UploadJournal(path, context.warn) if wanted else None


def finish(context: RegistryContext, result: TransferResult) -> Dict[str, Any]:
    """Tell the warnings and give the return values. Raises Failed, with the values, when a target failed."""
    for warning in dict.fromkeys(result.warnings):
        context.warn(warning)
    values = transfer_values(result, context.wants_diff)
    if result.failures:
        done = len({item["target"] for item in result.component_versions})
        error = result.failures[0][1]
        if done or len(result.failures) > 1:
            told = "; ".join(f"{name}: {problem}" for name, problem in result.failures)
            error = type(error)(f"{len(result.failures)} of {done + len(result.failures)} targets failed: {told}")
        raise Failed(error, values)
    return values


def read_options(params: Dict[str, Any]) -> TransferOptions:
    """The options of a transfer. Raises InvalidInput."""
    return TransferOptions(
        copy_resources=params["copy_resources"],
        copy_sources=params["copy_sources"],
        recursive=params["recursive"],
        overwrite=params["overwrite"],
        with_digest=params["reference_form"] == "tag_digest",
        path_mapping=parse_path_mapping(params["path_mapping"]),
        by_reference=frozenset(params["by_reference_access_types"]),
        check=params["check"],
        resources=_resources(params["resources"]),
        concurrency=params["concurrency"],
        part_size=0 if params["part_size"] is None else check_part_size(params["part_size"]),
        archive_layout=params["archive_layout"],
        known=_known_content(params),
    )


def _known_content(params: Dict[str, Any]) -> Snapshot:
    """What all places that an archive is for hold. Raises InvalidInput, InvalidContent."""
    paths = [os.path.expanduser(path) for path in params["known_content"]]
    if not paths:
        return Snapshot("")
    if params["archive_layout"] != SHARED:
        raise InvalidInput(
            f"known_content cannot be used with archive_layout {params['archive_layout']}: sets are packed whole.",
            "Set archive_layout to shared.",
        )
    return common([read_snapshot(path) for path in paths])


def _resources(names: Any) -> Tuple[Mapping[str, str], ...]:
    if names is not None and not names:
        raise InvalidInput("resources is an empty list.", "Name at least one resource, or leave it out to move all.")
    return tuple(parse_selector(name) for name in names or ())


def transfer_values(result: TransferResult, wants_diff: bool) -> Dict[str, Any]:
    """The module's return values."""
    values: Dict[str, Any] = dict(
        changed=result.changed,
        component_versions=result.component_versions,
        resources=result.resources,
        statistics=result.statistics,
    )
    if wants_diff:
        values["diff"] = _diff(result)
    return values


def _diff(result: TransferResult) -> List[Dict[str, str]]:
    """For each target, what was there and what is there now."""
    found = []
    for target in dict.fromkeys(item["target"] for item in result.component_versions):
        before, after = [], []
        for item in result.component_versions:
            if item["target"] != target:
                continue
            line = f"{item['component']}:{item['version']}"
            before += [] if item["action"] == "transferred" else [line]
            after.append(line if item["action"] != "updated" else f"{line} (updated)")
            moved = [entry for entry in result.resources if _belongs(entry, item)]
            after += [f"  {entry['kind']} {entry['name']}: {_place(entry)} ({entry['action']})" for entry in moved]
        after += ["the archive's file is written again"] if target in result.rewritten else []
        found.append(dict(before_header=target, after_header=target, before=_text(before), after=_text(after)))
    return found


def _belongs(entry: Dict[str, Any], version: Dict[str, Any]) -> bool:
    same = all(entry[key] == version[key] for key in ("target", "component", "version"))
    return same and entry["action"] in ("transferred", "restored")


def _place(entry: Dict[str, Any]) -> str:
    after = entry["after"]
    return str(after.get("imageReference") or after.get("localReference") or after.get("type"))


def _text(lines: List[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
