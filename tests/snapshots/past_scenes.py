"""Walks to what happened to a node, to drift and to the repeat offenders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from fleet.drift import Versions
from fleet.node import NodeKey, Readiness
from tests.driver import Driver
from tests.fakes import SOURCE
from tui.commands import CORDON, DRAIN, DRIFT, DRIFT_NEXT, DRIFT_TURN, TIMELINE, UNCORDON


async def timeline(at: Driver) -> None:
    await at.select("h100-001")
    await at.press(CORDON)
    await at.confirm("fan swap, ticket 4711")
    await at.ended()
    key = NodeKey(SOURCE, "h100-001")
    at.fleet.lab.change(key, readiness=Readiness.NOT_READY)
    at.fleet.lab.show(key)
    await at.press(TIMELINE)
    await at.sees("cordon ended: done", "agent not-ready")
    await at.sees_no("reading what others tell")


async def drift(at: Driver) -> None:
    at.deck.versions = _told
    for number, kernel in ((3, "6.8.0-51-lowlatency"), (5, ""), (6, "6.8.0-40")):
        key = NodeKey(SOURCE, f"h100-{number:03}")
        software = replace(at.fleet.lab.facts[key].node.software, kernel=kernel)
        at.fleet.lab.change(key, software=software)
        at.fleet.lab.show(key)
    await at.press(DRIFT)
    await at.sees("as the category declares")
    await at.sees_no("reading versions")
    await at.press(DRIFT_NEXT, DRIFT_NEXT)
    await at.sees("h100-train kernel")


async def _told() -> Mapping[NodeKey, Versions]:
    names = [f"h100-{number:03}" for number in range(1, 12)]
    return {
        NodeKey(SOURCE, name): Versions(vbios="96.00.99.00.01" if "7" in name else "96.00.74.00.1C")
        for name in names
    }


async def offenders(at: Driver) -> None:
    for verb in (DRAIN, UNCORDON, DRAIN):
        await at.select("h100-001")
        await at.press(verb)
        await at.confirm("fan swap")
        await at.ended()
    await at.press(DRIFT)
    await at.sees_no("reading versions")
    await at.press(DRIFT_TURN)
    await at.sees("2 drains")


PAST_WALKS: Mapping[str, Callable[[Driver], Awaitable[object]]] = {
    "timeline": timeline,
    "drift": drift,
    "offenders": offenders,
}
