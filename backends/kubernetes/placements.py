"""Turns a pod that is bound to a node into what a plan must know of it, and finds the agents that the gate would keep out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from backends.kubernetes.budgets import BudgetsByNamespace, budgets_over
from backends.kubernetes.convert import time_of
from backends.kubernetes.our_keys import GATE_EFFECT, GATE_VALUE, OurKeys
from backends.kubernetes.pods import PodShape, PodSpec, gpus_of, keeper_of, workload_of
from backends.kubernetes.slurmd_pods import SlurmdPods
from backends.kubernetes.work import NO_SLURMD
from fleet.text import clean
from fleet.workload import Keeper, Placement

_GRACE = 30
_LONGEST_GRACE = 30 * 24 * 3600
_AGENTS = ("device-plugin", "dcgm-exporter")
"""What the names and images of those agents hold without which a node shows no GPUs, or no telemetry."""
_NO_SPEC = PodSpec()


def placement_of(pod: PodShape, budgets: BudgetsByNamespace, slurmd: SlurmdPods = NO_SLURMD) -> Placement:
    """One pod on its node. Budgets are named where the eviction API would ask them: not for pods that wait, ended or go."""
    meta, spec = pod.metadata, pod.spec or _NO_SPEC
    namespace, keeper = meta.namespace or "", keeper_of(meta)
    leaving = meta.deletion_timestamp is not None
    asked = pod.phase == "Running" and not leaving and keeper in (Keeper.NOBODY, Keeper.CONTROLLER)
    return Placement(
        namespace=clean(namespace, 120),
        name=clean(meta.name, 253),
        uid=clean(meta.uid or "", 120),
        workload=workload_of(meta),
        keeper=keeper,
        gpus=sum(gpus_of(spec)),
        phase=clean(pod.phase, 40),
        finished=pod.finished,
        terminating_since=_leaving_since(pod),
        grace=_grace(spec),
        loses_scratch=any(volume.empty_dir is not None for volume in spec.volumes or ()),
        budgets=budgets_over(budgets, namespace, pod.labels) if asked else (),
        host=slurmd.node_of(pod),
    )


def kept_out(pods: Iterable[PodShape], keys: OurKeys) -> tuple[str, ...]:
    """The agents among a node's pods that the gate's taint would not let back in, as namespace/name of their DaemonSet."""
    found = {
        f"{clean(pod.metadata.namespace or '', 120)}/{workload_of(pod.metadata).name}"
        for pod in pods
        if keeper_of(pod.metadata) is Keeper.DAEMON and _is_agent(pod) and not _admitted(pod, keys)
    }
    return tuple(sorted(found))


def _is_agent(pod: PodShape) -> bool:
    images = (container.image or "" for container in (pod.spec or _NO_SPEC).containers or ())
    return any(agent in text for text in (pod.metadata.name, *images) for agent in _AGENTS)


def _admitted(pod: PodShape, keys: OurKeys) -> bool:
    tolerations = (pod.spec or _NO_SPEC).tolerations or ()
    return any(each.admits(keys.gate_taint, GATE_VALUE, GATE_EFFECT) for each in tolerations)


def _leaving_since(pod: PodShape) -> datetime | None:
    """When the pod was told to stop: its deletionTimestamp is when its grace will have run out."""
    due = time_of(pod.metadata.deletion_timestamp)
    if due is None:
        return None
    grace = pod.metadata.deletion_grace_period_seconds or 0
    try:
        return due - timedelta(seconds=min(max(0, grace), _LONGEST_GRACE))
    except OverflowError:
        return due


def _grace(spec: PodSpec) -> timedelta:
    seconds = spec.termination_grace_period_seconds
    return timedelta(seconds=min(max(0, _GRACE if seconds is None else seconds), _LONGEST_GRACE))
