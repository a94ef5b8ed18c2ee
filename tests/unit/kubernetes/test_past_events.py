"""The Events of a node as they come from an API server, in either of their shapes, and what is said where they may not be read."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.kubernetes.past_events import NodeEvents
from fleet.errors import Denied
from fleet.timeline import Weight
from tests.builders import NOW, node
from tests.unit.kubernetes.test_connection import reached, status
from tests.unit.kubernetes.wire import body, says, serving

HOUR = timedelta(hours=1)
HERE = node("gpu-001", source="east")


def event(reason: str, message: str = "", **fields: Any) -> dict[str, Any]:
    about = {"kind": "Node", "name": "gpu-001", "uid": "uid-gpu-001"}
    return {
        "metadata": {"name": reason},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        **fields,
    }


async def told(*events: dict[str, Any]) -> list[Any]:
    listed = json.dumps({"kind": "EventList", "metadata": {"resourceVersion": "1"}, "items": events})
    async with serving(says(body(200, listed))) as wire, reached(wire.url) as api:
        found = await NodeEvents({"east": api}).past(HERE, NOW - 24 * HOUR, NOW)
        asked = parse_qs(urlsplit(wire.asked[0].path).query)
        assert asked["fieldSelector"] == ["involvedObject.kind=Node,involvedObject.name=gpu-001"]
    return list(found)


async def test_an_event_is_told_with_its_last_time_its_reporter_and_its_count() -> None:
    (entry,) = await told(
        event(
            "NodeNotReady",
            "Node gpu-001 status is now: NodeNotReady",
            type="Warning",
            firstTimestamp="2026-03-01T01:00:00Z",
            lastTimestamp="2026-03-01T02:00:00Z",
            count=4,
            source={"component": "node-controller"},
        )
    )
    assert entry.at == NOW - HOUR
    assert entry.by == "node-controller"
    assert entry.weight is Weight.NOTE
    assert entry.says == (
        "NodeNotReady: Node gpu-001 status is now: NodeNotReady (4 times since 03-01 01:00 UTC)"
    )


async def test_an_event_of_the_newer_shape_has_its_time_elsewhere() -> None:
    (entry,) = await told(
        event(
            "Drain",
            eventTime="2026-03-01T02:00:00.000000Z",
            firstTimestamp=None,
            lastTimestamp=None,
            reportingComponent="autoscaler",
            source={},
        )
    )
    assert (entry.at, entry.by, entry.says) == (NOW - HOUR, "autoscaler", "Drain")


async def test_events_outside_the_window_are_left_out_and_those_without_a_time_are_not() -> None:
    found = await told(event("Old", lastTimestamp="2026-01-01T00:00:00Z"), event("Timeless"))
    assert [(entry.at, entry.says) for entry in found] == [(None, "Timeless")]


async def test_an_event_of_an_earlier_node_of_the_name_says_so() -> None:
    about = {"kind": "Node", "name": "gpu-001", "uid": "uid-of-before"}
    (entry,) = await told(event("Starting", involvedObject=about, lastTimestamp="2026-03-01T02:00:00Z"))
    assert entry.says == "(an earlier node of this name) Starting"


async def test_what_an_event_says_is_made_fit_to_keep_and_nothing_in_it_fails() -> None:
    hostile = "\x1b[31m" + "a" * 40_000
    (entry, _) = await told(
        event(hostile, hostile, lastTimestamp="when?", count=3, type=None), event("x", involvedObject=None)
    )
    assert "\x1b" not in entry.says
    assert len(entry.says) <= 400


async def test_a_missing_permission_is_named() -> None:
    refused = body(403, status(403, "Forbidden", "events is forbidden"))
    async with serving(says(refused)) as wire, reached(wire.url) as api:
        with pytest.raises(Denied, match="events: list"):
            await NodeEvents({"east": api}).past(HERE, NOW - HOUR, NOW)


async def test_a_source_without_an_api_has_no_events() -> None:
    assert await NodeEvents({}).past(HERE, NOW - HOUR, NOW) == ()
