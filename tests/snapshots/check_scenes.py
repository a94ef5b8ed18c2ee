"""Walks over a node whose category asks for an active check: the plan, the run, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from fleet.category import CheckPolicy, OnNode
from fleet.diagnosis import DCGM_DIAG, Diagnosed
from fleet.health import Finding, Verdict
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from fleet.ports import Clock
from tests.clocks import ManualClock
from tests.driver import Driver
from tests.lab_fleet import Fleet, lab_fleet
from tui.commands import BACK, GATE, OPEN, OPERATIONS, SHOW_OPERATION
from tui.settings import Settings
from widgets.node_pane import NodePane

NODE = "h100-007"
CHECKS = {DCGM_DIAG: CheckPolicy(on_node=OnNode(level=2, image="images.example/dcgm:4.2.3"))}
TAIL = ('"name": "pcie"', '"status": "Pass"', '"Driver Version Detected": "570.133.20"', '"version": "4.2.3"')


@dataclass
class LongRun:
    """A `fleet.ports.CheckRunner` whose check runs until it is let end, and then has found a GPU at fault."""

    clock: Clock = field(default_factory=ManualClock)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    runs: asyncio.Event = field(default_factory=asyncio.Event)

    async def refusal(self) -> str:
        return ""

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Diagnosed:
        says = f"{DCGM_DIAG}: 95 s of at most 15 min, running as quarterdeck-check-3504f1ea4c0bda4d-x7k2p"
        progress(Progress(step.id, step.node, says))
        self.runs.set()
        await self.ends.wait()
        finding = Finding(
            DCGM_DIAG,
            Verdict.FAIL,
            "memory: Fail on GPU 3: GPU 3: row 7 differs from what was written (error 58)",
            "every test to pass on 8 GPUs",
            "Job quarterdeck-checks/quarterdeck-check-3504f1ea4c0bda4d, output 5f0a9d1c2b3e",
            self.clock.now() - timedelta(seconds=4),
            "isolating the GPU: a repair or a replacement, then a run that passes",
        )
        return Diagnosed(finding, tail=TAIL, digest="5f0a9d1c2b3e")

    async def clean_up(self, step: Step) -> None:
        """There is nothing to take away."""

    def leaves(self, step: Step) -> str:
        return "nothing"


def check_fleet(theme: str = "dark") -> Fleet:
    """The lab fleet, its largest category asking for a diagnostic on closed nodes."""
    runner = LongRun()
    fleet = lab_fleet(settings=Settings(theme=theme), checks=CHECKS, runner=runner)
    runner.clock = fleet.clock
    return fleet


async def planned(at: Driver) -> None:
    """The plan: which check, at which level, in what, and for how long."""
    await at.select(NODE)
    await at.press(GATE)
    await at.planned()
    await at.sees("dcgmi diag level 2, about 2 min")


async def running(at: Driver) -> None:
    """The check while it runs."""
    await planned(at)
    await at.confirm()
    runner = at.fleet.runner
    assert isinstance(runner, LongRun)
    await at.until(runner.runs.is_set, "the check")
    await at.press(OPERATIONS, SHOW_OPERATION)
    await at.sees("95 s of at most 15 min")


async def ended(at: Driver) -> None:
    """What it came to, in its operation."""
    await running(at)
    runner = at.fleet.runner
    assert isinstance(runner, LongRun)
    runner.ends.set()
    await at.ended()
    await at.sees("did not pass: h100-007")


async def verdict(at: Driver) -> None:
    """The verdict on the node, with what the check printed last."""
    await ended(at)
    await at.press(BACK, BACK, OPEN)
    await at.sees("gate FAIL: dcgm-diag")
    pane = at.app.screen.query_one(NodePane)
    await at.until(lambda: is_read(pane), "the node's readings")
    while "isolating the GPU" not in at.text() and pane.scroll_y < pane.max_scroll_y:
        pane.scroll_to(y=pane.scroll_y + 4, animate=False)
        await at.pilot.pause()
    pane.scroll_to(y=pane.scroll_y + 6, animate=False)
    await at.pilot.pause(0.05)


def is_read(pane: NodePane) -> bool:
    """Whether what the pane asks others for has come: it moves what stands below."""
    return pane.view is not None and pane.view.gpus is not None and bool(pane.view.latest)
