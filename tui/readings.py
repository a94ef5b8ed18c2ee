"""What a screen reads beside the store, as values: raw GPU rows, the journal. What fails outside becomes a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import FleetError
from fleet.history import NodeHistory, Span
from fleet.journal import Record
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, StepState
from fleet.performing import ENDED_WELL
from fleet.plan import NodePlan
from fleet.telemetry import GpuTelemetry
from tui.deck import Deck

EVERY_GPU = 5.0
"""Seconds between two readings of a node's GPUs while it is on screen."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One node's GPUs, or why they are unknown. `rows` None: not known."""

    node: NodeKey
    rows: Sequence[GpuTelemetry] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What the journal tells, newest first, or why it can't be read."""

    operations: Sequence[Operation] = ()
    records: Sequence[Record] = ()
    why: str = ""


async def read_gpus(deck: Deck, node: NodeKey) -> GpuReading:
    """The GPUs of one node, raw and now."""
    try:
        rows = await deck.by_gpu((node,))
    except FleetError as error:
        return GpuReading(node, why=str(error))
    return GpuReading(node, rows.get(node), "" if node in rows else "no series for this node")


@dataclass(frozen=True, slots=True)
class PastReading:
    """One node's past, or why it is unknown. `history` None: not known."""

    history: NodeHistory | None = None
    why: str = ""


async def read_past(deck: Deck, node: NodeKey, span: Span) -> PastReading:
    """The past of one node's GPUs."""
    if deck.history is None:
        return PastReading(why="no telemetry is configured")
    try:
        return PastReading(await deck.history(node, span))
    except FleetError as error:
        return PastReading(why=str(error))


async def read_operations(deck: Deck) -> History:
    """Operations of this journal, those under way here as they stand now, the unfinished first."""
    try:
        kept = await deck.journal.operations()
    except FleetError as error:
        return History(tuple(merged(deck, ())), why=str(error))
    return History(tuple(merged(deck, kept)))


async def read_records(deck: Deck, limit: int = 500) -> History:
    """The audit trail."""
    try:
        return History(records=tuple(await deck.journal.records(limit)))
    except FleetError as error:
        return History(why=str(error))


_FIRST = {OperationState.RUNNING: 0, OperationState.INTERRUPTED: 1}


def merged(deck: Deck, kept: Sequence[Operation]) -> list[Operation]:
    """Operations of the journal, with those of this program as they stand: running, then interrupted, then the rest."""
    live = {name: run.operation for name, run in deck.dispatcher.runs.items()}
    found = {operation.id: operation for operation in kept} | live
    newest = sorted(found.values(), key=lambda operation: operation.started, reverse=True)
    return sorted(newest, key=lambda operation: _FIRST.get(operation.state, 2))


async def read_interrupted(deck: Deck) -> Sequence[Operation]:
    """The operations that nobody runs and that have not ended; none where the journal can't be read, which is said elsewhere."""
    try:
        left = await deck.journal.unfinished()
    except FleetError:
        return ()
    here = {run.operation.id for run in deck.dispatcher.running()}
    return [each for each in left if each.state is OperationState.INTERRUPTED and each.id not in here]


def cut_off(operations: Iterable[Operation]) -> set[NodeKey]:
    """The nodes on which one of these was interrupted between its first step there and its last."""
    return {
        plan.node
        for operation in operations
        for plan in operation.plan.nodes
        if _begun_and_not_done(plan, dict(operation.steps))
    }


def _begun_and_not_done(plan: NodePlan, states: Mapping[str, StepState]) -> bool:
    found = [states.get(step.id, StepState.PENDING) for step in plan.steps]
    return any(state is not StepState.PENDING for state in found) and any(
        state not in ENDED_WELL for state in found
    )


async def break_node(deck: Deck, fault: str, node: NodeKey) -> str:
    """Make a fault on a simulated node, or take them back with `mend`; what was done, or why not."""
    if deck.faults is None:
        return "faults can be made on a simulated fleet only"
    try:
        return await (deck.faults.mend(node) if fault == "mend" else deck.faults.inject(fault, node))
    except FleetError as error:
        return str(error)
