# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a delivery in the cluster against Git and the lock: what is missing, otherwise, or given up.

Reads, never writes. What Flux keeps is compared by what it keeps: the fields that Git states, in the namespace and
with the pull secret that Flux gives them. What ocm-controller renders in the cluster is compared by what the lock says
of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..cluster.chain import read_chain
from ..cluster.flux import applied_revision, flux_source, same_revision
from ..cluster.images import ContainerImage, images_of
from ..cluster.links import Chain, Link, Wanted
from ..cluster.objects import (
    COMPONENT_VERSION,
    CONFIGURATION,
    FLUX_DEPLOYER,
    FLUX_KINDS,
    HELM_RELEASE,
    JOB,
    KUSTOMIZATION,
    LOCALIZATION,
    OCI_REPOSITORY,
    OCM_KINDS,
    POD,
    RESOURCE,
    SERVICE_ACCOUNT,
    WORKLOAD_KINDS,
    Cluster,
    Kind,
    Object,
    kind_of,
    mapping,
    named,
    sequence,
    text,
)
from ..cluster.remedies import MISSING_IMAGE, cause_of
from ..cluster.status import ANEW_REASONS, status_of
from ..cluster.workloads import inventory
from ..gitops.tree import Tree
from ..gitops.workloads import pod_spec
from ..model.digest import is_digest
from ..model.errors import InvalidInput
from ..model.pod_spec import CONTAINER_LISTS, pull_secrets_of, template_path
from ..model.reference import ImageReference
from .applied import (
    Applied,
    Kustomize,
    document_of,
    edited_files,
    is_left_alone,
    is_only_created,
    manifests_are_changed,
    manifests_in,
)
from .comparison import differences
from .items import CLUSTER, item
from .keepers import FluxPlace, Kept, Place, keeper_of, place_of
from .suspended import CHILDREN, SUSPENDABLE, children_of, is_stopped

MISSING, NOT_SERVED = "missing", "the kind is not served"
MOST_DIFFERENCES = 3
# As they call themselves in managedFields.
_HELM = ("helm", "helm-controller")
_NO_CONTROLLER = "its controller is not installed (ocm.airgap.site with the tag platform does that)"
_POD_ALONE = "its workload is as it should be: the pod has to be deleted, so that it is made again"


def cluster_items(
    lock: Mapping[str, Any], tree: Tree, cluster: Cluster, flux: FluxPlace, commit: str = ""
) -> List[Kept]:
    """What of a delivery is not in the cluster as it should be: one item for each object, with who keeps it.

    commit: the one that the tree is of. What somebody has edited there is compared when Flux has applied that commit,
    and not before; "" where that is not known.

    In the order in which repairs help: what keeps others comes first. What several deliveries share has items that
    belong to none, so that the items of two locks can be made one. ServiceAccounts in Git are left to the credentials.
    Raises ClusterError.
    """
    check = _Check(lock, tree, _Remembering(cluster), flux, commit)
    check.flux_objects()
    check.objects_in_git()
    check.children()
    check.manifests()
    check.delivered()
    check.chart()
    check.given_up()
    check.emptied()
    check.pods()
    return check.results()


class _Remembering(Cluster):
    """A cluster that is asked for nothing twice, so that all that is said of it is of one moment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._answers: Dict[Tuple[Any, ...], Any] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Optional[Object]:
        return self._asked("get", kind, namespace, name)

    def list(self, kind: Kind, namespace: str, selector: str = "", fields: str = "") -> List[Object]:
        return self._asked("list", kind, namespace, selector, fields)

    def knows(self, kind: Kind) -> bool:
        return self._asked("knows", kind)

    def _asked(self, method: str, *arguments: Any) -> Any:
        key = (method, *arguments)
        if key not in self._answers:
            self._answers[key] = getattr(self._cluster, method)(*arguments)
        return self._answers[key]


@dataclass
class _Finding:
    """What is found of one object. name: of the delivery, "" for what several share. obstacle: beside the keeper's.

    before: who has to be asked before the keeper. anew: the keeper has to read everything anew.
    """

    place: Place
    expected: str
    keeper: Optional[Place]
    name: str
    texts: List[str] = field(default_factory=list)
    obstacle: str = ""
    before: Tuple[Place, ...] = ()
    anew: bool = False


class _Check:
    """Holds one delivery against the cluster and collects what it finds."""

    def __init__(
        self, lock: Mapping[str, Any], tree: Tree, cluster: Cluster, flux: FluxPlace, commit: str = ""
    ) -> None:
        self._lock, self._tree, self._cluster, self._flux, self._commit = lock, tree, cluster, flux, commit
        self._name = text(lock, "name")
        self._edited = edited_files(tree, lock)
        self._findings: Dict[Place, _Finding] = {}
        self._read: Optional[Chain] = None

    def results(self) -> List[Kept]:
        """One item for each object, with its first differences."""
        return [self._kept(finding) for finding in self._findings.values()]

    def _kept(self, finding: _Finding) -> Kept:
        found, keeper = "; ".join(finding.texts[:MOST_DIFFERENCES]), finding.keeper
        obstacle = finding.obstacle
        if finding.texts == [NOT_SERVED] and finding.place.kind in OCM_KINDS + FLUX_KINDS:
            obstacle = _NO_CONTROLLER
        stopped = self._stopped(keeper) if keeper and not obstacle else None
        if stopped:
            obstacle = f"{stopped.title} is suspended"
        elif keeper and not obstacle:
            obstacle = self._helm_leaves_it(keeper)
        result = item(CLUSTER, finding.place.title, finding.expected, found, name=finding.name, obstacle=obstacle)
        before = finding.before + (self._late_source(keeper) if keeper else ())
        return Kept(result, finding.place, keeper, before, finding.anew, stopped)

    def _stopped(self, keeper: Place) -> Optional[Place]:
        """Who is suspended, so that asking the keeper does not help. One that is missing comes again from the tree."""
        if self._get(keeper) is None:
            return None if keeper == self._flux.tree else self._stopped(self._flux.tree)
        places = self._late_source(keeper) + (keeper,)
        return next((place for place in places if is_stopped(self._get(place) or {})), None)

    def _helm_leaves_it(self, keeper: Place) -> str:
        live = self._get(keeper)
        if live is None or keeper.kind != HELM_RELEASE or text(live, "spec", "driftDetection", "mode") == "enabled":
            return ""
        return f"Helm leaves what was changed by hand (spec.driftDetection of {keeper.title} is not enabled)"

    def _late_source(self, keeper: Place) -> Tuple[Place, ...]:
        """The source of the Git tree, where the keeper reads it and it has not fetched the commit yet."""
        source = self._flux.git_repository
        reads = flux_source(self._get(keeper) or {})
        is_read = reads == (source.kind, source.namespace, source.name)
        return (source,) if is_read and self._get(source) and not self._is_at_commit(source) else ()

    def _is_at_commit(self, place: Place) -> bool:
        """Whether an object of Flux that reads the Git tree has fetched or applied the commit."""
        return not self._commit or same_revision(self._commit, applied_revision(self._get(place) or {}))

    def _get(self, place: Place) -> Optional[Object]:
        return self._cluster.get(place.kind, place.namespace, place.name)

    def _find(self, finding: _Finding, *texts: str) -> None:
        """Add to what is known of the object; who keeps it, and what was expected, is what was found first."""
        known = self._findings.setdefault(finding.place, finding)
        known.texts += [each for each in texts if each not in known.texts]
        known.before = known.before or finding.before

    def _present(self, finding: _Finding) -> Optional[Object]:
        """The live object where there is one to look at; what is wrong otherwise is found."""
        place = finding.place
        if not self._cluster.knows(place.kind):
            self._find(finding, NOT_SERVED)
            return None
        live = self._get(place)
        if live is None:
            # Jobs may go when they are done (ttlSecondsAfterFinished).
            if place.kind != JOB:
                self._find(finding, MISSING)
            return None
        if text(live, "metadata", "deletionTimestamp"):
            self._find(finding, "it is being deleted")
            return None
        return live

    def flux_objects(self) -> None:
        """The objects that read the Git tree. Nobody keeps them, for they are how things get into the cluster."""
        for place in (self._flux.git_repository, self._flux.tree):
            self._present(_Finding(place, "there", None, ""))

    def objects_in_git(self) -> None:
        """The objects that the lock names, as they are in Git now."""
        how = Kustomize(mapping(self._get(self._flux.tree), "spec"))
        if how.elsewhere:
            return
        for entry in sequence(self._lock, "objects"):
            definition = document_of(self._tree, entry)
            if definition is not None and not named((SERVICE_ACCOUNT,), text(entry, "kind"), text(entry, "apiVersion")):
                name = "" if entry.get("shared") else self._name
                applied = how.apply(definition, text(entry, "file"), text(entry, "namespace"))
                self._compare(applied, self._flux.tree, name)

    def _compare(self, applied: Applied, keeper: Place, name: str) -> None:
        if is_left_alone(applied.definition):
            return
        finding = _Finding(applied.place, f"as it is in {applied.file}", keeper, name)
        live = self._present(finding)
        if live is None or not applied.whole or is_only_created(applied.definition) or is_left_alone(live):
            return
        if applied.file in self._edited and not self._is_at_commit(keeper):
            return
        finding.keeper = keeper_of(live) or keeper
        self._find_differences(finding, applied.definition, live)

    def _find_differences(self, finding: _Finding, definition: Mapping[str, Any], live: Object) -> None:
        found = differences(_without_suspension(definition), live)
        if found:
            self._find(finding, *found)

    def children(self) -> None:
        """What FluxDeployers have created: the controller does not look whether it is still there, and as it was."""
        for deployer in self._deployers():
            keeper, template = place_of(deployer), _template(deployer)
            for child in children_of(deployer):
                finding = _Finding(Place(*child), f"as {keeper.title} creates it", keeper, self._name)
                live = self._present(finding)
                spec = template.get(child[0])
                if live is not None and spec and not is_left_alone(live):
                    self._find_differences(finding, {"spec": spec}, live)

    def _deployers(self) -> List[Object]:
        """The FluxDeployers that are there, as they are there."""
        found = []
        for entry in sequence(self._lock, "objects"):
            if named((FLUX_DEPLOYER,), text(entry, "kind"), text(entry, "apiVersion")):
                live = self._cluster.get(FLUX_DEPLOYER, text(entry, "namespace"), text(entry, "name"))
                if live is not None:
                    found.append(live)
        return found

    def manifests(self) -> None:
        """The rendered manifests in Git, as Flux applies them."""
        if not sequence(self._lock, "manifests"):
            return
        changed, renamed = manifests_are_changed(self._tree, self._lock)
        how, keeper = self._kustomize(changed), self._deliverer()
        if renamed or how.elsewhere:
            return
        entries = self._applied()
        for file, manifest in manifests_in(self._tree, self._lock):
            applied = how.apply(manifest, file, text(self._lock, "targetNamespace"))
            if _is_among(entries, applied.place):
                self._compare(applied, keeper, self._name)

    def delivered(self) -> None:
        """What ocm-controller renders in the cluster, of which the lock has names and images alone.

        Where somebody has edited something in Git, it is only missed: where Flux says that it applies it, and as Flux
        applies it now.
        """
        how, keeper, entries = self._kustomize(), self._deliverer(), self._applied()
        if self._edited:
            how = Kustomize(mapping(self._get(keeper), "spec"))
        if sequence(self._lock, "manifests") or how.elsewhere or self._follows() or (self._edited and entries is None):
            return
        for entry in sequence(self._lock, "delivered"):
            definition = dict(entry, metadata={"namespace": entry.get("namespace"), "name": entry["name"]})
            place = how.apply(definition, "").place
            if _is_among(entries, place):
                self._compare_delivered(entry, _Finding(place, "as delivered", keeper, self._name), how)

    def _compare_delivered(self, entry: Mapping[str, Any], finding: _Finding, how: Kustomize) -> None:
        live = self._present(finding)
        if live is None or is_left_alone(live) or self._edited:
            return
        finding.keeper = keeper_of(live) or finding.keeper
        found = _wrong_images(live, sequence(entry, "images"))
        spec = pod_spec(live)
        if how.adds_pull_secret and spec is not None and how.pull_secret not in pull_secrets_of(spec):
            found.append(f"imagePullSecrets[{how.pull_secret}]: not there")
        if found:
            self._find(finding, *found)

    def _follows(self) -> bool:
        """Whether the controller has gone on by itself to a version that the lock does not know."""
        if not self._lock.get("constraint"):
            return False
        version = self._get(self._component_version()) if self._component_version() else None
        return text(version, "status", "reconciledVersion") != text(self._lock, "version")

    def _entry_of(self, *kinds: Kind) -> Optional[Mapping[str, Any]]:
        """The first object of the delivery in Git that is of one of the kinds."""
        for entry in sequence(self._lock, "objects"):
            if named(kinds, text(entry, "kind"), text(entry, "apiVersion")):
                return entry
        return None

    def _place(self, *kinds: Kind) -> Optional[Place]:
        entry = self._entry_of(*kinds)
        kind = named(kinds, text(entry, "kind"), text(entry, "apiVersion")) if entry else None
        return Place(kind, text(entry, "namespace"), text(entry, "name")) if kind else None

    def _component_version(self) -> Optional[Place]:
        return self._place(COMPONENT_VERSION)

    def _deliverer(self) -> Place:
        """Who applies the workload: the delivery's own Kustomization or HelmRelease, where it is there."""
        for deployer in self._deployers():
            for child in children_of(deployer):
                if child[0] != OCI_REPOSITORY and self._cluster.get(*child) is not None:
                    return Place(*child)
        return self._place(FLUX_DEPLOYER, KUSTOMIZATION, HELM_RELEASE) or self._flux.tree

    def _kustomize(self, files_change: bool = False) -> Kustomize:
        """How the workload's objects are changed on their way, as Git says."""
        entry = self._entry_of(FLUX_DEPLOYER, KUSTOMIZATION)
        definition = document_of(self._tree, entry) if entry else None
        template = mapping(definition, "spec", "kustomizationTemplate")
        spec = template or mapping(definition, "spec")
        pull_secret = text(self._lock, "pullSecret") if self._lock.get("pullSecretBy") == "patch" else ""
        return Kustomize(spec, pull_secret, files_change)

    def _applied(self) -> Optional[Set[Tuple[str, str, str]]]:
        """Name, group and kind of all that Flux applies; None if unsure. A kustomization.yaml may leave out files."""
        applier = self._get(self._deliverer())
        if applier is None or kind_of(applier) != KUSTOMIZATION or not status_of(applier).ready:
            return None
        return {(name, group, kind) for _namespace, name, group, kind in inventory(applier)} or None

    def chart(self) -> None:
        """What a chart has made is known to Helm alone, so it tells what of it is gone."""
        keeper = self._deliverer()
        for link in self._chain().links if keeper.kind == HELM_RELEASE else ():
            if link.kind in WORKLOAD_KINDS and link.status.reason == "Missing":
                place = Place(link.kind, link.namespace, link.name)
                self._find(_Finding(place, f"as {keeper.title} has made it", keeper, self._name), MISSING)

    def given_up(self) -> None:
        """The objects that ocm-controller does not look at again by itself; they are kicked themselves."""
        own = self._own_keys()
        for link in self._chain().links:
            if link.key in own and link.given_up:
                place, anew = Place(link.kind, link.namespace, link.name), link.status.reason in ANEW_REASONS
                self._find(_Finding(place, "ready", place, self._name, anew=anew), f"given up: {link.status.reason}")

    def emptied(self) -> None:
        """The in-cluster registry loses its content with its pod; the objects that fill it do not look there again."""
        if text(self._lock, "delivery") != "controller":
            return
        own = self._own_keys()
        fillers = [link for link in self._chain().of(RESOURCE, LOCALIZATION, CONFIGURATION) if link.key in own]
        for link in self._chain().of(OCI_REPOSITORY):
            if not link.status.ready and cause_of(link.status.message) == MISSING_IMAGE:
                place = Place(link.kind, link.namespace, link.name)
                before = tuple(Place(each.kind, each.namespace, each.name) for each in fillers)
                expected = "its content in the in-cluster registry"
                finding = _Finding(place, expected, place, self._name, before=before)
                self._find(finding, f"{link.status.reason}: not there")

    def _own_keys(self) -> Set[Tuple[str, str, str]]:
        entries = sequence(self._lock, "objects")
        return {(text(entry, "kind"), text(entry, "namespace"), text(entry, "name")) for entry in entries}

    def _chain(self) -> Chain:
        """The delivery's chain down to its pods, from what the lock says is its beginning."""
        if self._read is None:
            start = self._component_version() or self._deliverer()
            self._read = read_chain(self._cluster, Wanted(start.namespace, start.name))
        return self._read

    def pods(self) -> None:
        """Running pods with an image that is none of the delivery's.

        Those that are being replaced go by themselves. What the workload says, too, is told of the workload, unless
        somebody has edited Git or a chart brings it by itself.
        """
        if self._follows():
            return
        images, told = _Images(self._lock), set(self._findings)
        links = {(link.kind, link.namespace, link.name): link for link in self._chain().links}
        for image in images_of(self._chain(), None, self._cluster):
            pod = links.get((POD, image.namespace, image.pod))
            if pod is None or not _is_running(pod) or image.container not in _decided(links, image):
                continue
            if not images.has(image):
                workload = _workload(links, image)
                is_wanted = image.image in _images_for(workload, image.container)
                is_told = self._edited or place_of(workload) in told
                if is_wanted and (is_told or _is_set_by_helm(workload, image.container)):
                    continue
                keeper = keeper_of(workload) or self._deliverer()
                obstacle = "" if is_wanted else _POD_ALONE
                place, expected = place_of(workload if is_wanted else pod.content), "an image of the delivery"
                finding = _Finding(place, expected, keeper, self._name, obstacle=obstacle)
                self._find(finding, f"container {image.container} runs {image.image}")


def _template(deployer: Object) -> Dict[Kind, Mapping[str, Any]]:
    """What the children's specifications are made from; the controller puts in where the content comes from."""
    return {
        kind: {
            key: value
            for key, value in mapping(deployer, "spec", template).items()
            if key not in ("chartRef", "sourceRef")
        }
        for kind, _field, template in CHILDREN
        if template
    }


class _Images:
    """The images that a lock knows, by digest, and by name and tag for those that are not pinned."""

    def __init__(self, lock: Mapping[str, Any]) -> None:
        self._digests = {text(entry, "digest") for entry in sequence(lock, "images")}
        self._names = set()
        references = [text(entry, "reference") for entry in sequence(lock, "images")]
        references += [str(image) for entry in sequence(lock, "delivered") for image in sequence(entry, "images")]
        for reference in references:
            name, tag, digest = _parts(reference)
            self._names.add((name, tag))
            self._digests.add(digest)
        self._digests.discard("")

    def has(self, image: ContainerImage) -> bool:
        name, tag, pinned = _parts(image.image)
        if pinned or not tag:
            return (pinned or image.digest) in self._digests
        return (name, tag) in self._names or image.digest in self._digests


def _parts(image: str) -> Tuple[str, str, str]:
    """Name, tag and digest of an image; what cannot be read is a name."""
    try:
        reference = ImageReference.parse(image)
    except InvalidInput:
        return image, "", ""
    tag = reference.tag or ("" if is_digest(reference.digest) else "latest")
    return reference.name, tag, reference.digest


def _is_running(pod: Link) -> bool:
    if pod.status.reason in ("Superseded", "Terminating"):
        return False
    return text(pod.content, "status", "phase") == "Running"


def _workload(links: Mapping[Any, Link], image: ContainerImage) -> Object:
    """The object that a container's pod belongs to, the pod itself where it belongs to none."""
    kind, _slash, name = image.workload.partition("/")
    for own in WORKLOAD_KINDS:
        if own.kind == kind and (own, image.namespace, name) in links:
            return links[own, image.namespace, name].content
    return links[POD, image.namespace, image.pod].content


def _decided(links: Mapping[Any, Link], image: ContainerImage) -> List[str]:
    """The containers that the workload itself has; others were put into the pod by the cluster."""
    return [text(container, "name") for container in _containers(_workload(links, image))]


def _is_set_by_helm(workload: Object, container: str) -> bool:
    """Whether a container's image is still the one that Helm has written: who writes another one owns the field."""
    path = [f"f:{part}" for part in (*template_path(kind_of(workload).kind), "spec")]
    key = f'k:{{"name":"{container}"}}'
    return any(
        "f:image" in mapping(entry, "fieldsV1", *path, f"f:{containers}", key)
        for entry in sequence(workload, "metadata", "managedFields")
        for containers in CONTAINER_LISTS
        if text(entry, "manager") in _HELM
    )


def _images_for(workload: Object, name: str) -> List[str]:
    return [text(container, "image") for container in _containers(workload) if text(container, "name") == name]


def _is_among(entries: Optional[Set[Tuple[str, str, str]]], place: Place) -> bool:
    return entries is None or (place.name, place.kind.group, place.kind.kind) in entries


def _containers(workload: Object) -> List[Any]:
    return [container for key in CONTAINER_LISTS for container in sequence(pod_spec(workload), key)]


def _wrong_images(live: Object, wanted: Sequence[str]) -> List[str]:
    """Differences between a workload's images and those that it was delivered with."""
    if not wanted:
        return []
    known, found = [_parts(image) for image in wanted], []
    there = [(container, _parts(text(container, "image"))) for container in _containers(live)]
    for container, parts in there:
        if not any(_is_same(parts, other) for other in known):
            where = f"container {text(container, 'name')}"
            found.append(f"{where}: {text(container, 'image')}, wanted {' or '.join(map(str, wanted))}")
    for image, other in zip(wanted, known):
        if not found and not any(_is_same(parts, other) for _container, parts in there):
            found.append(f"no container has the image {image}")
    return found


def _is_same(left: Tuple[str, str, str], right: Tuple[str, str, str]) -> bool:
    """Whether two images are one; a digest tells, where both have one."""
    if left[2] and right[2]:
        return (left[0], left[2]) == (right[0], right[2])
    return left == right


def _without_suspension(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """What can be suspended is looked at by itself: a person has decided that."""
    kind = named(SUSPENDABLE, text(definition, "kind"), text(definition, "apiVersion"))
    spec = definition.get("spec")
    if not isinstance(spec, Mapping) or "suspend" not in spec or ("kind" in definition and kind is None):
        return definition
    return dict(definition, spec={key: value for key, value in spec.items() if key != "suspend"})
