# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""imagePullSecrets, the field by which pods and ServiceAccounts name the Secrets to pull with."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

FIELD = "imagePullSecrets"


def pull_secrets_of(holder: Optional[Mapping[str, Any]]) -> List[str]:
    """The names in the field, each once. holder: a pod's specification or a ServiceAccount; None: it is not there."""
    entries = (holder or {}).get(FIELD) or []
    return list(dict.fromkeys(str(item["name"]) for item in entries if isinstance(item, Mapping) and item.get("name")))


def with_pull_secret(holder: Optional[Mapping[str, Any]], secret: str) -> List[Dict[str, Any]]:
    """The field with one Secret added at the end unless it is there; the others stay."""
    present = [dict(item) for item in (holder or {}).get(FIELD) or []]
    return present if secret in pull_secrets_of(holder) else present + [{"name": secret}]
