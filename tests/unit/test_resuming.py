"""Going on with an operation: nothing done is repeated, nothing unconfirmed runs, and never two programs at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fleet.errors import Conflict, TimedOut, Unreachable
from fleet.health import Verdict
from fleet.journal import Kind, Record
from fleet.node import Admission, Stage
from fleet.operation import Operation, OperationState, StepState
from fleet.plan import AwaitBoot, Check, MoveWork, Verb
from fleet.policy import Policy
from fleet.workload import WorkloadId
from tests.desk import Desk, Killed
from tests.fakes import key, node, pod


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.lab.add(node(), pod())
    return made


async def killed(desk: Desk, verb: Verb, *names: str) -> None:
    await desk.start(verb, *names)
    with pytest.raises(Killed):
        await desk.ended()
    desk.lives_again()


async def test_an_operation_that_a_live_program_runs_is_not_gone_on_with(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    (found,) = await desk.journal.operations()
    with pytest.raises(Conflict, match="oncall@desk"):
        await desk.another().resume(found)
    desk.lab.holds["MoveWork"].set()
    await desk.ended()


async def test_two_programs_that_go_on_at_once_are_one(desk: Desk) -> None:
    desk.lab.fails["MoveWork"] = TimedOut("late")
    await desk.start(Verb.DRAIN)
    await desk.ended()
    (found,) = await desk.journal.operations()
    one, other = desk.another(), desk.another()
    answers = await asyncio.gather(one.resume(found), other.resume(found), return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    await one.leave()
    await other.leave()


async def test_going_on_takes_the_journals_word_and_not_the_callers(desk: Desk) -> None:
    """The list on screen may be older than what another program has done since."""
    desk.lab.fails["MoveWork"] = TimedOut("late")
    await desk.start(Verb.DRAIN)
    await desk.ended()
    (old,) = await desk.journal.operations()
    assert (await desk.resumed()).state is OperationState.DONE
    with pytest.raises(Exception, match="nothing is left"):
        await desk.another().resume(old)


async def test_a_node_that_was_never_begun_is_looked_at_again(desk: Desk) -> None:
    desk = Desk(Policy(max_parallel=1))
    for name in ("gpu-1", "gpu-2"):
        desk.lab.add(node(name), pod())
    await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-1", "gpu-2")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    landed = pod("other-0", workload=WorkloadId("ml", "Job", "other"))
    desk.lab.facts[key("gpu-2")] = desk.lab.facts[key("gpu-1")].__class__(
        node("gpu-2"), placements=(pod(), landed)
    )
    ended = await desk.resumed()
    assert ended.state is OperationState.FAILED
    assert "ml/other-0" in ended.outcomes[-1].says
    assert desk.lab.node("gpu-2").admission is Admission.OPEN


async def test_a_node_that_somebody_opened_meanwhile_is_left_to_them(desk: Desk) -> None:
    await desk.start_and_hold(Verb.REIMAGE, "MoveWork")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN, holds=(), stage=Stage.IN_SERVICE)
    ended = await desk.resumed()
    assert ended.state is OperationState.FAILED
    assert "somebody opened it" in ended.outcomes[-1].says
    assert (desk.lab.node().admission, desk.lab.node().image.running) == (Admission.OPEN, "v1")


async def test_a_node_that_somebody_opened_meanwhile_keeps_nothing_of_ours(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
    ended = await desk.resumed()
    assert ended.state is OperationState.FAILED
    found = desk.lab.node()
    assert (found.admission, found.holds, found.stage) == (Admission.OPEN, (), Stage.IN_SERVICE)


async def test_a_node_that_only_has_the_same_name_is_left_alone(desk: Desk) -> None:
    await desk.start_and_hold(Verb.RETIRE, "MoveWork")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    desk.lab.change(key("gpu-1"), uid="another")
    ended = await desk.resumed()
    assert "another node has its name" in ended.outcomes[-1].says
    assert key("gpu-1") in desk.lab.facts


async def test_a_read_that_fails_does_not_hide_that_a_step_was_under_way(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    await desk.dispatcher.leave()
    desk.lab.holds.clear()
    later = desk.another()
    (found,) = await desk.journal.operations()
    await later.resume(found)
    desk.lab.unread = Unreachable("away")
    ended = await desk.ended("op-1", later)
    assert ended.step_state("lab/gpu-1/2-movework") is StepState.UNKNOWN
    desk.lab.unread = None
    assert (await desk.resumed()).state is OperationState.DONE


async def test_a_cancel_that_was_cut_off_is_finished_and_not_forgotten(desk: Desk) -> None:
    """Killed after the cancel was written and before the node was put back: the drain must not go on."""
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.dies_after(len(desk.journal.written) + 1)
    desk.dispatcher.cancel("op-1")
    with pytest.raises(Killed):
        await desk.ended()
    desk.lives_again()
    desk.lab.holds.clear()
    assert desk.lab.node().admission is Admission.CORDONED
    ended = await desk.resumed()
    assert ended.state is OperationState.CANCELLED
    assert desk.lab.node().admission is Admission.OPEN
    assert "MoveWork" not in desk.lab.names()


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
@pytest.mark.parametrize("verb", [Verb.GATE, Verb.REIMAGE])
async def test_a_gate_that_does_not_pass_is_never_done_whenever_it_is_killed(
    verb: Verb, verdict: Verdict
) -> None:
    for after in range(1, 16):
        desk = Desk()
        desk.lab.add(node(admission=Admission.CORDONED), pod())
        desk.lab.verdict = verdict
        desk.dies_after(after)
        await desk.start(verb)
        try:
            await desk.ended()
        except Killed:
            desk.lives_again()
            if desk.lab.node().image.running == "v2":
                desk.lab.change(key("gpu-1"), operation="op-1")
            ended = await desk.resumed()
        else:
            break
        assert ended.state is OperationState.FAILED
        assert desk.lab.node().admission is not Admission.OPEN
    assert after > 3


async def test_the_audit_trail_names_who_went_on(desk: Desk) -> None:
    desk.lab.fails["MoveWork"] = TimedOut("late")
    await desk.start(Verb.DRAIN)
    await desk.ended()
    await desk.resumed()
    resumed = [record for record in desk.journal.written if record.kind is Kind.RESUMED]
    assert [(record.by, record.plan) for record in resumed] == [("oncall@desk", None)]


async def test_a_cordon_of_many_nodes_asks_no_node_for_its_work_at_its_turn() -> None:
    desk = Desk()
    names = [f"gpu-{number}" for number in range(1, 9)]
    for name in names:
        desk.lab.add(node(name), pod())
    plan_reads = len(names) + 1
    await desk.start(Verb.CORDON, *names)
    assert (await desk.ended()).state is OperationState.DONE
    assert len(desk.lab.reads) == plan_reads
    assert not any(work for _, work in desk.lab.reads)


async def test_records_of_an_operation_are_told_in_time_that_grows_with_them() -> None:
    """A thousand nodes: folding must not build the whole operation anew for each record."""
    desk = Desk()
    names = [f"gpu-{number}" for number in range(1, 401)]
    for name in names:
        desk.lab.add(node(name))
    await desk.start(Verb.CORDON, *names)
    await desk.ended()
    counted = _CountedReads(desk.journal.written)
    from fleet.journal import fold

    (found,) = fold(counted)
    assert found.state is OperationState.DONE
    assert counted.read == len(desk.journal.written) == 802


class _CountedReads(list[Record]):
    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(records)
        self.read = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        for record in super().__iter__():
            self.read += 1
            yield record


async def cancelled_from_elsewhere(desk: Desk, verb: Verb, records: int) -> Operation:
    """A verb on a node without work, killed at that record, as a later program cancels it."""
    desk.dies_after(records)
    await killed(desk, verb)
    later = desk.another()
    (found,) = await desk.journal.operations()
    await later.resume(found, to_cancel=True)
    return await desk.ended(by=later)


@pytest.mark.parametrize("verb", [Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE])
@pytest.mark.parametrize("records", range(1, 8))
async def test_wherever_it_was_killed_a_cancel_begins_nothing_and_calls_no_step_cancelled_that_took_effect(
    verb: Verb, records: int
) -> None:
    desk = Desk()
    desk.lab.add(node())
    operation = await cancelled_from_elsewhere(desk, verb, records)
    assert operation.state is OperationState.CANCELLED
    planned = {step.id for step in operation.plan.steps}
    waits = (MoveWork, AwaitBoot, Check)
    took = {
        step.id for step in desk.lab.performed if step.id in planned and not isinstance(step.action, waits)
    }
    assert {each for each in took if operation.step_state(each) is not StepState.DONE} == set()
    assert (
        "PutImage" not in desk.lab.names() or operation.step_state("lab/gpu-1/4-putimage") is StepState.DONE
    )
    if key("gpu-1") in desk.lab.facts and desk.lab.node().admission is not Admission.OPEN:
        (hold,) = desk.lab.node().holds
        assert "cancelled" in hold.reason or operation.says == "cancelled; 1 was done before"


async def test_a_drain_that_was_killed_before_it_was_done_is_put_back_by_a_cancel() -> None:
    for records in range(1, 6):
        desk = Desk()
        desk.lab.add(node())
        await cancelled_from_elsewhere(desk, Verb.DRAIN, records)
        assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ()), records


@pytest.mark.parametrize(("verb", "records"), [(Verb.RETIRE, 6), (Verb.RETIRE, 7), (Verb.DRAIN, 7)])
async def test_a_node_that_was_done_when_it_was_killed_is_said_to_be_done_by_a_cancel(
    verb: Verb, records: int
) -> None:
    desk = Desk()
    desk.lab.add(node())
    operation = await cancelled_from_elsewhere(desk, verb, records)
    assert operation.says == "cancelled; 1 was done before"
