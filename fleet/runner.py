"""One operation under way: its nodes, in order, each through its steps, with brakes; journal first.

It outlives every screen. What ends it (done, failed, cancelled, left) is written on the node and in the journal, and
no step that took effect is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from fleet.brakes import at_once
from fleet.health import GateRecord
from fleet.journal import Kind, Record
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, Outcome, Progress, StepState
from fleet.plan import NodePlan, Plan, SourceIdentity, Step
from fleet.policy import FAILURES_THAT_STOP, Policy
from fleet.ports import Checker, Clock, Journal, Reader, Writer
from fleet.steps import NodeSteps, Recheck


class Stop(Enum):
    """Why an operation stops before its end: a person cancelled it, or the program leaves it to be resumed."""

    CANCEL = "cancel"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a runner works with. Handed out by the dispatcher alone, since it holds the writers."""

    readers: Mapping[str, Reader]
    writers: Mapping[str, Writer]
    checker: Checker
    journal: Journal
    clock: Clock
    policy: Policy
    identity: Mapping[str, SourceIdentity]
    unavailable: Callable[[], int]
    stale: Callable[[], Sequence[str]]
    recheck: Recheck


class OperationRun:
    """An operation under way. `operation` and `progress` are values to read; `changed` is called after each change."""

    def __init__(self, bench: Bench, operation: Operation, changed: Callable[[OperationRun], None]) -> None:
        self.operation = operation
        self.progress: dict[NodeKey, Progress] = {}
        self.node_states: dict[NodeKey, StepState] = {}
        self.records: dict[NodeKey, GateRecord] = {}
        self.stop: Stop | None = None
        self._bench = bench
        self._changed = changed
        self._tasks: set[asyncio.Task[StepState]] = set()
        self._failures = 0
        self._brake = ""

    @property
    def plan(self) -> Plan:
        return self.operation.plan

    async def go(self, *, resumed: bool = False) -> Operation:
        """Run to the end and return the operation as it ended. Raises JournalFailed before anything was done."""
        await self._open(resumed=resumed)
        limit = self._limit()
        waiting = [node for node in self.plan.nodes if node.steps]
        try:
            while (waiting and self._may_start()) or self._tasks:
                while waiting and len(self._tasks) < limit and self._may_start():
                    self._start(waiting.pop(0), resumed=resumed)
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._reap()
        except asyncio.CancelledError:
            await self._abandon()
            raise
        return await self._close(not_started=len(waiting))

    def request(self, stop: Stop) -> None:
        """Ask it to stop at the next safe point of each node."""
        if self.stop is None:
            self.stop = stop
            for task in self._tasks:
                task.cancel()

    def _limit(self) -> int:
        return at_once(
            self.plan.verb,
            len(self.plan.nodes),
            self._bench.policy,
            self.plan.max_unavailable,
            self._bench.unavailable(),
        )

    def _may_start(self) -> bool:
        if self.stop is None and not self._brake and len(self.plan.nodes) > 1:
            stale = self._bench.stale()
            if stale:
                self._brake = f"the feed {stale[0]} is stale"
        return self.stop is None and not self._brake

    def _start(self, node: NodePlan, *, resumed: bool) -> None:
        source = node.node.source
        steps = NodeSteps(
            reader=self._bench.readers[source],
            writer=self._bench.writers[source],
            checker=self._bench.checker,
            clock=self._bench.clock,
            policy=self._bench.policy,
            plan=self.plan,
            node=node,
            stopped=lambda: self.stop,
            journal=self._journal,
            progress=self._report,
            recheck=self._bench.recheck,
            judged=self.records.__setitem__,
        )
        states = dict(self.operation.steps)
        self._tasks.add(
            asyncio.create_task(steps.go(states, resumed=resumed), name=f"{self.operation.id} {node.node}")
        )
        self.node_states[node.node] = StepState.INTENDED

    def _reap(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            state = task.result()
            if state in (StepState.FAILED, StepState.UNKNOWN):
                self._failures += 1
        if self._failures >= FAILURES_THAT_STOP and not self._brake:
            self._brake = f"{self._failures} nodes failed"
        self._changed(self)

    async def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _report(self, progress: Progress) -> None:
        self.progress[progress.node] = progress
        self._changed(self)

    async def _journal(self, kind: Kind, outcome: Outcome, *, step: Step | None = None) -> None:
        """Write one step's intent or outcome, and only then show it."""
        record = self._record(kind, outcome.says, state=outcome.state.value)
        record = replace(
            record,
            node=outcome.node.name,
            source=outcome.node.source,
            identity=self._identity(outcome.node.source),
            step_id=outcome.step_id,
            evidence=outcome.evidence,
            step=step,
        )
        await self._bench.journal.append([record])
        steps = dict(self.operation.steps)
        steps[outcome.step_id] = outcome.state
        outcomes = self.operation.outcomes
        if kind is Kind.OUTCOME:
            outcomes = (*outcomes, outcome)
            self.node_states[outcome.node] = outcome.state
            if outcome.evidence == "denied":
                self._brake = "we are not permitted"
        self.operation = replace(self.operation, steps=tuple(steps.items()), outcomes=outcomes)
        self._changed(self)

    async def _open(self, *, resumed: bool) -> None:
        kind = Kind.RESUMED if resumed else Kind.STARTED
        record = self._record(kind, self.plan.request.reason, state=OperationState.RUNNING.value)
        await self._bench.journal.append([replace(record, plan=self.plan)])
        self.operation = replace(self.operation, state=OperationState.RUNNING, says="")
        self._changed(self)

    async def _close(self, *, not_started: int) -> Operation:
        state, says = self._ending(not_started)
        now = self._bench.clock.now()
        if state is not OperationState.INTERRUPTED:
            await self._bench.journal.append([self._record(Kind.ENDED, says, state=state.value)])
        self.operation = replace(self.operation, state=state, says=says, ended=now)
        self._changed(self)
        return self.operation

    def _ending(self, not_started: int) -> tuple[OperationState, str]:
        left = f"; {not_started} nodes were not started" if not_started else ""
        if self.stop is Stop.CANCEL:
            return OperationState.CANCELLED, f"cancelled{left}"
        if self.stop is Stop.LEAVE:
            return OperationState.INTERRUPTED, f"left unfinished{left}"
        failed = [
            key.name
            for key, state in self.node_states.items()
            if state not in (StepState.DONE, StepState.SKIPPED)
        ]
        if self._brake:
            return OperationState.FAILED, f"stopped: {self._brake}{left}"
        if failed:
            return (
                OperationState.FAILED,
                f"{len(failed)} of {len(self.plan.nodes)} nodes failed: " + ", ".join(failed[:5]),
            )
        return OperationState.DONE, "done"

    def _identity(self, source: str) -> str:
        found = self._bench.identity.get(source)
        return found.identity if found else ""

    def _record(self, kind: Kind, says: str, *, state: str = "") -> Record:
        return Record(
            at=self._bench.clock.now(),
            kind=kind,
            operation=self.operation.id,
            by=self.plan.request.by,
            verb=self.plan.verb.value,
            state=state,
            says=says,
        )


def new_operation(plan: Plan, now: datetime, owner: str) -> Operation:
    """An operation that has not begun: every step pending."""
    return Operation(
        id=plan.request.operation,
        plan=plan,
        state=OperationState.RUNNING,
        started=now,
        steps=tuple((step.id, StepState.PENDING) for step in plan.steps),
        owner=owner,
    )
