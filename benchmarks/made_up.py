"""Nodes that nobody has, in the mix that a busy fleet shows: all from one seed, straight into a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from fleet.holder import Hold
from fleet.node import Admission, Image, Node, NodeKey, Readiness, Software, Stage
from fleet.observation import NodeSeen, TelemetrySeen, WorkSeen
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork, WorkloadId

EPOCH = datetime(2026, 3, 1, 3, tzinfo=UTC)
_CATEGORIES = ("h100", "a100", "l40s")
_STAGES = (
    *[Stage.IN_SERVICE] * 195,
    Stage.QUARANTINED,
    Stage.DRAINING,
    Stage.GATED,
    Stage.REIMAGING,
    Stage.DRAINED,
)


def fleet(nodes: int) -> FleetStore:
    """A store of so many nodes, each with its work and its telemetry."""
    chance, store = Random(1), FleetStore()
    for number in range(nodes):
        node = _node(_CATEGORIES[number % len(_CATEGORIES)], number, chance)
        store.apply(NodeSeen(node))
        jobs = (WorkloadId("research", "Job", f"train-{number % 97}"),)
        store.apply(WorkSeen(node.key, NodeWork(gpus_used=chance.choice((0, 4, 8)), pods=9, workloads=jobs)))
        store.apply(updated(node.key, EPOCH, chance))
    return store


def updated(key: NodeKey, now: datetime, chance: Random) -> TelemetrySeen:
    """What a node's GPUs might read now."""
    util = chance.random() * 100
    return TelemetrySeen(
        key,
        NodeTelemetry(
            at=now,
            gpus_seen=8,
            gpu_util=util,
            gpu_util_min=util / 2,
            gpu_temp_max=chance.gauss(66, 7),
            fb_used_ratio=chance.random(),
            power_watts=chance.gauss(4200, 400),
            xid=0 if chance.random() < 0.99 else 31,
        ),
    )


def _node(category: str, number: int, chance: Random) -> Node:
    stage = chance.choice(_STAGES)
    held = stage is not Stage.IN_SERVICE
    return Node(
        key=NodeKey("made-up", f"{category}-{number:05}"),
        uid=f"uid-{number}",
        category=category,
        image=Image(running=chance.choice(("v1", "v2", "v2")), desired="v2"),
        stage=stage,
        admission=Admission.CORDONED if held else Admission.OPEN,
        readiness=Readiness.READY,
        holds=(Hold("oncall", "fan swap"),) if held else (),
        gpus_capacity=8,
        gpus_allocatable=8,
        software=Software(driver="570.86.15", cuda="12.8", gpu_product="NVIDIA-H100-80GB-HBM3"),
        created=EPOCH - timedelta(days=number % 400),
    )
