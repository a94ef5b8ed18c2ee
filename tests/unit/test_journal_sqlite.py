"""The journal on disk: what was written is what is read, whoever opens it, and a failure is told before anything is done."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from backends.journal_sqlite import SqliteJournal
from backends.journal_sqlite.codec import decode, encode
from fleet.errors import Garbled, JournalFailed
from fleet.journal import Kind, Record
from fleet.operation import OperationState, StepState
from fleet.plan import Ground, NodeFacts, Plan, SourceIdentity, Verb
from fleet.planning import plan
from fleet.policy import Policy
from fleet.workload import Budget
from tests.clocks import START
from tests.fakes import key, node, pod, request


def a_plan(verb: Verb = Verb.REIMAGE) -> Plan:
    budget = Budget("ml", "web", 0, 3, 3, "team-a")
    facts = NodeFacts(node(), "1", placements=(pod(budgets=(budget,)),))
    ground = Ground({key("gpu-1"): facts}, {"lab": SourceIdentity("lab", "cluster-1")})
    return plan(request(verb), ground, Policy(), START)


def record(kind: Kind, **fields: Any) -> Record:
    return Record(START, kind, "op-1", "oncall@desk", "reimage", **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb is not Verb.PROVISION])
def test_a_plan_read_back_is_the_plan_that_was_confirmed(verb: Verb) -> None:
    confirmed = a_plan(verb)
    assert decode(encode(confirmed)) == confirmed


@pytest.mark.parametrize("text", ["", "{", '{"$":"Nobody"}', '{"$enum":["Verb","fly"]}', '{"$at":"noon"}'])
def test_what_can_not_be_read_is_garbled(text: str) -> None:
    with pytest.raises(Garbled):
        decode(text)


def test_a_field_of_a_later_version_is_left_out() -> None:
    text = encode(SourceIdentity("lab", "cluster-1")).replace("{", '{"later":1,', 1)
    assert decode(text) == SourceIdentity("lab", "cluster-1")


async def test_records_are_there_for_the_next_program(path: Path) -> None:
    first = SqliteJournal(path)
    confirmed = a_plan()
    await first.append([record(Kind.STARTED, plan=confirmed)])
    step = confirmed.steps[0]
    await first.append([record(Kind.INTENT, step=step, step_id=step.id, node="gpu-1", state="intended")])
    await first.close()
    second = SqliteJournal(path)
    (operation,) = await second.operations()
    assert operation.state is OperationState.INTERRUPTED
    assert operation.plan == confirmed
    assert operation.step_state(step.id) is StepState.INTENDED
    assert [found.kind for found in await second.records()] == [Kind.INTENT, Kind.STARTED]
    await second.close()


async def test_two_programs_write_at_once_and_nothing_is_lost(path: Path) -> None:
    journals = [SqliteJournal(path), SqliteJournal(path)]
    await asyncio.gather(
        *(
            journal.append([record(Kind.REFUSED, says=str(number))])
            for journal in journals
            for number in range(20)
        )
    )
    assert len(await journals[0].records()) == 40
    for journal in journals:
        await journal.close()


async def test_the_journal_is_for_its_owner_alone(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.append([record(Kind.REFUSED)])
    await journal.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_that_is_no_journal_fails_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("this is not a database, however long it goes on" * 50)
    journal = SqliteJournal(path)
    with pytest.raises(JournalFailed, match=r"journal\.db"):
        await journal.append([record(Kind.STARTED)])
    await journal.close()


async def test_a_folder_that_can_not_be_made_fails_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    journal = SqliteJournal(tmp_path / "state" / "journal.db")
    with pytest.raises(JournalFailed, match="state"):
        await journal.append([record(Kind.STARTED)])
    await journal.close()


async def test_a_journal_of_a_newer_version_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version=99")
    connection.close()
    before = path.read_bytes()
    journal = SqliteJournal(path)
    with pytest.raises(JournalFailed, match="newer"):
        await journal.append([record(Kind.STARTED)])
    await journal.close()
    assert path.read_bytes() == before


async def test_a_plan_that_can_not_be_read_any_more_is_left_out_and_said(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.append([record(Kind.STARTED, plan=a_plan())])
    await journal.close()
    connection = sqlite3.connect(path)
    connection.execute("update records set plan = '{'")
    connection.commit()
    connection.close()
    journal = SqliteJournal(path)
    assert await journal.operations() == ()
    await journal.close()
