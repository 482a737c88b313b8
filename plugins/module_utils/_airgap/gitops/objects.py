# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a delivery, as today's ocm-controller and Flux accept them. Pure: values in, mappings out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.errors import InvalidInput
from ..model.reference import ImageReference
from .settings import Delivery
from .workloads import namespace_patch, pull_secret_patches, service_accounts

OCM = "delivery.ocm.software/v1alpha1"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"
SOURCE = "source.toolkit.fluxcd.io/v1"
HELM = "helm.toolkit.fluxcd.io/v2"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True)
class Chart:
    """A Helm chart as the manifests. reference: at the registry, None where it is no OCI artifact."""

    name: str
    version: str
    reference: Optional[ImageReference] = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What of a component version the objects depend on.

    manifests, config: the identities of those resources; config None for a component without rules. localizes:
    whether it has localization rules. objects: the manifests after localization. replaced_images: former reference
    -> reference at the registry, for images that no rule names. packed, localized: digests of the manifests as they are
    in the component, and after localization.
    """

    manifests: Mapping[str, str]
    config: Optional[Mapping[str, str]] = None
    localizes: bool = False
    chart: Optional[Chart] = None
    objects: Sequence[Mapping[str, Any]] = ()
    replaced_images: Mapping[str, str] = field(default_factory=dict)
    packed: str = ""
    localized: str = ""


@dataclass(frozen=True)
class Placed:
    """An object and the file, below the delivery's folder, that it is written to. shared: also others' (git_path)."""

    file: str
    definition: Dict[str, Any]
    shared: bool = False


def render(delivery: Delivery, content: Content) -> List[Placed]:
    """The objects of one delivery, in the order in which they depend on each other."""
    if delivery.delivery == "controller":
        return _controller(delivery, content) + _pull_objects(delivery, content)
    if content.chart:
        return _helm(delivery, content.chart) + _pull_objects(delivery, content)
    return [Placed("kustomization-object.yaml", _kustomization(delivery))] + _pull_objects(delivery, content)


def _object(api_version: str, kind: str, name: str, namespace: str, spec: Mapping[str, Any]) -> Dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": dict(spec)}


def service_account(name: str, namespace: str, secret: str, keep: bool = False) -> Dict[str, Any]:
    """A ServiceAccount with a pull secret. keep: Flux must not delete it (the namespace's default account)."""
    metadata: Dict[str, Any] = {"name": name, "namespace": namespace}
    if keep:
        metadata["annotations"] = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "imagePullSecrets": [{"name": secret}]}


def _controller(delivery: Delivery, content: Content) -> List[Placed]:
    """ComponentVersion, Resource, Localization, Configuration and FluxDeployer, each reading the one before."""
    name = f"{delivery.name}-{content.manifests['name']}"
    placed = [
        Placed(
            f"service-account-{delivery.service_account}.yaml",
            service_account(delivery.service_account, delivery.namespace, delivery.pull_secret),
            shared=True,
        ),
        Placed("component-version.yaml", _component_version(delivery)),
        Placed("resource.yaml", _ocm(delivery, "Resource", name, {"sourceRef": _manifests_ref(delivery, content)})),
    ]
    source = {"kind": "Resource", "name": name}
    if not content.chart:
        for kind, file, spec in _mutations(delivery, content):
            spec = dict(spec, sourceRef=source, configRef=_config_ref(delivery, content))
            placed.append(Placed(file, _ocm(delivery, kind, name, spec)))
            source = {"kind": kind, "name": name}
    placed.append(Placed("flux-deployer.yaml", _ocm(delivery, "FluxDeployer", delivery.name, _deployer(delivery, content, source))))
    return placed


def _ocm(delivery: Delivery, kind: str, name: str, spec: Mapping[str, Any]) -> Dict[str, Any]:
    return _object(OCM, kind, name, delivery.namespace, dict(spec, interval=delivery.interval))


def _component_version(delivery: Delivery) -> Dict[str, Any]:
    spec = {
        "component": delivery.component,
        "version": {"semver": delivery.constraint or delivery.version},
        "repository": {"url": delivery.repository},
        "serviceAccountName": delivery.service_account,
    }
    return _ocm(delivery, "ComponentVersion", delivery.component_version_name, spec)


def _manifests_ref(delivery: Delivery, content: Content) -> Dict[str, Any]:
    """Flux wants a chart's tag to be its version."""
    if content.chart:
        version = content.chart.version
        return _component_ref(delivery, content.manifests, _tag(delivery, version, content.packed) or version)
    return _component_ref(delivery, content.manifests, _tag(delivery, delivery.version, content.packed))


def _config_ref(delivery: Delivery, content: Content) -> Dict[str, Any]:
    """The rules. What they give counts, with the images of the component, which the controller reads here as well."""
    return _component_ref(delivery, content.config or {}, _tag(delivery, delivery.version, content.localized))


def _component_ref(delivery: Delivery, identity: Mapping[str, str], tag: str) -> Dict[str, Any]:
    """A resource of the ComponentVersion. resourceRef.version says nothing about it, it is a tag in the cluster."""
    resource: Dict[str, Any] = {"name": identity["name"]}
    extra = {key: value for key, value in identity.items() if key not in ("name", "version")}
    if extra:
        resource["extraIdentity"] = extra
    if tag:
        resource["version"] = tag
    return {"kind": "ComponentVersion", "name": delivery.component_version_name, "resourceRef": resource}


def _tag(delivery: Delivery, version: str, digest: str) -> str:
    """What the controller keeps content under in its registry; it does not fetch again what is there under a tag.

    A version that was built anew has other content, so another tag: 6.3.5_1f0c9a2b. An underscore stands for the plus of
    a semantic version, which a tag cannot have, and what follows a plus makes no difference to Flux. "" where a range is
    followed, whose versions the cluster finds itself.
    """
    if not digest or delivery.constraint:
        return ""
    tag = version.replace("+", "_")
    return f"{tag}{'.' if '_' in tag else '_'}{digest.rpartition(':')[2][:8]}"


def _mutations(delivery: Delivery, content: Content) -> List[Tuple[str, str, Dict[str, Any]]]:
    found: List[Tuple[str, str, Dict[str, Any]]] = []
    if content.config is not None and content.localizes:
        found.append(("Localization", "localization.yaml", {}))
    if content.config is not None and delivery.values is not None:
        found.append(("Configuration", "configuration.yaml", {"values": dict(delivery.values)}))
    return found


def _deployer(delivery: Delivery, content: Content, source: Mapping[str, str]) -> Dict[str, Any]:
    spec: Dict[str, Any] = {"sourceRef": dict(source), "waitForReady": True}
    if content.chart:
        spec["helmReleaseTemplate"] = _helm_release(delivery, content.chart)
    else:
        template = _kustomization_spec(delivery, "./")
        if content.replaced_images:
            template["images"] = _kustomize_images(content.replaced_images)
        spec["kustomizationTemplate"] = dict(template, **delivery.kustomization)
    return spec


def _kustomization_spec(delivery: Delivery, path: str) -> Dict[str, Any]:
    patches = pull_secret_patches(delivery.pull_secret) if delivery.pull_secret_by == "patch" else []
    return {
        "interval": delivery.interval,
        "path": path,
        "patches": [*patches, namespace_patch()],
        "prune": True,
        "retryInterval": delivery.interval,
        "targetNamespace": delivery.target_namespace,
        "timeout": delivery.timeout,
        "wait": True,
    }


def _kustomize_images(replaced: Mapping[str, str]) -> List[Dict[str, str]]:
    """Kustomize's images: name is the former reference without tag and digest."""
    found = {}
    for before, after in sorted(replaced.items()):
        image = ImageReference.parse(after)
        name = before.partition("@")[0]
        name = name[: name.rindex(":")] if ":" in name.rpartition("/")[2] else name
        entry = {"name": name, "newName": image.name}
        entry.update({"digest": image.digest} if image.digest else {"newTag": image.tag})
        if found.setdefault(name, entry) != entry:
            raise InvalidInput(
                f"The manifests use two versions of the image {name}, which Kustomize cannot tell apart.",
                "Use delivery: rendered, or give the component localization rules.",
            )
    return list(found.values())


def _kustomization(delivery: Delivery) -> Dict[str, Any]:
    spec = _kustomization_spec(delivery, f"./{delivery.manifests_folder}")
    spec["sourceRef"] = {"kind": "GitRepository", "name": delivery.flux_source}
    return _object(KUSTOMIZE, "Kustomization", delivery.name, delivery.flux_namespace, dict(spec, **delivery.kustomization))


def _helm_release(delivery: Delivery, chart: Chart) -> Dict[str, Any]:
    spec: Dict[str, Any] = {
        "interval": delivery.interval,
        "releaseName": delivery.name,
        "targetNamespace": delivery.target_namespace,
        "timeout": delivery.timeout,
        "install": {"createNamespace": True, "remediation": {"retries": 3}},
        "upgrade": {"remediation": {"retries": 3}},
        "values": dict(chart.values),
    }
    if delivery.pull_secret_by == "patch":
        spec["postRenderers"] = [{"kustomize": {"patches": pull_secret_patches(delivery.pull_secret)}}]
    return dict(spec, **delivery.helm_release)


def _helm(delivery: Delivery, chart: Chart) -> List[Placed]:
    """Flux pulls the chart from the private registry itself."""
    reference = chart.reference
    if reference is None:
        raise InvalidInput(
            f"Component {delivery.component}: the chart {chart.name} is no OCI artifact at the registry.",
            "Use delivery: controller, or transfer a component whose chart has the access ociArtifact or helm.",
        )
    source: Dict[str, Any] = {
        "interval": delivery.interval,
        "url": f"oci://{reference.name}",
        "ref": {"digest": reference.digest} if reference.digest else {"tag": reference.tag},
        "layerSelector": {"mediaType": CHART_LAYER, "operation": "copy"},
        "secretRef": {"name": delivery.pull_secret},
    }
    if delivery.ca_secret:
        source["certSecretRef"] = {"name": delivery.ca_secret}
    if delivery.repository.startswith("http://"):
        source["insecure"] = True
    release = dict(_helm_release(delivery, chart), chartRef={"kind": "OCIRepository", "name": delivery.name})
    return [
        Placed("oci-repository.yaml", _object(SOURCE, "OCIRepository", delivery.name, delivery.flux_namespace, source)),
        Placed("helm-release.yaml", _object(HELM, "HelmRelease", delivery.name, delivery.flux_namespace, release)),
    ]


def _pull_objects(delivery: Delivery, content: Content) -> List[Placed]:
    """ServiceAccounts that bring the pull secret to the workload's pods, where no patch does."""
    if delivery.pull_secret_by == "patch":
        return []
    shipped = {item["metadata"]["name"] for item in content.objects if item.get("kind") == "ServiceAccount"}
    if delivery.pull_secret_by == "service_account":
        needed = ["default"]
        _refuse_other_accounts(delivery, content, needed)
    else:
        needed = service_accounts(content.objects, delivery.pull_secret)
        if "default" in needed:
            raise InvalidInput(
                f"Component {delivery.component}: with these values its workloads use neither the pull secret "
                f"{delivery.pull_secret} nor a ServiceAccount of their own.",
                "Set what its configuration rules offer for that in values, or use gitops_pull_secret_by: patch.",
            )
    if shipped.intersection(needed):
        raise InvalidInput(
            f"Component {delivery.component} brings the ServiceAccount {', '.join(sorted(shipped.intersection(needed)))} itself.",
            "Use gitops_pull_secret_by: patch.",
        )
    return [
        Placed(
            f"service-account-{delivery.target_namespace}-{name}.yaml",
            service_account(name, delivery.target_namespace, delivery.pull_secret, keep=name == "default"),
            shared=True,
        )
        for name in needed
    ]


def _refuse_other_accounts(delivery: Delivery, content: Content, accounts: Sequence[str]) -> None:
    others = [name for name in service_accounts(content.objects, delivery.pull_secret) if name not in accounts]
    if others:
        raise InvalidInput(
            f"Component {delivery.component}: workloads run under the ServiceAccount {', '.join(others)}, which the default "
            "account's pull secret does not reach.",
            "Use gitops_pull_secret_by: patch.",
        )
