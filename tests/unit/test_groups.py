"""Group totals: counted one change at a time, and always what counting from scratch gives."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given

from fleet.groups import FleetGroups, GroupKey, group_of
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Stage
from fleet.observation import NodeGone, NodeSeen, Observation, TelemetrySeen, WorkSeen
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from fleet.severity import Severity, expected_gpus
from fleet.store import FleetStore
from fleet.tally import Totals
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork
from tests.unit.fleet_strategies import START, histories

H100 = GroupKey("h100")


def key(number: int) -> NodeKey:
    return NodeKey("prod", f"gpu-{number}")


def healthy(number: int, image: str = "v1") -> Node:
    return Node(
        key(number),
        category="h100",
        image=Image(running=image, desired="v1"),
        readiness=Readiness.READY,
        gpus_capacity=8,
        gpus_allocatable=8,
    )


def fleet(*nodes: Node) -> FleetStore:
    store = FleetStore()
    store.apply_all([NodeSeen(node) for node in nodes])
    return store


def test_the_usable_gpus_are_those_of_open_ready_nodes_in_service() -> None:
    store = fleet(
        healthy(1),
        Node(
            key(2),
            category="h100",
            admission=Admission.CORDONED,
            readiness=Readiness.READY,
            gpus_capacity=8,
            gpus_allocatable=8,
        ),
        Node(
            key(3),
            category="h100",
            stage=Stage.QUARANTINED,
            readiness=Readiness.NOT_READY,
            gpus_capacity=8,
            gpus_allocatable=0,
        ),
    )
    store.apply(WorkSeen(key(1), NodeWork(gpus_used=6)))
    totals = store.groups.fleet
    assert (totals.gpus_capacity, totals.gpus_usable, totals.gpus_used, totals.gpus_free) == (24, 8, 6, 2)
    assert (totals.nodes, totals.in_service, totals.closed, totals.not_ready, totals.quarantined) == (
        3,
        1,
        1,
        1,
        1,
    )
    assert totals.work_unknown == 2


def test_the_mean_leaves_out_nodes_that_do_not_report() -> None:
    store = fleet(healthy(1), healthy(2), healthy(3))
    store.apply(TelemetrySeen(key(1), NodeTelemetry(START, gpu_util=90.0)))
    store.apply(TelemetrySeen(key(2), NodeTelemetry(START, gpu_util=0.0)))
    totals = store.groups.totals(H100)
    assert (totals.util, totals.util_nodes, totals.telemetry_unknown) == (45.0, 2, 1)


def test_a_fleet_without_telemetry_has_an_unknown_mean_and_an_unknown_maximum() -> None:
    totals = fleet(healthy(1)).groups.fleet
    assert (totals.util, totals.hottest) == (None, None)


def test_the_hottest_falls_back_when_the_hottest_node_goes() -> None:
    store = fleet(healthy(1), healthy(2))
    store.apply(TelemetrySeen(key(1), NodeTelemetry(START, gpu_temp_max=91.0)))
    store.apply(TelemetrySeen(key(2), NodeTelemetry(START, gpu_temp_max=64.0)))
    assert store.groups.totals(H100).hottest == 91
    store.apply(NodeGone(key(1)))
    assert store.groups.totals(H100).hottest == 64


def test_a_group_has_the_range_of_its_gpus_and_its_worst_margin() -> None:
    store = fleet(healthy(1), healthy(2))
    seen = NodeTelemetry(START, gpu_util=50, gpu_util_min=4, gpu_util_max=96, temp_margin_min=3.4)
    store.apply(TelemetrySeen(key(1), seen))
    store.apply(TelemetrySeen(key(2), NodeTelemetry(START, gpu_util=50, temp_margin_min=20)))
    totals = store.groups.totals(H100)
    assert (totals.util_low, totals.util_high, totals.margin) == (4, 96, 3)
    store.apply(TelemetrySeen(key(1), None))
    totals = store.groups.totals(H100)
    assert (totals.util_low, totals.util_high, totals.margin) == (50, 50, 20)


def test_the_gravest_trouble_of_a_group_is_named_and_goes_with_its_node() -> None:
    store = fleet(healthy(1), healthy(2))
    assert store.groups.totals(H100).trouble == (Severity.UNKNOWN, "telemetry")
    store.apply(TelemetrySeen(key(1), NodeTelemetry(START, xid=79)))
    assert store.groups.totals(H100).trouble == (Severity.FAULT, "xid")
    store.apply(NodeGone(key(1)))
    assert store.groups.totals(H100).trouble == (Severity.UNKNOWN, "telemetry")


def test_a_node_that_changes_its_image_moves_between_groups_and_leaves_no_empty_one() -> None:
    store = fleet(healthy(1, "v1"), healthy(2, "v0"))
    assert store.groups.totals(GroupKey("h100", "v0", 1)).drifted == 1
    store.apply(NodeSeen(healthy(2, "v1")))
    assert set(store.groups.keys()) == {H100, GroupKey("h100", "v1", 1)}
    assert store.groups.totals(GroupKey("h100", "v1", 1)).nodes == 2
    assert store.groups.totals(GroupKey("h100", "v0", 1)) == Totals()


def test_the_worst_of_a_group_is_its_worst_node() -> None:
    store = fleet(healthy(1), healthy(2))
    store.apply(TelemetrySeen(key(1), NodeTelemetry(START, xid=79)))
    assert store.groups.totals(H100).worst is Severity.FAULT
    store.apply(TelemetrySeen(key(1), NodeTelemetry(START + timedelta(seconds=9), xid=0)))
    assert store.groups.totals(H100).worst is Severity.UNKNOWN


def test_a_group_key_never_equals_a_node_key() -> None:
    places: dict[tuple[object, ...], str] = {
        GroupKey("prod", "gpu-1"): "group",
        NodeKey("prod", "gpu-1"): "node",
    }
    assert len(places) == 2


@given(histories)
def test_totals_are_always_what_counting_from_scratch_gives(history: list[Observation]) -> None:
    store = FleetStore()
    for observation in history:
        store.apply(observation)
        rows = [plain(row) for row in store.rows()]
        assert_same(store.groups, FleetGroups.of(rows))
        counted = by_hand(rows, store.policy)
        assert {name: getattr(store.groups.fleet, name) for name in counted} == counted


def plain(row: FleetRow) -> FleetRow:
    """The row worked out anew from its facets."""
    return row_of(row.node, row.work, row.telemetry, Policy())


def assert_same(found: FleetGroups, expected: FleetGroups) -> None:
    assert set(found.keys()) == set(expected.keys())
    assert found.fleet == expected.fleet
    for group in expected.keys():  # noqa: SIM118 - FleetGroups is no mapping
        assert found.totals(group) == expected.totals(group)


def by_hand(rows: list[FleetRow], policy: Policy) -> dict[str, object]:
    """The plainest count of some fields, in other words than the code's."""
    degrees = [row.extremes.hottest for row in rows if row.extremes.hottest is not None]
    return {
        "nodes": len(rows),
        "in_service": sum(
            row.node.stage is Stage.IN_SERVICE
            and (row.node.admission, row.node.readiness) == (Admission.OPEN, Readiness.READY)
            for row in rows
        ),
        "closed": sum(row.node.admission is not Admission.OPEN for row in rows),
        "quarantined": sum(row.node.stage is Stage.QUARANTINED for row in rows),
        "drifted": sum(row.node.image.drifted is True for row in rows),
        "gpus_capacity": sum(max(row.node.gpus_capacity or 0, 0) for row in rows),
        "gpus_used": sum(max(row.work.gpus_used, 0) for row in rows if row.work),
        "telemetry_unknown": sum(
            row.telemetry is None and bool(expected_gpus(row.node, policy)) for row in rows
        ),
        "hottest": max(degrees, default=None),
        "margin": min((row.extremes.margin for row in rows if row.extremes.margin is not None), default=None),
        "util_low": min((row.extremes.low for row in rows if row.extremes.low is not None), default=None),
        "util_high": max((row.extremes.high for row in rows if row.extremes.high is not None), default=None),
        "worst": max((row.severity for row in rows), default=Severity.OK),
    }


def test_the_innermost_group_of_a_node_whose_image_is_unknown_says_so() -> None:
    row = row_of(Node(key(1), category="a100"), None, None, Policy())
    assert group_of(row) == GroupKey("a100", None, 1)
    assert group_of(row).parent == GroupKey("a100")
