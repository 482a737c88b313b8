# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References rewritten by what was moved, and images that are still elsewhere."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.references import (
    foreign_images,
    rewrite_references,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput

OLD = "ghcr.io/acme/podinfo:6.3.5"
NEW = "private.test:5001/air/acme/podinfo:6.3.5@sha256:" + "1" * 64
MAPPING = {OLD: NEW, "same": "same"}


@pytest.mark.parametrize("before, after, paths", [
    (f"a: {OLD} # c\nb: {OLD}-x\n", f"a: {NEW} # c\nb: {OLD}-x\n", ["a"]),
    (f"a: '{OLD}'\nb: \"{OLD}\"\n", f"a: '{NEW}'\nb: \"{NEW}\"\n", ["a", "b"]),
    (f"- {OLD}\n- x: [{{y: {OLD}}}]\n", f"- {NEW}\n- x: [{{y: \"{NEW}\"}}]\n", ["[0]", "[1].x[0].y"]),
    (f"a: {OLD}\n---\nb: {OLD}\n", f"a: {NEW}\n---\nb: {NEW}\n", ["a", "(document 2) b"]),
    (f"a: &x {OLD}\nb: *x\n", f"a: &x {NEW}\nb: *x\n", ["a"]),
    (f"a: !!str {OLD}\n", f"a: !!str {NEW}\n", ["a"]),
    (f"a: |-\n  {OLD}\nb: 1\n", f"a: {NEW}\nb: 1\n", ["a"]),
    (f"a: >-  # c\n  {OLD}\n\n# d\nb: 1\n", f"a: {NEW}\n\n# d\nb: 1\n", ["a"]),
    (f"{OLD}: 1\n", f"{OLD}: 1\n", []),
    (f"a: text with {OLD}\n", f"a: text with {OLD}\n", []),
    (f"\ufeffa: {OLD}\r\nb: {OLD}", f"\ufeffa: {NEW}\r\nb: {NEW}", ["a", "b"]),
    ("a: same\n", "a: same\n", []),
    (f'{{"a":"{OLD}","b":["{OLD}"]}}', f'{{"a":"{NEW}","b":["{NEW}"]}}', ["a", "b[0]"]),
    ('{"a":"' + OLD.replace("/", "\\/") + '"}', f'{{"a":"{NEW}"}}', ["a"]),
    (f'm:\n  "a.b/c": {OLD}\n', f'm:\n  "a.b/c": {NEW}\n', ['m."a.b/c"']),
])
def test_equal_texts_are_rewritten(before, after, paths):
    result = rewrite_references({"x.yaml": before.encode("utf-8")}, MAPPING)
    assert result.files["x.yaml"].decode("utf-8") == after
    assert [change.path for change in result.changes] == paths
    assert all((change.before, change.after, change.kind) == (OLD, NEW, "reference") for change in result.changes)
    again = rewrite_references(result.files, MAPPING)
    assert again.files == result.files
    assert again.changes == []


def test_other_files_are_kept():
    files = {"a.png": OLD.encode() + b"\xff", "README.md": OLD.encode(), "c.yaml": b"{{ x"}
    files["b.YML"] = f"a: {OLD}\n".encode()
    result = rewrite_references(files, MAPPING)
    assert result.files == {**files, "b.YML": f"a: {NEW}\n".encode()}
    assert result.warnings == []


def test_a_file_that_cannot_be_read_is_warned_about():
    files = {"t.yaml": f"{{{{- if x }}}}\nimage: {OLD}\n".encode(), "u.yaml": b"\xff" + OLD.encode()}
    result = rewrite_references(files, MAPPING)
    assert result.files == files
    assert len(result.warnings) == 2
    assert "Go template" in result.warnings[0]


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  template:
    spec:
      initContainers:
      - image: busybox
      containers:
      - name: image
        image: private.test:5001/air/a/b:1
      - image: ghcr.io/a/b:1
      - image: ${IMAGE}
      - image: private.test:5001/airport/b:1
      volumes:
      - name: v
        image: {reference: quay.io/v/w@sha256:%s}
""" % ("2" * 64)


def images(text, target="private.test:5001/air", name="x.yaml"):
    return [(entry["path"], entry["image"]) for entry in foreign_images({name: text.encode("utf-8")}, target)]


def test_the_images_of_a_deployment():
    assert images(DEPLOYMENT) == [
        ("spec.template.spec.initContainers[0].image", "busybox"),
        ("spec.template.spec.containers[1].image", "ghcr.io/a/b:1"),
        ("spec.template.spec.containers[2].image", "${IMAGE}"),
        ("spec.template.spec.containers[3].image", "private.test:5001/airport/b:1"),
        ("spec.template.spec.volumes[0].image.reference", "quay.io/v/w@sha256:" + "2" * 64),
    ]


@pytest.mark.parametrize("text, expected", [
    ("apiVersion: x/v1\nkind: Cluster\nspec:\n  image: ghcr.io/a:1\n", ["spec.image"]),
    ("apiVersion: x/v1\nkind: Cluster\nspec:\n  image: A sentence about images\n", []),
    ("apiVersion: x/v1\nkind: CRD\nspec:\n  image: {type: string}\n", []),
    ("image: ghcr.io/a:1\n", []),
    ("containers:\n- image: ghcr.io/a:1\n", ["containers[0].image"]),
    ("a: 1\n---\ncontainers:\n- image: ghcr.io/a:1\n", ["(document 2) containers[0].image"]),
    ("x: &i ghcr.io/a:1\ncontainers:\n- image: *i\n", ["containers[0].image"]),
    ("kind: List\napiVersion: v1\nitems:\n- spec:\n    ephemeralContainers:\n    - image: x\n",
     ["items[0].spec.ephemeralContainers[0].image"]),
    ("containers:\n- image: ''\n- image:\n- image: 5\n", []),
    ("{{- if x }}\n  image: ghcr.io/a:1 # c\n  - image: \"quay.io/b:2\"\n  image: {{ .x }}\n"
     "  image: private.test:5001/air/b\n",
     ["(line 2)", "(line 3)"]),
    ('{"containers": [{"image": "ghcr.io/a:1"}]}', ["containers[0].image"]),
])
def test_places(text, expected):
    assert [path for path, _image in images(text)] == expected


@pytest.mark.parametrize("target, image, foreign", [
    ("h.test", "h.test/a:1", False),
    ("h.test", "h.test:443/a:1", True),
    ("h.test/p", "h.test/p:1", False),
    ("h.test/p", "h.test/p/q:1", False),
    ("h.test/p", "h.test/pq:1", True),
    ("H.TEST/p/", "h.test/p/q:1", False),
    ("http://h.test:5000/p", "h.test:5000/p/q", False),
    ("docker.io", "nginx", False),
    ("docker.io/library", "index.docker.io/library/nginx:1", False),
    ("docker.io/acme", "nginx", True),
])
def test_below_the_target(target, image, foreign):
    assert bool(images(f"containers:\n- image: {image}\n", target)) is foreign


def test_files_are_sorted_and_others_skipped():
    text = b"containers:\n- image: ghcr.io/a:1\n"
    found = foreign_images({"b.yaml": text, "a.yml": text, "c.txt": text, "d.json": b"\xff image"}, "h.test")
    assert [entry["file"] for entry in found] == ["a.yml", "b.yaml"]
    assert set(found[0]) == {"file", "path", "image"}


@pytest.mark.parametrize("target", ["./folder", "", "h.test//acme.org/x"])
def test_the_target_is_a_registry(target):
    with pytest.raises(InvalidInput):
        foreign_images({}, target)
