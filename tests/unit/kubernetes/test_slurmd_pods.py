"""Pods of slurmd: which Slurm node each is, and what a Kubernetes node says of the machine that it is a side of."""

from __future__ import annotations

from typing import Any

import pytest

from backends.kubernetes.convert import node_of
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.placements import placement_of
from backends.kubernetes.slurmd_pods import SlurmdPods
from backends.kubernetes.work import WorkIndex
from fleet.machine import JoinBy, JoinRule
from fleet.policy import Policy
from fleet.workload import NodeWork, WorkloadId
from tests.unit.kubernetes.objects import node_shape
from tests.unit.kubernetes.test_work import container, pod

SLINKY = {"nodeset.slinky.slurm.net/pod-name": "slinky-0"}
WORKER = {"app.kubernetes.io/component": "worker"}


def pods_of(by: JoinBy, key: str = "") -> SlurmdPods:
    return SlurmdPods.of([JoinRule("east", "lab", by, key=key)], "east")


@pytest.mark.parametrize(
    ("by", "key", "labels", "spec", "name"),
    [
        (JoinBy.SLINKY, "", SLINKY, {}, "slurmd-0"),
        (JoinBy.SLINKY, "", SLINKY, {"hostname": "gpu-a"}, "gpu-a"),
        (JoinBy.SLINKY, "", SLINKY, {"hostNetwork": True, "hostname": "gpu-a"}, "gpu-001"),
        (JoinBy.SLINKY, "", {**SLINKY, "nodeset.slinky.slurm.net/pod-hostname": "gpu-b"}, {}, "gpu-b"),
        (JoinBy.SLINKY, "", WORKER, {}, ""),
        (JoinBy.SOPERATOR, "", WORKER, {}, "slurmd-0"),
        (JoinBy.SOPERATOR, "", {"app.kubernetes.io/component": "login"}, {}, ""),
        (JoinBy.PODS, "site/role=slurmd", {"site/role": "slurmd"}, {}, "slurmd-0"),
        (JoinBy.PODS, "site/role=slurmd", {"site/role": "web"}, {}, ""),
        (JoinBy.PODS, "site/slurmd", {"site/slurmd": ""}, {}, "slurmd-0"),
        (JoinBy.NAME, "", SLINKY, {}, ""),
    ],
)
def test_a_pod_is_the_slurm_node_that_its_host_is_called(
    by: JoinBy, key: str, labels: dict[str, str], spec: dict[str, Any], name: str
) -> None:
    found = pod("slurmd-0", labels=labels, spec={"nodeName": "gpu-001", "containers": [container(8)], **spec})
    assert pods_of(by, key).node_of(found) == name


def test_pods_of_another_cluster_than_the_rules_are_nobody() -> None:
    rules = [JoinRule("west", "lab", JoinBy.SLINKY)]
    assert SlurmdPods.of(rules, "east").node_of(pod("slurmd-0", labels=SLINKY)) == ""


def test_the_work_on_a_node_tells_its_slurmd_and_the_gpus_that_it_holds() -> None:
    index = WorkIndex(pods_of(JoinBy.SLINKY))
    spec = {"nodeName": "gpu-001", "containers": [container(7)]}
    slurmd = pod("slurmd-0", uid="u1", labels=SLINKY, spec=spec)
    daemon = pod(
        "slurmd-x",
        uid="u2",
        labels=SLINKY,
        owner=("DaemonSet", "slurmd"),
        spec={"nodeName": "gpu-002", "containers": [{}]},
    )
    index.put([slurmd, daemon])
    work = index.work("gpu-001")
    assert (work.gpus_used, work.host_gpus, work.hosts) == (7, 7, ("slurmd-0",))
    assert index.work("gpu-002").hosts == ("slurmd-x",), (
        "a DaemonSet's slurmd holds no GPU and is one all the same"
    )
    index.drop(slurmd)
    assert index.work("gpu-001") == NodeWork()


def test_a_drain_is_told_which_of_the_pods_is_slurmd() -> None:
    found = pod("slurmd-0", labels=SLINKY)
    assert placement_of(found, {}, pods_of(JoinBy.SLINKY)).host == "slurmd-0"
    assert placement_of(found, {}).host == ""
    assert placement_of(found, {}).workload == WorkloadId("research", "Job", "train")


@pytest.mark.parametrize("by", [JoinBy.LABEL, JoinBy.ANNOTATION])
def test_a_node_tells_the_key_that_a_rule_names_and_no_other(by: JoinBy) -> None:
    keys = NodeKeys(Policy(joins=(JoinRule("east", "lab", by, key="site/slurm"),)))
    marks = {"site/slurm": "gpu1\x1b[31m", "site/other": "x"}
    shown = node_shape(labels=marks) if by is JoinBy.LABEL else node_shape(annotations=marks)
    (known,) = node_of(shown, "east", keys).known_as
    assert known[0] == "site/slurm"
    assert known[1].startswith("gpu1")
    assert "\x1b" not in known[1]
    assert node_of(shown, "east", NodeKeys()).known_as == ()
