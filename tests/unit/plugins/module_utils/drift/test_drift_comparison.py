# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison: what of an object that is wanted is otherwise in the cluster, and what is only written in another way."""

from __future__ import annotations

import base64
import copy
import random

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.drift.comparison import (
    OPEN_LISTS,
    differences,
    same_duration,
    same_quantity,
)
from ansible_collections.ocm.airgap.tests.support.cluster import DIGEST, IMAGE, PRIVATE

SECRET_VALUE = "hunter-2-hunter-2"


def deployment():
    """A Deployment as a component states it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "podinfo",
            "labels": {"app": "podinfo"},
            "annotations": {"example.com/owner": "team-a"},
            "creationTimestamp": None,
        },
        "spec": {
            "replicas": 2,
            "minReadySeconds": 0,
            "selector": {"matchLabels": {"app": "podinfo"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "podinfo"}},
                "spec": {
                    "hostNetwork": False,
                    "securityContext": {},
                    "containers": [
                        {
                            "name": "podinfod",
                            "image": IMAGE,
                            "command": ["./podinfo", "--port=9898"],
                            "env": [{"name": "COLOR", "value": "blue"}, {"name": "EMPTY", "value": ""}],
                            "ports": [{"name": "http", "containerPort": 9898, "protocol": "TCP"}],
                            "resources": {
                                "limits": {"cpu": "1000m", "memory": "1Gi"},
                                "requests": {"cpu": 0.1, "memory": "64Mi"},
                            },
                            "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": False}],
                        }
                    ],
                    "volumes": [{"name": "data", "emptyDir": {}}],
                },
            },
        },
    }


def as_the_api_server_returns_it(obj):
    """The same Deployment after defaulting and normalisation, as it is in a cluster."""
    live = copy.deepcopy(obj)
    live["metadata"].update(
        namespace="default",
        uid="1",
        generation=3,
        resourceVersion="42",
        creationTimestamp="2026-01-01T00:00:00Z",
        managedFields=[{"manager": "kustomize-controller"}],
    )
    live["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = "podinfo"
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    spec = live["spec"]
    del spec["minReadySeconds"]
    spec.update(revisionHistoryLimit=10, progressDeadlineSeconds=600)
    spec["strategy"]["type"] = "RollingUpdate"
    spec["strategy"]["rollingUpdate"]["maxSurge"] = "25%"
    pods = spec["template"]["spec"]
    del pods["hostNetwork"]
    pods.update(restartPolicy="Always", dnsPolicy="ClusterFirst", imagePullSecrets=[{"name": "added"}])
    container = pods["containers"][0]
    container.update(imagePullPolicy="IfNotPresent", terminationMessagePath="/dev/termination-log")
    container["resources"] = {"limits": {"cpu": "1", "memory": "1024Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}}
    del container["env"][1]["value"]
    del container["volumeMounts"][0]["readOnly"]
    live["status"] = {"replicas": 2, "observedGeneration": 3}
    return live


def changed(path, value):
    """The live Deployment with one value of the pod's first container changed; path: keys and indexes."""
    live = as_the_api_server_returns_it(deployment())
    target = live["spec"]["template"]["spec"]["containers"][0]
    for key in path[:-1]:
        target = target[key]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return live


def of(desired, live, **both):
    """The differences of two specifications."""
    head = dict(apiVersion="example.com/v1", kind="Thing", **both)
    return differences(dict(head, spec=desired), dict(head, spec=live))


def test_what_the_api_server_adds_and_writes_otherwise_is_no_difference():
    assert differences(deployment(), as_the_api_server_returns_it(deployment())) == []


@pytest.mark.parametrize(
    "path, value, expected",
    [
        (("image",), f"{PRIVATE}/other:1", f"image: {PRIVATE}/other:1, wanted {IMAGE}"),
        (("image",), None, f"image: not there, wanted {IMAGE}"),
        (("command", 1), "--port=1", "command: differs"),
        (("command",), None, "command: not there"),
        (("env", 0, "value"), "red", "env[COLOR].value: differs"),
        (("env", 0, "name"), "COLOUR", "env[COLOR]: not there"),
        (("ports", 0, "containerPort"), 80, "ports[http].containerPort: 80, wanted 9898"),
        (("resources", "limits", "cpu"), "1001m", "resources.limits.cpu: 1001m, wanted 1000m"),
        (("resources", "limits"), None, "resources.limits: not there"),
        (("volumeMounts", 0, "name"), "other", "volumeMounts[/data].name: other, wanted data"),
    ],
)
def test_a_change_is_told_with_its_path(path, value, expected):
    assert differences(deployment(), changed(path, value)) == [f"spec.template.spec.containers[podinfod].{expected}"]


def test_labels_and_annotations_that_are_wanted_are_compared():
    live = as_the_api_server_returns_it(deployment())
    live["metadata"]["labels"]["app"] = "other"
    del live["metadata"]["annotations"]["example.com/owner"]
    assert differences(deployment(), live) == [
        "metadata.labels.app: other, wanted podinfo",
        "metadata.annotations[example.com/owner]: not there",
    ]


def test_a_live_object_without_metadata_is_one_without_labels():
    assert differences({"kind": "Thing", "metadata": {"labels": {"app": "x"}}}, {"kind": "Thing"}) == [
        "metadata.labels: not there"
    ]


def test_a_container_more_is_a_difference_and_a_pull_secret_more_is_none():
    live = as_the_api_server_returns_it(deployment())
    live["spec"]["template"]["spec"]["containers"].append({"name": "miner", "image": "x"})
    live["spec"]["template"]["spec"]["imagePullSecrets"].append({"name": "another"})
    assert differences(deployment(), live) == [
        "spec.template.spec.containers[miner]: is there, and is not wanted"
    ]


def test_containers_are_matched_by_name_wherever_they_stand():
    desired = deployment()
    containers = desired["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "sidecar", "image": "y"})
    live = as_the_api_server_returns_it(desired)
    live["spec"]["template"]["spec"]["containers"].reverse()
    assert differences(desired, live) == []


@pytest.mark.parametrize("field", sorted(OPEN_LISTS))
def test_lists_that_others_add_to_may_be_longer(field):
    assert of({field: [{"name": "a"}]}, {field: [{"name": "a"}, {"name": "b"}]}) == []
    assert of({field: [{"key": "a"}]}, {field: [{"key": "a"}, {"key": "b"}]}) == []
    desired, live = {"name": "a", "mountPath": "a"}, {"name": "b", "mountPath": "b"}
    assert of({field: [desired]}, {field: [live]}) == [f"spec.{field}[a]: not there"]


def test_a_subject_more_in_a_role_binding_is_a_difference():
    desired = {"kind": "RoleBinding", "subjects": [{"kind": "ServiceAccount", "name": "a"}]}
    live = {"kind": "RoleBinding", "subjects": desired["subjects"] + [{"kind": "User", "name": "eve"}]}
    assert differences(desired, live) == ["subjects[eve]: is there, and is not wanted"]


def test_ports_of_one_number_and_two_protocols_are_compared_by_place():
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert of({"ports": ports}, {"ports": ports}) == []
    assert of({"ports": ports}, {"ports": [ports[0], dict(ports[1], targetPort=5353)]}) == []
    assert of({"ports": ports}, {"ports": [ports[1], ports[0]]}) == [
        "spec.ports[0].protocol: TCP, wanted UDP",
        "spec.ports[1].protocol: UDP, wanted TCP",
    ]


def test_ports_without_names_are_matched_by_number():
    ports = [{"containerPort": 1}, {"containerPort": 2}]
    assert of({"ports": ports}, {"ports": [dict(port, protocol="TCP") for port in reversed(ports)]}) == []


@pytest.mark.parametrize(
    "live, expected",
    [
        ([{"verbs": ["get"]}], "spec.rules: 1 entry, wanted 2"),
        ([{"verbs": ["get"]}, {"verbs": ["*"]}], 'spec.rules[1].verbs: ["*"], wanted ["list"]'),
        ([{"verbs": ["get"]}, {}], "spec.rules[1].verbs: not there"),
        ([{"verbs": ["get"]}, None], "spec.rules[1].verbs: not there"),
        ([{"verbs": ["get"]}, {"verbs": ["list"]}, {}], "spec.rules: 3 entries, wanted 2"),
        ("none", "spec.rules: it is no list"),
    ],
)
def test_lists_without_names_are_compared_by_place(live, expected):
    assert of({"rules": [{"verbs": ["get"]}, {"verbs": ["list"]}]}, {"rules": live}) == [expected]


def test_lists_of_lists_and_of_texts():
    assert of({"matrix": [["a"], ["b"]]}, {"matrix": [["a"], ["b"]]}) == []
    assert of({"matrix": [["a"], ["b"]]}, {"matrix": [["a"], ["c"]]}) == ['spec.matrix[1]: ["c"], wanted ["b"]']
    assert of({"modes": ["a"]}, {"modes": ["a", "b"]}) == ['spec.modes: ["a", "b"], wanted ["a"]']


def test_an_empty_list_that_is_wanted_has_to_be_empty():
    """`ingress: []` allows nothing, and is a decision."""
    assert of({"ingress": []}, {"ingress": [{}]}) == ["spec.ingress: 1 entry, wanted 0"]
    assert of({"args": []}, {"args": ["--debug"]}) == ["spec.args: differs"]
    assert of({"ingress": []}, {}) == []


def test_an_empty_entry_is_an_entry():
    """`ingress: [{}]` allows everything."""
    assert of({"ingress": [{}]}, {}) == ["spec.ingress: not there"]
    assert of({"ingress": [{}]}, {"ingress": [{}]}) == []


def test_rules_that_a_controller_aggregates_are_its_own():
    head = dict(apiVersion="rbac.authorization.k8s.io/v1", kind="ClusterRole")
    live = dict(head, aggregationRule={"clusterRoleSelectors": []}, rules=[{"verbs": ["get"]}])
    assert differences(dict(head, rules=[]), live) == []
    assert differences(dict(head, aggregationRule={"clusterRoleSelectors": [{}]}, rules=[{"verbs": ["*"]}]), live) == [
        "aggregationRule.clusterRoleSelectors: 0 entries, wanted 1"
    ]


@pytest.mark.parametrize(
    "nothing", [None, {}, [], "", 0, False, {"inner": {}}, {"inner": None}, {"inner": {"deep": 0}}]
)
def test_what_is_empty_is_not_missed(nothing):
    assert of({"field": nothing}, {}) == []
    assert of({"field": nothing}, {"field": None}) == []


@pytest.mark.parametrize(
    "field, value",
    [
        ("replicas", 0),
        ("runAsUser", 0),
        ("allowPrivilegeEscalation", False),
        ("automountServiceAccountToken", False),
        ("ttlSecondsAfterFinished", 0),
    ],
)
def test_zero_is_missed_where_its_absence_means_something_else(field, value):
    assert len(of({field: value}, {})) == 1


def test_a_volume_that_was_empty_and_is_the_nodes_is_a_difference():
    live = {"volumes": [{"name": "data", "hostPath": {"path": "/"}}]}
    assert of({"volumes": [{"name": "data", "emptyDir": {}}]}, live) == ["spec.volumes[data].emptyDir: not there"]


@pytest.mark.parametrize(
    "left, right",
    [
        ("1", "1000m"),
        (1, "1"),
        (1, "1000m"),
        (0.5, "500m"),
        ("0.5", "500m"),
        ("1Gi", "1024Mi"),
        ("1Gi", "1073741824"),
        ("1G", "1000M"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1.5Gi", "1536Mi"),
        ("100n", "0.1u"),
        (".5", "0.5"),
        ("-1", "-1000m"),
    ],
)
def test_quantities_that_are_one(left, right):
    assert same_quantity(left, right)
    assert of({"resources": {"limits": {"cpu": left}}}, {"resources": {"limits": {"cpu": right}}}) == []
    assert of({"resources": {"limits": {"cpu": right}}}, {"resources": {"limits": {"cpu": left}}}) == []


@pytest.mark.parametrize(
    "left, right",
    [("1", "1m"), ("1Gi", "1G"), ("1", "1.0001"), (True, 1), ("a", "a"), ("", ""), ("1Xi", "1Xi"), (None, 1)],
)
def test_quantities_that_are_not_one(left, right):
    assert not same_quantity(left, right)


def test_any_amount_is_itself_in_any_unit():
    chance = random.Random(5)
    for _round in range(300):
        number = chance.randint(0, 10**6)
        assert same_quantity(f"{number}Gi", str(number * 2**30))
        assert same_quantity(f"{number}k", number * 1000)
        assert same_quantity(f"{number}m", f"{number / 1000:.3f}")
        assert not same_quantity(f"{number}m", f"{number + 1}m")


@pytest.mark.parametrize(
    "left, right",
    [
        ("1m0s", "60s"),
        ("1m", "60s"),
        ("1m", "1m0s"),
        ("1.5h", "90m"),
        ("1h0m0s", "60m"),
        ("1000ms", "1s"),
        ("1us", "1µs"),
    ],
)
def test_durations_that_are_one(left, right):
    assert same_duration(left, right)
    assert of({"interval": left}, {"interval": right}) == []


@pytest.mark.parametrize("left, right", [("1m", "1s"), ("5", "5"), ("1m", 60), ("1d", "24h"), ("", ""), ("m", "m")])
def test_durations_that_are_not_one(left, right):
    assert not same_duration(left, right)


def test_any_time_is_itself_however_it_is_written():
    chance = random.Random(5)
    for _round in range(300):
        hours, minutes, seconds = chance.randint(0, 50), chance.randint(0, 59), chance.randint(0, 59)
        total = hours * 3600 + minutes * 60 + seconds
        assert same_duration(f"{hours}h{minutes}m{seconds}s", f"{total}s")
        assert same_duration(f"{total}s", f"{total * 1000}ms")
        assert not same_duration(f"{hours}h{minutes}m{seconds}s", f"{total + 1}s")


def test_texts_that_only_look_like_quantities_or_durations_are_compared_as_texts():
    assert of({"version": {"semver": "1.10"}}, {"version": {"semver": "1.1"}}) == [
        "spec.version.semver: 1.1, wanted 1.10"
    ]
    assert differences({"data": {"timeout": "60s"}}, {"data": {"timeout": "1m"}}) == ["data.timeout: differs"]
    assert of({"env": [{"name": "A", "value": "1000m"}]}, {"env": [{"name": "A", "value": "1"}]}) != []
    assert of({"values": {"limits": {"cpu": "1"}}}, {"values": {"limits": {"cpu": "1000m"}}}) != []


@pytest.mark.parametrize("field", ["targetPort", "port", "maxUnavailable", "minAvailable", "maxSurge"])
def test_numbers_as_texts_where_both_are_allowed(field):
    assert of({field: 1}, {field: "1"}) == []
    assert of({field: "1"}, {field: 1}) == []
    assert of({field: "1"}, {field: 2}) == [f"spec.{field}: 2, wanted 1"]
    assert of({"count": "1"}, {"count": 1}) == ["spec.count: 1, wanted 1"]


def test_true_is_not_one():
    assert of({"flag": True}, {"flag": 1}) == ["spec.flag: 1, wanted true"]
    assert of({"count": 1}, {"count": True}) == ["spec.count: true, wanted 1"]
    assert of({"count": 1.0}, {"count": 1}) == []


def test_another_version_of_an_api_group_is_the_same_and_another_group_is_not():
    assert differences({"apiVersion": "autoscaling/v2beta2"}, {"apiVersion": "autoscaling/v2"}) == []
    assert differences({"apiVersion": "v1"}, {"apiVersion": "v1"}) == []
    assert differences({"apiVersion": "extensions/v1beta1"}, {"apiVersion": "apps/v1"}) == [
        "apiVersion: apps/v1, wanted extensions/v1beta1"
    ]
    assert of({"ref": {"apiVersion": "a.b/v1"}}, {"ref": {"apiVersion": "a.b/v2"}}) == []


def test_tcp_is_the_protocol_where_none_is_named():
    assert of({"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": [{"port": 1}]}) == []
    assert of({"ports": [{"port": 1, "protocol": "UDP"}]}, {"ports": [{"port": 1}]}) == [
        "spec.ports[1].protocol: not there, wanted UDP"
    ]


def test_another_shape_is_a_difference():
    assert of({"a": {"b": 1}}, {"a": "text"}) == ["spec.a: it is no mapping"]
    assert of({"a": "text"}, {"a": {"b": 1}}) == ["spec.a: a mapping, wanted text"]


def secret(**parts):
    return dict(dict(apiVersion="v1", kind="Secret", metadata={"name": "x"}), **parts)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_string_data_is_data():
    live = secret(data={"a": encoded("one"), "b": encoded("two")}, type="Opaque")
    assert differences(secret(stringData={"a": "one"}, data={"b": encoded("two")}), live) == []
    assert differences(secret(stringData={"a": "one"}, data={"a": encoded("former")}), live) == []
    assert differences(secret(data={"a": encoded("one") + "\n"}), live) == []


def test_values_of_a_secret_are_never_shown():
    desired = secret(
        stringData={"password": SECRET_VALUE, "gone": SECRET_VALUE},
        data={"broken": "%" + SECRET_VALUE},
        metadata={"name": "x", "annotations": {"note": SECRET_VALUE}},
        type=SECRET_VALUE,
    )
    live = secret(
        data={"password": encoded(SECRET_VALUE + "x"), "broken": "b"}, metadata={"annotations": {"note": "x"}}, type="t"
    )
    found = differences(desired, live)
    assert sorted(found) == [
        "data.broken: differs",
        "data.gone: not there",
        "data.password: differs",
        "metadata.annotations.note: differs",
        "type: differs",
    ]


def test_a_secret_without_data_misses_all():
    assert differences(secret(stringData={"a": SECRET_VALUE}), secret()) == ["data.a: not there"]


@pytest.mark.parametrize(
    "desired, live",
    [
        ({"env": [{"name": "DB_AUTH", "value": SECRET_VALUE}]}, {"env": [{"name": "DB_AUTH", "value": "other"}]}),
        ({"values": {"adminPassword": SECRET_VALUE}}, {"values": {"adminPassword": "other"}}),
        ({"values": {"adminPassword": SECRET_VALUE}}, {"values": {"other": 1}}),
        ({"url": "https://git.example.com/x"}, {"url": f"https://me:{SECRET_VALUE}@git.example.com/x"}),
        ({"url": f"https://{SECRET_VALUE}@git.example.com/x"}, {}),
        ({"args": [f"--password={SECRET_VALUE}"]}, {"args": ["--password=other"]}),
        ({"password": SECRET_VALUE}, {"password": "other"}),
        ({"auth": {"apiKey": SECRET_VALUE}}, {"auth": {"apiKey": "other"}}),
        ({"auth": {"admin": SECRET_VALUE}}, {"auth": {"admin": "other"}}),
        ({"settings": [{"name": "DB_PASS", "value": SECRET_VALUE}]}, {"settings": [{"name": "DB_PASS", "value": "other"}]}),
        ({"substitute": {"SMTP_PWD": SECRET_VALUE}}, {"substitute": {"SMTP_PWD": "other"}}),
        ({"redisDsn": SECRET_VALUE}, {"redisDsn": "other"}),
        ({"cookieSalt": SECRET_VALUE}, {}),
        ({"text": "x"}, {"text": {"password": SECRET_VALUE}}),
    ],
)
def test_what_looks_like_a_secret_is_not_shown_either(desired, live):
    found = of(desired, live)
    assert len(found) == 1
    assert SECRET_VALUE not in found[0] and "other" not in found[0]


def test_what_only_has_the_name_of_a_secret_is_shown():
    assert of({"secretName": "a"}, {"secretName": "b"}) == ["spec.secretName: b, wanted a"]
    assert of({"automountServiceAccountToken": False}, {}) == [
        "spec.automountServiceAccountToken: not there, wanted false"
    ]
    assert of({"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}) == ["spec.secretRef.name: b, wanted a"]
    desired, live = ({"name": "auth", "image": image} for image in ("keycloak:1", "keycloak:2"))
    assert of({"containers": [desired]}, {"containers": [live]}) == [
        "spec.containers[auth].image: keycloak:2, wanted keycloak:1"
    ]


@pytest.mark.parametrize(
    "field", "annotations args binaryData command data env stringData values valuesContent".split()
)
def test_values_where_anything_may_stand_are_never_shown(field):
    for desired, live in ((SECRET_VALUE, "other"), ([SECRET_VALUE], ["other"]), ({"note": 12345}, {"note": "other"})):
        (found,) = of({field: desired}, {field: live})
        assert found.startswith(f"spec.{field}") and found.endswith(": differs")
    assert of({field: {"note": SECRET_VALUE}}, {field: {"other": 1}}) == [f"spec.{field}.note: not there"]


@pytest.mark.parametrize("name", "DB_PASS MYSQL_PWD PGPASS AWS_ACCESS_KEY ENCRYPTION_KEY REDIS_DSN COLOR".split())
def test_values_of_the_environment_are_never_shown(name):
    desired, live = ({"env": [{"name": name, "value": value}]} for value in (SECRET_VALUE, "other"))
    assert of(desired, live) == [f"spec.env[{name}].value: differs"]


def test_long_values_and_those_of_several_lines_are_cut():
    found = of({"text": "line\n" * 10}, {"text": "x" * 500})
    assert found == [f"spec.text: {'x' * 40}... (500 characters), wanted line... (50 characters)"]
    assert of({"image": IMAGE}, {"image": f"x@{DIGEST}"}) == [f"spec.image: x@{DIGEST}, wanted {IMAGE}"]


def test_what_is_in_git_of_the_cluster_itself_is_no_wish():
    desired = {
        "kind": "Thing",
        "metadata": {
            "name": "x",
            "resourceVersion": "1",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "1"},
        },
        "status": {"ready": True},
    }
    assert differences(desired, {"kind": "Thing", "metadata": {"annotations": {"keep": "1"}}}) == []


def anything(chance, depth=0):
    """A value of some shape, as an object may have it."""
    kinds = ["text", "number", "flag"] + (["mapping", "named", "list"] if depth < 3 else [])
    kind = chance.choice(kinds)
    if kind == "text":
        return chance.choice(["blue", "1m0s", "500m", "a: b\nc", "1.10", "x" * 200])
    if kind == "number":
        return chance.choice([1, 2, 5.5])
    if kind == "flag":
        return True
    if kind == "mapping":
        return {chance.choice("abcdef") + str(number): anything(chance, depth + 1) for number in range(3)}
    if kind == "named":
        return [{"name": f"n{number}", "value": anything(chance, depth + 1)} for number in range(2)]
    return [anything(chance, depth + 1) for _number in range(2)]


def leaves(value, path=()):
    """The paths of all scalars."""
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], path + (key,))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from leaves(entry, path + (number,))
    else:
        yield path


def with_leaf(value, path, leaf):
    result = copy.deepcopy(value)
    target = result
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = leaf
    return result


def with_more(chance, value):
    """The same with fields that only a live object has, in every mapping."""
    if isinstance(value, dict):
        more = {"added": anything(chance, 3), "status": {"phase": "x"}} if chance.random() < 0.5 else {}
        return dict(more, **{key: with_more(chance, entry) for key, entry in value.items()})
    if isinstance(value, list):
        return [with_more(chance, entry) for entry in value]
    return value


def test_an_object_never_differs_from_itself_and_never_by_what_is_added():
    chance = random.Random(7)
    for _round in range(300):
        spec = {"field": anything(chance), "other": anything(chance)}
        assert of(spec, copy.deepcopy(spec)) == []
        assert of(spec, with_more(chance, spec)) == []


def test_every_changed_value_is_found_and_told_once():
    chance = random.Random(11)
    for _round in range(200):
        spec = {"field": anything(chance), "other": anything(chance)}
        path = chance.choice(list(leaves(spec)))
        found = of(spec, with_leaf(spec, path, "something else"))
        # A changed name is an entry that is missing and one that is too many.
        assert len(found) == (2 if path[-1] == "name" else 1), (spec, path, found)
        assert found[0].startswith(f"spec.{path[0]}")
