"""The heat map's cells: every block, node or GPU one sign, with a cursor that goes from one to the next.

Drawn by the line, and only the lines on screen: a fleet of ten thousand nodes has tens of thousands of cells. A band has a
sign as well as a colour. It is told where the cells are (`fleet.heat_map.Layout`) and how hot one is; it fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from fleet.heat import Heat, Scale
from fleet.heat_map import Layout, Spot, Tile
from widgets.fitting import fit, fit_middle, printable
from widgets.glyphs import UNICODE, Glyphs
from widgets.painted import cropped, filtered
from widgets.table_paint import differing
from widgets.viewport import Viewport

_WHEEL = 3
_BANDS = 5
_PREFIX = "heat-grid--"


@dataclass(frozen=True, slots=True)
class HeatScene:
    """What the cells are painted from: the measure's scale, and how hot a spot is now."""

    scale: Scale
    heat_of: Callable[[Spot], Heat]
    glyphs: Glyphs = UNICODE

    def sign(self, spot: Spot) -> tuple[str, str]:
        """A spot's sign, and the name of the style it is drawn in."""
        return band_sign(self.scale, self.scale.band(self.heat_of(spot)), self.glyphs)


def band_sign(scale: Scale, band: int | None, glyphs: Glyphs) -> tuple[str, str]:
    """A band's sign and the name of its style; `band` None is the unknown."""
    if band is None:
        return glyphs.unknown, "unknown"
    bands = len(scale.bounds)
    alarming = scale.alarming is not None and band >= scale.alarming
    style = "bad" if alarming and band == bands else "warn" if alarming else str(band)
    if bands < _BANDS - 1 and alarming:  # few bands, each with a meaning of its own
        return (glyphs.bad if band == bands else glyphs.warn), style
    return glyphs.heat[band], style


class HeatGrid(Widget, can_focus=True):
    """Tiles of cells. The layout is asked for again whenever the width is another."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"{_PREFIX}{band}" for band in range(_BANDS)),
        *(f"{_PREFIX}{name}" for name in ("unknown", "warn", "bad", "label", "heading", "cursor")),
    }
    DEFAULT_CSS = """
    HeatGrid {
        height: 1fr;
        background: $background;
        & > .heat-grid--0 { color: $foreground 35%; }
        & > .heat-grid--1 { color: $primary 60%; }
        & > .heat-grid--2 { color: $primary 75%; }
        & > .heat-grid--3 { color: $primary 90%; }
        & > .heat-grid--4 { color: $primary; text-style: bold; }
        & > .heat-grid--unknown { color: $foreground 45%; }
        & > .heat-grid--warn { color: $text-warning; text-style: bold; }
        & > .heat-grid--bad { color: $text-error; text-style: bold; }
        & > .heat-grid--label { color: $foreground 70%; }
        & > .heat-grid--heading { color: $foreground; text-style: bold; }
        & > .heat-grid--cursor { background: $primary 40%; color: $foreground; text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(-1)", "Left", show=False, id="heat.left"),
        Binding("right,l", "turn(1)", "Right", show=False, id="heat.right"),
        Binding("up,k", "line(-1)", "Up", show=False, id="heat.up"),
        Binding("down,j", "line(1)", "Down", show=False, id="heat.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="heat.page-up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="heat.page-down"),
        Binding("home", "end(-1)", "First", show=False, id="heat.first"),
        Binding("end", "end(1)", "Last", show=False, id="heat.last"),
    ]

    class Pointed(Message):
        """The cursor is on another spot, or other spots are on screen."""

        def __init__(self, spot: Spot | None) -> None:
            super().__init__()
            self.spot = spot

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, HeatGrid.Pointed)

    def __init__(self, lay_out: Callable[[int], Layout], scene: HeatScene, *, id: str | None = None) -> None:  # noqa: A002
        self._lay_out = lay_out
        self._scene = scene
        self._layout = Layout((), 0)
        self._view = Viewport()
        self._at: tuple[int, int, int] = (0, 0, 0)  # line, tile, turn
        self._painted: list[Strip] = []
        self._painted_size = Size(0, 0)
        self._styles: dict[str, Style] | None = None
        super().__init__(id=id)

    @property
    def spot(self) -> Spot | None:
        """What is under the cursor; None where there is nothing."""
        tile = self._tile()
        return None if tile is None else tile.spots[self._at[2]]

    def spots_on_screen(self) -> Iterable[Spot]:
        """The spots of the lines on screen."""
        for y in range(self._view.top, self._view.last):
            for tile in self._layout.lines[y]:
                yield from tile.spots

    def show(self, scene: HeatScene) -> None:
        """Paint what differs."""
        self._scene = scene
        self._repaint()

    def put(self, scene: HeatScene, cursor: Spot | None) -> None:
        """Other cells: lay them out, with the cursor on `cursor` where that is among them."""
        self._scene = scene
        self._layout = self._lay_out(self.size.width)
        self._view.length = len(self._layout.lines)
        self._at = (0, 0, 0)
        place = self._layout.place(cursor) if cursor is not None else None
        self._go(place or self._layout.first)

    def action_turn(self, by: int) -> None:
        y, number, turn = self._at
        tile = self._tile()
        if tile is None:
            return
        if 0 <= turn + by < len(tile):
            self._go((y, number, turn + by))
            return
        beside = self._beside(y, number, by)
        if beside is not None:
            row, each = beside
            self._go((row, each, 0 if by > 0 else len(self._layout.lines[row][each]) - 1))

    def action_line(self, by: int) -> None:
        tile = self._tile()
        lines = self._layout.lines
        if tile is None:
            return
        way = 1 if by > 0 else -1
        y = max(0, min(self._at[0] + by, len(lines) - 1))
        while 0 <= y < len(lines) and not len(lines[y][0]):  # a heading
            y += way
        spot = self._layout.nearest(y, self._layout.column(tile, self._at[2]))
        if y != self._at[0] and spot is not None:
            number = next(turn for turn, each in enumerate(lines[y]) if spot in each.spots)
            self._go((y, number, lines[y][number].spots.index(spot)))

    def action_page(self, pages: int) -> None:
        self.action_line(pages * max(1, self._view.height - 1))

    def action_end(self, way: int) -> None:
        self._go(self._layout.first if way < 0 else self._layout.last)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-_WHEEL)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        y = self._view.top + event.y
        if y >= len(self._layout.lines):
            return
        for number, tile in enumerate(self._layout.lines[y]):
            turn = (event.x - self._layout.column(tile, 0)) // tile.wide
            if tile.x <= event.x < self._layout.column(tile, len(tile)):
                self._go((y, number, max(0, turn)))

    def on_resize(self, event: events.Resize) -> None:
        cursor = self.spot
        self._painted_size = self.size
        self._view.resize(self.size.height)
        self.put(self._scene, cursor)

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = None
        self._painted_size = Size(0, 0)

    def render_lines(self, crop: Region) -> list[Strip]:
        if self._painted_size != self.size:
            self._painted_size = self.size
            self._painted = self._strips()
        return cropped(self._painted, crop)

    def _tile(self) -> Tile | None:
        y, number, _ = self._at
        tile = self._layout.lines[y][number] if y < len(self._layout.lines) else None
        return tile if tile is not None and len(tile) else None

    def _beside(self, y: int, number: int, by: int) -> tuple[int, int] | None:
        """The line and number of the tile that follows, or that goes before."""
        lines = self._layout.lines
        number += by
        while not 0 <= number < len(lines[y]) or not len(lines[y][number]):
            y += by
            if not 0 <= y < len(lines):
                return None
            number = 0 if by > 0 else len(lines[y]) - 1
        return y, number

    def _go(self, place: tuple[int, int, int]) -> None:
        self._at = place
        self._view.move_to(place[0])
        self.post_message(self.Pointed(self.spot))
        self._repaint()

    def _scroll(self, by: int) -> None:
        self._view.scroll(by)
        self.post_message(self.Pointed(self.spot))
        self._repaint()

    def _repaint(self) -> None:
        if not self.is_attached or self._painted_size != self.size:
            return
        before, fresh = self._painted, self._strips()
        self._painted = [
            old if index < len(before) and (old := before[index]) == new else new
            for index, new in enumerate(fresh)
        ]
        regions = differing(before, self._painted, self.size.width)
        if regions:
            self.refresh(*regions)

    def _strips(self) -> list[Strip]:
        if self._styles is None:
            self._styles = {
                name.removeprefix(_PREFIX): self.get_component_rich_style(name)
                for name in self.COMPONENT_CLASSES
            }
        strips = [self._strip(y, self._styles) for y in range(self._view.top, self._view.last)]
        blank = self._filtered(Strip([Segment(" " * self.size.width, self.rich_style)], self.size.width))
        return [*strips, *[blank] * (self.size.height - len(strips))]

    def _strip(self, y: int, styles: dict[str, Style]) -> Strip:
        glyphs = self._scene.glyphs
        segments: list[Segment] = []
        x = 0
        for number, tile in enumerate(self._layout.lines[y]):
            if tile.heading:
                heading = fit(" " + printable(tile.label), self.size.width, ellipsis=glyphs.ellipsis)
                return self._filtered(Strip([Segment(heading, styles["heading"])], self.size.width))
            label = fit_middle(printable(tile.label), self._layout.label, ellipsis=glyphs.ellipsis)
            segments.append(Segment(" " * (tile.x - x) + label + " ", styles["label"]))
            for turn, spot in enumerate(tile.spots):
                sign, style = self._scene.sign(spot)
                ink = styles[style]
                if self.has_focus and (y, number, turn) == self._at:
                    ink += styles["cursor"]
                segments.append(Segment(sign * tile.wide, ink))
            x = self._layout.column(tile, len(tile))
        strip = Strip(segments, x).adjust_cell_length(self.size.width, self.rich_style)
        return self._filtered(strip)

    def _filtered(self, strip: Strip) -> Strip:
        return filtered(self, strip)
