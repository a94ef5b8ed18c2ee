"""Repeat offenders: which nodes fail again and again, counted over a month from the journal and from what nodes show.

The journal is this machine's; a colleague's doings show by what they left on the node. A count may be low, and is never too high.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleet.health import Verdict
from fleet.holder import HolderKind
from fleet.journal import Kind, Record
from fleet.node import Node, NodeKey
from fleet.row import FleetRow
from fleet.sightings import SEEN, Sightings
from fleet.timeline import SAME, EntryKind, Weight
from fleet.verb import Verb

SPAN = timedelta(days=30)
REPEATED = 2
"""From so many offences on a node is a repeat offender."""

_XID_FAILED = "xid FAIL"


@dataclass(frozen=True, slots=True)
class Offences:
    """What one node did within a span. `closed` is how often others closed it, as it shows; `last` the latest of all."""

    node: NodeKey
    failed_gates: int = 0
    xids: int = 0
    drains: int = 0
    reimages: int = 0
    closed: int = 0
    last: datetime | None = None

    @property
    def total(self) -> int:
        """How many offences; a reimage is its cure, and counts as none."""
        return self.failed_gates + self.xids + self.drains + self.closed

    @property
    def repeats(self) -> bool:
        return self.total >= REPEATED

    @property
    def says(self) -> str:
        """`3 failed gates, 2 drains`; empty where there is nothing."""
        counts = (
            (self.failed_gates, "failed gate"),
            (self.xids, "XID"),
            (self.drains, "drain"),
            (self.reimages, "reimage"),
            (self.closed, "closing by others"),
        )
        return ", ".join(_counted(count, noun) for count, noun in counts if count)


def _counted(count: int, noun: str) -> str:
    if noun == "closing by others":
        return "closed by others" + (f" {count} times" if count > 1 else "")
    return f"{count} {noun}{'s' if count != 1 else ''}"


@dataclass(frozen=True, slots=True)
class Trail:
    """What the journal says of the nodes it names, by node, and what of it must not be counted twice."""

    offences: Mapping[NodeKey, Offences]
    operations: frozenset[str] = frozenset()
    verdicts: Mapping[NodeKey, tuple[datetime, ...]] | None = None


def trail_of(records: Iterable[Record]) -> Trail:
    """Counts of a span's records, of whichever order: drains and reimages by operation, failed gates by verdict."""
    counted: dict[NodeKey, Offences] = {}
    seen: set[tuple[str, NodeKey]] = set()
    verdicts: dict[NodeKey, list[datetime]] = {}
    operations: set[str] = set()
    for record in records:
        if not record.node or record.kind not in (Kind.INTENT, Kind.OUTCOME):
            continue
        key = NodeKey(record.source, record.node)
        operations.add(record.operation)
        known = counted.get(key) or Offences(key)
        known = replace(known, last=max(known.last or record.at, record.at))
        if (record.operation, key) not in seen:
            seen.add((record.operation, key))
            known = replace(
                known,
                drains=known.drains + (record.verb == Verb.DRAIN.value),
                reimages=known.reimages + (record.verb == Verb.REIMAGE.value),
            )
        if record.kind is Kind.OUTCOME and record.evidence == Verdict.FAIL.value:
            verdicts.setdefault(key, []).append(record.at)
            known = replace(
                known, failed_gates=known.failed_gates + 1, xids=known.xids + (_XID_FAILED in record.says)
            )
        counted[key] = known
    return Trail(counted, frozenset(operations), {key: tuple(times) for key, times in verdicts.items()})


def offences_of(
    row: FleetRow, trail: Trail, sightings: Sightings, now: datetime, span: timedelta = SPAN
) -> Offences:
    """One node's count, with what it shows itself and what was seen of it added to the journal's."""
    node, since = row.node, now - span
    known = trail.offences.get(node.key) or Offences(node.key)
    known = _with_verdict(known, node, trail, since)
    known = _with_holds(known, node, trail, since)
    return _with_xids(known, row, sightings, since)


def offenders(
    rows: Iterable[FleetRow], trail: Trail, sightings: Sightings, now: datetime, span: timedelta = SPAN
) -> tuple[Offences, ...]:
    """The repeat offenders among these nodes, the worst first."""
    found = (
        offences_of(row, trail, sightings, now, span)
        for row in rows
        if row.shown and _has_anything(row, trail, sightings)
    )
    return tuple(sorted((each for each in found if each.repeats), key=_worst_first))


def _has_anything(row: FleetRow, trail: Trail, sightings: Sightings) -> bool:
    """Whether there is anything to count: of most nodes of a fleet there is not, and this is soon told."""
    node, telemetry = row.node, row.telemetry
    if node.holds or (telemetry is not None and telemetry.xid):
        return True
    if node.gate is not None and node.gate.verdict is Verdict.FAIL:
        return True
    if node.key in trail.offences or node.key in sightings:
        return True
    return any(condition.bad for condition in node.conditions)


def _worst_first(each: Offences) -> tuple[int, int, float, str]:
    last = each.last.timestamp() if each.last is not None else 0.0
    return (-each.total, -each.failed_gates, -last, str(each.node))


def _with_verdict(known: Offences, node: Node, trail: Trail, since: datetime) -> Offences:
    gate = node.gate
    if gate is None or gate.verdict is not Verdict.FAIL or gate.at is None or gate.at < since:
        return known
    told = (trail.verdicts or {}).get(node.key, ())
    if any(abs(gate.at - at) <= SAME for at in told):
        return known
    return replace(known, failed_gates=known.failed_gates + 1, last=_later(known.last, gate.at))


def _with_holds(known: Offences, node: Node, trail: Trail, since: datetime) -> Offences:
    """Drains of colleagues, and closings by controllers; a gate's own hold is its verdict, counted already."""
    for hold in node.holds:
        if hold.since is None or hold.since < since or hold.operation in trail.operations - {""}:
            continue
        drained = hold.verb == Verb.DRAIN.value
        by_others = hold.kind is not HolderKind.OURS
        if drained or by_others:
            known = replace(
                known,
                drains=known.drains + drained,
                closed=known.closed + (by_others and not drained),
                last=_later(known.last, hold.since),
            )
    return known


def _with_xids(known: Offences, row: FleetRow, sightings: Sightings, since: datetime) -> Offences:
    """XIDs that were seen to appear, on each GPU one; else those that show, by telemetry or a condition, or failed a gate."""
    seen = [
        (entry.at, entry.gpus)
        for entry in sightings.of(row.node.key)
        if entry.kind is EntryKind.XID and entry.source == SEEN and entry.weight is Weight.BAD
        if entry.at is not None and entry.at >= since
    ]
    telemetry = row.telemetry
    shows = bool(telemetry is not None and telemetry.xid) and (
        telemetry is None or telemetry.xid_at is None or telemetry.xid_at >= since
    )
    conditions = [
        condition
        for condition in row.node.conditions
        if condition.bad and "xid" in f"{condition.type} {condition.reason}".lower()
    ]
    shown = sum(gpus for _, gpus in telemetry.xids) if telemetry is not None and shows else 0
    appeared = sum(gpus for _, gpus in seen)
    count = max(appeared, known.xids, shown, int(shows or bool(conditions)))
    last = max((at for at in (*(at for at, _ in seen), known.last) if at is not None), default=None)
    return replace(known, xids=count, last=last)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
