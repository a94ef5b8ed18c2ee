"""Operations: what runs and what it waits for, what was interrupted and can be resumed, what ended."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from fleet.operation import Operation, OperationState
from fleet.plan import Verb
from tui import commands, proposals, readings
from tui.command import Place, Standing
from tui.messages import RunsChanged
from tui.screens.ask import Answer, AskScreen
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.operation import OperationScreen, operation_steps
from tui.session import Session
from widgets.lines import LineOf, plain, text_of
from widgets.operations_list import OperationsList
from widgets.sheet import TextSheet
from widgets.tones import Tone
from widgets.wording import counted

_ENDS_AFTER = 3.0
"""Seconds after which an operation of another program that was asked to stop has most often ended."""
_AFTER_CANCEL = {
    Verb.DRAIN: "The node is opened again where it was found open and no check of it "
    "fails; evicted work does not come back by itself.",
    Verb.CORDON: "What is closed by then stays closed, with your name on it.",
}
_LEFT_CLOSED = "The node stays closed, with the step it stopped at written on it."
_STOPS = "It stops at the next safe point."
_RUNS_NO_MORE = "Nobody runs it any more. Nothing new begins, and what its checks left is taken away."


class OperationsScreen(DeckScreen[None]):
    """The list, with what can be done to each."""

    PLACE = Place.OPERATIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.OPERATIONS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._kept: tuple[Operation, ...] = ()
        self.deeds = {
            commands.BACK.id: lambda: self.dismiss(None),
            commands.SHOW_OPERATION.id: self.open_chosen,
            commands.CANCEL.id: self.ask_cancel,
            commands.RESUME.id: self.ask_resume,
        }

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        yield OperationsList(id="operations")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.list.focus()
        self.set_interval(1.0, self.paint)
        self.paint()
        self.read()

    @property
    def list(self) -> OperationsList:
        return self.query_one(OperationsList)

    @property
    def chosen(self) -> Operation | None:
        return self.list.chosen

    def standing(self) -> Standing:
        chosen = self.chosen
        return replace(
            self.session.standing(),
            chosen=chosen.id if chosen else "",
            chosen_state=chosen.state.value if chosen else "",
        )

    @work(group="journal", exclusive=True)
    async def read(self) -> None:
        found = await readings.read_operations(self.session.deck)
        self._kept = tuple(found.operations)
        if found.why:
            self.say(f"the journal can't be read: {found.why}", Tone.BAD)
        self.paint()

    def paint(self) -> None:
        """Show the operations as they stand."""
        deck = self.session.deck
        operations = readings.merged(deck, self._kept)
        progress = {name: tuple(run.progress.values()) for name, run in deck.dispatcher.runs.items()}
        self.list.show(operations, progress, self.session.now, glyphs=self.session.glyphs)
        running = len(deck.dispatcher.running())
        left = sum(operation.state is OperationState.INTERRUPTED for operation in operations)
        told = f"   {running} running, {left} interrupted, {counted(len(operations), 'operation')} in all"
        self.query_one(".title", TextSheet).show(text_of([[("Operations", Tone.STRONG), (told, Tone.MUTED)]]))
        self.show_keys()

    def on_runs_changed(self, message: RunsChanged) -> None:
        self.paint()

    def on_operations_list_opened(self, message: OperationsList.Opened) -> None:
        self.do(commands.SHOW_OPERATION)

    def on_operations_list_cancel_asked(self, message: OperationsList.CancelAsked) -> None:
        self.do(commands.CANCEL)

    def open_chosen(self) -> None:
        if self.chosen is not None:
            self.app.push_screen(OperationScreen(self.session, self.chosen))

    def ask_cancel(self) -> None:
        """Say what cancelling does to this operation, and ask."""
        chosen = self.chosen
        if chosen is None:
            return
        verb = chosen.plan.verb
        runs = chosen.state is OperationState.RUNNING
        after = _AFTER_CANCEL.get(verb, _LEFT_CLOSED)
        lines: list[LineOf] = [[plain(f"{_STOPS if runs else _RUNS_NO_MORE} {after}")]]
        title = f"Cancel {verb.value} of {counted(len(chosen.plan.nodes), 'node')}?"
        answers = (Answer("enter", "Cancel it", "cancel"),)

        def answered(answer: str | None) -> None:
            if answer:
                self.stop(chosen)

        self.app.push_screen(AskScreen(title, lines, answers, "Let it run" if runs else "Not now"), answered)

    @work(group="stop")
    async def stop(self, operation: Operation) -> None:
        """Cancel it, wherever it runs, and look again for how one that runs elsewhere ended."""
        why = await proposals.stop(self.session.deck, operation.id)
        how = (
            "stops at its next safe point"
            if operation.state is OperationState.RUNNING
            else "is being cancelled"
        )
        self.say(why or f"{operation.id} {how}", Tone.WARN if why else Tone.NOTE)
        if not why and self.session.run_of(operation.id) is None:
            self.set_timer(_ENDS_AFTER, self.read)

    def ask_resume(self) -> None:
        """Show what is left to do, and ask."""
        chosen = self.chosen
        if chosen is None:
            return
        lines: list[LineOf] = [
            [
                plain(
                    "What took effect is not done again. A step whose outcome is not known is read back first."
                )
            ],
            [],
            *operation_steps(chosen, None, self.session),
        ]
        title = f"Resume {chosen.plan.verb.value}, {chosen.id}?"
        answers = (Answer("enter", "Resume it", "resume"),)

        def answered(answer: str | None) -> None:
            if answer:
                self.resume(chosen)

        self.app.push_screen(AskScreen(title, lines, answers, "Not now"), answered)

    @work(group="resume")
    async def resume(self, operation: Operation) -> None:
        self.say("reading whether it is still the same cluster and node…", Tone.NOTE)
        begun = await proposals.go_on(self.session.deck, operation)
        if begun.run is None:
            self.say(f"not resumed: {begun.why}", Tone.BAD)
        else:
            self.say(f"{operation.id} goes on", Tone.NOTE)
        self.paint()
