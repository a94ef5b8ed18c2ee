"""Turns a Node as Kubernetes has it into a node of the fleet. Pure, and it never fails: what can't be read is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from backends.kubernetes.conditions import is_bad, readiness_of
from backends.kubernetes.gate_note import read_gate
from backends.kubernetes.gpu_counts import gpu_counts
from backends.kubernetes.held_by import holds_of
from backends.kubernetes.holders import foreign_holds, upgrade_of
from backends.kubernetes.node_keys import (
    DRIVER,
    NodeKeys,
    category_of,
    image_of,
    is_replaceable,
    known_as,
    owner_of,
    topology_of,
)
from backends.kubernetes.shapes import ConditionEntry, NodeShape, NodeStatus, NodeSystem
from backends.kubernetes.vouched import read_accepted, read_repair
from fleet.admission import admission_of, stage_of
from fleet.holder import Hold
from fleet.node import Condition, Node, NodeKey, Readiness, Software, Taint
from fleet.text import clean as _clean

_UNINITIALISED = frozenset(
    {
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cluster.x-k8s.io/uninitialized",
        "karpenter.sh/unregistered",
    }
)
_CUDA = "nvidia.com/cuda.runtime-version.full"
_NEVER_REPORTED = "NodeStatusNeverUpdated"
# Nodes of a fleet say the same few thousand things: cleaned once, and kept once.
clean = lru_cache(maxsize=16_384)(_clean)
_NO_STATUS = NodeStatus()
_NO_SYSTEM = NodeSystem()
_MANY = 100
"""Of conditions, taints and holds no more than this are kept of one node."""


def node_of(shape: NodeShape, source: str, keys: NodeKeys) -> Node:
    """The node of the fleet that `shape` shows."""
    ours = keys.ours
    meta, labels, notes = shape.metadata, shape.labels, shape.annotations
    status = shape.status or _NO_STATUS
    system = status.node_info or _NO_SYSTEM
    taints = tuple(
        Taint(clean(taint.key, 317), clean(taint.value or "", 80), clean(taint.effect or "", 40))
        for taint in shape.taints[:_MANY]
    )
    conditions = status.conditions or ()
    ready = next((each for each in conditions if each.type == "Ready"), None)
    admission = admission_of(shape.unschedulable, taints, ours.prefix)
    holds = (*holds_of(notes.get(ours.held_by), notes.get(ours.unreadable)), *foreign_holds(shape, ours))
    category, category_from = category_of(labels, keys, ours)
    label_stage = labels.get(ours.lifecycle, "")
    gpus = gpu_counts(status.capacity, status.allocatable, labels)
    deleting = meta.deletion_timestamp is not None
    return Node(
        key=NodeKey(source, meta.name),
        uid=clean(meta.uid or "", 120),
        category=category,
        category_from=category_from,
        image=image_of(shape, category, keys, ours),
        stage=stage_of(label_stage, admission, holds=holds, joined=_joined(ready, shape), deleting=deleting),
        label_stage=clean(label_stage, 63),
        admission=admission,
        readiness=readiness_of(ready.status) if ready is not None else Readiness.UNKNOWN,
        holds=holds[:_MANY],
        gate=read_gate(notes.get(ours.gate)),
        conditions=tuple(_condition(each) for each in conditions[:_MANY]),
        taints=taints,
        gpus_capacity=gpus.capacity,
        gpus_allocatable=gpus.allocatable,
        mig_allocatable=gpus.mig,
        boot_id=clean(system.boot_id or "", 120),
        software=_software(shape, system, keys.policy.version_labels),
        topology=topology_of(labels, ours),
        created=time_of(meta.creation_timestamp),
        deleting=deleting,
        replaceable=is_replaceable(shape),
        owner=owner_of(shape),
        operation=_operation(notes.get(ours.operation, ""), holds),
        upgrade=upgrade_of(shape),
        known_as=known_as(shape, keys),
        accepted=read_accepted(notes.get(ours.accepted)),
        repair=read_repair(notes.get(ours.repair)),
    )


@lru_cache(maxsize=8192)
def time_of(text: str | None) -> datetime | None:
    """A time of the API; None where there is none that can be read."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text[:40])
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _joined(ready: ConditionEntry | None, shape: NodeShape) -> bool:
    if ready is None or ready.reason == _NEVER_REPORTED:
        return False
    return not any(taint.key in _UNINITIALISED for taint in shape.taints)


def _condition(entry: ConditionEntry) -> Condition:
    return Condition(
        clean(entry.type, 120),
        clean(entry.status, 20),
        is_bad(entry.type, entry.status),
        clean(entry.reason or "", 200),
        clean(entry.message or "", 1000),
        time_of(entry.last_transition_time),
    )


def _software(shape: NodeShape, system: NodeSystem, named: Mapping[str, str]) -> Software:
    labels = shape.labels
    return Software(
        driver=clean(labels.get(DRIVER) or _older(labels, "nvidia.com/cuda.driver", "rev"), 40),
        cuda=clean(labels.get(_CUDA) or _older(labels, "nvidia.com/cuda.runtime", ""), 40),
        kernel=clean(system.kernel_version or "", 120),
        os_image=clean(system.os_image or "", 200),
        agent=clean(system.kubelet_version or "", 60),
        gpu_product=clean(labels.get("nvidia.com/gpu.product", ""), 120),
        runtime=clean(system.container_runtime_version or "", 60),
        labelled=tuple(
            (name, clean(labels[label], 120)) for name, label in named.items() if labels.get(label)
        ),
    )


def _older(labels: Mapping[str, str], stem: str, last: str) -> str:
    """A version as GPU feature discovery wrote it before it had one label for the whole."""
    parts = (labels.get(f"{stem}.{part}", "") for part in ("major", "minor", last))
    return ".".join(part for part in parts if part)


def _operation(written: str, holds: Iterable[Hold]) -> str:
    """The operation that made the node, or else the last of ours that holds it."""
    return clean(written, 120) or next(
        (hold.operation for hold in reversed(tuple(holds)) if hold.operation), ""
    )
