"""A past in one line of text, a level a cell. Unknown is an empty cell and zero the lowest level, so that they differ."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.history import gaps, means
from widgets.glyphs import Glyphs

_UNICODE = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*%#"


def sparkline(
    values: Sequence[float | None], width: int, glyphs: Glyphs, *, low: float = 0.0, high: float = 100.0
) -> str:
    """`values`, the oldest first, in `width` cells, from `low` to `high`; empty where nothing at all is known."""
    told = gaps(values)
    if width <= 0 or all(value is None for value in told):
        return ""
    levels = _ASCII if glyphs.ellipsis.isascii() else _UNICODE
    most = len(levels) - 1
    reach = max(high - low, 1e-9)
    return "".join(
        " " if value is None else levels[max(0, min(most, round((value - low) / reach * most)))]
        for value in means(told, width)
    )
