"""The confirm screen: what a verb would do, to what, at what cost, and why not. Nothing happens before it is confirmed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input

from fleet.node import NodeKey
from fleet.plan import Options, Plan, Request, Verb
from fleet.runner import OperationRun
from tui import commands, proposals
from tui.commands import Place
from tui.screens.base import DeckScreen, bindings_of
from tui.session import Session
from widgets.lines import plain, text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone

CLOSING = (Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)
"""Verbs that close a node: a reason is asked for, and kept on the node."""


class ConfirmScreen(DeckScreen[OperationRun | None]):
    """Shows a plan and runs it once confirmed. Dismissed with the run, or with None where nothing was done."""

    PLACE = Place.CONFIRM
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.CONFIRM)

    def __init__(
        self, session: Session, verb: Verb, nodes: tuple[NodeKey, ...], hidden: tuple[NodeKey, ...] = ()
    ) -> None:
        super().__init__(session)
        self.verb = verb
        self.hidden = hidden
        check_only = verb is Verb.GATE and session.deck.dispatcher.read_only
        self.request: Request = session.deck.request(verb, nodes, "", Options(check_only=check_only))
        self.plan: Plan | None = None
        self.deeds = {
            commands.RUN.id: self.confirm,
            commands.REFUSE.id: lambda: self.dismiss(None),
            commands.RETRY.id: self.read_again,
        }

    def compose(self) -> ComposeResult:
        yield TextSheet(id="title")
        with VerticalScroll(id="body"):
            yield TextSheet(id="plan")
        yield Input(placeholder="reason", id="reason")
        yield Input(id="typed")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        self.read_again()
        super().on_mount()

    def read_again(self) -> None:
        self.plan = None
        self.say("reading the ground…")
        self.read(self.request)

    @work(group="plan", exclusive=True)
    async def read(self, request: Request) -> None:
        found = await proposals.propose(self.session.deck, request)
        self.show(found)

    def show(self, found: proposals.Proposal) -> None:
        self.plan = found.plan
        if found.plan is None:
            self.say(f"it can't be planned: {found.why}", Tone.BAD)
            return
        self.say("")
        lines = [[plain(f"{node.node.name}: {node.found}")] for node in found.plan.nodes]
        self.query_one("#plan", TextSheet).show(text_of(lines))

    def confirm(self) -> None:
        if self.plan is None:
            self.say("still reading: nothing is confirmed before it is shown", Tone.WARN)
            return
        reason = self.query_one("#reason", Input).value.strip()
        self.run_it(self.plan, replace(self.request, reason=reason))

    @work(group="plan", exclusive=True)
    async def run_it(self, shown: Plan, request: Request) -> None:
        found = await proposals.propose(self.session.deck, request)
        if found.plan is None:
            self.show(found)
            return
        begun = proposals.begin(self.session.deck, found.plan)
        if begun.run is None:
            self.say(begun.why, Tone.BAD)
            return
        self.dismiss(begun.run)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
