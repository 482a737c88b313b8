# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of a constructor: content that a component version is given by value.

Types, defaults of media types and suggested names are those of the old OCM tool.
"""

from __future__ import annotations

import base64
import json
import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Callable, ContextManager, Dict, Mapping, Tuple

from ..model.access import Access, local_blob
from ..model.errors import InvalidInput, NotFound
from ..model.reference import ImageReference
from ..oci.client import Registries
from ..sources.content import Content, spooled
from ..sources.helm import helm_content
from ..store.artifact_set import LAYOUT_TYPES, ArtifactSet, is_artifact_set
from ..store.component_version import ArtifactContent, BlobContent
from ..store.ctf import in_memory
from ..store.repository import OpenSource
from ..store.yaml_text import dump_yaml
from .chart import Chart, ChartRepository, chart_of, read_chart
from .fields import flag_field, only_fields, required_text, text_field, texts_field
from .folder_tar import Selection, file_source, folder_tar, list_folder
from .image import find_artifact
from .packing import compressing, measure, measure_compressed

BLOB_DIGEST, ARTIFACT_DIGEST = "genericBlobDigest/v1", "ociArtifactDigest/v1"
_BYTES, _GZIP = "application/octet-stream", "application/gzip"
_TAR, _TGZ = "application/x-tar", "application/x-tgz"
_PACKED = ("mediaType", "compress")


@dataclass(frozen=True)
class Prepared:
    """An input whose content is known, not read into memory. digest: as the resource's digest has it.

    plain_digest: of what was compressed here, "" where nothing was.
    """

    content: Content
    media_type: str
    digest: str
    algorithm: str = BLOB_DIGEST
    hint: str = ""
    plain_digest: str = ""

    @property
    def access(self) -> Dict[str, Any]:
        """The access as an archive would have it."""
        return local_blob(self.digest, self.media_type, self.hint)


@dataclass(frozen=True)
class InputContext:
    """What an input needs to know. base: folder that relative paths begin at; where: for messages.

    keep: enters a context manager that stays open until everything is written.
    """

    base: str
    registries: Registries
    component: str
    version: str
    element: str
    where: str
    keep: Callable[[ContextManager[Any]], Any]

    def path(self, spec: Mapping[str, Any]) -> str:
        """The field `path` as a path that exists. Raises InvalidInput, NotFound."""
        path = os.path.join(self.base, os.path.expanduser(required_text(spec, "path", self.where)))
        if not os.path.exists(path):
            hint = "A relative path begins at the constructor's folder."
            raise NotFound(f"{self.where}: {path} does not exist.", hint)
        return path

    def hint(self, name: str, repository: str, tag: str) -> str:
        """What an artifact is suggested to be called: `<component>/<name>:<tag>`, or as `repository` wants it.

        Raises InvalidInput where that is no name of an image.
        """
        chosen = repository or name
        path = chosen[1:] if chosen.startswith("/") else f"{self.component}/{chosen}"
        hint = f"{path}:{tag.replace('+', '_')}"
        try:
            if ":" in chosen or "@" in chosen:
                raise InvalidInput(f"{chosen!r} has a tag or a digest.")
            ImageReference.parse(f"target.local/{hint}")
        except InvalidInput as error:
            raise InvalidInput(
                f"{self.where}: {hint!r} cannot be the name of an image. {error.message}",
                "Set repository to a name in lower case.",
            ) from None
        return hint


def prepare(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    """Look at an input. Raises InvalidInput for what is wrong with it, and what reading its content raises."""
    kinds = {kind.lower(): kind for kind in _TYPES}
    kind = kinds.get(str(spec["type"]).partition("/")[0].lower())
    if kind is None:
        raise InvalidInput(
            f"{context.where}: the input type {spec['type']!r} is not supported.", f"Types: {', '.join(_TYPES)}."
        )
    function, fields = _TYPES[kind]
    where = f"{context.where} input {kind}"
    only_fields(spec, ("type",) + fields, where)
    return function(spec, replace(context, where=where))


def _file(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    path = context.path(spec)
    if not os.path.isfile(path):
        raise InvalidInput(f"{context.where}: {path} is not a file.", "Use the input type dir for a folder.")
    return _blob(file_source(path, context.where), spec, (_BYTES, _GZIP), context)


def _dir(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    path = context.path(spec)
    if not os.path.isdir(path):
        raise InvalidInput(f"{context.where}: {path} is not a folder.", "Use the input type file for a file.")
    follow = flag_field(spec, "followSymlinks", context.where)
    include, exclude = (texts_field(spec, name, context.where) for name in ("includeFiles", "excludeFiles"))
    entries = list_folder(path, Selection(include, exclude, follow), context.where)
    if include and not entries:
        raise InvalidInput(f"{context.where}: nothing in {path} matches includeFiles ({', '.join(include)}).")
    prefix = os.path.basename(os.path.abspath(path)) if flag_field(spec, "preserveDir", context.where) else ""
    return _blob(folder_tar(entries, prefix), spec, (_TAR, _TGZ), context)


def _utf8(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    writers: Dict[str, Callable[[Any], str]] = {
        "text": lambda value: value if isinstance(value, str) else json.dumps(value),
        "json": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True),
        "formattedJson": lambda value: json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True),
        "yaml": lambda value: dump_yaml(value).decode("utf-8"),
    }
    given = [name for name in writers if name in spec]
    if len(given) != 1:
        raise InvalidInput(f"{context.where}: it needs exactly one of {', '.join(writers)}.")
    if given == ["text"] and not isinstance(spec["text"], str):
        raise InvalidInput(f"{context.where}: text must be a text, not {spec['text']!r}.", "Put it in quotes.")
    text = writers[given[0]](spec[given[0]])
    return _blob(in_memory(text.encode("utf-8")), spec, (_BYTES, _GZIP), context)


def _binary(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    try:
        content = base64.b64decode(required_text(spec, "data", context.where), validate=True)
    except ValueError:
        raise InvalidInput(f"{context.where}: data is not base64.") from None
    return _blob(in_memory(content), spec, (_BYTES, _GZIP), context)


def _artifact(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    if spec.get("platforms"):
        raise InvalidInput(
            f"{context.where}: platforms cannot be chosen, an image is copied whole.", "Leave platforms out."
        )
    path = required_text(spec, "path", context.where)
    keep: Callable[[Any], Any] = lambda files: context.keep(closing(files))
    found = find_artifact(path, context.base, context.registries, keep, context.where)
    hint = context.hint(context.element, text_field(spec, "repository", context.where), found.tag or context.version)
    return Prepared(found.content, _set_type(found.media_type), found.digest, ARTIFACT_DIGEST, hint)


def _helm(spec: Mapping[str, Any], context: InputContext) -> Prepared:
    repository, version = (text_field(spec, name, context.where) for name in ("helmRepository", "version"))
    if repository:
        chart = _downloaded_chart(spec, repository, version, context)
    else:
        chart = read_chart(context.path(spec), context.where)
    artifact = ChartRepository(chart, f"{context.where} {chart.name}")
    digest = artifact.manifest.digest
    hint = context.hint(chart.name, text_field(spec, "repository", context.where), version or chart.version)
    return Prepared(
        ArtifactContent(artifact, digest), _set_type(artifact.manifest.media_type), digest, ARTIFACT_DIGEST, hint
    )


def _downloaded_chart(spec: Mapping[str, Any], repository: str, version: str, context: InputContext) -> Chart:
    name = text_field(spec, "helmChart", context.where) or required_text(spec, "path", context.where)
    access = {"type": "helm", "helmRepository": repository, "helmChart": name, "version": version}
    content = helm_content(Access("helm", access), context.registries, context.where)
    return chart_of(context.keep(spooled(content, context.where)), context.where)


def _blob(source: OpenSource, spec: Mapping[str, Any], types: Tuple[str, str], context: InputContext) -> Prepared:
    """types: the media types where none is given, for plain and for compressed content."""
    compress = flag_field(spec, "compress", context.where)
    media_type = text_field(spec, "mediaType", context.where) or types[compress]
    measured = measure_compressed(source) if compress else measure(source)
    source = compressing(source) if compress else source
    blob = BlobContent(media_type, measured.digest, measured.size, source)
    if is_artifact_set(media_type) and media_type not in LAYOUT_TYPES:
        artifact = ArtifactSet(source, context.where)
        return Prepared(ArtifactContent(artifact, "", blob), media_type, artifact.main, ARTIFACT_DIGEST)
    return Prepared(blob, media_type, measured.digest, plain_digest=measured.plain_digest)


def _set_type(media_type: str) -> str:
    """The media type of the artifact set that an archive keeps such an artifact in."""
    return f"{media_type[: -len('+json')] if media_type.endswith('+json') else media_type}+tar+gzip"


_ARTIFACT_FIELDS = ("path", "repository", "platforms")
_TYPES: Dict[str, Tuple[Callable[[Mapping[str, Any], InputContext], Prepared], Tuple[str, ...]]] = {
    "file": (_file, ("path",) + _PACKED),
    "dir": (_dir, ("path", "preserveDir", "includeFiles", "excludeFiles", "followSymlinks") + _PACKED),
    "utf8": (_utf8, ("text", "json", "formattedJson", "yaml") + _PACKED),
    "binary": (_binary, ("data",) + _PACKED),
    "ociArtifact": (_artifact, _ARTIFACT_FIELDS),
    "ociImage": (_artifact, _ARTIFACT_FIELDS),
    "helm": (_helm, ("path", "version", "repository", "helmRepository", "helmChart")),
}
