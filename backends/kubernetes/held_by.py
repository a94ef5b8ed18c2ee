"""The `held-by` annotation: who keeps a node closed, as a JSON list, read and written so that nothing of others is lost.

An entry that can't be read is kept byte for byte and counts as a hold. A text that is no list at all is kept under
`held-by-unreadable`, and counts as one too: closing never fails for it, and opening needs a person to take it over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import msgspec

from backends.kubernetes.stamps import read_stamp, stamp
from fleet.errors import Rejected
from fleet.holder import Hold, HolderKind
from fleet.text import clean

REASON_LIMIT = 1000
NAME_LIMIT = 200
TEXT_LIMIT = 64 * 1024
"""Bytes of the whole list. Kubernetes allows 256 KiB for all annotations of an object together."""

UNREADABLE = "unreadable hold"
"""The name under which a hold that can't be read is shown and taken over."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One hold as it stands in the annotation. `restore` is what was found of the keys an autoscaler reads.

    `behind_gate` says that the node was closed for a gate, so that a gate that passes may lift it.
    """

    by: str = ""
    verb: str = ""
    operation: str = ""
    reason: str = ""
    since: str = ""
    found: str = ""
    step: str = ""
    plan: str = ""
    restore: dict[str, str | None] = {}
    behind_gate: bool = False

    @classmethod
    def of(cls, hold: Hold) -> Entry:
        """The entry of one of our holds; texts are trimmed so that the annotation stays small."""
        return cls(
            by=_whole(hold.by, NAME_LIMIT),
            verb=hold.verb,
            operation=hold.operation,
            reason=_whole(hold.reason, REASON_LIMIT),
            since=stamp(hold.since),
            found=hold.found,
            step=hold.step[:NAME_LIMIT],
            plan=hold.plan_hash,
        )

    def hold(self) -> Hold:
        """The hold as the fleet knows it, its texts cleaned for a screen."""
        return Hold(
            by=clean(self.by, NAME_LIMIT),
            reason=clean(self.reason, REASON_LIMIT),
            kind=HolderKind.OURS,
            verb=clean(self.verb, NAME_LIMIT),
            operation=clean(self.operation, NAME_LIMIT),
            since=read_stamp(self.since),
            found=clean(self.found, NAME_LIMIT),
            step=clean(self.step, NAME_LIMIT),
            plan_hash=clean(self.plan, NAME_LIMIT),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One element of the list: its own bytes, and the entry where it can be read."""

    raw: bytes
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class HeldBy:
    """The whole annotation. `garbled` is a text that is no JSON list."""

    lines: tuple[Line, ...] = ()
    garbled: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(line.entry for line in self.lines if line.entry is not None)

    @property
    def unreadable(self) -> int:
        return sum(line.entry is None for line in self.lines) + bool(self.garbled)

    def holds(self) -> tuple[Hold, ...]:
        """Every hold, ours first as written; what can't be read is an unnamed one."""
        ours = tuple(entry.hold() for entry in self.entries)
        lost = Hold(UNREADABLE, "written by something that we can't read", HolderKind.UNNAMED)
        return ours + (lost,) * min(self.unreadable, 1)

    def of(self, operation: str) -> Entry | None:
        """The hold of one operation."""
        return next((entry for entry in self.entries if entry.operation == operation != ""), None)

    def with_(self, entry: Entry) -> HeldBy:
        """This list with `entry` at its end."""
        return replace(self, lines=(*self.lines, Line(msgspec.json.encode(entry), entry)))

    def swap(self, old: Entry, new: Entry) -> HeldBy:
        """This list with `new` where `old` stood."""
        fresh = Line(msgspec.json.encode(new), new)
        return replace(self, lines=tuple(fresh if line.entry is old else line for line in self.lines))

    def without(self, lifted: Callable[[Entry], bool]) -> tuple[HeldBy, tuple[Entry, ...]]:
        """This list without the entries that are `lifted`, and those."""
        gone = tuple(entry for entry in self.entries if lifted(entry))
        kept = tuple(line for line in self.lines if line.entry is None or line.entry not in gone)
        return replace(self, lines=kept), gone

    def text(self, *, node: str = "") -> str | None:
        """The annotation's value, None where nothing is left. Raises Rejected where it grew too long."""
        if not self.lines:
            return None
        text = b"[" + b",".join(line.raw for line in self.lines) + b"]"
        if len(text) > TEXT_LIMIT:
            raise Rejected(f"too many holds are on it: {len(self.lines)}, {len(text)} bytes", about=node)
        return text.decode(errors="replace")


def read_held_by(text: str | None) -> HeldBy:
    """The annotation's value, read. Nothing is an empty list; nothing in it raises."""
    if text is None or not text.strip():
        return HeldBy()
    try:
        raws = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return HeldBy(garbled=text)
    return HeldBy(tuple(_lines(bytes(raw) for raw in raws)))


def holds_of(held_by: str | None, unreadable: str | None) -> tuple[Hold, ...]:
    """The holds that the two annotations show."""
    held = read_held_by(held_by)
    if unreadable and not held.unreadable:
        held = replace(held, garbled=unreadable)
    return held.holds()


def _lines(raws: Iterable[bytes]) -> Iterable[Line]:
    for raw in raws:
        try:
            yield Line(raw, msgspec.json.decode(raw, type=Entry))
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield Line(raw, None)


def _whole(text: str, limit: int) -> str:
    """`text` trimmed, and without the half characters that JSON can't carry."""
    return text[:limit].encode(errors="replace").decode()
