# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one component is delivered to a cluster: the options of the role gitops as a value that was checked."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from ..model.errors import InvalidInput
from ..model.reference import RepositoryReference, check_component_name
from ..model.version import Constraint, Version

DURATION = re.compile(r"\A([0-9]+(\.[0-9]+)?(ms|s|m|h))+\Z")
LABEL = re.compile(r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
SUBDOMAIN = re.compile(r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
DELIVERIES = ("controller", "rendered")
PULL_SECRET_BY = ("patch", "configuration", "service_account")


@dataclass(frozen=True)
class Delivery:
    """One component for one cluster.

    repository: the registry that the cluster reads, host[:port][/prefix]. version: exact. constraint: written to the
    cluster instead of the version (follow), else "". namespace: of the controller's objects. target_namespace: of
    the workload. git_path, git_manifests_path: folders below the root of the Git tree, "" for the root itself.
    flux_source, flux_namespace: the GitRepository that Flux reads the tree by. replaces: names of deliveries in the same
    git_path whose place it takes.
    """

    name: str
    component: str
    version: str
    repository: str
    constraint: str = ""
    namespace: str = "ocm-system"
    target_namespace: str = "default"
    interval: str = "1m0s"
    delivery: str = "controller"
    service_account: str = "air-gapped-ops"
    pull_secret: str = "ocm-airgap-pull"
    pull_secret_by: str = "patch"
    values: Optional[Mapping[str, Any]] = None
    git_path: str = "components"
    git_manifests_path: str = "apps"
    flux_source: str = "flux-system"
    flux_namespace: str = "flux-system"
    ca_secret: str = ""
    timeout: str = "5m0s"
    kustomization: Mapping[str, Any] = field(default_factory=dict)
    helm_release: Mapping[str, Any] = field(default_factory=dict)
    replaces: Tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """host[:port][/prefix] of the repository."""
        return self.repository.partition("://")[2] or self.repository

    @property
    def folder(self) -> str:
        """The folder of the objects and of the lock."""
        return posixpath.join(self.git_path, self.name)

    @property
    def manifests_folder(self) -> str:
        """The folder of rendered manifests."""
        return posixpath.join(self.git_manifests_path, self.name)

    @property
    def component_version_name(self) -> str:
        """The ComponentVersion's name. Another repository or component has another: the controller ignores a change of
        either while the version stays the same."""
        origin = f"{self.repository} {self.component}"
        return f"{self.name}-{hashlib.sha256(origin.encode('utf-8')).hexdigest()[:8]}"


def read_delivery(options: Mapping[str, Any]) -> Delivery:
    """Read and check one entry of the option components. Raises InvalidInput naming component and option."""
    component = check_component_name(str(options.get("component") or ""))
    where = f"Component {component}"
    name = delivery_name(str(options.get("name") or component.rpartition("/")[2]))
    texts = {key: str(options[key]) for key in _TEXTS if options.get(key)}
    delivery = Delivery(
        name=name,
        component=component,
        version=str(options.get("version") or ""),
        repository=_registry(str(options.get("repository") or ""), where),
        constraint=str(options.get("constraint") or "") if options.get("follow") else "",
        values=options.get("values"),
        git_path=tree_path(options.get("git_path") or "components", f"{where}: git_path"),
        git_manifests_path=tree_path(options.get("git_manifests_path") or "apps", f"{where}: git_manifests_path"),
        kustomization=dict(options.get("kustomization") or {}),
        helm_release=dict(options.get("helm_release") or {}),
        replaces=tuple(delivery_name(str(name)) for name in options.get("replaces") or ()),
        **texts,
    )
    _check(delivery, bool(options.get("follow")), where)
    return delivery


def delivery_name(text: str) -> str:
    """The name of a delivery, made of what it was called."""
    return text.replace("_", "-").lower()


_TEXTS = (
    "namespace", "target_namespace", "interval", "delivery", "service_account", "pull_secret", "pull_secret_by",
    "flux_source", "flux_namespace", "ca_secret", "timeout",
)


def _registry(text: str, where: str) -> str:
    reference = RepositoryReference.parse(text)
    if reference.is_archive:
        raise InvalidInput(f"{where}: the repository {text!r} is an archive; a cluster reads a registry.", "Name the target.")
    scheme = "http://" if reference.plain_http else ""
    return scheme + "/".join(part for part in (reference.host, reference.prefix) if part)


def _check(delivery: Delivery, follow: bool, where: str) -> None:
    check_choice(delivery.delivery, DELIVERIES, f"{where}: delivery")
    check_choice(delivery.pull_secret_by, PULL_SECRET_BY, f"{where}: pull_secret_by")
    for option in ("interval", "timeout"):
        check_duration(getattr(delivery, option), f"{where}: {option}")
    for option in ("namespace", "target_namespace", "flux_namespace", "name"):
        check_name(getattr(delivery, option), f"{where}: {option}", LABEL, 63 if option != "name" else 54)
    for name in delivery.replaces:
        check_name(name, f"{where}: replaces", LABEL, 54)
    for option in ("service_account", "pull_secret", "flux_source"):
        check_name(getattr(delivery, option), f"{where}: {option}")
    if not delivery.version:
        raise InvalidInput(f"{where}: no version is given.", "Give the exact version.")
    if follow and not delivery.constraint:
        raise InvalidInput(f"{where}: follow writes the range of versions to the cluster, but none is given.", "Give constraint.")
    if follow and delivery.delivery == "rendered":
        raise InvalidInput(f"{where}: manifests that are rendered here cannot follow a range of versions.", "Set follow to false.")
    if delivery.delivery == "controller":
        _check_for_controller(delivery, where)


def _check_for_controller(delivery: Delivery, where: str) -> None:
    if delivery.repository.startswith("http://"):
        raise InvalidInput(
            f"{where}: ocm-controller cannot localize images of the registry {delivery.repository} without TLS.",
            "Give the registry a certificate, or use delivery: rendered.",
        )
    if delivery.constraint:
        Constraint.parse(delivery.constraint)
    elif Version.parse_or_none(delivery.version) is None:
        raise InvalidInput(
            f"{where}: ocm-controller passes over the version {delivery.version!r}, which is no semantic version.",
            "Use delivery: rendered.",
        )


def check_choice(value: str, choices: Any, where: str) -> None:
    if value not in choices:
        raise InvalidInput(f"{where} is {value!r}.", f"It is one of {', '.join(choices)}.")


def check_duration(value: Any, where: str) -> None:
    """Raises InvalidInput unless it is a duration as Go writes it: a bad one stops a controller for the whole kind."""
    if not isinstance(value, str) or not DURATION.match(value):
        raise InvalidInput(f"{where}: {value!r} is no duration.", "Write it as 30s, 5m0s or 1h30m.")


def check_name(value: Any, where: str, pattern: Any = SUBDOMAIN, length: int = 253) -> None:
    """Raises InvalidInput unless Kubernetes accepts the name."""
    if not isinstance(value, str) or len(value) > length or not pattern.match(value):
        raise InvalidInput(
            f"{where}: {value!r} is no name for a Kubernetes object.",
            f"It has lower-case letters, digits and dashes, {length} at most.",
        )


def tree_path(value: Any, where: str) -> str:
    """A folder below the root of a Git tree without ./ in front. Raises InvalidInput for paths that leave it."""
    path = posixpath.normpath(str(value).strip() or ".")
    if path.startswith(("/", "..")) or path.split("/")[0] == ".git":
        raise InvalidInput(f"{where}: {str(value)!r} does not lie inside the Git tree.", "Write it as ./components.")
    return "" if path == "." else path


def registry_host(repository: str) -> str:
    """host[:port] of a repository text."""
    return RepositoryReference.parse(repository).host


def options_of(delivery: Delivery) -> Dict[str, Any]:
    """What of a delivery belongs into its lock."""
    return {
        "delivery": delivery.delivery,
        "namespace": delivery.namespace,
        "targetNamespace": delivery.target_namespace,
        "pullSecret": delivery.pull_secret,
        "pullSecretBy": delivery.pull_secret_by,
    }
