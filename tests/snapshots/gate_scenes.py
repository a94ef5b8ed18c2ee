"""Walks to the gate: what a person vouches for before it, what its verdict leaves on the node, and a node that begins to fail."""

from __future__ import annotations

from datetime import timedelta

from fleet.flag import Flag
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict
from fleet.observation import FlagsSeen
from tests.driver import Driver
from tests.fakes import key
from tests.snapshots.check_scenes import is_read
from tui.commands import GATE, OPEN
from widgets.node_pane import NodePane

QUARANTINED, IN_SERVICE = "h100-007", "h100-009"


async def gate(at: Driver) -> None:
    """A gate with an acceptance and a repair, before it is typed."""
    await at.select(QUARANTINED)
    await at.press(GATE)
    await at.planned()
    await at.fill("accept", "telemetry")
    await at.fill("expires", "4h")
    await at.fill("repaired", "replaced GPU 3")
    await at.fill("reason", "Prometheus sits on gated nodes")
    await at.planned()
    await at.sees("accept telemetry, until", "note the repair")


async def verdict(at: Driver) -> None:
    """What a gate left on a node: a fault, what could not be read, what was accepted and what was mended."""
    now = at.deck.clock.now()
    seen = now - timedelta(minutes=2, seconds=12)
    found = (
        Finding(
            "xid",
            Verdict.FAIL,
            "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3, age unknown",
            "no forbidden XID",
            "prometheus",
            seen,
            "restart the machine; then a boot, or a reset and a restart of the exporter",
        ),
        Finding(
            "ecc-dbe",
            Verdict.UNKNOWN,
            "not exported",
            "at most 0 uncorrected",
            "prometheus",
            seen,
            "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL of every GPU, or the category not needing this check",
        ),
        Finding(
            "clock-events",
            Verdict.WARN,
            "HW slowdown on GPU 1",
            "none of 0xE8",
            "prometheus",
            seen,
            "cooling",
        ),
    )
    record = GateRecord(Verdict.FAIL, found, now - timedelta(minutes=2), "oncall@desk", "a587b1434aac")
    word = Acceptance("ecc-dbe", "oncall@desk", "exporter list is rolled out", now, now + timedelta(hours=4))
    repair = Repair("oncall@desk", "replaced GPU 3", now - timedelta(minutes=1), "gate a587b1434aac")
    at.fleet.lab.change(key(QUARANTINED), gate=record, accepted=(word,), repair=repair)
    at.fleet.lab.show(key(QUARANTINED))
    await at.select(QUARANTINED)
    await at.press(OPEN)
    await at.sees("gate FAIL: xid")
    pane = at.app.screen.query_one(NodePane)
    await at.until(lambda: is_read(pane), "the node's readings")
    pane.scroll_to(y=pane.max_scroll_y - 15, animate=False)
    await at.sees("repaired: replaced GPU 3")
    await at.pilot.pause(0.05)


async def flagged(at: Driver) -> None:
    """A node in service that begins to fail."""
    since = at.deck.clock.now() - timedelta(minutes=7)
    flags = (
        Flag("clock-events", "slowed by heat or power", since),
        Flag("ecc-dbe", "2 uncorrected memory errors", since),
    )
    at.deck.report([FlagsSeen(key(IN_SERVICE), flags)])
    await at.select(IN_SERVICE)
    await at.press(OPEN)
    await at.sees("fails in service since", "press c to cordon")
    await at.pilot.pause(0.05)
