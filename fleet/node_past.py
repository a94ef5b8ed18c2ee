"""What a node's present state tells of its past: when each condition last turned, who closed it when, its verdict, its boot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from fleet.health import Acceptance, GateRecord, Verdict, failing
from fleet.holder import Hold, HolderKind
from fleet.node import Condition, Node
from fleet.row import FleetRow
from fleet.telemetry import NodeTelemetry
from fleet.text import clean
from fleet.timeline import TELEMETRY, Entry, EntryKind, Weight
from fleet.xid import lookup

NODE = "node"
"""The source of what the node shows in its orchestrator."""

LONGEST = 400
"""Characters of one line's text that are kept."""

_VERDICTS = {
    Verdict.PASS: Weight.GOOD,
    Verdict.WARN: Weight.NOTE,
    Verdict.FAIL: Weight.BAD,
    Verdict.UNKNOWN: Weight.NOTE,
}


def told_by_row(row: FleetRow) -> Iterator[Entry]:
    """Everything that a node, its telemetry and its alerts tell of the past."""
    yield from told_by_node(row.node)
    yield from told_by_telemetry(row.telemetry)
    for alert in row.alerts:
        severity = f" ({alert.severity})" if alert.severity else ""
        says = clean(f"alert {alert.name}{severity} fires", LONGEST)
        yield Entry(alert.since, EntryKind.ALERT, says, "alert", weight=Weight.NOTE)


def told_by_node(node: Node) -> Iterator[Entry]:
    """The last turn of each condition, holds, the verdict, the boot, and when it was made."""
    for condition in node.conditions:
        if condition.since is not None or condition.bad:
            yield condition_turned(condition)
    for hold in node.holds:
        yield held(hold)
    if node.gate is not None:
        yield judged(node.gate)
    for accepted in node.accepted:
        yield let_be(accepted)
    if node.repair is not None:
        says = clean(f"repair noted: {node.repair.says}", LONGEST)
        by = clean(node.repair.by, 120)
        yield Entry(node.repair.at, EntryKind.ACCEPTED, says, NODE, by, Weight.NOTE)
    booted = time_of_boot(node.boot_id)
    if booted is not None:
        yield Entry(booted, EntryKind.BOOT, "booted", NODE)
    if node.created is not None:
        yield Entry(node.created, EntryKind.STATE, f"made in {clean(node.key.source, 120)}", NODE)


def told_by_telemetry(telemetry: NodeTelemetry | None) -> Iterator[Entry]:
    """The last XID, which an exporter keeps until it restarts: mostly of unknown age."""
    if telemetry is not None and telemetry.xid:
        age = "" if telemetry.xid_at is not None else ", age unknown"
        says = f"last {lookup(telemetry.xid).label}{age}"
        yield Entry(telemetry.xid_at, EntryKind.XID, says, TELEMETRY, weight=Weight.BAD)


def condition_turned(condition: Condition) -> Entry:
    """A condition as it last turned."""
    says = f"{condition.type} {condition.status}"
    for more in (condition.reason, condition.message):
        says += f": {more}" if more else ""
    weight = Weight.BAD if condition.bad else Weight.PLAIN if condition.bad is False else Weight.NOTE
    return Entry(condition.since, EntryKind.CONDITION, clean(says, LONGEST), NODE, weight=weight)


def held(hold: Hold) -> Entry:
    """A hold that is there, from when it began."""
    says = f"held by {hold.by or 'nobody named'}" + (f", {hold.verb}" if hold.verb else "")
    says += f": {hold.reason}" if hold.reason else ", no reason given"
    weight = Weight.NOTE if hold.kind is HolderKind.OURS else Weight.BAD
    by, operation = clean(hold.by, 120), clean(hold.operation, 120)
    return Entry(hold.since, EntryKind.HOLD, clean(says, LONGEST), NODE, by, weight, operation)


def judged(record: GateRecord) -> Entry:
    """A verdict with what kept the gate closed."""
    found = failing(record.findings)
    says = f"gate {record.verdict.value}" + (f": {found}" if found else "")
    return Entry(
        record.at,
        EntryKind.GATE,
        clean(says, LONGEST),
        NODE,
        clean(record.by, 120),
        _VERDICTS[record.verdict],
    )


def let_be(accepted: Acceptance) -> Entry:
    """A check that a person let stay unknown, from when to when and why."""
    until = f"{accepted.until:%Y-%m-%d %H:%M} UTC"
    says = clean(f"check {accepted.check} accepted until {until}: {accepted.reason}", LONGEST)
    return Entry(accepted.since, EntryKind.ACCEPTED, says, NODE, clean(accepted.by, 120), Weight.NOTE)


def time_of_boot(boot_id: str) -> datetime | None:
    """When the node booted, where its boot id is a time (Slurm); None where it is a name (Kubernetes)."""
    try:
        booted = datetime.fromisoformat(boot_id)
    except ValueError:
        return None
    return booted if booted.tzinfo is not None else booted.replace(tzinfo=UTC)
