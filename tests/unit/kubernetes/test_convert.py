"""Nodes of clusters that know us, that do not, and that break the rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from backends.kubernetes.conditions import is_bad
from backends.kubernetes.convert import node_of
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.our_keys import slug
from backends.kubernetes.shapes import NodeShape, Reading
from fleet.category import Category
from fleet.errors import Garbled
from fleet.health import Verdict
from fleet.holder import HolderKind
from fleet.node import Admission, Image, Node, Readiness, Stage
from fleet.policy import Policy
from tests.unit.kubernetes.objects import NODES, node_json, node_shape

KEYS = NodeKeys()


def seen(keys: NodeKeys = KEYS, **what: Any) -> Node:
    return node_of(node_shape(**what), "east", keys)


def test_a_node_with_our_keys_is_read_from_them() -> None:
    held = [{"by": "oncall@desk", "verb": "drain", "operation": "op-7", "reason": "fan", "found": "open"}]
    node = seen(
        labels={"node.lab/category": "h100", "node.lab/image-version": "v1", "node.lab/lifecycle": "drained"},
        annotations={
            "node.lab/desired-image": "v2",
            "node.lab/held-by": json.dumps(held),
            "node.lab/gate": '{"verdict":"PASS","at":"2026-03-01T00:00:00+00:00"}',
            "kwok.x-k8s.io/node": "fake",
        },
        unschedulable=True,
        creationTimestamp="2026-02-01T00:00:00Z",
    )
    assert node.key == ("east", "gpu-001")
    assert (node.category, node.category_from) == ("h100", "node.lab/category")
    assert node.image == Image("v1", "node.lab/image-version", "v2")
    assert (node.stage, node.admission, node.readiness) == (
        Stage.DRAINED,
        Admission.CORDONED,
        Readiness.READY,
    )
    assert [(hold.by, hold.kind, hold.operation) for hold in node.holds] == [
        ("oncall@desk", HolderKind.OURS, "op-7")
    ]
    assert node.gate is not None
    assert node.gate.verdict is Verdict.PASS
    assert (node.gpus_capacity, node.gpus_allocatable, node.operation) == (8, 8, "op-7")
    assert node.replaceable
    assert node.created == datetime(2026, 2, 1, tzinfo=UTC)


def test_the_slug_of_the_desired_image_is_no_drift() -> None:
    wanted = "registry.example/h100:v2"
    policy = Policy(categories={"h100": Category("h100", desired_image=wanted)})
    node = seen(
        NodeKeys(policy), labels={"node.lab/category": "h100", "node.lab/image-version": slug(wanted)}
    )
    assert node.image.drifted is False
    assert node.image.running == wanted


@pytest.mark.parametrize(
    ("labels", "category"),
    [
        ({"cloud.google.com/gke-nodepool": "a100", "nvidia.com/gpu.product": "x"}, "a100"),
        ({"eks.amazonaws.com/nodegroup": "p5"}, "p5"),
        ({"agentpool": "nd96"}, "nd96"),
        ({"karpenter.sh/nodepool": "gpu"}, "gpu"),
        ({"nvidia.com/gpu.product": "NVIDIA-A16-4Q"}, "NVIDIA-A16-4Q"),
        ({"node.lab/category": "", "node.kubernetes.io/instance-type": "p5.48xlarge"}, "p5.48xlarge"),
        ({}, ""),
    ],
)
def test_without_our_label_the_category_falls_back(labels: dict[str, str], category: str) -> None:
    assert seen(labels=labels).category == category


def test_without_our_label_the_image_is_the_driver_and_then_the_distribution() -> None:
    assert seen(labels={"nvidia.com/cuda.driver-version.full": "570.1"}).image.running == "570.1"
    assert seen().image == Image("Ubuntu 24.04 LTS", "status.nodeInfo.osImage", None)
    reporter = NodeKeys(image_labels=("feature.node.kubernetes.io/image",))
    assert seen(reporter, labels={"feature.node.kubernetes.io/image": "v9"}).image.running == "v9"


def test_a_closed_gate_and_a_label_that_disagrees() -> None:
    taint = {"key": "node.lab/health-gate", "value": "pending", "effect": "NoSchedule"}
    node = seen(labels={"node.lab/lifecycle": "in-service"}, taints=[taint])
    assert (node.admission, node.stage, node.label_stage) == (Admission.GATED, Stage.GATED, "in-service")
    assert node.holds == ()


@pytest.mark.parametrize(
    ("what", "by", "reason"),
    [
        ({}, "unknown", ""),
        (
            {
                "labels": {
                    "k8saas.nvidia.com/cordon-by": "NVSentinel",
                    "k8saas.nvidia.com/cordon-reason": "GpuMemWatch",
                    "dgxc.nvidia.com/nvsentinel-state": "draining",
                }
            },
            "NVSentinel",
            "GpuMemWatch, draining",
        ),
        (
            {
                "annotations": {
                    "quarantineHealthEventIsCordoned": "True",
                    "quarantineHealthEvent": '[{"checkName":"GpuXidError","errorCode":["79"]}]',
                }
            },
            "NVSentinel",
            "GpuXidError 79",
        ),
        (
            {"labels": {"nvidia.com/gpu-driver-upgrade-state": "drain-required"}},
            "GPU Operator",
            "driver upgrade: drain-required",
        ),
        ({"labels": {"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"}}, "unknown", ""),
        ({"annotations": {"kured.dev/kured-reboot-in-progress": "2026"}}, "kured", "reboot in progress"),
        (
            {
                "annotations": {
                    "machineconfiguration.openshift.io/desiredDrain": "drain-abc",
                    "machineconfiguration.openshift.io/lastAppliedDrain": "uncordon-xyz",
                }
            },
            "machine-config-operator",
            "drain",
        ),
        ({"annotations": {"skyhook.nvidia.com/cordon_tuning": "true"}}, "Skyhook", "tuning"),
        (
            {"labels": {"sagemaker.amazonaws.com/node-health-status": "UnschedulablePendingReboot"}},
            "HyperPod",
            "UnschedulablePendingReboot",
        ),
        (
            {"annotations": {"nodeset.slinky.slurm.net/node-cordon-reason": "\x1b[1mfan"}},
            "slurm-operator",
            "fan",
        ),
    ],
)
def test_a_cordon_shows_who_signed_it(what: dict[str, Any], by: str, reason: str) -> None:
    holds = seen(unschedulable=True, **what).holds
    assert [(hold.by, hold.reason) for hold in holds] == [(by, reason)]
    assert seen(unschedulable=False, **what).holds == ()


@pytest.mark.parametrize(
    ("key", "by"),
    [
        ("karpenter.sh/disrupted", "Karpenter"),
        ("medik8s.io/drain", "node-maintenance-operator"),
        ("ToBeDeletedByClusterAutoscaler", "cluster-autoscaler"),
        ("node.cloudprovider.kubernetes.io/shutdown", "cloud provider"),
        ("nvsentinel.nvidia.com/validation-pending", "NVSentinel"),
    ],
)
def test_a_controllers_own_taint_is_its_hold(key: str, by: str) -> None:
    node = seen(taints=[{"key": key, "value": "1767225600", "effect": "NoSchedule"}])
    assert [hold.by for hold in node.holds] == [by]
    assert node.admission is Admission.CORDONED


def test_a_cordon_older_than_the_controllers_has_an_unknown_holder_too() -> None:
    node = seen(
        unschedulable=True,
        labels={"nvidia.com/gpu-driver-upgrade-state": "pod-restart-required"},
        annotations={"nvidia.com/gpu-driver-upgrade.node-initial-state.unschedulable": "true"},
    )
    assert [hold.by for hold in node.holds] == ["GPU Operator", "unknown"]
    assert node.upgrade == "GPU driver upgrade: pod-restart-required"


def test_a_person_who_overruled_nvsentinel_ends_its_hold() -> None:
    notes = {"quarantineHealthEventIsCordoned": "True", "quarantinedNodeUncordonedManually": "True"}
    assert [hold.by for hold in seen(unschedulable=True, annotations=notes).holds] == ["unknown"]


@pytest.mark.parametrize(
    ("counts", "labels", "expected"),
    [
        ({"nvidia.com/gpu": "8"}, {}, (8, 8, 0)),
        ({"alpha.kubernetes.io/nvidia-gpu": "4"}, {}, (4, 4, 0)),
        ({"nvidia.com/gpu": "0", "nvidia.com/mig-1g.5gb": "7", "nvidia.com/mig-2g.10gb": "0"}, {}, (0, 0, 7)),
        ({"nvidia.com/gpu.shared": "32"}, {"nvidia.com/gpu.replicas": "4"}, (8, 8, 0)),
        ({"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "32"}, {"nvidia.com/gpu.replicas": "4"}, (8, 8, 0)),
        ({"nvidia.com/gpu": "0"}, {}, (0, 0, 0)),
        ({"nvidia.com/gpu": "0"}, {"nvidia.com/gpu.count": "8"}, (8, 0, 0)),
        (
            {"nvidia.com/gpu": "56"},
            {
                "nvidia.com/mig.strategy": "single",
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
            },
            (0, 0, 56),
        ),
        (
            {"nvidia.com/gpu": "8"},
            {"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
            (8, 8, 0),
        ),
        ({"cpu": "4"}, {}, (0, 0, 0)),
        ({"cpu": "4"}, {"nvidia.com/gpu.count": "8"}, (8, 0, 0)),
        ({"cpu": "4"}, {"nvidia.com/gpu.present": "true"}, (None, 0, 0)),
        (
            {"cpu": "4"},
            {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.deploy.dra-driver": "true"},
            (8, None, 0),
        ),
        ({"nvidia.com/gpu": "many"}, {"nvidia.com/gpu.present": "true"}, (None, 0, 0)),
        ({}, {}, (None, None, 0)),
    ],
)
def test_gpus_are_counted_or_unknown(
    counts: dict[str, str], labels: dict[str, str], expected: tuple[int | None, int | None, int]
) -> None:
    raw = node_json(labels=labels)
    raw["status"]["capacity"] = raw["status"]["allocatable"] = counts
    node = node_of(NODES.one(json.dumps(raw).encode()), "east", KEYS)
    assert (node.gpus_capacity, node.gpus_allocatable, node.mig_allocatable) == expected


@pytest.mark.parametrize(
    ("kind", "status", "bad"),
    [
        ("Ready", "True", False),
        ("Ready", "Unknown", True),
        ("MemoryPressure", "True", True),
        ("MemoryPressure", "Unknown", None),
        ("EtcdIsVoter", "True", False),
        ("AcceleratedHardwareReady", "False", True),
        ("KernelDeadlock", "False", False),
        ("UnhealthyNvidiaDevicePlugin", "Unknown", None),
        ("GpuNvlinkWatch", "True", True),
        ("SysLogsXIDError", "False", False),
        ("SomethingOfTheSite", "True", None),
        ("Ready", "", None),
    ],
)
def test_conditions_are_bad_by_the_polarity_of_their_type(kind: str, status: str, bad: bool | None) -> None:
    assert is_bad(kind, status) is bad


def test_owners_are_machines_claims_and_groups() -> None:
    assert seen(ownerReferences=[{"kind": "NodeClaim", "name": "gpu-x7"}]).owner == "NodeClaim gpu-x7"
    assert seen(annotations={"machine.openshift.io/machine": "ns/worker-1"}).owner == "Machine worker-1"
    group = {"cloud.google.com/gke-nodepool": "a100"}
    assert seen(labels=group).owner == "GKE node pool a100"
    assert seen(labels=group, annotations={"kwok.x-k8s.io/node": "fake"}).owner == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"metadata":{"name":"a"}}',
        b'{"metadata":{"name":"1234","labels":null,"annotations":null},"spec":null,"status":null}',
        b'{"metadata":{"name":"a"},"spec":{"taints":null},"status":{"conditions":null,"nodeInfo":null}}',
        b'{"metadata":{"name":"a","creationTimestamp":"tomorrow"},"extra":[1,2,{"x":null}]}',
        b'{"metadata":{"name":"a","annotations":{"node.lab/held-by":"[[","node.lab/gate":"NaN"}}}',
        b'{"metadata":{"name":"a"},"status":{"capacity":{"nvidia.com/gpu":8.5,"cpu":4}}}',
    ],
)
def test_what_is_missing_or_odd_is_unknown_and_never_a_crash(raw: bytes) -> None:
    node = node_of(NODES.one(raw), "east", KEYS)
    assert node.readiness is Readiness.UNKNOWN
    assert node.stage is Stage.PROVISIONING


def test_texts_from_outside_can_be_painted_whatever_they_hold() -> None:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "\x1b]0;x\x07R", "message": "m\n" + "x" * 40_000}
    ]
    node = seen(conditions=conditions, labels={"node.lab/category": "\u202eh100\x1b[2J"})
    assert node.category == "h100"
    assert node.conditions[0].reason == "R"
    assert len(node.conditions[0].message) == 1000


def test_one_unreadable_node_loses_only_itself() -> None:
    broken = {"metadata": {"name": "bad\x1b[1m", "labels": {"a": 1}}}
    body = json.dumps(
        {
            "metadata": {"resourceVersion": "9", "continue": "more"},
            "items": [node_json("a"), broken, node_json("b")],
        }
    )
    page = NODES.page(body.encode())
    assert [item.metadata.name for item in page.items] == ["a", "b"]
    assert [name for name, _ in page.unreadable] == ["bad"]
    assert (page.version, page.more) == ("9", "more")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"kind":"Status"}', b'{"items":5}', b'{"items":[}']
)
def test_what_is_no_list_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        NODES.page(body)


def test_an_event_that_is_an_error_gives_its_status() -> None:
    event = Reading(NodeShape).event(
        b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}'
    )
    assert event.status is not None
    assert event.status.code == 410
