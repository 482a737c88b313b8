# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_reconcile."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Optional, TypeVar

from ..cluster.objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    FLUX_DEPLOYER,
    LOCALIZATION,
    RESOURCE,
    ClusterUnreachable,
    Kind,
    Object,
    is_suspended,
    kind_of,
    mapping,
    named,
    number,
    text,
    title,
    title_of,
)
from ..model.errors import InvalidInput, NotFound, Refused
from ..model.labels import SHOWN
from .cluster import CONTACT_SECONDS, Deadline, open_cluster
from .module import Context

SHOWN_KINDS = (COMPONENT_VERSION, RESOURCE, LOCALIZATION, CONFIGURATION, FLUX_DEPLOYER)
# The version that was reached is all that keeps the controller from reading it.
_FORGET: Dict[str, Any] = {"status": {"reconciledVersion": None}}
# Two changes of the specification that leave it as it was: the controller heeds nothing else, no annotation either. The
# annotation is for the next run, should this one be killed in between.
_SHOW: Any = (
    {"metadata": {"annotations": {SHOWN: "true"}}, "spec": {"suspend": True}},
    {"metadata": {"annotations": {SHOWN: None}}, "spec": {"suspend": False}},
)
_NO_TIME = re.compile(r"(?<=[hms])0ms\Z")
Answer = TypeVar("Answer")


def ocm_reconcile(context: Context) -> Dict[str, Any]:
    """Have ocm-controller look at an object."""
    params = context.params
    kind, anew = _kind(params["kind"], params["anew"]), params["anew"]
    cluster = open_cluster(context)
    deadline = Deadline(0 if context.check_mode else CONTACT_SECONDS)
    obj = _reached(lambda: cluster.get(kind, params["namespace"], params["name"]), deadline)
    before = _checked(obj, title(kind.kind, params["namespace"], params["name"]))
    if not context.check_mode:
        for change in ((_FORGET,) if anew else ()) + _changes(before):
            _reached(lambda fields=change: cluster.change(before, fields), deadline)
    return _result(before, anew)


def _changes(obj: Object) -> Any:
    """A FluxDeployer cannot be suspended: its interval is written another way, which is the same time, and back."""
    if kind_of(obj) != FLUX_DEPLOYER:
        return _SHOW
    own = _NO_TIME.sub("", text(obj, "spec", "interval"))
    return {"spec": {"interval": f"{own}0ms"}}, {"spec": {"interval": own}}


def _kind(name: str, anew: bool) -> Kind:
    kind = named(SHOWN_KINDS, name)
    if kind is None:
        known = ", ".join(item.kind for item in SHOWN_KINDS)
        raise InvalidInput(f"{name} is no kind that ocm-controller can be shown again.", f"Use one of {known}.")
    if anew and kind != COMPONENT_VERSION:
        raise InvalidInput(f"A {kind} cannot be read anew.", "That is for a ComponentVersion alone.")
    return kind


def _checked(obj: Optional[Object], where: str) -> Object:
    if obj is None:
        raise NotFound(f"{where} does not exist.", "Check its name and namespace.")
    if is_suspended(obj) and SHOWN not in mapping(obj, "metadata", "annotations"):
        raise Refused(f"{title_of(obj)} is suspended (spec.suspend is true): it does not reconcile.", "Resume it first.")
    return obj


def _reached(request: Callable[[], Answer], deadline: Deadline) -> Answer:
    """An answer of an API server that may be restarting just now. Each request may be sent twice."""
    while True:
        try:
            return request()
        except ClusterUnreachable:
            if deadline.over:
                raise
            deadline.sleep()


def _result(obj: Object, anew: bool) -> Dict[str, Any]:
    generation = number(obj, "metadata", "generation") or 0
    before: Dict[str, Any] = dict(generation=generation)
    after: Dict[str, Any] = dict(generation=generation + len(_SHOW))
    if anew:
        before["version"], after["version"] = text(obj, "status", "reconciledVersion") or None, None
    return dict(changed=True, generation=after["generation"], diff=dict(before=before, after=after))
