# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a chain's pods: whose they are, their digests and Secrets, and whether they are the private ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..model.digest import is_digest
from ..model.errors import InvalidInput
from ..model.pod_spec import CONTAINER_LISTS, template_path
from ..model.reference import ImageReference, RepositoryReference
from .keyring import secret_names
from .links import Chain, Link
from .objects import (
    COMPONENT_VERSION,
    POD,
    SERVICE_ACCOUNT,
    WORKLOAD_KINDS,
    Cluster,
    ClusterError,
    mapping,
    sequence,
    text,
)


@dataclass(frozen=True)
class ContainerImage:
    """One container's image. pod: "" where only the workload's template is known. private: None without a target."""

    namespace: str
    workload: str
    pod: str
    container: str
    image: str
    digest: str
    private: Optional[bool]
    secrets: Tuple[str, ...] = ()

    def as_result(self) -> Dict[str, Any]:
        """The entry of the return value `images`."""
        return dict(
            namespace=self.namespace,
            workload=self.workload or None,
            pod=self.pod or None,
            container=self.container,
            image=self.image,
            digest=self.digest or None,
            private=self.private,
        )


def target_of(chain: Chain, target: str) -> Optional[RepositoryReference]:
    """Where private images lie: the given repository, or the one of the ComponentVersion. Raises InvalidInput."""
    if target:
        reference = RepositoryReference.parse(target)
        if reference.is_archive:
            raise InvalidInput(f"target {target!r} is an archive; images are pulled from registries.")
        return reference
    for link in chain.of(COMPONENT_VERSION):
        spec = mapping(link.content, "spec")
        url = text(spec, "destination", "url") or text(spec, "repository", "url")
        try:
            return RepositoryReference.parse(url)
        except InvalidInput:
            return None
    return None


def is_private(image: str, target: Optional[RepositoryReference]) -> Optional[bool]:
    """Whether an image has the target's host and lies below its prefix, by whole segments; None without a target."""
    if target is None:
        return None
    try:
        reference = ImageReference.parse(image)
    except InvalidInput:
        return False
    inside = not target.prefix or reference.repository.startswith(f"{target.prefix}/")
    return reference.host == target.host and inside


def images_of(chain: Chain, target: Optional[RepositoryReference], cluster: Cluster) -> List[ContainerImage]:
    """The images of all pods, and of workloads that have none their templates'. Raises ClusterError."""
    found: List[ContainerImage] = []
    with_pods = {(link.namespace, link.workload) for link in chain.of(POD)}
    for link in chain.of(*WORKLOAD_KINDS):
        own = f"{link.kind}/{link.name}"
        if link.kind == POD:
            spec = mapping(link.content, "spec")
            found += _images(link, spec, secret_names(spec), target)
        elif (link.namespace, own) not in with_pods:
            spec = _template(link)
            found += _images(link, spec, _later_secrets(cluster, link.namespace, spec), target)
    return found


def _template(link: Link) -> Mapping[str, Any]:
    return mapping(link.content, *template_path(link.kind.kind), "spec")


def _later_secrets(cluster: Cluster, namespace: str, spec: Mapping[str, Any]) -> Tuple[str, ...]:
    """The Secrets that a pod of this template would get: its own, else those of its ServiceAccount."""
    own = secret_names(spec)
    if own or not spec:
        return own
    try:
        account = cluster.get(SERVICE_ACCOUNT, namespace, text(spec, "serviceAccountName") or "default")
    except ClusterError as error:
        if error.status != 403:
            raise
        return ()
    return secret_names(account or {})


def _images(
    link: Link, spec: Mapping[str, Any], secrets: Tuple[str, ...], target: Optional[RepositoryReference]
) -> List[ContainerImage]:
    is_pod = link.kind == POD
    workload = link.workload if is_pod else f"{link.kind}/{link.name}"
    pod = link.name if is_pod else ""
    containers = [entry for field in CONTAINER_LISTS for entry in sequence(spec, field)]
    return [
        ContainerImage(
            link.namespace,
            workload,
            pod,
            text(container, "name"),
            text(container, "image"),
            _digest(link, container),
            is_private(text(container, "image"), target),
            secrets,
        )
        for container in containers
    ]


def _digest(link: Link, container: Mapping[str, Any]) -> str:
    """The digest that the reference pins, which the pull has checked; else the one that the node reports."""
    pinned = text(container, "image").rpartition("@")[2]
    if is_digest(pinned):
        return pinned
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for status in sequence(link.content, "status", kind):
            if text(status, "name") == text(container, "name"):
                name, _at, digest = text(status, "imageID").rpartition("@")
                # Without a name before it, it is the digest of the image's configuration.
                return digest if name and is_digest(digest) else ""
    return ""


def to_try(images: Sequence[ContainerImage]) -> List[Tuple[str, str, Tuple[str, ...]]]:
    """Each (namespace, image, names of Secrets) once, in the order of the images."""
    return list(dict.fromkeys((image.namespace, image.image, image.secrets) for image in images))
