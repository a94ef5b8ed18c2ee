"""What is written down before and after everything done: intent, outcome, and who did it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, Outcome, StepState
from fleet.plan import Check, Plan, Step


class Kind(Enum):
    """What a record says happened."""

    STARTED = "started"  # an operation was confirmed; carries the plan
    INTENT = "intent"
    OUTCOME = "outcome"
    ENDED = "ended"
    REFUSED = "refused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal.

    `state` is a StepState or OperationState value; `plan` only with STARTED, `step` only with
    INTENT: as prepared, so that it can be told and done again after a crash."""

    at: datetime
    kind: Kind
    operation: str
    by: str
    verb: str = ""
    source: str = ""
    identity: str = ""
    node: str = ""
    step_id: str = ""
    state: str = ""
    says: str = ""
    evidence: str = ""
    plan: Plan | None = None
    step: Step | None = None


def fold(records: Iterable[Record]) -> tuple[Operation, ...]:
    """The operations that `records`, oldest first, tell of; newest first.

    One with no end is INTERRUPTED, for its program is not here to say otherwise; a step whose intent has no outcome stays
    INTENDED, with the step as it was prepared, and is read back before anything else is done to it.
    """
    found: dict[str, Operation] = {}
    for record in records:
        operation = found.get(record.operation)
        if record.kind is Kind.STARTED and record.plan is not None:
            found[record.operation] = _begun(record, record.plan)
        elif operation is None:
            continue
        elif record.kind is Kind.RESUMED:
            found[record.operation] = replace(operation, state=OperationState.INTERRUPTED, ended=None)
        elif record.kind is Kind.ENDED:
            state = OperationState(record.state)
            found[record.operation] = replace(operation, state=state, ended=record.at, says=record.says)
        elif record.kind in (Kind.INTENT, Kind.OUTCOME):
            found[record.operation] = _stepped(operation, record)
    return tuple(reversed(found.values()))


def _begun(record: Record, plan: Plan) -> Operation:
    return Operation(
        id=record.operation,
        plan=plan,
        state=OperationState.INTERRUPTED,
        started=record.at,
        steps=tuple((step.id, StepState.PENDING) for step in plan.steps),
    )


def _stepped(operation: Operation, record: Record) -> Operation:
    states = dict(operation.steps)
    states[record.step_id] = StepState(record.state)
    outcomes = operation.outcomes
    plan = operation.plan
    if record.kind is Kind.OUTCOME:
        key = NodeKey(record.source, record.node)
        outcome = Outcome(record.step_id, key, StepState(record.state), record.says, record.evidence)
        outcomes = (*outcomes, outcome)
    elif record.step is not None:
        plan = _with_step(plan, record.step)
    return replace(operation, plan=plan, steps=tuple(states.items()), outcomes=outcomes)


def _with_step(plan: Plan, prepared: Step) -> Plan:
    """The plan with one step as it was prepared; a Check stays one, for its verdict is asked for anew."""
    nodes = tuple(
        node
        if node.node != prepared.node
        else replace(
            node,
            steps=tuple(
                prepared if step.id == prepared.id and not isinstance(step.action, Check) else step
                for step in node.steps
            ),
        )
        for node in plan.nodes
    )
    return replace(plan, nodes=nodes)
