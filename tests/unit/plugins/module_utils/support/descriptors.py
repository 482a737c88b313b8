# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors that the tests of model and store build, small and valid; each test changes what it is about."""

from __future__ import annotations

import copy

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.descriptor import ComponentDescriptor

SHA256 = "sha256:" + "a" * 64


def digest(value="aa", normalisation="genericBlobDigest/v1", algorithm="SHA-256"):
    return {"hashAlgorithm": algorithm, "normalisationAlgorithm": normalisation, "value": value}


def resource(name="file", **changes):
    value = {
        "name": name,
        "version": "1.0.0",
        "type": "blob",
        "relation": "local",
        "access": {"type": "localBlob", "localReference": SHA256, "mediaType": "text/plain"},
        "digest": digest(),
    }
    return present(value, changes)


def source(name="code", **changes):
    value = {"name": name, "version": "1.0.0", "type": "git", "access": {"type": "gitHub", "repoUrl": "h.test/x", "commit": "0" * 40}}
    return present(value, changes)


def reference(name="leaf", **changes):
    return present({"name": name, "version": "1.0.0", "componentName": "acme.org/leaf"}, changes)


def present(value, changes):
    """value with the changes; None takes a field away."""
    return {key: part for key, part in dict(value, **changes).items() if part is not None}


def v2(**component):
    head = {"name": "acme.org/demo", "version": "1.0.0", "provider": "acme.org"}
    lists = {"repositoryContexts": [], "sources": [], "componentReferences": [], "resources": []}
    top = {key: component.pop(key) for key in ("signatures", "nestedDigests") if key in component}
    return dict({"meta": {"schemaVersion": "v2"}, "component": present(dict(head, **lists), component)}, **top)


def v3(metadata=None, spec=None, **top):
    head = {"name": "acme.org/demo", "version": "1.0.0", "provider": {"name": "acme.org"}}
    content = {"apiVersion": "ocm.software/v3alpha1", "kind": "ComponentVersion"}
    return dict(content, metadata=present(head, metadata or {}), spec=spec or {}, **top)


def described(content):
    return ComponentDescriptor.from_mapping(copy.deepcopy(content), "here")
