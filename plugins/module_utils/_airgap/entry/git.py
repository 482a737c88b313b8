# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that work with a Git repository (doc fragment ocm.airgap.git)."""

from __future__ import annotations

from typing import Any, Dict

from ..gitops.git import GitSettings
from ..gitops.location import GitLocation
from .module import Context


def git_arguments() -> Dict[str, Any]:
    """The options of the doc fragment, a fresh mapping for each call."""
    return dict(
        git_branch=dict(type="str", default="main"),
        git_username=dict(type="str"),
        git_password=dict(type="str", no_log=True),
        git_ssh_key=dict(type="path", no_log=False),
        git_known_hosts=dict(type="path"),
        git_ca_path=dict(type="path"),
        git_executable=dict(type="str", default="git"),
        git_timeout=dict(type="int", default=120),
    )


def git_settings(context: Context, **more: Any) -> GitSettings:
    """What the options say; the password is masked in all output. more: further fields of GitSettings."""
    params = context.params
    location = GitLocation.parse(params["git_url"], params["git_username"] or "", params["git_password"] or "")
    if location.password:
        context.mask(location.password)
    return GitSettings(
        location=location,
        branch=params["git_branch"],
        ssh_key=params["git_ssh_key"] or "",
        known_hosts=params["git_known_hosts"] or "",
        ca_path=params["git_ca_path"] or "",
        executable=params["git_executable"],
        timeout=params["git_timeout"],
        **more,
    )
