"""What is written down before and after everything done: intent, outcome, and who did it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from fleet.node import NodeKey
from fleet.operation import Operation, OperationState, Outcome, StepState
from fleet.plan import Check, NodePlan, Plan, Step


class Kind(Enum):
    """What a record says happened."""

    STARTED = "started"  # an operation was confirmed; carries the plan
    INTENT = "intent"
    OUTCOME = "outcome"
    ENDED = "ended"
    REFUSED = "refused"
    RESUMED = "resumed"
    CANCEL_ASKED = "cancel-asked"  # by somebody who does not run it; whoever does looks for it


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
    found: dict[str, _Story] = {}
    for record in records:
        if record.kind is Kind.STARTED and record.plan is not None:
            found[record.operation] = _Story(record, record.plan)
        elif (story := found.get(record.operation)) is not None:
            story.tell(record)
    return tuple(story.operation() for story in reversed(found.values()))


class _Story:
    """One operation as its records tell it, in time that grows with the records alone."""

    def __init__(self, started: Record, plan: Plan) -> None:
        self._started = started
        self._plan = plan
        self._state, self._ended, self._says = OperationState.INTERRUPTED, started.at, ""
        self._states = {step.id: StepState.PENDING for step in plan.steps}
        self._prepared: dict[str, Step] = {}
        self._outcomes: list[Outcome] = []

    def tell(self, record: Record) -> None:
        if record.kind is Kind.RESUMED:
            self._state, self._says = OperationState.INTERRUPTED, ""
        elif record.kind is Kind.ENDED:
            self._state = OperationState(record.state)
            self._ended, self._says = record.at, record.says
        elif record.kind in (Kind.INTENT, Kind.OUTCOME):
            self._states[record.step_id] = state = StepState(record.state)
            if record.step is not None:
                self._prepared[record.step_id] = record.step
            if record.kind is Kind.OUTCOME:
                key = NodeKey(record.source, record.node)
                self._outcomes.append(Outcome(record.step_id, key, state, record.says, record.evidence))

    def operation(self) -> Operation:
        unended = self._state is OperationState.INTERRUPTED
        return Operation(
            id=self._started.operation,
            plan=replace(self._plan, nodes=tuple(self._as_prepared(node) for node in self._plan.nodes)),
            state=self._state,
            started=self._started.at,
            ended=None if unended else self._ended,
            steps=tuple(self._states.items()),
            outcomes=tuple(self._outcomes),
            says=self._says,
        )

    def _as_prepared(self, node: NodePlan) -> NodePlan:
        """The node's share with each step as it was prepared; a Check stays one, for its verdict is asked for anew."""
        steps = tuple(
            step if isinstance(step.action, Check) else self._prepared.get(step.id, step)
            for step in node.steps
        )
        return replace(node, steps=steps)
