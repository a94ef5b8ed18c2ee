"""The step that gates a node: run the checks for as long as it may settle, then record and apply the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from fleet.errors import FleetError, JournalFailed, Missing
from fleet.health import Finding, GateRecord, Verdict, digest, failing, verdict_of, weight_of
from fleet.holder import Hold
from fleet.node import Admission, NodeKey
from fleet.operation import Outcome, Progress, StepState, Waiting
from fleet.performing import AWAY, ENDED_WELL, TRIED_FOR, Performer
from fleet.plan import ApplyVerdict, Check, NodeFacts, Step, Verb
from fleet.policy import Policy
from fleet.ports import Checker, Clock, Reader
from fleet.verbs.common import outlasting


@dataclass(frozen=True, slots=True)
class Checking:
    """Gates one node. `judged` is told each verdict with all its findings."""

    reader: Reader
    checker: Checker
    clock: Clock
    policy: Policy
    performer: Performer
    judged: Callable[[NodeKey, GateRecord], None]

    async def go(self, step: Step, check: Check) -> Outcome:
        """One outcome, journalled: DONE on PASS and WARN, FAILED on FAIL and UNKNOWN. Raises Stopped, JournalFailed."""
        performer, began = self.performer, self.clock.monotonic()
        until, given_up = began + check.settle.total_seconds(), began + TRIED_FOR.total_seconds()
        seen_by = until
        performer.progress(Progress(step.id, step.node, step.says))
        while True:
            try:
                record, facts = await self._judged(step, check, until, seen_by)
                applied = await self.apply(step, check, record, facts) if check.write else None
            except JournalFailed:
                raise
            except FleetError as error:
                return await performer.end(step, StepState.FAILED, f"can't be checked: {error}", error)
            if applied is None or applied.evidence != AWAY or self.clock.monotonic() >= given_up:
                break
            seen_by = given_up  # what was found is too old by now to be written: look again
        if applied is not None and applied.state not in ENDED_WELL:
            return await performer.ended(applied)
        verdict = record.verdict
        if verdict.admits:
            return await performer.ended(_passed(step, check, verdict, facts))
        says = f"{verdict.value}: {failing(record.findings)}"
        if verdict is Verdict.FAIL and check.write and facts.node.admission is Admission.OPEN:
            says += "; FAIL leaves it open: cordon it"
        return await performer.end(step, StepState.FAILED, says, evidence=verdict.value)

    async def _judged(
        self, step: Step, check: Check, until: float, seen_by: float
    ) -> tuple[GateRecord, NodeFacts]:
        """The verdict, and what it was made of: the first that admits, or that waiting can't change, or the one at `until`.

        Raises Stopped, and FleetError where it can't be looked at by `seen_by`.
        """
        performer = self.performer
        while True:
            try:
                facts, findings = await performer.stop.unless(self.look(step, check))
            except FleetError as error:
                if self.clock.monotonic() >= seen_by:
                    raise
                performer.progress(Progress(step.id, step.node, f"can't be checked yet: {error}"))
            else:
                verdict = verdict_of(findings)
                if verdict.admits or self.clock.monotonic() >= until or _is_final(findings):
                    break
                so_far = f"{verdict.value} so far"
                performer.progress(Progress(step.id, step.node, so_far, lacking(findings)))
            await performer.stop.unless(performer.pause())
        category = self.policy.category(facts.node.category)
        record = GateRecord(
            verdict,
            findings,
            self.clock.now(),
            check.by,
            digest(findings),
            facts.node.boot_id,
            self.policy.rules_digest(category),
        )
        self.judged(step.node, record)
        return record, facts

    async def look(self, step: Step, check: Check) -> tuple[NodeFacts, tuple[Finding, ...]]:
        """The node read fresh, and what its category's checks find. Raises FleetError."""
        facts = (await self.reader.read([step.node])).get(step.node)
        if facts is None:
            raise Missing("it is not there any more", about=step.node.name)
        category = self.policy.category(facts.node.category)
        return facts, tuple(await self.checker.findings(facts, category))

    async def apply(self, step: Step, check: Check, record: GateRecord, facts: NodeFacts) -> Outcome:
        """Write the verdict on the node, with what follows from it; its outcome is the caller's. Raises FleetError, Stopped."""
        told = replace(step, action=verdict_step(check, record, facts))
        return await self.performer.attempt(told, within=self.good_for)

    @property
    def good_for(self) -> timedelta:
        """How long after a look its verdict may still be written: no longer than its telemetry would be taken for fresh."""
        return min(self.policy.telemetry_fresh, TRIED_FOR)


def _passed(step: Step, check: Check, verdict: Verdict, facts: NodeFacts) -> Outcome:
    """A node that passed is open now, unless somebody else's hold keeps it closed: then that is said with their names."""
    node, done = facts.node, StepState.DONE
    holds = outlasting(node, check.operation) if check.write and node.admission is not Admission.OPEN else ()
    if not holds:
        return Outcome(step.id, step.node, done, verdict.value, verdict.value)
    running = f"on {node.image.running}, " if node.image.running else ""
    by = ", ".join(_named(hold) for hold in holds)
    says = f"{running}{verdict.value}, still closed: held by {by}"
    return Outcome(step.id, step.node, done, says, verdict.value, stays_closed=True)


def _named(hold: Hold) -> str:
    return (hold.by or "somebody unnamed") + (f" ({hold.reason})" if hold.reason else "")


def verdict_step(check: Check, record: GateRecord, facts: NodeFacts) -> ApplyVerdict:
    """What the verdict does. A node that is open by now is only flagged, whatever was planned: work may have landed there."""
    flag_only = check.flag_only or facts.node.admission is Admission.OPEN
    fails = record.verdict is Verdict.FAIL
    hold = Hold(
        by=check.by,
        reason=failing(record.findings),
        verb=Verb.GATE.value,
        operation=check.operation,
        since=record.at,
        found="",
    )
    return ApplyVerdict(
        record,
        check.operation,
        admit=record.verdict.admits and not flag_only,
        quarantine=fails and not flag_only,
        hold=hold if fails else None,
        by_cordon=check.by_cordon,
    )


def _is_final(findings: tuple[Finding, ...]) -> bool:
    """Whether all that keeps the node closed will be as it is however long one waits."""
    lacking = [finding.final for finding in findings if not weight_of(finding).admits]
    return bool(lacking) and all(lacking)


def lacking(findings: tuple[Finding, ...]) -> tuple[Waiting, ...]:
    """What a gate waits for: each check that keeps the node closed, with what it found, wants, and what would clear it."""
    return tuple(
        Waiting(finding.check, "to pass", "; ".join(filter(None, (_seen(finding), finding.clears))))
        for finding in findings
        if not weight_of(finding).admits
    )


def _seen(finding: Finding) -> str:
    value = finding.value or finding.verdict.value
    return f"{value}, wants {finding.threshold}" if finding.threshold else value
