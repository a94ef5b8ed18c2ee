"""What active checks may have left on a node, and its taking away at every end of an operation but one that is to be gone on with.

What was begun and not seen taken away is owed, also where an earlier program began it. What can't be taken away is an outcome that
failed, in the journal too, with what is left and how a person removes it; the operation is then resumed to try again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet.diagnosis import Diagnose
from fleet.errors import Conflict, FleetError, OutcomeUnknown, Throttled, TimedOut, Unreachable
from fleet.operation import Outcome, Progress, StepState
from fleet.performing import ENDED_WELL, READ_BACK_FOR, Performer
from fleet.plan import NodePlan, Step
from fleet.ports import CheckRunner

_LEFT = "/left"
"""How the id ends under which the journal has what a step left behind; the step's own id stands before it."""

_MAY_PASS = (Unreachable, Throttled, OutcomeUnknown, Conflict, TimedOut)


@dataclass(frozen=True, slots=True)
class Leavings:
    """What the active checks of one node's share owe. `known` is how far each step was when the share was gone on with."""

    runners: Mapping[str, CheckRunner]
    performer: Performer
    known: Mapping[str, StepState] = field(default_factory=dict)
    _owed: dict[str, Step] = field(default_factory=dict)

    def owe(self, step: Step) -> None:
        """What the step starts from now on is to be taken away."""
        self._owed[step.id] = step

    async def take_away(self, *, overdue: bool = False) -> Outcome | None:
        """Take away all that is owed, or that alone which an earlier program should have. No stop cuts it off.

        The outcome tells what is left; None where nothing is. Raises JournalFailed.
        """
        told = None
        for step in list(self._owed.values()):
            if not overdue or self._is_overdue(step):
                del self._owed[step.id]
                told = await self._taken(step) or told
        return told

    async def _taken(self, step: Step) -> Outcome | None:
        """One outcome that failed where something is left; where it was left before, also one that it is gone."""
        what, error = f"what {_check(step)} started on {step.node.name}", None
        runner = self.runners.get(step.node.source)
        if runner is None:
            says = f"left behind: {what}: nothing can be run on nodes of {step.node.source} from here"
        else:
            error = await self._tried(runner, step)
            says = f"left behind: {runner.leaves(step)} ({error})"
        ending = replace(step, id=f"{step.id}{_LEFT}")
        if runner is None or error is not None:
            return await self.performer.end(ending, StepState.FAILED, says, error)
        if self._was_left(step):
            await self.performer.end(ending, StepState.DONE, f"{what} is taken away")
        return None

    async def _tried(self, runner: CheckRunner, step: Step) -> FleetError | None:
        """Why it could not be taken away: tried for as long as an outcome is read back, where that may pass."""
        clock = self.performer.clock
        until = clock.monotonic() + READ_BACK_FOR.total_seconds()
        while True:
            try:
                await runner.clean_up(step)
            except FleetError as error:
                if not isinstance(error, _MAY_PASS) or clock.monotonic() >= until:
                    return error
                says = f"{_check(step)}: what it started can't be taken away yet: {error}"
                self.performer.progress(Progress(step.id, step.node, says))
            else:
                return None
            await self.performer.pause()

    def _is_overdue(self, step: Step) -> bool:
        return self._was_left(step) or self.known.get(step.id) in ENDED_WELL

    def _was_left(self, step: Step) -> bool:
        return self.known.get(f"{step.id}{_LEFT}") is StepState.FAILED


def begun(steps: Sequence[Step], states: Mapping[str, StepState]) -> list[Step]:
    """The active checks that may have something on their node: cut off, or ended and not seen taken away.

    What one left is taken away before the next step begins, so that one whose next step has begun left nothing.
    """
    thens = [states.get(step.id, StepState.PENDING) for step in steps[1:]]
    return [
        step
        for step, then in zip(steps, [*thens, StepState.PENDING], strict=True)
        if isinstance(step.action, Diagnose) and _may_have_left(step, states, then)
    ]


def left_behind(node: NodePlan, states: Mapping[str, StepState]) -> list[str]:
    """The ids of the outcomes that tell what a node's checks left behind."""
    ids = [f"{step.id}{_LEFT}" for step in node.steps if isinstance(step.action, Diagnose)]
    return [each for each in ids if states.get(each) is StepState.FAILED]


def _may_have_left(step: Step, states: Mapping[str, StepState], then: StepState) -> bool:
    state = states.get(step.id, StepState.PENDING)
    unseen = then is StepState.PENDING if state in ENDED_WELL else state is not StepState.PENDING
    return unseen or states.get(f"{step.id}{_LEFT}") is StepState.FAILED


def _check(step: Step) -> str:
    return step.action.check if isinstance(step.action, Diagnose) else step.id
