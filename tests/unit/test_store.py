"""The store: absolute facts in, what changed since a revision out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.category import Category
from fleet.feeds import FeedHealth, FeedState
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Stage
from fleet.observation import (
    AlertsSeen,
    FeedChanged,
    Listed,
    NodeGone,
    NodeSeen,
    Observation,
    TelemetrySeen,
    WorkSeen,
)
from fleet.policy import Policy
from fleet.severity import Severity
from fleet.store import FeedKey, FleetStore
from fleet.telemetry import Alert, NodeTelemetry
from fleet.workload import NodeWork
from tests.unit.fleet_strategies import START, histories

ONE = NodeKey("prod", "gpu-1")
TWO = NodeKey("prod", "gpu-2")
ELSEWHERE = NodeKey("slurm", "gpu-1")


def node(key: NodeKey = ONE, **fields: Any) -> Node:
    return replace(Node(key, category="h100", readiness=Readiness.READY), **fields)


def seen(*keys: NodeKey) -> FleetStore:
    store = FleetStore()
    store.apply_all([NodeSeen(node(key)) for key in keys])
    return store


def test_a_fact_equal_to_what_is_known_makes_no_revision() -> None:
    store = seen(ONE)
    before = store.revision
    assert store.apply(NodeSeen(node())) == before
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=8)))
    assert store.apply(WorkSeen(ONE, NodeWork(gpus_used=8))) == before + 1


def test_facets_do_not_rewrite_each_other() -> None:
    store = seen(ONE)
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=8)))
    store.apply(TelemetrySeen(ONE, NodeTelemetry(START, gpu_util=90.0)))
    store.apply(NodeSeen(node(admission=Admission.CORDONED)))
    row = store.record(ONE)
    assert row is not None
    assert (row.node.admission, row.work, row.telemetry) == (
        Admission.CORDONED,
        NodeWork(gpus_used=8),
        NodeTelemetry(START, gpu_util=90.0),
    )


def test_alerts_are_a_facet_of_their_own_and_go_with_their_node() -> None:
    store = seen(ONE)
    hot = Alert("GpuHot", "warning", START)
    before = store.revision
    assert store.apply(AlertsSeen(ONE, (hot,))) == before + 1
    assert store.apply(AlertsSeen(ONE, (hot,))) == before + 1
    assert store.apply(AlertsSeen(TWO, (hot,))) == before + 1
    store.apply(NodeSeen(node(admission=Admission.CORDONED)))
    store.apply(TelemetrySeen(ONE, NodeTelemetry(START, gpu_util=90.0)))
    store.adopt(Policy())
    row = store.record(ONE)
    assert row is not None
    assert (row.alerts, row.telemetry) == ((hot,), NodeTelemetry(START, gpu_util=90.0))
    store.apply_all([NodeGone(ONE), NodeSeen(node())])
    row = store.record(ONE)
    assert row is not None
    assert row.alerts == ()


def test_a_later_sample_of_the_same_values_is_kept_and_changes_nothing() -> None:
    store = seen(ONE)
    store.apply(TelemetrySeen(ONE, NodeTelemetry(START, gpu_util=90.0)))
    before = store.revision
    later = NodeTelemetry(START + timedelta(seconds=15), gpu_util=90.0)
    assert store.apply(TelemetrySeen(ONE, later)) == before
    row = store.record(ONE)
    assert row is not None
    assert row.telemetry == later


def test_work_and_telemetry_may_come_before_their_node() -> None:
    store = FleetStore()
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=4)))
    store.apply(TelemetrySeen(ONE, NodeTelemetry(START, gpu_util=5.0)))
    assert (store.revision, len(store)) == (0, 0)
    store.apply(NodeSeen(node()))
    row = store.record(ONE)
    assert row is not None
    assert row.work == NodeWork(gpus_used=4)
    assert row.telemetry == NodeTelemetry(START, gpu_util=5.0)


def test_facets_of_nodes_never_seen_are_bounded_oldest_first() -> None:
    store = FleetStore(remembered=2)
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        store.apply(WorkSeen(NodeKey("prod", name), NodeWork(gpus_used=1)))
    for name in ("gpu-1", "gpu-3"):
        store.apply(NodeSeen(node(NodeKey("prod", name))))
    first, last = store.record(ONE), store.record(NodeKey("prod", "gpu-3"))
    assert first is not None
    assert last is not None
    assert (first.work, last.work) == (None, NodeWork(gpus_used=1))


def test_a_facet_that_is_withdrawn_before_its_node_comes_is_forgotten() -> None:
    store = FleetStore()
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=4)))
    store.apply(WorkSeen(ONE, None))
    store.apply(NodeSeen(node()))
    row = store.record(ONE)
    assert row is not None
    assert row.work is None


def test_a_node_made_anew_keeps_its_work_and_loses_the_telemetry_of_its_last_life() -> None:
    store = seen(ONE)
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=4)))
    store.apply(TelemetrySeen(ONE, NodeTelemetry(START, xid=79)))
    store.apply(NodeGone(ONE))
    store.apply(NodeSeen(node(uid="second")))
    row = store.record(ONE)
    assert row is not None
    assert (row.work, row.telemetry) == (NodeWork(gpus_used=4), None)


def test_a_complete_list_removes_the_absent_of_its_source_only() -> None:
    store = seen(ONE, TWO, ELSEWHERE)
    before = store.revision
    store.apply(Listed("prod", frozenset({"gpu-2"})))
    assert {row.key for row in store.rows()} == {TWO, ELSEWHERE}
    changes = store.changes_since(before)
    assert (changes.removed, changes.structure_changed) == (frozenset({ONE}), True)


def test_changes_name_what_changed_what_went_and_which_feeds() -> None:
    store = seen(ONE, TWO)
    before = store.revision
    store.apply(WorkSeen(ONE, NodeWork(gpus_used=8)))
    store.apply(NodeGone(TWO))
    store.apply(FeedChanged(FeedState("prod", "nodes", FeedHealth.LIVE, START, START)))
    changes = store.changes_since(before)
    assert changes.keys == {ONE}
    assert changes.removed == {TWO}
    assert changes.feeds == {FeedKey("prod", "nodes")}
    assert not changes.everything
    assert not store.changes_since(changes.revision)


def test_only_coming_going_and_changing_the_group_is_structure() -> None:
    store = seen(ONE)
    before = store.revision
    store.apply(NodeSeen(node(stage=Stage.DRAINING)))
    assert not store.changes_since(before).structure_changed
    store.apply(NodeSeen(node(stage=Stage.DRAINING, image=Image(running="v2"))))
    assert store.changes_since(before).structure_changed


def test_a_reader_too_far_behind_is_told_to_read_everything() -> None:
    store = FleetStore(remembered=4)
    for used in range(6):
        store.apply_all([NodeSeen(node()), WorkSeen(ONE, NodeWork(gpus_used=used + 1))])
    assert store.changes_since(0).everything
    assert store.changes_since(store.revision + 1).everything
    assert not store.changes_since(store.revision - 4).everything


def test_a_feed_heard_again_is_kept_and_changes_nothing() -> None:
    store = FleetStore()
    state = FeedState("prod", "nodes", FeedHealth.LIVE, START, START)
    store.apply(FeedChanged(state))
    later = replace(state, heard=START + timedelta(seconds=5))
    assert store.apply(FeedChanged(later)) == 1
    assert store.feed_states() == (later,)


def test_pending_stays_until_the_feed_shows_that_the_state_moved() -> None:
    store = seen(ONE)
    before = store.revision
    store.mark_pending(ONE, "cordoning")
    assert store.changes_since(before).keys == {ONE}
    store.apply(NodeSeen(node(owner="machine-7")))
    assert store.pending(ONE) == "cordoning"
    store.apply(NodeSeen(node(owner="machine-7", admission=Admission.CORDONED)))
    assert store.pending(ONE) == ""


def test_pending_can_be_taken_back_and_needs_a_node() -> None:
    store = seen(ONE)
    store.mark_pending(ONE, "draining")
    store.mark_pending(ONE, None)
    store.mark_pending(TWO, "draining")
    assert (store.pending(ONE), store.pending(TWO), len(store)) == ("", "", 1)


def test_another_policy_judges_the_whole_fleet_again() -> None:
    store = FleetStore()
    store.apply_all(
        [
            NodeSeen(node(gpus_capacity=7, gpus_allocatable=7)),
            TelemetrySeen(ONE, NodeTelemetry(START, gpus_seen=7)),
        ]
    )
    before = store.revision
    store.adopt(Policy(categories={"h100": Category("h100", expected_gpus=8)}))
    row = store.record(ONE)
    assert row is not None
    assert row.severity is Severity.SUSPECT
    assert store.groups.fleet.worst is Severity.SUSPECT
    assert store.changes_since(before).everything


@given(histories)
def test_applying_every_fact_twice_gives_the_same_fleet(history: list[Observation]) -> None:
    once, twice = FleetStore(), FleetStore()
    for observation in history:
        once.apply(observation)
        revision = twice.apply(observation)
        if not has_nan(observation):
            assert twice.apply(observation) == revision
    assert repr({row.key: facets(row) for row in once.rows()}) == repr(
        {row.key: facets(row) for row in twice.rows()}
    )


@given(histories, st.integers(1, 60))
def test_a_reader_that_follows_the_changes_holds_what_the_store_holds(
    history: list[Observation], remembered: int
) -> None:
    store, painted, at = FleetStore(remembered=remembered), {}, 0
    for place, observation in enumerate(history):
        store.apply(observation)
        if place % 3:
            continue
        changes = store.changes_since(at)
        if changes.everything:
            painted = {row.key: row.revision for row in store.rows()}
        for key in changes.removed:
            painted.pop(key, None)
        for key in changes.keys:
            row = store.record(key)
            assert row is not None
            painted[key] = row.revision
        at = changes.revision
        assert painted == {row.key: row.revision for row in store.rows()}


def facets(row: object) -> tuple[object, ...]:
    return tuple(
        getattr(row, name) for name in ("node", "work", "telemetry", "severity", "tally", "extremes")
    )


def has_nan(observation: Observation) -> bool:
    return "nan" in repr(observation)
