# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_gitops with state absent, and what both states say of a commit."""

from __future__ import annotations

import posixpath
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..gitops.git import GitClone, GitSettings, Published, publish
from ..gitops.removal import Removal, RemovalPlan, former_lock, plan_removal, read_removal, sharing_of
from ..gitops.tree import Tree
from ..model.errors import InvalidInput
from .git import git_settings
from .module import Context


def remove_deliveries(context: Context) -> Dict[str, Any]:
    """Take deliveries out of a Git branch. A delivery whose lock went earlier is told from the branch's history."""
    params = context.params
    if not params["git_url"]:
        raise InvalidInput("git_url is missing.", "What is to go is recorded in the Git repository.")
    removals = [read_removal(options) for options in params["components"]]
    settings = publish_settings(context)
    found: Dict[str, RemovalPlan] = {}

    def plan(tree: Tree) -> RemovalPlan:
        planned = plan_removal(tree, removals)
        # On a branch of its own for pushing it may have gone already. What the cluster reads tells more.
        found.update({folder: planned for folder in planned.locks})
        return planned

    with context.temporary_folder("git-") as folder:
        clone = GitClone(context.run, folder, settings)
        message = params["git_message"] or _message(removals)
        published = publish(clone, settings, plan, message, context.check_mode, time.sleep)
        missing = [removal for removal in removals if removal.folder not in found] if published.revision else []
        former = _former_locks(clone, settings, missing)
    for warning in published.plan.warnings:
        context.warn(warning)
    values = published_values(context, published)
    values["components"] = [_described(removal, found.get(removal.folder), published, former) for removal in removals]
    return values


def _former_locks(clone: GitClone, settings: GitSettings, removals: Sequence[Removal]) -> Dict[str, Dict[str, Any]]:
    """The locks that earlier commits of the branch have removed, by folder."""
    if not removals:
        return {}
    clone.check_out(settings.branch, whole=True)
    texts = {removal: clone.removed_file(removal.lock_path) for removal in removals}
    return {removal.folder: former_lock(text, removal.lock_path) for removal, text in texts.items() if text is not None}


def _described(
    removal: Removal, plan: Optional[RemovalPlan], published: Published, former: Mapping[str, Dict[str, Any]]
) -> Dict[str, Any]:
    others = getattr(plan or published.plan, "others", {})
    lock = plan.locks[removal.folder] if plan else former.get(removal.folder)
    # What is in another folder is another cluster's.
    near = {folder: other for folder, other in others.items() if posixpath.dirname(folder) == removal.git_path}
    return dict(name=removal.name, lock=lock, sharing=sharing_of(lock, near) if lock else None)


def _message(removals: Sequence[Removal]) -> str:
    names = list(dict.fromkeys(removal.name for removal in removals))
    subject = names[0] if len(names) == 1 else f"{len(names)} components"
    return "\n".join([f"Remove {subject}", ""] + [f"- {removal.folder}" for removal in removals])


def publish_settings(context: Context) -> GitSettings:
    params = context.params
    return git_settings(context, push_branch=params["git_push_branch"] or "", author=params["git_author"])


def published_values(context: Context, published: Published) -> Dict[str, Any]:
    """What the module returns of a commit; in check mode it has no name yet."""
    made = published.revision if not (context.check_mode and published.changed) else ""
    values: Dict[str, Any] = dict(
        changed=published.changed,
        commit=made or None,
        revision=f"{published.branch}@sha1:{made}" if made else None,
        branch=published.branch,
        merged=published.merged,
        files=sorted(published.plan.edits),
    )
    if context.wants_diff:
        values["diff"] = _diff(published)
    return values


def _diff(published: Published) -> List[Dict[str, str]]:
    found = []
    for path, after in sorted(published.plan.edits.items()):
        before = published.before.get(path)
        found.append(
            dict(
                before_header=path if before is not None else f"{path} (absent)",
                after_header=path if after is not None else f"{path} (absent)",
                before=(before or b"").decode("utf-8", "replace"),
                after=(after or b"").decode("utf-8", "replace"),
            )
        )
    return found
