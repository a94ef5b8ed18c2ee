"""The matrix with its cursor, and the list of repeat offenders with its own: one widget, for they answer to the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message

from fleet.drift import DriftCell, DriftRow, Matrix
from fleet.node import NodeKey
from fleet.offenders import Offences
from widgets.drift_lines import matrix_lines, offender_line
from widgets.fitting import width_of
from widgets.glyphs import UNICODE, Glyphs
from widgets.lines import LineOf, text_of
from widgets.sheet import Sheet
from widgets.tones import Tone


class _DriftSheet(Sheet):
    matrix: Matrix = Matrix()
    named: Sequence[Offences] = ()
    states: Mapping[NodeKey, str] = {}
    now: datetime | None = None
    glyphs: Glyphs = UNICODE
    offenders: bool = False
    reading: bool = True
    row: int = 0
    column: int = 0
    offender: int = 0
    _first: int = 0

    def draw(self, width: int) -> Content:
        return text_of(self._offenders() if self.offenders else self._matrix(width), width)

    def _matrix(self, width: int) -> list[LineOf]:
        if not self.matrix.rows:
            return [[("no node is known", Tone.UNKNOWN)]]
        at = (self.row, self.column)
        lines, self._first = matrix_lines(self.matrix, at, self._first, self.glyphs, width)
        return lines

    def _offenders(self) -> list[LineOf]:
        if not self.named or self.now is None:
            nothing = (
                "reading the journal…"
                if self.reading
                else "nobody failed twice in 30 days, as far as is known here"
            )
            return [[(nothing, Tone.MUTED)]]
        name = min(32, max(width_of(each.node.name) for each in self.named))
        says = min(44, max(width_of(each.says) for each in self.named))
        return [
            offender_line(
                each,
                self.now,
                self.states.get(each.node, ""),
                chosen=number == self.offender,
                glyphs=self.glyphs,
                name=name,
                says=says,
            )
            for number, each in enumerate(self.named)
        ]


class DriftGrid(VerticalScroll, can_focus=True):
    """Shows a matrix, or the offenders. The cursor stays on its category and aspect when the matrix is another."""

    DEFAULT_CSS = "DriftGrid { padding: 0 1; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Up", show=False, id="drift.up"),
        Binding("down,j", "move(1, 0)", "Down", show=False, id="drift.down"),
        Binding("left,h", "move(0, -1)", "Left", show=False, id="drift.left"),
        Binding("right,l", "move(0, 1)", "Right", show=False, id="drift.right"),
    ]

    class Moved(Message):
        """The cursor is on another cell, or shows another thing."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sheet = _DriftSheet()

    def compose(self) -> ComposeResult:
        yield self._sheet

    @property
    def at_offenders(self) -> bool:
        """Whether the offenders are shown."""
        return self._sheet.offenders

    @property
    def cell(self) -> tuple[DriftRow, DriftCell] | None:
        """What the cursor is on in the matrix."""
        sheet = self._sheet
        if not sheet.matrix.rows or not sheet.matrix.aspects:
            return None
        row = sheet.matrix.rows[sheet.row]
        return row, row.cells[sheet.column]

    @property
    def offender(self) -> Offences | None:
        """What the cursor is on among the offenders."""
        return self._sheet.named[self._sheet.offender] if self._sheet.named else None

    def show(
        self,
        matrix: Matrix,
        named: Sequence[Offences],
        states: Mapping[NodeKey, str],
        now: datetime,
        *,
        glyphs: Glyphs = UNICODE,
        reading: bool = False,
    ) -> None:
        """Show these, with the cursor where it was."""
        sheet, before = self._sheet, self.cell
        who = self.offender
        sheet.matrix, sheet.named, sheet.states = matrix, tuple(named), states
        sheet.now, sheet.glyphs, sheet.reading = now, glyphs, reading
        rows = {row.category: place for place, row in enumerate(matrix.rows)}
        columns = {aspect: place for place, aspect in enumerate(matrix.aspects)}
        if before is not None:
            sheet.row = rows.get(before[0].category, min(sheet.row, len(rows) - 1))
            sheet.column = columns.get(before[1].aspect, min(sheet.column, len(columns) - 1))
        sheet.row, sheet.column = max(0, sheet.row), max(0, sheet.column)
        places = {each.node: place for place, each in enumerate(named)}
        sheet.offender = places.get(who.node, 0) if who is not None else 0
        sheet.redraw()
        self.post_message(self.Moved())

    def turn(self) -> None:
        """Between the matrix and the offenders."""
        self._sheet.offenders = not self._sheet.offenders
        self._moved()

    def to_next_odd(self) -> bool:
        """Put the cursor on the next cell with an odd one, row by row; whether there is any."""
        sheet = self._sheet
        width, size = len(sheet.matrix.aspects), len(sheet.matrix.aspects) * len(sheet.matrix.rows)
        here = sheet.row * width + sheet.column
        for step in range(1, size + 1):
            row, column = divmod((here + step) % size, width)
            if sheet.matrix.rows[row].cells[column].odd:
                sheet.row, sheet.column = row, column
                self._moved()
                return True
        return False

    def action_move(self, down: int, right: int) -> None:
        sheet = self._sheet
        if sheet.offenders:
            sheet.offender = max(0, min(sheet.offender + down, len(sheet.named) - 1))
        else:
            sheet.row = max(0, min(sheet.row + down, len(sheet.matrix.rows) - 1))
            sheet.column = max(0, min(sheet.column + right, len(sheet.matrix.aspects) - 1))
        self._moved()

    def on_click(self, event: events.Click) -> None:
        line = event.y - self.gutter.top + int(self.scroll_offset.y) - (not self._sheet.offenders)
        here = self._sheet.offender if self._sheet.offenders else self._sheet.row
        self.action_move(line - here, 0)

    def _moved(self) -> None:
        sheet = self._sheet
        sheet.redraw()
        line = sheet.offender if sheet.offenders else sheet.row + 1
        top = 0 if line == 1 and not sheet.offenders else line
        self.scroll_to_region(Region(0, top, 1, line - top + 1), animate=False)
        self.post_message(self.Moved())
