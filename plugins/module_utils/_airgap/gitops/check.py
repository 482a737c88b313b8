# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects are checked before they are written: what the API server lets pass may stop a controller for a whole kind."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence, Tuple

from ..model.errors import InvalidInput, Refused
from .settings import LABEL, check_duration, check_name

# kinds of ocm-controller and Flux whose spec.interval has to be there
_WITH_INTERVAL = (
    "ComponentVersion", "Resource", "Localization", "Configuration", "FluxDeployer",
    "GitRepository", "OCIRepository", "Kustomization", "HelmRelease",
)
_OCM_KINDS = _WITH_INTERVAL[:5]
_DURATIONS = ("interval", "retryInterval", "timeout")
_TEMPLATES = ("kustomizationTemplate", "helmReleaseTemplate")


def check_objects(objects: Sequence[Mapping[str, Any]]) -> None:
    """Check names, durations, required fields, references between the objects, and that no secret is in plain text.

    Raises InvalidInput that names the object and the field, Refused for a Secret.
    """
    seen = set()
    for item in objects:
        where = describe(item)
        metadata = item.get("metadata") or {}
        check_name(metadata.get("name"), f"{where}: metadata.name")
        if metadata.get("namespace"):
            check_name(metadata["namespace"], f"{where}: metadata.namespace", LABEL, 63)
        if where in seen:
            raise InvalidInput(f"{where} is rendered twice.", "Give each component a name of its own.")
        seen.add(where)
        check_no_secret(item, where)
        _check_durations(item, where)
        _check_kind(item, where)
    for item in objects:
        for field, reference in _references(item):
            _check_reference(item, field, reference, objects)


def describe(item: Mapping[str, Any]) -> str:
    """`Kind namespace/name`."""
    metadata = item.get("metadata") or {}
    name = "/".join(str(part) for part in (metadata.get("namespace"), metadata.get("name")) if part)
    return f"{item.get('kind')} {name}"


def check_no_secret(item: Mapping[str, Any], where: str) -> None:
    """Raises Refused for a Secret with content that is not encrypted by SOPS; what Git has seen, it keeps."""
    if item.get("kind") == "Secret" and item.get("apiVersion") == "v1" and "sops" not in item:
        if item.get("data") or item.get("stringData"):
            raise Refused(
                f"{where}: a Secret in plain text is not written to Git.",
                "Use delivery: controller, encrypt it with SOPS, or create it in the cluster.",
            )


def _specs(item: Mapping[str, Any]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """(path, mapping) of the specification and of the templates in it."""
    spec = item.get("spec")
    if isinstance(spec, Mapping):
        yield "spec", spec
        for name in _TEMPLATES:
            if isinstance(spec.get(name), Mapping):
                yield f"spec.{name}", spec[name]


def _check_durations(item: Mapping[str, Any], where: str) -> None:
    if item.get("kind") not in _WITH_INTERVAL:
        return
    for path, spec in _specs(item):
        if spec.get("interval") is None:
            raise InvalidInput(f"{where}: {path}.interval is missing.", "It is required.")
        for field in _DURATIONS:
            if spec.get(field) is not None:
                check_duration(spec[field], f"{where}: {path}.{field}")


def _check_kind(item: Mapping[str, Any], where: str) -> None:
    spec = item.get("spec") or {}
    kind = item.get("kind")
    templates = [name for name in _TEMPLATES if spec.get(name)]
    if kind == "FluxDeployer" and len(templates) != 1:
        raise InvalidInput(f"{where}: it has {len(templates)} of {' and '.join(_TEMPLATES)}; exactly one is needed.")
    if kind == "Configuration" and "values" not in spec and "valuesFrom" not in spec:
        raise InvalidInput(f"{where}: without values it would localize once more.", "Give values, an empty mapping for the defaults.")
    if kind == "Localization" and (spec.get("configRef") or {}).get("kind") != "ComponentVersion":
        raise InvalidInput(f"{where}: spec.configRef has to name a ComponentVersion.")


def _references(item: Mapping[str, Any]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    spec = item.get("spec") or {}
    if item.get("kind") in _OCM_KINDS:
        for field in ("sourceRef", "configRef"):
            if isinstance(spec.get(field), Mapping):
                yield field, spec[field]


def _check_reference(
    item: Mapping[str, Any], field: str, reference: Mapping[str, Any], objects: Sequence[Mapping[str, Any]]
) -> None:
    own = (item.get("metadata") or {}).get("namespace")
    wanted = (reference.get("kind"), reference.get("namespace") or own, reference.get("name"))
    there = {(other.get("kind"), other["metadata"].get("namespace"), other["metadata"].get("name")) for other in objects}
    if wanted not in there:
        raise InvalidInput(
            f"{describe(item)}: spec.{field} names {wanted[0]} {wanted[1]}/{wanted[2]}, which is not rendered."
        )
