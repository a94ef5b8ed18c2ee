"""The child is asked, killed when it hangs, and started again after a pause; the feed says how it is."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from backends.nvml.convert import Here
from backends.nvml.host import NvmlHost
from backends.nvml.source import NvmlNodes, NvmlReader, NvmlTelemetry
from fleet.errors import Garbled, Unreachable
from fleet.feeds import FeedHealth
from fleet.node import NodeKey, Readiness
from fleet.observation import FeedChanged, Listed, NodeSeen, Observation
from fleet.plan import Options, Permission, Verb
from fleet.plan import Request as PlanRequest
from fleet.planning import plan
from fleet.policy import Policy
from fleet.ports import Clock
from tests.clocks import START, ManualClock

HERE = Here("node-1.example.com")
KEY = NodeKey("nvml", "node-1.example.com")
PATIENT = timedelta(seconds=60)
BRIEF = timedelta(milliseconds=300)

Make = Callable[..., NvmlHost]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[NvmlHost] = []

    def of(mode: str, clock: Clock, deadline: timedelta = PATIENT) -> NvmlHost:
        command = (sys.executable, "-m", "tests.unit.nvml.stand_in", mode)
        made.append(NvmlHost(clock, command=command, deadline=deadline))
        return made[-1]

    yield of
    for host in made:
        await host.close()


async def test_a_reading_comes_from_the_child_and_serves_for_a_second(make: Make) -> None:
    clock = ManualClock()
    host = make("healthy", clock)
    first = await host.read()
    assert (first.driver, len(first.gpus)) == ("570.133.20", 2)
    assert await host.read() is first
    await clock.advance(timedelta(seconds=2))
    again = await host.read()
    assert again == first
    assert again is not first


async def test_a_host_without_a_driver_says_so(make: Make) -> None:
    with pytest.raises(Unreachable, match="there is no NVIDIA driver on this host"):
        await make("missing", ManualClock()).read()


async def test_the_real_child_reads_or_says_why_not() -> None:
    host = NvmlHost(ManualClock(), deadline=PATIENT)
    try:
        read = await host.read()
    except Unreachable as error:
        assert "driver" in error.message  # noqa: PT017 - either end is right, by the machine
    else:
        assert read.driver
    await host.close()


async def test_a_driver_that_hangs_is_left_within_the_deadline(make: Make) -> None:
    host = make("hang", ManualClock(), BRIEF)
    with pytest.raises(Unreachable, match="the driver hangs"):
        await host.read()
    assert host._process is None
    (killed,) = host._killed
    await host.close()
    assert killed.returncode == -9


async def test_a_driver_that_hangs_later_is_left_and_asked_anew_after_a_pause(make: Make) -> None:
    clock = ManualClock()
    host = make("hang-later", clock)
    await host.read()
    await clock.advance(timedelta(seconds=2))
    host._deadline = BRIEF
    with pytest.raises(Unreachable, match="the driver hangs"):
        await host.read()
    host._deadline = PATIENT
    with pytest.raises(Unreachable, match="the driver hangs"):
        await host.read()
    await clock.advance(timedelta(seconds=1))
    assert len((await host.read()).gpus) == 2


async def test_a_driver_that_is_unloaded_in_mid_run_leaves_the_host_unheard_of(make: Make) -> None:
    clock, seen = ManualClock(), list[Observation]()
    host = make("vanishes", clock)
    feed, telemetry = NvmlNodes(host, HERE, clock), NvmlTelemetry(host, HERE, clock)
    await feed.one_round(seen.extend)
    await clock.advance(timedelta(seconds=5))
    seen.clear()
    await feed.one_round(seen.extend)
    node, state = seen
    assert isinstance(node, NodeSeen)
    assert node.node.readiness is Readiness.UNKNOWN
    assert isinstance(state, FeedChanged)
    assert "the NVIDIA driver is installed but not loaded" in state.state.why
    with pytest.raises(Unreachable, match="not loaded"):
        await telemetry.by_node()


async def test_an_xid_is_dated_by_when_it_was_heard_and_outlives_the_child(make: Make) -> None:
    clock = ManualClock()
    host = make("xid", clock)
    telemetry = NvmlTelemetry(host, HERE, clock)
    first, second = (await telemetry.by_gpu([KEY.name]))[KEY.name]
    assert (first.xid, second.xid, second.xid_at) == (None, 63, START)
    await clock.advance(timedelta(seconds=5))
    node = (await telemetry.by_node()).nodes[KEY.name]
    assert (node.xid, node.xid_at) == (63, START + timedelta(seconds=5))
    host._give_up()
    await clock.advance(timedelta(seconds=5))
    assert (await telemetry.by_gpu([KEY.name]))[KEY.name][1].xid == 63


async def test_pauses_grow_while_it_fails_and_end_at_a_minute(make: Make) -> None:
    clock = ManualClock()
    host = make("dies", clock)
    pauses = []
    for _ in range(8):
        with pytest.raises(Unreachable, match="ended without an answer"):
            await host.read()
        assert host._refusal is not None
        pauses.append(host._refusal[0] - clock.monotonic())
        await clock.advance(timedelta(seconds=pauses[-1]))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_an_answer_that_is_none_is_garbled(make: Make) -> None:
    with pytest.raises(Garbled):
        await make("garbage", ManualClock()).read()


async def test_a_child_that_can_not_be_started_is_unreachable() -> None:
    host = NvmlHost(ManualClock(), command=("/no/such/program",))
    with pytest.raises(Unreachable, match="its reader failed"):
        await host.read()


async def test_the_feed_shows_the_host_and_then_its_silence(make: Make) -> None:
    clock, seen = ManualClock(), list[Observation]()
    host = make("hang-later", clock)
    feed = NvmlNodes(host, HERE, clock)
    await feed.one_round(seen.extend)
    node, listed, state = seen
    assert isinstance(node, NodeSeen)
    assert (node.node.key, node.node.readiness) == (KEY, Readiness.READY)
    assert listed == Listed("nvml", frozenset({KEY.name}))
    assert isinstance(state, FeedChanged)
    assert (state.state.health, state.state.heard) == (FeedHealth.LIVE, START)
    seen.clear()
    await clock.advance(timedelta(seconds=5))
    host._deadline = BRIEF
    await feed.one_round(seen.extend)
    node, state = seen
    assert isinstance(node, NodeSeen)
    assert node.node.readiness is Readiness.UNKNOWN
    assert isinstance(state, FeedChanged)
    assert (state.state.health, state.state.heard) == (FeedHealth.UNREACHABLE, START)
    assert "the driver hangs" in state.state.why


async def test_the_feed_of_a_host_without_a_driver_names_no_node(make: Make) -> None:
    seen = list[Observation]()
    clock = ManualClock()
    await NvmlNodes(make("missing", clock), HERE, clock).one_round(seen.extend)
    (state,) = seen
    assert isinstance(state, FeedChanged)
    assert state.state.health is FeedHealth.UNREACHABLE
    assert "no NVIDIA driver" in state.state.why


async def test_telemetry_is_of_this_host_alone(make: Make) -> None:
    clock = ManualClock()
    source = NvmlTelemetry(make("healthy", clock), HERE, clock)
    (name, summed), *_ = (await source.by_node()).nodes.items()
    assert (name, summed.gpus_seen, summed.gpu_util, summed.at) == (KEY.name, 2, 42, START)
    assert list(await source.by_gpu(["node-1.example.com", "other"])) == ["node-1.example.com"]
    assert await source.by_gpu(["other"]) == {}


@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.DRAIN, Verb.GATE])
async def test_nothing_may_be_changed_there(make: Make, verb: Verb) -> None:
    from fleet.plan import Ground

    reader = NvmlReader(make("healthy", ManualClock()), HERE)
    permissions = {("nvml", verb): found for verb, found in (await reader.allowed(list(Verb))).items()}
    assert set(permissions.values()) == {Permission.NOBODY}
    ground = Ground(
        facts=await reader.read([KEY, NodeKey("nvml", "other")]),
        identity={"nvml": await reader.identity()},
        permissions=permissions,
    )
    asked = PlanRequest(verb, (KEY,), "oncall@desk", "a reason", "op-1", Options())
    says = [blocker.says for blocker in plan(asked, ground, Policy(), START).all_blockers]
    assert "nothing may be changed in nvml: it is only looked at" in says
