# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities of the elements of a component version, selectors, and reference paths.

Follows the OCM specification: an element is identified by its name and extra identity; the version joins in
only where that is needed to tell elements of one list apart.
"""

from __future__ import annotations

import difflib
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from .errors import InvalidInput, NotFound

Element = Mapping[str, Any]


def identity_of(element: Element, elements: Sequence[Element]) -> Dict[str, str]:
    """The identity of an element within its list: extraIdentity, name, and version where it is needed."""
    extra = dict(element.get("extraIdentity") or {})
    identity = dict(extra, name=element["name"])
    if "version" not in extra:
        namesakes = [other for other in elements if other["name"] == element["name"]]
        if sum(_without_version(other) == extra for other in namesakes) > 1:
            identity["version"] = str(element.get("version", ""))
    return identity


def _without_version(element: Element) -> Dict[str, str]:
    extra = dict(element.get("extraIdentity") or {})
    extra.pop("version", None)
    return extra


def parse_selector(value: Any) -> Dict[str, str]:
    """Read the option `resource`: a name, or a mapping of identity attributes. Raises InvalidInput."""
    if isinstance(value, str) and value:
        return {"name": value}
    if isinstance(value, Mapping) and value and all(isinstance(key, str) for key in value):
        return {key: str(part) for key, part in value.items()}
    raise InvalidInput(f"{value!r} does not select an element.", "Give a name or a mapping such as {name: x, os: linux}.")


def matches(element: Element, elements: Sequence[Element], selector: Mapping[str, str]) -> bool:
    """True if every attribute that the selector gives is the element's; `version` may be given always."""
    identity = dict({"version": str(element.get("version", ""))}, **identity_of(element, elements))
    return all(identity.get(key) == value for key, value in selector.items())


def select_all(elements: Sequence[Element], selector: Mapping[str, str]) -> List[Element]:
    """The elements that the selector means. An exact identity wins over partial matches."""
    found = [element for element in elements if matches(element, elements, selector)]
    exact = [element for element in found if identity_of(element, elements) == dict(selector)]
    return exact or found


def select(elements: Sequence[Element], selector: Mapping[str, str], where: str, kind: str = "resource") -> Element:
    """The one element that the selector means, as select_all finds it.

    Raises NotFound with the nearest names, InvalidInput when several elements match.
    """
    found = select_all(elements, selector)
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(identity_text(identity_of(element, elements)) for element in found)
        raise InvalidInput(
            f"{where}: {identity_text(selector)} means {len(found)} elements: {choices}.",
            "Add the attributes that tell them apart.",
        )
    raise NotFound(f"{where} has no {kind} {identity_text(selector)}.", nearest_hint(selector, elements))


def nearest_hint(selector: Mapping[str, str], elements: Sequence[Element]) -> str:
    """A sentence with the elements whose names come nearest, or all of a short list."""
    names = sorted({element["name"] for element in elements})
    near = difflib.get_close_matches(selector.get("name", ""), names, n=3, cutoff=0.6)
    meant = [element for element in elements if not near or element["name"] in near]
    texts = sorted(identity_text(identity_of(element, elements)) for element in meant)
    return f"Did you mean {' or '.join(texts[:3])}?" if near else suggestion(identity_text(selector), texts)


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """A sentence that names the nearest of `names`, or up to ten of them."""
    names = list(names)
    if not names:
        return "There is none at all."
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"There are: {', '.join(names[:10])}{more}."


def identity_text(identity: Mapping[str, str]) -> str:
    """A short text of an identity: the name alone, or `name[os=linux,version=1]`."""
    extra = ",".join(f"{key}={identity[key]}" for key in sorted(identity) if key != "name")
    name = identity.get("name", "")
    return f"{name}[{extra}]" if extra else name


def parse_reference_path(value: Any) -> List[Dict[str, str]]:
    """Read the option `reference_path`: a list of names or identity mappings, from the root. Raises InvalidInput."""
    if value is None:
        return []
    if isinstance(value, (str, Mapping)):
        value = [value]
    return [parse_selector(step) for step in value]
