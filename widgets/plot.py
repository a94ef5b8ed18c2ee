"""A chart of lines in dots of braille, or of points and quotes in ASCII: eight GPUs in some rows of cells. Pure.

Drawn here rather than by plotext: that takes 125 ms to load and 55 ms for eight lines of 300 points on the loop that paints,
keeps one figure for the whole process, and has no ASCII set; this takes 5 ms. A gap stays a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor

from fleet.history import gaps
from widgets.fitting import fit
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece
from widgets.tones import Tone

LABEL = 5
"""Cells left of the chart for what its top and its bottom stand for."""

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column within a cell
_ASCII_DOTS = ((1,), (2,))
_ASCII = " '.:"


@dataclass(frozen=True, slots=True)
class Scale:
    """What the top and the bottom of a chart stand for, and where a line is drawn across, if any."""

    low: float
    high: float
    threshold: float | None = None

    def row(self, value: float, rows: int) -> int:
        """The row of dots that a value is in, 0 at the top; beyond the scale is at its edge."""
        reach = max(self.high - self.low, 1e-9)
        return max(0, min(rows - 1, round((self.high - value) / reach * (rows - 1))))


def plot(
    lines: Iterable[Sequence[float | None]],
    scale: Scale,
    width: int,
    height: int,
    glyphs: Glyphs,
    labels: tuple[str, str],
) -> list[LineOf]:
    """`height` lines of `width` cells: the labels of top and bottom, then the dots, with the threshold behind them."""
    plain = glyphs.ellipsis.isascii()
    dots = _ASCII_DOTS if plain else _DOTS
    across, down = len(dots[0]), len(dots)
    cells = max(1, width - LABEL - 1)
    grid = [[0] * cells for _ in range(height)]
    for values in map(gaps, lines):
        for column, first, last in _strokes(values, cells * across, scale, height * down):
            for dot in range(first, last + 1):
                grid[dot // down][column // across] |= dots[dot % down][column % across]
    limit = scale.threshold
    marked = None
    if limit is not None and scale.low <= limit <= scale.high:
        marked = scale.row(limit, height * down) // down
    rule = "-" if plain else "╌"
    told: list[LineOf] = []
    for number, row in enumerate(grid):
        label = labels[0] if number == 0 else labels[1] if number == height - 1 else ""
        line: list[Piece] = [(fit(label, LABEL, right=True, ellipsis=glyphs.ellipsis) + " ", Tone.MUTED)]
        line.extend(_runs(row, plain, rule if number == marked else ""))
        told.append(line)
    return told


def _runs(row: Sequence[int], plain: bool, rule: str) -> list[Piece]:
    """The cells of a row, those of one tone together."""
    pieces: list[Piece] = []
    for dots in row:
        if dots:
            text, tone = (_ASCII[dots] if plain else chr(_BRAILLE + dots)), Tone.NOTE
        else:
            text, tone = rule or " ", Tone.WARN
        if pieces and pieces[-1][1] is tone:
            pieces[-1] = (pieces[-1][0] + text, tone)
        else:
            pieces.append((text, tone))
    return pieces


def _strokes(
    values: Sequence[float | None], columns: int, scale: Scale, rows: int
) -> Iterable[tuple[int, int, int]]:
    """For each column of dots that something is known of: from which row to which, joined to its left neighbour."""
    before: tuple[int, int] | None = None
    for column in range(columns):
        found = _in_column(values, column, columns)
        if not found:
            before = None
            continue
        first, last = scale.row(max(found), rows), scale.row(min(found), rows)
        drawn = first, last
        if before is not None:
            first, last = min(first, before[1]), max(last, before[0])
        yield column, first, last
        before = drawn


def _in_column(values: Sequence[float | None], column: int, columns: int) -> list[float]:
    """The values that fall into a column; between two neighbours that are known, the way from one to the other."""
    count = len(values)
    if count >= columns:
        inside = values[column * count // columns : (column + 1) * count // columns]
        return [value for value in inside if value is not None]
    place = column * (count - 1) / max(columns - 1, 1)
    left = floor(place)
    share = place - left
    nearest = values[round(place)] if count else None
    if share and left + 1 < count:
        start, end = values[left], values[left + 1]
        if start is not None and end is not None:
            return [start + (end - start) * share]
    return [] if nearest is None else [nearest]
