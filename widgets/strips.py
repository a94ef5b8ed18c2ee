"""Builds the painted lines of the fleet table. One call builds one line; the table caches what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from fleet.sorting import Sort
from fleet.view import Line, LineKind
from widgets.cells import Cell
from widgets.columns import SHAPES, SORTS, Placed
from widgets.fitting import fit, fit_middle, width_of
from widgets.glyphs import Glyphs
from widgets.tones import Tone

GUTTER = 2
"""Cells left of the first column: the cursor's sign and the mark."""

INDENT = 2


@dataclass(frozen=True, slots=True)
class Ground:
    """The Rich styles of everything that can stand on one kind of line, put together once."""

    plain: Style
    tones: Mapping[Tone, Style]
    bar: Style
    bar_rest: Style
    sign: Style
    mark: Style


@dataclass(frozen=True, slots=True)
class Brushes:
    """The theme's colours. `grounds` by the line's kind and whether the cursor is on it (None: without the focus)."""

    grounds: Mapping[tuple[LineKind, bool | None], Ground]
    header: Style
    header_sorted: Style


@dataclass(frozen=True, slots=True)
class Stance:
    """How a line stands: under the cursor, marked (None: a group of which some are), in a table with the focus."""

    cursor: bool = False
    marked: bool | None = False
    focused: bool = True

    @property
    def lit(self) -> bool | None:
        return None if self.cursor and not self.focused else self.cursor


class WholeStrip(Strip):
    """A strip that can be freed as soon as nobody shows it.

    Textual's own keeps what it was cut into, so one that was never cut keeps itself: thousands a minute, left to the collector,
    which then held the screen for 50 ms.
    """

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        places = list(cuts)
        return [self] if places == [self.cell_length] else super().divide(places)


def line_strip(
    line: Line,
    cells: Sequence[Cell],
    placed: Sequence[Placed],
    stance: Stance,
    brushes: Brushes,
    glyphs: Glyphs,
) -> Strip:
    """A line of exactly the placed columns' width plus the gutter."""
    ground = brushes.grounds[line.kind, stance.lit]
    tones = ground.tones
    ellipsis = glyphs.ellipsis
    segments = [
        Segment(glyphs.cursor if stance.cursor else " ", ground.sign),
        Segment(_mark(stance.marked, glyphs), ground.mark),
        Segment(_indented(line, cells[0].text, placed[0].width, glyphs), tones[cells[0].tone]),
    ]
    for place, cell in zip(placed[1:], cells[1:], strict=True):
        shape = SHAPES[place.column]
        width, gap, said = place.width, " " * shape.gap, cell.text
        if cell.wide and width >= shape.width:
            said = cell.wide
        elif shape.bar and width >= shape.width:
            _bar(segments, cell.bar, shape.bar, ground, glyphs)
            width, gap = width - shape.bar, ""
        if cell.sign:
            segments.append(Segment(f"{gap}{cell.sign} ", tones[cell.sign_tone]))
            width, gap = width - 2, ""
        text = fit(said, width, right=shape.right, ellipsis=ellipsis)
        segments.append(Segment(gap + text, tones[cell.tone]))
    return Strip(segments, width_with_gutter(placed))


def width_with_gutter(placed: Sequence[Placed]) -> int:
    """How many cells a line takes."""
    return GUTTER + sum([place.width + place.gap for place in placed]) - placed[0].gap


def _mark(marked: bool | None, glyphs: Glyphs) -> str:
    if marked is None:
        return glyphs.partly_marked
    return glyphs.marked if marked else " "


def _indented(line: Line, text: str, width: int, glyphs: Glyphs) -> str:
    lead = " " * (INDENT * line.depth)
    if line.kind is not LineKind.NODE:
        lead += (glyphs.folded if line.folded else glyphs.unfolded) + " "
    return fit(lead + fit_middle(text, max(0, width - len(lead)), ellipsis=glyphs.ellipsis), width)


def _bar(segments: list[Segment], ratio: float | None, width: int, ground: Ground, glyphs: Glyphs) -> None:
    if ratio is None:
        segments.append(Segment(" " * (width + 1), ground.plain))
        return
    full, half = divmod(round(ratio * width * 2), 2)
    segments.append(Segment(" " + glyphs.bar_full * full + (glyphs.bar_half if half else ""), ground.bar))
    segments.append(Segment(glyphs.bar_rest * (width - full - half), ground.bar_rest))


def header_strip(
    placed: Sequence[Placed],
    brushes: Brushes,
    glyphs: Glyphs,
    *,
    sorted_by: Sort | None,
    marked: int,
    position: str,
) -> Strip:
    """The titles, the sort sign on the sorted one, how many nodes are marked, and where the view stands."""
    segments = [Segment(" " * GUTTER, brushes.header)]
    for number, place in enumerate(placed):
        shape = SHAPES[place.column]
        title, style = shape.title, brushes.header
        if width_of(title) > place.width:
            title = title.split()[0]
        if sorted_by is not None and sorted_by.column in SORTS.get(place.column, ()):
            sign = glyphs.descending if sorted_by.descending else glyphs.ascending
            title = f"{sign} {title}" if shape.right else f"{title} {sign}"
            style = brushes.header_sorted
        if number:
            segments.append(Segment(" " * place.gap, brushes.header))
        if number == 0 and marked:
            title = f"{title} {glyphs.bullet} {marked:,} marked"
        width = place.width
        if number == len(placed) - 1 and position and width_of(position) + width_of(title) + 1 < width:
            segments.append(Segment(fit(title, width - width_of(position)), style))
            segments.append(Segment(position, brushes.header))
            continue
        segments.append(Segment(fit(title, width, right=shape.right, ellipsis=glyphs.ellipsis), style))
    return Strip(segments, width_with_gutter(placed))
