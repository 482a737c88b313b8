# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against an API server: what is read, what is written, and when waiting ends."""

from __future__ import annotations

import json
import tempfile
from types import SimpleNamespace

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.cluster.objects import KUSTOMIZATION, ClusterError
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import cluster as entry_cluster
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import flux_reconcile as reconcile_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry import rollout_info as rollout_entry
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.entry.module import Context, Failed
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    InvalidInput,
    NotFound,
    OcmError,
    Refused,
)
from ansible_collections.ocm.airgap.tests.support import cluster as make
from ansible_collections.ocm.airgap.tests.support.cluster import COMMIT, OLDER_COMMIT, StubApi, not_ready, ready
from ansible_collections.ocm.airgap.tests.support.images import image, layer
from ansible_collections.ocm.airgap.tests.support.modules import fail, run_module, succeed
from ansible_collections.ocm.airgap.tests.support.places import RegistryPlace
from ansible_collections.ocm.airgap.tests.support.server import Reply

pytest.importorskip("kubernetes")
pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")

NEW, OLD = f"main@sha1:{COMMIT}", f"main@sha1:{OLDER_COMMIT}"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
UNAVAILABLE = Reply(503, {"Content-Type": "application/json"}, b'{"kind": "Status", "message": "starting"}')


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No waits of seconds, and no discovery cache of an earlier test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(entry_cluster, "POLL_SECONDS", 0.01)
    for entry in (reconcile_entry, rollout_entry):
        monkeypatch.setattr(entry, "GRACE_SECONDS", 0.05)
        monkeypatch.setattr(entry, "CONTACT_SECONDS", 2.0)
    monkeypatch.setattr(reconcile_entry, "SETTLE_SECONDS", 0.5)


def context(api, check_mode=False, **params):
    module = SimpleNamespace(
        params=dict(kubeconfig=api.kubeconfig, **params), check_mode=check_mode, _diff=True, no_log_values=set()
    )
    return Context(module)


def reconcile(api, check_mode=False, **params):
    values = dict(kind="Kustomization", name="podinfo", namespace="ocm-system", revision=COMMIT, again=False)
    values["wait_timeout"] = 5
    return reconcile_entry.flux_reconcile(context(api, check_mode, **dict(values, **params)))


def rollout(api, **params):
    values = dict(
        namespace="ocm-system",
        name="podinfo",
        component=None,
        version=None,
        target_namespace=None,
        target=make.PRIVATE,
        wait_timeout=0,
        try_images=False,
        registries=[],
        auth_file=None,
        timeout=5,
        retries=0,
        concurrency=1,
    )
    return rollout_entry.rollout_info(context(api, **dict(values, **params)))


def old_estate():
    git = make.git_repository(artifact=dict(revision=OLD))
    return make.rendered_estate(git_repository=git, kustomization=make.git_kustomization(OLD))


def flux(revision=NEW, kustomization=None):
    """Plays Flux: answers a request at once. kustomization: a condition that it ends with instead of success."""

    def answer(found):
        status = found["status"]
        status["lastHandledReconcileAt"] = found["metadata"]["annotations"][REQUESTED]
        if found["kind"] == "GitRepository":
            status["artifact"] = dict(revision=revision)
        elif kustomization:
            status.update(lastAttemptedRevision=revision, conditions=[kustomization])
        else:
            status.update(lastAttemptedRevision=revision, lastAppliedRevision=revision, conditions=[ready()])

    return answer


# flux_reconcile


def test_the_source_is_asked_first_then_the_kustomization():
    with StubApi(old_estate(), flux()) as api:
        result = reconcile(api)
        assert (result["changed"], result["revision"]) == (True, NEW)
        assert result["conditions"][0]["type"] == "Ready"
        assert result["diff"] == dict(before=dict(revision=OLD), after=dict(revision=NEW))
        assert [asked.path.rpartition("/")[2] for asked in api.writes] == ["flux-system", "podinfo"]
        for asked in api.writes:
            assert asked.method == "PATCH"
            assert asked.headers["content-type"] == "application/merge-patch+json"
            assert asked.query["fieldManager"] == ["flux-client-side-apply"]
            assert list(json.loads(asked.body)["metadata"]["annotations"]) == [REQUESTED]


def estate_with_child(revision, attempted, **child):
    """A Kustomization at a revision that applies another one, which has attempted that revision or an older one."""
    entries = [dict(id="ocm-system_child_kustomize.toolkit.fluxcd.io_Kustomization", v="v1")]
    root = make.git_kustomization(revision, inventory=dict(entries=entries))
    git = make.git_repository(artifact=dict(revision=revision))
    child = make.git_kustomization(attempted, name="child", **child)
    return [*make.rendered_estate(git_repository=git, kustomization=root), child]


def asked_names(api):
    return [asked.path.rpartition("/")[2] for asked in api.writes]


def test_kustomizations_that_are_late_are_asked_as_well():
    with StubApi(estate_with_child(OLD, OLD), flux()) as api:
        assert reconcile(api)["changed"] is True
        assert asked_names(api) == ["flux-system", "podinfo", "child"]
    with StubApi(estate_with_child(NEW, OLD)) as api:
        assert reconcile(api, check_mode=True)["changed"] is True and not api.writes
        assert reconcile(api)["changed"] is True
        assert asked_names(api) == ["child"]


OTHER_SOURCE = dict(interval="1m0s", path="./", sourceRef=dict(kind="GitRepository", name="other", namespace="flux-system"))
SUSPENDED = dict(make.git_kustomization()["spec"], suspend=True)


@pytest.mark.parametrize(
    "attempted, child",
    [(NEW, {}), (OLD, dict(spec=OTHER_SOURCE)), (OLD, dict(spec=SUSPENDED))],
    ids=["has tried it", "another source", "suspended"],
)
def test_kustomizations_that_have_no_need_are_not_asked(attempted, child):
    with StubApi(estate_with_child(NEW, attempted, **child)) as api:
        assert reconcile(api)["changed"] is False
        assert not api.writes


def test_what_is_applied_already_is_not_asked_for():
    with StubApi(make.rendered_estate()) as api:
        for revision in (COMMIT, NEW, COMMIT[:8]):
            result = reconcile(api, revision=revision)
            assert (result["changed"], result["revision"]) == (False, NEW)
        assert not api.writes


def test_a_reconciliation_that_runs_is_waited_for_and_not_repeated():
    running = make.git_kustomization(conditions=[make.reconciling(), make.condition("Ready", "Unknown", "Progressing")])
    with StubApi(make.rendered_estate(kustomization=running)) as api:
        polls = []

        def answer(asked):
            polls.append(asked)
            if len(polls) > 4:
                running["status"]["conditions"] = [ready()]
            return api._answer(asked)

        api.handle = answer
        assert reconcile(api)["changed"] is False
        assert not api.writes


def test_a_source_that_has_the_revision_is_not_asked():
    with StubApi(make.rendered_estate(kustomization=make.git_kustomization(OLD)), flux()) as api:
        assert reconcile(api)["changed"] is True
        assert [asked.path.rpartition("/")[2] for asked in api.writes] == ["podinfo"]


def test_check_mode_writes_nothing_and_predicts_the_same():
    with StubApi(old_estate(), flux()) as api:
        prediction = reconcile(api, check_mode=True)
        assert (prediction["changed"], prediction["revision"]) == (True, COMMIT)
        assert not api.writes
        assert reconcile(api)["changed"] is True
        assert reconcile(api, check_mode=True)["changed"] is False


def test_without_a_revision_an_answer_is_waited_for():
    with StubApi(make.rendered_estate(), lambda found: found["kind"] == "GitRepository" and flux()(found)) as api:
        with pytest.raises(Failed, match="not answered"):
            reconcile(api, revision=None, wait_timeout=1)


def test_without_a_revision_the_newest_is_applied():
    with StubApi(old_estate(), flux()) as api:
        assert reconcile(api, revision=None)["revision"] == NEW
        again = reconcile(api, revision=None)
        assert (again["changed"], len(api.writes)) == (False, 4)


def asked_objects(api):
    return [asked.path.rpartition("/")[2] for asked in api.writes]


@pytest.mark.parametrize("revision", [COMMIT, None])
def test_what_is_applied_already_is_applied_again(revision):
    with StubApi(make.rendered_estate(), flux()) as api:
        for number in (1, 2):
            prediction = reconcile(api, revision=revision, again=True, check_mode=True)
            assert len(api.writes) == number - 1
            result = reconcile(api, revision=revision, again=True)
            assert (prediction["changed"], prediction["revision"]) == (True, NEW)
            assert (result["changed"], result["revision"]) == (True, NEW)
            assert asked_objects(api) == ["podinfo"] * number


def test_again_waits_until_flux_has_answered():
    """The revision is applied, the object is ready: that alone is no answer."""
    late = make.git_kustomization()
    with StubApi(make.rendered_estate(kustomization=late)) as api:
        polls = []

        def answer(asked):
            polls.append(asked)
            if len(api.writes) and len(polls) > 30:
                late["status"]["lastHandledReconcileAt"] = late["metadata"]["annotations"][REQUESTED]
            return api._answer(asked)

        api.handle = answer
        assert reconcile(api, again=True)["changed"] is True
        assert len(polls) > 30
    with StubApi(make.rendered_estate()) as api:
        with pytest.raises(Failed, match="Requested: The request is not answered yet"):
            reconcile(api, again=True, wait_timeout=1)


def test_again_waits_until_flux_is_ready():
    broken = not_ready("HealthCheckFailed", "Deployment default/podinfo is not ready")
    with StubApi(make.rendered_estate(), flux(kustomization=broken)) as api:
        with pytest.raises(Failed, match="HealthCheckFailed"):
            reconcile(api, again=True, wait_timeout=60)


def test_again_asks_the_source_for_a_revision_that_it_does_not_have():
    with StubApi(old_estate(), flux()) as api:
        assert reconcile(api, again=True)["revision"] == NEW
        assert asked_objects(api) == ["flux-system", "podinfo"]


def test_again_without_a_revision_fetches_nothing_newer():
    with StubApi(old_estate(), flux(OLD)) as api:
        assert reconcile(api, again=True, revision=None)["revision"] == OLD
        assert asked_objects(api) == ["podinfo"]


@pytest.mark.parametrize("revision", [COMMIT, None])
@pytest.mark.parametrize("state", ["suspended", "away"])
def test_again_needs_no_source_that_works(state, revision):
    """Suspended, or with a Git server that is away: what it has fetched before can be applied."""
    source = make.git_repository()
    if state == "suspended":
        source["spec"]["suspend"] = True
    else:
        source["status"]["conditions"] = [not_ready("GitOperationFailed", "connection refused")]
    with StubApi(make.rendered_estate(git_repository=source), flux()) as api:
        assert reconcile(api, again=True, revision=revision)["changed"] is True
        assert asked_objects(api) == ["podinfo"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_again_is_refused_where_somebody_suspended_what_has_to_work(check_mode):
    source = make.git_repository(artifact=dict(revision=OLD))
    source["spec"]["suspend"] = True
    suspended = make.git_kustomization()
    suspended["spec"]["suspend"] = True
    for changed in (dict(git_repository=source), dict(kustomization=suspended)):
        with StubApi(make.rendered_estate(**changed)) as api:
            with pytest.raises(Refused, match="suspended"):
                reconcile(api, again=True, check_mode=check_mode)
            assert not api.writes


def helm_release():
    chart = dict(kind="OCIRepository", name="podinfo")
    release = dict(spec=dict(chartRef=chart), conditions=[ready()], lastAttemptedRevision="6.3.5")
    return make.make("HelmRelease", "helm.toolkit.fluxcd.io/v2", history=[dict(chartVersion="6.3.5")], **release)


@pytest.mark.parametrize(
    "kind, name, namespace",
    [
        ("GitRepository", "flux-system", "flux-system"),
        ("OCIRepository", "podinfo", "ocm-system"),
        ("HelmRelease", "podinfo", "ocm-system"),
    ],
)
@pytest.mark.parametrize("with_revision", [True, False])
def test_other_kinds_are_asked_again(with_revision, kind, name, namespace):
    def answer(found):
        found["status"]["lastHandledReconcileAt"] = found["metadata"]["annotations"][REQUESTED]

    objects = make.rendered_estate(oci_repository=make.oci_repository()) + [helm_release()]
    revision = (COMMIT if kind == "GitRepository" else "6.3.5") if with_revision else None
    with StubApi(objects, answer) as api:
        own = dict(kind=kind, name=name, namespace=namespace, revision=revision, again=True)
        assert reconcile(api, check_mode=True, **own)["changed"] is True
        assert not api.writes
        result = reconcile(api, **own)
        assert result["changed"] is True
        assert result["revision"] == result["diff"]["before"]["revision"]
        assert [json.loads(asked.body)["metadata"]["annotations"].keys() for asked in api.writes] == [{REQUESTED}]
        assert [f"/{name}" in asked.path for asked in api.writes] == [True]


def test_a_source_alone():
    with StubApi(old_estate(), flux()) as api:
        result = reconcile(api, kind="gitrepository", name="flux-system", namespace="flux-system")
        assert (result["changed"], result["revision"]) == (True, NEW)


@pytest.mark.parametrize("place", ["kustomization", "git_repository"])
def test_a_suspended_object_is_an_error(place):
    suspended = dict(
        kustomization=make.git_kustomization(OLD), git_repository=make.git_repository(artifact=dict(revision=OLD))
    )
    suspended[place]["spec"]["suspend"] = True
    with StubApi(make.rendered_estate(**suspended)) as api:
        with pytest.raises(Refused, match="suspended"):
            reconcile(api)
        assert not api.writes


def test_when_the_time_is_over_the_error_has_what_there_is():
    with StubApi(old_estate(), flux(OLD)) as api:
        with pytest.raises(Failed, match=f"OtherRevision: It is at {OLD}") as failed:
            reconcile(api, wait_timeout=1)
        assert failed.value.result["revision"] == OLD
        assert failed.value.result["conditions"][0]["reason"] == "ReconciliationSucceeded"
        assert failed.value.result["timed_out"] is True


def test_a_revision_that_cannot_be_applied_ends_the_waiting():
    wrong = not_ready("BuildFailed", "kustomize build failed")
    with StubApi(old_estate(), flux(kustomization=wrong)) as api:
        with pytest.raises(Failed, match="BuildFailed: kustomize build failed") as failed:
            reconcile(api, wait_timeout=60)
        assert "manifests" in failed.value.hint
        assert failed.value.result["conditions"] == [wrong]
        assert failed.value.result["timed_out"] is False


def test_an_api_server_that_restarts_is_waited_for():
    with StubApi(old_estate(), flux()) as api:
        first = []

        def answer(asked):
            first.append(asked)
            return UNAVAILABLE if 6 < len(first) < 12 else api._answer(asked)

        api.handle = answer
        assert reconcile(api)["revision"] == NEW
        assert len(first) > 12


def test_an_api_server_that_is_just_starting():
    with StubApi(make.rendered_estate()) as api:
        api.broken = [UNAVAILABLE] * 3
        assert reconcile(api)["revision"] == NEW
        api.broken = [UNAVAILABLE] * 3
        assert rollout(api, wait_timeout=5)["ready"] is True


@pytest.mark.parametrize("module", [reconcile, rollout])
def test_an_api_server_that_stays_away(module):
    with StubApi(make.rendered_estate()) as api:
        api.broken = [UNAVAILABLE] * 9999
        with pytest.raises(OcmError, match=r"starting \(503\)"):
            module(api, wait_timeout=60)
        assert len(api.asked) > 5


@pytest.mark.parametrize("module, options", [(reconcile, dict(check_mode=True)), (rollout, dict(wait_timeout=0))])
def test_what_does_not_wait_asks_an_api_server_once(module, options):
    with StubApi(make.rendered_estate()) as api:
        api.broken = [UNAVAILABLE]
        with pytest.raises(OcmError, match=r"starting \(503\)"):
            module(api, **options)


def test_objects_of_ocm_controller_do_not_heed_the_annotation():
    with StubApi([]) as api:
        with pytest.raises(InvalidInput, match="spec.suspend"):
            reconcile(api, kind="ComponentVersion")
        with pytest.raises(InvalidInput, match="Use one of"):
            reconcile(api, kind="Deployment")
        assert not api.asked


def test_what_is_not_there():
    with StubApi(old_estate()) as api:
        with pytest.raises(NotFound, match="Kustomization ocm-system/other does not exist"):
            reconcile(api, name="other")
        with pytest.raises(NotFound, match="Install Flux"):
            reconcile(api, kind="HelmRelease")


# ocm_rollout_info


def test_a_chain_that_is_ready():
    with StubApi(make.controller_estate()) as api:
        result = rollout(api)
        assert (result["ready"], result["changed"], result["diagnosis"]) == (True, False, [])
        assert [entry["kind"] for entry in result["chain"]][0] == "ComponentVersion"
        assert not [entry for entry in result["chain"] if entry["given_up"]]
        assert [entry["private"] for entry in result["images"]] == [True]
        assert not api.writes


def test_waiting_until_it_is_ready():
    late = make.resource(conditions=[], observed=-1)
    with StubApi(make.controller_estate(resource=late)) as api:
        reads = []

        def answer(asked):
            reads.append(asked)
            if len(reads) > 40:
                late["status"].update(conditions=[ready()], observedGeneration=1)
            return api._answer(asked)

        api.handle = answer
        assert rollout(api)["ready"] is False
        assert rollout(api, wait_timeout=20)["ready"] is True


def test_what_waiting_does_not_mend_ends_it():
    broken = make.component_version(replicatedRepositoryURL="ghcr.io/phoban01")
    with StubApi(make.controller_estate(component_version=broken)) as api:
        result = rollout(api, wait_timeout=600)
        assert result["ready"] is False
        assert result["diagnosis"][0]["reason"] == "RepositoryNotFollowed"


@pytest.mark.parametrize("password, ready_in_the_end", [("writer-password-1", True), ("a-former-password", False)])
def test_a_node_that_will_pull_by_itself_is_waited_for(basic_registry, password, ready_in_the_end):
    """After the Secret has been mended the pod waits until its node tries again; with a wrong one for nothing."""
    place = RegistryPlace(basic_registry, ("writer", "writer-password-1"))
    artifact = image([layer("a")])
    place.put("air-gapped/podinfo", artifact, "6.3.5")
    name = f"{place.host}/air-gapped/podinfo@{artifact.digest}"
    deployment = make.deployment(name, readyReplicas=0, availableReplicas=0)
    current = make.replica_set(deployment)
    backed_off = make.pod(current, name, waiting=("ImagePullBackOff", "Back-off pulling image"))
    running = make.pod(current, name)
    secret = make.pull_secret({place.host: ("writer", password)})
    objects = make.rendered_estate(deployment=deployment, replica_set=current, pod=backed_off, secret=secret)
    with StubApi(objects) as api:
        reads = []

        def answer(asked):
            reads.append(asked)
            if len(reads) > 150:
                deployment["status"].update(readyReplicas=1, availableReplicas=1)
                backed_off["status"] = running["status"]
            return api._answer(asked)

        api.handle = answer
        registries = [dict(host=place.host, plain_http=True)]
        wanted = dict(target=f"{place.host}/air-gapped", wait_timeout=60, try_images=True, registries=registries)
        result = rollout(api, **wanted)
    assert result["ready"] is ready_in_the_end, result["diagnosis"]
    assert (len(reads) > 150) is ready_in_the_end


def test_what_ocm_controller_has_given_up():
    """It waits for nothing any more; what is behind it still does."""
    parked = make.localization(conditions=[not_ready("SourceRefNotReadyWithError", "not ready")], observed=-1)
    with StubApi(make.controller_estate(localization=parked)) as api:
        chain = rollout(api)["chain"]
    assert [entry["kind"] for entry in chain if entry["given_up"]] == ["Localization"]
    lost = make.component_version(conditions=[make.stalled("AuthenticatedContextCreationFailed", "no account")])
    lost["status"]["conditions"].append(not_ready("AuthenticatedContextCreationFailed", "no account"))
    waiting = make.resource(conditions=[not_ready("ComponentVersionNotReady", "not ready")], observed=-1)
    with StubApi(make.controller_estate(component_version=lost, resource=waiting)) as api:
        chain = rollout(api)["chain"]
    assert [entry["kind"] for entry in chain if entry["given_up"]] == ["ComponentVersion"]


def test_warnings_of_pods_tell_the_cause():
    current = make.replica_set(make.deployment())
    waiting = make.pod(current, secrets=(), waiting=("ImagePullBackOff", "Back-off pulling image"))
    objects = make.controller_estate(
        pod=waiting,
        usual=make.event(waiting, "Scheduled", "assigned", "Normal"),
        cause=make.event(waiting, "Failed", "Failed to pull image: unexpected status: 401 Unauthorized"),
    )
    with StubApi(objects) as api:
        found = rollout(api)["diagnosis"][0]
        assert "401" in found["message"] and "assigned" not in found["message"]
        assert "no imagePullSecrets" in found["remedy"]


def test_a_cluster_without_the_kinds():
    with StubApi([make.deployment()]) as api:
        result = rollout(api)
        assert result["ready"] is False
        assert "install it" in result["diagnosis"][0]["remedy"]


def test_kinds_that_have_gone_since_the_client_learned_of_them():
    """What the client has found out about an API server lies in a file that outlives the module."""
    with StubApi(make.controller_estate()) as api:
        assert rollout(api)["ready"] is True
        api.cluster.objects[:] = [make.deployment()]
        result = rollout(api)
        assert result["ready"] is False
        assert "install it" in result["diagnosis"][0]["remedy"]


def test_an_image_of_another_registry_is_not_asked_for():
    current = make.replica_set(make.deployment())
    foreign = make.pod(current, "ghcr.io/stefanprodan/podinfo:6.3.5")
    with StubApi(make.controller_estate(pod=foreign)) as api:
        result = rollout(api, try_images=True)
        assert [(entry["pullable"], entry["reason"]) for entry in result["pullable"]] == [(None, "NotTried")]
        assert [entry["reason"] for entry in result["diagnosis"]] == ["ForeignImage"]


def test_secrets_that_may_not_be_read():
    with StubApi(make.controller_estate()) as api:
        refused = Reply(403, {"Content-Type": "application/json"}, b'{"message": "secrets is forbidden"}')
        api.handle = lambda asked: refused if "/secrets" in asked.path else api._answer(asked)
        entry = rollout(api, try_images=True)["pullable"][0]
        assert entry["pullable"] is None
        assert "forbidden" in entry["message"]


# Errors of the client


def test_a_refused_request_names_what_was_tried():
    with StubApi(make.rendered_estate()) as api:
        refused = Reply(403, {"Content-Type": "application/json"}, b'{"message": "kustomizations is forbidden"}')
        api.handle = lambda asked: refused if "namespaces" in asked.path else api._answer(asked)
        with pytest.raises(ClusterError, match=r"cannot read Kustomization ocm-system/podinfo: .* \(403\)") as caught:
            entry_cluster.LiveCluster(dict(kubeconfig=api.kubeconfig)).get(KUSTOMIZATION, "ocm-system", "podinfo")
        assert "role" in caught.value.hint


def test_nobody_listens():
    with StubApi([]) as api:
        kubeconfig = api.kubeconfig
    with pytest.raises(ClusterError, match="does not answer") as caught:
        entry_cluster.LiveCluster(dict(kubeconfig=kubeconfig)).get(KUSTOMIZATION, "a", "b")
    assert "object at 0x" not in str(caught.value)


def test_a_kubeconfig_that_is_missing():
    with pytest.raises(InvalidInput, match="kubeconfig"):
        entry_cluster.LiveCluster(dict(kubeconfig="/nonexistent/config")).knows(KUSTOMIZATION)


# As Ansible runs them


def test_the_modules_themselves_mask_what_is_secret():
    with StubApi(make.rendered_estate()) as api:
        arguments = dict(kubeconfig=api.kubeconfig, name="podinfo", namespace="ocm-system")
        outcome = succeed("flux_reconcile", dict(arguments, revision=COMMIT))
        assert outcome.result["changed"] is False
        told = succeed("ocm_rollout_info", dict(arguments, target=make.PRIVATE, retries=0, timeout=2))
        assert told.result["ready"] is True
        for output in (outcome.output, told.output):
            assert "stub-token-secret-1" not in output and "pull-password-1" not in output


def without(libraries, folder, monkeypatch):
    """Libraries that the module's Python does not find."""
    for name in libraries:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is not here')")
    monkeypatch.syspath_prepend(str(folder))


def test_a_module_asks_for_the_libraries_that_it_needs_and_no_others(tmp_path, monkeypatch):
    without(["oras"], tmp_path, monkeypatch)
    with StubApi(make.rendered_estate()) as api:
        arguments = dict(kubeconfig=api.kubeconfig, name="podinfo", namespace="ocm-system")
        assert succeed("flux_reconcile", dict(arguments, revision=COMMIT), fresh=True).result["changed"] is False
        assert "(oras)" in run_module("ocm_rollout_info", arguments, fresh=True).message
        without(["kubernetes"], tmp_path, monkeypatch)
        assert "(kubernetes)" in run_module("flux_reconcile", arguments, fresh=True).message


def test_an_error_of_the_module_is_a_sentence():
    with StubApi(make.rendered_estate()) as api:
        outcome = fail("flux_reconcile", dict(kubeconfig=api.kubeconfig, name="other", namespace="ocm-system"))
        assert outcome.message == "Kustomization ocm-system/other does not exist. Check its name and namespace."
        assert "ocm_rollout_info" not in fail("ocm_rollout_info", dict(kubeconfig=api.kubeconfig)).message
