# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of configuration values against the JSON schema of a ConfigData, which ocm-controller leaves out."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Optional

from ..model.errors import InvalidContent, InvalidInput, OcmError
from .paths import format_place

JSONSCHEMA_IMPORT_ERROR: Optional[ImportError] = None
try:
    import jsonschema
except ImportError as error:
    jsonschema = None
    JSONSCHEMA_IMPORT_ERROR = error

MAX_PROBLEMS = 10


def check_values(values: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Check values that are merged over the defaults. where: names the ConfigData.

    Raises InvalidInput naming the path of each value that does not fit (never the value), InvalidContent if the
    schema itself is no JSON schema or refers to another document.
    """
    if jsonschema is None:
        raise OcmError("The Python library jsonschema is missing.", "Install it where the module runs.")
    _refuse_remote(schema, where)
    validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    try:
        validator_class.check_schema(schema)
        problems = sorted(validator_class(schema).iter_errors(values), key=lambda problem: list(map(str, problem.path)))
    except jsonschema.exceptions.SchemaError as error:
        place = format_place(tuple(error.path)) or "its top"
        raise InvalidContent(f"{where}: the schema is not a JSON schema, at {place}: {error.message}.") from None
    except Exception as error:
        # The class of an unresolvable $ref differs between the versions of jsonschema.
        raise InvalidContent(f"{where}: the schema cannot be applied: {error}.") from None
    if problems:
        texts = [_sentence(problem) for problem in problems[:MAX_PROBLEMS]]
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        raise InvalidInput(
            f"The values do not fit the schema of {where}: {'; '.join(texts)}{more}.",
            "Correct the values; they are checked after they were merged over the defaults.",
        )


def _refuse_remote(schema: Any, where: str) -> None:
    for node in _maps(schema):
        reference = node.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise InvalidContent(
                f"{where}: the schema refers to {reference!r}, which is another document.",
                "Nothing is fetched for a schema: write the definition into it.",
            )


def _maps(value: Any) -> Iterator[Mapping[str, Any]]:
    todo = [value]
    while todo:
        current = todo.pop()
        if isinstance(current, Mapping):
            yield current
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)


def _sentence(problem: Any) -> str:
    """What is wrong with one value, without repeating the value."""
    place = format_place(tuple(problem.absolute_path)) or "the values"
    expected = problem.validator_value
    found = _type_name(problem.instance)
    if problem.validator == "type":
        wanted = expected if isinstance(expected, str) else " or ".join(map(str, expected))
        return f"{place} is of type {found}, not {wanted}"
    if problem.validator == "required":
        missing = [name for name in expected if name not in problem.instance]
        return f"{place} lacks {', '.join(missing)}"
    if problem.validator == "additionalProperties":
        return f"{place} has keys that the schema does not know: {', '.join(_unknown(problem))}"
    if problem.validator == "enum":
        return f"{place} is not one of {', '.join(map(str, expected))}"
    return f"{place} does not satisfy {problem.validator}: {expected}"


def _unknown(problem: Any) -> list:
    known = problem.schema.get("properties") or {}
    return [str(key) for key in problem.instance if key not in known]


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")
