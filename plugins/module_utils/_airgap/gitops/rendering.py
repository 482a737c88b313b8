# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delivery, rendered: from a localized component version to what is written to Git, or applied. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

from .apply import objects_to_apply
from .check import check_no_secret, describe
from .lock import component_part, workload_entry
from .objects import Content, render
from .settings import Delivery
from .tree import Rendered

_LOCKED = ("component", "version", "resource", "reference", "digest")


@dataclass(frozen=True)
class Localized:
    """A localized component version. where: its manifests resource, for messages. files: path -> content, localized.

    images: every image, with component, version, resource, reference and digest. foreign: images that are not at the
    target. digest: of the descriptor at the target, None before the transfer: it does not exist yet.
    """

    where: str
    content: Content
    files: Mapping[str, bytes]
    images: Sequence[Mapping[str, Any]]
    foreign: Sequence[Mapping[str, str]] = ()
    digest: Optional[str] = None


@dataclass(frozen=True)
class Ready:
    """A delivery, rendered. objects: what is applied when there is no Git."""

    rendered: Rendered
    objects: Sequence[Mapping[str, Any]]
    images: Sequence[Mapping[str, Any]]
    foreign: Sequence[Mapping[str, str]]


def render_delivery(delivery: Delivery, localized: Localized) -> Ready:
    """Raises Refused for a Secret in plain text that would get into Git."""
    content = localized.content
    placed = render(delivery, content)
    # The controller renders manifests in the cluster, Helm a chart; here they are only read.
    in_git = delivery.delivery == "rendered" and not content.chart
    manifests = content.objects if in_git else []
    for manifest in manifests:
        check_no_secret(manifest, f"{localized.where}: {describe(manifest)}")
    delivered = [workload_entry(manifest, delivery.target_namespace, by_flux=True) for manifest in content.objects]
    locked = [{key: image[key] for key in _LOCKED} for image in localized.images]
    lock = dict(component_part(delivery, localized.digest, locked), delivered=delivered)
    rendered = Rendered(delivery, placed, localized.files if in_git else {}, lock)
    return Ready(rendered, objects_to_apply(delivery, placed, manifests), localized.images, localized.foreign)
