"""One node's steps, one after the other: prepare, journal the intent, do it, read back what is unknown, journal the outcome.

A failure leaves the node closed with the step named on it; a person's cancel of a drain that stands alone puts back what
was found. Nothing here decides whether a verb may run: the plan did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Protocol

from fleet.errors import Denied, FleetError, Missing, OutcomeUnknown, TimedOut
from fleet.health import Finding, GateRecord, Verdict, digest, failing, verdict_of
from fleet.holder import Hold
from fleet.journal import Kind
from fleet.node import NodeKey, Stage
from fleet.operation import Effect, Outcome, Progress, StepState, Waiting
from fleet.plan import (
    ApplyVerdict,
    Check,
    Close,
    NodeFacts,
    NodePlan,
    Plan,
    PutImage,
    Release,
    Step,
    Verb,
)
from fleet.policy import Policy
from fleet.ports import Checker, Clock, Reader, Writer

READ_BACK_FOR = timedelta(minutes=2)
"""How long a lost outcome is read back, with pauses, before the step is parked as unknown."""

PAUSE = timedelta(seconds=5)
"""Between two looks at something that is not there yet."""

_ENDED_WELL = (StepState.DONE, StepState.SKIPPED)
_REPEATABLE = ("MoveWork", "AwaitBoot", "Check", "ApplyVerdict")


Recheck = Callable[[Plan, NodePlan], Awaitable[str]]
"""At a node's turn: what has changed since the plan was shown, in words; empty where it still holds."""


class Journaling(Protocol):
    def __call__(self, kind: Kind, outcome: Outcome, *, step: Step | None = None) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class NodeSteps:
    """Runs one node's share of a plan to its end and tells how it ended. It raises JournalFailed alone."""

    reader: Reader
    writer: Writer
    checker: Checker
    clock: Clock
    policy: Policy
    plan: Plan
    node: NodePlan
    stopped: Callable[[], Enum | None]
    journal: Journaling
    progress: Callable[[Progress], None]
    recheck: Recheck
    judged: Callable[[NodeKey, GateRecord], None]

    async def go(self, states: Mapping[str, StepState], *, resumed: bool) -> StepState:
        """Do every step that is not done yet. Returns DONE, FAILED, UNKNOWN or CANCELLED."""
        step = self.node.steps[0]
        try:
            if not resumed and (changed := await self.recheck(self.plan, self.node)):
                await self._end(step, StepState.FAILED, f"not started: {changed}")
                return StepState.FAILED
            for step in self.node.steps:
                state = states.get(step.id, StepState.PENDING)
                if state in _ENDED_WELL:
                    continue
                outcome = await self._one(step, state)
                if outcome.state not in _ENDED_WELL:
                    await self._name_failure(step, outcome)
                    return outcome.state
        except asyncio.CancelledError:
            return await self._cancelled(step)
        return StepState.DONE

    async def _one(self, step: Step, state: StepState) -> Outcome:
        """One step to its outcome, journalled. A step that was under way is read back before it is done again."""
        if state in (StepState.INTENDED, StepState.UNKNOWN) and type(step.action).__name__ not in _REPEATABLE:
            effect = await self._read_back(step)
            if effect is Effect.TOOK:
                return await self._end(step, StepState.DONE, "had taken effect")
            if effect is Effect.UNKNOWN:
                return await self._end(step, StepState.UNKNOWN, "outcome unknown: it could not be read back")
        if isinstance(step.action, Check):
            return await self._check(step, step.action)
        if state in (StepState.INTENDED, StepState.UNKNOWN):
            return await self._perform(step)
        try:
            prepared = await self.writer.prepare(step)
        except FleetError as error:
            return await self._end(step, StepState.FAILED, str(error), error)
        return await self._perform(prepared)

    async def _perform(self, step: Step) -> Outcome:
        await self.journal(Kind.INTENT, Outcome(step.id, step.node, StepState.INTENDED, step.says), step=step)
        self.progress(Progress(step.id, step.node, step.says))
        try:
            outcome = await self.writer.perform(step, self.progress)
        except OutcomeUnknown as error:
            effect = await self._read_back(step)
            if effect is Effect.TOOK:
                return await self._end(step, StepState.DONE, "the answer was lost; read back: it took effect")
            if effect is Effect.NOT:
                return await self._end(step, StepState.FAILED, f"{error}; read back: it did not take effect")
            return await self._end(step, StepState.UNKNOWN, f"outcome unknown: {error}")
        except FleetError as error:
            return await self._end(step, StepState.FAILED, str(error), error)
        return await self._end(step, outcome.state, outcome.says or step.says, evidence=outcome.evidence)

    async def _end(
        self,
        step: Step,
        state: StepState,
        says: str,
        error: FleetError | None = None,
        *,
        evidence: str = "",
    ) -> Outcome:
        if isinstance(error, Denied):
            evidence = "denied"
        elif isinstance(error, TimedOut):
            evidence = "deadline"
        outcome = Outcome(step.id, step.node, state, says, evidence)
        await self.journal(Kind.OUTCOME, outcome)
        self.progress(Progress(step.id, step.node, says))
        return outcome

    async def _read_back(self, step: Step) -> Effect:
        """TOOK or NOT as soon as it can be told; UNKNOWN after the deadline."""
        until = self.clock.monotonic() + READ_BACK_FOR.total_seconds()
        while True:
            try:
                effect = await self.writer.effect_of(step)
            except FleetError as error:
                effect = Effect.UNKNOWN
                self.progress(Progress(step.id, step.node, f"reading back whether it took effect: {error}"))
            if effect is not Effect.UNKNOWN or self.clock.monotonic() >= until:
                return effect
            await self.clock.sleep(PAUSE)

    async def _check(self, step: Step, check: Check) -> Outcome:
        """Run the checks, for as long as the step lets the node settle, then record and apply the verdict."""
        until = self.clock.monotonic() + check.settle.total_seconds()
        self.progress(Progress(step.id, step.node, step.says))
        while True:
            try:
                facts = await self._facts(step)
                category = self.policy.category(facts.node.category)
                findings = tuple(await self.checker.findings(facts, category))
            except FleetError as error:
                return await self._end(step, StepState.FAILED, f"can't be checked: {error}", error)
            verdict = verdict_of(findings)
            if verdict.admits or self.clock.monotonic() >= until:
                break
            self.progress(Progress(step.id, step.node, f"{verdict.value} so far", _lacking(findings)))
            await self.clock.sleep(PAUSE)
        record = GateRecord(
            verdict, findings, self.clock.now(), check.by, digest(findings), facts.node.boot_id
        )
        self.judged(step.node, record)
        if check.write:
            applied = await self._apply(step, check, record)
            if applied.state not in _ENDED_WELL:
                return applied
        return await self._verdict(step, record)

    async def _facts(self, step: Step) -> NodeFacts:
        facts = (await self.reader.read([step.node])).get(step.node)
        if facts is None:
            raise Missing("it is not there any more", about=step.node.name)
        return facts

    async def _apply(self, step: Step, check: Check, record: GateRecord) -> Outcome:
        fails = record.verdict is Verdict.FAIL
        hold = Hold(
            by=check.by,
            reason=failing(record.findings),
            verb=Verb.GATE.value,
            operation=check.operation,
            since=record.at,
            found="",
        )
        action = ApplyVerdict(
            record,
            check.operation,
            admit=record.verdict.admits and not check.flag_only,
            quarantine=fails and not check.flag_only,
            hold=hold if fails else None,
        )
        return await self._perform(replace(step, action=action))

    async def _verdict(self, step: Step, record: GateRecord) -> Outcome:
        if record.verdict.admits:
            return await self._end(step, StepState.DONE, record.verdict.value, evidence=record.verdict.value)
        says = f"{record.verdict.value}: {failing(record.findings)}"
        return await self._end(step, StepState.FAILED, says, evidence=record.verdict.value)

    async def _name_failure(self, step: Step, outcome: Outcome) -> None:
        """Write on a node that we closed which step failed and why, so that nobody finds it closed without a word."""
        hold = self._own_hold()
        if hold is None or isinstance(step.action, Check) or not self._closed_by(step):
            return
        told = replace(
            hold, step=step.id.rsplit("/", 1)[-1], reason=f"{hold.reason} ({step.says}: {outcome.says})"
        )
        stage = Stage.QUARANTINED if self._past_imaging(step) else None
        action = Close(told, stage=stage, gate=stage is not None)
        try:
            await self.writer.perform(
                replace(step, id=f"{step.node}/name-failure", action=action), lambda progress: None
            )
        except FleetError as error:
            self.progress(
                Progress(
                    step.id, step.node, f"{outcome.says}; and it could not be named on the node: {error}"
                )
            )

    def _own_hold(self) -> Hold | None:
        return next((step.action.hold for step in self.node.steps if isinstance(step.action, Close)), None)

    def _closed_by(self, step: Step) -> bool:
        """Whether a close stood before this step, so that the node is closed by us now."""
        before = (
            self.node.steps[: self.node.steps.index(step)] if step in self.node.steps else self.node.steps
        )
        return any(isinstance(earlier.action, Close) for earlier in before)

    def _past_imaging(self, step: Step) -> bool:
        names = [earlier.id for earlier in self.node.steps]
        imaging = [earlier.id for earlier in self.node.steps if isinstance(earlier.action, PutImage)]
        return bool(imaging) and step.id in names and names.index(step.id) >= names.index(imaging[0])

    async def _cancelled(self, step: Step) -> StepState:
        """The ending of a stop: restore a cancelled drain, else leave it closed and named; a leaving keeps all as is."""
        stop = self.stopped()
        if stop is None or stop.value != "cancel":
            return StepState.CANCELLED
        await self._end(step, StepState.CANCELLED, "cancelled")
        if self.plan.verb is not Verb.DRAIN or not self._closed_by(step):
            outcome = Outcome(step.id, step.node, StepState.CANCELLED, "cancelled")
            await self._name_failure(step, outcome)
            return StepState.CANCELLED
        await self._restore(step)
        return StepState.CANCELLED

    async def _restore(self, step: Step) -> None:
        """Lift the drain's own hold where the node was found open and no check of it fails."""
        facts = (await self.reader.read([step.node])).get(step.node)
        if facts is None:
            return
        node = facts.node
        if step.before.unschedulable or (node.gate is not None and node.gate.verdict is Verdict.FAIL):
            await self._name_failure(step, Outcome(step.id, step.node, StepState.CANCELLED, "cancelled"))
            return
        stage = Stage.IN_SERVICE if node.stage in (Stage.DRAINING, Stage.DRAINED) else None
        release = Release(operations=(self.plan.request.operation,), stage=stage)
        says = f"put {step.node.name} back as it was found"
        await self._perform(replace(step, id=f"{step.node}/restore", action=release, says=says))


def _lacking(findings: tuple[Finding, ...]) -> tuple[Waiting, ...]:
    return tuple(
        Waiting(finding.check, f"{finding.value or finding.verdict.value}", finding.clears)
        for finding in findings
        if not finding.verdict.admits
    )
