"""The steps of a machine of two sources: as one node's, with both sides looked at before anything is gone on with.

Nothing is opened by Slurm while Kubernetes is shut, for Slurm would start jobs on a node that something else still holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.errors import FleetError
from fleet.machine import own_holds
from fleet.node import Admission, NodeKey
from fleet.operation import Outcome, StepState
from fleet.performing import ENDED_WELL
from fleet.plan import Close, NodeFacts, Release, Step
from fleet.ports import Reader
from fleet.steps import NodeSteps


@dataclass(frozen=True, slots=True)
class MachineSteps(NodeSteps):
    """Runs a machine's share. `begun` is how far each step was when it was gone on with."""

    begun: Mapping[str, StepState] = field(default_factory=dict)

    async def do(self, step: Step, state: StepState) -> Outcome:
        if isinstance(step.action, Release) and step.node == self.node.sides[0]:
            try:
                says = await self.performer.stop.unless(still_shut(self.reader, self.node.sides))
            except FleetError as error:
                return await self.performer.end(step, StepState.FAILED, f"not opened: {error}", error)
            if says:
                return await self.performer.end(step, StepState.FAILED, says)
        return await NodeSteps.do(self, step, state)

    async def _lost(self) -> str:
        """What became of a side that we closed, between an interruption and now, that makes the machine ours no longer."""
        found = await self.reader.read(self.node.sides, work=False)
        for side in self.node.sides:
            says = self._lost_side(side, found.get(side))
            if says:
                return f"{side}: {says}"
        return ""

    def _lost_side(self, side: NodeKey, facts: NodeFacts | None) -> str:
        first, operation = (
            next((step for step in self.node.steps if step.node == side), None),
            self._operation,
        )
        if first is None or facts is None or not isinstance(first.action, Close):
            return ""
        if first.before.uid and facts.node.uid != first.before.uid:
            return "another node has its name now"
        if self.begun.get(first.id) not in ENDED_WELL:
            return ""
        node = facts.node
        if node.admission is Admission.OPEN or all(hold.operation != operation for hold in node.holds):
            return "somebody opened it, or lifted our hold, since: plan it anew"
        return ""

    @property
    def _operation(self) -> str:
        return self.plan.request.operation


async def still_shut(reader: Reader, sides: tuple[NodeKey, ...]) -> str:
    """Why Slurm's side must not be opened: Kubernetes' is shut, and by whom. Empty where it is open. Raises FleetError."""
    slurm, kubernetes = sides
    found = await reader.read(sides, work=False)
    facts, other = found.get(kubernetes), found.get(slurm)
    if facts is None or other is None:
        return f"{kubernetes if facts is None else slurm} is not there any more: left closed"
    holds = own_holds(facts.node, other.node)
    carried = bool(facts.node.holds) and not holds
    if carried or not (facts.unschedulable or holds or facts.node.admission is Admission.GATED):
        return ""
    by = ", ".join(hold.by or "somebody unnamed" for hold in holds) or facts.node.admission.value
    return f"{kubernetes} stays closed (held by {by}): {slurm} is left closed too"
