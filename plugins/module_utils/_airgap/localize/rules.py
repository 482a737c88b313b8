# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Localization and configuration: ConfigData applied to a set of files, as ocm-controller does it.

Pure functions over bytes: who calls them reads the files and knows the references of the resources.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional

from ..model.config_data import ConfigData, ConfigurationRule, LocalizationRule
from ..model.errors import InvalidInput, NotFound, OcmError
from ..model.reference import DOCKER_HUB, ImageReference
from .edit import Document
from .expressions import Evaluator
from .paths import Path, format_place
from .references import foreign_images, rewrite_references
from .result import Change, LocalizeResult
from .schema import check_values

__all__ = ["Change", "LocalizeResult", "foreign_images", "localize", "rewrite_references"]

TAG_FORMS = ("controller", "tag", "values")
# The name that ocm-controller (go-containerregistry) writes for Docker Hub.
CONTROLLER_DOCKER_HUB = "index.docker.io"

ImageOf = Callable[[Mapping[str, Any]], str]


def localize(
    files: Mapping[str, bytes],
    config: ConfigData,
    image_of: ImageOf,
    values: Optional[Mapping[str, Any]] = None,
    tag_form: str = "controller",
) -> LocalizeResult:
    """Apply the localization rules, then, if values are given (also as {}), the configuration rules.

    files: path with / -> content. image_of: resource identity -> the image reference of its access; its errors pass
    through. tag_form: what a `tag` rule writes for a reference with a digest: the digest (controller), the tag, or as
    the values of a chart want it, the digest where the path ends in `digest` and else the tag (values).
    Raises InvalidInput, InvalidContent or NotFound naming the rule, the file and the path.
    """
    if tag_form not in TAG_FORMS:
        raise InvalidInput(f"The tag_form {tag_form!r} is not one of {', '.join(TAG_FORMS)}.")
    work = _Work(files)
    for rule in config.localization:
        _localize(work, rule, image_of, tag_form)
    if values is not None:
        _configure(work, config, values)
    return work.finish()


@dataclass(frozen=True)
class _Write:
    """One value that a rule writes. rule: names the rule in messages."""

    rule: str
    kind: str
    file: str
    path: str
    value: Any


class _Work:
    """The files while rules run; each is parsed when the first rule names it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.result = LocalizeResult(dict(files))
        self.documents: Dict[str, Document] = {}
        self.names = {_normal(name): name for name in files}

    def write(self, write: _Write) -> None:
        """Carry out one write; messages of what goes wrong begin with the rule."""
        try:
            name = self._name(write.file)
            for place in self._document(name).places(Path.parse(write.path)):
                edited = self.documents[name].replace(place, write.value)
                if edited.changed:
                    self.documents[name] = edited.document
                    path = format_place(edited.place)
                    self.result.changes.append(Change(name, path, edited.before, write.value, write.kind))
        except OcmError as error:
            message = f"{write.rule} ({write.file}, path {write.path}): {error.message}"
            raise type(error)(message, error.hint) from None

    def finish(self) -> LocalizeResult:
        for change in self.result.changes:
            self.result.files[change.file] = self.documents[change.file].content
        return self.result

    def _document(self, name: str) -> Document:
        if name not in self.documents:
            document = Document.read(self.result.files[name], name)
            self.documents[name] = document
            if document.others:
                self.result.several_documents.append(name)
                self.result.warn(
                    f"{name} has several documents: rules act on the first, the others are kept as they are. "
                    "ocm-controller would drop them."
                )
        return self.documents[name]

    def _name(self, file: str) -> str:
        normal = _normal(_inside(file))
        if normal not in self.names:
            near = difflib.get_close_matches(normal, self.names, n=3, cutoff=0.5) or sorted(self.names)[:5]
            raise NotFound(f"there is no file {file!r}.", f"There are: {', '.join(near) or 'none'}.")
        return self.names[normal]


def _normal(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _inside(file: str) -> str:
    """Raises InvalidInput for a file name that could mean a place outside the folder."""
    if file.startswith("/") or "\\" in file or "\0" in file or ".." in file.split("/"):
        raise InvalidInput(
            f"the file {file!r} is not a path inside the folder of manifests.",
            "Write it relative to the folder, with / and without .. in it.",
        )
    return file


# Localization


def _localize(work: _Work, rule: LocalizationRule, image_of: ImageOf, tag_form: str) -> None:
    name = f"localization rule {rule.index + 1}"
    if rule.mapping:
        raise InvalidInput(
            f"{name} ({rule.file}) is a `mapping`, a program in CUE, which is not supported.",
            "Replace it by rules with image, registry, repository, fullyQualifiedRepository or tag.",
        )
    text = image_of(rule.resource)
    try:
        reference = ImageReference.parse(text)
    except InvalidInput as error:
        raise InvalidInput(f"{name} ({rule.file}): {error.message}", error.hint) from None
    if "://" in text:
        work.result.warn(
            f"{name} ({rule.file}): the reference {text} is written without its scheme; "
            "ocm-controller cannot read a reference with a scheme."
        )
    for target, path in rule.targets.items():
        value = _part(reference, target, _form_at(path, tag_form), name)
        work.write(_Write(f"{name}, {target}", "localization", rule.file, path, value))
        if target == "tag" and value == reference.digest and tag_form != "values":
            work.result.warn(_digest_as_tag(name, rule.file, path, reference))


def _form_at(path: str, tag_form: str) -> str:
    if tag_form != "values":
        return tag_form
    return "controller" if path.rpartition(".")[2] == "digest" else "tag"


def _part(reference: ImageReference, target: str, tag_form: str, rule: str) -> str:
    """What ocm-controller writes for a target: a digest beats the tag, neither is latest."""
    host = CONTROLLER_DOCKER_HUB if reference.host == DOCKER_HUB else reference.host
    repository = f"{host}/{reference.repository}"
    if target == "registry":
        return host
    if target == "repository":
        return reference.repository
    if target == "fullyQualifiedRepository":
        return repository
    if target == "image":
        separator = "@" if reference.digest else ":"
        return f"{repository}{separator}{reference.locator}"
    if tag_form == "tag" and reference.digest:
        if not reference.tag:
            raise NotFound(
                f"{rule}: the reference {reference} has no tag, which tag_form tag asks for.",
                "Use a rule with image, or transfer with the reference form tag_digest.",
            )
        return reference.tag
    return reference.locator


def _digest_as_tag(rule: str, file: str, path: str, reference: ImageReference) -> str:
    return (
        f"{rule}: {path} in {file} is the digest {reference.digest}, as ocm-controller writes it. A chart that joins "
        f"repository and tag makes {reference.name}:{reference.digest} of it, which is no image reference: "
        "use a rule with image, or the tag_form tag."
    )


# Configuration


def _configure(work: _Work, config: ConfigData, values: Mapping[str, Any]) -> None:
    merged = _merged(_json_value(config.defaults, "defaults"), _json_map(values, "values"))
    evaluator = Evaluator(merged, "configuration")
    resolved = evaluator.resolve_root()
    if config.schema:
        check_values(resolved, config.schema, "the ConfigData")
    for rule in config.configuration:
        _configure_rule(work, rule, evaluator)


def _configure_rule(work: _Work, rule: ConfigurationRule, evaluator: Evaluator) -> None:
    name = f"configuration rule {rule.index + 1}"
    # The fields as they stand in the template that ocm-controller hands to spiff: expressions see them as names.
    fields = {"name": f"subst-{rule.index}", "file": rule.file, "path": rule.path}
    fields["value"] = _json_value(rule.value, f"{name}: value")
    for own in evaluator.own_fields(fields, fields["value"]):
        _warn_own_field(work, f"{name} ({rule.file})", own)
    resolved = evaluator.resolve(fields, name)
    write = _Write(name, "configuration", str(resolved["file"]), str(resolved["path"]), resolved["value"])
    work.write(write)


def _warn_own_field(work: _Work, rule: str, own: str) -> None:
    message = f"{rule}: {own} in the expression means the rule's own {own}, as in ocm-controller."
    hint = f"Write .{own} for the value of that name."
    if own == "value":
        raise InvalidInput(message, hint)
    work.result.warn(f"{message} {hint}")


def _merged(defaults: Any, values: Any) -> Any:
    """Maps are merged, lists and everything else replaced; the values win."""
    if not isinstance(defaults, dict) or not isinstance(values, dict):
        return values
    merged = dict(defaults)
    for key, value in values.items():
        merged[key] = _merged(defaults[key], value) if key in defaults else value
    return merged


def _json_map(value: Any, place: str) -> Dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"The {place} are not a map.", "Write them as keys with values, {} for none.")
    return _json_value(value, place)


def _json_value(value: Any, place: str) -> Any:
    """A copy in the types of JSON. Raises InvalidInput for dates and other things that JSON does not have."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value - value == 0:
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _json_value(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item, f"{place}[{index}]") for index, item in enumerate(value)]
    kind = type(value).__name__
    raise InvalidInput(f"{place} is a {kind}, which JSON does not have.", "Put a text in quotes if that is meant.")
