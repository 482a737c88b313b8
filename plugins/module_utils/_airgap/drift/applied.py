# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Flux makes of the documents in Git: in which namespace, with which pull secret, what it leaves alone. Pure."""

from __future__ import annotations

import copy
import json
import posixpath
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple

from ..cluster.objects import KUSTOMIZATION, Kind, Object, mapping, sequence, text
from ..gitops.apply import CLUSTER_KINDS
from ..gitops.lock import object_digest
from ..gitops.tree import KUSTOMIZATION_FILES, Tree, key_of, split_documents
from ..gitops.workloads import (
    SUFFIXES,
    documents,
    is_object,
    manifests_of,
    namespace_patch,
    pod_spec,
    pull_secret_patches,
)
from ..model.digest import digest_of
from ..model.errors import InvalidContent, Refused
from ..model.pod_spec import FIELD, with_pull_secret
from .keepers import Place

_RECONCILE, _SSA = f"{KUSTOMIZATION.group}/reconcile", f"{KUSTOMIZATION.group}/ssa"
_LOCAL = "config.kubernetes.io/local-config"
# Fields of a Kustomization of Flux by which objects become others than they are in Git.
_CHANGING = ("components", "ignore", "images")
_RENAMING = ("namePrefix", "nameSuffix")
# What a kustomization.yaml may have without changing more than namespaces.
_HARMLESS = frozenset(("apiVersion", "buildMetadata", "kind", "metadata", "namespace", "resources", "sortOptions"))


@dataclass(frozen=True)
class Applied:
    """An object as Flux applies it. file: where it lies in Git.

    whole: what it states is applied so. Where Flux changes objects in ways that are not followed here, all that is
    known is that it exists.
    """

    place: Place
    definition: Mapping[str, Any]
    file: str
    whole: bool = True


@dataclass(frozen=True)
class Kustomize:
    """How a Kustomization of Flux changes what it applies.

    spec: its own. pull_secret: what the patches that are followed here add, "" for none. files_change: a
    kustomization.yaml among the files changes them, too.
    """

    spec: Mapping[str, Any]
    pull_secret: str = ""
    files_change: bool = False

    @property
    def elsewhere(self) -> bool:
        """Whether the objects get into another cluster, or get other names: then nothing is known about them."""
        return bool(mapping(self.spec, "kubeConfig")) or any(text(self.spec, key) for key in _RENAMING)

    @property
    def adds_pull_secret(self) -> bool:
        return any(patch in self._pull_secret_patches for patch in sequence(self.spec, "patches"))

    def apply(self, definition: Mapping[str, Any], file: str, namespace: str = "") -> Applied:
        """namespace: for objects that name none where the Kustomization has no target namespace."""
        result: Dict[str, Any] = copy.deepcopy(dict(definition))
        own = text(result, "metadata", "namespace")
        there = text(self.spec, "targetNamespace") or own or namespace
        there = "" if text(result, "kind") in CLUSTER_KINDS else there
        pods = pod_spec(result)
        if self.adds_pull_secret and pods is not None:
            pods[FIELD] = with_pull_secret(pods, self.pull_secret)
        kind = Kind(text(result, "apiVersion"), text(result, "kind"))
        place = Place(kind, there, text(result, "metadata", "name"))
        return Applied(place, result, file, not self._changes(result))

    def _changes(self, definition: Mapping[str, Any]) -> bool:
        known = [*self._pull_secret_patches, namespace_patch()]
        foreign = [patch for patch in sequence(self.spec, "patches") if patch not in known]
        substitutes = bool(self.spec.get("postBuild")) and "${" in json.dumps(definition, default=str)
        return self.files_change or substitutes or bool(foreign) or any(self.spec.get(key) for key in _CHANGING)

    @property
    def _pull_secret_patches(self) -> List[Any]:
        return pull_secret_patches(self.pull_secret) if self.pull_secret else []


def document_of(tree: Tree, entry: Mapping[str, Any]) -> Optional[Object]:
    """The object of a lock's entry as it is in Git; None where it is not, or is encrypted."""
    wanted = key_of({"apiVersion": entry["apiVersion"], "kind": entry["kind"], "metadata": entry})
    for _text, document in split_documents(_content(tree, str(entry["file"]))):
        if is_object(document) and key_of(document) in (wanted, wanted[:2] + ("",) + wanted[3:]):
            return None if "sops" in document else document
    return None


def _content(tree: Tree, file: str) -> bytes:
    """A file of the tree; nothing where it is missing, or a link, of which the comparison of the tree tells."""
    try:
        return tree.read(file) or b""
    except Refused:
        return b""


def edited_files(tree: Tree, lock: Mapping[str, Any]) -> FrozenSet[str]:
    """The files of a lock that somebody has edited or removed since it was written."""
    objects = {
        text(entry, "file")
        for entry in sequence(lock, "objects")
        if _is_edited(document_of(tree, entry), entry)
    }
    manifests = {
        text(entry, "file")
        for entry in sequence(lock, "manifests")
        if digest_of(_content(tree, text(entry, "file"))) != text(entry, "digest")
    }
    return frozenset(objects | manifests)


def _is_edited(document: Optional[Object], entry: Mapping[str, Any]) -> bool:
    return document is None or object_digest(document) != text(entry, "digest")


def manifests_in(tree: Tree, lock: Mapping[str, Any]) -> Iterator[Tuple[str, Object]]:
    """(file, object) of the rendered manifests in Git that Flux applies. What cannot be read is passed over."""
    for file in _manifest_files(lock):
        for name, manifest in _readable({file: _content(tree, file)}):
            local = text(manifest, "metadata", "annotations", _LOCAL)
            if "sops" not in manifest and local in ("", "false"):
                yield name, manifest


def manifests_are_changed(tree: Tree, lock: Mapping[str, Any]) -> Tuple[bool, bool]:
    """Whether a kustomization.yaml among the manifests changes them, and whether it changes their names."""
    keys = set()
    for file in _manifest_files(lock, kustomization=True):
        try:
            for document in documents(_content(tree, file), file):
                keys.update(key for key, value in mapping(document).items() if value)
        except InvalidContent:
            keys.add("")
    return bool(keys - _HARMLESS), bool(keys & set(_RENAMING))


def _manifest_files(lock: Mapping[str, Any], kustomization: bool = False) -> List[str]:
    files = [text(entry, "file") for entry in sequence(lock, "manifests")]
    if kustomization:
        return [file for file in files if posixpath.basename(file) in KUSTOMIZATION_FILES]
    return [file for file in files if file.lower().endswith(SUFFIXES)]


def _readable(files: Mapping[str, bytes]) -> List[Tuple[str, Object]]:
    try:
        return list(manifests_of(files))
    except InvalidContent:
        return []


def is_left_alone(obj: Object) -> bool:
    """Whether Flux neither applies nor corrects an object, by its labels or annotations, in Git or in the cluster."""
    return _says(obj, _RECONCILE, "disabled") or _says(obj, _SSA, "Ignore")


def is_only_created(obj: Object) -> bool:
    """Whether Flux creates an object in Git, and leaves it alone once it is there."""
    return _says(obj, _SSA, "IfNotPresent")


def _says(obj: Object, key: str, value: str) -> bool:
    metadata = mapping(obj, "metadata")
    return any(text(metadata, part, key).lower() == value.lower() for part in ("annotations", "labels"))
