"""Walks to the GPU table and its charts: exporters that tell everything, the default fields, or MIG; with a past or none."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from fleet.errors import TimedOut
from fleet.history import Line, Metric, NodeHistory, Span
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.trails import STEP, Trails
from tests.clocks import START
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tests.lab_fleet import Fleet, lab_fleet
from tui.commands import GPUS, LONGER, OPEN
from tui.screens.fleet import FleetScreen
from tui.settings import Settings
from widgets.node_pane import NodePane

NODE = NodeKey(SOURCE, "h100-004")
GAP = range(90, 120)
"""Points in which nothing was scraped."""

USUAL = GpuTelemetry(
    "0",
    util=91,
    temp=66,
    power_watts=612,
    fb_used_mib=66_000,
    fb_total_mib=81_559,
    sm_clock=1980,
    memory_temp=74,
    xid=0,
    remapped_correctable=0,
    remapped_uncorrectable=0,
    row_remap_failure=False,
    pcie_replays=2,
    held_by="research/llm-pretrain-h-4",
    at=START,
)
WHOLE = replace(
    USUAL,
    sm_active=0.83,
    temp_margin=21,
    clock_event_reasons=0x4,
    ecc_sbe_volatile=0,
    ecc_dbe_volatile=0,
    ecc_sbe_aggregate=3,
    ecc_dbe_aggregate=0,
    remap_pending=False,
    nvlink_bandwidth=168e9,
    nvlink_errors=0,
    nvlinks_up=18,
    nvlinks_down=0,
    pcie_gen=5,
    pcie_width=16,
    pcie_width_max=16,
    recovery_action=0,
)


def _eight(row: GpuTelemetry, **wrong: dict[str, object]) -> tuple[GpuTelemetry, ...]:
    """Eight GPUs like `row`, each a little other; `wrong` changes some by `gpu3`."""
    rows = []
    for index in range(8):
        other = replace(
            row, gpu=str(index), uuid=f"GPU-{index}", util=91.0 - 2 * index, temp=66.0 + index % 4
        )
        rows.append(replace(other, **wrong.get(f"gpu{index}", {})))  # type: ignore[arg-type]
    return tuple(rows)


def whole() -> tuple[GpuTelemetry, ...]:
    """Everything is exported, and some of it is wrong."""
    return _eight(
        WHOLE,
        gpu1={"ecc_dbe_volatile": 1.0, "remap_pending": True, "xid": 48, "recovery_action": 1},
        gpu2={"temp": 93.0, "temp_margin": -6.0, "clock_event_reasons": 0x48, "sm_clock": 1188.0},
        gpu3={"xid": 31, "xid_at": START - timedelta(minutes=12)},
        gpu5={"util": 0.0, "sm_active": 0.0},
        gpu6={"nvlinks_up": 16, "nvlinks_down": 2, "nvlink_errors": 4711.0},
        gpu7={"pcie_width": 8, "util": None, "sm_active": None},
    )


def default() -> tuple[GpuTelemetry, ...]:
    """What a default dcgm-exporter tells."""
    return _eight(USUAL, gpu3={"xid": 79})


def mig() -> tuple[GpuTelemetry, ...]:
    """One GPU cut in three, whose exporter names its instances alone, beside a whole one."""
    parts = [
        replace(
            USUAL,
            uuid="GPU-0",
            instance=instance,
            profile=profile,
            util=None,
            engine_active=active,
            fb_used_mib=used,
            fb_total_mib=total,
            held_by=holder,
        )
        for instance, profile, active, used, total, holder in (
            ("1", "3g.40gb", 0.94, 30_000.0, 40_448.0, "research/notebook-a"),
            ("5", "2g.20gb", 0.41, 4_000.0, 19_968.0, "research/notebook-b"),
            ("13", "1g.10gb", 0.0, 6_000.0, 9_728.0, "serving/embed-7"),
        )
    ]
    return (*parts, replace(USUAL, gpu="1", uuid="GPU-1"))


def _wave(place: int, middle: float, reach: float, points: int) -> tuple[float | None, ...]:
    return tuple(None if at in GAP else middle + reach * math.sin(at / 17 + place) for at in range(points))


async def past(key: NodeKey, span: Span) -> NodeHistory:
    """Eight waves with a gap, and one GPU that comes too near to its threshold."""
    points = span.steps
    lines = {
        Metric.UTIL: tuple(Line(str(gpu), _wave(gpu, 82 + gpu, 8, points)) for gpu in range(8)),
        Metric.TEMP: tuple(Line(str(gpu), _wave(gpu, 64 + 3 * gpu, 3, points)) for gpu in range(8)),
        Metric.POWER: tuple(Line(str(gpu), _wave(gpu, 560 + 10 * gpu, 40, points)) for gpu in range(8)),
        Metric.MEMORY: tuple(Line(str(gpu), _wave(gpu, 80, 1, points)) for gpu in range(8)),
    }
    return NodeHistory(span, START, lines, "prometheus", slowdown=87)


async def no_past(key: NodeKey, span: Span) -> NodeHistory:
    raise TimedOut("no answer within 10 s", about="http://prometheus:9090")


def trails_of(fleet: Fleet) -> Trails:
    """A quarter of an hour of every node, as readings of the last half minutes left it."""
    trails = Trails()
    for place, (key, seen) in enumerate(fleet.telemetry.items()):
        if seen is None or seen.gpu_util is None:
            continue
        for turn in range(30):
            at = START - (29 - turn) * STEP
            util = max(0.0, seen.gpu_util + 30 * math.sin(turn / 4 + place) - 30) if seen.gpu_util else 0.0
            if not (place % 5 == 2 and 10 <= turn < 16):
                trails.note(key, NodeTelemetry(at, gpu_util=util), at)
    return trails


async def _gpus(at: Driver) -> None:
    await at.select("h100-004")
    await at.press(GPUS)
    await at.sees("held by")


async def gpus(at: Driver) -> None:
    await _gpus(at)
    await at.sees("-1 h")


async def a_day(at: Driver) -> None:
    await gpus(at)
    await at.press(LONGER, LONGER)
    await at.sees("-24 h")


async def without_past(at: Driver) -> None:
    await _gpus(at)
    await at.sees("no answer within 10 s")


async def pane(at: Driver) -> None:
    await at.select("h100-004")
    await at.press(OPEN)
    await at.sees("h100-004", "held by")
    await at.until(lambda: _past_is_read(at), "the past")


def _past_is_read(at: Driver) -> bool:
    view = at.app.screen.query_one(NodePane).view
    if view is None or view.past is None or view.gpus is None:
        return False
    return view.past.history is not None


async def trends(at: Driver) -> None:
    await at.select("h100-004")
    await at.sees("last 15 min")


Rows = Callable[[], tuple[GpuTelemetry, ...]]
Walk = Callable[[Driver], Awaitable[None]]
SCENES: Mapping[str, tuple[Rows, Walk]] = {
    "gpus": (whole, gpus),
    "gpus-day": (whole, a_day),
    "gpus-default": (default, gpus),
    "gpus-mig": (mig, without_past),
    "gpus-pane": (whole, pane),
}


@asynccontextmanager
async def gpu_scene(name: str, size: tuple[int, int], theme: str = "dark") -> AsyncIterator[Driver]:
    """The dashboard at the end of a walk."""
    settings = Settings(theme=theme)
    fleet = lab_fleet(settings=settings)
    rows, walk = SCENES.get(name, (whole, trends))
    fleet.gpus[NODE] = rows()
    fleet.deck.history = no_past if name == "gpus-mig" else past
    fleet.deck.trails = trails_of(fleet)
    seen = fleet.telemetry[NODE]
    assert seen is not None
    fleet.telemetry[NODE] = replace(
        seen, gpu_util_max=91.0, temp_margin_min=-6.0, idle_held=1, idle_holder="research/llm-pretrain-h-4"
    )
    async with at_the_desk(size, fleet=fleet, settings=settings) as at:
        await walk(at)
        for screen in at.app.screen_stack:
            if isinstance(screen, FleetScreen):
                screen.tick()
        await at.pilot.pause()
        yield at
