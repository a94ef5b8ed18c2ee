"""One node's GPUs on a screen of their own: every column that there is room for, and charts of their past."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from fleet.node import NodeKey
from tui import commands
from tui.command import Place, Standing
from tui.messages import FleetChanged
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.node_watch import NodeWatch
from tui.session import Session
from widgets.gpu_pane import GpuPane


class GpuScreen(DeckScreen[None]):
    """Shows one node's GPUs until it is left."""

    PLACE = Place.GPUS
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.GPUS)

    def __init__(self, session: Session, node: NodeKey) -> None:
        super().__init__(session)
        self.node = node
        self.watch_node = NodeWatch(self, session, GpuPane)
        self.deeds = {
            commands.SHORTER.id: lambda: self.watch_node.turn_span(-1),
            commands.LONGER.id: lambda: self.watch_node.turn_span(1),
            commands.GPUS_BACK.id: lambda: self.dismiss(None),
        }

    def compose(self) -> ComposeResult:
        yield GpuPane(id="gpus")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(GpuPane).focus()
        self.call_after_refresh(self.watch_node.look_at, self.node)

    def standing(self) -> Standing:
        return self.session.standing((self.node,))

    def on_resize(self) -> None:
        self.watch_node.paint()

    def on_fleet_changed(self, message: FleetChanged) -> None:
        self.watch_node.paint()
