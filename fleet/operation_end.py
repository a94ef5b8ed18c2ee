"""How an operation ended, as its state and in words: what was done, what failed, what is left closed or behind, and what now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import FleetError
from fleet.leavings import left_behind
from fleet.node import NodeKey
from fleet.operation import OperationState, Outcome, StepState
from fleet.performing import ENDED_WELL
from fleet.plan import Plan, Verb
from fleet.stopping import Stop

_NAMED = 5
_TOLD = 3


@dataclass(frozen=True, slots=True)
class OperationEnd:
    """What an end is told from: how each `nodes` of this run ended, each of `steps` in all, and why it stopped early.

    `broken` is the journal's failure, `brake` why no more nodes were started, and `not_started` how many were not.
    """

    plan: Plan
    nodes: Mapping[NodeKey, StepState]
    steps: Mapping[str, StepState]
    outcomes: Sequence[Outcome]
    stop: Stop | None
    broken: FleetError | None
    brake: str
    not_started: int

    def told(self) -> tuple[OperationState, str]:
        """The state, and what is said of it."""
        left = _not_started(self.not_started)
        bad, behind = self._ended_as(StepState.FAILED, StepState.UNKNOWN), self._left_behind()
        if self.broken is not None:
            return OperationState.INTERRUPTED, f"left unfinished: {self.broken}{left}"
        if self.stop is Stop.CANCEL:
            return self._cancelled(bad, behind, left)
        if self.stop is Stop.LEAVE:
            return OperationState.INTERRUPTED, f"left unfinished{left}"
        if self.brake:
            return OperationState.FAILED, f"stopped: {self.brake}{behind}{left}"
        if bad:
            how = "did not pass" if self.plan.verb is Verb.GATE else "failed"
            says = f"{len(bad)} of {len(self.plan.nodes)} nodes {how}: {_named(bad)}{behind}"
            return OperationState.FAILED, says
        return OperationState.DONE, f"done{self._still_closed()}"

    def _cancelled(self, bad: Sequence[str], behind: str, left: str) -> tuple[OperationState, str]:
        """One that left something behind, or does not know, is to be resumed, and so is not CANCELLED."""
        untold = self._ended_as(StepState.UNKNOWN)
        if behind:
            return OperationState.FAILED, f"cancelled{behind}; resume it to try again{left}"
        if untold:
            says = f"cancelled; how {', '.join(untold[:_NAMED])} was left is not known: resume it{left}"
            return OperationState.FAILED, says
        done = sum(state in ENDED_WELL for state in self.nodes.values())
        done_too = f"; {done} {'was' if done == 1 else 'were'} done before" if done else ""
        not_back = f"; look at {_named(bad)}" if bad else ""
        return OperationState.CANCELLED, f"cancelled{done_too}{not_back}{left}"

    def _ended_as(self, *states: StepState) -> list[str]:
        return [key.name for key, state in self.nodes.items() if state in states]

    def _left_behind(self) -> str:
        """What checks left on nodes and could not be taken away, as the end of what is said."""
        last = {outcome.step_id: outcome for outcome in self.outcomes}
        found = [last[each] for node in self.plan.nodes for each in left_behind(node, self.steps)]
        return _listed(f"{outcome.node.name}: {outcome.says}" for outcome in found)

    def _still_closed(self) -> str:
        """Which nodes passed and stay closed for somebody else, as the end of what is said."""
        closed = [outcome for outcome in self.outcomes if outcome.stays_closed]
        return _listed(f"{outcome.node.name} {outcome.says}" for outcome in closed)


def _not_started(count: int) -> str:
    were = "node was" if count == 1 else "nodes were"
    return f"; {count} {were} not started" if count else ""


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _listed(told: Iterable[str]) -> str:
    every = list(told)
    more = f" and {len(every) - _TOLD} more" if len(every) > _TOLD else ""
    return f"; {'; '.join(every[:_TOLD])}{more}" if every else ""
