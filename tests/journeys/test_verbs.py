"""Every verb, by its keys, from the cursor to what the fleet shows afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fleet.errors import Rejected
from fleet.health import Verdict
from fleet.node import Admission, Stage
from tests.driver import at_the_desk
from tests.fakes import key
from tui.command import Command
from tui.commands import (
    CORDON,
    DRAIN,
    FAULT,
    FOLD,
    GATE,
    LEAVE_OUT,
    NODE_BACK,
    OPEN,
    OPERATIONS,
    PROVISION,
    REFUSE,
    REIMAGE,
    RETIRE,
    RUN,
    UNCORDON,
    UNDO,
)
from tui.proposals import Proposal
from tui.screens.confirm import ConfirmScreen
from tui.screens.forms import Line
from tui.screens.node import NodeScreen


async def test_cordoning_closes_the_node_with_a_name_and_a_reason() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.sees("Cordon h100-001", "close h100-001 to new work")
        await at.confirm("fan swap")
        await at.sees("cordon h100-001: done", "cordoned by oncall")
        node = at.fleet.lab.node("h100-001")
        assert node.admission is Admission.CORDONED
        assert [(hold.by, hold.reason) for hold in node.holds] == [("oncall@desk", "fan swap")]


async def test_a_cordon_without_a_reason_is_not_done() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.planned()
        await at.press("enter")
        await at.sees("a reason is asked for")
        assert at.fleet.lab.performed == []


async def test_a_plan_is_confirmed_only_once_it_was_shown() -> None:
    async with at_the_desk() as at:
        read, go_on = at.fleet.lab.read, asyncio.Event()

        async def slow(nodes, **how):  # type: ignore[no-untyped-def]
            await go_on.wait()
            return await read(nodes, **how)

        at.fleet.lab.read = slow  # type: ignore[method-assign]
        await at.select("h100-001")
        await at.press(UNCORDON)
        await at.press("enter")
        await at.sees("still reading: nothing runs before it is shown")
        go_on.set()
        await at.planned()
        assert at.fleet.lab.performed == []


@pytest.mark.parametrize("verb", [GATE, CORDON, UNCORDON, DRAIN, REIMAGE, RETIRE])
async def test_letters_go_into_the_reason_and_none_of_them_runs_or_leaves_a_plan(verb: Command) -> None:
    async with at_the_desk() as at:
        await at.select("h100-009")
        await at.press(verb)
        await at.planned()
        await at.type("yes, by hand")
        assert isinstance(at.app.screen, ConfirmScreen)
        assert at.app.screen.query_one(Line).value == "yes, by hand"
        assert at.fleet.lab.performed == []


async def test_the_reason_of_a_gate_is_kept_though_it_needs_none() -> None:
    async with at_the_desk() as at:
        await at.select("h100-007")
        await at.press(GATE)
        await at.planned()
        await at.type("by hand")
        await at.press("enter")
        await at.ended()
        (run,) = at.deck.dispatcher.runs.values()
        assert run.plan.request.reason == "by hand"


async def test_keys_typed_as_a_plan_closes_do_nothing_to_the_fleet() -> None:
    async with at_the_desk() as at:
        await at.select("h100-009")
        await at.press(CORDON)
        await at.planned()
        await at.pilot.press("escape", "x", "q")
        assert at.app.screen is at.fleet_screen
        await at.fleet.clock.advance(timedelta(seconds=0.31))
        await at.pilot.press("x")
        await at.sees("Retire h100-009")


async def test_escape_leaves_everything_as_it_was() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.planned()
        await at.press(REFUSE)
        await at.sees("nothing was done")
        assert at.fleet.lab.performed == []
        assert at.fleet.journal.written == []


async def test_uncordon_opens_what_we_closed_and_undo_proposes_it() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.confirm("fan swap")
        await at.ended()
        await at.press(UNDO)
        await at.sees("Uncordon h100-001")
        await at.planned()
        await at.type("by hand")
        await at.press("enter")
        await at.sees("uncordon h100-001: done")
        assert [run.plan.request.reason for run in at.deck.dispatcher.runs.values()] == [
            "fan swap",
            "by hand",
        ]
        assert at.fleet.lab.node("h100-001").admission is Admission.OPEN


async def test_a_colleagues_hold_is_lifted_only_when_it_is_taken_over_by_name() -> None:
    async with at_the_desk() as at:
        await at.select("a100-003")
        await at.press(UNCORDON)
        await at.planned()
        await at.press(RUN)
        await at.sees("blocked: held by gpu-operator", "tick take over below: tab, then space", "tab Options")
        await at.press("tab", "space")
        await at.sees("takes over the hold of gpu-operator")
        await at.planned()
        await at.confirm("operator is stuck")
        await at.ended()
        assert at.fleet.lab.node("a100-003").admission is Admission.OPEN


async def test_draining_moves_the_work_and_says_when_it_is_done() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.sees("1 pod of 1 workload move, 8 GPUs", "evicted pods")
        await at.confirm("firmware")
        await at.sees("drain h100-001: done", "drained")
        assert at.fleet.lab.node("h100-001").stage is Stage.DRAINED


async def test_a_budget_that_will_block_is_named_before_the_drain_begins() -> None:
    async with at_the_desk() as at:
        await at.select("h100-004")
        await at.press(DRAIN)
        await at.sees("research/llm-pretrain (owner: research)")


async def test_options_plan_anew_and_carry_kubectls_names() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.planned()
        await at.fill("deadline", "10s")
        await at.sees("is not longer than a pod's grace")
        await at.fill("deadline", "x")
        await at.sees("--timeout: '10sx' is not a duration")
        await at.press("enter")
        assert at.fleet.lab.performed == []


async def test_reimage_needs_the_nodes_name_typed() -> None:
    async with at_the_desk() as at:
        await at.select("h100-009")
        await at.press(REIMAGE)
        await at.planned()
        await at.fill("reason", "v2")
        await at.press("enter")
        await at.sees("type h100-009 to reimage")
        await at.type("h100-00")
        await at.press("enter")
        await at.sees("type h100-009 to reimage")
        assert at.fleet.lab.performed == []
        await at.type("9")
        await at.press("enter")
        await at.ended()
        await at.sees("reimage h100-009: PASS")
        assert at.fleet.lab.node("h100-009").image.running == "ubuntu22-v2"


async def test_reimage_is_answered_with_the_reason_where_there_is_no_imager() -> None:
    async with at_the_desk() as at:
        await at.select("l40s-008")
        await at.press(REIMAGE)
        await at.sees("Reimage: its category (l40s-infer) has no imager")


async def test_retire_removes_the_node_after_its_name_was_typed() -> None:
    async with at_the_desk() as at:
        await at.select("h100-003")
        await at.press(RETIRE)
        await at.confirm("lease ended", "h100-003")
        await at.sees("retire h100-003: done")
        assert key("h100-003") not in at.fleet.lab.facts
        await at.advance(seconds=2)
        assert key("h100-003") not in at.deck.store


async def test_a_node_that_a_machine_owns_is_not_retired() -> None:
    async with at_the_desk() as at:
        await at.select("l40s-008")
        await at.press(RETIRE)
        await at.sees("Retire: Machine/l40s-008 owns it: retire it through its owner")


async def test_gate_admits_a_closed_node_that_passes() -> None:
    async with at_the_desk() as at:
        await at.select("h100-007")
        await at.press(GATE)
        await at.sees("FAIL quarantines it; UNKNOWN leaves it closed")
        await at.confirm()
        await at.sees("gate h100-007: PASS")


async def test_a_gate_that_fails_says_what_it_found() -> None:
    async with at_the_desk() as at:
        at.fleet.lab.verdict = Verdict.FAIL
        await at.select("h100-007")
        await at.press(GATE)
        await at.confirm()
        await at.sees("FAIL: gpus FAIL (8, wants 8)")


async def test_a_gate_that_fails_on_an_open_node_says_that_it_stays_open() -> None:
    async with at_the_desk() as at:
        at.fleet.lab.verdict = Verdict.FAIL
        await at.select("h100-009")
        await at.press(GATE)
        await at.sees("FAIL leaves it open, and only flags it: cordon it then")
        await at.confirm()
        await at.sees("FAIL leaves it open: cordon it (c)")


async def test_provision_asks_for_a_name_and_makes_a_gated_node() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(PROVISION)
        await at.sees("A new node, behind the gate")
        await at.type("h100-099")
        await at.press("enter")
        await at.sees("make h100-099 at ubuntu22-v2, behind the gate")
        await at.confirm()
        await at.ended()
        assert key("h100-099") in at.fleet.lab.facts


async def test_marked_nodes_go_together_and_those_the_filter_hides_are_named() -> None:
    async with at_the_desk() as at:
        await at.mark("h100-001", "h100-002", "l40s-001")
        await at.press("slash")
        await at.type("category=h100*")
        await at.press("enter")
        await at.press(CORDON)
        await at.sees("Cordon 3 nodes", "1 of these nodes is marked but hidden by the filter: l40s-001")
        await at.confirm("rack work")
        await at.sees("cordon 3 nodes: done")
        assert {step.node.name for step in at.fleet.lab.performed} == {"h100-001", "h100-002", "l40s-001"}


async def test_more_than_ten_nodes_need_the_count_typed() -> None:
    async with at_the_desk() as at:
        await at.mark(*(f"h100-{number:03}" for number in range(1, 12)))
        await at.press(CORDON)
        await at.confirm("rack work")
        await at.sees("type 11 to cordon")
        assert at.fleet.lab.performed == []
        await at.type("11")
        await at.press("enter")
        await at.ended()
        assert len(at.fleet.lab.performed) == 11


async def test_a_verb_on_a_groups_row_says_that_it_is_meant_for_all_of_the_group() -> None:
    async with at_the_desk() as at:
        await at.select("a100-001")
        await at.press(FOLD)
        await at.press(CORDON)
        await at.sees("Cordon all 8 nodes of a100-batch at ubuntu22-v2", "a100-002")


async def test_blocked_nodes_can_be_left_out() -> None:
    async with at_the_desk() as at:
        await at.mark("h100-001", "a100-003")
        await at.press(UNCORDON)
        await at.planned()
        await at.sees("1 reason above; ctrl+o leaves out what is blocked")
        await at.press(RUN)
        await at.sees("1 of 2 nodes blocked: ctrl+o leaves them out")
        await at.press(LEAVE_OUT)
        await at.sees("Uncordon h100-001")


async def test_a_failure_is_told_in_the_operations_own_words() -> None:
    async with at_the_desk() as at:
        at.fleet.lab.fails["Close"] = Rejected("admission webhook says no", about="h100-001")
        await at.select("h100-001")
        await at.press(CORDON)
        await at.confirm("fan swap")
        await at.sees("cordon h100-001: h100-001: admission webhook says no")


async def test_a_node_that_changed_while_it_was_read_is_shown_again() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.planned()
        at.fleet.lab.change(key("h100-001"), uid="another")
        await at.confirm("fan swap")
        await at.sees("nothing was done. a node changed while you read: look again")
        assert at.fleet.lab.performed == []


@pytest.mark.parametrize("verb", [CORDON, DRAIN, REIMAGE, RETIRE, UNCORDON])
async def test_a_read_only_session_answers_every_change_with_why_not(verb) -> None:  # type: ignore[no-untyped-def]
    async with at_the_desk(read_only=True) as at:
        await at.sees("read-only")
        await at.select("h100-009")
        await at.press(verb)
        await at.sees(f"{verb.label}: this session is read-only")


async def test_a_read_only_session_may_check_a_gate() -> None:
    async with at_the_desk(read_only=True) as at:
        await at.select("h100-009")
        await at.press(GATE)
        await at.sees("Gate (check only: read-only session) h100-009")
        await at.confirm()
        await at.sees("gate h100-009: PASS")
        assert at.fleet.lab.performed == []


async def test_a_busy_node_is_answered_with_the_operation_that_works_on_it() -> None:
    async with at_the_desk() as at:
        at.fleet.lab.holds["MoveWork"] = asyncio.Event()
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.confirm("firmware")
        await at.until(at.fleet.lab.reached.is_set, "the eviction")
        await at.press(CORDON)
        await at.sees("works on it: o shows it")
        await at.press(OPERATIONS)
        await at.sees("drain h100-001")
        at.fleet.lab.holds["MoveWork"].set()
        await at.ended()


async def test_a_plan_that_comes_when_its_screen_was_left_is_nobodys() -> None:
    async with at_the_desk() as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.planned()
        screen = at.app.screen
        assert isinstance(screen, ConfirmScreen)
        late = Proposal(screen.plan)
        await at.press(REFUSE)
        await at.until(lambda: not screen.is_attached, "the end of the screen")
        screen.show(late)
        screen.close(None)
        await at.sees("nothing was done")
        assert at.fleet.lab.performed == []


async def test_undo_is_a_key_of_a_nodes_own_screen_too() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.confirm("fan swap")
        await at.ended()
        await at.select("h100-002")
        await at.press(OPEN)
        await at.until(lambda: isinstance(at.app.screen, NodeScreen), "the node's screen")
        await at.press(UNDO)
        await at.sees("Undo: there is nothing of ours to undo on it")
        await at.press(NODE_BACK)
        await at.select("h100-001")
        await at.press(OPEN)
        await at.until(lambda: isinstance(at.app.screen, NodeScreen), "the node's screen")
        await at.press(UNDO)
        await at.sees("Uncordon h100-001")


async def test_a_fault_is_for_every_marked_node() -> None:
    async with at_the_desk() as at:
        await at.mark("h100-001", "h100-002")
        await at.select("l40s-001")
        await at.press(FAULT)
        await at.sees("Break 2 nodes", "xid-79")
        await at.press("enter")
        await at.sees("h100-001: xid-79; h100-002: xid-79")
        assert sorted(at.fleet.desk.injected) == [("xid-79", "h100-001"), ("xid-79", "h100-002")]
