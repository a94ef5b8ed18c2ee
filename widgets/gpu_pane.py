"""A node's GPUs with room for every column, and their past below: for a screen of their own."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from widgets import node_facts
from widgets.lines import LineOf, safe, text_of, wrapped
from widgets.node_facts import NodeView
from widgets.sheet import Sheet
from widgets.tones import Tone

_LEAST_ROWS = 4
_MOST_ROWS = 12
_AROUND = 2
"""Lines of a chart beside its dots: the title and the time."""


class _GpuSheet(Sheet):
    """Everything, as one text."""

    def __init__(self) -> None:
        super().__init__()
        self._view: NodeView | None = None
        self.room = 0

    def show(self, view: NodeView | None) -> None:
        self._view = view
        self.redraw()

    def draw(self, width: int) -> Content:
        view = self._view
        if view is None:
            return Content()
        above: list[LineOf] = [*node_facts.head(view), [], *node_facts.gpus(view, width), []]
        lines = [*above, [(f"history, {view.past.span.name}", Tone.STRONG)]] if view.past else above
        below = node_facts.history(view, width, self._rows(len(lines), width))
        return text_of([part for line in (*lines, *below) for part in wrapped(safe(line), width)], width)

    def _rows(self, used: int, width: int) -> int:
        """Rows of a chart's dots, so that all of them fit below the table where there is room for that."""
        charts = node_facts.chart_rows(width)
        return max(_LEAST_ROWS, min(_MOST_ROWS, (self.room - used - 1) // charts - _AROUND))


class GpuPane(VerticalScroll):
    """Shows the GPUs of a `NodeView`. Scrolls; repaints only what reads differently."""

    DEFAULT_CSS = "GpuPane { padding: 0 1; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sheet = _GpuSheet()

    def compose(self) -> ComposeResult:
        yield self._sheet

    def show(self, view: NodeView | None) -> None:
        """Show this node's GPUs; None clears the pane."""
        self._sheet.room = self.size.height
        self._sheet.show(view)
