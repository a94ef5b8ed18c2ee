"""The few tones everything is painted in. Themes give them colours; every tone also has a word or a glyph beside it."""

from __future__ import annotations

from enum import Enum

from textual.content import Content

from widgets.fitting import printable


class Tone(Enum):
    """What a piece of text means. The value names the table's component class."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    UNKNOWN = "unknown"
    GOOD = "good"
    NOTE = "note"
    WARN = "warn"
    BAD = "bad"


STYLES: dict[Tone, str] = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.MUTED: "$foreground 60%",
    Tone.UNKNOWN: "italic $foreground 45%",
    Tone.GOOD: "$text-success",
    Tone.NOTE: "$text-primary",
    Tone.WARN: "$text-warning",
    Tone.BAD: "bold $text-error",
}
"""Each tone as a style of Textual's `Content`, in the theme's own variables."""

Piece = str | tuple[str, Tone]


def content(*pieces: Piece, limit: int = 2000) -> Content:
    """Pieces of text in their tones, never read as markup."""
    return Content.assemble(
        *(
            (printable_piece(piece, limit), "")
            if isinstance(piece, str)
            else (printable_piece(piece[0], limit), STYLES[piece[1]])
            for piece in pieces
        )
    )


def printable_piece(text: str, limit: int) -> str:
    """Like `printable`, but a piece that is only a line break, or ends in one, keeps it; so do leading spaces."""
    body = text.rstrip("\n")
    lead = len(body) - len(body.lstrip(" "))
    trail = len(body) - len(body.rstrip(" ")) if body.strip() else 0
    inner = printable(body.strip(" "), limit)
    return " " * lead + inner + " " * trail + "\n" * (len(text) - len(body))
