# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ocm_rollout_info."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..cluster.chain import read_chain
from ..cluster.diagnosis import Evidence, diagnose
from ..cluster.images import ContainerImage, images_of, target_of, to_try
from ..cluster.keyring import Keyring, read_keyring
from ..cluster.links import Chain, Link, Wanted
from ..cluster.objects import (
    COMPONENT_VERSION,
    EVENT,
    POD,
    SECRET,
    SUCCESSOR,
    WORKLOAD_KINDS,
    Cluster,
    ClusterError,
    ClusterUnreachable,
    text,
)
from ..cluster.pull import UNKNOWN, Pull, PullTrial
from ..cluster.status import RETRIED_PULLS
from ..model.errors import InvalidInput
from ..model.reference import check_component_name
from ..oci.client import Registries
from ..oci.settings import ConnectionOptions
from .cluster import CONTACT_SECONDS, Deadline, Lasting, mask, open_cluster
from .module import Context, Failed

GRACE_SECONDS = 30.0
MAX_EVENTS = 3
MAX_OBJECTS_WITH_EVENTS = 10
# True of every pod of a cluster without its own name server, and no reason that one of them does not run.
_BESIDE_THE_POINT = "MissingClusterDNS"

# The namespace and the names of Secrets that a keyring is made of.
Place = Tuple[str, Tuple[str, ...]]


def rollout_info(context: Context) -> Dict[str, Any]:
    """Read the chain, wait for it when asked to, and explain what is not ready."""
    params = context.params
    if params["wait_timeout"] < 0:
        raise InvalidInput(f"wait_timeout must not be negative ({params['wait_timeout']}).")
    component = check_component_name(params["component"]) if params["component"] else ""
    version, target_namespace = params["version"] or "", params["target_namespace"] or ""
    wanted = Wanted(params["namespace"], params["name"] or "", component, version, target_namespace)
    cluster = open_cluster(context)
    chain = _wait(context, cluster, wanted)
    return _result(context, cluster, chain)


def _wait(context: Context, cluster: Cluster, wanted: Wanted) -> Chain:
    """Read until the chain is ready, or something has been wrong for good for a while, or the time is over."""
    seconds = context.params["wait_timeout"]
    deadline, lasting = Deadline(seconds), Lasting(GRACE_SECONDS)
    contact = Deadline(min(CONTACT_SECONDS, seconds))
    chain: Optional[Chain] = None
    while True:
        try:
            chain = read_chain(cluster, wanted)
            if chain.ready or deadline.over:
                return chain
            if lasting.see(link.key for link in chain.failed):
                if not _will_be_pulled(context, cluster, chain):
                    return chain
                lasting = Lasting(GRACE_SECONDS)
        except ClusterUnreachable as error:
            if chain is None and contact.over:
                raise
            if chain is not None and deadline.over:
                raise Failed(error, dict(ready=False, chain=_chain_result(chain))) from None
        deadline.sleep()


def _will_be_pulled(context: Context, cluster: Cluster, chain: Chain) -> bool:
    """Whether pods wait for nothing but the node, which tries again after up to five minutes: what failed is mended."""
    pods = [link for link in chain.failed if link.kind == POD]
    if not pods or any(link.status.reason not in RETRIED_PULLS for link in pods):
        return False
    pulls = _look_at_images(context, cluster, chain)[2]
    return bool(pulls) and all(pull.pullable for pull in pulls)


def _look_at_images(
    context: Context, cluster: Cluster, chain: Chain
) -> Tuple[List[ContainerImage], Dict[Place, Keyring], List[Pull]]:
    """The images, the keyrings for them, and whether they can be pulled, where that is to be tried."""
    images = images_of(chain, target_of(chain, context.params["target"] or ""), cluster)
    keyrings, unreadable = _keyrings(context, cluster, images)
    return images, keyrings, _try(context, images, keyrings, unreadable) if context.params["try_images"] else []


def _result(context: Context, cluster: Cluster, chain: Chain) -> Dict[str, Any]:
    images, keyrings, pulls = _look_at_images(context, cluster, chain)
    evidence = Evidence(
        events=_events(cluster, chain),
        keyrings=keyrings,
        images=images,
        pulls=pulls,
        has_ocm_controller=chain.ready or cluster.knows(COMPONENT_VERSION),
        has_successor=not chain.ready and cluster.knows(SUCCESSOR),
    )
    return dict(
        changed=False,
        ready=chain.ready,
        chain=_chain_result(chain),
        images=[image.as_result() for image in images],
        pullable=[pull.as_result() for pull in pulls],
        diagnosis=[finding.as_result() for finding in diagnose(chain, evidence)],
    )


def _chain_result(chain: Chain) -> List[Dict[str, Any]]:
    return [link.as_result() for link in chain.links]


def _keyrings(
    context: Context, cluster: Cluster, images: Sequence[ContainerImage]
) -> Tuple[Dict[Place, Keyring], Dict[Place, str]]:
    """The keyrings by namespace and Secrets, and why some cannot be read. Their secrets are masked in all output."""
    found: Dict[Place, Keyring] = {}
    unreadable: Dict[Place, str] = {}
    for place in dict.fromkeys((image.namespace, image.secrets) for image in images):
        namespace, names = place
        try:
            found[place] = read_keyring(namespace, {name: cluster.get(SECRET, namespace, name) for name in names})
        except ClusterError as error:
            unreadable[place] = error.message
            continue
        for entry in found[place].entries:
            mask(context, [entry.password])
    return found, unreadable


def _try(
    context: Context,
    images: Sequence[ContainerImage],
    keyrings: Dict[Place, Keyring],
    unreadable: Dict[Place, str],
) -> List[Pull]:
    trial = PullTrial(ConnectionOptions.from_params(context.params), lambda options: _connect(context, options))
    private = {image.image: image.private for image in images}
    pulls = []
    for namespace, image, names in to_try(images):
        reason = unreadable.get((namespace, names), "")
        if private[image] is False and not trial.knows(image):
            reason = "It is not an image of the private registry, and registries has no entry for its host."
        if reason:
            pulls.append(Pull(namespace, image, names, None, reason=UNKNOWN, message=reason))
        else:
            pulls.append(trial.run(namespace, image, names, keyrings[namespace, names]))
    return pulls


def _connect(context: Context, options: ConnectionOptions) -> Registries:
    return Registries(options, lambda secret: mask(context, [secret]))


def _events(cluster: Cluster, chain: Chain) -> Dict[str, List[str]]:
    """The newest warnings about workloads and pods that are not ready; none where they may not be read."""
    links = [link for link in chain.links if link.kind in WORKLOAD_KINDS and not link.status.ready and link.content]
    found: Dict[str, List[str]] = {}
    for link in links[:MAX_OBJECTS_WITH_EVENTS]:
        try:
            found[link.title] = _warnings(cluster, link)
        except ClusterError:
            return found
    return found


def _warnings(cluster: Cluster, link: Link) -> List[str]:
    fields = f"involvedObject.kind={link.kind.kind},involvedObject.name={link.name}"
    events = [
        event
        for event in cluster.list(EVENT, link.namespace, fields=fields)
        if text(event, "type") == "Warning" and text(event, "reason") != _BESIDE_THE_POINT
    ]
    events.sort(key=lambda event: text(event, "lastTimestamp") or text(event, "eventTime"), reverse=True)
    newest = events[:MAX_EVENTS]
    return list(dict.fromkeys(f"{text(event, 'reason')}: {text(event, 'message')}" for event in newest))
