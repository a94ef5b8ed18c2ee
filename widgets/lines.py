"""Lines made of toned pieces that know their width: aligned, cut to fit, joined to one text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

from widgets.fitting import fit, printable, width_of
from widgets.tones import STYLES, Tone

Piece = tuple[str, Tone]
LineOf = Sequence[Piece]


def plain(text: str) -> Piece:
    """A piece without a tone."""
    return (text, Tone.PLAIN)


def width_of_line(line: LineOf) -> int:
    """The cells a line takes."""
    return sum(width_of(text) for text, _ in line)


def cut(line: LineOf, width: int) -> list[Piece]:
    """A line of at most `width` cells; what is cut ends in an ellipsis."""
    kept: list[Piece] = []
    left = width
    for text, tone in line:
        size = width_of(text)
        if size > left:
            if left > 0:
                kept.append((fit(text, left), tone))
            return kept
        kept.append((text, tone))
        left -= size
    return kept


def spread(left: LineOf, right: LineOf, width: int) -> list[Piece]:
    """`left` and `right` at the two ends of a line; the left one gives way."""
    right = cut(right, width)
    room = width - width_of_line(right)
    left = cut(left, max(0, room - 1))
    return [*left, plain(" " * (room - width_of_line(left))), *right]


def joined(lines: Iterable[LineOf], separator: Piece) -> list[Piece]:
    """Groups of pieces as one line, with a separator between those that are not empty."""
    made: list[Piece] = []
    for line in lines:
        if line:
            if made:
                made.append(separator)
            made.extend(line)
    return made


def text_of(lines: Iterable[LineOf], width: int | None = None) -> Content:
    """Lines as one text, each made printable, and cut to `width` where it is given (else they wrap)."""
    pieces: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if number:
            pieces.append(("\n", ""))
        safe = [(_safe(text), tone) for text, tone in line]
        pieces.extend(
            (text, STYLES[tone]) for text, tone in (safe if width is None else cut(safe, width)) if text
        )
    return Content.assemble(*pieces)


def _safe(text: str) -> str:
    """`printable`, with the spaces at its ends kept: they align."""
    body = text.strip(" ")
    if not body:
        return text
    start = text.index(body)
    return text[:start] + printable(body, 2000) + text[start + len(body) :]
