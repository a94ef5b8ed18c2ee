"""How a machine of two sources is left when its steps end early: both sides closed and saying why, or both put back.

Slurm's side is put back last, as it is opened last, and not at all where Kubernetes' could not be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.endings import Endings, fails_its_gate
from fleet.errors import FleetError
from fleet.health import Verdict
from fleet.machine import truths
from fleet.node import NodeKey
from fleet.operation import Outcome, StepState
from fleet.plan import Check, Step, Verb


@dataclass(frozen=True, slots=True)
class MachineEndings(Endings):
    """The endings of a machine's share of a plan."""

    async def failed(self, step: Step, outcome: Outcome) -> None:
        """Write on each side that we hold which step failed and why, and journal how both sides are left."""
        for side in self._sides():
            await Endings.failed(side, _at(side, step), outcome)
        judged = isinstance(step.action, Check) and outcome.evidence in {verdict.value for verdict in Verdict}
        if step.id != self.node.steps[0].id and not judged:
            await self._left(step)

    async def passed(self, step: Step) -> None:
        """Take our hold off each side that somebody had opened before the machine passed."""
        for side in self._sides():
            await Endings.passed(side, _at(side, step))

    async def cancelled(self, step: Step) -> StepState:
        """Put a cancelled drain back on both sides, Kubernetes' first; or leave both closed, with the step named."""
        await self.performer.end(step, StepState.CANCELLED, "cancelled")
        sides = self._sides()[::-1]
        stays_closed = await self._may_not_be_put_back(step)
        for side in sides:
            state = await side.after_cancel(_at(side, step), stays_closed=stays_closed)
            if state is not StepState.CANCELLED:
                await self._left(step)
                return state
        return StepState.CANCELLED

    def _sides(self) -> list[Endings]:
        """Each side's endings, with its own steps alone, Slurm's first; a side that nothing is done to has none."""
        shares = [
            replace(self.node, steps=tuple(step for step in self.node.steps if step.node == side))
            for side in self.node.sides
        ]
        return [Endings(self.reader, self.performer, self.plan, share) for share in shares if share.steps]

    async def _may_not_be_put_back(self, step: Step) -> bool:
        """Whether either side has a reason to stay closed: then both do."""
        if self.plan.verb is not Verb.DRAIN:
            return True
        try:
            found = await self.reader.read(self.node.sides, work=False)
        except FleetError:
            return False  # each side is looked at again, for longer, when its turn comes
        return any(fails_its_gate(facts.node) for facts in found.values())

    async def _left(self, step: Step) -> None:
        """Journal how both sides stand now, each in its own words."""
        ending = replace(step, id=f"{self.node.node}/sides", node=self.node.node)
        says = await self._standing(self.node.sides)
        await self.performer.end(ending, StepState.FAILED, says)

    async def _standing(self, sides: tuple[NodeKey, ...]) -> str:
        slurm, kubernetes = sides
        try:
            found = await self.reader.read(sides, work=False)
        except FleetError as error:
            return f"how its two sides are left can't be told: {error}"
        if slurm not in found or kubernetes not in found:
            gone = slurm if slurm not in found else kubernetes
            return f"{gone} is not there any more"
        return f"left so: {truths(found[slurm].node, found[kubernetes].node, slurm.source)}"


def _at(side: Endings, step: Step) -> Step:
    """The step as one of this side, so that what is named is named there; its before is that side's first."""
    first = side.node.steps[0]
    return step if step.node == first.node else replace(step, node=first.node, before=first.before)
