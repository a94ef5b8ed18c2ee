"""A fleet in memory behind the ports: what planner, dispatcher and runner are tried on where no server is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fleet.category import Category
from fleet.errors import Conflict, FleetError, JournalFailed, Missing, OutcomeUnknown
from fleet.health import Finding, Verdict
from fleet.journal import Kind, Record, fold
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Stage
from fleet.operation import Effect, Operation, OperationState, Outcome, Progress, StepState
from fleet.plan import (
    ApplyVerdict,
    Attest,
    AwaitBoot,
    Close,
    Create,
    Mark,
    MoveWork,
    NodeFacts,
    Options,
    Permission,
    PutImage,
    Release,
    Remove,
    Request,
    SourceIdentity,
    Step,
    Verb,
)
from fleet.workload import Keeper, Placement, WorkloadId

SOURCE = "lab"


def key(name: str) -> NodeKey:
    return NodeKey(SOURCE, name)


def node(name: str = "gpu-1", **changes: Any) -> Node:
    """A healthy node in service, replaceable, at v1 and wanted at v2."""
    plain = Node(
        key=key(name),
        uid=f"uid-{name}",
        category="h100",
        image=Image(running="v1", running_from="label", desired="v2"),
        readiness=Readiness.READY,
        gpus_capacity=8,
        gpus_allocatable=8,
        boot_id="boot-1",
        replaceable=True,
    )
    return replace(plain, **changes)


def pod(name: str = "job-0", **changes: Any) -> Placement:
    plain = Placement("ml", name, f"uid-{name}", WorkloadId("ml", "Job", "job"), Keeper.CONTROLLER, gpus=8)
    return replace(plain, **changes)


def request(verb: Verb, *names: str, operation: str = "op-1", **options: Any) -> Request:
    return Request(
        verb,
        tuple(key(name) for name in names or ("gpu-1",)),
        by="oncall@desk",
        reason="maintenance",
        operation=operation,
        options=Options(**options),
    )


@dataclass
class Lab:
    """The orchestrator's truth, with every port in front of it."""

    facts: dict[NodeKey, NodeFacts] = field(default_factory=dict)
    permission: Permission = Permission.ALLOWED
    identity_uid: str = "cluster-1"
    verdict: Verdict = Verdict.PASS
    performed: list[Step] = field(default_factory=list)
    fails: dict[str, FleetError | Outcome] = field(default_factory=dict)  # by action name, once
    loses: set[str] = field(default_factory=set)  # by action name, once: done, and the answer lost
    effect: Effect | None = None
    holds: dict[str, asyncio.Event] = field(default_factory=dict)  # by action name: waits until set
    finishes: set[str] = field(default_factory=set)  # by action name: done to its end, whoever cancels it
    unread: FleetError | None = None  # raised by every read
    reads: list[tuple[int, bool]] = field(default_factory=list)  # how many nodes, and whether with their work
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    source = SOURCE

    def add(self, found: Node, *placements: Placement) -> NodeKey:
        unschedulable = found.admission is not Admission.OPEN
        self.facts[found.key] = NodeFacts(found, "1", unschedulable, placements)
        return found.key

    def change(self, at: NodeKey, **changes: Any) -> None:
        facts = self.facts[at]
        changed = replace(facts.node, **changes)
        unschedulable = changed.admission is not Admission.OPEN
        self.facts[at] = replace(facts, node=changed, unschedulable=unschedulable)

    def node(self, name: str = "gpu-1") -> Node:
        return self.facts[key(name)].node

    async def identity(self) -> SourceIdentity:
        return SourceIdentity(SOURCE, self.identity_uid)

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        self.reads.append((len(nodes), work))
        if self.unread is not None:
            raise self.unread
        return {at: self.facts[at] for at in nodes if at in self.facts}

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        return dict.fromkeys(verbs, self.permission)

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        return (*facts.findings, Finding("gpus", self.verdict, "8", "8", "allocatable"))

    async def prepare(self, step: Step) -> Step:
        return step

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        name = type(step.action).__name__
        if name in self.holds:
            progress(Progress(step.id, step.node, "waits"))
            self.reached.set()
            try:
                await self.holds[name].wait()
            except asyncio.CancelledError:
                if name in self.finishes:
                    self.performed.append(step)
                    self._apply(step)
                raise
        failure = self.fails.pop(name, None)
        if isinstance(failure, FleetError):
            raise failure
        if isinstance(failure, Outcome):
            return failure
        self.performed.append(step)
        self._apply(step)
        if name in self.loses:
            self.loses.remove(name)
            raise OutcomeUnknown("the connection broke", about=step.node.name)
        return Outcome(step.id, step.node, StepState.DONE, step.says)

    async def effect_of(self, step: Step) -> Effect:
        if self.effect is not None:
            return self.effect
        return Effect.TOOK if any(done.id == step.id for done in self.performed) else Effect.NOT

    def names(self) -> list[str]:
        """The actions performed, in order."""
        return [type(step.action).__name__ for step in self.performed]

    def _apply(self, step: Step) -> None:
        at, action = step.node, step.action
        if at not in self.facts and not isinstance(action, Create):
            raise Missing("it is not there", about=at.name)
        match action:
            case Close(hold, stage, gate, again):
                if again and all(h.operation != hold.operation for h in self.facts[at].node.holds):
                    raise Conflict("somebody lifted the hold", about=at.name)
                others = tuple(h for h in self.facts[at].node.holds if h.operation != hold.operation)
                gated = gate or self.facts[at].node.admission is Admission.GATED
                self.change(
                    at,
                    holds=(*others, hold),
                    admission=Admission.GATED if gated else Admission.CORDONED,
                    stage=stage or self.facts[at].node.stage,
                )
            case Release(operations, take_over, stage, _, as_it_stands):
                if as_it_stands and self.facts[at].node.admission is not Admission.OPEN:
                    raise Conflict("somebody closed it again", about=at.name)
                left = tuple(
                    h
                    for h in self.facts[at].node.holds
                    if h.operation not in operations and h.by not in take_over
                )
                gated = self.facts[at].node.admission is Admission.GATED
                opened = self.facts[at].node.admission if left or gated else Admission.OPEN
                self.change(at, holds=left, admission=opened, stage=stage or self.facts[at].node.stage)
            case MoveWork():
                self.facts[at] = replace(self.facts[at], placements=())
            case PutImage(image, _, _):
                self.change(
                    at,
                    uid=f"{self.facts[at].node.uid}'",
                    image=Image(image, "label", image),
                    boot_id="boot-2",
                )
            case ApplyVerdict(record, operation, admit, quarantine, _):
                if admit:
                    left = tuple(h for h in self.facts[at].node.holds if h.operation != operation)
                    self.change(
                        at,
                        gate=record,
                        holds=left,
                        admission=Admission.CORDONED if left else Admission.OPEN,
                        stage=Stage.IN_SERVICE,
                    )
                elif quarantine:
                    self.change(at, gate=record, stage=Stage.QUARANTINED, admission=Admission.GATED)
                else:
                    self.change(at, gate=record)
            case Attest(_, acceptance, repair):
                kept = tuple(word for word in self.facts[at].node.accepted if word != acceptance)
                self.change(
                    at,
                    accepted=(*kept, acceptance) if acceptance is not None else kept,
                    repair=repair or self.facts[at].node.repair,
                )
            case Mark(stage):
                self.change(at, stage=stage)
            case Remove():
                del self.facts[at]
            case Create(category, image, hold):
                made = node(at.name, category=category, image=Image(image, "label", image))
                self.add(replace(made, holds=(hold,), admission=Admission.GATED, stage=Stage.PROVISIONING))
            case AwaitBoot():
                pass


@dataclass
class MemoryJournal:
    """A journal that can be made to fail."""

    written: list[Record] = field(default_factory=list)
    fails: bool = False
    owners: dict[str, str] = field(default_factory=dict)

    async def append(self, records: Sequence[Record]) -> None:
        if self.fails:
            raise JournalFailed("the disk is full", about="journal.db")
        self.written.extend(records)

    async def records(self, limit: int = 1000) -> Sequence[Record]:
        return self.written[::-1][:limit]

    async def of_node(self, node: NodeKey, since: datetime | None = None) -> Sequence[Record]:
        here = (node.name, node.source)
        touched = {record.operation for record in self.written if (record.node, record.source) == here}
        return [
            record
            for record in self.written
            if record.operation in touched
            and (not record.node or (record.node, record.source) == here)
            and (since is None or record.at >= since)
        ]

    async def judgements(self, node: str, limit: int = 20) -> Sequence[Record]:
        found = [
            record
            for record in reversed(self.written)
            if record.node == node
            and record.step is not None
            and isinstance(record.step.action, ApplyVerdict | Attest)
        ]
        return found[:limit]

    async def since(self, at: datetime) -> Sequence[Record]:
        return [record for record in self.written if record.at >= at and record.node]

    async def own(self, operation: str, owner: str) -> None:
        if operation in self.owners:
            raise Conflict(f"{self.owners[operation]} runs it", about=operation)
        self.owners[operation] = owner

    async def disown(self, operation: str) -> None:
        self.owners.pop(operation, None)

    async def owner(self, operation: str) -> str | None:
        return self.owners.get(operation)

    async def cancels(self, operations: Collection[str]) -> Mapping[str, str]:
        asked: dict[str, str] = {}
        for record in self.written:
            if record.kind in (Kind.STARTED, Kind.RESUMED):
                asked.pop(record.operation, None)
            elif record.kind is Kind.CANCEL_ASKED and record.operation in operations:
                asked[record.operation] = record.by
        return asked

    async def operations(self, limit: int = 200) -> Sequence[Operation]:
        return fold(self.written)[:limit]

    async def unfinished(self, limit: int = 50) -> Sequence[Operation]:
        left = [found for found in fold(self.written) if found.state is OperationState.INTERRUPTED]
        return [
            replace(found, state=OperationState.RUNNING, owner=self.owners[found.id])
            if found.id in self.owners
            else found
            for found in left
        ][:limit]

    async def operation(self, operation: str) -> Operation | None:
        return next((found for found in fold(self.written) if found.id == operation), None)
