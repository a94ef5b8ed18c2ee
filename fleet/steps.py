"""One node's steps, one after the other, each read back before it is done again, and how the node is left at the end.

Nothing here decides whether a verb may run: the plan did. At the node's turn it is looked at again, and one that is not as
it was shown goes back to be confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.checking import Checking
from fleet.endings import Endings
from fleet.errors import FleetError
from fleet.node import Admission
from fleet.operation import Effect, Outcome, StepState
from fleet.performing import ENDED_WELL, Performer
from fleet.plan import AwaitBoot, Check, Close, Create, MoveWork, NodePlan, Plan, Step
from fleet.ports import Reader
from fleet.stopping import Stop, Stopped

Recheck = Callable[[Plan, NodePlan], Coroutine[Any, Any, str]]
"""At a node's turn: what has changed since the plan was shown, in words; empty where it still holds. Raises FleetError."""

_UNDER_WAY = (StepState.INTENDED, StepState.UNKNOWN)
_DONE_AGAIN = (MoveWork, AwaitBoot, Check)
"""Steps that look for themselves how far they came: doing one twice is doing it once."""


@dataclass(frozen=True, slots=True)
class NodeSteps:
    """Runs one node's share of a plan to its end and tells how it ended. It raises JournalFailed alone."""

    reader: Reader
    performer: Performer
    checking: Checking
    endings: Endings
    plan: Plan
    node: NodePlan
    recheck: Recheck

    async def go(self, states: Mapping[str, StepState]) -> StepState:
        """Do every step that is not done yet. Returns DONE, FAILED, UNKNOWN or CANCELLED."""
        left = [step for step in self.node.steps if states.get(step.id) not in ENDED_WELL]
        step, looked = self.node.steps[0], False
        try:
            for step in left:
                self.performer.stop.heed()
                state = states.get(step.id, StepState.PENDING)
                outcome = await self._read_back(step, state)
                if outcome is None and not looked:
                    looked, outcome = True, await self._refusal(step, state)
                outcome = outcome or await self._do(step, state)
                if outcome.state not in ENDED_WELL:
                    await self.endings.failed(step, outcome)
                    return outcome.state
        except Stopped:
            if self.performer.stop.why is not Stop.CANCEL:
                return StepState.CANCELLED
            return await self.endings.cancelled(step)
        return StepState.DONE

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

    async def _do(self, step: Step, state: StepState) -> Outcome:
        if isinstance(step.action, Check):
            return await self.checking.go(step, step.action)
        return await self.performer.do(step, prepared=state in _UNDER_WAY)

    async def _refusal(self, step: Step, state: StepState) -> Outcome | None:
        """Why the node may not be gone on with, journalled: it is not as it was shown, or not ours any more."""
        under_way = state in _UNDER_WAY
        if under_way and isinstance(step.action, Check):
            return None  # a verdict that was being applied: the check looks at the node itself
        first = step is self.node.steps[0]
        look = self.performer.patiently(lambda: self.recheck(self.plan, self.node) if first else self._lost())
        error = None
        try:
            says = await self.performer.stop.unless(look)
        except FleetError as failure:
            error, says = failure, str(failure)
        if not says:
            return None
        again = under_way and isinstance(step.action, _DONE_AGAIN)
        ended = StepState.UNKNOWN if again else StepState.FAILED
        return await self.performer.end(step, ended, f"not gone on with: {says}", error)

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
