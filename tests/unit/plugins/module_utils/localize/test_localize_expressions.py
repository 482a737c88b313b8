# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions: spiff's results for the part of spiff that is supported, and a clear refusal of the rest."""

from __future__ import annotations

import pytest

from ansible_collections.ocm.airgap.plugins.module_utils._airgap.localize.expressions import Evaluator, expression_of
from ansible_collections.ocm.airgap.plugins.module_utils._airgap.model.errors import InvalidContent

ROOT = {
    "name": "podinfo", "n": 7, "f": 2.5, "yes": True, "none": None, "empty": "",
    "image": {"host": "private.test:5001", "path": "acme/podinfo", "ports": [80, 443], "a.b": "dotted"},
    "list": [1, 2], "more": [3], "left": {"a": 1, "b": 2}, "right": {"b": 3}, "k-1": "dash",
}


def evaluate(expression):
    return Evaluator({**ROOT, "result": expression}, "config").resolve_root()["result"]


@pytest.mark.parametrize("expression, value", [
    ("(( name ))", "podinfo"),
    ("((name))", "podinfo"),
    ("(( n ))", 7),
    ("(( none ))", None),
    ("(( image ))", ROOT["image"]),
    ("(( image.host ))", "private.test:5001"),
    ("(( .image.host ))", "private.test:5001"),
    ("(( image.ports[1] ))", 443),
    ("(( image.ports.[-1] ))", 443),
    ('(( image["a.b"] ))', "dotted"),
    ("(( k-1 ))", "dash"),
    ('(( "text" ))', "text"),
    ('(( "say \\"x\\"\\n" ))', 'say "x"\n'),
    ('(( "(( x ))" ))', "(( x ))"),
    ("(( 5 ))", 5),
    ("(( -5 ))", -5),
    ("(( 1_000 ))", 1000),
    ("(( 1.5 ))", 1.5),
    ("(( true ))", True),
    ("(( false ))", False),
    ("(( nil ))", None),
    ("(( ~ ))", None),
    ('(( name "-" n ))', "podinfo-7"),
    ('(( image.host "/" image.path ))', "private.test:5001/acme/podinfo"),
    ("(( n yes ))", "7true"),
    ("(( f name ))", "2.5podinfo"),
    ("(( list more ))", [1, 2, 3]),
    ("(( list n ))", [1, 2, 7]),
    ("(( list none ))", [1, 2]),
    ("(( left right ))", {"a": 1, "b": 3}),
    ("(( missing || name ))", "podinfo"),
    ("(( missing.deep || image.missing || 3 ))", 3),
    ("(( none || name ))", None),
    ("(( empty || name ))", ""),
    ('(( missing || name "-x" ))', "podinfo-x"),
    ('(( name missing || "fallback" ))', "fallback"),
    ("(( name * 2 || 1 ))", 1),
    ("(( n + 3 * 2 ))", 13),
    ("(( ( n + 3 ) * 2 ))", 20),
    ("(( (n + 3) * 2 ))", 20),
    ("(( n - 2 - 1 ))", 4),
    ("(( n / 2 ))", 3),
    ("(( -7 / 2 ))", -3),
    ("(( f / 2 ))", 1.25),
    ("(( n + f ))", 9.5),
    ("(( n -5 ))", "7-5"),
    ("(( n + 1 \"x\" ))", "8x"),
    ("plain", "plain"),
    ("( not one )", "( not one )"),
    ("((! name ))", "(( name ))"),
    ("http://(( name )).(( image.host ))/x", "http://podinfo.private.test:5001/x"),
    ("x (( n + 1 ))", "x 8"),
    ("x (( name", "x (( name"),
    ("x ((! name )) y", "x (( name )) y"),
    ({"deep": ["(( n ))"]}, {"deep": [7]}),
    (5, 5),
    (None, None),
])
def test_values(expression, value):
    found = evaluate(expression)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("expression", [
    "(( ))", "(( missing ))", "(( image.missing ))", "(( list[2] ))", "(( list[-3] ))", "(( name.x ))", "(( n[0] ))",
    "(( name + 1 ))", "(( n / 0 ))", "(( yes + 1 ))", "(( none name ))", "(( left name ))", "(( name list ))",
    "(( result ))",
    "(( n == 7 ))", "(( yes ? 1 :2 ))", "(( n % 2 ))", "(( a -or b ))", "(( !yes ))", "(( length(list) ))",
    "(( map[list|x|-> x] ))", "(( [ 1, 2 ] ))", "(( { a = 1 } ))", "(( merge ))", "(( auto ))", "(( prefer n ))",
    "(( &temporary ))", "(( lambda |x|->x ))", "(( n+1 ))", "(( n + ))", "(( + n ))", "(( \"open ))", "(( (n ))",
    "(( n) ))", "(( ~~ ))", "(( n // 2 ))", "(( *n ))", "(( n || ))", "(( a::b ))", "(( list.[*] ))", "(( 'x' ))",
    "((n)) ((n))", "(( read(\"/etc/passwd\") ))", "(( env(\"HOME\") ))", "(( exec(\"id\") ))",
])
def test_everything_else_is_an_error_that_quotes_the_expression(expression):
    with pytest.raises(InvalidContent) as caught:
        evaluate(expression)
    quoted = expression_of(expression).strip()
    assert quoted in str(caught.value)
    assert "config" in str(caught.value)


def test_defaults_may_refer_to_each_other():
    root = {"host": "a.test", "url": "(( \"https://\" base ))", "base": "(( host \"/x\" ))"}
    assert Evaluator(root, "config").resolve_root()["url"] == "https://a.test/x"


def test_the_nearest_map_wins():
    inner = {"name": "inner", "a": "(( name ))", "b": "(( .name ))", "c": {"d": "(( name ))"}}
    resolved = Evaluator({"name": "outer", "inner": inner}, "config").resolve_root()["inner"]
    assert (resolved["a"], resolved["b"], resolved["c"]["d"]) == ("inner", "outer", "inner")


def test_an_expression_inside_a_referenced_map_keeps_its_scope():
    root = {"x": "root", "m": {"x": "own", "y": "(( x ))"}, "copy": "(( m ))", "one": "(( m.y ))"}
    resolved = Evaluator(root, "config").resolve_root()
    assert resolved["copy"] == {"x": "own", "y": "own"}
    assert resolved["one"] == "own"


def test_a_circle_is_an_error():
    with pytest.raises(InvalidContent) as caught:
        Evaluator({"a": "(( b ))", "b": "(( a ))"}, "config").resolve_root()
    assert "refers to itself" in str(caught.value)


def test_a_rules_own_fields_hide_the_values():
    evaluator = Evaluator({"path": "values", "other": 1}, "config")
    fields = {"path": "rule", "value": "(( path ))"}
    assert evaluator.resolve(fields, "rule 1")["value"] == "rule"
    assert evaluator.own_fields(fields, fields["value"]) == ["path"]
    for text in ("(( .path ))", "(( other ))", '(( "path" ))', "(( other.path ))", "path", 5):
        assert evaluator.own_fields(fields, text) == []


def test_control_keys_are_refused():
    with pytest.raises(InvalidContent) as caught:
        Evaluator({"a": {"<<if": True}}, "config").resolve_root()
    assert "<<if" in str(caught.value)
