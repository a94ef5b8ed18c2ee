"""The Events of a node, asked for when somebody looks at its timeline: watched they would cost a large cluster dearly.

Core events, which also show what was written as events.k8s.io; an API server keeps them for an hour unless told otherwise. An
Event names a node by its UID or, as the kubelet and kubectl do, by its name (Kubernetes 1.36, `kubectl describe node`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from backends.kubernetes.connection import Api
from backends.kubernetes.convert import time_of
from backends.kubernetes.errors import NotKnown
from backends.kubernetes.shapes import KubeObject, Reading
from fleet.errors import Denied
from fleet.node import Node
from fleet.node_past import LONGEST
from fleet.text import clean
from fleet.timeline import Entry, EntryKind, Weight

EVENT = "Kubernetes Event"
"""The source of what an Event tells."""

_PATH = "/api/v1/events"
_MOST = 500
_DEADLINE = timedelta(seconds=15)


class _Series(msgspec.Struct, gc=False, rename="camel"):
    count: int | None = None
    last_observed_time: str | None = None


class _About(msgspec.Struct, gc=False):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class _Reporter(msgspec.Struct, gc=False):
    component: str | None = None


class EventShape(KubeObject, gc=False, rename="camel"):
    """A core/v1 Event."""

    involved_object: _About | None = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    count: int | None = None
    series: _Series | None = None
    source: _Reporter | None = None
    reporting_component: str | None = None


_EVENTS = Reading(EventShape)


class NodeEvents:
    """A `fleet.ports.Chronicler` of the Events in each source; `apis` by the source's name."""

    name = "Kubernetes Events"

    def __init__(self, apis: Mapping[str, Api]) -> None:
        self._apis = apis

    async def past(self, node: Node, since: datetime, until: datetime) -> Sequence[Entry]:
        """The node's Events whose last time is between the two. Raises FleetError; Denied names the permission that is missing."""
        api = self._apis.get(node.key.source)
        if api is None:
            return ()
        selector = f"involvedObject.kind=Node,involvedObject.name={node.key.name}"
        query = (("fieldSelector", selector), ("limit", str(_MOST)))
        try:
            body = await api.get(_PATH, query, deadline=_DEADLINE)
        except NotKnown:
            raise
        except Denied as error:
            raise Denied("events: list is not permitted", about=node.key.source) from error
        page = await asyncio.to_thread(_EVENTS.page, body, about=_PATH)
        found = [told_by_event(shape, node) for shape in page.items]
        return [entry for entry in found if entry.at is None or since <= entry.at <= until]


def told_by_event(shape: EventShape, node: Node) -> Entry:
    """An Event at its last time, saying since when it came how often. One of an earlier node of the name says so."""
    times = _times(shape)
    count = max((shape.series.count or 0) if shape.series is not None else 0, shape.count or 0)
    reporter = (shape.source.component if shape.source is not None else None) or shape.reporting_component
    says = f"{shape.reason or 'no reason'}: {shape.message or ''}".removesuffix(": ")
    uid = shape.involved_object.uid if shape.involved_object is not None else None
    if uid and node.uid and uid not in (node.uid, node.key.name):
        says = f"(an earlier node of this name) {says}"
    weight = Weight.NOTE if shape.type == "Warning" else Weight.PLAIN
    by = clean(reporter or "", 120)
    first, last = times
    repeated = first is not None and last is not None and last > first
    often = f" ({count} times since {first:%m-%d %H:%M} UTC)" if repeated and count > 1 else ""
    return Entry(last, EntryKind.EVENT, clean(says, LONGEST) + often, EVENT, by, weight)


def _times(shape: EventShape) -> tuple[datetime | None, datetime | None]:
    """The first and the last time of an Event; either API leaves some of them empty."""
    series = shape.series.last_observed_time if shape.series is not None else None
    last = [time_of(text) for text in (series, shape.last_timestamp, shape.event_time, shape.first_timestamp)]
    first = [
        time_of(text) for text in (shape.first_timestamp, shape.event_time, shape.metadata.creation_timestamp)
    ]
    ended = next((at for at in last if at is not None), time_of(shape.metadata.creation_timestamp))
    return next((at for at in first if at is not None), None), ended
