"""An operation under way as lines: where it stands, and what it waits for right now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.operation import Operation, OperationState, Outcome, Progress, StepState, Waiting
from widgets.fitting import fit
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, plain, spread
from widgets.tones import Tone
from widgets.wording import age, counted, span

WAITS = 4
"""So many waits of an operation are shown."""

STATE_TONES = {
    OperationState.RUNNING: Tone.NOTE,
    OperationState.DONE: Tone.GOOD,
    OperationState.FAILED: Tone.BAD,
    OperationState.CANCELLED: Tone.MUTED,
    OperationState.INTERRUPTED: Tone.WARN,
}
_ENDED = (StepState.DONE, StepState.SKIPPED)


def sign(state: OperationState, glyphs: Glyphs) -> str:
    """The glyph beside a state."""
    return {
        OperationState.RUNNING: glyphs.working,
        OperationState.DONE: glyphs.good,
        OperationState.FAILED: glyphs.bad,
        OperationState.CANCELLED: glyphs.note,
        OperationState.INTERRUPTED: glyphs.warn,
    }[state]


def operation_lines(
    operation: Operation, progress: Sequence[Progress], now: datetime, glyphs: Glyphs, width: int
) -> list[LineOf]:
    """One line of summary, and below it what it waits for or why it failed."""
    tone = STATE_TONES[operation.state]
    nodes = operation.plan.nodes
    what = nodes[0].node.name if len(nodes) == 1 else counted(len(nodes), "node")
    left: list[Piece] = [
        (f"{sign(operation.state, glyphs)} {fit(operation.state.value, 11)}", tone),
        (f" {operation.plan.verb.value} {what}", Tone.STRONG),
        (f"  {_done(operation)}", Tone.MUTED),
    ]
    says = _says(operation, progress)
    if says:
        left.append(plain(f"  {says}"))
    elapsed = span((operation.ended or now) - operation.started)
    right: list[Piece] = [(f"{operation.id}  {elapsed:>4}", Tone.MUTED)]
    lines: list[LineOf] = [spread(left, right, width)]
    lines.extend(_failures(operation, glyphs))
    if operation.state is OperationState.RUNNING:
        waits = [wait for each in progress for wait in each.waiting]
        lines.extend(wait_line(wait, now, glyphs) for wait in waits[:WAITS])
        if len(waits) > WAITS:
            lines.append([(f"    and {counted(len(waits) - WAITS, 'more wait')}", Tone.MUTED)])
    return lines


def wait_line(wait: Waiting, now: datetime, glyphs: Glyphs) -> LineOf:
    """`waits for budget web-pdb (owner: web): web/web-1 since 2m`."""
    line: list[Piece] = [(f"    {glyphs.warn} waits for ", Tone.WARN), (wait.says, Tone.STRONG)]
    if wait.since is not None:
        line.append((f" since {age(wait.since, now)}", Tone.MUTED))
    return line


def _done(operation: Operation) -> str:
    states = dict(operation.steps)
    nodes = [each for each in operation.plan.nodes if each.steps]
    done = sum(all(states.get(step.id) in _ENDED for step in each.steps) for each in nodes)
    if len(nodes) > 1:
        return f"{done} of {len(nodes)} nodes"
    steps = operation.plan.steps
    return f"step {sum(states.get(step.id) in _ENDED for step in steps)} of {len(steps)}"


def _says(operation: Operation, progress: Sequence[Progress]) -> str:
    if operation.state is not OperationState.RUNNING:
        return operation.says
    for each in progress:
        if each.says:
            return f"{each.says} ({each.done} of {each.total})" if each.total else each.says
    return operation.says


def _failures(operation: Operation, glyphs: Glyphs) -> list[LineOf]:
    failed: list[Outcome] = [
        each for each in operation.outcomes if each.state in (StepState.FAILED, StepState.UNKNOWN)
    ]
    lines: list[LineOf] = [
        [
            (f"    {glyphs.bad} {each.node.name}: ", Tone.BAD),
            plain(each.says or each.state.value),
        ]
        for each in failed[:WAITS]
    ]
    if len(failed) > WAITS:
        lines.append([(f"    and {counted(len(failed) - WAITS, 'more failure')}", Tone.MUTED)])
    return lines
