# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees: where objects are written, what lies elsewhere, what goes, and the lock."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.lock import LOCK_NAME, component_part, files_of, object_digest, read_lock
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import Content, render
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Rendered, Tree, only_files, plan_tree, replace_document, split_documents
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, InvalidInput, Refused

OPTIONS = {"component": "phoban.io/podinfo", "version": "6.3.5", "repository": "registry.example.com/air-gapped"}
RULES = Content(manifests={"name": "deployment"}, config={"name": "config"}, localizes=True)
ACCOUNT = "components/service-account-air-gapped-ops.yaml"
LOCK = f"components/podinfo/{LOCK_NAME}"
# The files of the guide, in short
GUIDE = {
    "components/component_version.yaml": """# by hand
apiVersion: delivery.ocm.software/v1alpha1
kind: ComponentVersion
metadata: {name: podinfo, namespace: ocm-system}
spec: {interval: 1m0s, component: phoban.io/podinfo, version: {semver: ">=v6.3.5"}, repository: {url: ghcr.io/phoban01}}
""",
    "components/all.yaml": """# first
apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {name: podinfo-deployment, namespace: ocm-system}
spec: {interval: 1m0s, sourceRef: {kind: ComponentVersion, name: podinfo, resourceRef: {name: deployment}}}
---
# second
apiVersion: delivery.ocm.software/v1alpha1
kind: FluxDeployer
metadata: {name: podinfo, namespace: ocm-system}
spec: {sourceRef: {kind: Resource, name: podinfo-deployment}, kustomizationTemplate: {interval: 1m0s, path: ./, prune: true}}
---
# third
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: ocm-system}
""",
}


def tree_of(files):
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    wanted = {path: text for path, text in content.items() if path.endswith((".yaml", ".yml", LOCK_NAME))}
    return Tree(wanted, content.get)


def rendered(manifests=None, content=RULES, **options):
    delivery = read_delivery(dict(OPTIONS, **options))
    return Rendered(delivery, render(delivery, content), manifests or {}, component_part(delivery, "sha256:" + "0" * 64, []))


def apply(files, plan):
    result = dict(files)
    for path, content in plan.edits.items():
        if content is None:
            del result[path]
        else:
            result[path] = content.decode()
    return result


def written(files, *deliveries, adopt=False):
    return apply(files, plan_tree(tree_of(files), deliveries, adopt))


def objects_in(files):
    return [(doc["kind"], doc["metadata"]["name"]) for path in sorted(files) if path.endswith(".yaml") for doc in yaml.safe_load_all(files[path]) if doc]


def test_one_object_a_file_and_the_lock():
    files = written({}, rendered())
    assert sorted(files) == [
        "components/podinfo/component-version.yaml",
        "components/podinfo/flux-deployer.yaml",
        "components/podinfo/localization.yaml",
        LOCK,
        "components/podinfo/resource.yaml",
        ACCOUNT,
    ]
    lock = json.loads(files[LOCK])
    assert (lock["component"], lock["version"], lock["descriptorDigest"]) == ("phoban.io/podinfo", "6.3.5", "sha256:" + "0" * 64)
    for entry in lock["objects"]:
        assert entry["digest"] == object_digest(yaml.safe_load(files[entry["file"]]))


def test_a_second_plan_is_empty():
    files = written({}, rendered())
    assert not plan_tree(tree_of(files), [rendered()]).edits


def test_a_file_that_somebody_wrote_differently_but_means_the_same_stays():
    files = written({}, rendered())
    definition = yaml.safe_load(files["components/podinfo/resource.yaml"])
    files["components/podinfo/resource.yaml"] = "# mine\n" + json.dumps(definition) + "\n"
    assert not plan_tree(tree_of(files), [rendered()]).edits


RESOURCE = "components/podinfo/resource.yaml"


def test_of_two_changes_the_one_in_a_named_file_is_taken_back():
    right = written({}, rendered())
    files = dict(right)
    for path in (RESOURCE, ACCOUNT):
        files[path] = files[path].replace("ocm-system", "elsewhere")
    plan = plan_tree(tree_of(files), [rendered()])
    assert {RESOURCE, ACCOUNT} <= set(plan.edits)
    for name in (RESOURCE, f"./{RESOURCE}"):
        only = only_files(tree_of(files), plan, [name, "components/podinfo/flux-deployer.yaml", "README.md"])
        assert apply(files, only) == dict(files, **{RESOURCE: right[RESOURCE]})
    assert (only.locks, only.warnings) == (plan.locks, plan.warnings)
    assert not only_files(tree_of(files), plan, ["README.md"]).edits


def test_the_lock_is_written_only_when_it_is_named():
    plan = plan_tree(tree_of({}), [rendered()])
    assert set(only_files(tree_of({}), plan, [RESOURCE]).edits) == {RESOURCE}
    assert set(only_files(tree_of({}), plan, [RESOURCE, LOCK]).edits) == {RESOURCE, LOCK}


def test_single_files_of_something_else_than_was_delivered_are_refused():
    files = written({}, rendered())
    plan = plan_tree(tree_of(files), [rendered(interval="9m0s")])
    with pytest.raises(Refused, match=f"{LOCK} would have to change, too"):
        only_files(tree_of(files), plan, [RESOURCE])
    assert set(only_files(tree_of(files), plan, [RESOURCE, LOCK]).edits) == {RESOURCE, LOCK}
    assert not only_files(tree_of(files), plan, ["components/others.yaml"]).edits


def test_files_that_nobody_delivered_go_when_they_are_named():
    other = rendered(component="phoban.io/redis")
    files = written({}, rendered(manifests={"app.yaml": b"x: 1\n"}), other)
    added = ["components/podinfo/mine.yaml", "apps/podinfo/mine.yaml"]
    files.update({path: "a: 1\n" for path in added + ["components/mine.yaml", "components/podinfo/kustomization.yaml"]})
    mine = rendered(manifests={"app.yaml": b"x: 1\n"})
    plan = plan_tree(tree_of(files), [mine])
    folders = [mine.delivery.folder, mine.delivery.manifests_folder]
    assert only_files(tree_of(files), plan, added[:1], folders).edits == {added[0]: None}
    assert only_files(tree_of(files), plan, list(files), folders).edits == dict.fromkeys(added)


def test_a_file_that_would_go_stays_unless_it_is_named():
    files = written({}, rendered(manifests={"old.yaml": b"x: 1\n", "new.yaml": b"x: 2\n"}))
    tree = tree_of(files)
    plan = plan_tree(tree, [rendered(manifests={"new.yaml": b"x: 3\n"})])
    assert plan.edits["apps/podinfo/old.yaml"] is None
    assert apply(files, only_files(tree, plan, ["apps/podinfo/new.yaml", LOCK]))["apps/podinfo/old.yaml"] == "x: 1\n"
    assert "apps/podinfo/old.yaml" not in apply(files, only_files(tree, plan, ["apps/podinfo/old.yaml", LOCK]))


def test_a_change_is_taken_back():
    files = written({}, rendered())
    right = files["components/podinfo/resource.yaml"]
    files["components/podinfo/resource.yaml"] = right.replace("1m0s", "9m0s")
    assert list(plan_tree(tree_of(files), [rendered()]).edits) == ["components/podinfo/resource.yaml"]
    assert written(files, rendered())["components/podinfo/resource.yaml"] == right


def test_a_new_version_touches_two_files():
    files = written({}, rendered())
    assert sorted(plan_tree(tree_of(files), [rendered(version="6.4.0")]).edits) == ["components/podinfo/component-version.yaml", LOCK]


def test_what_is_not_rendered_any_more_goes():
    files = dict(written({}, rendered(values={})), **{"components/podinfo/mine.yaml": "a: 1\n"})
    plan = plan_tree(tree_of(files), [rendered()])
    assert plan.edits["components/podinfo/configuration.yaml"] is None
    assert "components/podinfo/mine.yaml" not in plan.edits


def test_two_components_share_the_account():
    files = written({}, rendered(), rendered(component="phoban.io/redis"))
    assert [path for path in files if "service-account" in path] == [ACCOUNT]
    assert not plan_tree(tree_of(files), [rendered(component="phoban.io/redis")]).edits


def test_two_components_of_one_name_are_refused():
    with pytest.raises(InvalidInput, match="components/podinfo"):
        plan_tree(tree_of({}), [rendered(), rendered(component="acme.org/podinfo")])


def test_an_object_elsewhere_is_an_error_that_names_the_file():
    with pytest.raises(Refused, match="components/all.yaml") as caught:
        written(GUIDE, rendered())
    assert "git_adopt" in str(caught.value)


def test_an_adopted_object_is_rewritten_where_it_lies():
    files = written(GUIDE, rendered(), adopt=True)
    assert sorted(files) == [
        "components/all.yaml",
        "components/component_version.yaml",
        "components/podinfo/localization.yaml",
        LOCK,
        ACCOUNT,
    ]
    assert "# third\napiVersion: v1\nkind: ConfigMap\n" in files["components/all.yaml"]
    found = objects_in(files)
    assert len(found) == len(set(found)) == 6
    name = rendered().delivery.component_version_name
    assert ("ComponentVersion", name) in found and ("ComponentVersion", "podinfo") not in found
    assert not plan_tree(tree_of(files), [rendered()], adopt=True).edits


def test_an_adopted_object_stays_ours_without_adopt():
    files = written(GUIDE, rendered(), adopt=True)
    after = written(files, rendered(interval="2m0s"))
    assert set(after) == set(files) and "2m0s" in after["components/all.yaml"]


def test_an_adopted_object_that_goes_leaves_the_rest_of_its_file():
    guide = dict(GUIDE)
    guide["components/all.yaml"] += """---
apiVersion: delivery.ocm.software/v1alpha1
kind: Configuration
metadata: {name: podinfo-deployment, namespace: ocm-system}
spec: {interval: 1m0s}
"""
    files = written(guide, rendered(values={}), adopt=True)
    assert ("Configuration", "podinfo-deployment") in objects_in(files)
    after = written(files, rendered())
    assert ("Configuration", "podinfo-deployment") not in objects_in(after)
    assert ("ConfigMap", "other") in objects_in(after) and ("FluxDeployer", "podinfo") in objects_in(after)


def test_the_same_object_in_two_files_is_an_error():
    twice = dict(GUIDE, **{"components/again.yaml": GUIDE["components/all.yaml"]})
    with pytest.raises(Refused, match="components/again.yaml and components/all.yaml"):
        written(twice, rendered(), adopt=True)


def test_clusters_with_folders_of_their_own_have_the_same_objects():
    files = written({}, rendered(git_path="clusters/a"))
    both = written(files, rendered(git_path="clusters/b"))
    assert len(both) == 2 * len(files)
    assert not plan_tree(tree_of(both), [rendered(git_path="clusters/a"), rendered(git_path="clusters/b")]).edits


def test_manifests_are_written_removed_and_locked():
    first = rendered({"deployment.yaml": b"a: 1\n", "notes.txt": b"x"}, delivery="rendered")
    files = written({}, first)
    assert files["apps/podinfo/deployment.yaml"] == "a: 1\n"
    lock = json.loads(files[LOCK])
    assert [entry["file"] for entry in lock["manifests"]] == ["apps/podinfo/deployment.yaml", "apps/podinfo/notes.txt"]
    assert not plan_tree(tree_of(files), [first]).edits
    after = written(files, rendered({"deployment.yaml": b"a: 2\n"}, delivery="rendered"))
    assert after["apps/podinfo/deployment.yaml"] == "a: 2\n" and "apps/podinfo/notes.txt" not in after


def test_from_the_controller_to_rendered_leaves_nothing_behind():
    files = written(written({}, rendered()), rendered({"d.yaml": b"a: 1\n"}, delivery="rendered"))
    assert sorted(files) == ["apps/podinfo/d.yaml", "components/podinfo/kustomization-object.yaml", LOCK, ACCOUNT]


def test_a_kustomization_that_does_not_name_the_folder_is_told():
    plan = plan_tree(tree_of({"components/kustomization.yaml": "resources: [other.yaml]\n"}), [rendered()])
    assert "components/kustomization.yaml" in plan.warnings[0]
    assert not plan_tree(tree_of({"components/kustomization.yaml": "resources: [podinfo]\n"}), [rendered()]).warnings


def test_files_that_are_no_yaml_are_passed_over():
    assert plan_tree(tree_of({"charts/x/templates/a.yaml": "{{ if x }}\na: b\n"}), [rendered()]).edits


def test_a_lock_that_cannot_be_read_is_an_error():
    with pytest.raises(InvalidContent, match="components/podinfo"):
        plan_tree(tree_of({LOCK: "{"}), [rendered()])
    with pytest.raises(InvalidContent, match="version"):
        read_lock(b'{"lockVersion": 99}', "x")
    assert files_of({"objects": [{"file": "a"}], "manifests": [{"file": "b"}, {"file": "a"}]}) == ["a", "b"]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("head", ["", "---\n", "# top\n---\n"])
def test_one_document_is_replaced(head, number):
    offset = 1 if head else 0
    text = head + "a: 0\n---\na: 1\n--- # end\na: 2\n"
    after = replace_document(text.encode(), number + offset, b"new: 1\n")
    expected = [{"a": 0}, {"a": 1}, {"a": 2}]
    expected[number] = {"new": 1}
    assert [document for document in yaml.safe_load_all(after) if document] == expected
    assert [document for _text, document in split_documents(after) if document] == expected
