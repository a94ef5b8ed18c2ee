"""The objects of a drill's own: a namespace that says whose drill it is, a workload that waits for the node, and a budget.

The namespace is made first and removed last, and the node's name follows from its own: whatever a killed drill left is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from backends.kubernetes.gpu_counts import GPU
from backends.kubernetes.our_keys import KWOK, OurKeys
from backends.kubernetes.shapes import KubeObject, Meta
from fleet.drill_ground import PodSight
from fleet.text import clean

NAMESPACE = "quarterdeck-drill-"
NODE = "drill-"
WORK = "drill-work"
BUDGET = "drill-budget"
_PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
_APP = {"app": WORK}


@dataclass(frozen=True, slots=True)
class DrillKeys:
    """The keys on a drill's namespace."""

    keys: OurKeys

    @property
    def drill(self) -> str:
        """The label by which drills are found; its value is the drill's name."""
        return self.keys.drill

    @property
    def by(self) -> str:
        return f"{self.keys.prefix}drill-by"

    @property
    def host(self) -> str:
        return f"{self.keys.prefix}drill-host"

    @property
    def process(self) -> str:
        return f"{self.keys.prefix}drill-process"

    @property
    def started(self) -> str:
        return f"{self.keys.prefix}drill-started"

    @property
    def alive(self) -> str:
        """When the walk was last at work."""
        return f"{self.keys.prefix}drill-alive"


def node_of(namespace: str) -> str:
    """The name of the node that belongs to a drill's namespace."""
    return NODE + namespace.removeprefix(NAMESPACE)


def namespace_manifest(name: str, drill: str, notes: dict[str, str], keys: DrillKeys) -> bytes:
    """The namespace of a walk."""
    labels = {keys.drill: drill, "app.kubernetes.io/managed-by": "quarterdeck"}
    metadata = {"name": name, "labels": labels, "annotations": notes}
    return msgspec.json.encode({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def workload_manifest(namespace: str, node: str, gpus: int, keys: OurKeys) -> bytes:
    """One replica that runs only on the drill's node, and only while that is in service."""
    container: dict[str, Any] = {"name": "work", "image": _PAUSE_IMAGE}
    if gpus:
        container["resources"] = {"limits": {GPU: str(gpus)}, "requests": {GPU: str(gpus)}}
    pod = {
        "nodeSelector": {keys.lifecycle: "in-service", "kubernetes.io/hostname": node},
        "tolerations": [{"key": KWOK, "operator": "Exists", "effect": "NoSchedule"}],
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": _APP},
        "template": {"metadata": {"labels": _APP}, "spec": pod},
    }
    metadata = {"name": WORK, "namespace": namespace}
    return msgspec.json.encode(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )


def budget_manifest(namespace: str) -> bytes:
    """A budget that lets the one replica go nowhere."""
    metadata = {"name": BUDGET, "namespace": namespace, "annotations": {"owner": "the drill"}}
    spec = {"minAvailable": 1, "selector": {"matchLabels": _APP}}
    return msgspec.json.encode(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    )


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None


class _Status(msgspec.Struct):
    phase: str | None = None
    conditions: list[_Condition] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class WorkPod(KubeObject):
    """A pod, with what the scheduler says of it."""

    spec: _Spec | None = None
    status: _Status | None = None

    def sight(self) -> PodSight:
        """The pod as a drill sees it."""
        meta: Meta = self.metadata
        status, spec = self.status or _Status(), self.spec or _Spec()
        told = next((each for each in status.conditions or () if each.type == "PodScheduled"), None)
        return PodSight(
            name=clean(meta.name, 253),
            uid=meta.uid or "",
            phase=clean(status.phase or "", 40),
            node=spec.node_name or "",
            scheduled=None if told is None else told.status == "True",
            reason=clean((told.message if told else None) or "", 600),
            going=meta.deletion_timestamp is not None,
        )
