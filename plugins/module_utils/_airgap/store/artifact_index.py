# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact index of a CTF: which manifests its repositories list, under which tags.

Follows the OCM specification's `artifact-index.json`, schema version 1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ..model.digest import check_digest
from ..model.errors import InvalidContent
from ..model.manifest import ARTIFACT_TYPES, parse_json

INDEX = "artifact-index.json"
Key = Tuple[str, str]


@dataclass(frozen=True)
class IndexEntry:
    """A manifest or index in a CTF. tag and media_type may be empty."""

    repository: str
    tag: str
    digest: str
    media_type: str

    def to_mapping(self) -> Dict[str, str]:
        pairs = (("repository", self.repository), ("tag", self.tag), ("digest", self.digest), ("mediaType", self.media_type))
        return {key: value for key, value in pairs if value}


class ArtifactIndex:
    """The entries of a CTF. Not safe for several threads."""

    def __init__(self, entries: Iterable[IndexEntry] = ()) -> None:
        self._tagged: Dict[Key, IndexEntry] = {}
        self._listed: Dict[Key, IndexEntry] = {}
        for entry in entries:
            self.put(entry)

    def put(self, entry: IndexEntry) -> None:
        """List a manifest; an entry of the same repository and tag is replaced."""
        if entry.tag:
            self._tagged[(entry.repository, entry.tag)] = entry
        else:
            self._listed[(entry.repository, entry.digest)] = entry

    def unlist(self, repository: str, digests: Iterable[str]) -> None:
        """Take untagged entries out."""
        for digest in digests:
            self._listed.pop((repository, digest), None)

    def by_tag(self, repository: str, tag: str) -> Optional[IndexEntry]:
        return self._tagged.get((repository, tag))

    def by_digest(self, repository: str, digest: str) -> Optional[IndexEntry]:
        listed = self._listed.get((repository, digest))
        return listed or next((entry for entry in self.tagged(repository) if entry.digest == digest), None)

    def tagged(self, repository: str) -> List[IndexEntry]:
        """The tagged entries of a repository."""
        return [entry for entry in self._tagged.values() if entry.repository == repository]

    def entries(self) -> List[IndexEntry]:
        """Sorted; untagged ones only for what no tag names."""
        named = {(entry.repository, entry.digest) for entry in self._tagged.values()}
        found = [*self._tagged.values(), *(entry for key, entry in self._listed.items() if key not in named)]
        return sorted(found, key=lambda entry: (entry.repository, entry.tag, entry.digest))

    def to_bytes(self) -> bytes:
        """The file's content. The same entries give the same bytes."""
        content = {"schemaVersion": 1, "artifacts": [entry.to_mapping() for entry in self.entries()]}
        return json.dumps(content, separators=(",", ":")).encode("utf-8")


def parse_index(raw: bytes, location: str) -> ArtifactIndex:
    """Read the file's content. Raises InvalidContent that names the entry."""
    content = parse_json(raw, f"{location} {INDEX}")
    artifacts = content.get("artifacts") or []
    if content.get("schemaVersion") != 1 or not isinstance(artifacts, list):
        raise InvalidContent(f"{location}: {INDEX} is not an artifact index of schemaVersion 1.")
    entries = [_index_entry(value, f"{location} {INDEX} artifacts[{number}]") for number, value in enumerate(artifacts)]
    tagged: Dict[Key, str] = {}
    for entry in entries:
        if entry.tag and tagged.setdefault((entry.repository, entry.tag), entry.digest) != entry.digest:
            raise InvalidContent(f"{location}: {INDEX} has two artifacts for {entry.repository}:{entry.tag}.")
    return ArtifactIndex(entries)


def _index_entry(value: Any, where: str) -> IndexEntry:
    fields = value if isinstance(value, dict) else {}
    texts = [fields.get(key) or "" for key in ("repository", "tag", "digest", "mediaType")]
    if not all(isinstance(text, str) for text in texts) or not texts[0]:
        raise InvalidContent(f"{where}: not an entry with repository and digest.")
    if texts[3] and texts[3] not in ARTIFACT_TYPES:
        raise InvalidContent(f"{where}: the media type {texts[3]!r} is not a manifest's or an index's.")
    check_digest(texts[2], where)
    return IndexEntry(*texts)
