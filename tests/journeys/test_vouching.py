"""A person vouches for a node at its gate: typed, written on the node, shown, and never for a check that fails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.health import Finding, GateRecord, Verdict
from fleet.node import Admission, NodeKey, Stage
from fleet.plan import Attest
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tui.commands import GATE, OPEN
from tui.screens.confirm import ConfirmScreen

NODE = NodeKey(SOURCE, "h100-007")


async def gating(at: Driver, **fields: str) -> None:
    await at.select("h100-007")
    await at.press(GATE)
    await at.planned()
    for name, text in fields.items():
        await at.fill(name, text)
    await at.planned()


async def test_an_acceptance_is_asked_for_typed_and_written_before_the_check() -> None:
    async with at_the_desk() as at:
        await gating(at, accept="telemetry", expires="4h", reason="Prometheus sits on gated nodes")
        await at.sees("accept telemetry, until", "telemetry stays UNKNOWN; a FAIL of it is not accepted")
        await at.press("enter")
        await at.sees("type h100-007 to gate: this can't be confirmed by a key")
        assert at.fleet.lab.performed == []
        await at.fill("typed", "h100-007")
        await at.press("enter")
        await at.ended()
        assert at.fleet.lab.names() == ["Attest", "ApplyVerdict"]
        (word,) = at.fleet.lab.facts[NODE].node.accepted
        now = at.deck.clock.now()
        assert (word.check, word.reason) == ("telemetry", "Prometheus sits on gated nodes")
        assert word.by == at.deck.by
        assert word.until - now == timedelta(hours=4)


async def test_no_acceptance_without_a_reason() -> None:
    async with at_the_desk() as at:
        await gating(at, accept="telemetry")
        await at.press("enter")
        await at.sees("a reason is asked for")
        assert at.fleet.lab.performed == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"accept": "telemtry"}, "is no check that can be accepted"),
        ({"accept": "evidence"}, "is no check that can be accepted"),
        ({"accept": "xid", "expires": "25h"}, "a check is accepted for at most 24 h"),
        ({"accept": "xid", "expires": "soon"}, "--expires"),
        ({"accept": "xid", "expires": "2020-01-01T00:00Z"}, "it would have ended"),
    ],
)
async def test_what_can_not_be_accepted_is_said_at_once(fields: dict[str, str], says: str) -> None:
    async with at_the_desk() as at:
        await gating(at, **fields)
        await at.sees(says)
        assert isinstance(at.app.screen, ConfirmScreen)


async def test_a_repair_is_offered_where_a_fault_asks_for_evidence() -> None:
    async with at_the_desk() as at:
        fault = GateRecord(
            Verdict.FAIL, (Finding("xid", Verdict.FAIL, "XID 79"),), at.deck.clock.now(), "oncall", "d1"
        )
        at.fleet.lab.change(NODE, gate=fault, stage=Stage.QUARANTINED, admission=Admission.GATED)
        at.fleet.lab.show(NODE)
        await gating(at, repaired="replaced GPU 3")
        await at.sees("note the repair: replaced GPU 3")
        await at.fill("typed", "h100-007")
        await at.press("enter")
        await at.ended()
        step = at.fleet.lab.performed[0]
        assert isinstance(step.action, Attest)
        assert step.action.repair is not None
        assert step.action.repair.answers.startswith("gate d1 ")


async def test_what_was_accepted_is_shown_on_the_node_pane_and_in_the_next_plan() -> None:
    async with at_the_desk() as at:
        await gating(at, accept="telemetry", reason="Prometheus sits on gated nodes")
        await at.fill("typed", "h100-007")
        await at.press("enter")
        await at.ended()
        at.fleet.lab.show(NODE)
        await at.select("h100-007")
        await at.press(OPEN)
        await at.sees("telemetry accepted while unknown, until")
        await at.press("escape", GATE)
        await at.sees("accepted already: telemetry, until")
