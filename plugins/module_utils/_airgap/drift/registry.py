# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a private registry against a lock: component versions and images, down to the last blob. Needs no source.

Requests, none of which writes. For a component version: HEAD of its tag, GET of its manifest (of an index and the
manifests in it, too) and of its descriptor, for the references in it. For an image: HEAD of its tag, GET of every
manifest. Then one HEAD for each config, layer and local blob of a repository. The descriptor (and the small config
where only that tells which layer it is) is the one blob that is read: damaged bytes of others are not found here.
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar

from ..model.errors import DigestMismatch, InvalidContent, NotFound
from ..model.identity import identity_text
from ..model.manifest import ContentDescriptor, Manifest
from ..model.reference import ImageReference, RepositoryReference
from ..model.version import tag_of
from ..oci.client import Registries, RegistryRepository
from ..store.closure import Key, references_of
from ..store.component_store import RegistryStore
from ..store.component_version import NotAComponentVersion, StoredVersion, read_component_version
from ..transfer.survey import claims_of
from .items import REGISTRY, Item, item

CONTENT, TAG = "content", "tag"
NOTHING = "nothing"
MAX_NAMED = 3
# What a tag stands for when it has no digest that could be told.
_UNREADABLE = "something that is no OCI artifact"
_REPLACED = (
    "another component version was put in its place: ocm.airgap.site delivers that one, ocm_transfer with overwrite "
    "brings the former one back"
)
_DAMAGED = "a registry keeps what it has, also when that is damaged: {} has to be deleted there first"

Blob = Tuple[str, str]
Given = TypeVar("Given")
Found = TypeVar("Found")


def registry_items(
    lock: Mapping[str, Any], registries: Registries, others: Sequence[Mapping[str, Any]] = ()
) -> List[Item]:
    """What the private registry lacks of a delivery: one item for each content and each tag that is not right.

    lock: as gitops.lock reads it. others: those of other deliveries, whose tags are theirs. Images that lie elsewhere
    than in its repository are none of the private registry's and are passed over. Raises AuthError, RateLimited,
    Unreachable and RegistryError when the registry cannot be asked.
    """
    inspection = _Inspection(lock, registries)
    seen = inspection.versions() + inspection.images()
    missing = inspection.missing_blobs(seen)
    claims = _Claims(inspection.store, others)
    return [found for one in seen for found in _items(one, missing, str(lock["name"]), claims)]


@dataclass(frozen=True)
class _Wanted:
    """What a lock names. what: as items name it. digest: "" where the lock has none. is_version: it is no image.

    component: the one that it is, or that it is an image of.
    """

    what: str
    repository: RegistryRepository
    tag: str
    digest: str
    component: str
    is_version: bool = False


@dataclass(frozen=True)
class _Tree:
    """What there is of the manifests of an artifact. missing, damaged: digests of those that there are not."""

    manifests: Tuple[Manifest, ...] = ()
    missing: Tuple[str, ...] = ()
    damaged: Tuple[str, ...] = ()

    @property
    def blobs(self) -> List[ContentDescriptor]:
        return [blob for manifest in self.manifests for blob in manifest.blobs]


@dataclass(frozen=True)
class _Seen:
    """What was seen of it. stands_for: the digest of its tag, "" for none. fault, obstacle: beside what is missing.

    blobs: digests that the repository has to hold. foreign: those of them that need not be there.
    """

    wanted: _Wanted
    stands_for: str = ""
    tree: _Tree = _Tree()
    blobs: Tuple[str, ...] = ()
    foreign: FrozenSet[str] = frozenset()
    fault: str = ""
    obstacle: str = ""

    @property
    def digest(self) -> str:
        """Of the manifest that is wanted, "" when nothing says which."""
        return self.wanted.digest or self.stands_for

    @property
    def is_absent(self) -> bool:
        return not self.digest or self.digest in self.tree.missing


class _Inspection:
    """One look at the registry of one lock."""

    def __init__(self, lock: Mapping[str, Any], registries: Registries) -> None:
        self._lock, self._registries = lock, registries
        self._reference = RepositoryReference.parse(str(lock["repository"]))
        self.store = RegistryStore(self._reference, registries)

    def versions(self) -> List[_Seen]:
        """The component version, those that it refers to, and those that the lock has images of; each once."""
        root = (str(self._lock["component"]), str(self._lock["version"]))
        locked = [(str(image["component"]), str(image["version"])) for image in self._lock.get("images") or []]
        found: Dict[Key, _Seen] = {}
        # The root comes first and alone: a registry that does not answer is told by one request.
        for pending in ([root], locked):
            while pending:
                keys = [key for key in dict.fromkeys(pending) if key not in found]
                looks = self._map(self._look_at_version, keys)
                found.update(zip(keys, (seen for seen, _references in looks)))
                pending = [key for _seen, references in looks for key in references]
        return list(found.values())

    def images(self) -> List[_Seen]:
        wanted = [self._wanted_image(image) for image in self._lock.get("images") or []]
        own = [image for image in wanted if image is not None]
        # Several resources may be one image.
        distinct = {_image_key(image): image for image in own}
        seen = dict(zip(distinct, self._map(self._look_at_image, distinct.values())))
        return [replace(seen[_image_key(image)], wanted=image) for image in own]

    def missing_blobs(self, seen: Sequence[_Seen]) -> Set[Blob]:
        """(repository, digest) of the blobs that are not there."""
        repositories = {one.wanted.repository.name: one.wanted.repository for one in seen}
        blobs = list(dict.fromkeys((one.wanted.repository.name, digest) for one in seen for digest in one.blobs))
        sizes = self._map(lambda blob: repositories[blob[0]].blob_size(blob[1]), blobs)
        return {blob for blob, size in zip(blobs, sizes) if size is None}

    def _map(self, function: Callable[[Given], Found], values: Iterable[Given]) -> List[Found]:
        """The results in order. After the first error, what has not begun is dropped."""
        with ThreadPoolExecutor(self._registries.options.concurrency) as pool:
            futures = [pool.submit(function, value) for value in values]
            done, pending = wait(futures, return_when=FIRST_EXCEPTION)
            for future in pending:
                future.cancel()
            for future in done:
                future.result()
            return [future.result() for future in futures]

    def _look_at_version(self, key: Key) -> Tuple[_Seen, List[Key]]:
        """One component version, and the keys of those that it refers to."""
        wanted = self._wanted_version(key)
        seen = _Seen(wanted, _stands_for(wanted.repository, wanted.tag))
        if seen.digest in ("", _UNREADABLE):
            return replace(seen, fault=seen.digest), []
        version, seen = _read(key, seen)
        if version is None:
            return _with_tree(seen, _walk(wanted.repository, [seen.digest])), []
        manifests, blobs = _local_contents(version)
        tree = _walk(wanted.repository, [seen.digest, *manifests], version.manifest)
        return _with_tree(seen, tree, blobs), references_of(version)

    def _look_at_image(self, wanted: _Wanted) -> _Seen:
        seen = _Seen(wanted, _stands_for(wanted.repository, wanted.tag) if wanted.tag else "")
        if seen.digest in ("", _UNREADABLE):
            return replace(seen, fault=seen.digest)
        return _with_tree(seen, _walk(wanted.repository, [seen.digest]))

    def _wanted_version(self, key: Key) -> _Wanted:
        component, version = key
        is_root = key == (self._lock["component"], self._lock["version"])
        digest = str(self._lock.get("descriptorDigest") or "") if is_root else ""
        repository = self.store.repository(component)
        return _Wanted(f"{component}:{version}", repository, tag_of(version), digest, component, True)

    def _wanted_image(self, image: Mapping[str, Any]) -> Optional[_Wanted]:
        """None for an image that the transfer has left where it was."""
        reference = ImageReference.parse(str(image["reference"]))
        own = self._reference
        if reference.host != own.host or not reference.repository.startswith(f"{own.prefix}/" if own.prefix else ""):
            return None
        what = f"{image['component']}:{image['version']}/{identity_text(image['resource'])}"
        plain_http = own.plain_http or reference.plain_http
        repository = self._registries.repository(reference.host, reference.repository, plain_http)
        digest = str(image.get("digest") or reference.digest)
        return _Wanted(what, repository, reference.tag or ("" if digest else "latest"), digest, str(image["component"]))


class _Claims:
    """Whose the tags are that stand for something else than they should. Reads only what it is asked for."""

    def __init__(self, store: RegistryStore, others: Sequence[Mapping[str, Any]]) -> None:
        self._store, self._others = store, others
        self._of_component: Dict[str, Mapping[Tuple[str, str, str], str]] = {}

    def obstacle(self, seen: _Seen) -> str:
        """Why a tag that was moved cannot be moved back, "" when it can."""
        if not seen.stands_for:
            return ""
        if seen.wanted.is_version:
            return _REPLACED
        owner = self._by_lock(seen) or self._by_version(seen)
        return f"what it stands for is an image of {owner}, which has the same tag" if owner else ""

    def _by_lock(self, seen: _Seen) -> str:
        for lock in self._others:
            for image in lock.get("images") or []:
                reference = ImageReference.parse(str(image["reference"]))
                found = reference.name, reference.tag, str(image.get("digest") or reference.digest)
                if found == (seen.wanted.repository.name, seen.wanted.tag, seen.stands_for):
                    return f"{image['component']}:{image['version']}"
        return ""

    def _by_version(self, seen: _Seen) -> str:
        component, prefix = seen.wanted.component, self._store.reference.prefix
        if component not in self._of_component:
            self._of_component[component] = claims_of(self._store, component)
        path = seen.wanted.repository.path[len(prefix) + 1 if prefix else 0:]
        version = self._of_component[component].get((path, seen.wanted.tag, seen.stands_for))
        return f"{component}:{version}" if version else ""


def _image_key(image: _Wanted) -> Tuple[str, str, str]:
    return image.repository.name, image.tag, image.digest


def _stands_for(repository: RegistryRepository, tag: str) -> str:
    """The digest that a tag stands for, "" when it is not there."""
    try:
        found = repository.head_manifest(tag)
    except InvalidContent:
        return _UNREADABLE
    return found.digest if found else ""


def _read(key: Key, seen: _Seen) -> Tuple[Optional[StoredVersion], _Seen]:
    """Read a component version. What of it is missing, is found out afterwards."""
    repository = seen.wanted.repository
    where = f"{repository.name} {key[1]}"
    try:
        return read_component_version(repository, key[0], key[1], where, seen.digest), seen
    except DigestMismatch:
        obstacle = _DAMAGED.format(f"the repository {repository.name}")
        return None, replace(seen, fault="the descriptor is damaged", obstacle=obstacle)
    except (NotAComponentVersion, InvalidContent):
        return None, replace(seen, fault="no component version")
    except NotFound:
        return None, seen


def _local_contents(version: StoredVersion) -> Tuple[List[str], List[str]]:
    """The digests of local blobs: of those that are manifests, and of the others."""
    manifests, blobs = [], []
    descriptor = version.descriptor
    for kind, element in descriptor.contents():
        access, where = descriptor.access_of(element), descriptor.label_of(kind, element)
        if not access.is_local:
            continue
        nested = version.local_manifest(access, where)
        if nested:
            manifests.append(nested)
        else:
            # A blob in several parts has no digest: its parts are layers of the manifest.
            blobs.append(version.local_blob(access, where).digest)
    return manifests, [digest for digest in blobs if digest]


def _walk(repository: RegistryRepository, digests: Sequence[str], known: Optional[Manifest] = None) -> _Tree:
    """Read manifests and all below them. known: one that was read already."""
    found: Dict[str, Manifest] = {}
    missing: List[str] = []
    damaged: List[str] = []
    pending = list(digests)
    while pending:
        digest = pending.pop(0)
        if digest in found or digest in missing or digest in damaged:
            continue
        try:
            found[digest] = known if known and known.digest == digest else repository.get_manifest(digest)
            pending += [child.digest for child in found[digest].children]
        except NotFound:
            missing.append(digest)
        except DigestMismatch:
            damaged.append(digest)
    return _Tree(tuple(found.values()), tuple(missing), tuple(damaged))


def _with_tree(seen: _Seen, tree: _Tree, more_blobs: Sequence[str] = ()) -> _Seen:
    blobs = tuple(dict.fromkeys([blob.digest for blob in tree.blobs] + list(more_blobs)))
    foreign = frozenset(blob.digest for blob in tree.blobs if blob.is_foreign)
    seen = replace(seen, tree=tree, blobs=blobs, foreign=foreign)
    if not tree.damaged:
        return seen
    obstacle = _DAMAGED.format(f"{seen.wanted.repository.name}@{tree.damaged[0]}")
    return replace(seen, fault="", obstacle=obstacle)


def _items(seen: _Seen, missing: Set[Blob], name: str, claims: _Claims) -> List[Item]:
    wanted, found = seen.wanted, []
    content = _content_found(seen, missing)
    is_moved = bool(wanted.tag and wanted.digest) and seen.stands_for != wanted.digest
    # A transfer of the content sets the tag, too.
    obstacle = claims.obstacle(seen) if is_moved else ""
    if content:
        more = dict(part=CONTENT, name=name, obstacle=seen.obstacle or obstacle)
        found.append(item(REGISTRY, wanted.what, _expected(wanted, CONTENT), content, **more))
    # Where nothing is there at all, one item says so.
    if is_moved and (seen.stands_for or not seen.is_absent):
        more = dict(part=TAG, name=name, obstacle=obstacle)
        found.append(item(REGISTRY, wanted.what, _expected(wanted, TAG), _tag_found(seen), **more))
    return found


def _expected(wanted: _Wanted, part: str) -> str:
    """A component version goes by its digest; an image is named with its repository."""
    if wanted.is_version:
        return wanted.digest or "a component version"
    tag = f":{wanted.tag}" if part == TAG or not wanted.digest else ""
    return wanted.repository.name + tag + (f"@{wanted.digest}" if wanted.digest else "")


def _tag_found(seen: _Seen) -> str:
    tag = seen.wanted.tag
    if seen.wanted.is_version:
        return seen.stands_for or NOTHING
    return f"tag {tag} stands for {seen.stands_for}" if seen.stands_for else f"tag {tag} is missing"


def _content_found(seen: _Seen, missing: Set[Blob]) -> str:
    """What is wrong with the content, "" for nothing."""
    if seen.is_absent:
        return NOTHING if seen.wanted.is_version else "manifest is missing"
    repository, tree = seen.wanted.repository.name, seen.tree
    gone = [digest for digest in seen.blobs if (repository, digest) in missing and digest not in seen.foreign]
    held = [digest for digest in seen.blobs if digest not in seen.foreign or (repository, digest) not in missing]
    manifests = len(tree.manifests) + len(tree.missing) + len(tree.damaged)
    texts = [
        seen.fault,
        _count(tree.missing, manifests, "manifests", "missing"),
        _count(tree.damaged, manifests, "manifests", "damaged"),
        _count(gone, len(held), "blobs", "missing"),
    ]
    return "; ".join(text for text in texts if text)


def _count(digests: Sequence[str], total: int, kind: str, state: str) -> str:
    """`2 of 9 blobs are missing: sha256:..., sha256:...`, "" for none."""
    if not digests:
        return ""
    named = ", ".join(digests[:MAX_NAMED])
    more = f" and {len(digests) - MAX_NAMED} more" if len(digests) > MAX_NAMED else ""
    return f"{len(digests)} of {total} {kind} {'is' if len(digests) == 1 else 'are'} {state}: {named}{more}"
