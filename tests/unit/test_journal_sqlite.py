"""The journal on disk: what was written is what is read, whoever opens it, and a failure is told before anything is done."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.journal_sqlite import SqliteJournal
from backends.journal_sqlite.codec import decode, encode
from fleet.errors import Conflict, Garbled, JournalFailed
from fleet.health import Acceptance, Finding, GateRecord, Verdict
from fleet.journal import Kind, Record
from fleet.node import Stage
from fleet.operation import OperationState, StepState
from fleet.plan import (
    Action,
    ApplyVerdict,
    Attest,
    Ground,
    Mark,
    NodeFacts,
    Plan,
    SourceIdentity,
    Step,
    Verb,
)
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


async def test_an_operation_of_a_live_program_is_running_and_can_not_be_owned_twice(path: Path) -> None:
    mine, theirs = SqliteJournal(path), SqliteJournal(path)
    await mine.append([record(Kind.STARTED, plan=a_plan())])
    await mine.own("op-1", "oncall@desk")
    (seen,) = await theirs.operations()
    assert seen.state is OperationState.RUNNING
    assert seen.owner.startswith("oncall@desk")
    with pytest.raises(Conflict, match="oncall@desk"):
        await theirs.own("op-1", "other@desk")
    with pytest.raises(Conflict):
        await mine.own("op-1", "oncall@desk")
    await mine.disown("op-1")
    assert (await theirs.operations())[0].state is OperationState.INTERRUPTED
    await theirs.own("op-1", "other@desk")
    await mine.close()
    await theirs.close()
    assert [found.name for found in path.with_suffix(".running").iterdir()] == ["lock"]


async def test_an_operation_of_a_killed_program_is_free_and_its_records_are_there(path: Path) -> None:
    """kill -9 of a real program in the middle of writing."""
    script = """
import asyncio, sys
from pathlib import Path
from backends.journal_sqlite import SqliteJournal
from fleet.journal import Kind, Record
from tests.clocks import START
from tests.unit.test_journal_sqlite import a_plan
async def main():
    journal = SqliteJournal(Path(sys.argv[1]))
    await journal.own("op-1", "oncall@desk")
    await journal.append([Record(START, Kind.STARTED, "op-1", "oncall@desk", plan=a_plan())])
    number = 0
    while True:
        await journal.append([Record(START, Kind.REFUSED, "op-2", "oncall@desk", says=str(number))])
        print(number, flush=True)
        number += 1
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    for _ in range(20):
        await child.stdout.readline()
    journal = SqliteJournal(path)
    with pytest.raises(Conflict, match=f"pid {child.pid}"):
        await journal.own("op-1", "other@desk")
    child.kill()
    told = [*range(20), *(int(line) for line in (await child.stdout.read()).split())]
    await child.wait()
    await journal.own("op-1", "other@desk")
    says = [found.says for found in await journal.records() if found.kind is Kind.REFUSED]
    assert len(says) - len(told) in (0, 1)
    assert says[::-1] == [str(number) for number in range(len(says))]
    await journal.close()


@pytest.mark.parametrize("text", ["a\x00b", "\udcff half", "\ud83d", "\x1b[31m", "[bold]", "z" * 40_000])
async def test_any_text_from_outside_can_be_written_and_read(path: Path, text: str) -> None:
    journal = SqliteJournal(path)
    confirmed = a_plan()
    odd = replace(confirmed, request=replace(confirmed.request, reason=text))
    await journal.append([record(Kind.STARTED, plan=odd, says=text)])
    (operation,) = await journal.operations()
    assert operation.plan.request.reason == text
    (read,) = await journal.records()
    assert read.says.encode(errors="backslashreplace") == text.encode(errors="backslashreplace")
    await journal.close()


async def test_a_row_that_can_not_be_read_is_a_failure_that_names_the_file(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.append([record(Kind.REFUSED)])
    await journal.close()
    connection = sqlite3.connect(path)
    connection.execute("update records set kind = 'of a later day'")
    connection.commit()
    connection.close()
    journal = SqliteJournal(path)
    with pytest.raises(JournalFailed, match=r"journal\.db"):
        await journal.records()
    await journal.close()


async def test_a_full_disk_fails_and_what_was_written_before_is_there(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.append([record(Kind.REFUSED, says="before")])
    assert journal._connection is not None
    pages = journal._connection.execute("pragma page_count").fetchone()[0]
    journal._connection.execute(f"pragma max_page_count={pages}")
    with pytest.raises(JournalFailed, match="full"):
        await journal.append([record(Kind.REFUSED, says="x" * 100_000)])
    journal._connection.execute("pragma max_page_count=1000000")
    await journal.append([record(Kind.REFUSED, says="after")])
    assert [found.says for found in await journal.records()] == ["after", "before"]
    await journal.close()


async def test_a_write_that_nobody_waits_for_any_more_is_written_and_closed_after(path: Path) -> None:
    journal = SqliteJournal(path)
    writing = asyncio.ensure_future(journal.append([record(Kind.REFUSED)]))
    await asyncio.sleep(0)
    writing.cancel()
    await journal.close()
    with pytest.raises(JournalFailed, match="closed"):
        await journal.append([record(Kind.REFUSED)])
    again = SqliteJournal(path)
    assert len(await again.records()) == 1
    await again.close()


async def test_one_operation_is_found_whatever_came_after_it(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.append([record(Kind.STARTED, plan=a_plan())])
    found = await journal.operation("op-1")
    assert found is not None
    assert found.plan == a_plan()
    assert await journal.operation("op-9") is None
    await journal.close()


async def test_a_nodes_records_come_with_the_beginning_and_end_of_what_touched_it(path: Path) -> None:
    journal, plan = SqliteJournal(path), a_plan()
    here, there = {"source": "lab", "node": "gpu-1"}, {"source": "lab", "node": "gpu-2"}
    other = replace(record(Kind.OUTCOME, **there), operation="op-2")
    await journal.append(
        [
            record(Kind.STARTED, plan=plan, says="maintenance"),
            record(Kind.OUTCOME, step_id="1", state="done", says="closed", **here),
            record(Kind.OUTCOME, step_id="2", state="done", says="closed", **there),
            record(Kind.ENDED, state="done", says="done"),
            other,
        ]
    )
    found = await journal.of_node(key("gpu-1"))
    assert [(each.kind, each.evidence, each.plan) for each in found] == [
        (Kind.STARTED, plan.hash, None),
        (Kind.OUTCOME, "", None),
        (Kind.ENDED, "", None),
    ]
    assert await journal.of_node(key("gpu-1"), START + timedelta(seconds=1)) == []
    assert [each.node for each in await journal.since(START)] == ["gpu-1", "gpu-2", "gpu-2"]
    assert await journal.since(START + timedelta(seconds=1)) == []
    await journal.close()


async def test_past_verdicts_are_told_whole_newest_first_with_how_each_ended(path: Path) -> None:
    finding = Finding(
        "ecc-dbe",
        Verdict.FAIL,
        "1 uncorrected on GPU 3",
        "at most 0 uncorrected",
        "prometheus",
        START,
        tail=("GPU 3",),
    )
    verdict = GateRecord(Verdict.FAIL, (finding,), START, "oncall", "d1", "boot-1", "rules-1")
    word = Acceptance("xid", "oncall", "power event", START, START + timedelta(hours=4))
    actions: tuple[Action, ...] = (
        Attest(START, acceptance=word),
        ApplyVerdict(verdict, "op-1"),
        Mark(Stage.DRAINED),
    )
    journal = SqliteJournal(path)
    try:
        for number, action in enumerate(actions):
            step = Step(f"lab/gpu-1/{number}", key("gpu-1"), action, "says")
            at = {"source": "lab", "node": "gpu-1", "step_id": step.id}
            await journal.append([record(Kind.INTENT, state="intended", step=step, **at)])
            if number == 0:
                await journal.append([record(Kind.OUTCOME, state="done", says="written on the node", **at)])
        await journal.append([record(Kind.INTENT, state="intended", source="lab", node="gpu-2", step_id="x")])
        judged, vouched = await journal.judgements("gpu-1")
        assert judged.step is not None
        assert judged.step.action == ApplyVerdict(verdict, "op-1")
        assert judged.state == "intended"
        assert vouched.step is not None
        assert vouched.step.action == Attest(START, acceptance=word)
        assert (vouched.state, vouched.says) == ("done", "written on the node")
        assert await journal.judgements("gpu-1", limit=1) == [judged]
        assert await journal.judgements("gpu-2") == []
    finally:
        await journal.close()


async def test_the_unfinished_are_those_without_an_end_since_they_last_began(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")

    def of(operation: str, *kinds: Kind) -> list[Record]:
        ended = OperationState.FAILED.value
        return [
            Record(
                START,
                kind,
                operation,
                "oncall@desk",
                state=ended,
                plan=a_plan() if kind is Kind.STARTED else None,
            )
            for kind in kinds
        ]

    await journal.append(of("done", Kind.STARTED, Kind.INTENT, Kind.ENDED))
    await journal.append(of("cut-off", Kind.STARTED, Kind.INTENT))
    await journal.append(of("again", Kind.STARTED, Kind.ENDED, Kind.RESUMED, Kind.INTENT))
    await journal.append(of("again-and-over", Kind.STARTED, Kind.RESUMED, Kind.ENDED, Kind.CANCEL_ASKED))
    assert [found.id for found in await journal.unfinished()] == ["again", "cut-off"]
    await journal.own("cut-off", "oncall@desk")
    assert [found.state.value for found in await journal.unfinished()] == ["interrupted", "running"]
    await journal.close()
