"""The dispatcher and the runner: journal first, brakes, endings, resume. Read-only is enforced here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from fleet.errors import Blocked, Conflict, Denied, JournalFailed, OutcomeUnknown, TimedOut
from fleet.health import GateRecord, Verdict
from fleet.holder import Hold
from fleet.journal import Kind, Record
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import Effect, OperationState, StepState
from fleet.plan import Verb
from fleet.policy import Policy
from fleet.workload import WorkloadId
from tests.desk import Desk
from tests.fakes import SOURCE, key, node, pod, request


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.lab.add(node(), pod())
    return made


async def test_the_intent_stands_in_the_journal_before_the_outcome(desk: Desk) -> None:
    done = await desk.run(Verb.CORDON)
    assert done.state is OperationState.DONE
    assert desk.kinds() == [("started", ""), ("intent", "close"), ("outcome", "close"), ("ended", "")]
    assert desk.lab.node().admission is Admission.CORDONED


async def test_nothing_is_done_when_the_journal_fails(desk: Desk) -> None:
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    desk.journal.fails = True
    with pytest.raises(JournalFailed):
        await desk.dispatcher.run(plan)
    assert desk.lab.performed == []


async def test_read_only_is_enforced_in_the_dispatcher() -> None:
    desk = Desk(Policy(read_only=True))
    desk.lab.add(node(), pod())
    for verb in (Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE, Verb.GATE):
        plan = await desk.dispatcher.plan(request(verb))
        with pytest.raises(Blocked, match="read-only"):
            await desk.dispatcher.run(plan)
    assert desk.lab.performed == []


async def test_a_check_that_writes_nothing_runs_read_only() -> None:
    desk = Desk(Policy(read_only=True))
    desk.lab.add(node())
    done = await desk.run(Verb.GATE, check_only=True)
    assert done.state is OperationState.DONE
    assert desk.lab.performed == []
    assert desk.journal.written == []


async def test_a_blocked_plan_does_not_run(desk: Desk) -> None:
    plan = await desk.dispatcher.plan(request(Verb.UNCORDON, "gpu-9"))
    with pytest.raises(Blocked, match="no node gpu-9"):
        await desk.dispatcher.run(plan)


async def test_a_reimage_goes_through_every_step_and_is_admitted(desk: Desk) -> None:
    done = await desk.run(Verb.REIMAGE)
    assert done.state is OperationState.DONE
    assert desk.lab.names() == ["Close", "MoveWork", "Close", "PutImage", "AwaitBoot", "ApplyVerdict"]
    found = desk.lab.node()
    assert (found.admission, found.stage, found.image.running) == (Admission.OPEN, Stage.IN_SERVICE, "v2")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
async def test_a_reimage_that_does_not_pass_stays_closed(desk: Desk, verdict: Verdict) -> None:
    desk.lab.verdict = verdict
    plan = await desk.dispatcher.plan(request(Verb.REIMAGE))
    running = asyncio.create_task(desk.dispatcher.run(plan))
    while not running.done():
        await desk.clock.advance(timedelta(seconds=30))
    assert running.result().state is OperationState.FAILED
    assert desk.lab.node().admission is Admission.GATED
    assert desk.lab.node().stage is (Stage.QUARANTINED if verdict is Verdict.FAIL else Stage.REIMAGING)


async def test_after_a_boot_the_gate_waits_for_a_node_that_is_still_coming_up(desk: Desk) -> None:
    desk.lab.verdict = Verdict.UNKNOWN
    plan = await desk.dispatcher.plan(request(Verb.REIMAGE))
    running = asyncio.create_task(desk.dispatcher.run(plan))
    while desk.clock.sleepers == 0:
        await asyncio.sleep(0)
    desk.lab.verdict = Verdict.PASS
    await desk.clock.advance(timedelta(seconds=10))
    assert (await running).state is OperationState.DONE


async def test_a_node_changed_since_it_was_shown_goes_back_to_be_confirmed(desk: Desk) -> None:
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    desk.lab.change(key("gpu-1"), uid="another")
    done = await desk.dispatcher.run(plan)
    assert done.state is OperationState.FAILED
    assert "confirm it again" in done.outcomes[0].says
    assert desk.lab.performed == []


async def test_work_beyond_the_radius_that_was_shown_goes_back_to_be_confirmed(desk: Desk) -> None:
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    desk.lab.add(node(), pod(), pod("other-0", workload=WorkloadId("ml", "Job", "other")))
    done = await desk.dispatcher.run(plan)
    assert "not shown" in done.outcomes[0].says


async def test_a_failed_step_names_itself_on_the_closed_node(desk: Desk) -> None:
    desk.lab.fails["MoveWork"] = TimedOut("2 pods are left", about="gpu-1")
    done = await desk.run(Verb.DRAIN)
    assert done.state is OperationState.FAILED
    hold = desk.lab.node().holds[0]
    assert desk.lab.node().admission is Admission.CORDONED
    assert "2 pods are left" in hold.reason
    assert hold.step == "2-movework"


async def test_a_failed_imaging_leaves_the_node_quarantined_behind_the_gate(desk: Desk) -> None:
    desk.lab.fails["AwaitBoot"] = TimedOut("it did not boot")
    await desk.run(Verb.REIMAGE)
    assert desk.lab.node().stage is Stage.QUARANTINED
    assert desk.lab.node().admission is Admission.GATED


async def test_cancelling_a_drain_puts_back_what_was_found(desk: Desk) -> None:
    desk.lab.holds["MoveWork"] = asyncio.Event()
    plan = await desk.dispatcher.plan(request(Verb.DRAIN))
    desk.dispatcher.start(plan)
    await desk.lab.reached.wait()
    assert desk.lab.node().admission is Admission.CORDONED
    desk.dispatcher.cancel("op-1")
    ended = await desk.dispatcher.finished("op-1")
    assert ended.state is OperationState.CANCELLED
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ())


async def test_cancelling_a_drain_of_a_node_that_fails_its_gate_leaves_it_closed(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), gate=GateRecord(Verdict.FAIL))
    desk.lab.holds["MoveWork"] = asyncio.Event()
    desk.dispatcher.start(await desk.dispatcher.plan(request(Verb.DRAIN)))
    await desk.lab.reached.wait()
    desk.dispatcher.cancel("op-1")
    await desk.dispatcher.finished("op-1")
    assert desk.lab.node().admission is Admission.CORDONED
    assert desk.lab.node().holds[0].by == "oncall@desk"


async def test_cancelling_a_reimage_leaves_the_node_closed_and_named(desk: Desk) -> None:
    desk.lab.holds["MoveWork"] = asyncio.Event()
    desk.dispatcher.start(await desk.dispatcher.plan(request(Verb.REIMAGE)))
    await desk.lab.reached.wait()
    desk.dispatcher.cancel("op-1")
    await desk.dispatcher.finished("op-1")
    assert desk.lab.node().admission is not Admission.OPEN
    assert "cancelled" in desk.lab.node().holds[0].reason


async def test_a_lost_answer_is_read_back_before_anything_else(desk: Desk) -> None:
    desk.lab.fails["Close"] = OutcomeUnknown("the connection broke")
    desk.lab.effect = Effect.TOOK
    done = await desk.run(Verb.CORDON)
    assert done.state is OperationState.DONE
    assert "read back" in done.outcomes[0].says


async def test_an_outcome_that_can_not_be_read_back_parks_the_step(desk: Desk) -> None:
    desk.lab.fails["Close"] = OutcomeUnknown("the connection broke")
    desk.lab.effect = Effect.UNKNOWN
    plan = await desk.dispatcher.plan(request(Verb.CORDON))
    running = asyncio.create_task(desk.dispatcher.run(plan))
    while not running.done():
        await desk.clock.advance(timedelta(seconds=30))
    assert running.result().outcomes[0].state is StepState.UNKNOWN
    assert desk.lab.performed == []


async def test_three_failures_start_no_new_node() -> None:
    desk = Desk(Policy(max_parallel=1))
    for number in range(1, 8):
        desk.lab.add(node(f"gpu-{number}"))

    async def refuse(step: object, progress: object) -> object:
        raise Conflict("it changed")

    desk.lab.perform = refuse  # type: ignore[assignment, method-assign]
    done = await desk.run(Verb.CORDON, *(f"gpu-{number}" for number in range(1, 8)))
    assert done.state is OperationState.FAILED
    assert "3 nodes failed; 4 nodes were not started" in done.says


async def test_one_denial_starts_no_new_node() -> None:
    desk = Desk(Policy(max_parallel=1))
    for number in range(1, 4):
        desk.lab.add(node(f"gpu-{number}"))
    desk.lab.fails["Close"] = Denied("you may not patch nodes")
    done = await desk.run(Verb.CORDON, "gpu-1", "gpu-2", "gpu-3")
    assert "not permitted; 2 nodes were not started" in done.says


async def test_no_verb_is_planned_over_nodes_that_are_only_last_known() -> None:
    desk = Desk()
    desk.lab.add(node("gpu-1"))
    known = [SOURCE]
    desk.dispatcher._last_known = lambda: known
    with pytest.raises(Blocked, match="only last known: wait until it answers"):
        await desk.dispatcher.plan(request(Verb.CORDON, "gpu-1"))
    known.clear()
    assert (await desk.dispatcher.plan(request(Verb.CORDON, "gpu-1"))).free_to_run


async def test_a_stale_feed_starts_no_new_node() -> None:
    desk = Desk(Policy(max_parallel=1))
    for number in range(1, 4):
        desk.lab.add(node(f"gpu-{number}"))
    plan = await desk.dispatcher.plan(request(Verb.CORDON, "gpu-1", "gpu-2", "gpu-3"))
    desk.stale.append("nodes")
    done = await desk.dispatcher.run(plan)
    assert "the feed nodes is stale" in done.says
    assert desk.lab.performed == []


async def test_two_operations_never_run_on_one_node(desk: Desk) -> None:
    desk.lab.holds["MoveWork"] = asyncio.Event()
    desk.dispatcher.start(await desk.dispatcher.plan(request(Verb.DRAIN)))
    await desk.lab.reached.wait()
    second = await desk.dispatcher.plan(request(Verb.RETIRE, operation="op-2"))
    with pytest.raises(Blocked, match="op-1"):
        desk.dispatcher.start(second)
    desk.lab.holds["MoveWork"].set()
    await desk.dispatcher.finished("op-1")


async def test_a_left_operation_is_resumed_without_repeating_what_took_effect(desk: Desk) -> None:
    desk.lab.holds["AwaitBoot"] = asyncio.Event()
    desk.dispatcher.start(await desk.dispatcher.plan(request(Verb.REIMAGE)))
    await desk.lab.reached.wait()
    await desk.dispatcher.leave()
    assert desk.lab.node().admission is Admission.GATED
    (unfinished,) = await desk.journal.operations()
    assert unfinished.state is OperationState.INTERRUPTED
    desk.lab.holds.clear()
    desk.lab.change(key("gpu-1"), operation="op-1")
    later = desk.another()
    await later.resume(unfinished)
    done = await later.finished("op-1")
    assert done.state is OperationState.DONE
    assert desk.lab.names() == ["Close", "MoveWork", "Close", "PutImage", "AwaitBoot", "ApplyVerdict"]


@pytest.mark.parametrize("after", range(1, 12))
async def test_an_operation_cut_off_after_any_record_repeats_and_skips_nothing(after: int) -> None:
    """kill -9 at each journal boundary: the journal as it stood then, and the lab as it stood then."""
    desk = Desk()
    desk.lab.add(node(), pod())
    append = desk.journal.append

    class Killed(BaseException):
        pass

    async def dying(records: Sequence[Record]) -> None:
        if len(desk.journal.written) >= after:
            raise Killed
        await append(records)

    desk.journal.append = dying  # type: ignore[method-assign]
    plan = await desk.dispatcher.plan(request(Verb.REIMAGE))
    with pytest.raises(Killed):
        await desk.dispatcher.run(plan)
    desk.journal.append = append  # type: ignore[method-assign]
    if key("gpu-1") in desk.lab.facts:
        desk.lab.change(key("gpu-1"), operation="op-1")
    (unfinished,) = await desk.journal.operations()
    later = desk.another()
    await later.resume(unfinished)
    assert (await later.finished("op-1")).state is OperationState.DONE
    changing = [step.id for step in desk.lab.performed if type(step.action).__name__ in ("Close", "PutImage")]
    assert len(changing) == len(set(changing)) == 3
    assert desk.lab.node().admission is Admission.OPEN


async def test_resuming_on_another_cluster_of_the_same_name_is_refused(desk: Desk) -> None:
    desk.lab.fails["MoveWork"] = TimedOut("the deadline passed")
    await desk.run(Verb.DRAIN)
    (found,) = await desk.journal.operations()
    desk.lab.identity_uid = "cluster-2"
    with pytest.raises(Blocked, match="another cluster"):
        await desk.another().resume(found)


async def test_a_record_of_each_verdict_is_kept_with_its_findings(desk: Desk) -> None:
    await desk.run(Verb.GATE)
    run = desk.dispatcher.runs["op-1"]
    assert run.records[NodeKey(SOURCE, "gpu-1")].verdict is Verdict.PASS
    written = [record for record in desk.journal.written if record.kind is Kind.INTENT]
    assert written[0].step is not None


async def test_a_node_that_passed_and_that_a_colleague_still_holds_is_said_to_stay_closed(desk: Desk) -> None:
    hold = Hold(by="oncall", reason="next in the rollout", verb="cordon", operation="op-0")
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, holds=(hold,))
    done = await desk.run(Verb.REIMAGE)
    assert done.says == "done; gpu-1 on v2, PASS, still closed: held by oncall (next in the rollout)"
    assert done.outcomes[-1].evidence == "PASS"
