"""Reads `scontrol show nodes`, one line a node or many, of any version: fast, and not fooled by what people write into it.

Fields are sought in the order in which Slurm prints them, and only in front of the free texts. Reason, Comment and Extra stand at
the end, in that order, unquoted: Reason ends at the last ` [user@time]` that a field or the end follows; a JSON note in Comment or
Extra ends where its JSON ends. A newline in Comment or Extra begins a line that is no node's, which is put back.
Layout: slurm_sprint_node_table() in Slurm's src/api/node_info.c, 17.11 to 26.05.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from fleet.errors import Garbled
from fleet.text import clean

_NOTHING = frozenset({"(null)", "N/A", "n/a", "None", "Unknown", "INFINITE"})
_OUR_NOTE = "quarterdeck="
_SIGNED = re.compile(
    r" \[([^\[\]\n]{1,80})@(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|Unknown|None|\d+)\]"
    r"(?= *$| +Comment=| +Extra=| +Instance(?:Id|Type)=| {7})"
)
_LATER = re.compile(r"(?: +(?:InstanceId|InstanceType|Reservation|Topology|Parameters)=\S*)+ *\Z")
_DECODER = json.JSONDecoder()


class Shown(msgspec.Struct, frozen=True, gc=False):
    """One node as scontrol shows it, without what changes all the time (loads, free memory). Empty: not printed, or nothing.

    `comment` and `extra` are as they are stored, newlines included. `gres_used` needs `-d`. `resumes` is when Slurm itself ends a
    drain or DOWN that was set with ResumeAfter (newer than 22.05).
    """

    name: str
    registered: bool = False
    state: str = ""
    next_state: str = ""
    active_features: str = ""
    features: str = ""
    gres: str = ""
    gres_used: str = ""
    address: str = ""
    host: str = ""
    version: str = ""
    os: str = ""
    partitions: str = ""
    booted: datetime | None = None
    slurmd_started: datetime | None = None
    resumes: datetime | None = None
    tres: str = ""
    reason: str = ""
    reason_by: str = ""
    reason_at: datetime | None = None
    comment: str = ""
    extra: str = ""


def read_nodes(text: str) -> list[Shown]:
    """Every node in what `scontrol show nodes` printed, in its order. What is no node's record is left out."""
    return [shown for record in _records(text) if (shown := _read(record)) is not None]


class NodeLines:
    """Reads one complete list after another, and of each only the lines that are not as they were: most nodes rest."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Shown] = {}

    def read(self, text: str) -> list[Shown]:
        """As `read_nodes`; a node whose line is as it was is the very same object again."""
        known, found = self._known, dict[str, Shown]()
        for record in _records(text):
            shown = known.get(record) or _read(record)
            if shown is not None:
                found[record] = shown
        self._known = found
        return list(found.values())


def whole(text: str) -> str:
    """What scontrol printed, where it came to its end: its last line does. Raises Garbled where it broke off within one."""
    if text and not text.endswith("\n"):
        last = clean(text[text.rfind("\n") + 1 :][:60])
        raise Garbled(f"the answer broke off within a line: {last}", about="scontrol show nodes")
    return text


def _records(text: str) -> Iterator[str]:
    """The record of each node on one line, save for newlines that stand in its free texts."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("NodeName=") and " CoresPerSocket=" in line:
            if lines:
                yield _joined(lines)
            lines = [line]
        elif lines:
            lines.append(line)
    if lines:
        yield _joined(lines)


def _joined(lines: list[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    if " State=" in lines[0]:
        return "\n".join(lines)
    return " ".join(stripped for line in lines if (stripped := line.strip()))


def _read(line: str) -> Shown | None:
    state_at = line.find(" State=")
    if state_at < 0:
        return None
    end = _free_texts_begin(line, state_at)
    name = line[9 : line.find(" ", 9)]
    if not name:
        return None
    head = _Fields(line, state_at)
    registered = head.word(" Arch=") != ""
    features, active = head.word(" AvailableFeatures="), head.word(" ActiveFeatures=")
    gres, gres_used = head.word(" Gres="), head.word(" GresUsed=")
    address, host = head.word(" NodeAddr="), head.word(" NodeHostName=")
    version, system = head.word(" Version="), head.until(" OS=", " RealMemory=")
    rest = _Fields(line, end, state_at)
    state, next_state = rest.word(" State="), rest.word(" NextState=")
    partitions = rest.word(" Partitions=")
    booted, started = rest.word(" BootTime="), rest.word(" SlurmdStartTime=")
    resumes, tres = rest.word(" ResumeAfterTime="), rest.word(" CfgTRES=")
    reason, by, at, comment, extra = _free_texts(line, end)
    return Shown(
        name,
        registered or version != "" or system != "",
        state,
        next_state,
        active,
        features,
        gres,
        gres_used,
        address,
        host,
        version,
        system,
        partitions,
        read_time(booted),
        read_time(started),
        read_time(resumes),
        tres,
        reason,
        by,
        at,
        comment,
        extra,
    )


class _Fields:
    """Seeks fields from left to right between two places of a line; one that is not there moves nothing."""

    __slots__ = ("_at", "_end", "_line")

    def __init__(self, line: str, end: int, start: int = 0) -> None:
        self._line = line
        self._at = start
        self._end = end

    def word(self, key: str) -> str:
        """A value without spaces; empty where there is none, or Slurm prints that there is none."""
        found = self._line.find(key, self._at, self._end)
        if found < 0:
            return ""
        start = found + len(key)
        stop = self._line.find(" ", start, self._end)
        self._at = stop = stop if stop >= 0 else self._end
        value = self._line[start:stop]
        return "" if value in _NOTHING else value

    def until(self, key: str, following: str) -> str:
        """A value with spaces, up to the field that follows it."""
        found = self._line.find(key, self._at, self._end)
        if found < 0:
            return ""
        start = found + len(key)
        stop = self._line.find(following, start, self._end)
        self._at = stop = stop if stop >= 0 else self._end
        return self._line[start:stop].strip()


def _free_texts_begin(line: str, start: int) -> int:
    """Where Reason begins, or Comment or Extra where there is no Reason; else the end."""
    for key in (" Reason=", " Comment=", " Extra="):
        found = line.find(key, start)
        if found >= 0:
            return found
    return len(line)


def _free_texts(line: str, start: int) -> tuple[str, str, datetime | None, str, str]:
    """Reason, its user and its time, Comment, Extra."""
    if start == len(line):
        return "", "", None, "", ""
    reason, by, at = "", "", None
    if line.startswith(" Reason=", start):
        signed = next(reversed(list(_SIGNED.finditer(line, start))), None)
        after = signed.end() if signed else start
        stop = _first(line, after, " Comment=", " Extra=")
        if signed is None:
            reason = line[start + 8 : stop]
        else:
            reason = line[start + 8 : signed.start()] + _more(line[after:stop])
            by, at = signed[1], read_time(signed[2])
        start = stop
    comment, extra = _comment_and_extra(line, start)
    return reason.strip(), by, at, comment, extra


def _comment_and_extra(line: str, start: int) -> tuple[str, str]:
    comment = ""
    if line.startswith(" Comment=", start):
        begin = start + 9
        start = _extra_begins(line, begin)
        comment = line[begin:start]
    if not line.startswith(" Extra=", start):
        return _stored(comment), ""
    begin = start + 7
    while (later := _extra_begins(line, begin)) < len(line):
        # Of two the later one is Slurm's: the first stands in the text of Comment.
        comment, begin = f"{comment}{line[start:later]}", later + 7
        start = later
    return _stored(comment), _stored(line[begin:])


def _extra_begins(line: str, begin: int) -> int:
    """Where ` Extra=` stands behind a text that begins at `begin`, not counting any within a JSON note of ours."""
    found = line.find(" Extra=", _past_json(line, begin))
    return found if found >= 0 else len(line)


def _past_json(line: str, begin: int) -> int:
    """The end of the JSON object that stands at `begin`, or behind our key in a plain text; `begin` where there is none."""
    if not line.startswith("{", begin):
        ours = line.find(f"{_OUR_NOTE}{{", begin)
        if ours < 0:
            return begin
        extra = line.find(" Extra=", begin)
        if 0 <= extra < ours:
            return begin
        begin = ours + len(_OUR_NOTE)
    try:
        return _DECODER.raw_decode(line, begin)[1]
    except (ValueError, RecursionError):
        return begin


def _first(line: str, start: int, *keys: str) -> int:
    return min((found for key in keys if (found := line.find(key, start)) >= 0), default=len(line))


def _more(rest: str) -> str:
    """The further lines of a Reason, which Slurm puts behind its signature, seven spaces in."""
    rest = _LATER.sub("", rest).strip()
    return f" {rest}" if rest else ""


def _stored(text: str) -> str:
    text = _LATER.sub("", text) if "=" in text else text
    return "" if text.strip() in _NOTHING else text


@lru_cache(maxsize=65536)
def read_time(text: str) -> datetime | None:
    """A time as scontrol prints it under TZ=UTC; None for one that is none."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
