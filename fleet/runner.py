"""One operation under way: its nodes, in order, each through its steps, with brakes; journal first.

It outlives every screen. What ends it (done, failed, cancelled, left) is written on the node and in the journal, and
no step that took effect is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fleet.checking import Checking
from fleet.diagnosing import Diagnoses, Diagnosing, WithDiagnoses
from fleet.endings import Endings
from fleet.errors import FleetError, JournalFailed
from fleet.health import GateRecord
from fleet.journal import Kind, Record
from fleet.leavings import Leavings, begun
from fleet.lock import LOCKED, Locks
from fleet.machine_checking import MachineChecking
from fleet.machine_diagnosing import MachineDiagnosing
from fleet.machine_endings import MachineEndings
from fleet.machine_steps import MachineSteps
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, Outcome, Progress, StepState
from fleet.operation_end import OperationEnd
from fleet.performing import ENDED_WELL, Performer
from fleet.plan import NodePlan, Plan, SourceIdentity, Step, Verb
from fleet.policy import FAILURES_THAT_STOP, TYPED_CONFIRMATION_ABOVE, Policy
from fleet.ports import Checker, CheckRunner, Clock, Journal, Reader, Writer
from fleet.read_only import NoWriter
from fleet.routed import RoutedReader, RoutedWriter, SideLocks
from fleet.steps import NodeSteps, Recheck
from fleet.stopping import Stop, StopSignal


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
    stale: Callable[[], Sequence[str]]
    recheck: Recheck
    locks: Mapping[str, Locks] = field(default_factory=dict)
    check_runners: Mapping[str, CheckRunner] = field(default_factory=dict)


class OperationRun:
    """An operation under way. `operation` and `progress` are values to read; `changed` is called after each change."""

    def __init__(self, bench: Bench, operation: Operation, changed: Callable[[OperationRun], None]) -> None:
        self.progress: dict[NodeKey, Progress] = {}
        self.node_states: dict[NodeKey, StepState] = {}
        self.records: dict[NodeKey, GateRecord] = {}
        self._operation = operation
        self._states = dict(operation.steps)
        self._outcomes = list(operation.outcomes)
        self._as_told = False
        self._diagnoses = Diagnoses(operation.plan, operation.outcomes)
        self._bench = bench
        self._changed = changed
        self._signal = StopSignal()
        self._tasks: dict[asyncio.Task[StepState], NodeKey] = {}
        self._failures = 0
        self._brake = ""
        self._broken: FleetError | None = None
        # A cancel that was cut off is finished: its nodes get their endings, and nothing new begins.
        self._finishing = StepState.CANCELLED in self._states.values()
        if self._finishing:
            self._signal.ask(Stop.CANCEL)

    @property
    def plan(self) -> Plan:
        return self._operation.plan

    @property
    def stop(self) -> Stop | None:
        return self._signal.why

    @property
    def operation(self) -> Operation:
        """The operation as it stands."""
        if not self._as_told:
            steps, outcomes = tuple(self._states.items()), tuple(self._outcomes)
            self._operation = replace(self._operation, steps=steps, outcomes=outcomes)
            self._as_told = True
        return self._operation

    async def go(self, *, resumed: bool = False) -> Operation:
        """Run to the end and return the operation as it ended: INTERRUPTED where the journal failed on the way.

        Raises JournalFailed before anything was done.
        """
        try:
            await self._open(resumed=resumed)
        except JournalFailed as error:
            self._become(OperationState.FAILED, f"nothing was done: {error}")
            raise
        try:
            done = [node for node in self.plan.nodes if node.steps and self._is_done(node)]
            self.node_states |= {node.node: StepState.DONE for node in done}
            waiting = [
                node
                for node in self.plan.nodes
                if node.steps and node not in done and (not self._finishing or self._is_begun(node))
            ]
            try:
                await self._all(waiting)
                await self._end_begun(waiting)
            finally:
                await self._abandon()
            return await self._close(not_started=len(waiting))
        finally:
            if self._operation.state is OperationState.RUNNING:
                self._become(OperationState.INTERRUPTED, "cut off: it can be resumed")

    def request(self, stop: Stop) -> None:
        """Ask it to stop at the next safe point of each node."""
        self._signal.ask(stop)

    async def _all(self, waiting: list[NodePlan]) -> None:
        """Run the nodes that are `waiting`; those that were not started are left there."""
        while True:
            while waiting and self._has_room() and self._may_start():
                self._start(waiting.pop(0))
            if not self._tasks:
                return
            await self._some_ended()

    async def _end_begun(self, waiting: list[NodePlan]) -> None:
        """What becomes of nodes that an earlier run began and this one did not start.

        Cancelled, each is started to get its ending, and is no longer `waiting`. Stopped by a brake, what its checks left there is
        taken away, for this operation ends.
        """
        cancelled = self.stop is Stop.CANCEL
        if self.stop is Stop.LEAVE:
            return
        if cancelled:
            owed = [node for node in waiting if self._is_begun(node)]
            waiting[:] = [node for node in waiting if node not in owed]
        else:
            owed = [node for node in waiting if begun(node.steps, self._states)]
        while owed or self._tasks:
            while owed and len(self._tasks) < self.plan.at_once:
                self._start(owed.pop(0), only_tidy=not cancelled)
            await self._some_ended()

    async def _some_ended(self) -> None:
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._reap()

    def _is_begun(self, node: NodePlan) -> bool:
        states = [self._states.get(step.id, StepState.PENDING) for step in node.steps]
        return not self._is_done(node) and any(state is not StepState.PENDING for state in states)

    def _is_done(self, node: NodePlan) -> bool:
        """Whether an earlier run brought the node to its end."""
        return all(self._states.get(step.id) in ENDED_WELL for step in node.steps)

    def _has_room(self) -> bool:
        """Whether one more node may be under way. A node that failed stays out of service, so it takes up its place."""
        bounded = self.plan.verb is Verb.REIMAGE and len(self.plan.nodes) > TYPED_CONFIRMATION_ABOVE
        taken = self._failures if bounded else 0
        if taken >= self.plan.at_once and not self._brake:
            self._brake = f"as many nodes failed as may be unavailable ({taken})"
        return len(self._tasks) + taken < self.plan.at_once

    def _may_start(self) -> bool:
        if self.stop is not None:
            return self._finishing
        if not self._brake and len(self.plan.nodes) > 1 and (stale := self._bench.stale()):
            self._brake = f"the feed {stale[0]} is stale"
        return not self._brake

    def _start(self, node: NodePlan, *, only_tidy: bool = False) -> None:
        steps = self._steps_of_machine(node) if node.sides else self._steps_of(node)
        states = dict(self._states)
        task = asyncio.create_task(
            steps.tidy(states) if only_tidy else steps.go(states),
            name=f"{self.plan.request.operation} {node.node}",
        )
        self._tasks[task] = node.node
        self.node_states[node.node] = StepState.INTENDED

    def _steps_of(self, node: NodePlan) -> NodeSteps:
        bench, source = self._bench, node.node.source
        reader = bench.readers[source]
        performer = self._performer(bench.writers.get(source) or NoWriter(source), self._report)
        return NodeSteps(
            reader=reader,
            performer=performer,
            checking=self._checking(Checking, reader, performer),
            diagnosing=Diagnosing(*self._to_diagnose(reader, performer)),
            endings=Endings(reader, performer, self.plan, node),
            plan=self.plan,
            node=node,
            recheck=bench.recheck,
            locks=bench.locks.get(source) if self._takes_turns else None,
        )

    def _steps_of_machine(self, node: NodePlan) -> NodeSteps:
        """The steps of a machine of two sources, each done at its own; what is told of either side is told of the machine."""
        bench, source = self._bench, node.node.source
        reader = RoutedReader(bench.readers, source)

        def report(progress: Progress) -> None:
            self._report(replace(progress, node=node.node))

        performer = self._performer(RoutedWriter(bench.writers, source), report)
        return MachineSteps(
            reader=reader,
            performer=performer,
            checking=self._checking(MachineChecking, reader, performer),
            diagnosing=MachineDiagnosing(*self._to_diagnose(reader, performer), sides=node.sides),
            endings=MachineEndings(reader, performer, self.plan, node),
            plan=self.plan,
            node=node,
            recheck=bench.recheck,
            locks=SideLocks(bench.locks, node.sides) if self._takes_turns else None,
            begun=dict(self._states),
        )

    def _performer(self, writer: Writer, report: Callable[[Progress], None]) -> Performer:
        return Performer(writer, self._bench.clock, self._journal, report, self._signal)

    def _checking(self, kind: type[Checking], reader: Reader, performer: Performer) -> Checking:
        bench = self._bench
        checker = WithDiagnoses(bench.checker, self._diagnoses)
        return kind(reader, checker, bench.clock, bench.policy, performer, self.records.__setitem__)

    def _to_diagnose(
        self, reader: Reader, performer: Performer
    ) -> tuple[Reader, Leavings, Clock, Policy, Performer, Diagnoses]:
        """What active checks work with."""
        bench = self._bench
        leavings = Leavings(bench.check_runners, performer, dict(self._states))
        return reader, leavings, bench.clock, bench.policy, performer, self._diagnoses

    def _reap(self) -> None:
        """Take in what ended. A journal that fails stops every node where it is: nothing more can be written down."""
        for task in [task for task in self._tasks if task.done()]:
            key = self._tasks.pop(task)
            try:
                state = task.result()
            except JournalFailed as error:
                self._broken, state = error, StepState.UNKNOWN
                self._signal.ask(Stop.LEAVE)
            self.node_states[key] = state
            if state in (StepState.FAILED, StepState.UNKNOWN):
                self._failures += 1
        if self._failures >= FAILURES_THAT_STOP and not self._brake:
            self._brake = f"{self._failures} nodes failed"
        self._changed(self)

    async def _abandon(self) -> None:
        """End every node's task that is still there: only where we are cut off ourselves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _takes_turns(self) -> bool:
        return self.plan.verb in LOCKED and not self.plan.changes_nothing

    def _report(self, progress: Progress) -> None:
        self.progress[progress.node] = progress
        self._changed(self)

    def _become(self, state: OperationState, says: str, ended: datetime | None = None) -> None:
        self._operation = replace(self.operation, state=state, says=says, ended=ended)
        self._changed(self)

    async def _journal(self, kind: Kind, outcome: Outcome, *, step: Step | None = None) -> None:
        """Write one step's intent or outcome, and only then show it."""
        record = replace(
            self._record(kind, outcome.says, state=outcome.state.value),
            node=outcome.node.name,
            source=outcome.node.source,
            identity=self._identity(outcome.node.source),
            step_id=outcome.step_id,
            evidence=outcome.evidence,
            step=step,
        )
        await self._written([record])
        self._states[outcome.step_id] = outcome.state
        if kind is Kind.OUTCOME:
            self._outcomes.append(outcome)
            if outcome.evidence == "denied":
                self._brake = "we are not permitted"
        self._as_told = False
        self._changed(self)

    async def _written(self, records: Sequence[Record]) -> None:
        """Into the journal, unless nothing is changed: then there is nothing to resume, or to answer for."""
        if not self.plan.changes_nothing:
            await self._bench.journal.append(records)

    async def _open(self, *, resumed: bool) -> None:
        kind = Kind.RESUMED if resumed else Kind.STARTED
        record = self._record(kind, self.plan.request.reason, state=OperationState.RUNNING.value)
        written = replace(record, by=self._operation.owner) if resumed else replace(record, plan=self.plan)
        await self._written([written])
        self._become(OperationState.RUNNING, "")

    async def _close(self, *, not_started: int) -> Operation:
        end = OperationEnd(
            self.plan,
            self.node_states,
            self._states,
            self._outcomes,
            self.stop,
            self._broken,
            self._brake,
            not_started,
        )
        state, says = end.told()
        if state is not OperationState.INTERRUPTED:
            try:
                await self._written([self._record(Kind.ENDED, says, state=state.value)])
            except JournalFailed as error:
                state, says = OperationState.INTERRUPTED, f"{says}; that could not be written down: {error}"
        self._become(state, says, self._bench.clock.now())
        return self.operation

    def _identity(self, source: str) -> str:
        found = self._bench.identity.get(source)
        return found.identity if found else ""

    def _record(self, kind: Kind, says: str, *, state: str = "") -> Record:
        return Record(
            at=self._bench.clock.now(),
            kind=kind,
            operation=self.plan.request.operation,
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
