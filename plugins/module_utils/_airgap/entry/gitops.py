# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_gitops."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..gitops.apply import objects_to_apply
from ..gitops.chart import at_top, changed_values, chart_file, chart_metadata, images_in_values
from ..gitops.check import check_no_secret, check_objects, describe
from ..gitops.git import GitClone, GitLocation, GitSettings, Published, publish
from ..gitops.lock import component_part, workload_entry
from ..gitops.objects import Chart, Content, render
from ..gitops.settings import Delivery, read_delivery
from ..gitops.tree import Rendered, Tree, TreePlan, plan_tree
from ..gitops.workloads import manifests_of
from ..localize.component import ComponentFiles, Placement, former_references
from ..localize.result import LocalizeResult
from ..localize.rules import foreign_images, localize as apply_rules, rewrite_references
from ..model.access import Access
from ..model.config_data import ConfigData
from ..model.errors import InvalidInput, NotFound, Refused
from ..model.identity import parse_selector, select
from ..model.placement import parse_path_mapping
from ..model.reference import ImageReference, RepositoryReference
from ..sources.content import ContentFinder, stated_artifact_digest
from ..store.closure import Closure, resolve_versions
from ..store.component_store import ComponentStore, open_store
from ..store.component_version import ArtifactContent, StoredVersion
from ..store.safe_tar import Limits, read_files
from .module import Context

CHART_TYPES = ("helmchart",)
CHART_LIMITS = Limits(size=64 * 1024 * 1024, count=20_000)
IMAGE_TYPES = ("ociimage", "ociartifact", "dockerimage")


def gitops(context: Context) -> Dict[str, Any]:
    """Render deliveries, check them, and bring a Git branch to them."""
    params = context.params
    ready = [_ready(context, options) for options in params["components"]]
    _tell_foreign(context, ready)
    rendered = [item.rendered for item in ready]
    values: Dict[str, Any] = dict(changed=False, revision=None, commit=None, branch=None, merged=True, files=[])
    if params["git_url"]:
        published = _publish(context, rendered)
        plan = published.plan
        values.update(
            changed=published.changed,
            commit=published.revision or None,
            revision=f"{published.branch}@sha1:{published.revision}" if published.revision else None,
            branch=published.branch,
            merged=published.merged,
            files=sorted(plan.edits),
        )
        if context.check_mode and published.changed:
            values.update(commit=None, revision=None)
        if context.wants_diff:
            values["diff"] = _diff(published)
    else:
        plan = TreePlan()
        for item in rendered:
            check_objects([placed.definition for placed in item.objects])
    for warning in plan.warnings:
        context.warn(warning)
    values["components"] = [_described(item, plan) for item in ready]
    return values


@dataclass(frozen=True)
class _Ready:
    """A delivery, rendered. objects: what is applied when there is no Git."""

    rendered: Rendered
    objects: Sequence[Mapping[str, Any]]
    images: Sequence[Mapping[str, Any]]
    foreign: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class _Component:
    """A component version that is open for reading. placement: set when it is read from elsewhere than its target."""

    store: ComponentStore
    version: StoredVersion
    all_versions: Sequence[StoredVersion]
    finder: ContentFinder
    files: ComponentFiles
    placement: Optional[Placement]


def _ready(context: Context, options: Mapping[str, Any]) -> _Ready:
    store, version, placement = _open(context, options)
    try:
        delivery = read_delivery(dict(options, version=version.descriptor.version))
        registries = context.connect()
        finder = ContentFinder(store, registries)
        closure = Closure(store, True)
        versions = closure.children_first([(version.descriptor.name, version.descriptor.version)])
        files = ComponentFiles(store, version, finder, context.warn)
        return _Renderer(context, _Component(store, version, versions, finder, files, placement), delivery, options).ready()
    finally:
        store.close()


def _open(context: Context, options: Mapping[str, Any]) -> Tuple[ComponentStore, StoredVersion, Optional[Placement]]:
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


class _Renderer:
    """Renders one delivery."""

    def __init__(self, context: Context, component: _Component, delivery: Delivery, options: Mapping[str, Any]) -> None:
        self._context, self._component, self._delivery, self._options = context, component, delivery, options
        self._manifests = parse_selector(options["manifests"])
        descriptor = component.version.descriptor
        self._element = select(descriptor.resources, self._manifests, str(component.version))
        self._where = descriptor.label_of("resource", self._element)
        self._is_chart = str(self._element["type"]).partition("/")[0].lower() in CHART_TYPES

    def ready(self) -> _Ready:
        config = self._config()
        images = self._images()
        if self._is_chart:
            result, chart = self._chart(config, images)
        else:
            result, chart = self._localized(self._component.files.manifests(self._options["manifests"]), config, images), None
        for warning in result.warnings:
            self._context.warn(warning)
        manifests = [] if chart else [manifest for _file, manifest in manifests_of(result.files)]
        content = self._content(config, chart, manifests, result)
        placed = render(self._delivery, content)
        in_git = self._delivery.delivery == "rendered" and not chart
        if in_git:
            for manifest in manifests:
                check_no_secret(manifest, f"{self._where}: {describe(manifest)}")
        rendered = Rendered(self._delivery, placed, result.files if in_git else {}, self._lock(images, manifests))
        foreign = self._foreign(result, chart)
        return _Ready(rendered, objects_to_apply(self._delivery, placed, manifests if in_git else []), images, foreign)

    def _config(self) -> Optional[ConfigData]:
        if self._options["rules"] is not None:
            if self._delivery.delivery == "controller" and not self._is_chart:
                raise InvalidInput(
                    f"Component {self._delivery.component}: ocm-controller reads rules from the component alone, not from rules.",
                    "Use delivery: rendered.",
                )
            return ConfigData.from_mapping(self._options["rules"], "rules")
        if self._options["config"] and self._component.files.has(self._options["config"]):
            return self._component.files.config(self._options["config"])
        if self._delivery.values is not None:
            raise InvalidInput(
                f"Component {self._delivery.component} has no resource {self._options['config']!r} with rules that use the values.",
                "Name it in config, or leave values out.",
            )
        return None

    def _localized(
        self, files: Mapping[str, bytes], config: Optional[ConfigData], images: Sequence[Mapping[str, Any]]
    ) -> LocalizeResult:
        if config is not None:
            image_of = self._component.files.image_of(self._component.placement)
            return apply_rules(dict(files), config, image_of, self._options["values"], "controller")
        return rewrite_references(files, self._former(files, images))

    def _former(self, files: Mapping[str, bytes], images: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
        """For a component without rules: former image reference -> reference at the target."""
        if self._options["references"]:
            return former_references(self._options["references"])
        if self._component.placement:
            pairs = [dict(before=image["before"], after={"imageReference": image["reference"]}) for image in images]
            return former_references(pairs)
        found = {}
        for foreign in foreign_images(files, self._target()):
            same = [image["reference"] for image in images if _same_image(foreign["image"], image["reference"], self._target())]
            if len(set(same)) == 1:
                found[foreign["image"]] = same[0]
        return found

    def _target(self) -> str:
        """host[:port][/prefix]."""
        return self._delivery.repository.partition("://")[2] if "://" in self._delivery.repository else self._delivery.repository

    def _images(self) -> List[Dict[str, Any]]:
        """Every OCI artifact of the component version and of those it refers to, as it is called at the target."""
        found = []
        for version in self._component.all_versions:
            files = ComponentFiles(self._component.store, version, self._component.finder, lambda text: None)
            for element in version.descriptor.resources:
                access = version.descriptor.access_of(element)
                if self._is_image(element, access):
                    found.append(self._image(version, files, element, access))
        return found

    def _is_image(self, element: Mapping[str, Any], access: Access) -> bool:
        if access.type == "ociArtifact":
            return True
        kind = str(element["type"]).partition("/")[0].lower()
        return self._component.placement is not None and kind in IMAGE_TYPES

    def _image(self, version: StoredVersion, files: ComponentFiles, element: Mapping[str, Any], access: Access) -> Dict[str, Any]:
        identity = version.descriptor.identity_of("resource", element)
        extra = {key: value for key, value in identity.items() if key != "name"}
        resource = {"name": identity["name"], "extraIdentity": extra}
        reference = files.image_of(self._component.placement)(resource)
        digest = ImageReference.parse(reference).digest or stated_artifact_digest(element) or None
        return dict(
            component=version.descriptor.name, version=version.descriptor.version, resource=identity,
            type=str(element["type"]), reference=reference, digest=digest, before=access.to_mapping(),
        )

    def _chart(self, config: Optional[ConfigData], images: Sequence[Mapping[str, Any]]) -> Tuple[LocalizeResult, Chart]:
        if self._delivery.constraint:
            raise InvalidInput(
                f"{self._where} is a Helm chart: its values are those of one version, so it cannot follow a range.",
                "Set follow to false.",
            )
        all_files = self._chart_files()
        folder = os.path.dirname(chart_file(all_files, "Chart.yaml", self._where))
        name, version = chart_metadata(all_files, self._where)
        values = {path: content for path, content in at_top(all_files, folder).items() if path == "values.yaml"} or {"values.yaml": b"{}\n"}
        config = _for_values(config, folder) if config else None
        if config is None and self._delivery.values is not None:
            raise InvalidInput(f"{self._where}: values are given, but no rules that use them.")
        result = self._localized(values, config, images)
        changed = changed_values(values["values.yaml"], result.files["values.yaml"], f"{self._where}: values.yaml")
        access = self._component.version.descriptor.access_of(self._element)
        reference = next((image["reference"] for image in images if image["resource"].get("name") == self._element["name"]), "")
        is_artifact = access.type == "ociArtifact" or (self._component.placement and reference)
        return result, Chart(name, version, ImageReference.parse(reference).without_scheme() if is_artifact else None, changed)

    def _chart_files(self) -> Dict[str, bytes]:
        content = self._component.finder.find(self._component.version, "resource", self._element)
        if not isinstance(content, ArtifactContent):
            return self._component.files.manifests(self._options["manifests"])
        manifest = content.repository.get_manifest(content.reference)
        layer = next((blob for blob in manifest.blobs if "helm.chart.content" in blob.media_type), None)
        if layer is None:
            raise InvalidInput(f"{self._where} is no Helm chart: no layer of its manifest is one.")
        with content.repository.open_blob(layer.digest, layer.size) as blocks:
            return read_files(blocks, self._where, CHART_LIMITS)

    def _content(
        self, config: Optional[ConfigData], chart: Optional[Chart], manifests: Sequence[Mapping[str, Any]], result: LocalizeResult
    ) -> Content:
        replaced = {}
        if config is None and self._delivery.delivery == "controller":
            replaced = {change.before: change.after for change in result.changes if change.kind == "reference"}
        return Content(
            manifests=self._manifests,
            config=parse_selector(self._options["config"]) if config is not None and self._options["rules"] is None else None,
            localizes=bool(config and config.localization),
            chart=chart,
            objects=manifests,
            replaced_images=replaced,
        )

    def _foreign(self, result: LocalizeResult, chart: Optional[Chart]) -> List[Dict[str, str]]:
        if not chart:
            return foreign_images(result.files, self._target())
        return [
            dict(file="values.yaml", path="", image=image)
            for image in images_in_values(_values_of(result.files["values.yaml"]))
            if not _is_below(image, self._target())
        ]

    def _lock(self, images: Sequence[Mapping[str, Any]], manifests: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        locked = [{key: image[key] for key in ("component", "version", "resource", "reference", "digest")} for image in images]
        # Before the transfer the descriptor at the target, and so its digest, does not exist yet.
        digest = None if self._component.placement else self._component.version.digest or None
        delivered = [workload_entry(manifest, self._delivery.target_namespace, by_flux=True) for manifest in manifests]
        return dict(component_part(self._delivery, digest, locked), delivered=delivered)


def _for_values(config: ConfigData, folder: str) -> ConfigData:
    """The rules for values.yaml, named with or without the chart's folder."""
    names = ("values.yaml", "./values.yaml", f"{folder}/values.yaml")
    return replace(
        config,
        localization=tuple(replace(rule, file="values.yaml") for rule in config.localization if rule.file in names),
        configuration=tuple(replace(rule, file="values.yaml") for rule in config.configuration if rule.file in names),
    )


def _values_of(content: bytes) -> Mapping[str, Any]:
    return changed_values(b"", content, "values.yaml")


def _same_image(foreign: str, reference: str, target: str) -> bool:
    """Whether an image reference is the former one of an image at the target: the same path without host, same version."""
    try:
        former, present = ImageReference.parse(foreign), ImageReference.parse(reference)
    except InvalidInput:
        return False
    prefix = target.partition("/")[2]
    path = present.repository[len(prefix) + 1:] if prefix else present.repository
    same_version = (former.digest and former.digest == present.digest) or (former.tag or "latest") == (present.tag or "latest")
    return path == former.repository and bool(same_version)


def _is_below(image: str, target: str) -> bool:
    return image == target or image.startswith(f"{target}/")


def _tell_foreign(context: Context, ready: Sequence[_Ready]) -> None:
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
        raise Refused(text, "Add rules to the component, or set foreign_images to warn or allow.")
    context.warn(text)


def _publish(context: Context, rendered: Sequence[Rendered]) -> Published:
    params = context.params
    settings = _git_settings(context)
    # module.tmpdir goes with the module, also when it is ended early.
    folder = tempfile.mkdtemp(prefix="git-", dir=context._module.tmpdir)
    try:
        clone = GitClone(_runner(context), folder, settings)

        def plan(tree: Tree) -> TreePlan:
            return plan_tree(tree, rendered, params["git_adopt"])

        return publish(clone, settings, plan, params["git_message"] or _message(rendered), context.check_mode, time.sleep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _git_settings(context: Context) -> GitSettings:
    params = context.params
    location = GitLocation.parse(params["git_url"], params["git_username"] or "", params["git_password"] or "")
    if location.password:
        context._module.no_log_values.add(location.password)
    return GitSettings(
        location=location,
        branch=params["git_branch"],
        push_branch=params["git_push_branch"] or "",
        ssh_key=params["git_ssh_key"] or "",
        known_hosts=params["git_known_hosts"] or "",
        ca_path=params["git_ca_path"] or "",
        author=params["git_author"],
        executable=params["git_executable"],
        timeout=params["git_timeout"],
    )


def _runner(context: Context) -> Callable[[List[str], Mapping[str, str], str], Tuple[int, str, str]]:
    def run(command: List[str], environment: Mapping[str, str], folder: str) -> Tuple[int, str, str]:
        return context._module.run_command(
            command, environ_update=dict(environment), cwd=folder, expand_user_and_vars=False, handle_exceptions=False
        )

    return run


def _message(rendered: Sequence[Rendered]) -> str:
    names = [f"{item.delivery.component} {item.delivery.version}" for item in rendered]
    names = list(dict.fromkeys(names))
    subject = names[0] if len(names) == 1 else f"{len(names)} components"
    places = sorted({item.delivery.repository for item in rendered})
    return "\n".join([f"Deliver {subject}", ""] + [f"- {name}" for name in names] + [f"From {', '.join(places)}"])


def _diff(published: Published) -> List[Dict[str, str]]:
    found = []
    for path, after in sorted(published.plan.edits.items()):
        before = published.before.get(path)
        found.append(
            dict(
                before_header=path if before is not None else f"{path} (absent)",
                after_header=path if after is not None else f"{path} (absent)",
                before=(before or b"").decode("utf-8", "replace"),
                after=(after or b"").decode("utf-8", "replace"),
            )
        )
    return found


def _described(item: _Ready, plan: TreePlan) -> Dict[str, Any]:
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
