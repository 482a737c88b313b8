# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Git tree against a lock: what was edited, what is gone, what was added, and what is nobody's business."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.tree import lock_item, tree_items
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.lock import LOCK_NAME, component_part, object_digest
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import Content, render
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Rendered, Tree, plan_tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.digest import digest_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent, Refused

OPTIONS = {"component": "phoban.io/podinfo", "version": "6.3.5", "repository": "registry.example.com/air-gapped"}
RULES = Content(manifests={"name": "deployment"}, config={"name": "config"}, localizes=True)
FOLDER = "components/podinfo"
LOCK = f"{FOLDER}/{LOCK_NAME}"
RESOURCE, ACCOUNT = f"{FOLDER}/resource.yaml", "components/service-account-air-gapped-ops.yaml"
DEPLOYMENT, SERVICE = "apps/podinfo/deployment.yaml", "apps/podinfo/net/service.yaml"
MANIFESTS = {"deployment.yaml": b"kind: Deployment\n", "net/service.yaml": b"kind: Service\n"}
ADDED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: added, namespace: default}\n"


def tree_of(files, links=()):
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}

    def read(path):
        if path in links:
            raise Refused(f"{path} of the Git tree is a link, or lies behind one.", "Use a folder without links.")
        return content.get(path)

    wanted = (".yaml", ".yml", LOCK_NAME)
    return Tree({path: text for path, text in content.items() if path.endswith(wanted) and path not in links}, read)


def rendered(**options):
    delivery = read_delivery(dict(OPTIONS, **options))
    manifests = MANIFESTS if delivery.delivery == "rendered" else {}
    return Rendered(delivery, render(delivery, RULES), manifests, component_part(delivery, "sha256:" + "0" * 64, []))


def committed(*deliveries, files=None, adopt=False):
    """The files of a tree after a commit of the module ocm_gitops."""
    result = dict(files or {})
    for path, content in plan_tree(tree_of(result), deliveries, adopt).edits.items():
        result[path] = content.decode()
    return result


@pytest.fixture
def files():
    return committed(rendered())


@pytest.fixture
def rendered_files():
    return committed(rendered(delivery="rendered"))


def items(files, lock_path=LOCK, links=()):
    found = tree_items(json.loads(files[lock_path]), lock_path, tree_of(files, links))
    assert len({item.id for item in found}) == len(found)
    return found


def told(files, lock_path=LOCK):
    """Id to what was found."""
    found = items(files, lock_path)
    assert {item.name for item in found} <= {lock_path.split("/")[-2]} and not [item for item in found if item.obstacle]
    return {item.id: item.found for item in found}


def digest_in(files, path):
    return object_digest(yaml.safe_load(files[path]))


def locked_digest(files, path):
    entries = json.loads(files[LOCK])
    return next(entry["digest"] for entry in entries["objects"] + entries["manifests"] if entry["file"] == path)


def test_an_untouched_tree_has_no_item(files, rendered_files):
    assert told(files) == {} == told(rendered_files)


def test_what_means_the_same_is_no_drift(files):
    definition = yaml.safe_load(files[RESOURCE])
    files[RESOURCE] = "# by hand\n" + json.dumps(dict(reversed(list(definition.items())))) + "\n"
    assert told(files) == {}


def test_an_edited_object(files):
    files[RESOURCE] = files[RESOURCE].replace("1m0s", "9m0s")
    (item,) = items(files)
    assert (item.id, item.object, item.file) == (f"git:{RESOURCE}", RESOURCE, RESOURCE)
    assert (item.expected, item.found) == (locked_digest(files, RESOURCE), digest_in(files, RESOURCE))


def test_a_deleted_object(files):
    del files[RESOURCE]
    assert told(files) == {f"git:{RESOURCE}": "the file is missing"}


def test_a_file_without_its_object(files):
    files[RESOURCE] = "# nothing any more\n"
    assert told(files) == {f"git:{RESOURCE}": "the file is there without the object"}


def test_another_object_in_its_place(files):
    files[RESOURCE] = ADDED
    assert told(files) == {
        f"git:{RESOURCE}": "the file is there without the object",
        f"git:{RESOURCE}:added": "ConfigMap default/added",
    }


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "\t- x: {"])
def test_a_file_that_is_no_yaml(text, files):
    files[RESOURCE] = text
    assert told(files) == {f"git:{RESOURCE}": "YAML that cannot be read"}


def test_a_shared_object(files):
    files[ACCOUNT] = files[ACCOUNT].replace("ocm-airgap-pull", "other")
    assert told(files) == {f"git:{ACCOUNT}": digest_in(files, ACCOUNT)}


@pytest.mark.parametrize(
    "text, found",
    [
        (ADDED, "ConfigMap default/added"),
        ("just: text\n", "a document that is no object"),
        (ADDED + "---\njust: text\n", "ConfigMap default/added, a document that is no object"),
        ("a: [", "YAML that cannot be read"),
        ("---\n".join(ADDED.replace("added", f"added-{number}") for number in range(5)),
         "ConfigMap default/added-0, ConfigMap default/added-1, ConfigMap default/added-2 and 2 more"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: broken\n", "Namespace"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: further}\n", "Namespace further"),
    ],
)
def test_a_further_document_in_an_own_file(text, found, files):
    files[RESOURCE] += "---\n" + text
    assert told(files) == {f"git:{RESOURCE}:added": found}
    files[f"{FOLDER}/by-hand.yaml"] = text
    assert told(files)[f"git:{FOLDER}/by-hand.yaml:added"] == found


def test_a_further_document_that_is_empty_is_none(files):
    files[RESOURCE] += "---\n# that is all\n---\n"
    assert told(files) == {}


def test_an_object_that_stands_there_twice(files):
    wrong = files[RESOURCE].replace("1m0s", "9m0s")
    files[RESOURCE] = wrong + files[RESOURCE]
    assert told(files) == {f"git:{RESOURCE}:added": "Resource ocm-system/podinfo-deployment"}


def test_what_lies_beside_the_delivery_is_others(files):
    others = {"components/mine.yaml": ADDED, "components/podinfo2/mine.yaml": ADDED, "README.yaml": "a: 1\n"}
    files.update(others)
    files[ACCOUNT] += "---\n" + ADDED
    assert told(files) == {}


@pytest.mark.parametrize(
    "name", ["kustomization.yaml", "kustomization.yml", "Kustomization", "README.md", "readme.yaml", "notes.txt", ".sops.yaml", "values.json"]
)
def test_what_flux_does_not_apply_is_left_alone(name, files, rendered_files):
    files[f"{FOLDER}/{name}"] = "a: 1\n"
    rendered_files[f"apps/podinfo/{name}"] = "a: 1\n"
    assert told(files) == {} == told(rendered_files)


@pytest.mark.parametrize("path", [f"{FOLDER}/more.yaml", f"{FOLDER}/below/more.YML"])
def test_an_added_file(path, files):
    tree = tree_of(files)
    tree = Tree(dict(tree.files, **{path: ADDED.encode()}), tree.read)
    (item,) = tree_items(json.loads(files[LOCK]), LOCK, tree)
    assert (item.id, item.object) == (f"git:{path}:added", path)
    assert (item.expected, item.found, item.obstacle) == ("nothing", "ConfigMap default/added", "")


def test_an_added_file_without_objects(files):
    files[f"{FOLDER}/empty.yaml"] = "# to come\n"
    assert told(files) == {f"git:{FOLDER}/empty.yaml:added": "a file without objects"}


def test_manifests_are_compared_byte_by_byte(rendered_files):
    rendered_files[SERVICE] += "# by hand\n"
    (item,) = items(rendered_files)
    assert (item.id, item.expected) == (f"git:{SERVICE}", locked_digest(rendered_files, SERVICE))
    assert item.found == digest_of(rendered_files[SERVICE].encode())
    del rendered_files[SERVICE]
    assert told(rendered_files) == {f"git:{SERVICE}": "the file is missing"}


@pytest.mark.parametrize("path", ["apps/podinfo/more.yaml", "apps/podinfo/net/more.yaml", "apps/podinfo/new/more.yaml"])
def test_an_added_manifest(path, rendered_files):
    rendered_files[path] = ADDED
    assert told(rendered_files) == {f"git:{path}:added": "ConfigMap default/added"}


def test_the_folder_of_the_manifests_is_the_one_with_the_name(monkeypatch):
    monkeypatch.setitem(MANIFESTS, "net/service.yaml", b"kind: Service\n")
    monkeypatch.delitem(MANIFESTS, "deployment.yaml")
    files = committed(rendered(delivery="rendered"))
    files.update({"apps/podinfo/more.yaml": ADDED, "apps/other.yaml": ADDED})
    assert list(told(files)) == ["git:apps/podinfo/more.yaml:added"]


def test_one_folder_for_objects_and_manifests():
    files = committed(rendered(delivery="rendered", git_manifests_path="components"))
    assert told(files) == {}
    files[f"{FOLDER}/more.yaml"] = ADDED
    assert list(told(files)) == [f"git:{FOLDER}/more.yaml:added"]


def test_two_deliveries_do_not_see_each_other():
    redis = rendered(component="phoban.io/redis", delivery="rendered", git_manifests_path=FOLDER)
    files = committed(rendered(delivery="rendered"), redis)
    assert told(files) == {} == told(files, f"components/redis/{LOCK_NAME}")
    files["components/redis/more.yaml"] = ADDED
    assert told(files) == {}
    assert list(told(files, f"components/redis/{LOCK_NAME}")) == ["git:components/redis/more.yaml:added"]


def test_a_delivery_inside_of_another_ones_folder():
    inner = rendered(component="phoban.io/redis", git_path=FOLDER)
    files = committed(rendered(), inner)
    files[f"{FOLDER}/redis/more.yaml"] = ADDED
    assert told(files) == {}
    assert list(told(files, f"{FOLDER}/redis/{LOCK_NAME}")) == [f"git:{FOLDER}/redis/more.yaml:added"]


def test_the_root_of_a_tree():
    files = committed(rendered(git_path="./"))
    lock_path = f"podinfo/{LOCK_NAME}"
    files.update({"mine.yaml": ADDED, "podinfo/more.yaml": ADDED})
    assert list(told(files, lock_path)) == ["git:podinfo/more.yaml:added"]


@pytest.fixture
def adopted():
    """Objects that lie in one file of somebody, together with another object."""
    own = committed(rendered())
    first, second = (own[f"{FOLDER}/{name}.yaml"] for name in ("resource", "flux-deployer"))
    mine = first.replace("1m0s", "2m0s") + second.replace("1m0s", "2m0s") + "---\n" + ADDED
    return committed(rendered(), files={"components/all.yaml": mine}, adopt=True)


def test_objects_of_an_adopted_file_are_told_apart(adopted):
    assert told(adopted) == {}
    adopted["components/all.yaml"] = adopted["components/all.yaml"].replace("1m0s", "9m0s", 1)
    (item,) = items(adopted)
    assert item.object == "components/all.yaml Resource ocm-system/podinfo-deployment"
    assert item.file == "components/all.yaml"
    assert item.id == f"git:{item.object}"
    del adopted["components/all.yaml"]
    assert told(adopted) == {
        "git:components/all.yaml Resource ocm-system/podinfo-deployment": "the file is missing",
        "git:components/all.yaml FluxDeployer ocm-system/podinfo": "the file is missing",
    }


def test_what_others_have_in_an_adopted_file_is_theirs(adopted):
    adopted["components/all.yaml"] = adopted["components/all.yaml"].replace("name: added", "name: changed")
    assert told(adopted) == {}


def test_the_only_object_of_a_file_with_others_goes_by_the_file(files):
    mine = files.pop(RESOURCE).replace("1m0s", "2m0s") + "---\n" + ADDED
    adopted = committed(rendered(), files={"components/all.yaml": mine}, adopt=True)
    adopted["components/all.yaml"] = adopted["components/all.yaml"].replace("1m0s", "9m0s", 1)
    assert list(told(adopted)) == ["git:components/all.yaml"]


def test_an_id_stays_when_somebody_appends_a_document(files):
    files[RESOURCE] = files[RESOURCE].replace("1m0s", "9m0s")
    assert list(told(files)) == [f"git:{RESOURCE}"]
    files[RESOURCE] += "---\n" + ADDED
    assert list(told(files)) == [f"git:{RESOURCE}", f"git:{RESOURCE}:added"]


def test_an_object_of_another_delivery_in_an_own_file(files):
    redis = rendered(component="phoban.io/redis")
    resource = committed(redis)["components/redis/resource.yaml"]
    files[f"{FOLDER}/resource.yaml"] += resource.replace("1m0s", "2m0s")
    both = committed(redis, files=files, adopt=True)
    assert "components/redis/resource.yaml" not in both
    assert told(both) == {} == told(both, f"components/redis/{LOCK_NAME}")


def test_a_link_cannot_be_put_right(files, rendered_files):
    for found, path in ((files, RESOURCE), (rendered_files, DEPLOYMENT)):
        (item,) = items(found, links=(path,))
        assert (item.id, item.found) == (f"git:{path}", "a link")
        assert item.obstacle == f"{path} of the Git tree is a link, or lies behind one"


def test_the_broken_lock_of_another_delivery_is_told(files):
    other = f"components/redis/{LOCK_NAME}"
    files[other] = "{"
    with pytest.raises(InvalidContent, match=other):
        items(files)


def test_a_lock_that_is_missing():
    item = lock_item(LOCK, "podinfo")
    assert (item.id, item.object, item.name, item.found) == (f"git:{LOCK}", LOCK, "podinfo", "nothing")
    assert "Git history" in item.obstacle and "ocm.airgap.site" in item.obstacle


def test_no_item_shows_content(files):
    files[RESOURCE] = files[RESOURCE].replace("1m0s", "secret-value-1")
    files[f"{FOLDER}/secret.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {key: secret-value-1}\n"
    files[f"{FOLDER}/broken.yaml"] = "secret-value-1: [\n"
    found = items(files)
    assert len(found) == 3 and "secret-value-1" not in str(found)
