"""The Job that runs one active check on one closed node, and how it is called, so that it is found again after a crash.

It is pinned to the node by name through the scheduler, so that GPUs that somebody holds keep it waiting rather than failing. It
tolerates what closes the node and what dedicates it to some work, not what says that it is ill or about to go. It asks for no
right: no privilege, no service account's token, no host path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from backends.kubernetes.gpu_counts import GPU
from backends.kubernetes.manifests import CONTROLLERS_TAINTS
from backends.kubernetes.our_keys import OurKeys, slug
from fleet.admission import CLOSING_TAINTS, HARD
from fleet.diagnosis import CheckSite, Diagnose
from fleet.node import Taint
from fleet.plan import Step

MANAGED = ("app.kubernetes.io/managed-by", "quarterdeck")
"""The label by which every Job of ours is found."""

CONTAINER = "check"
_SHM = "/dev/shm"  # noqa: S108 - in the pod, where NCCL looks for it
KEPT_SECONDS = 6 * 3600
"""How long a finished Job stays to be found again; the cluster takes it away by itself after that."""


def name_of(operation: str, step_id: str) -> str:
    """The one name of a step's Job: a second creation meets the first."""
    digits = hashlib.sha256(f"{operation} {step_id}".encode()).hexdigest()[:16]
    return f"quarterdeck-check-{digits}"


def check_job(
    step: Step,
    action: Diagnose,
    site: CheckSite,
    keys: OurKeys,
    boot: str = "",
    taints: Iterable[Taint] = (),
) -> dict[str, Any]:
    """The whole Job, for the boot that it is of and the taints that its node has now.

    An emptyDir in memory is /dev/shm: NCCL needs more of it than a container's 64 MiB.
    """
    labels = {
        MANAGED[0]: MANAGED[1],
        f"{keys.prefix}operation": slug(action.operation),
        f"{keys.prefix}check": slug(action.check),
        f"{keys.prefix}node": slug(step.node.name),
    }
    notes = {f"{keys.prefix}step": step.id, f"{keys.prefix}by": action.by, f"{keys.prefix}on": step.node.name}
    notes[f"{keys.prefix}boot"] = boot
    seconds = int(action.starts_in.total_seconds() + action.deadline.total_seconds())
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "affinity": {"nodeAffinity": _only(step.node.name)},
        "tolerations": _tolerations(keys, taints),
        "containers": [_container(action)],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
    if site.priority_class:
        pod["priorityClassName"] = site.priority_class
    name = name_of(action.operation, step.id)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": site.namespace, "labels": labels, "annotations": notes},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": max(1, seconds),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels, "annotations": notes}, "spec": pod},
        },
    }


def _container(action: Diagnose) -> dict[str, Any]:
    gpus = {GPU: str(action.gpus)} if action.gpus else {}
    status = {"fieldRef": {"fieldPath": "status.hostIP"}}
    return {
        "name": CONTAINER,
        "image": action.image,
        "command": list(action.command),
        "env": [
            {"name": "NODE_IP", "valueFrom": status}
        ],  # `$(NODE_IP)` in the command: a node's own host engine
        "resources": {"limits": gpus, "requests": gpus},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "shm", "mountPath": _SHM}],
    }


def _only(node: str) -> dict[str, Any]:
    """Nowhere but there, as DaemonSet pods are placed (Kubernetes 1.36, "DaemonSet", how pods are scheduled)."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}
    }


def _tolerations(keys: OurKeys, taints: Iterable[Taint]) -> list[dict[str, str]]:
    """What keeps work off a closed node (our gate, a cordon, the GPUs' own taint), and off a dedicated one."""
    closed = (keys.gate_taint, "node.kubernetes.io/unschedulable", GPU)
    tolerated = dict.fromkeys((key, "NoSchedule") for key in closed)
    for taint in taints:
        ill = taint.key in CLOSING_TAINTS or taint.key.startswith(CONTROLLERS_TAINTS)
        if taint.effect in HARD and not ill:
            tolerated[taint.key, taint.effect] = None
    return [{"key": key, "operator": "Exists", "effect": effect} for key, effect in tolerated]
