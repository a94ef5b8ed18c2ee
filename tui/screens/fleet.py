"""The fleet: is it all right, and what shall I do? The header, the table, the node pane, and every verb's way in."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.plan import Verb
from fleet.runner import OperationRun
from fleet.selection import EVERYTHING, Selection
from fleet.sorting import WORST_FIRST, Sort
from fleet.summary import summarise
from fleet.view import FleetView
from tui import commands
from tui.commands import BY_VERB, Place, Standing
from tui.messages import FleetChanged, RunsChanged
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.confirm import ConfirmScreen
from tui.session import Session
from widgets.fleet_header import FleetHeader, HeaderFacts
from widgets.fleet_lines import FleetLines
from widgets.fleet_table import FleetTable
from widgets.tones import Tone

TICK = 1.0
"""Seconds between two looks at what time changes: ages, staleness, and the order of the lines."""


class FleetScreen(DeckScreen[None]):
    """The first screen, and the one that all others come back to."""

    PLACE = Place.FLEET
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.FLEET)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        store = session.deck.store
        self.view = FleetView(store, session.now, sort=WORST_FIRST)
        self._painted = store.revision
        self._ticker: Timer | None = None
        self.deeds = {
            **{command.id: lambda verb=verb: self.ask(verb) for verb, command in BY_VERB.items()},
            commands.QUIT.id: self.leave,
        }

    def compose(self) -> ComposeResult:
        yield FleetHeader(id="header")
        with Horizontal():
            yield FleetTable(FleetLines(self.session.deck.store, self.view), self.session.scene(), id="table")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        self.table.focus()
        self._ticker = self.set_interval(TICK, self.tick)
        self.paint()
        super().on_mount()

    @property
    def table(self) -> FleetTable:
        return self.query_one(FleetTable)

    @property
    def targets(self) -> tuple[NodeKey, ...]:
        """The marked nodes that are still there, else what is under the cursor."""
        marks = self.table.marks
        if marks:
            store = self.session.deck.store
            rows = [row for row in map(store.record, marks) if row is not None]
            return tuple(row.key for row in sorted(rows, key=lambda row: row.order))
        return self.table.nodes_at_cursor

    def standing(self) -> Standing:
        return self.session.standing(self.targets)

    def paint(self, *, resort: bool = False) -> None:
        """Show what changed since the last time."""
        changes = self.session.deck.store.changes_since(self._painted)
        self._painted = changes.revision
        shown = self.view.refresh(changes, self.session.now, resort=resort or not len(self.view))
        dirty = None if changes.everything or shown.moved else shown.dirty
        self.table.show(self.session.scene(), dirty, sorted_by=self.view.sort, nothing=self.nothing())
        self.paint_header()

    def paint_header(self) -> None:
        """Show how the fleet stands and how fresh that is."""
        session, deck = self.session, self.session.deck
        self.query_one(FleetHeader).show(
            HeaderFacts(
                (deck.title,),
                summarise(deck.store, session.now),
                session.now,
                note="simulated fleet" if deck.simulated else "",
                operations=len(deck.dispatcher.running()),
                read_only=deck.dispatcher.read_only,
                shown=self.view.matching.nodes if self.view.selection else None,
                glyphs=session.glyphs,
            )
        )

    def tick(self) -> None:
        self.paint(resort=True)

    def nothing(self) -> str:
        """Why the table is empty."""
        return "no node yet: listing"

    def on_fleet_changed(self, message: FleetChanged) -> None:
        self.paint()

    def on_runs_changed(self, message: RunsChanged) -> None:
        self.table.show(self.session.scene(), self._nodes_under_way(), sorted_by=self.view.sort)
        self.paint_header()
        self.show_keys()

    def _nodes_under_way(self) -> list[NodeKey]:
        return [node for run in self.session.deck.dispatcher.runs.values() for node in run.plan.request.nodes]

    def on_fleet_table_cursor_moved(self, message: FleetTable.CursorMoved) -> None:
        self.show_keys()

    def on_fleet_table_marks_changed(self, message: FleetTable.MarksChanged) -> None:
        self.show_keys()

    def on_fleet_table_fold_toggled(self, message: FleetTable.FoldToggled) -> None:
        (self.view.fold if message.folded else self.view.unfold)((message.group,))
        self.paint()

    def on_fleet_table_sort_asked(self, message: FleetTable.SortAsked) -> None:
        now = self.view.sort
        self.sort_by(now.reversed if now.column is message.column else Sort.by(message.column))

    def sort_by(self, order: Sort) -> None:
        self.view.arrange(self.session.now, sort=order)
        self.paint()

    def select(self, selection: Selection = EVERYTHING) -> None:
        self.view.arrange(self.session.now, selection=selection)
        self.paint()

    def ask(self, verb: Verb) -> None:
        """Show what a verb would do, and let it be confirmed."""
        nodes = self.targets
        hidden = tuple(node for node in nodes if node not in set(self.view.nodes()))
        self.app.push_screen(ConfirmScreen(self.session, verb, nodes, hidden), self.began)

    def began(self, run: OperationRun | None) -> None:
        """A confirmed operation is under way; the table says how it goes."""
        if run is None:
            self.say("nothing was done")
            return
        self.table.set_marks(())
        self.say(f"{run.plan.verb.value} began: o shows it", Tone.NOTE)

    def leave(self) -> None:
        self.app.exit()

    def reveal(self, key: NodeKey | GroupKey) -> None:
        """Put the cursor on a line, unfolding what hides it."""
        if isinstance(key, NodeKey):
            self.view.reveal(key)
        self.paint()
        self.table.put_cursor(key)
