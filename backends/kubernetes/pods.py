"""Pods as they are read: who they work for, what they ask for, and whom they belong to.

Gangs are recognised by the labels of the operators that make them, so that a training job of a hundred pods is one workload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backends.kubernetes.gpu_counts import GPU, LEGACY, MIG, SHARED, whole
from backends.kubernetes.shapes import KubeObject, Meta, OwnerReference
from fleet.text import clean
from fleet.workload import Keeper, WorkloadId

MIRROR = "kubernetes.io/config.mirror"
FINISHED = ("Succeeded", "Failed")
_WHOLE = (GPU, SHARED, LEGACY)

_GANGS = (
    ("jobset.sigs.k8s.io/jobset-name", "JobSet"),
    ("leaderworkerset.sigs.k8s.io/name", "LeaderWorkerSet"),
    ("ray.io/cluster", "RayCluster"),
    ("training.kubeflow.org/job-name", "TrainingJob"),
    ("volcano.sh/job-name", "VolcanoJob"),
    ("workflows.argoproj.io/workflow", "Workflow"),
    ("kueue.x-k8s.io/pod-group-name", "PodGroup"),
    ("scheduling.x-k8s.io/pod-group", "PodGroup"),
    ("pod-group.scheduling.sigs.k8s.io", "PodGroup"),
)
_GANG_NOTES = (("scheduling.k8s.io/group-name", "PodGroup"), ("scheduling.volcano.sh/group-name", "PodGroup"))
_CONTROLLERS_OF_GANGS = frozenset(
    {"PyTorchJob", "TFJob", "MPIJob", "JAXJob", "XGBoostJob", "PaddleJob", "TrainJob"}
)


class Resources(msgspec.Struct, gc=False):
    """What a container asks for. Of devices, requests and limits are equal, and either may stand alone."""

    requests: dict[str, str | int | float] | None = None
    limits: dict[str, str | int | float] | None = None


class Container(msgspec.Struct, gc=False, rename="camel"):
    """A container; `restart_policy` Always makes an init container a sidecar."""

    image: str | None = None
    resources: Resources | None = None
    restart_policy: str | None = None


class Volume(msgspec.Struct, gc=False, rename="camel"):
    """A volume; only whether it is node-local scratch."""

    empty_dir: dict[str, Any] | None = None


class Toleration(msgspec.Struct, gc=False):
    """Which taints a pod puts up with."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None

    def admits(self, key: str, value: str, effect: str) -> bool:
        """Whether a taint is tolerated (Kubernetes documentation, "Taints and Tolerations")."""
        if self.effect and self.effect != effect:
            return False
        if not self.key:
            return self.operator == "Exists"
        return self.key == key and (self.operator == "Exists" or (self.value or "") == value)


class PodSpec(msgspec.Struct, gc=False, rename="camel"):
    """Where a pod is bound, what it asks for, and what it costs to move it."""

    node_name: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    tolerations: list[Toleration] | None = None
    termination_grace_period_seconds: int | None = None
    hostname: str | None = None
    host_network: bool | None = None
    resource_claims: list[object] | None = None


class PodStatus(msgspec.Struct, gc=False):
    """How far a pod is."""

    phase: str | None = None


class PodShape(KubeObject, gc=False):
    """A Pod, as much of it as the fleet table and a drain need."""

    spec: PodSpec | None = None
    status: PodStatus | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.metadata.annotations or {}

    @property
    def phase(self) -> str:
        return (self.status.phase if self.status is not None else None) or ""

    @property
    def finished(self) -> bool:
        return self.phase in FINISHED


def gpus_of(spec: PodSpec | None) -> tuple[int, int]:
    """Whole GPUs and MIG slices that a pod holds.

    The larger of its containers together and any one init container, each with the sidecars started before it (Kubernetes
    documentation, "Sidecar containers", resource sharing within containers).
    """
    if spec is None:
        return 0, 0
    inits = spec.init_containers or ()
    whole_gpus, slices = _sum(spec.containers or ())
    if not inits:
        return whole_gpus, slices
    sidecar_gpus = sidecar_slices = most_gpus = most_slices = 0
    for init in inits:
        gpus, mig = _asks(init.resources)
        most_gpus = max(most_gpus, sidecar_gpus + gpus)
        most_slices = max(most_slices, sidecar_slices + mig)
        if init.restart_policy == "Always":
            sidecar_gpus += gpus
            sidecar_slices += mig
    return max(whole_gpus + sidecar_gpus, most_gpus), max(slices + sidecar_slices, most_slices)


def keeper_of(meta: Meta) -> Keeper:
    """Who would bring a pod back, or whose it is on the node."""
    if MIRROR in (meta.annotations or {}):
        return Keeper.MIRROR
    owner = controller_of(meta)
    if owner is None:
        return Keeper.NOBODY
    if owner.kind == "Node":
        return Keeper.MIRROR
    return Keeper.DAEMON if owner.kind == "DaemonSet" else Keeper.CONTROLLER


def controller_of(meta: Meta) -> OwnerReference | None:
    """The one owner that controls an object, or None."""
    return next((owner for owner in meta.owner_references or () if owner.controller), None)


def workload_of(meta: Meta) -> WorkloadId:
    """What a pod works for: its gang, the owner that a person made, or itself."""
    namespace = clean(meta.namespace or "", 120)
    owner = controller_of(meta)
    kind, name = _gang(meta, owner) or _owner(meta, owner)
    return WorkloadId(namespace, clean(kind, 80), clean(name, 253))


def _gang(meta: Meta, owner: OwnerReference | None) -> tuple[str, str] | None:
    if owner is not None and owner.kind in _CONTROLLERS_OF_GANGS:
        return owner.kind, owner.name
    labels, notes = meta.labels or {}, meta.annotations or {}
    for key, kind in _GANGS:
        if name := labels.get(key):
            return kind, name
    for key, kind in _GANG_NOTES:
        if name := notes.get(key):
            return kind, name
    return None


def _owner(meta: Meta, owner: OwnerReference | None) -> tuple[str, str]:
    if owner is None:
        return "Pod", meta.name
    if owner.kind == "ReplicaSet":
        template = (meta.labels or {}).get("pod-template-hash")
        if template and owner.name.endswith(f"-{template}"):
            return "Deployment", owner.name.removesuffix(f"-{template}")
    return owner.kind, owner.name


def _sum(containers: Sequence[Container]) -> tuple[int, int]:
    gpus = slices = 0
    for container in containers:
        if container.resources is not None:
            more, mig = _asks(container.resources)
            gpus += more
            slices += mig
    return gpus, slices


def _asks(resources: Resources | None) -> tuple[int, int]:
    if resources is None:
        return 0, 0
    asked = resources.requests or {}
    if resources.limits:
        asked = {**resources.limits, **asked}
    gpus = slices = 0
    for name, quantity in asked.items():
        if name in _WHOLE:
            gpus += whole(quantity) or 0
        elif name.startswith(MIG):
            slices += whole(quantity) or 0
    return gpus, slices
