"""Where in a typed text the trouble is, drawn so that the mark stands under it on any terminal."""

from __future__ import annotations

from unicodedata import combining, east_asian_width

_SIDE = 60


def shown_with_caret(text: str, position: int) -> str:
    """Two lines: what surrounds `position` in `text`, unprintable characters as `·`, and a `^` below it."""
    start = max(0, position - _SIDE)
    before = ("…" if start else "") + _printable(text[start:position])
    after = _printable(text[position : position + _SIDE]) + ("…" if len(text) > position + _SIDE else "")
    return f"{before}{after}\n{' ' * _width(before)}^"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def _width(text: str) -> int:
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)
