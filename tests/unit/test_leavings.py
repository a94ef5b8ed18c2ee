"""Every end of an operation takes away what its active checks left, or says what is left and how a person removes it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fleet.errors import Blocked, Conflict, Denied, FleetError, TimedOut, Unreachable
from fleet.health import Verdict
from fleet.node import Admission, NodeKey, Software, Stage
from fleet.operation import Operation, OperationState, StepState
from fleet.plan import Step, Verb
from tests.desk import Desk, Killed
from tests.fakes import SOURCE, key, node
from tests.unit.test_diagnosing import Judge, Runner, policy


@dataclass
class Sweeper(Runner):
    """A runner whose `clean_up` fails as it is told, for as long as it is told."""

    stays: FleetError | None = None
    tried: int = 0
    swept: list[str] = field(default_factory=list)

    async def clean_up(self, step: Step) -> None:
        self.tried += 1
        if self.stays is not None:
            raise self.stays
        self.swept.append(step.id)


@pytest.fixture
def runner() -> Sweeper:
    return Sweeper(waits=True)


@pytest.fixture
def desk(runner: Sweeper) -> Desk:
    made = Desk()
    made.runners[SOURCE] = runner
    made.checker = Judge()
    made.dispatcher = made.another(policy())
    for name in ("gpu-1", "gpu-2"):
        gated = node(
            name, admission=Admission.GATED, stage=Stage.GATED, software=Software(gpu_product="NVIDIA-H100")
        )
        made.lab.add(gated)
    return made


async def cut_off(desk: Desk, runner: Sweeper, verb: Verb = Verb.GATE, *names: str) -> Operation:
    """An operation whose program is gone while its check runs; the next program is the desk's."""
    await desk.start(verb, *names)
    await runner.reached.wait()
    await desk.dispatcher.leave()
    assert runner.swept == [], "what is left to be resumed stays to be found again"
    desk.dispatcher = desk.another(policy())
    (left,) = await desk.journal.operations()
    return left


def check_of(operation: Operation) -> str:
    return next(step.id for step in operation.plan.steps if type(step.action).__name__ == "Diagnose")


async def test_a_resume_that_is_cancelled_before_its_node_starts_takes_it_away(
    desk: Desk, runner: Sweeper
) -> None:
    left = await cut_off(desk, runner)
    await desk.dispatcher.resume(left)
    desk.dispatcher.cancel(left.id)
    operation = await desk.ended()
    assert (operation.state, operation.says) == (OperationState.CANCELLED, "cancelled")
    assert runner.swept == [check_of(left)]
    assert len(runner.ran) == 1
    assert desk.lab.node().gate is None


async def test_a_drain_that_is_resumed_and_cancelled_before_its_node_starts_is_put_back(desk: Desk) -> None:
    desk.lab.add(node("gpu-3"))
    await desk.start_and_hold(Verb.DRAIN, "MoveWork", "gpu-3")
    await desk.dispatcher.leave()
    assert desk.lab.node("gpu-3").admission is Admission.CORDONED
    desk.dispatcher = desk.another()
    (left,) = await desk.journal.operations()
    await desk.dispatcher.resume(left)
    desk.dispatcher.cancel(left.id)
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert desk.lab.node("gpu-3").admission is Admission.OPEN


async def test_one_that_nobody_runs_is_cancelled_without_being_gone_on_with(
    desk: Desk, runner: Sweeper
) -> None:
    left = await cut_off(desk, runner)
    await desk.dispatcher.resume(left, to_cancel=True)
    operation = await desk.ended()
    assert (operation.state, operation.says) == (OperationState.CANCELLED, "cancelled")
    assert (runner.swept, len(runner.ran)) == ([check_of(left)], 1)
    assert desk.lab.node().gate is None
    with pytest.raises(Blocked, match="it is cancelled: nothing is left to do"):
        await desk.dispatcher.resume(left, to_cancel=True)


async def test_a_cancel_starts_no_node_that_no_earlier_run_began(desk: Desk, runner: Sweeper) -> None:
    await desk.start(Verb.GATE, "gpu-1", "gpu-2")
    desk.dispatcher.cancel("op-1")
    operation = await desk.ended()
    assert operation.says == "cancelled; 2 nodes were not started"
    assert (runner.ran, runner.tried) == ([], 0)


async def test_a_hold_that_was_lifted_meanwhile_ends_it_and_takes_it_away(
    desk: Desk, runner: Sweeper
) -> None:
    left = await cut_off(desk, runner, Verb.REIMAGE)
    desk.lab.change(key("gpu-1"), holds=(), operation="op-1")
    await desk.dispatcher.resume(left)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert "lifted our hold" in operation.outcomes[-1].says
    assert runner.swept == [check_of(left)]


class TakenLocks:
    """Locks that another operation has."""

    async def take(self, node: NodeKey, operation: str, by: str) -> str:
        raise Conflict("operation op-2 by a colleague has its lock", about=node.name)

    def expect(self, node: NodeKey, operation: str) -> None:
        raise AssertionError("it was never had")

    async def give_back(self, node: NodeKey, operation: str) -> None:
        return


async def test_another_operations_turn_ends_it_and_takes_it_away(
    desk: Desk, runner: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await cut_off(desk, runner)
    monkeypatch.setattr(desk.dispatcher, "_locks", {SOURCE: TakenLocks()})
    await desk.dispatcher.resume(left)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert "op-2 by a colleague" in operation.outcomes[-1].says
    assert runner.swept == [check_of(left)]


async def test_a_deadline_that_passes_takes_it_away(desk: Desk, runner: Sweeper) -> None:
    runner.waits = False
    shown = await desk.start(Verb.GATE)
    runner.fails = TimedOut("it did not end in 15 min")
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert runner.swept == [check_of(shown.operation)]
    record = desk.lab.node().gate
    assert record is not None
    assert record.verdict is Verdict.UNKNOWN


async def test_a_brake_before_its_node_starts_takes_it_away_and_leaves_it_to_be_resumed(
    desk: Desk, runner: Sweeper
) -> None:
    left = await cut_off(desk, runner, Verb.GATE, "gpu-1", "gpu-2")
    desk.stale.append("lab/nodes")
    await desk.dispatcher.resume(left)
    operation = await desk.ended()
    assert operation.says == "stopped: the feed lab/nodes is stale; 2 nodes were not started"
    assert runner.swept == [step.id for step in left.plan.steps if type(step.action).__name__ == "Diagnose"]
    desk.stale.clear()
    runner.waits = False
    assert (await desk.resumed()).state is OperationState.DONE


async def test_what_can_not_be_taken_away_is_named_and_a_resume_tries_again(
    desk: Desk, runner: Sweeper
) -> None:
    left = await cut_off(desk, runner)
    runner.stays = Unreachable("no route")
    await desk.dispatcher.resume(left)
    desk.dispatcher.cancel(left.id)
    operation = await desk.ended()
    step = check_of(left)
    behind = f"left behind: job of {step}: end it (no route)"
    assert (operation.state, operation.says) == (
        OperationState.FAILED,
        f"cancelled; gpu-1: {behind}; resume it to try again",
    )
    assert runner.tried > 2, "a server that is away is tried again for a while"
    told = [record.says for record in desk.journal.written if record.step_id == f"{step}/left"]
    assert told == [behind]
    runner.stays = None
    desk.dispatcher = desk.another(policy())
    (found,) = await desk.journal.operations()
    await desk.dispatcher.resume(found)
    ended = await desk.ended()
    assert (ended.state, ended.says) == (OperationState.CANCELLED, "cancelled")
    assert ended.step_state(f"{step}/left") is StepState.DONE
    assert (runner.swept, len(runner.ran)) == ([step], 1)


async def test_no_verdict_is_given_over_what_is_left_and_a_resume_gives_it_without_another_run(
    desk: Desk, runner: Sweeper
) -> None:
    runner.waits, runner.stays = False, Denied("you may not delete jobs")
    operation = await desk.run(Verb.GATE)
    step = check_of(operation)
    assert operation.state is OperationState.FAILED
    assert f"gpu-1: left behind: job of {step}: end it (you may not delete jobs)" in operation.says
    assert desk.lab.node().admission is Admission.GATED
    assert desk.lab.node().gate is None
    runner.stays = None
    desk.dispatcher = desk.another(policy())
    await desk.dispatcher.resume(operation)
    assert (await desk.ended()).state is OperationState.DONE
    assert desk.lab.node().admission is Admission.OPEN
    assert (runner.swept, len(runner.ran)) == ([step], 1)


async def test_what_nothing_can_be_run_on_any_more_is_named_too(desk: Desk, runner: Sweeper) -> None:
    left = await cut_off(desk, runner)
    desk.runners.clear()
    await desk.dispatcher.resume(left)
    desk.dispatcher.cancel(left.id)
    operation = await desk.ended()
    assert operation.state is OperationState.FAILED
    assert (
        "left behind: what dcgm-diag started on gpu-1: nothing can be run on nodes of lab" in operation.says
    )


async def killed_before_it_is_taken_away(desk: Desk, runner: Sweeper, *names: str) -> Operation:
    """An operation killed once its check's outcome is journalled; the next program is the desk's."""
    runner.waits = False
    clean_up = runner.clean_up

    async def dies(step: Step) -> None:
        raise Killed

    runner.clean_up = dies  # type: ignore[method-assign]
    await desk.start(Verb.GATE, *names)
    with pytest.raises(Killed):
        await desk.ended()
    runner.clean_up = clean_up  # type: ignore[method-assign]
    desk.dispatcher = desk.another(policy())
    (left,) = await desk.journal.operations()
    assert left.step_state(check_of(left)) is StepState.DONE
    return left


async def test_killed_between_its_outcome_and_its_taking_away_a_resume_takes_it_away_before_the_verdict(
    desk: Desk, runner: Sweeper
) -> None:
    left = await killed_before_it_is_taken_away(desk, runner)
    runner.stays = Denied("you may not delete jobs")
    await desk.dispatcher.resume(left)
    operation = await desk.ended()
    assert "left behind: job of" in operation.says
    assert desk.lab.node().gate is None
    runner.stays = None
    desk.dispatcher = desk.another(policy())
    await desk.dispatcher.resume(operation)
    assert (await desk.ended()).state is OperationState.DONE
    assert (runner.swept, len(runner.ran)) == ([check_of(left)], 1)


async def test_killed_between_its_outcome_and_its_taking_away_a_cancel_takes_it_away(
    desk: Desk, runner: Sweeper
) -> None:
    left = await killed_before_it_is_taken_away(desk, runner)
    await desk.dispatcher.resume(left)
    desk.dispatcher.cancel(left.id)
    assert (await desk.ended()).state is OperationState.CANCELLED
    assert runner.swept == [check_of(left)]


async def test_what_was_seen_taken_away_is_not_looked_for_again(desk: Desk, runner: Sweeper) -> None:
    runner.waits, runner.verdict = False, Verdict.UNKNOWN
    operation = await desk.run(Verb.GATE)
    desk.dispatcher = desk.another(policy())
    await desk.dispatcher.resume(operation)
    await desk.ended()
    assert runner.tried == 1
