# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name a repository and component versions in it."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from ..model.errors import InvalidInput
from ..model.reference import ComponentReference, RepositoryReference, check_component_name
from ..model.version import tag_of
from ..store.closure import Selection


def repository_argument(required: bool = True) -> Dict[str, Any]:
    return dict(repository=dict(type="str", required=required))


def selection_arguments() -> Dict[str, Any]:
    """component, version and constraint."""
    return dict(component=dict(type="str"), version=dict(type="str"), constraint=dict(type="str"))


def read_selection(params: Mapping[str, Any], option: str = "repository") -> Tuple[RepositoryReference, Selection]:
    """Repository and selection; a reference `repository//component:version` may stand for all of them.

    Raises InvalidInput for bad names and for two that contradict each other.
    """
    reference = ComponentReference.parse(params[option])
    component = _one(option, "component", reference.component, params.get("component") or "")
    version = _one(option, "version", reference.version, params.get("version") or "")
    if component:
        check_component_name(component)
    if version:
        tag_of(version)
    return reference.repository, Selection(component, version, params.get("constraint") or "")


def _one(option: str, name: str, written: str, given: str) -> str:
    if written and given and written != given:
        raise InvalidInput(f"{option} names the {name} {written}, the option {name} says {given}.", "Give one of them.")
    return written or given
