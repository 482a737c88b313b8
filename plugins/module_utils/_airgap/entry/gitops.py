# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_gitops."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, cast

from ..gitops.chart import VALUES, PackedChart, changed_values, foreign_in_values, is_chart, read_chart
from ..gitops.check import check_objects
from ..gitops.git import GitClone, Published, publish
from ..gitops.lock import files_digest
from ..gitops.objects import Chart, Content
from ..gitops.rendering import Localized, Ready, render_delivery
from ..gitops.settings import Delivery, read_delivery
from ..gitops.moves import Held, MovePlan, plan_deliveries
from ..gitops.tree import Rendered, Tree, only_files
from ..gitops.workloads import manifests_of
from ..localize.component import ComponentFiles, Placement
from ..localize.former import former_references
from ..localize.images import component_images, former_images, moved_images
from ..localize.result import LocalizeResult
from ..localize.rules import foreign_images, localize as apply_rules, rewrite_references
from ..model.config_data import ConfigData
from ..model.errors import InvalidInput, NotFound, Refused
from ..model.identity import parse_selector, select
from ..model.placement import parse_path_mapping
from ..model.reference import ImageReference, RepositoryReference
from ..sources.content import ContentFinder
from ..store.closure import Closure, resolve_versions
from ..store.component_store import ComponentStore, open_store
from ..store.component_version import StoredVersion
from .gitops_removal import publish_settings, published_values, remove_deliveries
from .registries import RegistryContext


def gitops(context: RegistryContext) -> Dict[str, Any]:
    """Render deliveries, check them, and bring a Git branch to them; or take deliveries out of it."""
    params = context.params
    _check_files(params)
    if params["state"] == "absent":
        return remove_deliveries(context)
    _require_options(params["components"])
    ready = [_ready(context, options) for options in params["components"]]
    _tell_foreign(context, ready)
    rendered = [item.rendered for item in ready]
    values: Dict[str, Any] = dict(changed=False, revision=None, commit=None, branch=None, merged=True, files=[], held=False)
    plan = MovePlan()
    if params["git_url"]:
        plan = _bring(context, rendered, values)
    else:
        for item in rendered:
            check_objects([placed.definition for placed in item.objects])
    for warning in plan.warnings:
        context.warn(warning)
    values.update(handover=plan.handover, components=[_described(item, plan) for item in ready])
    return values


def _bring(context: RegistryContext, rendered: Sequence[Rendered], values: Dict[str, Any]) -> MovePlan:
    """Bring the branch to the deliveries, unless something has to be handed over first."""
    try:
        published = _publish(context, rendered)
    except Held as held:
        values.update(held=True)
        return held.plan
    values.update(published_values(context, published))
    return cast(MovePlan, published.plan)


def _check_files(params: Mapping[str, Any]) -> None:
    files = params["git_files"]
    if files is not None and not files:
        raise InvalidInput("git_files is an empty list.", "Name at least one file, or leave it out to write all.")
    if files is not None and params["state"] == "absent":
        raise InvalidInput("git_files cannot be given with state: absent.", "A delivery is removed as a whole.")


def _require_options(components: Sequence[Mapping[str, Any]]) -> None:
    for number, options in enumerate(components):
        for name in ("component", "repository"):
            if not options[name]:
                raise InvalidInput(f"components[{number}]: {name} is missing.", "Only state: absent does without it.")


@dataclass(frozen=True)
class _Component:
    """A component version that is open for reading. placement: set when it is read from elsewhere than its target."""

    version: StoredVersion
    finder: ContentFinder
    files: ComponentFiles
    images: Sequence[Mapping[str, Any]]
    placement: Optional[Placement]


def _ready(context: RegistryContext, options: Mapping[str, Any]) -> Ready:
    store, version, placement = _open(context, options)
    try:
        delivery = read_delivery(dict(options, version=version.descriptor.version))
        finder = ContentFinder(store, context.connect())
        versions = Closure(store, True).children_first([(version.descriptor.name, version.descriptor.version)])
        images = component_images(store, versions, finder, placement)
        files = ComponentFiles(store, version, finder, context.warn)
        component = _Component(version, finder, files, images, placement)
        return render_delivery(delivery, _localized(context, component, delivery, options))
    finally:
        store.close()


def _open(context: RegistryContext, options: Mapping[str, Any]) -> Tuple[ComponentStore, StoredVersion, Optional[Placement]]:
    """The component version at the target; before it is there, from where it comes, in check mode."""
    target = RepositoryReference.parse(options["repository"])
    store = open_store(target, context.connect())
    try:
        return store, _read(store, options), None
    except NotFound:
        store.close()
        if not (context.check_mode and options["source"]):
            raise
    store = open_store(RepositoryReference.parse(options["source"]), context.connect())
    placement = Placement(target, options["reference_form"] == "tag_digest", parse_path_mapping(options["path_mapping"]))
    return store, _read(store, options), placement


def _read(store: ComponentStore, options: Mapping[str, Any]) -> StoredVersion:
    if not options["version"] and not options["constraint"]:
        raise InvalidInput(f"Component {options['component']}: neither version nor constraint is given.")
    # With follow both are given: the version that was resolved, and the range that goes to the cluster.
    constraint = "" if options["version"] else options["constraint"]
    keys = resolve_versions(store, options["component"], options["version"] or "", constraint)
    return store.read(*keys[0])


def _localized(context: RegistryContext, component: _Component, delivery: Delivery, options: Mapping[str, Any]) -> Localized:
    descriptor = component.version.descriptor
    manifests = parse_selector(options["manifests"])
    element = select(descriptor.resources, manifests, str(component.version))
    where = descriptor.label_of("resource", element)
    config = _config(component, delivery, options, is_chart(element))
    packed = _chart(component, delivery, element) if is_chart(element) else None
    files = {VALUES: packed.values} if packed else component.files.manifests(options["manifests"])
    rules = packed.rules(config) if packed and config else config
    result = _apply(component, delivery, options, files, rules, packed is not None)
    if result.several_documents and delivery.delivery == "controller" and not packed:
        raise Refused(
            f"{where}: rules act on {', '.join(result.several_documents)}, of whose YAML documents ocm-controller keeps the "
            "first alone: the objects in the others would be missing from the cluster.",
            "Publish the component with one object in each file, or use delivery: rendered.",
        )
    for warning in result.warnings:
        context.warn(warning)
    replaced = {}
    if config is None and delivery.delivery == "controller":
        replaced = {change.before: change.after for change in result.changes if change.kind == "reference"}
    content = Content(
        manifests=manifests,
        config=parse_selector(options["config"]) if config is not None and options["rules"] is None else None,
        localizes=bool(config and config.localization),
        chart=_with_values(component, packed, element, result.files[VALUES]) if packed else None,
        objects=[] if packed else [manifest for _file, manifest in manifests_of(result.files)],
        replaced_images=replaced,
        packed=packed.digest if packed else files_digest(files),
        localized=files_digest(result.files),
    )
    target = delivery.target
    foreign = foreign_in_values(result.files[VALUES], target) if packed else foreign_images(result.files, target)
    digest = None if component.placement else component.version.digest or None
    return Localized(where, content, result.files, component.images, foreign, digest)


def _config(
    component: _Component, delivery: Delivery, options: Mapping[str, Any], for_chart: bool
) -> Optional[ConfigData]:
    if options["rules"] is not None:
        if delivery.delivery == "controller" and not for_chart:
            raise InvalidInput(
                f"Component {delivery.component}: ocm-controller reads rules from the component alone, not from rules.",
                "Use delivery: rendered.",
            )
        return ConfigData.from_mapping(options["rules"], "rules")
    if options["config"] and component.files.has(options["config"]):
        return component.files.config(options["config"])
    if delivery.values is not None:
        raise InvalidInput(
            f"Component {delivery.component} has no resource {options['config']!r} with rules that use the values.",
            "Name it in config, or leave values out.",
        )
    return None


def _chart(component: _Component, delivery: Delivery, element: Mapping[str, Any]) -> PackedChart:
    if delivery.constraint:
        raise InvalidInput(
            f"{component.version.descriptor.label_of('resource', element)} is a Helm chart: its values are those of one "
            "version, so it cannot follow a range.",
            "Set follow to false.",
        )
    return read_chart(component.finder, component.version, element)


def _with_values(component: _Component, packed: PackedChart, element: Mapping[str, Any], after: bytes) -> Chart:
    """The chart as a HelmRelease names it, with the values that localization has changed."""
    descriptor = component.version.descriptor
    where = f"{descriptor.label_of('resource', element)}: {VALUES}"
    own = (descriptor.name, descriptor.identity_of("resource", element))
    same = [image["reference"] for image in component.images if (image["component"], image["resource"]) == own]
    reference = same[0] if same else ""
    is_artifact = descriptor.access_of(element).type == "ociArtifact" or (component.placement and reference)
    place = ImageReference.parse(reference).without_scheme() if is_artifact else None
    return Chart(packed.name, packed.version, place, changed_values(packed.values, after, where))


def _apply(
    component: _Component,
    delivery: Delivery,
    options: Mapping[str, Any],
    files: Mapping[str, bytes],
    config: Optional[ConfigData],
    for_chart: bool,
) -> LocalizeResult:
    if config is not None:
        image_of = component.files.image_of(component.placement)
        return apply_rules(dict(files), config, image_of, options["values"], "values" if for_chart else "controller")
    former = former_images(files, component.images, delivery.target)
    if component.placement:
        former.update(moved_images(component.images))
    moved = [entry for entry in options["references"] or [] if _is_at(entry, options["repository"])]
    former.update(former_references(moved))
    return rewrite_references(files, former)


def _is_at(entry: Mapping[str, Any], repository: str) -> bool:
    """Whether what a transfer returned is about this target; it may have had others as well."""
    if not entry.get("target"):
        return True
    return RepositoryReference.parse(str(entry["target"])) == RepositoryReference.parse(repository)


_FOREIGN_HINT = (
    "Add rules to the component that name these places, or set ocm_airgap_foreign_images (foreign_images of the role "
    "gitops) to warn or allow."
)


def _tell_foreign(context: RegistryContext, ready: Sequence[Ready]) -> None:
    """Raises Refused when manifests still name images of other places, before anything is written."""
    lines = [
        f"{item.rendered.delivery.name}: {found['image']} ({found['file']}{' ' + found['path'] if found['path'] else ''})"
        for item in ready
        for found in item.foreign
    ]
    if not lines or context.params["foreign_images"] == "allow":
        return
    text = "Images that no rule brings to the private registry: " + "; ".join(lines) + "."
    if context.params["foreign_images"] == "fail":
        raise Refused(text, _FOREIGN_HINT)
    context.warn(text)


def _publish(context: RegistryContext, rendered: Sequence[Rendered]) -> Published:
    params = context.params
    settings = publish_settings(context)
    deliveries = [item.delivery for item in rendered]
    folders = [folder for each in deliveries for folder in (each.folder, each.manifests_folder)]

    def plan(tree: Tree) -> MovePlan:
        planned = plan_deliveries(tree, rendered, params["git_adopt"])
        if params["git_files"] is not None:
            return cast(MovePlan, only_files(tree, planned, params["git_files"], folders))
        if planned.handover and params["stop_for_handover"] and not context.check_mode:
            raise Held(planned)
        return planned

    with context.temporary_folder("git-") as folder:
        clone = GitClone(context.run, folder, settings)
        return publish(clone, settings, plan, params["git_message"] or _message(rendered), context.check_mode, time.sleep)


def _message(rendered: Sequence[Rendered]) -> str:
    names = [f"{item.delivery.component} {item.delivery.version}" for item in rendered]
    names = list(dict.fromkeys(names))
    subject = names[0] if len(names) == 1 else f"{len(names)} components"
    places = sorted({item.delivery.repository for item in rendered})
    replaced = [name for item in rendered for name in item.delivery.replaces]
    rest = [f"From {', '.join(places)}"] + ([f"In place of {', '.join(replaced)}"] if replaced else [])
    return "\n".join([f"Deliver {subject}", ""] + [f"- {name}" for name in names] + rest)


def _described(item: Ready, plan: MovePlan) -> Dict[str, Any]:
    delivery = item.rendered.delivery
    lock = plan.locks.get(delivery.folder) or {}
    return dict(
        name=delivery.name,
        component=delivery.component,
        version=delivery.version,
        digest=item.rendered.lock["descriptorDigest"],
        folder=delivery.folder,
        component_version=delivery.component_version_name if delivery.delivery == "controller" else None,
        namespace=delivery.namespace,
        target_namespace=delivery.target_namespace,
        images=[{key: image[key] for key in ("component", "version", "resource", "type", "reference", "digest")} for image in item.images],
        foreign_images=[dict(found) for found in item.foreign],
        objects=[dict(definition) for definition in item.objects],
        placed=lock.get("objects") or [],
    )
