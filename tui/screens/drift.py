"""Drift and repeat offenders: the matrix of versions, the cell under the cursor in full, and a way to its nodes in the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from fleet.drift import DriftCell, DriftRow, Matrix, Share
from fleet.node import NodeKey
from fleet.offenders import Offences
from fleet.row import FleetRow
from fleet.severity import concerns
from tui import commands
from tui.command import Place
from tui.comparing import Told, compare, count, read_told, selection_of
from tui.deck import Deck
from tui.screens.base import DeckScreen, bindings_of
from tui.screens.choose import Choice, ChooseScreen
from tui.screens.timeline import TimelineScreen
from tui.session import Session
from widgets.drift_grid import DriftGrid
from widgets.drift_lines import cell_lines
from widgets.lines import LineOf, safe, text_of, wrapped
from widgets.sheet import Sheet, TextSheet
from widgets.tones import Tone
from widgets.wording import counted

EVERY = 3.0
"""Seconds between two comparisons of a fleet that changes; nothing is compared while it doesn't."""

ODD = "every odd value"

BESIDE = 1_000
"""From so many nodes on they are compared in a thread."""


@dataclass(frozen=True, slots=True)
class Picked:
    """What the fleet screen is to show: the nodes of a filter, or these nodes marked."""

    selection: str = ""
    marks: tuple[NodeKey, ...] = ()


class _Detail(Sheet):
    """The cell under the cursor, and what could not be read."""

    lines: tuple[LineOf, ...] = ()

    def draw(self, width: int) -> Content:
        return text_of([part for line in self.lines for part in wrapped(safe(line), width)], width)


class DriftScreen(DeckScreen[Picked | None]):
    """Dismissed with what was picked; None to go back."""

    PLACE = Place.DRIFT
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.DRIFT)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._told = Told()
        self._reading = True
        self._compared = -1
        self._placed = False  # whether the cursor has been given its first place
        self.matrix = Matrix()
        self.deeds = {
            commands.DRIFT_OPEN.id: self.open_cell,
            commands.DRIFT_MARK.id: self.mark_cell,
            commands.DRIFT_NEXT.id: self.to_next_odd,
            commands.DRIFT_TURN.id: self.turn,
            commands.DRIFT_READ.id: self.read,
            commands.DRIFT_BACK.id: lambda: self.dismiss(None),
        }

    def compose(self) -> ComposeResult:
        yield TextSheet(classes="title")
        yield DriftGrid(id="grid")
        yield _Detail(id="detail")
        yield from self.compose_foot()

    def on_mount(self) -> None:
        super().on_mount()
        self.grid.focus()
        self.set_interval(EVERY, self.compare_again)
        self.paint()
        self.read()

    @property
    def grid(self) -> DriftGrid:
        return self.query_one(DriftGrid)

    @work(group="told", exclusive=True)
    async def read(self) -> None:
        """Ask telemetry for its versions and the journal for its month."""
        self._reading = True
        self._told = await read_told(self.session.deck)
        self._reading = False
        self.paint()

    @work(group="compare", exclusive=True)
    async def compare_again(self) -> None:
        """Compare a fleet that changed, beside the loop where it is large: the rows are values, and stay what they are."""
        deck, told = self.session.deck, self._told
        if deck.store.revision != self._compared:
            self._compared = deck.store.revision
            rows = tuple(deck.store.rows())
            beside = len(rows) > BESIDE
            work = partial(_compared, deck, told, rows)
            self.show(*(await asyncio.to_thread(work) if beside else work()))

    def paint(self) -> None:
        """Compare at once and show it."""
        deck = self.session.deck
        self._compared = deck.store.revision
        self.show(*_compared(deck, self._told, tuple(deck.store.rows())))

    def show(self, matrix: Matrix, named: Sequence[Offences]) -> None:
        """Show what was compared."""
        deck, session = self.session.deck, self.session
        self.matrix = matrix
        rows = [deck.store.record(each.node) for each in named]
        wrong = {row.key: concerns(row, session.now, deck.policy) for row in rows if row is not None}
        states = {key: found[0].text if found else "ok" for key, found in wrong.items()}
        self.grid.show(matrix, named, states, session.now, glyphs=session.glyphs, reading=self._reading)
        if not self._placed and matrix.odd:
            self._placed = self.grid.to_next_odd()
        says = (
            f"   {counted(matrix.odd, 'node')} odd of {len(deck.store):,}, "
            f"{counted(len(named), 'repeat offender')} in 30 days"
        )
        title = "Repeat offenders" if self.grid.at_offenders else "Drift"
        self.query_one(".title", TextSheet).show(text_of([[(title, Tone.STRONG), (says, Tone.MUTED)]]))

    def on_drift_grid_moved(self) -> None:
        """Show the cell under the cursor in full."""
        lines: list[LineOf] = []
        at = self.grid.cell
        if at is not None and not self.grid.at_offenders:
            lines += cell_lines(*at, self.session.glyphs)
            untold = ", ".join(aspect.value for aspect in self.matrix.unknown)
            lines += [[(f"nobody tells: {untold}", Tone.UNKNOWN)]] if untold else []
        if self.grid.at_offenders:
            lines.append([("counted from this machine's journal and from what nodes show", Tone.MUTED)])
        if self._reading:
            lines.append([("reading versions and the journal…", Tone.MUTED)])
        lines += [[(f"not read: {why}", Tone.UNKNOWN)] for why in self._told.silent]
        detail = self.query_one(_Detail)
        detail.lines = tuple(lines)
        detail.redraw()

    def turn(self) -> None:
        self.grid.turn()
        self.paint()

    def to_next_odd(self) -> None:
        if self.grid.at_offenders:
            self.turn()
        if not self.grid.to_next_odd():
            self.say("no cell has an odd one", Tone.GOOD)

    def open_cell(self) -> None:
        """Show the odd nodes of the cell in the fleet; of several values ask which. An offender's timeline."""
        if self.grid.at_offenders:
            if self.grid.offender is not None:
                self.app.push_screen(TimelineScreen(self.session, self.grid.offender.node))
            return
        at = self.grid.cell
        if at is None:
            return
        others = [share for share in at[1].shares if not share.expected]
        if not others:
            self.say("all of these nodes agree", Tone.GOOD)
        elif len(others) == 1:
            self.dismiss(self._picked(*at, others))
        else:
            self._ask(*at, others)

    def _ask(self, row: DriftRow, cell: DriftCell, others: list[Share]) -> None:
        odd = [share for share in others if share.odd]
        count_odd = sum(len(share.nodes) for share in odd)
        choices = [Choice(ODD, ODD, counted(count_odd, "node"))] if len(odd) > 1 else []
        choices += [
            Choice(f"={share.value}", share.value or "unknown", counted(len(share.nodes), "node"))
            for share in others
        ]

        def picked(value: str | None) -> None:
            if value:
                wanted = odd if value == ODD else [share for share in others if f"={share.value}" == value]
                self.dismiss(self._picked(row, cell, wanted))

        self.app.push_screen(ChooseScreen(f"Which {cell.aspect.value}?", choices), picked)

    def _picked(self, row: DriftRow, cell: DriftCell, shares: list[Share]) -> Picked:
        nodes = tuple(node for share in shares for node in share.nodes)
        found = selection_of(self.session.deck, row.category, cell, [share.value for share in shares])
        return Picked(str(found)) if found is not None else Picked(marks=nodes)

    def mark_cell(self) -> None:
        """Mark the odd nodes of the cell, or the offender, and go back to the fleet."""
        at, offender = self.grid.cell, self.grid.offender
        marks: tuple[NodeKey, ...] = ()
        if self.grid.at_offenders:
            marks = (offender.node,) if offender is not None else ()
        else:
            marks = (at[1].odd or at[1].unknown) if at is not None else ()
        if marks:
            self.dismiss(Picked(marks=marks))
        else:
            self.say("there is nobody to mark here", Tone.MUTED)


def _compared(deck: Deck, told: Told, rows: Sequence[FleetRow]) -> tuple[Matrix, Sequence[Offences]]:
    return compare(deck, told, rows), count(deck, told, rows)
