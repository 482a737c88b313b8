# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm charts as OCI artifacts: a manifest over the chart's metadata, its .tgz and, where there is one, its provenance.

Follows Helm's media types and the order of its metadata, so that the same .tgz gets the same digest from every tool.
"""

from __future__ import annotations

import json
import os
import posixpath
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..model.digest import digest_of
from ..model.errors import InvalidContent, NotFound
from ..model.manifest import OCI_MANIFEST, ContentDescriptor, Manifest
from ..model.version import Version
from ..sources.helm import CHART_TYPE
from ..store.component_version import BlobContent
from ..store.ctf import in_memory
from ..store.repository import ArtifactRepository, Blocks
from ..store.safe_tar import tar_entries
from ..store.yaml_text import load_yaml
from .folder_tar import file_source, folder_tar, list_folder_without, pattern_of
from .packing import measure, wrapping

CONFIG_TYPE = "application/vnd.cncf.helm.config.v1+json"
PROVENANCE_TYPE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
METADATA_FILE = "Chart.yaml"
IGNORE_FILE = ".helmignore"
_ALWAYS_IGNORED = "templates/.?*"
_MAX_METADATA_SIZE = 1024 * 1024

# the fields of Chart.yaml in Helm's order, with the kind of their value
_DEPENDENCY = (
    ("name", "text!"), ("version", "text"), ("repository", "text!"), ("condition", "text"), ("tags", "texts"),
    ("enabled", "flag"), ("import-values", "any"), ("alias", "text"),
)
_FIELDS = (
    ("name", "text"), ("home", "text"), ("sources", "texts"), ("version", "text"), ("description", "text"),
    ("keywords", "texts"), ("maintainers", (("name", "text"), ("email", "text"), ("url", "text"))), ("icon", "text"),
    ("apiVersion", "text"), ("condition", "text"), ("tags", "text"), ("appVersion", "text"), ("deprecated", "flag"),
    ("annotations", "map"), ("kubeVersion", "text"), ("dependencies", _DEPENDENCY), ("type", "text"),
)


@dataclass(frozen=True)
class Chart:
    """A chart's metadata as Chart.yaml has it, its .tgz, and its provenance file or None. Digests are known."""

    metadata: Mapping[str, Any]
    content: BlobContent
    provenance: Optional[BlobContent] = None

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        return str(self.metadata["version"])


class ChartRepository(ArtifactRepository):
    """A repository with one artifact: a chart."""

    def __init__(self, chart: Chart, name: str) -> None:
        self.name = name
        config = _go_json(_in_order(dict({"apiVersion": "v1"}, **_without_empty(chart.metadata)), _FIELDS))
        self._blobs: Dict[str, BlobContent] = {}
        layers = [self._add(chart.content)] + ([self._add(chart.provenance)] if chart.provenance else [])
        raw = _go_json({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self._add(BlobContent(CONFIG_TYPE, digest_of(config), len(config), in_memory(config))),
            "layers": layers,
        })
        self.manifest = Manifest.parse(raw, OCI_MANIFEST, "", name)

    def _add(self, blob: BlobContent) -> Dict[str, Any]:
        self._blobs[blob.digest] = blob
        return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}

    def tags(self) -> List[str]:
        return []

    def head_manifest(self, reference: str) -> Optional[ContentDescriptor]:
        return self.manifest.descriptor() if reference == self.manifest.digest else None

    def get_manifest(self, reference: str) -> Manifest:
        if reference != self.manifest.digest:
            raise NotFound(f"{self.name} has no manifest {reference}.")
        return self.manifest

    def blob_size(self, digest: str) -> Optional[int]:
        return self._blobs[digest].size if digest in self._blobs else None

    def open_blob(self, digest: str, size: int = -1) -> Blocks:
        if digest not in self._blobs:
            raise NotFound(f"{self.name} has no blob {digest}.")
        return self._blobs[digest].open()


def read_chart(path: str, where: str) -> Chart:
    """A chart from its folder or its .tgz. Raises NotFound, InvalidContent, InvalidInput (links in the folder)."""
    if os.path.isdir(path):
        return _chart_of_folder(path, where)
    return chart_of(_blob_of_file(path, CHART_TYPE, where), where, _provenance_of(path, where))


def chart_of(content: BlobContent, where: str, provenance: Optional[BlobContent] = None) -> Chart:
    """A chart from the content of its .tgz, whose digest and size are known. Raises InvalidContent."""
    with content.open() as blocks:
        metadata = _metadata_of_tar(blocks, where)
    return Chart(_checked(metadata, where), content, provenance)


def _chart_of_folder(path: str, where: str) -> Chart:
    source = file_source(os.path.join(path, METADATA_FILE), where)
    with source() as blocks:
        metadata = _checked(load_yaml(b"".join(blocks), f"{where} {METADATA_FILE}"), where)
    entries = [entry for entry in list_folder_without(path, _Ignores(path, where), where) if not entry.is_folder]
    entries.sort(key=lambda entry: entry.name != METADATA_FILE)
    packed = wrapping(folder_tar(entries, str(metadata["name"])))
    measured = measure(packed)
    return Chart(metadata, BlobContent(CHART_TYPE, measured.digest, measured.size, packed))


def _provenance_of(path: str, where: str) -> Optional[BlobContent]:
    beside = f"{path}.prov"
    return _blob_of_file(beside, PROVENANCE_TYPE, where) if os.path.isfile(beside) else None


def _blob_of_file(path: str, media_type: str, where: str) -> BlobContent:
    source = file_source(path, where)
    measured = measure(source)
    return BlobContent(media_type, measured.digest, measured.size, source)


def _metadata_of_tar(blocks: Iterator[bytes], where: str) -> Any:
    """Chart.yaml of the chart itself; those of charts inside it lie deeper."""
    for entry in tar_entries(blocks, where):
        parts = entry.name.split("/")
        if len(parts) == 2 and parts[1] == METADATA_FILE and not entry.is_folder:
            if entry.size > _MAX_METADATA_SIZE:
                limit = f"over the limit of {_MAX_METADATA_SIZE}"
                raise InvalidContent(f"{where}: {entry.name} has {entry.size} bytes, {limit}.")
            return load_yaml(b"".join(entry.blocks()), f"{where} {entry.name}")
    raise InvalidContent(f"{where}: not a Helm chart, it has no <name>/{METADATA_FILE}.")


def _checked(metadata: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(metadata, Mapping):
        raise InvalidContent(f"{where}: {METADATA_FILE} is not a mapping.")
    for field in ("name", "version"):
        if not metadata.get(field):
            raise InvalidContent(f"{where}: {METADATA_FILE} has no {field}.")
    name = str(metadata["name"])
    if name in (".", "..") or name != posixpath.basename(name):
        raise InvalidContent(f"{where}: {name!r} is not the name of a chart.")
    if Version.parse_or_none(str(metadata["version"])) is None:
        raise InvalidContent(f"{where}: {metadata['version']!r} in {METADATA_FILE} is not a version.")
    return metadata


class _Ignores:
    """The rules of .helmignore: what of a folder does not belong to the chart."""

    def __init__(self, path: str, where: str) -> None:
        file = os.path.join(path, IGNORE_FILE)
        lines = []
        if os.path.isfile(file):
            with file_source(file, where)() as blocks:
                lines = b"".join(blocks).decode("utf-8", "replace").splitlines()
        texts = [line.strip() for line in lines] + [_ALWAYS_IGNORED]
        self._rules = [_rule(text, f"{where} {IGNORE_FILE}") for text in texts if text and not text.startswith("#")]

    def __call__(self, name: str, is_folder: bool) -> bool:
        for pattern, whole_path, folders_only, negated in self._rules:
            matches = bool(pattern.match(name if whole_path else posixpath.basename(name)))
            if negated and (not matches or (folders_only and not is_folder)):
                return True
            if not negated and matches and (is_folder or not folders_only):
                return True
        return False


def _rule(text: str, where: str) -> Tuple[Any, bool, bool, bool]:
    """(pattern, matches the whole path, folders only, negated)"""
    negated = text.startswith("!")
    text = text[1:] if negated else text
    folders_only = text.endswith("/")
    text = text.rstrip("/") if folders_only else text
    whole_path = "/" in text
    return pattern_of(text[1:] if text.startswith("/") else text, where), whole_path, folders_only, negated


def _without_empty(metadata: Mapping[str, Any]) -> Dict[str, Any]:
    return {str(key): value for key, value in metadata.items() if value not in (None, "", [], {})}


def _in_order(values: Any, fields: Any) -> Dict[str, Any]:
    """The known fields in Helm's order, empty ones left out (those marked with ! are always there)."""
    values = values if isinstance(values, Mapping) else {}
    result: Dict[str, Any] = {}
    for name, kind in fields:
        value = _field(values.get(name), kind)
        if value or kind == "text!":
            result[name] = value
    return result


def _field(value: Any, kind: Any) -> Any:
    if isinstance(kind, tuple):
        return [_in_order(item, kind) for item in value] if isinstance(value, list) else []
    if kind in ("text", "text!"):
        return _text(value)
    if kind == "texts":
        return [_text(item) for item in value] if isinstance(value, list) else []
    if kind == "flag":
        return value is True
    if kind == "map":
        return {str(key): _text(value[key]) for key in sorted(value, key=str)} if isinstance(value, Mapping) else {}
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _go_json(value: Any) -> bytes:
    """JSON as Go writes it: no blanks, and the letters escaped that HTML gives a meaning."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8")
