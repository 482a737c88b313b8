# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock: what was delivered, as a JSON file beside the objects. Flux applies YAML files alone, so it passes it over."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..model.digest import digest_of
from ..model.errors import InvalidContent
from .settings import Delivery, options_of
from .workloads import images_of

LOCK_NAME = "ocm-airgap.lock.json"
LOCK_VERSION = 1


def object_digest(definition: Mapping[str, Any]) -> str:
    """The digest of an object: SHA-256 over JSON with sorted keys and no spaces."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def files_digest(files: Mapping[str, bytes]) -> str:
    """The digest of a set of files: that of the mapping of their paths to their digests."""
    return object_digest({path: digest_of(content) for path, content in files.items()})


def component_part(delivery: Delivery, descriptor_digest: Optional[str], images: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """The part of the lock that says what was delivered. images: {component, version, resource, reference, digest}."""
    return dict(
        {
            "lockVersion": LOCK_VERSION,
            "name": delivery.name,
            "component": delivery.component,
            "version": delivery.version,
            "constraint": delivery.constraint or None,
            "repository": delivery.repository,
            "descriptorDigest": descriptor_digest,
            "images": [dict(image) for image in images],
        },
        **options_of(delivery),
    )


def object_entry(definition: Mapping[str, Any], file: str, shared: bool = False) -> Dict[str, Any]:
    """What the lock says of an object in Git."""
    metadata = definition.get("metadata") or {}
    entry = {
        "apiVersion": definition.get("apiVersion"),
        "kind": definition.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "file": file,
        "digest": object_digest(definition),
    }
    return dict(entry, shared=True) if shared else entry


def workload_entry(definition: Mapping[str, Any], namespace: str, by_flux: bool) -> Dict[str, Any]:
    """What the lock says of an object that is delivered. by_flux: its namespace is replaced by the target namespace."""
    metadata = definition.get("metadata") or {}
    entry: Dict[str, Any] = {
        "apiVersion": definition.get("apiVersion"),
        "kind": definition.get("kind"),
        "namespace": namespace if by_flux else metadata.get("namespace") or namespace,
        "name": metadata.get("name"),
    }
    images = images_of(definition)
    return dict(entry, images=images) if images else entry


def dump_lock(lock: Mapping[str, Any]) -> bytes:
    return (json.dumps(lock, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def read_lock(content: bytes, path: str) -> Dict[str, Any]:
    """Raises InvalidContent that names the file."""
    try:
        lock = json.loads(content.decode("utf-8"))
    except ValueError:
        raise InvalidContent(f"{path} is no JSON.", "Restore it from the Git history, or delete it.") from None
    if not isinstance(lock, dict) or lock.get("lockVersion") != LOCK_VERSION:
        raise InvalidContent(
            f"{path}: a lock of the version {LOCK_VERSION} is expected.", "Restore it from the Git history, or delete it."
        )
    return lock


def files_of(lock: Mapping[str, Any]) -> List[str]:
    """Every file that the lock says was written, objects and manifests."""
    entries = [entry for key in ("objects", "manifests") for entry in lock.get(key) or []]
    return list(dict.fromkeys(str(entry["file"]) for entry in entries if isinstance(entry, Mapping) and entry.get("file")))
