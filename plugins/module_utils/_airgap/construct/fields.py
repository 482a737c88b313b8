# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of mappings that the user wrote, checked where they are read."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from ..model.errors import InvalidInput


def only_fields(value: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Raises InvalidInput that names fields which mean nothing here."""
    unknown = [str(name) for name in value if name not in known]
    if unknown:
        raise InvalidInput(f"{where}: unknown field {', '.join(unknown)}.", f"Fields: {', '.join(known)}.")


def text_field(value: Mapping[str, Any], name: str, where: str, default: str = "") -> str:
    """A text; absent ones are the default. Raises InvalidInput."""
    found = value.get(name)
    if found is None:
        return default
    if not isinstance(found, str):
        raise InvalidInput(f"{where}: {name} must be a text, not {found!r}.")
    return found


def required_text(value: Mapping[str, Any], name: str, where: str) -> str:
    """A text that must be there and not empty. Raises InvalidInput."""
    found = text_field(value, name, where)
    if not found:
        raise InvalidInput(f"{where}: {name} is missing.")
    return found


def flag_field(value: Mapping[str, Any], name: str, where: str) -> bool:
    """True or false; absent is false. Raises InvalidInput."""
    found = value.get(name)
    if found is not None and not isinstance(found, bool):
        raise InvalidInput(f"{where}: {name} must be true or false, not {found!r}.")
    return bool(found)


def texts_field(value: Mapping[str, Any], name: str, where: str) -> Tuple[str, ...]:
    """A list of texts; absent is none. Raises InvalidInput."""
    found = value.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InvalidInput(f"{where}: {name} must be a list of texts.")
    return tuple(found)
