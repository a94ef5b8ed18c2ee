"""Nodes and pods as Kubernetes shows them, so that a test says only what matters to it."""

from __future__ import annotations

import json
from typing import Any

from backends.kubernetes.shapes import NodeShape, Reading

NODES = Reading(NodeShape)


def node_json(
    name: str = "gpu-001",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    unschedulable: bool | None = None,
    conditions: list[dict[str, str]] | None = None,
    gpus: str | None = "8",
    version: str = "1",
    **metadata: Any,
) -> dict[str, Any]:
    """A ready node of eight GPUs."""
    if conditions is None:
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    counts = {"cpu": "64", "memory": "512Gi"} | ({"nvidia.com/gpu": gpus} if gpus is not None else {})
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "labels": labels,
            "annotations": annotations,
            **metadata,
        },
        "spec": {"unschedulable": unschedulable, "taints": taints},
        "status": {
            "capacity": counts,
            "allocatable": counts,
            "conditions": conditions,
            "nodeInfo": {"bootID": "boot-1", "osImage": "Ubuntu 24.04 LTS", "kernelVersion": "6.8"},
        },
    }


def node_shape(name: str = "gpu-001", **what: Any) -> NodeShape:
    """The same, decoded."""
    return NODES.one(json.dumps(node_json(name, **what)).encode())


def pod_json(
    name: str = "train-0",
    *,
    node: str | None = "gpu-001",
    gpus: int | None = 8,
    namespace: str = "research",
    phase: str = "Running",
    owner: tuple[str, str] | None = ("Job", "train"),
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    version: str = "1",
    spec: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """A running pod of a Job that has eight GPUs."""
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else None
    limits = {"nvidia.com/gpu": str(gpus)} if gpus is not None else {}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "resourceVersion": version,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": owners,
            **metadata,
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "resources": {"limits": limits, "requests": limits}}],
            **(spec or {}),
        },
        "status": {"phase": phase},
    }
