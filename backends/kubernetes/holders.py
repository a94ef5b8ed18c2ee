"""Recognises who else keeps a node closed, from the keys that other controllers leave on it.

A key alone holds nothing: many linger. It counts with what it enforces: the cordon it came with, or its own taint. A cordon
that nobody signed is a hold of an unknown person. Keys: NVSentinel, the GPU Operator, kured, medik8s, Cluster
API, Karpenter, OpenShift's machine config operator, Slinky, the cluster autoscaler, clouds, Skyhook, NVIDIA's
maintenance operator, HyperPod, as found in their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from backends.kubernetes.held_by import read_held_by
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.sentinel import sentinel_hold
from fleet.admission import HARD
from fleet.holder import Hold, HolderKind
from fleet.node import Admission
from fleet.text import clean

UNKNOWN = "unknown"
"""Who signed a cordon that nobody signed."""

_CONTROLLER = HolderKind.CONTROLLER
_UPGRADE = "nvidia.com/gpu-driver-upgrade-state"
_UPGRADE_FOUND_CORDONED = "nvidia.com/gpu-driver-upgrade.node-initial-state.unschedulable"
_UPGRADE_IDLE = frozenset({"", "unknown", "upgrade-done", "upgrade-required"})
_MCO = "machineconfiguration.openshift.io/"
_SKYHOOK = "skyhook.nvidia.com/"
_HYPERPOD = "sagemaker.amazonaws.com/node-health-status"
_KURED = ("kured.dev/kured-reboot-in-progress", "weave.works/kured-reboot-in-progress")
_MAINTENANCE = "maintenance.nvidia.com/node-initial-state.unschedulable"
_SLINKY = "nodeset.slinky.slurm.net/node-cordon-reason"

_TAINTS: Mapping[str, tuple[str, str]] = {
    "karpenter.sh/disrupted": ("Karpenter", "replaces the node"),
    "karpenter.sh/disruption": ("Karpenter", "replaces the node"),
    "medik8s.io/drain": ("node-maintenance-operator", "maintenance"),
    "node.kubernetes.io/out-of-service": ("out-of-service taint", "declared powered off"),
    "node.cloudprovider.kubernetes.io/shutdown": ("cloud provider", "shut down"),
    "nvsentinel.nvidia.com/validation-pending": ("NVSentinel", "validation pending"),
    "cloud.google.com/impending-node-termination": ("Google Cloud", "about to be terminated"),
    "ToBeDeletedByClusterAutoscaler": ("cluster-autoscaler", "scales the node down"),
    _HYPERPOD: ("HyperPod", "unhealthy"),
    "skyhook.nvidia.com": ("Skyhook", "runtime required"),
}


class TaintLike(Protocol):
    """A taint, ours or as Kubernetes has it."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> str | None: ...
    @property
    def effect(self) -> str | None: ...


class Marked(Protocol):
    """Anything that carries a Node's keys."""

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...
    @property
    def taints(self) -> Sequence[TaintLike]: ...
    @property
    def unschedulable(self) -> bool: ...


def foreign_holds(node: Marked, keys: OurKeys) -> tuple[Hold, ...]:
    """Everybody else's holds: controllers by name, then an unnamed one for a cordon that nobody signed."""
    controllers = tuple(dict.fromkeys((*_by_taint(node), *_by_cordon(node))))
    if not node.unschedulable or (controllers and not _found_cordoned(node)):
        return controllers
    ours = read_held_by(node.annotations.get(keys.held_by)) if keys.held_by in node.annotations else None
    entries = ours.entries if ours is not None else ()
    if ours is not None and (ours.unreadable or entries) and not _before_us(entries[:1]):
        return controllers
    reason = "cordoned before us" if entries else ""
    return (*controllers, Hold(UNKNOWN, reason, HolderKind.UNNAMED))


def upgrade_of(node: Marked) -> str:
    """Another controller's work under way on the node, in its own words; empty where there is none."""
    labels, notes = node.labels, node.annotations
    state = labels.get(_UPGRADE, "")
    if state not in _UPGRADE_IDLE and state != "upgrade-failed":
        return f"GPU driver upgrade: {clean(state, 60)}"
    if any(value == "paused-for-driver-upgrade" for value in labels.values()):
        return "GPU driver upgrade"
    wanted = notes.get(f"{_MCO}desiredConfig")
    if wanted and wanted != notes.get(f"{_MCO}currentConfig"):
        return f"machine config: {clean(notes.get(f'{_MCO}state', 'pending'), 60)}"
    if any(notes.get(key) for key in _KURED):
        return "kured reboots it"
    for key, value in notes.items():
        if key.startswith(f"{_SKYHOOK}status_") and value == "in_progress":
            return f"Skyhook {clean(key.removeprefix(f'{_SKYHOOK}status_'), 60)}"
    return "maintenance-operator" if _MAINTENANCE in notes else ""


def _before_us(first: Sequence[object]) -> bool:
    return any(getattr(entry, "found", "") == Admission.CORDONED.value for entry in first)


def _found_cordoned(node: Marked) -> bool:
    """Whether the one controller that holds it says that it was cordoned before."""
    return node.annotations.get(_UPGRADE_FOUND_CORDONED) == "true"


def _by_taint(node: Marked) -> Iterator[Hold]:
    for taint in node.taints:
        if taint.effect not in HARD:
            continue
        if (known := _TAINTS.get(taint.key)) is not None:
            by, reason = known
            since = _unix(taint.value) if taint.key.startswith("ToBeDeleted") else None
            yield Hold(by, reason, _CONTROLLER, since=since)
        elif taint.key.startswith("aws-node-termination-handler/"):
            reason = clean(taint.key.partition("/")[2], 80)
            yield Hold("aws-node-termination-handler", reason, _CONTROLLER)


def _by_cordon(node: Marked) -> Iterator[Hold]:
    if not node.unschedulable:
        return
    for recognise in _CORDONERS:
        hold = recognise(node.labels, node.annotations)
        if hold is not None:
            yield hold


def _gpu_operator(labels: Mapping[str, str], _: Mapping[str, str]) -> Hold | None:
    state = labels.get(_UPGRADE, "")
    if state in _UPGRADE_IDLE:
        return None
    return Hold("GPU Operator", f"driver upgrade: {clean(state, 60)}", _CONTROLLER)


def _kured(_: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    started = next((notes[key] for key in _KURED if notes.get(key)), None)
    if started is None:
        return None
    return Hold("kured", "reboot in progress", _CONTROLLER, since=_iso(started))


def _machine_config(_: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    drain, done = notes.get(f"{_MCO}desiredDrain", ""), notes.get(f"{_MCO}lastAppliedDrain", "")
    state = notes.get(f"{_MCO}state", "")
    if not (drain.startswith("drain-") and drain != done) and state not in ("Working", "Degraded"):
        return None
    reason = notes.get(f"{_MCO}reason") or state or "drain"
    return Hold("machine-config-operator", clean(reason, 200), _CONTROLLER)


def _skyhook(_: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    for key, value in notes.items():
        if key.startswith(f"{_SKYHOOK}cordon_") and value == "true":
            return Hold("Skyhook", clean(key.removeprefix(f"{_SKYHOOK}cordon_"), 80), _CONTROLLER)
    return None


def _maintenance(_: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    found = notes.get(_MAINTENANCE)
    return Hold("maintenance-operator", "maintenance", _CONTROLLER) if found == "false" else None


def _hyperpod(labels: Mapping[str, str], _: Mapping[str, str]) -> Hold | None:
    state = labels.get(_HYPERPOD, "")
    if not state.startswith("Unschedulable"):
        return None
    return Hold("HyperPod", clean(state, 80), _CONTROLLER)


def _slinky(_: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    reason = notes.get(_SLINKY)
    return Hold("slurm-operator", clean(reason, 200), _CONTROLLER) if reason else None


_CORDONERS: Sequence[Callable[[Mapping[str, str], Mapping[str, str]], Hold | None]] = (
    sentinel_hold,
    _gpu_operator,
    _kured,
    _machine_config,
    _skyhook,
    _maintenance,
    _hyperpod,
    _slinky,
)


def _iso(text: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(text[:40])
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _unix(text: str | None) -> datetime | None:
    if not text or not text.isascii() or not text.isdigit() or len(text) > 11:
        return None
    return datetime.fromtimestamp(int(text), UTC)
