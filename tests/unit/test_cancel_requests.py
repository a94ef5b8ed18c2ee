"""A request to cancel, from the one who asks to the one who runs it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backends.journal_sqlite import SqliteJournal
from fleet.cancel_requests import LOOKS_EVERY, CancelRequests, ask_to_cancel, cut_off
from fleet.errors import Blocked, JournalFailed, Missing
from fleet.journal import Kind, Record
from fleet.node import Admission
from fleet.operation import OperationState
from fleet.plan import Verb
from fleet.stopping import Stop
from tests import builders
from tests.clocks import START
from tests.desk import Desk
from tests.fakes import key, node, pod


async def test_the_owner_stops_a_drain_within_a_second_and_puts_the_node_back() -> None:
    desk, told = Desk(), list[str]()
    desk.lab.add(node("gpu-1"), pod("train-0"))
    await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-1")
    looking = asyncio.ensure_future(
        CancelRequests(desk.dispatcher, desk.journal, desk.clock, told.append).follow()
    )
    owner = await ask_to_cancel(desk.journal, "op-1", "colleague@desk", desk.clock)
    await desk.clock.advance(LOOKS_EVERY + timedelta(seconds=1))
    ended = await desk.ended()
    looking.cancel()
    assert (owner, told) == ("oncall@desk", ["colleague@desk cancels op-1"])
    assert ended.state is OperationState.CANCELLED
    assert desk.lab.facts[key("gpu-1")].node.admission is Admission.OPEN


async def test_a_journal_that_fails_is_looked_at_again() -> None:
    desk = Desk()
    desk.lab.add(node("gpu-1"), pod("train-0"))
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-1")
    requests = CancelRequests(desk.dispatcher, desk.journal, desk.clock, lambda line: None)
    cancels = desk.journal.cancels

    async def fails(operations: object) -> object:
        raise JournalFailed("the disk is full")

    desk.journal.cancels = fails  # type: ignore[method-assign, assignment]
    await ask_to_cancel(desk.journal, "op-1", "colleague@desk", desk.clock)
    await requests.one_look()
    assert run.stop is None
    desk.journal.cancels = cancels  # type: ignore[method-assign]
    await requests.one_look()
    assert desk.dispatcher.runs["op-1"].stop is Stop.CANCEL
    await desk.ended()


async def test_what_nobody_runs_is_not_asked_for() -> None:
    desk = Desk()
    desk.lab.add(node("gpu-1"))
    with pytest.raises(Missing, match="every user has one of their own"):
        await ask_to_cancel(desk.journal, "op-9", "colleague@desk", desk.clock)
    await desk.run(Verb.CORDON, "gpu-1")
    with pytest.raises(Blocked, match="it is done: there is nothing to cancel"):
        await ask_to_cancel(desk.journal, "op-1", "colleague@desk", desk.clock)


async def test_only_what_was_interrupted_and_nobody_runs_is_cut_off() -> None:
    desk = Desk()
    desk.lab.add(node("gpu-1"), pod("train-0"))
    await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-1")
    assert await cut_off(desk.journal, "op-1") is None
    await desk.dispatcher.leave()
    left = await cut_off(desk.journal, "op-1")
    assert left is not None
    with pytest.raises(Blocked, match="Cancel it again to end it from here"):
        await ask_to_cancel(desk.journal, "op-1", "colleague@desk", desk.clock)
    later = desk.another()
    await later.resume(left, to_cancel=True)
    assert (await desk.ended(by=later)).state is OperationState.CANCELLED
    assert await cut_off(desk.journal, "op-1") is None
    assert await cut_off(desk.journal, "op-9") is None


async def test_a_request_of_before_a_resume_does_not_stop_what_was_resumed(tmp_path: Path) -> None:
    journal, other = SqliteJournal(tmp_path / "journal.db"), SqliteJournal(tmp_path / "journal.db")
    started = Record(START, Kind.STARTED, "op-1", "oncall@desk", plan=builders.plan())
    asked = Record(START, Kind.CANCEL_ASKED, "op-1", "colleague@desk", says="asked")
    resumed = Record(START, Kind.RESUMED, "op-1", "oncall@desk")
    await journal.append([started])
    assert await journal.cancels(["op-1"]) == {}
    await other.append([asked])
    assert await journal.cancels(["op-1", "op-2"]) == {"op-1": "colleague@desk"}
    await journal.append([resumed])
    assert await journal.cancels(["op-1"]) == {}
    assert [found.state for found in await journal.operations()] == [OperationState.INTERRUPTED]
    assert await journal.owner("op-1") is None
    await other.own("op-1", "oncall@desk")
    assert "oncall@desk" in (await journal.owner("op-1") or "")
    await journal.close()
    await other.close()
