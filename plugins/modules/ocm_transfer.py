#!/usr/bin/python
# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocm_transfer
short_description: Move component versions between registries and archives
version_added: 1.0.0
description:
  - Moves component versions of the Open Component Model (OCM), with everything they deliver, from one repository to others.
  - Images move whole, with all platforms and attestations, byte for byte. At a registry they become images below the
    target's prefix, and the component descriptor there points to them. In an archive they lie as O(archive_layout) says.
  - References to other components are followed, and those are written first. A component version appears at the target
    only when everything that belongs to it is there. A run that was interrupted is continued by the next one.
  - The result is what the C(ocm) program writes, so that either can go on where the other stopped. The program itself is
    not needed.
author:
  - ocm.airgap contributors (@ocm-airgap)
extends_documentation_fragment:
  - ocm.airgap.registries
  - ocm.airgap.attributes
options:
  source:
    description: The repository to read from. C(repository//component:version) is accepted as well.
    type: str
    required: true
  target:
    description:
      - The repository to write to, or a list of them. An archive is created if it is not there; its form is told by the
        name, C(.tar), C(.tgz) or a folder.
      - Whether the disk of an archive has the room is looked at before anything is written, in check mode as well. A folder takes
        its content once, a C(.tar) or C(.tgz) twice while it is written.
      - One target that fails does not stop the others; the module fails at the end.
      - Several are written to at the same time, from one reading of the source. What is on its way to them lies in a temporary
        file, in the task's temporary folder (C(remote_tmp)), of which it takes at most half of the free room.
    type: list
    elements: str
    required: true
  component:
    description: The component's name. Without it, everything in an archive is moved.
    type: str
  version:
    description: The exact version. Without O(version) and O(constraint), all versions are moved.
    type: str
  constraint:
    description: A range of versions, for example V(>=6.3.5); all versions that satisfy it are moved.
    type: str
  copy_resources:
    description:
      - Move the content of external resources, so that the target can be used without the source.
      - Otherwise only content that lies in the source repository itself is moved.
    type: bool
    default: true
  copy_sources:
    description: Move the content of sources as well.
    type: bool
    default: false
  recursive:
    description: Move the component versions that are referred to as well.
    type: bool
    default: true
  overwrite:
    description:
      - Replace a version at the target that differs in what its signature covers.
      - Move tags at the target that stand for other images.
    type: bool
    default: false
  reference_form:
    description:
      - How image references are written at the target, V(tag_digest) as C(repository:tag@digest), V(tag) as
        C(repository:tag).
    type: str
    choices: [tag_digest, tag]
    default: tag_digest
  path_mapping:
    description:
      - Other places for images at the target. By default an image keeps its path without the host, below the target's prefix.
      - The longest O(path_mapping[].from) that fits, by whole segments, is replaced.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: A prefix of the image's name at the source, with its host, V(quay.io/bitnami), or without.
        type: str
        required: true
      to:
        description: What is put in its place, below the target's prefix.
        type: str
        required: true
  by_reference_access_types:
    description:
      - Access types whose content stays where it is.
      - Content that cannot be moved and is not listed here is an error, before anything is written.
    type: list
    elements: str
    default: []
  part_size:
    description:
      - Write an archive that is a C(.tar) or C(.tgz) in parts, for media that are too small for it or, as FAT32 has it, take
        no file of 4 GiB. Bytes, or with a unit, V(700M), V(4G), of 1024 each; a DVD that is sold as 4.7 GB takes V(4480M).
      - C(x.tar) becomes C(x.tar.001), C(x.tar.002) and so on, each a little smaller than this, and C(x.tar.parts.json), which
        tells size and digest of each and is written last.
      - Every module reads C(./x.tar) where these files lie, without joining them on the disk. Parts that are missing, swapped,
        changed or of another archive are all named before anything is read from them.
      - An archive that is there keeps its form, in parts or whole, without this option, and gets the form that is asked for
        with it.
    type: bytes
  journal:
    description:
      - A file that keeps what uploads of more than 64 MiB are open at registries, so that the next run after one that was
        killed goes on inside the blob, where the registry kept the upload. It is gone when no upload is open.
      - It holds addresses that a registry signed, no logins, and is for its owner alone. A file that is no such journal is
        told and left as it is.
      - Without it, a transfer from an archive has one beside the archive, C(.podinfo.tgz.journal) for C(podinfo.tgz), where
        that folder can be written to; a transfer from a registry has none.
    type: path
  archive_layout:
    description:
      - How images lie in an archive that is written.
      - V(shared) leaves manifests and layers as they are, each in a file of its own, as the newer OCM tools do. A layer is there
        once, however many images of the whole archive have it, and nothing is packed.
      - V(sets) packs each image into a file of its own (an artifact set), as the older C(ocm) program does. A layer of two images is
        there twice.
      - Either is read by this collection, whatever the option says. What an archive holds already stays as it is.
      - The older C(ocm) program lists, downloads, hashes and transfers either, and signs in place in V(sets) alone. The newer one
        lists and downloads either, and transfers images out of V(shared) alone.
    type: str
    choices: [shared, sets]
    default: shared
  known_content:
    description:
      - Files that M(ocm.airgap.ocm_repository_snapshot) has written about the places that an archive is for. The archive leaves
        out the layers, configurations and local blobs that all of them hold; manifests and descriptors are always in it.
      - It does not go with O(archive_layout=sets).
      - Such an archive notes what it leaves out. When it is brought to a registry, all of that is looked for there, and nothing is
        written unless it is there; what is missing is named. Other programs cannot bring it.
    type: list
    elements: path
    default: []
  check:
    description:
      - How far a target that has the component version already is believed.
      - V(manifests) asks for every image, V(blobs) also for every blob, V(content) reads everything and compares digests.
      - What is missing is put back.
    type: str
    choices: [manifests, blobs, content]
    default: manifests
  resources:
    description:
      - Look at these resources alone, each a name or identity attributes, at targets that have the component version
        already. Nothing is asked about any others, nor about sources and labels; they are believed to be right.
      - Component versions without such a resource are passed over. A resource that no component version has is an error.
      - A component version that is not at the target, or that differs there in what its signature covers, is an error,
        also with O(overwrite), since it needs the whole transfer.
      - A tag of theirs that was deleted or moved is set again. Where what it stands for now is the image of another version
        of the component at the target, that is told, and O(overwrite) sets it again.
    type: list
    elements: raw
  progress_file:
    description:
      - A file that tells how far the transfer has come, while it runs. It is on the host that the task runs on, and is appended
        to, one JSON object a line, at most twice a second, besides one for each image that is complete and one at the end.
      - Each has C(event) (V(moving), V(image) or V(end)), C(time), C(bytes), C(blobs) and C(images) with C(done) and C(total),
        C(rate) in bytes a second, C(seconds) that have passed and C(seconds_left), null while nobody can tell; with V(image)
        also C(image) and C(target). The totals of an archive are upper bounds. The guide
        R(How far a transfer is,ansible_collections.ocm.airgap.docsite.progress) shows how to look at it.
      - Nothing is written in check mode, and nothing when there is nothing to do but the last line.
    type: path
seealso:
  - module: ocm.airgap.ocm_localize
  - module: ocm.airgap.ocm_component_info
  - module: ocm.airgap.ocm_repository_snapshot
"""

EXAMPLES = r"""
- name: Into the private registry
  ocm.airgap.ocm_transfer:
    source: ghcr.io/phoban01
    target: registry.example.com/air-gapped
    component: phoban.io/podinfo
    version: 6.3.5
    registries:
      - host: registry.example.com
        username: "{{ registry_user }}"
        password: "{{ registry_password }}"
        ca_path: /etc/pki/private-ca.pem
  register: podinfo

- name: Onto a medium for the other side of the gap
  ocm.airgap.ocm_transfer:
    source: ghcr.io/phoban01
    target: ./podinfo.tgz
    component: phoban.io/podinfo
    constraint: ">=6.3.5"

- name: Onto a stick with FAT32
  ocm.airgap.ocm_transfer:
    source: ghcr.io/phoban01
    target: ./podinfo.tar
    part_size: 4G
    component: phoban.io/podinfo
    version: 6.3.5

- name: Only what the far side does not hold
  ocm.airgap.ocm_transfer:
    source: ghcr.io/acme
    target: ./product-2.1.0.tar
    known_content: [./far-side.json]
    component: acme.org/product
    version: 2.1.0

- name: From the medium into two registries
  ocm.airgap.ocm_transfer:
    source: ./podinfo.tgz
    target:
      - registry-a.example.com/air-gapped
      - registry-b.example.com/air-gapped

- name: Put back one image that was lost, or a layer of it
  ocm.airgap.ocm_transfer:
    source: ./podinfo.tgz
    target: registry.example.com/air-gapped
    component: phoban.io/podinfo
    version: 6.3.5
    check: blobs
    resources:
      - image

- name: Two images of one name
  ocm.airgap.ocm_transfer:
    source: ghcr.io/acme
    target: registry.example.com/air-gapped
    component: acme.org/product
    version: 2.1.0
    path_mapping:
      - from: quay.io/bitnami
        to: quay/bitnami
"""

RETURN = r"""
component_versions:
  description: What became of each component version at each target, references before what refers to them.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: The target repository.
      type: str
      returned: always
      sample: registry.example.com/air-gapped
    component:
      description: The component's name.
      type: str
      returned: always
      sample: phoban.io/podinfo
    version:
      description: The version.
      type: str
      returned: always
      sample: 6.3.5
    action:
      description:
        - V(transferred) for one that was not there, V(updated) for one that was put right, V(unchanged) otherwise.
      type: str
      returned: always
      sample: transferred
resources:
  description: What became of each resource and source at each target.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: The target repository.
      type: str
      returned: always
      sample: registry.example.com/air-gapped
    component:
      description: The component's name.
      type: str
      returned: always
      sample: phoban.io/podinfo
    version:
      description: The component's version.
      type: str
      returned: always
      sample: 6.3.5
    kind:
      description: V(resource) or V(source).
      type: str
      returned: always
      sample: resource
    name:
      description: The element's name.
      type: str
      returned: always
      sample: image
    identity:
      description: Its identity.
      type: dict
      returned: always
      sample: {name: image}
    action:
      description:
        - V(transferred) for content that was moved, V(restored) for content that was gone from the target and was put
          back, V(unchanged) for content that is there, V(by_reference) for content that stays where it is, V(none) for
          an element without content.
        - Content that O(resources) does not name is V(unchanged) as well, although nobody has looked.
      type: str
      returned: always
      sample: transferred
    before:
      description: The access at the source.
      type: dict
      returned: always
      sample: {type: ociArtifact, imageReference: "ghcr.io/stefanprodan/podinfo:6.3.5"}
    after:
      description: The access at the target.
      type: dict
      returned: always
      sample:
        type: ociArtifact
        imageReference: registry.example.com/air-gapped/stefanprodan/podinfo:6.3.5@sha256:733d6c05673021a8c7bafe44ab097fa1029d61f0cf5f930ecd2f708eb4122c1f
    digest:
      description: The digest of the content; null in check mode where it exists only after packing.
      type: str
      returned: always
      sample: sha256:733d6c05673021a8c7bafe44ab097fa1029d61f0cf5f930ecd2f708eb4122c1f
statistics:
  description: The traffic of the run.
  returned: always
  type: dict
  contains:
    source:
      description: Requests to the source side, and bytes of bodies in both directions.
      type: dict
      returned: always
      sample: {requests: 12, bytes: 13631488}
    target:
      description: The same for the target side.
      type: dict
      returned: always
      sample: {requests: 30, bytes: 13640000}
    blobs:
      description: Blobs that were copied, mounted from another repository of the target, or there already.
      type: dict
      returned: always
      sample: {copied: 6, mounted: 1, present: 0}
    planned:
      description:
        - What moving takes, as it is known before the first write, in the form of the values above. What finding it out took
          comes on top.
        - Registries are expected to mount blobs that they have in another repository. Content whose size only reading
          tells counts with no bytes. For an archive, the target's bytes are what it grows by at most.
      type: dict
      returned: always
      sample:
        source: {requests: 9, bytes: 13630000}
        target: {requests: 27, bytes: 13638000}
        blobs: {copied: 6, mounted: 1, present: 0}
    seconds:
      description: How long it took.
      type: float
      returned: always
      sample: 1.3
"""

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.registries import run_registry_module
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.selection import selection_arguments
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.transfer import placement_arguments, transfer


def main() -> None:
    arguments = dict(
        source=dict(type="str", required=True),
        target=dict(type="list", elements="str", required=True),
        copy_resources=dict(type="bool", default=True),
        copy_sources=dict(type="bool", default=False),
        recursive=dict(type="bool", default=True),
        overwrite=dict(type="bool", default=False),
        by_reference_access_types=dict(type="list", elements="str", default=[]),
        part_size=dict(type="bytes"),
        progress_file=dict(type="path"),
        known_content=dict(type="list", elements="path", default=[]),
        journal=dict(type="path"),
        archive_layout=dict(type="str", choices=["shared", "sets"], default="shared"),
        check=dict(type="str", choices=["manifests", "blobs", "content"], default="manifests"),
        resources=dict(type="list", elements="raw"),
        **placement_arguments(),
        **selection_arguments(),
    )
    run_registry_module(arguments, transfer, mutually_exclusive=[("version", "constraint")])


if __name__ == "__main__":
    main()
