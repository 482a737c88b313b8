# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a ConfigData on a set of files."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize import rules
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.edit import Document
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.result import Change
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.tree import node_value
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.config_data import ConfigData
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import (
    InvalidContent,
    InvalidInput,
    NotFound,
    OcmError,
)

DIGEST = "sha256:" + "5" * 64
FILES = {
    "values.yaml": b"image:\n  registry: r\n  repository: x\n  full: y\n  tag: z\n  image: i # here\n",
    "deploy/a.yaml": b"spec:\n  replicas: 1\n  list: [a]\n",
    "logo.png": b"\x89PNG\r\n\xff\x00",
}
TARGETS = {
    "image": "image.image", "tag": "image.tag", "repository": "image.repository", "registry": "image.registry",
    "fullyQualifiedRepository": "image.full",
}


def values_of(text):
    """The first document of a file, as rules see it."""
    root = Document.read(text, "x").parsed.root
    return None if root is None else node_value(root, "x")


def config(localization=(), configuration=(), **more):
    return ConfigData.from_mapping(
        {"localization": list(localization), "configuration": {"rules": list(configuration), **more}}, "config"
    )


def localized(reference, targets=None, files=None, **options):
    rule = {"file": "values.yaml", "resource": {"name": "image"}, **(targets or TARGETS)}
    return rules.localize(files or FILES, config([rule]), lambda identity: reference, **options)


def configured(values, *rule_list, **more):
    return rules.localize(FILES, config((), rule_list, **more), None, values)


def rule(value, path="spec.replicas", file="deploy/a.yaml"):
    return {"value": value, "file": file, "path": path}


@pytest.mark.parametrize("reference, registry, repository, full, image, tag", [
    ("ghcr.io/a/b:6.3.5", "ghcr.io", "a/b", "ghcr.io/a/b", "ghcr.io/a/b:6.3.5", "6.3.5"),
    (f"ghcr.io/a/b:6.3.5@{DIGEST}", "ghcr.io", "a/b", "ghcr.io/a/b", f"ghcr.io/a/b@{DIGEST}", DIGEST),
    (f"h.test:5000/a/b@{DIGEST}", "h.test:5000", "a/b", "h.test:5000/a/b", f"h.test:5000/a/b@{DIGEST}", DIGEST),
    ("localhost/a", "localhost", "a", "localhost/a", "localhost/a:latest", "latest"),
    ("nginx:1.25", "index.docker.io", "library/nginx", "index.docker.io/library/nginx",
     "index.docker.io/library/nginx:1.25", "1.25"),
    ("docker.io/a/b:1", "index.docker.io", "a/b", "index.docker.io/a/b", "index.docker.io/a/b:1", "1"),
])
def test_the_parts_of_a_reference(reference, registry, repository, full, image, tag):
    result = localized(reference)
    assert values_of(result.files["values.yaml"]) == {
        "image": {"registry": registry, "repository": repository, "full": full, "tag": tag, "image": image}
    }
    order = [change.path for change in result.changes]
    assert order == ["image.registry", "image.repository", "image.full", "image.image", "image.tag"]
    assert all(change.kind == "localization" for change in result.changes)
    assert bool(result.warnings) == ("@" in reference)


def test_every_file_comes_back():
    result = localized("ghcr.io/a/b:1")
    assert set(result.files) == set(FILES)
    for name in ("deploy/a.yaml", "logo.png"):
        assert result.files[name] == FILES[name]
    assert FILES["values.yaml"].endswith(b"image: i # here\n")


def test_the_tag_form():
    result = localized(f"ghcr.io/a/b:6.3.5@{DIGEST}", {"tag": "image.tag"}, tag_form="tag")
    assert result.changes == [Change("values.yaml", "image.tag", "z", "6.3.5", "localization")]
    assert not result.warnings
    assert localized("ghcr.io/a/b", {"tag": "image.tag"}, tag_form="tag").changes[0].after == "latest"
    with pytest.raises(NotFound) as caught:
        localized(f"ghcr.io/a/b@{DIGEST}", {"tag": "image.tag"}, tag_form="tag")
    assert "localization rule 1" in str(caught.value)
    with pytest.raises(InvalidInput):
        localized("ghcr.io/a/b", tag_form="digest")


def test_the_values_of_a_chart_get_tags_but_a_digest_where_one_belongs():
    result = localized(f"ghcr.io/a/b:6.3.5@{DIGEST}", {"tag": "image.tag"}, tag_form="values")
    assert result.changes[0].after == "6.3.5" and not result.warnings
    result = localized(f"ghcr.io/a/b:6.3.5@{DIGEST}", {"tag": "image.digest"}, tag_form="values")
    assert result.changes[0].after == DIGEST and not result.warnings


def test_a_number_like_tag_is_quoted():
    result = localized("ghcr.io/a/b:1.10", {"tag": "image.tag"})
    assert b'  tag: "1.10"\n' in result.files["values.yaml"]


def test_a_scheme_is_dropped_with_a_warning():
    result = localized("http://h.test:5000/a/b:1", {"image": "image.image"})
    assert result.changes[0].after == "h.test:5000/a/b:1"
    assert any("scheme" in warning for warning in result.warnings)


def test_the_identity_holds_the_extra_identity():
    seen = []
    rule_ = {"file": "values.yaml", "resource": {"name": "i", "extraIdentity": {"os": "linux"}}, "image": "image.image"}

    def image_of(identity):
        seen.append(dict(identity))
        return "ghcr.io/a/b:1"

    rules.localize(FILES, config([rule_]), image_of)
    assert seen == [{"name": "i", "os": "linux"}]


def test_errors_of_the_lookup_pass_through():
    def image_of(identity):
        raise NotFound("no such resource")

    with pytest.raises(NotFound) as caught:
        rules.localize(FILES, config([{"file": "values.yaml", "resource": {"name": "i"}, "image": "a"}]), image_of)
    assert caught.value.message == "no such resource"


def test_nothing_changes_the_second_time():
    once = localized("ghcr.io/a/b:1.10")
    twice = localized("ghcr.io/a/b:1.10", files=once.files)
    assert twice.files == once.files
    assert twice.changes == []


def test_rules_see_what_earlier_rules_wrote():
    rule_list = [
        {"file": "values.yaml", "resource": {"name": "i"}, "image": "new.place"},
        {"file": "./values.yaml", "resource": {"name": "i"}, "tag": "new.tag"},
    ]
    result = rules.localize(FILES, config(rule_list), lambda identity: "h.test/a:1")
    assert result.files["values.yaml"].endswith(b'new:\n  place: h.test/a:1\n  tag: "1"\n')


@pytest.mark.parametrize(
    "file", ["/values.yaml", "../values.yaml", "deploy/../values.yaml", "deploy\\a.yaml", "a\0b", ".."]
)
def test_a_file_cannot_leave_the_folder(file):
    with pytest.raises(InvalidInput) as caught:
        localized("h.test/a:1", {"image": "a", "file": file})
    assert "localization rule 1" in str(caught.value)
    assert "inside the folder" in str(caught.value)


@pytest.mark.parametrize("file, path, error, words", [
    ("value.yaml", "a", NotFound, ["no file 'value.yaml'", "values.yaml"]),
    ("deploy", "a", NotFound, ["no file 'deploy'"]),
    ("deploy/a.yaml", "spec.list[3]", NotFound, ["no index 3"]),
    ("deploy/a.yaml", "spec.replicas.x", InvalidContent, ["a single value, not a map"]),
    ("deploy/a.yaml", "spec.replicas[*]", NotFound, ["matches nothing"]),
    ("deploy/a.yaml", "spec..x", InvalidInput, ["position 6"]),
    ("logo.png", "a", InvalidContent, ["UTF-8"]),
])
def test_messages_name_rule_file_and_path(file, path, error, words):
    for run in (
        lambda: localized("h.test/a:1", {"image": path, "file": file}),
        lambda: configured({}, rule("x", path, file)),
    ):
        with pytest.raises(error) as caught:
            run()
        for word in words + ["rule 1", file, path]:
            assert word in str(caught.value)


def test_cue_is_refused_by_name_when_the_rules_run():
    with pytest.raises(InvalidInput) as caught:
        rules.localize(FILES, config([{"file": "x", "mapping": {"path": "a", "transform": "b"}}]), None)
    assert "CUE" in str(caught.value)
    assert "localization rule 1" in str(caught.value)


def test_a_reference_that_is_none_names_the_rule():
    with pytest.raises(InvalidInput) as caught:
        localized("h.test/UPPER:1")
    assert "localization rule 1" in str(caught.value)


def test_configuration_runs_only_with_values():
    rule_list = [rule("(( replicas ))")]
    assert rules.localize(FILES, config((), rule_list, defaults={"replicas": 3}), None).changes == []
    result = rules.localize(FILES, config((), rule_list, defaults={"replicas": 3}), None, {})
    assert result.changes == [Change("deploy/a.yaml", "spec.replicas", 1, 3, "configuration")]


def test_values_are_merged_over_the_defaults():
    defaults = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    values = {"a": {"c": [9], "e": {"f": None}}, "d": {"x": 1}}
    result = configured(values, rule("(( a ))", "out.a"), rule("(( d ))", "out.d"), defaults=defaults)
    found = values_of(result.files["deploy/a.yaml"])["out"]
    assert found == {"a": {"b": 1, "c": [9], "e": {"f": None}}, "d": {"x": 1}}
    assert defaults == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


@pytest.mark.parametrize("value, written", [
    (5, b"spec:\n  replicas: 5\n"), ("5", b'spec:\n  replicas: "5"\n'), (None, b"spec:\n  replicas: null\n"),
    ("(( x ))", b"spec:\n  replicas: v\n"), ("plain", b"spec:\n  replicas: plain\n"),
    ({"k": ["(( x ))"]}, b"spec:\n  replicas:\n    k:\n      - v\n"),
])
def test_literals_and_expressions(value, written):
    assert configured({"x": "v"}, rule(value)).files["deploy/a.yaml"].startswith(written)


def test_the_schema_is_checked_over_merged_values():
    schema = {"type": "object", "required": ["replicas", "name"], "properties": {"replicas": {"type": "integer"}}}
    more = {"defaults": {"replicas": "(( n ))", "n": 2}, "schema": schema}
    assert configured({"name": "x"}, rule("(( replicas ))"), **more).changes[0].after == 2
    with pytest.raises(InvalidInput) as caught:
        configured({"replicas": "x"}, rule(1), **more)
    assert "lacks name" in str(caught.value)
    assert "replicas is of type string" in str(caught.value)


def test_a_field_that_hides_a_value_is_warned_about():
    result = configured({"path": "x"}, rule("(( path ))"))
    assert result.changes[0].after == "spec.replicas"
    assert any(".path" in warning for warning in result.warnings)
    assert configured({"path": "x"}, rule("(( .path ))")).changes[0].after == "x"
    with pytest.raises(InvalidInput) as caught:
        configured({"value": "x"}, rule("(( value ))"))
    assert ".value" in str(caught.value)
    assert configured({"value": "x"}, rule("(( .value ))")).changes[0].after == "x"


@pytest.mark.parametrize("values, words", [
    ([], ["values are not a map"]),
    ("x", ["values are not a map"]),
    ({"a": {"b": [datetime.date(2020, 1, 1)]}}, ["values.a.b[0]", "date"]),
    ({"a": float("nan")}, ["values.a", "float"]),
    ({"a": b"x"}, ["values.a", "bytes"]),
])
def test_values_that_are_no_json(values, words):
    with pytest.raises(InvalidInput) as caught:
        configured(values)
    for word in words:
        assert word in str(caught.value)


def test_an_unsupported_expression_names_the_configuration():
    with pytest.raises(OcmError) as caught:
        configured({}, rule("(( a == b ))"))
    assert "(( a == b ))" in str(caught.value)


def test_localization_runs_before_configuration():
    both = config(
        [{"file": "values.yaml", "resource": {"name": "i"}, "image": "image.image"}],
        [{"file": "values.yaml", "path": "image.image", "value": "last"}],
    )
    result = rules.localize(FILES, both, lambda identity: "h.test/a:1", {})
    assert [(change.before, change.after) for change in result.changes] == [("i", "h.test/a:1"), ("h.test/a:1", "last")]


def test_a_file_with_several_documents_is_warned_about_once():
    files = {"a.yaml": b"a: 1\n---\nb: 1\n", "b.yaml": b"a: 1\n---\n# nothing\n"}
    rule_list = [{"file": name, "path": "a", "value": value} for name in files for value in (2, 3)]
    result = rules.localize(files, config((), rule_list), None, {})
    assert result.files == {"a.yaml": b"a: 3\n---\nb: 1\n", "b.yaml": b"a: 3\n---\n# nothing\n"}
    assert len(result.warnings) == 1
    assert "a.yaml" in result.warnings[0]


@pytest.mark.parametrize("text, value", [
    (b"", None),
    (b"# nothing\n", None),
    (b"a: 2020-01-01\nb: 2020-01-01T10:00:00Z\n", {"a": "2020-01-01", "b": "2020-01-01T10:00:00Z"}),
    (b"a: [yes, No, on, y, true, 'yes']\n", {"a": [True, False, True, True, True, "yes"]}),
    (b"a: [1, 0x1f, 017, 0o17, 0b11, 1_000, -5, +5]\n", {"a": [1, 31, 15, 15, 3, 1000, -5, 5]}),
    (b"a: [1.5, 1e3, .5, 08, 1e999]\n", {"a": [1.5, 1000.0, 0.5, 8.0, "1e999"]}),
    (b"a: [1:30, .inf, 1.2.3, =]\n", {"a": ["1:30", ".inf", "1.2.3", "="]}),
    (b"a: [~, null, '', ]\nb:\n", {"a": [None, None, ""], "b": None}),
    (b"1: a\ntrue: b\n", {"1": "a", "true": "b"}),
    (b"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x\n",
     {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}}),
    (b"\xef\xbb\xbf{\"a\": 1}", {"a": 1}),
    (b"a: 1\n---\nb: 2\n", {"a": 1}),
    (b"a: !!str 1\nb: ! 1\nc: !x 1\n", {"a": "1", "b": "1", "c": "1"}),
])
def test_values_as_go_reads_them(text, value):
    found = values_of(text)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("text, words", [
    (b"a: 1\na: 2\n", ["'a' occurs twice", "line 2"]),
    (b"a: [", ["x is neither"]),
    (b"\xff", ["UTF-8"]),
    (b"{a: 1}: b\n", ["a key is a map"]),
    (b"a: &x [*x]\n", ["contains it"]),
    (b"a: {<<: 1}\n", ["merges something"]),
    (b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(
        f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n".encode() for before, name in zip("abcdefg", "bcdefgh")
    ), ["more than"]),
])
def test_texts_that_are_no_values(text, words):
    with pytest.raises(InvalidContent) as caught:
        values_of(text)
    for word in words:
        assert word in str(caught.value)
