"""The few tones everything is painted in. Themes give them colours; every tone also has a word or a glyph beside it."""

from __future__ import annotations

from enum import Enum


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
