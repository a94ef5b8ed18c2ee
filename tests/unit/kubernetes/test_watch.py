"""Lists and watches that a well-behaved server would not give, answered byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.kubernetes.connection import Api
from backends.kubernetes.feed_report import FeedReport
from backends.kubernetes.feeds import feeds_of
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.shapes import NodeShape
from backends.kubernetes.watch import ListWatch
from fleet.backoff import Backoff
from fleet.feeds import FeedHealth
from fleet.observation import FeedChanged, Listed, NodeGone, NodeSeen, Observation
from tests.clocks import ManualClock
from tests.unit.kubernetes.objects import node_json
from tests.unit.kubernetes.wire import CHUNKED, Asked, body, chunk, serving

Json = dict[str, Any]


class Script:
    """Answers lists and watches in turn; the last answer of each is repeated."""

    def __init__(self, lists: list[bytes], watches: list[bytes]) -> None:
        self.lists, self.watches = lists, watches
        self.queries: list[dict[str, str]] = []
        self.on_watch: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, asked: Asked, out: asyncio.StreamWriter) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        self.queries.append(query)
        if "watch" in query and self.on_watch is not None:
            await self.on_watch()
        answers = self.watches if "watch" in query else self.lists
        out.write(answers.pop(0) if len(answers) > 1 else answers[0])
        await out.drain()


class Rounds:
    """One nodes feed, driven a round at a time."""

    def __init__(self, feed: ListWatch[NodeShape], clock: ManualClock) -> None:
        self.feed, self.clock = feed, clock
        self.seen: list[Observation] = []
        self.state = FeedReport("east", "nodes", clock, self.seen.extend)

    async def one(self) -> timedelta:
        return await self.feed.one_round(self.seen.extend, self.state)

    @property
    def names(self) -> list[str]:
        return [each.node.key.name for each in self.seen if isinstance(each, NodeSeen)]

    @property
    def listed(self) -> list[frozenset[str]]:
        return [each.names for each in self.seen if isinstance(each, Listed)]

    @property
    def states(self) -> list[tuple[FeedHealth, str]]:
        return [(each.state.health, each.state.why) for each in self.seen if isinstance(each, FeedChanged)]


@asynccontextmanager
async def rounds(script: Script) -> AsyncIterator[Rounds]:
    clock = ManualClock()
    async with serving(script) as wire:
        api = Api(Access("east", wire.url), source="east", clock=clock, environ={})
        nodes, *_ = feeds_of(api, NodeKeys(), clock=clock, chance=Random(1))  # noqa: S311
        try:
            yield Rounds(nodes, clock)
        finally:
            await api.close()


def page(*nodes: Json, version: str = "7", more: str = "") -> bytes:
    return body(
        200, json.dumps({"metadata": {"resourceVersion": version, "continue": more}, "items": list(nodes)})
    )


def status(code: int, reason: str, message: str) -> Json:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def stream(*events: tuple[str, Json]) -> bytes:
    lines = b"".join(json.dumps({"type": kind, "object": thing}).encode() + b"\n" for kind, thing in events)
    return CHUNKED + (chunk(lines) if lines else b"") + chunk(b"")


async def test_pages_arrive_one_by_one_and_the_end_is_told_once() -> None:
    script = Script([page(node_json("a"), more="next"), page(node_json("b"))], [stream()])
    async with rounds(script) as at:
        await at.one()
        assert at.names == ["a", "b"]
        assert at.listed == [frozenset({"a", "b"})]
    assert script.queries[1]["continue"] == "next"
    assert script.queries[2]["resourceVersion"] == "7"
    assert script.queries[2]["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("nodes", [page(node_json("gpu-1")), body(403, "{}")])
async def test_pods_are_listed_once_the_list_of_nodes_has_ended_however_it_ended(nodes: bytes) -> None:
    clock, live = ManualClock(), asyncio.Event()

    def hear(observations: Sequence[Observation]) -> None:
        states = [each.state for each in observations if isinstance(each, FeedChanged)]
        if any(state.name == "pods" and state.health is FeedHealth.LIVE for state in states):
            live.set()

    async with serving(Script([nodes, page()], [stream()])) as wire:
        api = Api(Access("east", wire.url), source="east", clock=clock, environ={})
        feeds = feeds_of(api, NodeKeys(), clock=clock, chance=Random(1))  # noqa: S311
        following = [asyncio.create_task(feed.follow(hear)) for feed in reversed(feeds)]
        async with asyncio.timeout(10):
            await live.wait()
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await api.close()
    assert [asked.path.partition("?")[0] for asked in wire.asked][:1] == ["/api/v1/nodes"]


async def test_a_continue_token_that_expired_begins_the_list_anew() -> None:
    expired = body(410, json.dumps(status(410, "Expired", "continue token too old")))
    script = Script([page(node_json("a"), more="old"), expired, page(node_json("b"))], [stream()])
    async with rounds(script) as at:
        assert await at.one() == timedelta(0)
        assert at.listed == []
        await at.one()
        assert at.listed == [frozenset({"b"})]
    assert "continue" not in script.queries[2]


async def test_a_list_that_is_too_old_again_and_again_is_asked_for_ever_more_slowly() -> None:
    expired = body(410, json.dumps(status(410, "Expired", "too old")))
    async with rounds(Script([expired], [stream()])) as at:
        waits = [await at.one() for _ in range(6)]
    assert waits[:3] == [timedelta(0)] * 3
    assert all(wait > timedelta(0) for wait in waits[3:])


async def test_a_version_that_expires_within_the_watch_leads_to_a_list() -> None:
    script = Script(
        [page(node_json("a")), page(node_json("b"), version="9")],
        [stream(("ERROR", status(410, "Expired", "too old resource version"))), stream()],
    )
    async with rounds(script) as at:
        assert await at.one() == timedelta(0)
        await at.one()
        assert at.listed == [frozenset({"a"}), frozenset({"b"})]
        assert [health for health, _ in at.states] == [FeedHealth.STARTING, FeedHealth.LIVE]


async def test_bookmarks_move_the_version_and_are_no_facts() -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "42"}})
    script = Script([page(node_json("a"))], [stream(bookmark), stream()])
    async with rounds(script) as at:
        await at.one()
        await at.one()
        assert at.names == ["a"]
    assert script.queries[2]["resourceVersion"] == "42"


async def test_events_become_nodes_seen_and_gone() -> None:
    events = [("MODIFIED", node_json("a", version="8")), ("DELETED", node_json("a", version="9"))]
    async with rounds(Script([page(node_json("a"))], [stream(*events)])) as at:
        await at.one()
        assert at.names == ["a", "a"]
        assert [each.key.name for each in at.seen if isinstance(each, NodeGone)] == ["a"]


async def test_a_node_that_cannot_be_read_is_not_taken_for_gone_and_is_named() -> None:
    broken = node_json("b", labels={"x": 5})  # type: ignore[dict-item]
    async with rounds(Script([page(node_json("a"), broken)], [stream()])) as at:
        await at.one()
        assert at.names == ["a"]
        assert at.listed == [frozenset({"a", "b"})]
        health, why = at.states[-1]
        assert health is FeedHealth.LIVE
        assert why.startswith("1 node can't be read: b: ")


async def test_an_event_that_cannot_be_read_is_noted_and_passed_over() -> None:
    broken = ("MODIFIED", {"metadata": {"name": "a", "resourceVersion": "8", "labels": 5}})
    async with rounds(Script([page(node_json("a"))], [stream(broken), stream()])) as at:
        await at.one()
        assert at.states[-1][1].startswith("1 node can't be read: a")
        await at.one()
        assert at.states[-1][0] is FeedHealth.LIVE


async def test_a_line_that_is_no_event_is_garbled_and_leads_to_a_new_list() -> None:
    script = Script([page(node_json("a"))], [CHUNKED + chunk(b"<html>\n") + chunk(b"")])
    async with rounds(script) as at:
        assert await at.one() > timedelta(0)
        assert at.states[-1][0] is FeedHealth.GARBLED
        await at.one()
        assert len(at.listed) == 2


async def test_a_watch_that_ends_at_once_and_says_nothing_is_asked_for_slowly() -> None:
    async with rounds(Script([page(node_json("a"))], [stream()])) as at:
        assert await at.one() > timedelta(0)


async def test_a_long_watch_without_any_bookmark_means_a_version_the_server_does_not_know() -> None:
    script = Script([page(node_json("a"))], [CHUNKED + chunk(b"")])
    async with rounds(script) as at:
        script.on_watch = lambda: at.clock.advance(timedelta(seconds=75))
        await at.one()
        await at.one()
        assert len(at.listed) == 2


async def test_a_throttle_waits_as_long_as_it_was_asked_to() -> None:
    busy = body(429, "Too many requests", content_type="text/plain", extra="Retry-After: 17\r\n")
    async with rounds(Script([busy], [stream()])) as at:
        assert await at.one() >= timedelta(seconds=17)
        assert at.states[-1][0] is FeedHealth.THROTTLED


async def test_the_same_trouble_is_told_once_and_since_it_began() -> None:
    refusal = body(403, json.dumps(status(403, "Forbidden", 'User "x" cannot list resource "nodes"')))
    async with rounds(Script([refusal], [stream()])) as at:
        await at.one()
        await at.clock.advance(timedelta(minutes=1))
        await at.one()
        assert len(at.states) == 2
        assert at.states[-1][0] is FeedHealth.DENIED


def test_waits_double_up_to_the_longest_and_start_over() -> None:
    backoff = Backoff(Random(3))  # noqa: S311
    waits = [backoff.wait().total_seconds() for _ in range(8)]
    assert all(
        low <= wait <= high
        for wait, (low, high) in zip(waits, [(0.5, 1), (1, 2), (2, 4), (4, 8)], strict=False)
    )
    assert max(waits) <= 30
    backoff.reset()
    assert backoff.wait() <= timedelta(seconds=1)


async def test_word_is_told_at_most_every_few_seconds() -> None:
    clock, told = ManualClock(), list[Observation]()
    report = FeedReport("east", "nodes", clock, told.extend)
    for _ in range(20):
        report.heard()
        await clock.advance(timedelta(seconds=1))
    assert len(told) == 1 + 4
