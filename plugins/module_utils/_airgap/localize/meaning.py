# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes and JSON values mean, apart from how they are written, for comparisons."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .render import json_scalar
from .tree import Node

Replaced = Dict[int, Any]
Added = Dict[int, List[Any]]


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal, types included (1, 1.0, true and "1" are four values)."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right))
    return bool(left == right)


def projection(node: Node, replaced: Optional[Replaced] = None, added: Optional[Added] = None) -> Any:
    """What a node means, without its layout: nested tuples and lists that can be compared.

    replaced, added: by the id of a node, the projection to put in its place, the pairs to add to its map.
    """
    replaced, added = replaced or {}, added or {}
    if id(node) in replaced:
        return replaced[id(node)]
    if node.kind == "alias":
        return ("alias", node.anchor)
    content: Any = node.value
    if node.kind == "map":
        content = [(projection(key, replaced, added), projection(value, replaced, added)) for key, value in node.value]
        content += added.get(id(node), [])
    elif node.kind == "list":
        content = [projection(item, replaced, added) for item in node.value]
    elif node.is_null:
        content = ""
    projected = (node.tag, content)
    return ("anchor", node.anchor, projected) if node.anchor else projected


def projection_of_value(value: Any) -> Any:
    """The projection of the node that a JSON value is written as."""
    if value is None:
        return ("null", "")
    if isinstance(value, str):
        return ("str", value)
    if isinstance(value, dict):
        return ("map", [(projection_of_value(key), projection_of_value(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [projection_of_value(item) for item in value])
    tag = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
    return (tag, json_scalar(value))
