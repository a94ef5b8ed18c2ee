"""How hot a GPU, a node or a rack is by one measure, and which of a few bands that is: what a heat map's cells show."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fleet.category import HOT_CELSIUS, WARM_CELSIUS
from fleet.policy import Policy
from fleet.row import FleetRow
from fleet.severity import Severity
from fleet.telemetry import GpuTelemetry
from fleet.xid import Severity as XidSeverity

Heat = float | None
"""A measure's value in its unit; None is unknown, which is never zero."""

NOTED, BROKEN = 1.0, 2.0
"""What errors come to: something to look at, something that keeps a gate closed."""


class Measure(Enum):
    """What the map is coloured by."""

    UTIL = "utilisation"
    TEMP = "temperature"
    POWER = "power"
    MEMORY = "memory"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Scale:
    """`bounds` part a measure into bands, coolest first: a value equal to a bound is in the band above it.

    `worst_of`: a rack shows its worst node, else the mean. `alarming` is the first band that asks for attention, None if
    no value of this measure does.
    """

    unit: str
    bounds: tuple[float, ...]
    names: tuple[str, ...]
    worst_of: bool
    alarming: int | None

    def band(self, heat: Heat) -> int | None:
        """The band of a value, from 0; None for the unknown."""
        return None if heat is None else bisect_right(self.bounds, heat)


SCALES: Mapping[Measure, Scale] = {
    Measure.UTIL: Scale("%", (5, 30, 60, 90), ("<5", "<30", "<60", "<90", "90+"), False, None),
    Measure.TEMP: Scale(
        "°C",
        (45, 65, WARM_CELSIUS, HOT_CELSIUS),
        ("<45", "<65", f"<{WARM_CELSIUS:g}", f"<{HOT_CELSIUS:g}", f"{HOT_CELSIUS:g}+"),
        True,
        3,
    ),
    Measure.POWER: Scale("W", (100, 250, 400, 600), ("<100", "<250", "<400", "<600", "600+"), False, None),
    Measure.MEMORY: Scale("%", (5, 30, 60, 90), ("<5", "<30", "<60", "<90", "90+"), False, None),
    Measure.ERRORS: Scale("", (NOTED, BROKEN), ("none", "noted", "fails a gate"), True, 1),
}
"""Temperatures part where the check of a category does by default; power is a GPU's, in steps that tell idle from busy."""


def of_node(row: FleetRow, measure: Measure, policy: Policy) -> Heat:
    """A node's heat, from its telemetry as summed for the fleet: the mean of its GPUs, the hottest one, or the worst error."""
    told = row.telemetry
    if measure is Measure.ERRORS:
        return _errors_of_node(row, policy)
    if told is None:
        return None
    if measure is Measure.UTIL:
        return told.gpu_util
    if measure is Measure.TEMP:
        return told.gpu_temp_max
    if measure is Measure.MEMORY:
        return None if told.fb_used_ratio is None else told.fb_used_ratio * 100
    return told.power_watts / told.gpus_seen if told.power_watts is not None and told.gpus_seen else None


def of_gpu(gpu: GpuTelemetry, measure: Measure, policy: Policy) -> Heat:
    """One GPU's heat."""
    if measure is Measure.UTIL:
        return gpu.util if gpu.util is not None or gpu.engine_active is None else gpu.engine_active * 100
    if measure is Measure.TEMP:
        return gpu.temp
    if measure is Measure.POWER:
        return gpu.power_watts
    if measure is Measure.MEMORY:
        return (
            gpu.fb_used_mib / gpu.fb_total_mib * 100
            if gpu.fb_used_mib is not None and gpu.fb_total_mib
            else None
        )
    return _errors_of_gpu(gpu, policy)


def of_many(heats: Iterable[Heat], scale: Scale) -> Heat:
    """The heat of several together: the worst or the mean of those that are known. Unknown where none is."""
    known = [heat for heat in heats if heat is not None]
    if not known:
        return None
    return max(known) if scale.worst_of else sum(known) / len(known)


def _errors_of_node(row: FleetRow, policy: Policy) -> Heat:
    told = row.telemetry
    if row.severity is Severity.FAULT:
        return BROKEN
    if told is None:
        return None
    if told.row_remap_failure or (told.xid and told.xid in policy.forbidden_xids):
        return BROKEN
    if told.xid:
        return 0.0 if policy.severity_of_xid(told.xid) is XidSeverity.INFO else NOTED
    return None if told.xid is None else 0.0


def _errors_of_gpu(gpu: GpuTelemetry, policy: Policy) -> Heat:
    broken: Sequence[bool] = (
        bool(gpu.ecc_dbe_volatile),
        bool(gpu.row_remap_failure),
        bool(gpu.remap_pending),
        bool(gpu.recovery_action),
        bool(gpu.nvlinks_down),
        gpu.xid in policy.forbidden_xids,
    )
    if any(broken):
        return BROKEN
    if gpu.xid and policy.severity_of_xid(gpu.xid) is not XidSeverity.INFO:
        return NOTED
    return None if gpu.xid is None else 0.0
