"""What the dispatcher is told of the fleet as it is followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleet.node import Admission, NodeKey, Readiness, Stage
from fleet.observation import NodeSeen, WorkSeen
from fleet.store import FleetStore
from fleet.workload import NodeWork, Rest, WorkloadId
from tests.builders import node, work
from tui.ground_facts import capacity, elsewhere


def test_a_node_that_is_closed_and_not_heard_of_is_out_of_service_once() -> None:
    store = FleetStore()
    closed: dict[str, Any] = {"admission": Admission.CORDONED}
    lost: dict[str, Any] = {"readiness": Readiness.UNKNOWN}
    states: tuple[dict[str, Any], ...] = (
        {},
        closed,
        lost,
        {**closed, **lost},
        {**closed, **lost, "stage": Stage.QUARANTINED},
    )
    for number, state in enumerate(states):
        store.apply(NodeSeen(replace(node(f"gpu-{number}"), **state)))
    (found,) = capacity(store).values()
    assert found[2:] == (5, 4)


def test_a_node_that_sleeps_until_work_wakes_it_is_not_out_of_service() -> None:
    store = FleetStore()
    store.apply(NodeSeen(replace(node("gpu-1"), readiness=Readiness.UNKNOWN, asleep="POWERED_DOWN")))
    (found,) = capacity(store).values()
    assert found[2:] == (1, 0)


def test_a_workload_is_counted_on_the_other_nodes_of_its_own_source_alone() -> None:
    store = FleetStore()
    for source, name in (("demo", "gpu-1"), ("demo", "gpu-2"), ("demo", "gpu-3"), ("other", "gpu-4")):
        store.apply(NodeSeen(node(name, source=source)))
        store.apply(
            WorkSeen(NodeKey(source, name), work("pretrain", "small") if name != "gpu-3" else work("small"))
        )
    pretrain = ("demo", WorkloadId("research", "Job", "pretrain"))
    assert elsewhere(store, [pretrain], [NodeKey("demo", "gpu-1")]) == {pretrain: Rest(1, None)}


def test_the_gpus_of_a_gang_on_the_other_nodes_are_summed() -> None:
    store, gang = FleetStore(), WorkloadId("research", "Job", "pretrain")
    small = WorkloadId("research", "Job", "small")
    for number in range(1, 5):
        store.apply(NodeSeen(node(f"gpu-{number}")))
        work_here = NodeWork(8, workloads=(gang, small), gpus_of=(7, 1))
        store.apply(WorkSeen(NodeKey("demo", f"gpu-{number}"), work_here))
    at = ("demo", gang)
    assert elsewhere(store, [at], [NodeKey("demo", "gpu-1")]) == {at: Rest(3, 21)}
