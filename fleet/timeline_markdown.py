"""A timeline as Markdown for an incident note: a table that survives pipes, backticks, markup and newlines in its texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, tzinfo

from fleet.text import clean
from fleet.timeline import Entry, Timeline

_MARKS = re.compile(r"([\\`*_{}\[\]#|~!$@])")
_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ADDRESS = re.compile(r"(?:https?|ftp):(?=//)|www\.", re.IGNORECASE)
LONGEST = 600


def markdown_of(
    timeline: Timeline, zone: tzinfo, *, oldest_first: bool = True, by: str = "", category: str = ""
) -> str:
    """The whole note: whose timeline, from when to when in which time, the table, and what could not be read."""
    node, entries = timeline.node, timeline.oldest_first if oldest_first else timeline.entries
    until = f"{timeline.until.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    began = (
        f"{timeline.since.astimezone(zone):%Y-%m-%d %H:%M:%S}" if timeline.since is not None else "the first"
    )
    lines = [
        f"# Timeline of {escaped(node.name)}",
        "",
        f"- source: {escaped(node.source)}",
        *([f"- category: {escaped(category)}"] if category else []),
        f"- from {began} to {until}, times in {zone_of(timeline.until, zone)}",
        *([f"- written by {escaped(by)}"] if by else []),
        "",
        *_table(entries, zone),
        *(["", "Not read:", ""] if timeline.silent else []),
        *(f"- {escaped(why)}" for why in timeline.silent),
    ]
    return "\n".join(lines) + "\n"


def _table(entries: Iterable[Entry], zone: tzinfo) -> Iterator[str]:
    rows = [
        (when(entry, zone), entry.kind.value, entry.says, entry.by, entry.source, entry.operation)
        for entry in entries
    ]
    if not rows:
        yield "Nothing is known to have happened."
        return
    yield "| time | kind | what | by | source | operation |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"


def when(entry: Entry, zone: tzinfo) -> str:
    """When it happened: `unknown`, a time, or a time and how long before it that may have been."""
    if entry.at is None:
        return "unknown"
    at = f"{entry.at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return f"{at} (or up to {_span(entry.within)} before)" if entry.within else at


def zone_of(at: datetime, zone: tzinfo) -> str:
    """A zone as people read it: `UTC`, or its name at that time with its offset, `CET (UTC+0100)`."""
    there = at.astimezone(zone)
    offset = f"UTC{there:%z}"
    if there.utcoffset() == timedelta(0):
        return "UTC"
    name = there.tzname() or ""
    return f"{name} ({offset})" if name[:1].isalpha() and not name.startswith("UTC") else offset


def escaped(text: str) -> str:
    """A text that Markdown shows as it stands, in a cell of a table too. An address stays a text and becomes no link."""
    text = "".join(_SIGNS.get(letter, letter) for letter in clean(text, LONGEST))
    return _ADDRESS.sub(_unlinked, _MARKS.sub(r"\\\1", text))


def _unlinked(found: re.Match[str]) -> str:
    return found[0].replace(":", "&#58;").replace(".", "&#46;")


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return (
        f"{seconds} s"
        if seconds < 120
        else f"{seconds // 60} min"
        if seconds < 7200
        else f"{seconds // 3600} h"
    )
