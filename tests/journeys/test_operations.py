"""Operations under way: what they wait for, stopping them, leaving them, finding them again."""

from __future__ import annotations

import asyncio

from fleet.errors import Unreachable
from fleet.journal import Kind
from fleet.node import Admission
from fleet.operation import OperationState
from tests.driver import Driver, at_the_desk
from tests.lab_fleet import lab_fleet
from tui.commands import AUDIT, BACK, CANCEL, DRAIN, OPEN, OPERATIONS, QUIT, RESUME, SHOW_OPERATION


async def draining(at: Driver, name: str = "h100-001") -> None:
    """A drain that stands at its eviction until the test lets it go on."""
    at.fleet.lab.holds["MoveWork"] = asyncio.Event()
    await at.select(name)
    await at.press(DRAIN)
    await at.confirm("firmware")
    await at.until(at.fleet.lab.reached.is_set, "the eviction")


async def test_a_drain_that_waits_says_so_on_its_row_in_the_header_and_in_the_list() -> None:
    async with at_the_desk() as at:
        await draining(at)
        await at.sees("1 running", "drain: waits")
        await at.press(OPERATIONS)
        await at.sees("1 running, 0 interrupted", "drain h100-001")
        await at.press(SHOW_OPERATION)
        await at.sees("close h100-001 to new work", "by oncall@desk", ": firmware")
        at.fleet.lab.holds["MoveWork"].set()
        await at.ended()


async def test_cancelling_a_drain_says_what_it_does_and_puts_the_node_back() -> None:
    async with at_the_desk() as at:
        await draining(at)
        await at.press(OPERATIONS, CANCEL)
        await at.sees("Cancel drain of 1 node?", "The node is opened again")
        await at.press("escape")
        assert at.deck.dispatcher.running()
        await at.press(CANCEL, "enter")
        await at.ended()
        await at.sees("cancelled")
        assert at.fleet.lab.node("h100-001").admission is Admission.OPEN


async def test_what_ended_can_be_neither_cancelled_nor_resumed() -> None:
    async with at_the_desk() as at:
        await draining(at)
        at.fleet.lab.holds["MoveWork"].set()
        await at.ended()
        await at.press(OPERATIONS, CANCEL)
        await at.sees("Cancel: it is done: there is nothing to cancel")
        await at.press(RESUME)
        await at.sees("Resume: it is done: there is nothing to resume")


async def test_quitting_with_nothing_running_ends_at_once() -> None:
    async with at_the_desk() as at:
        await at.press(QUIT)
        await at.until(lambda: at.app.return_code is not None, "the end")
        assert at.app.return_code == 0


async def test_quitting_while_a_drain_runs_asks_and_may_stay() -> None:
    async with at_the_desk() as at:
        await draining(at)
        await at.press(QUIT)
        await at.sees("1 operation runs here", "Wait, then quit", "Leave resumable")
        await at.press("escape")
        assert at.app.return_code is None
        assert at.deck.dispatcher.running()


async def test_quitting_may_wait_for_what_runs() -> None:
    async with at_the_desk() as at:
        await draining(at)
        await at.press(QUIT, "w")
        await at.sees("leaving once nothing runs any more")
        assert at.app.return_code is None
        at.fleet.lab.holds["MoveWork"].set()
        await at.until(lambda: at.app.return_code == 0, "the end")


async def test_a_drain_that_was_left_is_offered_at_the_next_start_and_resumed() -> None:
    fleet = lab_fleet()
    async with at_the_desk(fleet=fleet) as at:
        await draining(at)
        await at.press(QUIT, "l")
        await at.until(lambda: at.app.return_code == 0, "the end")
    assert fleet.lab.node("h100-001").admission is Admission.CORDONED
    again = lab_fleet()
    again.lab.facts, again.journal.written = fleet.lab.facts, fleet.journal.written
    async with at_the_desk(fleet=again) as at:
        await at.sees("1 operation was interrupted and can be resumed: o shows them")
        await at.press(OPERATIONS, RESUME)
        await at.sees("Resume drain", "What took effect is not done again")
        await at.press("enter")
        await at.until(lambda: bool(at.deck.dispatcher.runs), "the resumed drain")
        await at.ended()
        assert [run.operation.state for run in at.deck.dispatcher.runs.values()] == [OperationState.DONE]
        assert again.lab.names() == ["MoveWork", "Mark"]


async def test_a_drain_that_was_left_is_cancelled_without_going_on() -> None:
    fleet = lab_fleet()
    async with at_the_desk(fleet=fleet) as at:
        await draining(at)
        await at.press(QUIT, "l")
        await at.until(lambda: at.app.return_code == 0, "the end")
    again = lab_fleet()
    again.lab.facts, again.journal.written = fleet.lab.facts, fleet.journal.written
    async with at_the_desk(fleet=again) as at:
        await at.press(OPERATIONS, CANCEL)
        await at.sees(
            "Cancel drain of 1 node?", "Nobody runs it any more", "The node is opened again", "Not now"
        )
        await at.press("enter")
        await at.until(lambda: bool(at.deck.dispatcher.runs), "the cancel")
        await at.ended()
        assert [run.operation.state for run in at.deck.dispatcher.runs.values()] == [OperationState.CANCELLED]
        assert again.lab.names() == ["Release"]
        assert again.lab.node("h100-001").admission is Admission.OPEN


async def test_a_journal_that_can_not_be_written_stops_the_operation_and_says_so() -> None:
    async with at_the_desk() as at:
        at.fleet.journal.fails = True
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.confirm("firmware")
        await at.sees("the disk is full")
        assert at.fleet.lab.performed == []


async def test_the_audit_tells_who_did_what() -> None:
    async with at_the_desk() as at:
        await draining(at)
        at.fleet.lab.holds["MoveWork"].set()
        await at.ended()
        await at.press(AUDIT)
        await at.sees("Audit", "close h100-001 to new work", "by oncall@desk, op-0001")


async def test_a_ground_that_can_not_be_read_is_said_and_can_be_tried_again() -> None:
    async with at_the_desk() as at:
        read = at.fleet.lab.read

        async def unreachable(nodes, **how):  # type: ignore[no-untyped-def]
            raise Unreachable("connection refused", about="lab")

        at.fleet.lab.read = unreachable  # type: ignore[method-assign]
        await at.select("h100-001")
        await at.press(DRAIN)
        await at.sees("no plan: lab: connection refused. ctrl+r tries again")
        at.fleet.lab.read = read  # type: ignore[method-assign]
        await at.press("ctrl+r")
        await at.sees("1 pod of 1 workload move")


async def test_the_list_is_left_for_the_fleet() -> None:
    async with at_the_desk() as at:
        await at.press(OPERATIONS)
        await at.sees("no operation yet")
        await at.press(BACK)
        await at.sees("h100-train")


async def test_a_node_on_which_an_operation_was_cut_off_says_that_it_can_be_resumed() -> None:
    async with at_the_desk() as at:
        await draining(at)
        at.fleet.lab.holds["MoveWork"].set()
        at.fleet.journal.written = [
            record for record in at.fleet.journal.written if record.kind is not Kind.ENDED
        ]
        journal = list(at.fleet.journal.written)
    fleet = lab_fleet()
    fleet.journal.written = [record for record in journal if record.kind is not Kind.OUTCOME][:2]
    async with at_the_desk(fleet=fleet) as at:
        await at.sees("1 operation was interrupted and can be resumed")
        await at.select("h100-001")
        await at.sees("interrupted: resume it (o)")
        assert at.text().count("interrupted: resume") == 1, "the other nodes say what they said"
        await at.press(OPEN)
        await at.until(lambda: at.text().count("interrupted:") == 2, "the pane's word")


async def test_a_node_whose_operation_goes_on_elsewhere_is_not_said_to_be_interrupted() -> None:
    async with at_the_desk() as at:
        await draining(at)
        journal = list(at.fleet.journal.written)
        at.fleet.lab.holds["MoveWork"].set()
    fleet = lab_fleet()
    fleet.journal.written = journal
    fleet.journal.owners = {journal[0].operation: "colleague@desk (pid 7)"}
    async with at_the_desk(fleet=fleet) as at:
        await at.until(lambda: at.fleet_screen._leftovers._said, "a look into the journal")
        assert "interrupted" not in at.text()
        fleet.journal.owners.clear()
        at.fleet_screen._leftovers.look()
        await at.sees("interrupted: resume it (o)")
