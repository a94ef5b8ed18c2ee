"""All that is known of one node, on a screen of its own: for terminals too narrow for the pane beside the table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from fleet.node import NodeKey
from fleet.plan import Verb
from tui import commands
from tui.command import Command, Place, Standing
from tui.commands import BY_VERB
from tui.messages import FleetChanged, RunsChanged
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.gpus import GpuScreen
from tui.screens.node_watch import NodeWatch
from tui.screens.timeline import TimelineScreen
from tui.session import Session
from widgets.node_pane import NodePane

VERBS = tuple(command for verb, command in BY_VERB.items() if verb is not Verb.PROVISION)
LOOKS = (commands.TIMELINE, commands.GPUS, commands.SHORTER, commands.LONGER)


class NodeScreen(DeckScreen[Verb | None]):
    """Dismissed with the verb that was pressed here, for the fleet screen to ask about; with None to go back."""

    PLACE = Place.NODE
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.NODE, *VERBS, commands.UNDO, *LOOKS)

    def __init__(self, session: Session, node: NodeKey) -> None:
        super().__init__(session)
        self.node = node
        self.watch_node = NodeWatch(self, session)
        self.deeds = {
            **{command.id: partial(self.dismiss, command.verb) for command in VERBS},
            commands.UNDO.id: lambda: self.dismiss(Verb.UNCORDON),
            commands.TIMELINE.id: lambda: self.app.push_screen(TimelineScreen(session, node)),
            commands.NODE_BACK.id: lambda: self.dismiss(None),
            commands.GPUS.id: lambda: self.app.push_screen(GpuScreen(session, node)),
            commands.SHORTER.id: lambda: self.watch_node.turn_span(-1),
            commands.LONGER.id: lambda: self.watch_node.turn_span(1),
        }

    def commands(self) -> Iterator[Command]:
        yield from (*VERBS, commands.UNDO)
        yield from LOOKS
        yield from super().commands()

    def compose(self) -> ComposeResult:
        yield NodePane(id="pane")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(NodePane).focus()
        self.watch_node.look_at(self.node)

    def standing(self) -> Standing:
        return self.session.standing((self.node,))

    def on_fleet_changed(self, message: FleetChanged) -> None:
        self.watch_node.paint()

    def on_runs_changed(self, message: RunsChanged) -> None:
        self.watch_node.paint()
