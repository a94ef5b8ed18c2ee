"""Events in their two shapes: kept as core/v1, also served as events.k8s.io/v1 with the newer names of the fields."""

from __future__ import annotations

from backends.simulated.objects import Json, Stored
from backends.simulated.resources import EVENTS, EVENTS_V1, Resource

_NEWER = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_OLDER = {newer: older for older, newer in _NEWER.items()}


def kept_as(resource: Resource) -> Resource:
    """The resource under which the store keeps what is served as `resource`."""
    return EVENTS if resource is EVENTS_V1 else resource


def view(resource: Resource, stored: Stored) -> Stored:
    """A stored object in the shape that `resource` serves it in."""
    if resource is not EVENTS_V1:
        return stored
    return Stored(stored.key, _renamed(stored.object, _NEWER), stored.version)


def to_kept(resource: Resource, obj: Json) -> Json:
    """An object sent as `resource`, in the shape that the store keeps."""
    return _renamed(obj, _OLDER) if resource is EVENTS_V1 else obj


def from_kept(resource: Resource, obj: Json) -> Json:
    """A kept object, in the shape of `resource`."""
    return _renamed(obj, _NEWER) if resource is EVENTS_V1 else obj


def _renamed(obj: Json, names: dict[str, str]) -> Json:
    return {names.get(name, name): value for name, value in obj.items()}
