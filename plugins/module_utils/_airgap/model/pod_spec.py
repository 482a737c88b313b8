# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the pod specification of a workload is, its lists of containers, and the Secrets that it names to pull with."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
# ServiceAccounts have it, too.
FIELD = "imagePullSecrets"
_TEMPLATES = {"Pod": (), "CronJob": ("spec", "jobTemplate", "spec", "template")}


def template_path(kind: str) -> Tuple[str, ...]:
    """The keys that lead from an object that makes pods to its pod template, a mapping with `metadata` and `spec`."""
    return _TEMPLATES.get(kind, ("spec", "template"))


def pull_secrets_of(holder: Optional[Mapping[str, Any]]) -> List[str]:
    """The names in the field, each once. holder: a pod's specification or a ServiceAccount; None: it is not there."""
    entries = (holder or {}).get(FIELD) or []
    return list(dict.fromkeys(str(item["name"]) for item in entries if isinstance(item, Mapping) and item.get("name")))


def with_pull_secret(holder: Optional[Mapping[str, Any]], secret: str) -> List[Dict[str, Any]]:
    """The field with one Secret added at the end unless it is there; the others stay."""
    present = [dict(item) for item in (holder or {}).get(FIELD) or []]
    return present if secret in pull_secrets_of(holder) else present + [{"name": secret}]
