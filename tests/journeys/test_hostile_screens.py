"""Texts that would do harm, on every screen that looks: the map, GPUs, charts, timeline, drift, and the incident note."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import Unreachable
from fleet.flag import Flag
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict
from fleet.history import Line, Metric, NodeHistory, Span
from fleet.holder import Hold
from fleet.node import Admission, Condition, Image, Node, NodeKey, Software, Taint, Topology
from fleet.observation import AlertsSeen, FlagsSeen, NodeSeen, TelemetrySeen
from fleet.telemetry import Alert, GpuTelemetry, NodeTelemetry
from tests.clocks import START
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tui.commands import DRIFT, GPUS, HEAT, HEAT_BY, HEAT_IN, HEAT_OUT, OPEN, TIMELINE, TIMELINE_WRITE

SIZES = ((80, 24), (200, 50))
UGLY = "\x1b[31m[red]boom[/red] [/] [@click=app.quit]x[/]\x1b]0;owned\x07\n\u202eevil\r\t`|<b>" + "z" * 40_000
KEY = NodeKey(SOURCE, f"aaa{UGLY}")
ARMED = frozenset("\x1b\x07\u202e\r\t")


def ugly(node: Node) -> Node:
    return replace(
        node,
        key=KEY,
        uid=UGLY,
        category=UGLY,
        image=Image(UGLY, UGLY, UGLY),
        admission=Admission.CORDONED,
        holds=(Hold(UGLY, UGLY, since=START),),
        conditions=(Condition(UGLY, UGLY, True, UGLY, UGLY, START),),
        topology=Topology(UGLY, UGLY, UGLY, UGLY),
        software=Software(UGLY, UGLY, UGLY, UGLY, UGLY, UGLY),
        taints=(Taint(UGLY, UGLY, UGLY),),
        boot_id=UGLY,
        owner=UGLY,
        gate=GateRecord(
            Verdict.FAIL, (Finding(UGLY, Verdict.FAIL, UGLY, UGLY, UGLY, START, UGLY),), START, UGLY
        ),
        accepted=(Acceptance(UGLY, UGLY, UGLY, START, START.replace(year=START.year + 1)),),
        repair=Repair(UGLY, UGLY, START, UGLY),
    )


def gpu(number: str) -> GpuTelemetry:
    return GpuTelemetry(
        number,
        UGLY,
        UGLY,
        UGLY,
        UGLY,
        UGLY,
        UGLY,
        UGLY,
        util=float("nan"),
        temp=1e9,
        power_watts=-1e9,
        xid=2**70,
        pcie_gen=-5,
        nvlink_bandwidth=1e300,
        clock_event_reasons=2**80,
        held_by=UGLY,
    )


async def breaks(at: Driver) -> None:
    """Put the worst node there is into the fleet, with the worst past, and the cursor on it."""

    async def rows(nodes: object) -> object:
        return {KEY: [gpu("0"), gpu(UGLY)]}

    async def past(node: NodeKey, span: Span) -> NodeHistory:
        values = (0.0, -1e9, 1e9, None) * (span.steps // 4)
        return NodeHistory(span, START, {metric: (Line(UGLY, values),) for metric in Metric}, UGLY)

    deck = at.deck
    deck.by_gpu = rows  # type: ignore[assignment]
    deck.history = past
    node = ugly(at.fleet.lab.node("h100-001"))
    at.fleet.lab.add(node)
    now = deck.clock.now()
    deck.report([NodeSeen(node)])
    deck.report([NodeSeen(replace(node, taints=(), software=Software()))])
    deck.report([TelemetrySeen(KEY, NodeTelemetry(now, 2, xid=2**70, idle_held=2, idle_holder=UGLY))])
    deck.report([AlertsSeen(KEY, (Alert(UGLY, UGLY, now),)), FlagsSeen(KEY, (Flag(UGLY, UGLY, now),))])
    await at.until(lambda: KEY in set(at.fleet_screen.view.nodes()), "the node")
    await at.select(KEY.name)


def harmless(at: Driver) -> None:
    assert not set(at.text()) & ARMED, at.text()
    assert at.app.is_running


@pytest.mark.parametrize("size", SIZES)
async def test_the_node_its_gpus_and_charts_do_no_harm(size: tuple[int, int]) -> None:
    async with at_the_desk(size) as at:
        await breaks(at)
        await at.press(OPEN)
        await at.sees("[red]boom[/red]")
        harmless(at)
        await at.press(GPUS)
        await at.sees("history")
        harmless(at)


async def test_the_heat_map_does_no_harm_by_any_arrangement_at_any_zoom() -> None:
    async with at_the_desk((80, 24)) as at:
        await breaks(at)
        await at.press(HEAT)
        for _ in range(5):
            for key in (HEAT_OUT, HEAT_IN, HEAT_IN):
                await at.sees("Heat map")
                await at.press("end")
                harmless(at)
                await at.press(key)
                if "Heat map" not in at.text():
                    await at.press("escape", HEAT)
            await at.press(HEAT_BY)


@pytest.mark.parametrize("size", SIZES)
async def test_the_heat_map_says_harmlessly_why_nothing_can_be_read(size: tuple[int, int]) -> None:
    async with at_the_desk(size) as at:
        await breaks(at)

        async def unreachable(nodes: object) -> object:
            raise Unreachable(UGLY, about=UGLY)

        at.deck.by_gpu = unreachable  # type: ignore[assignment]
        await at.press(HEAT, HEAT_IN)
        await at.sees("boom")
        harmless(at)


@pytest.mark.parametrize("size", SIZES)
async def test_drift_does_no_harm(size: tuple[int, int]) -> None:
    async with at_the_desk(size) as at:
        await breaks(at)
        await at.press(DRIFT)
        await at.sees("Drift")
        for key in ("down", "up", "right", "w", "tab"):
            await at.press(key)
            harmless(at)


@pytest.mark.parametrize("size", SIZES)
async def test_the_timeline_and_the_note_do_no_harm(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with at_the_desk(size) as at:
        await breaks(at)
        await at.press(TIMELINE)
        await at.sees("accepted", "last 7d, every kind")
        harmless(at)
        await at.press(TIMELINE_WRITE)
        await at.sees("written to")
        harmless(at)
    (note,) = tmp_path.iterdir()
    assert not set(note.name) & set("/\\ \x1b[]")
    text = note.read_text()
    assert not set(text) & ARMED
    assert "<b>" not in text
    assert all(line.replace("\\|", "").count("|") == 7 for line in text.splitlines() if line.startswith("|"))
