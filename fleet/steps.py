"""One node's steps, one after the other, each read back before it is done again, and how the node is left at the end.

Nothing here decides whether a verb may run: the plan did. At the node's turn it is looked at again, and one that is not as
it was shown goes back to be confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fleet.checking import Checking
from fleet.diagnosing import Diagnosing
from fleet.diagnosis import Diagnose
from fleet.endings import Endings
from fleet.errors import FleetError
from fleet.leavings import begun
from fleet.lock import Locks
from fleet.node import Admission
from fleet.operation import Effect, Outcome, Progress, StepState
from fleet.performing import ENDED_WELL, TOO_LATE, Performer
from fleet.plan import AwaitBoot, Check, Close, Create, MoveWork, NodePlan, Plan, Step
from fleet.ports import Reader
from fleet.stopping import Stop, Stopped

Recheck = Callable[[Plan, NodePlan], Coroutine[Any, Any, str]]
"""At a node's turn: what has changed since the plan was shown, in words; empty where it still holds. Raises FleetError."""

_UNDER_WAY = (StepState.INTENDED, StepState.UNKNOWN)
_DONE_AGAIN = (MoveWork, AwaitBoot, Diagnose, Check)
"""Steps that look for themselves how far they came: doing one twice is doing it once."""


@dataclass(frozen=True, slots=True)
class NodeSteps:
    """Runs one node's share of a plan to its end and tells how it ended. It raises JournalFailed alone."""

    reader: Reader
    performer: Performer
    checking: Checking
    diagnosing: Diagnosing
    endings: Endings
    plan: Plan
    node: NodePlan
    recheck: Recheck
    locks: Locks | None = None

    async def go(self, states: Mapping[str, StepState]) -> StepState:
        """Do every step that is not done yet, with the node's lock. Returns DONE, FAILED, UNKNOWN or CANCELLED."""
        for step in begun(self.node.steps, states):
            self.diagnosing.leavings.owe(step)
        try:
            return await self._each(states)
        finally:
            if self.locks is not None:
                await self.locks.give_back(self.node.node, self.plan.request.operation)

    async def tidy(self, states: Mapping[str, StepState]) -> StepState:
        """Only take away what an earlier run's checks left there, where nothing of the node is gone on with."""
        owed = begun(self.node.steps, states)
        for step in owed:
            self.diagnosing.leavings.owe(step)
        try:
            with suppress(FleetError):
                await self._take_turn(owed[0])
            left = await self.diagnosing.leavings.take_away()
        finally:
            if self.locks is not None:
                await self.locks.give_back(self.node.node, self.plan.request.operation)
        return StepState.FAILED if left is not None else StepState.CANCELLED

    async def _each(self, states: Mapping[str, StepState]) -> StepState:
        left = [step for step in self.node.steps if states.get(step.id) not in ENDED_WELL]
        step, looked = self.node.steps[0], False
        try:
            for step in left:
                state = states.get(step.id, StepState.PENDING)
                if await self._too_late_to_cancel(step, state):
                    continue
                self.performer.stop.heed()
                outcome = await self._read_back(step, state)
                if outcome is None:
                    outcome = await (self._turn_lost(step) if looked else self._refusal(step, state))
                    looked = True
                outcome = outcome or await self._overdue() or await self.do(step, state)
                if outcome.state not in ENDED_WELL:
                    await self.diagnosing.leavings.take_away()
                    await self.endings.failed(step, outcome)
                    return outcome.state
                if isinstance(step.action, Check):
                    await self.endings.passed(step)
        except Stopped:
            if self.performer.stop.why is not Stop.CANCEL:
                return StepState.CANCELLED
            with suppress(
                FleetError
            ):  # a lock that a program of ours left when it died is taken to be given back
                await self._take_turn(step)
            behind = await self.diagnosing.leavings.take_away()
            state = await self.endings.cancelled(step)
            return StepState.UNKNOWN if behind is not None and state is StepState.CANCELLED else state
        return StepState.DONE

    async def _overdue(self) -> Outcome | None:
        """The outcome that says what an earlier try could not take away, and this one can't: nothing goes on over that."""
        return await self.diagnosing.leavings.take_away(overdue=True)

    async def _too_late_to_cancel(self, step: Step, state: StepState) -> bool:
        """Whether a cancel finds that a step took effect which an earlier program had under way; that is journalled."""
        cancelled = self.performer.stop.why is Stop.CANCEL
        if not cancelled or state not in _UNDER_WAY or isinstance(step.action, _DONE_AGAIN):
            return False
        if not await self.performer.took(step):
            return False
        await self.performer.end(step, StepState.DONE, TOO_LATE)
        return True

    async def _read_back(self, step: Step, state: StepState) -> Outcome | None:
        """The outcome of a step that was under way, where it took effect or can't be told. None where it is to be done."""
        if state not in _UNDER_WAY or isinstance(step.action, _DONE_AGAIN):
            return None
        effect = await self.performer.read_back(step)
        if effect is Effect.NOT:
            return None
        if effect is Effect.TOOK:
            return await self.performer.end(step, StepState.DONE, "had taken effect")
        says = "outcome unknown: it could not be read back"
        return await self.performer.end(step, StepState.UNKNOWN, says)

    async def do(self, step: Step, state: StepState) -> Outcome:
        """Do one step that is to be done, and journal its outcome. Raises Stopped."""
        if isinstance(step.action, Check):
            return await self.checking.go(step, step.action)
        if isinstance(step.action, Diagnose):
            return await self.diagnosing.go(step, step.action)
        return await self.performer.do(step, prepared=state in _UNDER_WAY)

    async def _refusal(self, step: Step, state: StepState) -> Outcome | None:
        """Why the node may not be gone on with, journalled: another's turn, not as it was shown, or not ours any more."""
        under_way, error = state in _UNDER_WAY, None
        try:
            await self._take_turn(step)
            says = await self._changed(step, under_way=under_way)
        except FleetError as failure:
            error, says = failure, str(failure)
        if not says:
            return None
        again = under_way and isinstance(step.action, _DONE_AGAIN)
        ended = StepState.UNKNOWN if again else StepState.FAILED
        return await self.performer.end(step, ended, f"not gone on with: {says}", error)

    async def _changed(self, step: Step, *, under_way: bool) -> str:
        """What has changed since it was shown or since we were cut off, in words. Raises FleetError, Stopped."""
        if under_way and isinstance(step.action, Check):
            return ""  # a verdict that was being applied: the check looks at the node itself
        left_behind = under_way and isinstance(step.action, Diagnose)
        first = step is self.node.steps[0] and not left_behind  # what it left holds the node, by itself
        look = self.performer.patiently(
            lambda: self.recheck(self.plan, self.node) if first else self._lost(), step
        )
        return await self.performer.stop.unless(look)

    async def _take_turn(self, step: Step) -> None:
        """Take the node's lock, or say that there is none. No stop cuts it off, for it would be left behind. Raises FleetError."""
        if self.locks is None:
            return
        request = self.plan.request
        none = await self.locks.take(step.node, request.operation, request.by)
        if none:
            self.performer.progress(Progress(step.id, step.node, none))

    async def _turn_lost(self, step: Step) -> Outcome | None:
        """Whose turn it is by now, journalled, where it is not ours any more."""
        try:
            if self.locks is not None:
                self.locks.expect(step.node, self.plan.request.operation)
        except FleetError as error:
            return await self.performer.end(step, StepState.FAILED, f"not gone on with: {error}", error)
        return None

    async def _lost(self) -> str:
        """What became of a node that we closed, between an interruption and now, that makes it ours no longer."""
        first, operation = self.node.steps[0], self.plan.request.operation
        facts = (await self.reader.read([self.node.node], work=False)).get(self.node.node)
        if facts is None or not isinstance(first.action, Close | Create):
            return ""
        node, uid = facts.node, first.before.uid
        if uid and node.uid != uid and node.operation != operation:
            return "another node has its name now"
        if node.admission is Admission.OPEN or all(hold.operation != operation for hold in node.holds):
            return "somebody opened it, or lifted our hold, since: plan it anew"
        return ""
