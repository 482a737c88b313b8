# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm charts as manifests: the values that localization gives, as a HelmRelease states them."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..model.config_data import ConfigData
from ..model.content_source import read_whole
from ..model.errors import InvalidContent, InvalidInput
from ..sources.content import ContentFinder
from ..store.component_version import ArtifactContent, StoredVersion
from ..store.repository import blob_source
from ..store.safe_tar import Limits, read_files
from .lock import files_digest
from .workloads import documents

CHART_TYPES = ("helmchart",)
CHART_LIMITS = Limits(size=64 * 1024 * 1024, count=20_000)
VALUES = "values.yaml"


@dataclass(frozen=True)
class PackedChart:
    """What of a chart a delivery needs. folder: the chart's own in its archive. values: the content of values.yaml.

    digest: of all its files.
    """

    name: str
    version: str
    folder: str
    values: bytes
    digest: str = ""

    def rules(self, config: ConfigData) -> ConfigData:
        """The rules for values.yaml, named with or without the chart's folder."""
        names = (VALUES, f"./{VALUES}", f"{self.folder}/{VALUES}")
        return replace(
            config,
            localization=tuple(replace(rule, file=VALUES) for rule in config.localization if rule.file in names),
            configuration=tuple(replace(rule, file=VALUES) for rule in config.configuration if rule.file in names),
        )


def is_chart(element: Mapping[str, Any]) -> bool:
    """Whether a resource is a Helm chart by its type."""
    return str(element["type"]).partition("/")[0].lower() in CHART_TYPES


def read_chart(finder: ContentFinder, version: StoredVersion, element: Mapping[str, Any]) -> PackedChart:
    """Read a chart from its resource, an OCI artifact or an archive. Raises InvalidInput, InvalidContent."""
    where = version.descriptor.label_of("resource", element)
    files = _chart_files(finder, version, element, where)
    folder = posixpath.dirname(chart_file(files, "Chart.yaml", where))
    name, number = chart_metadata(files, where)
    return PackedChart(name, number, folder, at_top(files, folder).get(VALUES, b"{}\n"), files_digest(files))


def _chart_files(
    finder: ContentFinder, version: StoredVersion, element: Mapping[str, Any], where: str
) -> Dict[str, bytes]:
    content = finder.find(version, "resource", element)
    if not isinstance(content, ArtifactContent):
        return read_whole(content.open, lambda blocks: read_files(blocks, where, CHART_LIMITS))
    manifest = content.repository.get_manifest(content.reference)
    layer = next((blob for blob in manifest.blobs if "helm.chart.content" in blob.media_type), None)
    if layer is None:
        raise InvalidInput(f"{where} is no Helm chart: no layer of its manifest is one.")
    source = blob_source(content.repository, layer.digest, layer.size)
    return read_whole(source, lambda blocks: read_files(blocks, where, CHART_LIMITS))


def chart_metadata(files: Mapping[str, bytes], where: str) -> Tuple[str, str]:
    """Name and version of the chart in a set of files. Raises InvalidContent."""
    content = documents(files.get(chart_file(files, "Chart.yaml", where), b""), f"{where}: Chart.yaml")
    metadata = content[0] if len(content) == 1 and isinstance(content[0], dict) else {}
    if not metadata.get("name") or not metadata.get("version"):
        raise InvalidContent(f"{where}: Chart.yaml has no name or no version.")
    return str(metadata["name"]), str(metadata["version"])


def chart_file(files: Mapping[str, bytes], name: str, where: str) -> str:
    """The path of a file at the chart's top; charts lie in one folder of their archive. Raises InvalidContent."""
    found = sorted((path for path in files if posixpath.basename(path) == name), key=lambda path: path.count("/"))
    if not found:
        raise InvalidContent(f"{where} is no Helm chart: it has no {name}.")
    return found[0]


def at_top(files: Mapping[str, bytes], folder: str) -> Dict[str, bytes]:
    """The files of the chart's folder, by the path below it: rules name values.yaml with and without the folder."""
    prefix = f"{folder}/" if folder else ""
    return {path[len(prefix):]: content for path, content in files.items() if path.startswith(prefix)}


def changed_values(before: bytes, after: bytes, where: str) -> Dict[str, Any]:
    """The part of values.yaml that differs now. Lists are stated whole, as Helm replaces them."""
    return _difference(_values(before, where), _values(after, where))


def _values(content: bytes, where: str) -> Dict[str, Any]:
    found: List[Any] = documents(content, where)
    if not found:
        return {}
    if not isinstance(found[0], dict):
        raise InvalidContent(f"{where}: the values of a chart are a mapping.")
    return found[0]


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for key, value in after.items():
        former = before.get(key)
        if isinstance(value, dict) and isinstance(former, dict):
            inner = _difference(former, value)
            if inner:
                result[key] = inner
        elif key not in before or value != former:
            result[key] = value
    return result


def foreign_in_values(content: bytes, target: str) -> List[Dict[str, str]]:
    """The images in values.yaml that are not below the target, host[:port][/prefix]: file, path (unknown) and image."""
    images = images_in_values(_values(content, VALUES))
    foreign = [image for image in images if image != target and not image.startswith(f"{target}/")]
    return [dict(file=VALUES, path="", image=image) for image in foreign]


def images_in_values(values: Mapping[str, Any]) -> Sequence[str]:
    """Texts under the key image, or repository with tag or digest beside it, as most charts write images."""
    found: List[str] = []
    todo: List[Any] = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, dict):
            image = value.get("image")
            if isinstance(image, str) and image:
                found.append(image)
            text = _composed(value)
            if text:
                found.append(text)
            todo.extend(value.values())
    return sorted(set(found))


def _composed(value: Mapping[str, Any]) -> str:
    repository = value.get("repository")
    if not isinstance(repository, str) or not repository or not {"tag", "digest"} & set(value):
        return ""
    registry = value.get("registry")
    return f"{registry}/{repository}" if isinstance(registry, str) and registry else repository
