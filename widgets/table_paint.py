"""What the fleet table has painted: cached strips, and which lines of the screen differ from what is there now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from textual.geometry import Region
from textual.strip import Strip

from fleet.view import Line, LineKey
from widgets.cells import Cell, Scene
from widgets.columns import Column, Placed
from widgets.strips import Brushes, Stance, line_strip
from widgets.table_model import TableModel

_CACHE_SCREENS = 8
"""Strips of so many screens are kept, so that paging back paints nothing anew."""


@dataclass(slots=True)
class _Kept:
    line: Line
    stance: Stance
    cells: tuple[Cell, ...]
    strip: Strip
    stale: bool = False


class StripCache:
    """Strips by line key. A line is built again only when what it shows differs, not when somebody says it may."""

    def __init__(self) -> None:
        self._kept: dict[LineKey, _Kept] = {}
        self.built = 0

    def clear(self) -> None:
        """Forget all: the width, the theme or the model is another."""
        self._kept.clear()

    def doubt(self, keys: Collection[LineKey] | None) -> None:
        """These lines may show something else now; None: any may."""
        if keys is None or len(keys) > len(self._kept):
            for key, kept in self._kept.items():
                kept.stale = kept.stale or keys is None or key in keys
            return
        for key in keys:
            kept_line = self._kept.get(key)
            if kept_line is not None:
                kept_line.stale = True

    def strip(
        self,
        model: TableModel,
        line: Line,
        columns: Sequence[Column],
        placed: Sequence[Placed],
        stance: Stance,
        scene: Scene,
        brushes: Brushes,
        room: int,
        filtered: Callable[[Strip], Strip],
    ) -> Strip:
        """The strip of a line; `room` lines fit the screen; `filtered` is the last touch."""
        kept = self._kept.get(line.key)
        if kept is not None and not kept.stale and kept.line == line:
            if kept.stance == stance:
                return kept.strip
            cells = kept.cells
        else:
            cells = tuple(model.cells(line, columns, scene))
            if kept is not None and kept.cells == cells and kept.line == line and kept.stance == stance:
                kept.stale = False
                return kept.strip
        strip = filtered(line_strip(line, cells, placed, stance, brushes, scene.glyphs))
        self.built += 1
        self._kept.pop(line.key, None)
        if len(self._kept) > max(200, room * _CACHE_SCREENS):
            del self._kept[next(iter(self._kept))]
        self._kept[line.key] = _Kept(line, stance, cells, strip)
        return strip


def differing(before: Sequence[Strip], after: Sequence[Strip], width: int) -> list[Region]:
    """The regions of the lines that are other strips now, neighbours as one."""
    regions: list[Region] = []
    start: int | None = None
    for y in range(len(after) + 1):
        other = y < len(after) and (y >= len(before) or after[y] is not before[y])
        if other and start is None:
            start = y
        elif not other and start is not None:
            regions.append(Region(0, start, width, y - start))
            start = None
    return regions
