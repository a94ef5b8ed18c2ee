"""The gate checks that read one number of each GPU: memory errors, rows, heat, clocks, links, and what the driver asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from fleet.category import HOT_CELSIUS
from fleet.checks import Check, Scene
from fleet.clock_reasons import named
from fleet.gpu_rows import devices
from fleet.gpu_scene import expected, of_some, on_gpus, read, silent
from fleet.health import Finding, Verdict
from fleet.measures import Measure, judge
from fleet.telemetry import GpuTelemetry

RESET, REBOOT, DRAIN_PEERS, DRAIN_AND_RESET = 1, 2, 3, 4
_ASKS = {
    0: "nothing",
    RESET: "GPU reset",
    REBOOT: "node reboot",
    DRAIN_PEERS: "drain of its peers",
    DRAIN_AND_RESET: "drain and GPU reset",
    5: "recovery of its IMEX domain",
    6: "bus reset",
    7: "system reboot",
}
"""NVML's nvmlDeviceGpuRecoveryAction_t (cuda.bindings 13), in words."""


def _below(value: float, limit: float) -> bool:
    return value < limit


def _flag(flag: bool | None) -> float | None:
    return None if flag is None else float(flag)


def _count(noun: str) -> Callable[[float], str]:
    return lambda value: f"{value:,.0f} {noun}"


def _at_most(noun: str) -> Callable[[float], str]:
    return lambda limit: f"at most {limit:,.0f} {noun}"


def _clocks(value: float) -> str:
    return ", ".join(named(int(value))) or "full clocks"


def _shares_a_bit(value: float, mask: float) -> bool:
    return bool(int(value) & int(mask))


def _gravest(values: Sequence[float]) -> float:
    """Every reason that any of the GPUs has."""
    together = 0
    for value in values:
        together |= int(value)
    return float(together)


def _links_wanted(scene: Scene, gpu: GpuTelemetry) -> float | None:
    """As many as the category says; else all that the GPU has."""
    if scene.limit is not None:
        return scene.limit
    return None if gpu.nvlinks_down is None else float((gpu.nvlinks_up or 0) + gpu.nvlinks_down)


def _lanes_wanted(scene: Scene, gpu: GpuTelemetry) -> float | None:
    if scene.limit is not None:
        return scene.limit
    return None if gpu.pcie_width_max is None else float(gpu.pcie_width_max)


def _only_declared(scene: Scene, gpu: GpuTelemetry) -> float | None:
    return scene.limit


def _absolute(scene: Scene, gpu: GpuTelemetry) -> float | None:
    """The limit in degrees. A GPU that tells its margin is judged by that, unless the category sets degrees."""
    if scene.limit is None and gpu.temp_margin is not None:
        return float("inf")
    return HOT_CELSIUS if scene.limit is None else scene.limit


def _degrees(limit: float) -> str:
    return "below its slowdown threshold" if limit == float("inf") else f"below {limit:g} °C"


def _asks(value: float) -> str:
    return _ASKS.get(int(value), f"recovery action {int(value)}")


def _how_bad(value: float) -> Verdict:
    return Verdict.WARN if int(value) == DRAIN_PEERS else Verdict.FAIL


def _most_asked(values: Sequence[float]) -> float:
    """Any action before the one that only warns."""
    return max(values, key=lambda value: (_how_bad(value) is Verdict.FAIL, value) if value else (False, 0.0))


_MEASURES = (
    Measure(
        "temperature",
        lambda gpu: gpu.temp,
        lambda value: f"{value:g} °C",
        _degrees,
        bad=lambda value, limit: value >= limit,
        limit=_absolute,
        lasts=False,
        summed=lambda node: node.gpu_temp_max,
    ),
    Measure(
        "temp-margin",
        lambda gpu: gpu.temp_margin,
        lambda value: f"{value:g} °C left",
        lambda limit: f"above {limit:g} °C left",
        bad=lambda value, limit: value <= limit,
        lasts=False,
        worst=min,
    ),
    Measure(
        "clock-events",
        lambda gpu: gpu.clock_event_reasons,
        _clocks,
        lambda limit: f"none of 0x{int(limit):X}",
        bad=_shares_a_bit,
        lasts=False,
        worst=_gravest,
    ),
    Measure("ecc-dbe", lambda gpu: gpu.ecc_dbe_volatile, _count("uncorrected"), _at_most("uncorrected")),
    Measure("ecc-sbe", lambda gpu: gpu.ecc_sbe_volatile, _count("corrected"), _at_most("corrected")),
    Measure(
        "row-remap",
        lambda gpu: _flag(gpu.row_remap_failure),
        lambda _: "row remapping failed",
        lambda _: "none failed",
        limit=lambda scene, gpu: 0.0,
        summed=lambda node: _flag(node.row_remap_failure),
        fine="none failed",
    ),
    Measure(
        "row-remap-pending",
        lambda gpu: _flag(gpu.remap_pending),
        lambda _: "a row waits for a reset",
        lambda _: "none pending",
        limit=lambda scene, gpu: 0.0,
        fine="none pending",
    ),
    Measure("remapped-rows", lambda gpu: gpu.remapped_uncorrectable, _count("rows"), _at_most("rows")),
    Measure("retired-pages", lambda gpu: gpu.retired_pending, _count("pending"), _at_most("pending")),
    Measure(
        "nvlink",
        lambda gpu: gpu.nvlinks_up,
        lambda value: f"{value:.0f} links up",
        lambda limit: f"{limit:.0f} up on each GPU",
        bad=_below,
        limit=_links_wanted,
        lasts=False,
        worst=min,
    ),
    Measure("nvlink-errors", lambda gpu: gpu.nvlink_errors, _count("errors"), _at_most("errors")),
    Measure(
        "pcie-width",
        lambda gpu: gpu.pcie_width,
        lambda value: f"x{value:.0f}",
        lambda limit: f"x{limit:.0f}",
        bad=_below,
        limit=_lanes_wanted,
        lasts=False,
        worst=min,
    ),
    Measure(
        "pcie-gen",
        lambda gpu: gpu.pcie_gen,
        lambda value: f"generation {value:.0f}",
        lambda limit: f"generation {limit:.0f}",
        bad=_below,
        limit=_only_declared,
        lasts=False,
        worst=min,
    ),
    Measure(
        "recovery-action",
        lambda gpu: gpu.recovery_action,
        _asks,
        lambda _: "nothing asked for",
        limit=lambda scene, gpu: 0.0,
        worst=_most_asked,
        verdict=_how_bad,
    ),
    Measure(
        "persistence",
        lambda gpu: _flag(gpu.persistence),
        lambda value: "on" if value else "off",
        lambda _: "on",
        bad=lambda value, limit: not value,
        limit=lambda scene, gpu: 0.0,
        worst=min,
    ),
)

FROM_MEASURES: Mapping[str, Check] = {measure.check: partial(judge, measure=measure) for measure in _MEASURES}
"""The checks of one number a GPU, by name."""


def vbios(scene: Scene) -> Finding:
    """Every GPU's VBIOS is the category's, where it declares one."""
    declared = scene.category.vbios
    if scene.expected_gpus == 0:
        return read(scene, "vbios", Verdict.PASS, "no GPUs expected", "none")
    shown = sorted({gpu.vbios for gpu in scene.readings.gpus if gpu.vbios})
    value = ", ".join(shown) or "not shown"
    if not declared:
        return read(scene, "vbios", Verdict.PASS, value, "no VBIOS declared")
    other = [gpu for gpu in scene.readings.gpus if gpu.vbios and gpu.vbios != declared]
    telling = sum(any(gpu.vbios for gpu in instances) for instances in devices(scene.readings.gpus))
    if other:
        found = read(scene, "vbios", Verdict.FAIL, f"{value}{on_gpus(other)}", declared)
        return of_some(scene, found, telling)
    if telling < max(1, expected(scene)):
        return silent(scene, "vbios", declared, told=telling, ever=False)
    return read(scene, "vbios", Verdict.PASS, value, declared)
