"""The fleet table's colours: its component classes, their default CSS, and the Rich styles they come to."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget

from fleet.view import LineKind
from widgets.strips import Brushes, Ground
from widgets.tones import Tone

_PREFIX = "fleet-table--"
_PARTS = (
    "category",
    "image",
    "cursor",
    "cursor-blurred",
    "bar",
    "bar-rest",
    "sign",
    "mark",
    "header",
    "sorted",
)

COMPONENTS: set[str] = {_PREFIX + tone.value for tone in Tone} | {_PREFIX + part for part in _PARTS}

TABLE_CSS = """
FleetTable {
    height: 1fr;
    background: $background;
    & > .fleet-table--plain { color: $foreground; }
    & > .fleet-table--strong { color: $foreground; text-style: bold; }
    & > .fleet-table--muted { color: $foreground 60%; }
    & > .fleet-table--unknown { color: $foreground 45%; }
    & > .fleet-table--good { color: $text-success; }
    & > .fleet-table--note { color: $text-primary; }
    & > .fleet-table--warn { color: $text-warning; }
    & > .fleet-table--bad { color: $text-error; text-style: bold; }
    & > .fleet-table--category { background: $surface; color: $foreground; text-style: bold; }
    & > .fleet-table--image { color: $foreground 85%; }
    & > .fleet-table--cursor { background: $primary 40%; }
    & > .fleet-table--cursor-blurred { background: $foreground 10%; }
    & > .fleet-table--bar { color: $primary; }
    & > .fleet-table--bar-rest { color: $foreground 20%; }
    & > .fleet-table--sign { color: $accent; text-style: bold; }
    & > .fleet-table--mark { color: $accent; text-style: bold; }
    & > .fleet-table--header { background: $panel; color: $foreground 70%; }
    & > .fleet-table--sorted { background: $panel; color: $text-accent; text-style: bold; }
}
"""


def brushes_of(table: Widget) -> Brushes:
    """The Rich styles of the table's component classes under the theme of now."""

    def whole(name: str) -> Style:
        return table.get_component_rich_style(_PREFIX + name)

    def ink(name: str) -> Style:
        style = whole(name)
        return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)

    tones = {tone: ink(tone.value) for tone in Tone if tone is not Tone.PLAIN}
    lights = {
        False: Style(),
        True: Style(bgcolor=whole("cursor").bgcolor),
        None: Style(bgcolor=whole("cursor-blurred").bgcolor),
    }
    kinds = {
        LineKind.CATEGORY: whole("category"),
        LineKind.IMAGE: whole("image"),
        LineKind.NODE: whole(Tone.PLAIN.value),
    }
    return Brushes(
        grounds={
            (kind, light): Ground(
                plain=plain + paper,
                tones={Tone.PLAIN: plain + paper, **{tone: plain + paper + tones[tone] for tone in tones}},
                bar=plain + paper + ink("bar"),
                bar_rest=plain + paper + ink("bar-rest"),
                sign=plain + paper + ink("sign"),
                mark=plain + paper + ink("mark"),
            )
            for kind, plain in kinds.items()
            for light, paper in lights.items()
        },
        header=whole("header"),
        header_sorted=whole("sorted"),
    )
