"""The last touch of the ASCII look: whatever was drawn, by us or by Textual or by a name from outside, leaves as ASCII."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_STANDS_FOR = {
    "…": "~",
    "°": " ",
    "·": "-",
    "→": ">",
    "─": "-",
    "│": "|",
    "▔": "-",
    "▁": "-",
    "—": "-",
    "•": "-",
    "✓": "+",
}


class AsciiOnly(LineFilter):
    """Every character that is not ASCII becomes one that is, in as many cells."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(plain(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def plain(text: str) -> str:
    """`text` in ASCII, as wide as it was."""
    return "".join(
        letter if letter.isascii() else _STANDS_FOR.get(letter, "?" * cell_len(letter)) for letter in text
    )
