"""Lines made of toned pieces that know their width: aligned, cut to fit, joined to one text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from textual.content import Content

from widgets.fitting import fit, printable, width_of
from widgets.tones import STYLES, Tone

_WORDS = re.compile(r" *[^ ]+ *| +")
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


def wrapped(line: LineOf, width: int) -> list[list[Piece]]:
    """A line in as many lines as it needs. What goes on hangs below the text: past a padded label, or two cells in."""
    if width_of_line(line) <= width:
        return [list(line)]
    head = line[0][0]
    lead = len(head) - len(head.lstrip(" "))
    hang = (
        width_of(head) if head.strip() and head.endswith(" ") and width_of(head) <= width // 3 else lead + 2
    )
    made: list[list[Piece]] = [[]]
    left = width
    for text, tone in line:
        for word in _WORDS.findall(text):
            size = width_of(word.rstrip(" "))
            if size > left and left < width - hang:
                made.append([plain(" " * hang)])
                left = width - hang
                word = word.lstrip(" ")
            for part in _parts(word, max(1, left), max(1, width - hang)):
                if width_of(part.rstrip(" ")) > left:
                    made.append([plain(" " * hang)])
                    left = width - hang
                # Spaces that stand past the end would have the last letter cut for them.
                part = part if width_of(part) <= left else part.rstrip(" ")
                made[-1].append((part, tone))
                left -= width_of(part)
    return made


def at_most(lines: Sequence[list[Piece]], most: int, width: int) -> list[list[Piece]]:
    """At most so many of the lines; where more follow, the last ends in an ellipsis."""
    if len(lines) <= most:
        return list(lines)
    *kept, last = lines[:most]
    words = [*cut(last, width - 1)]
    while words and not words[-1][0].strip():
        words.pop()
    if words:
        words[-1] = (words[-1][0].rstrip(), words[-1][1])
    return [*kept, [*words, ("…", words[-1][1] if words else Tone.MUTED)]]


def _parts(word: str, first: int, rest: int) -> list[str]:
    """A word that is longer than a line, in pieces; other words whole."""
    if width_of(word.rstrip(" ")) <= rest:
        return [word]
    cells = list(word)
    size = max(1, min(first, rest) // 2 if not word.isascii() else min(first, rest))
    return ["".join(cells[start : start + size]) for start in range(0, len(cells), size)]


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


def safe(line: LineOf) -> list[Piece]:
    """A line whose texts are fit to paint."""
    return [(_safe(text), tone) for text, tone in line]


def _safe(text: str) -> str:
    """`printable`, with the spaces at its ends kept: they align."""
    body = text.strip(" ")
    if not body:
        return text
    start = text.index(body)
    return text[:start] + printable(body, 2000) + text[start + len(body) :]
