"""The pictures: each a walk to one screen over the lab fleet, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from textual.widgets import Input

from fleet.feeds import FeedHealth, FeedState
from fleet.observation import FeedChanged, LastKnown, TelemetrySeen
from fleet.operation import Progress, Waiting
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tests.snapshots import check_scenes, gate_scenes
from tests.snapshots.batch_scenes import batch_fleet, confirm_requeue
from tests.snapshots.check_scenes import check_fleet
from tests.snapshots.past_scenes import PAST_WALKS
from tui.commands import (
    AUDIT,
    CORDON,
    DRAIN,
    FAULT,
    FILTER,
    HEAT,
    HEAT_MEASURE,
    HEAT_OUT,
    HELP,
    OPEN,
    OPERATIONS,
    PALETTE,
    PROVISION,
    QUIT,
    REIMAGE,
    SHOW_OPERATION,
    SORT,
    UNCORDON,
)
from tui.screens.confirm import ConfirmScreen
from tui.screens.fleet import FleetScreen
from tui.settings import Settings

Walk = Callable[[Driver], Awaitable[object]]
WAITS = Waiting("pod research/llm-pretrain-h-4", "budget research/llm-pretrain", "research")


async def fleet(at: Driver) -> None:
    await at.select("h100-007")


async def node(at: Driver) -> None:
    await at.select("h100-007")
    await at.press(OPEN)
    await at.sees("gate")
    await at.pilot.pause(0.05)


async def marked(at: Driver) -> None:
    await at.mark("h100-001", "h100-002", "h100-003")


async def heat(at: Driver) -> None:
    await at.press(HEAT)
    await at.sees("GPU 0", "92 %")


async def heat_of_racks(at: Driver) -> None:
    await heat(at)
    await at.press(HEAT_MEASURE, HEAT_OUT, HEAT_OUT)
    await at.sees("temperature")


async def filtered(at: Driver) -> None:
    await at.press(FILTER)
    await at.type("category=h100* gpu_temp>60")
    await at.sees("of 28 nodes")


async def filter_wrong(at: Driver) -> None:
    await at.press(FILTER)
    await at.type("category=h100* gpu_temp>hot")


async def confirm_drain(at: Driver) -> None:
    await at.select("h100-004")
    await at.press(DRAIN)
    await at.planned()
    await at.fill("reason", "firmware update")


async def confirm_reimage(at: Driver) -> None:
    await at.select("h100-009")
    await at.press(REIMAGE)
    await at.planned()


async def confirm_blocked(at: Driver) -> None:
    await at.select("a100-003")
    await at.press(UNCORDON)
    await at.planned()


async def confirm_many(at: Driver) -> None:
    await at.mark(*(f"h100-{number:03}" for number in range(1, 12)), "l40s-001")
    await at.press(FILTER)
    await at.type("category=h100*")
    await at.press("enter", DRAIN)
    await at.planned()


async def _draining(at: Driver) -> None:
    lab = at.fleet.lab
    lab.holds["MoveWork"] = asyncio.Event()
    await at.select("h100-004")
    await at.press(DRAIN)
    await at.confirm("firmware update")
    await at.until(lab.reached.is_set, "the eviction")
    (run,) = at.deck.dispatcher.running()
    at_node = run.plan.nodes[0].node
    step = run.progress[at_node].step_id
    run.progress[at_node] = Progress(step, at_node, "evicting", (WAITS,), 0, 1)
    at.deck.run_changed(run)
    await at.sees("drain: waits")


async def draining(at: Driver) -> None:
    await _draining(at)


async def operations(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(CORDON)
    await at.confirm("fan swap")
    await at.ended()
    await _draining(at)
    await at.press(OPERATIONS)
    await at.sees("cordon h100-001")


async def operation(at: Driver) -> None:
    await _draining(at)
    await at.press(OPERATIONS, SHOW_OPERATION)
    await at.sees("close h100-004")


async def audit(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(CORDON)
    await at.confirm("fan swap")
    await at.ended()
    await at.press(AUDIT)
    await at.sees("op-0001")


async def quitting(at: Driver) -> None:
    await _draining(at)
    await at.press(QUIT)
    await at.sees("Leave resumable")


async def show_help(at: Driver) -> None:
    await at.press(HELP)
    await at.sees("Cordon")


async def palette(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(PALETTE)
    await at.type("dra")
    await at.sees("Drain")


async def sort(at: Driver) -> None:
    await at.press(SORT)


async def fault(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(FAULT)


async def provision(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(PROVISION)


async def interrupted(at: Driver) -> None:
    """A drain whose program was killed at its eviction, as the next program finds it."""
    await _draining(at)
    await at.deck.dispatcher.leave()
    await at.sees("left unfinished")
    at.fleet.journal.owners.clear()
    at.fleet_screen._leftovers.look()
    await at.sees("interrupted: resume it (o)", "left unfinished")


async def last_known(at: Driver) -> None:
    now = at.deck.clock.now()
    why = "https://10.20.0.1:6443/api/v1/nodes: connection refused"
    failed = [
        FeedChanged(FeedState(SOURCE, name, FeedHealth.UNREACHABLE, now - timedelta(seconds=40), None, why))
        for name in ("nodes", "pods")
    ]
    at.deck.report([LastKnown(SOURCE, now - timedelta(hours=2)), *failed])
    at.deck.report([TelemetrySeen(key, None) for key in at.deck.store.rows_by_key])
    await at.sees("last known 01:00")
    await at.select("h100-007")


WALKS: Mapping[str, Walk] = {
    **PAST_WALKS,
    "fleet": fleet,
    "node": node,
    "marked": marked,
    "heat": heat,
    "heat-racks": heat_of_racks,
    "filter": filtered,
    "filter-wrong": filter_wrong,
    "gate-vouched": gate_scenes.gate,
    "gate-verdict": gate_scenes.verdict,
    "gate-flagged": gate_scenes.flagged,
    "check": check_scenes.planned,
    "check-running": check_scenes.running,
    "check-ended": check_scenes.ended,
    "check-verdict": check_scenes.verdict,
    "drain": confirm_drain,
    "requeue": confirm_requeue,
    "reimage": confirm_reimage,
    "blocked": confirm_blocked,
    "many": confirm_many,
    "draining": draining,
    "operations": operations,
    "operation": operation,
    "audit": audit,
    "quitting": quitting,
    "help": show_help,
    "palette": palette,
    "sort": sort,
    "fault": fault,
    "provision": provision,
    "last-known": last_known,
    "interrupted": interrupted,
}


@asynccontextmanager
async def scene(name: str, size: tuple[int, int], theme: str) -> AsyncIterator[Driver]:
    """The dashboard at the end of a walk, with nothing that blinks."""
    fleet = batch_fleet(theme) if name == "requeue" else None
    fleet = check_fleet(theme) if name.startswith("check") else fleet
    async with at_the_desk(size, fleet=fleet, settings=Settings(theme=theme)) as at:
        await WALKS[name](at)
        for line in at.app.screen.query(Input):
            line.cursor_blink = False
        for screen in at.app.screen_stack:
            if isinstance(screen, FleetScreen):
                screen.tick()  # lines change places once a second: here they have
        await at.pilot.pause()
        await at.until(lambda: _tells_what_follows(at), "how much of the plan follows")
        await at.pilot.pause()
        yield at
        for held in at.fleet.lab.holds.values():
            held.set()


def _tells_what_follows(at: Driver) -> bool:
    """Whether a confirm screen says how much of its plan is below, as it is laid out now. It is told of that by a message."""
    screen = at.app.screen
    if not isinstance(screen, ConfirmScreen):
        return True
    _, below = screen.text.beyond
    told = str(screen.query_one("#form").border_title or "")
    return f" {below} more line" in told if below else "more line" not in told
