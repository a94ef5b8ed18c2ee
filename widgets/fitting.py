"""Fits text into cells of the terminal: exactly so many columns, whatever the text holds."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

from fleet.text import clean

_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0000-\U000e01ef]")
"""Joiners and variation selectors: terminals disagree on their width, so they are left out."""


def printable(text: str, limit: int = 240) -> str:
    """`text` from outside on one line, safe to paint, at most `limit` characters. Markup stays text."""
    text = clean(text, limit)
    return text if text.isascii() else _JOINERS.sub("", text)


def width_of(text: str) -> int:
    """How many cells `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """`text` in exactly `width` cells, cut at its end with an ellipsis, padded left where `right`."""
    length = width_of(text)
    if length < width:
        return " " * (width - length) + text if right else text + " " * (width - length)
    if length == width:
        return text
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + ellipsis


def fit_middle(text: str, width: int, *, ellipsis: str = "…") -> str:
    """`text` in exactly `width` cells, cut in its middle: node names differ at either end."""
    if width_of(text) <= width or width < 5 or not text.isascii():
        return fit(text, width, ellipsis=ellipsis)
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + ellipsis + text[-tail:]
