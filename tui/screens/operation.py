"""One operation in full: each node, each step, how it ended, and what it waits for now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from fleet.diagnosis import Diagnose, from_evidence
from fleet.operation import Operation, Progress, StepState
from fleet.plan import Step
from fleet.runner import OperationRun
from tui import commands, running
from tui.command import Place
from tui.messages import RunsChanged
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, plain, safe, text_of, wrapped
from widgets.node_facts import VERDICT_TONES
from widgets.operation_lines import wait_line
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone

_TONES = {
    StepState.PENDING: Tone.MUTED,
    StepState.INTENDED: Tone.NOTE,
    StepState.DONE: Tone.GOOD,
    StepState.SKIPPED: Tone.MUTED,
    StepState.FAILED: Tone.BAD,
    StepState.UNKNOWN: Tone.BAD,
    StepState.CANCELLED: Tone.WARN,
}


class _Steps(Sheet):
    """The steps, each wrapped below itself."""

    def __init__(self) -> None:
        super().__init__(id="steps")
        self._lines: Sequence[LineOf] = ()

    def show(self, lines: Sequence[LineOf]) -> None:
        self._lines = lines
        self.redraw()

    def draw(self, width: int) -> Content:
        return text_of(part for line in self._lines for part in wrapped(safe(line), width))


class OperationScreen(DeckScreen[None]):
    """Follows one operation for as long as it is open."""

    PLACE = Place.OPERATION
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.OPERATION)

    def __init__(self, session: Session, operation: Operation) -> None:
        super().__init__(session)
        self._operation = operation
        self.deeds = {commands.OPERATION_BACK.id: lambda: self.dismiss(None)}

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        with VerticalScroll(classes="page"):
            yield _Steps()
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VerticalScroll).focus()
        self.set_interval(1.0, self.paint)
        self.paint()

    def on_runs_changed(self, message: RunsChanged) -> None:
        self.paint()

    def paint(self) -> None:
        """Show the operation as it stands."""
        run = self.session.run_of(self._operation.id)
        operation = run.operation if run is not None else self._operation
        request = operation.plan.request
        head: list[LineOf] = [
            [
                (f"{operation.plan.verb.value} {operation.id}", Tone.STRONG),
                (f"   {operation.state.value}", Tone.NOTE),
            ],
            [
                (f"by {request.by} at {operation.started:%Y-%m-%d %H:%M:%S} UTC", Tone.MUTED),
                plain(_why(request.reason)),
            ],
        ]
        self.query_one(".title", TextSheet).show(text_of(head))
        says: list[LineOf] = [[plain(operation.says)], []] if operation.says else []
        self.query_one(_Steps).show(says + operation_steps(operation, run, self.session))


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


def operation_steps(operation: Operation, run: OperationRun | None, session: Session) -> list[LineOf]:
    """Each node of an operation with its steps, outcomes, and what is waited for."""
    lines: list[LineOf] = []
    outcomes = {outcome.step_id: outcome for outcome in operation.outcomes}
    planned = {step.id for step in operation.plan.steps}
    for node in operation.plan.nodes:
        lines.append([(node.node.name, Tone.STRONG), (f"  {node.found}", Tone.MUTED)])
        lines += [[(f"    already: {so}", Tone.MUTED)] for so in node.already]
        for step in node.steps:
            state, outcome = operation.step_state(step.id), outcomes.get(step.id)
            sign, tone = _sign(state, session.glyphs), _TONES[state]
            found = from_evidence(outcome.evidence) if outcome is not None and _has_run(step, state) else None
            if found is not None:  # done, whatever it found: what it found is what is to be seen
                sign, tone = (
                    session.glyphs.verdict(found.finding.verdict),
                    VERDICT_TONES[found.finding.verdict],
                )
            line: list[Piece] = [(f"  {sign} ", tone), plain(step.says)]
            if outcome is not None and outcome.says != step.says:
                line.append((f"  {session.glyphs.arrow} {outcome.says}", tone))
            lines.append(line)
            progress = run.progress.get(node.node) if run is not None else None
            if progress is not None and progress.step_id == step.id and state is StepState.INTENDED:
                lines += _live(progress, session)
        extra = [
            each for each in operation.outcomes if each.node == node.node and each.step_id not in planned
        ]
        lines += [[(f"  {session.glyphs.note} {each.says}", _TONES[each.state])] for each in extra]
        lines.append([])
    return lines


def _has_run(step: Step, state: StepState) -> bool:
    return isinstance(step.action, Diagnose) and state is StepState.DONE


def _sign(state: StepState, glyphs: Glyphs) -> str:
    return {
        StepState.DONE: glyphs.good,
        StepState.SKIPPED: glyphs.good,
        StepState.FAILED: glyphs.bad,
        StepState.UNKNOWN: glyphs.unknown,
        StepState.CANCELLED: glyphs.warn,
        StepState.INTENDED: glyphs.working,
        StepState.PENDING: glyphs.bullet,
    }[state]


def _live(progress: Progress, session: Session) -> list[LineOf]:
    if progress.waiting:
        waits = (wait_line(wait, session.now, session.glyphs) for wait in progress.waiting)
        return [[(f"    {line[0][0]}", line[0][1]), *line[1:]] for line in waits]
    return [[(f"      {running.says(progress)}", Tone.NOTE)]]
