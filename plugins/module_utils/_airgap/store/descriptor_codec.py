# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component descriptors as bytes: every form that readers must accept, and the one form that is written.

Follows the OCM specification's mapping to OCI registries and what the OCM tools and Gardener's wrote over the years.
"""

from __future__ import annotations

from typing import Any

from ..model.descriptor import ComponentDescriptor
from ..model.errors import InvalidContent
from .safe_tar import END_OF_ARCHIVE, Limits, tar_entries, tar_file
from .yaml_text import dump_yaml, load_yaml

FILE_NAME = "component-descriptor.yaml"
MAX_DESCRIPTOR_SIZE = 32 * 1024 * 1024

CONFIG_TYPE = "application/vnd.ocm.software.component.config.v1+json"
CONFIG_TYPES = (
    CONFIG_TYPE,
    "application/vnd.gardener.cloud.cnudie.component.config.v1+json",
    "application/vnd.oci.gardener.cloud.cnudie.component-descriptor-metadata.config.v2+json",
)
LAYER_TYPE = "application/vnd.ocm.software.component-descriptor.v2+yaml+tar"
LAYER_TYPES = tuple(
    f"application/vnd.{owner}.component-descriptor.v2+{form}"
    for owner in ("ocm.software", "gardener.cloud.cnudie")
    for form in ("yaml+tar", "json+tar", "yaml", "json")
) + ("application/vnd.oci.gardener.cloud.cnudie.component-descriptor.config.v2+yaml+tar",)
ARTIFACT_TYPE = "application/vnd.ocm.software.component-descriptor.v2"


def decode_descriptor(raw: bytes, where: str) -> ComponentDescriptor:
    """Read a descriptor from a tar, from YAML or from JSON; its bytes decide which. Raises InvalidContent."""
    text = _from_tar(raw, where) if raw[257:262] == b"ustar" else raw
    return ComponentDescriptor.from_mapping(load_yaml(text, where), where)


def encode_descriptor(descriptor: ComponentDescriptor) -> bytes:
    """The layer that the old OCM tool writes: a tar with one YAML file. The same descriptor gives the same bytes."""
    return tar_file(FILE_NAME, dump_yaml(_plain(descriptor.content)), mode=0) + END_OF_ARCHIVE


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _from_tar(raw: bytes, where: str) -> bytes:
    for entry in tar_entries([raw], where, Limits(MAX_DESCRIPTOR_SIZE, 100)):
        if entry.name == FILE_NAME:
            return b"".join(entry.blocks())
    raise InvalidContent(f"{where}: the descriptor's tar has no {FILE_NAME}.")
