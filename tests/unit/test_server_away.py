"""An API server that is away, slow or cut off while a step is done: read back, made again for a while, and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.category import SLURM_REBOOT, Category
from fleet.errors import Conflict, FleetError, OutcomeUnknown, Throttled, Unreachable
from fleet.health import Verdict
from fleet.node import Admission, Stage
from fleet.operation import Effect, OperationState, Outcome, Progress, StepState
from fleet.performing import TRIED_FOR
from fleet.plan import Step, Verb
from fleet.policy import Policy
from fleet.stopping import Stop
from tests.desk import Desk
from tests.fakes import key, node, pod

LOST = OutcomeUnknown("the change was sent and its answer lost: no answer in time")
REFUSED = Unreachable("Connection refused")


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.lab.add(node(), pod())
    return desk


class Away:
    """A server that answers the next calls so, and then as ever. `tried` is when each call came."""

    def __init__(self, desk: Desk, *errors: FleetError, only: str = "") -> None:
        self.errors, self.desk, self.only = list(errors), desk, only
        self.tried: list[float] = []
        self.perform, desk.lab.perform = desk.lab.perform, self.answer  # type: ignore[method-assign]

    async def answer(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        if self.only in ("", type(step.action).__name__):
            self.tried.append(self.desk.clock.monotonic())
            if self.errors:
                raise self.errors.pop(0)
        return await self.perform(step, progress)


async def passes(desk: Desk, seconds: int = 0) -> None:
    """Let time go by in small steps, so that a call comes at the moment it was put off to."""
    for _ in range(20):
        await desk.clock.advance(timedelta(0))
    for _ in range(seconds * 20):
        await desk.clock.advance(timedelta(milliseconds=50))
        for _ in range(3):
            await desk.clock.advance(timedelta(0))


def told(desk: Desk) -> list[str]:
    return [progress.says for progress in desk.dispatcher.runs["op-1"].progress.values()]


@pytest.mark.parametrize("error", [LOST, REFUSED], ids=["timeout", "refused"])
@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.DRAIN, Verb.REIMAGE])
async def test_a_call_that_did_not_come_through_is_made_again(
    desk: Desk, verb: Verb, error: FleetError
) -> None:
    away = Away(desk, error, error)
    await desk.start(verb)
    await passes(desk, 4)
    assert (await desk.ended()).state is OperationState.DONE
    assert len(away.tried) >= 3
    first, second = away.tried[1] - away.tried[0], away.tried[2] - away.tried[1]
    assert 0.5 <= first <= 1.1
    assert 1 <= second <= 2.1


async def test_a_lost_answer_is_read_back_before_the_call_is_made_again(desk: Desk) -> None:
    desk.lab.loses.add("Close")
    away = Away(desk)
    await desk.start(Verb.CORDON)
    ended = await desk.ended()
    assert (ended.state, len(away.tried)) == (OperationState.DONE, 1)
    assert ended.outcomes[0].says == "the answer was lost; read back: it took effect"


async def test_what_is_waited_for_and_how_long_is_told(desk: Desk) -> None:
    Away(desk, *[REFUSED] * 3)
    await desk.start(Verb.CORDON)
    await passes(desk)
    assert told(desk) == ["Connection refused; trying again in 1 s, for at most 5 min"]
    await desk.ended()


async def test_an_operation_fails_only_after_the_deadline_and_can_be_gone_on_with(desk: Desk) -> None:
    away = Away(desk, *[REFUSED] * 1000)
    await desk.start(Verb.DRAIN)
    ended = await desk.ended()
    assert ended.state is OperationState.FAILED
    assert "Connection refused; tried for" in ended.outcomes[0].says
    assert away.tried[-1] - away.tried[0] > TRIED_FOR.total_seconds() - 60
    away.errors.clear()
    assert (await desk.resumed()).state is OperationState.DONE


async def test_nodes_come_back_at_moments_of_their_own(desk: Desk) -> None:
    desk.lab.add(node("gpu-2"))
    away = Away(desk, REFUSED, REFUSED)
    await desk.start(Verb.CORDON, "gpu-1", "gpu-2")
    await passes(desk, 2)
    await desk.ended()
    assert len(set(away.tried[2:])) == 2


async def test_a_reboot_whose_answer_was_lost_is_never_asked_for_again_by_itself(desk: Desk) -> None:
    desk.lab.change(key("gpu-1"), replaceable=False, reboots=True)
    desk.dispatcher = desk.another(Policy(categories={"h100": Category("h100", imager=SLURM_REBOOT)}))
    away = Away(desk, LOST, only="PutImage")
    await desk.start(Verb.REIMAGE, image="v2")
    ended = await desk.ended()
    assert (ended.state, len(away.tried)) == (OperationState.FAILED, 1)


async def test_a_step_that_can_not_be_told_is_parked_and_not_made_again(desk: Desk) -> None:
    desk.lab.effect = Effect.UNKNOWN
    away = Away(desk, LOST)
    await desk.start(Verb.CORDON)
    assert (await desk.ended()).outcomes[0].state is StepState.UNKNOWN
    assert len(away.tried) == 1


async def test_a_refusal_is_not_made_again(desk: Desk) -> None:
    away = Away(desk, Conflict("somebody opened it"))
    await desk.start(Verb.CORDON)
    assert (await desk.ended()).state is OperationState.FAILED
    assert len(away.tried) == 1


async def test_a_cancel_does_not_wait_for_the_next_try(desk: Desk) -> None:
    away = Away(desk, *[Throttled("slow down", retry_after=timedelta(seconds=50))] * 9)
    run = await desk.start(Verb.CORDON)
    await passes(desk, 1)
    run.request(Stop.CANCEL)
    await passes(desk)
    assert run.operation.state is OperationState.CANCELLED
    assert len(away.tried) == 1


@pytest.mark.parametrize(("verb", "lost"), [(Verb.CORDON, "Close"), (Verb.RETIRE, "Remove")])
async def test_a_cancel_while_a_lost_answer_is_read_back_still_tells_that_it_took_effect(
    desk: Desk, verb: Verb, lost: str
) -> None:
    desk.lab.loses.add(lost)
    desk.lab.effect = Effect.UNKNOWN
    run = await desk.start(verb)
    await passes(desk, 2)
    run.request(Stop.CANCEL)
    await passes(desk)
    desk.lab.effect = None
    last = (await desk.ended()).outcomes[-1]
    assert (last.state, last.says) == (StepState.DONE, "cancelled too late: it took effect")


@pytest.mark.parametrize("later", [Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS])
async def test_a_verdict_that_could_not_be_written_while_it_was_fresh_is_made_anew(
    desk: Desk, later: Verdict
) -> None:
    desk.lab.change(key("gpu-1"), admission=Admission.GATED, stage=Stage.GATED)
    Away(desk, *[REFUSED] * 9, only="ApplyVerdict")
    run = await desk.start(Verb.GATE)
    await passes(desk, 2)
    desk.lab.verdict = later
    await desk.ended()
    assert desk.lab.node().admission is (Admission.OPEN if later.admits else Admission.GATED)
    assert run.records[key("gpu-1")].verdict is later


async def test_a_server_away_at_a_nodes_turn_is_waited_for(desk: Desk) -> None:
    run = await desk.start(Verb.CORDON)
    desk.lab.unread = REFUSED
    await desk.clock.advance(timedelta(seconds=20))
    assert "Connection refused; trying again" in told(desk)[0]
    desk.lab.unread = None
    assert (await desk.ended()).state is OperationState.DONE
    assert run.progress
