"""One timeline a node: what happened to it, from every source that can tell, on one axis, each line with who says so.

Pure. A time that nobody knows is no time: such a line stands apart, and no window leaves it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from fleet.node import NodeKey

SAME = timedelta(seconds=5)
"""Two sources that tell of one verdict tell of it at most so far apart."""

SAME_XID = timedelta(minutes=5)
"""Two sources that tell of one XID: each saw it within a step of its own."""


class EntryKind(Enum):
    """What a line is about; what it can be filtered by."""

    XID = "xid"
    CONDITION = "condition"
    EVENT = "event"
    STATE = "state"
    HOLD = "hold"
    GATE = "gate"
    OPERATION = "operation"
    ACCEPTED = "accepted"
    BOOT = "boot"
    ALERT = "alert"
    TELEMETRY = "telemetry"
    FLAG = "flag"


class Weight(Enum):
    """How a line is meant: bad news, a thing to note, good news, or none of these."""

    BAD = "bad"
    NOTE = "note"
    GOOD = "good"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    `at` None: nobody knows when. `within` is how long before `at` it may have been (a poll, a step of a range query). `source`
    says who tells it (`journal`, `seen here`, `node`, `Kubernetes Event`, `prometheus`), `by` whose doing it was, where known.
    `gpus` is on how many GPUs it happened, of what happens to single ones.
    """

    at: datetime | None
    kind: EntryKind
    says: str
    source: str
    by: str = ""
    weight: Weight = Weight.PLAIN
    operation: str = ""
    within: timedelta = timedelta(0)
    gpus: int = 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """A node's entries, newest first, those without a time before all others. `silent` are sources that could not be read, and why.

    `since` is how far back it goes, None for all that is known.
    """

    node: NodeKey
    entries: tuple[Entry, ...]
    until: datetime
    since: datetime | None = None
    silent: tuple[str, ...] = ()

    def only(self, kinds: Collection[EntryKind]) -> Timeline:
        """The entries of these kinds; of every kind where none is named."""
        if not kinds:
            return self
        return replace(self, entries=tuple(entry for entry in self.entries if entry.kind in kinds))

    @property
    def oldest_first(self) -> tuple[Entry, ...]:
        """The entries the other way round, those without a time still before all others."""
        timed = [entry for entry in self.entries if entry.at is not None]
        return (*(entry for entry in self.entries if entry.at is None), *reversed(timed))


def timeline(
    node: NodeKey,
    entries: Iterable[Entry],
    until: datetime,
    *,
    since: datetime | None = None,
    silent: Iterable[str] = (),
) -> Timeline:
    """Entries of any order as one timeline: what two sources tell is told once, and what is before `since` is left out."""
    found = dict.fromkeys(entry for entry in entries if _in_window(entry, since))
    # Sources tell in the order of time: of what happened at one instant the later told is the later.
    kept = reversed(without_repeats(tuple(found)))
    return Timeline(node, tuple(sorted(kept, key=_newest_first)), until, since, tuple(silent))


def without_repeats(entries: Collection[Entry]) -> list[Entry]:
    """Entries less those that another source tells better.

    The journal knows the holds of its operations and the verdicts it recorded; who saw an XID appear knows its age.
    """
    told = [entry for entry in entries if entry.source == JOURNAL]
    operations = {entry.operation for entry in told} - {""}
    verdicts = [entry.at for entry in told if entry.kind is EntryKind.GATE and entry.at is not None]
    xids = [entry for entry in entries if entry.kind is EntryKind.XID and entry.source != TELEMETRY]
    return [
        entry
        for entry in entries
        if not _repeats(entry, operations, verdicts) and not _is_dated_elsewhere(entry, xids)
    ]


JOURNAL = "journal"
"""The source of what the journal tells."""

TELEMETRY = "telemetry"
"""The source of what the latest reading shows."""


def _repeats(entry: Entry, operations: Collection[str], verdicts: Iterable[datetime]) -> bool:
    if entry.source == JOURNAL:
        return False
    if entry.kind is EntryKind.HOLD:
        return entry.operation in operations
    at = entry.at
    return (
        entry.kind is EntryKind.GATE and at is not None and any(abs(at - told) <= SAME for told in verdicts)
    )


def _is_dated_elsewhere(entry: Entry, xids: Iterable[Entry]) -> bool:
    """Whether the XID that telemetry shows is one that somebody else tells of: at about its time, where that is known."""
    if entry.source != TELEMETRY:
        return False
    code, at = entry.says.removeprefix("last ").removesuffix(", age unknown"), entry.at
    return any(
        told.says.startswith(code)
        and (at is None or (told.at is not None and abs(told.at - at) <= SAME_XID + told.within))
        for told in xids
    )


def _in_window(entry: Entry, since: datetime | None) -> bool:
    return since is None or entry.at is None or entry.at >= since


def _newest_first(entry: Entry) -> tuple[bool, float]:
    return (entry.at is not None, -entry.at.timestamp() if entry.at is not None else 0.0)
