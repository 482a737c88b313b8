# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an air gap adds to the objects of a platform part: pull secrets, certificate authorities, labels."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..model.digest import digest_of
from ..model.errors import InvalidInput
from ..model.pod_spec import FIELD, with_pull_secret
from .objects import Object, containers, pod_templates

LABEL = "ocm.airgap/platform"
DIGEST_ANNOTATION = "ocm.airgap/ca-digest"
CA_VOLUME = "ocm-airgap-ca"
# Go programs read every file of this folder, beside the bundle of the image.
CA_FILE = "/etc/ssl/certs/ocm-airgap-ca.pem"


def add_label(objects: Sequence[Object], part: str) -> None:
    """Mark objects as installed by a role, so that it finds them again."""
    for item in objects:
        item["metadata"]["labels"] = dict(item["metadata"].get("labels") or {}, **{LABEL: part})


def add_pull_secret(objects: Sequence[Object], name: str) -> None:
    """Let every pod template pull with a Secret, beside those that it names."""
    for _item, template in pod_templates(objects):
        template["spec"][FIELD] = with_pull_secret(template["spec"], name)


def add_authorities(objects: Sequence[Object], config_map: str, pem: str) -> None:
    """Mount `ca.crt` of a ConfigMap where Go programs look for certificate authorities, in every container.

    A mounted single file does not follow the ConfigMap: the digest of the content in the pod template lets new
    certificates roll the pods.
    """
    for _item, template in pod_templates(objects):
        spec = template["spec"]
        volumes = [entry for entry in spec.get("volumes") or [] if entry.get("name") != CA_VOLUME]
        spec["volumes"] = volumes + [{"name": CA_VOLUME, "configMap": {"name": config_map}}]
        for entry in containers(template):
            mounts = [mount for mount in entry.get("volumeMounts") or [] if mount.get("name") != CA_VOLUME]
            entry["volumeMounts"] = mounts + [{"name": CA_VOLUME, "mountPath": CA_FILE, "subPath": "ca.crt", "readOnly": True}]
        _annotate(template, {DIGEST_ANNOTATION: digest_of(pem.encode("utf-8"))})


def add_annotations(objects: Sequence[Object], annotations: Mapping[str, Mapping[str, str]]) -> None:
    """Annotate pod templates. annotations: name of the Deployment -> its pods' annotations. Raises InvalidInput."""
    templates = {item["metadata"]["name"]: template for item, template in pod_templates(objects)}
    for name, wanted in annotations.items():
        _annotate(_named(templates, name), wanted)


def set_arguments(objects: Sequence[Object], arguments: Mapping[str, Mapping[str, str]]) -> None:
    """Set command line flags. arguments: name of the Deployment -> flag -> value, for its first container."""
    templates = {item["metadata"]["name"]: template for item, template in pod_templates(objects)}
    for name, wanted in arguments.items():
        container = _named(templates, name)["spec"]["containers"][0]
        flags = tuple(f"{flag}=" for flag in wanted)
        kept = [text for text in container.get("args") or [] if not text.startswith(flags)]
        container["args"] = kept + [f"{flag}={value}" for flag, value in wanted.items()]


def _annotate(template: Object, wanted: Mapping[str, str]) -> None:
    metadata = template.setdefault("metadata", {})
    metadata["annotations"] = dict(metadata.get("annotations") or {}, **wanted)


def _named(templates: Mapping[str, Any], name: str) -> Any:
    if name not in templates:
        raise InvalidInput(f"The manifests have no Deployment {name!r}; they have {', '.join(sorted(templates)) or 'none'}.")
    return templates[name]
