# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter platform_objects."""

from __future__ import annotations

DOCUMENTATION = r"""
name: platform_objects
short_description: Kubernetes objects of a platform part, made ready for an air gap
version_added: 1.0.0
author:
  - ocm.airgap contributors (@ocm-airgap)
description:
  - Reads the manifests of Flux or ocm-controller and puts the private image references, a pull secret, certificate
    authorities and a label into them. The roles P(ocm.airgap.flux#role) and P(ocm.airgap.ocm_controller#role) use it.
options:
  _input:
    description: The manifests, a mapping from a file's name to its text. Files may hold several documents.
    type: dict
    required: true
  namespace:
    description: The namespace that all objects belong into.
    type: str
    required: true
  part:
    description: The value of the label C(ocm.airgap/platform) that every object gets.
    type: str
    required: true
  registry:
    description: The private registry, C(host[:port][/prefix]). Empty leaves the images as they are.
    type: str
    default: ''
  images:
    description: References in the manifests and what to write instead, for images that lie elsewhere than the rule says.
    type: dict
    default: {}
  resources:
    description:
      - The resources of the component version that carries the images, as M(ocm.airgap.ocm_component_info) returns them.
      - If given, every image has to be one of them, and its digest is written as well.
    type: list
    elements: dict
  references:
    description: What M(ocm.airgap.ocm_transfer) returned in RV(ocm.airgap.ocm_transfer#module:resources).
    type: list
    elements: dict
    default: []
  path_mapping:
    description: The path mapping of the transfer, see M(ocm.airgap.ocm_transfer).
    type: list
    elements: dict
    default: []
  pull_secret:
    description: The name of the Secret to pull with; empty for none.
    type: str
    default: ''
  ca_config_map:
    description: The name of the ConfigMap whose C(ca.crt) is mounted into every container; used with O(ca_data).
    type: str
    default: ''
  ca_data:
    description: The certificate authorities in that ConfigMap, PEM text; empty for none.
    type: str
    default: ''
  annotations:
    description: Annotations for the pods of Deployments, by the Deployment's name.
    type: dict
    default: {}
  arguments:
    description: Flags for the first container of Deployments, by the Deployment's name.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: The objects of Flux, for the private registry
  ansible.builtin.debug:
    msg: "{{ files | ocm.airgap.platform_objects(namespace='flux-system', part='flux', registry=registry) }}"
  vars:
    files: "{{ {'flux.yaml': lookup('ansible.builtin.file', 'flux.yaml')} }}"
    registry: registry.example.com/air-gapped
"""

RETURN = r"""
_value:
  description: The result.
  type: dict
  contains:
    objects:
      description: The objects in the order in which they can be applied.
      type: list
      elements: dict
    images:
      description: Every image reference of the manifests and the one that was written.
      type: dict
"""

from typing import Any, Dict, List, Mapping, Optional

from ansible.errors import AnsibleFilterError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.former import former_references
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import OcmError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.placement import parse_path_mapping
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform import additions
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform.images import PrivateImages, resource_images, rewrite_images
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.platform.objects import read_objects

try:
    # From ansible-core 2.19 on only marked texts are templates; before, every other text is one.
    from ansible.module_utils.datatag import native_type_name as _has_data_tagging
except ImportError:
    _has_data_tagging = None


def platform_objects(
    files: Mapping[str, str],
    namespace: str,
    part: str,
    registry: str = "",
    images: Optional[Mapping[str, str]] = None,
    resources: Optional[List[Mapping[str, Any]]] = None,
    references: Optional[List[Mapping[str, Any]]] = None,
    path_mapping: Optional[List[Mapping[str, Any]]] = None,
    pull_secret: str = "",
    ca_config_map: str = "",
    ca_data: str = "",
    annotations: Optional[Mapping[str, Mapping[str, str]]] = None,
    arguments: Optional[Mapping[str, Mapping[str, str]]] = None,
) -> Dict[str, Any]:
    """See DOCUMENTATION."""
    try:
        objects = read_objects({str(name): str(text) for name, text in files.items()}, str(namespace))
        private = PrivateImages(
            str(registry or ""),
            dict(former_references(references or []), **(images or {})),
            None if resources is None else resource_images(resources),
            parse_path_mapping(path_mapping or []),
        )
        rewritten = rewrite_images(objects, private)
        additions.add_label(objects, str(part))
        if pull_secret:
            additions.add_pull_secret(objects, str(pull_secret))
        if ca_data:
            additions.add_authorities(objects, str(ca_config_map), str(ca_data))
        additions.add_annotations(objects, annotations or {})
        additions.set_arguments(objects, arguments or {})
    except OcmError as error:
        raise AnsibleFilterError(f"platform_objects: {error}") from error
    return _not_templates({"objects": objects, "images": rewritten})


def _not_templates(value: Any) -> Any:
    if _has_data_tagging is not None:
        return value
    from ansible.utils.unsafe_proxy import wrap_var

    return wrap_var(value)


class FilterModule:
    """The filter's registration."""

    def filters(self) -> Dict[str, Any]:
        return {"platform_objects": platform_objects}
