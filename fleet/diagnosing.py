"""The steps that run an active check on a closed node, and what they found, kept for the verdict that follows.

Such a step is done whatever it found. What could not be run is UNKNOWN, and so is what ran before the node's last boot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fleet.active_checks import asked, not_run
from fleet.category import Category
from fleet.diagnosis import Diagnose, Diagnosed, as_evidence, from_evidence, unknown
from fleet.errors import FleetError
from fleet.health import Finding, Verdict, failing, same_boot
from fleet.journal import Kind
from fleet.leavings import Leavings
from fleet.node import Admission, NodeKey
from fleet.operation import Outcome, Progress, StepState
from fleet.performing import Performer
from fleet.plan import NodeFacts, Plan, Step
from fleet.policy import Policy
from fleet.ports import Checker, Clock, Reader


class Diagnoses:
    """What the active checks of one operation came to, also those of before an interruption."""

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        self._looks_only = plan.changes_nothing
        self._checks = {
            step.id: (step.node, step.action.check)
            for step in plan.steps
            if isinstance(step.action, Diagnose)
        }
        self._found: dict[tuple[NodeKey, str], Diagnosed] = {}
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Take in how a step ended; one that is no active check is nothing."""
        of = self._checks.get(outcome.step_id)
        diagnosed = from_evidence(outcome.evidence) if of and outcome.state is StepState.DONE else None
        if of is not None and diagnosed is not None:
            self._found[of] = diagnosed

    def findings(self, facts: NodeFacts, category: Category) -> tuple[Finding, ...]:
        """One finding for each active check of the node's category, UNKNOWN where it was not run on this boot and as it is mended.

        Waiting changes none of them: what was run has said what it says.
        """
        return tuple(replace(self._finding(facts, check), final=True) for check in asked(category))

    def _finding(self, facts: NodeFacts, check: str) -> Finding:
        diagnosed = self._found.get((facts.node.key, check))
        if diagnosed is None:
            return not_run(facts, check, looks_only=self._looks_only)
        finding, repair, gate = diagnosed.finding, facts.node.repair, facts.node.gate
        if not same_boot(diagnosed.boot_id, facts.node.boot_id):
            return unknown(check, "it ran before the node's last boot", source=finding.source, at=finding.at)
        if repair is not None and _older(finding, repair.at):
            says = f"it ran before what was mended on {repair.at:%Y-%m-%d %H:%M} UTC"
            return unknown(check, says, source=finding.source, at=finding.at)
        failed = gate is not None and gate.verdict is Verdict.FAIL and _older(finding, gate.at)
        if failed and finding.verdict is not Verdict.FAIL:
            says = "it ran before the node failed its gate"
            return unknown(check, says, source=finding.source, at=finding.at)
        return replace(finding, tail=diagnosed.tail)


@dataclass(frozen=True, slots=True)
class WithDiagnoses:
    """A `fleet.ports.Checker` that judges what the active checks came to beside what it finds itself."""

    checker: Checker
    diagnoses: Diagnoses

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        ran = self.diagnoses.findings(facts, category)
        return await self.checker.findings(replace(facts, findings=(*facts.findings, *ran)), category)


@dataclass(frozen=True, slots=True)
class Diagnosing:
    """Does the active checks of one node's share of a plan. What they leave is `leavings`' to take away."""

    reader: Reader
    leavings: Leavings
    clock: Clock
    policy: Policy
    performer: Performer
    diagnoses: Diagnoses

    async def go(self, step: Step, action: Diagnose) -> Outcome:
        """One outcome, journalled: DONE, with the finding as its evidence. Raises Stopped, JournalFailed.

        Where what it started can't be taken away, the outcome that says so: no verdict is given over that. Stopped, it leaves it
        there: to be taken away by a cancel, to be found again where it is left to be resumed.
        """
        intent = Outcome(step.id, step.node, StepState.INTENDED, step.says)
        await self.performer.journal(Kind.INTENT, intent, step=step)
        self.performer.progress(Progress(step.id, step.node, step.says))
        diagnosed = await self.performer.stop.unless(self._run(step, action))
        finding = diagnosed.finding
        told = failing((finding,)) or f"{finding.check} {finding.verdict.value}: {finding.value}"
        outcome = Outcome(step.id, step.node, StepState.DONE, told, as_evidence(diagnosed))
        ended = await self.performer.ended(outcome)
        self.diagnoses.add(ended)
        return await self.leavings.take_away() or ended

    async def _run(self, step: Step, action: Diagnose) -> Diagnosed:
        """Run it on the node as it is now. What keeps it from being run is a finding of UNKNOWN."""
        try:
            facts = await self._facts(step)
        except FleetError as error:
            return Diagnosed(unknown(action.check, f"not run: {error}", at=self.clock.now()))
        if facts is None:
            return Diagnosed(unknown(action.check, "not run: it is not there any more", at=self.clock.now()))
        boot = facts.node.boot_id
        if facts.node.admission is Admission.OPEN:
            says = "not run: it is in service by now, and this takes all its GPUs"
            return Diagnosed(
                unknown(action.check, says, clears="closing it first", at=self.clock.now()), boot
            )
        runner = self.leavings.runners.get(step.node.source)
        if runner is None:
            says = f"not run: nothing can be run on nodes of {step.node.source}"
            return Diagnosed(unknown(action.check, says, at=self.clock.now()), boot)
        ready = replace(step, action=self._ready(action, facts))
        self.leavings.owe(step)
        try:
            diagnosed = await self.performer.patiently(
                lambda: runner.run(ready, facts, self.performer.progress), step
            )
        except FleetError as error:
            return Diagnosed(unknown(action.check, str(error), at=self.clock.now()), boot)
        return replace(diagnosed, boot_id=boot)

    async def _facts(self, step: Step) -> NodeFacts | None:
        found = await self.performer.patiently(lambda: self.reader.read([step.node]), step)
        return found.get(step.node)

    def _ready(self, action: Diagnose, facts: NodeFacts) -> Diagnose:
        """The check with what the node has: its GPUs, their model, and both in the words of its command."""
        node = facts.node
        expected = self.policy.category(node.category).expected_gpus
        gpus = (node.gpus_capacity or 0) if expected is None else expected
        words = {"{gpus}": str(gpus), "{node}": node.key.name}
        command = tuple(_filled(part, words) for part in action.command)
        return replace(action, command=command, gpus=gpus, model=node.software.gpu_product)


def _older(finding: Finding, than: datetime | None) -> bool:
    """Whether it can't be told to be of that time or later, where there is one."""
    return than is not None and (finding.at is None or finding.at < than)


def _filled(part: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        part = part.replace(word, value)
    return part
