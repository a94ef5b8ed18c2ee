"""What the widgets share that are drawn by the line: strips as last painted, cut to what is asked for, filtered as the app is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from widgets.strips import WholeStrip


def cropped(painted: Sequence[Strip], crop: Region) -> list[Strip]:
    """The lines of a region; a line that is wanted whole is the strip that was painted."""
    return [
        strip if crop.x == 0 and crop.width >= strip.cell_length else strip.crop(crop.x, crop.right)
        for strip in painted[crop.y : crop.bottom]
    ]


def filtered(widget: Widget, strip: Strip) -> WholeStrip:
    """A strip under the line filters of its app (ASCII, no colour)."""
    for line_filter in widget.get_line_filters():
        strip = strip.apply_filter(line_filter, widget.background_colors[1])
    return WholeStrip(strip, strip.cell_length)
