"""The feed of telemetry: joined, fresh, never overlapping, and honest about what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from fleet.errors import Denied, FleetError, Garbled, Throttled, Unreachable
from fleet.feeds import FeedHealth, FeedState
from fleet.history import SPANS, Metric, NodeHistory, Span
from fleet.node import NodeKey
from fleet.observation import AlertsSeen, FeedChanged, Observation, TelemetrySeen
from fleet.ports import TelemetryRead
from fleet.telemetry import REPLAYS_OVER, Alert, GpuTelemetry, NodeTelemetry, Replays
from fleet.telemetry_feed import TelemetryFeed
from tests.clocks import START, ManualClock

EVERY = timedelta(seconds=15)
FRESH = timedelta(minutes=2)
ONE, TWO = NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2.example.com")


@dataclass
class Source:
    """A telemetry source that says what the test puts into it."""

    clock: ManualClock
    names: list[str] = field(default_factory=lambda: ["gpu-1", "gpu-2"])
    fails: FleetError | None = None
    warnings: tuple[str, ...] = ()
    alerts: dict[str, tuple[Alert, ...]] = field(default_factory=dict)
    age: timedelta = timedelta()
    asked: int = 0
    at_once: int = 0
    slow: asyncio.Event | None = None
    _running: int = 0

    name = "dcgm"

    async def by_node(self) -> TelemetryRead:
        self.asked += 1
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        if self.slow is not None:
            await self.slow.wait()
        self._running -= 1
        if self.fails is not None:
            raise self.fails
        at = self.clock.now() - self.age
        nodes = {name: NodeTelemetry(at, gpu_util=5) for name in self.names}
        return TelemetryRead(nodes, self.warnings, self.alerts)

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        if self.fails is not None:
            raise self.fails
        return {
            name: (GpuTelemetry("0", "a", util=5, at=self.clock.now()),)
            for name in names
            if name in self.names
        }


@dataclass
class Desk:
    """A feed with its source, its clock, and everything that it reported."""

    known: list[NodeKey] = field(default_factory=lambda: [ONE, TWO])
    clock: ManualClock = field(default_factory=ManualClock)
    seen: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = Source(self.clock)
        self.feed = TelemetryFeed(self.source, lambda: self.known, self.clock, every=EVERY, fresh=FRESH)

    async def round(self, after: timedelta = timedelta()) -> timedelta:
        await self.clock.advance(after)
        self.seen.clear()
        return await self.feed.one_round(self.seen.extend)

    @property
    def telemetry(self) -> dict[NodeKey, NodeTelemetry | None]:
        return {item.key: item.telemetry for item in self.seen if isinstance(item, TelemetrySeen)}

    @property
    def alerts(self) -> dict[NodeKey, tuple[Alert, ...]]:
        return {item.key: item.alerts for item in self.seen if isinstance(item, AlertsSeen)}

    @property
    def state(self) -> FeedState:
        return [item.state for item in self.seen if isinstance(item, FeedChanged)][-1]


async def test_what_joins_is_told_under_the_nodes_own_key() -> None:
    desk = Desk()
    assert await desk.round() == EVERY
    assert {key: read and read.gpu_util for key, read in desk.telemetry.items()} == {ONE: 5, TWO: 5}
    assert (desk.state.source, desk.state.name, desk.state.health) == ("dcgm", "gpu", FeedHealth.LIVE)
    assert (desk.state.heard, desk.state.promises) == (START, FRESH)


async def test_what_is_left_over_is_kept_for_the_doctor() -> None:
    desk = Desk(known=[ONE, NodeKey("lab", "cpu-1")])
    desk.source.names = ["gpu-1", "stranger"]
    assert desk.feed.joined() is None
    await desk.round()
    joined = desk.feed.joined()
    assert joined is not None
    assert joined.unjoined_names == ("stranger",)
    assert joined.unjoined_nodes == (NodeKey("lab", "cpu-1"),)


async def test_a_join_is_given_out_once_it_was_told_and_not_before() -> None:
    desk = Desk()
    while_telling = []
    await desk.feed.one_round(lambda news: while_telling.append((desk.feed.joined(), len(news))))
    assert while_telling[0] == (None, 2)
    assert desk.feed.joined() is not None


async def test_a_node_whose_series_vanished_is_unknown_at_once() -> None:
    desk = Desk()
    await desk.round()
    desk.source.names = ["gpu-1"]
    await desk.round(EVERY)
    assert desk.telemetry[TWO] is None
    assert desk.telemetry[ONE] is not None
    await desk.round(EVERY)
    assert TWO not in desk.telemetry


async def test_a_sample_that_is_too_old_is_unknown() -> None:
    desk = Desk()
    desk.source.age = FRESH + timedelta(seconds=1)
    await desk.round()
    assert desk.telemetry == {}
    assert desk.state.why == "its newest samples are too old"


async def test_a_source_that_fails_keeps_its_word_until_it_is_old() -> None:
    desk = Desk()
    await desk.round()
    desk.source.fails = Unreachable("connection refused", about="http://prometheus")
    await desk.round(FRESH)
    assert desk.telemetry == {}
    assert desk.state.health is FeedHealth.UNREACHABLE
    assert desk.state.why == "http://prometheus: connection refused"
    assert desk.state.heard == START
    await desk.round(timedelta(seconds=1))
    assert desk.telemetry == {ONE: None, TWO: None}
    assert desk.state.since == START + FRESH


async def test_a_source_that_comes_back_is_live_again() -> None:
    desk = Desk()
    desk.source.fails = Unreachable("no")
    await desk.round()
    desk.source.fails = None
    await desk.round(EVERY)
    assert desk.state.health is FeedHealth.LIVE
    assert set(desk.telemetry) == {ONE, TWO}


@pytest.mark.parametrize(
    ("error", "health"),
    [
        (Denied("who are you"), FeedHealth.DENIED),
        (Garbled("line 1"), FeedHealth.GARBLED),
        (Throttled("slower"), FeedHealth.THROTTLED),
        (Unreachable("no"), FeedHealth.UNREACHABLE),
    ],
)
async def test_a_failure_is_the_feeds_state(error: FleetError, health: FeedHealth) -> None:
    desk = Desk()
    desk.source.fails = error
    await desk.round()
    assert (desk.state.health, desk.state.heard) == (health, None)


async def test_a_failing_source_is_asked_less_and_less_but_never_given_up() -> None:
    desk = Desk()
    desk.source.fails = Unreachable("no")
    pauses = [await desk.round() for _ in range(40)]
    assert pauses[:3] == [EVERY, 2 * EVERY, 4 * EVERY]
    assert pauses[-1] == 4 * EVERY


async def test_a_throttled_source_is_left_alone_as_long_as_it_asks() -> None:
    desk = Desk()
    desk.source.fails = Throttled("slower", retry_after=timedelta(minutes=5))
    assert await desk.round() == timedelta(minutes=5)


async def test_warnings_are_said_beside_live() -> None:
    desk = Desk()
    desk.source.warnings = tuple(f"remote {number} is dead" for number in range(5))
    await desk.round()
    assert desk.state.health is FeedHealth.LIVE
    assert desk.state.why == "remote 0 is dead; remote 1 is dead; remote 2 is dead; and 2 more"


@pytest.mark.parametrize(
    ("names", "why"),
    [([], "it has no GPU series"), (["a", "b"], "none of its 2 series names is a node's")],
)
async def test_a_reading_that_helps_nobody_says_so(names: list[str], why: str) -> None:
    desk = Desk()
    desk.source.names = names
    await desk.round()
    assert (desk.state.health, desk.state.why) == (FeedHealth.LIVE, why)


async def test_nodes_that_appear_between_polls_have_what_was_read_already() -> None:
    desk = Desk(known=[])
    task = asyncio.create_task(desk.feed.follow(desk.seen.extend))
    await desk.clock.advance(timedelta())
    assert desk.telemetry == {}
    desk.known = [ONE]
    await desk.clock.advance(timedelta(seconds=2))
    assert set(desk.telemetry) == {ONE}
    assert desk.source.asked == 1
    await ended(task)


async def test_polls_follow_each_other_and_never_overlap() -> None:
    desk = Desk()
    desk.source.slow = asyncio.Event()
    task = asyncio.create_task(desk.feed.follow(desk.seen.extend))
    await desk.clock.advance(10 * EVERY)
    assert desk.source.asked == 1
    desk.source.slow.set()
    await desk.clock.advance(timedelta())
    await desk.clock.advance(3 * EVERY)
    assert (desk.source.asked, desk.source.at_once) == (4, 1)
    await ended(task)


async def test_following_begins_with_a_word() -> None:
    desk = Desk()
    desk.source.slow = asyncio.Event()
    task = asyncio.create_task(desk.feed.follow(desk.seen.extend))
    await desk.clock.advance(timedelta())
    assert desk.state.health is FeedHealth.STARTING
    await ended(task)


async def test_a_large_fleet_is_told_in_batches() -> None:
    desk = Desk(known=[NodeKey("lab", f"n-{number}") for number in range(1200)])
    desk.source.names = [key.name for key in desk.known]
    batches: list[int] = []
    await desk.feed.one_round(lambda news: batches.append(len(news)))
    assert batches == [*[200] * 6, 1]


async def test_raw_rows_come_under_the_nodes_own_key() -> None:
    desk = Desk()
    await desk.round()
    rows = await desk.feed.by_gpu([TWO, NodeKey("lab", "nobody")])
    assert {key: len(gpus) for key, gpus in rows.items()} == {TWO: 1}


async def test_a_gate_reads_a_node_that_was_never_polled() -> None:
    readings = await Desk().feed.readings(TWO)
    assert (readings.source, readings.why, len(readings.gpus)) == ("dcgm", "", 1)
    assert readings.node is not None
    assert (readings.node.gpu_util, readings.node.at) == (5, START)


async def test_a_gate_is_told_why_there_is_nothing() -> None:
    desk = Desk()
    desk.source.names = ["gpu-1"]
    assert (await desk.feed.readings(TWO)).why == "no series joins this node"
    desk.source.fails = Unreachable("connection refused")
    assert (await desk.feed.readings(ONE)).why == "connection refused"
    assert (await Desk().feed.readings(NodeKey("lab", "elsewhere"))).gpus == ()


HOT = Alert("GpuHot", "warning", START)


async def test_alerts_are_told_at_their_node_when_they_begin_and_when_they_end() -> None:
    desk = Desk()
    desk.source.alerts = {"GPU-1.example.com": (HOT,), "stranger": (HOT,)}
    await desk.round()
    assert desk.alerts == {ONE: (HOT,)}
    await desk.round(EVERY)
    assert desk.alerts == {}
    desk.source.alerts = {}
    await desk.round(EVERY)
    assert desk.alerts == {ONE: ()}


async def test_a_node_without_series_has_its_alerts_all_the_same() -> None:
    desk = Desk()
    desk.source.names, desk.source.alerts = ["gpu-2"], {"gpu-1": (HOT,)}
    await desk.round()
    assert (set(desk.telemetry), desk.alerts) == ({TWO}, {ONE: (HOT,)})


async def test_alerts_of_a_source_that_fails_are_kept_until_they_are_old() -> None:
    desk = Desk()
    desk.source.alerts = {"gpu-1": (HOT,)}
    await desk.round()
    desk.source.fails = Unreachable("gone")
    await desk.round(FRESH)
    assert desk.alerts == {}
    await desk.round(timedelta(seconds=1))
    assert desk.alerts == {ONE: ()}


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_read_is_remembered_and_a_failing_source_leaves_a_gap() -> None:
    desk = Desk()
    await desk.round()
    desk.source.fails = Unreachable("gone")
    await desk.round(timedelta(minutes=1))
    desk.source.fails = None
    await desk.round(timedelta(minutes=1))
    assert desk.feed.trails.recent(ONE, Metric.UTIL, 5) == [5, None, None, None, 5]


async def test_a_source_without_a_memory_is_told_from_our_own_with_its_beginning() -> None:
    desk = Desk()
    began = desk.clock.now()
    await desk.round()
    await desk.round(timedelta(minutes=5))
    told = await desk.feed.history(ONE, SPANS[1])
    assert (told.source, told.since) == ("our own readings", began)
    assert told.of(Metric.UTIL)[0].last == 5


async def test_a_source_with_a_memory_is_asked_by_the_name_its_series_have() -> None:
    asked: list[str] = []

    class Remembers(Source):
        async def history(self, name: str, span: Span) -> NodeHistory:
            asked.append(name)
            return NodeHistory(span, self.clock.now(), source="prometheus")

    desk = Desk()
    source = Remembers(desk.clock)
    feed = TelemetryFeed(source, lambda: desk.known, desk.clock, every=EVERY, fresh=FRESH)
    await feed.one_round(desk.seen.extend)
    told = await feed.history(TWO, SPANS[0])
    assert (asked, told.source) == (["gpu-2"], "prometheus")


async def test_rows_that_were_asked_for_are_remembered_by_gpu() -> None:
    desk = Desk()
    await desk.round()
    await desk.feed.by_gpu([ONE])
    assert desk.feed.trails.gpus(ONE, Metric.UTIL, 1) == {"a": [5]}


async def test_the_past_of_a_node_that_went_is_forgotten() -> None:
    desk = Desk()
    await desk.round()
    desk.known.remove(ONE)
    await desk.round(EVERY)
    assert desk.feed.trails.recent(ONE, Metric.UTIL, 1) == []


@dataclass
class DatingSource(Source):
    """A source that can find out since when its GPUs show their XIDs; `dates` holds it up."""

    dates: asyncio.Event | None = None
    rounds: int = 0

    async def date_xids(self) -> None:
        self.rounds += 1
        if self.dates is not None:
            await self.dates.wait()

    async def dated(self, name: str, rows: Sequence[GpuTelemetry]) -> Sequence[GpuTelemetry]:
        return [replace(row, xid=79, xid_at=START - EVERY) for row in rows if name == "gpu-2"]


async def test_since_when_xids_show_is_asked_for_beside_the_polls_and_holds_none_up() -> None:
    clock = ManualClock()
    source = DatingSource(clock, dates=asyncio.Event())
    feed = TelemetryFeed(source, lambda: [ONE, TWO], clock, every=EVERY, fresh=FRESH)
    task = asyncio.create_task(feed.follow(lambda _: None))
    for _ in range(4):
        await clock.advance(EVERY)
    assert (source.asked, source.rounds) == (4, 1)
    source.dates = None
    await ended(task)


async def test_a_gate_is_told_since_when_an_xid_shows() -> None:
    clock = ManualClock()
    feed = TelemetryFeed(DatingSource(clock), lambda: [TWO], clock, every=EVERY, fresh=FRESH)
    readings = await feed.readings(TWO)
    assert [gpu.xid_at for gpu in readings.gpus] == [START - EVERY]
    assert readings.node is not None
    assert (readings.node.xid, readings.node.xid_at) == (79, START - EVERY)


@dataclass
class RememberingSource(Source):
    """A source that knows how replay counters went; `forgets` where it can't be asked now."""

    forgets: FleetError | None = None
    counts: float | None = 900
    asked_for: list[tuple[str, timedelta]] = field(default_factory=list)

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        rows = await super().by_gpu(names)
        return {name: [replace(gpu, pcie_replays=self.counts) for gpu in gpus] for name, gpus in rows.items()}

    async def replays(self, name: str, over: timedelta) -> Replays:
        self.asked_for.append((name, over))
        if self.forgets is not None:
            raise self.forgets
        return {"a": [(START, 900.0)]}


async def replays_read(source: RememberingSource) -> Replays:
    feed = TelemetryFeed(source, lambda: [TWO], source.clock, every=EVERY, fresh=FRESH)
    readings = await feed.readings(TWO)
    assert readings.gpus
    return readings.replays


async def test_a_gate_is_told_how_the_replay_counters_went() -> None:
    source = RememberingSource(ManualClock())
    assert await replays_read(source) == {"a": [(START, 900.0)]}
    assert source.asked_for == [("gpu-2", REPLAYS_OVER)]


async def test_a_past_that_can_not_be_read_is_unknown_and_the_gpus_are_read_all_the_same() -> None:
    assert await replays_read(RememberingSource(ManualClock(), forgets=Unreachable("away"))) == {}


async def test_nobody_is_asked_for_the_past_of_a_counter_that_is_not_exported() -> None:
    source = RememberingSource(ManualClock(), counts=None)
    assert await replays_read(source) == {}
    assert source.asked_for == []
