"""Stops of an operation: whenever they come, no node is left closed without a name, or open that should be closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleet.errors import Conflict, Denied, Missing, OutcomeUnknown, Unreachable
from fleet.health import Verdict
from fleet.holder import Hold
from fleet.journal import Kind
from fleet.node import Admission, Stage
from fleet.operation import Effect, Operation, OperationState, Outcome, Progress, StepState
from fleet.plan import ApplyVerdict, Close, PutImage, Release, Step, Verb
from fleet.policy import Policy
from fleet.stopping import Stop
from tests.desk import Desk
from tests.fakes import key, node, pod, request

COLLEAGUE = Hold(by="other@desk", reason="cable swap", verb="cordon", operation="op-0")


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.lab.add(node(), pod())
    return made


async def test_a_drain_cancelled_while_its_close_is_on_its_way_is_put_back(desk: Desk) -> None:
    desk.lab.finishes.add("Close")
    await desk.start_and_hold(Verb.DRAIN, "Close")
    desk.dispatcher.cancel("op-1")
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ())


async def test_a_cordon_cancelled_too_late_says_that_it_took_effect(desk: Desk) -> None:
    desk.lab.finishes.add("Close")
    await desk.start_and_hold(Verb.CORDON, "Close")
    desk.dispatcher.cancel("op-1")
    ended = await desk.ended()
    assert "1 was done" in ended.says
    assert ended.outcomes[0].state is StepState.DONE
    assert desk.lab.node().holds[0].by == "oncall@desk"


async def test_a_cancel_while_the_journal_is_written_is_heeded_after_it(desk: Desk) -> None:
    """The journal must not say CANCELLED of a step that took effect."""
    writing, go_on = asyncio.Event(), asyncio.Event()
    append = desk.journal.append

    async def slow(records: object) -> None:
        if records[0].kind is Kind.OUTCOME and not writing.is_set():  # type: ignore[index]
            writing.set()
            await go_on.wait()
        await append(records)  # type: ignore[arg-type]

    desk.journal.append = slow  # type: ignore[method-assign]
    await desk.start(Verb.DRAIN)
    await writing.wait()
    desk.dispatcher.cancel("op-1")
    go_on.set()
    ended = await desk.ended()
    assert ended.step_state("lab/gpu-1/1-close") is StepState.DONE
    assert desk.lab.node().admission is Admission.OPEN


async def test_a_cancelled_drain_gives_a_node_found_cordoned_back_to_its_holder(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, holds=(COLLEAGUE,))
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.dispatcher.cancel("op-1")
    await desk.ended()
    found = desk.lab.node()
    assert (found.admission, found.holds, found.stage) == (
        Admission.CORDONED,
        (COLLEAGUE,),
        Stage.IN_SERVICE,
    )


async def test_a_cancelled_drain_of_a_node_behind_the_gate_leaves_the_gate_shut(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.GATED, stage=Stage.QUARANTINED)
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.dispatcher.cancel("op-1")
    await desk.ended()
    assert (desk.lab.node().admission, desk.lab.node().stage) == (Admission.GATED, Stage.QUARANTINED)


async def test_a_drain_that_can_not_be_put_back_says_so_and_stays_named(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.lab.unread = Unreachable("the API server is away")
    desk.dispatcher.cancel("op-1")
    ended = await desk.ended()
    assert ended.state is OperationState.CANCELLED
    assert "look at gpu-1" in ended.says
    assert desk.lab.node().holds[0].operation == "op-1"


async def test_a_drain_that_somebody_opened_is_not_closed_again(desk: Desk) -> None:
    """A colleague took the hold over: naming our failure must not shut what they opened."""
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN, holds=())
    desk.lab.fails["MoveWork"] = Conflict("somebody opened it")
    desk.lab.holds["MoveWork"].set()
    assert (await desk.ended()).state is OperationState.FAILED
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ())


async def opened_under(desk: Desk, verb: Verb, **changes: Any) -> Operation:
    """An operation under way while somebody opens its node and knows nothing of our hold, and how it ends."""
    await desk.start_and_hold(verb, "MoveWork")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN, **changes)
    desk.lab.fails["MoveWork"] = Conflict("somebody opened it")
    desk.lab.holds["MoveWork"].set()
    return await desk.ended()


@pytest.mark.parametrize("verb", [Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE])
async def test_what_is_ours_comes_off_a_node_that_somebody_opened_under_us(desk: Desk, verb: Verb) -> None:
    ended = await opened_under(desk, verb)
    found = desk.lab.node()
    assert (found.admission, found.holds, found.stage) == (Admission.OPEN, (), Stage.IN_SERVICE)
    assert desk.lab.names().count("Close") == 1
    assert ended.state is OperationState.FAILED
    assert "gpu-1" in ended.says


async def test_a_colleagues_hold_stays_on_a_node_that_somebody_opened_under_us(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, holds=(COLLEAGUE,))
    await opened_under(desk, Verb.DRAIN)
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, (COLLEAGUE,))


async def test_a_quarantine_is_written_back_on_a_node_that_somebody_opened_under_us(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, stage=Stage.QUARANTINED)
    await opened_under(desk, Verb.DRAIN)
    assert (desk.lab.node().admission, desk.lab.node().stage) == (Admission.OPEN, Stage.QUARANTINED)


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_what_is_ours_comes_off_a_node_that_was_opened_before_its_gate_judged_it(
    desk: Desk, verdict: Verdict
) -> None:
    await desk.start_and_hold(Verb.REIMAGE, "AwaitBoot")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
    desk.lab.verdict = verdict
    desk.lab.holds["AwaitBoot"].set()
    ended = await desk.ended()
    found = desk.lab.node()
    assert (found.admission, found.holds) == (Admission.OPEN, ())
    assert found.gate is not None
    assert found.gate.verdict is verdict
    assert ended.state is (OperationState.DONE if verdict.admits else OperationState.FAILED)
    assert not verdict.admits or found.stage is Stage.IN_SERVICE


async def test_a_node_that_somebody_opened_and_closed_again_is_not_opened_by_a_pass(desk: Desk) -> None:
    await desk.start_and_hold(Verb.REIMAGE, "AwaitBoot")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
    perform = desk.lab.perform

    async def closed_again(step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if isinstance(step.action, ApplyVerdict):
            desk.lab.change(key("gpu-1"), admission=Admission.CORDONED)
        return await perform(step, progress)

    desk.lab.perform = closed_again  # type: ignore[method-assign]
    desk.lab.holds["AwaitBoot"].set()
    await desk.ended()
    assert desk.lab.node().admission is Admission.CORDONED


async def test_a_cancel_takes_what_is_ours_off_a_node_that_somebody_opened(desk: Desk) -> None:
    await desk.start_and_hold(Verb.RETIRE, "MoveWork")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
    desk.dispatcher.cancel("op-1")
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ())


async def test_a_node_that_is_closed_again_before_our_hold_is_off_keeps_it_with_the_failure(
    desk: Desk,
) -> None:
    perform = desk.lab.perform

    async def closed_again(step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if isinstance(step.action, Release):
            desk.lab.change(key("gpu-1"), admission=Admission.CORDONED)
        return await perform(step, progress)

    desk.lab.perform = closed_again  # type: ignore[method-assign]
    await opened_under(desk, Verb.DRAIN)
    found = desk.lab.node()
    assert found.admission is Admission.CORDONED
    assert [hold.step for hold in found.holds] == ["2-movework"]


async def test_a_node_that_looks_closed_while_its_cordons_taint_lingers_is_left_open(desk: Desk) -> None:
    perform = desk.lab.perform

    async def opened_already(step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if isinstance(step.action, Close) and step.action.again:
            desk.lab.change(key("gpu-1"), admission=Admission.OPEN)
            raise Conflict("somebody opened it since we closed it")
        return await perform(step, progress)

    desk.lab.perform = opened_already  # type: ignore[method-assign]
    desk.lab.fails["MoveWork"] = Conflict("somebody opened it")
    await desk.run(Verb.DRAIN)
    assert (desk.lab.node().admission, desk.lab.node().holds) == (Admission.OPEN, ())


async def test_a_reimage_whose_hold_was_lifted_between_two_steps_does_not_go_on(desk: Desk) -> None:
    await desk.start_and_hold(Verb.REIMAGE, "MoveWork")
    desk.lab.change(key("gpu-1"), admission=Admission.OPEN, holds=())
    desk.lab.holds["MoveWork"].set()
    assert (await desk.ended()).state is OperationState.FAILED
    assert "PutImage" not in desk.lab.names()
    assert desk.lab.node().admission is Admission.OPEN


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_retirement_that_ended_early_can_be_uncordoned(desk: Desk, how: str) -> None:
    await desk.start_and_hold(Verb.RETIRE, "MoveWork")
    if how == "cancel":
        desk.dispatcher.cancel("op-1")
    else:
        desk.lab.fails["MoveWork"] = Denied("you may not evict")
        desk.lab.holds["MoveWork"].set()
    await desk.ended()
    assert desk.lab.node().admission is Admission.CORDONED
    assert (await desk.dispatcher.plan(request(Verb.UNCORDON, operation="op-2"))).free_to_run


async def test_a_retirement_that_ended_early_is_no_way_round_the_gate(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.CORDONED, stage=Stage.QUARANTINED)
    await desk.start_and_hold(Verb.RETIRE, "MoveWork")
    desk.dispatcher.cancel("op-1")
    await desk.ended()
    uncordon = await desk.dispatcher.plan(request(Verb.UNCORDON, operation="op-2"))
    assert "gate" in uncordon.all_blockers[0].says


async def test_a_journal_that_fails_on_the_way_stops_every_node_and_is_told(desk: Desk) -> None:
    desk = Desk(Policy(max_parallel=2))
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        desk.lab.add(node(name), pod())
    run = await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-1", "gpu-2", "gpu-3")
    desk.journal.fails = True
    desk.lab.holds["MoveWork"].set()
    ended = await desk.ended()
    assert ended.state is OperationState.INTERRUPTED
    assert "the disk is full" in ended.says
    assert desk.dispatcher.running() == ()
    assert run.operation.state is OperationState.INTERRUPTED
    assert "Mark" not in desk.lab.names()
    desk.journal.fails = False
    assert (await desk.resumed()).state is OperationState.DONE


async def test_who_stops_waiting_for_an_operation_does_not_stop_it(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    waiting = asyncio.ensure_future(desk.dispatcher.finished("op-1"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    desk.lab.holds["MoveWork"].set()
    assert (await desk.ended()).state is OperationState.DONE


async def test_leaving_while_a_cancel_puts_a_node_back_waits_for_it(desk: Desk) -> None:
    await desk.start_and_hold(Verb.DRAIN, "MoveWork")
    desk.dispatcher.cancel("op-1")
    await desk.dispatcher.leave()
    assert desk.lab.node().admission is Admission.OPEN


async def test_what_ended_can_not_be_cancelled_and_nothing_starts_twice(desk: Desk) -> None:
    plan = await desk.dispatcher.plan(request(Verb.CORDON))
    await desk.dispatcher.run(plan)
    with pytest.raises(Missing):
        desk.dispatcher.cancel("op-1")
    with pytest.raises(Exception, match="started already"):
        desk.dispatcher.start(plan)


async def test_an_answer_lost_in_a_cancel_is_told_from_the_node(desk: Desk) -> None:
    desk.lab.fails["Close"] = OutcomeUnknown("the connection broke")
    desk.lab.effect = Effect.UNKNOWN
    await desk.start(Verb.DRAIN)
    while not desk.clock.sleepers:
        await asyncio.sleep(0)
    desk.dispatcher.cancel("op-1")
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert desk.lab.node().holds == ()


async def test_a_verdict_never_quarantines_a_node_that_was_opened_meanwhile(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.GATED, stage=Stage.GATED)
    desk.lab.verdict = Verdict.FAIL
    plan = await desk.dispatcher.plan(request(Verb.GATE))
    recheck = desk.lab.read

    async def read(nodes: object, *, work: bool = True) -> object:
        found = await recheck(nodes, work=work)  # type: ignore[arg-type]
        desk.lab.change(key("gpu-1"), admission=Admission.OPEN, stage=Stage.IN_SERVICE)
        return found

    desk.lab.read = read  # type: ignore[assignment, method-assign]
    ended = await desk.dispatcher.run(plan)
    assert ended.state is OperationState.FAILED
    found = desk.lab.node()
    assert found.admission is Admission.OPEN
    assert found.gate == desk.dispatcher.runs["op-1"].records[key("gpu-1")]


class Deleting:
    """An imager whose Node is deleted, and not made again for as long as the server is away."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.away, self.tried = desk, True, 0
        self.node = desk.lab.facts[key("gpu-1")]
        self.perform, desk.lab.perform = desk.lab.perform, self.answer  # type: ignore[method-assign]

    async def answer(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if not isinstance(step.action, PutImage):
            return await self.perform(step, progress)
        self.tried += 1
        self.node = self.desk.lab.facts.pop(step.node, self.node)
        if self.away:
            raise OutcomeUnknown("the Node is not made yet")
        self.desk.lab.facts[step.node] = self.node
        return await self.perform(step, progress)


async def test_a_cancel_between_the_delete_and_the_create_leaves_it_to_be_made(desk: Desk) -> None:
    """Cancelled, it would be over: nobody could go on with it, and the fleet were a node short."""
    imager = Deleting(desk)
    run = await desk.start(Verb.REIMAGE)
    while not imager.tried:
        await desk.clock.advance(timedelta(seconds=1))
    run.request(Stop.CANCEL)
    ended = await desk.ended()
    assert key("gpu-1") not in desk.lab.facts
    assert ended.state is OperationState.FAILED
    assert ended.says == "cancelled; how gpu-1 was left is not known: resume it"
    imager.away = False
    assert (await desk.resumed()).state is OperationState.DONE
    assert desk.lab.node().image.running == "v2"
