# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm charts (access type helm): from a chart repository with an index.yaml, or from an OCI registry."""

from __future__ import annotations

import re
from typing import Any, Mapping
from urllib.parse import urljoin

from ..model.access import Access
from ..model.errors import InvalidContent, NotFound
from ..model.identity import suggestion
from ..model.reference import ImageReference
from ..model.version import Version
from ..oci.access_hosts import check_access_host
from ..oci.client import Registries
from ..oci.transport import host_of, is_plain_url
from ..store.component_version import BlobContent
from ..store.yaml_text import load_yaml
from .wget import HttpBlocks

CHART_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
MAX_INDEX_SIZE = 64 * 1024 * 1024
_HEX = re.compile(r"\A[0-9a-f]{64}\Z")


def helm_content(access: Access, registries: Registries, where: str) -> BlobContent:
    """The chart's .tgz. Raises NotFound for an unknown chart or version, InvalidContent for a damaged index."""
    repository = access.text("helmRepository", where)
    name, _colon, version = access.text("helmChart", where).partition(":")
    version = version or str(access.get("version") or "")
    if repository.startswith("oci://"):
        return _from_registry(f"{repository.rstrip('/')}/{name}", version, registries, where)
    return _from_chart_repository(repository, name, version, registries, where)


def _from_registry(address: str, version: str, registries: Registries, where: str) -> BlobContent:
    image = ImageReference.parse(address)
    repository = registries.repository(image.host, image.repository, image.plain_http)
    manifest = repository.get_manifest(version.replace("+", "_") or "latest")
    charts = [layer for layer in manifest.layers if layer.media_type == CHART_TYPE]
    if len(charts) != 1:
        raise InvalidContent(f"{where}: {image.name}:{version} holds {len(charts)} Helm charts, not one.")
    chart = charts[0]
    return BlobContent(
        CHART_TYPE, chart.digest, chart.size, lambda: repository.open_blob(chart.digest, chart.size), repository
    )


def _from_chart_repository(address: str, name: str, version: str, registries: Registries, where: str) -> BlobContent:
    base = address.rstrip("/") + "/"
    with registries.fetch(f"{base}index.yaml") as answer:
        raw = _limited(answer.blocks(), f"{base}index.yaml")
    index = load_yaml(raw, f"{base}index.yaml")
    entries = index.get("entries") if isinstance(index, Mapping) else None
    if not isinstance(entries, Mapping):
        raise InvalidContent(f"{where}: {base}index.yaml is not the index of a chart repository.")
    if name not in entries:
        raise NotFound(f"{where}: {base} has no chart {name}.", suggestion(name, map(str, entries)))
    entry = _entry(entries[name] or [], version, f"{where}: chart {name} at {base}")
    urls = entry.get("urls") or []
    if not urls:
        raise InvalidContent(f"{where}: {base}index.yaml gives no address for {name} {version}.")
    digest = str(entry.get("digest") or "").replace("sha256:", "")
    url = urljoin(base, str(urls[0]))
    if is_plain_url(url) and host_of(url) != host_of(base):
        options = registries.options
        check_access_host(host_of(url), options.access_hosts, options.named_hosts, where)
    known = f"sha256:{digest}" if _HEX.match(digest) else ""
    return BlobContent(CHART_TYPE, known, -1, lambda: HttpBlocks(registries, url, {}))


def _entry(entries: Any, version: str, where: str) -> Mapping[str, Any]:
    """The entry of a version; without one the newest, as Helm chooses: a prerelease only where there is nothing else."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InvalidContent(f"{where}: the index does not list its versions.")
    versions = [str(entry.get("version", "")) for entry in entries]
    if not version and entries:
        parsed = [(Version.parse_or_none(text) or Version("", (0, 0, 0), "0")) for text in versions]
        return entries[parsed.index(max(parsed, key=lambda each: (not each.prerelease, each)))]
    if version not in versions:
        raise NotFound(f"{where} has no version {version}.", suggestion(version, versions))
    return entries[versions.index(version)]


def _limited(blocks: Any, where: str) -> bytes:
    found = bytearray()
    for block in blocks:
        found += block
        if len(found) > MAX_INDEX_SIZE:
            raise InvalidContent(f"{where}: over the limit of {MAX_INDEX_SIZE} bytes.")
    return bytes(found)
