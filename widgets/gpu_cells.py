"""What each column of the GPU table shows of one GPU or MIG instance. Pure; what is not told is unknown, never zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from fleet import clock_reasons
from fleet.idle import is_idle
from fleet.policy import Policy
from fleet.telemetry import GpuTelemetry
from fleet.trails import device_of, name_of, util_of
from widgets.cells import NOTHING, UNKNOWN_CELL, Cell, margin_cell, temp_cell, util_cell
from widgets.fitting import printable
from widgets.glyphs import UNICODE, Glyphs
from widgets.sparkline import sparkline
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, known, number, percent

TREND = 10
"""Cells of the sparkline."""

_HOT_MEMORY_CELSIUS = 95.0
_RECOVERY = {1: "reset GPU", 2: "reboot", 3: "drain P2P", 4: "drain, reset"}


@dataclass(frozen=True, slots=True)
class GpuScene:
    """What GPUs are seen against. `trails` are their utilisations of late, by `name_of` or `device_of`, the oldest first."""

    policy: Policy = field(default_factory=Policy)
    glyphs: Glyphs = UNICODE
    now: datetime | None = None
    trails: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


class GpuColumn(NamedTuple):
    """A column: `width` cells, `told` what it needs to be exported, `of_device` what instances have from their GPU."""

    title: str
    width: int
    right: bool
    cell: Callable[[GpuTelemetry, GpuScene], Cell]
    told: Callable[[GpuTelemetry], object]
    of_device: bool = False


def _figure(value: float | None, digits: int = 0, tone: Tone = Tone.PLAIN) -> Cell:
    return UNKNOWN_CELL if known(value) is None else Cell(number(value, digits), tone)


def _name(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    if gpu.instance:
        profile = f" {printable(gpu.profile, 12)}" if gpu.profile else ""
        return Cell(f" .{printable(gpu.instance, 8)}{profile}", Tone.MUTED)
    return Cell(printable(gpu.gpu, 12) or UNKNOWN)


def _trend(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    trail = scene.trails.get(name_of(gpu)) or scene.trails.get(device_of(gpu), ())
    return Cell(sparkline(trail, TREND, scene.glyphs), Tone.NOTE)


def _ratio(value: float | None) -> Cell:
    return UNKNOWN_CELL if known(value) is None else Cell(percent(100 * (value or 0.0)))


def _memory(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    used, total = known(gpu.fb_used_mib), known(gpu.fb_total_mib)
    return UNKNOWN_CELL if used is None or not total else Cell(percent(100 * used / total))


def _memory_heat(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """High-bandwidth memory stands more heat than its GPU."""
    degrees = known(gpu.memory_temp)
    if degrees is None:
        return UNKNOWN_CELL
    hot = degrees >= _HOT_MEMORY_CELSIUS
    return Cell(f"{degrees:.0f}" + ("!" if hot else ""), Tone.BAD if hot else Tone.PLAIN)


def _margin(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    return margin_cell(gpu.temp_margin)


def _clocks(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """Why the clocks are what they are, the gravest reason first."""
    reasons = gpu.clock_event_reasons
    if reasons is None:
        return UNKNOWN_CELL
    first, *others = clock_reasons.named(reasons) or ("full",)
    tone = Tone.BAD if clock_reasons.is_slowed(reasons) else Tone.MUTED
    return Cell(first + (f" +{len(others)}" if others else ""), tone)


def _xid(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """The last code with its age; the metric is sticky, so an age nobody told is unknown."""
    if gpu.xid is None:
        return UNKNOWN_CELL
    if gpu.xid == 0:
        return Cell("none", Tone.MUTED)
    since = age(gpu.xid_at, scene.now) if scene.now is not None and gpu.xid_at else "age ?"
    return Cell(f"{gpu.xid} {since}", Tone.BAD if gpu.xid in scene.policy.forbidden_xids else Tone.WARN)


def _pair(first: float | None, second: float | None, bad: Tone) -> Cell:
    """Two counts, the harmless before the grave: `3/0`."""
    if known(first) is None and known(second) is None:
        return UNKNOWN_CELL
    tone = bad if second else Tone.WARN if first else Tone.MUTED
    return Cell(f"{_short(first)}/{_short(second)}", tone)


def _short(count: float | None) -> str:
    """A count in at most four cells."""
    if known(count) is None or count is None:
        return UNKNOWN
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            return f"{count / (1000 if unit == 'k' else size):.0f}{unit}"
    return f"{count:.0f}"


def _remaps(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """Row remaps, correctable before uncorrectable; one that failed or waits for a reset is said in words."""
    if gpu.row_remap_failure:
        return Cell("FAILED", Tone.BAD)
    if gpu.remap_pending:
        return Cell("pending", Tone.BAD)
    if gpu.retired_pending:
        return Cell("retiring", Tone.WARN)
    if gpu.row_remap_failure is False and gpu.remapped_uncorrectable is None:
        return Cell("ok", Tone.MUTED)
    return _pair(gpu.remapped_correctable, gpu.remapped_uncorrectable, Tone.WARN)


def _tells_remaps(gpu: GpuTelemetry) -> object:
    told = (
        *(gpu.remapped_uncorrectable, gpu.remapped_correctable, gpu.retired_pending),
        *(gpu.row_remap_failure, gpu.remap_pending),
    )
    return next((value for value in told if value is not None), None)


def _links(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    if gpu.nvlinks_up is None:
        return UNKNOWN_CELL
    if gpu.nvlinks_down:
        return Cell(f"{gpu.nvlinks_down} down", Tone.BAD)
    return Cell(f"{gpu.nvlinks_up} up", Tone.MUTED)


def _link_errors(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    count = known(gpu.nvlink_errors)
    return UNKNOWN_CELL if count is None else Cell(_short(count), Tone.WARN if count else Tone.MUTED)


def _bandwidth(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    sent = known(gpu.nvlink_bandwidth)
    return UNKNOWN_CELL if sent is None else Cell(number(sent / 1e9, 0 if sent >= 1e10 else 1))


def _pcie(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """Generation and lanes. An idle link rests at the first generation, so only lost lanes are a fault."""
    if gpu.pcie_gen is None and gpu.pcie_width is None:
        return UNKNOWN_CELL
    generation, width = (UNKNOWN if part is None else part for part in (gpu.pcie_gen, gpu.pcie_width))
    lost = bool(gpu.pcie_width and gpu.pcie_width_max and gpu.pcie_width < gpu.pcie_width_max)
    return Cell(f"{generation}x{width}" + ("!" if lost else ""), Tone.BAD if lost else Tone.MUTED)


def _replays(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    count = known(gpu.pcie_replays)
    return UNKNOWN_CELL if count is None else Cell(_short(count), Tone.PLAIN if count else Tone.MUTED)


def _recovery(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    if gpu.recovery_action is None:
        return UNKNOWN_CELL
    if gpu.recovery_action == 0:
        return Cell("none", Tone.MUTED)
    return Cell(_RECOVERY.get(gpu.recovery_action, f"action {gpu.recovery_action}"), Tone.BAD)


def holder_cell(gpu: GpuTelemetry, scene: GpuScene) -> Cell:
    """Who has the GPU; one that does nothing for its holder stands out."""
    if not gpu.held_by:
        return NOTHING
    held = printable(gpu.held_by, 120)
    return Cell(f"idle: {held}", Tone.WARN) if is_idle(gpu) else Cell(held)


COLUMNS: tuple[GpuColumn, ...] = (
    GpuColumn("GPU", 4, False, _name, lambda gpu: True),
    GpuColumn("util", 10, True, lambda gpu, scene: util_cell(util_of(gpu)), util_of),
    GpuColumn("trend", TREND, False, _trend, util_of),
    GpuColumn("SM", 4, True, lambda gpu, scene: _ratio(gpu.sm_active), lambda gpu: gpu.sm_active),
    GpuColumn("mem", 5, True, _memory, lambda gpu: gpu.fb_used_mib),
    GpuColumn("°C", 4, True, lambda gpu, scene: temp_cell(gpu.temp), lambda gpu: gpu.temp, True),
    GpuColumn("left", 4, True, _margin, lambda gpu: gpu.temp_margin, True),
    GpuColumn("HBM", 4, True, _memory_heat, lambda gpu: gpu.memory_temp, True),
    GpuColumn("W", 5, True, lambda gpu, scene: _figure(gpu.power_watts), lambda gpu: gpu.power_watts, True),
    GpuColumn("MHz", 5, True, lambda gpu, scene: _figure(gpu.sm_clock), lambda gpu: gpu.sm_clock, True),
    GpuColumn("clocks", 14, False, _clocks, lambda gpu: gpu.clock_event_reasons, True),
    GpuColumn("XID", 9, False, _xid, lambda gpu: gpu.xid, True),
    GpuColumn(
        "ECC",
        7,
        False,
        lambda gpu, scene: _pair(gpu.ecc_sbe_volatile, gpu.ecc_dbe_volatile, Tone.BAD),
        lambda gpu: gpu.ecc_dbe_volatile if gpu.ecc_sbe_volatile is None else gpu.ecc_sbe_volatile,
        True,
    ),
    GpuColumn(
        "ever",
        7,
        False,
        lambda gpu, scene: _pair(gpu.ecc_sbe_aggregate, gpu.ecc_dbe_aggregate, Tone.WARN),
        lambda gpu: gpu.ecc_dbe_aggregate if gpu.ecc_sbe_aggregate is None else gpu.ecc_sbe_aggregate,
        True,
    ),
    GpuColumn("remaps", 8, False, _remaps, _tells_remaps, True),
    GpuColumn("links", 7, False, _links, lambda gpu: gpu.nvlinks_up, True),
    GpuColumn("errs", 4, True, _link_errors, lambda gpu: gpu.nvlink_errors, True),
    GpuColumn("GB/s", 5, True, _bandwidth, lambda gpu: gpu.nvlink_bandwidth, True),
    GpuColumn(
        "PCIe", 5, False, _pcie, lambda gpu: gpu.pcie_width if gpu.pcie_gen is None else gpu.pcie_gen, True
    ),
    GpuColumn("rpl", 4, True, _replays, lambda gpu: gpu.pcie_replays, True),
    GpuColumn("needs", 12, False, _recovery, lambda gpu: gpu.recovery_action, True),
)
"""Every column, in the order they stand in."""

SAYS: Mapping[str, str] = {
    "SM": "SM active",
    "°C": "temperature",
    "left": "margin",
    "HBM": "memory temperature",
    "W": "power",
    "MHz": "clocks",
    "clocks": "clock reasons",
    "util": "utilisation",
    "mem": "memory",
    "ECC": "ECC",
    "ever": "ECC of its life",
    "remaps": "row remaps",
    "links": "NVLinks",
    "errs": "NVLink errors",
    "GB/s": "NVLink bandwidth",
    "PCIe": "PCIe link",
    "rpl": "PCIe replays",
    "needs": "recovery action",
}
"""What a column is about, where it is said to be missing."""
