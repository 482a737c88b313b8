# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Component descriptors as bytes: every form that readers must accept, and the one form that is written.

Follows the OCM specification's mapping to OCI registries and what the OCM tools and Gardener's wrote over the years.
"""

from __future__ import annotations

import io
import json
import tarfile
from functools import lru_cache

from ..model.descriptor import ComponentDescriptor
from ..model.errors import InvalidContent
from .safe_tar import END_OF_ARCHIVE, CheckedTarInfo, check_kind, tar_file
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
    text = _from_tar(raw, where) if _is_tar(raw) else raw
    return ComponentDescriptor.from_mapping(load_yaml(text, where), where)


def encode_descriptor(descriptor: ComponentDescriptor) -> bytes:
    """The layer that the old OCM tool writes: a tar with one YAML file. The same descriptor gives the same bytes."""
    return _encoded(json.dumps(descriptor.content, sort_keys=True))


@lru_cache(maxsize=8)
def _encoded(content: str) -> bytes:
    """Kept, since a plan asks how long a layer is before it is written, and to make one of many elements takes long."""
    return tar_file(FILE_NAME, dump_yaml(json.loads(content)), mode=0) + END_OF_ARCHIVE


def _is_tar(raw: bytes) -> bool:
    """True for tars, also those of before POSIX, which have no mark and are told by the name of their entry."""
    first_name = raw[:100].partition(b"\0")[0].decode("ascii", "replace")
    return raw[257:262] == b"ustar" or (len(raw) >= tarfile.BLOCKSIZE and _is_descriptor_name(first_name))


def _is_descriptor_name(name: str) -> bool:
    return name in (FILE_NAME, f"/{FILE_NAME}", f"./{FILE_NAME}")


def _from_tar(raw: bytes, where: str) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:", tarinfo=CheckedTarInfo) as archive:
            for member in archive:
                if _is_descriptor_name(member.name):
                    return _content(archive, member, where)
    except (tarfile.TarError, EOFError, RecursionError) as error:
        raise InvalidContent(f"{where}: the descriptor's tar cannot be read ({error}).") from None
    raise InvalidContent(f"{where}: the descriptor's tar has no {FILE_NAME}.")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    check_kind(member, where)
    file = archive.extractfile(member)
    if file is None or member.size > MAX_DESCRIPTOR_SIZE:
        raise InvalidContent(f"{where}: {member.name} is no file of at most {MAX_DESCRIPTOR_SIZE} bytes.")
    return file.read()
