"""The fleet table: every node of a fleet under its groups, at any size, painted only where it changed.

It is drawn by the line: Textual's own tables repaint every row for one changed cell (measured: at 10,000 rows and 1,000
updates a second a key took 300 ms to show). It owns no data: a `TableModel` is asked for the lines on screen and for no
others. The application calls `show` when something changed, at most ten times a second; keys repaint at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from fleet import sorting
from fleet.groups import GroupKey
from fleet.node import NodeKey
from fleet.sorting import Sort
from fleet.view import Line, LineKey, LineKind
from widgets.cells import Scene
from widgets.columns import DEFAULT_COLUMNS, SHAPES, SORTS, Column, Placed, place
from widgets.fitting import fit, printable
from widgets.lines import plain, wrapped
from widgets.painted import cropped, filtered
from widgets.strips import GUTTER, INDENT, Brushes, Stance, header_strip
from widgets.table_brushes import COMPONENTS, TABLE_CSS, brushes_of
from widgets.table_marks import Marks
from widgets.table_model import TableModel
from widgets.table_paint import StripCache, differing
from widgets.viewport import Viewport

_WHEEL = 3
_TITLES = 1


class FleetTable(Widget, can_focus=True):
    """Groups and nodes, with a cursor that stays on its node, marks, folding, sorting by header, and the mouse."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    DEFAULT_CSS = TABLE_CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page-up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page-down"),
        Binding("home", "first", "First", show=False, id="table.first"),
        Binding("end", "last", "Last", show=False, id="table.last"),
        Binding("left,h", "fold", "Fold", show=False, id="table.fold"),
        Binding("right,l", "unfold", "Unfold", show=False, id="table.unfold"),
        Binding("space", "mark", "Mark", show=False, id="table.mark"),
        Binding("asterisk,a", "mark_all", "Mark all", show=False, id="table.mark-all"),
        Binding("enter", "open", "Open", show=False, id="table.open"),
    ]

    class CursorMoved(Message):
        """The cursor is on another line now; None: there is none."""

        def __init__(self, key: LineKey | None) -> None:
            super().__init__()
            self.key = key

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, FleetTable.CursorMoved)

    class Opened(Message):
        """Somebody wants to see more of a node."""

        def __init__(self, key: NodeKey) -> None:
            super().__init__()
            self.key = key

    class MarksChanged(Message):
        """These nodes are marked now, hidden ones included."""

        def __init__(self, marks: frozenset[NodeKey]) -> None:
            super().__init__()
            self.marks = marks

    class SortAsked(Message):
        """Somebody pressed a column's title: sort by it, or the other way where it is sorted by it already."""

        def __init__(self, column: sorting.Column) -> None:
            super().__init__()
            self.column = column

    class FoldToggled(Message):
        """A group is to be folded or unfolded; the model decides and `show` follows."""

        def __init__(self, group: GroupKey, folded: bool) -> None:
            super().__init__()
            self.group = group
            self.folded = folded

    def __init__(
        self,
        model: TableModel,
        scene: Scene,
        *,
        columns: Sequence[Column] = DEFAULT_COLUMNS,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        self._model = model
        self._scene = scene
        self._wanted = tuple(columns)
        self._placed: tuple[Placed, ...] = ()
        self._columns: tuple[Column, ...] = ()
        self._view = Viewport(length=len(model))
        self._cursor_key: LineKey | None = None
        self._marks = Marks()
        self._sorted_by: Sort | None = None
        self._nothing = "no nodes"
        self._cache = StripCache()
        self._header: tuple[object, Strip] | None = None
        self._painted: list[Strip] = []
        self._painted_size = Size(0, 0)
        self._brushes: Brushes | None = None
        super().__init__(id=id)

    def show(
        self,
        scene: Scene,
        changed: Collection[LineKey] | None = None,
        *,
        sorted_by: Sort | None = None,
        nothing: str | None = None,
    ) -> None:
        """Paint what differs. `changed` are lines whose values changed (None: any); order and number are read anew.

        `sorted_by` is the order of now; `nothing` says why there are no lines.
        """
        ticked = int(scene.now.timestamp()) != int(self._scene.now.timestamp())
        other = scene.glyphs is not self._scene.glyphs or scene.policy != self._scene.policy
        moved = self._scene.pending != scene.pending
        self._scene = scene
        self._sorted_by = sorted_by
        self._nothing = self._nothing if nothing is None else nothing
        if other:
            self._cache.clear()
        self._cache.doubt(None if ticked or moved else changed)
        self._follow_cursor()
        self._repaint()

    def choose_columns(self, columns: Sequence[Column]) -> None:
        """Show these columns, as far as the width has room for them."""
        self._wanted = tuple(columns)
        self._lay_out()
        self._repaint()

    def put_cursor(self, key: LineKey) -> bool:
        """Move the cursor to a line; False where it is not among the lines."""
        index = self._model.index_of(key)
        if index is not None:
            self._view.length = len(self._model)
            self._go(index)
        return index is not None

    def set_marks(self, marks: Iterable[NodeKey]) -> None:
        """Mark exactly these nodes."""
        if self._marks.put(marks):
            self._repaint()
            self.post_message(self.MarksChanged(self._marks.nodes))

    @property
    def cursor_key(self) -> LineKey | None:
        """The line under the cursor."""
        return self._cursor_key

    @property
    def marks(self) -> frozenset[NodeKey]:
        """The marked nodes, hidden ones included."""
        return self._marks.nodes

    @property
    def nodes_at_cursor(self) -> tuple[NodeKey, ...]:
        """The node under the cursor, or all nodes of the group under it."""
        line = self._line_at_cursor()
        return () if line is None else tuple(self._model.nodes_of(line))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns on screen."""
        return self._columns

    @property
    def lines_on_screen(self) -> range:
        """The indexes of the lines on screen."""
        return range(self._view.top, self._view.last)

    @property
    def strips_built(self) -> int:
        """How many lines were ever built, for measuring."""
        return self._cache.built

    def action_move(self, by: int) -> None:
        self._go(self._view.cursor + by)

    def action_page(self, pages: int) -> None:
        self._view.scroll(pages * max(1, self._view.height - 1))
        self._go(self._view.cursor + pages * max(1, self._view.height - 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(self._view.length - 1)

    def action_fold(self) -> None:
        line = self._line_at_cursor()
        if line is None:
            return
        if line.kind is not LineKind.NODE and not line.folded:
            self._toggle(line)
            return
        above = self._model.index_of(line.group if line.kind is LineKind.NODE else line.group.parent)
        if above is not None:
            self._go(above)

    def action_unfold(self) -> None:
        line = self._line_at_cursor()
        if line is not None and line.folded:
            self._toggle(line)

    def action_open(self) -> None:
        line = self._line_at_cursor()
        if line is None:
            return
        if isinstance(line.key, NodeKey):
            self.post_message(self.Opened(line.key))
        else:
            self._toggle(line)

    def action_mark(self) -> None:
        line = self._line_at_cursor()
        if line is None:
            return
        self.set_marks(self._marks.toggled(self._model.nodes_of(line)))
        if line.kind is LineKind.NODE:
            self._go(self._view.cursor + 1)

    def action_mark_all(self) -> None:
        self.set_marks(self._marks.toggled(self._model.all_nodes()))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._view.scroll(_WHEEL)
        self._repaint()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._view.scroll(-_WHEEL)
        self._repaint()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y < _TITLES:
            column = self._column_at(event.x)
            if column in SORTS:
                self.post_message(self.SortAsked(SORTS[column][0]))
            return
        index = self._view.top + event.y - _TITLES
        if index >= self._view.length:
            return
        line = self._model.line(index)
        self._go(index)
        if event.x == 1:
            self.set_marks(self._marks.toggled(self._model.nodes_of(line)))
        elif line.kind is not LineKind.NODE and (
            event.chain == 2 or event.x - GUTTER - INDENT * line.depth in (0, 1)
        ):
            self._toggle(line)
        elif event.chain == 2:
            self.action_open()

    def render_lines(self, crop: Region) -> list[Strip]:
        if self._painted_size != self.size:
            self._lay_out()
            self._painted = self._strips()
        return cropped(self._painted, crop)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()
        self._follow_cursor()
        self._repaint()

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._brushes = None
        self._header = None
        self._cache.clear()
        self._painted_size = Size(0, 0)

    def _lay_out(self) -> None:
        self._painted_size = self.size
        self._placed = place(max(0, self.size.width - GUTTER), self._wanted)
        self._columns = tuple(placed.column for placed in self._placed)
        self._cache.clear()
        self._header = None
        self._view.length = len(self._model)
        self._view.resize(self.size.height - _TITLES)

    def _repaint(self) -> None:
        if not self.is_attached or self._painted_size != self.size:
            return
        before, self._painted = self._painted, self._strips()
        regions = differing(before, self._painted, self.size.width)
        if regions:
            self.refresh(*regions)

    def _strips(self) -> list[Strip]:
        if not self.size.width or not self.size.height:
            return []
        brushes = self._brushes
        if brushes is None:
            brushes = self._brushes = brushes_of(self)
        view = self._view
        strips = [self._titles(brushes)]
        strips.extend(self._line(index, brushes) for index in range(view.top, view.last))
        ground = brushes.grounds[LineKind.NODE, False].plain
        if not view.length and self.size.height > _TITLES:
            strips.extend(self._emptiness(ground))
        blank = self._blank(ground)
        strips.extend([blank] * (self.size.height - len(strips)))
        return strips

    def _emptiness(self, ground: Style) -> list[Strip]:
        """Why there is no line, whole, in as many lines as it needs."""
        width, ellipsis = self.size.width, self._scene.glyphs.ellipsis
        said = wrapped([plain(printable(self._nothing, 2000))], max(1, width - 4))[
            : self.size.height - _TITLES
        ]
        texts = ["".join(text for text, _ in line).strip() for line in said]
        return [
            self._filtered(Strip([Segment(fit("  " + text, width, ellipsis=ellipsis), ground)], width))
            for text in texts
        ]

    def _line(self, index: int, brushes: Brushes) -> Strip:
        line = self._model.line(index)
        cursor = index == self._view.cursor
        stance = Stance(cursor, self._marks.of(line, self._model), self.has_focus or not cursor)
        return self._cache.strip(
            self._model,
            line,
            self._columns,
            self._placed,
            stance,
            self._scene,
            brushes,
            self._view.height,
            self._filtered,
        )

    def _titles(self, brushes: Brushes) -> Strip:
        view = self._view
        position = f"{view.top + 1:,}-{view.last:,} of {view.length:,}" if view.length > view.height else ""
        seen = (self._sorted_by, len(self._marks), position, self._scene.glyphs)
        if self._header is None or self._header[0] != seen:
            strip = header_strip(
                self._placed,
                brushes,
                self._scene.glyphs,
                sorted_by=self._sorted_by,
                marked=len(self._marks),
                position=position,
            )
            self._header = (seen, self._filtered(strip))
        return self._header[1]

    def _blank(self, ground: Style) -> Strip:
        kept = self._painted[-1] if self._painted else None
        fresh = self._filtered(Strip([Segment(" " * self.size.width, ground)], self.size.width))
        return kept if kept is not None and kept == fresh else fresh

    def _filtered(self, strip: Strip) -> Strip:
        return filtered(self, strip)

    def _line_at_cursor(self) -> Line | None:
        return self._model.line(self._view.cursor) if self._view.length else None

    def _go(self, index: int) -> None:
        self._view.move_to(index)
        self._name_cursor()
        self._repaint()

    def _follow_cursor(self) -> None:
        """Keep the cursor on its line; where the line is gone, on the one that took its place."""
        index = None if self._cursor_key is None else self._model.index_of(self._cursor_key)
        if len(self._model) != self._view.length:
            self._marks.recount()
        self._view.follow(self._view.cursor if index is None else index, len(self._model))
        self._name_cursor()

    def _name_cursor(self) -> None:
        line = self._line_at_cursor()
        key = None if line is None else line.key
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.CursorMoved(key))

    def _toggle(self, line: Line) -> None:
        if isinstance(line.key, GroupKey):
            self.post_message(self.FoldToggled(line.key, not line.folded))

    def _column_at(self, x: int) -> Column | None:
        right = GUTTER - SHAPES[Column.NAME].gap
        for placed in self._placed:
            right += placed.gap
            right += placed.width
            if x < right + 1:
                return placed.column
        return None
