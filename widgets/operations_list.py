"""The operations under way and ended, each with what it waits for. Enter opens one, a key asks to cancel it."""

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

from fleet.operation import Operation, Progress
from widgets.glyphs import UNICODE, Glyphs
from widgets.lines import LineOf, text_of
from widgets.operation_lines import operation_lines
from widgets.sheet import Sheet
from widgets.tones import Tone


class _OperationsSheet(Sheet):
    operations: Sequence[Operation] = ()
    progress: Mapping[str, Sequence[Progress]] = {}
    now: datetime | None = None
    chosen: int = 0
    glyphs: Glyphs = UNICODE
    starts: tuple[int, ...] = ()
    """The first line of each operation as last drawn, and the line past the end."""

    def draw(self, width: int) -> Content:
        if not self.operations or self.now is None:
            self.starts = (0,)
            return text_of([[("no operation yet", Tone.MUTED)]], width)
        lines: list[LineOf] = []
        starts: list[int] = []
        for number, operation in enumerate(self.operations):
            starts.append(len(lines))
            progress = self.progress.get(operation.id, ())
            block = operation_lines(operation, progress, self.now, self.glyphs, width - 2)
            here = number == self.chosen
            for at, line in enumerate(block):
                lines.append([(f"{self.glyphs.cursor if here and not at else ' '} ", Tone.NOTE), *line])
        self.starts = (*starts, len(lines))
        return text_of(lines, width)


class OperationsList(VerticalScroll, can_focus=True):
    """A list with a cursor that stays on its operation."""

    DEFAULT_CSS = "OperationsList { padding: 0 1; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", "Up", show=False, id="operations.up"),
        Binding("down,j", "choose(1)", "Down", show=False, id="operations.down"),
        Binding("enter", "open", "Open", show=False, id="operations.open"),
        Binding("x,delete", "cancel", "Cancel", show=False, id="operations.cancel"),
    ]

    class Opened(Message):
        """Somebody wants to see more of an operation."""

        def __init__(self, operation: Operation) -> None:
            super().__init__()
            self.operation = operation

    class CancelAsked(Message):
        """Somebody wants an operation to stop."""

        def __init__(self, operation: Operation) -> None:
            super().__init__()
            self.operation = operation

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sheet = _OperationsSheet()

    def compose(self) -> ComposeResult:
        yield self._sheet

    @property
    def chosen(self) -> Operation | None:
        """The operation under the cursor."""
        operations = self._sheet.operations
        return operations[self._sheet.chosen] if operations else None

    def show(
        self,
        operations: Sequence[Operation],
        progress: Mapping[str, Sequence[Progress]],
        now: datetime,
        *,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        """Show these operations, in this order, with the live progress of each by operation id."""
        sheet, before = self._sheet, self.chosen
        sheet.operations, sheet.progress, sheet.now, sheet.glyphs = tuple(operations), progress, now, glyphs
        places = {operation.id: place for place, operation in enumerate(operations)}
        fallback = max(0, min(sheet.chosen, len(operations) - 1))
        sheet.chosen = places.get(before.id, fallback) if before else fallback
        sheet.redraw()

    def action_choose(self, by: int) -> None:
        sheet = self._sheet
        sheet.chosen = max(0, min(sheet.chosen + by, len(sheet.operations) - 1))
        sheet.redraw()
        if len(sheet.starts) > sheet.chosen + 1:
            start, end = sheet.starts[sheet.chosen], sheet.starts[sheet.chosen + 1]
            self.scroll_to_region(Region(0, start, 1, end - start), animate=False)

    def action_open(self) -> None:
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def action_cancel(self) -> None:
        if self.chosen is not None:
            self.post_message(self.CancelAsked(self.chosen))

    def on_click(self, event: events.Click) -> None:
        line = event.y - self.gutter.top + self.scroll_offset.y
        for number, start in enumerate(self._sheet.starts[:-1]):
            if start <= line < self._sheet.starts[number + 1]:
                self.action_choose(number - self._sheet.chosen)
        if event.chain == 2:
            self.action_open()
