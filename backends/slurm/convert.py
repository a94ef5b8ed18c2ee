"""Turns a node as Slurm shows it into a node of the fleet. Pure, and it never fails: what can't be read is unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from backends.slurm.controller import ControllerConfig
from backends.slurm.features import NodeReading
from backends.slurm.gres import Gpus, fewer_than_configured, gpus_in, gpus_in_tres
from backends.slurm.holders import foreign_holds, health_check_of, holds_of
from backends.slurm.our_note import Note, read_note
from backends.slurm.seen import Seen
from backends.slurm.show import Shown
from backends.slurm.stamps import stamp
from backends.slurm.states import State, read_state
from backends.slurm.versions import differs
from fleet.machine import POD_NODE
from fleet.node import Admission, Condition, Node, NodeKey, Readiness, Software, Stage, Topology
from fleet.text import clean
from fleet.workload import NodeWork, WorkloadId

_NO_NOTE = Note()
_CLOSED_STAGES = frozenset(Stage) - {Stage.IN_SERVICE}


class _Pod(msgspec.Struct, frozen=True, rename="camel"):
    """Where slurm-operator runs a node's slurmd."""

    node: str = ""
    pod_name: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster besides its nodes: its controller, and where each node stands."""

    config: ControllerConfig = field(default_factory=ControllerConfig)
    places: Mapping[str, Topology] = field(default_factory=dict)


def node_of(shown: Shown, source: str, reading: NodeReading, cluster: Cluster) -> Node:
    """The node of the fleet that `shown` shows."""
    state, note = read_state(shown.state), note_of(shown)
    admission = _admission(state, note)
    category, category_from = reading.category_of(shown.active_features, shown.partitions)
    gpus = gpus_in(shown.gres)
    holds = holds_of(shown, state, note)
    return Node(
        key=NodeKey(source, clean(shown.name, 253)),
        category=category,
        category_from=category_from,
        image=reading.image_of(shown.active_features, shown.os, category, clean(note.image, 300)),
        stage=_stage(state, note, admission, shown),
        label_stage=clean(note.stage, 63),
        admission=admission,
        readiness=_readiness(state, shown),
        holds=holds,
        gate=note.record(),
        conditions=_conditions(shown, state, cluster.config, reading.health_checks),
        gpus_capacity=_capacity(shown, gpus),
        gpus_allocatable=_allocatable(shown, state, gpus),
        mig_allocatable=gpus.slices,
        boot_id=boot_of(shown),
        software=_software(shown, gpus, reading.policy.version_labels),
        topology=cluster.places.get(shown.name, Topology()),
        reboots=bool(cluster.config.reboot_program),
        operation=next((hold.operation for hold in reversed(holds) if hold.operation), ""),
        upgrade=_upgrade(state, note, shown),
        asleep=f"scontrol update NodeName={clean(shown.name, 253)} State=POWER_UP" if state.asleep else "",
        known_as=_known_as(shown),
        accepted=note.acceptances(),
        repair=note.repaired(),
    )


def seen_of(shown: Shown) -> Seen:
    """The node as a change of it must know it."""
    state, note = read_state(shown.state), note_of(shown)
    return Seen(
        shown.name,
        state.base,
        state.flags,
        reason=shown.reason,
        reason_by=shown.reason_by,
        reason_at=shown.reason_at,
        extra=shown.extra,
        comment=shown.comment,
        boot=boot_of(shown),
        foreign=foreign_holds(shown, state, note),
        resumes=shown.resumes,
        next_state=shown.next_state,
    )


def note_of(shown: Shown) -> Note:
    """Our note on the node; most have none."""
    if "quarterdeck" not in shown.extra and "quarterdeck" not in shown.comment:
        return _NO_NOTE
    return read_note(shown.extra, shown.comment)


def boot_of(shown: Shown) -> str:
    """The boot by its time, which is all that Slurm knows of it; empty where the node never registered."""
    return shown.booted.isoformat() if shown.booted else ""


def work_of(shown: Shown, jobs: tuple[WorkloadId, ...]) -> NodeWork:
    """How busy the node is: GPUs as the controller counts them, jobs as squeue lists them."""
    used = gpus_in(shown.gres_used)
    return NodeWork(used.whole, used.slices, len(jobs), jobs)


def version_of(shown: Shown) -> str:
    """A fingerprint of what is shown of a node, without what changes all the time: jobs that come and go, and the boot's waver."""
    body = msgspec.json.encode(msgspec.structs.replace(shown, gres_used="", booted=None))
    return hashlib.sha256(body).hexdigest()[:16]


def _admission(state: State, note: Note) -> Admission:
    """What Slurm enforces. The gate is DRAIN with our note saying so; without DRAIN work lands, whatever the note says."""
    if state.admission is not Admission.OPEN and note.gated:
        return Admission.GATED
    return state.admission


def _stage(state: State, note: Note, admission: Admission, shown: Shown) -> Stage:
    """What our note claims, as far as the node is closed; else what the state says."""
    claimed = note.known_stage
    if admission is not Admission.OPEN and claimed in _CLOSED_STAGES:
        return claimed
    if admission is Admission.GATED:
        return Stage.GATED
    if admission is Admission.CORDONED and "DRAIN" in state.flags and _only_cordoned(note):
        return Stage.IN_SERVICE
    fresh = not shown.registered and state.base in ("UNKNOWN", "FUTURE") and not state.asleep
    if fresh and "DRAIN" not in state.flags:  # a drained one has been there: its controller has just started
        return Stage.PROVISIONING
    return state.stage


def _only_cordoned(note: Note) -> bool:
    """Whether we hold it, and every hold of ours is a cordon: it was not asked to empty itself."""
    return bool(note.holds) and all(entry.verb == "cordon" for entry in note.holds)


def _readiness(state: State, shown: Shown) -> Readiness:
    if state.readiness is Readiness.READY and not shown.registered:
        return Readiness.UNKNOWN
    return state.readiness


def _conditions(
    shown: Shown, state: State, config: ControllerConfig, own_checks: Sequence[str]
) -> tuple[Condition, ...]:
    readiness = _readiness(state, shown)
    ready = {Readiness.READY: "True", Readiness.NOT_READY: "False", Readiness.UNKNOWN: "Unknown"}[readiness]
    since = max((at for at in (shown.booted, shown.slurmd_started) if at), default=None)
    found = [
        Condition(
            "Ready",
            ready,
            None if ready == "Unknown" else ready == "False",
            clean(state.text, 200),
            since=since,
        ),
        Condition("State", clean(state.text, 200), state.bad, "asleep" if state.asleep else ""),
    ]
    if (check := health_check_of(shown.reason, own_checks)) and state.admission is not Admission.OPEN:
        found.append(_health_check(check, shown))
    if shown.resumes is not None and state.admission is not Admission.OPEN:
        says = f"Slurm opens it by itself at {stamp(shown.resumes)}"
        found.append(Condition("ResumeAfter", "set", None, message=says, since=shown.reason_at))
    says, unsupported = differs(shown.version, config.version)
    if says:
        found.append(Condition("SlurmVersion", clean(shown.version, 60), unsupported or None, message=says))
    return tuple(found)


def _health_check(check: str, shown: Shown) -> Condition:
    """A health check's verdict in the Reason; one from before the node's boot is not about this boot."""
    stale = bool(shown.booted and shown.reason_at and shown.booted > shown.reason_at)
    status = "Failed before this boot" if stale else "Failed"
    bad = None if stale else True
    return Condition("HealthCheck", status, bad, check, clean(shown.reason, 1000), shown.reason_at)


def _capacity(shown: Shown, gpus: Gpus) -> int | None:
    if gpus.whole or gpus.slices:
        return gpus.whole
    return gpus_in_tres(shown.tres) or 0


def _allocatable(shown: Shown, state: State, gpus: Gpus) -> int | None:
    """What can be asked for: as configured, or fewer where the controller says how many there are; unknown before it registered."""
    fewer = fewer_than_configured(shown.reason)
    if fewer is not None:
        return fewer
    if not shown.registered or "INVALID_REG" in state.flags:
        return None
    return _capacity(shown, gpus)


def _software(shown: Shown, gpus: Gpus, named: Mapping[str, str]) -> Software:
    features = (
        dict(feature.split("=", 1) for feature in shown.active_features.split(",") if "=" in feature)
        if named
        else {}
    )
    words = shown.os.split(" ")
    return Software(
        kernel=clean(words[1], 120) if len(words) > 1 else "",
        os_image=clean(shown.os, 200),
        agent=clean(shown.version, 60),
        gpu_product=clean(",".join(gpus.types), 120),
        labelled=tuple(
            (name, clean(features[label], 120)) for name, label in named.items() if features.get(label)
        ),
    )


def _known_as(shown: Shown) -> tuple[tuple[str, str], ...]:
    """The Kubernetes node that slurm-operator says the node's pod is on: JSON with `podName` and `node` in Comment or Extra."""
    for text in (shown.comment, shown.extra):
        if '"node"' in text and '"podName"' in text:
            try:
                pod = msgspec.json.decode(text, type=_Pod)
            except (msgspec.DecodeError, UnicodeEncodeError):
                continue
            if pod.node:
                return ((POD_NODE, clean(pod.node, 253)),)
    return ()


def _upgrade(state: State, note: Note, shown: Shown) -> str:
    """A reboot that is under way and not of a reimage of ours."""
    flags = state.flags & {"REBOOT_REQUESTED", "REBOOT_ISSUED"}
    if not flags or note.image:
        return ""
    says = "reboot issued" if "REBOOT_ISSUED" in flags else "reboot requested"
    then = f", then {clean(shown.next_state, 20)}" if shown.next_state else ""
    return f"{says}: {clean(shown.reason, 120)}{then}" if shown.reason else f"{says}{then}"
