"""The GPU screen and the past: opened by a key, read only of a node that is looked at, and honest where it can't be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fleet.errors import TimedOut
from fleet.history import Line, Metric, NodeHistory, Span
from fleet.node import NodeKey
from fleet.observation import TelemetrySeen
from tests.clocks import START
from tests.driver import at_the_desk
from tests.fakes import SOURCE
from tests.lab_fleet import lab_fleet
from tui.commands import DOWN, FILTER, GPUS, LONGER, OPEN, SHORTER
from tui.screens.gpus import GpuScreen


def told(span: Span, util: float = 50.0) -> NodeHistory:
    lines = {Metric.UTIL: (Line("0", (util,) * span.steps),)}
    return NodeHistory(span, START, lines, "prometheus")


class Past:
    """A source whose answers come when they are let go, and that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.given_up: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, key: NodeKey, span: Span) -> NodeHistory:
        self.asked.append((key.name, span.name))
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.given_up.append(key.name)
            raise
        return told(span)


async def test_the_gpus_of_a_node_have_a_screen_and_spans_are_a_key_away() -> None:
    fleet, past = lab_fleet(), Past()
    fleet.deck.history = past
    async with at_the_desk(fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(GPUS)
        await at.sees("-1 h", "utilisation  50% GPU 0", "from prometheus, a point every 15 s")
        await at.press(SHORTER)
        await at.sees("-15 min")
        await at.press(LONGER, LONGER)
        await at.sees("-6 h", "a point every 90 s")
        await at.press(LONGER, LONGER)
        await at.sees("-15 min")
        await at.press("escape")
        await at.sees("a100-001")
    assert {name for name, _ in past.asked} == {"h100-001"}


async def test_a_past_that_does_not_come_leaves_the_table_usable_and_says_so() -> None:
    fleet = lab_fleet()

    async def late(key: NodeKey, span: Span) -> NodeHistory:
        raise TimedOut("no answer within 10 s", about="http://prometheus")

    fleet.deck.history = late
    async with at_the_desk(fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(GPUS)
        await at.sees("GPU", "util", "http://prometheus: no answer within 10 s")


async def test_a_slow_past_is_given_up_when_the_screen_goes() -> None:
    fleet, past = lab_fleet(), Past()
    past.free.clear()
    fleet.deck.history = past
    async with at_the_desk(fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(GPUS)
        await at.sees("reading the past")
        await at.until(lambda: bool(past.asked), "the question")
        await at.press("escape")
        await at.until(lambda: bool(past.given_up), "its end")
        assert not isinstance(at.app.screen, GpuScreen)


async def test_a_slow_past_is_given_up_when_the_pane_moves_on() -> None:
    fleet, past = lab_fleet(), Past()
    past.free.clear()
    fleet.deck.history = past
    async with at_the_desk((160, 50), fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.until(lambda: bool(past.asked), "the question")
        await at.press(DOWN)
        await at.until(lambda: past.given_up == ["h100-001"], "its end")
        past.free.set()
        await at.until(lambda: len(past.asked) == 2, "the next question")


async def test_a_cursor_that_runs_by_asks_for_no_past() -> None:
    fleet, past = lab_fleet(), Past()
    fleet.deck.history = past
    async with at_the_desk((160, 50), fleet=fleet) as at:
        await at.select("h100-001")
        await at.press(OPEN)
        await at.press(*[DOWN] * 5)
        await at.until(lambda: bool(past.asked), "the question")
    assert len(past.asked) <= 2


async def test_held_and_idle_can_be_asked_for_and_names_its_owner() -> None:
    fleet = lab_fleet()
    key = NodeKey(SOURCE, "h100-002")
    seen = fleet.telemetry[key]
    assert seen is not None
    async with at_the_desk((200, 50), fleet=fleet) as at:
        idle = replace(seen, idle_held=2, idle_holder="research/notebook")
        at.deck.report([TelemetrySeen(key, idle)])
        await at.press(FILTER)
        await at.type("idle_held>0")
        await at.sees("1 of 28 nodes", "2 idle: research/notebook")
