"""A node's timeline as lines: a heading a day, then time, kind, what happened, and who tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

from fleet.timeline import Entry, Weight
from widgets.fitting import fit
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, plain, safe, wrapped
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, span

KIND = 9
"""Cells of the longest kind."""

TONES = {Weight.BAD: Tone.BAD, Weight.NOTE: Tone.NOTE, Weight.GOOD: Tone.GOOD, Weight.PLAIN: Tone.PLAIN}


def timeline_lines(entries: Iterable[Entry], zone: tzinfo, glyphs: Glyphs, width: int) -> list[LineOf]:
    """Entries in their order, wrapped to `width`: under the date of their day, or under a heading where the time is unknown."""
    lines: list[LineOf] = []
    day = ""
    for entry in entries:
        at = entry.at.astimezone(zone) if entry.at is not None else None
        today = f"{at:%Y-%m-%d, %A}" if at is not None else "when is unknown"
        if today != day:
            day = today
            lines += [*([[]] if lines else []), [(today, Tone.STRONG)]]
        time = f"{at:%H:%M:%S}" if at is not None else fit(UNKNOWN, 8)
        head = (f"  {time}  {fit(entry.kind.value, KIND)} ", Tone.MUTED)
        lines += wrapped(safe([head, *_what(entry, glyphs)]), width)
    return lines


def _what(entry: Entry, glyphs: Glyphs) -> Iterator[Piece]:
    tone = TONES[entry.weight]
    yield f"{sign(entry, glyphs)} ", tone
    yield entry.says, tone if entry.weight is Weight.BAD else Tone.PLAIN
    if entry.within:
        yield f"  or up to {span(entry.within)} before", Tone.UNKNOWN
    told = ", ".join(part for part in (entry.by, entry.source, entry.operation) if part)
    yield f"  {told}", Tone.MUTED


def sign(entry: Entry, glyphs: Glyphs) -> str:
    """The sign of a line's weight, so that its colour is not alone."""
    return {
        Weight.BAD: glyphs.bad,
        Weight.NOTE: glyphs.note,
        Weight.GOOD: glyphs.good,
        Weight.PLAIN: glyphs.bullet,
    }[entry.weight]


def latest_lines(entries: Iterable[Entry], now: datetime, glyphs: Glyphs) -> list[LineOf]:
    """The same for the node pane: how long ago instead of when, and who tells it left out."""
    return [
        [
            (f"{fit(age(entry.at, now), 4, right=True)} ", Tone.MUTED),
            (f"{sign(entry, glyphs)} ", TONES[entry.weight]),
            plain(entry.says),
            (f"  {entry.by}" if entry.by else "", Tone.MUTED),
        ]
        for entry in entries
    ]
