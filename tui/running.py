"""What operations under way are doing, in the few words that a row and the header have room for."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.node import NodeKey
from fleet.operation import OperationState, Progress, StepState, Waiting
from fleet.runner import OperationRun
from widgets.tones import Tone
from widgets.wording import counted

_OVER = (StepState.DONE, StepState.FAILED, StepState.UNKNOWN, StepState.CANCELLED, StepState.SKIPPED)


def pending_texts(runs: Iterable[OperationRun]) -> dict[NodeKey, str]:
    """By node: what an operation under way does to it now."""
    return {plan.node: doing(run, plan.node) for run in runs for plan in run.plan.nodes if plan.steps}


def doing(run: OperationRun, node: NodeKey) -> str:
    """What `run` does to one of its nodes now."""
    verb = run.plan.verb.value
    progress = run.progress.get(node)
    if node not in run.node_states:
        return f"{verb}: waits for its turn"
    if progress is None:
        return f"{verb}: begins"
    return f"{verb}: {says(progress)}"


def says(progress: Progress) -> str:
    """One step's live state: what it waits for first, for that is what the operator asks."""
    first = next(iter(progress.waiting), None)
    if first is not None:
        more = f" and {len(progress.waiting) - 1} more" if len(progress.waiting) > 1 else ""
        return f"{waits(first)}{more}"
    count = f" {progress.done} of {progress.total}" if progress.total else ""
    return f"{progress.says}{count}"


def waits(waiting: Waiting) -> str:
    """`waits for budget ml/job-pdb (owner: team-ml): ml/job-0`, the budget first, for a row has few cells."""
    return f"waits for {waiting.says}"


def how_far(run: OperationRun) -> str:
    """`3 of 12 nodes`, or nothing for a single node."""
    nodes = [plan.node for plan in run.plan.nodes if plan.steps]
    if len(nodes) < 2:
        return ""
    over = sum(run.node_states.get(node) in _OVER for node in nodes)
    return f"{over} of {counted(len(nodes), 'node')}"


_ENDINGS = {
    OperationState.DONE: Tone.GOOD,
    OperationState.FAILED: Tone.BAD,
    OperationState.CANCELLED: Tone.WARN,
    OperationState.INTERRUPTED: Tone.WARN,
    OperationState.RUNNING: Tone.NOTE,
}


def told(run: OperationRun) -> tuple[str, Tone]:
    """What came of an operation, for the status line: a failure in its step's own words."""
    operation = run.operation
    nodes = operation.plan.nodes
    what = nodes[0].node.name if len(nodes) == 1 else counted(len(nodes), "node")
    failed = [each for each in operation.outcomes if each.state in (StepState.FAILED, StepState.UNKNOWN)]
    says = operation.says
    if failed and operation.state is OperationState.FAILED:
        says = failed[-1].says if len(nodes) == 1 else f"{says}; {failed[-1].node.name}: {failed[-1].says}"
    verdict = run.records.get(nodes[0].node) if len(nodes) == 1 else None
    if verdict is not None and operation.state is OperationState.DONE:
        says = verdict.verdict.value
    return f"{operation.plan.verb.value} {what}: {says}", _ENDINGS[operation.state]
