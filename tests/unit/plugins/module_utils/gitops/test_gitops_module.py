# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ocm_gitops and ocm_pull_check as Ansible runs them: a registry with TLS and logins, a Git server with a password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.ocm.airgap.tests.support.modules import fail, succeed
from ansible_collections.ocm.airgap.tests.support.registry import RegistryOptions, run_registry
from ansible_collections.ocm.airgap.tests.unit.plugins.module_utils.support.git_server import run_git_server

PODINFO = Path(__file__).resolve().parents[5] / "playbooks" / "files" / "podinfo"
COMPONENT, VERSION = "example.org/podinfo", "6.3.5"
ACCOUNTS = {"writer": "writer-password-1", "reader": "reader-password-1"}
SECRETS = ("writer-password-1", "reader-password-1", "git-password-1")
MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - {{name: web, image: "{image}"}}
"""


class Estate:
    """A private registry with a component in it, and a Git repository."""

    def __init__(self, registry, server, authority, folder):
        self.host, self.server, self.folder = registry.host, server, folder
        self.ca = str(authority.certificate)
        self.repository = server.repository()
        self.repository.commit(folder / "other", {"README.md": "the estate\n"}, subject="Begin")
        self.target = f"{self.host}/air-gapped"
        self.transfer(str(PODINFO), self.target)

    def registries(self, user="writer"):
        return [dict(host=self.host, username=user, password=ACCOUNTS.get(user, "wrong-password-1"), ca_path=self.ca)]

    def transfer(self, source, target, component=COMPONENT, version=VERSION):
        succeed("ocm_transfer", dict(source=source, target=[target], component=component, version=version, registries=self.registries()))

    def options(self, *components, **options):
        given = components or ({},)
        usual = dict(component=COMPONENT, version=VERSION, repository=self.target)
        arguments = dict(
            components=[dict(usual, **item) for item in given],
            registries=self.registries(),
            git_url=self.server.url_of(self.repository),
            git_username="robot",
            git_password="git-password-1",
            git_ca_path=self.ca,
        )
        return dict(arguments, **options)

    def add(self, name, resources, version="1.0.0", **more):
        """A component of its own, made at another prefix of the registry and moved to the target."""
        component = dict(name=name, version=version, provider=dict(name="acme"), resources=resources, **more)
        constructor = dict(components=[component])
        source = f"{self.host}/public"
        succeed("ocm_component", dict(repository=source, constructor=constructor, base=str(self.folder), registries=self.registries()))
        self.transfer(source, self.target, name, version)

    def image(self):
        """The reference of an image outside of the target."""
        return f"{self.host}/air-gapped/stefanprodan/podinfo:6.3.5"

    def manifests(self, image):
        folder = self.folder / "manifests"
        folder.mkdir(exist_ok=True)
        (folder / "deployment.yaml").write_text(MANIFEST.format(image=image))
        return dict(name="deployment", type="directoryTree", input=dict(type="dir", path=str(folder)))


@pytest.fixture
def estate(tmp_path, authority):
    with run_registry(tmp_path / "registry", RegistryOptions(tls=authority.issue(), accounts=ACCOUNTS)) as registry:
        with run_git_server(tmp_path / "server", "robot:git-password-1", authority.issue()) as server:
            yield Estate(registry, server, authority, tmp_path)


def objects(files):
    return {(doc["kind"], doc["metadata"]["name"]): doc for name in files if name.endswith(".yaml") for doc in yaml.safe_load_all(files[name])}


def test_a_component_is_committed_once(estate):
    predicted = succeed("ocm_gitops", estate.options(dict(values={"replicas": 2})), check=True, diff=True)
    assert predicted.result["changed"] and estate.repository.commits() == ["Begin"]
    done = succeed("ocm_gitops", estate.options(dict(values={"replicas": 2})), diff=True)
    assert done.result["changed"] and done.result["revision"] == f"main@sha1:{estate.repository.head()}"
    assert predicted.result["files"] == done.result["files"] and predicted.result["diff"] == done.result["diff"]
    assert estate.repository.commits() == [f"Deliver {COMPONENT} {VERSION}", "Begin"]
    lock = json.loads(estate.repository.files()["components/podinfo/ocm-airgap.lock.json"])
    assert lock["descriptorDigest"].startswith("sha256:") and lock["images"][0]["reference"].startswith(f"{estate.target}/")
    assert lock["delivered"][0]["images"][0].partition("@")[2] == lock["images"][0]["digest"]
    again = succeed("ocm_gitops", estate.options(dict(values={"replicas": 2})))
    assert not again.result["changed"] and again.result["commit"] == done.result["commit"]
    assert not [secret for secret in SECRETS if secret in predicted.output + done.output + again.output]
    assert not [secret for secret in SECRETS for text in estate.repository.files().values() if secret in text]


def test_single_files_are_put_back(estate):
    succeed("ocm_gitops", estate.options())
    right = estate.repository.files()
    edited = ["components/podinfo/component-version.yaml", "components/podinfo/resource.yaml"]
    changed = {path: right[path].replace("1m0s", "9m0s") for path in edited}
    assert all(changed[path] != right[path] for path in edited)
    estate.repository.commit(estate.folder / "person", changed, subject="By hand")
    single = estate.options(git_files=[edited[0]], git_message="Put back")
    predicted, done = succeed("ocm_gitops", single, check=True, diff=True), succeed("ocm_gitops", single, diff=True)
    for outcome in (predicted, done):
        assert outcome.result["changed"] and outcome.result["files"] == edited[:1]
    assert predicted.result["diff"] == done.result["diff"]
    assert estate.repository.files() == dict(right, **{edited[1]: changed[edited[1]]})
    assert estate.repository.commits()[0] == "Put back"
    again = succeed("ocm_gitops", single)
    assert not again.result["changed"] and again.result["commit"] == estate.repository.head()
    assert succeed("ocm_gitops", estate.options()).result["files"] == edited[1:]
    assert estate.repository.files() == right


@pytest.mark.parametrize("options, word", [(dict(git_files=[]), "empty"), (dict(git_files=["a"], state="absent"), "absent")])
def test_files_that_cannot_be_meant(options, word, estate):
    assert word in fail("ocm_gitops", estate.options(**options)).message


def test_a_login_in_the_url_stays_hidden(estate):
    url = estate.server.url_of(estate.repository).replace("https://", "https://robot:git-password-1@")
    arguments = estate.options(git_url=url)
    del arguments["git_username"], arguments["git_password"]
    assert "git-password-1" not in succeed("ocm_gitops", arguments).output
    arguments["git_url"] = url.replace("git-password-1", "other-password-1")
    assert "other-password-1" not in fail("ocm_gitops", arguments).output


def test_rendered_manifests_lie_beside_their_kustomization(estate):
    succeed("ocm_gitops", estate.options(dict(delivery="rendered", target_namespace="apps", values={"replicas": 3})))
    files = estate.repository.files()
    deployment = yaml.safe_load(files["apps/podinfo/deployment.yaml"])
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].startswith(f"{estate.target}/stefanprodan/podinfo@sha256:")
    assert objects({name: files[name] for name in files if name.startswith("components/")})[("Kustomization", "podinfo")]
    assert not succeed("ocm_gitops", estate.options(dict(delivery="rendered", target_namespace="apps", values={"replicas": 3}))).result["changed"]


def test_before_the_transfer_check_mode_reads_the_source(estate):
    other = dict(repository=f"{estate.host}/elsewhere", source=str(PODINFO))
    predicted = succeed("ocm_gitops", estate.options(other), check=True)
    described = predicted.result["components"][0]
    assert described["digest"] is None and described["images"][0]["reference"].startswith(f"{estate.host}/elsewhere/stefanprodan/podinfo:6.3.5@sha256:")
    assert "elsewhere" in fail("ocm_gitops", estate.options(other)).message


def test_a_foreign_image_stops_it_before_the_commit(estate):
    config = dict(name="config", type="PlainText", input=dict(type="utf8", text="kind: ConfigData\napiVersion: config.ocm.software/v1alpha1\n"))
    estate.add("acme.org/web", [estate.manifests("ghcr.io/foreign/image:1"), config])
    for delivery in ("controller", "rendered"):
        item = dict(component="acme.org/web", version="1.0.0", delivery=delivery)
        assert "ghcr.io/foreign/image:1" in fail("ocm_gitops", estate.options(item)).message
        warned = succeed("ocm_gitops", estate.options(item, foreign_images="warn"), check=True)
        assert "ghcr.io/foreign/image:1" in warned.warnings
        assert "ghcr.io" not in succeed("ocm_gitops", estate.options(item, foreign_images="allow"), check=True).warnings
    assert estate.repository.commits() == ["Begin"]


def test_what_ocm_controller_would_drop_is_refused_before_the_commit(estate):
    rules = [dict(file="deployment.yaml", path="spec.replicas", value="2")]
    text = json.dumps(dict(apiVersion="config.ocm.software/v1alpha1", kind="ConfigData", configuration=dict(rules=rules)))
    manifests = estate.manifests(estate.image())
    with open(estate.folder / "manifests" / "deployment.yaml", "a", encoding="utf-8") as file:
        file.write("---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    config = dict(name="config", type="PlainText", input=dict(type="utf8", text=text))
    estate.add("acme.org/web", [manifests, config])
    wanted = dict(component="acme.org/web", version="1.0.0", values={"any": 1})
    refused = fail("ocm_gitops", estate.options(wanted))
    assert "deployment.yaml" in refused.message and "first alone" in refused.message
    assert estate.repository.commits() == ["Begin"]
    succeed("ocm_gitops", estate.options(dict(wanted, delivery="rendered")))
    assert "kind: Service" in estate.repository.files()["apps/web/deployment.yaml"]


def test_a_component_without_rules_is_localized_by_its_images(estate):
    image = dict(name="image", type="ociImage", version="6.3.5", relation="external")
    image["access"] = dict(type="ociArtifact", imageReference=estate.image())
    estate.add("acme.org/web", [estate.manifests(estate.image().replace(estate.host, "ghcr.io")), image])
    item = dict(component="acme.org/web", version="1.0.0")
    succeed("ocm_gitops", estate.options(item))
    deployer = objects(estate.repository.files())[("FluxDeployer", "web")]
    replaced = deployer["spec"]["kustomizationTemplate"]["images"]
    assert replaced[0]["name"] == "ghcr.io/air-gapped/stefanprodan/podinfo"
    assert replaced[0]["newName"] == f"{estate.target}/air-gapped/stefanprodan/podinfo"
    succeed("ocm_gitops", estate.options(dict(item, delivery="rendered")))
    assert f"{estate.target}/air-gapped/stefanprodan/podinfo:6.3.5" in estate.repository.files()["apps/web/deployment.yaml"]


def test_a_component_without_rules_is_localized_by_what_a_transfer_has_moved(estate):
    image = dict(name="image", type="ociImage", version="6.3.5", relation="external")
    image["access"] = dict(type="ociArtifact", imageReference=estate.image())
    estate.add("acme.org/web", [estate.manifests("elsewhere.example.com/renamed:1"), image])
    item = dict(component="acme.org/web", version="1.0.0", delivery="rendered")
    assert "elsewhere.example.com" in fail("ocm_gitops", estate.options(item)).message
    moved = dict(before=dict(type="ociArtifact", imageReference="elsewhere.example.com/renamed:1"), target=estate.target)
    moved["after"] = dict(type="ociArtifact", imageReference=f"{estate.target}/renamed:1")
    other = dict(moved, target=f"{estate.host}/other")
    other["after"] = dict(type="ociArtifact", imageReference=f"{estate.host}/other/renamed:1")
    succeed("ocm_gitops", estate.options(dict(item, references=[moved, other])))
    assert f"{estate.target}/renamed:1" in estate.repository.files()["apps/web/deployment.yaml"]


def test_before_the_transfer_the_images_of_an_archive_are_known_by_their_names(estate):
    given = dict(type="ociArtifact", path=estate.image(), repository="/stefanprodan/podinfo")
    image = dict(name="image", type="ociImage", version="6.3.5", input=given)
    resources = [estate.manifests("ghcr.io/stefanprodan/podinfo:6.3.5"), image]
    component = dict(name="acme.org/web", version="1.0.0", provider=dict(name="acme"), resources=resources)
    source, registries = str(estate.folder / "archive"), estate.registries()
    succeed("ocm_component", dict(repository=source, constructor=dict(components=[component]), registries=registries))
    item = dict(component="acme.org/web", version="1.0.0", delivery="rendered", source=source)
    succeed("ocm_gitops", estate.options(dict(item, repository=f"{estate.host}/later")), check=True)


def chart_of(estate):
    chart = estate.folder / "web"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.2.3\n")
    (chart / "values.yaml").write_text("image: ghcr.io/acme/web:1\nreplicas: 1\nkept: x\n")
    (chart / "templates" / "d.yaml").write_text("kind: {{ .Values.image }}\n")
    return dict(name="chart", type="helmChart", input=dict(type="helm", path=str(chart)))


def test_a_chart_gets_its_values_from_the_rules(estate):
    image = dict(name="image", type="ociImage", version="6.3.5", relation="external")
    image["access"] = dict(type="ociArtifact", imageReference=estate.image())
    rules = dict(localization=[dict(resource=dict(name="image"), file="web/values.yaml", image="image")])
    rules["configuration"] = dict(defaults=dict(replicas=1), rules=[dict(file="values.yaml", path="replicas", value="(( replicas ))")])
    text = json.dumps(dict(rules, apiVersion="config.ocm.software/v1alpha1", kind="ConfigData"))
    estate.add("acme.org/web", [chart_of(estate), image, dict(name="config", type="PlainText", input=dict(type="utf8", text=text))])
    item = dict(component="acme.org/web", version="1.0.0", manifests="chart", values=dict(replicas=4))
    succeed("ocm_gitops", estate.options(item))
    found = objects(estate.repository.files())
    template = found[("FluxDeployer", "web")]["spec"]["helmReleaseTemplate"]
    assert template["values"]["replicas"] == 4 and set(template["values"]) == {"image", "replicas"}
    assert template["values"]["image"].startswith(f"{estate.target}/air-gapped/stefanprodan/podinfo@sha256:")
    assert found[("Resource", "web-chart")]["spec"]["sourceRef"]["resourceRef"]["version"].startswith("1.2.3_")
    succeed("ocm_gitops", estate.options(dict(item, delivery="rendered")))
    found = objects(estate.repository.files())
    assert found[("HelmRelease", "web")]["spec"]["values"] == template["values"]
    assert found[("OCIRepository", "web")]["spec"]["url"].startswith(f"oci://{estate.target}/")
    assert ("FluxDeployer", "web") not in found


def test_a_chart_that_joins_repository_and_tag_gets_a_tag(estate):
    image = dict(name="image", type="ociImage", version="6.3.5", relation="external")
    image["access"] = dict(type="ociArtifact", imageReference=estate.image())
    chart = chart_of(estate)
    (estate.folder / "web" / "values.yaml").write_text("image: {repository: ghcr.io/acme/web, tag: 1}\n")
    rule = dict(resource=dict(name="image"), file="values.yaml")
    rule.update(fullyQualifiedRepository="image.repository", tag="image.tag")
    text = json.dumps(dict(localization=[rule], apiVersion="config.ocm.software/v1alpha1", kind="ConfigData"))
    estate.add("acme.org/web", [chart, image, dict(name="config", type="PlainText", input=dict(type="utf8", text=text))])
    item = dict(component="acme.org/web", version="1.0.0", manifests="chart", delivery="rendered")
    succeed("ocm_gitops", estate.options(item))
    values = objects(estate.repository.files())[("HelmRelease", "web")]["spec"]["values"]
    repository = f"{estate.target}/air-gapped/stefanprodan/podinfo"
    assert values == {"image": {"repository": repository, "tag": "6.3.5"}}


def test_a_chart_is_not_confused_with_an_image_of_the_same_name(estate):
    image = dict(name="chart", type="ociImage", version="6.3.5", relation="external")
    image["access"] = dict(type="ociArtifact", imageReference=estate.image())
    estate.add("acme.org/part", [image])
    part = dict(name="part", componentName="acme.org/part", version="1.0.0")
    estate.add("acme.org/web", [chart_of(estate)], componentReferences=[part])
    item = dict(component="acme.org/web", version="1.0.0", manifests="chart", delivery="rendered")
    succeed("ocm_gitops", estate.options(item, foreign_images="allow"))
    found = objects(estate.repository.files())
    assert "podinfo" not in found[("OCIRepository", "web")]["spec"]["url"]


def test_what_applies_workloads_is_told_before_it_goes(estate):
    succeed("ocm_gitops", estate.options())
    other, before = dict(delivery="rendered"), estate.repository.commits()
    deployer = dict(apiVersion="delivery.ocm.software/v1alpha1", kind="FluxDeployer", namespace="ocm-system", name="podinfo")
    predicted = succeed("ocm_gitops", estate.options(other, stop_for_handover=True), check=True).result
    held = succeed("ocm_gitops", estate.options(other, stop_for_handover=True), diff=True).result
    assert (held["changed"], held["held"], held["commit"], held["handover"]) == (False, True, None, [deployer])
    assert estate.repository.commits() == before
    done = succeed("ocm_gitops", estate.options(other)).result
    assert (done["changed"], done["held"], done["handover"]) == (True, False, [deployer])
    assert (predicted["changed"], predicted["held"], predicted["files"]) == (True, False, done["files"])
    again = succeed("ocm_gitops", estate.options(other, stop_for_handover=True)).result
    assert (again["changed"], again["held"], again["handover"]) == (False, False, [])


def test_a_version_that_was_built_anew_has_other_objects(estate):
    """What ocm-controller has of a version it does not fetch again; other content is another tag for it."""
    rules = [dict(file="deployment.yaml", path="spec.replicas", value="(( replicas ))")]
    rules = dict(configuration=dict(defaults=dict(replicas=1), rules=rules))
    text = json.dumps(dict(rules, apiVersion="config.ocm.software/v1alpha1", kind="ConfigData"))
    config = dict(name="config", type="PlainText", input=dict(type="utf8", text=text))
    manifests = estate.manifests(estate.image())
    estate.add("acme.org/web", [manifests, config])
    wanted = estate.options(dict(component="acme.org/web", version="1.0.0", values=dict(replicas=2)))
    succeed("ocm_gitops", wanted)
    before = objects(estate.repository.files())
    with open(estate.folder / "manifests" / "deployment.yaml", "a", encoding="utf-8") as file:
        file.write("  revisionHistoryLimit: 3\n")
    component = dict(name="acme.org/web", version="1.0.0", provider=dict(name="acme"), resources=[manifests, config])
    public, registries = f"{estate.host}/public", estate.registries()
    anew = dict(repository=public, constructor=dict(components=[component]), registries=registries)
    succeed("ocm_component", dict(anew, overwrite=True))
    move = dict(source=public, target=[estate.target], component="acme.org/web", registries=registries)
    assert "overwrite" in fail("ocm_transfer", move).message
    succeed("ocm_transfer", dict(move, overwrite=True))
    assert succeed("ocm_gitops", wanted).result["changed"]
    after = objects(estate.repository.files())
    tags = [found[("Resource", "web-deployment")]["spec"]["sourceRef"]["resourceRef"]["version"] for found in (before, after)]
    assert tags[0] != tags[1] and all(tag.startswith("1.0.0_") for tag in tags)
    configuration = ("Configuration", "web-deployment")
    assert before[configuration]["spec"]["configRef"] != after[configuration]["spec"]["configRef"]
    assert before[("ComponentVersion", component_version(before))] == after[("ComponentVersion", component_version(before))]


def component_version(found):
    return next(name for kind, name in found if kind == "ComponentVersion")


def test_without_git_the_objects_are_returned(estate):
    arguments = {key: value for key, value in estate.options(dict(delivery="rendered")).items() if not key.startswith("git_")}
    result = succeed("ocm_gitops", arguments).result
    kinds = [item["kind"] for item in result["components"][0]["objects"]]
    assert kinds == ["Deployment", "Service"] and not result["changed"] and result["revision"] is None


def test_accounts_are_tried(estate):
    image = f"{estate.target}/stefanprodan/podinfo:6.3.5"
    done = succeed("ocm_pull_check", dict(images=[image], registries=estate.registries("reader")))
    assert done.result["images"][0]["pullable"] and done.result["images"][0]["account"] == estate.host
    wrong = fail("ocm_pull_check", dict(images=[image], registries=estate.registries("nobody")))
    assert wrong.result["images"][0]["reason"] == "credentials" and "wrong-password-1" not in wrong.output
    nobody = [dict(host=estate.host, ca_path=estate.ca)]
    assert "anonymous" in fail("ocm_pull_check", dict(images=[image], registries=nobody)).message


def test_a_mirror_of_this_machine_is_none_of_the_cluster(estate):
    registries = [dict(estate.registries("reader")[0], mirror=f"{estate.host}/nothing-here")]
    image = f"{estate.target}/stefanprodan/podinfo:6.3.5"
    assert succeed("ocm_pull_check", dict(images=[image], registries=registries)).result["images"][0]["pullable"]


def test_a_missing_image_is_told(estate):
    arguments = dict(images=[f"{estate.target}/stefanprodan/other:1"], registries=estate.registries("reader"))
    assert "other:1" in fail("ocm_pull_check", arguments).message
    assert succeed("ocm_pull_check", dict(arguments, allow_missing=True)).result["images"][0]["reason"] == "missing"


def test_an_account_that_writes_is_told_and_no_file_of_this_machine_is_asked(estate):
    done = succeed("ocm_pull_check", dict(images=[], registries=estate.registries(), shared=[estate.host]))
    assert "can write" in done.warnings and done.result["untried"] == []


def test_an_account_that_no_image_needs_is_tried_by_a_login(estate):
    image = f"{estate.target}/stefanprodan/podinfo:6.3.5"
    other = dict(estate.registries("nobody")[0], host=f"{estate.host}/elsewhere")
    registries = [estate.registries("reader")[0], other]
    refused = fail("ocm_pull_check", dict(images=[image], registries=registries))
    assert f"{estate.host}/elsewhere" in refused.message and "wrong-password-1" not in refused.output
    assert refused.result["images"][0]["pullable"] is True
    accepted = dict(other, username="reader", password=ACCOUNTS["reader"])
    assert succeed("ocm_pull_check", dict(images=[image], registries=[registries[0], accepted])).result["untried"] == []


def test_an_account_whose_registry_cannot_be_reached_is_told(estate):
    away = dict(estate.registries("reader")[0], host="127.0.0.1:1")
    done = succeed("ocm_pull_check", dict(images=[], registries=[away]))
    assert done.result["untried"] == ["127.0.0.1:1"] and "could not be tried" in done.warnings
