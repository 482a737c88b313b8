# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object as it is wanted against the object as it is there: what of the wanted one is otherwise. Pure.

Only what the wanted object states is compared; all that the live one has beyond it (defaults of the API server and of
controllers, status, what the cluster writes into metadata) is no difference. Of metadata, labels and annotations are
compared. Lists of mappings are matched by the key that tells their entries apart (name, for ports also the number, for
mounts the path) where it does, else by place. An entry that only the live list has is a difference, except in the few
lists that others add to and that no one owns alone (OPEN_LISTS).

What Kubernetes writes in another way is the same: quantities, durations, numbers as texts where both are allowed,
another version of an API group, what is empty and what is not there, data and stringData of Secrets.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from decimal import Decimal
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

Path = Tuple[str, ...]

# Injectors, reloaders and registries' operators add entries here, and server-side apply leaves them.
OPEN_LISTS = frozenset(("env", "envFrom", "imagePullSecrets", "secrets", "tolerations", "volumeMounts", "volumes"))
# Where an empty list is wanted, the API server or a controller writes what it holds.
_FILLED = frozenset(("clusterIPs", "ipFamilies", "policyTypes"))
_DEFAULTS = {"protocol": "TCP"}
# Zero, false and "" are not written out for most fields; for these, being absent means something else.
_MEANT_WHEN_ZERO = frozenset(
    (
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "hostUsers",
        "maxUnavailable",
        "minAvailable",
        "replicas",
        "runAsGroup",
        "runAsUser",
        "storageClassName",
        "ttlSecondsAfterFinished",
    )
)
_MEANT_WHEN_EMPTY = frozenset(("emptyDir",))
_KEYS = {"volumeMounts": ("mountPath",), "volumeDevices": ("devicePath",)}
_USUAL_KEYS = ("name", "containerPort", "port")
# Anything may stand below these, also a secret under a name that does not tell.
_ANYTHING = frozenset(("annotations", "args", "binaryData", "command", "data", "env", "stringData", "values"))
_NEVER_SHOWN = _ANYTHING | {"valuesContent"}
# What lies below these is a text for somebody else: it is compared letter by letter.
_FREE = _ANYTHING | {"labels", "matchLabels", "nodeSelector", "parameters", "substitute"}
_QUANTITIES = frozenset(
    (
        "allocatable",
        "capacity",
        "default",
        "defaultRequest",
        "hard",
        "limits",
        "max",
        "min",
        "podFixed",
        "requests",
        "target",
    )
)
_QUANTITY_FIELDS = frozenset(("divisor", "sizeLimit"))
_NUMBER_OR_TEXT = frozenset(("maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort"))
_QUANTITY = re.compile(r"\A([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE])?)\Z")
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_SUFFIXES = {text: Decimal(1000) ** power for power, text in enumerate(_DECIMAL, -3)}
_SUFFIXES.update({f"{text}i": Decimal(1024) ** power for power, text in enumerate("KMGTPE", 1)})
_DURATION = re.compile(r"\A(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+\Z")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
# What else may be a secret is told by names, in what is compared letter by letter also by contents.
_MAY_BE_SECRET = re.compile(r"pass|pwd|secret|token|cred|private|key|auth|dsn|cookie|salt", re.I)
_NO_SECRET = re.compile(r"(?:name|namespace|kind|image)\Z", re.I)
_LOGIN = re.compile(r"://[^/\s]*@")
# Written by the cluster and by clients, also where a manifest was made from a live object.
_OTHERS_ANNOTATIONS = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")
_LONGEST = 160


def differences(desired: Mapping[str, Any], live: Mapping[str, Any]) -> List[str]:
    """The fields that desired states and live has otherwise: `path: found, wanted ...`, in the order of desired.

    Values of Secrets, where anything may stand (as in env and data), of fields that look like secrets, and very long
    ones are not shown.
    """
    is_secret = desired.get("kind") == "Secret" and group_of(desired.get("apiVersion")) == ""
    found = _Comparison(is_secret)
    found.values((), _comparable(desired, is_secret), _comparable(live, is_secret))
    return found.found


def group_of(api_version: Any) -> str:
    """The API group of an apiVersion, "" for that of Kubernetes' core."""
    return str(api_version or "").rpartition("/")[0]


def same_quantity(left: Any, right: Any) -> bool:
    """Whether two values are quantities of Kubernetes, and the same amount."""
    amount = _amount(left)
    return amount is not None and amount == _amount(right)


def same_duration(left: Any, right: Any) -> bool:
    """Whether two texts are durations as Go writes them, and the same time."""
    length = _nanoseconds(left)
    return length is not None and length == _nanoseconds(right)


def _comparable(obj: Mapping[str, Any], is_secret: bool) -> Dict[str, Any]:
    """What of an object is compared. The content of a Secret has one form, however it was written."""
    result = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    metadata = obj.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping):
        annotations = {key: value for key, value in annotations.items() if key not in _OTHERS_ANNOTATIONS}
    result["metadata"] = {"labels": metadata.get("labels"), "annotations": annotations}
    if obj.get("aggregationRule"):
        # A controller writes the rules.
        result.pop("rules", None)
    if is_secret:
        result.pop("stringData", None)
        result["data"] = _secret_data(obj)
    return result


def _secret_data(obj: Mapping[str, Any]) -> Dict[str, str]:
    """data and stringData as the API server keeps them together: base64 without line breaks, stringData wins."""
    encoded, plain = (value if isinstance(value, Mapping) else {} for value in (obj.get("data"), obj.get("stringData")))
    result = {str(key): _canonical_base64(value) for key, value in encoded.items()}
    for key, value in plain.items():
        result[str(key)] = base64.b64encode(str(value).encode("utf-8")).decode("ascii")
    return result


def _canonical_base64(value: Any) -> str:
    try:
        return base64.b64encode(base64.b64decode("".join(str(value or "").split()), validate=True)).decode("ascii")
    except (binascii.Error, ValueError):
        return str(value)


class _Comparison:
    """Collects differences. is_secret: no value of the object may be shown."""

    def __init__(self, is_secret: bool) -> None:
        self.found: List[str] = []
        self._is_secret = is_secret

    def values(self, path: Path, desired: Any, live: Any) -> None:
        """Compare what is at a path; None is what is not there."""
        if desired is None:
            return
        if live is None:
            if _states(path, desired):
                self._missing(path, desired)
        elif isinstance(desired, Mapping):
            self._mappings(path, desired, live)
        elif isinstance(desired, (list, tuple)):
            self._lists(path, desired, live)
        elif not _same(path, desired, live):
            self._tell(path, desired, live)

    def _mappings(self, path: Path, desired: Mapping[str, Any], live: Any) -> None:
        if not isinstance(live, Mapping):
            self.found.append(f"{_text(path)}: it is no mapping")
            return
        for key, value in desired.items():
            self.values(path + (str(key),), value, live.get(key))

    def _lists(self, path: Path, desired: Sequence[Any], live: Any) -> None:
        if not isinstance(live, (list, tuple)):
            self.found.append(f"{_text(path)}: it is no list")
            return
        field = path[-1] if path else ""
        if not desired and field in _FILLED:
            return
        key = _distinguishing_key(field, desired, live)
        if key:
            self._by_key(path, key, desired, live)
        elif any(isinstance(entry, (Mapping, list, tuple)) for entry in [*desired, *live]):
            self._by_place(path, desired, live)
        elif len(desired) != len(live) or not all(_same(path, *pair) for pair in zip(desired, live)):
            self._tell(path, list(desired), list(live))

    def _by_key(self, path: Path, key: str, desired: Sequence[Any], live: Sequence[Any]) -> None:
        there = {str(entry[key]): entry for entry in live}
        for entry in desired:
            own = path[:-1] + (f"{path[-1]}[{entry[key]}]",)
            if str(entry[key]) in there:
                self.values(own, entry, there.pop(str(entry[key])))
            else:
                self.found.append(f"{_text(own)}: not there")
        if path[-1] not in OPEN_LISTS:
            self.found += [f"{_text(path)}[{name}]: is there, and is not wanted" for name in there]

    def _by_place(self, path: Path, desired: Sequence[Any], live: Sequence[Any]) -> None:
        longer = len(live) > len(desired) and path[-1] in OPEN_LISTS
        if len(live) != len(desired) and not longer:
            self.found.append(f"{_text(path)}: {_entries(live)}, wanted {len(desired)}")
            return
        for number, (entry, other) in enumerate(zip(desired, live)):
            # An entry is there for its own sake, also when it is empty: `- {}` allows everything.
            self.values(path[:-1] + (f"{path[-1]}[{number}]",), entry, {} if other is None else other)

    def _missing(self, path: Path, desired: Any) -> None:
        plain = not isinstance(desired, (Mapping, list, tuple)) and not self._hides(path, desired)
        self.found.append(f"{_text(path)}: not there" + (f", wanted {_short(desired)}" if plain else ""))

    def _tell(self, path: Path, desired: Any, live: Any) -> None:
        if self._hides(path, desired, live):
            self.found.append(f"{_text(path)}: differs")
        else:
            self.found.append(f"{_text(path)}: {_short(live)}, wanted {_short(desired)}")

    def _hides(self, path: Path, *values: Any) -> bool:
        texts = [str(value) for value in values if not isinstance(value, bool)]
        fields = [part.partition("[")[0] for part in path]
        if self._is_secret or _NEVER_SHOWN.intersection(fields) or any(_LOGIN.search(text) for text in texts):
            return True
        if _is_free(path):
            return any(_MAY_BE_SECRET.search(text) for text in [_text(path), *texts])
        # The name of an entry tells what its value is.
        named = fields[:-1] + list(path[-2:-1]) if fields[-1:] == ["value"] else fields
        return bool(texts and _MAY_BE_SECRET.search(".".join(named)) and not _NO_SECRET.search(path[-1]))


def _states(path: Path, desired: Any) -> bool:
    """Whether a value says something that its absence does not say."""
    field = path[-1] if path else ""
    if isinstance(desired, Mapping):
        return field in _MEANT_WHEN_EMPTY or any(_states(path + (str(key),), value) for key, value in desired.items())
    if isinstance(desired, (list, tuple)):
        return bool(desired)
    if desired == _DEFAULTS.get(field):
        return False
    return desired is not None and (bool(desired) or field in _MEANT_WHEN_ZERO)


def _distinguishing_key(field: str, desired: Sequence[Any], live: Sequence[Any]) -> str:
    """The key that all entries of both lists have, and no two of one list with the same value; "" for none."""
    for key in _KEYS.get(field, _USUAL_KEYS):
        if _tells_apart(key, desired) and _tells_apart(key, live) and (desired or live):
            return key
    return ""


def _tells_apart(key: str, entries: Sequence[Any]) -> bool:
    values = [str(entry[key]) for entry in entries if isinstance(entry, Mapping) and entry.get(key) is not None]
    return len(values) == len(entries) == len(set(values))


def _same(path: Path, desired: Any, live: Any) -> bool:
    """Whether two scalars mean the same at this place."""
    if isinstance(live, (Mapping, list, tuple)):
        return False
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    field = path[-1] if path else ""
    if _is_free(path) or isinstance(desired, bool) or isinstance(live, bool):
        return False
    if field == "apiVersion":
        return group_of(desired) == group_of(live)
    if field in _NUMBER_OR_TEXT and str(desired) == str(live):
        return True
    return (_is_quantity(path) and same_quantity(desired, live)) or same_duration(desired, live)


def _is_free(path: Path) -> bool:
    return any(part.partition("[")[0] in _FREE for part in path)


def _is_quantity(path: Path) -> bool:
    return bool(_QUANTITY_FIELDS.intersection(path[-1:]) or _QUANTITIES.intersection(path[-2:-1]))


def _amount(value: Any) -> Optional[Decimal]:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    match = _QUANTITY.match(str(value))
    if not match:
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number) * (Decimal(f"1{exponent}") if exponent else _SUFFIXES[suffix or ""])


def _nanoseconds(value: Any) -> Optional[Decimal]:
    if not isinstance(value, str) or not _DURATION.match(value):
        return None
    return sum((Decimal(number) * _NANOSECONDS[unit] for number, unit in _DURATION_PART.findall(value)), Decimal(0))


def _entries(values: Sequence[Any]) -> str:
    return f"{len(values)} {'entry' if len(values) == 1 else 'entries'}"


def _text(path: Path) -> str:
    """`spec.replicas`; keys with dots or slashes stand in brackets."""
    result = ""
    for part in path:
        plain = "[" in part or not re.search(r"[./]", part)
        result += (f".{part}" if result else part) if plain else f"[{part}]"
    return result


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if text == "":
        return "nothing"
    if len(text) > _LONGEST or "\n" in text:
        return f"{text[:40].splitlines()[0]}... ({len(text)} characters)"
    return text
