"""Fleet values as JSON and back, so that a plan read from the journal is the plan that was confirmed.

Every value names its own type, so that a reader needs no schema: `{"$": "Step", ...}` is a dataclass or named tuple,
`{"$enum": [...]}`, `{"$at": ...}`, `{"$span": seconds}` and `{"$set": [...]}` are what they say; a list is a tuple.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import fleet.diagnosis
import fleet.health
import fleet.holder
import fleet.node
import fleet.plan
import fleet.verb
import fleet.workload
from fleet.errors import Garbled

_MODULES = (fleet.diagnosis, fleet.health, fleet.holder, fleet.node, fleet.plan, fleet.verb, fleet.workload)


def _types() -> dict[str, type]:
    return {
        name: value
        for module in _MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


_TYPES = _types()


def encode(value: object) -> str:
    """A fleet value as one line of JSON, in ASCII: half characters from outside would not go into a file."""
    return json.dumps(_plain(value), separators=(",", ":"))


def decode(text: str) -> Any:
    """The value that `encode` was given. A field that is not known any more is left out. Raises Garbled."""
    try:
        return _value(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise Garbled(f"a record of the journal can't be read: {error}") from error


def _plain(value: object) -> object:
    if value is None or (isinstance(value, str | int | float | bool) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return {"$enum": [type(value).__name__, value.value]}
    if isinstance(value, datetime):
        return {"$at": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$span": value.total_seconds()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"$": type(value).__name__, **fields}
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        return {"$": type(value).__name__, **{name: _plain(getattr(value, name)) for name in names}}
    if isinstance(value, frozenset):
        return {"$set": sorted((_plain(item) for item in value), key=str)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in the journal")


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_value(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    if "$enum" in plain:
        name, member = plain["$enum"]
        return _TYPES[name](member)
    if "$at" in plain:
        return datetime.fromisoformat(plain["$at"])
    if "$span" in plain:
        return timedelta(seconds=plain["$span"])
    if "$set" in plain:
        return frozenset(_value(item) for item in plain["$set"])
    if "$" in plain:
        kind = _TYPES[plain["$"]]
        known = _fields(kind)
        return kind(**{name: _value(item) for name, item in plain.items() if name in known})
    return {name: _value(item) for name, item in plain.items()}


def _fields(kind: Any) -> set[str]:
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    return set(kind._fields)
