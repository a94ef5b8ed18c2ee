"""Tells who keeps a Slurm node closed, from the Reason: a health check, an operator's program, the controller itself, a person.

A Reason holds only while the node is closed: Slurm keeps some long after. Prefixes as found in the programs' sources: LBNL NHC,
Azure's healthagent, Slinky's slurm-operator, Soperator, HyperPod, ParallelCluster; slurmctld's own texts, 22.05 to 25.11.
"""

from __future__ import annotations

from collections.abc import Sequence

from backends.slurm.our_note import Note, ours
from backends.slurm.show import Shown
from backends.slurm.states import State
from fleet.holder import Hold, HolderKind
from fleet.node import Admission
from fleet.text import clean

UNKNOWN = "unknown"
"""Who closed a node when nobody said who."""
RESERVATION = "reservation"

HEALTH_CHECKS: Sequence[tuple[str, str]] = (
    ("NHC:", "NHC"),
    ("Healthcheck failures", "healthagent"),
    ("[node_problem]", "Soperator"),
    ("[hardware_problem]", "Soperator"),
    ("Scheduler health check failed", "ParallelCluster"),
)
"""How Reasons begin that a health check wrote, and whose they are."""

PROGRAMS: Sequence[tuple[str, str]] = (
    *HEALTH_CHECKS,
    ("slurm-operator:", "slurm-operator"),
    ("[user_problem]", "Soperator"),
    ("[compute_maintenance]", "Soperator"),
    ("Action:Reboot", "HyperPod"),
    ("Action:Replace", "HyperPod"),
    ("Static node maintenance", "ParallelCluster"),
)
"""How Reasons begin that any program wrote."""

CONTROLLER = "slurmctld"
_CONTROLLER_SAYS = (
    "Not responding",
    "Node unexpectedly rebooted",
    "Low RealMemory",
    "Low socket*core",
    "Low TmpDisk",
    "Low CPUs",
    "gres/",
    "Kill task failed",
    "Epilog error",
    "Prolog error",
    "batch job complete failure",
    "Duplicate jobid",
    "reboot timed out",
    "ResumeTimeout reached",
    "Invalid registration",
    "health_check failed",
)
_REASON = 1000


def holds_of(shown: Shown, state: State, note: Note) -> tuple[Hold, ...]:
    """Every hold on a node: ours as written, then whoever else's."""
    held = note.held()
    if state.admission is Admission.OPEN:
        return held
    foreign = foreign_holds(shown, state, note)
    if "MAINT" in state.flags:
        foreign = (*foreign, Hold(RESERVATION, "in a maintenance reservation", HolderKind.CONTROLLER))
    if not held and not foreign and ours(shown.reason):
        return (Hold(clean(shown.reason_by, 64), clean(shown.reason, _REASON), since=shown.reason_at),)
    return (*held, *foreign)


def foreign_holds(shown: Shown, state: State, note: Note) -> tuple[Hold, ...]:
    """The hold in a Reason that is not ours; an unnamed one where a node is closed and neither Reason nor note says why."""
    if not _closed(state):
        return ()
    if not shown.reason:
        return () if note.held() else (Hold(UNKNOWN, state.text, HolderKind.UNNAMED),)
    if ours(shown.reason):
        return ()
    by = program_of(shown.reason) or _of_controller(shown.reason)
    kind = HolderKind.CONTROLLER if by else HolderKind.UNNAMED
    who = by or clean(shown.reason_by, 64) or UNKNOWN
    return (Hold(who, clean(shown.reason, _REASON), kind, since=shown.reason_at),)


def program_of(reason: str) -> str:
    """The program whose Reason this is; empty where none is known by it."""
    return next((program for prefix, program in PROGRAMS if reason.startswith(prefix)), "")


def health_check_of(reason: str, own: Sequence[str] = ()) -> str:
    """The health check whose verdict this Reason is; empty where it is none. `own` is how Reasons of the site's own begin."""
    if not reason:
        return ""
    known = next((program for prefix, program in HEALTH_CHECKS if reason.startswith(prefix)), "")
    return known or ("health check" if own and reason.startswith(tuple(own)) else "")


def _of_controller(reason: str) -> str:
    says = any(
        text in reason if text == "reboot timed out" else reason.startswith(text) for text in _CONTROLLER_SAYS
    )
    return CONTROLLER if says else ""


def _closed(state: State) -> bool:
    """Whether it is closed because somebody said so, rather than for a reservation, or not there yet."""
    return state.base == "DOWN" or not state.flags.isdisjoint({"DRAIN", "FAIL"})
