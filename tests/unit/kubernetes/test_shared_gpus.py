"""GPUs that pods share, or have by claims: used is told in the devices that the node counts, and is never a made-up zero."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends.kubernetes.feeds import NODES, PODS, NodesIntake, PodsIntake
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.work import Roster
from fleet.node import NodeKey
from fleet.observation import NodeSeen, WorkSeen
from fleet.workload import NodeWork
from tests.unit.kubernetes.objects import node_json, pod_json

AT = NodeKey("east", "gpu-001")
SLICED_IN_TIME = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.product": "NVIDIA-A10-SHARED"}
MIG_SINGLE = {"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.product": "NVIDIA-A100-MIG-1g.5gb"}
DRA = {"nvidia.com/gpu.deploy.dra-driver": "true", "nvidia.com/gpu.present": "true"}


def listed(*items: dict[str, Any]) -> bytes:
    return json.dumps({"items": items}).encode()


class Cluster:
    """The intakes of both feeds over what a list gave, with the last that each told."""

    def __init__(self, node: dict[str, Any], *pods: dict[str, Any]) -> None:
        roster = Roster()
        self.nodes, self.pods = NodesIntake("east", NodeKeys(), roster), PodsIntake("east", roster)
        self.work: NodeWork | None = None
        self.seen: NodeSeen | None = None
        self.nodes.begin()
        self._take(self.nodes.page(NODES.page(listed(node))))
        self._take(self.nodes.complete())
        self.pods.begin()
        self._take(self.pods.page(PODS.page(listed(*pods))))
        self._take(self.pods.complete())

    def change(self, node: dict[str, Any]) -> None:
        event = {"type": "MODIFIED", "object": node}
        self._take(self.nodes.event(NODES.event(json.dumps(event).encode(), about="")))

    def _take(self, told: Any) -> None:
        for observation in told:
            if isinstance(observation, WorkSeen):
                self.work = observation.work
            elif isinstance(observation, NodeSeen):
                self.seen = observation


def replicas(count: int) -> list[dict[str, Any]]:
    return [pod_json(f"train-{number}", gpus=1, uid=f"u{number}") for number in range(count)]


@pytest.mark.parametrize(("pods", "used"), [(4, 1), (5, 2), (32, 8)])
def test_replicas_of_a_time_sliced_gpu_are_told_as_gpus(pods: int, used: int) -> None:
    cluster = Cluster(node_json(gpus="32", labels=SLICED_IN_TIME), *replicas(pods))
    assert cluster.seen is not None
    assert cluster.seen.node.gpus_allocatable == 8
    assert cluster.work is not None
    assert (cluster.work.gpus_used, cluster.work.gpus_of) == (used, (used,))


def test_instances_that_go_by_the_name_of_whole_gpus_are_slices() -> None:
    cluster = Cluster(node_json(gpus="56", labels=MIG_SINGLE), *replicas(3))
    assert cluster.seen is not None
    assert (cluster.seen.node.gpus_allocatable, cluster.seen.node.mig_allocatable) == (0, 56)
    assert cluster.work is not None
    assert (cluster.work.gpus_used, cluster.work.mig_used) == (0, 3)


def test_a_node_that_is_sliced_from_now_on_has_its_work_told_anew() -> None:
    cluster = Cluster(node_json(gpus="8"), *replicas(8))
    assert cluster.work is not None
    assert cluster.work.gpus_used == 8
    cluster.change(node_json(gpus="32", labels=SLICED_IN_TIME, version="2"))
    assert cluster.work.gpus_used == 2


def test_gpus_that_pods_have_by_claims_are_unknown_and_not_zero() -> None:
    claiming = pod_json(gpus=None, spec={"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]})
    assert Cluster(node_json(gpus=None, labels=DRA), claiming).work is None
    counted = Cluster(node_json(gpus="8"), claiming).work
    assert counted is not None
    assert counted.pods == 1
    assert Cluster(node_json(gpus=None, labels=DRA)).work == NodeWork()
