# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_component."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Tuple

from ..construct.run import construct_component_versions
from ..model.errors import InvalidContent, NotFound
from ..model.reference import RepositoryReference
from ..store.yaml_text import load_yaml
from ..transfer.options import TransferOptions
from .registries import RegistryContext
from .transfer import finish


def component(context: RegistryContext) -> Dict[str, Any]:
    """Write component versions from a constructor."""
    params = context.params
    constructor, folder = _constructor(params)
    options = TransferOptions(
        copy_resources=False, recursive=True, overwrite=params["overwrite"], concurrency=params["concurrency"]
    )
    target = RepositoryReference.parse(params["repository"])
    result = construct_component_versions(constructor, folder, target, options, context.connect, context.check_mode)
    return finish(context, result)


def _constructor(params: Mapping[str, Any]) -> Tuple[Mapping[str, Any], str]:
    """The constructor and the folder that the paths in it begin at. Raises NotFound, InvalidContent."""
    if params["constructor"] is not None:
        return params["constructor"], os.path.expanduser(params["base"] or ".")
    path = os.path.expanduser(params["constructor_file"])
    if not os.path.isfile(path):
        raise NotFound(f"{path} is not a file.", "constructor_file names the constructor.")
    with open(path, "rb") as file:
        content = load_yaml(file.read(), path)
    if not isinstance(content, Mapping):
        raise InvalidContent(f"{path}: a constructor is a mapping with components.")
    return content, os.path.dirname(os.path.abspath(path))
