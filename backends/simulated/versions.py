"""One version of one object, and the event that made it: what lists, watches and controllers hand round.

Nothing here is ever changed after it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from backends.simulated.resources import Resource

Json = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
_encode = msgspec.json.Encoder().encode


class Stored:
    """One version of one object. Treat `object` as read-only: it is shared with lists, watches and history."""

    __slots__ = ("_encoded", "key", "object", "version")

    def __init__(self, key: str, obj: Json, version: int) -> None:
        self.key = key
        self.object = obj
        self.version = version
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """The object as JSON, made at the first request and kept."""
        if self._encoded is None:
            self._encoded = _encode(self.object)
        return self._encoded


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One write, as controllers and watches see it. A deleted object comes in its last state."""

    type: EventType
    resource: Resource
    stored: Stored
    previous: Stored | None = None
    """What it was before; None for ADDED."""

    @property
    def object(self) -> Json:
        return self.stored.object

    @property
    def version(self) -> int:
        return self.stored.version


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value; several times faster than `copy.deepcopy`, which minds cycles."""
    if isinstance(value, dict):
        return {name: copy_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [copy_json(each) for each in value]
    return value


def timestamp(at: datetime) -> str:
    """A time of the API, in whole seconds: `2026-03-01T03:00:00Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp_micro(at: datetime) -> str:
    """A MicroTime of the API, as leases and new events carry it: `2026-03-01T03:00:00.000000Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
