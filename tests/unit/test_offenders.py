"""Repeat offenders: what the journal and the nodes tell of a month, nothing counted twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.journal import Kind, Record
from fleet.node import Condition, Node, NodeKey
from fleet.observation import NodeSeen, Observation, TelemetrySeen
from fleet.offenders import Offences, Trail, offences_of, offenders, trail_of
from fleet.sightings import Sightings
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.timeline import Entry, EntryKind, Weight
from tests.builders import NOW, node, row, telemetry

KEY = NodeKey("demo", "gpu-001")
DAY = timedelta(days=1)


def record(operation: str, verb: str, days: int = 1, **fields: Any) -> Record:
    kind = fields.pop("kind", Kind.OUTCOME)
    where = {"source": "demo", "node": "gpu-001", **fields}
    return Record(NOW - days * DAY, kind, operation, "oncall@desk", verb, **where)


def counted(
    of: Node | None = None,
    *records: Record,
    shows: NodeTelemetry | None = None,
    seen: Sightings | None = None,
) -> Offences:
    return offences_of(row(of=of or node(), shows=shows), trail_of(records), seen or Sightings(), NOW)


def heard(seen: Sightings, *shown: NodeTelemetry) -> None:
    """Have the sightings hear of a node, and of readings of it one after the other."""
    store = FleetStore()
    facts: list[Observation] = [NodeSeen(node()), *(TelemetrySeen(KEY, each) for each in shown)]
    for fact in facts:
        seen.hear(store, fact, NOW)
        store.apply(fact)


def test_an_operation_of_many_steps_is_one_drain_and_a_verdict_one_failed_gate() -> None:
    found = counted(
        None,
        record("op-1", "drain", kind=Kind.INTENT),
        record("op-1", "drain", state="done"),
        record("op-1", "drain", state="done"),
        record("op-2", "drain", 3),
        record("op-3", "gate", 2, state="failed", evidence="FAIL", says="FAIL: gpus FAIL (7)"),
        record("op-4", "reimage", 4),
        record("op-5", "cordon", 5),
    )
    assert (found.drains, found.failed_gates, found.reimages, found.total) == (2, 1, 1, 3)
    assert found.says == "1 failed gate, 2 drains, 1 reimage"
    assert found.last == NOW - DAY


def test_a_colleagues_verdict_and_drain_show_by_what_they_left_on_the_node() -> None:
    shown = replace(
        node(holds=[Hold("colleague@desk", "fan", verb="drain", operation="op-9", since=NOW - DAY)]),
        gate=GateRecord(Verdict.FAIL, (Finding("gpus", Verdict.FAIL),), NOW - 2 * DAY, "colleague@desk"),
    )
    found = counted(shown)
    assert (found.drains, found.failed_gates, found.total) == (1, 1, 2)


def test_what_the_journal_tells_is_not_counted_again_from_the_node() -> None:
    shown = replace(
        node(holds=[Hold("oncall@desk", "fan", verb="drain", operation="op-1", since=NOW - DAY)]),
        gate=GateRecord(Verdict.FAIL, (), NOW - DAY + timedelta(seconds=1)),
    )
    verdict = record("op-2", "gate", 1, state="failed", evidence="FAIL", says="FAIL: ready FAIL")
    found = counted(shown, record("op-1", "drain"), verdict)
    assert (found.drains, found.failed_gates) == (1, 1)


def test_what_is_older_than_the_span_does_not_count() -> None:
    shown = replace(
        node(holds=[Hold("NHC", "bad", HolderKind.CONTROLLER, since=NOW - 40 * DAY)]),
        gate=GateRecord(Verdict.FAIL, (), NOW - 31 * DAY),
    )
    assert counted(shown, shows=telemetry(xid=79, xid_at=NOW - 40 * DAY)).total == 0


def test_a_controllers_hold_counts_and_our_cordon_does_not() -> None:
    held = [
        Hold("NHC", "bad", HolderKind.CONTROLLER, since=NOW - DAY),
        Hold("me", "x", verb="cordon", since=NOW - DAY),
    ]
    found = counted(node(holds=held))
    assert (found.closed, found.says) == (1, "closed by others")


def test_one_xid_is_one_whoever_tells_of_it() -> None:
    seen = Sightings()
    seen.note(KEY, [Entry(NOW - DAY, EntryKind.XID, "XID 79 appeared", "seen here", weight=Weight.BAD)])
    bad = replace(node(), conditions=(Condition("GpuXidError", "True", True, "79"),))
    assert counted(bad, shows=telemetry(xid=79), seen=seen).xids == 1
    assert counted(None, shows=telemetry(xid=79)).xids == 1
    assert counted(bad).xids == 1
    failed = record("op-2", "gate", state="failed", evidence="FAIL", says="FAIL: xid FAIL (79)")
    assert (counted(None, failed, shows=telemetry(xid=79)).xids, counted(None, failed).failed_gates) == (1, 1)


def test_an_xid_that_appeared_twice_is_two() -> None:
    seen = Sightings()
    appeared = [
        Entry(NOW - n * DAY, EntryKind.XID, "XID 79 appeared", "seen here", weight=Weight.BAD) for n in (1, 2)
    ]
    went = Entry(NOW - DAY, EntryKind.XID, "no XID is shown any more", "seen here")
    seen.note(KEY, [*appeared, went])
    assert counted(seen=seen).xids == 2


def test_the_xids_of_two_gpus_are_two_whether_they_show_now_or_appeared_one_by_one() -> None:
    both = replace(telemetry(xid=79), xids=((48, 1), (79, 1)))
    assert counted(shows=both).xids == 2
    assert counted(shows=replace(telemetry(xid=79), xids=((79, 3),))).xids == 3
    seen = Sightings()
    heard(seen, telemetry(), replace(telemetry(xid=79), xids=((79, 1),)), both, both, telemetry())
    assert counted(seen=seen, shows=both).says == "2 XIDs"
    assert counted(seen=seen).xids == 2, "they are gone, and were there"


def test_gpus_that_came_to_show_one_xid_together_are_as_many() -> None:
    seen = Sightings()
    three = replace(telemetry(xid=79), xids=((79, 3),))
    heard(seen, telemetry(), three)
    assert counted(seen=seen, shows=three).xids == 3


def test_only_nodes_with_more_than_one_offence_are_named_the_worst_first() -> None:
    rows = [row(of=node(name)) for name in ("gpu-001", "gpu-002", "gpu-003", "gpu-004")]
    records = [
        record("op-1", "drain"),
        record("op-2", "drain"),
        *(record(f"op-{n}", "drain", node="gpu-002") for n in range(3, 6)),
        record("op-7", "drain", node="gpu-003"),
    ]
    found = offenders(rows, trail_of(records), Sightings(), NOW)
    assert [each.node.name for each in found] == ["gpu-002", "gpu-001"]
    assert offenders(rows, Trail({}), Sightings(), NOW) == ()
