# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references in manifests: rewritten by what a transfer moved, and found where they name another place."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..model.errors import InvalidContent, InvalidInput
from ..model.pod_spec import CONTAINER_LISTS
from ..model.reference import ImageReference, RepositoryReference
from . import render
from .edit import BOM, Splice, apply_splices
from .paths import Place, format_place
from .result import Change, LocalizeResult
from .tree import Node, content_end, decode, parse_all, without_properties

SUFFIXES = (".yaml", ".yml", ".json")

_IMAGE_LINE = re.compile(r"""^[ \t-]*["']?image["']?:[ \t]*["']?([^\s"'#{}]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)


def rewrite_references(files: Mapping[str, bytes], mapping: Mapping[str, str]) -> LocalizeResult:
    """Replace every text in YAML and JSON files (all documents, values only) that equals a key of the mapping.

    files: path -> content. mapping: reference before the move -> reference after it. Files that are neither YAML nor
    JSON are kept; where such a file contains a former reference, a warning says so.
    """
    result = LocalizeResult(dict(files))
    wanted = {before: after for before, after in mapping.items() if before and before != after}
    for name in sorted(files):
        if name.lower().endswith(SUFFIXES) and _mentions(files[name], wanted):
            _rewrite_file(name, result, wanted)
    return result


def _mentions(content: bytes, references: Mapping[str, str]) -> bool:
    plain = content.replace(b"\\/", b"/")
    return any(reference.encode("utf-8") in plain for reference in references)


def _rewrite_file(name: str, result: LocalizeResult, wanted: Mapping[str, str]) -> None:
    try:
        text = decode(result.files[name], name)
        bom = text.startswith(BOM)
        text = text[1:] if bom else text
        roots = parse_all(text, name)
    except InvalidContent as error:
        result.warn(f"{error.message} References in it are left as they are.")
        return
    splices: List[Splice] = []
    for number, root in enumerate(roots):
        for place, node, in_flow in _scalars(root):
            if node.tag == "str" and node.value in wanted:
                after = wanted[node.value]
                splices.append(_new_scalar(node, text, after, in_flow))
                result.changes.append(Change(name, _path(place, number), node.value, after, "reference"))
    if splices:
        result.files[name] = _checked(apply_splices(text, splices), bom, roots, wanted, name)


def _new_scalar(node: Node, text: str, value: str, in_flow: bool) -> Splice:
    start = without_properties(node, text)
    return (start, content_end(node, text), render.scalar(value, node.style, flow=in_flow))


def _checked(text: str, bom: bool, roots: List[Any], wanted: Mapping[str, str], name: str) -> bytes:
    """The new content, if every value is the former one or its replacement."""
    before = [_texts(root) for root in roots]
    expected = [[wanted.get(value, value) if tag == "str" else value for tag, value in texts] for texts in before]
    found = [[value for _tag, value in _texts(root)] for root in parse_all(text, name)]
    if found != expected:
        raise InvalidContent(
            f"{name}: its references cannot be rewritten without touching other parts of the file.",
            "Write the file in YAML's ordinary block style, one key a line.",
        )
    return ((BOM if bom else "") + text).encode("utf-8")


def _texts(root: Optional[Node]) -> List[Tuple[str, str]]:
    return [(node.tag, node.value) for _place, node, _in_flow in _scalars(root)]


def _path(place: Place, number: int) -> str:
    """The path in the first document; later ones are named in front."""
    return f"(document {number + 1}) {format_place(place)}" if number else format_place(place)


def _scalars(root: Optional[Node]) -> Iterator[Tuple[Place, Node, bool]]:
    """Scalar values below a node in the order of the text, with whether they stand in a flow collection."""
    for place, node, in_flow in _values(root):
        if node.kind == "scalar":
            yield place, node, in_flow


def _values(root: Optional[Node]) -> Iterator[Tuple[Place, Node, bool]]:
    todo: List[Tuple[Place, Node, bool]] = [((), root, False)] if root is not None else []
    while todo:
        place, node, in_flow = todo.pop()
        yield place, node, in_flow
        inside = node.style == "flow"
        if node.kind == "map":
            todo.extend((place + (str(key.value),), value, inside) for key, value in reversed(node.value))
        elif node.kind == "list":
            todo.extend((place + (index,), item, inside) for index, item in reversed(list(enumerate(node.value))))


def foreign_images(files: Mapping[str, bytes], target: str) -> List[Dict[str, str]]:
    """The images in YAML and JSON files that are not below the target, `host[:port][/prefix]`.

    Looked at are `image` in the containers of any document, and in Kubernetes manifests (documents with apiVersion
    and kind) every other `image` that is an image reference, and the `reference` of image volumes. Returns a list of
    {file, path, image} in the order of files and text. Raises InvalidInput for a target that is no registry.
    """
    repository = RepositoryReference.parse(target)
    if repository.is_archive:
        raise InvalidInput(f"The target {target!r} is not a registry.", "Write it as host/prefix.")
    found: List[Dict[str, str]] = []
    for name in sorted(files):
        if name.lower().endswith(SUFFIXES) and b"image" in files[name]:
            images = _images(name, files[name])
            foreign = [(path, image) for path, image in images if not _is_below(image, repository)]
            found += [{"file": name, "path": path, "image": image} for path, image in foreign]
    return found


def _images(name: str, content: bytes) -> List[Tuple[str, str]]:
    try:
        text = decode(content, name).lstrip(BOM)
    except InvalidContent:
        return []
    try:
        roots = parse_all(text, name)
    except InvalidContent:
        return _images_of_lines(text)
    images: List[Tuple[str, str]] = []
    for number, root in enumerate(roots):
        manifest = _is_manifest(root)
        for place, node, _in_flow in _values(root):
            image = _image_at(place, node, manifest)
            if image:
                images.append((_path(place, number), image))
    return images


def _images_of_lines(text: str) -> List[Tuple[str, str]]:
    """The images that stand plainly in a file that is no YAML, such as a Go template."""
    matches = ((match, text.count("\n", 0, match.start()) + 1) for match in _IMAGE_LINE.finditer(text))
    return [(f"(line {line})", match.group(1)) for match, line in matches if _parsed(match.group(1))]


def _is_manifest(root: Optional[Node]) -> bool:
    if root is None or root.kind != "map":
        return False
    return {"apiVersion", "kind"} <= {str(key.value) for key, _value in root.value if key.kind == "scalar"}


def _image_at(place: Place, node: Node, manifest: bool) -> str:
    """The image reference that a node is, or "". An alias is what it means."""
    node = node.value if node.kind == "alias" else node
    if node.kind != "scalar" or node.tag != "str" or not node.value:
        return ""
    text = str(node.value)
    if place[-1:] == ("image",):
        if len(place) > 2 and isinstance(place[-2], int) and place[-3] in CONTAINER_LISTS:
            return text
        return text if manifest and _parsed(text) else ""
    return text if manifest and place[-2:] == ("image", "reference") and _parsed(text) else ""


def _parsed(text: str) -> Optional[ImageReference]:
    try:
        return ImageReference.parse(text)
    except InvalidInput:
        return None


def _is_below(image: str, repository: RepositoryReference) -> bool:
    reference = _parsed(image)
    if reference is None or reference.host != repository.host:
        return False
    prefix = repository.prefix
    return not prefix or reference.repository == prefix or reference.repository.startswith(f"{prefix}/")
