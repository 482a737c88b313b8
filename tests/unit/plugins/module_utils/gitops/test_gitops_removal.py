# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deliveries that go from a Git tree: what goes with them, what stays for others, and the module against a Git server."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.lock import LOCK_NAME, component_part
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.objects import Content, render
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.removal import (
    Removal,
    plan_removal,
    pull_secret_namespaces,
    read_removal,
    sharing_of,
)
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.settings import read_delivery
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.gitops.tree import Rendered, Tree, plan_tree
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidInput, Refused
from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

RULES = Content(manifests={"name": "deployment"}, config={"name": "config"}, localizes=True)
ACCOUNT = "components/service-account-air-gapped-ops.yaml"
PODINFO, REDIS = Removal("podinfo"), Removal("redis")


def tree_of(files):
    content = {path: text.encode() for path, text in files.items()}
    wanted = {path: text for path, text in content.items() if path.endswith((".yaml", ".yml", LOCK_NAME))}
    return Tree(wanted, content.get)


def delivery(component="phoban.io/podinfo", manifests=None, **options):
    usual = {"component": component, "version": "6.3.5", "repository": "registry.example.com/air-gapped"}
    made = read_delivery(dict(usual, **options))
    lock = component_part(made, "sha256:" + "0" * 64, [])
    return Rendered(made, render(made, RULES), manifests or {}, lock)


def applied(files, plan):
    result = dict(files)
    for path, content in plan.edits.items():
        if content is None:
            del result[path]
        else:
            result[path] = content.decode()
    return result


def written(*deliveries, files=None, adopt=False):
    files = files or {}
    return applied(files, plan_tree(tree_of(files), deliveries, adopt))


def removed(files, *removals):
    return applied(files, plan_removal(tree_of(files), removals))


def test_everything_that_was_written_goes_and_the_folder_stays():
    files = dict(written(delivery()), **{"README.md": "mine\n"})
    assert sorted(removed(files, PODINFO)) == ["README.md", "components/.gitkeep"]


def test_at_the_root_nothing_has_to_be_kept():
    assert removed(written(delivery(git_path=".")), Removal("podinfo", "")) == {}


def test_without_a_lock_there_is_nothing_to_do():
    files = written(delivery())
    assert not plan_removal(tree_of(files), [REDIS]).edits
    assert not plan_removal(tree_of(removed(files, PODINFO)), [PODINFO]).edits


def test_what_a_person_added_stays():
    files = dict(written(delivery()), **{"components/podinfo/mine.yaml": "a: 1\n"})
    assert sorted(removed(files, PODINFO)) == ["components/podinfo/mine.yaml"]


def test_the_shared_account_stays_as_long_as_another_delivery_has_it():
    files = written(delivery(), delivery("acme.org/redis"))
    plan = plan_removal(tree_of(files), [PODINFO])
    left = applied(files, plan)
    assert sorted(left) == sorted(path for path in files if not path.startswith("components/podinfo/"))
    assert all(left[path] == files[path] for path in left)
    assert list(removed(left, REDIS)) == ["components/.gitkeep"]


def test_two_that_share_go_together():
    assert list(removed(written(delivery(), delivery("acme.org/redis")), PODINFO, REDIS)) == ["components/.gitkeep"]


def test_the_deliveries_of_another_cluster_are_not_touched():
    east, west = delivery(git_path="east", git_manifests_path="apps"), delivery(git_path="west", git_manifests_path="apps")
    files = written(east, west)
    left = removed(files, Removal("podinfo", "east"))
    assert left == dict({path: text for path, text in files.items() if path.startswith("west/")}, **{"east/.gitkeep": left["east/.gitkeep"]})
    assert "west/service-account-air-gapped-ops.yaml" in left


def test_manifests_go_unless_another_cluster_has_the_same():
    def rendered(root):
        return delivery(git_path=root, delivery="rendered", manifests={"deployment.yaml": b"kind: Deployment\n"})

    files = written(rendered("east"), rendered("west"))
    assert "apps/podinfo/deployment.yaml" in removed(files, Removal("podinfo", "east"))
    assert "apps/podinfo/deployment.yaml" not in removed(files, Removal("podinfo", "east"), Removal("podinfo", "west"))


ADOPTED = """# by hand
apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {name: podinfo-deployment, namespace: ocm-system}
spec: {interval: 1m0s}
---
# somebody else's
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: ocm-system}
"""


def test_of_an_adopted_file_only_the_document_goes():
    files = written(delivery(), files={"components/all.yaml": ADOPTED}, adopt=True)
    left = removed(files, PODINFO)
    assert list(left) == ["components/all.yaml"]
    assert [item["kind"] for item in yaml.safe_load_all(left["components/all.yaml"])] == ["ConfigMap"]
    assert "# somebody else's" in left["components/all.yaml"]


def test_an_adopted_file_with_nothing_else_goes():
    files = written(delivery(), files={"components/all.yaml": ADOPTED.partition("---")[0]}, adopt=True)
    assert list(removed(files, PODINFO)) == ["components/.gitkeep"]


def test_an_object_that_somebody_has_moved_is_told():
    files = written(delivery())
    files["components/moved.yaml"] = files.pop("components/podinfo/resource.yaml")
    with pytest.raises(Refused, match="components/moved.yaml"):
        removed(files, PODINFO)


def test_a_file_that_somebody_removed_already_is_no_obstacle():
    files = written(delivery())
    del files["components/podinfo/resource.yaml"]
    assert list(removed(files, PODINFO)) == ["components/.gitkeep"]


def test_a_list_of_files_does_not_name_what_has_gone():
    files = written(delivery(), delivery("acme.org/redis"))
    files["components/kustomization.yaml"] = "resources:\n  - podinfo/resource.yaml\n  - ./redis\n  - podinfo-more\n  - podinfo/ # all\n"
    plan = plan_removal(tree_of(files), [PODINFO])
    assert plan.edits["components/kustomization.yaml"] == b"resources:\n  - ./redis\n  - podinfo-more\n"
    assert "kustomization.yaml" in plan.warnings[0]


def locks_of(*deliveries):
    files = written(*deliveries)
    return {path[: -len(LOCK_NAME) - 1]: json.loads(text) for path, text in files.items() if path.endswith(LOCK_NAME)}


def test_sharing_names_the_deliveries_that_use_the_same():
    other = delivery("acme.org/redis", target_namespace="apps")
    locks = locks_of(delivery(), other, delivery("acme.org/db", git_path="west", pull_secret="own", namespace="west"))
    lock = locks.pop("components/podinfo")
    assert sharing_of(lock, locks) == {
        "pull_secrets": {"default": [], "ocm-system": ["components/redis"]},
        "target_namespace": ["west/db"],
        "service_accounts": {"ocm-system/air-gapped-ops": ["components/redis"]},
    }


def test_rendered_deliveries_have_the_secret_where_flux_is():
    lock = locks_of(delivery(delivery="rendered", target_namespace="apps"))["components/podinfo"]
    assert pull_secret_namespaces(lock) == ["apps", "flux-system"]


def test_a_name_or_a_component_is_needed():
    assert read_removal({"component": "acme.org/my_app", "git_path": "./x"}) == Removal("my-app", "x")
    assert read_removal({"name": "podinfo"}) == PODINFO
    for wrong in ({}, {"name": "../x"}, {"name": "x", "git_path": "../y"}):
        with pytest.raises(InvalidInput):
            read_removal(wrong)


class Estate:
    """A Git repository with two deliveries."""

    def __init__(self, server, folder):
        self.server, self.folder, self.repository = server, folder, server.repository()
        files = dict(written(delivery(), delivery("acme.org/redis")), **{"README.md": "the estate\n"})
        self.commit(files)

    def commit(self, files):
        self.repository.commit(self.folder / "other", files, subject="By hand")

    def options(self, *names, **options):
        login = dict(git_url=self.server.url_of(self.repository), git_username="robot", git_password="git-password-1")
        usual = dict(login, state="absent", components=[dict(name=name) for name in names])
        return dict(usual, **options)

    def remove(self, *names, check=False, **options):
        return succeed("ocm_gitops", self.options(*names, **options), check=check, diff=True)


@pytest.fixture
def estate(tmp_path):
    with run_git_server(tmp_path / "server", "robot:git-password-1") as server:
        yield Estate(server, tmp_path)


def test_a_delivery_is_taken_out_of_git_once(estate):
    predicted = estate.remove("podinfo", check=True).result
    assert predicted["changed"] and predicted["commit"] is None and estate.repository.commits() == ["By hand"]
    done = estate.remove("podinfo")
    assert "git-password-1" not in done.output
    result, head = done.result, estate.repository.head()
    assert (result["commit"], result["revision"], result["merged"]) == (head, f"main@sha1:{head}", True)
    assert predicted["files"] == result["files"] and predicted["diff"] == result["diff"]
    assert estate.repository.commits() == ["Remove podinfo", "By hand"]
    assert ACCOUNT in estate.repository.files() and f"components/redis/{LOCK_NAME}" in estate.repository.files()
    described = result["components"][0]
    assert set(described) == {"name", "lock", "sharing"} and described["name"] == "podinfo"
    assert described["lock"]["targetNamespace"] == "default" and described["lock"]["component"] == "phoban.io/podinfo"
    assert described["sharing"]["target_namespace"] == ["components/redis"]


def test_deliveries_of_another_cluster_share_nothing(estate):
    """What is in its folder is in its own namespaces, with its own Secrets."""
    estate.commit(written(delivery(git_path="west"), delivery("acme.org/db", git_path="west")))
    sharing = estate.remove("podinfo").result["components"][0]["sharing"]
    assert sharing == {
        "pull_secrets": {"default": ["components/redis"], "ocm-system": ["components/redis"]},
        "target_namespace": ["components/redis"],
        "service_accounts": {"ocm-system/air-gapped-ops": ["components/redis"]},
    }


def test_the_history_still_has_the_lock(estate):
    first = estate.remove("podinfo").result
    estate.commit({"README.md": "later\n"})
    again = estate.remove("podinfo").result
    assert not again["changed"] and again["files"] == [] and again["commit"] == estate.repository.head()
    assert again["components"] == first["components"]
    never = estate.remove("nothing").result["components"][0]
    assert never["lock"] is None and never["sharing"] is None


def test_a_protected_branch_gets_the_removal_by_another_one(estate):
    pushed = estate.remove("podinfo", git_push_branch="removal").result
    assert pushed["changed"] and not pushed["merged"] and pushed["branch"] == "removal"
    assert f"components/podinfo/{LOCK_NAME}" in estate.repository.files("main")
    assert f"components/podinfo/{LOCK_NAME}" not in estate.repository.files("removal")
    waiting = estate.remove("podinfo", git_push_branch="removal").result
    assert not waiting["changed"] and not waiting["merged"] and waiting["components"][0]["lock"]
    gone = {path: None for path in estate.repository.files("main") if path.startswith("components/podinfo/")}
    estate.commit(gone)
    merged = estate.remove("podinfo", git_push_branch="removal").result
    assert merged["merged"] and not merged["changed"] and merged["components"][0]["lock"]


def test_what_is_wrong_is_told(estate):
    assert "git_url" in fail("ocm_gitops", dict(state="absent", components=[dict(name="podinfo")])).message
    assert "component is missing" in fail("ocm_gitops", estate.options("podinfo", state="present")).message
