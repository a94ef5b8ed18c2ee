"""Pods become work: of whom, on which node, with how many GPUs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.kubernetes.pods import PodShape, gpus_of, keeper_of, workload_of
from backends.kubernetes.shapes import Reading
from backends.kubernetes.work import WorkIndex
from fleet.workload import Keeper, NodeWork, WorkloadId
from tests.unit.kubernetes.objects import pod_json

PODS = Reading(PodShape)


def pod(name: str = "train-0", **what: Any) -> PodShape:
    return PODS.one(json.dumps(pod_json(name, **what)).encode())


def container(
    gpus: int = 0, *, slices: int = 0, always: bool = False, limits_only: bool = False
) -> dict[str, Any]:
    asked = {"cpu": "1930m", "nvidia.com/gpu": str(gpus), "nvidia.com/mig-1g.5gb": str(slices)}
    resources = {"limits": asked} if limits_only else {"requests": asked, "limits": asked}
    return {"resources": resources, "restartPolicy": "Always" if always else None}


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        ({"containers": [container(2), container(1)]}, (3, 0)),
        ({"containers": [container(1, limits_only=True)]}, (1, 0)),
        ({"containers": [container(0, slices=2)]}, (0, 2)),
        ({"containers": [container(1)], "initContainers": [container(4), container(2)]}, (4, 0)),
        ({"containers": [container(1)], "initContainers": [container(1, always=True)]}, (2, 0)),
        ({"containers": [container(1)], "initContainers": [container(1, always=True), container(3)]}, (4, 0)),
        ({"containers": [{"resources": None}, {}]}, (0, 0)),
        ({"containers": None}, (0, 0)),
        ({"containers": [{"resources": {"requests": {"nvidia.com/gpu": "lots"}}}]}, (0, 0)),
    ],
)
def test_gpus_are_counted_as_the_scheduler_counts_them(spec: dict[str, Any], held: tuple[int, int]) -> None:
    assert gpus_of(pod(spec=spec).spec) == held


@pytest.mark.parametrize(
    ("what", "workload"),
    [
        ({}, ("Job", "train")),
        ({"owner": None}, ("Pod", "train-0")),
        (
            {"owner": ("ReplicaSet", "web-6d4c"), "labels": {"pod-template-hash": "6d4c"}},
            ("Deployment", "web"),
        ),
        ({"owner": ("ReplicaSet", "bare")}, ("ReplicaSet", "bare")),
        ({"owner": ("StatefulSet", "db")}, ("StatefulSet", "db")),
        (
            {"owner": ("PyTorchJob", "llm"), "labels": {"training.kubeflow.org/job-name": "llm"}},
            ("PyTorchJob", "llm"),
        ),
        ({"owner": ("Job", "set-0"), "labels": {"jobset.sigs.k8s.io/jobset-name": "set"}}, ("JobSet", "set")),
        ({"owner": ("RayCluster", "ray"), "labels": {"ray.io/cluster": "ray"}}, ("RayCluster", "ray")),
        ({"annotations": {"scheduling.k8s.io/group-name": "pg"}}, ("PodGroup", "pg")),
    ],
)
def test_a_pod_works_for_its_gang_or_its_owner(what: dict[str, Any], workload: tuple[str, str]) -> None:
    assert workload_of(pod(**what).metadata) == WorkloadId("research", *workload)


def test_daemons_and_mirrors_belong_to_the_node() -> None:
    assert keeper_of(pod(owner=("DaemonSet", "exporter")).metadata) is Keeper.DAEMON
    assert keeper_of(pod(owner=("Node", "gpu-001")).metadata) is Keeper.MIRROR
    assert keeper_of(pod(annotations={"kubernetes.io/config.mirror": "x"}).metadata) is Keeper.MIRROR
    assert keeper_of(pod(owner=None).metadata) is Keeper.NOBODY


def test_a_gang_is_one_workload_on_every_node_it_is_on() -> None:
    index = WorkIndex()
    touched = index.put([pod(f"train-{n}", node=f"gpu-{n % 2}", gpus=4) for n in range(4)])
    train = WorkloadId("research", "Job", "train")
    assert touched == {"gpu-0", "gpu-1"}
    assert index.work("gpu-0") == NodeWork(gpus_used=8, pods=2, workloads=(train,), gpus_of=(8,))
    index.drop(pod("train-0", node="gpu-0", gpus=4))
    assert index.work("gpu-0").gpus_of == (4,)


def test_a_pod_counts_while_it_is_bound_and_not_finished() -> None:
    index = WorkIndex()
    assert index.put([pod(node=None)]) == set()
    assert index.put([pod()]) == {"gpu-001"}
    assert index.put([pod()]) == set()
    assert index.put([pod(deletionTimestamp="2026-03-01T00:00:00Z")]) == set()
    assert index.put([pod(phase="Succeeded")]) == {"gpu-001"}
    assert index.work("gpu-001") == NodeWork()
    assert len(index) == 0


def test_a_pod_that_comes_back_elsewhere_moves_its_work() -> None:
    index = WorkIndex()
    index.put([pod(uid="one")])
    assert index.put([pod(uid="one", node="gpu-002")]) == {"gpu-001", "gpu-002"}
    assert index.drop(pod(uid="one")) == {"gpu-002"}
    assert index.drop(pod(uid="one")) == set()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["a", "b", None]),
            st.integers(0, 8),
            st.sampled_from(["Running", "Failed"]),
        ),
        max_size=40,
    )
)
def test_the_sums_are_those_of_the_pods_as_last_seen(steps: list[tuple[int, str | None, int, str]]) -> None:
    index, last = WorkIndex(), {}
    for uid, node, gpus, phase in steps:
        index.put([pod(f"p{uid}", node=node, gpus=gpus, phase=phase, owner=("Job", f"j{uid % 2}"))])
        last[uid] = (node, gpus, phase)
    for node in ("a", "b"):
        live = {uid: gpus for uid, (at, gpus, phase) in last.items() if at == node and phase == "Running"}
        work = index.work(node)
        assert (work.gpus_used, work.pods) == (sum(live.values()), len(live))
        assert {each.name for each in work.workloads} == {f"j{uid % 2}" for uid in live}
