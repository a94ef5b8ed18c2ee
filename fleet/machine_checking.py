"""The gate of a machine of two sources: one verdict over both sides, and both opened by it or neither, Kubernetes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.check_catalogue import is_active
from fleet.checking import Checking, verdict_step
from fleet.errors import Missing
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.health import Finding, GateRecord, Verdict, verdict_of
from fleet.machine import without_carried
from fleet.machine_diagnosing import category_of_side
from fleet.machine_steps import still_shut
from fleet.node import Admission, NodeKey
from fleet.operation import Outcome, StepState
from fleet.performing import ENDED_WELL
from fleet.plan import Check, NodeFacts, Step
from fleet.verbs.common import outlasting


@dataclass(frozen=True, slots=True)
class MachineChecking(Checking):
    """Gates both sides of a machine as one."""

    async def look(self, step: Step, check: Check) -> tuple[NodeFacts, tuple[Finding, ...]]:
        """The machine: the shown side's facts with both sides' holds, closed where either is. Raises FleetError."""
        found = await self._both(check)
        own = {side: self.policy.category(facts.node.category) for side, facts in found.items()}
        judged = {side: category_of_side(side, check.sides[-1], own) for side in found}
        findings = [tuple(await self.checker.findings(facts, judged[side])) for side, facts in found.items()]
        shown = found[step.node]
        every = [hold for facts in found.values() for hold in facts.node.holds]
        holds = tuple({(hold.by, hold.operation, hold.verb, hold.reason): hold for hold in every}.values())
        open_all = all(facts.node.admission is Admission.OPEN for facts in found.values())
        closed = next(
            (each.node.admission for each in found.values() if each.node.admission is not Admission.OPEN),
            Admission.OPEN,
        )
        node = replace(shown.node, holds=holds, admission=Admission.OPEN if open_all else closed)
        return replace(shown, node=node), of_both(findings)

    async def apply(self, step: Step, check: Check, record: GateRecord, facts: NodeFacts) -> Outcome:
        """Write the verdict on both sides. Both stay closed where somebody else holds either."""
        opens = record.verdict.admits
        found = await self._both(check)
        held = any(outlasting(each.node, check.operation) for each in found.values())
        for side in check.sides if opens else check.sides[::-1]:
            mine = found[side]
            action = verdict_step(check, replace(record, boot_id=mine.node.boot_id), mine)
            if held:
                action = replace(action, admit=False)
            elif action.admit and side == check.sides[-1]:
                says = await self.performer.stop.unless(still_shut(self.reader, check.sides[::-1]))
                if says:
                    return Outcome(step.id, step.node, StepState.FAILED, says)
            told = replace(step, id=f"{step.id}@{side.source}", node=side, action=action)
            outcome = await self.performer.ended(await self.performer.attempt(told, within=self.good_for))
            if outcome.state not in ENDED_WELL:
                says = f"{side}: {outcome.says}"
                return replace(outcome, step_id=step.id, node=step.node, says=says)
        return Outcome(step.id, step.node, StepState.DONE)

    async def _both(self, check: Check) -> Mapping[NodeKey, NodeFacts]:
        """Both sides, in the order in which they open, less what a controller carried over from one to the other."""
        found = await self.reader.read(check.sides)
        for side in check.sides:
            if side not in found:
                raise Missing("it is not there any more", about=str(side))
        one, other = check.sides
        return {
            one: replace(found[one], node=without_carried(found[one].node, found[other].node)),
            other: replace(found[other], node=without_carried(found[other].node, found[one].node)),
        }


def of_both(sides: Sequence[Iterable[Finding]]) -> tuple[Finding, ...]:
    """What was found on both sides as one list.

    What telemetry decides is the machine's, by whichever side's name its series are known, and so is what was run on it; what an
    orchestrator says stands for that side, so that both must pass.
    """
    found: list[Finding] = []
    measured: dict[str, Finding] = {}
    for finding in (finding for findings in sides for finding in findings):
        if finding.check not in FROM_TELEMETRY and not is_active(finding.check):
            found.append(finding)
            continue
        known = measured.get(finding.check)
        measured[finding.check] = finding if known is None else _weightier(known, finding)
    return (*found, *measured.values())


def _weightier(one: Finding, other: Finding) -> Finding:
    """The one that knows; of two that know, the worse."""
    if other.verdict is Verdict.UNKNOWN:
        return one
    if one.verdict is Verdict.UNKNOWN:
        return other
    return one if verdict_of((one, other)) is one.verdict else other
