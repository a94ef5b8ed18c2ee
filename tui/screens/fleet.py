"""The fleet: is it all right, and what shall I do? The header, the table, the node pane, and every verb's way in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize

from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.plan import Options, Verb
from fleet.runner import OperationRun
from fleet.sorting import WORST_FIRST, Sort
from fleet.summary import summarise
from fleet.view import FleetView, LineKey
from tui import commands, proposals, themes
from tui.command import Command, Place, Standing
from tui.commands import BY_VERB
from tui.messages import Asked, FleetChanged, RunsChanged
from tui.running import told
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.beside import Beside
from tui.screens.confirm import ConfirmScreen
from tui.screens.emptiness import why_empty
from tui.screens.filtering import Filtering
from tui.screens.leaving import Leaving, ask_to_leave
from tui.screens.leftovers import Leftovers
from tui.screens.node import NodeScreen
from tui.screens.node_watch import NodeWatch
from tui.screens.operations import OperationsScreen
from tui.screens.provision import ProvisionScreen
from tui.session import Session, is_live
from tui.troubles import first_to_look_at, next_trouble
from widgets.filter_bar import FilterBar
from widgets.fleet_header import FleetHeader, HeaderFacts
from widgets.fleet_lines import FleetLines
from widgets.fleet_table import FleetTable
from widgets.group_cells import group_name
from widgets.key_footer import KeyFooter
from widgets.node_pane import NodePane
from widgets.sheet import TextSheet
from widgets.tones import Tone
from widgets.wording import counted

TICK = 1.0
"""Seconds between two looks at what time changes: ages, staleness, and the order of the lines."""

CORDON_IT = "cordon it"
"""How the words end of a gate that failed on an open node."""

PANE_FROM = 120
"""Columns from which the node pane stands beside the table; below, a node has a screen of its own."""


class FleetScreen(DeckScreen[None]):
    """The first screen, and the one that all others come back to."""

    PLACE = Place.FLEET
    pane_from: ClassVar[int] = PANE_FROM
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.FLEET, commands.SHORTER, commands.LONGER)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        store = session.deck.store
        self.view = FleetView(store, session.now, sort=WORST_FIRST)
        self.pane = NodeWatch(self, session)
        self._painted = store.revision
        self._last_known = store.last_known
        self._live: set[str] = set()
        self._started = False  # whether the cursor has been given its first place
        self._meant: tuple[NodeKey, ...] = ()
        self._leaving = Leaving(self, session)
        self._leftovers = Leftovers(self, session, self.repaint)
        self._filtering = Filtering(self)
        beside = Beside(self)
        self.deeds = {
            **{command.id: partial(self.ask, verb) for verb, command in BY_VERB.items()},
            commands.PROVISION.id: self.ask_for_node,
            commands.UNDO.id: lambda: self.ask(Verb.UNCORDON),
            commands.FILTER.id: self._filtering.start,
            commands.SORT.id: beside.sort,
            commands.GPUS.id: beside.gpus,
            commands.SHORTER.id: lambda: self.turn_span(-1),
            commands.LONGER.id: lambda: self.turn_span(1),
            commands.REVERSE.id: lambda: self.sort_by(self.view.sort.reversed),
            commands.WORST.id: self.to_trouble,
            commands.PANE.id: self.change_focus,
            commands.CLEAR.id: self.clear,
            commands.FAULT.id: beside.fault,
            commands.HEAT.id: beside.heat,
            commands.OPERATIONS.id: self.show_operations,
            commands.AUDIT.id: beside.audit,
            commands.TIMELINE.id: beside.timeline,
            commands.DRIFT.id: beside.drift,
            commands.THEME.id: self.next_theme,
            commands.DRILL.id: lambda: self.post_message(Asked(commands.DRILL.id)),
            commands.QUIT.id: lambda: ask_to_leave(self._leaving),
        }

    def commands(self) -> Iterator[Command]:
        yield from super().commands()
        if self.has_class("with-pane"):
            yield from (commands.SHORTER, commands.LONGER)

    def compose(self) -> ComposeResult:
        session = self.session
        yield FleetHeader(id="header")
        yield TextSheet(id="banner")
        yield FilterBar(id="filter")
        with Horizontal():
            yield FleetTable(
                FleetLines(session.deck.store, self.view),
                session.scene(),
                columns=session.columns,
                id="table",
            )
            yield NodePane(id="pane")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()
        self.set_interval(TICK, self.tick)
        self.paint()
        if self.session.deck.notice:
            self.say(self.session.deck.notice, Tone.NOTE)
        self._leftovers.start()

    @property
    def table(self) -> FleetTable:
        return self.query_one(FleetTable)

    @property
    def targets(self) -> tuple[NodeKey, ...]:
        """What was meant on a screen over this one; else the marked nodes that are still there, else what is under the cursor."""
        if self._meant:
            return self._meant
        marks = self.table.marks
        if not marks:
            return self.table.nodes_at_cursor
        rows = [row for row in map(self.session.deck.store.record, marks) if row is not None]
        return tuple(row.key for row in sorted(rows, key=lambda row: row.order))

    @contextmanager
    def meaning(self, nodes: tuple[NodeKey, ...]) -> Iterator[None]:
        """Within it a command is for `nodes`, whatever is marked or under the cursor."""
        self._meant = nodes
        try:
            yield
        finally:
            self._meant = ()

    def standing(self) -> Standing:
        return self.session.standing(self.targets)

    def do(self, command: Command) -> None:
        """Do a command; what the last one was answered with is read by now."""
        self.say("")
        super().do(command)

    def action_command(self, name: str) -> None:
        """A key. One that was still meant for a plan which has just closed does nothing."""
        if not self.session.quiet:
            super().action_command(name)

    def paint(self, *, resort: bool = False) -> None:
        """Show what changed since the last time. Lines change places only with `resort`."""
        changes = self.session.deck.store.changes_since(self._painted)
        self._painted = changes.revision
        known, self._last_known = self._last_known, self.session.deck.store.last_known
        shown = self.view.refresh(changes, self.session.now, resort=resort or not len(self.view))
        all_differ = changes.everything or shown.moved or known is not self._last_known
        self.show_table(None if all_differ else shown.dirty)
        self.paint_header()
        if changes.everything or self.pane.node in changes.keys or self.pane.node in changes.removed:
            self.pane.paint()

    def show_table(self, dirty: Collection[LineKey] | None = None) -> None:
        """Paint the lines whose values changed; None: any may have."""
        nothing = why_empty(self.session, self.view.selection)
        self.table.show(self.session.scene(), dirty, sorted_by=self.view.sort, nothing=nothing)
        if not self._started:
            self.start_somewhere()

    def start_somewhere(self) -> None:
        """Put the cursor, once, on what wants attention most: the first verb is meant for a node, not for a whole group."""
        found = first_to_look_at(self.view.nodes(), self.session.deck.store)
        self._started = found is not None and self.table.put_cursor(found)

    def paint_header(self) -> None:
        """Show how the fleet stands and how fresh that is."""
        session, deck = self.session, self.session.deck
        shown = self.view.matching.nodes if self.view.selection else None
        self.query_one(FleetHeader).show(
            HeaderFacts(
                (deck.title,),
                summarise(deck.store, session.now),
                session.now,
                note="simulated fleet" if deck.simulated else "",
                operations=len(deck.dispatcher.running()),
                read_only=deck.dispatcher.read_only,
                shown=shown,
                glyphs=session.glyphs,
                last_known=deck.store.last_known,
                sources=len(deck.sources),
            )
        )
        if shown is not None:
            self.query_one(FilterBar).matched(shown, deck.store.groups.fleet.nodes)

    def tick(self) -> None:
        """A second went by: ages, staleness, and lines that no longer stand in their order."""
        if self.session.deck.remarks:
            self.say(self.session.deck.remarks.pop(0), Tone.WARN)
        self.paint(resort=True)
        self.pane.paint()

    def on_fleet_changed(self, message: FleetChanged) -> None:
        self.paint()
        self.show_keys()

    def on_runs_changed(self, message: RunsChanged) -> None:
        runs = self.session.deck.dispatcher.runs
        self.show_table(frozenset(node for run in runs.values() for node in run.plan.request.nodes))
        self.paint_header()
        self.show_keys()
        self.pane.paint()
        for name, run in runs.items():
            if is_live(run):
                self._live.add(name)
            elif name in self._live:
                self._live.discard(name)
                self._leftovers.look()
                self.tell(run)
        self._leaving.look()

    def on_resize(self, event: Resize) -> None:
        if event.size.width < self.pane_from:
            self.close_pane()

    def on_fleet_table_cursor_moved(self, message: FleetTable.CursorMoved) -> None:
        self.show_keys()
        if self.has_class("with-pane") and isinstance(message.key, NodeKey):
            self.pane.look_at(message.key)

    def on_fleet_table_marks_changed(self, message: FleetTable.MarksChanged) -> None:
        self.show_keys()
        shown = set(self.view.nodes())
        hidden = sum(key not in shown for key in message.marks)
        text = counted(len(message.marks), "node") + " marked" if message.marks else ""
        self.say(f"{text}, {hidden} of them hidden by the filter" if hidden else text, Tone.NOTE)

    def on_fleet_table_fold_toggled(self, message: FleetTable.FoldToggled) -> None:
        (self.view.fold if message.folded else self.view.unfold)((message.group,))
        self.show_table()

    def on_fleet_table_sort_asked(self, message: FleetTable.SortAsked) -> None:
        now = self.view.sort
        self.sort_by(now.reversed if now.column is message.column else Sort.by(message.column))

    def on_fleet_table_opened(self, message: FleetTable.Opened) -> None:
        if self.pane.node == message.key and self.has_class("with-pane"):
            self.close_pane()
        else:
            self.open_node(message.key)

    def open_node(self, node: NodeKey) -> None:
        """Show all of a node: beside the table where there is room, else on a screen of its own."""
        if self.size.width < self.pane_from:
            self.app.push_screen(NodeScreen(self.session, node), partial(self._asked_there, node))
        else:
            self.add_class("with-pane")
            self.pane.look_at(node)
            self.show_keys()

    def go_to(self, node: NodeKey) -> None:
        """Put the cursor on a node that was found elsewhere, and show it."""
        self.view.reveal(node)
        self.show_table()
        self.table.put_cursor(node)
        self.open_node(node)

    def show_only(self, selection: str) -> None:
        """Filter the table by a selection that was made elsewhere."""
        self._filtering.start(selection)
        self.table.focus()

    def _asked_there(self, node: NodeKey, verb: Verb | None) -> None:
        """A verb that was pressed on a node's own screen is for the node that is read there."""
        if verb is not None:
            with self.meaning((node,)):
                self.do(BY_VERB[verb])

    def close_pane(self) -> None:
        self.remove_class("with-pane")
        self.pane.look_at(None)
        self.show_keys()
        self.table.focus()

    def change_focus(self) -> None:
        """Between the table and the pane; opens the pane where it is closed."""
        if self.table.has_focus and self.has_class("with-pane"):
            self.query_one(NodePane).focus()
        elif self.table.has_focus:
            self.table.action_open()
        else:
            self.table.focus()

    def turn_span(self, by: int) -> None:
        """Show a shorter or longer past in the pane."""
        self.pane.turn_span(by)
        self.say(f"history: {self.session.span.name}", Tone.NOTE)

    def on_descendant_focus(self) -> None:
        self.show_keys()

    def show_keys(self) -> None:
        """The keys that work here: while a filter is typed, those of its bar."""
        if self._filtering.typing:
            self.query_one(KeyFooter).show(self._filtering.hints())
        else:
            super().show_keys()

    def on_filter_bar_filtered(self, message: FilterBar.Filtered) -> None:
        if not self._filtering.held(message):
            self.view.arrange(self.session.now, selection=message.selection)
            self.show_table()
            self.paint_header()

    def on_filter_bar_accepted(self, message: FilterBar.Accepted) -> None:
        self.set_class(bool(self.view.selection), "with-filter")
        self.table.focus()

    def on_filter_bar_left(self, message: FilterBar.Left) -> None:
        self.remove_class("with-filter")
        self.table.focus()

    def clear(self) -> None:
        """Close or lift one thing at a time: the pane, the filter, the marks."""
        if self.has_class("with-pane"):
            self.close_pane()
        elif self.view.selection or self.has_class("with-filter"):
            self.query_one(FilterBar).action_leave()
        elif self.table.marks:
            self.table.set_marks(())
        else:
            self.remove_class("with-banner")
            self.say("")

    def sort_by(self, order: Sort) -> None:
        self.view.arrange(self.session.now, sort=order)
        self.show_table()

    def to_trouble(self) -> None:
        """Put the cursor on the next node that wants attention."""
        found = next_trouble(self.view.nodes(), self.session.deck.store, self.table.cursor_key)
        if found is None:
            self.say("nothing wants attention", Tone.GOOD)
            return
        self.view.reveal(found)
        self.show_table()
        self.table.put_cursor(found)

    def ask(self, verb: Verb, nodes: tuple[NodeKey, ...] = (), options: Options | None = None) -> None:
        """Show what a verb would do, and let it be confirmed."""
        nodes = nodes or self.targets
        shown = set(self.view.nodes())
        hidden = () if verb is Verb.PROVISION else tuple(node for node in nodes if node not in shown)
        screen = ConfirmScreen(
            self.session, verb, nodes, hidden=hidden, options=options, of=self._group_of(nodes)
        )
        self.app.push_screen(screen, self._answered)

    def _group_of(self, nodes: tuple[NodeKey, ...]) -> str:
        """The group that was chosen by its row, by its name; empty where nodes were."""
        at = self.table.cursor_key
        whole = isinstance(at, GroupKey) and set(nodes) == set(self.table.nodes_at_cursor)
        if not whole or not isinstance(at, GroupKey):
            return ""
        return f"{group_name(at.parent)} at {group_name(at)}" if at.depth else group_name(at)

    def ask_for_node(self) -> None:
        """Ask what node is to be made, in the source and category under the cursor."""
        at = next((row for row in map(self.session.deck.store.record, self.targets) if row), None)
        source = at.key.source if at else next(iter(self.session.deck.sources), "")

        def filled(asked: tuple[NodeKey, Options] | None) -> None:
            if asked is not None:
                self.ask(Verb.PROVISION, (asked[0],), asked[1])

        screen = ProvisionScreen(self.session, source, at.node.category if at else "")
        self.app.push_screen(screen, filled)

    def _answered(self, run: OperationRun | None) -> None:
        if run is None:
            self.say("nothing was done", Tone.MUTED)
            return
        self.table.set_marks(self.table.marks.difference(run.plan.request.nodes))
        self.run_worker(self._follow(run), group="runs")
        if is_live(run):
            self._live.add(run.operation.id)
            self.say(f"{run.plan.verb.value} began as {run.operation.id}", Tone.NOTE)
        else:
            self.tell(run)

    def tell(self, run: OperationRun) -> None:
        """Say what came of an operation, with the key of what it asks for."""
        says, tone = told(run)
        self.say(says + (f" ({self.keys_of(commands.CORDON)})" if says.endswith(CORDON_IT) else ""), tone)

    async def _follow(self, run: OperationRun) -> None:
        why = await proposals.ending(self.session.deck, run.operation.id)
        if why:
            self.say(f"{run.plan.verb.value} {run.operation.id} stopped: {why}", Tone.BAD)

    def show_operations(self) -> None:
        self.remove_class("with-banner")
        self.app.push_screen(OperationsScreen(self.session))

    def repaint(self) -> None:
        """Something that no feed tells of reads differently."""
        self.show_table()
        self.pane.paint()

    def next_theme(self) -> None:
        self.app.theme = themes.after(self.session.theme)
        self.say(f"theme {self.session.theme}")
        self.show_table()
        self.paint_header()
        self.pane.paint()
        self.show_keys()
