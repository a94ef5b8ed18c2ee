"""One timeline a node: every source on one axis, told once, with the unknown times apart; and what is seen as it happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.diagnosis import Diagnosed, as_evidence
from fleet.flag import Flag
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict
from fleet.holder import Hold, HolderKind
from fleet.journal import Kind, Record
from fleet.journal_past import told_by_journal
from fleet.node import Admission, Condition, NodeKey, Readiness, Software, Stage, Taint
from fleet.node_past import told_by_node, told_by_telemetry
from fleet.observation import FlagsSeen, LastKnown, Listed, NodeGone, NodeSeen, TelemetrySeen
from fleet.sightings import Sightings, changes, telemetry_changes
from fleet.store import FleetStore
from fleet.timeline import Entry, EntryKind, Timeline, Weight, timeline
from tests.builders import NOW, node, telemetry

KEY = NodeKey("demo", "gpu-001")
HOUR = timedelta(hours=1)


def line(hours_ago: float | None, says: str = "x", kind: EntryKind = EntryKind.STATE, **more: Any) -> Entry:
    return Entry(
        None if hours_ago is None else NOW - hours_ago * HOUR, kind, says, more.pop("source", "node"), **more
    )


def says(of: Timeline) -> list[str]:
    return [entry.says for entry in of.entries]


def test_entries_of_any_order_come_out_newest_first_with_unknown_times_apart() -> None:
    told = timeline(KEY, [line(3, "old"), line(None, "when?"), line(1, "new")], NOW)
    assert says(told) == ["when?", "new", "old"]
    assert [entry.says for entry in told.oldest_first] == ["when?", "old", "new"]


def test_a_window_leaves_out_what_is_older_and_never_what_has_no_time() -> None:
    told = timeline(KEY, [line(3, "old"), line(None, "when?"), line(1, "new")], NOW, since=NOW - 2 * HOUR)
    assert says(told) == ["when?", "new"]


def test_what_two_sources_tell_alike_is_told_once() -> None:
    assert says(timeline(KEY, [line(1, "same"), line(1, "same")], NOW)) == ["same"]


def test_a_hold_of_an_operation_that_the_journal_tells_is_not_told_twice() -> None:
    hold = line(1, "held by oncall", EntryKind.HOLD, operation="op-1")
    foreign = line(1, "held by NVSentinel", EntryKind.HOLD)
    step = line(1, "closed", EntryKind.OPERATION, operation="op-1", source="journal")
    assert says(timeline(KEY, [hold, foreign, step], NOW)) == ["closed", "held by NVSentinel"]


def test_a_verdict_on_the_node_and_in_the_journal_is_one_verdict() -> None:
    on_node = line(1, "gate FAIL: xid", EntryKind.GATE)
    journalled = Entry(
        NOW - HOUR + timedelta(seconds=1), EntryKind.GATE, "gate FAIL: xid FAIL (79)", "journal"
    )
    earlier = line(5, "gate PASS", EntryKind.GATE)
    assert says(timeline(KEY, [on_node, journalled, earlier], NOW)) == [
        "gate FAIL: xid FAIL (79)",
        "gate PASS",
    ]


def test_only_the_kinds_asked_for_are_left_and_none_asked_for_is_all() -> None:
    told = timeline(KEY, [line(1, "a"), line(2, "b", EntryKind.XID)], NOW)
    assert says(told.only([EntryKind.XID])) == ["b"]
    assert told.only([]) is told


def test_a_node_tells_when_its_conditions_turned_who_holds_it_and_its_verdict() -> None:
    finding = Finding("xid", Verdict.FAIL, "79", "no forbidden XID")
    shown = replace(
        node(holds=[Hold("NVSentinel", "fatal", HolderKind.CONTROLLER, since=NOW - HOUR)]),
        conditions=(
            Condition("Ready", "True", False, "KubeletReady", since=NOW - 4 * HOUR),
            Condition("GpuXidError", "True", True, "XID 79", "fell off", NOW - 2 * HOUR),
            Condition("Quiet", "False", False),
        ),
        gate=GateRecord(Verdict.FAIL, (finding,), NOW - 3 * HOUR, "oncall@desk"),
    )
    told = timeline(KEY, told_by_node(shown), NOW)
    assert says(told) == [
        "held by NVSentinel: fatal",
        "GpuXidError True: XID 79: fell off",
        "gate FAIL: xid FAIL (79, wants no forbidden XID)",
        "Ready True: KubeletReady",
        "made in demo",
    ]
    assert [entry.weight for entry in told.entries[:4]] == [Weight.BAD, Weight.BAD, Weight.BAD, Weight.PLAIN]


def test_a_bad_condition_without_a_time_is_told_without_one() -> None:
    shown = replace(node(), conditions=(Condition("State", "DOWN", True),), created=None)
    assert [(entry.at, entry.says) for entry in told_by_node(shown)] == [(None, "State DOWN")]


@pytest.mark.parametrize(
    ("boot", "told"), [("2026-03-01T01:00:00+00:00", True), ("9b1c-uuid", False), ("", False)]
)
def test_a_boot_that_is_a_time_is_told(boot: str, told: bool) -> None:
    kinds = [entry.kind for entry in told_by_node(replace(node(), boot_id=boot))]
    assert (EntryKind.BOOT in kinds) is told


def test_an_xid_of_unknown_age_says_so_and_has_no_time() -> None:
    (entry,) = told_by_telemetry(telemetry(xid=79))
    assert entry.at is None
    assert "age unknown" in entry.says
    assert not list(told_by_telemetry(telemetry(xid=0)))
    assert not list(told_by_telemetry(None))


def record(kind: Kind, minute: int = 0, **fields: Any) -> Record:
    return Record(NOW + timedelta(minutes=minute), kind, "op-1", "oncall@desk", "drain", **fields)


def test_the_journal_tells_an_operation_with_its_plan_its_steps_and_its_end() -> None:
    here = {"node": "gpu-001", "source": "demo"}
    told = told_by_journal(
        [
            record(Kind.STARTED, says="fan swap", evidence="a1b2c3d4e5f6"),
            record(Kind.INTENT, 1, step_id="1", says="close gpu-001", **here),
            record(Kind.OUTCOME, 1, step_id="1", state="done", says="close gpu-001", **here),
            record(Kind.INTENT, 2, step_id="2", says="evict", **here),
            record(Kind.OUTCOME, 3, step_id="3", state="failed", says="FAIL: gpus", evidence="FAIL", **here),
            record(
                Kind.OUTCOME, 3, step_id="9", state="done", says="elsewhere", node="gpu-002", source="demo"
            ),
            record(Kind.ENDED, 4, state="failed", says="1 of 1 nodes failed"),
        ],
        KEY,
    )
    assert [(entry.kind, entry.says) for entry in told] == [
        (EntryKind.OPERATION, "drain began: fan swap (plan a1b2c3d4e5f6)"),
        (EntryKind.OPERATION, "drain: close gpu-001"),
        (EntryKind.OPERATION, "drain, meant to: evict; its outcome is not known"),
        (EntryKind.GATE, "gate FAIL: gpus"),
        (EntryKind.OPERATION, "drain ended: 1 of 1 nodes failed"),
    ]


def test_a_step_that_somebody_is_doing_now_is_no_step_of_unknown_outcome() -> None:
    begun = [record(Kind.INTENT, step_id="1", says="evict", node="gpu-001", source="demo")]
    (now,), (left,) = told_by_journal(begun, KEY, {"op-1"}), told_by_journal(begun, KEY, {"op-2"})
    assert (now.says, now.weight) == ("drain, under way: evict", Weight.NOTE)
    assert (left.says, left.weight) == ("drain, meant to: evict; its outcome is not known", Weight.BAD)


@pytest.mark.parametrize(
    ("verdict", "weight"),
    [(Verdict.PASS, Weight.GOOD), (Verdict.FAIL, Weight.BAD), (Verdict.UNKNOWN, Weight.NOTE)],
)
def test_a_check_that_ran_weighs_what_it_found_though_its_step_is_done(
    verdict: Verdict, weight: Weight
) -> None:
    evidence = as_evidence(Diagnosed(Finding("dcgm-diag", verdict, "as told")))
    here: dict[str, Any] = {"node": "gpu-001", "source": "demo", "step_id": "1", "state": "done"}
    (entry,) = told_by_journal([record(Kind.OUTCOME, says="dcgm-diag told", evidence=evidence, **here)], KEY)
    assert (entry.kind, entry.says, entry.weight) == (EntryKind.OPERATION, "drain: dcgm-diag told", weight)


def test_states_that_move_together_are_one_line() -> None:
    after = replace(node(), stage=Stage.DRAINING, admission=Admission.CORDONED, readiness=Readiness.NOT_READY)
    (entry,) = changes(node(), after, NOW)
    assert entry.says == "draining, cordoned, agent not-ready (in-service, open, agent ready before)"
    assert (entry.at, entry.source) == (NOW, "seen here")


def test_a_condition_that_turned_has_the_orchestrators_time_and_else_the_time_it_was_seen() -> None:
    timed = Condition("Ready", "False", True, since=NOW - HOUR)
    after = replace(node(), conditions=(timed, Condition("State", "IDLE+DRAIN", None)))
    assert [(entry.at, entry.source) for entry in changes(node(), after, NOW)] == [
        (NOW - HOUR, "node"),
        (NOW, "seen here"),
    ]
    (gone,) = changes(replace(node(), conditions=(timed,)), node(), NOW)
    assert gone.says == "Ready is no longer reported"


def test_a_hold_that_came_and_one_that_went_are_told_with_whose_they_were() -> None:
    hold = Hold("oncall@desk", "fan swap", verb="drain", operation="op-1", since=NOW - HOUR)
    (came,) = changes(node(), node(holds=[hold]), NOW)
    assert (came.at, came.by, came.operation) == (NOW - HOUR, "oncall@desk", "op-1")
    (went,) = changes(node(holds=[hold]), node(), NOW)
    assert (went.at, went.says) == (NOW, "no longer held by oncall@desk, drain: fan swap")


def test_taints_that_came_and_went_are_told_but_for_those_that_only_repeat_a_state() -> None:
    repeats = tuple(
        Taint(key) for key in ("node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready")
    )
    before = replace(node(), taints=(Taint("site/burn-in", "yes"),))
    after = replace(node(), taints=(*repeats, Taint("site/cold-aisle", effect="NoExecute")))
    assert [entry.says for entry in changes(before, after, NOW)] == [
        "taint site/cold-aisle:NoExecute set",
        "taint site/burn-in=yes:NoSchedule taken off",
    ]


def test_a_check_that_begins_to_fail_in_service_is_told_since_when_and_when_it_passes_again() -> None:
    store, seen = FleetStore(), Sightings()
    store.apply(NodeSeen(node()))
    began = NOW - timedelta(minutes=3)
    for flags in ((Flag("gpus", "7 GPUs, wants 8", began),), (Flag("gpus", "6 GPUs, wants 8", began),), ()):
        observation = FlagsSeen(node().key, flags)
        seen.hear(store, observation, NOW)
        store.apply(observation)
    assert [(entry.at, entry.kind, entry.says) for entry in seen.of(node().key)] == [
        (began, EntryKind.FLAG, "flagged in service: gpus FAIL (7 GPUs, wants 8)"),
        (NOW, EntryKind.FLAG, "gpus passes again"),
    ]


def test_a_boot_a_new_uid_and_a_new_driver_are_told() -> None:
    before = replace(node(), boot_id="boot-1")
    after = replace(
        before, boot_id="boot-2", uid="other", software=Software("580.1", "12.8", gpu_product="H100")
    )
    told = [entry.says for entry in changes(before, after, NOW)]
    assert "booted: its boot id is another" in told
    assert "another node of this name took its place" in told
    assert "driver 580.1 (570.86.15 before)" in told


def test_a_boot_time_that_wavers_is_no_boot() -> None:
    before = replace(node(), boot_id="2026-03-01T01:00:00+00:00")
    assert not list(changes(before, replace(before, boot_id="2026-03-01T01:00:01+00:00"), NOW))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 79, ["XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) appeared"]),
        (None, 79, ["XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) shows; what was before is not known"]),
        (None, None, []),
        (79, 79, []),
        (79, 0, ["no XID is shown any more (XID 79 before): the exporter or the driver started anew"]),
        (0, None, []),
        (None, 0, []),
    ],
)
def test_an_xid_is_told_as_it_appears_and_as_it_goes(
    before: int | None, after: int | None, told: list[str]
) -> None:
    found = [entry.says for entry in telemetry_changes(telemetry(xid=before), telemetry(xid=after), NOW)]
    assert found == told


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {48: 1, 79: 1}, ["XID 48 (DBE) appeared", "XID 79 (GONE) appeared"]),
        ({79: 1}, {48: 1, 79: 1}, ["XID 48 (DBE) appeared"]),
        ({79: 1}, {79: 3}, ["XID 79 (GONE) appeared on 2 GPUs"]),
        ({48: 1, 79: 1}, {48: 1}, []),
        ({48: 1}, {}, ["no XID is shown any more (XID 48 before): the exporter or the driver started anew"]),
    ],
)
def test_every_gpu_that_comes_to_show_an_xid_is_told_beside_those_that_showed_one(
    before: dict[int, int], after: dict[int, int], told: list[str]
) -> None:
    one, other = (
        replace(telemetry(xid=max(codes, default=0)), xids=tuple(codes.items())) for codes in (before, after)
    )
    names = {"DBE": "RC_GPU_ECC_DBE", "GONE": "RC_GPU_HAS_FALLEN_OFF_THE_BUS"}
    found = [entry.says for entry in telemetry_changes(one, other, NOW)]
    for short, name in names.items():
        found = [says.replace(name, short) for says in found]
    assert found == told


def test_an_xid_that_a_gpu_brings_back_from_its_silence_did_not_appear() -> None:
    silent = replace(telemetry(xid=79), xids=((79, 1),), gpus_seen=7)
    back = replace(telemetry(xid=79), xids=((48, 1), (79, 1)), gpus_seen=8)
    assert [entry.says for entry in telemetry_changes(silent, back, NOW)] == ["8 GPUs report, 7 before"]


def test_telemetry_that_ends_and_gpus_that_fall_silent_are_told() -> None:
    (ended,) = telemetry_changes(telemetry(), None, NOW)
    (fewer,) = telemetry_changes(telemetry(), replace(telemetry(), gpus_seen=7), NOW)
    assert (ended.says, fewer.says) == ("GPU telemetry ended", "7 GPUs report, 8 before")
    assert fewer.weight is Weight.BAD


def test_a_flapping_node_forgets_its_own_oldest_and_nobody_elses() -> None:
    kept = Sightings(a_node=3, in_all=100)
    kept.note(NodeKey("demo", "quiet"), [line(9, "kept")])
    for number in range(50):
        kept.note(KEY, [line(1, str(number))])
    assert [entry.says for entry in kept.of(KEY)] == ["47", "48", "49"]
    assert [entry.says for entry in kept.of(NodeKey("demo", "quiet"))] == ["kept"]
    assert len(kept) == 4


def test_a_fleet_that_changes_everywhere_forgets_the_longest_unchanged_nodes_first() -> None:
    kept = Sightings(a_node=4, in_all=10)
    for name in range(8):
        kept.note(NodeKey("demo", str(name)), [line(1, "a"), line(1, "b")])
    assert len(kept) <= 10
    assert [key.name for key in kept.nodes()] == ["3", "4", "5", "6", "7"]


def test_hostile_texts_are_made_fit_to_keep() -> None:
    hostile = "\x1b]0;x\x07[bold]" + "a" * 40_000 + "\nb"
    shown = replace(
        node(holds=[Hold(hostile, hostile, since=NOW)]),
        conditions=(Condition(hostile, hostile, True, hostile, hostile, NOW),),
    )
    for entry in (*told_by_node(shown), *changes(node(), shown, NOW)):
        assert len(entry.says) <= 400
        assert "\x1b" not in entry.says + entry.by
        assert "\n" not in entry.says + entry.by


def test_what_is_seen_to_change_is_remembered_and_a_first_sight_is_no_change() -> None:
    store, kept = FleetStore(), Sightings()
    facts = (
        NodeSeen(node()),
        TelemetrySeen(KEY, telemetry()),
        Listed("demo", frozenset({"gpu-001"})),
        TelemetrySeen(KEY, telemetry(util=3.0)),
        TelemetrySeen(KEY, None),
        TelemetrySeen(KEY, telemetry(xid=79)),
        NodeSeen(replace(node(), stage=Stage.DRAINED, admission=Admission.CORDONED)),
        NodeSeen(replace(node(), stage=Stage.DRAINED, admission=Admission.CORDONED)),
        Listed("demo", frozenset()),
        NodeGone(KEY),
    )
    for fact in facts:
        kept.hear(store, fact, NOW)
        store.apply(fact)
    assert [entry.says for entry in kept.of(KEY)] == [
        "GPU telemetry ended",
        "GPU telemetry began",
        "drained, cordoned (in-service, open before)",
        "gone from demo",
    ]


def test_an_xid_of_unknown_age_is_left_out_where_somebody_saw_it_appear() -> None:
    (now,) = told_by_telemetry(telemetry(xid=79))
    seen = line(2, "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3", EntryKind.XID, source="prometheus")
    other = line(2, "XID 48 on GPU 3", EntryKind.XID, source="prometheus")
    assert says(timeline(KEY, [now, seen], NOW)) == [seen.says]
    assert says(timeline(KEY, [now, other], NOW)) == [now.says, other.says]


def test_an_xid_that_telemetry_dates_is_told_once_beside_who_saw_it_appear() -> None:
    dated = telemetry(xid=79, xid_at=NOW - 2 * HOUR)
    (now,) = told_by_telemetry(dated)
    assert (now.at, now.says) == (NOW - 2 * HOUR, "last XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS)")
    fell = "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3"
    near = Entry(
        NOW - 2 * HOUR - timedelta(minutes=9), EntryKind.XID, fell, "prometheus", within=timedelta(minutes=7)
    )
    before = Entry(NOW - 9 * HOUR, EntryKind.XID, fell, "prometheus")
    assert says(timeline(KEY, [now, near], NOW)) == [fell]
    assert says(timeline(KEY, [now, before], NOW)) == [now.says, fell], "it fell twice"


def test_of_what_happened_at_one_instant_the_later_told_is_the_newer() -> None:
    told = timeline(KEY, [line(1, "began"), line(1, "closed"), line(1, "ended")], NOW)
    assert says(told) == ["ended", "closed", "began"]
    assert [entry.says for entry in told.oldest_first] == ["began", "closed", "ended"]


def test_an_accepted_check_and_a_repair_are_told_with_whose_word_they_are() -> None:
    accepted = Acceptance("telemetry", "oncall@desk", "exporter rolls", NOW - HOUR, NOW + HOUR)
    repaired = replace(node(), accepted=(accepted,), repair=Repair("oncall@desk", "GPU 3 swapped", NOW, "f1"))
    told = timeline(KEY, told_by_node(repaired), NOW, since=NOW - 2 * HOUR)
    assert [(entry.kind, entry.says, entry.by) for entry in told.entries] == [
        (EntryKind.ACCEPTED, "repair noted: GPU 3 swapped", "oncall@desk"),
        (
            EntryKind.ACCEPTED,
            "check telemetry accepted until 2026-03-01 04:00 UTC: exporter rolls",
            "oncall@desk",
        ),
    ]
    assert [entry.kind for entry in changes(node(), replace(node(), accepted=(accepted,)), NOW)] == [
        EntryKind.ACCEPTED
    ]


def test_what_differs_from_an_earlier_run_may_have_happened_at_any_time_since() -> None:
    store, kept = FleetStore(), Sightings()
    for fact in (
        NodeSeen(node()),
        NodeSeen(node("gone")),
        LastKnown("demo", NOW - 3 * HOUR),
        NodeSeen(replace(node(), stage=Stage.DRAINED)),
        Listed("demo", frozenset({"gpu-001"})),
        NodeSeen(node()),
    ):
        kept.hear(store, fact, NOW)
        store.apply(fact)
    assert [entry.within for entry in kept.of(KEY)] == [3 * HOUR, timedelta(0)]
    assert [entry.within for entry in kept.of(NodeKey("demo", "gone"))] == [3 * HOUR]


def test_a_cancel_that_somebody_else_asked_for_is_told() -> None:
    (entry,) = told_by_journal([record(Kind.CANCEL_ASKED, says="asked oncall@desk")], KEY)
    assert entry.says == "drain: asked to cancel: asked oncall@desk"
