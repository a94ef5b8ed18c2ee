"""A node's share of its group's counts, packed into one integer, so that counting a node in or out is one addition.

Each field has its own 40 bits. A node adds less than 2**20 to any field, so a million nodes never spill into a neighbour.
Sums of integers undo exactly: taking a node out of a group gives what it was before, which sums of floats would not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from fleet.extremes import Extremes
from fleet.machine import Pair
from fleet.node import Admission, Node, Readiness, Stage
from fleet.policy import Policy
from fleet.severity import Severity, expected_gpus
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork

_WIDTH = 40
_MASK = (1 << _WIDTH) - 1
_MOST = (1 << 20) - 1

# The rarely nonzero are last: an integer is only as long as its highest field.
_FIELDS = (
    "nodes",
    "in_service",
    "gpus_capacity",
    "gpus_allocatable",
    "gpus_used",
    "gpus_usable",
    "gpus_free",
    "util_milli",
    "util_nodes",
    "severity_0",
    "severity_1",
    "severity_2",
    "drifted",
    "drift_unknown",
    "gpus_unknown",
    "work_unknown",
    "telemetry_unknown",
    "closed",
    "severity_3",
    "severity_4",
    "not_ready",
    "severity_5",
    "severity_6",
    "quarantined",
)
_SHIFT = {name: place * _WIDTH for place, name in enumerate(_FIELDS)}
_ONE = {name: 1 << shift for name, shift in _SHIFT.items()}
_SEVERITY = tuple(_ONE[f"severity_{severity.value}"] for severity in Severity)
_IN_SERVICE, _QUARANTINED = Stage.IN_SERVICE, Stage.QUARANTINED
_OPEN, _READY = Admission.OPEN, Readiness.READY


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over a group of nodes. Nodes, unless the name says GPUs.

    `in_service`: nodes that take work now, which is to say that they are in that stage, open, and ready. `closed`: admission
    is not open. `not_ready`: its agent says so, or is not heard of. `gpus_usable`: allocatable GPUs of nodes that are in
    service, open and ready; `gpus_free` those of them that no work has asked for (none of a node whose work is unknown).
    `gpus_unknown`, `work_unknown`: nodes that the GPU sums leave out. `util` percent, mean of the `util_nodes` nodes that
    report it; None where none does. `util_low`, `util_high`: of the least and the most used GPU.
    `hottest` degrees Celsius of the hottest GPU, `margin` of the one nearest to slowing down. `trouble` the gravest concern: its
    severity, and what it is about. `severities` counts nodes by `Severity`;
    time-dependent concerns are not in it.
    """

    nodes: int = 0
    in_service: int = 0
    closed: int = 0
    not_ready: int = 0
    quarantined: int = 0
    drifted: int = 0
    drift_unknown: int = 0
    gpus_capacity: int = 0
    gpus_allocatable: int = 0
    gpus_used: int = 0
    gpus_usable: int = 0
    gpus_free: int = 0
    gpus_unknown: int = 0
    work_unknown: int = 0
    telemetry_unknown: int = 0
    util: float | None = None
    util_nodes: int = 0
    util_low: int | None = None
    util_high: int | None = None
    hottest: int | None = None
    margin: int | None = None
    trouble: tuple[int, str] | None = None
    severities: tuple[int, ...] = (0,) * len(Severity)

    @property
    def worst(self) -> Severity:
        """The worst severity of any node; OK for an empty group."""
        return max((severity for severity in Severity if self.severities[severity]), default=Severity.OK)


def tally_of(
    node: Node,
    work: NodeWork | None,
    telemetry: NodeTelemetry | None,
    severity: Severity,
    policy: Policy,
    pair: Pair | None = None,
) -> int:
    """One node's share. Of a machine in two sources it is the machine's: in service by both sides, closed by either."""
    tally: int = _ONE["nodes"] + _SEVERITY[severity]
    sides = (node,) if pair is None or pair.twin is None else (node, pair.twin)
    usable = all(map(_takes_work, sides))
    if usable:
        tally += _ONE["in_service"]
    elif any(side.stage is _QUARANTINED for side in sides):
        tally += _ONE["quarantined"]
    if any(side.admission is not _OPEN for side in sides):
        tally += _ONE["closed"]
    if any(side.readiness is not _READY and not side.asleep for side in sides):
        tally += _ONE["not_ready"]
    drifted = node.image.drifted
    if drifted is None:
        tally += _ONE["drift_unknown"]
    elif drifted:
        tally += _ONE["drifted"]
    return tally + _gpus(node, work, usable=usable) + _reported(node, telemetry, policy)


def _takes_work(node: Node) -> bool:
    heard = node.readiness is _READY or bool(node.asleep)  # work wakes one that sleeps
    return node.stage is _IN_SERVICE and node.admission is _OPEN and heard


def _gpus(node: Node, work: NodeWork | None, *, usable: bool) -> int:
    tally = 0
    if node.gpus_capacity is None:
        tally += _ONE["gpus_unknown"]
    else:
        tally += _clamp(node.gpus_capacity) << _SHIFT["gpus_capacity"]
    allocatable = _clamp(node.gpus_allocatable or 0)
    tally += allocatable << _SHIFT["gpus_allocatable"]
    free = allocatable if usable else 0
    tally += free << _SHIFT["gpus_usable"]
    if work is None:
        return tally + _ONE["work_unknown"]
    used = _clamp(work.gpus_used)
    return tally + (used << _SHIFT["gpus_used"]) + (max(0, free - used) << _SHIFT["gpus_free"])


def _reported(node: Node, telemetry: NodeTelemetry | None, policy: Policy) -> int:
    if telemetry is None:
        return _ONE["telemetry_unknown"] if expected_gpus(node, policy) else 0
    util = telemetry.gpu_util
    if util is None or not isfinite(util):
        return 0
    return _ONE["util_nodes"] + (_clamp(round(util * 1000)) << _SHIFT["util_milli"])


def _clamp(count: int) -> int:
    return min(max(count, 0), _MOST)


def totals_of(tally: int, worst: Extremes) -> Totals:
    """What a sum of shares says, with the worst of its nodes."""
    counts = {name: (tally >> shift) & _MASK for name, shift in _SHIFT.items()}
    severities = tuple(counts.pop(f"severity_{severity.value}") for severity in Severity)
    milli = counts.pop("util_milli")
    util = milli / counts["util_nodes"] / 1000 if counts["util_nodes"] else None
    return Totals(
        util=util,
        util_low=worst.low,
        util_high=worst.high,
        hottest=worst.hottest,
        margin=worst.margin,
        trouble=worst.trouble,
        severities=severities,
        **counts,
    )
