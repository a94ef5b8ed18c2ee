"""Active checks as an operator meets them on the embedded fleet: in the plan, while they run, in the verdict, and cancelled."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from backends.kubernetes.check_runs import leftovers
from backends.kubernetes.connection import Api
from backends.kubernetes.kubeconfig import find
from fleet.category import Category, CheckPolicy, OnNode
from fleet.diagnosis import DCGM_DIAG, CheckSite
from fleet.health import Finding, GateRecord, Verdict
from fleet.journal import Kind, Record
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.plan import ApplyVerdict, Step
from fleet.policy import Policy
from tests.driver import Driver, at_the_desk, driving
from tests.fakes import SOURCE, key
from tests.snapshots.check_scenes import check_fleet, ended
from tui.choice import Choice, DemoChoice
from tui.chosen import CHECKED
from tui.commands import BACK, CANCEL, GATE, OPEN, OPERATIONS, SHOW_OPERATION, TIMELINE
from tui.past import read_lately
from tui.settings import Settings
from tui.wiring import open_deck
from widgets.node_pane import NodePane

NODES, SEED = 60, 1
NEW = "gpu-l40s-005"
"""The embedded fleet's node that is new and behind the gate."""


@asynccontextmanager
async def at_the_demo(
    settings: Settings | None = None, *, speed: float = 20.0, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[Driver]:
    choice = Choice(settings or Settings(), DemoChoice(NODES, SEED, speed))
    async with driving(lambda: open_deck(choice), choice.settings, size) as at:
        await at.until(lambda: len(at.deck.store) == NODES, "the fleet")
        await at.select(NEW)
        yield at


def long() -> Settings:
    """A diagnostic of two minutes, on a fleet whose time does not hurry."""
    image = OnNode(level=2, image="images.example/dcgm:4.2.3")
    checked = Category(CHECKED, checks={DCGM_DIAG: CheckPolicy(on_node=image)})
    return Settings(policy=Policy(categories={CHECKED: checked}))


def shown(at: Driver) -> Node:
    record = at.deck.store.record(NodeKey(at.deck.sources[0], NEW))
    assert record is not None
    return record.node


async def read_on(at: Driver, until: str) -> str:
    """The node's own screen, read downwards until it says something; as one line, for it wraps."""
    told = ""
    for _ in range(40):
        told = " ".join((told + " " + at.text()).split())
        if until in " ".join(at.text().split()):
            return told
        await at.press("down", "down", "down")
    raise AssertionError(f"{until!r} is nowhere on the screen of the node: {told}")


async def left(at: Driver) -> list[str]:
    """What the cluster still has of our checks."""
    kubeconfig = at.deck.settings.kubernetes.kubeconfig
    assert kubeconfig is not None
    access = find(kubeconfig=str(kubeconfig), context=None, environ={}, home=kubeconfig.parent)
    api = Api(access, source="demo", clock=at.deck.clock, environ={})
    try:
        return [remark.says for remark in await leftovers(api, CheckSite(), at.deck.policy.prefix)]
    finally:
        await api.close()


async def test_the_plan_says_what_is_run_and_the_verdict_admits_the_node() -> None:
    async with at_the_demo() as at:
        await at.press(GATE)
        await at.sees(
            f"run dcgm-diag on {NEW}: dcgmi diag level 1, seconds, at most 5 min", "images.example/dcgm:4.2.3"
        )
        await at.confirm()
        await at.press(OPERATIONS, SHOW_OPERATION)
        await at.sees("dcgm-diag PASS: 1 test passed", f"check {NEW}, and admit it on a PASS", "PASS")
        await at.ended()
        await at.until(lambda: shown(at).admission is Admission.OPEN, "the open node")
        assert await left(at) == []


async def test_a_fault_that_it_finds_quarantines_and_says_where_it_was_read_and_what_clears_it() -> None:
    async with at_the_demo(size=(80, 24)) as at:
        faults = at.deck.faults
        assert faults is not None
        await faults.inject("row_remap", shown(at).key)
        await at.press(GATE)
        await at.confirm()
        await at.ended()
        await at.until(lambda: shown(at).stage is Stage.QUARANTINED, "the quarantined node")
        await at.press(OPEN)
        await at.sees("gate FAIL: dcgm-diag")
        told = await read_on(at, '"version": "4.2.3"')
        assert "isolating the GPU: a repair or a replacement, then a run that passes" in told
        assert "software: Fail on GPU 0: GPU 0: row_remap found (error 80)" in told
        assert "wants every test to pass on 4 GPUs" in told
        assert "from Job quarterdeck-checks/quarterdeck-check-" in told
        assert re.search(r"output [0-9a-f]{12}, \d+s old", told)
        record = shown(at).gate
        assert record is not None
        finding = next(each for each in record.findings if each.check == DCGM_DIAG)
        assert (finding.verdict, finding.source.split("/")[0]) == (Verdict.FAIL, "Job quarterdeck-checks")
        assert finding.at is not None


async def test_the_pane_shows_the_whole_verdict_that_the_journal_of_another_day_has() -> None:
    """The node keeps what did not pass, in short; what the check printed is in the journal alone."""
    async with at_the_desk((80, 24)) as at:
        node, fleet = key("h100-007"), at.fleet
        failed = Finding(DCGM_DIAG, Verdict.FAIL, "memory: Fail on GPU 3", clears="a reset of the GPU")
        kept = GateRecord(Verdict.FAIL, (failed,), fleet.clock.now(), "oncall@desk", "a587b1434aac")
        whole = replace(kept, findings=(replace(failed, tail=("GPU 3: row 7 differs",)),))
        step = Step("lab/h100-007/1", node, ApplyVerdict(whole, "op-7"), "apply")
        written = Record(
            fleet.clock.now(), Kind.INTENT, "op-7", "oncall@desk", "gate", SOURCE, node=node.name, step=step
        )
        await fleet.journal.append([written])
        for digest, shows in (("a587b1434aac", True), ("b0b0b0b0b0b0", False)):
            fleet.lab.change(node, gate=replace(kept, digest=digest))
            fleet.lab.show(node)
            await at.select("h100-007")
            await at.press(OPEN)
            await at.sees("gate FAIL: dcgm-diag")
            told = await read_on(at, "GPU 3: row 7 differs" if shows else "conditions")
            assert "clears: a reset of the GPU" in told
            assert ("GPU 3: row 7 differs" in told) is shows
            await at.press(BACK)


async def test_the_pane_drops_what_this_sitting_found_once_somebody_else_has_judged_the_node() -> None:
    async with at_the_desk(fleet=check_fleet()) as at:
        await ended(at)
        node, fleet = key("h100-007"), at.fleet
        await at.press(BACK, BACK, OPEN)
        pane = at.app.screen.query_one(NodePane)

        def found() -> set[str]:
            return {finding.check for finding in pane.view.findings} if pane.view is not None else set()

        await at.until(lambda: DCGM_DIAG in found(), "what this sitting found")
        await fleet.clock.advance(timedelta(minutes=5))
        judged = GateRecord(Verdict.PASS, (), fleet.clock.now(), "colleague@desk", "c0ffee000000")
        fleet.lab.change(node, gate=judged)
        fleet.lab.show(node)
        await at.until(lambda: found() == set(), "the end of what this sitting found")


async def test_cancelled_half_way_it_leaves_nothing_on_the_cluster_and_no_verdict() -> None:
    async with at_the_demo(long(), speed=1.0) as at:
        await at.press(GATE)
        await at.sees("dcgmi diag level 2, about 2 min, at most 15 min")
        await at.confirm()
        await at.press(OPERATIONS, SHOW_OPERATION)
        await at.sees("of at most 15 min, running as quarterdeck-check-")
        assert len(await left(at)) == 1
        await at.press(BACK, CANCEL)
        await at.sees("Cancel gate of 1 node?")
        await at.press("enter")
        await at.ended()
        await at.sees("cancelled")
        assert await left(at) == []
        assert (shown(at).admission, shown(at).stage) == (Admission.GATED, Stage.PROVISIONING)
        assert shown(at).gate is None


async def test_while_it_runs_the_nodes_past_says_that_it_is_under_way() -> None:
    async with at_the_demo(long(), speed=1.0) as at:
        await at.press(GATE)
        await at.sees("dcgmi diag level 2, about 2 min, at most 15 min")
        await at.confirm()
        await at.press(OPERATIONS, SHOW_OPERATION)
        await at.sees("of at most 15 min, running as quarterdeck-check-")
        await at.press(BACK, BACK, TIMELINE)
        await at.sees("gate, under way: run dcgm-diag on gpu-l40s-005")
        assert "outcome is not known" not in at.text()
        lately = await read_lately(at.deck, NodeKey(at.deck.sources[0], NEW))
        assert any(entry.says.startswith("gate, under way: ") for entry in lately.entries)
